//! What a shell gives an engine and gets from it: plain data.

use undertone_wire::account::{AccountKey, Fingerprint, SafetyNumber};
use undertone_wire::frame::{Code, Reply, Request};
use undertone_wire::ids::{ClientId, EntryId, LinkKey};
use undertone_wire::name::Name;

pub use crate::rooms::{RoomName, RoomNameError};
pub use undertone_wire::ids::RoomId;

/// Something happened.
#[derive(Debug)]
pub enum Input {
    /// The person or program wants something. Events that answer it carry the same tag.
    Command {
        /// Chosen by the shell.
        tag: u64,
        /// What is wanted.
        command: Command,
    },
    /// A link to the relay stands.
    Connected {
        /// The handshake hash (Noise §11.2): registering signs it.
        handshake_hash: [u8; 32],
        /// The relay's static key, as the handshake proved it.
        relay: LinkKey,
    },
    /// The link is gone.
    Disconnected,
    /// The relay said something.
    Frame(Reply),
    /// What [`Step::reads`] asked for.
    Rows {
        /// Of the read.
        tag: u64,
        /// Those that are there, by key.
        rows: Vec<([u8; 32], Vec<u8>)>,
    },
    /// `wake_at` has come.
    Tick,
    /// This profile is a copy that was put back, or the person decided that of two copies this one
    /// counts: the device takes new keys before it says anything. Given before a link stands.
    Renew,
    /// A link that leads to the same people: it takes the place of the one that the profile came by,
    /// as soon as the relay has let one in, or at once where the relay's key is another one. Told by
    /// [`EventKind::LinkTaken`].
    Link(Link),
}

/// What a person or program can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Register under this name; before that nothing else is possible.
    Register(Name),
    /// A message to an existing conversation.
    Send {
        /// Where to.
        to: Conversation,
        /// What.
        text: String,
    },
    /// A private message; starts a direct chat if there is none, accepts one that was asked for.
    Direct {
        /// To whom.
        who: Who,
        /// What; none only asks for a chat.
        text: Option<String>,
    },
    /// Accepts a chat request; none: the only open one.
    Accept(Option<Who>),
    /// Declines a chat request; none: the only open one.
    Decline(Option<Who>),
    /// Ends a direct chat.
    End(Who),
    /// Asks which member is meant; answered by [`EventKind::Resolved`].
    Resolve(Who),
    /// Asks for a member's account key, from the member's own signed card; answered by
    /// [`EventKind::Key`].
    Key(Who),
    /// Asks who is online; answered by [`EventKind::Members`].
    List,
    /// Asks for the chats there are; answered by [`EventKind::Chats`].
    Chats,
    /// Asks what became of one's newest texts; answered by [`EventKind::Sent`].
    Sent,
    /// Asks for the newest texts of a conversation; answered by [`EventKind::History`].
    History {
        /// Which.
        of: Conversation,
        /// How many at most; bounded by [`MAX_HISTORY`].
        count: usize,
    },
    /// Makes a room with oneself as its owner; answered by [`EventKind::RoomEntered`].
    RoomNew(RoomName),
    /// Asks for the rooms one is in or invited to; answered by [`EventKind::Rooms`].
    Rooms,
    /// Something in a room, or about it.
    InRoom {
        /// Its name as it is shown, or the start of its id.
        room: Who,
        /// What.
        order: RoomOrder,
    },
    /// Asks for what two people compare; answered by [`EventKind::Compare`].
    Verify(Who),
    /// The person compared: `same`, or not. Answered by [`EventKind::Verified`] or
    /// [`EventKind::NotVerified`].
    Compared {
        /// With whom.
        who: Who,
        /// Whether the other sees the same.
        same: bool,
    },
    /// The key that was seen last counts from now on; answered by [`EventKind::Trusted`].
    Trust(Who),
    /// Shows nothing of this one any more, and ends the chat with it; answered by
    /// [`EventKind::Blocked`].
    Block(Who),
    /// Takes that back; answered by [`EventKind::Blocked`].
    Unblock(Who),
    /// Makes a link for one person; answered by [`EventKind::Link`].
    Invite,
    /// Takes another name; answered by [`EventKind::Renamed`] of oneself.
    Rename(Name),
    /// Asks whom one knows; answered by [`EventKind::Contacts`].
    Contacts,
    /// Takes another id with the same account, where no chat or room knows the old one; answered by
    /// [`EventKind::IdChanged`].
    NewId,
    /// Ends all chats, leaves all rooms, and has the relay forget the account; answered by
    /// [`EventKind::AccountDeleted`]. Then the profile is of no use any more.
    DeleteAccount,
    /// Asks whether a room or a member is meant; answered by [`EventKind::RoomFound`] or
    /// [`EventKind::Resolved`]. `#NAME` means a room only.
    Find(Who),
}

