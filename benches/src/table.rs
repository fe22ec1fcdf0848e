//! The printed table.

use std::fmt::Write as _;

/// Rows as they are measured.
pub(crate) struct Table {
    rows: String,
    notes: String,
}

impl Table {
    /// A table with these columns and nothing in it.
    pub(crate) fn new(columns: &[&str]) -> Self {
        let mut table = Self { rows: String::new(), notes: String::new() };
        table.row(columns);
        table.row(&vec!["---"; columns.len()]);
        table
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: &[&str]) {
        let _ = writeln!(self.rows, "| {} |", cells.join(" | "));
    }

    /// Adds a remark about a phase.
    pub(crate) fn note(&mut self, phase: &str, text: &str) {
        let _ = writeln!(self.notes, "- {phase}: {text}");
    }

    /// Prints everything as Markdown.
    pub(crate) fn print(&self) {
        println!("\n{}\n{}", self.rows, self.notes);
    }
}
