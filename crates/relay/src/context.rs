//! What every part of the brain writes into during one step.

use crate::input::ConnId;
use crate::limits::Limits;
use crate::step::{Send, Step, To};
use crate::store::{Operation, RequestId, StoreKey, StoreRequest};
use std::sync::Arc;
use undertone_wire::codec;
use undertone_wire::frame::{Code, Reply, Seen};
use undertone_wire::ids::{ClientId, Hash};
use undertone_wire::time::Now;

/// Who a registered connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: ClientId,
    /// The device, as logs know it.
    pub(crate) writer: Hash,
}

/// The part of the brain that a store's reply belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Directory,
    Logs,
    Inboxes,
}

/// The part's number is in the top byte of a request's id.
const PART_SHIFT: u32 = 56;

/// The part that made a request; none for an id that this brain never gave.
pub(crate) fn part_of(id: RequestId) -> Option<Part> {
    match id.0 >> PART_SHIFT {
        0 => Some(Part::Directory),
        1 => Some(Part::Logs),
        2 => Some(Part::Inboxes),
        _ => None,
    }
}

/// One step being made.
pub(crate) struct Context<'a> {
    pub(crate) step: &'a mut Step,
    pub(crate) now: Now,
    pub(crate) limits: &'a Limits,
    pub(crate) requests: &'a mut u64,
    pub(crate) scratch: &'a mut Vec<u8>,
}

impl Context<'_> {
    pub(crate) fn encode(&mut self, reply: &Reply) -> Arc<[u8]> {
        self.scratch.clear();
        codec::encode_into(reply, self.scratch);
        Arc::from(self.scratch.as_slice())
    }

    pub(crate) fn send(&mut self, conn: ConnId, reply: &Reply) {
        let frame = self.encode(reply);
        self.forward(conn, frame);
    }

    pub(crate) fn forward(&mut self, conn: ConnId, frame: Arc<[u8]>) {
        self.step.sends.push(Send { to: To::One(conn), frame });
    }

    pub(crate) fn fan_out(
        &mut self,
        conns: Arc<[ConnId]>,
        except: Option<ConnId>,
        frame: Arc<[u8]>,
    ) {
        let nobody = match (&conns[..], except) {
            ([], _) => true,
            ([only], Some(except)) => *only == except,
            _ => false,
        };
        if !nobody {
            self.step.sends.push(Send { to: To::Many { conns, except }, frame });
        }
    }

    pub(crate) fn done(&mut self, conn: ConnId, seq: u32) {
        self.send(conn, &Reply::Done { seq });
    }

    pub(crate) fn refuse(&mut self, conn: ConnId, seq: u32, code: Code, detail: u64) {
        self.send(conn, &Reply::Refused { seq, code, detail });
        self.seen(Seen::Refused { connection: conn.0, code });
    }

    pub(crate) fn seen(&mut self, seen: Seen) {
        self.step.seen.push(seen);
    }

    pub(crate) fn request(&mut self, part: Part, key: StoreKey, operation: Operation) -> RequestId {
        *self.requests += 1;
        let id = RequestId(*self.requests | ((part as u64) << PART_SHIFT));
        self.step.requests.push(StoreRequest { id, key, operation });
        id
    }
}
