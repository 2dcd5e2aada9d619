//! `undertone key`: an account in a file under a password, from here or to here.

use crate::args::KeySub;
use crate::passwords::{self, Asker, none_given};
use crate::places::Places;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use undertone_client::account_file::{self, MAX_ACCOUNT_FILE};
use undertone_client::clock::Clock;
use undertone_client::files::new_private;
use undertone_client::password::Keyring;
use undertone_client::profile::Profiles;
use undertone_terminal::input;
use undertone_terminal::output::Output;
use undertone_terminal::report::{Exit, Report};
use undertone_terminal::text::one_line;

pub(crate) fn run(command: &KeySub, places: &Places, output: &mut Output) -> Result<Exit, Report> {
    let profiles = Profiles::at(places.profiles());
    match command {
        KeySub::Export { file, profile, password, key_password_file } => {
            let from = Export {
                who: profile.as_deref(),
                password_file: password.password_file.as_deref(),
                key_password_file: key_password_file.as_deref(),
            };
            export(&from, file, &profiles, output)
        }
        KeySub::Import { file, key_password_file } => {
            import(file, key_password_file.as_deref(), &profiles, output)
        }
    }
}

struct Export<'a> {
    who: Option<&'a str>,
    password_file: Option<&'a Path>,
    key_password_file: Option<&'a Path>,
}

fn export(
    from: &Export<'_>,
    to: &Path,
    profiles: &Profiles,
    output: &mut Output,
) -> Result<Exit, Report> {
    let (lines, stop) = (standard()?, crate::stop::signals()?);
    let to_output = to == Path::new("-");
    if !to_output && to.exists() {
        return Err(there(to));
    }
    let key_password = passwords::of_file(from.key_password_file)?;
    // What is asked does not belong among what is written to standard output.
    let mut questions = if to_output { Output::errors() } else { Output::standard() };
    let mut asker = Asker::new(&lines, &stop, &mut questions, false);
    asker.given = passwords::of_file(from.password_file)?;
    let carried = profiles.carry(from.who, &mut Keyring::new(&mut asker));
    let (name, carried) = carried.map_err(|error| Report::from(&error))?;
    let name = one_line(&name);
    let key_password = match key_password {
        Some(password) => password,
        None => asker.ask_for_new(&format!("Password for the account file of {name}:"))?,
    };
    let text = account_file::seal(&carried, &key_password, Clock::start())?;
    if to_output {
        return written(output.raw(&text));
    }
    new_private(to, text.as_bytes()).map_err(|error| match error.source.kind() {
        ErrorKind::AlreadyExists => there(to),
        _ => Report::from(&error),
    })?;
    let to = one_line(&to.display().to_string());
    written(output.line(&format!(
        "the account of {name} is in {to}: who has it and its password is {name}. Texts are not in it"
    )))
}

fn there(to: &Path) -> Report {
    let error = format!("{} is there already", to.display());
    Report::new(Exit::Usage, error, "give another file; nothing is overwritten")
}

fn import(
    from: &Path,
    key_password_file: Option<&Path>,
    profiles: &Profiles,
    output: &mut Output,
) -> Result<Exit, Report> {
    let (lines, stop) = (standard()?, crate::stop::signals()?);
    let text = read(from)?;
    let password = match passwords::of_file(key_password_file)? {
        Some(password) => password,
        None => {
            let question = format!("Password of {}:", one_line(&from.display().to_string()));
            let mut asker = Asker::new(&lines, &stop, output, false);
            asker.ask(&question).ok_or_else(none_given)?
        }
    };
    let carried = account_file::open(&text, &password)?;
    let settled = profiles.settle(&carried, Clock::start());
    let settled = settled.map_err(|error| Report::from(&error))?;
    let (name, relay) = (one_line(&settled.name), one_line(&settled.relay));
    written(output.line(&format!(
        "{name} at {relay} is on this computer now. At its first start (undertone client --profile {name}) it takes \
         new keys and the place of the device it came from, which is told and stops\n\
         This profile has no password. Whoever can read its files can be you; /password sets one"
    )))
}

fn read(from: &Path) -> Result<Vec<u8>, Report> {
    let failed = |error: std::io::Error| {
        let error = format!("cannot read {}: {error}", from.display());
        Report::new(Exit::Failed, error, "give the file that undertone key export made")
    };
    let mut text = Vec::new();
    File::open(from)
        .and_then(|file| file.take(MAX_ACCOUNT_FILE + 1).read_to_end(&mut text))
        .map_err(failed)?;
    if text.len() as u64 > MAX_ACCOUNT_FILE {
        return Err(failed(std::io::Error::other("it is larger than an account can be")));
    }
    Ok(text)
}

fn standard() -> Result<crossbeam_channel::Receiver<input::Line>, Report> {
    input::standard().map_err(|error| {
        Report::new(Exit::Failed, error, "raise the limit of processes (ulimit -u)")
    })
}

fn written(written: std::io::Result<()>) -> Result<Exit, Report> {
    written.map(|()| Exit::Done).map_err(|error| {
        Report::new(Exit::Failed, format!("cannot write: {error}"), "check where the output goes")
    })
}
