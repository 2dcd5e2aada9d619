//! One link as its relay sees it: records in, requests out. Sockets and channels are somebody
//! else's; a connection in memory runs through exactly this.

use crate::data::{Found, InviteFile};
use crate::events::Reason;
use crate::randomness::Draw;
use undertone_relay::{DeviceRoot, Standing};
use undertone_wire::codec::{self, Malformed};
use undertone_wire::frame::{Code, Request};
use undertone_wire::ids::{EntryId, LinkKey};
use undertone_wire::limits::{MAX_FRAME, MAX_FRAME_UNREGISTERED};
use undertone_wire::link::{
    self, AwaitFinish, LinkError, LinkSecret, MAX_PLAINTEXT, Psk, PskId, Refusal, Responder,
    SUBPROTOCOL, Transport,
};
use undertone_wire::stream::FrameReader;
use undertone_wire::time::Now;
use zeroize::Zeroizing;

/// What the relay proves and asks for.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) secret: LinkSecret,
    pub(crate) invites: InviteFile,
    pub(crate) devices: DeviceRoot,
    /// Of an open relay: what everyone may come with.
    pub(crate) open: Option<(PskId, Psk)>,
    pub(crate) operator: Operator,
    /// Where the seed of each handshake comes from.
    pub(crate) draw: Draw,
}

/// The operator's key, and the pre-shared key that goes with it and is in no list of invites.
#[derive(Debug)]
pub(crate) struct Operator {
    pub(crate) key: LinkKey,
    pub(crate) psk_id: PskId,
    pub(crate) psk: Psk,
}

impl Keys {
    /// The pre-shared key of this id, and what it says about who comes with it.
    fn find(&self, id: PskId, now: Now) -> Result<(Psk, Standing), SessionError> {
        if id == self.operator.psk_id {
            return Ok((self.operator.psk.clone(), Standing::Member));
        }
        if let Some((_, psk)) = self.open.as_ref().filter(|(open, _)| *open == id) {
            return Ok((psk.clone(), Standing::Invited { invite: EntryId(id.0), uses: None }));
        }
        match self.invites.find(id, now) {
            Found::Good { psk, uses } => {
                Ok((psk, Standing::Invited { invite: EntryId(id.0), uses }))
            }
            Found::Revoked => Err(SessionError::InviteRevoked),
            Found::Expired => Err(SessionError::InviteExpired),
            Found::Unknown => {
                let psk = self.devices.psk(id).ok_or(SessionError::UnknownInvite)?;
                Ok((psk, Standing::Device { id }))
            }
        }
    }

    /// How many an invite lets in at most, if it lets in anybody.
    pub(crate) fn look(&self, id: PskId, now: Now) -> Result<Option<u32>, Code> {
        match self.find(id, now) {
            Ok((_, Standing::Invited { uses, .. })) => Ok(uses),
            Err(SessionError::InviteRevoked | SessionError::InviteExpired) => {
                Err(Code::InviteRevoked)
            }
            Ok(_) | Err(_) => Err(Code::Absent),
        }
    }

    /// What a device with this key may do, that came as this.
    fn standing(&self, peer: LinkKey, came_as: Standing) -> Standing {
        if peer == self.operator.key { Standing::Operator } else { came_as }
    }
}

/// Why a session cannot go on. Texts name no key and no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SessionError {
    /// Message 1 names a pre-shared key that is not, or no longer, ours.
    #[error("unknown invite")]
    UnknownInvite,
    /// It names an invite that was revoked.
    #[error("revoked invite")]
    InviteRevoked,
    /// It names an invite whose time is over.
    #[error("expired invite")]
    InviteExpired,
    /// The link failed.
    #[error("{0}")]
    Link(#[from] LinkError),
    /// What came through the link is no frame.
    #[error("a frame is malformed or too long")]
    Frame,
    /// The system gave no random bytes.
    #[error("no random bytes for a handshake")]
    Randomness,
}

impl From<Malformed> for SessionError {
    fn from(_: Malformed) -> Self {
        Self::Frame
    }
}

impl SessionError {
    /// In one word, for the operator.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::UnknownInvite | Self::InviteRevoked | Self::InviteExpired => {
                Reason::UnknownInvite
            }
            Self::Link(LinkError::WrongPskOrTampered) => Reason::PreSharedKey,
            Self::Link(LinkError::VersionUnsupported) => Reason::Version,
            Self::Link(_) => Reason::Link,
            Self::Frame => Reason::Frame,
            Self::Randomness => Reason::Relay,
        }
    }

    /// The hint that the peer gets.
    pub(crate) fn refusal(self) -> Refusal {
        match self {
            Self::UnknownInvite => Refusal::UnknownInvite,
            Self::InviteRevoked => Refusal::InviteRevoked,
            Self::InviteExpired => Refusal::InviteExpired,
            Self::Link(LinkError::WrongPskOrTampered) => Refusal::PskMismatch,
            Self::Link(LinkError::VersionUnsupported) => Refusal::VersionUnsupported,
            Self::Randomness => Refusal::ShuttingDown,
            Self::Link(_) | Self::Frame => Refusal::Malformed,
        }
    }
}

