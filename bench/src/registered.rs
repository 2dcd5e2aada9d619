//! A registered member at the end of a whole link: TLS, WebSocket, Noise, frames.

use crate::Outcome;
use crate::channel::Channel;
use crate::trust::Trust;
use crate::websocket::{self, Kind};
use std::net::SocketAddr;
use std::time::Instant;
use tungstenite::client::IntoClientRequest;
use undertone_wire::account::{AccountKind, AccountSecret, Card, RegistrationContext};
use undertone_wire::codec::{self, Blob};
use undertone_wire::frame::{Reply, Request};
use undertone_wire::ids::ClientId;
use undertone_wire::invite::RelayInvite;
use undertone_wire::limits::MAX_FRAME;
use undertone_wire::link::{
    Initiator, LinkSecret, MAX_PLAINTEXT, OVERHEAD, SUBPROTOCOL, Transport, prologue,
};
use undertone_wire::name::Name;
use undertone_wire::stream::{self, FrameReader};

/// Bytes of an X-Wing public key, as every member's card carries one.
const INBOX_KEY: usize = 1_216;

/// Where the relay is and what lets in.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) invite: RelayInvite,
    pub(crate) trust: Trust,
    /// What the running time of links counts from.
    pub(crate) since: Instant,
}

#[derive(Debug)]
pub(crate) struct Member {
    channel: Channel,
    transport: Transport,
    frames: FrameReader,
    since: Instant,
}

impl Member {
    /// Connects and registers. Each number is another person.
    pub(crate) fn register(door: &Door, number: u32) -> Outcome<Self> {
        let secret = secret(number);
        let mut member = Self::link(door, &LinkSecret::from_bytes(secret))?;
        let account = AccountSecret::from_bytes(AccountKind::Ed25519, secret)
            .ok_or("these bytes are no account")?;
        let card = Card::sign(
            &account,
            ClientId(id(number)),
            Name::parse(&format!("reader{number}"))?,
            LinkSecret::from_bytes(secret).public(),
            Blob::new(vec![7; INBOX_KEY])?,
            1,
        );
        let handshake_hash = member.transport.handshake_hash();
        let context = RegistrationContext { handshake_hash, relay: door.invite.relay_key };
        let proof = context.sign(&account, &card);
        member.send(&[Request::Register { seq: 0, card, proof }])?;
        match member.reply()? {
            Reply::Registered { .. } => Ok(member),
            other => Err(format!("not registered: {other:?}").into()),
        }
    }

    fn link(door: &Door, own: &LinkSecret) -> Outcome<Self> {
        let mut channel = Channel::connect(door.address)?;
        channel.secure(&door.trust)?;
        let mut request = format!("ws://{}/v1/link", door.address).into_client_request()?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", SUBPROTOCOL.parse()?);
        tungstenite::client(request, &mut channel)
            .map_err(|error| format!("no WebSocket: {error}"))?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let RelayInvite { relay_key, psk_id, psk, .. } = &door.invite;
        let prologue = prologue(&[SUBPROTOCOL], SUBPROTOCOL);
        let (initiator, hello) = Initiator::start(&prologue, own, *relay_key, *psk_id, psk, &seed)?;
        send_record(&mut channel, hello)?;
        let (transport, proof) = initiator.finish(&next_record(&mut channel)?)?;
        send_record(&mut channel, proof)?;
        Ok(Self { channel, transport, frames: FrameReader::default(), since: door.since })
    }

    pub(crate) fn channel(&mut self) -> &mut Channel {
        &mut self.channel
    }

    /// Sends requests together, in as few records as they fit in.
    pub(crate) fn send(&mut self, requests: &[Request]) -> Outcome<()> {
        let mut clear = Vec::new();
        for request in requests {
            stream::put(&codec::encode(request), &mut clear);
        }
        let now = u64::try_from(self.since.elapsed().as_millis())?;
        let mut out = Vec::new();
        for part in clear.chunks(MAX_PLAINTEXT) {
            // The room that sealing wants: see `Transport::seal`.
            let mut record = Vec::with_capacity(2 * (part.len() + OVERHEAD));
            self.transport.seal(part, now, &mut record)?;
            websocket::put_binary(record, &mut out)?;
        }
        self.channel.send(&out)?;
        Ok(())
    }

    /// Opens the records that have arrived whole; answers what asks for a sign of life.
    pub(crate) fn open_records(&mut self) -> Outcome<()> {
        let mut answers = Vec::new();
        let mut read = 0;
        while let Some(framed) =
            websocket::read(self.channel.inbox().get(read..).unwrap_or_default())?
        {
            match framed.kind {
                Kind::Binary => self.transport.open(framed.payload, self.frames.buffer())?,
                Kind::Ping => websocket::put_pong(framed.payload.to_vec(), &mut answers)?,
                Kind::Pong => {}
            }
            read += framed.length;
        }
        self.channel.consume(read);
        if !answers.is_empty() {
            self.channel.send(&answers)?;
        }
        Ok(())
    }

    /// The next reply that was opened.
    pub(crate) fn next_reply(&mut self) -> Outcome<Option<Reply>> {
        let frame = self.frames.next_frame(MAX_FRAME)?;
        Ok(frame.map(codec::decode).transpose()?)
    }

    /// Waits for the next reply.
    pub(crate) fn reply(&mut self) -> Outcome<Reply> {
        loop {
            self.open_records()?;
            if let Some(reply) = self.next_reply()? {
                return Ok(reply);
            }
            self.channel.wait()?;
        }
    }
}

fn send_record(channel: &mut Channel, record: Vec<u8>) -> Outcome<()> {
    let mut out = Vec::new();
    websocket::put_binary(record, &mut out)?;
    channel.send(&out)?;
    Ok(())
}

fn next_record(channel: &mut Channel) -> Outcome<Vec<u8>> {
    loop {
        if let Some(framed) = websocket::read(channel.inbox())? {
            let record = framed.payload.to_vec();
            let length = framed.length;
            channel.consume(length);
            return Ok(record);
        }
        channel.wait()?;
    }
}

fn secret(number: u32) -> [u8; 32] {
    let mut bytes = [0x5a; 32];
    let [a, b, c, d, ..] = &mut bytes;
    [*a, *b, *c, *d] = number.to_le_bytes();
    bytes
}

fn id(number: u32) -> [u8; 16] {
    let mut bytes = [0xa5; 16];
    let [a, b, c, d, ..] = &mut bytes;
    [*a, *b, *c, *d] = number.to_le_bytes();
    ClientId::from_random(bytes).0
}
