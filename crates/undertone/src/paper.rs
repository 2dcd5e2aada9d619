//! Completions and the manual page, from the arguments themselves.

use crate::args::Cli;
use clap::CommandFactory;
use clap_complete::Shell;
use undertone_terminal::output::Output;
use undertone_terminal::report::{Exit, Report};

pub(crate) fn completions(shell: Shell, output: &mut Output) -> Result<Exit, Report> {
    let mut page = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "undertone", &mut page);
    write(&page, output)
}

pub(crate) fn man(output: &mut Output) -> Result<Exit, Report> {
    let mut page = Vec::new();
    let made = clap_mangen::Man::new(Cli::command()).render(&mut page);
    made.map_err(|error| failed(&error))?;
    write(&page, output)
}

fn write(page: &[u8], output: &mut Output) -> Result<Exit, Report> {
    output.raw(&String::from_utf8_lossy(page)).map_err(|error| failed(&error))?;
    Ok(Exit::Done)
}

fn failed(error: &std::io::Error) -> Report {
    Report::new(Exit::Failed, format!("cannot write: {error}"), "check where the output goes")
}
