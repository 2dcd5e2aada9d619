//! A member's engine, told anything by its relay, by who holds the lobby's secret, and by who
//! writes to its inbox. It says no more than it was told, and whatever it has stored can be loaded.
#![no_main]

use std::collections::VecDeque;
use undertone_engine::api::{Command, Conversation, Who};
use undertone_engine::{Engine, Input, StepKey, hpke};
use undertone_fuzz::Choices;
use undertone_fuzz::engines::{Profile, Rows, commit, sealed};
use undertone_wire::codec::{self, Blob};
use undertone_wire::frame::{Code, Entry, EntryKind, Present, Reply, Request, WriterMark};
use undertone_wire::ids::{EntryId, Hash, Incarnation, LinkKey, LogId, TokenHash};
use undertone_wire::name::Name;
use undertone_wire::time::Now;

undertone_fuzz::target!(run);

/// Things told in one input; each costs up to a millisecond.
const MAX_STEPS: usize = 40;

/// Requests and events that one thing told may lead to: a catalogue of key packages, a queue of
/// texts, a list of members.
const MAX_FOLLOWS: usize = 4_096;

thread_local! {
    static PROFILE: Profile = Profile::new();
}

fn run(bytes: &[u8]) {
    PROFILE.with(|profile| {
        let mut member = Member::new(profile);
        let mut choices = Choices::new(bytes);
        for _ in 0..MAX_STEPS {
            if choices.is_over() {
                break;
            }
            member.step(&mut choices);
        }
        member.restart();
    });
}

struct Member<'a> {
    profile: &'a Profile,
    engine: Engine,
    rows: Rows,
    now: Now,
    steps: u64,
    /// Numbers of requests that wait for an answer.
    asked: VecDeque<u32>,
    /// The key that its inbox is sealed to.
    inbox: Vec<u8>,
    positions: u64,
}

impl<'a> Member<'a> {
    fn new(profile: &'a Profile) -> Self {
        let mut member = Self {
            profile,
            engine: profile.load(&profile.rows),
            rows: profile.rows.clone(),
            now: Now { mono_ms: 1_000, wall_ms: 1_750_000_100_000 },
            steps: 0,
            asked: VecDeque::new(),
            inbox: Vec::new(),
            positions: 100,
        };
        member.connect(profile.store);
        member
    }

    fn connect(&mut self, store: Incarnation) {
        self.asked.clear();
        let relay = LinkKey([9; 32]);
        self.input(Input::Connected { handshake_hash: [1; 32], relay });
        if let Some(seq) = self.asked.pop_front() {
            self.input(Input::Frame(Reply::Registered { seq, store, online: 2, key: None }));
        }
    }

