//! What differs between systems: permissions, and making a rename durable.

use std::fs::{DirBuilder, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// Makes a folder (and those above it) that only its owner can enter.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    system::only_owner_enters(&mut builder);
    builder.create(path)
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

/// Whether anybody but its owner may do anything with a file or folder.
pub(crate) fn is_open_to_others(metadata: &Metadata) -> bool {
    system::is_open_to_others(metadata)
}

#[cfg(unix)]
mod system {
    use std::fs::{DirBuilder, File, Metadata, OpenOptions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
    use std::path::Path;

    pub(super) fn only_owner_enters(builder: &mut DirBuilder) {
        builder.mode(0o700);
    }

    pub(super) fn only_owner_reads(options: &mut OpenOptions) {
        options.mode(0o600);
    }

    pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    pub(super) fn is_open_to_others(metadata: &Metadata) -> bool {
        metadata.permissions().mode() & 0o077 != 0
    }
}

/// Elsewhere the user's own folder protects what is in it: its list of who may do what is inherited by
/// everything made in it, and the standard library neither reads nor changes it.
#[cfg(not(unix))]
mod system {
    use std::fs::{DirBuilder, Metadata, OpenOptions};
    use std::io;
    use std::path::Path;

    pub(super) fn only_owner_enters(_: &mut DirBuilder) {}

    pub(super) fn only_owner_reads(_: &mut OpenOptions) {}

    pub(super) fn sync_folder(_: &Path) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn is_open_to_others(_: &Metadata) -> bool {
        false
    }
}
