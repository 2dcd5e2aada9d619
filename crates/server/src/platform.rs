//! What differs between systems: permissions, and making a rename durable.

use std::fs::{DirBuilder, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// Makes a folder (and those above it) that only its owner can enter; tightens one that exists.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    system::only_owner_enters(&mut builder);
    builder.create(path)?;
    system::tighten_folder(path)
}

/// Options for a file that only its owner can read and write.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    system::only_owner_reads(&mut options);
    options
}

/// Makes what was renamed or created in this folder survive a power cut.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    system::sync_folder(path)
}

/// Bytes that are free for us where this path is; none where the system does not say.
pub(crate) fn free_space(path: &Path) -> Option<u64> {
    system::free_space(path)
}

/// Whether anybody but its owner may do anything with a file or folder.
pub(crate) fn is_open_to_others(metadata: &Metadata) -> bool {
    system::is_open_to_others(metadata)
}

#[cfg(unix)]
mod system {
    use nix::sys::statvfs::statvfs;
    use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions, set_permissions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
    use std::path::Path;

    const FOLDER: u32 = 0o700;
    const FILE: u32 = 0o600;

    pub(super) fn only_owner_enters(builder: &mut DirBuilder) {
        builder.mode(FOLDER);
    }

    pub(super) fn tighten_folder(path: &Path) -> io::Result<()> {
        set_permissions(path, Permissions::from_mode(FOLDER))
    }

    pub(super) fn only_owner_reads(options: &mut OpenOptions) {
        options.mode(FILE);
    }

    pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    #[allow(clippy::useless_conversion, reason = "how wide these are differs between systems")]
    pub(super) fn free_space(path: &Path) -> Option<u64> {
        let system = statvfs(path).ok()?;
        u64::from(system.blocks_available()).checked_mul(u64::from(system.fragment_size()))
    }

    pub(super) fn is_open_to_others(metadata: &Metadata) -> bool {
        metadata.permissions().mode() & 0o077 != 0
    }
}

/// Elsewhere the user's own profile folder protects what is in it.
#[cfg(not(unix))]
mod system {
    use std::fs::{DirBuilder, Metadata, OpenOptions};
    use std::io;
    use std::path::Path;

    pub(super) fn only_owner_enters(_: &mut DirBuilder) {}

    pub(super) fn tighten_folder(_: &Path) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn only_owner_reads(_: &mut OpenOptions) {}

    pub(super) fn sync_folder(_: &Path) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn free_space(_: &Path) -> Option<u64> {
        None
    }

    pub(super) fn is_open_to_others(_: &Metadata) -> bool {
        false
    }
}
