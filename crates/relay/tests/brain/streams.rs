//! Any interleaving of appends, subscriptions and late replies gives every reader every entry
//! once, in order, with no gap.

use crate::harness::{World, commit, log, story, terms, text};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use undertone_relay::store::{
    Operation, Outcome, RequestId, Store, StoreKey, StoreReply, StoreRequest,
};
use undertone_relay::{ConnId, Input};
use undertone_wire::codec::{self, Blob};
use undertone_wire::frame::{Append, Code, Entry, EntryKind, Reply, Request, Start};

const PEOPLE: usize = 4;

#[derive(Clone, Debug)]
enum Move {
    /// Somebody appends what is next for it, as far as it knows.
    Append(usize),
    /// Somebody ends the epoch.
    Commit(usize),
    Subscribe(usize),
    Unsubscribe(usize),
    /// The store carries out its oldest request.
    Execute,
    /// It says that its oldest request failed; a write may have happened all the same.
    Fail(bool),
    /// One of its replies arrives.
    Reply(usize),
    Drain,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let who = 0..PEOPLE;
    let one = prop_oneof![
        6 => who.clone().prop_map(Move::Append),
        1 => who.clone().prop_map(Move::Commit),
        2 => who.clone().prop_map(Move::Subscribe),
        1 => who.prop_map(Move::Unsubscribe),
        6 => Just(Move::Execute),
        1 => any::<bool>().prop_map(Move::Fail),
        6 => (0..8_usize).prop_map(Move::Reply),
        1 => Just(Move::Drain),
    ];
    proptest::collection::vec(one, 1..120)
}

/// What one connection knows, as a client would.
#[derive(Clone, Debug, Default)]
struct Known {
    /// Its next writer number, and what it has in doubt.
    next: u64,
    /// The epoch it writes in: the one its stream has reached.
    epoch: u64,
    /// It has asked for a subscription.
    wants: bool,
    /// It was answered.
    reads: bool,
    /// The positions of the current subscription, in order.
    stream: Vec<u64>,
    at_head: bool,
    /// What it sent, by the request's number.
    sent: BTreeMap<u32, u64>,
    /// All positions that were acknowledged to it.
    acknowledged: BTreeSet<u64>,
}

/// Two of these fill a page, eleven what a connection may have ahead.
fn large(number: u64, epoch: u64) -> Append {
    Append { body: Blob::new(vec![1; 100 << 10]).unwrap(), ..text(number, epoch, "") }
}

