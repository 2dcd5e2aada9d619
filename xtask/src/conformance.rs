//! `cargo xtask conformance`: the relay's edge under suites that others wrote. It takes minutes and
//! wants programs of other systems, so it is run by hand; its figures are in docs/testing.md.
//!
//! | suite | from | looks at |
//! | --- | --- | --- |
//! | Autobahn, groups 1–7, 9, 10 | PyPI, for Python 2.7 | the WebSocket layer, as an echo |
//! | testssl.sh | Debian | TLS of a running relay |
//! | sslyze | PyPI | the same |

mod autobahn;
mod relay;
mod tls;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::cargo;
use crate::failure::Failure;
use crate::repository;
use crate::stage::Stages;

/// Runs all of it, and prints one summary.
pub(crate) fn run() -> Result<(), Failure> {
    let mut stages = Stages::default();
    let outcome = run_in(&mut stages);
    println!("{}", stages.summary());
    outcome
}

fn run_in(stages: &mut Stages) -> Result<(), Failure> {
    std::fs::create_dir_all(folder())
        .map_err(|error| Failure::new(format!("cannot make a folder: {error}"), "is it full?"))?;
    stages.run("autobahn", autobahn::run)?;
    stages.run("testssl", tls::testssl)?;
    stages.run("sslyze", tls::sslyze)
}

fn folder() -> PathBuf {
    repository::target().join("conformance")
}

/// A program that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _status = self.0.wait();
    }
}

impl Running {
    /// Starts it, and gives the first line that `read` takes something from.
    fn start<T>(
        command: &mut Command,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<(Self, T), Failure> {
        let failed = |why: String| Failure::new(why, "start it by hand to see more");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(format!("`{}`: {error}", cargo::shown(command))))?;
        let out = child.stdout.take();
        let running = Self(child);
        let mut lines = out.into_iter().flat_map(|out| BufReader::new(out).lines());
        let found = lines.find_map(|line| line.ok().as_deref().and_then(&read));
        let found =
            found.ok_or_else(|| failed(format!("`{}` said nothing", cargo::shown(command))))?;
        // Nobody reads further; neither program says more.
        Ok((running, found))
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display()), "is the disk full?"))
}

fn read(path: &Path) -> Result<Value, Failure> {
    let text = std::fs::read_to_string(path);
    let failed = |why: String| Failure::new(format!("{}: {why}", path.display()), "run it again");
    let text = text.map_err(|error| failed(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| failed(error.to_string()))
}
