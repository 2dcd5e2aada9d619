//! Core dumps: there are none. What a process has in memory is what it keeps sealed on the disk.

/// Whatever ends this process, its memory is not written to a file, nor given to a program that
/// writes it. Where the system knows neither limit, nothing changes.
pub(crate) fn prevent() {
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, setrlimit};
        // Linux gives a core to a program (`|` in core_pattern) whatever the limit is, but for 1;
        // and one byte is below the least that is written to a file.
        let _stays_as_it_was = setrlimit(Resource::RLIMIT_CORE, 1, 1);
    }
}
