//! Event loops: how many there are, and who gets which connection.

use super::harness::{ECHO, Echo, Scene, config};
use crate::brain::Brain;
use crate::config::Config;
use crate::data::scratch::Scratch;
use crate::ids::{ConnectionId, MAX_LOOPS};
use crate::page::Page;
use crate::server::start;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use undertone_relay::{Input, Step};
use undertone_wire::time::Now;

/// Connections by the loop that owns them.
type Owners = BTreeMap<usize, usize>;

/// Answers pings, and notes which loop each connection came from.
struct Noting {
    echo: Echo,
    owners: Arc<Mutex<Owners>>,
}

impl Brain for Noting {
    fn handle(&mut self, input: Input, now: Now, step: &mut Step) {
        if let Input::Connected { conn, .. } = &input {
            let owner = ConnectionId::from(*conn).owner();
            *self.owners.lock().unwrap().entry(owner).or_default() += 1;
        }
        self.echo.handle(input, now, step);
    }
}

/// Who owns so many connections that stand at once, each of them served.
fn owners(threads: Option<NonZeroUsize>, connections: usize) -> Owners {
    let (scratch, owners) = (Scratch::new(), Arc::new(Mutex::new(Owners::new())));
    let config = Config { threads, ..config(&scratch) };
    let brain = Noting { echo: Echo::default(), owners: owners.clone() };
    let server = start(config, Page::default(), |_, _, _| Ok(brain)).unwrap();
    let scene = Scene { server, scratch };
    let mut devices: Vec<_> = (0..connections).map(|_| scene.plain_link()).collect();
    for device in &mut devices {
        device.ping(ECHO);
        device.expect_pong(ECHO);
    }
    #[cfg(target_os = "linux")]
    assert!(loop_threads() >= owners.lock().unwrap().len(), "one thread drives several loops");
    owners.lock().unwrap().clone()
}

/// Threads of this process that run an event loop.
#[cfg(target_os = "linux")]
fn loop_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "relay-loop").count()
}

/// F08.
#[test]
fn f08_connections_are_spread_evenly_over_all_loops() {
    assert_eq!(owners(NonZeroUsize::new(3), 12), Owners::from([(0, 4), (1, 4), (2, 4)]));
}

/// F08.
#[test]
fn f08_there_is_a_loop_for_each_core_and_each_has_its_connections() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_LOOPS);
    assert_eq!(owners(None, 2 * cores), (0..cores).map(|owner| (owner, 2)).collect());
}
