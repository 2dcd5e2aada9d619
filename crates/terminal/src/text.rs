//! Makes what others wrote harmless to show.
//!
//! Nothing but text reaches a terminal or a pipe: what would move a cursor, change a direction or
//! show nothing at all is replaced by something that can be seen, and no line break of a text can
//! forge a line of ours.

/// What stands before every further line of a text.
pub const CONTINUATION: &str = "\n  | ";

/// Stands for what has no picture of its own.
const REPLACEMENT: char = '\u{fffd}';

/// A text of several lines, all but the first marked as such.
#[must_use]
pub fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            // One line break, written as two characters.
            '\r' if rest.peek() == Some(&'\n') => {}
            '\n' | '\u{2028}' | '\u{2029}' | '\u{85}' => out.push_str(CONTINUATION),
            other => push_visible(other, &mut out),
        }
    }
    out
}

/// A text that stands inside a line of ours: a name, a reason. A line break is made visible.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|character| push_visible(character, &mut out));
    out
}

fn push_visible(character: char, out: &mut String) {
    match character {
        '\t' => out.push_str("    "),
        // Unicode has a picture for each of these.
        '\u{0}'..='\u{1f}' => out.push(picture(character)),
        '\u{7f}' => out.push('\u{2421}'),
        _ if is_deceptive(character) => out.push(REPLACEMENT),
        _ => out.push(character),
    }
}

fn picture(control: char) -> char {
    char::from_u32(0x2400 + u32::from(control)).unwrap_or(REPLACEMENT)
}

/// Whether a character acts on a terminal or its neighbours, or takes no room: C1 controls, line
/// separators, bidirectional controls, zero-width characters and fillers, tags. Variation selectors
/// stay: they only choose how a character looks that is there to be seen.
pub(crate) fn is_deceptive(character: char) -> bool {
    matches!(character,
        '\u{80}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in ["Hello everyone!", "Grüße, 世界 🙂", "שלום", "a/b \\ \"c\" 'd' ❤\u{fe0f}"]
        {
            assert_eq!(harmless(text), text);
            assert_eq!(one_line(text), text);
        }
    }

    #[test]
    fn further_lines_are_marked_so_that_none_can_be_forged() {
        assert_eq!(harmless("hi\nAlice: I quit"), "hi\n  | Alice: I quit");
        assert_eq!(harmless("a\r\nb\u{2028}c\u{85}d"), "a\n  | b\n  | c\n  | d");
        assert_eq!(harmless("a\rb"), "a\u{240d}b");
        assert_eq!(one_line("a\nb"), "a\u{240a}b");
    }

    #[test]
    fn escapes_can_be_seen_and_do_nothing() {
        assert_eq!(harmless("\u{1b}[2J\u{7}"), "\u{241b}[2J\u{2407}");
        assert_eq!(harmless("\u{9b}2J\u{7f}"), "\u{fffd}2J\u{2421}");
        assert_eq!(harmless("a\u{202e}b\u{200b}c"), "a\u{fffd}b\u{fffd}c");
    }

    fn acts(character: char) -> bool {
        character.is_control() || is_deceptive(character)
    }

    proptest! {
        #[test]
        fn nothing_but_text_comes_out(text in any::<String>()) {
            prop_assert!(!one_line(&text).chars().any(acts));
            let shown = harmless(&text);
            prop_assert!(!shown.chars().any(|c| c != '\n' && acts(c)));
        }

        #[test]
        fn every_further_line_is_marked(text in "[\\x00-\\x20a\\u{85}\\u{2028}\\u{2029}]{0,40}") {
            let shown = harmless(&text);
            prop_assert!(shown.split('\n').skip(1).all(|line| line.starts_with("  | ")));
        }

        #[test]
        fn what_is_harmless_already_is_not_changed(text in any::<String>()) {
            let once = one_line(&text);
            prop_assert_eq!(one_line(&once), once.clone());
        }
    }
}
