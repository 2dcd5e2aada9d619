//! Programs that speak JSON lines.

use crate::scene;
use serde_json::{Value, json};
use undertone_testkit::process::Program;
use undertone_testkit::scene::Scene;

/// A client in JSON mode.
struct Bot(Program);

impl Bot {
    /// One that has joined.
    fn joined(scene: &Scene, name: &str) -> Self {
        let mut bot = Self(scene.client(&["--json"]));
        bot.expect(&json!({ "v": 1 }));
        bot.expect(&json!({ "type": "hello", "secure": true }));
        bot.ask(&json!({ "type": "register", "name": name, "id": "r" }));
        bot.expect(&json!({ "type": "register", "state": "registered", "id": "r" }));
        bot.expect(&json!({ "type": "register", "state": "in_lobby" }));
        bot
    }

    fn ask(&mut self, object: &Value) {
        self.0.say(&object.to_string());
    }

    /// The next object that has at least these fields; those before it are passed over.
    fn expect(&self, fields: &Value) -> Value {
        loop {
            let line =
                self.0.out.next().unwrap_or_else(|why| self.0.fail(&format!("{fields}: {why}")));
            let object: Value = serde_json::from_str(&line)
                .unwrap_or_else(|_| self.0.fail(&format!("no JSON: {line}")));
            if has(&object, fields) {
                return object;
            }
        }
    }
}

fn has(object: &Value, fields: &Value) -> bool {
    match fields {
        Value::Object(fields) => {
            fields.iter().all(|(key, value)| object.get(key).is_some_and(|real| has(real, value)))
        }
        other => object == other,
    }
}

#[test]
fn f23_every_verb_works_between_two_programs() {
    let scene = scene();
    let _server = scene.server_without_console();
    let mut alice = Bot::joined(&scene, "Alice");
    let mut bob = Bot::joined(&scene, "Bob");
    alice.expect(&json!({ "type": "user_list", "change": "joined", "member": { "name": "Bob" } }));

    alice.ask(&json!({ "type": "hello", "id": 1 }));
    alice.expect(&json!({ "type": "hello", "id": 1, "registered": true,
        "protocol": "Noise_XXpsk2_25519_AESGCM_SHA256" }));
    alice.ask(&json!({ "type": "user_list", "id": 2 }));
    let list = alice.expect(&json!({ "type": "user_list", "id": 2 }));
    assert_eq!(list["members"].as_array().unwrap().len(), 1);
    let bobs_id = list["members"][0]["client_id"].clone();
    alice.ask(&json!({ "type": "get_pubkey", "who": "Bob", "id": 3 }));
    let key = alice.expect(&json!({ "type": "get_pubkey", "id": 3 }));
    assert_eq!(key["member"]["client_id"], bobs_id);

    alice.ask(&json!({ "type": "relay", "text": "to all", "id": 4 }));
    alice.expect(
        &json!({ "type": "delivery", "state": "queued", "id": 4, "conversation": "lobby" }),
    );
    alice.expect(&json!({ "type": "delivery", "state": "at_relay" }));
    bob.expect(&json!({ "type": "relay", "conversation": "lobby", "text": "to all",
        "from": { "name": "Alice" } }));

    alice.ask(&json!({ "type": "chat_request", "to": "Bob", "text": "may I?", "id": 5 }));
    bob.expect(&json!({ "type": "relay", "text": "may I?" }));
    bob.expect(&json!({ "type": "chat_request", "from": { "name": "Alice" } }));
    bob.ask(&json!({ "type": "chat_response", "to": "Alice", "accept": true, "id": 6 }));
    bob.expect(&json!({ "type": "chat_response", "accept": true, "with": { "name": "Alice" } }));
    alice.expect(&json!({ "type": "chat_response", "accept": true, "with": { "name": "Bob" } }));
    alice.expect(&json!({ "type": "delivery", "state": "delivered", "conversation": bobs_id }));
    bob.ask(&json!({ "type": "relay", "to": "Alice", "text": "you may" }));
    alice.expect(&json!({ "type": "relay", "conversation": bobs_id, "text": "you may" }));
    alice.ask(&json!({ "type": "chat_terminate", "to": "Bob", "id": 7 }));
    alice.expect(&json!({ "type": "chat_terminate", "by": "me", "id": 7 }));
    bob.expect(&json!({ "type": "chat_terminate", "by": "them", "with": { "name": "Alice" } }));

    alice.ask(&json!({ "type": "bye" }));
    alice.expect(&json!({ "type": "bye", "queued": 0 }));
    alice.0.expect_exit(0);
    bob.expect(&json!({ "type": "user_list", "change": "left", "member": { "name": "Alice" } }));
}

#[test]
fn f23_a_declined_request_is_told() {
    let scene = scene();
    let _server = scene.server_without_console();
    let mut alice = Bot::joined(&scene, "Alice");
    let mut bob = Bot::joined(&scene, "Bob");
    alice.expect(&json!({ "change": "joined", "member": { "name": "Bob" } }));
    alice.ask(&json!({ "type": "chat_request", "to": "Bob" }));
    alice.expect(&json!({ "type": "chat_request", "state": "asked", "to": { "name": "Bob" } }));
    bob.expect(&json!({ "type": "chat_request", "from": { "name": "Alice" }, "with_text": false }));
    bob.ask(&json!({ "type": "chat_response", "accept": false }));
    alice.expect(&json!({ "type": "chat_response", "accept": false, "with": { "name": "Bob" } }));
}

