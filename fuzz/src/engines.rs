//! A member's profile in the middle of its life: in the lobby, in a private chat, and with things
//! said since that it has not read.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use undertone_engine::api::{Command, Table, Who};
use undertone_engine::{Engine, SealKey, Write};
use undertone_testkit::world::World;
use undertone_wire::frame::{Reply, Seen};
use undertone_wire::ids::{ClientId, Incarnation, LogId};
use undertone_wire::invite::Invite;
use undertone_wire::lobby::LobbyKeys;

/// All rows that are loaded at the start.
pub type Rows = BTreeMap<[u8; 32], Vec<u8>>;

/// What every input begins with.
pub struct Profile {
    /// On disk.
    pub rows: Rows,
    /// Opens them.
    pub seal: SealKey,
    /// The lobby's, which every member and everybody with a link has.
    pub lobby: LobbyKeys,
    /// All logs there are.
    pub logs: Vec<LogId>,
    /// What the relay said to this member, and it did not hear.
    pub unheard: Vec<Reply>,
    /// The life of the relay's store, as this member knows it. With another one it has to publish
    /// key packages again, which takes most of a step's time.
    pub store: Incarnation,
    /// Of the member in the private chat.
    pub peer: ClientId,
}

impl Profile {
    /// The same for every process: all randomness follows from a seed.
    ///
    /// # Panics
    /// Where the scene does not come about.
    #[must_use]
    pub fn new() -> Self {
        let mut world = World::new(7);
        let store = Rc::new(Cell::new(Incarnation([0; 16])));
        let said = Rc::clone(&store);
        world.tamper = Some(Box::new(move |_, reply| {
            if let Reply::Registered { store, .. } = reply {
                said.set(*store);
            }
            true
        }));
        let (ann, bob) = (world.add("Ann"), world.add("Bob"));
        world.run();
        world.say(ann, "hello");
        world.msg(ann, "Bob", "between us");
        world.run();
        world.command(bob, Command::Accept(Some(Who("Ann".to_owned()))));
        world.run();
        let unheard = Rc::new(RefCell::new(Vec::new()));
        let heard = Rc::clone(&unheard);
        world.tamper = Some(Box::new(move |at, reply| {
            if at == ann {
                heard.borrow_mut().push(reply.clone());
            }
            at != ann
        }));
        let cy = world.add("Cy");
        world.run();
        world.say(bob, "Ann does not hear this");
        world.say(cy, "nor this");
        world.msg(bob, "Ann", "nor this");
        world.msg(cy, "Ann", "nor this request");
        world.run();
        world.command(bob, Command::End(Who("Ann".to_owned())));
        world.run();
        world.tamper = None;
        let invite = Invite::parse(&world.link).expect("the world's own link");
        let logs = world.seen.iter().filter_map(|seen| match seen {
            Seen::LogCreated { log, .. } => Some(*log),
            _ => None,
        });
        let (rows, seal) = world.clients[ann].profile();
        let unheard = unheard.borrow().clone();
        assert!(unheard.len() > 5, "there is something to hear");
        Self {
            rows: rows.into_iter().collect(),
            seal,
            lobby: invite.lobby_half().expect("there is a lobby").keys(),
            logs: logs.collect(),
            unheard,
            store: store.get(),
            peer: world.clients[bob].engine.client_id(),
        }
    }

    /// The member, started from these rows.
    ///
    /// # Panics
    /// Where they cannot be loaded.
    #[must_use]
    pub fn load(&self, rows: &Rows) -> Engine {
        let rows = rows.iter().map(|(key, value)| (*key, value.clone()));
        Engine::load(rows, self.seal.clone()).expect("what was written can be read")
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes a step's writes durable.
pub fn commit(rows: &mut Rows, writes: Vec<Write>) {
    for write in writes.into_iter().filter(|write| write.table == Table::State) {
        match write.value {
            Some(value) => drop(rows.insert(write.key, value)),
            None => drop(rows.remove(&write.key)),
        }
    }
}

/// A sealed entry around anything, as whoever holds a lobby's secret can make it.
#[must_use]
pub fn sealed(key: &[u8; 32], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut padded = u32::try_from(plain.len()).unwrap_or(0).to_be_bytes().to_vec();
    padded.extend_from_slice(plain);
    let nonce = XNonce::from([1; 24]);
    let sealed = XChaCha20Poly1305::new(Key::from_slice(key))
        .encrypt(&nonce, Payload { msg: &padded, aad })
        .unwrap_or_default();
    [nonce.as_slice(), &sealed].concat()
}
