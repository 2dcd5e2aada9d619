//! `undertone member`: who has joined the relay on this computer, and what becomes of them.

use crate::args::{Member as Arguments, MemberSub};
use crate::operate::{There, say, unexpected};
use crate::places::Places;
use undertone_terminal::output::Output;
use undertone_terminal::report::{Exit, Report};
use undertone_terminal::times::day_and_time;
use undertone_wire::account::Fingerprint;
use undertone_wire::frame::{MemberLine, OperatorCommand, Reply};
use undertone_wire::ids::Hash;
use undertone_wire::name::Name;

/// Shortest start of an id or a fingerprint that names a member: 65,536 are told apart.
const MIN_START: usize = 4;

pub(crate) fn run(
    arguments: &Arguments,
    places: &Places,
    output: &mut Output,
) -> Result<Exit, Report> {
    let there = There::find(&arguments.relay, places)?;
    match &arguments.command {
        MemberSub::List => list(&there, output),
        MemberSub::Block { who } => {
            let account = meant(&there, who)?.account;
            let done = "blocked; it is let in no more, and its inbox takes nothing";
            decide(&there, OperatorCommand::MemberBlock { account }, done, output)
        }
        MemberSub::Unblock { who } => {
            let account = meant(&there, who)?.account;
            decide(&there, OperatorCommand::MemberUnblock { account }, "unblocked", output)
        }
        MemberSub::Forget { who } => {
            let account = meant(&there, who)?.account;
            let done = "forgotten; its id and its name are free";
            decide(&there, OperatorCommand::MemberForget { account }, done, output)
        }
    }
}

fn decide(
    there: &There,
    command: OperatorCommand,
    done: &str,
    output: &mut Output,
) -> Result<Exit, Report> {
    match there.answer(command)? {
        Reply::Done { .. } => say(output, done),
        _ => Err(unexpected()),
    }
}

fn list(there: &There, output: &mut Output) -> Result<Exit, Report> {
    each(there, |member| say(output, &line(member)).map(drop))?;
    Ok(Exit::Done)
}

/// Page by page: a relay may have more members than one answer holds.
fn each(
    there: &There,
    mut take: impl FnMut(&MemberLine) -> Result<(), Report>,
) -> Result<(), Report> {
    let mut after: Option<Hash> = None;
    loop {
        let command = OperatorCommand::MemberList { after };
        let Reply::Members { members, next, .. } = there.answer(command)? else {
            return Err(unexpected());
        };
        members.iter().try_for_each(&mut take)?;
        match next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

fn line(member: &MemberLine) -> String {
    let id = member.client_id.map_or_else(|| "-".repeat(36), |id| id.to_string());
    let name = member.name.as_ref().map_or("(forgotten)", Name::as_str);
    let fingerprint = Fingerprint::of(member.account);
    let online = if member.online { "online" } else { "offline" };
    let since = day_and_time(member.since);
    let blocked = member
        .blocked
        .map_or_else(String::new, |at| format!(", blocked since {}", day_and_time(at)));
    format!("{id}  {name}  {fingerprint}  {online}, since {since}{blocked}")
}

/// The one member that a person means.
fn meant(there: &There, who: &str) -> Result<MemberLine, Report> {
    let wanted = Wanted::of(who);
    let mut found: Vec<(bool, MemberLine)> = Vec::new();
    each(there, |member| {
        let by_name = wanted.is_name_of(member);
        if by_name || wanted.begins(member) {
            found.push((by_name, member.clone()));
        }
        Ok(())
    })?;
    // A whole name means its owner, whatever else begins like that.
    if found.iter().any(|(by_name, _)| *by_name) {
        found.retain(|(by_name, _)| *by_name);
    }
    let several = found.len() > 1;
    match found.pop() {
        Some((_, member)) if !several => Ok(member),
        Some(_) => {
            let error = format!("more than one member is meant by '{who}'");
            Err(Report::new(Exit::Usage, error, "give the name, or more of the id"))
        }
        None => {
            let error = format!("there is no member '{who}'");
            Err(Report::new(Exit::Refused, error, "undertone member list shows who there is"))
        }
    }
}

/// What a person typed, as each of the things that it can be.
struct Wanted {
    name: Option<Name>,
    id: String,
    fingerprint: String,
}

impl Wanted {
    fn of(who: &str) -> Self {
        let name = if who == "Server" { Some(Name::operator()) } else { Name::parse(who).ok() };
        let id = who.to_ascii_lowercase();
        let fingerprint = id.split_whitespace().collect();
        Self { name, id, fingerprint }
    }

    fn is_name_of(&self, member: &MemberLine) -> bool {
        let key = |name: &Name| name.key().as_str().to_owned();
        let own = self.name.as_ref().map(key);
        own.is_some() && own == member.name.as_ref().map(key)
    }

    fn begins(&self, member: &MemberLine) -> bool {
        let id = member.client_id.map(|id| id.to_string());
        let fingerprint = Fingerprint::of(member.account).to_string().replace(' ', "");
        let starts =
            |whole: &str, start: &str| start.len() >= MIN_START && whole.starts_with(start);
        id.is_some_and(|id| starts(&id, &self.id)) || starts(&fingerprint, &self.fingerprint)
    }
}
