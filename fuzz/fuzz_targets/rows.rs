//! A profile of which one row was damaged: it is refused, or the member lives on.
#![no_main]

use undertone_engine::api::{Command, Table};
use undertone_engine::{Engine, Input, StepKey};
use undertone_fuzz::Choices;
use undertone_fuzz::engines::Profile;
use undertone_wire::frame::{Reply, Request};
use undertone_wire::ids::{Incarnation, LinkKey};
use undertone_wire::time::Now;

undertone_fuzz::target!(run);

thread_local! {
    static PROFILE: Profile = Profile::new();
}

fn run(bytes: &[u8]) {
    PROFILE.with(|profile| damage(profile, Choices::new(bytes)));
}

fn damage(profile: &Profile, mut choices: Choices<'_>) {
    let mut rows = profile.rows.clone();
    let at = usize::from(choices.byte()) % rows.len();
    let (key, row) = rows.iter_mut().nth(at).expect("there are so many");
    if choices.below(16) == 0 {
        // Whoever has no key.
        *row = choices.rest().to_vec();
        assert!(Engine::load(rows, profile.seal.clone()).is_err(), "a row that nobody sealed");
        return;
    }
    let (name, value) = profile.seal.open(key, row).expect("it is whole");
    let value = altered(value.to_vec(), choices);
    let key = StepKey::new([0; 32]);
    let write = profile.seal.seal(Table::State, &name, Some(&value), &key);
    *row = write.value.expect("there is one");
    if let Ok(engine) = Engine::load(rows, profile.seal.clone()) {
        live(engine, profile.store);
    }
}

/// Parts of the value give way to others.
fn altered(mut value: Vec<u8>, mut choices: Choices<'_>) -> Vec<u8> {
    while !choices.is_over() {
        let at = usize::from(choices.short()) % (value.len() + 1);
        let end = at + usize::from(choices.byte());
        let new = choices.byte();
        let new = choices.take(new.into()).to_vec();
        value.splice(at..end.min(value.len()).max(at), new);
    }
    value
}

fn live(mut engine: Engine, store: Incarnation) {
    let now = Now { mono_ms: 1_000, wall_ms: 1_750_000_100_000 };
    let relay = LinkKey([9; 32]);
    let inputs = [
        Input::Connected { handshake_hash: [1; 32], relay },
        Input::Command { tag: 1, command: Command::Chats },
        Input::Command { tag: 2, command: Command::List },
        Input::Tick,
    ];
    let mut seq = None;
    for (at, input) in inputs.into_iter().enumerate() {
        let step = engine.handle(input, now, StepKey::new([at as u8 + 1; 32]));
        seq = seq.or(step.sends.iter().find_map(|request| match request {
            Request::Register { seq, .. } => Some(*seq),
            _ => None,
        }));
    }
    if let Some(seq) = seq {
        let reply = Reply::Registered { seq, store, online: 2, key: None };
        engine.handle(Input::Frame(reply), now, StepKey::new([9; 32]));
        engine.handle(Input::Tick, now, StepKey::new([10; 32]));
    }
}
