//! The registry's thread: what must outlive everything else, on the disk.
//!
//! Whatever waits is carried out in one transaction: the commit in flight is the batch window, and
//! no timer is needed. Replies leave only after the commit.

use crate::brain::Message;
use crate::clock::Clock;
use crate::data::{End, InviteError, InviteFile, Terms};
use crate::events::{Counts, Events};
use crate::session::Keys;
use crate::sqlite::SqliteStore;
use crossbeam_channel::{Receiver, Sender};
use undertone_relay::store::StoreRequest;
use undertone_relay::{Input, InviteAction, InviteAnswer};
use undertone_wire::codec::{List, Text};
use undertone_wire::frame::{Code, InviteLine};
use undertone_wire::ids::{EntryId, Token};
use undertone_wire::link::PskId;
use undertone_wire::time::Now;

/// Requests of one transaction: enough that the commit's cost is shared, few enough that the first
/// does not wait long for the last.
const BATCH: usize = 1_024;

/// Work for the thread.
#[derive(Debug)]
enum Job {
    Request(StoreRequest),
    Invite(InviteAction),
}

/// Where the brain leaves work; the thread ends when this is dropped.
///
/// The queue needs no bound of its own: every job answers one input of one connection, and both
/// are bounded.
#[derive(Debug)]
pub(crate) struct RegistryHandle {
    jobs: Sender<Job>,
}

/// The other end.
#[derive(Debug)]
pub(crate) struct Jobs(Receiver<Job>);

/// A handle and the queue behind it.
pub(crate) fn queue() -> (RegistryHandle, Jobs) {
    let (jobs, receiver) = crossbeam_channel::unbounded();
    (RegistryHandle { jobs }, Jobs(receiver))
}

impl RegistryHandle {
    /// Leaves a request; its reply comes as an input.
    pub(crate) fn execute(&self, request: StoreRequest) {
        self.leave(Job::Request(request));
    }

    /// Leaves an action on the invite files; its answer comes as an input.
    pub(crate) fn invite(&self, action: InviteAction) {
        self.leave(Job::Invite(action));
    }

    fn leave(&self, job: Job) {
        // The thread lives until this handle is dropped.
        let _ended = self.jobs.send(job);
    }
}

/// Works until the brain is gone.
pub(crate) fn run(
    mut store: SqliteStore,
    keys: &Keys,
    jobs: &Jobs,
    brain: &Sender<Message>,
    (events, counts, clock): (&Events, &Counts, Clock),
) {
    store.tell(events);
    while let Ok(first) = jobs.0.recv() {
        let mut requests = Vec::new();
        let mut inputs = Vec::new();
        for job in std::iter::once(first).chain(jobs.0.try_iter().take(BATCH)) {
            match job {
                Job::Request(request) => requests.push(request),
                Job::Invite(action) => {
                    let answer = carry_out(keys, counts, clock.now(), action);
                    inputs.push(Input::Invites(answer));
                }
            }
        }
        // Nothing expires here, so its running time stands still.
        let running_ms = store.life().running_ms;
        let replies = store.execute_all(&requests, running_ms);
        inputs.extend(replies.into_iter().map(Input::Stored));
        store.tell(events);
        if brain.send(Message::Inputs(inputs)).is_err() {
            return;
        }
    }
}

fn carry_out(keys: &Keys, counts: &Counts, now: Now, action: InviteAction) -> InviteAnswer {
    let invites = &keys.invites;
    match action {
        InviteAction::Make { conn, seq, label, uses, lifetime } => {
            let end = lifetime.map(|seconds| End::after(seconds, now));
            match invites.create(label.as_str(), Terms { uses, end }) {
                Ok(made) => InviteAnswer::Made {
                    conn,
                    seq,
                    id: EntryId(made.id.0),
                    psk: Token(*made.psk.as_bytes()),
                },
                Err(error) => InviteAnswer::Failed { conn, seq, code: code(&error) },
            }
        }
        InviteAction::Look { conn, seq, id } => {
            InviteAnswer::Looked { conn, seq, id, found: keys.look(PskId(id.0), now) }
        }
        InviteAction::Count { conn, seq } => {
            InviteAnswer::Counted { conn, seq, figures: counts.named() }
        }
        InviteAction::List { conn, seq } => {
            InviteAnswer::Listed { conn, seq, invites: lines(invites) }
        }
        InviteAction::Revoke { conn, seq, id } => match invites.revoke(PskId(id.0)) {
            Ok(()) => InviteAnswer::Revoked { conn, seq, id },
            Err(error) => InviteAnswer::Failed { conn, seq, code: code(&error) },
        },
    }
}

fn lines<const MAX: usize>(invites: &InviteFile) -> List<InviteLine, MAX> {
    let line = |invite: crate::data::Invite| InviteLine {
        id: EntryId(invite.id.0),
        // A label was within its bound when it was made.
        label: Text::new(invite.label).unwrap_or_default(),
        // The relay's brain knows.
        used: 0,
        uses: invite.terms.uses,
        expires: invite.terms.end.map(|end| end.wall_ms),
    };
    List::new(invites.list().into_iter().take(MAX).map(line).collect()).unwrap_or_default()
}

fn code(error: &InviteError) -> Code {
    match error {
        InviteError::Unknown => Code::Absent,
        InviteError::TooMany => Code::RelayFull,
        InviteError::Label | InviteError::Uses => Code::Malformed,
        InviteError::Write(_) | InviteError::Randomness => Code::StoreFailed,
    }
}