    fn input(&mut self, input: Input) {
        self.steps += 1;
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.steps.to_be_bytes());
        let step = self.engine.handle(input, self.now, StepKey::new(key));
        assert!(step.sends.len() <= MAX_FOLLOWS && step.events.len() <= MAX_FOLLOWS);
        commit(&mut self.rows, step.writes);
        for request in &step.sends {
            if let Request::Register { card, .. } = request {
                self.inbox = card.inbox.to_vec();
            }
            self.asked.extend(seq_of(request));
        }
    }

    fn tell(&mut self, reply: Reply) {
        // As it would come out of the link.
        let reply = codec::decode(&codec::encode(&reply)).expect("it is a frame");
        self.input(Input::Frame(reply));
    }

    /// The profile it has by now is one that can be started from.
    fn restart(&mut self) {
        self.engine = self.profile.load(&self.rows);
        self.connect(self.profile.store);
    }

    fn seq(&mut self, choices: &mut Choices<'_>) -> u32 {
        let at = usize::from(choices.byte());
        self.asked.remove(at.min(self.asked.len().saturating_sub(1))).unwrap_or(at as u32)
    }

    fn log(&self, choices: &mut Choices<'_>) -> LogId {
        let logs = &self.profile.logs;
        logs.get(usize::from(choices.below(logs.len() as u8 + 1)))
            .copied()
            .unwrap_or(LogId([0; 32]))
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(20) {
            0 => {
                if let Ok(reply) = codec::decode(choices.piece()) {
                    self.input(Input::Frame(reply));
                }
            }
            1 => {
                let seq = self.seq(choices);
                // Some are of the other kind, without a choice of their own, so that most inputs that
                // were found stay what they were.
                let published = Reply::Published { seq, left: seq & 4 };
                self.tell(if seq % 4 == 3 { published } else { Reply::Done { seq } });
            }
            2 => {
                let (seq, code) = (self.seq(choices), code(choices));
                self.tell(Reply::Refused { seq, code, detail: choices.number() });
            }
            3 | 4 => self.subscribed(choices),
            5 => {
                let (seq, log, position) = (self.seq(choices), self.log(choices), choices.number());
                self.tell(Reply::Appended { seq, log, position, time: 0 });
            }
            6 => {
                let (log, body) = (self.log(choices), choices.piece().to_vec());
                self.entry(log, body, choices);
            }
            7 | 8 => {
                let keys = &self.profile.lobby;
                let body = sealed(&keys.board_key, b"undertone board v1", choices.piece());
                self.entry(keys.board_log, body, choices);
            }
            9 | 10 => {
                let keys = &self.profile.lobby;
                let body = sealed(&keys.door_key, b"undertone door v1", choices.piece());
                self.entry(keys.door_log, body, choices);
            }
            11 => {
                let (log, position) = (self.log(choices), choices.number());
                self.tell(Reply::Head { log, position });
            }
            12 => {
                let log = self.log(choices);
                self.tell(Reply::Unsubscribed { log, code: code(choices) });
            }
            13 => self.note(choices),
            14 => self.presence(choices),
            15 => {
                let ms = u64::from(choices.short()) * 10;
                self.now.mono_ms += ms;
                self.now.wall_ms += ms;
                self.input(Input::Tick);
            }
            16 => self.command(choices),
            17 | 18 => self.unheard(choices),
            _ => {
                self.input(Input::Disconnected);
                // Now and then to a relay that has lost everything.
                let other = Incarnation([5; 16]);
                let store = if choices.below(8) == 7 { other } else { self.profile.store };
                self.connect(store);
            }
        }
    }

    fn subscribed(&mut self, choices: &mut Choices<'_>) {
        let (seq, log) = (self.seq(choices), self.log(choices));
        let incarnation = Incarnation([choices.below(2); 16]);
        let mark = WriterMark { number: choices.number(), hash: Hash([1; 32]) };
        let writer = (choices.below(2) == 1).then_some(mark);
        let after = choices.number();
        self.tell(Reply::Subscribed { seq, log, incarnation, after, writer });
    }

    fn entry(&mut self, log: LogId, body: Vec<u8>, choices: &mut Choices<'_>) {
        let Ok(body) = Blob::new(body) else { return };
        self.positions += 1;
        let position = if choices.below(8) == 0 { choices.number() } else { self.positions };
        let kind = match choices.below(8) {
            0 => EntryKind::Last,
            1..=3 => EntryKind::Commit { next: TokenHash([1; 32]) },
            _ => EntryKind::Application,
        };
        let epoch = choices.number();
        self.tell(Reply::Entry(Entry { log, position, epoch, kind, time: 0, body }));
    }

    /// Rightly sealed to its inbox, whatever is inside; or not sealed at all.
    fn note(&mut self, choices: &mut Choices<'_>) {
        let (sealed, plain) = (choices.below(4) != 0, choices.piece());
        let body = if sealed {
            let length = u32::try_from(plain.len()).unwrap_or(0).to_be_bytes();
            let padded = [&length, plain].concat();
            let (to, key) = (self.engine.client_id(), StepKey::new([8; 32]));
            hpke::seal(&self.inbox, b"undertone note v1", &to.0, &padded, &key).unwrap_or_default()
        } else {
            plain.to_vec()
        };
        let Ok(body) = Blob::new(body) else { return };
        self.positions += 1;
        let (position, id) = (self.positions, EntryId([0; 16]));
        self.tell(Reply::InboxEntry { position, id, time: 0, body });
    }

    fn presence(&mut self, choices: &mut Choices<'_>) {
        let name = [Name::parse("Dee"), Ok(Name::operator()), Name::parse("Ann")];
        let name = name[usize::from(choices.below(3))].clone().expect("a name");
        let client_id = [self.profile.peer, self.engine.client_id()];
        let client_id = client_id[usize::from(choices.below(2))];
        let reply = match choices.below(3) {
            0 => Reply::Came(Present { client_id, name }),
            1 => Reply::Went { client_id },
            _ => {
                let members = vec![Present { client_id, name }];
                let members = codec::List::new(members).expect("one");
                Reply::UserList { seq: self.seq(choices), members, online: u32::MAX }
            }
        };
        self.tell(reply);
    }

    fn command(&mut self, choices: &mut Choices<'_>) {
        let who = || Who("Bob".to_owned());
        let text = undertone_fuzz::text(choices.piece());
        let command = match choices.below(10) {
            0 => Command::Send { to: Conversation::Lobby, text },
            1 => Command::Send { to: Conversation::Direct(self.profile.peer), text },
            2 => Command::Direct { who: who(), text: Some(text) },
            3 => Command::Direct { who: Who(text), text: None },
            4 => Command::Accept(None),
            5 => Command::Decline(None),
            6 => Command::End(who()),
            7 => Command::Key(Who(text)),
            8 => Command::Chats,
            _ => Command::List,
        };
        self.input(Input::Command { tag: 1, command });
    }

    /// What the relay really said, or nearly that.
    fn unheard(&mut self, choices: &mut Choices<'_>) {
        let unheard = &self.profile.unheard;
        let mut reply = unheard[usize::from(choices.byte()) % unheard.len()].clone();
        let (at, with) = (usize::from(choices.short()), choices.byte());
        if let (Reply::Entry(entry), true) = (&mut reply, with & 1 == 1) {
            let mut body = entry.body.to_vec();
            let at = at % body.len().max(1);
            body.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= with);
            entry.body = Blob::new(body).expect("as long as before");
        }
        if let Reply::Entry(entry) = &mut reply {
            self.positions += 1;
            entry.position = self.positions;
        }
        self.tell(reply);
    }
}

