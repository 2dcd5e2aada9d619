use super::*;
use crate::codec;
use proptest::prelude::*;

#[test]
fn names_of_many_kinds_are_taken_as_they_are() {
    let names = [
        "Alice",
        "bob",
        "Mary-Ann",
        "x",
        "R2D2",
        "O_o",
        "a.b+c",
        "42",
        "José",
        "Zoë",
        "Straße",
        "Иван",
        "Νίκος",
        "山田太郎",
        "たろう",
        "김철수",
        "דוד",
        "محمد",
        "सीता",
        "Beef",
        "deadbeef",
        "12345678",
        "lobby",
        "Servers",
        "ÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄ",
    ];
    for name in names {
        let parsed = Name::parse(name);
        assert_eq!(parsed.as_ref().map(Name::as_str), Ok(name));
    }
}

#[test]
fn what_is_no_name_is_refused_with_its_reason() {
    let long = "a".repeat(33);
    let cases = [
        ("", NameError::Empty),
        (long.as_str(), NameError::TooLong),
        ("Mary Ann", NameError::WhiteSpace),
        (" Alice", NameError::WhiteSpace),
        ("Alice\t", NameError::WhiteSpace),
        ("Ali\nce", NameError::WhiteSpace),
        ("Ali\u{a0}ce", NameError::WhiteSpace),
        ("Ali\u{3000}ce", NameError::WhiteSpace),
        ("Alice:", NameError::Punctuation(':')),
        ("@Alice", NameError::Punctuation('@')),
        ("/quit", NameError::Punctuation('/')),
        ("#1", NameError::Punctuation('#')),
        ("\"A\"", NameError::Punctuation('"')),
        ("O'Hara", NameError::Punctuation('\'')),
        ("[private]", NameError::Punctuation('[')),
        ("a]", NameError::Punctuation(']')),
        ("<b>", NameError::Punctuation('<')),
        (">", NameError::Punctuation('>')),
        ("a,b", NameError::Punctuation(',')),
        ("a\\b", NameError::Punctuation('\\')),
        ("a|b", NameError::Punctuation('|')),
        // Fullwidth forms become what they stand for, and are judged as that.
        ("Alice\u{ff1a}", NameError::Punctuation(':')),
        ("\u{ff20}Alice", NameError::Punctuation('@')),
        ("Ali\0ce", NameError::Invisible),
        ("\u{1b}[31mAlice", NameError::Invisible),
        ("Alice\u{7f}", NameError::Invisible),
        ("Ali\u{200b}ce", NameError::Invisible),
        ("Ali\u{200d}ce", NameError::Invisible),
        ("Ali\u{ad}ce", NameError::Invisible),
        ("\u{202e}ecilA", NameError::Invisible),
        ("\u{2066}Alice", NameError::Invisible),
        ("Alice\u{61c}", NameError::Invisible),
        ("\u{feff}Alice", NameError::Invisible),
        ("Alice\u{fe0f}", NameError::Invisible),
        ("\u{3164}", NameError::Invisible),
        ("Alice\u{e0041}", NameError::Invisible),
        ("Alice😀", NameError::Character('😀')),
        ("①", NameError::Character('①')),
        ("ﬁn", NameError::Character('ﬁ')),
        ("a\u{2024}b", NameError::Character('\u{2024}')),
        ("\u{e000}", NameError::Character('\u{e000}')),
        ("דוד1a", NameError::Unclear),
        ("550e8400-e29b-41d4-a716-446655440000", NameError::UuidLike),
        ("550E8400E29B41D4A716446655440000", NameError::UuidLike),
        ("550e8400-e29b", NameError::UuidLike),
        ("550e8400-", NameError::UuidLike),
    ];
    for (text, expected) in cases {
        assert_eq!(Name::parse(text), Err(expected), "{text:?}");
    }
}

#[test]
fn every_way_to_look_like_the_operator_is_reserved() {
    let operators = [
        "Server",
        "server",
        "SERVER",
        "sErVeR",
        "Sеrver",
        "Ѕerver",
        "ＳＥＲＶＥＲ",
        "Servеr",
        "Ｓerver",
        "ѕеrvеr",
        "Seᴦver",
    ];
    for name in operators {
        assert_eq!(Name::parse(name), Err(NameError::Reserved), "{name}");
    }
    assert!(Name::operator().is_operator());
    assert_eq!(Name::operator().as_str(), "Server");
    assert!(!Name::parse("Alice").unwrap().is_operator());
}

fn key(name: &str) -> NameKey {
    Name::parse(name).unwrap().key()
}

