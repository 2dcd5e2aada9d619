//! What one wrote, until its readers have it: it outlives restarts and the sessions it was said in.

use crate::api::{Conversation, EventKind, Message, NotSent, Person, Sent, SentState};
use crate::content::{Content, Head, Kind};
use crate::core::{Cx, conversation_name};
use crate::session::Draft;
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, HashSet, VecDeque};
use undertone_wire::codec;
use undertone_wire::frame::Code;
use undertone_wire::ids::{ClientId, EntryId};
use zeroize::Zeroizing;

/// Texts that wait to reach the relay, a conversation: about an hour of typing; beyond it a command
/// is refused.
pub(crate) const MAX_WAITING: usize = 1_024;
/// Texts that are at the relay and not known to be read by all, a conversation. Older ones count as
/// delivered: this many are offered again where a session was lost.
const MAX_OFFERED: usize = 256;
/// Texts whose fate is known are kept for `/sent` until so many newer ones are.
const MAX_SETTLED: usize = 10;
/// Ids of an author's texts kept to tell what is offered again: what is offered, and what may have
/// been on its way.
const MAX_SHOWN: usize = MAX_OFFERED + 64;
/// Authors whose ids are kept, a conversation: more than a lobby has in thirty days.
const MAX_AUTHORS: usize = 2_048;

/// How long a text is kept that is not known to be read: as long as a relay keeps an entry, by
/// default. Milliseconds in which this profile was open, so that neither a clock that jumps nor a
/// month on a shelf ends anything.
pub(crate) const TEXT_TTL_MS: u64 = 30 * 24 * 3_600_000;

/// All rows of a profile, by name.
pub(crate) type Rows = BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
enum Fate {
    /// Not in the log of the session there is now.
    #[n(0)]
    Waiting,
    /// In the log, at this place.
    #[n(1)]
    AtRelay(#[n(0)] Head),
    /// Who was to read it has it.
    #[n(2)]
    Delivered,
    /// It will not arrive.
    #[n(3)]
    GivenUp,
    /// Its time ended before it was known to be read.
    #[n(4)]
    Expired,
    /// In the log of a chat that has ended: it is not said again in the next one.
    #[n(5)]
    Ended,
}

/// One's own text, as it is stored.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(array)]
struct Own {
    #[n(0)]
    draft: Draft,
    #[n(1)]
    fate: Fate,
    /// Of a room: the version of the roster that its author knew when it was written.
    #[n(2)]
    roster: Option<u64>,
    /// When its time ends, by the profile's accumulated running time.
    #[n(3)]
    until: Option<u64>,
}

/// The own texts of one conversation.
#[derive(Debug)]
pub(crate) struct Outbox {
    conversation: Conversation,
    own: BTreeMap<u64, Own>,
    next: u64,
    /// Of a room: what is added is meant for the members of this version of its roster.
    pub(crate) roster: Option<u64>,
}

/// The outbox holds as much as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Outbox {
    pub(crate) fn new(conversation: Conversation) -> Self {
        Self { conversation, own: BTreeMap::new(), next: 0, roster: None }
    }

    pub(crate) fn load(conversation: Conversation, rows: &Rows) -> Option<Self> {
        let mut outbox = Self::new(conversation);
        let prefix = prefix(b"own/", conversation);
        for (name, value) in under(rows, &prefix) {
            let order = u64::from_be_bytes(name.try_into().ok()?);
            outbox.own.insert(order, codec::decode(value).ok()?);
            outbox.next = order + 1;
        }
        Some(outbox)
    }

