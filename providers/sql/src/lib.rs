//! What the providers that speak SQL through sqlx share.
//!
//! Promises: a [`Pool`] whose snapshots never starve commits, whose waits and operations end, and which
//! never gives out a connection in an uncertain state; one mapping of failures to the contract's errors,
//! whose texts hold no statement, no value, no URL and no message of the server; one way to carry a
//! commit past a lost connection to a known outcome. Deliberately unknown: which database it is, its
//! SQL, its tables and its error codes, which a [`Backend`] and a [`Committer`] supply.

mod backend;
mod commit;
mod counters;
mod failure;
mod lease;
mod pool;
mod retry;

pub use backend::{Backend, ConnectionOf};
pub use commit::{Committer, Fence, Position, REMOVED_FENCE, Sent, commit};
pub use counters::Counters;
pub use failure::{Attempted, Failure};
pub use lease::Lease;
pub use pool::{Pool, PoolLimits};
pub use retry::{OPERATION_LIMIT, retried, within};
