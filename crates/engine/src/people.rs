//! Whom one knows, and who is online.

use crate::api::{CommandError, Person, Who};
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};
use undertone_wire::account::AccountKey;
use undertone_wire::frame::Present;
use undertone_wire::ids::ClientId;
use undertone_wire::name::Name;

/// Contacts kept at most: a row each, 150 bytes; beyond it new ones are met but not remembered.
pub(crate) const MAX_CONTACTS: usize = 20_000;
/// Members online kept at most: the user list's bound and as many who came later.
const MAX_ONLINE: usize = 8_192;

/// An account as it was first seen. Its key never changes by itself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct Contact {
    #[n(0)]
    pub(crate) client_id: ClientId,
    #[n(1)]
    pub(crate) name: Name,
    #[n(2)]
    pub(crate) account: AccountKey,
    #[n(3)]
    pub(crate) verified: bool,
    /// Another key was shown for this id, and the person has not said which counts.
    #[n(4)]
    pub(crate) shown: Option<AccountKey>,
    /// This one came under a name by which another account was known.
    #[n(5)]
    pub(crate) takes_from: Option<ClientId>,
    /// The person said that the name is another's now, or the account goes on under another id.
    #[n(6)]
    former: Option<bool>,
    /// The person wants to hear nothing of this one.
    #[n(7)]
    blocked: Option<bool>,
}

impl Contact {
    fn new(client_id: ClientId, name: &Name, account: &AccountKey) -> Self {
        Self {
            client_id,
            name: name.clone(),
            account: *account,
            verified: false,
            shown: None,
            takes_from: None,
            former: None,
            blocked: None,
        }
    }

    fn is_former(&self) -> bool {
        self.former == Some(true)
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked == Some(true)
    }
}

/// What is seen of somebody who proved an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Met {
    /// Known as this already.
    Known,
    /// Not known, and there is no room to remember any more.
    Forgotten,
    /// These are to be stored.
    New {
        /// Of this one first.
        contacts: Vec<Contact>,
        /// The maker of the link that one came by: proven by it.
        inviter: bool,
        /// Another account was known under the name, by this key.
        takes: Option<AccountKey>,
    },
    /// The same account has another name than before.
    Renamed(Contact, Name),
    /// Another key than the one first seen under this id; none: as was noted before.
    KeyChanged {
        /// The one first seen.
        pinned: AccountKey,
        /// To be stored, unless this key was noted before.
        noted: Option<Contact>,
    },
}

/// Where a name was seen. What names a leaf was signed once and may be old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A card or a note, made when it was sent.
    Fresh,
    /// The leaf of a group.
    Leaf,
}

#[derive(Debug, Default)]
pub(crate) struct People {
    contacts: BTreeMap<ClientId, Contact>,
    online: BTreeMap<ClientId, Name>,
    /// Of those online, whose coming the person was told.
    shown: BTreeSet<ClientId>,
    /// The operator's account as the invite named it: the only one that is shown as `Server`.
    operator: Option<[u8; 16]>,
    /// Who made the link that one came by: the account is proven by it.
    inviter: Option<[u8; 16]>,
}

impl People {
    pub(crate) fn new(operator: Option<[u8; 16]>, inviter: Option<[u8; 16]>) -> Self {
        Self { operator, inviter, ..Self::default() }
    }

    /// Another link counts: it names these.
    pub(crate) fn came_by(&mut self, operator: Option<[u8; 16]>, inviter: Option<[u8; 16]>) {
        (self.operator, self.inviter) = (operator, inviter);
    }

    pub(crate) fn remember(&mut self, contact: Contact) {
        self.contacts.insert(contact.client_id, contact);
    }

    pub(crate) fn contacts(&self) -> impl Iterator<Item = &Contact> {
        self.contacts.values()
    }

    pub(crate) fn contact(&self, id: &ClientId) -> Option<&Contact> {
        self.contacts.get(id)
    }

    /// Notes an account that proved itself.
    pub(crate) fn meet(
        &mut self,
        client_id: ClientId,
        name: &Name,
        account: &AccountKey,
        source: Source,
    ) -> Met {
        let Some(known) = self.contacts.get_mut(&client_id) else {
            return self.meet_first(client_id, name, account);
        };
        if known.account != *account {
            let pinned = known.account;
            let again = known.shown == Some(*account);
            known.shown = Some(*account);
            return Met::KeyChanged { pinned, noted: (!again).then(|| known.clone()) };
        }
        if known.name == *name || source == Source::Leaf {
            return Met::Known;
        }
        let before = std::mem::replace(&mut known.name, name.clone());
        (known.takes_from, known.former) = (None, None);
        let takes = self.holder(name, &client_id).map(|holder| holder.client_id);
        let Some(known) = self.contacts.get_mut(&client_id) else { return Met::Known };
        known.takes_from = takes;
        Met::Renamed(known.clone(), before)
    }

