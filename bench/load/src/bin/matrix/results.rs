//! Every run of a matrix, and the arithmetic on them: medians, and ratios taken round by round. No text is made here.

use load::Facts;
use serde::Serialize;

use crate::job::{Measured, Question};

/// All that a matrix gave, as the JSON file has it.
#[derive(Serialize)]
pub(crate) struct Results {
    pub(crate) facts: Facts,
    pub(crate) question: Question,
    pub(crate) base: String,
    /// The server that is no WebSocket server and shows what is possible.
    pub(crate) floor: Option<String>,
    pub(crate) servers: Vec<String>,
    /// What was left out, and why.
    pub(crate) missing: Vec<String>,
    pub(crate) cells: Vec<String>,
    pub(crate) rounds: u32,
    /// A server was not run again in a cell where the base was so many times ahead of it.
    pub(crate) skips: Option<f64>,
    pub(crate) window_s: f64,
    pub(crate) runs: Vec<Run>,
}

/// One server, one cell, one round.
#[derive(Serialize)]
pub(crate) struct Run {
    pub(crate) server: String,
    pub(crate) cell: String,
    pub(crate) round: u32,
    #[serde(flatten)]
    pub(crate) measured: Measured,
}

/// A median, with the least and the greatest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of nothing there is none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, min, max })
    }
}

/// How the base did against one other server in one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Ahead in every round.
    Ahead,
    /// Ahead by the median, not in every round.
    AheadByMedian,
    /// Not ahead, and behind by no more than 3 %, which is less than the spread of most machines.
    Level,
    /// Behind.
    Behind,
}

impl Verdict {
    pub(crate) fn of(ratio: Spread) -> Self {
        if ratio.min > 1.0 {
            Self::Ahead
        } else if ratio.median > 1.0 {
            Self::AheadByMedian
        } else if ratio.median >= 0.97 {
            Self::Level
        } else {
            Self::Behind
        }
    }
}

impl Results {
    /// One figure of a server's runs in a cell, over the rounds.
    pub(crate) fn spread(
        &self,
        server: &str,
        cell: &str,
        figure: fn(&Measured) -> Option<f64>,
    ) -> Option<Spread> {
        Spread::of(
            self.of(server, cell)
                .filter_map(|run| figure(&run.measured)),
        )
    }

    /// How many times better than the server the base is, each round by itself.
    pub(crate) fn ratio(&self, server: &str, cell: &str) -> Option<Spread> {
        if self.question.less_is_better() {
            self.quotient(server, &self.base, cell)
        } else {
            self.quotient(&self.base, server, cell)
        }
    }

    /// The server's figure divided by the floor's, each round by itself.
    pub(crate) fn share_of_floor(&self, server: &str, cell: &str) -> Option<Spread> {
        self.quotient(server, self.floor.as_deref()?, cell)
    }

    /// Whether running the server in this cell again could not change what is said of it.
    pub(crate) fn is_hopeless(&self, server: &str, cell: &str) -> bool {
        let ratio = self.ratio(server, cell);
        self.skips
            .zip(ratio)
            .is_some_and(|(skips, ratio)| ratio.median > skips)
    }

    /// One server's figure divided by another's, each round by itself.
    pub(crate) fn quotient(&self, above: &str, below: &str, cell: &str) -> Option<Spread> {
        Spread::of(self.of(above, cell).flat_map(|above| {
            self.of(below, cell)
                .filter(|below| below.round == above.round)
                .filter_map(|below| Some(above.measured.figure()? / below.measured.figure()?))
        }))
    }

    pub(crate) fn is_floor(&self, server: &str) -> bool {
        self.floor.as_deref() == Some(server)
    }

    /// The others in a cell with their ratios, the closest (or furthest ahead) first.
    pub(crate) fn rivals(&self, cell: &str) -> Vec<(&str, Spread)> {
        let others = self
            .servers
            .iter()
            .filter(|server| **server != self.base && !self.is_floor(server));
        let mut rivals: Vec<_> = others
            .filter_map(|server| Some((server.as_str(), self.ratio(server, cell)?)))
            .collect();
        rivals.sort_by(|(_, a), (_, b)| a.median.total_cmp(&b.median));
        rivals
    }

