//! What a password keeps closed, and what a power cut leaves.

use super::*;
use crate::clock::system;
use crate::scratch::Scratch;

const KEY: [u8; 32] = [7; 32];

fn password(text: &str) -> Password {
    Password::new(Zeroizing::new(text.to_owned())).unwrap()
}

fn folder() -> Scratch {
    let scratch = Scratch::new();
    crate::files::private_folder(&scratch.path().join("profile")).unwrap();
    scratch
}

fn put(scratch: &Scratch, contents: &[u8]) -> PathBuf {
    let folder = scratch.path().join("profile");
    crate::files::write_private(&path(&folder), contents).unwrap();
    folder
}

fn wrapped(text: &str) -> Zeroizing<Vec<u8>> {
    contents(&KEY, Some(&password(text)), system).unwrap()
}

fn opened(folder: &Path, text: &str) -> Result<[u8; 32], KeyError> {
    match KeyFile::read(folder).unwrap() {
        KeyFile::Plain(key) => Ok(*key),
        KeyFile::Wrapped(wrapped) => wrapped.open(&password(text)).map(|key| *key),
    }
}

fn refusal(scratch: &Scratch, contents: &[u8]) -> String {
    match KeyFile::read(&put(scratch, contents)) {
        Ok(_) => panic!("it was taken"),
        Err(error) => error.to_string(),
    }
}

/// W05g, W02m, F46c: the file holds nothing of the key, and another password opens nothing.
#[test]
fn w05g_a_password_wraps_the_key_and_no_other_opens_it() {
    let scratch = folder();
    let file = wrapped("correct horse");
    assert!(!file.windows(8).any(|bytes| bytes == &KEY[..8]));
    assert!(!String::from_utf8_lossy(&file).contains("horse"));
    let folder = put(&scratch, &file);
    assert_eq!(opened(&folder, "correct horse").unwrap(), KEY);
    for other in ["correct horse ", "Correct horse", "c", "correct hors"] {
        assert!(matches!(opened(&folder, other), Err(KeyError::Wrong)), "{other}");
    }
}

/// Two profiles with one password have nothing in common, and the same key wrapped again is another file.
#[test]
fn each_wrapping_has_a_salt_and_a_nonce_of_its_own() {
    let [one, other] = [wrapped("the same"), wrapped("the same")];
    let [one, other] = [&one, &other].map(|file| Wrapped::parse(file).unwrap());
    assert_ne!((one.salt, one.nonce), (other.salt, other.nonce));
    assert_ne!(one.sealed, other.sealed);
}

/// F46c: whatever stands in clear is sealed with the key, so that nobody makes a file cheaper to guess.
#[test]
fn f46c_a_changed_file_opens_nothing() {
    let scratch = folder();
    let text = String::from_utf8(wrapped("right").to_vec()).unwrap();
    for (from, to) in [("\"passes\":3", "\"passes\":2"), ("\"lanes\":4", "\"lanes\":2")] {
        assert!(text.contains(from), "{text}");
        let folder = put(&scratch, text.replace(from, to).as_bytes());
        assert!(matches!(opened(&folder, "right"), Err(KeyError::Wrong)), "{to}");
    }
    let mut changed = Wrapped::parse(text.as_bytes()).unwrap();
    changed.sealed[40] ^= 1;
    let folder = put(&scratch, &changed.to_bytes());
    assert!(matches!(opened(&folder, "right"), Err(KeyError::Wrong)));
}

/// F46c: a forged file cannot ask for the machine's memory, or for hours.
#[test]
fn f46c_a_hostile_file_asks_for_no_more_than_is_bearable() {
    let scratch = folder();
    let text = String::from_utf8(wrapped("right").to_vec()).unwrap();
    let begun = std::time::Instant::now();
    for (from, to, what) in [
        ("\"kib\":65536", "\"kib\":104857600", "more memory"),
        ("\"kib\":65536", "\"kib\":4294967295", "more memory"),
        ("\"passes\":3", "\"passes\":4294967295", "more time"),
        ("\"lanes\":4", "\"lanes\":16777215", "more time"),
    ] {
        assert!(text.contains(from), "{text}");
        let refusal = refusal(&scratch, text.replace(from, to).as_bytes());
        assert!(refusal.contains(what), "{refusal}");
    }
    assert!(begun.elapsed().as_secs() < 5, "something was computed");
}

