//! What went wrong, for a person: two lines and an exit code.

use undertone_client::account_file::AccountFileError;
use undertone_client::client::Fault;
use undertone_client::connection::{Blame, ConnectError};
use undertone_client::files::{FileError, SecretError};
use undertone_client::profile::{KeyError, ProfileError};
use undertone_client::store::StoreError;
use undertone_engine::api::{CommandError, RoomNameError, Trouble};
use undertone_engine::{CarryError, EngineError};
use undertone_wire::frame::Code;
use undertone_wire::invite::{InviteError, relay_fingerprint};
use undertone_wire::link::{LinkError, Refusal};
use undertone_wire::name::{Name, NameError};

/// How a program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// All went well.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// Wrong arguments, or a wrong link.
    Usage = 2,
    /// The relay cannot be reached, or speaks another version.
    Unreachable = 3,
    /// A certificate, key or invite is not what it should be.
    NotTrusted = 4,
    /// The relay refused.
    Refused = 5,
}

/// An error as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Report {
    /// What is wrong.
    pub error: String,
    /// What to do next.
    pub help: String,
    /// How a program ends that cannot go on.
    pub exit: Exit,
}

impl Report {
    /// An error that ends the program like this.
    pub fn new(exit: Exit, error: impl ToString, help: impl Into<String>) -> Self {
        Self { error: error.to_string(), help: help.into(), exit }
    }

    /// A line that a person typed and that cannot be carried out.
    pub fn command(error: impl ToString, help: impl Into<String>) -> Self {
        Self::new(Exit::Failed, error, help)
    }

    /// A name that is none, with a proposal where there is one.
    #[must_use]
    pub fn name(text: &str, error: NameError) -> Self {
        let help = Name::propose(text).map_or_else(
            || "1 to 32 letters and digits, for example Mary-Ann".to_owned(),
            |name| format!("try {name}"),
        );
        Self::new(Exit::Refused, format!("a name {error}"), help)
    }

    /// A name for a room that is none.
    #[must_use]
    pub fn room_name(text: &str, error: &RoomNameError) -> Self {
        match error {
            RoomNameError::Name(error) => {
                let help = Self::name(text, *error).help;
                Self::command(format!("a room's name {error}"), help)
            }
            RoomNameError::Reserved => {
                Self::command(format!("the name {text} is reserved"), "choose another name")
            }
        }
    }

    /// The same, of a line that was typed: nothing ends.
    #[must_use]
    pub(crate) fn for_a_command(self) -> Self {
        Self::command(self.error, self.help)
    }

    /// A registration that the relay did not take.
    #[must_use]
    pub fn registration(code: Code, name: &str) -> Self {
        let (error, help) = match code {
            Code::NameTaken => (format!("the name {name} is taken"), "choose another name"),
            Code::NameReserved => (format!("the name {name} is reserved"), "choose another name"),
            Code::IdOwned => (
                "this id is owned by another key".to_owned(),
                "start with --name and a new name: the relay knows this id with another key",
            ),
            Code::SignatureInvalid | Code::WrongLinkKey => (
                "signature invalid: the relay did not accept the proof of this account".to_owned(),
                "update the older of the two programs; if it goes on, somebody may be in between",
            ),
            Code::Outdated => (
                "this profile is an old copy: another copy of it has taken new keys".to_owned(),
                "use that one; or, to go on with this one instead: undertone client --renew",
            ),
            Code::Blocked => {
                ("the operator has blocked this member".to_owned(), "ask the operator")
            }
            Code::InviteUsedUp => (
                "the invite is used up: as many as it was made for have joined with it".to_owned(),
                "ask for a new link",
            ),
            Code::KeyUsed | Code::KeyForeign => {
                let help = "ask for a new link: undertone client LINK";
                return Self::new(Exit::NotTrusted, code, help);
            }
            other => (format!("the relay refused to register: {other}"), "try again later"),
        };
        Self::new(Exit::Refused, error, help)
    }

