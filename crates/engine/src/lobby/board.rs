//! The board: which session is the current one. Its newest entry counts; each entry is a commit,
//! so the relay accepts one for each epoch and two who open at once cannot both win.

use super::{Lobby, LobbyAsk, lobby_ask};
use crate::core::Cx;
use crate::mls::{self, Group, Suite};
use crate::outer;
use crate::roster::{Access, Roster};
use crate::session::Session;
use minicbor::{Decode, Encode};
use undertone_wire::account::{AccountKey, Signature};
use undertone_wire::codec::{self, Blob};
use undertone_wire::frame::{Append, Code, Entry, EntryKind, LogTerms, Request, Start, WriterMark};
use undertone_wire::ids::{ClientId, Hash, LogId};

#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) at_head: bool,
    /// The epoch the next entry belongs to.
    epoch: u64,
    next_number: u64,
    /// How often the relay has said since which number comes next.
    corrected: u8,
    /// The newest entry, if it can be read.
    pub(super) newest: Option<Record>,
}

impl Board {
    pub(super) fn on_subscribed(&mut self, writer: Option<WriterMark>) {
        self.next_number = writer.map_or(1, |mark| mark.number.saturating_add(1));
    }
}

/// One entry of the board: a session, signed by who opened it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(super) struct Record {
    #[n(0)]
    pub(super) number: u64,
    #[n(1)]
    pub(super) log: LogId,
    #[n(2)]
    opener: ClientId,
    #[n(3)]
    account: AccountKey,
    #[n(4)]
    time: u64,
    #[n(5)]
    signature: Signature,
}

impl Record {
    fn sign(cx: &Cx<'_>, lobby: &[u8; 32], number: u64, log: LogId) -> Self {
        let identity = &cx.core.identity;
        let mut record = Self {
            number,
            log,
            opener: identity.client_id,
            account: identity.account.public(),
            time: cx.now.wall_ms,
            signature: Signature([0; 64]),
        };
        record.signature =
            identity.account.sign(&record.signed_parts(lobby).each_ref().map(|p| p.as_slice()));
        record
    }

    fn verify(&self, lobby: &[u8; 32]) -> bool {
        let parts = self.signed_parts(lobby);
        self.account.verify(&parts.each_ref().map(|p| p.as_slice()), &self.signature).is_ok()
    }

    fn signed_parts(&self, lobby: &[u8; 32]) -> [Vec<u8>; 6] {
        [
            b"undertone board v1".to_vec(),
            lobby.to_vec(),
            self.number.to_be_bytes().to_vec(),
            self.log.0.to_vec(),
            self.opener.0.to_vec(),
            self.time.to_be_bytes().to_vec(),
        ]
    }
}

const AAD: &[u8] = b"undertone board v1";
/// The number that the relay names, and once more.
const MAX_CORRECTED: u8 = 2;

impl Lobby {
    pub(super) fn subscribe_board(&mut self, cx: &mut Cx<'_>) {
        let (log, token) = (self.keys.board_log, self.keys.board_token.clone());
        (self.board_again_at, self.board_absent) = (None, false);
        self.board = Board::default();
        lobby_ask(cx, LobbyAsk::BoardSubscribe, |seq| Request::Subscribe {
            seq,
            log,
            token,
            from: Start::Oldest,
        });
    }

    /// It is made where there is none, and else asked for again; with pauses, where that came to
    /// nothing before.
    pub(super) fn on_board_refused(&mut self, cx: &mut Cx<'_>, code: Code) {
        self.board_absent = code == Code::Absent;
        match self.tries.board.next(cx) {
            None if self.board_absent => self.create_board(cx),
            None => self.subscribe_board(cx),
            Some(at) => {
                self.board_again_at = Some(at);
                self.tries.board.tell(cx, super::PLACE, code);
            }
        }
    }

    pub(super) fn create_board(&mut self, cx: &mut Cx<'_>) {
        (self.board_again_at, self.board_absent) = (None, false);
        let (log, token) = (self.keys.board_log, self.keys.board_token.hash());
        // Kept as long as the relay keeps anything: the newest session must always be found.
        let terms = LogTerms { epoch: 0, token, slots: 0, per_writer: 0, ttl: u32::MAX };
        lobby_ask(cx, LobbyAsk::BoardCreate, |seq| Request::CreateLog { seq, log, terms });
    }

    pub(super) fn on_board_entry(&mut self, cx: &mut Cx<'_>, entry: &Entry) {
        self.board.epoch = entry.epoch.saturating_add(1);
        let record = outer::open(&self.keys.board_key, AAD, &entry.body)
            .ok()
            .and_then(|plain| codec::decode::<Record>(&plain).ok())
            .filter(|record| record.verify(&self.keys.conversation_id));
        let before = self.board.newest.as_ref().map_or(0, |record| record.number);
        if let Some(record) = record.filter(|record| record.number > before) {
            self.board.newest = Some(record);
        }
        let newest = self.board.newest.as_ref().map_or(0, |record| record.number);
        if self.opening.as_ref().is_some_and(|opening| opening.number <= newest) {
            self.give_up_opening(cx);
        }
        if self.board.at_head {
            self.decide(cx);
        }
    }

    /// Somebody else opened this session, or a later one.
    fn give_up_opening(&mut self, cx: &mut Cx<'_>) {
        if let Some(opening) = self.opening.take() {
            opening.delete(cx);
        }
    }

