//! One engine's thread.

use super::line::{Line, Status};
use super::{Ask, Fault, PasswordChange, QUIT_WAIT, Told};
use crate::clock::Clock;
use crate::connection::{ConnectError, Dial, Incoming};
use crate::profile::{Opened, ProfileError};
use crossbeam_channel::{Receiver, Sender, TryRecvError, select};
use std::time::{Duration, Instant};
use undertone_engine::api::{CommandError, Read};
use undertone_engine::{Command, Event, EventKind, Input, Step, Write};
use undertone_wire::frame::{Code, Request};
use undertone_wire::invite::Invite;

/// Inputs whose writes are committed together. At one commit for each, the disk would set the pace.
const MAX_MERGED: usize = 64;

/// Writes after which no further input is merged: a transaction of a few megabytes.
const MAX_MERGED_WRITES: usize = 4_096;

/// How long the last goodbye may take.
const GOODBYE: Duration = Duration::from_millis(1_500);

/// How long nothing can happen without anything waking us.
const IDLE: Duration = Duration::from_secs(3_600);

pub(super) struct Runner {
    opened: Opened,
    line: Line,
    clock: Clock,
    asked: Receiver<Ask>,
    tell: Sender<Told>,
    wake_at: Option<u64>,
    pending: Pending,
    quit_by: Option<Instant>,
    over: bool,
    /// The link that stands is of no use: the device has new keys.
    redials: bool,
    /// The account is no more, and the profile goes with it.
    deleted: bool,
    /// The engine was loaded anew, and does not know the next link.
    retakes: bool,
}

/// What waits for its writes to be committed.
#[derive(Default)]
struct Pending {
    writes: Vec<Write>,
    sends: Vec<Request>,
    told: Vec<Told>,
    reads: Vec<Read>,
    /// Commands in it.
    tags: Vec<u64>,
}

/// Something that happened.
enum Next {
    Ask(Ask),
    /// Nobody asks any more.
    Abandoned,
    Incoming(Incoming),
    Time,
}

impl Runner {
    pub(super) fn new(
        opened: Opened,
        dial: Dial,
        clock: Clock,
        asked: Receiver<Ask>,
        tell: Sender<Told>,
    ) -> Self {
        let line = Line::new(dial, clock);
        let (pending, wake_at) = (Pending::default(), None);
        let (quit_by, over, redials, deleted, retakes) = (None, false, false, false, false);
        Self {
            opened,
            line,
            clock,
            asked,
            tell,
            wake_at,
            pending,
            quit_by,
            over,
            redials,
            deleted,
            retakes,
        }
    }

    pub(super) fn run(mut self) {
        // From here on it grows older, also where no relay is reached.
        self.step(Input::Tick);
        if self.opened.renews {
            self.renew();
        }
        self.take_link();
        while !self.is_over() {
            // As often as is dialled: what failed once may fail again.
            if self.line.is_due() && std::mem::take(&mut self.retakes) {
                self.take_link();
            }
            if let Some(status) = self.line.dial_if_due(&self.opened.engine) {
                self.over |= matches!(status, Status::GaveUp(_));
                self.pending.told.push(Told::Status(status));
                self.settle();
                continue;
            }
            let next = self.wait();
            self.take(next);
            self.merge();
            // However much arrives, what is due is done.
            self.tick();
            self.settle();
        }
        self.end();
    }

    /// This copy of the profile shall be the one that counts: new keys, before anything is said.
    fn renew(&mut self) {
        self.step(Input::Renew);
        self.settle();
        if let Err(error) = self.opened.profile.renewed() {
            self.tell(Told::Fault(error.into()));
        }
    }

    /// The engine keeps a link in mind only, until it counts.
    fn take_link(&mut self) {
        if let Some(link) = self.opened.link.clone() {
            self.step(Input::Link(link));
            self.settle();
        }
    }

    fn is_over(&self) -> bool {
        let said = || self.opened.engine.unsent() == 0;
        self.over || self.quit_by.is_some_and(|by| by <= Instant::now() || said())
    }

    fn wait(&self) -> Next {
        let incoming = self.line.incoming();
        let wake = self.wake_at.map(|at| self.clock.instant(at));
        let due = [wake, self.line.due(), self.quit_by].into_iter().flatten().min();
        let pause = due.map_or(IDLE, |due| due.saturating_duration_since(Instant::now()));
        select! {
            recv(self.asked) -> ask => ask.map_or(Next::Abandoned, Next::Ask),
            recv(incoming) -> incoming => Next::of(incoming.ok()),
            default(pause) => Next::Time,
        }
    }

