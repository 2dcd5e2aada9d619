//! Keeps the list: what was said, what its author was told, who was shown it.

use std::collections::{BTreeMap, BTreeSet};
use undertone_engine::api::{
    ChatState, CommandError, Conversation, Ended, NotSent, RoomChange, RoomId, RoomOver, Trouble,
};
use undertone_engine::{Event, EventKind};
use undertone_wire::ids::{ClientId, EntryId};

/// Every text begins like this: found anywhere outside an engine, it is a leak.
pub(crate) const CANARY: &str = "canary-";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Lobby,
    Direct(usize),
    Room(RoomId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Typed; whether the program took it over is not known.
    Typed,
    /// The program has it for good.
    Taken,
    /// Its author knows that it will not arrive, or that it never left.
    Told,
}

#[derive(Debug)]
struct Text {
    by: usize,
    place: Place,
    body: String,
    id: Option<EntryId>,
    fate: Fate,
    at: u64,
    /// How often its author's profile had been copied or gone back: nobody can order what two copies
    /// write.
    life: usize,
    /// Who was in the lobby, or the room, when it was typed and taken over.
    readers: BTreeSet<usize>,
    /// Who of a room may read it.
    allowed: BTreeSet<usize>,
    /// Why it need not arrive everywhere, beyond what its author was told.
    excused: BTreeMap<usize, &'static str>,
}

/// What a profile has shown: goes with its disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Showing {
    texts: BTreeSet<usize>,
    /// The newest text shown, of each author's life in each place.
    newest: BTreeMap<(usize, Place, usize), usize>,
}

#[derive(Default)]
pub(crate) struct Oracle {
    texts: Vec<Text>,
    by_body: BTreeMap<String, usize>,
    tags: BTreeMap<(usize, u64), usize>,
    /// Who is who.
    ids: BTreeMap<ClientId, usize>,
    pub(crate) showing: Vec<Showing>,
    ever: BTreeSet<(usize, usize)>,
    /// For whom a text to the lobby is at this moment, by its author.
    pub(crate) lobby: BTreeMap<usize, BTreeSet<usize>>,
    /// The same of each room.
    readers: BTreeMap<(usize, RoomId), BTreeSet<usize>>,
    /// All rooms, and how they are called.
    pub(crate) rooms: BTreeMap<RoomId, String>,
    /// Who is in each at the end.
    pub(crate) inside: BTreeMap<RoomId, BTreeSet<usize>>,
    /// When somebody last learned that a member was out of a room.
    out: BTreeMap<(RoomId, usize), u64>,
    /// Who brought whom into which room, or tried: they may tell them what waits.
    added: BTreeSet<(usize, RoomId, usize)>,
    /// Members in whose link or profile somebody meddled, or who saw a relay go back.
    pub(crate) excused_trouble: BTreeSet<usize>,
    /// Members to whom the relay lies, or lied.
    pub(crate) lied_to: BTreeSet<usize>,
    /// The chats there are at the end, by member and peer.
    pub(crate) chats: BTreeMap<(usize, usize), (ChatState, u64)>,
    /// Stores, profiles or relays go back in this life, so that sessions are lost.
    pub(crate) renewals: bool,
    /// The relay's store was put back to an older one.
    pub(crate) relay_went_back: bool,
    /// Members whose profile went back.
    pub(crate) went_back: BTreeSet<usize>,
    /// How often a profile was copied or went back.
    lives: BTreeMap<usize, usize>,
    /// Those of them that have not taken new keys since.
    unnoticed: BTreeSet<usize>,
    pub(crate) findings: Vec<String>,
    pub(crate) renewed: u64,
    pub(crate) shown: u64,
}

impl Oracle {
    pub(crate) fn joined(&mut self, id: ClientId) {
        self.ids.insert(id, self.showing.len());
        self.showing.push(Showing::default());
    }

    pub(crate) fn said(&self) -> usize {
        self.texts.iter().filter(|text| text.fate != Fate::Typed).count()
    }

