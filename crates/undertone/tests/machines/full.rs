//! Disks that are full for a while.

use crate::crew::Crew;
use crate::volume::{Volume, left_out};
use std::io::Write;
use std::path::PathBuf;

/// A volume that somebody else fills.
struct Disk {
    volume: Volume,
}

impl Disk {
    fn ballast(&self) -> PathBuf {
        self.volume.folder().join("ballast")
    }

    /// Takes all the space there is.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.ballast()).unwrap();
        for size in [64 << 10, 1 << 10, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        let _full = file.sync_all();
    }

    fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

fn disk(crew_home: &std::path::Path, name: &str) -> Disk {
    let image = crew_home.join(format!("{name}.img"));
    Disk { volume: Volume::new(&image, &crew_home.join(name), 8) }
}

/// D03: a relay whose disk is full acknowledges nothing that a crash could take back, says what is
/// wrong, and goes on when there is space: everything arrives, once.
#[test]
fn d03_a_relay_on_a_full_disk_acknowledges_nothing_it_cannot_keep_and_all_arrives_later() {
    if left_out("a relay's full disk (D03)") {
        return;
    }
    let scene = crate::scene();
    let disk = disk(scene.home(), "relay");
    let mut crew = Crew::with(scene, 1, &disk.volume.folder().join("data"), Vec::new());
    crew.gather();
    for is_killed in [false, true] {
        crew.oracle.change(|ledger| ledger.fails("the relay", true));
        let before = refused(&crew);
        disk.fill();
        // Small things still fit into files that are there; then nothing does.
        while refused(&crew) == before {
            crew.person("Alice").say("lobby", &"x".repeat(12_000));
            crew.go_on();
        }
        if is_killed {
            crew.kill_relay();
            disk.free();
            crew.start_relay();
        } else {
            disk.free();
            crew.relay.as_ref().unwrap().program.expect_error_line("Store: *writing works again");
        }
        crew.oracle.change(|ledger| ledger.fails("the relay", false));
        crew.quiet();
    }
    crew.histories();
    crew.judge();
}

/// How often the relay said that its disk takes nothing.
fn refused(crew: &Crew) -> usize {
    let said = crew.relay.as_ref().unwrap().program.err.lines();
    said.iter().filter(|line| line.contains("nothing can be written: ")).count()
}

/// D03: a client whose disk is full takes nothing over, says so, and goes on when there is space.
#[test]
fn d03_a_client_on_a_full_disk_takes_nothing_over_and_goes_on_later() {
    if left_out("a client's full disk (D03)") {
        return;
    }
    let scene = crate::scene();
    let disk = disk(scene.home(), "dora");
    let data = scene.data();
    let mut crew = Crew::with(scene, 1, &data, Vec::new());
    for name in ["Alice", "Bob", "Carol"] {
        crew.join(name);
    }
    let link = crew.scene.new_link();
    crew.join_at("Dora", disk.volume.folder().join("home"), &link);
    crew.acquaint();
    crew.oracle.change(|ledger| ledger.fails("Dora", true));
    disk.fill();
    let errors = |ledger: &crate::oracle::Ledger| ledger.times("Dora", "error");
    let before = errors(&crew.oracle.ledger());
    while errors(&crew.oracle.ledger()) == before {
        crew.person("Dora").say("lobby", &"x".repeat(2_000));
        crew.go_on();
    }
    assert!(crew.oracle.ledger().journal().iter().any(|line| line.contains("the disk is full")));
    disk.free();
    // What failed was told before she went back to what is stored, and connected anew.
    crew.until("she is back", |ledger| ledger.times("Dora", "register registered") == 2);
    crew.oracle.change(|ledger| ledger.fails("Dora", false));
    crew.quiet();
    crew.histories();
    crew.judge();
}
