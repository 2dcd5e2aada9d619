//! Every cause that a person can meet stands in `docs/repair.md`, and nothing else does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![expect(clippy::disallowed_methods, reason = "the sources and the page are looked at")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use undertone_engine::api::RoomName;
use undertone_engine::{Command, EventKind};
use undertone_testkit::world::World;

/// What stands before a cause wherever the program gives one.
const GIVERS: [&str; 19] = [
    "Happened::Broken(\"",
    "Happened::Lost(\"",
    "Happened::Trouble(\"",
    "refuse(\"",
    "received.committer), \"",
    "Err(\"",
    "lost(cx, chat, \"",
    "lost(cx, room, \"",
    "readd(\"",
    "readd_by(\"",
    "reset(\"",
    "begin(\"",
    "cause: \"",
    "notice_copy(\"",
    "noticed = Some(\"",
    "ok_or(\"",
    "map_err(|_| \"",
    "broken(cx, \"",
    "map_or(\"",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// A cause is one word, with hyphens: other texts are for programmers.
fn is_cause(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

fn given() -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    let mut causes = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let after = GIVERS.iter().flat_map(|giver| text.split(giver).skip(1));
        let notes = text.split("=> \"note-").skip(1).map(|rest| rest.split('"').next().unwrap());
        causes.extend(notes.map(|end| format!("note-{end}")));
        let words = after.filter_map(|rest| rest.split('"').next());
        causes.extend(words.filter(|word| is_cause(word)).map(str::to_owned));
    }
    causes
}

/// The codes in the first column of the page's last table.
fn listed(page: &str) -> BTreeSet<String> {
    let (_, table) = page.split_once("## All causes").expect("the page has the table");
    let first = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let codes = first.flat_map(|column| column.split('`').skip(1).step_by(2).map(str::to_owned));
    codes.collect()
}

/// W05i.
#[test]
fn w05i_every_cause_that_is_given_is_explained_and_every_explained_one_is_given() {
    let page = fs::read_to_string("../../docs/repair.md").unwrap();
    let (given, listed) = (given(), listed(&page));
    assert!(given.len() > 40, "the sources were found: {given:?}");
    let missing: Vec<_> = given.difference(&listed).collect();
    assert!(missing.is_empty(), "docs/repair.md says nothing about {missing:?}");
    let unknown: Vec<_> = listed.difference(&given).collect();
    assert!(unknown.is_empty(), "docs/repair.md explains what is never given: {unknown:?}");
    let protocol = fs::read_to_string("../../docs/protocol.md").unwrap();
    let silent = given.iter().filter(|cause| !protocol.contains(&format!("`{cause}`")));
    assert_eq!(silent.collect::<Vec<_>>(), Vec::<&String>::new(), "docs/protocol.md, §11");
}

/// W05i: who meets a limit is told which one it is, and how much is allowed.
#[test]
fn w05i_a_limit_that_is_met_is_named_with_its_figure() {
    let mut world = World::new(1);
    for name in ["Alice", "Bob"] {
        world.add(name);
        world.run();
    }
    let refused = |world: &mut World, run: &dyn Fn(&mut World)| {
        world.clients[0].events.clear();
        run(world);
        let events = world.clients[0].events.iter();
        let failed = |event: &undertone_engine::Event| match &event.kind {
            EventKind::Failed(error) => Some(error.to_string()),
            _ => None,
        };
        events.filter_map(failed).collect::<Vec<_>>()
    };
    let long = "x".repeat(16_385);
    let told = refused(&mut world, &|world| {
        world.say(0, &long);
    });
    assert_eq!(told, ["the message is too long: 16385 bytes, 16384 at most"]);
    let told = refused(&mut world, &|world| {
        world.disconnect(0);
        for number in 0..1_025 {
            world.say(0, &number.to_string());
        }
    });
    assert_eq!(told, ["1024 messages wait to be sent, and no more can"]);
    let told = refused(&mut world, &|world| {
        for number in 0..513 {
            let name = RoomName::parse(&format!("room{number}")).unwrap();
            world.command(0, Command::RoomNew(name));
        }
    });
    assert_eq!(told, ["you are in 512 rooms, and no more are kept"]);
    world.connect(0);
    world.run();
    for number in 0..11 {
        world.add(&format!("M{number}"));
        world.run();
    }
    let told = refused(&mut world, &|world| {
        for number in 0..11 {
            world.msg(0, &format!("M{number}"), "please");
            world.run();
        }
    });
    assert_eq!(told, ["10 of your requests are unanswered, and no more can be"]);
}