    pub(crate) fn typed(&mut self, by: usize, place: Place, body: &str, tag: u64, at: u64) {
        let readers = match place {
            Place::Lobby => self.lobby.get(&by).cloned().unwrap_or_default(),
            Place::Direct(peer) => [peer].into(),
            Place::Room(room) => self.readers.get(&(by, room)).cloned().unwrap_or_default(),
        };
        let allowed = readers.clone();
        self.by_body.insert(body.to_owned(), self.texts.len());
        self.tags.insert((by, tag), self.texts.len());
        let (id, fate, excused) = (None, Fate::Typed, BTreeMap::new());
        let body = body.to_owned();
        let life = self.lives.get(&by).copied().unwrap_or(0);
        let text = Text { by, place, body, id, fate, at, life, readers, allowed, excused };
        self.texts.push(text);
    }

    /// A copy of a profile is made, or comes back: another life of its author begins.
    pub(crate) fn copied(&mut self, at: usize) {
        *self.lives.entry(at).or_default() += 1;
    }

    /// These were committed, and so are part of what a person has.
    pub(crate) fn events(&mut self, now: u64, at: usize, events: &[Event]) {
        for event in events {
            self.event(now, at, event);
        }
    }

    /// Whom this member's texts to the lobby are for from now on.
    pub(crate) fn reads(&mut self, at: usize, readers: &[ClientId]) {
        let readers = readers.iter().filter_map(|id| self.ids.get(id).copied()).collect();
        self.lobby.insert(at, readers);
    }

    pub(crate) fn who(&self, ids: &[ClientId]) -> BTreeSet<usize> {
        ids.iter().filter_map(|id| self.ids.get(id).copied()).collect()
    }

    pub(crate) fn reads_in(&mut self, at: usize, room: RoomId, readers: &[ClientId]) {
        let readers = self.who(readers);
        self.readers.insert((at, room), readers);
    }

    pub(crate) fn rooms_made(&mut self, events: &[Event]) {
        for event in events {
            if let EventKind::RoomEntered { room, by: None, .. } = &event.kind {
                self.rooms.insert(room.id, room.name.clone());
            }
        }
    }

    pub(crate) fn adds(&mut self, at: usize, room: RoomId, who: usize) {
        self.added.insert((at, room, who));
    }

    /// Whether a text to a room need not have reached this one: the reader or the author was out of it
    /// since, and the author perhaps where nobody else was by then.
    fn was_out(&self, text: &Text, reader: usize) -> bool {
        let Place::Room(room) = text.place else { return false };
        if self.went_back.contains(&reader) || self.went_back.contains(&text.by) {
            return true;
        }
        let inside = self.inside.get(&room).is_some_and(|inside| inside.contains(&reader));
        let out = |who: usize| self.out.get(&(room, who)).is_some_and(|out| *out >= text.at);
        !inside || out(reader) || (self.renewals && out(text.by))
    }

