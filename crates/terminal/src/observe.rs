//! What the relay sees, a line each.

use undertone_wire::frame::Seen;

/// One thing that the relay saw. There is no more to see: no text, no room name.
#[must_use]
pub fn line(seen: &Seen) -> String {
    match seen {
        Seen::Connected { connection, address, link, invite } => {
            let address = crate::text::one_line(address.as_str());
            let by = invite.map_or_else(String::new, |invite| format!(", by invite {invite}"));
            format!("#{connection} connected from {address}, link key {link}{by}")
        }
        Seen::Registered { connection, client_id, name } => {
            format!("#{connection} registered as {name} ({client_id})")
        }
        Seen::Disconnected { connection } => format!("#{connection} disconnected"),
        Seen::LogCreated { connection, log } => format!("#{connection} made log {log}"),
        Seen::Appended { connection, log, position, epoch, commit, size } => {
            let kind = if *commit { "commit" } else { "entry" };
            format!(
                "#{connection} appended {kind} {position} to log {log}, epoch {epoch}, {size} bytes"
            )
        }
        Seen::Subscribed { connection, log } => format!("#{connection} reads log {log}"),
        Seen::InboxAppended { connection, to, size } => {
            format!("#{connection} put {size} bytes into the inbox of {to}")
        }
        Seen::LookedUp { connection, whose: Some(whose) } => {
            format!("#{connection} looked up {whose}")
        }
        Seen::LookedUp { connection, whose: None } => {
            format!("#{connection} looked up nobody that is known")
        }
        Seen::Refused { connection, code } => format!("#{connection} was refused: {code}"),
        Seen::Trimmed { connection, log: Some(log), position } => {
            format!("#{connection} needs nothing of log {log} up to {position}")
        }
        Seen::Trimmed { connection, log: None, position } => {
            format!("#{connection} needs nothing of its inbox up to {position}")
        }
        Seen::Published { connection, packages } => {
            format!("#{connection} published {packages} key packages")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use undertone_wire::codec::Text;
    use undertone_wire::ids::{ClientId, LinkKey, LogId};

    #[test]
    fn each_line_says_who_what_and_how_much() {
        let log = LogId([0xab; 32]);
        let seen =
            Seen::Appended { connection: 7, log, position: 3, epoch: 2, commit: true, size: 1_024 };
        let expected = format!("#7 appended commit 3 to log {log}, epoch 2, 1024 bytes");
        assert_eq!(line(&seen), expected);
        let to = ClientId([1; 16]);
        assert_eq!(
            line(&Seen::InboxAppended { connection: 7, to, size: 64 }),
            format!("#7 put 64 bytes into the inbox of {to}")
        );
    }

    #[test]
    fn an_address_cannot_forge_a_line() {
        let address = Text::new("1.2.3.4\n#9 disconnected".to_owned()).unwrap();
        let seen = Seen::Connected { connection: 1, address, link: LinkKey([0; 32]), invite: None };
        assert_eq!(line(&seen).lines().count(), 1);
    }
}