    /// The relay ended the connection for good.
    #[must_use]
    pub fn shut_out(code: Code) -> Self {
        let help = match code {
            Code::Replaced => {
                "this profile was opened elsewhere; end that one, or use another profile"
            }
            Code::Blocked => "ask the operator",
            Code::Forgotten => "you may join again with an invite: undertone client LINK",
            Code::InviteRevoked => "ask for a new link",
            _ => "try again later",
        };
        Self::new(Exit::Refused, format!("the relay ended the connection: {code}"), help)
    }

    /// Something arrived that cannot be shown.
    #[must_use]
    pub fn trouble(trouble: &Trouble) -> Self {
        let help = match trouble {
            Trouble::Unreadable { .. } | Trouble::BadNote(_) => {
                "nothing to do; if it happens again, tell the operator the words in brackets"
            }
            Trouble::KeyChanged { name, before, now } => {
                let help = format!(
                    "nothing is sent to {name} before you say so; known: {before}; now: {now}; \
                     if {name} tells you why, in person or by telephone: /trust {name}"
                );
                return Self::new(Exit::Failed, trouble, help);
            }
            Trouble::BadSignature { .. } => {
                "it was dropped; compare fingerprints (/whoami) another way before you go on"
            }
            Trouble::NoOperator => {
                "it was dropped; a newer link of the operator names them: undertone client LINK"
            }
            Trouble::Full { .. } | Trouble::Vanished { .. } => {
                "nothing to do but wait; tell the operator"
            }
            Trouble::Misbehaved { .. } => "an owner can take them out: /remove NAME",
            Trouble::Gap { .. } => "what is missing is asked for; if it does not come, ask them",
            Trouble::SessionLost { .. } => "nothing to do: it goes on in the new session",
        };
        Self::new(Exit::Failed, trouble, help)
    }
}

impl From<&CommandError> for Report {
    fn from(error: &CommandError) -> Self {
        let help = match error {
            CommandError::UnknownMember(_) => "/list shows who is online; an id works too",
            CommandError::KeyChanged(_) => {
                "ask them why, in person or by telephone; then /trust WHO accepts the new key"
            }
            CommandError::KeyNotChanged(_) => "nothing to do; /verify WHO compares it",
            CommandError::InviteOver => {
                "ask the operator for a link: undertone invite new; who is here takes it by undertone client LINK"
            }
            CommandError::Blocked(_) => "/unblock WHO first",
            CommandError::StillTalking { .. } => "/end and /leave them first: /list shows them",
            CommandError::Ambiguous(_) => "give the name, or more of the id",
            CommandError::Yourself => "choose somebody else: /list shows who is online",
            CommandError::NoChat(_) => "/chat WHO asks for a private chat",
            CommandError::NoRequest => "/chat WHO asks for one",
            CommandError::WhichRequest => "/accept WHO or /decline WHO",
            CommandError::Empty => "write something after it",
            CommandError::TooLong { .. } => "send it in several messages",
            CommandError::Nobody => {
                "wait until somebody has joined (/list), or bring somebody in: /add WHO"
            }
            CommandError::NotJoined => "wait for the welcome, then write again",
            CommandError::NoLobby => "write to one member: /msg WHO TEXT",
            CommandError::NotConnected => "it connects again by itself; then write again",
            CommandError::OutboxFull => "wait until some have left, then write again",
            CommandError::ChatEnded(_) => "/chat WHO asks for a new one",
            CommandError::UnknownRoom(_) => {
                "/rooms lists those you are in; /room new NAME makes one"
            }
            CommandError::RoomOrMember(_) => {
                "#NAME is always a room; an id, or the start of one, is one only"
            }
            CommandError::NotInRoom(_) => "/rooms lists those you are in",
            CommandError::NotOfRoom { .. } | CommandError::InRoomAlready { .. } => {
                "/members shows who is in it"
            }
            CommandError::NotOwner(_) => "/members shows who is an owner",
            CommandError::RoomFull { .. } => "make another room, or /remove somebody first",
            CommandError::CannotBeAdded(_) => "add them again when they are online",
            CommandError::TooManyRooms => "/leave one of them",
            CommandError::Refused(Code::NameTaken | Code::NameReserved) => "choose another name",
            CommandError::Refused(_) => "try again later",
            CommandError::TooManyChats => "use another profile: --name; this one keeps its history",
            CommandError::TooManyRequests => "wait for an answer, or /end one of them",
            CommandError::Internal(_) => "try again; if it goes on, start again",
        };
        Self::command(error, help)
    }
}

