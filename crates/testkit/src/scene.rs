//! A home of its own, and the built binary in it: relays, people, terminals.

use crate::process::Program;
use crate::pty::Terminal;
use crate::scratch::Scratch;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use undertone_wire::invite::{Invite, Origin, RelayInvite};

/// A fresh home.
#[derive(Debug)]
pub struct Scene {
    home: Scratch,
    binary: PathBuf,
}

impl Scene {
    /// With the binary that the test was built with.
    pub fn new(binary: &str) -> Self {
        Self { home: Scratch::default(), binary: binary.into() }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The relay's data folder.
    pub fn data(&self) -> PathBuf {
        self.home().join("relay")
    }

    /// The binary with these arguments. Of the environment it sees this home and nothing else.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_in(self.home(), arguments)
    }

    /// The same in another home, as on another computer.
    pub fn command_in(&self, home: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env_clear().current_dir(home);
        command.env("UNDERTONE_HOME", home).env("HOME", home).env("TERM", "xterm");
        // Where a program's libraries are, and its temporary files.
        for name in ["PATH", "LD_LIBRARY_PATH", "SystemRoot", "TMPDIR", "TEMP"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }

    /// Starts the binary behind pipes.
    pub fn run(&self, arguments: &[&str]) -> Program {
        Program::start(&mut self.command(arguments))
    }

    /// Runs the binary to its end, without input.
    pub fn ends(&self, arguments: &[&str]) -> Program {
        let mut program = self.run(arguments);
        program.end_input();
        program.exit_code();
        program
    }

    /// Starts the binary in a terminal.
    pub fn terminal(&self, arguments: &[&str]) -> Terminal {
        Terminal::start(&self.command(arguments))
    }

    /// A relay with its console, at a port of the system's choice.
    pub fn server(&self) -> Server {
        self.server_with(&[])
    }

    /// The same without the operator's member.
    pub fn server_without_console(&self) -> Server {
        self.server_with(&["--no-console"])
    }

    pub fn server_with(&self, arguments: &[&str]) -> Server {
        self.server_at("127.0.0.1:0", arguments)
    }

    /// A relay at an address: where it was before, for example.
    pub fn server_at(&self, listen: &str, arguments: &[&str]) -> Server {
        let data = self.data();
        let mut all = vec!["server", "--listen", listen, "--data", data.to_str().unwrap()];
        all.extend(arguments);
        Server::of(self.run(&all), arguments.contains(&"--no-console"))
    }

    /// Another relay on the same computer.
    pub fn server_of_another_folder(&self) -> Server {
        let data = self.home().join("another-relay");
        let data = data.to_str().unwrap();
        Server::of(self.run(&["server", "--listen", "127.0.0.1:0", "--data", data]), false)
    }

    /// Somebody who observes: from when this returns, all that happens.
    #[track_caller]
    pub fn observer(&self) -> Program {
        /// Times that something is done for it to be seen: a machine this busy does nothing at all.
        const MOST: usize = 1_000;
        let observer = self.run(&["observe"]);
        for _ in 0..MOST {
            self.ends(&["stats"]).expect_exit(0);
            if !observer.out.raw().is_empty() {
                return observer;
            }
        }
        observer.fail("it observes nothing")
    }

    /// A client without arguments but these.
    pub fn client(&self, arguments: &[&str]) -> Program {
        let mut all = vec!["client"];
        all.extend(arguments);
        self.run(&all)
    }

    /// Somebody who has joined the lobby of the one relay that runs here.
    #[track_caller]
    pub fn member(&self, name: &str) -> Program {
        self.member_with(name, &[])
    }

    #[track_caller]
    pub fn member_with(&self, name: &str, arguments: &[&str]) -> Program {
        let mut all = vec!["--name", name];
        all.extend(arguments);
        let client = self.client(&all);
        client.expect(&format!("Welcome, {name} (*"));
        client
    }

    /// A link that the operator makes for somebody.
    #[track_caller]
    pub fn new_link(&self) -> String {
        let mut command = self.ends(&["invite", "new"]);
        command.expect_exit(0);
        command.expect("http*")
    }

    /// The relay's half of such a link.
    #[track_caller]
    pub fn relay_invite(&self) -> RelayInvite {
        Invite::parse(&self.new_link()).unwrap().relay_half().clone()
    }

    /// Everyone named, joined one after another, and each told of those after it.
    #[track_caller]
    pub fn members<const N: usize>(&self, names: [&str; N]) -> [Program; N] {
        let mut members: Vec<(&str, Program)> = Vec::new();
        for name in names {
            let member = self.member(name);
            for (_, earlier) in &members {
                earlier.expect(&format!("{name} joined the chat"));
            }
            members.push((name, member));
        }
        let members: Vec<Program> = members.into_iter().map(|(_, member)| member).collect();
        members.try_into().unwrap()
    }
}

/// A relay that listens.
#[derive(Debug)]
pub struct Server {
    pub program: Program,
    pub address: SocketAddr,
    /// What it printed; nothing without a console.
    pub link: Option<String>,
}

impl Server {
    /// A relay without a console, from a command that starts one; waits until it listens.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        Self::of(Program::start(command), true)
    }

    #[track_caller]
    fn of(program: Program, is_silent: bool) -> Self {
        let line = program.expect("Server listening on: *");
        let address = line.rsplit(' ').next().unwrap().parse().unwrap();
        let link = (!is_silent).then(|| program.expect("Link: *").replacen("Link: ", "", 1));
        program.expect(if is_silent { "Invite: *" } else { "Commands: *" });
        Self { program, address, link }
    }

    /// The invite that was printed.
    pub fn invite(&self) -> Invite {
        Invite::parse(self.link.as_ref().expect("no link was printed")).unwrap()
    }

    /// The link, by another port of this computer.
    pub fn link_through(&self, port: u16) -> String {
        by_port(&self.invite(), port)
    }

    /// Ends it at once.
    pub fn stop(mut self) {
        self.program.kill();
    }
}

/// An invite's link, by another port of this computer.
pub fn by_port(invite: &Invite, port: u16) -> String {
    let (relay, lobby) = (invite.relay_half().clone(), invite.lobby_half().cloned());
    Invite::new(Origin::loopback(port), relay, lobby, invite.inviter.clone()).to_link()
}