    /// Takes what else has happened already, up to a bound.
    fn merge(&mut self) {
        for _ in 1..MAX_MERGED {
            if self.pending.writes.len() >= MAX_MERGED_WRITES || self.over {
                return;
            }
            let Some(next) = self.waiting() else { return };
            self.take(next);
        }
    }

    fn waiting(&self) -> Option<Next> {
        if let Ok(ask) = self.asked.try_recv() {
            return Some(Next::Ask(ask));
        }
        match self.line.incoming().try_recv() {
            Ok(incoming) => Some(Next::Incoming(incoming)),
            Err(TryRecvError::Disconnected) => Some(Next::of(None)),
            Err(TryRecvError::Empty) => None,
        }
    }

    fn take(&mut self, next: Next) {
        match next {
            Next::Ask(Ask::Command { tag, command }) => self.command(tag, command),
            Next::Ask(Ask::Password { tag, change }) => self.change_password(tag, &change),
            Next::Ask(Ask::Link(link)) => {
                self.opened.link = Some(link.clone());
                self.step(Input::Link(link));
            }
            Next::Ask(Ask::Quit) => self.quit_by = Some(Instant::now() + QUIT_WAIT),
            Next::Abandoned => self.over = true,
            Next::Incoming(incoming) => self.hear(incoming),
            // The tick follows in any case.
            Next::Time => {}
        }
    }

    fn command(&mut self, tag: u64, command: Command) {
        if let Command::Register(name) = &command
            && let Err(error) = self.opened.profile.asking(name)
        {
            return self.refuse(tag, error.into());
        }
        self.pending.tags.push(tag);
        self.step(Input::Command { tag, command });
    }

    /// It takes a fifth of a second, in which nothing else is done.
    fn change_password(&mut self, tag: u64, change: &PasswordChange) {
        let profile = &mut self.opened.profile;
        let (old, new) = (change.old.as_ref(), change.new.as_ref());
        let changed = profile.set_password(old, new, self.clock.draw());
        let result = changed.map(|()| profile.is_guarded());
        self.pending.told.push(Told::Password { tag, result });
    }

    fn refuse(&mut self, tag: u64, fault: Fault) {
        self.pending.told.push(Told::Fault(fault));
        self.pending.told.push(not_carried_out(tag));
    }

