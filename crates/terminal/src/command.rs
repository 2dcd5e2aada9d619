//! What a typed line means.

use crate::report::Report;
use undertone_engine::api::MAX_HISTORY;

/// Texts that `/history` shows where it is not said how many.
const HISTORY: usize = 20;

/// A line of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// Nothing.
    Nothing,
    /// A message to the conversation in front.
    Text(String),
    /// Who is online.
    List,
    /// Who one is oneself.
    WhoAmI,
    /// What can be typed.
    Help,
    /// A private message.
    Msg {
        /// To whom.
        who: String,
        /// What.
        text: String,
    },
    /// Asks for a private chat.
    Chat(String),
    /// Accepts a request.
    Accept(Option<String>),
    /// Declines a request.
    Decline(Option<String>),
    /// Ends a chat; none: the one in front.
    End(Option<String>),
    /// The newest texts of the conversation in front.
    History(usize),
    /// What became of one's newest texts.
    Sent,
    /// Changes the front.
    Go(Place),
    /// Makes a room.
    RoomNew(String),
    /// The rooms one is in.
    Rooms,
    /// Adds a member to the room in front.
    Add(String),
    /// Takes a member out of it.
    Remove(String),
    /// Makes a member an owner of it.
    Promote(String),
    /// Leaves it.
    Leave,
    /// Who is in it.
    Members,
    /// What two people compare.
    Verify(String),
    /// They compared it: it is the same, or not.
    Compared {
        /// With whom.
        who: String,
        /// Whether it is the same.
        same: bool,
    },
    /// Accepts a changed key.
    Trust(String),
    /// Shows nothing of a member any more.
    Block(String),
    /// Takes that back.
    Unblock(String),
    /// Makes a link for one person.
    Invite,
    /// Takes another name.
    Name(String),
    /// Takes another id.
    NewId,
    /// Deletes the account; whether the person has said yes to it.
    DeleteAccount(bool),
    /// Whom one knows.
    Contacts,
    /// Gets to know a member.
    Contact(String),
    /// Sets, changes or removes the profile's password.
    Password,
    /// Ends the program.
    Quit,
}

/// What can come to the front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The lobby.
    Lobby,
    /// A room, or the chat with a member.
    Named(String),
}

/// What `/help` shows.
pub const HELP: &str = "\
text                to the conversation in front (at first the lobby); //text for a text that begins with /
/list               who is online, and the chats there are
/whoami             your own id and fingerprint
/msg WHO TEXT       a private message; WHO is a name or the start of an id
/chat WHO           ask for a private chat
/accept [WHO]       accept a request    /decline [WHO]    decline it
/end [WHO]          end a chat; its keys are discarded on both sides
/room new NAME      make a room                     /rooms       the rooms you are in
/add WHO            to the room in front            /members     who is in it
/remove WHO         out of it; /promote WHO makes an owner (both for owners)
/leave              leave the room in front
/invite             a link for one person; who opens it and you know each other by it
/verify WHO         the number to compare with WHO; then /verify WHO yes, or no
/trust WHO          accept the key of WHO that changed
/contacts           whom you know, with numbers that work as WHO;  /contact WHO adds one
/block WHO          show nothing of WHO any more    /unblock WHO    take that back
/name NAME          take another name           /id new      take another id, with the same key
/delete-account     delete the account and everything in this profile
/go lobby, /go ROOM, /go WHO   change the conversation in front; #ROOM is always a room
/history [N]        the newest texts of the conversation in front, 20 if not said
/sent               your ten newest texts and what became of them
/password           set, change or remove the password of this profile; what is typed then is not shown
/help               this
/quit, /exit, quit  leave; a space before quit sends the word";

/// Reads a line.
pub fn parse(line: &str) -> Result<Typed, Report> {
    if line.is_empty() {
        return Ok(Typed::Nothing);
    }
    if line.trim_end().eq_ignore_ascii_case("quit") {
        return Ok(Typed::Quit);
    }
    let spaced_quit =
        line.strip_prefix(' ').filter(|rest| rest.trim().eq_ignore_ascii_case("quit"));
    if let Some(word) = spaced_quit {
        return Ok(Typed::Text(word.to_owned()));
    }
    match line.strip_prefix('/') {
        None => Ok(Typed::Text(line.to_owned())),
        Some(rest) if rest.starts_with('/') => Ok(Typed::Text(rest.to_owned())),
        Some(rest) => slash(rest),
    }
}

