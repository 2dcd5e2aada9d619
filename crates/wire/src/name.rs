//! Names of members.
//!
//! A name is what other people read, so it must not be able to look like anything else: not like
//! another member's, not like the operator's, not like the punctuation around it.
//!
//! * [`Name::parse`] brings a text into its one form (PRECIS, RFC 8265, `UsernameCasePreserved`)
//!   or says why it cannot be a name.
//! * [`Name::key`] is what two names share when a person could take one for the other. The relay
//!   lets each key be registered once.

mod error;
mod key;

#[cfg(test)]
mod tests;

pub use error::NameError;
pub use key::NameKey;

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use precis_profiles::UsernameCasePreserved;
use precis_profiles::precis_core::Error as PrecisError;
use precis_profiles::precis_core::profile::Profile;
use std::fmt;

/// Characters (Unicode scalar values) of the longest name.
pub const MAX_CHARS: usize = 32;

/// Bytes of the longest name in UTF-8.
pub const MAX_BYTES: usize = MAX_CHARS * 4;

/// The operator's name.
const OPERATOR: &str = "Server";

/// What stands around names: in commands (`@`, `/`, `#`), in lines (`:`, `[`, `]`, `<`, `>`), in
/// lists (`,`) and in quotation marks, and what escapes them.
const PUNCTUATION: &[char] = &[':', '@', '/', '#', '"', '\'', '[', ']', '<', '>', ',', '\\', '|'];

/// A member's name, in its one form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Name(String);

impl Name {
    /// The name that a person wrote, in its one form: fullwidth letters become ordinary ones,
    /// composed what can be. The case stays.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_length(text)?;
        check_characters(text)?;
        let name = stable(text)?;
        // What PRECIS made of the text is judged again: it may have turned into what is not allowed.
        check_length(&name)?;
        check_characters(&name)?;
        if is_uuid_like(&name) {
            return Err(NameError::UuidLike);
        }
        let name = Self(name);
        if name.key() == Self::operator().key() { Err(NameError::Reserved) } else { Ok(name) }
    }

    /// The operator's name, which nobody can choose.
    #[must_use]
    pub fn operator() -> Self {
        Self(OPERATOR.to_owned())
    }

    /// Whether it is the operator's.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.0 == OPERATOR
    }

    /// What it shares with every name that it could be taken for.
    #[must_use]
    pub fn key(&self) -> NameKey {
        NameKey::of(&self.0)
    }

    /// The name as it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name near to a text that is none (`Mary Ann`: `Mary-Ann`), if there is one.
    #[must_use]
    pub fn propose(text: &str) -> Option<Self> {
        let mut proposal = String::new();
        // More than a name's worth of characters is looked at, since many may be left out.
        for character in text.chars().take(MAX_CHARS * 8) {
            if character.is_whitespace() || character == '-' {
                if !proposal.is_empty() && !proposal.ends_with('-') {
                    proposal.push('-');
                }
            } else if can_stand(character) {
                proposal.push(character);
            }
        }
        let end = proposal.char_indices().nth(MAX_CHARS).map_or(proposal.len(), |(at, _)| at);
        proposal.truncate(end);
        Self::parse(proposal.trim_end_matches('-')).ok()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<C> Encode<C> for Name {
    fn encode<W: encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

/// Takes a name in its one form, and exactly `Server` for the operator's.
///
/// Whether the peer may use that one is the relay's to judge: see [`Name::is_operator`].
impl<'b, C> Decode<'b, C> for Name {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let text = d.str()?;
        if text == OPERATOR {
            return Ok(Self::operator());
        }
        match Self::parse(text) {
            Ok(name) if name.0 == text => Ok(name),
            _ => Err(decode::Error::message("not a name")),
        }
    }
}

fn check_length(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    // A UUID has 36 characters; whoever types one learns the better reason.
    if text.len() == 36 && is_uuid_like(text) {
        return Err(NameError::UuidLike);
    }
    if text.len() > MAX_BYTES || text.chars().count() > MAX_CHARS {
        return Err(NameError::TooLong);
    }
    Ok(())
}

fn check_characters(text: &str) -> Result<(), NameError> {
    text.chars().try_for_each(|character| match character {
        _ if is_invisible(character) => Err(NameError::Invisible),
        _ if character.is_whitespace() => Err(NameError::WhiteSpace),
        _ if PUNCTUATION.contains(&character) => Err(NameError::Punctuation(character)),
        _ => Ok(()),
    })
}

/// Whether a character can be part of some name.
fn can_stand(character: char) -> bool {
    let mut buffer = [0; 4];
    let text: &str = character.encode_utf8(&mut buffer);
    check_characters(text).is_ok() && UsernameCasePreserved::new().prepare(text).is_ok()
}

/// Control characters, and those that change how their neighbours are shown or are not shown
/// themselves: bidirectional controls, joiners, fillers, variation selectors, tags
/// (Default_Ignorable_Code_Point, and the rest of Bidi_Control, of Unicode 17).
fn is_invisible(character: char) -> bool {
    let tab_or_newline = matches!(character, '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}');
    (character.is_control() && !tab_or_newline)
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a text is a UUID (RFC 9562), with or without hyphens, or the start of one as far as its
/// first hyphen: a member's id can be given by its start.
fn is_uuid_like(text: &str) -> bool {
    let bytes = text.as_bytes();
    let plain = bytes.len() == 32 && bytes.iter().all(u8::is_ascii_hexdigit);
    let canonical = (9..=36).contains(&bytes.len())
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    plain || canonical
}

/// Applies the profile until it changes nothing more, at most four times (RFC 8264, section 7): the
/// order of its rules makes some texts need more than one.
fn stable(text: &str) -> Result<String, NameError> {
    let enforce = |text: &str| {
        let enforced = UsernameCasePreserved::new().enforce(text.to_owned());
        enforced.map(|name| name.into_owned()).map_err(|error| reason(&error))
    };
    let mut name = enforce(text)?;
    for _ in 0..3 {
        let again = enforce(&name)?;
        if again == name {
            return Ok(name);
        }
        name = again;
    }
    Err(NameError::Unclear)
}

fn reason(error: &PrecisError) -> NameError {
    match error {
        PrecisError::BadCodepoint(found) => {
            char::from_u32(found.cp).map_or(NameError::Unclear, NameError::Character)
        }
        _ => NameError::Unclear,
    }
}