fn code(choices: &mut Choices<'_>) -> Code {
    const CODES: [Code; 16] = [
        Code::Stale,
        Code::Absent,
        Code::TokenUnknown,
        Code::Expired,
        Code::WentBack,
        Code::Conflict,
        Code::OutOfOrder,
        Code::Exists,
        Code::Ended,
        Code::Follows,
        Code::LogFull,
        Code::RateLimited,
        Code::InboxFull,
        Code::UnknownMember,
        Code::NameTaken,
        Code::StoreFailed,
    ];
    CODES[usize::from(choices.below(16))]
}

fn seq_of(request: &Request) -> Option<u32> {
    match request {
        Request::Ping { .. } | Request::Advance { .. } | Request::Unsubscribe { .. } => None,
        Request::Append(append) => Some(append.seq),
        Request::Register { seq, .. }
        | Request::Lookup { seq, .. }
        | Request::PublishKeyPackages { seq, .. }
        | Request::TakeKeyPackage { seq, .. }
        | Request::CreateLog { seq, .. }
        | Request::Subscribe { seq, .. }
        | Request::Trim { seq, .. }
        | Request::InboxAppend { seq, .. }
        | Request::InboxSubscribe { seq, .. }
        | Request::InboxTrim { seq, .. }
        | Request::InboxToken { seq, .. }
        | Request::WatchPresence { seq }
        | Request::Forget { seq }
        | Request::LookAtInvite { seq, .. }
        | Request::Operator { seq, .. } => Some(*seq),
    }
}