fn slash(rest: &str) -> Result<Typed, Report> {
    let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    match (word, one(rest)) {
        ("list", One::None) => Ok(Typed::List),
        ("whoami", One::None) => Ok(Typed::WhoAmI),
        ("help", One::None) => Ok(Typed::Help),
        ("exit" | "quit", One::None) => Ok(Typed::Quit),
        ("msg", _) => msg(rest),
        ("chat", One::Word(who)) => Ok(Typed::Chat(who)),
        ("accept", One::None) => Ok(Typed::Accept(None)),
        ("accept", One::Word(who)) => Ok(Typed::Accept(Some(who))),
        ("decline", One::None) => Ok(Typed::Decline(None)),
        ("decline", One::Word(who)) => Ok(Typed::Decline(Some(who))),
        ("end", One::None) => Ok(Typed::End(None)),
        ("end", One::Word(who)) => Ok(Typed::End(Some(who))),
        ("history", One::None) => Ok(Typed::History(HISTORY)),
        ("history", One::Word(count)) => match count.parse() {
            Ok(count) if (1..=MAX_HISTORY).contains(&count) => Ok(Typed::History(count)),
            _ => Err(usage(word)),
        },
        ("sent", One::None) => Ok(Typed::Sent),
        ("go", One::Word(place)) if place == "lobby" => Ok(Typed::Go(Place::Lobby)),
        ("go", One::Word(who)) => Ok(Typed::Go(Place::Named(who))),
        ("room", _) => room(rest),
        ("rooms", One::None) => Ok(Typed::Rooms),
        ("add", One::Word(who)) => Ok(Typed::Add(who)),
        ("remove", One::Word(who)) => Ok(Typed::Remove(who)),
        ("promote", One::Word(who)) => Ok(Typed::Promote(who)),
        ("leave", One::None) => Ok(Typed::Leave),
        ("members", One::None) => Ok(Typed::Members),
        ("verify", _) => verify(rest),
        ("trust", One::Word(who)) => Ok(Typed::Trust(who)),
        ("block", One::Word(who)) => Ok(Typed::Block(who)),
        ("unblock", One::Word(who)) => Ok(Typed::Unblock(who)),
        ("invite", One::None) => Ok(Typed::Invite),
        ("name", One::Word(name)) => Ok(Typed::Name(name)),
        ("id", One::Word(word)) if word == "new" => Ok(Typed::NewId),
        ("delete-account", One::None) => Ok(Typed::DeleteAccount(false)),
        ("delete-account", One::Word(word)) if word == "yes" => Ok(Typed::DeleteAccount(true)),
        ("contacts", One::None) => Ok(Typed::Contacts),
        ("contact", One::Word(who)) => Ok(Typed::Contact(who)),
        ("password", One::None) => Ok(Typed::Password),
        (word, _) => Err(usage(word)),
    }
}

fn msg(rest: &str) -> Result<Typed, Report> {
    let (who, text) = split(rest);
    if who.is_empty() || text.is_empty() {
        return Err(usage("msg"));
    }
    Ok(Typed::Msg { who: who.to_owned(), text: text.to_owned() })
}

fn verify(rest: &str) -> Result<Typed, Report> {
    let (who, answer) = split(rest);
    match (who, answer.trim_end()) {
        ("", _) => Err(usage("verify")),
        (who, "") => Ok(Typed::Verify(who.to_owned())),
        (who, "yes") => Ok(Typed::Compared { who: who.to_owned(), same: true }),
        (who, "no") => Ok(Typed::Compared { who: who.to_owned(), same: false }),
        _ => Err(usage("verify")),
    }
}

fn room(rest: &str) -> Result<Typed, Report> {
    let (word, name) = split(rest);
    match (word, one(name)) {
        ("new", One::Word(name)) => Ok(Typed::RoomNew(name)),
        _ => Err(usage("room")),
    }
}

fn usage(word: &str) -> Report {
    let form = match word {
        "list" => "/list",
        "whoami" => "/whoami",
        "help" => "/help",
        "exit" | "quit" => "/quit",
        "msg" => "/msg WHO TEXT",
        "chat" => "/chat WHO",
        "accept" => "/accept [WHO]",
        "decline" => "/decline [WHO]",
        "end" => "/end [WHO]",
        "history" => "/history [N], N from 1 to 1000",
        "sent" => "/sent",
        "go" => "/go lobby, /go ROOM or /go WHO",
        "room" => "/room new NAME",
        "rooms" => "/rooms",
        "add" => "/add WHO",
        "remove" => "/remove WHO",
        "promote" => "/promote WHO",
        "leave" => "/leave",
        "members" => "/members",
        "verify" => "/verify WHO, then /verify WHO yes or /verify WHO no",
        "trust" => "/trust WHO",
        "block" => "/block WHO",
        "unblock" => "/unblock WHO",
        "invite" => "/invite",
        "name" => "/name NAME",
        "id" => "/id new",
        "delete-account" => "/delete-account, then /delete-account yes",
        "contacts" => "/contacts",
        "contact" => "/contact WHO",
        "password" => "/password; it is asked for on the next line",
        _ => return unknown(word),
    };
    Report::command(format!("/{word} is not complete, or has too much"), format!("usage: {form}"))
}

