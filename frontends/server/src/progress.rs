//! How far long work has come: a bar on a terminal, plain lines elsewhere, always on stderr.
//!
//! Deliberately unknown: what the work is.

use std::io::{self, IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressStyle};

/// Progress through a known number of steps.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    done: usize,
    total: usize,
}

impl Progress {
    /// Progress through `total` steps.
    pub(crate) fn new(total: usize) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            // The default style is kept when the template cannot be read, which a test rules out.
            let bar = ProgressBar::new(total as u64);
            if let Ok(style) = ProgressStyle::with_template(TEMPLATE) { bar.with_style(style) } else { bar }
        });
        Self { bar, done: 0, total }
    }

    /// Begins the next step.
    pub(crate) fn step(&mut self, what: &str) {
        self.done += 1;
        match &self.bar {
            Some(bar) => {
                bar.set_position(self.done as u64 - 1);
                bar.set_message(what.to_owned());
            }
            None => {
                // Nobody may be listening, which is no reason to stop the work.
                let _ = writeln!(io::stderr(), "{what} ({} of {})", self.done, self.total);
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

const TEMPLATE: &str = "{bar:30} {pos}/{len} {elapsed} {wide_msg}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_can_be_read() {
        ProgressStyle::with_template(TEMPLATE).unwrap();
    }
}
