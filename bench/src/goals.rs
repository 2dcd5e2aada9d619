//! What was set out to be reached, as ratios of figures taken in one run.

use crate::systems::System;

/// Against what.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Against {
    /// Taken beside us: theirs divided by ours.
    Better(System),
    /// Published, in microseconds for each delivery: not taken here.
    Published(f64),
    /// Taken beside us: ours divided by theirs.
    Above(System),
}

/// One goal for the CPU time of a delivery in a room of [`READERS`].
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) against: Against,
    pub(crate) outstanding: u64,
    /// To be reached.
    pub(crate) goal: f64,
    /// What would be better still.
    pub(crate) stretch: f64,
}

/// The room that goals are set for.
pub(crate) const READERS: u32 = 500;

/// The chat server that this product takes the place of, by its published figures: WebSocket and
/// Noise without TLS, not durable. Nothing was published for 16.
const FORMER: [(u64, f64); 2] = [(64, 2.6), (1, 7.8)];

/// All of them.
pub(crate) const GOALS: [Goal; 8] = [
    against_former(0, 5.0, 8.0),
    against_former(1, 1.2, 8.0),
    better(System::NatsTls, 64, 5.0, 8.0),
    better(System::NatsTls, 1, 1.8, 8.0),
    better(System::Nats, 64, 1.3, 2.0),
    above(System::Floor, 1, 1.3, 1.1),
    above(System::Floor, 64, 3.5, 2.5),
    above(System::FloorWide, 64, 3.5, 2.5),
];

const fn against_former(at: usize, goal: f64, stretch: f64) -> Goal {
    #[allow(clippy::indexing_slicing, reason = "checked when it is compiled")]
    let (outstanding, cpu) = FORMER[at];
    Goal { against: Against::Published(cpu), outstanding, goal, stretch }
}

const fn better(system: System, outstanding: u64, goal: f64, stretch: f64) -> Goal {
    Goal { against: Against::Better(system), outstanding, goal, stretch }
}

const fn above(system: System, outstanding: u64, goal: f64, stretch: f64) -> Goal {
    Goal { against: Against::Above(system), outstanding, goal, stretch }
}

impl Goal {
    /// The ratio, from our figure and, where it was taken, the other's.
    pub(crate) fn ratio(&self, ours: f64, other: Option<f64>) -> Option<f64> {
        match self.against {
            Against::Better(_) => Some(other? / ours),
            Against::Published(other) => Some(other / ours),
            Against::Above(_) => Some(ours / other?),
        }
    }

    /// What is to be said about it. Published figures are another machine's, or another day's:
    /// nothing is reached or missed against them.
    pub(crate) fn verdict(&self, ratio: f64) -> &'static str {
        let reached = match self.against {
            Against::Published(_) => return "for reference only",
            Against::Better(_) => ratio >= self.goal,
            Against::Above(_) => ratio <= self.goal,
        };
        if reached { "reached" } else { "missed" }
    }

    /// The system that must have been measured too.
    pub(crate) fn other(&self) -> Option<System> {
        match self.against {
            Against::Better(system) | Against::Above(system) => Some(system),
            Against::Published(_) => None,
        }
    }

    pub(crate) fn sign(&self) -> &'static str {
        match self.against {
            Against::Better(_) | Against::Published(_) => "≥",
            Against::Above(_) => "≤",
        }
    }

    pub(crate) fn title(&self) -> String {
        match self.against {
            Against::Better(system) => format!("better than {}", system.title()),
            Against::Published(cpu) => {
                format!("better than the former server (published, not measured here: {cpu} µs)")
            }
            Against::Above(system) => format!("times {}", system.title()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_to_be_better_is_reached_from_above_and_a_floor_from_below() {
        let [.., floor] = &GOALS;
        let [_, _, nats, ..] = &GOALS;
        assert_eq!(nats.ratio(0.5, Some(3.0)), Some(6.0));
        assert_eq!([nats.verdict(6.0), nats.verdict(4.9)], ["reached", "missed"]);
        assert_eq!(floor.ratio(0.6, Some(0.2)), Some(0.6 / 0.2));
        assert_eq!([floor.verdict(3.0), floor.verdict(3.6)], ["reached", "missed"]);
        assert_eq!(nats.ratio(0.5, None), None);
    }

    #[test]
    fn nothing_is_reached_against_a_published_figure() {
        let [former, ..] = &GOALS;
        assert_eq!(former.verdict(100.0), "for reference only");
    }
}