/// What can be done in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomOrder {
    /// Writes a text.
    Say(String),
    /// Adds a member.
    Add(Who),
    /// Takes a member out; for owners.
    Remove(Who),
    /// Makes a member an owner; for owners.
    Promote(Who),
    /// Leaves it.
    Leave,
    /// Asks who is in it; answered by [`EventKind::RoomMembers`].
    Members,
}

/// A member as a person names one: by name, or by an unambiguous start of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who(pub String);

/// Where a message belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Conversation {
    /// The room that the invite names.
    Lobby,
    /// The chat with one member.
    Direct(ClientId),
    /// A room.
    Room(RoomId),
}

/// What an input led to. The shell's whole contract: commit `writes` in one transaction; only then
/// perform `sends` and show `events`.
#[derive(Debug, Default)]
pub struct Step {
    /// One write-set; later writes to the same key win.
    pub writes: Vec<Write>,
    /// In this order.
    pub sends: Vec<Request>,
    /// In this order.
    pub events: Vec<Event>,
    /// Rows of [`Table::History`] to be read once `writes` are committed, and given back as
    /// [`Input::Rows`].
    pub reads: Vec<Read>,
    /// [`Input::Tick`] is wanted at this running time (`Now::mono_ms`); replaces any earlier wish.
    pub wake_at: Option<u64>,
    /// The device has new keys: once `writes` are committed the link is of no use any more. End it,
    /// and make another with the new [`Engine::link_secret`](crate::Engine::link_secret).
    pub redial: bool,
}

/// Texts of a conversation's history that are shown at once, at most.
pub const MAX_HISTORY: usize = 1_000;

/// Rows that are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Comes back with them.
    pub tag: u64,
    /// Of [`Table::History`].
    pub keys: Vec<[u8; 32]>,
}

/// One row of the store: sealed, with a key that says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which table.
    pub table: Table,
    /// The row.
    pub key: [u8; 32],
    /// What it becomes; none: it goes.
    pub value: Option<Vec<u8>>,
}

/// Rows that are loaded at the start, and rows that are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    /// All of it is given to [`crate::Engine::load`].
    State,
    /// A person's history: read when asked for.
    History,
}

/// A member as a person sees one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The id.
    pub client_id: ClientId,
    /// The name.
    pub name: Name,
    /// Of the account's key.
    pub fingerprint: Option<Fingerprint>,
    /// Whether the person compared safety numbers, or one of the two invited the other.
    pub verified: bool,
    /// Another key was seen under this name or id than the one first seen: nothing is sent before
    /// [`Command::Trust`].
    pub changed: bool,
    /// Nothing of this one is shown.
    pub blocked: bool,
}

/// Something to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Of the command this answers.
    pub tag: Option<u64>,
    /// What.
    pub kind: EventKind,
}