/// What a record led to.
#[derive(Debug)]
pub(crate) enum Heard {
    /// This record must be sent.
    Answer(Vec<u8>),
    /// The link stands.
    Open(Opened),
    /// Requests may be ready.
    Data,
}

/// A link that stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened {
    /// The key that the device proved.
    pub(crate) peer: LinkKey,
    /// Names this handshake and no other.
    pub(crate) handshake_hash: [u8; 32],
    /// What it may do.
    pub(crate) standing: Standing,
}

enum State {
    Hello(Box<Responder>),
    Finish(Box<AwaitFinish>, PskId),
    Open(Box<Transport>),
    /// A step failed, or is being made.
    Ended,
}

/// One link, from its first record on.
pub(crate) struct RecordSession {
    state: State,
    frames: FrameReader,
    max_frame: usize,
}

impl RecordSession {
    /// Ready for message 1 from a device that offered these subprotocols.
    pub(crate) fn new<S: AsRef<str>>(offered: &[S], keys: &Keys) -> Result<Self, SessionError> {
        let mut seed = Zeroizing::new([0; 32]);
        (keys.draw)(seed.as_mut()).map_err(|_| SessionError::Randomness)?;
        let offered: Vec<&str> = offered.iter().map(AsRef::as_ref).collect();
        let prologue = link::prologue(&offered, SUBPROTOCOL);
        let responder = Responder::new(&prologue, &keys.secret, &seed)?;
        let state = State::Hello(Box::new(responder));
        Ok(Self { state, frames: FrameReader::default(), max_frame: MAX_FRAME_UNREGISTERED })
    }

    /// Whether the link stands.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether the device has an answer to its first message, and has not proved anything yet.
    pub(crate) fn awaits_proof(&self) -> bool {
        matches!(self.state, State::Finish(..))
    }

    /// From now on frames of full length are taken.
    pub(crate) fn registered(&mut self) {
        self.max_frame = MAX_FRAME;
    }

    /// Takes one record. After an error nothing more is taken.
    pub(crate) fn receive(
        &mut self,
        record: &[u8],
        keys: &Keys,
        now: Now,
    ) -> Result<Heard, SessionError> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Hello(responder) => {
                let device = responder.hello(record)?;
                let id = device.psk_id();
                let (psk, _) = keys.find(id, now)?;
                let (next, answer) = device.answer(&psk)?;
                self.state = State::Finish(Box::new(next), id);
                Ok(Heard::Answer(answer))
            }
            State::Finish(device, id) => {
                let transport = device.finish(record)?;
                // It may have been revoked since the first message.
                let (_, came_as) = keys.find(id, now)?;
                let (peer, handshake_hash) = (transport.peer(), transport.handshake_hash());
                let standing = keys.standing(peer, came_as);
                self.state = State::Open(Box::new(transport));
                Ok(Heard::Open(Opened { peer, handshake_hash, standing }))
            }
            State::Open(mut transport) => {
                transport.open(record, self.frames.buffer())?;
                self.state = State::Open(transport);
                Ok(Heard::Data)
            }
            State::Ended => Err(LinkError::Poisoned.into()),
        }
    }

    /// The next request that has arrived whole.
    pub(crate) fn next_request(&mut self) -> Result<Option<Request>, SessionError> {
        let frame = self.frames.next_frame(self.max_frame)?;
        Ok(frame.map(codec::decode).transpose()?)
    }

    /// Seals a stream of frames into as few records as they fit in; `begin` is told each record's
    /// size before it is appended to `out`.
    pub(crate) fn seal(
        &mut self,
        stream: &[u8],
        now_mono_ms: u64,
        out: &mut Vec<u8>,
        mut begin: impl FnMut(usize, &mut Vec<u8>),
    ) -> Result<(), SessionError> {
        let State::Open(transport) = &mut self.state else {
            return Err(LinkError::Poisoned.into());
        };
        for part in stream.chunks(MAX_PLAINTEXT) {
            begin(part.len() + link::OVERHEAD, out);
            transport.seal(part, now_mono_ms, out)?;
        }
        Ok(())
    }
}
