//! `undertone client HOST:PORT` where there is no link: an open relay's key is shown, and a person
//! says whether it is the one.

use crate::origin;
use crossbeam_channel::Receiver;
use std::io::IsTerminal;
use undertone_client::discovery::open_relay;
use undertone_terminal::input::Line;
use undertone_terminal::output::Output;
use undertone_terminal::report::{Exit, Report};
use undertone_wire::ids::LinkKey;
use undertone_wire::invite::{Invite, Origin, relay_fingerprint};
use undertone_wire::lobby::LobbySecret;

/// A link to the open relay at this address, once its fingerprint is confirmed.
pub(crate) fn link(
    address: &str,
    pin: Option<&str>,
    lines: &Receiver<Line>,
) -> Result<String, Report> {
    let origin = origin_of(address)?;
    let relay = open_relay(&origin).map_err(|error| Report::from(&error))?;
    let relay = relay.ok_or_else(|| {
        let error = format!("{address} needs an invite");
        Report::new(Exit::NotTrusted, error, "ask for a link, and give it: undertone client LINK")
    })?;
    match pin {
        Some(pin) => check(pin, &relay.relay_key)?,
        None => confirm(address, &relay.relay_key, lines)?,
    }
    let lobby = LobbySecret::open(&relay.relay_key);
    Ok(Invite::new(origin, relay, Some(lobby), None).to_link())
}

fn origin_of(address: &str) -> Result<Origin, Report> {
    if let Ok(socket) = address.parse() {
        return Ok(origin::of(socket));
    }
    Origin::parse(&format!("https://{address}")).map_err(|error| {
        Report::new(Exit::Usage, error, "give HOST:PORT: undertone client chat.example.org:8080")
    })
}

/// That the relay's key has the fingerprint that somebody gave; white space in it means nothing.
pub(crate) fn check(pin: &str, key: &LinkKey) -> Result<(), Report> {
    let shown = relay_fingerprint(key).to_string();
    let bare =
        |text: &str| -> String { text.split_whitespace().collect::<String>().to_ascii_lowercase() };
    if bare(pin) == bare(&shown) {
        return Ok(());
    }
    let error = format!("the relay's fingerprint is {shown}, and not the one that was given");
    let help =
        "compare both with what the operator says; if it is not yours, somebody is in between";
    Err(Report::new(Exit::NotTrusted, error, help))
}

fn confirm(address: &str, key: &LinkKey, lines: &Receiver<Line>) -> Result<(), Report> {
    let fingerprint = relay_fingerprint(key);
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        let error = format!("{address} is an open relay that nobody has confirmed: {fingerprint}");
        let help = format!(
            "compare it with what its operator says: undertone client {address} --pin '{fingerprint}'"
        );
        return Err(Report::new(Exit::NotTrusted, error, help));
    }
    // Whoever closed standard output cannot answer either.
    let _closed = Output::standard().raw(&format!(
        "{address} is open to everyone: anyone can read its lobby, the relay included\n\
         Its fingerprint: {fingerprint}\n\
         Is that what its operator says? (yes/no)\n> "
    ));
    match lines.recv() {
        Ok(Line::Text(answer)) if matches!(answer.trim(), "yes" | "y") => Ok(()),
        _ => {
            let error = format!("the fingerprint of {address} was not confirmed");
            Err(Report::new(Exit::NotTrusted, error, "ask its operator for it, or for a link"))
        }
    }
}