/// What there is to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// This connection is registered.
    Registered {
        /// Oneself.
        me: Person,
        /// Others online.
        others: u32,
        /// Whether this is the account's first registration at this relay.
        first: bool,
    },
    /// The relay did not take the registration. For a name: ask again.
    RegistrationRefused(Code),
    /// One is in the lobby: what is written from now on is seen, and texts go out at once.
    LobbyEntered {
        /// Others online.
        others: u32,
        /// Anyone can read this lobby, the relay included.
        open: bool,
        /// One was a member before and missed nothing since.
        resumed: bool,
    },
    /// There is a lobby, but nobody who could let one in is online.
    LobbyWaiting,
    /// A member came online (oneself included, when one enters for the first time).
    Came(Person),
    /// A member went.
    Went(Person),
    /// A text.
    Message(Message),
    /// A member asks for a chat.
    ChatRequested {
        /// Who.
        who: Person,
        /// Their first text was shown as [`EventKind::Message`] before.
        with_text: bool,
    },
    /// One's own request is at the relay.
    ChatAsked(Person),
    /// The member cannot be asked for a chat now; it is asked as soon as it is seen.
    ChatWaits(Person),
    /// A chat is secure with this member.
    ChatOpened {
        /// Who.
        who: Person,
        /// The suite's name.
        suite: &'static str,
    },
    /// They declined.
    ChatDeclined(Person),
    /// A chat ended; its keys are gone.
    ChatEnded {
        /// With whom.
        who: Person,
        /// Why.
        why: Ended,
        /// Texts that were still queued and will not be sent.
        not_sent: u32,
    },
    /// Texts were delivered to the reader of a direct chat.
    Delivered {
        /// To whom.
        who: Person,
        /// Which.
        messages: Vec<EntryId>,
    },
    /// A text is stored at the relay.
    AtRelay {
        /// Where.
        conversation: Conversation,
        /// Which.
        message: EntryId,
    },
    /// A text was taken over into the outbox.
    Queued {
        /// Where.
        conversation: Conversation,
        /// Which.
        message: EntryId,
    },
    /// A text will not arrive.
    NotSent {
        /// Where.
        conversation: Conversation,
        /// Which.
        message: EntryId,
        /// Why.
        why: NotSent,
    },
    /// Nothing at all has come from the relay since then: it is out of reach, or it drops everything.
    Silent {
        /// When something last came: milliseconds since 1970 UTC, by one's own clock.
        since: u64,
    },
    /// The relay's store is another one than before: what it had not delivered is offered again by
    /// those who wrote it.
    RelayRestarted,
    /// This profile is an old copy, or another copy of it is in use: its device has new keys, its
    /// sessions are asked for anew, and the other copy is told when it is next connected.
    DeviceRenewed {
        /// A short code that `docs/repair.md` lists.
        cause: &'static str,
    },
    /// A conversation goes on in a new session, because the one before could not.
    Renewed {
        /// Which.
        conversation: Conversation,
        /// The other one, of a direct chat: a program that just started has heard no name yet.
        with: Option<Person>,
        /// A short code that `docs/repair.md` lists.
        cause: &'static str,
    },
    /// To [`Command::Sent`]: the newest ten, oldest first.
    Sent(Vec<Sent>),
    /// To [`Command::History`]: oldest first.
    History {
        /// Of which.
        of: Conversation,
        /// The newest of it.
        messages: Vec<Message>,
    },
    /// One is in a room: one made it, was added to it, or accepted its invitation.
    RoomEntered {
        /// Which.
        room: Room,
        /// Who added one; none: oneself made it.
        by: Option<Person>,
        /// Who else is in it.
        members: Vec<Person>,
    },
    /// Somebody one does not know has added one to a room: nothing of it is shown or answered
    /// before [`Command::Accept`].
    RoomInvited {
        /// Which.
        room: Room,
        /// By whom.
        by: Person,
        /// Who else is in it.
        members: Vec<Person>,
    },
    /// A member asks one to follow a list of members that none of the owners one knows has signed:
    /// it counts after [`Command::Accept`]; meanwhile the room goes on as it is.
    RoomDisputed {
        /// Which.
        room: Room,
        /// Who asks.
        by: Person,
    },
    /// The members of a room changed.
    RoomChanged {
        /// Which.
        room: Room,
        /// By whom.
        by: Person,
        /// Whose place changed.
        who: Person,
        /// How.
        change: RoomChange,
    },
    /// One is in a room no more; its keys are gone.
    RoomLeft {
        /// Which.
        room: Room,
        /// Why.
        why: RoomOver,
        /// Texts that were still queued and will not be sent.
        not_sent: u32,
    },
    /// To [`Command::Rooms`], and once after every registration where there are any.
    Rooms(Vec<Room>),
    /// To [`Command::Find`].
    RoomFound(Room),
    /// To [`RoomOrder::Members`].
    RoomMembers {
        /// Of which.
        room: Room,
        /// In the order they came in, oneself included.
        members: Vec<RoomMember>,
    },
    /// Texts were delivered to everyone in a room.
    RoomDelivered {
        /// Which.
        room: RoomId,
        /// Which texts.
        messages: Vec<EntryId>,
    },
    /// Somebody let somebody into the lobby.
    LetIn {
        /// By whom.
        by: Person,
        /// Whom.
        who: Person,
    },
    /// Somebody is no member any more.
    NoLongerMember(Person),
    /// To [`Command::Resolve`].
    Resolved(Person),
    /// To [`Command::Key`].
    Key {
        /// Whose.
        who: Person,
        /// The account's key.
        key: AccountKey,
    },
    /// To [`Command::List`]: who is online, oneself not included.
    Members(Vec<Person>),
    /// To [`Command::Chats`].
    Chats(Vec<Chat>),
    /// To [`Command::Verify`].
    Compare {
        /// With whom.
        who: Person,
        /// One's own fingerprint.
        mine: Fingerprint,
        /// The same at both.
        number: SafetyNumber,
        /// Of the chat with them, if it is secure: the same at both.
        session: Option<SessionMark>,
    },
    /// This account is verified from now on.
    Verified {
        /// Whose.
        who: Person,
        /// By what.
        by: Proof,
    },
    /// The person saw another number than the other: this account is not verified.
    NotVerified(Person),
    /// To [`Command::Trust`].
    Trusted(Person),
    /// To [`Command::Block`] and [`Command::Unblock`].
    Blocked(Person),
    /// To [`Command::Invite`]: a secret, for one person.
    Link(Link),
    /// Another link counts from now on.
    LinkTaken {
        /// It leads into another lobby than before.
        lobby: bool,
    },
    /// Somebody came by a link that somebody else has come by before.
    LinkUsedTwice(Person),
    /// An account has another name.
    Renamed {
        /// Who, by the new name.
        who: Person,
        /// The name before.
        before: Name,
    },
    /// To [`Command::NewId`]: a registration follows.
    IdChanged {
        /// The id before.
        before: ClientId,
    },
    /// To [`Command::DeleteAccount`]: the relay has forgotten the account.
    AccountDeleted,
    /// To [`Command::Contacts`]: by name.
    Contacts(Vec<Person>),
    /// Something was received that cannot be shown, with its cause and what is done about it.
    Trouble(Trouble),
    /// The command was not carried out.
    Failed(CommandError),
    /// The relay ends this connection.
    Bye(Code),
}

