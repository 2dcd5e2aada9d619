//! The binary: arguments in, a relay or a client out. See `undertone --help`.

mod args;
mod care;
mod dumps;
mod first_use;
mod friends;
mod join;
mod key;
mod lobby;
mod log_line;
mod members;
mod moves;
mod operate;
mod origin;
mod outside;
mod paper;
mod passwords;
mod places;
mod serve;
mod settings;
mod stop;

use args::{Cli, Sub};
use places::Places;
use settings::Settings;
use std::process::ExitCode;
use undertone_client::profile::Profiles;
use undertone_terminal::output::Output;
use undertone_terminal::report::{Exit, Report};

fn main() -> ExitCode {
    dumps::prevent();
    let mut output = Output::standard();
    let exit = run(&mut output).unwrap_or_else(|report| {
        output.problem(&report);
        report.exit
    });
    ExitCode::from(exit as u8)
}

fn run(output: &mut Output) -> Result<Exit, Report> {
    let arguments: Vec<_> = std::env::args_os().collect();
    if friends::is_asked_for(&arguments) {
        return show(output, friends::PAGE);
    }
    let cli = match Cli::read(arguments) {
        Ok(cli) => cli,
        Err(args::Answer::Page(page)) => return show(output, page.trim_end()),
        Err(args::Answer::Wrong(report)) => return Err(report),
    };
    let places = Places::of_this_machine()?;
    let settings = Settings::read(&places)?;
    match cli.command {
        Sub::Server(server) => serve::run(server, &settings.server, &places, output),
        Sub::Client(client) => join::run(client, &settings.client, &places, output),
        Sub::Observe(relay) => operate::observe(&relay, &places, output),
        Sub::Invite(invite) => operate::invite(&invite, &places, output),
        Sub::Member(member) => members::run(&member, &places, output),
        Sub::Stats(relay) => operate::stats(&relay, &places, output),
        Sub::Backup { dir, profile: Some(who), .. } => {
            care::backup_profile(&dir, &who, &places, output)
        }
        Sub::Backup { dir, relay, .. } => care::backup(&dir, &relay, &places, output),
        Sub::Restore { dir, replace, .. } if Profiles::is_backup(&dir) => {
            care::restore_profile(&dir, replace, &places, output)
        }
        Sub::Restore { dir, relay, replace } => {
            care::restore(&dir, &relay, replace, &places, output)
        }
        Sub::Doctor { link: Some(link), client_cert, .. } => {
            outside::doctor(&link, client_cert.as_deref(), output)
        }
        Sub::Doctor { profile: Some(who), password, .. } => {
            care::doctor_profile(&who, &password, &places, output)
        }
        Sub::Key(key) => key::run(&key.command, &places, output),
        Sub::Doctor { relay, .. } => care::doctor(&relay, &places, output),
        Sub::Completions { shell } => paper::completions(shell, output),
        Sub::Man => paper::man(output),
    }
}

/// Whoever closed standard output does not want the rest.
fn show(output: &mut Output, page: &str) -> Result<Exit, Report> {
    let _closed = output.line(page);
    Ok(Exit::Done)
}
