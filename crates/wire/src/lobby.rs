//! The lobby's secret, and everything that follows from it.
//!
//! It is the second half of an invite. Who holds it can find the lobby, knock and be let in; the
//! relay never holds it, so neither the relay nor its crates may use this module.

use crate::ids::{LogId, Token};
use hkdf::Hkdf;
use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// 32 random bytes that the members of a lobby share.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct LobbySecret([u8; 32]);

/// What a lobby's secret stands for: HKDF-SHA256 (RFC 5869) without salt, a label each.
pub struct LobbyKeys {
    /// The conversation's id, the same for all its sessions.
    pub conversation_id: [u8; 32],
    /// The board, where the current session is announced: its log.
    pub board_log: LogId,
    /// What opens the board's log.
    pub board_token: Token,
    /// What the board's entries are sealed under.
    pub board_key: Zeroizing<[u8; 32]>,
    /// The door, where newcomers knock: its log.
    pub door_log: LogId,
    /// What opens the door's log.
    pub door_token: Token,
    /// What knocks are sealed under.
    pub door_key: Zeroizing<[u8; 32]>,
    /// The external pre-shared key in every commit of the lobby's sessions (RFC 9420 §8.4).
    pub psk: Zeroizing<[u8; 32]>,
}

impl LobbySecret {
    /// The secret with these bytes, which must be random.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret of an open relay's lobby: derived from its public key, so anyone can read it,
    /// the relay included.
    #[must_use]
    pub fn open(relay: &crate::ids::LinkKey) -> Self {
        Self(crate::ids::Hash::of(&[b"undertone open lobby v1", &relay.0]).0)
    }

    /// The secret itself, for storage and for links.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What follows from it.
    #[must_use]
    pub fn keys(&self) -> LobbyKeys {
        LobbyKeys {
            conversation_id: *self.derive("conversation id"),
            board_log: LogId(*self.derive("board log id")),
            board_token: Token(*self.derive("board token")),
            board_key: self.derive("board key"),
            door_log: LogId(*self.derive("door log id")),
            door_token: Token(*self.derive("door token")),
            door_key: self.derive("door key"),
            psk: self.derive("psk"),
        }
    }

    fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let mut out = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, &self.0)
            .expand_multi_info(&[b"undertone lobby v1 ", label.as_bytes()], &mut *out)
            .expect("HKDF-SHA256 gives up to 8,160 bytes");
        out
    }
}

impl PartialEq for LobbySecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for LobbySecret {}

impl fmt::Debug for LobbySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LobbySecret(…)")
    }
}

/// Shows which lobby, and no key.
impl fmt::Debug for LobbyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LobbyKeys(board {}, …)", self.board_log)
    }
}

impl<C> Encode<C> for LobbySecret {
    fn encode<W: encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for LobbySecret {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let bytes = d.bytes()?.try_into();
        bytes.map(Self).map_err(|_| decode::Error::message("wrong length"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;
    use std::collections::HashSet;

    fn all(secret: &LobbySecret) -> [[u8; 32]; 8] {
        let keys = secret.keys();
        [
            keys.conversation_id,
            keys.board_log.0,
            keys.board_token.0,
            *keys.board_key,
            keys.door_log.0,
            keys.door_token.0,
            *keys.door_key,
            *keys.psk,
        ]
    }

    #[test]
    fn no_two_keys_of_a_lobby_or_of_two_lobbies_are_the_same() {
        let mut seen: HashSet<[u8; 32]> = all(&LobbySecret::from_bytes([1; 32])).into();
        seen.extend(all(&LobbySecret::from_bytes([2; 32])));
        assert_eq!(seen.len(), 16);
    }

    #[test]
    fn a_lobby_shows_none_of_its_secrets() {
        let secret = LobbySecret::from_bytes([0xab; 32]);
        let board = secret.keys().board_log;
        assert_eq!(format!("{secret:?}"), "LobbySecret(…)");
        assert_eq!(format!("{:?}", secret.keys()), format!("LobbyKeys(board {board}, …)"));
    }

    /// What must never change while the label says v1.
    #[test]
    fn the_golden_lobby_holds() {
        let keys = all(&LobbySecret::from_bytes([7; 32]));
        assert_eq!(keys.map(|key| HEXLOWER.encode(&key)), GOLDEN);
    }

    const GOLDEN: [&str; 8] = [
        "b5bc8243418e7a1d280ba1e6ffa0919fb15588a8999035d4ffacb7dd30b495f5",
        "87d93366ad4bdb1ba07c45791515b765b24f2879068f693df850e578417d30c9",
        "6c860ff6dcd2845dfde5c3ef84ee21fe65a93bc019d1ebe87103402d7bc79d56",
        "7ebe8a5ef82de9f367ff3cb7aa0188620541d9728e91b5ddf99861d34872a02f",
        "5e0df5d7a52914c5c5db4b6eabe51746613dad748565392a47dab79e0343e4a7",
        "fd75353aaa4bc3c0596e5e0084f80ece9773b10a98b0c4740b0a8fadc6b86273",
        "d859205f7ad56c1a3695ba776df34dd237ce589c2dc261aff95e03779766e33d",
        "dd23739c52cde91f2c4b18f7f65d8ddf20e6f3e1aae749e9f0bd538d86c54cd2",
    ];
}
