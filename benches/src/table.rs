//! The printed table.

use std::fmt::Write as _;

/// Rows as they are measured.
#[derive(Default)]
pub(crate) struct Table {
    rows: String,
    notes: String,
}

impl Table {
    /// Adds what Nimbus reached, the first of `rates`, and what each peer did, with the ratio.
    pub(crate) fn row(&mut self, phase: &str, peers: &[&str], rates: &[f64]) {
        let Some((ours, theirs)) = rates.split_first() else { return };
        for (peer, theirs) in peers.iter().zip(theirs) {
            let ratio = ours / theirs;
            let _ =
                writeln!(self.rows, "| {phase} | {ours:>10.0} | {peer} | {theirs:>10.0} | {ratio:>5.2} |");
        }
    }

    /// Adds a remark about a phase.
    pub(crate) fn note(&mut self, phase: &str, text: &str) {
        let _ = writeln!(self.notes, "- {phase}: {text}");
    }

    /// Prints everything as Markdown.
    pub(crate) fn print(&self) {
        println!("\n| phase (operations per second, median) | Nimbus | peer | peer's | ratio |");
        println!("| --- | ---: | --- | ---: | ---: |");
        println!("{}\n{}", self.rows, self.notes);
    }
}