    fn meet_first(&mut self, client_id: ClientId, name: &Name, account: &AccountKey) -> Met {
        if self.contacts.len() >= MAX_CONTACTS {
            return Met::Forgotten;
        }
        let mut contact = Contact::new(client_id, name, account);
        let before = self.contacts.values_mut().find(|c| c.account == *account && !c.is_former());
        // The same account under another id: what was known of it goes on, its old id does not.
        let before = before.map(|before| {
            before.former = Some(true);
            (contact.verified, contact.blocked) = (before.verified, before.blocked);
            before.clone()
        });
        let holder = self.holder(name, &client_id);
        let takes = holder.map(|holder| holder.account);
        contact.takes_from = holder.map(|holder| holder.client_id);
        let inviter = self.inviter.is_some_and(|hash| account.hash().0.starts_with(&hash));
        contact.verified |= inviter;
        self.contacts.insert(client_id, contact.clone());
        let contacts = std::iter::once(contact).chain(before).collect();
        Met::New { contacts, inviter, takes }
    }

    /// The account that is known under a name.
    fn holder(&self, name: &Name, except: &ClientId) -> Option<&Contact> {
        let key = name.key();
        let holds = |c: &&Contact| {
            c.name.key() == key
                && !c.is_former()
                && c.takes_from.is_none()
                && c.client_id != *except
        };
        self.contacts.values().find(holds)
    }

    /// Who is known under the name that this contact came with, if it is another account: whoever
    /// means the one must not write to the other.
    pub(crate) fn takes_from(&self, contact: &Contact) -> Option<&Contact> {
        let other = self.contacts.get(&contact.takes_from?)?;
        let holds = other.name.key() == contact.name.key() && !other.is_former();
        holds.then_some(other)
    }

    /// Whether the person must say first which key counts.
    pub(crate) fn is_changed(&self, id: &ClientId) -> bool {
        let contact = self.contacts.get(id);
        contact.is_some_and(|c| c.shown.is_some() || self.takes_from(c).is_some())
    }

    pub(crate) fn is_blocked(&self, id: &ClientId) -> bool {
        self.contacts.get(id).is_some_and(Contact::is_blocked)
    }

    /// Changes what is noted of a contact; what is to be stored.
    pub(crate) fn note(
        &mut self,
        id: &ClientId,
        change: impl FnOnce(&mut Contact),
    ) -> Option<Contact> {
        let contact = self.contacts.get_mut(id)?;
        change(contact);
        Some(contact.clone())
    }

    pub(crate) fn block(&mut self, id: &ClientId, blocked: bool) -> Option<Contact> {
        self.note(id, |contact| contact.blocked = blocked.then_some(true))
    }

    /// The newer key or account counts from now on; what is to be stored. Empty: there is none.
    pub(crate) fn trust(&mut self, id: &ClientId) -> Vec<Contact> {
        let taken = self.contacts.get(id).and_then(|c| self.takes_from(c)).map(|c| c.client_id);
        let former = taken.and_then(|old| self.note(&old, |old| old.former = Some(true)));
        let Some(contact) = self.contacts.get_mut(id) else { return Vec::new() };
        if contact.shown.is_none() && former.is_none() {
            return Vec::new();
        }
        if let Some(account) = contact.shown.take() {
            (contact.account, contact.verified) = (account, false);
        }
        contact.takes_from = None;
        std::iter::once(contact.clone()).chain(former).collect()
    }

    /// The maker of the link that one came by, once met.
    pub(crate) fn met_inviter(&self) -> Option<&Contact> {
        let hash = self.inviter?;
        self.contacts.values().find(|c| c.account.hash().0.starts_with(&hash) && !c.is_former())
    }

    /// Everybody whom one knows, by name.
    pub(crate) fn known(&self) -> Vec<&Contact> {
        let mut known: Vec<_> = self.contacts.values().filter(|c| !c.is_former()).collect();
        known.sort_by(|a, b| {
            a.name.as_str().cmp(b.name.as_str()).then(a.client_id.cmp(&b.client_id))
        });
        known
    }

    /// Whether an account may be shown under this name: `Server` is the operator's alone.
    pub(crate) fn may_be_called(&self, name: &Name, account: &AccountKey) -> bool {
        let proven = self.operator.is_some_and(|hash| account.hash().0.starts_with(&hash));
        !name.is_operator() || proven
    }

    /// Whether the link that one came by says who the operator is.
    pub(crate) fn knows_operator(&self) -> bool {
        self.operator.is_some()
    }

    pub(crate) fn came(&mut self, present: &Present) -> bool {
        self.online.len() < MAX_ONLINE
            && self.online.insert(present.client_id, present.name.clone()).is_none()
    }

    pub(crate) fn went(&mut self, id: &ClientId) -> Option<Name> {
        self.online.remove(id)
    }