/// How an account was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The person compared the numbers.
    Compared,
    /// They made the link that one came by.
    Invited,
    /// They are the first who came by a link of one's own.
    Came,
}

/// A link, which is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Link(pub String);

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Link(…)")
    }
}

/// What the two of a chat can compare of its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionMark {
    /// Rises with every session of these two.
    pub number: u64,
    /// The MLS epoch.
    pub epoch: u64,
    /// The first 16 bytes of the epoch's authenticator (RFC 9420 §8.7), in hexadecimal digits.
    pub authenticator: String,
}

/// One text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where.
    pub conversation: Conversation,
    /// Its id.
    pub id: EntryId,
    /// Who wrote it.
    pub from: Person,
    /// Written by oneself.
    pub own: bool,
    /// When its author wrote it, milliseconds since 1970 UTC, by the author's clock.
    pub time: u64,
    /// As it was written: not yet harmless to show.
    pub text: String,
    /// False: it is a kind that this version does not know.
    pub known_kind: bool,
}

/// One of one's own texts and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Where.
    pub conversation: Conversation,
    /// Its id.
    pub message: EntryId,
    /// When it was written, milliseconds since 1970 UTC, by one's own clock.
    pub time: u64,
    /// As it was written.
    pub text: String,
    /// What became of it.
    pub state: SentState,
}

/// What became of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentState {
    /// It waits here: for the link, for an answer, or for a session.
    Queued,
    /// The relay has it.
    AtRelay,
    /// Its reader has it.
    Delivered,
    /// It will not arrive; why was told then.
    GivenUp,
    /// Its time ended before it was known to be read.
    Expired,
}

/// One direct chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// With whom.
    pub who: Person,
    /// How it stands.
    pub state: ChatState,
    /// The MLS epoch.
    pub epoch: u64,
    /// The suite's name.
    pub suite: &'static str,
}

/// One room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Its id.
    pub id: RoomId,
    /// Its name; where another room here was called so before, with `#` and the start of its id.
    pub name: String,
    /// Members, oneself included.
    pub members: u32,
    /// Whether one is an owner.
    pub owner: bool,
    /// One was invited and has not answered.
    pub invited: bool,
    /// The MLS epoch; 0 while there is no session.
    pub epoch: u64,
    /// The suite's name; empty while there is no session.
    pub suite: &'static str,
}

