//! What is typed, and what others wrote on its way to a screen.
#![no_main]

use undertone_fuzz::text;
use undertone_terminal::command::{self, Ordered, Place, Typed};
use undertone_terminal::text::{harmless, one_line};

undertone_fuzz::target!(run);

fn run(bytes: &[u8]) {
    let line = text(bytes);
    shown(&line);
    if let Ok(typed) = command::parse(&line) {
        match typed {
            Typed::Text(said) => assert!(!said.is_empty() && line.ends_with(&said)),
            Typed::Msg { who, text } => {
                is_word(&who);
                assert!(!text.is_empty() && line.ends_with(&text));
            }
            Typed::Chat(who)
            | Typed::Go(Place::Named(who))
            | Typed::Add(who)
            | Typed::Remove(who)
            | Typed::Promote(who) => is_word(&who),
            Typed::Accept(who) | Typed::Decline(who) | Typed::End(who) => {
                who.iter().for_each(|who| is_word(who));
            }
            Typed::Nothing => assert!(line.is_empty()),
            _ => assert!(line.starts_with('/') || line.trim_end().eq_ignore_ascii_case("quit")),
        }
    }
    if let Ok(Ordered::To { who, text }) = command::parse_order(&line) {
        is_word(&who);
        assert!(!text.is_empty() && line.ends_with(&text));
    }
}

fn is_word(who: &str) {
    assert!(!who.is_empty() && !who.contains(char::is_whitespace));
}

fn shown(text: &str) {
    let line = one_line(text);
    assert!(!line.chars().any(char::is_control), "a control character came out");
    assert_eq!(one_line(&line), line, "what is harmless stays as it is");
    let lines = harmless(text);
    assert!(!lines.chars().any(|letter| letter != '\n' && letter.is_control()));
    assert!(lines.split('\n').skip(1).all(|line| line.starts_with("  | ")), "a line was forged");
    // A tab is four columns, a picture three bytes, a line break six.
    assert!(lines.len() <= text.len() * 6);
}