impl From<&ConnectError> for Report {
    fn from(error: &ConnectError) -> Self {
        let exit = match error.blame() {
            Blame::Reach | Blame::Version => Exit::Unreachable,
            Blame::Trust => Exit::NotTrusted,
            Blame::Refused => Exit::Refused,
            Blame::Machine => Exit::Failed,
        };
        if let ConnectError::Link(LinkError::WrongRelayKey { named, shown }) = error {
            let [named, shown] = [named, shown].map(relay_fingerprint);
            let help = format!(
                "known: {named}; this is: {shown}; if its operator says that this is right, a new link \
                 accepts it: undertone client LINK --pin '{shown}'; if not, somebody is in between"
            );
            return Self::new(exit, error, help);
        }
        Self::new(exit, error, connect_help(error))
    }
}

fn connect_help(error: &ConnectError) -> &'static str {
    match error {
        ConnectError::Refused(_) => "is the relay running? undertone server starts one here",
        ConnectError::UnknownHost(_) => "check the host name, and the network",
        ConnectError::CertificateNotTrusted { .. } => {
            "ask for a new link over a safe way: undertone client LINK; if the relay did not change, somebody is in between"
        }
        ConnectError::OwnCertificate { missing: true, .. } => {
            "ask the operator for one, and give it: --client-cert CERT.pem,KEY.pem"
        }
        ConnectError::OwnCertificate { missing: false, .. } => {
            "ask the operator for one that its relay takes: --client-cert CERT.pem,KEY.pem"
        }
        ConnectError::Tls { .. } | ConnectError::NotARelay(_) => {
            "check host and port: something else answers there"
        }
        ConnectError::VersionsDiffer(_) | ConnectError::Link(LinkError::VersionUnsupported) => {
            "update the older of the two programs"
        }
        ConnectError::Link(LinkError::WrongPskOrTampered)
        | ConnectError::Hint(Refusal::UnknownInvite | Refusal::PskMismatch) => {
            "ask for a new link: this invite may have been revoked"
        }
        ConnectError::Hint(
            Refusal::WrongRelay | Refusal::InviteRevoked | Refusal::InviteExpired,
        ) => "ask for a new link",
        ConnectError::NoWayIn(_) => {
            "this profile is an old copy, or another copy went on; ask for a new link: \
             undertone client LINK"
        }
        ConnectError::Ended(Refusal::Replaced) => {
            "this profile was opened elsewhere; end that one, or use another profile"
        }
        ConnectError::Hint(Refusal::Blocked) | ConnectError::Ended(Refusal::Blocked) => {
            "ask the operator"
        }
        ConnectError::Randomness => "start again when the system's random source works",
        ConnectError::System(_) => "raise the limits of processes and open files (ulimit -u -n)",
        _ => "check the network, and try again",
    }
}

impl From<&Fault> for Report {
    fn from(fault: &Fault) -> Self {
        match fault {
            Fault::Store(error) => error.into(),
            Fault::Profile(error) => error.into(),
            Fault::Randomness(error) => {
                let help = "nothing was sent; try again when the system's random source works";
                Self::new(Exit::Failed, error, help)
            }
        }
    }
}

impl From<&StoreError> for Report {
    fn from(error: &StoreError) -> Self {
        let help = match error {
            StoreError::Locked(_) => "end the process that reads it (a backup?), and try again",
            StoreError::Full(_) => "free some space; what was not stored was not sent",
            StoreError::Damaged { .. } => {
                "undertone doctor --profile WHO says what is safe; nothing was deleted"
            }
            StoreError::Newer { .. } => "update this program",
            StoreError::File(_) | StoreError::Failed { .. } => {
                "check the folder's owner and free space"
            }
        };
        Self::new(Exit::Failed, error, help)
    }
}

