//! Names: what people type, and what frames carry.
#![no_main]

use undertone_fuzz::text;
use undertone_wire::codec;
use undertone_wire::ids::ClientId;
use undertone_wire::name::{MAX_BYTES, MAX_CHARS, Name};

undertone_fuzz::target!(run);

fn run(bytes: &[u8]) {
    if let Ok(name) = codec::decode::<Name>(bytes) {
        assert_eq!(codec::encode(&name), bytes, "a name in a frame has one encoding");
    }
    let typed = text(bytes);
    for name in [Name::parse(&typed).ok(), Name::propose(&typed)].into_iter().flatten() {
        is_one(&name);
    }
    if let Some(id) = ClientId::parse(&typed) {
        assert_eq!(id.to_string(), typed.to_ascii_lowercase());
        assert!(Name::parse(&typed).is_err(), "an id was taken for a name");
    }
}

fn is_one(name: &Name) {
    let shown = name.as_str();
    assert!(!shown.is_empty() && shown.len() <= MAX_BYTES && shown.chars().count() <= MAX_CHARS);
    assert!(!shown.chars().any(|letter| letter.is_control() || letter.is_whitespace()));
    assert_eq!(Name::parse(shown).as_ref(), Ok(name), "a name is in its one form");
    let decoded = codec::decode::<Name>(&codec::encode(name));
    assert_eq!(decoded.as_ref(), Ok(name), "a name that was chosen can be sent");
    let key = name.key();
    assert!(!key.as_str().is_empty());
    assert_ne!(key, Name::operator().key(), "a name looks like the operator's");
    assert_eq!(key, name.key());
}
