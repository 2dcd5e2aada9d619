//! The door: a log of knocks that every member reads.

use super::{Lobby, LobbyAsk, lobby_ask};
use crate::core::Cx;
use crate::engine::rows_under;
use crate::identity::LeafIdentity;
use crate::mls::{KeyPackageInfo, Suite, inspect_key_package};
use crate::outbox::Rows;
use crate::outer;
use minicbor::{Decode, Encode};
use std::collections::VecDeque;
use undertone_wire::account::{AccountSecret, Signature};
use undertone_wire::codec::{self, Blob};
use undertone_wire::frame::{Code, Cursor, LogTerms, Request, Start, WriterMark};
use undertone_wire::ids::{EntryId, Hash, Incarnation};
use undertone_wire::limits::{MAX_INBOX_KEY, MAX_KEY_PACKAGE};
use undertone_wire::lobby::LobbyKeys;

/// A knock lapses after a day of running time: the relay's at the door, a member's where it waits.
pub(super) const KNOCK_TTL_S: u32 = 24 * 3_600;
/// Open knocks a device may have: one, and one that replaces it.
const KNOCKS_A_DEVICE: u16 = 2;
const AAD: &[u8] = b"undertone door v1";

#[derive(Debug, Default)]
pub(super) struct Door {
    pub(super) cursor: Option<Cursor>,
    pub(super) subscribed: bool,
    pub(super) at_head: bool,
    /// It is read anew then, by running time.
    pub(super) again_at: Option<u64>,
    /// It is made then: there was none.
    pub(super) absent: bool,
    pub(super) next_number: u64,
    answered: Answered,
}

/// Knocks that were read, and key packages that brought somebody in, also before a restart, the
/// newest last: none is answered twice, whoever brings it to the door again, and whenever it is
/// read. No clock is asked how old a knock is.
#[derive(Debug, Default)]
struct Answered {
    ids: VecDeque<EntryId>,
    next: u64,
}

/// As many as a door holds, and as many who came in.
const MAX_ANSWERED: usize = 2_048;
const ANSWERED: &[u8] = b"knock/";

impl Answered {
    fn load(rows: &Rows) -> Option<Self> {
        let mut found = Vec::new();
        for row in rows_under::<(u64, EntryId)>(rows, ANSWERED) {
            found.push(row?.1);
        }
        found.sort_unstable_by_key(|(order, _)| *order);
        let next = found.last().map_or(0, |(order, _)| order.saturating_add(1));
        Some(Self { ids: found.into_iter().map(|(_, id)| id).collect(), next })
    }

    fn has(&self, id: &EntryId) -> bool {
        self.ids.contains(id)
    }

    /// False: it is there.
    fn add(&mut self, cx: &mut Cx<'_>, id: EntryId) -> bool {
        if self.has(&id) {
            return false;
        }
        self.ids.push_back(id);
        if self.ids.len() > MAX_ANSWERED {
            self.ids.pop_front();
        }
        let slot = self.next % (MAX_ANSWERED as u64);
        cx.put(&[ANSWERED, &slot.to_be_bytes()].concat(), &(self.next, id));
        self.next = self.next.saturating_add(1);
        true
    }
}

impl Door {
    pub(super) fn load(cursor: Option<Cursor>, rows: &Rows) -> Option<Self> {
        Some(Self { cursor, answered: Answered::load(rows)?, ..Self::default() })
    }

    /// One's own knock is at the door.
    pub(super) fn knocked(&mut self) {
        self.next_number = self.next_number.max(1).saturating_add(1);
    }

    /// Whether this knock is read for the first time, and whether its key package brought somebody
    /// in already.
    pub(super) fn note(
        &mut self,
        cx: &mut Cx<'_>,
        knock: &Knock,
        package: &KeyPackageInfo,
    ) -> (bool, bool) {
        let used = self.answered.has(&key_id(&package.encryption_key));
        (self.answered.add(cx, knock.random), used)
    }

    /// Somebody came in by a key package with this key.
    pub(super) fn came(&mut self, cx: &mut Cx<'_>, key: &[u8]) {
        self.answered.add(cx, key_id(key));
    }

    pub(super) fn unlink(&mut self) {
        (self.subscribed, self.at_head) = (false, false);
        (self.again_at, self.absent) = (None, false);
    }

    /// The relay sends no more of it; it is read anew then.
    pub(super) fn lost(&mut self, code: Code, again_at: u64) {
        (self.subscribed, self.at_head, self.again_at) = (false, false, Some(again_at));
        // Knocks that are gone were answered, or are made again by who still waits.
        if matches!(code, Code::Expired | Code::WentBack) {
            self.cursor = None;
        }
    }

    pub(super) fn on_subscribed(
        &mut self,
        incarnation: Incarnation,
        after: u64,
        writer: Option<WriterMark>,
    ) {
        if self.cursor.is_none_or(|cursor| cursor.incarnation != incarnation) {
            self.cursor = Some(Cursor { incarnation, position: after, hash: Hash([0; 32]) });
        }
        self.next_number = writer.map_or(1, |mark| mark.number.saturating_add(1));
    }