fn unknown(word: &str) -> Report {
    let help =
        "/help lists the commands; to send a text that begins with /, put a second / before it";
    Report::command(format!("unknown command /{word}"), help)
}

/// The first word, and what follows it without the white space between.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// What stands after a command: nothing, one word, or more.
enum One {
    None,
    Word(String),
    More,
}

fn one(rest: &str) -> One {
    let mut words = rest.split_whitespace();
    match (words.next(), words.next()) {
        (None, _) => One::None,
        (Some(word), None) => One::Word(word.to_owned()),
        (Some(_), Some(_)) => One::More,
    }
}

/// A line of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ordered {
    /// Nothing.
    Nothing,
    /// A message to everyone.
    Broadcast(String),
    /// A message to one member.
    To {
        /// To whom.
        who: String,
        /// What.
        text: String,
    },
    /// A message to a room.
    ToRoom {
        /// Its name.
        room: String,
        /// What.
        text: String,
    },
    /// Out of a room.
    Leave(String),
    /// What can be typed.
    Help,
    /// Ends the server.
    Quit,
}

/// What `/help` shows to the operator.
pub const CONSOLE_HELP: &str = "\
message          to everyone; //message for a text that begins with /, a space before @ or quit
@Name message    to one member
@#Room message   to a room that you were added to; /leave #Room leaves it
/help            this
quit             end the server";

/// Reads a line of the operator.
pub fn parse_order(line: &str) -> Result<Ordered, Report> {
    let trimmed = line.trim_end();
    if trimmed.is_empty() {
        return Ok(Ordered::Nothing);
    }
    if trimmed.eq_ignore_ascii_case("quit") {
        return Ok(Ordered::Quit);
    }
    if let Some(rest) = line.strip_prefix('@') {
        return order_to(rest);
    }
    match line.strip_prefix('/') {
        Some(rest) if rest.starts_with('/') => Ok(Ordered::Broadcast(rest.to_owned())),
        Some(rest) if rest.trim_end() == "help" => Ok(Ordered::Help),
        Some(rest) if rest.trim_end() == "quit" || rest.trim_end() == "exit" => Ok(Ordered::Quit),
        Some(rest) if split(rest).0 == "leave" => leave(split(rest).1),
        Some(rest) => Err(Report::command(
            format!("unknown command /{}", split(rest).0),
            "/help lists the commands",
        )),
        None => Ok(Ordered::Broadcast(without_guard(line).to_owned())),
    }
}

/// A space before what would be something else is not part of the text.
fn without_guard(line: &str) -> &str {
    let guarded = line
        .strip_prefix(' ')
        .filter(|rest| rest.starts_with('@') || rest.trim_end().eq_ignore_ascii_case("quit"));
    guarded.unwrap_or(line)
}

fn leave(rest: &str) -> Result<Ordered, Report> {
    let room = rest.trim().strip_prefix('#').filter(|room| !room.is_empty());
    let bad = || Report::command("'/leave' needs a room", "usage: /leave #Room");
    room.map(|room| Ordered::Leave(room.to_owned())).ok_or_else(bad)
}

