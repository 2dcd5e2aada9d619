//! The arguments as they are typed. What they mean together is settled where they are used.

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use serde::Deserialize;
use std::ffi::OsString;
use std::path::PathBuf;
use undertone_terminal::report::{Exit, Report};

/// End-to-end encrypted chat through a relay that cannot read it.
#[derive(Debug, Parser)]
#[command(name = "undertone", version, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Start with: undertone server, and in another terminal: undertone client")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Sub,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Sub {
    /// A relay
    Server(Server),
    /// A person: plain lines on a terminal and in a pipe
    Client(Client),
    /// Everything the relay on this computer can see, live
    Observe(Relay),
    /// Links to the relay on this computer
    Invite(Invite),
    /// Who has joined the relay on this computer: list, block, unblock, forget
    Member(Member),
    /// How the relay on this computer does: numbers since its start, and of now
    Stats(Relay),
    /// Copy everything that a relay or a profile needs into a new folder, also while it runs
    Backup {
        /// A folder that is not there yet, or empty
        dir: PathBuf,
        /// A profile instead of a relay: its name, or the start of its id
        #[arg(long, value_name = "WHO", conflicts_with = "data")]
        profile: Option<String>,
        #[command(flatten)]
        relay: Relay,
    },
    /// Put a backup back where no relay or client runs with it
    Restore {
        /// A folder that `backup` made, of a relay or of a profile
        dir: PathBuf,
        #[command(flatten)]
        relay: Relay,
        /// Move the data that is there aside instead of refusing
        #[arg(long)]
        replace: bool,
    },
    /// What is wrong with a relay's data, with a profile, or with the way to a relay; and what to do
    Doctor {
        /// A link, or - to read it from standard input: look at its relay from outside, as a client
        #[arg(value_name = "LINK | -", conflicts_with_all = ["data", "profile"])]
        link: Option<String>,
        /// What to show to a relay that wants a certificate of every client
        #[arg(long, value_name = "CERT.pem,KEY.pem", requires = "link")]
        client_cert: Option<String>,
        #[command(flatten)]
        relay: Relay,
        /// A profile instead of a relay: its name, or the start of its id
        #[arg(long, value_name = "WHO", conflicts_with = "data")]
        profile: Option<String>,
        #[command(flatten)]
        password: PasswordFile,
    },
    /// An account in one file under a password: from here, or to here
    Key(Key),
    /// Completions for a shell, to standard output
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// The manual page, to standard output
    Man,
}

#[derive(Debug, Args)]
#[command(after_help = "How others reach this relay: undertone server --help friends")]
pub(crate) struct Server {
    /// Listen on 127.0.0.1 at this port [default: 8080]
    #[arg(value_name = "PORT")]
    pub(crate) port: Option<String>,
    /// Listen here instead [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT", env = "UNDERTONE_LISTEN")]
    pub(crate) listen: Option<String>,
    /// The public origin: the host in links, and what browsers must ask for
    #[arg(long, value_name = "https://NAME[:PORT]", env = "UNDERTONE_URL")]
    pub(crate) url: Option<String>,
    /// The relay's keys, registry and store [default: relay-PORT in the platform's data folder]
    #[arg(long, value_name = "DIR", env = "UNDERTONE_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// Keep no message on the disk, not even encrypted; a restart begins every session anew
    #[arg(long, env = "UNDERTONE_STATELESS", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) stateless: bool,
    /// The certificate: self-signed, self-signed:rsa, acme:DOMAIN, or CERT.pem,KEY.pem
    /// [default: self-signed]
    #[arg(long, value_name = "TLS", env = "UNDERTONE_TLS")]
    pub(crate) tls: Option<String>,
    /// The ACME server that issues the certificate of acme:DOMAIN [default: Let's Encrypt]
    #[arg(long, value_name = "https://…", env = "UNDERTONE_ACME_DIRECTORY")]
    pub(crate) acme_directory: Option<String>,
    /// Let in only who shows a certificate that these sign
    #[arg(long, value_name = "CA.pem", env = "UNDERTONE_CLIENT_CA")]
    pub(crate) client_ca: Option<PathBuf>,
    /// Networks of proxies in front of this relay, with commas: what they say of where a connection
    /// comes from is believed, and nobody else's word
    #[arg(long, value_name = "CIDR", env = "UNDERTONE_BEHIND_PROXY")]
    pub(crate) behind_proxy: Option<String>,
    /// The header in which those proxies say it [default: x-forwarded-for]
    #[arg(long, value_name = "HEADER", env = "UNDERTONE_PROXY_HEADER")]
    pub(crate) proxy_header: Option<ProxyHeader>,
    /// Connections that one address may have at once [default: 512]
    #[arg(long, value_name = "N", env = "UNDERTONE_CONNECTIONS_PER_ADDRESS")]
    pub(crate) connections_per_address: Option<u32>,
    /// No operator's member and no console: logs to standard error, no link is printed
    #[arg(long, env = "UNDERTONE_NO_CONSOLE", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) no_console: bool,
    /// Give figures for Prometheus at http://ADDR/metrics; a port alone is one of 127.0.0.1
    #[arg(long, value_name = "ADDR:PORT", env = "UNDERTONE_METRICS")]
    pub(crate) metrics: Option<String>,
    /// Who may join: whoever has an invite, or everyone; the lobby of an open relay can be read by
    /// anyone, the relay included [default: invite]
    #[arg(long, value_name = "WHO", env = "UNDERTONE_ACCESS")]
    pub(crate) access: Option<Access>,
    /// How logs look without a console [default: text]
    #[arg(long, value_name = "FORMAT", env = "UNDERTONE_LOG_FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

/// Where proxies say for whom they ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProxyHeader {
    /// X-Forwarded-For, as most proxies write it
    XForwardedFor,
    /// Forwarded (RFC 7239)
    Forwarded,
}

