//! An account on its way to another machine: who one is and whom one knows, without any key of the
//! device and without a word that was said.

use crate::api::Step;
use crate::core::{Core, Cx, Profile};
use crate::direct::CarriedChat;
use crate::engine::registration::KEY_ROW;
use crate::engine::rows::{inviter_of, keys_row};
use crate::engine::{Engine, EngineError};
use crate::identity::Identity;
use crate::lobby::Lobby;
use crate::mls::{Provider, StepKey};
use crate::people::{Contact, MAX_CONTACTS, People};
use crate::rooms::CarriedRoom;
use crate::seal::SealKey;

use minicbor::{Decode, Encode};
use undertone_wire::account::{AccountKind, AccountSecret};
use undertone_wire::codec::{self, List};
use undertone_wire::frame::DeviceKey;
use undertone_wire::ids::ClientId;
use undertone_wire::invite::Invite;
use undertone_wire::name::Name;
use undertone_wire::time::Now;
use zeroize::Zeroizing;

/// The form that this version writes.
const VERSION: u16 = 1;

/// An account as it leaves one machine and comes to another.
pub struct Carried {
    /// The kind of the account's key.
    pub kind: AccountKind,
    /// The account's key.
    pub secret: Zeroizing<[u8; 32]>,
    /// All else, as one value: to be sealed under the key, for it holds an invite and contacts.
    pub rest: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Carried({:?}, ..)", self.kind)
    }
}

/// An account cannot be carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CarryError {
    /// It never registered: there is nothing to carry.
    #[error("this account was never registered at its relay")]
    New,
    /// The operator's own member belongs to its relay's data.
    #[error("the operator's own member stays with its relay")]
    Operator,
    /// What was carried is not what this or an earlier version wrote.
    #[error("the account's contents are damaged, or of a newer version")]
    Contents,
    /// A key could not be made.
    #[error("a key could not be made")]
    Keys,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct Rest {
    #[n(0)]
    version: u16,
    #[n(1)]
    client_id: ClientId,
    #[n(2)]
    name: Name,
    #[n(3)]
    card_version: u64,
    /// The link that the profile was made with, whole.
    #[n(4)]
    link: String,
    #[n(5)]
    contacts: List<Contact, MAX_CONTACTS>,
    #[n(6)]
    chats: List<CarriedChat, { crate::direct::MAX_CHATS }>,
    #[n(7)]
    rooms: List<CarriedRoom, { crate::rooms::MAX_ROOMS }>,
    /// The highest number of a session of the lobby that was seen.
    #[n(8)]
    lobby: u64,
    /// What the relay gave the account to come in with instead of the link's pre-shared key, which may have
    /// been revoked since.
    #[n(9)]
    key: Option<DeviceKey>,
}

impl Engine {
    /// What another machine needs to be this member: the account's key, id, name and link, contacts,
    /// and which chats and rooms there are, with the lists of members that keep old ones out.
    pub fn carry(&self) -> Result<Carried, CarryError> {
        if self.way.operator {
            return Err(CarryError::Operator);
        }
        let profile = &self.core.profile;
        let name = profile.name.clone().filter(|_| profile.registered).ok_or(CarryError::New)?;
        let account = &self.core.identity.account;
        let contents = CarryError::Contents;
        let rest = Rest {
            version: VERSION,
            client_id: self.core.identity.client_id,
            name,
            card_version: profile.card_version,
            link: self.way.link.clone(),
            contacts: List::new(self.core.people.contacts().cloned().collect())
                .map_err(|_| contents)?,
            chats: List::new(self.chats.carried()).map_err(|_| contents)?,
            rooms: List::new(self.rooms.carried()).map_err(|_| contents)?,
            lobby: self.lobby.as_ref().map_or(0, Lobby::known),
            key: self.core.key.clone(),
        };
        Ok(Carried {
            kind: account.kind(),
            secret: Zeroizing::new(*account.as_bytes()),
            rest: Zeroizing::new(codec::encode(&rest)),
        })
    }

    /// The same member on this machine, as a new device: all keys but the account's are new, its card
    /// is newer than the one that was carried, and it asks to be let in wherever it was. The step's
    /// writes are the profile.
    pub fn settle(
        carried: &Carried,
        seal: SealKey,
        now: Now,
        key: StepKey,
    ) -> Result<(Self, Step), CarryError> {
        let rest: Rest = codec::decode(&carried.rest).map_err(|_| CarryError::Contents)?;
        if rest.version != VERSION {
            return Err(CarryError::Contents);
        }
        let invite = Invite::parse(&rest.link).map_err(|_| CarryError::Contents)?;
        let account = AccountSecret::from_bytes(carried.kind, *carried.secret);
        let account = account.ok_or(CarryError::Contents)?;
        let mut provider = Provider::new();
        provider.begin(key.clone());
        let device = Identity::generate(carried.kind, &provider, &key).ok_or(CarryError::Keys)?;
        let identity = Identity { client_id: rest.client_id, account, ..device };
        let (me, mine) = (identity.client_id, identity.account.public());
        let keys = keys_row(&identity, &rest.link, false);
        let profile = profile(&rest).ok_or(CarryError::Contents)?;
        let people = People::new(invite.operator(), inviter_of(&invite));
        let mut core = Core::new(identity, profile, provider, seal.clone(), people);
        let mut step = Step::default();
        let mut cx = Cx { core: &mut core, step: &mut step, now, key: &key, tag: None, draws: 0 };
        cx.put(b"keys", &keys);
        cx.put_profile();
        rest.contacts.iter().for_each(|contact| cx.put_contact(contact));
        rest.chats.iter().for_each(|chat| chat.settle(&mut cx));
        let rooms = rest.rooms.iter().map(|room| room.settle(&mut cx, &me, &mine));
        rooms.collect::<Option<()>>().ok_or(CarryError::Contents)?;
        Lobby::settle(&mut cx, rest.lobby);
        rest.key.iter().for_each(|key| cx.put(KEY_ROW, key));
        let rows = step.writes.iter().filter_map(|w| Some((w.key, w.value.clone()?)));
        let engine = Self::load(rows, seal).map_err(|error| match error {
            EngineError::Keys => CarryError::Keys,
            _ => CarryError::Contents,
        })?;
        Ok((engine, step))
    }
}

