//! What a relay can do to one of its readers without any key.

use crate::dice::Dice;
use crate::planted::Planted;
use std::collections::{BTreeMap, BTreeSet};
use undertone_wire::frame::{Reply, Request};
use undertone_wire::ids::{LogId, Token};

/// Requests of somebody who tries tokens begin with this number.
pub(crate) const PROBE: u32 = 0xF000_0000;

#[derive(Default)]
pub(crate) struct Liar {
    /// Who is lied to.
    pub(crate) victim: Option<usize>,
    held: Option<Reply>,
    last: Option<Reply>,
    /// The newest token of each log, and who read it: what a relay knows.
    pub(crate) tokens: BTreeMap<LogId, (Token, BTreeSet<usize>)>,
    pub(crate) finding: Option<String>,
    pub(crate) probes: u64,
}

impl Liar {
    pub(crate) fn overhear(
        &mut self,
        request: &mut Request,
        node: usize,
        planted: Option<Planted>,
    ) {
        if let (Request::Trim { position, .. }, Some(Planted::TrimIsOneTooFar)) =
            (&mut *request, planted)
        {
            *position += 1;
        }
        let (log, token, seq) = match request {
            Request::Subscribe { log, token, seq, .. } => (log, token, *seq),
            Request::Advance { log, token } => (log, token, 0),
            _ => return,
        };
        if seq >= PROBE {
            self.probes += 1;
            if planted == Some(Planted::TokenIsNotChecked)
                && let Some((right, _)) = self.tokens.get(log)
            {
                *token = right.clone();
            }
            return;
        }
        let entry = self.tokens.entry(*log).or_insert_with(|| (token.clone(), BTreeSet::new()));
        entry.0 = token.clone();
        entry.1.insert(node);
    }

    /// What a client gets for one frame.
    pub(crate) fn tell(&mut self, node: usize, reply: Reply, dice: &mut Dice) -> Vec<Reply> {
        match &reply {
            Reply::Refused { seq, .. } if *seq >= PROBE => return Vec::new(),
            Reply::Subscribed { seq, .. } if *seq >= PROBE => {
                self.finding = Some(format!("{node} reads a log with a token that is none"));
                return Vec::new();
            }
            _ => {}
        }
        if self.victim != Some(node) || !matches!(reply, Reply::Entry(_)) {
            return self
                .held
                .take_if(|_| self.victim == Some(node))
                .into_iter()
                .chain([reply])
                .collect();
        }
        let mut told = match dice.below(6) {
            0 => Vec::new(),
            1 => vec![reply.clone(), reply.clone()],
            2 => self.last.clone().into_iter().chain([reply.clone()]).collect(),
            3 if self.held.is_none() => {
                self.held = Some(reply);
                return Vec::new();
            }
            _ => vec![reply.clone()],
        };
        told.extend(self.held.take());
        self.last = Some(reply);
        told
    }
}
