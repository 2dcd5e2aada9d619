//! Whom one knows, and who is online.

use crate::api::{CommandError, Person, Who};
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};
use undertone_wire::account::AccountKey;
use undertone_wire::frame::Present;
use undertone_wire::ids::ClientId;
use undertone_wire::name::Name;

/// Contacts kept at most: a row each, 150 bytes; beyond it new ones are met but not remembered.
const MAX_CONTACTS: usize = 20_000;
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
}

/// Another key than the one first seen under this id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyChanged;

#[derive(Debug, Default)]
pub(crate) struct People {
    contacts: BTreeMap<ClientId, Contact>,
    online: BTreeMap<ClientId, Name>,
    /// Of those online, whose coming the person was told.
    shown: BTreeSet<ClientId>,
    /// The operator's account as the invite named it: the only one that is shown as `Server`.
    operator: Option<[u8; 16]>,
}

impl People {
    pub(crate) fn new(operator: Option<[u8; 16]>) -> Self {
        Self { operator, ..Self::default() }
    }

    pub(crate) fn remember(&mut self, contact: Contact) {
        self.contacts.insert(contact.client_id, contact);
    }

    pub(crate) fn contact(&self, id: &ClientId) -> Option<&Contact> {
        self.contacts.get(id)
    }

    /// Notes an account that proved itself. `Ok(Some)`: it is new or has another name, store it.
    pub(crate) fn meet(
        &mut self,
        client_id: ClientId,
        name: &Name,
        account: &AccountKey,
    ) -> Result<Option<Contact>, KeyChanged> {
        let full = self.contacts.len() >= MAX_CONTACTS;
        match self.contacts.get_mut(&client_id) {
            Some(known) if known.account != *account => Err(KeyChanged),
            Some(known) if known.name == *name => Ok(None),
            Some(known) => {
                known.name = name.clone();
                Ok(Some(known.clone()))
            }
            None if full => Ok(None),
            None => {
                let name = name.clone();
                let contact = Contact { client_id, name, account: *account, verified: false };
                self.contacts.insert(client_id, contact.clone());
                Ok(Some(contact))
            }
        }
    }

    /// Whether an account may be shown under this name: `Server` is the operator's alone.
    pub(crate) fn may_be_called(&self, name: &Name, account: &AccountKey) -> bool {
        let proven = self.operator.is_some_and(|hash| account.hash().0.starts_with(&hash));
        !name.is_operator() || proven
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
    /// from there, it counts more than what a member says of itself.
    pub(crate) fn person(&self, id: &ClientId, claimed: Option<&Name>) -> Option<Person> {
        let contact = self.contacts.get(id);
        let name = self.online.get(id).or(contact.map(|c| &c.name)).or(claimed)?.clone();
        let fingerprint = contact.map(|contact| contact.account.fingerprint());
        let verified = contact.is_some_and(|contact| contact.verified);
        Some(Person { client_id: *id, name, fingerprint, verified })
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

    fn knows(&self, id: &ClientId) -> bool {
        self.online.contains_key(id) || self.contacts.contains_key(id)
    }

    fn by_name(&self, name: &Name) -> Option<ClientId> {
        let key = name.key();
        let online = self.online.iter().find(|(_, name)| name.key() == key);
        let known = || self.contacts.values().find(|contact| contact.name.key() == key);
        online.map(|(id, _)| *id).or_else(|| known().map(|contact| contact.client_id))
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
