//! What a report of compression says besides the figures: who is ahead at the same size, what is left of a message, and
//! what a connection keeps. Only text is made here; the arithmetic is `results`'s.

use std::fmt::Write as _;

use crate::job::{Measured, TALK};
use crate::report::{spread, three_figures};
use crate::results::{Results, Spread, Verdict};

/// How newswire's servers are called; the others are peers.
const OURS: &str = "newswire_";
const SHARED: &str = "newswire_shared";
const DEDICATED: &str = "newswire_dedicated";
/// A message this many times as large is as large: sizes differ by a byte where flushes do.
const EQUAL: f64 = 1.01;
/// What sharing may cost.
const WITHIN: f64 = 0.85;

/// Of every cell: newswire's fastest mode that makes messages no larger, against each peer; and what sharing costs.
pub(crate) fn verdict(results: &Results) -> String {
    let mut out = format!(
        "Of each peer: the fastest newswire whose messages are as small or smaller (within {:.0} %), divided by the peer, round \
         by round. Of `Shared`: divided by `Dedicated` at the same level.\n\n",
        (EQUAL - 1.0) * 100.0
    );
    for cell in &results.cells {
        out += &rivals(results, cell);
        out += &sharing(results, cell);
    }
    out
}

fn rivals(results: &Results, cell: &str) -> String {
    let compressing = |ours: bool| {
        let servers = results.servers.iter();
        servers
            .filter(move |server| server.starts_with(OURS) == ours)
            .filter_map(|server| Some((server.as_str(), left(results, server, cell)?)))
    };
    let mut lines = Vec::new();
    let mut verdicts = Vec::new();
    for (peer, size) in compressing(false) {
        let rate = |server| results.spread(server, cell, Measured::figure);
        let fastest = compressing(true)
            .filter(|(_, ours)| *ours <= size * EQUAL)
            .filter_map(|(server, ours)| Some((server, ours, rate(server)?.median)))
            .max_by(|(.., a), (.., b)| a.total_cmp(b));
        let found = fastest.and_then(|(server, ours, _)| {
            Some((server, ours, results.quotient(server, peer, cell)?))
        });
        let size = percent(size);
        match found {
            Some((server, ours, ratio)) => {
                verdicts.push(Verdict::of(ratio));
                let (ours, ratio) = (percent(ours), spread(ratio));
                lines.push(format!("{server} ({ours}) to {peer} ({size}): {ratio}"));
            }
            None => {
                verdicts.push(Verdict::Behind);
                lines.push(format!("nothing makes them as small as {peer} ({size})"));
            }
        }
    }
    let word = match verdicts.into_iter().max() {
        None => return format!("- `{cell}`: nobody to compare with\n"),
        Some(Verdict::Ahead) => "ahead of each peer in every round",
        Some(Verdict::AheadByMedian) => "ahead of each peer by the median, not in every round",
        Some(Verdict::Level) => "not ahead of each peer, but behind none by more than 3 %",
        Some(Verdict::Behind) => "NOT ahead of each peer",
    };
    let lines = lines.join("; ");
    format!(
        "- `{cell}`: at an equal or better ratio, newswire's fastest mode is **{word}** ({lines})\n"
    )
}

fn sharing(results: &Results, cell: &str) -> String {
    let mut out = String::new();
    for shared in &results.servers {
        let Some(level) = shared.strip_prefix(SHARED) else {
            continue;
        };
        let dedicated = format!("{DEDICATED}{level}");
        if let Some(ratio) = results.quotient(shared, &dedicated, cell) {
            let word = if ratio.median >= WITHIN {
                "within 15 % of"
            } else {
                "NOT within 15 % of"
            };
            let ratio = spread(ratio);
            let _ = writeln!(out, "  - {shared} is {word} {dedicated}, or ahead: {ratio}");
        }
    }
    out
}

/// What is left of messages' size in a cell; nothing where they are not compressed.
fn left(results: &Results, server: &str, cell: &str) -> Option<f64> {
    let mut runs = results.of(server, cell);
    runs.next()?.measured.work()?.agreed.as_ref()?;
    let ratio: fn(&Measured) -> Option<f64> = |run| run.work()?.ratio;
    results
        .spread(server, cell, ratio)
        .map(|spread: Spread| spread.median)
}

