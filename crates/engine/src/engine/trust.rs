//! Who is who: what two people compare, keys that changed, links that carry who invites, who is
//! blocked.

use crate::api::{Command, CommandError, EventKind, Link, Proof, Trouble, Who};
use crate::core::{Ask, Cx};
use crate::direct::Then;
use crate::engine::Hands;
use crate::notes::{self, Body, Note};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use undertone_wire::account::{Card, SafetyNumber};
use undertone_wire::frame::{Request, Who as WireWho};
use undertone_wire::ids::{ClientId, EntryId, Hash};
use undertone_wire::invite::{Introduction, Invite, Inviter};
use undertone_wire::name::Name;
use zeroize::Zeroizing;

/// Links of one's own by which somebody may still come and be known: as many as a person gives away in
/// a season. With one more the oldest introduces nobody any more; it still lets in.
const MAX_LINKS: usize = 64;

/// Names that are looked up anew on one connection: everybody who took another name while one was
/// away, in any but the largest lobbies.
const MAX_NAMES: usize = 256;

/// A link of one's own.
#[derive(Debug, Clone, Copy, Encode, Decode)]
#[cbor(array)]
pub(crate) struct OwnLink {
    /// Rises with every link.
    #[n(0)]
    number: u64,
    #[n(1)]
    used: bool,
}

/// The links of one's own, by their introductions' hashes.
pub(crate) type OwnLinks = BTreeMap<Hash, OwnLink>;

fn link_name(hash: &Hash) -> Vec<u8> {
    [b"link/".as_slice(), &hash.0].concat()
}

pub(super) fn load_links(rows: &BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>) -> Option<OwnLinks> {
    let rows = super::rows_under::<OwnLink>(rows, b"link/");
    rows.map(|row| {
        let (name, link) = row?;
        Some((Hash(name.try_into().ok()?), link))
    })
    .collect()
}

impl Hands<'_, '_> {
    pub(super) fn trust_command(&mut self, command: Command) -> Result<(), CommandError> {
        match command {
            Command::Verify(who) => self.find(who, Then::Compare),
            Command::Compared { who, same } => self.find(who, Then::Compared(same)),
            Command::Trust(who) => self.find(who, Then::Trust),
            Command::Block(who) => self.find(who, Then::Block(true)),
            Command::Unblock(who) => self.find(who, Then::Block(false)),
            Command::Invite => self.invite(),
            Command::Rename(name) => self.rename(name),
            _ => {
                let known = self.cx.core.people.known();
                let people =
                    known.iter().filter_map(|c| self.cx.core.people.person(&c.client_id, None));
                let people = people.collect();
                self.cx.event(EventKind::Contacts(people));
                Ok(())
            }
        }
    }

    /// It is known who is meant.
    pub(super) fn trust_found(&mut self, peer: ClientId, then: &Then) -> Result<(), CommandError> {
        match then {
            Then::Compare => self.compare(peer),
            Then::Compared(same) => self.compared(peer, *same),
            Then::Trust => self.trust(peer),
            Then::Block(blocked) => self.block(peer, *blocked),
            _ => Ok(()),
        }
    }

    /// Whether this can be told only of an account whose card was seen.
    pub(super) fn needs_contact(then: &Then) -> bool {
        matches!(then, Then::Compare | Then::Compared(_) | Then::Trust | Then::Block(_))
    }

    /// Nothing goes to somebody whose key has changed, or who is blocked.
    pub(super) fn may_write(&self, peer: &ClientId) -> Result<(), CommandError> {
        let people = &self.cx.core.people;
        if people.is_changed(peer) {
            return Err(CommandError::KeyChanged(self.cx.called(peer)));
        }
        if people.is_blocked(peer) {
            return Err(CommandError::Blocked(self.cx.called(peer)));
        }
        Ok(())
    }

    fn compare(&mut self, peer: ClientId) -> Result<(), CommandError> {
        let core = &*self.cx.core;
        let unknown = || CommandError::UnknownMember(peer.to_string());
        let theirs = core.people.contact(&peer).ok_or_else(unknown)?.account;
        let who = core.people.person(&peer, None).ok_or_else(unknown)?;
        let mine = core.identity.account.public();
        let number = SafetyNumber::between(&mine, &theirs);
        let session = self.chats.mark(&peer);
        self.cx.event(EventKind::Compare { who, mine: mine.fingerprint(), number, session });
        Ok(())
    }