#[test]
fn names_that_look_alike_share_a_key() {
    let alike = [
        ("Alice", "alice"),
        ("Alice", "ALICE"),
        ("Alice", "АIice"),
        ("Alice", "Аlice"),
        ("Alice", "A1ice"),
        ("Alice", "AIice"),
        ("Alice", "ALlCE"),
        ("Alice", "Ａｌｉｃｅ"),
        ("Alice", "Alicе"),
        ("Bob", "B0b"),
        ("Bob", "ВоЬ"),
        ("modern", "modem"),
        ("Modern", "MODERN"),
        ("Ian", "lan"),
        ("Иван", "ИВАН"),
        ("Виктор", "виктор"),
        ("вот", "ВОТ"),
        ("ВОТ", "BOT"),
        ("Ace", "Асе"),
        ("Οδός", "οδός"),
        ("Σ", "ς"),
        ("Zoe\u{308}", "Zoë"),
        ("José", "JOSÉ"),
    ];
    for (one, other) in alike {
        assert_eq!(key(one), key(other), "{one} {other}");
    }
}

#[test]
fn names_that_look_different_have_their_own_keys() {
    let names = ["Alice", "Bob", "Alicia", "Al", "Zoe", "Zoë", "Иван", "Νίκος", "山田", "Mary-Ann"];
    let keys: std::collections::HashSet<_> = names.iter().map(|name| key(name)).collect();
    assert_eq!(keys.len(), names.len());
}

#[test]
fn a_name_has_one_form() {
    assert_eq!(Name::parse("Ａｌｉｃｅ").unwrap().as_str(), "Alice");
    assert_eq!(Name::parse("Zoe\u{308}").unwrap().as_str(), "Zoë");
    assert_eq!(Name::parse("Alice").unwrap().to_string(), "Alice");
}

/// Found by the fuzzer: U+0340 becomes U+0300, whose order among marks is another one then.
#[test]
fn a_text_that_one_round_does_not_bring_into_its_form_gets_there_or_is_refused() {
    let text = String::from_utf8_lossy(&[
        0xcd, 0x80, 0x90, 0x3d, 0xcc, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0x32, 0, 0x64, 0x31, 0, 0, 0,
        0, 0, 0, 0,
    ])
    .into_owned();
    for name in [Name::parse(&text).ok(), Name::propose(&text)].into_iter().flatten() {
        assert_eq!(Name::parse(name.as_str()), Ok(name));
    }
}

#[test]
fn a_name_near_to_what_was_written_is_proposed() {
    let cases = [
        ("Mary Ann", Some("Mary-Ann")),
        ("  Mary \t Ann  ", Some("Mary-Ann")),
        ("O'Hara", Some("OHara")),
        ("@Alice:", Some("Alice")),
        ("Alice 😀", Some("Alice")),
        ("\u{1b}[31mAlice", Some("31mAlice")),
        ("Mary - Ann", Some("Mary-Ann")),
        ("Ａｌｉｃｅ Ｂ", Some("Alice-B")),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bcd", Some("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")),
        ("", None),
        (" ", None),
        ("😀", None),
        ("Server", None),
        ("550e8400-e29b-41d4-a716-446655440000", None),
    ];
    for (text, expected) in cases {
        let proposed = Name::propose(text);
        assert_eq!(proposed.as_ref().map(Name::as_str), expected, "{text:?}");
    }
}

#[test]
fn a_name_crosses_the_wire_in_its_one_form_only() {
    let alice = Name::parse("Alice").unwrap();
    assert_eq!(codec::decode::<Name>(&codec::encode(&alice)), Ok(alice));
    for text in ["Ａlice", "Zoe\u{308}", "a b", "", "server", "Sеrver", "\u{202e}x"] {
        let bytes = codec::encode(&text.to_owned());
        assert!(minicbor::decode::<Name>(&bytes).is_err(), "{text:?}");
    }
}

#[test]
fn the_operators_name_crosses_the_wire_as_such() {
    let decoded: Name = codec::decode(&codec::encode(&Name::operator())).unwrap();
    assert!(decoded.is_operator());
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = (Name::parse(&text), Name::propose(&text));
    }

    #[test]
    fn parsing_is_idempotent(text in "\\PC{1,12}|[\\p{L}\\p{M}\\p{N}]{1,8}") {
        if let Ok(name) = Name::parse(&text) {
            prop_assert_eq!(Name::parse(name.as_str()), Ok(name));
        }
    }

    #[test]
    fn a_proposal_is_a_name(text in ".{0,60}") {
        if let Some(name) = Name::propose(&text) {
            prop_assert_eq!(Name::parse(name.as_str()), Ok(name));
        }
    }

    #[test]
    fn a_name_keeps_the_rules(text in "[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}]{1,8}") {
        if let Ok(name) = Name::parse(&text) {
            prop_assert!((1..=MAX_CHARS).contains(&name.as_str().chars().count()));
            prop_assert!(!name.as_str().chars().any(|c| c.is_whitespace() || c.is_control()));
            prop_assert!(!name.as_str().contains(PUNCTUATION));
        }
    }

    #[test]
    fn case_alone_makes_no_other_key(text in "[A-Za-z0-9._-]{1,12}") {
        let keys = [text.to_uppercase(), text.to_lowercase(), text].map(|text| NameKey::of(&text));
        prop_assert!(keys[0] == keys[1] && keys[1] == keys[2]);
    }

    #[test]
    fn folding_ends(text in "\\PC{1,16}") {
        let key = NameKey::of(&text);
        prop_assert_eq!(NameKey::of(key.as_str()), key);
    }
}
