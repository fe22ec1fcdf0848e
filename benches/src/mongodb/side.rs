//! Whoever answers requests, and how its answers are timed.

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::runtime::Runtime;

use super::operation::Operation;
use crate::Outcome;
use crate::measure::{Measuring, median};
use crate::work::Work;

/// Somebody who answers.
pub(crate) trait Side {
    /// One more connection, which asks one thing after the other.
    fn connect(&self) -> BoxFuture<'_, Outcome<Box<dyn Connection>>>;
}

/// One connection.
pub(crate) trait Connection: Send {
    /// Asks for one thing, about the `n`-th document, and waits for the answer.
    fn ask(&mut self, operation: Operation, n: u64) -> BoxFuture<'_, Outcome<()>>;
}

/// What a side reached in one phase.
pub(crate) struct Figures {
    /// Requests a second, the median of the rounds.
    pub(crate) rate: f64,
    /// Over all rounds.
    pub(crate) p50_us: f64,
    /// Likewise.
    pub(crate) p99_us: f64,
}

/// Measures the sides in turns.
pub(crate) fn compare(
    runtime: &Runtime,
    measuring: &Measuring,
    phase: &str,
    sides: &[&dyn Side],
    operation: Operation,
    connections: u64,
    work: &Work,
) -> Outcome<Vec<Figures>> {
    eprintln!("measuring {phase} …");
    let mut rates = vec![Vec::new(); sides.len()];
    let mut times_us: Vec<Vec<u32>> = vec![Vec::new(); sides.len()];
    let mut open = Vec::new();
    for side in sides {
        let mut connected = Vec::new();
        for _ in 0..connections {
            connected.push(runtime.block_on(side.connect())?);
        }
        open.push(connected);
    }
    for _ in 0..measuring.rounds {
        for (side, connections) in open.iter_mut().enumerate() {
            let begin = Instant::now();
            let until = begin + Duration::from_millis(measuring.round_ms);
            let round = round(runtime, connections, operation, until, work)?;
            rates[side].push(round.len() as f64 / begin.elapsed().as_secs_f64());
            times_us[side].extend(round);
        }
    }
    let figures = rates.into_iter().zip(times_us).map(|(rates, mut times_us)| {
        times_us.sort_unstable();
        let at = |percent: usize| {
            times_us.get(times_us.len() * percent / 100).copied().map_or(f64::NAN, f64::from)
        };
        Figures { rate: median(rates), p50_us: at(50), p99_us: at(99) }
    });
    Ok(figures.collect())
}

/// Lets every connection ask until the moment given; answers how long each answer took.
fn round(
    runtime: &Runtime,
    connections: &mut Vec<Box<dyn Connection>>,
    operation: Operation,
    until: Instant,
    work: &Work,
) -> Outcome<Vec<u32>> {
    let numbers = |task: usize| -> Box<dyn Iterator<Item = u64> + Send> {
        match operation {
            Operation::Insert => Box::new(work.fresh()),
            _ => Box::new(work.scattered(task as u64)),
        }
    };
    let running: Vec<_> = connections
        .drain(..)
        .enumerate()
        .map(|(task, mut connection)| {
            let numbers = numbers(task);
            runtime.spawn(async move {
                let mut times_us = Vec::new();
                for n in numbers {
                    let begin = Instant::now();
                    if begin >= until {
                        break;
                    }
                    connection.ask(operation, n).await?;
                    times_us.push(u32::try_from(begin.elapsed().as_micros()).unwrap_or(u32::MAX));
                }
                Outcome::Ok((connection, times_us))
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in running {
        let (connection, times_us) = runtime.block_on(task)??;
        connections.push(connection);
        all.extend(times_us);
    }
    Ok(all)
}
