//! Notes in inboxes: sealed to the owner's inbox key, padded, with the sender's signature inside.

use crate::core::Cx;
use crate::hpke;
use crate::outer::bucket;
use crate::welcome::Place;
use minicbor::{Decode, Encode};
use undertone_wire::account::{AccountKey, Signature};
use undertone_wire::codec::{self, Blob, Text};
use undertone_wire::frame::{Cursor, Request};
use undertone_wire::ids::{ClientId, EntryId, Hash, LogId, RoomId, Token};
use undertone_wire::invite::Introduction;
use undertone_wire::limits::{MAX_INBOX_ENTRY, MAX_INBOX_KEY, MAX_KEY_PACKAGE, MAX_REQUEST_TEXT};
use undertone_wire::name::Name;
use zeroize::Zeroizing;

/// Largest Welcome a note carries: a hybrid one for two is 6 KB, with ML-KEM-1024 8 KB.
const MAX_WELCOME: usize = 20 << 10;
/// Largest roster of a room: 64 accounts of about 60 bytes, and as much again.
const MAX_ROOM_ROSTER: usize = 8 << 10;
const INFO: &[u8] = b"undertone note v1";

/// A note as its reader has it, after its signature was checked.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct Note {
    #[n(0)]
    pub(crate) from: ClientId,
    #[n(1)]
    pub(crate) name: Name,
    #[n(2)]
    pub(crate) account: AccountKey,
    #[n(3)]
    pub(crate) to: ClientId,
    /// By the sender's clock, milliseconds since 1970 UTC.
    #[n(4)]
    pub(crate) time: u64,
    #[n(5)]
    pub(crate) body: Body,
    #[n(6)]
    signature: Signature,
}

/// What notes are for.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub(crate) enum Body {
    /// The way into the lobby's session for one who knocked.
    #[n(0)]
    Ticket(#[n(0)] Ticket),
    /// Asks for a direct chat.
    #[n(1)]
    ChatRequest(#[n(0)] ChatRequest),
    /// Declines one, or says that the chat has been ended.
    #[n(2)]
    ChatDecline {
        /// The log of the request.
        #[n(0)]
        log: LogId,
    },
    /// Goes on with a chat in a new session, where the one before could not.
    #[n(3)]
    ChatReset(#[n(0)] ChatRequest),
    /// The way into a room's session for who was added to it.
    #[n(4)]
    RoomTicket(#[n(0)] RoomTicket),
    /// Asks to be let into a room's session anew: one's own state of it is lost.
    #[n(5)]
    Readd(#[n(0)] Readd),
    /// The newest roster of a room, for who is not in it any more and does not know it.
    #[n(6)]
    RoomRoster(#[n(0)] Blob<MAX_ROOM_ROSTER>),
    /// Shows that one came by a link of the reader's.
    #[n(7)]
    Introduction(#[n(0)] Introduction),
}

/// Where the Welcome is, and what it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct Ticket {
    #[n(0)]
    pub(crate) number: u64,
    #[n(1)]
    pub(crate) log: LogId,
    #[n(2)]
    pub(crate) welcome_log: LogId,
    #[n(3)]
    pub(crate) welcome_token: Token,
    /// The Welcome's own key, in the shape of a token: 32 secret bytes.
    #[n(4)]
    pub(crate) welcome_key: Token,
    /// Knocks up to here are answered: a new member reads the door from there on.
    #[n(5)]
    pub(crate) door: Option<Cursor>,
}

impl Ticket {
    pub(crate) fn place(&self) -> Place {
        let (log, token) = (self.welcome_log, self.welcome_token.clone());
        Place { log, token, key: self.welcome_key.clone() }
    }
}

/// Where the Welcome is, and which session of which room it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct RoomTicket {
    #[n(0)]
    pub(crate) room: RoomId,
    /// Of the session.
    #[n(1)]
    pub(crate) number: u64,
    #[n(2)]
    pub(crate) log: LogId,
    /// Of the roster that the session has behind the commit.
    #[n(3)]
    pub(crate) version: u64,
    #[n(4)]
    pub(crate) roster: Hash,
    #[n(5)]
    pub(crate) welcome: Place,
}

/// What lets a member of a room in again.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct Readd {
    #[n(0)]
    pub(crate) room: RoomId,
    #[n(1)]
    pub(crate) key_package: Blob<MAX_KEY_PACKAGE>,
    /// For the ticket.
    #[n(2)]
    pub(crate) inbox: Blob<MAX_INBOX_KEY>,
}

/// Everything the other side needs to say yes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct ChatRequest {
    /// Rises with every session of these two.
    #[n(0)]
    pub(crate) number: u64,
    #[n(1)]
    pub(crate) log: LogId,
    #[n(2)]
    pub(crate) welcome: Blob<MAX_WELCOME>,
    /// The asker's inbox key, for the answer.
    #[n(3)]
    pub(crate) inbox: Blob<MAX_INBOX_KEY>,
    /// The version of the asker's card when it made the session: a newer card is another device.
    #[n(4)]
    pub(crate) device: u64,
    /// At most one text, shown as such.
    #[n(5)]
    pub(crate) text: Option<FirstText>,
}

/// The text that came with a request.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct FirstText {
    #[n(0)]
    pub(crate) id: EntryId,
    #[n(1)]
    pub(crate) text: Text<MAX_REQUEST_TEXT>,
}

/// Why a note was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadNote {
    /// Sealed to other keys, or changed.
    Seal,
    /// Not a note, or of a newer version.
    Shape,
    /// Its signature is not its sender's, or it was meant for somebody else.
    Signature,
}

