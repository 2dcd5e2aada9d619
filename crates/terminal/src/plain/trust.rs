//! What a person sees of who is who.

use super::view::{Asked, MAX_REMEMBERED, View};
use crate::plain::chats::{fingerprint, verified};
use crate::qr;
use crate::report::Report;
use undertone_engine::Command;
use undertone_engine::api::{Link, Person, Proof, SessionMark, Who};
use undertone_wire::account::{Fingerprint, SafetyNumber};
use undertone_wire::invite::Invite;
use undertone_wire::name::Name;

/// Stands before the texts of who is verified, on a terminal. No name has it in it.
const VERIFIED: &str = "\u{2713} ";

/// Stands behind the name of who came with another key. No name has a bracket in it.
const CHANGED: &str = " [key changed]";

impl View {
    /// Who wrote a text.
    pub(super) fn author(&self, person: &Person) -> String {
        let before = if person.verified && self.is_interactive() { VERIFIED } else { "" };
        let behind = if person.changed { CHANGED } else { "" };
        format!("{before}{}{behind}", person.name)
    }

    /// A number that the last list of contacts showed stands for who it was shown for, unless
    /// somebody is called so.
    pub(super) fn who(&self, word: String) -> Who {
        let number = word.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let called = |person: &&Person| person.name.as_str() == word;
        let contact = number.and_then(|at| self.contacts.get(at));
        match contact.filter(|_| !self.contacts.iter().any(|person| called(&person))) {
            Some(person) => Who(person.client_id.to_string()),
            None => Who(word),
        }
    }

    pub(super) fn contact_list(&mut self, contacts: Vec<Person>) {
        self.say(format!("Contacts: {}", contacts.len()));
        for (at, person) in contacts.iter().take(MAX_REMEMBERED).enumerate() {
            let mut state = verified(person).to_owned();
            if person.changed {
                state.push_str(", key changed");
            }
            if person.blocked {
                state.push_str(", blocked");
            }
            let (number, name, id) = (at + 1, &person.name, person.client_id);
            self.say(format!("  {number} {name} ({id}), {state}"));
        }
        self.contacts = contacts;
        self.contacts.truncate(MAX_REMEMBERED);
    }

    pub(super) fn contact_added(&mut self, person: &Person) {
        let (name, id, shown) = (&person.name, person.client_id, fingerprint(person));
        self.say(format!(
            "  {name} ({id}) is a contact, {}; fingerprint: {shown}",
            verified(person)
        ));
    }

    pub(super) fn compare(
        &mut self,
        who: &Person,
        mine: Fingerprint,
        number: &SafetyNumber,
        session: Option<&SessionMark>,
    ) {
        let (name, theirs) = (&who.name, fingerprint(who));
        self.say(format!("Safety number with {name} ({}):\n  {number}", verified(who)));
        if self.is_interactive()
            && let Some(code) = qr::lines(&number.digits())
        {
            self.say(code);
        }
        self.say(format!("  your fingerprint: {mine}\n  fingerprint of {name}: {theirs}"));
        if let Some(SessionMark { number, epoch, authenticator }) = session {
            self.say(format!("  session {number}, epoch {epoch}: {authenticator}"));
        }
        self.say(format!(
            "Does {name} see the same number, by /verify with your name? Ask in person or by telephone,\n\
             not here. Then: /verify {name} yes, or /verify {name} no"
        ));
        if who.changed {
            self.say(format!(
                "  another key was seen for {name}: the number is of the key seen first"
            ));
        }
    }

    pub(super) fn was_verified(&mut self, who: &Person, by: Proof) {
        self.remember(who);
        let name = &who.name;
        self.say(match by {
            Proof::Compared => format!("  {name} is verified"),
            Proof::Invited => format!("  {name} is verified: the link that you came by is theirs"),
            Proof::Came => format!("  {name} is verified: they came by the link that you made"),
        });
    }

    pub(super) fn was_not_verified(&mut self, who: &Person) {
        let name = &who.name;
        self.say(format!("  {name} is not verified"));
        self.problem(Report::command(
            format!("somebody may sit between you and {name}"),
            format!("/end {name}; write nothing to them before you have found out why"),
        ));
    }

    pub(super) fn was_trusted(&mut self, who: &Person) {
        let (name, shown) = (&who.name, fingerprint(who));
        self.say(format!(
            "  the key of {name} is {shown} from now on, not verified; /chat {name} asks for a chat with it"
        ));
    }

    pub(super) fn was_blocked(&mut self, who: &Person) {
        let name = &who.name;
        self.say(if who.blocked {
            format!("  {name} is blocked: nothing of {name} is shown any more")
        } else {
            format!("  {name} is blocked no more")
        });
    }

    pub(super) fn was_renamed(&mut self, who: &Person, before: &Name) {
        self.remember(who);
        let own = self.me.as_ref().is_some_and(|me| me.client_id == who.client_id);
        let name = &who.name;
        self.say(if own {
            format!("You are called {name} from now on; you were {before}")
        } else {
            format!("  {before} is called {name} from now on")
        });
    }

    pub(super) fn link_used_twice(&mut self, who: &Person) {
        let name = &who.name;
        self.problem(Report::command(
            format!("{name} came by a link of yours that somebody had come by before"),
            format!("one of the two is not who you gave it to: /verify {name}, and the other"),
        ));
    }

    pub(super) fn link_taken(&mut self, lobby: bool) {
        if lobby {
            self.say("  This link leads into another lobby: who was in the one before is here once they have it too");
        } else {
            self.say("  This link counts from now on");
        }
    }

    /// A link is shown where it was asked for, and nowhere else.
    pub(super) fn link(&mut self, link: &Link) {
        self.say("A link for one person. Whoever opens it comes in; the first who does is verified to you:");
        self.say(link.0.clone());
        let local = Invite::parse(&link.0).is_ok_and(|invite| invite.origin.host().is_loopback());
        if local {
            self.say(
                "Only this computer can reach it. For friends: undertone server --help friends",
            );
        } else if self.is_interactive()
            && let Some(code) = qr::lines(&link.0)
        {
            self.say(code);
        }
    }

    /// In a pipe nobody can be asked.
    pub(super) fn delete_account(&mut self, yes: bool) {
        if yes || !self.is_interactive() {
            return self.ask(Asked::Other, Command::DeleteAccount);
        }
        self.say(
            "This ends all your chats, leaves all your rooms, deletes the account at the relay and all that is\n\
             kept here, your history too. Nobody can take it back. If you mean it: /delete-account yes",
        );
    }

    pub(super) fn id_changed(&mut self, id: &str) {
        self.say(format!("You have another id from now on; the one before was {id}"));
    }

    pub(super) fn account_deleted(&mut self) {
        self.deleted = true;
        self.say("Your account is deleted, and all that was kept here");
        self.quit();
    }

    pub(super) fn rename(&mut self, name: &str) {
        match Name::parse(name) {
            Ok(name) => self.ask(Asked::Other, Command::Rename(name)),
            Err(error) => self.problem(Report::name(name, error).for_a_command()),
        }
    }
}