    /// The numbers that are compared are of the key first seen: where they are the same, it counts,
    /// whatever other key the relay has shown.
    fn compared(&mut self, peer: ClientId, same: bool) -> Result<(), CommandError> {
        self.note_contact(&peer, |contact| {
            contact.verified = same;
            if same {
                contact.shown = None;
            }
        })?;
        let Some(who) = self.cx.core.people.person(&peer, None) else { return Ok(()) };
        self.cx.event(match same {
            true => EventKind::Verified { who, by: Proof::Compared },
            false => EventKind::NotVerified(who),
        });
        Ok(())
    }

    fn trust(&mut self, peer: ClientId) -> Result<(), CommandError> {
        let unknown = || CommandError::UnknownMember(peer.to_string());
        let before = self.cx.core.people.contact(&peer).ok_or_else(unknown)?.account;
        let changed = self.cx.core.people.trust(&peer);
        changed.iter().for_each(|contact| self.cx.put_contact(contact));
        let who = self.cx.core.people.person(&peer, None).ok_or_else(unknown)?;
        let Some(now) = changed.first() else {
            return Err(CommandError::KeyNotChanged(who.name.to_string()));
        };
        if now.account != before {
            // What there was belongs to the key before.
            self.chats.end_with_key(self.cx, &peer);
        }
        self.cx.event(EventKind::Trusted(who));
        Ok(())
    }

    fn block(&mut self, peer: ClientId, blocked: bool) -> Result<(), CommandError> {
        let unknown = || CommandError::UnknownMember(peer.to_string());
        let contact = self.cx.core.people.block(&peer, blocked).ok_or_else(unknown)?;
        self.cx.put_contact(&contact);
        if blocked {
            self.chats.end_blocked(self.cx, &peer);
        }
        if let Some(who) = self.cx.core.people.person(&peer, None) {
            self.cx.event(EventKind::Blocked(who));
        }
        Ok(())
    }

    pub(super) fn note_contact(
        &mut self,
        peer: &ClientId,
        change: impl FnOnce(&mut crate::people::Contact),
    ) -> Result<(), CommandError> {
        let unknown = || CommandError::UnknownMember(peer.to_string());
        let contact = self.cx.core.people.note(peer, change).ok_or_else(unknown)?;
        self.cx.put_contact(&contact);
        Ok(())
    }

    /// A link is given on only where it leads somewhere: the relay is asked whether its half of it, with
    /// which one came, lets in anybody else.
    fn invite(&mut self) -> Result<(), CommandError> {
        if !self.cx.core.registered {
            return Err(CommandError::NotConnected);
        }
        let came_by =
            Invite::parse(&self.way.link).map_err(|_| CommandError::Internal("one's own link"))?;
        let id = EntryId(came_by.relay_half().psk_id.0);
        let asked = self.cx.ask(Ask::LookAtInvite, |seq| Request::LookAtInvite { seq, id });
        asked.map(drop).ok_or(CommandError::NotConnected)
    }

    /// A link for one person: whoever follows it knows this account by it, and the first who does is
    /// known here.
    pub(super) fn give_link(&mut self) {
        let (Some(name), Ok(came_by)) = (self.cx.my_name(), Invite::parse(&self.way.link)) else {
            return;
        };
        let drawn = self.cx.draw();
        let introduction =
            Introduction::from_bytes(drawn.first_chunk().copied().unwrap_or_default());
        self.keep_link(introduction.hash());
        let account = self.cx.core.identity.account.public().hash();
        let key_hash = account.0.first_chunk().copied().unwrap_or_default();
        let inviter = Inviter { name, key_hash, introduction: Some(introduction) };
        let (relay, lobby) = (came_by.relay_half().clone(), came_by.lobby_half().cloned());
        let operator = came_by.operator();
        let link = Invite::new(came_by.origin, relay, lobby, Some(inviter)).of_operator(operator);
        self.cx.event(EventKind::Link(Link(link.to_link())));
    }

    fn keep_link(&mut self, hash: Hash) {
        let links = &mut self.cx.core.links;
        let number = links.values().map(|link| link.number).max().unwrap_or(0) + 1;
        let link = OwnLink { number, used: false };
        links.insert(hash, link);
        let oldest = links.iter().min_by_key(|(_, link)| link.number).map(|(hash, _)| *hash);
        let surplus = oldest.filter(|_| links.len() > MAX_LINKS);
        if let Some(oldest) = surplus {
            links.remove(&oldest);
            self.cx.delete(&link_name(&oldest));
        }
        self.cx.put(&link_name(&hash), &link);
    }