    /// Whether one more would be refused.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting().count() >= MAX_WAITING
    }

    /// Takes over something to say. It is kept until its fate is known.
    pub(crate) fn add(&mut self, cx: &mut Cx<'_>, draft: Draft) -> Result<(), Full> {
        if self.is_full() {
            return Err(Full);
        }
        let order = self.next;
        self.next += 1;
        let roster = self.roster;
        let until = Some(cx.lived().saturating_add(TEXT_TTL_MS));
        self.own.insert(order, Own { draft, fate: Fate::Waiting, roster, until });
        self.store(cx, order);
        Ok(())
    }

    /// The same, before all that waits.
    pub(crate) fn add_first(&mut self, cx: &mut Cx<'_>, draft: Draft) -> Result<(), Full> {
        let waiting: Vec<_> = self.waiting().cloned().collect();
        if waiting.len() >= MAX_WAITING {
            return Err(Full);
        }
        let orders: Vec<_> = self
            .own
            .iter()
            .filter(|(_, own)| own.fate == Fate::Waiting)
            .map(|(order, _)| *order)
            .collect();
        for order in orders {
            self.own.remove(&order);
            self.store(cx, order);
        }
        for draft in std::iter::once(draft).chain(waiting) {
            self.add(cx, draft)?;
        }
        Ok(())
    }

    /// What is in no log yet, in the order it was written.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Draft> {
        self.own.values().filter(|own| own.fate == Fate::Waiting).map(|own| &own.draft)
    }

    /// Whether the fate of everything is known.
    pub(crate) fn is_settled(&self) -> bool {
        !self.own.values().any(|own| matches!(own.fate, Fate::Waiting | Fate::AtRelay(_)))
    }

    /// Whether something is in the log of this session that is not known to be read.
    pub(crate) fn has_unread(&self, session: u64) -> bool {
        let there = |own: &Own| matches!(own.fate, Fate::AtRelay(at) if at.session == session);
        self.own.values().any(there)
    }

    /// How many texts are in no log yet.
    pub(crate) fn unsent(&self) -> usize {
        self.waiting().filter(|draft| draft.kind == Kind::Text as u16).count()
    }

    /// It is in the log: of a text its author is told.
    pub(crate) fn settled(&mut self, cx: &mut Cx<'_>, draft: &Draft, head: Head) {
        self.fate(cx, &draft.id, Fate::AtRelay(head));
        if draft.kind == Kind::Text as u16 {
            let (conversation, message) = (self.conversation, draft.id);
            cx.news(EventKind::AtRelay { conversation, message });
        }
    }

    /// The relay will never take it: of a text its author is told.
    pub(crate) fn refused(&mut self, cx: &mut Cx<'_>, draft: &Draft, code: Code) {
        self.fate(cx, &draft.id, Fate::GivenUp);
        if draft.kind == Kind::Text as u16 {
            let (conversation, message, why) =
                (self.conversation, draft.id, NotSent::Refused(code));
            cx.news(EventKind::NotSent { conversation, message, why });
        }
    }

    /// It was delivered by other means.
    pub(crate) fn delivered(&mut self, cx: &mut Cx<'_>, id: &EntryId) {
        self.fate(cx, id, Fate::Delivered);
    }

    /// Whoever has read up to this head has these: they are delivered.
    pub(crate) fn covered(&mut self, cx: &mut Cx<'_>, head: &Head) -> Vec<EntryId> {
        let covers = |at: &Head| {
            at.session == head.session
                && (at.epoch < head.epoch || (at.epoch == head.epoch && at.count <= head.count))
        };
        let of = |own: &Own| match own.fate {
            Fate::AtRelay(at) if covers(&at) => Some(own.draft.clone()),
            _ => None,
        };
        let drafts: Vec<_> = self.own.values().filter_map(of).collect();
        for draft in &drafts {
            self.fate(cx, &draft.id, Fate::Delivered);
        }
        let text = |draft: &Draft| draft.kind == Kind::Text as u16;
        drafts.into_iter().filter(text).map(|draft| draft.id).collect()
    }

    /// The session they were said in is gone: what is not known to be read is said again.
    pub(crate) fn reopen(&mut self, cx: &mut Cx<'_>) {
        self.change(cx, |own, _| {
            let text = own.draft.kind == Kind::Text as u16;
            Some(if text { Fate::Waiting } else { Fate::Delivered })
        });
        self.trim(cx);
    }

    /// The chat has ended: what is at the relay belongs to it.
    pub(crate) fn end(&mut self, cx: &mut Cx<'_>) {
        self.change(cx, |_, _| Some(Fate::Ended));
    }

    /// What is at the relay and was said after this head, by who lost what it had, is said again.
    pub(crate) fn reopen_after(&mut self, cx: &mut Cx<'_>, head: &Head) {
        self.change(cx, |own, at| {
            let lacks = at.session == head.session
                && (at.epoch, at.count) > (head.epoch, head.count)
                && own.draft.kind == Kind::Text as u16;
            lacks.then_some(Fate::Waiting)
        });
    }

    /// What becomes of what is at the relay, by where it stands there; none: it stays.
    fn change(&mut self, cx: &mut Cx<'_>, next: impl Fn(&Own, Head) -> Option<Fate>) {
        let mut changed = Vec::new();
        for (order, own) in &mut self.own {
            if let Fate::AtRelay(at) = own.fate
                && let Some(fate) = next(own, at)
            {
                own.fate = fate;
                changed.push(*order);
            }
        }
        for order in changed {
            self.store(cx, order);
        }
    }

    /// The texts that wait and were written before this version of the roster.
    pub(crate) fn written_before(&self, version: u64) -> Vec<EntryId> {
        let older = |own: &&Own| {
            own.fate == Fate::Waiting
                && own.draft.kind == Kind::Text as u16
                && own.roster.is_some_and(|roster| roster < version)
        };
        self.own.values().filter(older).map(|own| own.draft.id).collect()
    }

    /// It will not arrive.
    pub(crate) fn give_up(&mut self, cx: &mut Cx<'_>, id: &EntryId) {
        self.fate(cx, id, Fate::GivenUp);
    }

    /// None of what waits will arrive; says which texts.
    pub(crate) fn give_up_all(&mut self, cx: &mut Cx<'_>) -> Vec<EntryId> {
        let waiting: Vec<_> = self.waiting().cloned().collect();
        for draft in &waiting {
            self.fate(cx, &draft.id, Fate::GivenUp);
        }
        let text = |draft: &Draft| draft.kind == Kind::Text as u16;
        waiting.into_iter().filter(text).map(|draft| draft.id).collect()
    }

    /// The time of these texts has ended; they are not known to be read. `sending` are on their way
    /// and are not judged now.
    pub(crate) fn expire(
        &mut self,
        cx: &mut Cx<'_>,
        sending: impl Fn(&EntryId) -> bool,
    ) -> Vec<EntryId> {
        let now = cx.lived();
        let over = |own: &&Own| {
            let open = matches!(own.fate, Fate::Waiting | Fate::AtRelay(_) | Fate::Ended);
            let text = own.draft.kind == Kind::Text as u16;
            open && text && own.until.is_some_and(|until| until <= now) && !sending(&own.draft.id)
        };
        let over: Vec<_> = self.own.values().filter(over).map(|own| own.draft.id).collect();
        for id in &over {
            self.fate(cx, id, Fate::Expired);
        }
        over
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self, cx: &mut Cx<'_>) {
        for order in std::mem::take(&mut self.own).into_keys() {
            self.store(cx, order);
        }
    }

    /// The newest texts and what became of them, oldest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = Sent> {
        let texts = self.own.values().filter(|own| own.draft.kind == Kind::Text as u16);
        let skip = texts.clone().count().saturating_sub(MAX_SETTLED);
        texts.skip(skip).map(|own| Sent {
            conversation: self.conversation,
            message: own.draft.id,
            time: own.draft.time,
            text: String::from_utf8_lossy(&own.draft.body).into_owned(),
            state: match own.fate {
                Fate::Waiting => SentState::Queued,
                Fate::AtRelay(_) | Fate::Ended => SentState::AtRelay,
                Fate::Delivered => SentState::Delivered,
                Fate::GivenUp => SentState::GivenUp,
                Fate::Expired => SentState::Expired,
            },
        })
    }

    fn fate(&mut self, cx: &mut Cx<'_>, id: &EntryId, fate: Fate) {
        let found = self.own.iter_mut().rev().find(|(_, own)| own.draft.id == *id);
        let Some((order, own)) = found else { return };
        let order = *order;
        own.fate = fate;
        self.store(cx, order);
        self.trim(cx);
    }

    fn store(&self, cx: &mut Cx<'_>, order: u64) {
        let name = self.row(order);
        match self.own.get(&order) {
            Some(own) => cx.put(&name, own),
            None => cx.delete(&name),
        }
    }

    fn row(&self, order: u64) -> Vec<u8> {
        [prefix(b"own/", self.conversation).as_slice(), &order.to_be_bytes()].concat()
    }

    /// Forgets what is over and older than the newest, and holds what is at the relay to its bound.
    fn trim(&mut self, cx: &mut Cx<'_>) {
        let offered = |own: &Own| matches!(own.fate, Fate::AtRelay(_) | Fate::Ended);
        let over = |own: &Own| matches!(own.fate, Fate::Delivered | Fate::GivenUp | Fate::Expired);
        let surplus = |held: &dyn Fn(&Own) -> bool, most: usize| -> Vec<u64> {
            let orders: Vec<_> =
                self.own.iter().filter(|(_, own)| held(own)).map(|(order, _)| *order).collect();
            orders.iter().take(orders.len().saturating_sub(most)).copied().collect()
        };
        let mut gone = surplus(&offered, MAX_OFFERED);
        gone.extend(surplus(&over, MAX_SETTLED));
        for order in gone {
            self.own.remove(&order);
            self.store(cx, order);
        }
    }
}