impl From<&ProfileError> for Report {
    fn from(error: &ProfileError) -> Self {
        match error {
            ProfileError::Store(error) => error.into(),
            ProfileError::Locked { .. } => Self::new(
                Exit::NotTrusted,
                error,
                "type it, write it as a line of standard input, or give --password-file FILE",
            ),
            ProfileError::WrongPassword { .. } => Self::new(
                Exit::NotTrusted,
                error,
                "try again; without the right one nobody can open the profile",
            ),
            ProfileError::KeyFile { error: KeyError::Newer(_), .. } => {
                Self::new(Exit::Failed, error, "update this program")
            }
            ProfileError::KeyFile { error: KeyError::Memory(_), .. } => {
                Self::new(Exit::Failed, error, "end other programs, and try again")
            }
            ProfileError::KeyFile { .. } => {
                let help = "put a backup back: undertone restore DIR --replace";
                Self::new(Exit::Failed, error, help)
            }
            ProfileError::Several(_) => Self::new(Exit::Usage, error, "say which: --profile WHO"),
            ProfileError::None => {
                Self::new(Exit::Failed, error, "undertone client makes one at its first start")
            }
            ProfileError::AccountHere { name, .. } => {
                let help = format!(
                    "nothing was changed; use it: undertone client --profile {name}, with --renew if \
                     another device took its place"
                );
                Self::new(Exit::Usage, error, help)
            }
            ProfileError::Carry(CarryError::New) => {
                Self::new(Exit::Failed, error, "start it once: undertone client --profile WHO")
            }
            ProfileError::Carry(CarryError::Operator) => {
                Self::new(Exit::Usage, error, "undertone backup copies the relay's data")
            }
            ProfileError::Carry(_) => Self::new(
                Exit::Failed,
                error,
                "export it again, by the same version of this program",
            ),
            ProfileError::Held { .. } => {
                Self::new(Exit::Failed, error, "end that process, or give another name: --name")
            }
            ProfileError::NotEmpty(_) => {
                Self::new(Exit::Usage, error, "give a new folder for the backup")
            }
            ProfileError::NoBackup(_) => {
                Self::new(Exit::Failed, error, "give the folder that undertone backup made")
            }
            ProfileError::There(_) => {
                Self::new(Exit::Usage, error, "--replace moves it aside; nothing is deleted")
            }
            ProfileError::Unknown(_) | ProfileError::Ambiguous(_) => {
                Self::new(Exit::Usage, error, "give the name or the start of the id of a profile")
            }
            ProfileError::Damaged { .. } | ProfileError::Engine(_) => Self::new(
                Exit::Failed,
                error,
                "restore the profile's folder from a backup, or update this program",
            ),
            ProfileError::File(error) => error.into(),
            ProfileError::Key(error) => error.into(),
            ProfileError::Randomness(_) => {
                Self::new(Exit::Failed, error, "try again when the system's random source works")
            }
        }
    }
}

impl From<&FileError> for Report {
    fn from(error: &FileError) -> Self {
        let check = || "check the folder's owner and free space".to_owned();
        Self::new(Exit::Failed, error, error.fix().unwrap_or_else(check))
    }
}

impl From<&SecretError> for Report {
    fn from(error: &SecretError) -> Self {
        match error {
            SecretError::File(error) => error.into(),
            _ => Self::new(Exit::Failed, error, "check the folder's owner and free space"),
        }
    }
}

impl From<AccountFileError> for Report {
    fn from(error: AccountFileError) -> Self {
        let (exit, help) = match error {
            AccountFileError::NotOne => {
                (Exit::Usage, "give the file that undertone key export made")
            }
            AccountFileError::Newer(_) => (Exit::Failed, "update this program"),
            AccountFileError::WrongPassword => (
                Exit::NotTrusted,
                "type the one that was set when it was exported; if it is right, the file was changed",
            ),
            AccountFileError::Costly | AccountFileError::Changed => {
                (Exit::NotTrusted, "nothing was taken from it; export the account again")
            }
            AccountFileError::Randomness(_) | AccountFileError::Internal(_) => {
                (Exit::Failed, "nothing was written; try again")
            }
        };
        Self::new(exit, error, help)
    }
}

