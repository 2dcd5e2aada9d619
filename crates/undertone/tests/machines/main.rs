//! The built binary on machines that fail: killed processes, power cuts, full disks, bad networks.
//! An oracle outside the product compares what programs said they had taken over with what each
//! reader was shown. `UNDERTONE_LONG` (`cargo xtask test --long`) asks for the full figures.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]
#![allow(clippy::print_stdout, reason = "figures that a reader of the run wants to see")]
#![allow(clippy::disallowed_methods, reason = "machines need clocks and threads")]

mod crew;
mod full;
mod kills;
mod network;
mod oracle;
mod person;
mod power;
mod slow;
mod soak;
mod volume;
mod weather;

use undertone_testkit::scene::Scene;

/// A fresh home for the binary that was built with these tests.
fn scene() -> Scene {
    Scene::new(env!("CARGO_BIN_EXE_undertone"))
}

/// What is done in every run, or what is done in a long one.
fn length(short: usize, long: usize) -> usize {
    if std::env::var_os("UNDERTONE_LONG").is_some() { long } else { short }
}

/// Does it for all, two at once: most of such a life is waiting.
fn two_at_a_time<T: Sync, R: Send>(all: &[T], life: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let mut results = Vec::new();
        while let Some(one) = all.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            results.push(life(one));
        }
        results
    };
    std::thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}
