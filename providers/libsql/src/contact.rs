//! Whether the primary is there: a circuit breaker, so that readers need not wait for a server that is away.
//!
//! Promises: while the primary is away, at most one caller in [`RETRY_INTERVAL`] is told to ask it again.
//! Deliberately unknown: what is asked.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::hrana::Failure;

/// How long after a failed contact the primary is asked again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// What a caller should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advice {
    /// The primary answered last time: ask it.
    Ask,
    /// It is away, and it is this caller's part to find out whether it still is.
    Probe,
    /// It is away; do without.
    DoWithout,
}

/// What is known of the primary. `None` while it answers, otherwise when to ask again.
#[derive(Debug, Default)]
pub(crate) struct Contact {
    away: Mutex<Option<Instant>>,
}

impl Contact {
    pub(crate) fn advice(&self) -> Advice {
        let mut away = self.away.lock();
        match &mut *away {
            None => Advice::Ask,
            Some(again) if *again <= Instant::now() => {
                *again = Instant::now() + RETRY_INTERVAL;
                Advice::Probe
            }
            Some(_) => Advice::DoWithout,
        }
    }

    /// Whether the last contact came about.
    pub(crate) fn is_reachable(&self) -> bool {
        self.away.lock().is_none()
    }

    /// Learns from the result of a contact.
    pub(crate) fn note<T>(&self, result: &Result<T, Failure>) {
        let failed = matches!(result, Err(Failure::Unreachable | Failure::Lost));
        let mut away = self.away.lock();
        if failed != away.is_some() {
            if failed {
                tracing::warn!("the libSQL primary does not answer; reads go on from the replicas");
            } else {
                tracing::info!("the libSQL primary answers again");
            }
        }
        *away = failed.then(|| Instant::now() + RETRY_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_caller_an_interval_asks_again() {
        let contact = Contact::default();
        assert_eq!(contact.advice(), Advice::Ask);
        contact.note::<()>(&Err(Failure::Unreachable));
        assert_eq!(contact.advice(), Advice::DoWithout);
        tokio::time::advance(RETRY_INTERVAL).await;
        assert_eq!([contact.advice(), contact.advice()], [Advice::Probe, Advice::DoWithout]);
        contact.note(&Ok(()));
        assert_eq!(contact.advice(), Advice::Ask);
        contact.note::<()>(&Err(Failure::NoNamespace));
        assert!(contact.is_reachable(), "an answer is an answer");
    }
}
