//! Which profile is taken, and what stays on disk. These run against the real engine.

use super::*;
use crate::clock::system;
use crate::password::{Keyring, Nobody};
use crate::scratch::Scratch;
use std::sync::atomic::{AtomicU32, Ordering};
use undertone_wire::account::AccountKind;

const RELAY: LinkKey = LinkKey([7; 32]);
const ADDRESS: &str = "127.0.0.1:8080";

struct Home {
    _scratch: Scratch,
    profiles: Profiles,
}

fn home() -> Home {
    let scratch = Scratch::new();
    let profiles = Profiles::at(scratch.path().join("profiles"));
    Home { _scratch: scratch, profiles }
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn setup() -> Setup {
    Setup { account: AccountKind::Ed25519, link: link_of(RELAY).to_link(), operator: false }
}

/// A link to the relay of these profiles, under this key.
fn link_of(relay_key: LinkKey) -> Invite {
    let invite = Invite::parse(&crate::scratch::link_to(8080)).unwrap();
    let relay = undertone_wire::invite::RelayInvite { relay_key, ..invite.relay_half().clone() };
    Invite::new(invite.origin.clone(), relay, invite.lobby_half().cloned(), None)
}

impl Home {
    fn make(&self) -> Opened {
        self.profiles.make(RELAY, ADDRESS, setup(), Clock::start()).unwrap()
    }

    fn person(&self, called: &str) -> Opened {
        let mut opened = self.make();
        opened.profile.asking(&name(called)).unwrap();
        let id = opened.engine.client_id();
        opened.profile.registered(&name(called), id).unwrap();
        // Two uses in one millisecond would be in no order.
        std::thread::sleep(std::time::Duration::from_millis(2));
        opened
    }

    fn choose(&self, wanted: &Wanted) -> Choice {
        self.try_choose(wanted).unwrap()
    }

    fn try_choose(&self, wanted: &Wanted) -> Result<Choice, ProfileError> {
        self.profiles.choose(RELAY, wanted, &mut Keyring::new(&mut Nobody))
    }

    fn last_link(&self, address: Option<&str>) -> Option<String> {
        self.profiles.last_link(address, &mut Keyring::new(&mut Nobody)).unwrap()
    }

    fn latest(&self) -> Opened {
        match self.choose(&Wanted::Latest) {
            Choice::Opened(opened) => *opened,
            Choice::New { held } => panic!("a new profile is asked for; held: {held:?}"),
        }
    }

    fn held(&self) -> Vec<String> {
        match self.choose(&Wanted::Latest) {
            Choice::New { held } => held,
            Choice::Opened(opened) => panic!("{:?} was taken", opened.profile.name()),
        }
    }

    fn count(&self) -> usize {
        folders(&self.profiles.relay_folder(RELAY)).unwrap().len()
    }
}

#[test]
fn an_empty_home_asks_for_a_new_profile() {
    assert_eq!(home().held(), Vec::<String>::new());
}

#[test]
fn two_opened_at_once_are_two_people_and_the_same_two_afterwards() {
    let home = home();
    let (alice, bob) = (home.person("Alice"), home.person("Bob"));
    let ids = [alice.engine.client_id(), bob.engine.client_id()];
    assert_ne!(ids[0], ids[1]);
    assert_eq!(home.held(), ["Bob", "Alice"]);
    drop((alice, bob));
    let (first, second) = (home.latest(), home.latest());
    assert_eq!([second.engine.client_id(), first.engine.client_id()], ids);
    assert_eq!(home.held().len(), 2);
}

#[test]
fn the_most_recently_used_profile_is_taken() {
    let home = home();
    drop(home.person("Alice"));
    drop(home.person("Bob"));
    let Choice::Opened(alice) = home.choose(&Wanted::Named(name("Alice"))) else {
        panic!("Alice is there");
    };
    drop(alice);
    assert_eq!(home.latest().profile.name(), Some("Alice"));
}

#[test]
fn an_explicit_profile_that_is_held_is_refused_with_its_process() {
    let home = home();
    let _alice = home.person("Alice");
    let error = home.try_choose(&Wanted::Named(name("Alice"))).unwrap_err();
    let process = std::process::id();
    assert_eq!(error.to_string(), format!("the profile of Alice is in use by process {process}"));
}

#[test]
fn an_unknown_name_makes_a_profile_and_an_unknown_id_does_not() {
    let home = home();
    drop(home.person("Alice"));
    assert!(matches!(home.choose(&Wanted::Named(name("Bob"))), Choice::New { .. }));
    let error = home.try_choose(&Wanted::Existing("Bob".to_owned())).unwrap_err();
    assert!(matches!(error, ProfileError::Unknown(_)), "{error}");
}

#[test]
fn an_existing_profile_is_found_by_the_start_of_its_id() {
    let home = home();
    let id = home.person("Alice").engine.client_id();
    let start: String = id.to_string().chars().take(8).collect();
    let Choice::Opened(opened) = home.choose(&Wanted::Existing(start)) else {
        panic!("it is there");
    };
    assert_eq!(opened.engine.client_id(), id);
}

#[test]
fn what_never_registered_goes_and_what_may_have_stays() {
    let home = home();
    drop(home.make());
    let mut asked = home.make();
    asked.profile.asking(&name("Alice")).unwrap();
    drop(asked);
    assert_eq!(home.count(), 2);
    assert_eq!(home.latest().profile.name(), Some("Alice"));
    assert_eq!(home.count(), 1, "the one that was never sent is still there");
}

#[test]
fn a_profile_whose_name_was_refused_never_registered() {
    let home = home();
    let mut opened = home.make();
    opened.profile.asking(&name("Alice")).unwrap();
    opened.profile.refused().unwrap();
    opened.profile.finish().unwrap();
    assert_eq!(home.count(), 0);
}

#[test]
fn one_that_is_being_made_elsewhere_is_left_alone() {
    let home = home();
    let _typing_a_name = home.make();
    assert_eq!(home.held(), Vec::<String>::new());
    assert_eq!(home.count(), 1);
}

#[test]
fn a_profile_without_its_key_is_damaged_and_kept() {
    let home = home();
    drop(home.person("Alice"));
    let folder = folders(&home.profiles.relay_folder(RELAY)).unwrap().remove(0);
    std::fs::remove_file(folder.join("profile.key")).unwrap();
    let error = home.try_choose(&Wanted::Latest).unwrap_err();
    assert!(matches!(error, ProfileError::Damaged { .. }), "{error}");
    assert!(folder.join("store").exists());
}

#[test]
fn the_last_link_is_read_while_its_profile_is_open() {
    let home = home();
    assert_eq!(home.last_link(None), None);
    let _alice = home.person("Alice");
    assert_eq!(home.last_link(None), Some(link_of(RELAY).to_link()));
    assert!(home.last_link(Some(ADDRESS)).is_some());
    assert!(home.last_link(Some("127.0.0.1:9999")).is_none());
}

/// W02m.
#[cfg(unix)]
#[test]
fn a_profile_is_its_owners_alone_and_named_after_no_name() {
    use std::os::unix::fs::PermissionsExt;
    let home = home();
    let _alice = home.person("Alice");
    let folder = folders(&home.profiles.relay_folder(RELAY)).unwrap().remove(0);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for file in ["profile.key", "profile.json", "store"] {
        assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
    }
    assert!(!folder.to_string_lossy().contains("Alice"));
}

/// A22: whichever of the draws fails. A profile under a known key is sealed for nobody.
#[test]
fn a22_without_randomness_no_profile_is_made() {
    static DRAWS: AtomicU32 = AtomicU32::new(0);
    let home = home();
    let clock = Clock::with_randomness(|bytes| match DRAWS.fetch_sub(1, Ordering::SeqCst) {
        0 => Err(NoRandomness),
        _ => system(bytes),
    });
    for good_draws in 0..2 {
        DRAWS.store(good_draws, Ordering::SeqCst);
        let made = home.profiles.make(RELAY, ADDRESS, setup(), clock);
        assert!(matches!(made, Err(ProfileError::Randomness(_))), "{made:?}");
        let left = folders(&home.profiles.relay_folder(RELAY)).unwrap();
        assert!(left.is_empty(), "{left:?}");
    }
    DRAWS.store(2, Ordering::SeqCst);
    home.profiles.make(RELAY, ADDRESS, setup(), clock).unwrap();
}

/// Says one password, and counts how often it was asked.
struct Says(&'static str, u32);

impl crate::password::Asks for Says {
    fn password(&mut self, name: &str) -> Option<crate::password::Password> {
        assert_eq!(name, "Alice");
        self.1 += 1;
        crate::password::Password::new(zeroize::Zeroizing::new(self.0.to_owned()))
    }
}

/// F46c: the last link and the profile are behind one question; another password opens neither, and changes
/// nothing.
#[test]
fn f46c_a_profile_with_a_password_is_asked_for_once() {
    let home = home();
    let mut alice = home.person("Alice");
    let right = crate::password::Password::new(zeroize::Zeroizing::new("right".to_owned()));
    alice.profile.set_password(None, right.as_ref(), system).unwrap();
    assert!(alice.profile.is_guarded());
    drop(alice);
    assert!(matches!(home.try_choose(&Wanted::Latest), Err(ProfileError::Locked { .. })));
    let mut wrong = Says("wrong", 0);
    let refused = home.profiles.last_link(None, &mut Keyring::new(&mut wrong));
    assert!(matches!(refused, Err(ProfileError::WrongPassword { .. })), "{refused:?}");
    let mut says = Says("right", 0);
    let mut keys = Keyring::new(&mut says);
    assert!(home.profiles.last_link(None, &mut keys).unwrap().is_some());
    let chosen = home.profiles.choose(RELAY, &Wanted::Latest, &mut keys).unwrap();
    let Choice::Opened(mut opened) = chosen else { panic!("it is there") };
    assert_eq!(says.1, 1);
    let mut change = |old: Option<_>| opened.profile.set_password(old, None, system);
    assert!(matches!(change(None), Err(ProfileError::Locked { .. })));
    change(right.as_ref()).unwrap();
    drop(opened);
    home.latest();
}

fn only(home: &Home) -> PathBuf {
    folders(&home.profiles.relay_folder(RELAY)).unwrap().remove(0)
}

/// A deleted profile is gone, and its key's bytes are overwritten where they stood.
#[test]
fn a_deleted_profile_leaves_nothing() {
    let home = home();
    let Opened { profile, store, engine, .. } = home.person("Alice");
    drop((store, engine));
    let witness = home._scratch.path().join("witness");
    std::fs::hard_link(only(&home).join("profile.key"), &witness).unwrap();
    profile.delete().unwrap();
    assert_eq!(home.count(), 0);
    assert_eq!(std::fs::read(&witness).unwrap(), [0; 32]);
    assert_eq!(home.held(), Vec::<String>::new());
}

/// Wherever a crash falls while a profile is deleted: from the second step on nothing of it opens, and the
/// next start ends what was begun.
#[test]
fn a_profile_that_is_half_deleted_opens_no_more_and_is_gone_at_the_next_start() {
    for steps in 1..=4 {
        let home = home();
        drop(home.person("Alice"));
        let folder = only(&home);
        crate::files::write_private(&folder::deleted_path(&folder), b"").unwrap();
        if steps > 1 {
            key::destroy(&folder).unwrap();
            let about = About::default();
            let opened = folder::read(&folder, &about, &mut Keyring::new(&mut Nobody));
            assert!(matches!(opened, Err(ProfileError::Damaged { .. })), "after step {steps}");
        }
        if steps > 2 {
            std::fs::remove_file(folder.join("profile.json")).unwrap();
        }
        if steps > 3 {
            std::fs::remove_file(folder.join("store")).unwrap();
        }
        assert_eq!(home.held(), Vec::<String>::new(), "after step {steps}");
        assert_eq!(home.count(), 0, "after step {steps}");
    }
}

/// One that another process still works with is left to it.
#[test]
fn a_profile_that_is_being_deleted_elsewhere_is_left_alone() {
    let home = home();
    let _alice = home.person("Alice");
    let folder = only(&home);
    crate::files::write_private(&folder::deleted_path(&folder), b"").unwrap();
    assert_eq!(home.held(), Vec::<String>::new());
    assert!(folder.join("profile.key").exists());
}

/// F43. The profile goes on under the relay's other key: the same account in the same folder, and its
/// password is asked for once.
#[test]
fn a_profile_goes_along_when_its_relay_has_another_key() {
    let home = home();
    let link = link_of(LinkKey([8; 32]));
    let key = link.relay_half().relay_key;
    let elsewhere =
        |wanted: &Wanted, address| home.profiles.elsewhere(key, address, wanted).unwrap();
    assert!(elsewhere(&Wanted::Latest, Some(ADDRESS)).is_none(), "nobody knows it yet");
    let mut alice = home.person("Alice");
    let id = alice.engine.client_id();
    let password = crate::password::Password::new(zeroize::Zeroizing::new("right".to_owned()));
    alice.profile.set_password(None, password.as_ref(), system).unwrap();
    drop(alice);
    drop(home.person("Bob"));
    assert!(elsewhere(&Wanted::Latest, Some("127.0.0.1:9999")).is_none(), "another relay");
    assert_eq!(elsewhere(&Wanted::Latest, Some(ADDRESS)).unwrap().name(), "Bob");
    let known = elsewhere(&Wanted::Named(name("Alice")), Some(ADDRESS)).unwrap();
    assert_eq!((known.name(), known.relay), ("Alice".to_owned(), RELAY));

    let mut says = Says("right", 0);
    let mut keys = Keyring::new(&mut says);
    home.profiles.bring(known, &link, &mut keys, Clock::start()).unwrap();
    let chosen = home.profiles.choose(key, &Wanted::Named(name("Alice")), &mut keys).unwrap();
    let Choice::Opened(alice) = chosen else { panic!("Alice is there") };
    assert_eq!((alice.engine.client_id(), alice.engine.invite_link()), (id, &*link.to_link()));
    assert_eq!(says.1, 1);
    drop(alice);
    // From now on the key is known, and who still knows the old one goes along where it is meant.
    assert!(elsewhere(&Wanted::Latest, Some(ADDRESS)).is_none());
    assert!(elsewhere(&Wanted::Named(name("Carol")), Some(ADDRESS)).is_none());
    assert_eq!(elsewhere(&Wanted::Named(name("Bob")), Some(ADDRESS)).unwrap().name(), "Bob");
    assert_eq!(home.count(), 1);
    // That somebody knows this key from elsewhere says nothing about this address.
    alice_lives_at(&home, key, "evil.example:443");
    assert_eq!(elsewhere(&Wanted::Latest, Some(ADDRESS)).unwrap().name(), "Bob");
}

/// The profile of Alice under this key is one of another address.
fn alice_lives_at(home: &Home, relay: LinkKey, address: &str) {
    let mut found = known(&home.profiles.relay_folder(relay)).unwrap().remove(0);
    found.about.relay = address.to_owned();
    found.about.write(&found.folder).unwrap();
}

/// D03: a crash in the middle leaves a profile in its old place that knows the new key.
#[test]
fn a_profile_that_went_along_halfway_is_brought_again() {
    let home = home();
    let link = link_of(LinkKey([8; 32]));
    let mut alice = home.person("Alice");
    alice.take_link(&link, Clock::start()).unwrap();
    drop(alice);
    let key = link.relay_half().relay_key;
    // Whoever gives the link again brings it; and so does who gives none.
    let known = home.profiles.elsewhere(key, Some(ADDRESS), &Wanted::Latest).unwrap();
    assert!(known.is_some());
    assert_eq!(home.last_link(Some(ADDRESS)), Some(link.to_link()));
    assert_eq!(home.count(), 0);
    let mut nobody = Nobody;
    let mut keys = Keyring::new(&mut nobody);
    let chosen = home.profiles.choose(key, &Wanted::Latest, &mut keys).unwrap();
    assert!(matches!(chosen, Choice::Opened(_)));
}

/// Nobody else's profile is pulled away from under them.
#[test]
fn a_profile_that_is_open_does_not_go_along() {
    let home = home();
    let _alice = home.person("Alice");
    let link = link_of(LinkKey([8; 32]));
    let key = link.relay_half().relay_key;
    let known = home.profiles.elsewhere(key, Some(ADDRESS), &Wanted::Latest).unwrap().unwrap();
    let mut nobody = Nobody;
    let brought = home.profiles.bring(known, &link, &mut Keyring::new(&mut nobody), Clock::start());
    assert!(matches!(brought, Err(ProfileError::Held { .. })));
    assert_eq!(home.count(), 1);
}
