//! Welcome first: a Welcome is stored in a log of its own before the commit that it belongs to is
//! sent, and counts for who is added only once the relay has that commit. So nobody is left between
//! two sessions, whoever dies in between.

use crate::core::{Ask, Cx};
use crate::mls::{self, Group, PskAndSecret};
use crate::outer;
use crate::session::Session;
use minicbor::{Decode, Encode};
use undertone_wire::codec::Blob;
use undertone_wire::frame::{Append, Entry, EntryKind, LogTerms, Request, Start};
use undertone_wire::ids::{LogId, Token};
use zeroize::Zeroizing;

/// After so long the session's log is asked whether the commit is there, then after twice as long.
const JOIN_AGAIN_MS: u64 = 150;
/// Doublings: at most 38 s, where whoever let one in died before the commit.
const MAX_DOUBLINGS: u32 = 8;

/// How long to wait after having asked so often.
pub(crate) fn again_after(asked: u32) -> u64 {
    JOIN_AGAIN_MS << asked.min(MAX_DOUBLINGS)
}

/// The Welcome is for a key package that is here no more, or never was.
pub(crate) const USED_UP: &str = "welcome-used-up";

/// Where a Welcome is.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct Place {
    #[n(0)]
    pub(crate) log: LogId,
    #[n(1)]
    pub(crate) token: Token,
    /// The Welcome's own key, in the shape of a token: 32 secret bytes.
    #[n(2)]
    pub(crate) key: Token,
}

/// A Welcome that is to be stored, and the commit that waits for it.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) place: Place,
    welcome: Vec<u8>,
    /// Of the epoch that the commit leads to.
    pub(crate) next: Token,
}

impl Offer {
    pub(crate) fn new(cx: &mut Cx<'_>, welcome: Vec<u8>, next: Token) -> Self {
        let log = LogId(*cx.draw());
        let place = Place { log, token: Token(*cx.draw()), key: Token(*cx.draw()) };
        Self { place, welcome, next }
    }

    /// Makes the Welcome's log.
    pub(crate) fn create(&self, cx: &mut Cx<'_>, ask: Ask, ttl: u32) {
        let (log, token) = (self.place.log, self.place.token.hash());
        let terms = LogTerms { epoch: 0, token, slots: 0, per_writer: 0, ttl };
        cx.ask(ask, |seq| Request::CreateLog { seq, log, terms });
    }

    /// Puts the Welcome into it. False: it is too large for an entry.
    pub(crate) fn store(&self, cx: &mut Cx<'_>, ask: Ask) -> bool {
        let Place { log, token, key } = self.place.clone();
        let sealed = cx.seal(&key.0, &log.0, &self.welcome);
        let Ok(body) = Blob::new(sealed) else { return false };
        let kind = EntryKind::Application;
        cx.ask(ask, |seq| {
            Request::Append(Append { seq, log, token, writer_number: 1, epoch: 0, kind, body })
        });
        true
    }
}

/// One's own way in by somebody's Welcome.
#[derive(Debug)]
pub(crate) struct Entering {
    place: Place,
    /// The Welcome, and the token of the epoch that it leads to.
    tried: Option<(Zeroizing<Vec<u8>>, Token)>,
    ask_at: Option<u64>,
    waits: u32,
}

impl Entering {
    /// Starts reading the Welcome's log.
    pub(crate) fn begin(cx: &mut Cx<'_>, place: Place, ask: Ask) -> Self {
        let (log, token) = (place.log, place.token.clone());
        cx.ask(ask, |seq| Request::Subscribe { seq, log, token, from: Start::Oldest });
        Self { place, tried: None, ask_at: None, waits: 0 }
    }

    /// Whether it is by this Welcome.
    pub(crate) fn reads(&self, welcome: &LogId) -> bool {
        self.place.log == *welcome
    }

    pub(crate) fn has_welcome(&self) -> bool {
        self.tried.is_some()
    }

    /// The session's log has been asked whether the commit is there.
    pub(crate) fn awaits_answer(&self) -> bool {
        self.tried.is_some() && self.ask_at.is_none()
    }

    pub(crate) fn ask_at(&self) -> Option<u64> {
        self.ask_at
    }

    /// The Welcome is here. It is tried and put back: it counts only once the log has its commit.
    pub(crate) fn try_welcome(
        &mut self,
        cx: &mut Cx<'_>,
        entry: &Entry,
        psk: Option<PskAndSecret<'_>>,
        session: (LogId, u64),
        check: impl FnOnce(&Cx<'_>, &Group) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        cx.send(Request::Unsubscribe { log: entry.log });
        let opened = outer::open(&self.place.key.0, &entry.log.0, &entry.body);
        let welcome = opened.map_err(|_| "welcome-seal")?;
        let savepoint = cx.core.provider.savepoint();
        let token = Group::join(&cx.core.provider, &welcome, psk)
            .map_err(|error| if error == mls::Error::NotForUs { USED_UP } else { "welcome" })
            .and_then(|group| {
                check(cx, &group)?;
                let (log, number) = session;
                Session::new(cx, log, number, group, psk.is_some()).map_err(|_| "epoch-keys")
            })
            .map(|session| session.token().clone());
        cx.core.provider.rollback(savepoint);
        self.tried = Some((welcome, token?));
        Ok(())
    }

    /// Asks the session's log whether it has the commit.
    pub(crate) fn ask_for_session(&mut self, cx: &mut Cx<'_>, log: LogId, ask: Ask) {
        let Some((_, token)) = &self.tried else { return };
        let token = token.clone();
        self.ask_at = None;
        cx.ask(ask, |seq| Request::Subscribe { seq, log, token, from: Start::Token });
    }

    /// The commit is not there yet: asks again in a moment.
    pub(crate) fn wait(&mut self, cx: &mut Cx<'_>) {
        let at = cx.now.after(again_after(self.waits));
        self.waits = self.waits.saturating_add(1);
        self.ask_at = Some(at);
        cx.wake_at(at);
    }

    /// The log has the commit: the group, for good.
    pub(crate) fn join(
        self,
        cx: &Cx<'_>,
        psk: Option<PskAndSecret<'_>>,
        (log, number): (LogId, u64),
    ) -> Option<Session> {
        let (welcome, _) = self.tried?;
        let group = Group::join(&cx.core.provider, &welcome, psk).ok()?;
        Session::new(cx, log, number, group, psk.is_some()).ok()
    }
}
