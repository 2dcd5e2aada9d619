//! What happens to a relay beyond crashes: stores that are lost or go back, members that try tokens.

use crate::liar::PROBE;
use crate::world::World;
use undertone_relay::MemoryStore;
use undertone_wire::codec;
use undertone_wire::frame::{Request, Start};
use undertone_wire::ids::{Incarnation, Token};

impl World {
    /// Everything but the registry goes. Between a crash and the next start.
    pub(crate) fn lose_store(&mut self) {
        self.note("the store is lost", &[]);
        self.hub.life = Incarnation(self.dice.bytes());
        self.hub.keepers[1].put_back(MemoryStore::default());
    }

    pub(crate) fn copy_store(&mut self) {
        self.note("the store is copied", &[]);
        self.hub.copy = Some((self.hub.life, self.hub.keepers[1].copy()));
    }

    /// As whoever runs the relay can. Between a crash and the next start.
    pub(crate) fn put_store_back(&mut self, (life, copy): (Incarnation, MemoryStore)) {
        self.note("the store goes back", &[]);
        self.oracle.relay_went_back = true;
        self.hub.life = life;
        self.hub.keepers[1].put_back(copy);
    }

    /// A bit of an entry flips on the relay's disk.
    pub(crate) fn flip_in_the_store(&mut self) {
        let logs: Vec<_> = self.liar.tokens.keys().copied().collect();
        let Some(log) = logs.get(self.dice.below(logs.len())).copied() else { return };
        let position = self.hub.keepers[1].damage(log, &mut self.dice);
        self.note(&format!("a bit of entry {position:?} of {log} flips"), &[]);
    }

    /// Somebody asks for a log that others read, with a token out of the air.
    pub(crate) fn probe(&mut self, at: usize) {
        let conn = self.nodes[at].process.as_ref().and_then(|process| process.up);
        let Some(link) = conn.and_then(|conn| self.links.get_mut(&conn)) else { return };
        // A second subscription replaces the first, on its way too: whoever tries a token in the
        // name of a reader would make it deaf.
        let reads = |log| link.asks_for(log);
        let others = self.liar.tokens.iter().filter(|(_, (_, readers))| !readers.contains(&at));
        let logs: Vec<_> = others.map(|(log, _)| *log).filter(|log| !reads(*log)).collect();
        let Some(log) = logs.get(self.dice.below(logs.len())).copied() else { return };
        let seq = PROBE + u32::try_from(self.liar.probes).unwrap_or(0);
        let token = Token(self.dice.bytes());
        let request = Request::Subscribe { seq, log, token, from: Start::Token };
        link.send_up(self.now, &mut self.dice, codec::encode(&request));
    }
}
