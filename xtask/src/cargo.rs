//! Calls of cargo and its companions.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use crate::failure::Failure;
use crate::{repository, tools};

/// A cargo that works on this repository, the same one that started us.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(repository::root());
    prepare(&mut command);
    command
}

/// Runs to the end with its output on ours.
pub(crate) fn run(command: &mut Command, remedy: &str) -> Result<(), Failure> {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("`{}` failed ({status})", shown(command)), remedy))
}

/// Runs to the end and hands back what it printed on its standard output.
pub(crate) fn output(command: &mut Command, remedy: &str) -> Result<String, Failure> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| cannot_start(command, &error))?;
    if !output.status.success() {
        let fault = format!("`{}` failed ({})", shown(command), output.status);
        return Err(Failure::new(fault, remedy));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| Failure::new(format!("`{}` printed no UTF-8", shown(command)), remedy))
}

/// Whether it can be run at all, and says that all is well; prints nothing.
pub(crate) fn answers(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Which of its two outputs a runner reports on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    Stdout,
    Stderr,
}

/// Runs to the end, shows every line of the report as it comes, and hands each to `line`.
/// Returns whether the command was content.
pub(crate) fn watch(
    command: &mut Command,
    report: Report,
    mut line: impl FnMut(&str),
) -> Result<bool, Failure> {
    match report {
        Report::Stdout => command.stdout(Stdio::piped()),
        Report::Stderr => command.stderr(Stdio::piped()),
    };
    let mut child = command.spawn().map_err(|error| cannot_start(command, &error))?;
    let stdout = child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read>);
    let stderr = child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read>);
    if let Some(pipe) = stdout.or(stderr) {
        let mut lines = BufReader::new(pipe);
        let mut bytes = Vec::new();
        // Tests may print bytes that are no text; they must not end the watch.
        while lines.read_until(b'\n', &mut bytes).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&bytes);
            print!("{text}");
            line(text.trim_end());
            bytes.clear();
        }
    }
    let status = child.wait().map_err(|error| cannot_start(command, &error))?;
    Ok(status.success())
}

/// What a person would type for it.
pub(crate) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let mut words = vec![program.file_stem().unwrap_or_default().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Our own tools can be found; and the variables cargo set for this very package are taken away,
/// which would mislead the build scripts of others and make them run again.
fn prepare(command: &mut Command) {
    command.env("PATH", tools::search_path());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let ours = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
        if ours.iter().any(|start| text.starts_with(start)) || text == "CARGO_PRIMARY_PACKAGE" {
            command.env_remove(&name);
        }
    }
}

fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    Failure::new(
        format!("cannot run `{}`: {error}", shown(command)),
        "install Rust with rustup; its cargo must be on the PATH",
    )
}