/// Who may join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Access {
    /// Whoever has an invite
    Invite,
    /// Everyone
    Open,
}

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// A line for people
    Text,
    /// A JSON object a line
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Client {
    /// A link, HOST:PORT, or - to read the link from the first line of standard input
    /// [default: the relay on this computer, or the one used last]
    #[arg(value_name = "LINK | HOST:PORT | -", env = "UNDERTONE_LINK", hide_env_values = true)]
    pub(crate) link: Option<String>,
    /// Open this name's profile, or make it
    #[arg(long, value_name = "NAME", env = "UNDERTONE_NAME")]
    pub(crate) name: Option<String>,
    /// Open an existing profile, by name or by the start of its id
    #[arg(long, value_name = "WHO", env = "UNDERTONE_PROFILE", conflicts_with = "name")]
    pub(crate) profile: Option<String>,
    #[command(flatten)]
    pub(crate) password: PasswordFile,
    /// Plain lines, also on a terminal
    #[arg(long, env = "UNDERTONE_PLAIN", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) plain: bool,
    /// A JSON object a line, both ways
    #[arg(long, env = "UNDERTONE_JSON", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new(), conflicts_with = "plain")]
    pub(crate) json: bool,
    /// Show no times before messages
    #[arg(long, env = "UNDERTONE_NO_TIMES", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) no_times: bool,
    /// Take new keys for this device: of several copies of this profile this one counts
    #[arg(long)]
    pub(crate) renew: bool,
    /// What to show to a relay that wants a certificate of every client
    #[arg(long, value_name = "CERT.pem,KEY.pem", env = "UNDERTONE_CLIENT_CERT")]
    pub(crate) client_cert: Option<String>,
    /// The relay's fingerprint: with another one it does not go on. It accepts a known relay's new key; an
    /// open relay needs it in a pipe
    #[arg(long, value_name = "FINGERPRINT", env = "UNDERTONE_PIN")]
    pub(crate) pin: Option<String>,
    /// The kind of key of a new account [default: ed25519]
    #[arg(long, value_name = "KIND", env = "UNDERTONE_IDENTITY")]
    pub(crate) identity: Option<Identity>,
}

/// The kind of an account's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Identity {
    /// Ed25519
    Ed25519,
    /// ECDSA on P-256
    Ecdsa,
}

/// Where a profile's password is, when nobody is there to type it.
#[derive(Debug, Args)]
pub(crate) struct PasswordFile {
    /// The profile's password is the first line of this file (or pipe: /dev/fd/3)
    #[arg(long, value_name = "FILE", env = "UNDERTONE_PASSWORD_FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Key {
    #[command(subcommand)]
    pub(crate) command: KeySub,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeySub {
    /// Write an account into a file: its key, id, name, link, contacts and which rooms it is in; no history
    #[command(
        after_help = "The file's password is asked for; in a pipe the lines of standard input are the profile's password, \
        where it has one and --password-file is not given, and then the file's."
    )]
    Export {
        /// A file that is not there yet, or - for standard output
        file: PathBuf,
        /// Whose: a name, or the start of an id [default: the only profile there is]
        #[arg(long, value_name = "WHO")]
        profile: Option<String>,
        #[command(flatten)]
        password: PasswordFile,
        /// The password for the file is the first line of this one
        #[arg(long, value_name = "FILE")]
        key_password_file: Option<PathBuf>,
    },
    /// Make a profile of such a file: a new device of the account, which takes the other one's place
    #[command(
        after_help = "The file's password is asked for; in a pipe it is the first line of standard input."
    )]
    Import {
        /// What `export` wrote
        file: PathBuf,
        /// The password of the file is the first line of this one
        #[arg(long, value_name = "FILE")]
        key_password_file: Option<PathBuf>,
    },
}

/// Which of the relays on this computer.
#[derive(Debug, Args)]
pub(crate) struct Relay {
    /// The relay's data folder [default: that of the one relay that runs here]
    #[arg(long, value_name = "DIR", env = "UNDERTONE_DATA")]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Invite {
    #[command(flatten)]
    pub(crate) relay: Relay,
    #[command(subcommand)]
    pub(crate) command: InviteSub,
}