/// Weakness W02n: one malformed line killed the handler.
#[test]
fn w02_n_a_malformed_line_is_an_error_and_the_next_one_is_read() {
    let scene = scene();
    let _server = scene.server_without_console();
    let mut alice = Bot::joined(&scene, "Alice");
    let deep = "[".repeat(20_000);
    let long = format!(r#"{{"type":"relay","text":"{}"}}"#, "x".repeat(70_000));
    let lines: [&[u8]; 8] = [
        b"nonsense",
        b"{\"type\":\"relay\"",
        b"[]",
        b"{\"type\":\"destroy\"}",
        b"{\"type\":\"relay\",\"text\":7}",
        b"\xff\xfe\xfd",
        deep.as_bytes(),
        long.as_bytes(),
    ];
    for line in lines {
        alice.0.write(line);
        alice.0.write(b"\n");
        let error = alice.expect(&json!({ "type": "error" }));
        assert!(error["error"].is_string() && error["help"].is_string(), "{error}");
    }
    alice.ask(&json!({ "type": "hello", "id": "still here", "an unknown": "field" }));
    alice.expect(&json!({ "type": "hello", "id": "still here" }));
}

#[test]
fn a_name_that_is_taken_is_an_error_in_json_too() {
    let scene = scene();
    let _server = scene.server_without_console();
    let _alice = scene.member("Alice");
    let mut second = Bot(scene.client(&["--json"]));
    second.expect(&json!({ "type": "hello", "secure": true }));
    second.ask(&json!({ "type": "register", "name": "Alice", "id": 1 }));
    second.expect(&json!({ "type": "error", "id": 1 }));
    second.ask(&json!({ "type": "register", "name": "Alicia", "id": 2 }));
    second.expect(&json!({ "type": "register", "state": "registered", "id": 2 }));
}

/// F43, for programs: what two of them show to compare is the same, and what is said of it counts.
#[test]
fn two_programs_compare_block_and_invite() {
    let scene = scene();
    let _server = scene.server();
    let mut alice = Bot::joined(&scene, "Alice");
    let mut bob = Bot::joined(&scene, "Bob");
    alice.expect(&json!({ "type": "user_list", "change": "joined", "member": { "name": "Bob" } }));
    let compare = |bot: &mut Bot, with: &str| {
        bot.ask(&json!({ "type": "trust", "id": 1, "do": "compare", "who": with }));
        bot.expect(
            &json!({ "type": "trust", "id": 1, "event": "compare", "member": { "name": with } }),
        )
    };
    let (hers, his) = (compare(&mut alice, "Bob"), compare(&mut bob, "Alice"));
    assert_eq!(hers["number"], his["number"]);
    assert_eq!(hers["number"].as_str().unwrap().len(), 60);
    assert_ne!(hers["mine"], his["mine"]);
    assert_eq!(hers["session"], Value::Null);
    alice.ask(&json!({ "type": "trust", "id": 2, "do": "same", "who": "Bob", "same": true }));
    alice.expect(&json!({ "type": "user_list", "id": 2, "change": "verified" }));
    alice.ask(&json!({ "type": "trust", "id": 3, "do": "list" }));
    let known = alice.expect(&json!({ "type": "trust", "id": 3, "event": "list" }));
    let known = known["members"].as_array().unwrap();
    assert!(known.iter().any(|one| one["name"] == "Bob" && one["verified"] == true), "{known:?}");
    // Nothing has changed, so there is nothing to accept.
    alice.ask(&json!({ "type": "trust", "id": 4, "do": "accept", "who": "Bob" }));
    alice.expect(&json!({ "type": "error", "id": 4 }));
    alice.ask(&json!({ "type": "trust", "id": 5, "do": "block", "who": "Bob" }));
    alice.expect(&json!({ "type": "user_list", "id": 5, "change": "blocked" }));
    alice.ask(&json!({ "type": "relay", "id": 6, "to": "Bob", "text": "hello" }));
    alice.expect(&json!({ "type": "error", "id": 6 }));
    alice.ask(&json!({ "type": "trust", "id": 7, "do": "unblock", "who": "Bob" }));
    alice.expect(&json!({ "type": "user_list", "id": 7, "change": "unblocked" }));
    alice.ask(&json!({ "type": "trust", "id": 8, "do": "invite" }));
    let link = alice.expect(&json!({ "type": "trust", "id": 8, "event": "link" }));
    let carol = scene.client(&[link["link"].as_str().unwrap(), "--name", "Carol"]);
    carol.expect("Welcome, Carol (*");
    alice.expect(
        &json!({ "type": "user_list", "change": "verified", "member": { "name": "Carol" } }),
    );
    for wrong in
        [json!({ "do": "same", "who": "Bob" }), json!({ "do": "compare" }), json!({ "do": "x" })]
    {
        let mut line = json!({ "type": "trust", "id": 9 });
        line.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        alice.ask(&line);
        alice.expect(&json!({ "type": "error", "id": 9 }));
    }
}
