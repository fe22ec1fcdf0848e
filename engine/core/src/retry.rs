//! Transactions that are begun again after a write conflict.
//!
//! Promises: [`Tenant::run`] answers a write conflict only when it has tried often and in turn. Under
//! contention retries queue up, so that each round commits somebody instead of everybody retrying at
//! once. Deliberately unknown: what the transactions do.

use std::future::Future;

use crate::error::Result;
use crate::tenant::Tenant;
use crate::transaction::{CommitPosition, Transaction};
use crate::view::TenantView;

/// Tries side by side with others before queueing up.
const FREE_TRIES: usize = 3;
/// Tries in all before the conflict is the caller's.
const TRIES: usize = 100;

/// What is to be done in one transaction, and again in a new one after a write conflict.
///
/// Implementors write `attempt` as an `async fn`. It is a trait and not a closure because the futures of
/// async closures cannot be bound to `Send`, without which no task could be spawned around them.
pub trait Work: Send {
    /// What the work answers.
    type Output: Send;

    /// One try, in a transaction that has just begun. What an earlier try left in `self` belongs to a
    /// transaction that did not happen.
    fn attempt(&mut self, transaction: &mut Transaction)
    -> impl Future<Output = Result<Self::Output>> + Send;
}

impl<W: Work> Work for &mut W {
    type Output = W::Output;

    async fn attempt(&mut self, transaction: &mut Transaction) -> Result<Self::Output> {
        (**self).attempt(transaction).await
    }
}

impl Tenant {
    /// Does `work` in a transaction and commits it, again from the beginning while other commits change
    /// what it has read.
    pub async fn run<W: Work>(&self, work: W) -> Result<(W::Output, CommitPosition)> {
        self.run_from(None, work).await
    }

    /// The same, where the caller has looked at the tenant already: the first try goes on from the view, if there
    /// has been no commit since.
    pub async fn run_from<W: Work>(
        &self,
        mut view: Option<TenantView>,
        mut work: W,
    ) -> Result<(W::Output, CommitPosition)> {
        let mut turn = None;
        let mut tries = 0;
        loop {
            match self.attempt(view.take(), &mut work).await {
                Err(error) if error.is_write_conflict() && tries < TRIES => {
                    tries += 1;
                    self.core().counters.count(|cells| &cells.retries_total, 1);
                    if tries == FREE_TRIES {
                        turn = Some(self.core().contended.lock().await);
                    }
                }
                outcome => {
                    drop(turn);
                    return outcome;
                }
            }
        }
    }

    async fn attempt<W: Work>(
        &self,
        view: Option<TenantView>,
        work: &mut W,
    ) -> Result<(W::Output, CommitPosition)> {
        let mut transaction = match view.and_then(Transaction::going_on_from) {
            Some(transaction) => transaction,
            None => self.begin().await?,
        };
        let output = work.attempt(&mut transaction).await?;
        Ok((output, transaction.commit().await?))
    }
}