/// One member of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomMember {
    /// Who.
    pub who: Person,
    /// An owner removes and promotes.
    pub owner: bool,
    /// Whether the relay says that they are connected.
    pub online: bool,
}

/// How somebody's place in a room changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomChange {
    /// They were added.
    Added,
    /// They are no longer a member: an owner removed them.
    Removed,
    /// They are no longer a member: they left.
    Left,
    /// They are an owner now.
    Promoted,
}

/// Why one is in a room no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomOver {
    /// One left.
    Left,
    /// One was removed.
    Removed,
}

/// How a direct chat stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatState {
    /// One asked, they have not answered.
    Asked,
    /// They asked, one has not answered.
    Invited,
    /// Secure with this member.
    Open,
    /// No keys any more.
    Closed,
}

/// Why a chat ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// One ended it.
    ByMe,
    /// They ended it.
    ByThem,
}

/// Why a text will not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// The chat ended before.
    #[error("chat ended")]
    ChatEnded,
    /// For 30 days in which this profile was open it was not known to be read.
    #[error("not read within 30 days")]
    Expired,
    /// They declined.
    #[error("declined")]
    Declined,
    /// The member could not be asked.
    #[error("could not be asked")]
    NotTaken,
    /// The room has members who were not in it when the text was written.
    #[error("the room has new members; write it again if they may read it")]
    NewMembers,
    /// One is in the room no more.
    #[error("you are no longer in the room")]
    RoomLeft,
    /// The lobby it was written for is one's own no more.
    #[error("the lobby is another one now; write it again if they may read it")]
    OtherLobby,
    /// The relay refused it for good.
    #[error("refused by the relay: {0}")]
    Refused(Code),
}

/// Something that could not be read, by cause; what is done about it follows from the cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// An entry's outer or MLS layer does not open.
    #[error("an entry in {place} cannot be opened ({cause})")]
    Unreadable {
        /// Where, in words.
        place: String,
        /// A short code that `docs/protocol.md` lists.
        cause: &'static str,
    },
    /// The relay has no place for what is said; it waits, and is tried again.
    #[error("the relay takes nothing more for {place} ({code}); what you write waits")]
    Full {
        /// Where, in words.
        place: String,
        /// What is full.
        code: Code,
    },
    /// The relay took something and has it no more, although its store is the same: it lies, or
    /// loses what it stores.
    #[error(
        "the relay does not have what it took for {place} ({cause}); it is tried again, with pauses"
    )]
    Vanished {
        /// Where, in words.
        place: String,
        /// A short code that `docs/protocol.md` lists.
        cause: &'static str,
    },
    /// An inbox entry is forged, damaged, or for other keys.
    #[error("a sealed note cannot be opened ({0})")]
    BadNote(&'static str),
    /// An account's key is another one than before.
    #[error("the key of {name} is not the one seen before: possible man in the middle")]
    KeyChanged {
        /// Whose.
        name: String,
        /// The fingerprint first seen.
        before: Fingerprint,
        /// The one seen now.
        now: Fingerprint,
    },
    /// A handshake's signature is wrong.
    #[error("a signature of {name} is invalid: possible man in the middle")]
    BadSignature {
        /// Whose, as claimed.
        name: String,
    },
    /// Somebody is called `Server`, and the link that one came by says nothing of an operator.
    #[error("somebody is called Server, and your link names no operator")]
    NoOperator,
    /// A member signed a change that it had no right to make, or made more than anybody needs.
    #[error("{name} changed {place} as no member may ({cause}); it goes on without them for now")]
    Misbehaved {
        /// Who.
        name: String,
        /// Where, in words.
        place: String,
        /// A short code that `docs/protocol.md` lists.
        cause: &'static str,
    },
    /// A gap or fork in somebody's messages.
    #[error("messages of {name} are missing or were changed on the way")]
    Gap {
        /// Whose.
        name: String,
    },
    /// One's own state of a session could not go on; one asks to be let in again.
    #[error("the session in {place} could not go on here ({cause}); asking to be let in again")]
    SessionLost {
        /// Where, in words.
        place: String,
        /// A short code.
        cause: &'static str,
    },
}

