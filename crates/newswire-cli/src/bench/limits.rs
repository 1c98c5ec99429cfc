//! Whether the results are what the flags ask for. One sentence for each that is not.

use super::options::{ErrorLimit, Limits, Load};
use super::report::{Report, rounded, time_of};
use bytesize::ByteSize;
use std::time::Duration;

/// What was asked of the results.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Asked {
    max_p99: Option<Duration>,
    min_rate: Option<u64>,
    pub(super) max_errors: Option<u64>,
    max_memory: Option<ByteSize>,
    max_recovery: Option<Duration>,
}

impl Asked {
    pub(super) fn of(load: &Load) -> Self {
        let limits = |limits: Limits| Self {
            max_p99: limits.max_p99,
            min_rate: limits.min_rate,
            ..errors(limits.errors)
        };
        fn errors(limit: ErrorLimit) -> Asked {
            Asked {
                max_errors: limit.max_errors,
                ..Asked::default()
            }
        }
        match load {
            Load::Echo(echo) => limits(echo.limits),
            Load::Connect(connect) => limits(connect.limits),
            Load::Churn(churn) => limits(churn.limits),
            Load::Slow(slow) => limits(slow.limits),
            Load::Idle(idle) => Self {
                max_memory: idle.max_memory,
                ..errors(idle.errors)
            },
            Load::Storm(storm) => Self {
                max_recovery: storm.max_recovery,
                ..errors(storm.errors)
            },
        }
    }

    /// What was missed.
    pub(super) fn missed(&self, report: &Report) -> Vec<String> {
        let mut missed = Vec::new();
        if let Some(limit) = self.max_p99 {
            let limit = limit.as_secs_f64();
            match report.latency() {
                Some(latency) if latency.p99 <= limit => {}
                Some(latency) => missed.push(format!(
                    "p99 is {}, --max-p99 is {}",
                    time_of(latency.p99),
                    time_of(limit)
                )),
                None => missed.push(format!(
                    "there is no latency to compare with --max-p99 {}",
                    time_of(limit)
                )),
            }
        }
        if let Some(limit) = self.min_rate {
            let (rate, unit) = report.rate();
            if rate < limit as f64 {
                missed.push(format!(
                    "{} {unit} a second, --min-rate is {}",
                    rounded(rate),
                    rounded(limit as f64)
                ));
            }
        }
        if let Some(limit) = self.max_errors
            && report.errors.count > limit
        {
            let first = report.errors.first.as_deref().unwrap_or_default();
            let count = report.errors.count;
            missed.push(format!(
                "{count} errors, --max-errors is {limit}; the first: {first}"
            ));
        }
        if let Some(limit) = self.max_memory {
            let each = report.server.as_ref().and_then(|s| s.bytes_per_connection);
            match each {
                Some(each) if each <= limit.as_u64() as f64 => {}
                Some(each) => missed.push(format!(
                    "{} of memory for each connection, --max-memory is {limit}",
                    ByteSize(each as u64)
                )),
                None => {
                    missed.push("no connection is open to compare with --max-memory".to_owned())
                }
            }
        }
        if let (Some(limit), Some(storm)) = (self.max_recovery, &report.storm) {
            let limit = limit.as_secs_f64();
            let worst = storm.recovery_seconds.iter().copied().reduce(f64::max);
            match worst {
                Some(worst) if worst <= limit => {}
                Some(worst) => missed.push(format!(
                    "all were back after {}, --max-recovery is {}",
                    time_of(worst),
                    time_of(limit)
                )),
                None => missed.push("no round ended to compare with --max-recovery".to_owned()),
            }
        }
        missed
    }
}