    /// One is no member any more: nothing at the door is one's business.
    pub(super) fn forget(&mut self, cx: &mut Cx<'_>, keys: &LobbyKeys) {
        if self.subscribed && cx.core.registered {
            cx.send(Request::Unsubscribe { log: keys.door_log });
        }
        let answered = std::mem::take(&mut self.answered);
        *self = Self { next_number: self.next_number, answered, ..Self::default() };
    }
}

fn key_id(key: &[u8]) -> EntryId {
    let hash = Hash::of(&[b"undertone knock v1", key]);
    EntryId(hash.0.first_chunk().copied().unwrap_or_default())
}

/// One who wants in.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(super) struct Knock {
    /// Of the session one wants into.
    #[n(0)]
    number: u64,
    #[n(1)]
    pub(super) key_package: Blob<MAX_KEY_PACKAGE>,
    /// For the ticket.
    #[n(2)]
    pub(super) inbox: Blob<MAX_INBOX_KEY>,
    /// By the author's clock, milliseconds since 1970 UTC; nothing is decided by it.
    #[n(3)]
    time: u64,
    #[n(4)]
    random: EntryId,
    #[n(5)]
    signature: Signature,
}

impl Knock {
    /// Signs and seals a knock.
    pub(super) fn sealed(
        cx: &mut Cx<'_>,
        keys: &LobbyKeys,
        number: u64,
        key_package: Vec<u8>,
    ) -> Option<(EntryId, Vec<u8>)> {
        let inbox = cx.core.identity.inbox.public().ok()?;
        let mut knock = Self {
            number,
            key_package: Blob::new(key_package).ok()?,
            inbox: Blob::new(inbox).ok()?,
            time: cx.now.wall_ms,
            random: cx.draw_id(),
            signature: Signature([0; 64]),
        };
        knock.signature = knock.sign(&cx.core.identity.account, keys);
        let sealed = cx.seal(&keys.door_key, AAD, &codec::encode(&knock));
        Some((knock.random, sealed))
    }

    fn sign(&self, account: &AccountSecret, keys: &LobbyKeys) -> Signature {
        let unsigned = codec::encode(&Self { signature: Signature([0; 64]), ..self.clone() });
        account.sign(&[AAD, &keys.conversation_id, &unsigned])
    }

    /// Opens a knock and checks that who knocks is who the key package says, and that it is for
    /// this session.
    pub(super) fn open(
        cx: &Cx<'_>,
        keys: &LobbyKeys,
        number: u64,
        sealed: &[u8],
    ) -> Option<(Self, LeafIdentity, KeyPackageInfo)> {
        let plain = outer::open(&keys.door_key, AAD, sealed).ok()?;
        let knock: Self = codec::decode(&plain).ok()?;
        let info = inspect_key_package(&cx.core.provider, &knock.key_package).ok()?;
        let leaf =
            LeafIdentity::verify(&info.identity.credential, &info.identity.signature_key).ok()?;
        let unsigned = codec::encode(&Self { signature: Signature([0; 64]), ..knock.clone() });
        let parts: [&[u8]; 3] = [AAD, &keys.conversation_id, &unsigned];
        leaf.account.verify(&parts, &knock.signature).ok()?;
        (knock.number == number && info.suite == Suite::Classic).then_some((knock, leaf, info))
    }
}

impl Lobby {
    pub(super) fn subscribe_door(&mut self, cx: &mut Cx<'_>) {
        let later = self.door.again_at.is_some_and(|at| at > cx.now.mono_ms);
        if self.door.subscribed || later {
            return;
        }
        (self.door.subscribed, self.door.again_at, self.door.absent) = (true, None, false);
        let (log, token) = (self.keys.door_log, self.keys.door_token.clone());
        let read = self.door.cursor.filter(|cursor| cursor.hash != Hash([0; 32]));
        let from = read.map_or(Start::Oldest, Start::After);
        lobby_ask(cx, LobbyAsk::DoorSubscribe, |seq| Request::Subscribe { seq, log, token, from });
    }

    pub(super) fn create_door(&mut self, cx: &mut Cx<'_>) {
        (self.door.again_at, self.door.absent) = (None, false);
        let (log, token) = (self.keys.door_log, self.keys.door_token.hash());
        let terms =
            LogTerms { epoch: 0, token, slots: 0, per_writer: KNOCKS_A_DEVICE, ttl: KNOCK_TTL_S };
        lobby_ask(cx, LobbyAsk::DoorCreate, |seq| Request::CreateLog { seq, log, terms });
    }

    pub(super) fn on_door_refused(&mut self, cx: &mut Cx<'_>, code: Code) {
        self.door.subscribed = false;
        // Knocks that are gone were answered, or are made again by who still waits.
        if matches!(code, Code::Expired | Code::WentBack) {
            self.door.cursor = None;
        }
        if self.door.again_at.is_some() {
            return;
        }
        self.door.absent = code == Code::Absent;
        match self.tries.door.next(cx) {
            None if self.door.absent => self.create_door(cx),
            None => self.subscribe_door(cx),
            Some(at) => {
                self.door.again_at = Some(at);
                self.tries.door.tell(cx, super::PLACE, code);
            }
        }
    }

    /// There is a door now: read it, or knock at it.
    pub(super) fn on_door_created(&mut self, cx: &mut Cx<'_>) {
        if self.session.is_some() {
            self.subscribe_door(cx);
        } else {
            self.send_knock(cx);
        }
    }
}