impl From<&EngineError> for Report {
    fn from(error: &EngineError) -> Self {
        Self::new(Exit::Failed, error, "restore the profile's folder from a backup")
    }
}

impl From<InviteError> for Report {
    fn from(error: InviteError) -> Self {
        let help = match error {
            InviteError::Newer { .. } => "update this program",
            _ => "copy the whole link, from http to its last character",
        };
        Self::new(Exit::Usage, error, help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use undertone_wire::account::{AccountKey, Ed25519Key};
    use undertone_wire::ids::LinkKey;

    #[test]
    fn a_malformed_name_is_refused_with_a_proposal() {
        let error = Name::parse("Mary Ann").unwrap_err();
        let report = Report::name("Mary Ann", error);
        assert_eq!(report.error, "a name has no white space in it");
        assert_eq!(report.help, "try Mary-Ann");
        assert_eq!(report.exit, Exit::Refused);
    }

    /// F44, F09: a refused connection, a certificate and a signature that are not what they should be, and
    /// something that comes again: each says what to do next, in words of its own.
    #[test]
    fn f44_each_error_says_the_next_step() {
        let place = || "the chat with Bob".to_owned();
        let name = || "Bob".to_owned();
        let key = |byte| AccountKey::Ed25519(Ed25519Key([byte; 32])).fingerprint();
        let wrong_key =
            LinkError::WrongRelayKey { named: LinkKey([1; 32]), shown: LinkKey([2; 32]) };
        let reports = [
            Report::from(&ConnectError::Refused("127.0.0.1:8080".to_owned())),
            Report::from(&ConnectError::Link(wrong_key)),
            Report::from(&ConnectError::Hint(Refusal::UnknownInvite)),
            Report::from(&ConnectError::VersionsDiffer("127.0.0.1:8080".to_owned())),
            Report::registration(Code::SignatureInvalid, "Bob"),
            Report::registration(Code::IdOwned, "Bob"),
            Report::trouble(&Trouble::BadSignature { name: name() }),
            Report::trouble(&Trouble::KeyChanged { name: name(), before: key(1), now: key(2) }),
            Report::trouble(&Trouble::Unreadable { place: place(), cause: "repeated" }),
            Report::trouble(&Trouble::Gap { name: name() }),
        ];
        let texts: std::collections::BTreeSet<_> =
            reports.iter().flat_map(|report| [&report.error, &report.help]).collect();
        assert_eq!(texts.len(), 2 * reports.len(), "{texts:?}");
        for report in &reports {
            assert!(report.help.len() > 10, "{report:?}");
            assert!(!report.error.contains('\n') && !report.help.contains('\n'), "{report:?}");
        }
    }

    #[test]
    fn each_kind_of_failure_has_its_exit_code() {
        let exit = |error: ConnectError| Report::from(&error).exit;
        assert_eq!(exit(ConnectError::Refused("x".to_owned())), Exit::Unreachable);
        assert_eq!(exit(ConnectError::VersionsDiffer("x".to_owned())), Exit::Unreachable);
        let (named, shown) = (LinkKey([1; 32]), LinkKey([2; 32]));
        let wrong_key = LinkError::WrongRelayKey { named, shown };
        assert_eq!(exit(ConnectError::Link(wrong_key)), Exit::NotTrusted);
        assert_eq!(exit(ConnectError::Link(LinkError::WrongPskOrTampered)), Exit::NotTrusted);
        assert_eq!(exit(ConnectError::Hint(Refusal::UnknownInvite)), Exit::NotTrusted);
        assert_eq!(Report::registration(Code::NameTaken, "Bob").exit, Exit::Refused);
        assert_eq!(Report::from(InviteError::Incomplete).exit, Exit::Usage);
        assert_eq!(Report::from(InviteError::Incomplete).error, "the link is incomplete");
    }
}