    fn event(&mut self, now: u64, at: usize, event: &Event) {
        let text = event.tag.and_then(|tag| self.tags.get(&(at, tag)).copied());
        match &event.kind {
            EventKind::Queued { message, .. } => {
                if let Some(text) = text.and_then(|text| self.texts.get_mut(text)) {
                    (text.id, text.fate) = (Some(*message), Fate::Taken);
                    // Who went between typing and taking over was not there.
                    if let (Place::Lobby, Some(readers)) = (text.place, self.lobby.get(&at)) {
                        text.readers.retain(|reader| readers.contains(reader));
                    }
                    if let Place::Room(room) = text.place {
                        let now = self.readers.get(&(at, room)).cloned().unwrap_or_default();
                        text.readers.retain(|reader| now.contains(reader));
                        text.allowed.extend(now);
                    }
                }
            }
            EventKind::Failed(error) => {
                if let CommandError::Internal(what) = error {
                    self.find(now, format!("{at} failed inside: {what}"));
                }
                let text = text.and_then(|text| self.texts.get_mut(text));
                if let Some(text) = text.filter(|text| text.fate == Fate::Typed) {
                    text.fate = Fate::Told;
                }
            }
            EventKind::NotSent { message, why, .. } => self.not_sent(at, message, *why),
            EventKind::Message(message) if !message.own => self.show(now, at, message),
            EventKind::Trouble(trouble) => self.trouble(now, at, trouble),
            EventKind::DeviceRenewed { .. } => drop(self.unnoticed.remove(&at)),
            EventKind::Renewed { cause, .. } => {
                self.renewed += 1;
                // In a life in which nothing goes back, a relay has what it is asked for.
                if !self.renewals && matches!(*cause, "expired" | "absent" | "went-back") {
                    self.find(now, format!("{at} needs a new session ({cause})"));
                }
            }
            // What was at the relay when its author ended the chat is not offered again.
            EventKind::ChatEnded { who, why: Ended::ByMe, .. } if self.renewals => {
                if let Some(peer) = self.ids.get(&who.client_id).copied() {
                    let ended =
                        |text: &&mut Text| text.by == at && text.place == Place::Direct(peer);
                    for text in self.texts.iter_mut().filter(ended) {
                        text.excused.insert(peer, "its chat was ended, and the relay went back");
                    }
                }
            }
            EventKind::RoomChanged { room, who, change, .. } => {
                if let (RoomChange::Removed | RoomChange::Left, Some(who)) =
                    (change, self.ids.get(&who.client_id))
                {
                    self.out.insert((room.id, *who), now);
                }
            }
            EventKind::RoomLeft { room, why, .. } => {
                self.out.insert((room.id, at), now);
                // What was at the relay when its author left is not offered again.
                if *why == RoomOver::Left && self.renewals {
                    let place = Place::Room(room.id);
                    for text in self.texts.iter_mut().filter(|t| t.by == at && t.place == place) {
                        for reader in text.readers.clone() {
                            text.excused.insert(reader, "its author left, and the relay went back");
                        }
                    }
                }
            }
            EventKind::Chats(chats) => {
                for chat in chats {
                    if let Some(peer) = self.ids.get(&chat.who.client_id) {
                        self.chats.insert((at, *peer), (chat.state, chat.epoch));
                    }
                }
            }
            _ => {}
        }
    }

    fn not_sent(&mut self, at: usize, message: &EntryId, _why: NotSent) {
        let mut texts = self.texts.iter_mut();
        if let Some(text) = texts.find(|text| text.by == at && text.id == Some(*message)) {
            text.fate = Fate::Told;
        }
    }

    fn show(&mut self, now: u64, at: usize, message: &undertone_engine::api::Message) {
        let Some(index) = self.by_body.get(&message.text).copied() else {
            return self.find(now, format!("{at} was shown what nobody wrote"));
        };
        let by = self.ids.get(&message.from.client_id).copied();
        let Some(text) = self.texts.get(index) else { return };
        let place = match message.conversation {
            Conversation::Lobby => Some(Place::Lobby),
            Conversation::Room(room) => Some(Place::Room(room)),
            Conversation::Direct(peer) => {
                (self.ids.get(&peer) == Some(&text.by)).then_some(Place::Direct(at))
            }
        };
        if by != Some(text.by) || place != Some(text.place) {
            return self.find(now, format!("{at} was shown text {index} as somebody else's"));
        }
        // Who came later may be told what was said before, when its author says it again.
        let meant = text.readers.contains(&at);
        // Who went back may read again what it had read, behind what is newer.
        let again = text.excused.contains_key(&at);
        if let Place::Room(room) = text.place
            && !text.allowed.contains(&at)
            && !self.added.contains(&(text.by, room, at))
        {
            return self.find(now, format!("{at} was shown text {index}, which is not for them"));
        }
        let (key, by, kind) = ((text.by, text.place, text.life), text.by, text.place);
        self.shown += 1;
        self.ever.insert((at, index));
        let showing = &mut self.showing[at];
        if !showing.texts.insert(index) {
            return self.find(now, format!("{at} was shown text {index} twice"));
        }
        if !meant {
            return;
        }
        let newest = showing.newest.entry(key).or_insert(index);
        let late = index < *newest;
        *newest = index.max(*newest);
        // A relay that changes the order of what it sends is noticed, and cannot be made to keep it.
        if late && !again && !self.lied_to.contains(&at) {
            self.find(now, format!("{at} was shown text {index} of {by} in {kind:?} out of order"));
        }
    }

