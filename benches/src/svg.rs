//! The chart: for every row one horizontal bar per runtime, its length the ratio to the baseline on a log scale.
//!
//! Pure; written by hand because it is a list of rectangles. Bars to the right of the line at 1x are better.

use std::fmt::Write as _;

use crate::table::{Table, show_ratio};

const LABEL_WIDTH: f64 = 330.0;
const PLOT_WIDTH: f64 = 560.0;
const RIGHT_MARGIN: f64 = 110.0;
const BAR_HEIGHT: f64 = 9.0;
const ROW_GAP: f64 = 8.0;
const TOP: f64 = 64.0;
/// Ratios outside are drawn at the edge; their number stands beside the bar.
const RATIO_MIN: f64 = 0.1;
const RATIO_MAX: f64 = 30.0;
const TICKS: [f64; 8] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0];
const COLOURS: [&str; 5] = ["#2f7d4f", "#b5651d", "#4a6fa5", "#8a5a8f", "#777777"];

/// Draws `table` under `title`; an empty drawing if no baseline takes part.
#[must_use]
pub fn chart(table: &Table, title: &str) -> String {
    let columns: Vec<usize> = (0..table.runtimes.len())
        .filter(|index| Some(*index) != table.baseline)
        .collect();
    let rows: Vec<_> = table
        .rows
        .iter()
        .filter(|row| {
            columns
                .iter()
                .any(|column| table.ratio(row, *column).is_some())
        })
        .collect();
    let row_height = BAR_HEIGHT * columns.len() as f64 + ROW_GAP;
    let height = TOP + row_height * rows.len() as f64 + 30.0;
    let width = LABEL_WIDTH + PLOT_WIDTH + RIGHT_MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"14\" font-weight=\"bold\">{}</text>\n",
        escape(title)
    );
    legend(&mut svg, table, &columns);
    for tick in TICKS {
        let x = place(tick);
        let colour = if (tick - 1.0).abs() < f64::EPSILON {
            "#000000"
        } else {
            "#dddddd"
        };
        let bottom = height - 20.0;
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"{colour}\"/>"
        );
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick}x</text>",
            height - 6.0
        );
    }
    for (position, row) in rows.iter().enumerate() {
        let top = TOP + row_height * position as f64 + ROW_GAP / 2.0;
        let middle = top + BAR_HEIGHT * columns.len() as f64 / 2.0 + 4.0;
        let label_x = LABEL_WIDTH - 8.0;
        let _ = writeln!(
            svg,
            "<text x=\"{label_x}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>",
            escape(&row.label)
        );
        for (lane, column) in columns.iter().enumerate() {
            if let Some(ratio) = table.ratio(row, *column) {
                bar(
                    &mut svg,
                    ratio,
                    top + BAR_HEIGHT * lane as f64,
                    COLOURS[column % COLOURS.len()],
                );
            }
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn legend(svg: &mut String, table: &Table, columns: &[usize]) {
    let mut x = 10.0;
    for column in columns {
        let (name, colour) = (
            escape(&table.runtimes[*column]),
            COLOURS[column % COLOURS.len()],
        );
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"32\" width=\"12\" height=\"12\" fill=\"{colour}\"/>"
        );
        let _ = writeln!(svg, "<text x=\"{}\" y=\"42\">{name}</text>", x + 17.0);
        x += 100.0;
    }
    let base = table
        .baseline
        .map_or("nothing", |index| table.runtimes[index].as_str());
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"42\">times better than {}, log scale</text>",
        escape(base)
    );
}

fn bar(svg: &mut String, ratio: f64, top: f64, colour: &str) {
    let (zero, end) = (place(1.0), place(ratio));
    let (left, width) = (zero.min(end), (end - zero).abs().max(1.0));
    let height = BAR_HEIGHT - 1.0;
    let _ = writeln!(
        svg,
        "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{colour}\"/>"
    );
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"9\">{}</text>",
        zero.max(end) + 4.0,
        top + BAR_HEIGHT - 1.5,
        show_ratio(ratio)
    );
}

/// Where a ratio stands on the log scale.
fn place(ratio: f64) -> f64 {
    let span = (RATIO_MAX / RATIO_MIN).ln();
    LABEL_WIDTH + PLOT_WIDTH * (ratio.clamp(RATIO_MIN, RATIO_MAX) / RATIO_MIN).ln() / span
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{chart, place};
    use crate::case::Metric;
    use crate::stats::Summary;
    use crate::table::{By, Row, Table};

    #[test]
    fn better_lies_to_the_right_and_extremes_stay_inside() {
        assert!(place(2.0) > place(1.0));
        assert!((place(1e9) - place(30.0)).abs() < 1e-9);
    }

    #[test]
    fn a_row_becomes_one_bar_per_other_runtime() {
        let row = Row {
            label: "a<b".to_owned(),
            metric: Metric::time(""),
            cells: vec![Summary::of(&[50.0]), Summary::of(&[100.0])],
        };
        let runtimes = vec!["loxley".to_owned(), "tokio".to_owned()];
        let svg = chart(
            &Table {
                runtimes,
                baseline: Some(1),
                subject: Some(0),
                by: By::Median,
                rows: vec![row],
            },
            "t",
        );
        assert!(svg.contains("a&lt;b") && svg.contains(">2.00<"), "{svg}");
    }
}
