//! From summaries to the printed table. Pure; called once at the end of a run, the chart reads the same rows.

use std::fmt::Write as _;

use crate::case::{Better, Metric};
use crate::stats::{Summary, geometric_mean};

/// One metric on every runtime.
#[derive(Clone, Debug)]
pub struct Row {
    /// Case and metric.
    pub label: String,
    /// Unit, direction and target.
    pub metric: Metric,
    /// One cell per runtime, in the order of the columns; `None` if no round ended well.
    pub cells: Vec<Option<Summary>>,
}

impl Row {
    /// How many times better column `index` is than column `baseline`, by medians.
    ///
    /// Two zeros are equal; a zero against something has no ratio.
    #[must_use]
    pub fn ratio(&self, index: usize, baseline: usize) -> Option<f64> {
        let value = self.cells.get(index)?.as_ref()?.median;
        let base = self.cells.get(baseline)?.as_ref()?.median;
        if value == 0.0 && base == 0.0 {
            return Some(1.0);
        }
        let ratio = self.metric.better.ratio(value, base);
        (ratio.is_finite() && ratio > 0.0).then_some(ratio)
    }
}

/// The rows under their runtimes.
#[derive(Clone, Debug)]
pub struct Table {
    /// Names of the columns.
    pub runtimes: Vec<String>,
    /// The column the ratios refer to, if it takes part.
    pub baseline: Option<usize>,
    /// The column the targets speak of, if it takes part.
    pub subject: Option<usize>,
    /// In the order of the cases.
    pub rows: Vec<Row>,
}

impl Table {
    /// The geometric mean of a column's ratios over the rows that count, with their number.
    #[must_use]
    pub fn mean(&self, index: usize) -> Option<(f64, usize)> {
        let baseline = self.baseline?;
        let ratios: Vec<f64> = self
            .rows
            .iter()
            .filter(|row| row.metric.in_mean)
            .filter_map(|row| row.ratio(index, baseline))
            .collect();
        Some((geometric_mean(&ratios)?, ratios.len()))
    }

    /// The table as text, one line per row, then the geometric means.
    #[must_use]
    pub fn render(&self) -> String {
        let mut grid = vec![self.heading()];
        grid.extend(self.rows.iter().map(|row| self.line(row)));
        let mut text = align(&grid);
        for (index, name) in self.runtimes.iter().enumerate() {
            if Some(index) == self.baseline {
                continue;
            }
            if let Some((mean, rows)) = self.mean(index) {
                let _ = writeln!(
                    text,
                    "geometric mean of {rows} in-process time rows, {name}: {mean:.2}x"
                );
            }
        }
        text
    }

    fn heading(&self) -> Vec<String> {
        let mut line = vec!["row".to_owned()];
        for (index, name) in self.runtimes.iter().enumerate() {
            line.push(format!("{name} (min-max)"));
            if self.baseline.is_some_and(|baseline| baseline != index) {
                line.push("x".to_owned());
            }
        }
        line.push("target".to_owned());
        line
    }

    fn line(&self, row: &Row) -> Vec<String> {
        let unit = row.metric.unit;
        let arrow = if row.metric.better == Better::Higher {
            " (more is better)"
        } else {
            ""
        };
        let mut line = vec![format!("{}{arrow}", row.label)];
        for (index, cell) in row.cells.iter().enumerate() {
            line.push(
                cell.as_ref()
                    .map_or_else(|| "-".to_owned(), |cell| unit.show_summary(cell)),
            );
            if let Some(baseline) = self.baseline.filter(|baseline| *baseline != index) {
                line.push(
                    row.ratio(index, baseline)
                        .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
                );
            }
        }
        line.push(self.verdict(row));
        line
    }

    fn verdict(&self, row: &Row) -> String {
        let Some(target) = row.metric.target else {
            return String::new();
        };
        let reached = self
            .subject
            .zip(self.baseline)
            .and_then(|(subject, baseline)| row.ratio(subject, baseline));
        match reached {
            Some(ratio) if ratio < target => format!(">= {target} short"),
            Some(_) => format!(">= {target} met"),
            None => format!(">= {target}"),
        }
    }
}

/// First column to the left, the others to the right, two blanks between.
fn align(grid: &[Vec<String>]) -> String {
    let columns = grid.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            grid.iter()
                .filter_map(|line| line.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for line in grid {
        for (column, cell) in line.iter().enumerate() {
            let width = widths[column];
            let _ = if column == 0 {
                write!(text, "{cell:<width$}")
            } else {
                write!(text, "  {cell:>width$}")
            };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Row, Table};
    use crate::case::{Metric, Unit};
    use crate::stats::Summary;

    fn table(metric: Metric, subject: &[f64], baseline: &[f64]) -> Table {
        Table {
            runtimes: vec!["loxley".to_owned(), "tokio".to_owned()],
            baseline: Some(1),
            subject: Some(0),
            rows: vec![Row {
                label: "row".to_owned(),
                metric,
                cells: vec![Summary::of(subject), Summary::of(baseline)],
            }],
        }
    }

    #[test]
    fn a_row_shows_the_ratio_and_whether_the_target_is_met() {
        let text = table(Metric::time("").target(3.0), &[100.0], &[250.0]).render();
        assert!(text.contains("2.50"), "{text}");
        assert!(text.contains(">= 3 short"), "{text}");
        assert!(
            text.contains("geometric mean of 1 in-process time rows, loxley: 2.50x"),
            "{text}"
        );
    }

    #[test]
    fn a_runtime_that_failed_has_a_dash_and_no_ratio() {
        let text = table(Metric::time("").target(3.0), &[], &[250.0]).render();
        assert!(text.contains(" - "), "{text}");
        assert!(!text.contains("met"), "{text}");
    }

    #[test]
    fn two_zeros_are_equal() {
        let table = table(Metric::lower("", Unit::Count), &[0.0], &[0.0]);
        assert_eq!(table.rows[0].ratio(0, 1), Some(1.0));
    }
}
