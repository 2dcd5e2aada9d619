//! `undertone backup`, `restore` and `doctor`: a relay's data or a profile, from outside.

use crate::args::{PasswordFile, Relay};
use crate::passwords;
use crate::places::Places;
use std::path::{Path, PathBuf};
use undertone_client::local::LocalRelays;
use undertone_client::profile::Profiles;
use undertone_server::care::{self, CareError, Finding, Health};
use undertone_terminal::output::Output;
use undertone_terminal::report::{Exit, Report};

/// The port of a relay that nobody said anything about.
const DEFAULT_PORT: u16 = 8080;

pub(crate) fn backup(
    to: &Path,
    relay: &Relay,
    places: &Places,
    output: &mut Output,
) -> Result<Exit, Report> {
    let data = existing(relay, places)?;
    care::backup(&data, to).map_err(|error| report(&error))?;
    let line = format!("{} is in {}: keep it like a key", data.display(), to.display());
    Ok(say(output, &line))
}

pub(crate) fn restore(
    from: &Path,
    relay: &Relay,
    replace: bool,
    places: &Places,
    output: &mut Output,
) -> Result<Exit, Report> {
    let data = relay.data.clone().unwrap_or_else(|| places.relay(DEFAULT_PORT));
    let aside = care::restore(from, &data, replace).map_err(|error| report(&error))?;
    if let Some(aside) = aside {
        say(output, &format!("what was there is in {}", aside.display()));
    }
    let line =
        format!("restored into {}; what members know better they bring again", data.display());
    Ok(say(output, &line))
}

/// Everything that was looked at, a line each; exit 1 when something is wrong.
pub(crate) fn doctor(relay: &Relay, places: &Places, output: &mut Output) -> Result<Exit, Report> {
    let data = existing(relay, places)?;
    let findings = care::doctor(&data);
    say(output, &format!("looking at {}", data.display()));
    for Finding { health, what, help } in &findings {
        let word = match health {
            Health::Good => "good",
            Health::Noted => "note",
            Health::Wrong => "WRONG",
        };
        say(output, &format!("{word}: {what}"));
        if !help.is_empty() {
            say(output, &format!("  help: {help}"));
        }
    }
    let wrong = findings.iter().any(|finding| finding.health == Health::Wrong);
    Ok(if wrong { Exit::Failed } else { Exit::Done })
}

pub(crate) fn backup_profile(
    to: &Path,
    who: &str,
    places: &Places,
    output: &mut Output,
) -> Result<Exit, Report> {
    let profiles = Profiles::at(places.profiles());
    let folder = profiles.backup(who, to).map_err(|error| Report::from(&error))?;
    let line = format!("{} is in {}: keep it like a key", folder.display(), to.display());
    Ok(say(output, &line))
}

pub(crate) fn restore_profile(
    from: &Path,
    replace: bool,
    places: &Places,
    output: &mut Output,
) -> Result<Exit, Report> {
    let profiles = Profiles::at(places.profiles());
    let (folder, aside) = profiles.restore(from, replace).map_err(|error| Report::from(&error))?;
    if let Some(aside) = aside {
        say(output, &format!("what was there is in {}", aside.display()));
    }
    let line = format!(
        "restored into {}; at its next start it takes new keys, and any other copy of it is told",
        folder.display()
    );
    Ok(say(output, &line))
}

/// Everything that was looked at, a line each; exit 1 when something is wrong.
pub(crate) fn doctor_profile(
    who: &str,
    password: &PasswordFile,
    places: &Places,
    output: &mut Output,
) -> Result<Exit, Report> {
    let password = passwords::of_file(password.password_file.as_deref())?;
    let profiles = Profiles::at(places.profiles());
    let folder = profiles.find(who).map_err(|error| Report::from(&error))?;
    say(output, &format!("looking at {}", folder.display()));
    let findings = undertone_client::profile::care::doctor(&folder, password);
    for finding in &findings {
        let word = if finding.good { "good" } else { "WRONG" };
        say(output, &format!("{word}: {}", finding.what));
        if !finding.help.is_empty() {
            say(output, &format!("  help: {}", finding.help));
        }
    }
    let wrong = findings.iter().any(|finding| !finding.good);
    Ok(if wrong { Exit::Failed } else { Exit::Done })
}

/// The data that is meant: what was said, that of the one relay that runs, or the only one there is.
fn existing(relay: &Relay, places: &Places) -> Result<PathBuf, Report> {
    if let Some(data) = &relay.data {
        return Ok(data.clone());
    }
    let running = LocalRelays::at(places.local_relays()).running();
    let running = running.map_err(|error| Report::from(&error))?;
    let mut found: Vec<PathBuf> = running.into_iter().map(|relay| relay.data).collect();
    if found.is_empty() {
        found = places.relays();
    }
    match (found.pop(), found.first()) {
        (Some(only), None) => Ok(only),
        (Some(last), Some(_)) => {
            found.push(last);
            let folders: Vec<_> = found.iter().map(|data| data.display().to_string()).collect();
            let error = format!("there are several relays: {}", folders.join(", "));
            Err(Report::new(Exit::Usage, error, "say which: --data DIR"))
        }
        (None, _) => Err(Report::new(
            Exit::Failed,
            "there is no relay on this computer",
            "say where its data is: --data DIR; or start one: undertone server",
        )),
    }
}

fn say(output: &mut Output, line: &str) -> Exit {
    // Whoever closed standard output does not want it.
    let _closed = output.line(line);
    Exit::Done
}

fn report(error: &CareError) -> Report {
    let exit = match error {
        CareError::NotEmpty(_) | CareError::DataThere(_) => Exit::Usage,
        _ => Exit::Failed,
    };
    Report::new(exit, error, error.help())
}