#[derive(Debug, Subcommand)]
pub(crate) enum InviteSub {
    /// Make a link and print it
    New {
        /// A word for your own list
        #[arg(long, value_name = "WORD", default_value = "")]
        label: String,
        /// A link to the relay alone, without the lobby
        #[arg(long)]
        no_room: bool,
        /// How many may join with it, 1 to 1000 [default: any number]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
        uses: Option<u32>,
        /// How long it is good: 30m, 12h, 7d, 2w [default: until it is revoked]
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires: Option<u64>,
    },
    /// List all invites: id, how many have joined with it, when it ends, label
    List,
    /// End an invite: nobody joins with it any more, who has joined stays
    Revoke {
        /// Its id, as `list` shows it
        #[arg(required_unless_present = "room", conflicts_with = "room")]
        id: Option<String>,
        /// End all invites, and begin a new lobby: only who gets the new link comes into it
        #[arg(long)]
        room: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Member {
    #[command(flatten)]
    pub(crate) relay: Relay,
    #[command(subcommand)]
    pub(crate) command: MemberSub,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MemberSub {
    /// List all members: id, name, fingerprint, online or not, since when, blocked or not
    List,
    /// End a member's connection, let it in no more, and let its inbox take nothing
    Block {
        /// Name, or the start of an id or of a fingerprint
        who: String,
    },
    /// Take a block back
    Unblock {
        /// Name, or the start of an id or of a fingerprint
        who: String,
    },
    /// Free a member's id and name, and delete what the registry has of it; it may come again with an
    /// invite, unless it is blocked
    Forget {
        /// Name, or the start of an id or of a fingerprint
        who: String,
    },
}

/// Seconds in a time like `7d`.
fn lifetime(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is no time: give one like 30m, 12h, 7d or 2w");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).and_then(|number| number.parse::<u64>().ok());
    let time = number.filter(|number| *number > 0).and_then(|number| number.checked_mul(seconds));
    time.filter(|seconds| *seconds <= MAX_LIFETIME).ok_or_else(wrong)
}

/// A hundred years: whoever wants more gives no time.
const MAX_LIFETIME: u64 = 100 * 366 * 86_400;

/// What there is instead of arguments to go on with.
pub(crate) enum Answer {
    /// Something to read.
    Page(String),
    /// The arguments are wrong.
    Wrong(Report),
}

impl Cli {
    pub(crate) fn read(arguments: Vec<OsString>) -> Result<Self, Answer> {
        let matches = Self::command().try_get_matches_from(arguments).map_err(|e| answer(&e))?;
        let mut cli = Self::from_arg_matches(&matches).map_err(|e| answer(&e))?;
        if let (Sub::Server(server), Some(typed)) =
            (&mut cli.command, matches.subcommand_matches("server"))
        {
            let on_line = |name| typed.value_source(name) == Some(ValueSource::CommandLine);
            server.settle_port(on_line("listen"))?;
        }
        Ok(cli)
    }
}

impl Server {
    /// PORT is another way to say where to listen.
    fn settle_port(&mut self, listen_typed: bool) -> Result<(), Answer> {
        let Some(port) = &self.port else { return Ok(()) };
        if listen_typed {
            return Err(Answer::Wrong(Report::new(
                Exit::Usage,
                "PORT and --listen exclude each other",
                "give one of them: undertone server PORT, or --listen ADDR:PORT",
            )));
        }
        let number: u16 = port.parse().map_err(|_| {
            Answer::Wrong(Report::new(
                Exit::Usage,
                format!("'{port}' is not a port"),
                "give a number from 1 to 65535: undertone server 8080",
            ))
        })?;
        self.listen = Some(format!("127.0.0.1:{number}"));
        Ok(())
    }
}

fn answer(error: &clap::Error) -> Answer {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Answer::Page(text),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Answer::Wrong(Report::new(
            Exit::Usage,
            "a command is missing: server, client, observe, invite, member, stats, backup, restore, doctor, completions, man",
            "undertone --help; to begin: undertone server, and in another terminal undertone client",
        )),
        _ => Answer::Wrong(Report::new(Exit::Usage, summary(&text), help_of(&text))),
    }
}

/// The help of the command that clap's text shows the usage of.
fn help_of(text: &str) -> String {
    let usage = text.lines().find_map(|line| line.trim().strip_prefix("Usage: undertone "));
    let words = usage.unwrap_or_default().split(' ');
    let command: Vec<_> =
        words.take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase())).collect();
    ["undertone"].into_iter().chain(command).chain(["--help"]).collect::<Vec<_>>().join(" ")
}

/// The first paragraph of clap's text, in one line.
fn summary(text: &str) -> String {
    let paragraph = text.lines().take_while(|line| !line.trim().is_empty());
    let line = paragraph.map(str::trim).collect::<Vec<_>>().join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}
