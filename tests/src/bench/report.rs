//! Collects measured values and shows them: a Markdown table for people, JSON for later comparison.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

use serde_json::{Value, json};

/// All values of one run.
#[derive(Debug)]
pub struct Report {
    name: String,
    processors: usize,
    rows: Vec<Row>,
    dropped: usize,
}

#[derive(Debug)]
struct Row {
    what: String,
    program: String,
    unit: &'static str,
    /// Sorted.
    values: Vec<f64>,
}

impl Report {
    /// An empty report.
    #[must_use]
    pub fn new(name: &str, processors: usize) -> Self {
        Self { name: name.to_owned(), processors, rows: Vec::new(), dropped: 0 }
    }

    /// Adds one measured value.
    pub fn add(&mut self, what: &str, program: &str, unit: &'static str, value: f64) {
        let row = self.rows.iter_mut().find(|row| row.what == what && row.program == program && row.unit == unit);
        if let Some(row) = row {
            row.values.push(value);
            row.values.sort_by(f64::total_cmp);
        } else {
            self.rows.push(Row { what: what.to_owned(), program: program.to_owned(), unit, values: vec![value] });
        }
    }

    /// Counts a round that others disturbed.
    pub fn drop_round(&mut self) {
        self.dropped += 1;
    }

    /// The table, with Millrace's cost as a multiple of the limit program's where both were measured.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "| workload | program | unit | median | min | max | rounds | x limit |\n|---|---|---|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            let (least, most) =
                (row.values.first().copied().unwrap_or_default(), row.values.last().copied().unwrap_or_default());
            let limit = self.rows.iter().find(|it| it.what == row.what && it.unit == row.unit && it.program == "limit");
            let ratio = limit.filter(|limit| limit.program != row.program);
            let ratio = ratio.map_or(String::new(), |limit| format!("{:.2}", row.median() / limit.median()));
            let (what, program, unit, median, rounds) =
                (&row.what, &row.program, row.unit, row.median(), row.values.len());
            // Writing to a String cannot fail.
            writeln!(
                text,
                "| {what} | {program} | {unit} | {median:.2} | {least:.2} | {most:.2} | {rounds} | {ratio} |"
            )
            .ok();
        }
        if self.dropped > 0 {
            writeln!(text, "\n{} rounds do not count: others used the processor under test.", self.dropped).ok();
        }
        text
    }

    /// Writes the values as JSON to `FOLDER/NAME.json`.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let rows: Vec<Value> = self.rows.iter().map(|row| {
            json!({"workload": row.what, "program": row.program, "unit": row.unit, "median": row.median(), "values": row.values})
        }).collect();
        let report =
            json!({"run": self.name, "processors": self.processors, "dropped_rounds": self.dropped, "rows": rows});
        fs::create_dir_all(folder)?;
        fs::write(folder.join(format!("{}.json", self.name)), format!("{report:#}\n"))
    }
}

impl Row {
    fn median(&self) -> f64 {
        let middle = self.values.len() / 2;
        let upper = self.values.get(middle).copied().unwrap_or_default();
        let lower = self.values.get(middle.saturating_sub(1)).copied().unwrap_or_default();
        if self.values.len() % 2 == 1 { upper } else { f64::midpoint(lower, upper) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_the_median_and_the_multiple_of_the_limit() {
        let mut report = Report::new("t", 2);
        for value in [10.0, 30.0, 20.0] {
            report.add("w", "limit", "us", value);
        }
        for value in [20.0, 40.0] {
            report.add("w", "millrace", "us", value);
        }
        let table = report.markdown();
        assert!(table.contains("| w | limit | us | 20.00 | 10.00 | 30.00 | 3 |  |"), "{table}");
        assert!(table.contains("| w | millrace | us | 30.00 | 20.00 | 40.00 | 2 | 1.50 |"), "{table}");
    }
}