    fn hear(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Phase(phase) => self.pending.told.push(Told::Status(phase.into())),
            Incoming::Up { handshake_hash, relay } => {
                self.line.up();
                self.pending.told.push(Told::Status(Status::Secure));
                self.step(Input::Connected { handshake_hash, relay });
            }
            Incoming::Frames(replies) => {
                for reply in replies {
                    if self.line.is_up() {
                        self.step(Input::Frame(reply));
                    }
                }
            }
            Incoming::Down(error) => self.down(error),
        }
    }

    fn down(&mut self, error: ConnectError) {
        let was_up = self.line.is_up();
        let status = self.line.down(error);
        if was_up {
            self.step(Input::Disconnected);
        }
        // What steps before this one wanted to send has nowhere to go.
        self.pending.sends.clear();
        self.over |= matches!(status, Status::GaveUp(_));
        self.pending.told.push(Told::Status(status));
    }

    fn tick(&mut self) {
        let due = self.wake_at.is_some_and(|at| at <= self.clock.now().mono_ms);
        if due {
            self.wake_at = None;
            self.step(Input::Tick);
        }
    }

    fn step(&mut self, input: Input) {
        match self.clock.step_key() {
            Ok(key) => {
                let step = self.opened.engine.handle(input, self.clock.now(), key);
                self.keep(step);
            }
            Err(error) => self.fail(error.into()),
        }
    }

    fn keep(&mut self, step: Step) {
        // Before the end of the connection, which may have arrived together with the reason.
        if step.events.iter().any(|event| shuts_out(&event.kind)) {
            self.line.shut_out();
        }
        self.pending.writes.extend(step.writes);
        self.pending.sends.extend(step.sends);
        self.pending.reads.extend(step.reads);
        self.pending.told.extend(step.events.into_iter().map(Told::Engine));
        self.wake_at = step.wake_at;
        self.redials |= step.redial;
    }

    /// Commits what waits, and only then sends and shows what depends on it.
    fn settle(&mut self) {
        self.settle_once();
        // What was read gives something to show, and nothing more to read.
        if !self.pending.told.is_empty() {
            self.settle_once();
        }
    }

    fn settle_once(&mut self) {
        if let Err(error) = self.opened.store.commit(&self.pending.writes) {
            return self.fail(error.into());
        }
        let mut pending = std::mem::take(&mut self.pending);
        if std::mem::take(&mut self.redials) && self.line.is_up() {
            pending.sends.clear();
            let lost_key = self.line.lost_key(&self.opened.engine);
            self.down(if lost_key { ConnectError::KeyUsed } else { ConnectError::Renewed });
        }
        if !pending.sends.is_empty() && !self.line.send(pending.sends) {
            self.down(ConnectError::Stuck);
        }
        for told in pending.told {
            self.note(&told);
            self.tell(told);
        }
        for Read { tag, keys } in pending.reads {
            match self.opened.store.history(&keys) {
                Ok(rows) => self.step(Input::Rows { tag, rows }),
                Err(error) => {
                    self.tell(Told::Fault(error.into()));
                    self.tell(not_carried_out(tag));
                }
            }
        }
    }

    /// What the shell itself has to remember of what is told.
    fn note(&mut self, told: &Told) {
        let Told::Engine(Event { kind, .. }) = told else { return };
        let noted = match kind {
            EventKind::Registered { me, .. } => {
                self.line.is_in();
                self.opened.profile.registered(&me.name, me.client_id)
            }
            EventKind::LinkTaken { .. } => match Invite::parse(self.opened.engine.invite_link()) {
                Ok(invite) => self.opened.profile.reached_at(&invite.origin.authority()),
                Err(_) => Ok(()),
            },
            EventKind::AccountDeleted => {
                self.deleted = true;
                self.line.shut_out();
                Ok(())
            }
            // Another copy of this profile counts. The person decides, not we by trying again.
            EventKind::RegistrationRefused(Code::Outdated) => {
                self.line.shut_out();
                self.opened.profile.refused()
            }
            EventKind::RegistrationRefused(_) => self.opened.profile.refused(),
            _ => Ok(()),
        };
        if let Err(error) = noted {
            self.tell(Told::Fault(error.into()));
        }
    }

    fn tell(&mut self, told: Told) {
        // Nobody listens any more: then nobody asks any more either, and that ends us.
        self.over |= self.tell.send(told).is_err();
    }

    /// The machine failed: nothing that waits happens, and the engine goes back to what is stored.
    fn fail(&mut self, fault: Fault) {
        let failed = std::mem::take(&mut self.pending);
        self.tell(Told::Fault(fault));
        for told in failed.told.into_iter().filter(|told| matches!(told, Told::Status(_))) {
            self.tell(told);
        }
        for tag in failed.tags {
            self.tell(not_carried_out(tag));
        }
        match self.opened.profile.reload(&self.opened.store) {
            Ok(engine) => self.begin_again(engine),
            Err(error) => self.give_up(error),
        }
    }

    /// Nothing that arrived is lost: a new connection reads on from what was committed.
    fn begin_again(&mut self, engine: undertone_engine::Engine) {
        self.opened.engine = engine;
        self.wake_at = None;
        self.retakes = self.opened.link.is_some();
        if self.line.is_up() {
            let status = self.line.down(ConnectError::Closed);
            self.tell(Told::Status(status));
        }
    }

    fn give_up(&mut self, error: ProfileError) {
        self.over = true;
        self.tell(Told::Fault(error.into()));
    }

    fn end(mut self) {
        let unsent = self.opened.engine.unsent();
        self.line.close(GOODBYE);
        let Opened { profile, store, .. } = self.opened;
        drop(store);
        let ended = if self.deleted { profile.delete() } else { profile.finish() };
        if let Err(error) = ended {
            let _nobody = self.tell.send(Told::Fault(error.into()));
        }
        let _nobody = self.tell.send(Told::Closed { unsent });
    }
}

impl Next {
    fn of(incoming: Option<Incoming>) -> Self {
        Self::Incoming(incoming.unwrap_or(Incoming::Down(ConnectError::Closed)))
    }
}

/// Whether coming back by itself would lead to nothing, or to a fight.
fn shuts_out(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::Bye(Code::Replaced | Code::Blocked | Code::Forgotten | Code::InviteRevoked)
    )
}

fn not_carried_out(tag: u64) -> Told {
    let kind = EventKind::Failed(CommandError::Internal("this machine failed"));
    Told::Engine(Event { tag: Some(tag), kind })
}
