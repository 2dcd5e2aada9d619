//! The other side of a chat may know nothing of its session: its profile was put back to before it.
//! What is said there is not read, and nobody asks for more; so it is noticed here. A card that is
//! newer than the session is a sign; so is whoever is online and reads nothing.

use super::mend::{OTHER_FIRST_MS, lost};
use super::{Chat, Chats, State};
use crate::core::{Ask, Cx};
use crate::session::Session;
use undertone_wire::account::Card;
use undertone_wire::frame::{Request, Who};
use undertone_wire::ids::ClientId;

/// Who is online has read a text by then: a relay drops a dead link sooner.
const PATIENCE_MS: u64 = 300_000;
/// Whoever reads nothing in new sessions either is a program that hangs.
const PATIENCE_MOST_MS: u64 = 24 * 3_600_000;

/// Who knows that requests have crossed has said yes by then, if it is there.
const CROSSED_MS: u64 = 60_000;

/// What one knows of whether the other is in the session, since this program started.
#[derive(Debug)]
pub(super) struct Behind {
    /// On this connection, and since they last came: their card was asked for.
    looked: bool,
    /// They are another device than the session's, by the version of their card; without a new
    /// session of theirs one is made then, by running time.
    other_device: Option<(u64, u64)>,
    /// Since when they are online and do not read what is there, by running time.
    unread_since: Option<u64>,
    /// How long that is borne.
    patience: u64,
    /// Their request crossed one's own, which lives: without an answer they are asked again then.
    crossed: Option<u64>,
}

impl Behind {
    pub(super) fn new() -> Self {
        Self {
            looked: false,
            other_device: None,
            unread_since: None,
            patience: PATIENCE_MS,
            crossed: None,
        }
    }

    /// The link is gone.
    pub(super) fn unlink(&mut self) {
        (self.looked, self.other_device, self.unread_since) = (false, None, None);
    }

    /// They said something in the session.
    pub(super) fn heard(&mut self) {
        (self.unread_since, self.patience) = (None, PATIENCE_MS);
    }
}

impl Chat {
    fn talks(&self) -> bool {
        self.session.is_some() && self.request.is_none()
    }

    /// Whether the session is with an older device than the one with this version of their card.
    pub(super) fn is_older(&self, version: u64) -> bool {
        self.row.device.is_some_and(|device| device < version)
    }
}

/// They asked as well, and may have forgotten that one had asked them: who knows it says yes at once.
pub(super) fn crossed(cx: &mut Cx<'_>, chat: &mut Chat) {
    // Their note is read once only: a restart must not forget it.
    if chat.row.crossed.replace(true).is_none() {
        chat.store(cx);
    }
    await_yes(cx, chat);
}

fn await_yes(cx: &mut Cx<'_>, chat: &mut Chat) {
    if chat.row.crossed.is_some() {
        let at = *chat.behind.crossed.get_or_insert(cx.now.after(CROSSED_MS));
        cx.wake_at(at);
    }
}

/// They came online.
pub(super) fn arrived(cx: &mut Cx<'_>, chat: &mut Chat) {
    (chat.behind.looked, chat.behind.unread_since) = (false, None);
    look(cx, chat);
    watch(cx, chat);
}

/// Where something is owed to them, asks whether they still are the device that it was said to.
pub(super) fn look(cx: &mut Cx<'_>, chat: &mut Chat) {
    await_yes(cx, chat);
    // The outbox is walked through last: this is looked at for every text.
    let owes = |chat: &Chat| match chat.row.state {
        State::Asked => true,
        State::Open => !chat.outbox.is_settled(),
        _ => false,
    };
    if !chat.behind.looked && cx.core.registered && chat.talks() && owes(chat) {
        chat.behind.looked = true;
        let peer = chat.row.peer;
        cx.ask(Ask::DeviceOf(peer), |seq| Request::Lookup { seq, who: Who::Id(peer) });
    }
}

pub(super) fn tick(cx: &mut Cx<'_>, chat: &mut Chat) {
    watch(cx, chat);
    await_yes(cx, chat);
    if cx.is_due(&mut chat.behind.crossed) {
        chat.row.crossed = None;
        chat.store(cx);
        if chat.row.state == State::Asked && chat.talks() {
            lost(cx, chat, "other-behind");
        }
    }
    let Some((version, at)) = chat.behind.other_device else { return };
    if at > cx.now.mono_ms {
        return cx.wake_at(at);
    }
    chat.behind.other_device = None;
    if chat.talks() && chat.is_older(version) {
        lost(cx, chat, "other-behind");
    }
}

/// Looks how long what is at the relay was not read by whoever is online.
pub(super) fn watch(cx: &mut Cx<'_>, chat: &mut Chat) {
    let reads = cx.core.registered && cx.core.people.is_online(&chat.row.peer);
    let session = chat.session.as_ref().filter(|_| chat.row.state == State::Open && chat.talks());
    // For who is away the outbox is not walked through: this is looked at in every tick.
    let unread = |session: &Session| chat.outbox.has_unread(session.number);
    if !(reads && session.is_some_and(unread)) {
        chat.behind.unread_since = None;
        return;
    }
    let since = *chat.behind.unread_since.get_or_insert(cx.now.mono_ms);
    let until = since.saturating_add(chat.behind.patience);
    if until > cx.now.mono_ms {
        return cx.wake_at(until);
    }
    chat.behind.unread_since = None;
    chat.behind.patience = chat.behind.patience.saturating_mul(2).min(PATIENCE_MOST_MS);
    lost(cx, chat, "other-behind");
}

impl Chats {
    /// Which device the other is now. It gets the time to make a new session itself, if it knows of
    /// the chat.
    pub(crate) fn on_device(&mut self, cx: &mut Cx<'_>, peer: ClientId, card: Option<Card>) {
        let Some(chat) = self.chats.get_mut(&peer) else { return };
        let card = card.filter(|card| card.client_id == peer && card.verify().is_ok());
        let card = card.filter(|card| cx.meet(peer, &card.name, &card.account));
        let Some(version) = card.map(|card| card.version) else { return };
        if chat.row.device.is_none() {
            // A profile of an earlier version, which did not note it.
            chat.row.device = Some(version);
            chat.store(cx);
        }
        if chat.is_older(version) {
            let at = cx.now.after(OTHER_FIRST_MS);
            chat.behind.other_device = Some((version, at));
            cx.wake_at(at);
        }
    }
}
