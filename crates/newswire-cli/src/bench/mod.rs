//! `newswire bench`: puts load on a server and measures it. This file goes from the flags to the
//! exit code; the load itself is made in [`worker`], of which [`conduct`] runs one a thread.
//!
//! ```text
//! options ─▶ plan ─▶ conduct ─▶ worker ─▶ connection ─▶ receiver
//!                       │          │          └─▶ stream    └─▶ traffic, compression
//!                       │          └─▶ tally, timers
//!                       ▼
//!            report ─▶ table, files, svg, limits
//! ```

mod compression;
mod conduct;
mod connection;
mod files;
mod json;
mod limits;
mod options;
mod plan;
mod progress;
mod receiver;
mod report;
mod shared;
mod socket;
mod stream;
mod svg;
mod table;
mod tally;
mod timers;
mod traffic;
mod values;
mod worker;

use crate::exit_code::ExitCode;
use crate::output;
use limits::Asked;
pub(crate) use options::BenchOptions;
use options::{Load, ReportOptions};
use plan::Plan;
use report::Report;
use std::path::Path;

/// Runs a load and says what came of it.
pub(crate) fn run(options: &BenchOptions) -> ExitCode {
    let load = &options.load;
    let plan = match Plan::new(load) {
        Ok(plan) => plan,
        Err(error) => {
            output::error(format_args!("{error} (try --help)"));
            return ExitCode::Usage;
        }
    };
    match measure(&plan, reports(load), Asked::of(load)) {
        Ok(code) => code,
        Err(error) => {
            output::error(error);
            ExitCode::Failure
        }
    }
}

fn measure(plan: &Plan, to: &ReportOptions, asked: Asked) -> Result<ExitCode, String> {
    crate::process::allow_files(plan.all())?;
    let outcome = conduct::conduct(plan, to.pid, to.verbose)?;
    let report = Report::new(plan, &outcome);
    let on_stdout = to.json.as_deref() == Some(Path::new("-"));
    if on_stdout {
        output::line(files::json(&report)?);
    } else {
        output::line(table::table(&report));
    }
    if let Some(path) = to.json.as_deref().filter(|_| !on_stdout) {
        files::write(path, &format!("{}\n", files::json(&report)?))?;
    }
    let (histogram, title) = if report.messages.is_some() {
        (&outcome.tally.latency, "Latency by percentile")
    } else {
        (&outcome.tally.handshake, "Handshake time by percentile")
    };
    if let Some(path) = &to.hdr {
        files::write(path, &files::percentile_log(histogram))?;
    }
    if let Some(path) = &to.svg {
        let about = format!("newswire bench {}: {}", report.load, table::what(&report));
        files::write(path, &svg::svg(histogram, title, &about))?;
    }
    let missed = asked.missed(&report);
    for sentence in &missed {
        output::error(format_args!("missed: {sentence}"));
    }
    if !missed.is_empty() {
        return Ok(ExitCode::Missed);
    }
    match report.errors.first {
        Some(first) if asked.max_errors.is_none() => {
            let count = report.errors.count;
            Err(if count == 1 {
                first
            } else {
                format!("{count} errors, the first: {first}")
            })
        }
        _ => Ok(ExitCode::Success),
    }
}

fn reports(load: &Load) -> &ReportOptions {
    match load {
        Load::Echo(options) => &options.report,
        Load::Connect(options) => &options.report,
        Load::Idle(options) => &options.report,
        Load::Churn(options) => &options.report,
        Load::Slow(options) => &options.report,
        Load::Storm(options) => &options.report,
    }
}
