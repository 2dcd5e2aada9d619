//! Keys as bytes.

use undertone_relay::store::{Account, StoreKey};
use undertone_wire::ids::{ClientId, Hash, LogId};

const REGISTRY: u8 = 0;
const KEY_PACKAGES: u8 = 1;
const LOG: u8 = 2;
const INBOX: u8 = 3;
/// Of no record, but part of the place of a share.
const SHARE: u8 = 4;

/// A key's bytes: its kind, then the id. No two keys have the same.
#[derive(Clone, Copy)]
pub(super) struct Key {
    bytes: [u8; 33],
    length: usize,
}

impl Key {
    pub(super) fn of(key: StoreKey) -> Self {
        match &key {
            StoreKey::Registry(hash) => Self::new(REGISTRY, &hash.0),
            StoreKey::KeyPackages(id) => Self::new(KEY_PACKAGES, &id.0),
            StoreKey::Log(id) => Self::new(LOG, &id.0),
            StoreKey::Inbox(id) => Self::new(INBOX, &id.0),
            StoreKey::Share(account) => Self::of_account(*account),
        }
    }

    pub(super) fn of_account(account: Account) -> Self {
        match &account {
            Account::Logs => Self::new(SHARE, b"l"),
            Account::Inboxes => Self::new(SHARE, b"i"),
            Account::Member(id) => Self::new(SHARE, &id.0),
        }
    }

    fn new(kind: u8, id: &[u8]) -> Self {
        let mut bytes = [0; 33];
        bytes.iter_mut().zip([kind].iter().chain(id)).for_each(|(to, from)| *to = *from);
        Self { bytes, length: 1 + id.len() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The key of a record, from its bytes.
pub(super) fn read(bytes: &[u8]) -> Option<StoreKey> {
    let (kind, id) = bytes.split_first()?;
    match *kind {
        REGISTRY => Hash::from_slice(id).map(StoreKey::Registry),
        KEY_PACKAGES => ClientId::from_slice(id).map(StoreKey::KeyPackages),
        LOG => LogId::from_slice(id).map(StoreKey::Log),
        INBOX => ClientId::from_slice(id).map(StoreKey::Inbox),
        _ => None,
    }
}

/// An account, from the bytes of its key.
pub(super) fn read_account(bytes: &[u8]) -> Option<Account> {
    match bytes.split_first()? {
        (&SHARE, b"l") => Some(Account::Logs),
        (&SHARE, b"i") => Some(Account::Inboxes),
        (&SHARE, id) => ClientId::from_slice(id).map(Account::Member),
        _ => None,
    }
}

/// A record by name, for those who run the relay: what kind, and the start of its id.
pub(super) fn name(bytes: &[u8]) -> String {
    let (kind, id) = bytes.split_first().unwrap_or((&u8::MAX, &[]));
    let kind = match *kind {
        REGISTRY => "registry record",
        KEY_PACKAGES => "key packages of",
        LOG => "log",
        INBOX => "inbox of",
        SHARE => "counts of",
        _ => "unknown record",
    };
    let id = id.get(..8).unwrap_or(id);
    format!("{kind} {}", data_encoding::HEXLOWER.encode(id))
}
