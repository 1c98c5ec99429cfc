//! The chart: a panel a cell, a bar a server, as SVG that is readable on light and on dark pages. Only drawing is done
//! here; the arithmetic is `results`'s.

use std::fmt::Write as _;

use crate::job::Measured;
use crate::report::columns;
use crate::results::{Results, Spread};

/// Room for the servers' names, at the left of each row of panels.
const NAMES: usize = 135;
/// A panel's width with many in a row; few share a width in which the title has room.
const PANEL: usize = 170;
const PANELS: usize = 600;
/// From the longest bar's end to the next panel: room for its figure.
const AFTER_BAR: usize = 55;
/// From the figures' end, in a column of their own, to the next panel.
const AFTER_FIGURE: usize = 18;
const LINE: usize = 16;
/// Room for a panel's title.
const TITLE: usize = 30;
const MARGIN: usize = 12;
/// Room for the chart's title.
const HEAD: usize = 44;

const STYLE: &str = "text{font:11px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600}.head{font-size:14px}.figure{text-anchor:end}\
.base{fill:#0969da}.peer{fill:#8c959f}.rock{fill:#bf8700}.floor{stroke:#bf8700;stroke-dasharray:3 2}\
.spread{stroke:#1f2328;opacity:.6}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.base{fill:#4493f8}.peer{fill:#6e7681}.spread{stroke:#e6edf3}}";

/// Thousand messages per second of server CPU in every cell, median and spread.
pub(crate) fn svg(results: &Results) -> String {
    let columns = columns(results.cells.len());
    let row_height = TITLE + results.servers.len() * LINE + MARGIN;
    let panel_width = PANEL.max(PANELS / columns);
    let width = 2 * MARGIN + NAMES + columns * panel_width;
    let height = HEAD + results.cells.len().div_ceil(columns) * row_height;
    let mut out = String::new();
    let title = results.question.words().chart;
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\"><title>{title}</title><style>{STYLE}</style>"
    );
    text(&mut out, MARGIN as f64, 20.0, "title head", title);
    let rounds = match results.rounds {
        1 => "one round".into(),
        rounds => format!("{rounds} rounds; lines: least to greatest"),
    };
    let floor = results.floor.as_deref();
    let floor = floor.map_or(String::new(), |floor| format!("; dashes: {floor}"));
    let how = format!("Bars: median of {rounds}{floor}. {}", results.facts.cpu);
    text(&mut out, MARGIN as f64, 36.0, "", &how);
    for (row, cells) in results.cells.chunks(columns).enumerate() {
        let top = HEAD + row * row_height;
        for (line, server) in results.servers.iter().enumerate() {
            let y = top + TITLE + line * LINE;
            let class = if *server == results.base { "title" } else { "" };
            text(&mut out, MARGIN as f64, (y + 11) as f64, class, server);
        }
        for (column, cell) in cells.iter().enumerate() {
            let left = MARGIN + NAMES + column * panel_width;
            panel(&mut out, results, cell, (left, top), panel_width);
        }
    }
    out + "</svg>\n"
}

fn panel(
    out: &mut String,
    results: &Results,
    cell: &str,
    (left, top): (usize, usize),
    width: usize,
) {
    let figures: Vec<Option<Spread>> = results
        .servers
        .iter()
        .map(|server| results.spread(server, cell, Measured::figure))
        .collect();
    let most = figures
        .iter()
        .flatten()
        .map(|spread| spread.max)
        .fold(0.0, f64::max);
    let left = left as f64;
    let at = |rate: f64| left + rate / most * (width - AFTER_BAR) as f64;
    text(out, left, (top + 20) as f64, "title", cell);
    for (line, (server, figure)) in results.servers.iter().zip(&figures).enumerate() {
        let y = (top + TITLE + line * LINE) as f64;
        let Some(spread) = figure else {
            text(out, left, y + 11.0, "", "-");
            continue;
        };
        let is_floor = results.is_floor(server);
        let class = match () {
            () if is_floor => "rock",
            () if *server == results.base => "base",
            () => "peer",
        };
        // Whoever needs next to nothing still has a bar.
        let (middle, length) = (y + 7.0, (at(spread.median) - left).max(1.5));
        let _ = writeln!(
            out,
            "<rect class=\"{class}\" x=\"{left}\" y=\"{}\" width=\"{length:.1}\" height=\"10\" rx=\"1\"/>\
             <path class=\"spread\" d=\"M{:.1} {middle}H{:.1}\"/>",
            y + 2.0,
            at(spread.min),
            at(spread.max)
        );
        let end = left + (width - AFTER_FIGURE) as f64;
        text(
            out,
            end,
            y + 11.0,
            "figure",
            &results.question.chart_figure(spread.median),
        );
        if is_floor {
            let _ = writeln!(
                out,
                "<path class=\"floor\" d=\"M{:.1} {y}V{}\"/>",
                at(spread.median),
                top + TITLE + results.servers.len() * LINE
            );
        }
    }
}

fn text(out: &mut String, x: f64, y: f64, class: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        out,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{results, run};

    #[test]
    fn bars_are_as_long_as_their_medians_and_the_floor_has_a_line() {
        let mut results = results(vec![
            run("ours", 0, 90_000, 1.0),
            run("a", 0, 45_000, 1.0),
            run("b", 0, 100_000, 1.0),
        ]);
        results.floor = Some("b".into());
        let svg = svg(&results);
        for expected in [
            "class=\"base\" x=\"147\" y=\"76\" width=\"490.5\"",
            "class=\"peer\" x=\"147\" y=\"92\" width=\"245.2\"",
            "class=\"rock\" x=\"147\" y=\"108\" width=\"545.0\"",
            "class=\"floor\" d=\"M692.0 106V122\"",
        ] {
            assert!(svg.contains(expected), "{expected} in {svg}");
        }
        assert_eq!(svg.matches("<rect").count(), 3);
    }

    #[test]
    fn a_server_without_a_figure_has_no_bar() {
        let svg = svg(&results(vec![run("ours", 0, 90_000, 1.0)]));
        assert_eq!(svg.matches("<rect").count(), 1);
        assert_eq!(svg.matches(">-</text>").count(), 2);
    }
}
