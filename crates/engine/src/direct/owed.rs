//! A no that is owed: whoever asked for a chat is told that it is declined or was ended, however
//! often the link breaks before that.

use crate::core::{Ask, Cx, NoteKind};
use crate::engine::rows_under;
use crate::notes::{self, Body, ChatRequest, Note};
use crate::outbox::Rows;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use undertone_wire::codec::Blob;
use undertone_wire::frame::Code;
use undertone_wire::ids::{ClientId, LogId};
use undertone_wire::limits::MAX_INBOX_KEY;

/// One for each who may have asked, and as many whose attempts to go on came later.
const MAX_OWED: usize = 2 * super::MAX_INVITED;
const ROWS: &[u8] = b"owed/";

/// What is stored until it is in their inbox.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
struct No {
    #[n(0)]
    inbox: Blob<MAX_INBOX_KEY>,
    /// Of the request that is answered.
    #[n(1)]
    log: LogId,
}

/// By who is told; a newer one takes the place of an older.
#[derive(Debug, Default)]
pub(super) struct Owed(BTreeMap<ClientId, No>);

impl Owed {
    pub(super) fn load(rows: &Rows) -> Option<Self> {
        let mut owed = BTreeMap::new();
        for row in rows_under::<No>(rows, ROWS) {
            let (name, no) = row?;
            owed.insert(ClientId::from_slice(&name)?, no);
        }
        Some(Self(owed))
    }

    /// The answer to this request is no.
    pub(super) fn owe(&mut self, cx: &mut Cx<'_>, to: ClientId, request: &ChatRequest) {
        self.put(cx, to, request.inbox.clone(), request.log);
    }

    pub(super) fn put(
        &mut self,
        cx: &mut Cx<'_>,
        to: ClientId,
        inbox: Blob<MAX_INBOX_KEY>,
        log: LogId,
    ) {
        if self.0.len() >= MAX_OWED && !self.0.contains_key(&to) {
            return;
        }
        let no = No { inbox, log };
        cx.put(&name(&to), &no);
        send(cx, to, &no);
        self.0.insert(to, no);
    }

    /// Registered on a new link: what is not known to be in their inbox is sent again.
    pub(super) fn resume(&self, cx: &mut Cx<'_>) {
        for (to, no) in &self.0 {
            send(cx, *to, no);
        }
    }

    /// It is in their inbox, or cannot be.
    pub(super) fn on_answer(
        &mut self,
        cx: &mut Cx<'_>,
        to: &ClientId,
        log: LogId,
        answer: Result<(), Code>,
    ) {
        // An inbox that is full has room another day.
        let over = matches!(answer, Ok(()) | Err(Code::UnknownMember));
        if over && self.0.get(to).is_some_and(|no| no.log == log) {
            self.0.remove(to);
            cx.delete(&name(to));
        }
    }
}

fn send(cx: &mut Cx<'_>, to: ClientId, no: &No) {
    if !cx.core.registered {
        return;
    }
    if let Some(note) = Note::sealed(cx, to, &no.inbox, Body::ChatDecline { log: no.log }) {
        cx.ask(Ask::ChatNote(to, NoteKind::Decline(no.log)), notes::delivery(to, note));
    }
}

fn name(to: &ClientId) -> Vec<u8> {
    [ROWS, &to.0].concat()
}
