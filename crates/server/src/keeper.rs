//! The store's thread: logs, inboxes and key packages, on the disk.
//!
//! Whatever waits is carried out in one transaction: the commit in flight is the batch window, and
//! no timer is needed. Replies leave only after the commit.

use crate::brain::Message;
use crate::clock::Clock;
use crate::events::Events;
use crate::sqlite::SqliteStore;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;
use undertone_relay::Input;
use undertone_relay::store::StoreRequest;

/// Requests of one transaction: enough that the commit's cost is shared, few enough that the first
/// does not wait long for the last.
const BATCH: usize = 1_024;

/// How often running time is kept where nothing is written. What a crash forgets of it lets
/// entries live so much longer.
const REMEMBER_EVERY: Duration = Duration::from_secs(60);

/// Where the brain leaves requests; the thread ends when this is dropped.
///
/// The queue needs no bound of its own: every request answers one input of one connection, and
/// both are bounded.
#[derive(Debug)]
pub(crate) struct KeeperHandle {
    requests: Sender<Vec<StoreRequest>>,
}

/// The other end.
#[derive(Debug)]
pub(crate) struct Requests(Receiver<Vec<StoreRequest>>);

/// A handle and the queue behind it.
pub(crate) fn queue() -> (KeeperHandle, Requests) {
    let (requests, receiver) = crossbeam_channel::unbounded();
    (KeeperHandle { requests }, Requests(receiver))
}

impl KeeperHandle {
    /// Leaves requests; their replies come as inputs, in this order.
    pub(crate) fn execute(&self, requests: Vec<StoreRequest>) {
        // The thread lives until this handle is dropped.
        let _ended = self.requests.send(requests);
    }
}

/// Works until the brain is gone.
pub(crate) fn run(
    mut store: SqliteStore,
    requests: &Requests,
    brain: &Sender<Message>,
    clock: Clock,
    events: &Events,
) {
    loop {
        store.tell(events);
        match requests.0.recv_timeout(REMEMBER_EVERY) {
            Ok(first) => {
                let replies = store.execute_all(&requests.behind(first), clock.now().mono_ms);
                let inputs = replies.into_iter().map(Input::Stored).collect();
                if brain.send(Message::Inputs(inputs)).is_err() {
                    break;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                store.ran_until(clock.now().mono_ms);
                while requests.0.is_empty() && store.give_back() {}
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    store.ran_until(clock.now().mono_ms);
}

impl Requests {
    /// These, and what waits behind them.
    fn behind(&self, mut requests: Vec<StoreRequest>) -> Vec<StoreRequest> {
        while requests.len() < BATCH {
            let Ok(more) = self.0.try_recv() else { break };
            requests.extend(more);
        }
        requests
    }
}
