//! The commands on data, one file for each family.
//!
//! Promises: each handler only reads its arguments, calls the engine, and shapes the reply; what queries mean is
//! in `engine/query`, what happens to data in `engine/core`. Deliberately unknown: bytes and connections.

mod aggregate;
mod collections;
mod count;
mod cursor_reply;
mod cursors;
mod delete;
mod explain;
pub(crate) mod fail_point;
mod find;
mod find_and_modify;
mod identity;
mod indexes;
mod insert;
mod listing;
mod selection;
mod sessions;
mod statement;
mod statistics;
#[cfg(test)]
mod tests;
mod transactions;
mod update;
mod users;
mod write_batch;

use crate::command::Command;

/// All of them.
pub(crate) const FAMILIES: &[&[Command]] = &[
    aggregate::COMMANDS,
    collections::COMMANDS,
    count::COMMANDS,
    cursors::COMMANDS,
    delete::COMMANDS,
    explain::COMMANDS,
    fail_point::COMMANDS,
    find::COMMANDS,
    find_and_modify::COMMANDS,
    indexes::COMMANDS,
    insert::COMMANDS,
    listing::COMMANDS,
    sessions::COMMANDS,
    statistics::COMMANDS,
    transactions::COMMANDS,
    update::COMMANDS,
    users::COMMANDS,
];
