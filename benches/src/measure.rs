//! Rounds, taken in turns, and their median.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::Outcome;

/// Does work until the moment given and answers how many operations it did.
pub(crate) type Round<'a> = &'a mut dyn FnMut(Instant) -> Outcome<u64>;

/// How anything is measured.
#[derive(clap::Args)]
pub(crate) struct Measuring {
    /// Rounds of each phase; the median is reported.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Length of one round in milliseconds.
    #[arg(long, default_value_t = 1000)]
    pub(crate) round_ms: u64,
    /// Measure only phases whose name holds this text.
    #[arg(long, default_value = "")]
    pub(crate) only: String,
}

impl Measuring {
    /// Whether the phase is not left out.
    pub(crate) fn wants(&self, phase: &str) -> bool {
        phase.contains(&self.only)
    }

    /// Operations a second of each side: medians over rounds that are taken in turns, so that a drift
    /// of the machine meets every side alike. `None` when the phase is left out.
    pub(crate) fn compare(&self, phase: &str, sides: &mut [Round<'_>]) -> Outcome<Option<Vec<f64>>> {
        if !self.wants(phase) {
            return Ok(None);
        }
        eprintln!("measuring {phase} …");
        let mut rates = vec![Vec::with_capacity(self.rounds); sides.len()];
        for _ in 0..self.rounds {
            for (side, rates) in sides.iter_mut().zip(&mut rates) {
                let begin = Instant::now();
                let done = side(begin + Duration::from_millis(self.round_ms))?;
                rates.push(done as f64 / begin.elapsed().as_secs_f64());
            }
        }
        Ok(Some(rates.into_iter().map(median).collect()))
    }
}

/// The middle value; of an even number the upper of the two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Runs `work` on `threads` threads and adds up what they did.
pub(crate) fn on_threads(threads: u64, work: impl Fn(u64) -> Outcome<u64> + Sync) -> Outcome<u64> {
    std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        running.into_iter().map(|thread| thread.join().map_err(|_| "a measuring thread panicked")?).sum()
    })
}

/// Runs `tasks` tasks on the runtime and adds up what they did.
pub(crate) fn on_tasks<F>(runtime: &Runtime, tasks: u64, work: impl Fn(u64) -> F) -> Outcome<u64>
where
    F: Future<Output = Outcome<u64>> + Send + 'static,
{
    runtime.block_on(async {
        let running: Vec<_> = (0..tasks).map(|task| tokio::spawn(work(task))).collect();
        let mut done = 0;
        for task in running {
            done += task.await??;
        }
        Ok(done)
    })
}
