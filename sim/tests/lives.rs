//! The simulator itself: it repeats itself to the byte, and it sees what is planted.

use sim::{Options, Planted, Report, run};

fn life(seed: u64) -> Report {
    run(seed, Options::default())
}

/// Hard lives have commits that take several members out at once, which openmls orders by chance.
#[test]
fn the_same_seed_is_the_same_life() {
    assert_eq!(life(0), life(0));
    assert_ne!(life(0).hash, life(1).hash);
    for seed in [2, 4, 5, 9, 10] {
        let hard = || run(seed, Options { hard: true, ..Options::default() });
        assert_eq!(hard(), hard(), "seed {seed}");
    }
}

#[test]
fn lives_in_which_something_was_found_go_well() {
    let kept = sim::kept();
    assert!(!kept.is_empty());
    for life in kept {
        let report = run(life.seed, Options { hard: life.hard, ..Options::default() });
        assert_eq!(report.findings, Vec::<String>::new(), "{life:?}");
    }
}

/// A bug in the shells is seen within so many lives.
fn is_seen(planted: Planted, within: u64) {
    let options = Options { planted: Some(planted), ..Options::default() };
    let seen = (0..within).find(|seed| !run(*seed, options).findings.is_empty());
    assert!(seen.is_some(), "{planted:?} was not seen in {within} lives");
}

#[test]
fn a_clients_disk_that_only_says_it_synced_is_seen() {
    is_seen(Planted::ClientSyncDoesNothing, 40);
}

#[test]
fn a_client_that_sends_before_it_commits_is_seen() {
    is_seen(Planted::ClientSendsBeforeCommit, 40);
}

#[test]
fn a_client_that_shows_before_it_commits_is_seen() {
    is_seen(Planted::ClientShowsBeforeCommit, 40);
}

#[test]
fn an_old_write_set_that_comes_back_is_seen() {
    is_seen(Planted::OldWriteSetComesBack, 40);
}

#[test]
fn rows_of_what_was_shown_that_are_lost_is_seen() {
    is_seen(Planted::ShownRowsAreLost, 40);
}

#[test]
fn a_tick_that_is_not_committed_is_seen() {
    is_seen(Planted::TickIsNotCommitted, 40);
}

#[test]
fn a_relays_disk_that_only_says_it_synced_is_seen() {
    is_seen(Planted::RelaySyncDoesNothing, 40);
}

#[test]
fn a_relay_that_acknowledges_before_it_commits_is_seen() {
    is_seen(Planted::RelayAnswersBeforeCommit, 40);
}

#[test]
fn replies_of_the_store_that_are_dropped_is_seen() {
    is_seen(Planted::RepliesAreDropped, 40);
}

#[test]
fn a_cursor_that_is_off_by_one_is_seen() {
    is_seen(Planted::CursorIsOffByOne, 40);
}

#[test]
fn frames_that_change_places_is_seen() {
    is_seen(Planted::FramesChangePlaces, 40);
}

#[test]
fn a_token_that_is_not_checked_is_seen() {
    is_seen(Planted::TokenIsNotChecked, 40);
}

#[test]
fn a_header_that_is_not_written_is_seen() {
    is_seen(Planted::HeaderIsNotWritten, 20);
}

#[test]
fn a_write_set_that_is_torn_is_seen() {
    is_seen(Planted::WriteSetIsTorn, 40);
}