    /// The board was read: go on in one's session, knock at another's, or open one.
    pub(super) fn decide(&mut self, cx: &mut Cx<'_>) {
        if self.opening.is_some() {
            return;
        }
        let newest = self.board.newest.clone();
        let Some(newest) = newest.filter(|newest| newest.number >= self.row.known) else {
            if self.row.known > 0 {
                cx.core.went_back();
            }
            return self.reopen(cx);
        };
        self.row.known = newest.number;
        match &mut self.session {
            Some(session) if session.log == newest.log => {
                if session.reading == crate::session::Reading::Off {
                    session.subscribe(cx);
                }
            }
            Some(_) => {
                // A session is made anew where the relay has lost what it had.
                cx.core.went_back();
                self.abandon(cx);
                self.knock(cx, newest.number);
            }
            None if self.knocking.as_ref().is_some_and(|k| k.number == newest.number) => {}
            None if self.reopen.is_some_and(|(_, lost)| lost >= newest.number) => {
                self.reopen_due(cx);
            }
            None => self.knock(cx, newest.number),
        }
    }

    /// There is no session, or the relay does not have its log: the next is opened, with pauses where
    /// the last one came to nothing, too.
    pub(super) fn reopen(&mut self, cx: &mut Cx<'_>) {
        if self.reopen.is_some() {
            return self.reopen_due(cx);
        }
        match self.tries.session.next(cx) {
            None => self.open_next(cx),
            Some(at) => self.reopen = Some((at, self.row.known)),
        }
    }

    /// Opens the next session where that was put off until now.
    pub(super) fn reopen_due(&mut self, cx: &mut Cx<'_>) {
        let Some((at, _)) = self.reopen else { return };
        if at > cx.now.mono_ms {
            return cx.wake_at(at);
        }
        if self.board.at_head && self.opening.is_none() {
            self.open_next(cx);
        }
    }

    /// Opens the session after the newest that is known.
    pub(super) fn open_next(&mut self, cx: &mut Cx<'_>) {
        if self.session.is_some() {
            self.abandon(cx);
        }
        self.forget_knock(cx);
        self.reopen = None;
        let on_board = self.board.newest.as_ref().map_or(0, |record| record.number);
        let number = self.row.known.max(on_board).saturating_add(1);
        match self.make_session(cx, number) {
            Ok(session) => {
                let (log, terms) = (session.log, session.terms(0));
                self.opening = Some(session);
                lobby_ask(cx, LobbyAsk::SessionCreate(log), |seq| Request::CreateLog {
                    seq,
                    log,
                    terms,
                });
            }
            Err(_) => cx.trouble(crate::api::Trouble::SessionLost {
                place: super::PLACE.to_owned(),
                cause: "no-group",
            }),
        }
    }

    fn make_session(&self, cx: &mut Cx<'_>, number: u64) -> Result<Session, mls::Error> {
        let name = cx.my_name().ok_or(mls::Error::WrongSigner)?;
        let (log, group_id) = (LogId(*cx.draw()), cx.draw());
        let identity = &cx.core.identity;
        let suite = Suite::Classic;
        let signer = identity.signer(suite).ok_or(mls::Error::WrongSigner)?;
        let credential = identity.credential(suite, &name).ok_or(mls::Error::WrongSigner)?;
        let conversation = Hash(self.keys.conversation_id);
        let roster = Roster::first(&identity.account, conversation, Access::Open, Vec::new())
            .ok_or(mls::Error::WrongSigner)?
            .to_bytes();
        let provider = &cx.core.provider;
        let group =
            Group::create(provider, suite, signer, &credential, group_id.as_slice(), &roster)?;
        Session::new(cx, log, number, group, true)
    }

    /// The new session's log is there: put it on the board.
    pub(super) fn announce(&mut self, cx: &mut Cx<'_>) {
        let Some(opening) = &self.opening else { return };
        let record = Record::sign(cx, &self.keys.conversation_id, opening.number, opening.log);
        let plain = codec::encode(&record);
        let body = cx.seal(&self.keys.board_key, AAD, &plain);
        let Ok(body) = Blob::new(body) else { return };
        let (log, token) = (self.keys.board_log, self.keys.board_token.clone());
        let kind = EntryKind::Commit { next: token.hash() };
        let (writer_number, epoch) = (self.board.next_number, self.board.epoch);
        lobby_ask(cx, LobbyAsk::BoardAppend, |seq| {
            Request::Append(Append { seq, log, token, writer_number, epoch, kind, body })
        });
    }

    /// It is on the board: one is in, alone.
    pub(super) fn on_announced(&mut self, cx: &mut Cx<'_>) {
        let Some(mut session) = self.opening.take() else { return };
        self.board.next_number = self.board.next_number.saturating_add(1);
        self.board.epoch = self.board.epoch.saturating_add(1);
        self.row.known = session.number;
        self.board.newest =
            Some(Record::sign(cx, &self.keys.conversation_id, session.number, session.log));
        session.store(cx);
        session.refill(self.outbox.waiting());
        session.subscribe(cx);
        self.session = Some(session);
        self.hold();
        self.store(cx);
        self.subscribe_door(cx);
    }

    /// Somebody else was first, or the number was wrong.
    pub(super) fn on_announce_refused(&mut self, cx: &mut Cx<'_>, code: Code, detail: u64) {
        let corrects = self.opening.is_some() && self.board.corrected < MAX_CORRECTED;
        self.board.corrected = self.board.corrected.saturating_add(1);
        match code {
            Code::OutOfOrder if corrects => {
                self.board.next_number = detail;
                self.announce(cx);
            }
            // An entry that somebody else was first with came before this answer, and ended the
            // opening. So there is one that cannot be read, or is gone.
            Code::Stale if corrects && detail > self.board.epoch => {
                self.board.epoch = detail;
                self.announce(cx);
            }
            _ => {
                self.give_up_opening(cx);
                match self.tries.announcing.next(cx) {
                    None => self.subscribe_board(cx),
                    Some(at) => self.board_again_at = Some(at),
                }
            }
        }
    }
}