    /// Somebody shows that they came by a link of one's own. The first one is who it was given to.
    pub(super) fn introduced(&mut self, note: &Note, shown: &Introduction) {
        let hash = shown.hash();
        let Some(link) = self.cx.core.links.get_mut(&hash) else { return };
        let again = std::mem::replace(&mut link.used, true);
        let link = *link;
        if !self.cx.meet(note.from, &note.name, &note.account) {
            return;
        }
        let known = self.cx.person(&note.from, &note.name);
        if again {
            // The note may have come twice.
            if !known.verified {
                self.cx.news(EventKind::LinkUsedTwice(known));
            }
            return;
        }
        self.cx.put(&link_name(&hash), &link);
        if self.note_contact(&note.from, |contact| contact.verified = true).is_ok() {
            let who = self.cx.person(&note.from, &note.name);
            self.cx.news(EventKind::Verified { who, by: Proof::Came });
        }
    }

    /// Whoever made the link that one came by is looked up once, and told who came.
    pub(super) fn introduce(&mut self) {
        if self.cx.core.profile.introduced == Some(true) {
            return;
        }
        let Some(inviter) = self.inviter() else { return };
        let met = self.cx.core.people.met_inviter().map(|contact| contact.client_id);
        let who = met.map_or(WireWho::Name(inviter.name), WireWho::Id);
        self.cx.ask(Ask::Inviter, |seq| Request::Lookup { seq, who });
    }

    fn inviter(&self) -> Option<Inviter> {
        let inviter = Invite::parse(&self.way.link).ok()?.inviter?;
        let account = self.cx.core.identity.account.public().hash();
        (!account.0.starts_with(&inviter.key_hash)).then_some(inviter)
    }

    /// Their card, or of somebody who has their name now.
    pub(super) fn on_inviter(&mut self, card: Option<Card>) {
        let Some(inviter) = self.inviter() else { return };
        let named = |card: &Card| card.account.hash().0.starts_with(&inviter.key_hash);
        let Some(card) = card.filter(|card| named(card) && card.verify().is_ok()) else { return };
        if !self.cx.meet(card.client_id, &card.name, &card.account) {
            return;
        }
        let Some(introduction) = inviter.introduction else { return self.was_introduced() };
        let body = Body::Introduction(introduction);
        if let Some(note) = Note::sealed(self.cx, card.client_id, &card.inbox, body) {
            self.cx.ask(Ask::Introduction, notes::delivery(card.client_id, note));
        }
    }

    pub(super) fn was_introduced(&mut self) {
        self.cx.core.profile.introduced = Some(true);
        self.cx.put_profile();
    }

    /// Takes another name, with the relay's leave: it is asked on a new link.
    fn rename(&mut self, name: Name) -> Result<(), CommandError> {
        if !self.cx.core.registered {
            return Err(CommandError::NotConnected);
        }
        let profile = &mut self.cx.core.profile;
        if profile.name.as_ref() == Some(&name) {
            return Ok(());
        }
        profile.next_name = Some(name);
        profile.card_version = profile.card_version.saturating_add(1);
        self.cx.put_profile();
        self.cx.step.redial = true;
        Ok(())
    }

    /// Somebody is online under another name than the one their account has signed: the card says
    /// which it is.
    pub(super) fn look_up_name(&mut self, id: ClientId) {
        let people = &self.cx.core.people;
        let signed = people.contact(&id).map(|contact| contact.name.clone());
        let online = people.online_name(&id).cloned();
        let differs = signed.is_some() && online.is_some() && signed != online;
        if differs && self.cx.core.names_asked < MAX_NAMES {
            self.cx.core.names_asked += 1;
            self.cx.ask(Ask::NameOf(id), |seq| Request::Lookup { seq, who: WireWho::Id(id) });
        }
    }

    pub(super) fn on_name(&mut self, id: ClientId, card: Option<Card>) {
        let Some(card) = card.filter(|card| card.client_id == id) else { return };
        match card.verify() {
            Ok(()) => drop(self.cx.meet(id, &card.name, &card.account)),
            Err(_) => {
                let name = card.name.as_str().to_owned();
                self.cx.trouble(Trouble::BadSignature { name });
            }
        }
    }

    /// Whether `who` is the name of somebody else than whom one knows by it, as the relay says.
    pub(super) fn is_taken(&self, who: &Who) -> bool {
        self.cx.core.people.is_taken(who)
    }
}

impl Cx<'_> {
    /// How somebody is called, for an error.
    pub(crate) fn called(&self, id: &ClientId) -> String {
        let person = self.core.people.person(id, None);
        person.map_or_else(|| id.to_string(), |person| person.name.to_string())
    }
}