/// Tells that these will not arrive.
pub(crate) fn tell_not_sent(
    cx: &mut Cx<'_>,
    conversation: Conversation,
    messages: &[EntryId],
    why: NotSent,
) {
    for message in messages {
        let message = *message;
        cx.news(crate::api::EventKind::NotSent { conversation, message, why });
    }
}

/// Ids of others' texts that were shown: what is offered again is shown once.
#[derive(Debug)]
pub(crate) struct Shown {
    conversation: Conversation,
    authors: BTreeMap<ClientId, Ring>,
    known: HashSet<(ClientId, EntryId)>,
}

#[derive(Debug, Default)]
struct Ring {
    ids: VecDeque<EntryId>,
    next: u64,
}

impl Shown {
    pub(crate) fn new(conversation: Conversation) -> Self {
        Self { conversation, authors: BTreeMap::new(), known: HashSet::new() }
    }

    pub(crate) fn load(conversation: Conversation, rows: &Rows) -> Option<Self> {
        let mut shown = Self::new(conversation);
        let mut found = Vec::new();
        for (name, value) in under(rows, &prefix(b"shown/", conversation)) {
            let author = ClientId::from_slice(name.get(..16)?)?;
            let (order, id): (u64, EntryId) = codec::decode(value).ok()?;
            found.push((author, order, id));
        }
        found.sort_unstable_by_key(|(author, order, _)| (*author, *order));
        for (author, order, id) in found {
            let ring = shown.authors.entry(author).or_default();
            ring.next = order + 1;
            ring.ids.push_back(id);
            shown.known.insert((author, id));
        }
        Some(shown)
    }

