//! Power cuts: everything that was not synced is gone. A file system in a file is shut down without
//! its journal being flushed, which is what a cut leaves of it; killing a process leaves all that
//! it wrote with the system, and shows nothing about syncing.

use crate::crew::Crew;
use crate::length;
use crate::volume::{Volume, left_out};
use std::path::{Path, PathBuf};
use std::process::Command;
use undertone_testkit::scratch::Scratch;

/// Cuts in the life of one crew.
const OF_A_CREW: usize = 5;

/// D02: a cut takes nothing that was acknowledged, at a relay or at a client.
#[test]
fn d02_power_cuts_take_nothing_that_was_acknowledged() {
    if left_out("power cuts (D02)") {
        return;
    }
    let cuts = length(10, 500);
    let lives: Vec<u64> = (1..=(cuts / OF_A_CREW) as u64).collect();
    let taken: usize = crate::two_at_a_time(&lives, |seed| live(*seed)).into_iter().sum();
    println!("{cuts} power cuts, {taken} texts");
}

/// Whose machines have volumes of their own: the relay's, and Dora's.
struct House {
    crew: Crew,
    relays: Volume,
    doras: Volume,
}

fn house(seed: u64, environment: Vec<(String, String)>) -> House {
    let scene = crate::scene();
    let [relays, doras] = ["relay", "dora"].map(|name| {
        Volume::new(&scene.home().join(format!("{name}.img")), &scene.home().join(name), 64)
    });
    let mut crew = Crew::with(scene, seed, &relays.folder().join("data"), environment);
    for name in ["Alice", "Bob", "Carol"] {
        crew.join(name);
    }
    let link = crew.scene.new_link();
    crew.join_at("Dora", doras.folder().join("home"), &link);
    crew.acquaint();
    House { crew, relays, doras }
}

fn live(seed: u64) -> usize {
    let mut house = house(seed, Vec::new());
    for _ in 0..OF_A_CREW {
        for _ in 0..6 + house.crew.dice.below(12) {
            house.crew.go_on();
        }
        house.cut();
    }
    house.crew.quiet();
    house.crew.histories();
    house.crew.judge()
}

impl House {
    fn cut(&mut self) {
        if self.crew.dice.below(10) < 6 { self.cut_relay() } else { self.cut_dora() }
    }

    fn cut_relay(&mut self) {
        let relay = self.crew.relay.as_ref().unwrap().program.id();
        self.crew.note("the relay's power is cut");
        self.relays.cut(relay);
        self.crew.kill_relay();
        self.relays.again();
        self.crew.start_relay();
    }

    fn cut_dora(&mut self) {
        self.crew.note("Dora's power is cut");
        let dora = self.crew.person("Dora");
        if let Some(client) = dora.id() {
            self.doras.cut(client);
        }
        self.crew.person("Dora").kill();
        self.doras.again();
        let Crew { people, scene, .. } = &mut self.crew;
        people.iter_mut().for_each(|person| person.start(scene));
    }
}

/// The check sees: under a system that does not sync when it is asked to, the same cuts take what
/// was acknowledged.
#[test]
fn d02_the_cuts_are_seen_where_the_system_does_not_sync() {
    if left_out("power cuts under a system that does not sync (D02)") {
        return;
    }
    let scratch = Scratch::default();
    let Some(liar) = liar(scratch.path()) else { return };
    let preload = ("LD_PRELOAD".to_owned(), liar.to_str().unwrap().to_owned());
    let mut house = house(1, vec![preload]);
    for _ in 0..20 {
        house.crew.go_on();
    }
    house.cut_relay();
    // Whoever comes back is told that the relay has lost what it acknowledged, if it starts at all.
    house.crew.until("the loss is seen", |ledger| !ledger.faults().is_empty());
}

/// A library in whose world syncing succeeds at once and does nothing.
fn liar(folder: &Path) -> Option<PathBuf> {
    let (source, library) = (folder.join("liar.c"), folder.join("liar.so"));
    let code = "int fsync(int f) { return 0; } int fdatasync(int f) { return 0; }\n\
                int sync_file_range(int f, long o, long n, unsigned w) { return 0; }\n";
    std::fs::write(&source, code).unwrap();
    let mut compiler = Command::new("cc");
    let made = compiler.args(["-shared", "-fPIC", "-w", "-o"]).args([&library, &source]).status();
    let is_made = made.is_ok_and(|status| status.success());
    if !is_made {
        crate::volume::say_left_out("a system that does not sync (D02): there is no C compiler");
    }
    is_made.then_some(library)
}
