//! Real database servers that tests start themselves, a proxy that breaks the connections to them, and what
//! a check does where a program is not installed.
//!
//! Promises: servers listen on free ports of 127.0.0.1, demand credentials, keep everything in a temporary
//! folder, and end with the test process even when that is killed; nothing else is ever signalled. What is
//! missing is a visible skip, and a failure under CI. Deliberately unknown: Nimbus.

mod keeper;
mod mariadb;
mod postgres;
mod proxy;
mod server;
mod skip;
mod sqld;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};

pub use mariadb::Mariadb;
pub use postgres::Postgres;
pub use proxy::{Mode, Proxy};
pub use skip::{forbidden, skip, tool};
pub use sqld::Sqld;

/// The password of every role and user; a word that a search for leaked passwords finds.
pub const PASSWORD: &str = "password-of-tests";

/// `stem` with digits that no other call has, in this process or another that runs beside it: for names in
/// a shared server.
pub fn unique(stem: &str) -> String {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    format!("{stem}{}_{}", std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed))
}