    pub(crate) fn of(&self, server: &str, cell: &str) -> impl Iterator<Item = &Run> {
        self.runs
            .iter()
            .filter(move |run| run.server == server && run.cell == cell)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use load::{Measurement, Memory};

    use super::*;

    pub(crate) fn run(server: &str, round: u32, messages: u64, cpu: f64) -> Run {
        let measurement = Measurement {
            messages,
            total: messages,
            compared: messages / 16,
            wall_s: 1.0,
            server_cpu_s: Some(cpu),
            load_cpu_s: 1.0,
            p50_us: None,
            p99_us: None,
            ratio: None,
            agreed: None,
        };
        Run {
            server: server.into(),
            cell: "128x1x1".into(),
            round,
            measured: Measured::Work(measurement),
        }
    }

    pub(crate) fn idle_run(server: &str, round: u32, per_connection: u64) -> Run {
        let memory = Memory {
            connections: 10,
            before: 1000,
            now: 1000 + 10 * per_connection,
        };
        Run {
            measured: Measured::Memory(memory),
            ..run(server, round, 0, 1.0)
        }
    }

    pub(crate) fn results(runs: Vec<Run>) -> Results {
        Results {
            facts: Facts::default(),
            question: Question::Echo,
            base: "ours".into(),
            floor: None,
            servers: ["ours", "a", "b"].map(String::from).into(),
            missing: Vec::new(),
            cells: vec!["128x1x1".into()],
            rounds: 3,
            skips: None,
            window_s: 1.0,
            runs,
        }
    }

    #[test]
    fn the_median_of_an_even_number_is_the_mean_of_the_two_in_the_middle() {
        assert_eq!(
            Spread::of([4.0, 1.0, 3.0, 2.0]),
            Some(Spread {
                median: 2.5,
                min: 1.0,
                max: 4.0
            })
        );
        assert_eq!(
            Spread::of([2.0, 9.0, 1.0]),
            Some(Spread {
                median: 2.0,
                min: 1.0,
                max: 9.0
            })
        );
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_pair_runs_of_the_same_round_and_rank_the_closest_first() {
        let results = results(vec![
            run("ours", 0, 100, 1.0),
            run("a", 0, 100, 2.0),
            run("b", 0, 200, 2.0),
            run("ours", 1, 400, 2.0),
            run("a", 1, 100, 1.0),
            run("b", 1, 160, 1.0),
        ]);
        assert_eq!(
            results.ratio("a", "128x1x1"),
            Some(Spread {
                median: 2.0,
                min: 2.0,
                max: 2.0
            })
        );
        assert_eq!(
            results.ratio("b", "128x1x1"),
            Some(Spread {
                median: 1.125,
                min: 1.0,
                max: 1.25
            })
        );
        assert_eq!(
            results
                .rivals("128x1x1")
                .iter()
                .map(|(name, _)| *name)
                .collect::<Vec<_>>(),
            ["b", "a"]
        );
    }

    #[test]
    fn the_floor_is_no_rival_but_what_every_server_is_a_share_of() {
        let mut results = results(vec![
            run("ours", 0, 90, 1.0),
            run("a", 0, 50, 1.0),
            run("b", 0, 100, 1.0),
        ]);
        results.floor = Some("b".into());
        let share = |server| {
            results
                .share_of_floor(server, "128x1x1")
                .map(|spread| spread.median)
        };
        assert_eq!((share("ours"), share("a")), (Some(0.9), Some(0.5)));
        assert_eq!(results.rivals("128x1x1").len(), 1);
    }

    #[test]
    fn ahead_means_in_every_round() {
        let verdict = |min, median| {
            Verdict::of(Spread {
                median,
                min,
                max: 2.0,
            })
        };
        assert_eq!(verdict(1.01, 1.1), Verdict::Ahead);
        assert_eq!(verdict(1.0, 1.1), Verdict::AheadByMedian);
        assert_eq!(verdict(0.9, 1.0), Verdict::Level);
        assert_eq!(verdict(0.9, 0.96), Verdict::Behind);
    }

    #[test]
    fn of_memory_less_is_better() {
        let mut results = results(vec![idle_run("ours", 0, 500), idle_run("a", 0, 2000)]);
        results.question = Question::Idle;
        let ratio = results.ratio("a", "128x1x1").unwrap();
        assert_eq!(ratio.median, 4.0);
    }

    #[test]
    fn only_a_server_far_behind_is_hopeless_and_only_if_that_is_asked_for() {
        let mut results = results(vec![
            run("ours", 0, 500, 1.0),
            run("a", 0, 100, 1.0),
            run("b", 0, 200, 1.0),
        ]);
        assert!(!results.is_hopeless("a", "128x1x1"));
        results.skips = Some(4.0);
        assert!(results.is_hopeless("a", "128x1x1"));
        assert!(!results.is_hopeless("b", "128x1x1"));
        assert!(!results.is_hopeless("a", "a cell that has not been run"));
    }
}
