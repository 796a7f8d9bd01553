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

/// Which round stands for a cell when ratios are formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum By {
    /// The middle one: what may be reported.
    Median,
    /// The best one: guidance on a machine with other load, which can only make a round worse.
    Best,
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
    /// What ratios are formed from.
    pub by: By,
    /// In the order of the cases.
    pub rows: Vec<Row>,
}

impl Table {
    /// How many times better column `index` of `row` is than the baseline.
    ///
    /// Two zeros are equal; a zero against something has no ratio.
    #[must_use]
    pub fn ratio(&self, row: &Row, index: usize) -> Option<f64> {
        let value = self.figure(row, index)?;
        let base = self.figure(row, self.baseline?)?;
        if value == 0.0 && base == 0.0 {
            return Some(1.0);
        }
        let ratio = row.metric.better.ratio(value, base);
        (ratio.is_finite() && ratio > 0.0).then_some(ratio)
    }

    fn figure(&self, row: &Row, index: usize) -> Option<f64> {
        let cell = row.cells.get(index)?.as_ref()?;
        Some(match (self.by, row.metric.better) {
            (By::Median, _) => cell.median,
            (By::Best, Better::Lower) => cell.min,
            (By::Best, Better::Higher) => cell.max,
        })
    }

    /// The geometric mean of a column's ratios over the rows that count, with their number.
    #[must_use]
    pub fn mean(&self, index: usize) -> Option<(f64, usize)> {
        let ratios: Vec<f64> = self
            .rows
            .iter()
            .filter(|row| row.metric.in_mean)
            .filter_map(|row| self.ratio(row, index))
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
            if self.baseline.is_some_and(|baseline| baseline != index) {
                line.push(
                    self.ratio(row, index)
                        .map_or_else(|| "-".to_owned(), show_ratio),
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
        let reached = self.subject.and_then(|subject| self.ratio(row, subject));
        match reached {
            Some(ratio) if ratio < target => format!(">= {target} short"),
            Some(_) => format!(">= {target} met"),
            None => format!(">= {target}"),
        }
    }
}

/// A ratio with as many digits as mean something.
#[must_use]
pub fn show_ratio(ratio: f64) -> String {
    if ratio >= 100.0 {
        format!("{ratio:.0}")
    } else {
        format!("{ratio:.2}")
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
    use super::{By, Row, Table};
    use crate::case::{Metric, Unit};
    use crate::stats::Summary;

    fn table(metric: Metric, subject: &[f64], baseline: &[f64]) -> Table {
        Table {
            runtimes: vec!["loxley".to_owned(), "tokio".to_owned()],
            baseline: Some(1),
            subject: Some(0),
            by: By::Median,
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
        assert_eq!(table.ratio(&table.rows[0], 0), Some(1.0));
    }

    #[test]
    fn the_best_round_is_the_smallest_or_the_largest() {
        let mut table = table(
            Metric::time(""),
            &[50.0, 100.0, 400.0],
            &[100.0, 300.0, 300.0],
        );
        assert_eq!(table.ratio(&table.rows[0], 0), Some(3.0));
        table.by = By::Best;
        assert_eq!(table.ratio(&table.rows[0], 0), Some(2.0));
        table.rows[0].metric = Metric::higher("", Unit::Times);
        assert_eq!(table.ratio(&table.rows[0], 0), Some(400.0 / 300.0));
    }
}
