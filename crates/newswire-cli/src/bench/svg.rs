//! The latencies by percentile as a drawing: a curve over a scale that gives the last percents as
//! much room as all others, light or dark as the reader's screen.

use super::report::time_of;
use hdrhistogram::Histogram;
use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 72.0;
const BOTTOM: f64 = 52.0;

const STYLE: &str = "\
svg{font:13px system-ui,sans-serif;--paper:#fff;--ink:#1c1f23;--soft:#5b6470;--grid:#e3e6ea;--curve:#2563c9}\
@media(prefers-color-scheme:dark){svg{--paper:#14171b;--ink:#e8eaed;--soft:#9aa3ae;--grid:#2b3138;--curve:#7aa9f7}}\
.paper{fill:var(--paper)}text{fill:var(--soft)}.title{fill:var(--ink);font-size:16px;font-weight:600}\
.grid{stroke:var(--grid)}.curve{fill:none;stroke:var(--curve);stroke-width:2;stroke-linejoin:round}\
.point{fill:var(--curve);stroke:var(--paper);stroke-width:2}.label{fill:var(--ink)}";

/// Draws it. `about` says what was measured.
pub(super) fn svg(histogram: &Histogram<u64>, title: &str, about: &str) -> String {
    let chart = Chart::new(histogram);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}: {1}\">\n\
         <style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n\
         <text class=\"title\" x=\"20\" y=\"30\">{0}</text>\n\
         <text x=\"20\" y=\"50\">{1}</text>\n",
        escaped(title),
        escaped(about)
    );
    chart.draw_scales(&mut out);
    chart.draw_curve(&mut out, histogram);
    out.push_str("</svg>\n");
    out
}

/// Where values and percentiles are on the paper.
struct Chart {
    /// Both ends of the scale of values, as decimal logarithms of nanoseconds.
    low: f64,
    high: f64,
    /// Nines at the right end: 2 is 99 %.
    nines: f64,
}

impl Chart {
    fn new(histogram: &Histogram<u64>) -> Self {
        let ticks = |log: f64, up: bool| {
            // The next of 1, 2 and 5 times a power of ten.
            let steps = [0.0, 2f64.log10(), 5f64.log10(), 1.0];
            let part = log - log.floor();
            let found = if up {
                steps.into_iter().find(|step| *step >= part - 1e-9)
            } else {
                steps.into_iter().rev().find(|step| *step <= part + 1e-9)
            };
            log.floor() + found.unwrap_or(0.0)
        };
        let low = ticks((histogram.min().max(1) as f64).log10(), false);
        let high = ticks((histogram.max().max(2) as f64).log10(), true);
        Self {
            low,
            high: if high > low { high } else { low + 1.0 },
            nines: (histogram.len().max(10) as f64).log10().clamp(1.0, 6.0),
        }
    }

    fn x(&self, quantile: f64) -> f64 {
        let nines = (-(1.0 - quantile).max(1e-12).log10()).clamp(0.0, self.nines);
        LEFT + nines / self.nines * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, nanoseconds: u64) -> f64 {
        let part = ((nanoseconds.max(1) as f64).log10() - self.low) / (self.high - self.low);
        HEIGHT - BOTTOM - part.clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
    }

    fn draw_scales(&self, out: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        // Over many powers of ten the steps between them are too close to be read.
        let steps: &[u64] = if self.high - self.low > 3.0 {
            &[1]
        } else {
            &[1, 2, 5]
        };
        for power in 0..13 {
            for step in steps {
                let value = step * 10u64.pow(power);
                let log = (value as f64).log10();
                if log < self.low - 1e-9 || log > self.high + 1e-9 {
                    continue;
                }
                let y = self.y(value);
                let _ = writeln!(
                    out,
                    "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>\
                     <text text-anchor=\"end\" x=\"{}\" y=\"{:.1}\">{}</text>",
                    LEFT - 10.0,
                    y + 4.5,
                    tick(value)
                );
            }
        }
        let percentiles = [
            "0 %",
            "90 %",
            "99 %",
            "99.9 %",
            "99.99 %",
            "99.999 %",
            "99.9999 %",
        ];
        for (nines, name) in percentiles.iter().enumerate() {
            if nines as f64 > self.nines + 1e-9 {
                break;
            }
            let x = self.x(1.0 - 10f64.powi(-(nines as i32)));
            let _ = writeln!(
                out,
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
                 <text text-anchor=\"middle\" x=\"{x:.1}\" y=\"{}\">{name}</text>",
                bottom + 20.0
            );
        }
        let _ = writeln!(
            out,
            "<text text-anchor=\"end\" x=\"{right}\" y=\"{}\">percentile</text>",
            HEIGHT - 12.0
        );
    }

    fn draw_curve(&self, out: &mut String, histogram: &Histogram<u64>) {
        let mut points = String::new();
        for step in 0..=400 {
            let quantile = 1.0 - 10f64.powf(-self.nines * f64::from(step) / 400.0);
            let value = if step == 400 {
                histogram.max()
            } else {
                histogram.value_at_quantile(quantile)
            };
            let _ = write!(points, "{:.1},{:.1} ", self.x(quantile), self.y(value));
        }
        let _ = writeln!(
            out,
            "<polyline class=\"curve\" points=\"{}\"/>",
            points.trim_end()
        );
        let max = (1.0, "max");
        for (quantile, name) in [(0.5, "p50"), (0.99, "p99"), max] {
            if quantile < 1.0 && -(1.0f64 - quantile).log10() > self.nines - 0.2 {
                continue;
            }
            let value = match name {
                "max" => histogram.max(),
                _ => histogram.value_at_quantile(quantile),
            };
            let (x, y) = (self.x(quantile), self.y(value));
            // The curve rises: above it on the left there is room, and below it on the right.
            let (anchor, dx, dy) = if x - LEFT < 130.0 {
                ("start", 6.0, 20.0)
            } else {
                ("end", -4.0, -11.0)
            };
            let _ = writeln!(
                out,
                "<circle class=\"point\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"/>\
                 <text class=\"label\" text-anchor=\"{anchor}\" x=\"{:.1}\" y=\"{:.1}\">{name} {}</text>",
                x + dx,
                y + dy,
                time_of(value as f64 / 1e9)
            );
        }
    }
}

/// A round value with its unit.
fn tick(nanoseconds: u64) -> String {
    match nanoseconds {
        n if n < 1_000 => format!("{n} ns"),
        n if n < 1_000_000 => format!("{} µs", n / 1_000),
        n if n < 1_000_000_000 => format!("{} ms", n / 1_000_000),
        n => format!("{} s", n / 1_000_000_000),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_rises_and_stays_on_the_paper() {
        for values in [1..=1u64, 1..=100_000] {
            let mut histogram = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).unwrap();
            for value in values {
                histogram.record(value * 777).unwrap();
            }
            let drawing = svg(&histogram, "a & b", "<1 \"x\">");
            assert!(drawing.contains("a &amp; b") && drawing.contains("&lt;1 &quot;x&quot;&gt;"));
            let points = drawing.split("points=\"").nth(1).unwrap();
            let points: Vec<(f64, f64)> = points[..points.find('"').unwrap()]
                .split(' ')
                .map(|point| point.split_once(',').unwrap())
                .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
                .collect();
            assert_eq!(points.len(), 401);
            assert!(points.is_sorted_by(|a, b| a.0 <= b.0 && a.1 >= b.1));
            for (x, y) in points {
                assert!((LEFT..=WIDTH - RIGHT).contains(&x), "{x}");
                assert!((TOP..=HEIGHT - BOTTOM).contains(&y), "{y}");
            }
        }
    }
}
