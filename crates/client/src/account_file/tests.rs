//! What leaves this machine comes back whole, or not at all.

use super::*;

fn password(text: &str) -> Password {
    Password::new(Zeroizing::new(text.to_owned())).unwrap()
}

fn carried(kind: AccountKind) -> Carried {
    let rest = Zeroizing::new(b"an invite and contacts".to_vec());
    Carried { kind, secret: Zeroizing::new([5; 32]), rest }
}

fn file(kind: AccountKind) -> String {
    seal(&carried(kind), &password("right"), Clock::start()).unwrap()
}

fn refusal(text: &str) -> AccountFileError {
    open(text.as_bytes(), &password("right")).unwrap_err()
}

const KINDS: [AccountKind; 2] = [AccountKind::Ed25519, AccountKind::EcdsaP256];

/// F46c.
#[test]
fn f46c_an_account_of_either_kind_comes_back_whole() {
    for kind in KINDS {
        let text = file(kind);
        let back = open(text.as_bytes(), &password("right")).unwrap();
        assert_eq!((back.kind, *back.secret), (kind, [5; 32]));
        assert_eq!(*back.rest, *carried(kind).rest);
        assert!(!text.contains("invite"), "{text}");
    }
}

/// F46c: a wrong password.
#[test]
fn f46c_another_password_opens_no_account() {
    for kind in KINDS {
        let text = file(kind);
        for wrong in ["Right", "right ", "r"] {
            let error = open(text.as_bytes(), &password(wrong)).unwrap_err();
            assert_eq!(error, AccountFileError::WrongPassword, "{wrong}");
        }
    }
}

/// A22. Where it were, its nonce and salt would be known, and with them what the password hides.
#[test]
fn a22_without_randomness_no_account_is_written() {
    let clock = Clock::with_randomness(|_| Err(NoRandomness));
    let error = seal(&carried(AccountKind::Ed25519), &password("right"), clock).unwrap_err();
    assert!(matches!(error, AccountFileError::Randomness(_)));
}

/// F46c: PBES2 alone notices no change of its ciphertext; the seal does, and it covers the PEM.
#[test]
fn f46c_a_changed_account_file_is_refused() {
    let text = file(AccountKind::Ed25519);
    let form: Form = serde_json::from_str(&text).unwrap();
    let whole = |form: Form| serde_json::to_string(&form).unwrap();
    let with = |key: &str, sealed: &str| {
        let (kind, key, sealed) = (TYPE.to_owned(), key.to_owned(), sealed.to_owned());
        whole(Form { kind, v: VERSION, key, sealed })
    };
    let mut bytes = BASE64.decode(form.sealed.as_bytes()).unwrap();
    bytes[30] ^= 1;
    assert_eq!(refusal(&with(&form.key, &BASE64.encode(&bytes))), AccountFileError::Changed);
    let short = BASE64.encode(&bytes[..20]);
    assert_eq!(refusal(&with(&form.key, &short)), AccountFileError::Changed);
    // The same key under another encryption, as another program makes one.
    let other: Form = serde_json::from_str(&file(AccountKind::Ed25519)).unwrap();
    assert_eq!(refusal(&with(&other.key, &form.sealed)), AccountFileError::Changed);
    // Bits of the PEM: no one of them leads to a key that is taken.
    let lines: Vec<_> = form.key.lines().collect();
    for at in (0..lines[3].len()).step_by(7) {
        let mut letter = lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let changed = if lines[3].as_bytes()[at] == b'A' { "B" } else { "A" };
        letter[3].replace_range(at..=at, changed);
        let key = letter.join("\n") + "\n";
        assert!(open(with(&key, &form.sealed).as_bytes(), &password("right")).is_err(), "{at}");
    }
}

/// F46c: of another version, of no version, cut short, or something else.
#[test]
fn f46c_a_file_that_is_no_account_of_this_version_is_named() {
    let text = file(AccountKind::Ed25519);
    assert_eq!(refusal(&text.replace("\"v\": 1", "\"v\": 2")), AccountFileError::Newer(2));
    assert_eq!(refusal(&text.replace("\"v\": 1", "\"v\": \"1\"")), AccountFileError::Changed);
    assert_eq!(refusal(&text.replace("\"v\": 1", "\"v\": 1, \"x\": 1")), AccountFileError::Changed);
    for none in ["", "{}", "[]", "null", "\u{0}", &text[..text.len() / 2]] {
        assert_eq!(refusal(none), AccountFileError::NotOne, "{none}");
    }
    let plain = text.replace("ENCRYPTED PRIVATE KEY", "PRIVATE KEY");
    assert_eq!(refusal(&plain), AccountFileError::Changed);
}

/// F46c: a forged file cannot ask for the machine's memory, or for hours.
#[test]
fn f46c_a_hostile_account_file_asks_for_no_more_than_is_bearable() {
    let begun = std::time::Instant::now();
    for (n, r, p) in [(1 << 30, 8, 1), (1 << 14, 1024, 1), (1 << 14, 8, 4096)] {
        assert_eq!(asking(n, r, p), AccountFileError::Costly);
    }
    assert!(begun.elapsed().as_secs() < 5, "something was computed");
}

/// F46c: costs that are none.
#[test]
fn f46c_an_account_file_whose_costs_are_no_numbers_for_scrypt_is_refused() {
    for (n, r, p) in [(0, 8, 1), (3, 8, 1), (1 << 14, 0, 1), (1 << 14, 8, 0)] {
        assert!(matches!(
            asking(n, r, p),
            AccountFileError::Changed | AccountFileError::WrongPassword
        ));
    }
}

/// What is said to a file that asks for this.
fn asking(n: u64, r: u16, p: u16) -> AccountFileError {
    let costs = scrypt::Params::new(LOG_N, R, P, 32).unwrap();
    let (salt, iv) = ([1; SALT], [2; IV]);
    let mut scheme = pbes2::Parameters::scrypt_aes256cbc(costs, &salt, &iv).unwrap();
    let pbes2::Kdf::Scrypt(kdf) = &mut scheme.kdf else { panic!("scrypt") };
    (kdf.cost_parameter, kdf.block_size, kdf.parallelization) = (n, r, p);
    let info =
        EncryptedPrivateKeyInfo { encryption_algorithm: scheme.into(), encrypted_data: &[0; 64] };
    let pem = SecretDocument::try_from(info).unwrap().to_pem(PEM, LineEnding::LF).unwrap();
    decrypt(&pem, &password("right")).unwrap_err()
}

/// F46c: another program opens the key with the password, and it is the account's. Where there is no
/// `openssl`, nothing but that is left out.
#[test]
fn f46c_openssl_opens_the_key_with_the_password() {
    use std::process::{Command, Stdio};
    if Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_err() {
        println!("left out: there is no openssl on this machine");
        return;
    }
    let scratch = crate::scratch::Scratch::new();
    for kind in KINDS {
        let form: Form = serde_json::from_str(&file(kind)).unwrap();
        let path = scratch.path().join("key.pem");
        std::fs::write(&path, &form.key).unwrap();
        let openssl = |password: &str| {
            let mut command = Command::new("openssl");
            command.args(["pkey", "-outform", "DER", "-passin", password, "-in"]).arg(&path);
            command.output().unwrap()
        };
        let right = openssl("pass:right");
        assert!(right.status.success(), "{}", String::from_utf8_lossy(&right.stderr));
        assert!(right.stdout.windows(32).any(|bytes| bytes == [5; 32]), "{kind:?}");
        assert!(!openssl("pass:wrong").status.success());
    }
}