/// Why a command was not carried out; nothing was lost or sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The invite that one came by lets in nobody any more: it was revoked, its time is over, or as many
    /// as it was for have joined.
    #[error("the invite that you came by lets in nobody any more")]
    InviteOver,
    /// There is no such member.
    #[error("no member is called '{0}'")]
    UnknownMember(String),
    /// More than one id begins like that.
    #[error("more than one member is meant by '{0}'")]
    Ambiguous(String),
    /// One cannot write to oneself.
    #[error("that is yourself")]
    Yourself,
    /// Another key was seen than the one first seen; nothing is sent before it is said which counts.
    #[error("the key of {0} has changed, and nothing is sent to it")]
    KeyChanged(String),
    /// No other key was seen.
    #[error("the key of {0} has not changed")]
    KeyNotChanged(String),
    /// The old id is known in chats or rooms.
    #[error("{chats} private chats and {rooms} rooms know you by this id")]
    StillTalking {
        /// Chats that are not over.
        chats: usize,
        /// Rooms that one is in.
        rooms: usize,
    },
    /// The member is blocked.
    #[error("{0} is blocked")]
    Blocked(String),
    /// There is no chat with this member.
    #[error("there is no chat with {0}")]
    NoChat(String),
    /// Nobody asked.
    #[error("nobody asks for a chat")]
    NoRequest,
    /// More than one asked.
    #[error("more than one member asks for a chat; say which")]
    WhichRequest,
    /// The text is empty.
    #[error("there is no text")]
    Empty,
    /// The text is too long.
    #[error("the message is too long: {length} bytes, {max} at most")]
    TooLong {
        /// What it has.
        length: usize,
        /// What it may have.
        max: usize,
    },
    /// Nobody else is there to read it.
    #[error("nobody else is here")]
    Nobody,
    /// Not registered yet.
    #[error("not joined yet")]
    NotJoined,
    /// This invite has no lobby.
    #[error("this invite has no lobby")]
    NoLobby,
    /// The relay is not reached.
    #[error("not connected")]
    NotConnected,
    /// The outbox is full.
    #[error("{} messages wait to be sent, and no more can", crate::outbox::MAX_WAITING)]
    OutboxFull,
    /// The chat with this member ended.
    #[error("the chat with {0} has ended")]
    ChatEnded(String),
    /// There is no such room.
    #[error("no room is called '{0}'")]
    UnknownRoom(String),
    /// Both a room and a member are called so, or more than one room.
    #[error("more than one room or member is meant by '{0}'")]
    RoomOrMember(String),
    /// One was invited and has not accepted, or has asked to leave.
    #[error("you are not in {0}")]
    NotInRoom(String),
    /// The member is not in the room.
    #[error("{who} is not in {room}")]
    NotOfRoom {
        /// Which.
        room: String,
        /// Who.
        who: String,
    },
    /// The member is in the room already.
    #[error("{who} is in {room} already")]
    InRoomAlready {
        /// Which.
        room: String,
        /// Who.
        who: String,
    },
    /// Only an owner may do this.
    #[error("only an owner of {0} may do this")]
    NotOwner(String),
    /// The room has as many members as it may have.
    #[error("{room} is full: 64 members at most; {who} was not added")]
    RoomFull {
        /// Which.
        room: String,
        /// Who was not added.
        who: String,
    },
    /// The relay has nothing by which the member can be added.
    #[error("{0} cannot be added before they have been online")]
    CannotBeAdded(String),
    /// One is in as many rooms as one can be.
    #[error("you are in {} rooms, and no more are kept", crate::rooms::MAX_ROOMS)]
    TooManyRooms,
    /// The relay refused.
    #[error("refused by the relay: {0}")]
    Refused(Code),
    /// Too many requests of one's own are unanswered.
    #[error("{} of your requests are unanswered, and no more can be", crate::direct::MAX_ASKED)]
    TooManyRequests,
    /// There are as many chats as are kept, ended ones included.
    #[error("{} chats are kept here, and no more can be", crate::direct::MAX_CHATS)]
    TooManyChats,
    /// Our own fault or the machine's; the text is kept out of logs.
    #[error("internal error: {0}")]
    Internal(&'static str),
}
