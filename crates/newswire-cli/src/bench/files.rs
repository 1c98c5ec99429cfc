//! Results as files: JSON, and the percentile log that HdrHistogram's tools read.

use super::report::Report;
use hdrhistogram::Histogram;
use std::fmt::Write as _;
use std::path::Path;

/// The results as JSON, for programs.
///
/// # Errors
/// None in practice: there are only numbers and strings in it.
pub(super) fn json(report: &Report) -> Result<String, String> {
    serde_json::to_string_pretty(report).map_err(|error| format!("cannot write JSON: {error}"))
}

/// Latencies in milliseconds by percentile, in the layout of HdrHistogram's
/// `outputPercentileDistribution`, which its plotter reads.
pub(super) fn percentile_log(histogram: &Histogram<u64>) -> String {
    let mut text = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n".to_owned();
    let milliseconds = |nanoseconds: u64| nanoseconds as f64 / 1e6;
    for value in histogram.iter_quantiles(5) {
        let count = histogram.count_between(0, value.value_iterated_to());
        let quantile = value.quantile_iterated_to();
        let _ = write!(
            text,
            "{:12.6} {quantile:2.12} {count:10}",
            milliseconds(value.value_iterated_to())
        );
        if quantile < 1.0 {
            let _ = write!(text, " {:14.2}", 1.0 / (1.0 - quantile));
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "#[Mean    = {:12.6}, StdDeviation   = {:12.6}]\n\
         #[Max     = {:12.6}, Total count    = {:12}]\n\
         #[Buckets = {:12}, SubBuckets     = {:12}]",
        histogram.mean() / 1e6,
        histogram.stdev() / 1e6,
        milliseconds(histogram.max()),
        histogram.len(),
        histogram.buckets(),
        1u64 << (u64::BITS - (2 * 10u64.pow(histogram.sigfig().into()) - 1).leading_zeros()),
    );
    text
}

/// Writes a file.
///
/// # Errors
/// One line with the file's name.
pub(super) fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentile_log_ends_with_all_values_and_their_count() {
        let mut histogram = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).unwrap();
        for milliseconds in 1..=1000 {
            histogram.record(milliseconds * 1_000_000).unwrap();
        }
        let log = percentile_log(&histogram);
        let rows: Vec<Vec<f64>> = log
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                line.split_whitespace()
                    .map(|n| n.parse().unwrap())
                    .collect()
            })
            .collect();
        assert!(rows.is_sorted_by(|a, b| a[0] <= b[0] && a[1] <= b[1] && a[2] <= b[2]));
        let half = rows.iter().find(|row| row[1] >= 0.5).unwrap();
        assert!((half[0] - 500.0).abs() < 5.0, "{half:?}");
        let last = rows.last().unwrap();
        assert!(
            (last[0] - 1000.0).abs() < 1.0 && last[2] == 1000.0,
            "{last:?}"
        );
        assert!(log.contains("Total count    =         1000]"), "{log}");
        assert!(log.contains("SubBuckets     =         2048]"), "{log}");
    }
}