struct Scene {
    world: World,
    conns: Vec<ConnId>,
    known: Vec<Known>,
    /// Replies of the store on their way: requests take effect in order, replies come in any.
    replies: Vec<StoreReply>,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::new();
        let conns = world.crowd(PEOPLE as u8);
        world.create(conns[0], log(1), terms());
        world.silence();
        world.hold();
        world.drain_at_once = false;
        let known = vec![Known { next: 1, ..Known::default() }; PEOPLE];
        Self { world, conns, known, replies: Vec::new() }
    }

    fn make(&mut self, step: &Move) {
        match *step {
            Move::Append(who) => self.append(who, false),
            Move::Commit(who) => self.append(who, true),
            Move::Subscribe(who) => {
                self.known[who].reads = false;
                self.known[who].wants = true;
                self.world.subscribe(self.conns[who], log(1), 0, Start::Oldest);
            }
            Move::Unsubscribe(who) => {
                self.known[who].reads = false;
                self.known[who].wants = false;
                self.world.frame(self.conns[who], Request::Unsubscribe { log: log(1) });
            }
            Move::Execute => self.execute(),
            Move::Fail(happens) => self.fail(happens),
            Move::Reply(which) => self.reply(which),
            Move::Drain => self.drain(),
        }
        self.listen();
    }

    fn execute(&mut self) {
        if let Some(request) = self.world.waiting.pop_front() {
            let reply = self.world.execute(request);
            self.replies.push(reply);
        }
    }

    fn fail(&mut self, happens: bool) {
        let write =
            |request: &StoreRequest| matches!(request.operation, Operation::CompareAppend(_));
        if self.world.waiting.front().is_none_or(|request| !write(request)) {
            return;
        }
        let Some(request) = self.world.waiting.pop_front() else { return };
        let (id, key) = (request.id, request.key);
        if happens {
            self.world.execute(request);
        }
        self.replies.push(StoreReply { id, key, outcome: Outcome::Failed });
    }

    fn reply(&mut self, which: usize) {
        if !self.replies.is_empty() {
            let reply = self.replies.remove(which % self.replies.len());
            self.world.input(Input::Stored(reply));
        }
    }

    fn drain(&mut self) {
        for conn in std::mem::take(&mut self.world.drains) {
            self.world.input(Input::Drained { conn });
        }
    }

    fn append(&mut self, who: usize, ends: bool) {
        let Known { next, epoch, .. } = self.known[who];
        let append = if ends { commit(next, epoch) } else { large(next, epoch) };
        self.known[who].next += 1;
        let seq = self.world.next_seq();
        self.known[who].sent.insert(seq, next);
        self.world.push(self.conns[who], append);
    }

    fn listen(&mut self) {
        for who in 0..PEOPLE {
            for reply in self.world.heard(self.conns[who]) {
                self.hear(who, &reply);
            }
        }
    }

    fn hear(&mut self, who: usize, reply: &Reply) {
        let known = &mut self.known[who];
        match reply {
            Reply::Subscribed { after, .. } => {
                assert!(known.wants, "{who} did not ask for it");
                assert_eq!(*after, 0);
                known.reads = true;
                known.at_head = false;
                known.stream.clear();
                known.epoch = 0;
            }
            Reply::Entry(entry) => {
                assert!(known.reads, "{who} got an entry it did not ask for");
                known.stream.push(entry.position);
                if matches!(entry.kind, EntryKind::Commit { .. }) {
                    self.go_on(who, entry.epoch);
                }
            }
            Reply::Appended { position, .. } => {
                known.acknowledged.insert(*position);
                if known.reads && !known.stream.contains(position) {
                    known.stream.push(*position);
                }
                if let Some(epoch) = self.ended_by(*position) {
                    self.go_on(who, epoch);
                }
            }
            Reply::Head { position, .. } => {
                assert!(!std::mem::replace(&mut known.at_head, true), "one head a subscription");
                assert_eq!(known.stream.last().copied().unwrap_or(0), *position);
            }
            // Go back N, in the epoch that the log is in.
            Reply::Refused { seq, code, detail } => match code {
                Code::StoreFailed => known.next = known.next.min(known.sent[seq]),
                Code::Stale => {
                    known.epoch = known.epoch.max(*detail);
                    known.next = known.next.min(known.sent[seq]);
                }
                Code::OutOfOrder => known.next = *detail,
                // What was refused before it says where to go back to.
                Code::Follows => {}
                Code::TokenUnknown => known.next = known.next.min(known.sent[seq]),
                // It guessed a number that another content had.
                Code::Conflict => known.next += 1,
                other => panic!("refused: {other:?}"),
            },
            other => panic!("unexpected: {other:?}"),
        }
        let stream = &self.known[who].stream;
        let gapless = stream.iter().zip(1..).all(|(position, expected)| *position == expected);
        assert!(gapless, "{who} reads {stream:?}");
    }

    /// What the store has.
    fn stored(&mut self) -> Vec<Entry> {
        let operation = Operation::Read { from: 0, max_entries: 10_000, max_bytes: 1 << 30 };
        let key = StoreKey::Log(log(1));
        let request = StoreRequest { id: RequestId(0), key, operation };
        let Outcome::Page { entries, .. } = self.world.store.execute(request).outcome else {
            panic!("no page");
        };
        let entry = |frame: &[u8]| match codec::decode(frame) {
            Ok(Reply::Entry(entry)) => entry,
            other => panic!("no entry: {other:?}"),
        };
        entries.iter().map(|stored| entry(&stored.frame)).collect()
    }

    /// The epoch that an entry ended.
    fn ended_by(&mut self, position: u64) -> Option<u64> {
        let stored = self.stored();
        let entry = stored.into_iter().find(|entry| entry.position == position).unwrap();
        matches!(entry.kind, EntryKind::Commit { .. }).then_some(entry.epoch)
    }

    fn go_on(&mut self, who: usize, ended: u64) {
        self.known[who].epoch = self.known[who].epoch.max(ended + 1);
        if self.known[who].wants {
            self.world.advance(self.conns[who], log(1), ended + 1);
        }
    }

    /// Lets everything come to rest.
    fn settle(&mut self) {
        loop {
            self.execute();
            self.reply(0);
            self.drain();
            self.listen();
            let Self { world, replies, .. } = self;
            if world.waiting.is_empty() && replies.is_empty() && world.drains.is_empty() {
                return;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_reader_gets_every_entry_once_and_in_order(moves in moves()) {
        let mut scene = Scene::new();
        for step in &moves {
            scene.make(step);
        }
        scene.settle();
        let head = scene.stored().len() as u64;
        for (who, known) in scene.known.iter().enumerate().filter(|(_, known)| known.wants) {
            prop_assert_eq!(known.stream.len() as u64, head, "{} of {:?}", who, moves);
            prop_assert!(known.at_head, "{} was never told the head", who);
        }
        let mut all: Vec<u64> = scene.known.iter().flat_map(|k| k.acknowledged.clone()).collect();
        all.sort_unstable();
        prop_assert!(all.windows(2).all(|two| two[0] < two[1]), "an entry has one author: {:?}", all);
    }
}

#[test]
fn a_hundred_writers_and_readers_agree() {
    let mut world = World::new();
    let crowd = world.crowd(100);
    world.create(crowd[0], log(1), terms());
    world.hold();
    for conn in &crowd {
        world.subscribe(*conn, log(1), 0, Start::Oldest);
        world.push(*conn, text(1, 0, "hello"));
    }
    world.release();
    for conn in &crowd {
        let heard = story(&world.heard(*conn));
        let positions: Vec<u64> = heard
            .split(' ')
            .filter(|word| word.starts_with(['E', 'A']))
            .map(|word| word[1..].parse().unwrap())
            .collect();
        assert_eq!(positions, (1..=100).collect::<Vec<u64>>(), "{heard}");
    }
}
