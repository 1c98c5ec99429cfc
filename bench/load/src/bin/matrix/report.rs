//! The Markdown that people read: facts, verdict a cell, figures. Only text is made here; the arithmetic is `results`'s.

use std::fmt::Write as _;

use crate::deflate;
use crate::job::{Measured, Question};
use crate::results::{Results, Run, Spread, Verdict};

/// Cells in one table, and panels in one row of the chart: as many as the full set has sizes, or fewer where that fills
/// every row.
pub(crate) fn columns(cells: usize) -> usize {
    const MOST: usize = 5;
    cells.div_ceil(cells.div_ceil(MOST).max(1)).max(1)
}

/// One line while the matrix runs.
pub(crate) fn progress(question: Question, run: &Run) -> String {
    let figure = run.measured.figure();
    let written = |figure| match run.measured {
        Measured::Work(_) => question.figure(figure),
        Measured::Memory(_) => bytes(figure),
    };
    let figure = figure.map_or("-".into(), written);
    format!("{:<20} {:<20} {figure:>8}", run.cell, run.server)
}

/// The whole report.
pub(crate) fn markdown(results: &Results) -> String {
    let question = results.question;
    let words = question.words();
    let base = &results.base;
    let mut out = format!("# {}\n\n", words.title);
    facts(&mut out, results);
    out += "\n## Verdict\n\n";
    if question == Question::Deflate {
        out += &deflate::verdict(results);
    } else {
        for cell in &results.cells {
            out += &verdict(results, cell);
        }
    }
    let _ = write!(
        out,
        "\n## {}\n\nMedian over the rounds; in parentheses {}.",
        words.figures,
        words.ratio.replace("{base}", base)
    );
    if let Some(times) = results.skips {
        let _ = write!(
            out,
            " In a cell where {base} was more than {times} times ahead of a server, it was not run again."
        );
    }
    out += "\n\n";
    tables(&mut out, results, figures);
    if question == Question::Deflate {
        out += "\n## What is left of a message's size\n\n";
        out += "Payload bytes of the replies, divided by the messages': percent.\n\n";
        tables(&mut out, results, deflate::size);
        out += &deflate::memory(results);
    }
    if let Some(floor) = &results.floor {
        let _ = write!(
            out,
            "\n## Share of the floor\n\nThe figures above divided by those of {floor}, round by round: median, least to \
             greatest. {floor} only moves the bytes; its replies are counted and not compared.\n\n"
        );
        tables(&mut out, results, share);
    }
    if let Some(heading) = words.wall {
        let _ = write!(out, "\n{heading}\n\n");
        tables(&mut out, results, wall);
    }
    out
}

fn facts(out: &mut String, results: &Results) {
    let facts = &results.facts;
    let words = results.question.words();
    // Memory is not measured over a time.
    let windows = words.wall.map_or(String::new(), |_| {
        format!(", windows of {} s", results.window_s)
    });
    let _ = writeln!(
        out,
        "{facts} {} rounds{windows}. {}\n",
        results.rounds, words.cells
    );
    let versions: Vec<_> = facts
        .versions
        .iter()
        .map(|(server, version)| format!("{server} = {version}"))
        .collect();
    let _ = writeln!(out, "Servers: {}.", versions.join(", "));
    for missing in &results.missing {
        let _ = writeln!(out, "\nLeft out: {missing}.");
    }
}

/// One line: is the base ahead of every other server in this cell, and who is closest.
fn verdict(results: &Results, cell: &str) -> String {
    let base = &results.base;
    let rivals = results.rivals(cell);
    let Some((closest, ratio)) = rivals.first() else {
        return format!("- `{cell}`: nobody to compare {base} with\n");
    };
    let word = match rivals.iter().map(|(_, ratio)| Verdict::of(*ratio)).max() {
        Some(Verdict::Ahead) => "ahead of every peer in every round",
        Some(Verdict::AheadByMedian) => "ahead of every peer by the median, not in every round",
        Some(Verdict::Level) => "not ahead of every peer, but behind none by more than 3 %",
        _ => "NOT ahead of every peer",
    };
    let behind: Vec<_> = rivals
        .iter()
        .filter(|(_, ratio)| Verdict::of(*ratio) >= Verdict::Level)
        .map(|(name, _)| *name)
        .collect();
    let behind = if behind.is_empty() {
        String::new()
    } else {
        format!("; behind or level with {}", behind.join(", "))
    };
    let share = results
        .share_of_floor(base, cell)
        .map_or(String::new(), |share| {
            format!("; {:.2} of the floor", share.median)
        });
    format!(
        "- `{cell}`: {base} is **{word}** (closest {closest}: {}){behind}{share}\n",
        spread(*ratio)
    )
}

/// One table for every few cells, so that each fits a page.
fn tables(out: &mut String, results: &Results, entry: fn(&Results, &str, &str) -> String) {
    for (number, cells) in results
        .cells
        .chunks(columns(results.cells.len()))
        .enumerate()
    {
        if number > 0 {
            out.push('\n');
        }
        let _ = writeln!(out, "| | {} |", cells.join(" | "));
        let _ = writeln!(out, "|---|{}", "---|".repeat(cells.len()));
        for server in &results.servers {
            let row: Vec<_> = cells
                .iter()
                .map(|cell| entry(results, server, cell))
                .collect();
            let _ = writeln!(out, "| {server} | {} |", row.join(" | "));
        }
    }
}