    /// Shows what another has said, and keeps it, unless it was shown before.
    pub(crate) fn said(&mut self, cx: &mut Cx<'_>, from: Person, content: &Content, text: String) {
        let message = Message {
            conversation: self.conversation,
            id: content.id,
            from,
            own: false,
            time: content.time,
            text,
            known_kind: Kind::of(content.kind).is_some(),
        };
        self.show(cx, message);
    }

    /// The same, of a text that came in another way.
    pub(crate) fn show(&mut self, cx: &mut Cx<'_>, message: Message) {
        let new = self.is_new(cx, message.from.client_id, message.id);
        // Of who is blocked it is noted that it came, so that it does not come up later.
        if new && !message.from.blocked {
            cx.record(&message);
            cx.news(EventKind::Message(message));
        }
    }

    /// Notes a text of an author. False: it was shown before.
    fn is_new(&mut self, cx: &mut Cx<'_>, author: ClientId, id: EntryId) -> bool {
        if !self.known.insert((author, id)) {
            return false;
        }
        if !self.authors.contains_key(&author) && self.authors.len() >= MAX_AUTHORS {
            self.forget_one(cx);
        }
        let ring = self.authors.entry(author).or_default();
        ring.ids.push_back(id);
        if ring.ids.len() > MAX_SHOWN
            && let Some(oldest) = ring.ids.pop_front()
        {
            self.known.remove(&(author, oldest));
        }
        let order = ring.next;
        ring.next += 1;
        cx.put(&row(self.conversation, &author, order), &(order, id));
        true
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self, cx: &mut Cx<'_>) {
        while !self.authors.is_empty() {
            self.forget_one(cx);
        }
    }

    fn forget_one(&mut self, cx: &mut Cx<'_>) {
        let Some((author, ring)) = self.authors.pop_first() else { return };
        for (back, id) in ring.ids.iter().rev().enumerate() {
            self.known.remove(&(author, *id));
            let order = ring.next.saturating_sub(1 + back as u64);
            cx.delete(&row(self.conversation, &author, order));
        }
    }
}

fn row(conversation: Conversation, author: &ClientId, order: u64) -> Vec<u8> {
    let slot = order % (MAX_SHOWN as u64);
    let prefix = prefix(b"shown/", conversation);
    [prefix.as_slice(), &author.0, &slot.to_be_bytes()].concat()
}

fn prefix(kind: &[u8], conversation: Conversation) -> Vec<u8> {
    [kind, &conversation_name(conversation), b"/"].concat()
}

fn under<'a>(rows: &'a Rows, prefix: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    rows.range(prefix.to_vec()..)
        .map_while(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_slice())))
}