fn order_to(rest: &str) -> Result<Ordered, Report> {
    let bad = || Report::command("'@' needs a name and a message", "usage: @Name message");
    if rest.starts_with(char::is_whitespace) {
        return Err(bad());
    }
    let (who, text) = split(rest);
    if who.is_empty() || text.is_empty() {
        return Err(bad());
    }
    let text = text.to_owned();
    Ok(match who.strip_prefix('#') {
        // No member's name begins so.
        Some("") => return Err(bad()),
        Some(room) => Ordered::ToRoom { room: room.to_owned(), text },
        None => Ordered::To { who: who.to_owned(), text },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(line: &str) -> Result<Typed, Report> {
        Ok(Typed::Text(line.to_owned()))
    }

    #[test]
    fn bare_text_is_a_message_whatever_is_in_it() {
        for line in ["Hello everyone!", " indented", "quit now", "@Bob", "a /list", "exit"] {
            assert_eq!(parse(line), text(line));
        }
        assert_eq!(parse("//list"), text("/list"));
        assert_eq!(parse("///"), text("//"));
        assert_eq!(parse(" quit"), text("quit"));
        assert_eq!(parse(""), Ok(Typed::Nothing));
    }

    #[test]
    fn quit_ends_in_any_case() {
        for line in ["quit", "QUIT", "Quit", "quit ", "/quit", "/exit"] {
            assert_eq!(parse(line), Ok(Typed::Quit), "{line}");
        }
    }

    #[test]
    fn commands_are_read_with_their_arguments() {
        let bob = || "Bob".to_owned();
        assert_eq!(parse("/list"), Ok(Typed::List));
        assert_eq!(parse("/whoami "), Ok(Typed::WhoAmI));
        assert_eq!(
            parse("/msg Bob  only you  see"),
            Ok(Typed::Msg { who: bob(), text: "only you  see".to_owned() })
        );
        assert_eq!(parse("/chat Bob"), Ok(Typed::Chat(bob())));
        assert_eq!(parse("/accept"), Ok(Typed::Accept(None)));
        assert_eq!(parse("/accept Bob"), Ok(Typed::Accept(Some(bob()))));
        assert_eq!(parse("/decline Bob"), Ok(Typed::Decline(Some(bob()))));
        assert_eq!(parse("/end"), Ok(Typed::End(None)));
        assert_eq!(parse("/room new team"), Ok(Typed::RoomNew("team".to_owned())));
        assert_eq!(parse("/rooms"), Ok(Typed::Rooms));
        assert_eq!(parse("/add Bob"), Ok(Typed::Add(bob())));
        assert_eq!(parse("/remove Bob"), Ok(Typed::Remove(bob())));
        assert_eq!(parse("/promote Bob"), Ok(Typed::Promote(bob())));
        assert_eq!(parse("/leave"), Ok(Typed::Leave));
        assert_eq!(parse("/members"), Ok(Typed::Members));
        assert_eq!(parse("/password"), Ok(Typed::Password));
        assert_eq!(parse("/go lobby"), Ok(Typed::Go(Place::Lobby)));
        assert_eq!(parse("/history"), Ok(Typed::History(20)));
        assert_eq!(parse("/history 3"), Ok(Typed::History(3)));
        assert_eq!(parse("/sent"), Ok(Typed::Sent));
        assert_eq!(parse("/go Bob"), Ok(Typed::Go(Place::Named(bob()))));
    }

    #[test]
    fn a_short_form_shows_its_usage() {
        for (line, usage) in [
            ("/msg", "usage: /msg WHO TEXT"),
            ("/msg Bob", "usage: /msg WHO TEXT"),
            ("/msg Bob ", "usage: /msg WHO TEXT"),
            ("/chat", "usage: /chat WHO"),
            ("/go", "usage: /go lobby, /go ROOM or /go WHO"),
            ("/room", "usage: /room new NAME"),
            ("/room old team", "usage: /room new NAME"),
            ("/add", "usage: /add WHO"),
            ("/leave team", "usage: /leave"),
            ("/password secret", "usage: /password; it is asked for on the next line"),
            ("/list all", "usage: /list"),
            ("/history 0", "usage: /history [N], N from 1 to 1000"),
            ("/history ten", "usage: /history [N], N from 1 to 1000"),
            ("/accept Bob Eve", "usage: /accept [WHO]"),
        ] {
            assert_eq!(parse(line).unwrap_err().help, usage, "{line}");
        }
    }

    #[test]
    fn an_unknown_word_is_an_error_and_never_a_message() {
        for line in ["/nick Bob", "/LIST", "/", "/ list", "/listx"] {
            let error = parse(line).expect_err(line);
            assert!(error.error.starts_with("unknown command /"), "{line}: {error}");
        }
    }

    #[test]
    fn the_operators_lines_are_read() {
        let broadcast = |text: &str| Ok(Ordered::Broadcast(text.to_owned()));
        assert_eq!(parse_order("Welcome to the chat!"), broadcast("Welcome to the chat!"));
        assert_eq!(parse_order("//x"), broadcast("/x"));
        assert_eq!(parse_order(" quit"), broadcast("quit"));
        assert_eq!(parse_order(" @all"), broadcast("@all"));
        assert_eq!(
            parse_order("@Alice How are you?"),
            Ok(Ordered::To { who: "Alice".to_owned(), text: "How are you?".to_owned() })
        );
        assert_eq!(parse_order("QUIT"), Ok(Ordered::Quit));
        assert_eq!(parse_order("/help"), Ok(Ordered::Help));
        assert_eq!(parse_order("   "), Ok(Ordered::Nothing));
        for bad in ["@", "@Alice", "@Alice  ", "@ Alice hi", "/kick Alice", "/"] {
            assert!(parse_order(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_slash_command_becomes_a_text(line in "/[^/].*") {
            prop_assert!(!matches!(parse(&line), Ok(Typed::Text(_))));
        }

        #[test]
        fn any_text_can_be_sent(line in "/.*") {
            prop_assert_eq!(parse(&format!("/{line}")), Ok(Typed::Text(line)));
        }
    }
}