    fn trouble(&mut self, now: u64, at: usize, trouble: &Trouble) {
        let bad = match trouble {
            Trouble::Unreadable { .. } | Trouble::Gap { .. } => {
                !self.excused_trouble.contains(&at) && self.lied_to.is_empty()
            }
            // Of a relay that goes back it is true.
            Trouble::Vanished { .. } => !self.renewals && !self.excused_trouble.contains(&at),
            Trouble::SessionLost { .. } => {
                self.renewed += 1;
                !self.renewals
            }
            Trouble::BadNote(_) | Trouble::Misbehaved { .. } => true,
            Trouble::Full { .. } => false,
            Trouble::KeyChanged { .. } | Trouble::BadSignature { .. } | Trouble::NoOperator => true,
        };
        if bad {
            self.find(now, format!("{at} was told: {trouble}"));
        }
    }

    pub(crate) fn find(&mut self, now: u64, what: String) {
        /// More say nothing new.
        const MOST: usize = 8;
        if self.findings.len() < MOST {
            self.findings.push(format!("{now} ms: {what}"));
        }
    }

    /// A profile is set back: what it wrote since may be gone, and what it was shown since it may
    /// be shown again.
    pub(crate) fn set_back(&mut self, at: usize, showing: Showing) {
        self.showing[at] = showing;
        self.went_back.insert(at);
        self.copied(at);
        self.unnoticed.insert(at);
        for text in &mut self.texts {
            if text.by == at {
                for reader in text.readers.clone() {
                    text.excused.insert(reader, "its author went back");
                }
            }
            if text.readers.contains(&at) {
                text.excused.insert(at, "its reader went back");
            }
        }
        self.excused_trouble.insert(at);
    }

    /// What this reader should have had so far may be missing.
    pub(crate) fn excuse(&mut self, at: usize, why: &'static str) {
        for text in &mut self.texts {
            text.excused.insert(at, why);
        }
        self.excused_trouble.insert(at);
    }

    /// Whether a text is in a session that its reader forgot without a sign: a profile that went back
    /// and has nothing to notice it by does not know who asked it, and nobody knows that it does not.
    /// Its author is shown that there is no answer, or has ended the chat.
    fn is_forgotten(&self, text: &Text, reader: usize) -> bool {
        let state = self.chats.get(&(text.by, reader)).map(|(state, _)| *state);
        let waits = matches!(state, Some(ChatState::Asked | ChatState::Closed));
        // Who ended a chat that a liar had broken could not say so in it.
        let theirs = self.chats.get(&(reader, text.by)).map(|(state, _)| *state);
        let ended = theirs == Some(ChatState::Closed) && self.lied_to.contains(&reader);
        let forgot = waits && self.unnoticed.contains(&reader);
        let unheard = self.lost_a_no(state, theirs);
        text.place == Place::Direct(reader) && (forgot || ended || unheard)
    }

    /// Whether one of two waits for an answer that a relay had, and lost by going back: it was no.
    pub(crate) fn lost_a_no(&self, one: Option<ChatState>, other: Option<ChatState>) -> bool {
        let over = other == Some(ChatState::Closed);
        self.relay_went_back && one == Some(ChatState::Asked) && over
    }

    /// Whether this one left the room, and the relay may have lost its farewell by going back.
    pub(crate) fn lost_a_farewell(&self, room: RoomId, at: usize) -> bool {
        self.relay_went_back && self.out.contains_key(&(room, at))
    }

    /// After everything: each text that was taken was shown to each of its readers, or its author
    /// was told.
    pub(crate) fn settle(&mut self, now: u64) {
        let mut missing = Vec::new();
        for (index, text) in self.texts.iter().enumerate() {
            if text.fate != Fate::Taken {
                continue;
            }
            for reader in &text.readers {
                let seen = self.ever.contains(&(*reader, index));
                let excused = text.excused.contains_key(reader)
                    || self.is_forgotten(text, *reader)
                    || self.was_out(text, *reader);
                if !seen && !excused {
                    missing.push(format!(
                        "text {index} of {} at {} ms in {:?} ({} bytes) never reached {reader}",
                        text.by,
                        text.at,
                        text.place,
                        text.body.len()
                    ));
                }
            }
        }
        for what in missing {
            self.find(now, what);
        }
    }
}

/// Whether bytes hold others.
pub(crate) fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
