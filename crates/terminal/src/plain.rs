//! Plain mode: one line for each thing that happens, on a terminal and in a pipe.

pub(crate) mod chats;
mod front;
mod rooms;
mod trust;
mod view;

#[cfg(test)]
mod tests;

use crate::input::Line;
use crate::output::Output;
use crate::report::{Exit, Report};
use crate::screen::Screen;
use crate::secret::Unseen;
use crate::times::Times;
use crossbeam_channel::{Receiver, never, select};
use std::time::{Duration, Instant};
use undertone_client::client::Client;
use undertone_client::clock::wall_ms;
use undertone_wire::name::Name;
use view::View;
use zeroize::Zeroizing;

/// How a person sits before it.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The name to register under; none: the profile has one, or it is asked for.
    pub name: Option<Name>,
    /// Whether the profile has a name already.
    pub named: bool,
    /// Whether the profile has a password.
    pub guarded: bool,
    /// Whether the profile was made just now.
    pub fresh: bool,
    /// Whether the invite has a lobby.
    pub lobby: bool,
    /// Standard input and output are terminals: there is a prompt.
    pub interactive: bool,
    /// Which lines show a time.
    pub times: Times,
}

/// While commands have to wait, how often it is looked whether they still do.
const BUSY: Duration = Duration::from_millis(20);

/// How long nothing can happen without anything waking us.
const IDLE: Duration = Duration::from_secs(3_600);

/// Runs until the person leaves, or there is nothing to go on with.
pub fn run(
    client: Client,
    lines: &Receiver<Line>,
    stop: &Receiver<()>,
    output: &mut Output,
    setup: Setup,
) -> Exit {
    let screen = Screen::new(output, setup.interactive);
    let interactive = setup.interactive;
    let (view, unseen) = (View::new(setup), None);
    let mut session =
        Session { view, client, screen, interactive, unseen, stops: 0, quit_asked: false };
    session.run(lines, stop);
    session.view.exit()
}

struct Session<'a> {
    view: View,
    client: Client,
    screen: Screen<'a>,
    interactive: bool,
    /// What is typed is not shown now.
    unseen: Option<Unseen>,
    stops: u32,
    quit_asked: bool,
}

impl Session<'_> {
    fn run(&mut self, lines: &Receiver<Line>, stop: &Receiver<()>) {
        while !self.view.is_over() {
            self.settle();
            let typed = if self.takes_lines() { lines.clone() } else { never() };
            select! {
                recv(self.client.told()) -> told => match told {
                    Ok(told) => self.view.told(told, wall_ms(), Instant::now()),
                    Err(_) => self.view.is_gone(),
                },
                recv(typed) -> line => self.line(line.unwrap_or(Line::End)),
                recv(stop) -> _ => self.stop(),
                default(self.pause()) => self.view.tick(Instant::now()),
            }
        }
        self.settle();
    }

    /// Shows what there is to show, and hands over what is asked for.
    fn settle(&mut self) {
        while let Some((tag, command)) = self.view.next_ask() {
            if !self.client.ask(tag, command.clone()) {
                self.view.ask_again(tag, command);
                break;
            }
        }
        if let Some(change) = self.view.take_change()
            && !self.client.change_password(0, change)
        {
            self.view.change_not_taken();
        }
        if self.view.quits() && !self.quit_asked {
            self.quit_asked = self.client.quit();
        }
        self.hide();
        if self.screen.show(self.view.take_shown(), self.view.wants_line()).is_err() {
            // Nobody reads any more.
            self.view.quit();
        }
    }

    /// Nobody looks over a shoulder at what is secret.
    fn hide(&mut self) {
        let wanted = self.interactive && self.view.wants_secret() && !self.view.quits();
        if !wanted {
            self.unseen = None;
        } else if self.unseen.is_none() {
            match Unseen::begin() {
                Ok(unseen) => self.unseen = Some(unseen),
                Err(_) => self.view.cannot_hide(),
            }
        }
    }

    fn takes_lines(&self) -> bool {
        !self.client.is_busy() && !self.view.has_asks() && self.view.takes_lines()
    }

    fn pause(&self) -> Duration {
        let due = self.view.due().map_or(IDLE, |due| due.saturating_duration_since(Instant::now()));
        let waits = self.client.is_busy() || self.view.has_asks();
        if waits { due.min(BUSY) } else { due }
    }

    fn line(&mut self, line: Line) {
        self.screen.entered();
        if self.unseen.is_some() && self.screen.entered_unseen().is_err() {
            self.view.quit();
        }
        match line {
            Line::Text(text) if self.view.wants_secret() => {
                self.view.secret(Zeroizing::new(text));
            }
            Line::Text(text) => self.view.line(&text),
            Line::TooLong => self.view.problem(Report::command(
                "the message is too long for a line",
                "send it in several messages",
            )),
            Line::NotText => {
                self.view.problem(Report::command("the line is not UTF-8", "it was not sent"));
            }
            Line::End => self.view.end_of_input(),
        }
    }

    /// The first time it is a wish to leave; whoever repeats it does not want to wait.
    fn stop(&mut self) {
        self.stops += 1;
        if self.stops > 1 {
            self.view.is_gone();
        }
        self.view.quit();
    }
}