impl BadNote {
    pub(crate) fn cause(self) -> &'static str {
        match self {
            Self::Seal => "note-seal",
            Self::Shape => "note-shape",
            Self::Signature => "note-signature",
        }
    }
}

impl Note {
    /// Signs, pads and seals a note, and gives the request that delivers it.
    pub(crate) fn sealed(
        cx: &mut Cx<'_>,
        to: ClientId,
        inbox: &[u8],
        body: Body,
    ) -> Option<(EntryId, Blob<MAX_INBOX_ENTRY>)> {
        let account = &cx.core.identity.account;
        let mut note = Self {
            from: cx.core.identity.client_id,
            name: cx.my_name()?,
            account: account.public(),
            to,
            time: cx.now.wall_ms,
            body,
            signature: Signature([0; 64]),
        };
        let unsigned = Zeroizing::new(codec::encode(&note));
        note.signature = account.sign(&[INFO, &unsigned]);
        let plain = pad(&codec::encode(&note));
        let sealed = hpke::seal(inbox, INFO, &to.0, &plain, cx.key).ok()?;
        let id = cx.draw_id();
        Some((id, Blob::new(sealed).ok()?))
    }

    /// Opens a note and checks who it is from.
    pub(crate) fn open(cx: &Cx<'_>, sealed: &[u8]) -> Result<Self, BadNote> {
        let me = cx.core.identity.client_id;
        let plain =
            hpke::open(&cx.core.identity.inbox, INFO, &me.0, sealed).map_err(|_| BadNote::Seal)?;
        let note: Self = unpad(&plain).and_then(|b| codec::decode(b).ok()).ok_or(BadNote::Shape)?;
        let unsigned = Self { signature: Signature([0; 64]), ..note.clone() };
        let unsigned = Zeroizing::new(codec::encode(&unsigned));
        note.account.verify(&[INFO, &unsigned], &note.signature).map_err(|_| BadNote::Signature)?;
        if note.to == me { Ok(note) } else { Err(BadNote::Signature) }
    }
}

/// The request that puts a sealed note into an inbox.
pub(crate) fn delivery(
    to: ClientId,
    (id, body): (EntryId, Blob<MAX_INBOX_ENTRY>),
) -> impl FnOnce(u32) -> Request {
    move |seq| Request::InboxAppend { seq, to, id, token: None, body }
}

fn pad(note: &[u8]) -> Zeroizing<Vec<u8>> {
    let room = bucket(note.len() + 4 + hpke::SEAL_OVERHEAD) - hpke::SEAL_OVERHEAD;
    let mut plain = Zeroizing::new(Vec::with_capacity(room));
    // Notes are below 32 KiB.
    plain.extend_from_slice(&u32::try_from(note.len()).unwrap_or(u32::MAX).to_be_bytes());
    plain.extend_from_slice(note);
    plain.resize(room, 0);
    plain
}

fn unpad(plain: &[u8]) -> Option<&[u8]> {
    let (length, rest) = plain.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (note, padding) = rest.split_at_checked(length)?;
    padding.iter().all(|byte| *byte == 0).then_some(note)
}
