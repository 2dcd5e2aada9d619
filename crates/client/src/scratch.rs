//! A folder of one test, gone at its end.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("undertone-client-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// A whole link to a relay on this computer.
pub(crate) fn link_to(port: u16) -> String {
    use undertone_wire::invite::{CertificatePin, Invite, Origin, RelayInvite};
    use undertone_wire::link::{LinkSecret, Psk, PskId};
    use undertone_wire::lobby::LobbySecret;
    let relay = RelayInvite {
        relay_key: LinkSecret::from_bytes([3; 32]).public(),
        pin: Some(CertificatePin([2; 32])),
        psk_id: PskId([1; 16]),
        psk: Psk::from_bytes([9; 32]),
    };
    let lobby = LobbySecret::from_bytes([6; 32]);
    Invite::new(Origin::loopback(port), relay, Some(lobby), None).to_link()
}