fn share(results: &Results, server: &str, cell: &str) -> String {
    match results.share_of_floor(server, cell) {
        Some(_) if results.is_floor(server) => "1".into(),
        Some(share) if server == results.base => format!("**{}**", spread(share)),
        Some(share) => spread(share),
        None => "-".into(),
    }
}

fn figures(results: &Results, server: &str, cell: &str) -> String {
    let Some(figure) = results.spread(server, cell, Measured::figure) else {
        return "-".into();
    };
    let figure = results.question.figure(figure.median);
    match results.ratio(server, cell) {
        Some(ratio) if server != results.base => format!("{figure} ({})", spread(ratio)),
        _ => format!("**{figure}**"),
    }
}

fn wall(results: &Results, server: &str, cell: &str) -> String {
    let median = |figure| {
        results
            .spread(server, cell, figure)
            .map(|spread| spread.median)
    };
    let Some(rate) = median(|run| run.work().map(|run| run.messages as f64 / run.wall_s)) else {
        return "-".into();
    };
    let mut entry = thousands(rate);
    let busy = |run: &Measured| {
        run.work()
            .and_then(|run| Some(run.server_cpu_s? / run.wall_s))
    };
    if let Some(busy) = median(busy) {
        let _ = write!(entry, ", {:.0} %", busy * 100.0);
    }
    let p50 = median(|run| run.work().and_then(|run| run.p50_us));
    let p99 = median(|run| run.work().and_then(|run| run.p99_us));
    if let Some((p50, p99)) = p50.zip(p99) {
        let _ = write!(entry, ", {p50:.0}/{p99:.0}");
    }
    entry
}

pub(crate) fn spread(spread: Spread) -> String {
    format!("{:.2}, {:.2}–{:.2}", spread.median, spread.min, spread.max)
}

/// Bytes, whole.
pub(crate) fn bytes(value: f64) -> String {
    format!("{value:.0}")
}

/// A rate in thousands with three figures.
pub(crate) fn thousands(rate: f64) -> String {
    three_figures(rate / 1e3)
}

pub(crate) fn three_figures(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{idle_run, results, run};

    #[test]
    fn the_report_says_who_is_ahead_and_of_whom_not() {
        let report = markdown(&results(vec![
            run("ours", 0, 120_000, 1.0),
            run("a", 0, 100_000, 1.0),
            run("b", 0, 150_000, 1.0),
        ]));
        assert!(report.contains("- `128x1x1`: ours is **NOT ahead of every peer** (closest b: 0.80, 0.80–0.80); behind or level with b"), "{report}");
        assert!(report.contains("| a | 100 (1.20, 1.20–1.20) |"), "{report}");
        assert!(report.contains("| ours | **120** |"), "{report}");
    }

    #[test]
    fn with_a_floor_the_report_says_what_share_of_it_each_server_reaches() {
        let mut results = results(vec![
            run("ours", 0, 90_000, 1.0),
            run("a", 0, 50_000, 1.0),
            run("b", 0, 100_000, 1.0),
        ]);
        results.floor = Some("b".into());
        results.missing = vec!["c is not installed".into()];
        let report = markdown(&results);
        assert!(
            report.contains("| ours | **0.90, 0.90–0.90** |"),
            "{report}"
        );
        assert!(report.contains("| b | 1 |"), "{report}");
        assert!(report.contains("; 0.90 of the floor"), "{report}");
        assert!(report.contains("Left out: c is not installed."), "{report}");
    }

    #[test]
    fn being_ahead_of_all_takes_every_round() {
        let both = |second| {
            results(vec![
                run("ours", 0, 120, 1.0),
                run("a", 0, 100, 1.0),
                run("ours", 1, second, 1.0),
                run("a", 1, 100, 1.0),
            ])
        };
        assert!(verdict(&both(110), "128x1x1").contains("in every round** (closest a"));
        assert!(verdict(&both(99), "128x1x1").contains("by the median, not in every round"));
        assert!(verdict(&both(10), "128x1x1").contains("NOT ahead"));
    }

    #[test]
    fn who_is_behind_by_no_more_than_the_spread_is_told_apart_from_who_is_behind() {
        let with = |messages| {
            let ours = run("ours", 0, messages, 1.0);
            verdict(&results(vec![ours, run("a", 0, 100, 1.0)]), "128x1x1")
        };
        assert!(with(98).contains("behind none by more than 3 %** (closest a: 0.98"));
        assert!(with(96).contains("NOT ahead"));
    }

    #[test]
    fn a_report_of_memory_has_bytes_and_speaks_of_no_time() {
        let mut results = results(vec![idle_run("ours", 0, 500), idle_run("a", 0, 20_000)]);
        results.question = Question::Idle;
        let report = markdown(&results);
        assert!(
            report.contains("| a | 20000 (40.00, 40.00–40.00) |"),
            "{report}"
        );
        assert!(report.contains("ours is **ahead of every peer in every round**"));
        assert!(!report.contains("wall time") && !report.contains("windows"));
    }

    #[test]
    fn rows_are_as_full_as_each_other() {
        assert_eq!([0, 1, 4, 5, 6, 8, 20].map(columns), [1, 1, 4, 5, 3, 4, 5]);
    }

    #[test]
    fn rates_have_three_figures() {
        assert_eq!(
            [2_812_345.0, 98_765.0, 5_040.0].map(thousands),
            ["2812", "98.8", "5.04"]
        );
    }
}
