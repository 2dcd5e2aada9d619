//! A file system in a file: it can be full, and its power can be cut.
//!
//! It wants root, loop devices, `mkfs.ext4`, `mount` and `perl`. Where they are missing the tests
//! that need it are left out and say so: `cargo xtask test` reads it from the folder `left-out`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use undertone_testkit::scratch::Scratch;

/// `EXT4_IOC_SHUTDOWN` (linux/fs.h: `FS_IOC_SHUTDOWN`), and its argument: no flush of the journal.
const SHUTDOWN: &str = "0x8004587D";
const NO_LOG_FLUSH: &str = "2";

/// Mounted until it is dropped.
pub(crate) struct Volume {
    image: PathBuf,
    folder: PathBuf,
}

impl Volume {
    /// Of so many mebibytes, empty.
    pub(crate) fn new(image: &Path, folder: &Path, mebibytes: u32) -> Self {
        Self::make(image, folder, mebibytes).unwrap()
    }

    fn make(image: &Path, folder: &Path, mebibytes: u32) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let (image, folder) = (image.to_path_buf(), folder.to_path_buf());
        let size = format!("{mebibytes}M");
        run(Command::new("truncate").args(["-s", &size]).arg(&image))?;
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))?;
        let volume = Self { image, folder };
        volume.mount()?;
        Ok(volume)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn mount(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "loop"]).args([&self.image, &self.folder]))
    }

    /// The power is cut, of this process and of the disk: what it was not asked to sync never
    /// reached it. The process goes first, for a sync that is under way while a file system is shut
    /// down succeeds in vain, and nobody who lives may hear of it.
    pub(crate) fn cut(&self, process: u32) {
        self.shut_down(Some(process)).unwrap();
    }

    fn shut_down(&self, process: Option<u32>) -> Result<(), String> {
        let script = "open(my $folder, '<', $ARGV[0]) or die \"open: $!\"; \
                      my $how = pack('L', $ARGV[2]); \
                      kill('KILL', $ARGV[3]) if $ARGV[3]; \
                      ioctl($folder, hex($ARGV[1]), $how) or die \"ioctl: $!\"";
        let mut perl = Command::new("perl");
        perl.args(["-e", script]).arg(&self.folder).args([SHUTDOWN, NO_LOG_FLUSH]);
        run(perl.args(process.map(|process| process.to_string())))
    }

    /// The power is back. Whoever used it must have ended.
    pub(crate) fn again(&self) {
        run(Command::new("umount").arg(&self.folder)).unwrap();
        self.mount().unwrap();
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Also where a program of a failed test still uses it.
        let _unmounted = run(Command::new("umount").arg("--lazy").arg(&self.folder));
        let _gone = std::fs::remove_file(&self.image);
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let called = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{called}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{called}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// Whether what needs a volume cannot run here; then it is said that this was left out, and why.
pub(crate) fn left_out(what: &str) -> bool {
    static WHY: OnceLock<Option<String>> = OnceLock::new();
    let why = WHY.get_or_init(|| {
        let scratch = Scratch::default();
        let folder = scratch.path().join("mounted");
        let volume = match Volume::make(&scratch.path().join("image"), &folder, 8) {
            Ok(volume) => volume,
            Err(why) => return Some(why),
        };
        volume.shut_down(None).err()
    });
    match why {
        None => false,
        Some(why) => {
            say_left_out(&format!("{what}: {why}"));
            true
        }
    }
}

pub(crate) fn say_left_out(what: &str) {
    undertone_testkit::left_out::say(env!("CARGO_TARGET_TMPDIR"), what);
}
