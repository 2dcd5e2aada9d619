use super::*;
use crate::data::scratch::Scratch;
use crate::randomness::system;
use crate::sqlite::SqliteStore;
use crate::{Config, Page, Server};
use std::fs;
use std::path::Path;
use undertone_relay::store::{
    CompareAppend, Operation, Outcome, RequestId, Store, StoreKey, StoreRequest,
};
use undertone_wire::ids::Hash;

/// A relay's data, made by a relay.
fn made() -> Scratch {
    let scratch = Scratch::new();
    let config = Config::new(([127, 0, 0, 1], 0).into(), scratch.path().to_path_buf());
    Server::start(config, Page::default()).unwrap().shutdown();
    scratch
}

fn store(data: &Path) -> SqliteStore {
    SqliteStore::open(&data.join("store").join("relay"), system).unwrap()
}

fn ask(store: &mut SqliteStore, number: u8, operation: Operation) -> Outcome {
    let key = StoreKey::Registry(Hash([number; 32]));
    store.execute(StoreRequest { id: RequestId(1), key, operation }).outcome
}

fn put(store: &mut SqliteStore, number: u8) {
    let write = CompareAppend { header: vec![number; 100], ..CompareAppend::default() };
    let outcome = ask(store, number, Operation::CompareAppend(Box::new(write)));
    assert_eq!(outcome, Outcome::Stored { version: 1 });
}

fn has(store: &mut SqliteStore, number: u8) -> bool {
    matches!(ask(store, number, Operation::ReadHeader), Outcome::Header { version: 1, .. })
}

fn wrong(data: &Path) -> Vec<String> {
    let wrong = doctor(data).into_iter().filter(|finding| finding.health == Health::Wrong);
    wrong.map(|finding| finding.what).collect()
}

#[test]
fn a_backup_taken_while_the_store_is_written_is_what_was_there_at_one_moment() {
    let data = made();
    let (backup_, again) = (Scratch::new(), Scratch::new());
    let mut live = store(data.path());
    put(&mut live, 1);
    let target = backup_.path().join("copy");
    backup(data.path(), &target).unwrap();
    put(&mut live, 2);
    assert_eq!(restore(&target, again.path(), false).unwrap(), None);
    let mut restored = store(again.path());
    assert!(has(&mut restored, 1) && !has(&mut restored, 2));
    assert_eq!(restored.life().incarnation, live.life().incarnation);
    for key in ["relay", "operator", "invites"] {
        let read = |data: &Path| fs::read(data.join("keys").join(key)).unwrap();
        assert_eq!(read(data.path()), read(again.path()));
    }
    drop(restored);
    assert_eq!(wrong(again.path()), [] as [&str; 0]);
}

#[cfg(unix)]
#[test]
fn every_file_of_a_backup_and_of_what_is_restored_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    fn check(folder: &Path) -> usize {
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder), 0o700, "{folder:?}");
        let mut files = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files += check(&path);
            } else {
                assert_eq!(mode(&path), 0o600, "{path:?}");
                files += 1;
            }
        }
        files
    }
    let data = made();
    let (backup_, again) = (Scratch::new(), Scratch::new());
    let target = backup_.path().join("copy");
    backup(data.path(), &target).unwrap();
    restore(&target, again.path(), false).unwrap();
    assert!(check(&target) > 5 && check(again.path()) > 5);
}

#[test]
fn nothing_is_restored_over_a_running_relay_or_over_data_without_saying_so() {
    let (data, other) = (made(), made());
    let backup_ = Scratch::new();
    let target = backup_.path().join("copy");
    put(&mut store(other.path()), 7);
    backup(data.path(), &target).unwrap();
    let config = Config::new(([127, 0, 0, 1], 0).into(), other.path().to_path_buf());
    let running = Server::start(config, Page::default()).unwrap();
    let error = restore(&target, other.path(), true).unwrap_err();
    assert!(matches!(error, CareError::Folder(StartError::DataInUse { .. })), "{error}");
    running.shutdown();
    let key = fs::read(other.path().join("keys/relay")).unwrap();
    let error = restore(&target, other.path(), false).unwrap_err();
    assert!(matches!(error, CareError::DataThere(_)), "{error}");
    assert_eq!(fs::read(other.path().join("keys/relay")).unwrap(), key);
    let aside = restore(&target, other.path(), true).unwrap().expect("there was something");
    assert_eq!(fs::read(aside.join("keys/relay")).unwrap(), key);
    assert!(has(&mut store(&aside), 7), "what was there is whole, and aside");
    let new = fs::read(other.path().join("keys/relay")).unwrap();
    assert_eq!(new, fs::read(data.path().join("keys/relay")).unwrap());
    assert!(!has(&mut store(other.path()), 7));
}

