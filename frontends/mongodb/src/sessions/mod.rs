//! Logical sessions, and the transactions that run in them.
//!
//! `registry` knows the sessions, `transactions` holds what is open, `retried` keeps what retryable writes did. Promises: both are bounded in number and
//! in age; neither says anything of another tenant. Deliberately unknown: the commands that use them.

mod registry;
mod retried;
mod transactions;

pub(crate) use registry::Sessions;
#[cfg(test)]
pub(crate) use registry::TIMEOUT_US;
pub(crate) use retried::{Retried, RetryableWrite};
#[cfg(test)]
pub(crate) use transactions::{LIFETIME_US, OPEN_PER_TENANT};
pub(crate) use transactions::{OpenTransaction, Transactions};