    /// The person knows that this one is here; true: did not know before.
    pub(crate) fn shown(&mut self, id: ClientId) -> bool {
        self.shown.insert(id)
    }

    /// This one is not here any more; true: the person thinks so and must be told.
    pub(crate) fn hidden(&mut self, id: &ClientId) -> bool {
        self.shown.remove(id)
    }

    pub(crate) fn is_online(&self, id: &ClientId) -> bool {
        self.online.contains_key(id)
    }

    /// What the relay calls this one.
    pub(crate) fn online_name(&self, id: &ClientId) -> Option<&Name> {
        self.online.get(id)
    }

    pub(crate) fn online(&self) -> impl Iterator<Item = (&ClientId, &Name)> {
        self.online.iter()
    }

    /// Takes a whole list; says who is new and who is gone.
    pub(crate) fn replace_online(
        &mut self,
        list: Vec<Present>,
    ) -> (Vec<ClientId>, Vec<(ClientId, Name)>) {
        let before = std::mem::take(&mut self.online);
        self.online = list.into_iter().map(|p| (p.client_id, p.name)).take(MAX_ONLINE).collect();
        let came = self.online.keys().filter(|id| !before.contains_key(*id)).copied().collect();
        let went = before.into_iter().filter(|(id, _)| !self.online.contains_key(id)).collect();
        (came, went)
    }

    /// How a member is shown. The relay holds each name for one member only, so where it is known
    /// from there, it counts more than what a member says of itself; but what a verified account has
    /// signed counts more than what the relay says. Nobody's word makes somebody else `Server`.
    pub(crate) fn person(&self, id: &ClientId, claimed: Option<&Name>) -> Option<Person> {
        let contact = self.contacts.get(id);
        let signed = contact.map(|contact| &contact.name);
        let verified = contact.is_some_and(|contact| contact.verified);
        let proven = signed.filter(|_| verified);
        let operator = Name::operator();
        let is_operator = contact.is_some_and(|c| self.may_be_called(&operator, &c.account));
        let said = [proven, self.online.get(id), signed, claimed].into_iter().flatten();
        let name = said.into_iter().find(|name| is_operator || !name.is_operator())?.clone();
        let fingerprint = contact.map(|contact| contact.account.fingerprint());
        let (changed, blocked) = (self.is_changed(id), self.is_blocked(id));
        Some(Person { client_id: *id, name, fingerprint, verified, changed, blocked })
    }

    /// Who is meant, among those online and known: a name, or the start of an id (4 digits or
    /// more). `Ok(None)`: nobody here; the relay may know more.
    pub(crate) fn resolve(&self, who: &Who) -> Result<Option<ClientId>, CommandError> {
        if let Some(id) = ClientId::parse(&who.0) {
            return Ok(self.knows(&id).then_some(id));
        }
        if let Some(name) = crate::engine::member_name(&who.0)
            && let Some(id) = self.by_name(&name)
        {
            return Ok(Some(id));
        }
        self.by_id_start(&who.0)
    }

    /// Whether the relay says that somebody else than the account one knows has this name: the
    /// card says who it is.
    pub(crate) fn is_taken(&self, who: &Who) -> bool {
        let Some(name) = crate::engine::member_name(&who.0) else { return false };
        let key = name.key();
        let Some((id, _)) = self.online.iter().find(|(_, name)| name.key() == key) else {
            return false;
        };
        let known = self.contacts.get(id).is_some_and(|contact| contact.name.key() == key);
        !known && self.holder(&name, id).is_some()
    }

    fn knows(&self, id: &ClientId) -> bool {
        self.online.contains_key(id) || self.contacts.contains_key(id)
    }

    /// Of two who have a name the newer one, which cannot be written to before the person has said
    /// that it counts.
    fn by_name(&self, name: &Name) -> Option<ClientId> {
        let key = name.key();
        let named = |contact: &&Contact| contact.name.key() == key && !contact.is_former();
        let newer = |contact: &&Contact| named(contact) && self.takes_from(contact).is_some();
        let known =
            || self.contacts.values().find(newer).or_else(|| self.contacts.values().find(named));
        let online = || self.online.iter().find(|(_, name)| name.key() == key).map(|(id, _)| *id);
        known().map(|contact| contact.client_id).or_else(online)
    }

    fn by_id_start(&self, start: &str) -> Result<Option<ClientId>, CommandError> {
        const SHORTEST: usize = 4;
        let start = start.to_ascii_lowercase();
        if start.len() < SHORTEST || !start.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
            return Ok(None);
        }
        let ids = self.online.keys().chain(self.contacts.keys());
        let mut found: Vec<_> = ids.filter(|id| id.to_string().starts_with(&start)).collect();
        found.sort_unstable();
        found.dedup();
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(**one)),
            _ => Err(CommandError::Ambiguous(start)),
        }
    }
}