/// F46c: what is cut short, of another version or something else is named, and never taken for a key.
#[test]
fn f46c_a_file_of_another_version_or_cut_short_is_named() {
    let scratch = folder();
    let text = String::from_utf8(wrapped("right").to_vec()).unwrap();
    let newer = text.replace("\"v\":1", "\"v\":2").replace("\"lanes\":4,", "");
    assert!(refusal(&scratch, newer.as_bytes()).contains("newer version (form 2"));
    for (contents, what) in [
        (text[..text.len() / 2].to_owned(), "no wrapped key"),
        (String::new(), "no wrapped key"),
        ("x".repeat(31), "no wrapped key"),
        ("[]".to_owned(), "no version"),
        (text.replace("argon2id", "argon2d"), "not what a password makes"),
        (text.replace("\"lanes\":4,", ""), "not what a password makes"),
        (text.replace("\"v\":1", "\"v\":1,\"more\":1"), "not what a password makes"),
        ("x".repeat(2_000), "larger than ours"),
    ] {
        let refusal = refusal(&scratch, contents.as_bytes());
        assert!(refusal.contains(what), "{what}: {refusal}");
    }
}

/// A file that this version wrote stays readable: made on 2026-11-21 with the password `golden`.
#[test]
fn a_key_file_of_before_still_opens() {
    let scratch = folder();
    let folder = put(&scratch, GOLDEN.as_bytes());
    assert_eq!(opened(&folder, "golden").unwrap(), KEY);
}

const GOLDEN: &str = include_str!("golden.json");

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const POINTS: [Point; 4] = [Point::Written, Point::Linked, Point::Renamed, Point::Overwritten];

/// Whatever the moment of a power cut: one of the two passwords opens the profile, and at its next start
/// nothing is left of the other file.
#[test]
fn f46c_a_power_cut_while_a_password_is_changed_leaves_the_old_or_the_new_one() {
    let [before, after] = [wrapped("old"), wrapped("new")];
    for cut in POINTS {
        let scratch = folder();
        let folder = put(&scratch, &before);
        let mut power = |point| {
            if point == cut { Err(io::Error::other("no power")) } else { Ok(()) }
        };
        replace(&folder, &after, &mut power).unwrap_err();
        let is_new = matches!(cut, Point::Renamed | Point::Overwritten);
        let (right, wrong) = if is_new { ("new", "old") } else { ("old", "new") };
        assert_eq!(opened(&folder, right).unwrap(), KEY, "{cut:?}");
        assert!(matches!(opened(&folder, wrong), Err(KeyError::Wrong)), "{cut:?}");
        settle(&folder).unwrap();
        assert_eq!(names(&folder), ["profile.key"], "{cut:?}");
        assert_eq!(opened(&folder, right).unwrap(), KEY, "{cut:?}");
        replace(&folder, &after, &mut |_| Ok(())).unwrap();
        assert_eq!(opened(&folder, "new").unwrap(), KEY, "{cut:?}");
    }
}

/// The old file's bytes are overwritten where they stand, not only forgotten: whoever holds another name of
/// it sees nothing of the key.
#[test]
fn w05g_the_old_key_file_is_overwritten() {
    let scratch = folder();
    let folder = put(&scratch, &KEY);
    let witness = scratch.path().join("witness");
    std::fs::hard_link(path(&folder), &witness).unwrap();
    replace(&folder, &wrapped("new"), &mut |_| Ok(())).unwrap();
    assert_eq!(std::fs::read(&witness).unwrap(), [0; 32]);
    assert_eq!(names(&folder), ["profile.key"]);
    assert_eq!(opened(&folder, "new").unwrap(), KEY);
}

/// A22: without random bytes nothing is wrapped, and what is there stays.
#[test]
fn a22_without_randomness_no_password_is_set() {
    let made = contents(&KEY, Some(&password("new")), |_| Err(crate::clock::NoRandomness));
    assert!(matches!(made, Err(ProfileError::Randomness(_))));
}

/// W02m, W05g: what others can read is refused, with the command that closes it.
#[cfg(unix)]
#[test]
fn w05g_a_key_file_or_folder_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = folder();
    let folder = put(&scratch, &KEY);
    let key = path(&folder);
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (path, mode, right, fix) in [
        (&key, 0o644, 0o600, "chmod 600"),
        (&key, 0o640, 0o600, "chmod 600"),
        (&folder, 0o755, 0o700, "chmod 700"),
        (&folder, 0o710, 0o700, "chmod 700"),
    ] {
        open(path, mode);
        let error = KeyFile::read(&folder).err().unwrap();
        let ProfileError::File(error) = error else { panic!("{error}") };
        assert!(error.to_string().contains("others can read it"), "{error}");
        assert!(error.fix().unwrap().contains(fix), "{:?}", error.fix());
        open(path, right);
        assert!(KeyFile::read(&folder).is_ok());
    }
}
