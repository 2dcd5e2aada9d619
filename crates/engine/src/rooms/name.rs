//! Names of rooms.

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use std::fmt;
use undertone_wire::name::{Name, NameError};

/// What stands in a room's place where lines and commands mean something else.
const RESERVED: [&str; 2] = ["lobby", "private"];

/// A room's name: what a member could be called, so that no line can be forged with it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RoomName(Name);

/// A text is no name for a room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoomNameError {
    /// It would be no name of a member either.
    #[error(transparent)]
    Name(#[from] NameError),
    /// It could be taken for a place that is no room.
    #[error("is reserved")]
    Reserved,
}

impl RoomName {
    /// The name that a person wrote, in its one form (see [`Name::parse`]).
    ///
    /// # Errors
    /// [`RoomNameError`].
    pub fn parse(text: &str) -> Result<Self, RoomNameError> {
        let name = Self(Name::parse(text)?);
        let taken = RESERVED.iter().filter_map(|word| Name::parse(word).ok());
        let reserved = taken.into_iter().any(|word| word.key() == name.0.key());
        if reserved { Err(RoomNameError::Reserved) } else { Ok(name) }
    }

    /// The name as it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether a person could take one for the other.
    #[must_use]
    pub fn looks_like(&self, other: &Self) -> bool {
        self.0.key() == other.0.key()
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<C> Encode<C> for RoomName {
    fn encode<W: encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.str(self.as_str())?.ok()
    }
}

/// Takes a name in its one form.
impl<'b, C> Decode<'b, C> for RoomName {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let text = d.str()?;
        match Self::parse(text) {
            Ok(name) if name.as_str() == text => Ok(name),
            _ => Err(decode::Error::message("not a room's name")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_room_is_called_like_a_place_that_is_none() {
        for text in ["lobby", "Lobby", "private", "Private", "Server"] {
            assert!(RoomName::parse(text).is_err(), "{text}");
        }
        for text in ["a b", "a]", "#a", "", "a:", "\u{202e}a"] {
            assert!(RoomName::parse(text).is_err(), "{text}");
        }
        assert_eq!(RoomName::parse("team").unwrap().as_str(), "team");
    }
}