/// Its card is above the one that was carried; should there be a newer one by then, it is raised once
/// more, as after a restore.
fn profile(rest: &Rest) -> Option<Profile> {
    Some(Profile {
        name: Some(rest.name.clone()),
        registered: false,
        card_version: rest.card_version.checked_add(1)?,
        store: None,
        inbox_read: 0,
        packages_left: 0,
        renewing: Some(true),
        lived: None,
        next_name: None,
        introduced: Some(true),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Setup;
    use undertone_wire::link::{LinkSecret, Psk, PskId};

    fn seal() -> SealKey {
        SealKey::new([9; 32])
    }

    fn step_key(byte: u8) -> StepKey {
        StepKey::new([byte; 32])
    }

    /// Alice, as the relay knows her.
    fn alice(account: AccountKind) -> Engine {
        use undertone_wire::invite::{CertificatePin, Origin, RelayInvite};
        let relay = RelayInvite {
            relay_key: LinkSecret::from_bytes([3; 32]).public(),
            pin: Some(CertificatePin([2; 32])),
            psk_id: PskId([1; 16]),
            psk: Psk::from_bytes([9; 32]),
        };
        let link = Invite::new(Origin::loopback(8080), relay, None, None).to_link();
        let setup = Setup { account, link, operator: false };
        let made = Engine::create(setup, seal(), Now::default(), step_key(1));
        let (mut engine, _) = made.unwrap();
        engine.core.profile.name = Some(Name::parse("Alice").unwrap());
        engine.core.profile.registered = true;
        engine
    }

    fn settle(carried: &Carried) -> Result<Engine, CarryError> {
        Engine::settle(carried, seal(), Now::default(), step_key(2)).map(|(engine, _)| engine)
    }

    /// F46c: the account is the same, and of the device nothing is.
    #[test]
    fn f46c_who_settles_has_the_same_account_and_no_key_of_the_old_device() {
        for kind in [AccountKind::Ed25519, AccountKind::EcdsaP256] {
            let old = alice(kind);
            let new = settle(&old.carry().unwrap()).unwrap();
            assert_eq!(new.client_id(), old.client_id());
            assert_eq!(new.fingerprint(), old.fingerprint());
            assert_eq!(new.name(), old.name());
            assert_eq!(new.invite_link(), old.invite_link());
            let (was, is) = (&old.core.identity, &new.core.identity);
            assert_ne!(is.link.as_bytes(), was.link.as_bytes());
            assert_ne!(is.inbox.as_bytes(), was.inbox.as_bytes());
            for ((_, old), (_, new)) in was.signers.iter().zip(&is.signers) {
                assert_ne!(old.public(), new.public());
            }
            assert!(new.core.profile.card_version > old.core.profile.card_version);
            assert_eq!(new.core.profile.renewing, Some(true));
        }
    }

    /// F46c: a name that would be a path is no name, and what is not whole is nothing.
    #[test]
    fn f46c_contents_that_no_engine_wrote_settle_nothing() {
        let mut carried = alice(AccountKind::Ed25519).carry().unwrap();
        let rest = carried.rest.clone();
        let at = rest.windows(5).position(|part| part == b"Alice").unwrap();
        for name in [b"../..", b"a/b/c", b"C:\\x\\", b"a\0b\0c"] {
            carried.rest[at..at + 5].copy_from_slice(name);
            assert_eq!(settle(&carried).unwrap_err(), CarryError::Contents);
        }
        carried.rest[at..at + 5].copy_from_slice(b"Alina");
        assert!(settle(&carried).is_ok());
        for contents in [Vec::new(), rest[..rest.len() - 1].to_vec(), [&rest[..], b"x"].concat()] {
            carried.rest = Zeroizing::new(contents);
            assert_eq!(settle(&carried).unwrap_err(), CarryError::Contents);
        }
    }

    /// F46c: what was never registered, and the operator's own member, stay where they are.
    #[test]
    fn f46c_there_is_nothing_to_carry_of_who_never_registered() {
        let mut engine = alice(AccountKind::Ed25519);
        engine.core.profile.registered = false;
        assert_eq!(engine.carry().unwrap_err(), CarryError::New);
        engine.way.operator = true;
        assert_eq!(engine.carry().unwrap_err(), CarryError::Operator);
    }
}