#[test]
fn a_backup_that_is_damaged_or_not_whole_is_refused_and_changes_nothing() {
    let data = made();
    let (backup_, again) = (Scratch::new(), Scratch::new());
    let target = backup_.path().join("copy");
    backup(data.path(), &target).unwrap();
    let refused = |expected: &str| {
        let error = restore(&target, again.path(), false).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(fs::read_dir(again.path()).unwrap().count(), 0);
    };
    let registry = target.join("registry");
    let good = fs::read(&registry).unwrap();
    let mut bad = good.clone();
    bad[5_000] ^= 1;
    fs::write(&registry, bad).unwrap();
    refused("registry of the backup is damaged");
    fs::remove_file(&registry).unwrap();
    refused("registry of the backup is missing");
    fs::write(&registry, good).unwrap();
    let manifest = target.join("manifest");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace(" registry", " ../registry")).unwrap();
    refused("no whole backup");
    fs::remove_file(&manifest).unwrap();
    refused("no whole backup");
    let error = backup(data.path(), &target).unwrap_err();
    assert!(matches!(error, CareError::NotEmpty(_)), "{error}");
    let error = backup(again.path(), &again.path().join("x")).unwrap_err();
    assert!(matches!(error, CareError::NoData(_)), "{error}");
}

/// D04: `doctor` says what is wrong with each kind of file, and finds nothing where nothing is.
#[test]
fn d04_the_doctor_names_what_is_wrong_and_changes_nothing() {
    let data = made();
    put(&mut store(data.path()), 1);
    assert_eq!(wrong(data.path()), [] as [&str; 0]);
    let found = |expected: &str| {
        let wrong = wrong(data.path());
        assert!(wrong.iter().any(|what| what.contains(expected)), "{expected}: {wrong:?}");
    };
    let relay = data.path().join("store").join("relay");
    let good = fs::read(&relay).unwrap();
    let at = good.windows(100).position(|bytes| bytes == [1; 100]).unwrap();
    let mut bad = good.clone();
    bad[at + 50] ^= 1;
    fs::write(&relay, &bad).unwrap();
    found("the registry record 0101010101010101 is damaged");
    assert_eq!(fs::read(&relay).unwrap(), bad, "it is left as it is");
    for cut in [4_096, 8_192, 20_000] {
        fs::write(&relay, &good[..good.len() - cut]).unwrap();
        found("store");
    }
    assert!(wrong(data.path()).iter().all(|what| !what.contains('\n')), "a finding is a line");
    fs::write(&relay, b"something else entirely").unwrap();
    found("file is not a database");
    fs::write(&relay, &good).unwrap();
    assert_eq!(wrong(data.path()), [] as [&str; 0]);
    let key = data.path().join("keys").join("relay");
    let whole = fs::read(&key).unwrap();
    fs::write(&key, b"short").unwrap();
    found("32 bytes are expected, 5 are there");
    fs::write(&key, whole).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        found("others can read or enter");
    }
    assert!(wrong(&data.path().join("nowhere"))[0].contains("there is no relay's data"));
}

#[test]
fn d04_the_doctor_sees_an_end_that_was_lost_before_the_relay_starts_again() {
    let data = made();
    let mut live = store(data.path());
    for number in 1..=5 {
        put(&mut live, number);
    }
    let copy = Scratch::new();
    for part in ["keys", "store"] {
        fs::create_dir_all(copy.path().join(part)).unwrap();
    }
    let files = [
        "keys/relay",
        "keys/operator",
        "registry",
        "store/relay",
        "store/relay-wal",
        "store/relay.guard",
    ];
    for file in files {
        fs::copy(data.path().join(file), copy.path().join(file)).unwrap();
    }
    let log = copy.path().join("store/relay-wal");
    let mut bytes = fs::read(&log).unwrap();
    let last = bytes.len() - 100;
    bytes[last] ^= 1;
    fs::write(&log, bytes).unwrap();
    let lost = |data: &Path| wrong(data).iter().any(|what| what.contains("the end is lost"));
    assert!(lost(copy.path()) && lost(copy.path()), "looking changes nothing");
    assert!(!lost(data.path()));
}