/// The same for a table.
pub(crate) fn size(results: &Results, server: &str, cell: &str) -> String {
    left(results, server, cell).map_or("-".into(), percent)
}

fn percent(ratio: f64) -> String {
    format!("{:.1} %", ratio * 100.0)
}

/// What a connection keeps, and what the servers answered.
pub(crate) fn memory(results: &Results) -> String {
    let (messages, size) = TALK;
    let mut out = format!(
        "\n## Memory of an idle connection\n\n`Pss_Anon` of the server's process: its growth since before the first connection, \
         divided by their number, once each has exchanged {messages} compressed messages of {size} B. A server that keeps much \
         gets few. Beside it, what the server answered to the offer of a browser.\n\n\
         | | KiB a connection | connections | agreed |\n|---|---|---|---|\n"
    );
    for server in &results.servers {
        let runs = || results.runs.iter().filter(|run| run.server == *server);
        let memory = runs().find_map(|run| run.measured.memory());
        let (kept, count) = memory.map_or(("-".into(), "-".into()), |memory| {
            let kept = three_figures(memory.per_connection() / 1024.0);
            (kept, memory.connections.to_string())
        });
        let agreed = runs().find_map(|run| run.measured.work()?.agreed.as_deref());
        let agreed = agreed.map_or("nothing".into(), |agreed| format!("`{agreed}`"));
        let _ = writeln!(out, "| {server} | {kept} | {count} | {agreed} |");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Question;
    use crate::results::Run;
    use crate::results::tests::{idle_run, results, run};

    fn compressed(server: &str, messages: u64, ratio: f64) -> Run {
        let mut run = run(server, 0, messages, 1.0);
        if let Measured::Work(work) = &mut run.measured {
            work.ratio = Some(ratio);
            work.agreed = (ratio < 1.0).then(|| "permessage-deflate".into());
        }
        run
    }

    fn of(runs: Vec<Run>) -> Results {
        let mut results = results(runs);
        results.question = Question::Deflate;
        results.base = SHARED.into();
        results.servers = results.runs.iter().map(|run| run.server.clone()).collect();
        results.servers.dedup();
        results
    }

    #[test]
    fn a_peer_is_set_against_the_fastest_mode_that_makes_messages_no_larger() {
        let results = of(vec![
            compressed("newswire_shared", 100, 0.25),
            compressed("newswire_dedicated", 120, 0.24),
            compressed("newswire_dedicated_1", 300, 0.35),
            compressed("newswire_off", 900, 1.0),
            compressed("a", 80, 0.24),
            compressed("b", 310, 0.348),
        ]);
        let verdict = verdict(&results);
        for expected in [
            "newswire_dedicated (24.0 %) to a (24.0 %): 1.50, 1.50–1.50",
            "newswire_dedicated_1 (35.0 %) to b (34.8 %): 0.97, 0.97–0.97",
            "fastest mode is **NOT ahead of each peer**",
            "newswire_shared is NOT within 15 % of newswire_dedicated, or ahead: 0.83",
        ] {
            assert!(verdict.contains(expected), "{expected} in {verdict}");
        }
    }

    #[test]
    fn a_peer_whose_messages_are_smaller_than_any_is_not_passed_over() {
        let results = of(vec![
            compressed("newswire_shared", 100, 0.25),
            compressed("a", 10, 0.2),
        ]);
        assert!(
            verdict(&results)
                .contains("**NOT ahead of each peer** (nothing makes them as small as a (20.0 %))")
        );
    }

    #[test]
    fn the_table_of_memory_says_of_how_many_connections_it_is() {
        let results = of(vec![
            compressed("newswire_shared", 100, 0.25),
            idle_run("newswire_shared", 0, 3072),
            compressed("newswire_off", 100, 1.0),
        ]);
        let memory = memory(&results);
        assert!(
            memory.contains("| newswire_shared | 3.00 | 10 | `permessage-deflate` |"),
            "{memory}"
        );
        assert!(
            memory.contains("| newswire_off | - | - | nothing |"),
            "{memory}"
        );
        assert_eq!(size(&results, "newswire_off", "128x1x1"), "-");
    }
}
