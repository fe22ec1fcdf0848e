//! Cursors between their batches.
//!
//! Promises: an id is 63 random bits; a cursor answers only for its own namespace, and to nobody else whether
//! it exists; at most [`PER_TENANT`] of one tenant are open, [`PER_CONNECTION`] of them by one connection, and
//! together they hold [`BYTES_PER_TENANT`] at most; one that nobody reads for [`IDLE_US`] is closed. Deliberately unknown: what the documents are.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use nimbus_io::Randomness;
use nimbus_types::TenantId;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::batch::Source;
use crate::error::{CommandError, Result, codes};
use crate::generic::SessionId;

/// Most cursors that one tenant may have open.
const PER_TENANT: usize = 1_000;
/// Most cursors that one connection may have opened and not closed.
const PER_CONNECTION: usize = 500;
/// Most bytes that one tenant's cursors may hold between their batches.
const BYTES_PER_TENANT: usize = 256 * 1024 * 1024;
/// How long a cursor lives without being read: MongoDB's default of `cursorTimeoutMillis`.
pub(crate) const IDLE_US: u64 = 10 * 60 * 1_000_000;

/// All open cursors.
#[derive(Default)]
pub(crate) struct Cursors {
    open: Mutex<HashMap<i64, Arc<Entry>>>,
}

/// To whom a cursor belongs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Owner {
    /// The tenant it reads.
    pub(crate) tenant: TenantId,
    /// `database.collection` as it was opened with.
    pub(crate) namespace: String,
    /// The session that opened it.
    pub(crate) session: Option<SessionId>,
    /// The transaction in which it was opened.
    pub(crate) transaction: Option<i64>,
    /// The connection that opened it.
    pub(crate) connection: u64,
    /// Whether it is kept however long nobody reads it, as long as its session lives.
    pub(crate) no_timeout: bool,
}

struct Entry {
    owner: Owner,
    used_us: AtomicU64,
    held_bytes: Arc<AtomicUsize>,
    source: Arc<AsyncMutex<Box<Source>>>,
}

/// A cursor in the hands of one `getMore`.
pub(crate) struct TakenCursor {
    /// Where its documents come from.
    pub(crate) source: OwnedMutexGuard<Box<Source>>,
    held_bytes: Arc<AtomicUsize>,
}

impl Drop for TakenCursor {
    fn drop(&mut self) {
        self.held_bytes.store(self.source.memory_bytes(), Ordering::Relaxed);
    }
}

impl Cursors {
    /// Keeps a cursor and gives its id.
    pub(crate) fn insert(
        &self,
        owner: Owner,
        source: Source,
        randomness: &dyn Randomness,
        now_us: u64,
    ) -> Result<i64> {
        let mut open = self.open.lock();
        let of_tenant = open.values().filter(|entry| entry.owner.tenant == owner.tenant);
        let (mut count, mut by_connection, mut bytes) = (0, 0, source.memory_bytes());
        for entry in of_tenant {
            count += 1;
            bytes += entry.held_bytes.load(Ordering::Relaxed);
            by_connection += usize::from(entry.owner.connection == owner.connection);
        }
        if count >= PER_TENANT || by_connection >= PER_CONNECTION {
            let message = format!(
                "too many open cursors: a database may have {PER_TENANT}, one connection {PER_CONNECTION} of them"
            );
            return Err(CommandError::new(codes::EXCEEDED_MEMORY_LIMIT, message));
        }
        check_bytes(bytes)?;
        let id = loop {
            let mut bytes = [0; 8];
            randomness.fill(&mut bytes);
            let id = i64::from_le_bytes(bytes) & i64::MAX;
            if id != 0 && !open.contains_key(&id) {
                break id;
            }
        };
        let held_bytes = Arc::new(AtomicUsize::new(source.memory_bytes()));
        let source = Arc::new(AsyncMutex::new(Box::new(source)));
        open.insert(id, Arc::new(Entry { owner, used_us: AtomicU64::new(now_us), held_bytes, source }));
        Ok(id)
    }

    /// Takes a cursor to read from it.
    pub(crate) fn take(&self, id: i64, asker: &Owner, now_us: u64) -> Result<TakenCursor> {
        let open = self.open.lock();
        let entry = open
            .get(&id)
            .filter(|entry| entry.owner.tenant == asker.tenant && entry.owner.namespace == asker.namespace)
            .ok_or_else(|| not_found(id))?;
        if entry.owner.session != asker.session {
            // 50738 and 50736 are MongoDB's numbers of the two ways in which this can be.
            let code = if entry.owner.session.is_some() { 50738 } else { 50736 };
            let message =
                format!("Cannot run getMore on cursor {id} in another session than it was created in");
            return Err(CommandError::new(code, message));
        }
        if entry.owner.transaction != asker.transaction {
            let code = if entry.owner.transaction.is_some() { 50741 } else { 50740 };
            let message =
                format!("Cannot run getMore on cursor {id} in another transaction than it was created in");
            return Err(CommandError::new(code, message));
        }
        entry.used_us.store(now_us, Ordering::Relaxed);
        let source = entry.source.clone().try_lock_owned().map_err(|_| {
            CommandError::new(codes::CURSOR_IN_USE, format!("cursor id {id} is already in use"))
        })?;
        Ok(TakenCursor { source, held_bytes: entry.held_bytes.clone() })
    }

    /// Refuses what a cursor holds after a batch if that is too much beside the tenant's others.
    pub(crate) fn hold(&self, id: i64, held_bytes: usize) -> Result<()> {
        let open = self.open.lock();
        let Some(entry) = open.get(&id) else { return Ok(()) };
        let others =
            open.iter().filter(|(other, held)| **other != id && held.owner.tenant == entry.owner.tenant);
        let others: usize = others.map(|(_, other)| other.held_bytes.load(Ordering::Relaxed)).sum();
        check_bytes(others + held_bytes)
    }

    /// Closes a cursor that is read to its end or has failed.
    pub(crate) fn close(&self, id: i64) {
        self.open.lock().remove(&id);
    }

    /// Closes a cursor on someone's demand; whether there was one in that namespace.
    pub(crate) fn kill(&self, id: i64, tenant: &TenantId, namespace: &str) -> bool {
        let mut open = self.open.lock();
        let is_there = open
            .get(&id)
            .is_some_and(|entry| entry.owner.tenant == *tenant && entry.owner.namespace == namespace);
        if is_there {
            open.remove(&id);
        }
        is_there
    }

    /// Closes the cursors of a session.
    pub(crate) fn end_session(&self, session: SessionId) {
        self.open.lock().retain(|_, entry| entry.owner.session != Some(session));
    }

    /// Closes the cursors that a session has in one tenant.
    pub(crate) fn end_session_in(&self, tenant: &TenantId, session: SessionId) {
        self.open
            .lock()
            .retain(|_, entry| entry.owner.session != Some(session) || entry.owner.tenant != *tenant);
    }

    /// Closes the cursors of a transaction that has ended.
    pub(crate) fn end_transaction(&self, session: SessionId, number: i64) {
        self.open.lock().retain(|_, entry| {
            entry.owner.session != Some(session) || entry.owner.transaction != Some(number)
        });
    }

    /// Closes what nobody has read for long.
    pub(crate) fn sweep(&self, now_us: u64) {
        self.open.lock().retain(|_, entry| {
            entry.owner.no_timeout
                || now_us.saturating_sub(entry.used_us.load(Ordering::Relaxed)) < IDLE_US
                || entry.source.try_lock().is_err()
        });
    }

    /// How many are open, over all tenants.
    pub(crate) fn count(&self) -> usize {
        self.open.lock().len()
    }
}

fn check_bytes(bytes: usize) -> Result<()> {
    if bytes <= BYTES_PER_TENANT {
        return Ok(());
    }
    let message = format!("the open cursors of a database may hold {BYTES_PER_TENANT} bytes");
    Err(CommandError::new(codes::EXCEEDED_MEMORY_LIMIT, message))
}

fn not_found(id: i64) -> CommandError {
    CommandError::new(codes::CURSOR_NOT_FOUND, format!("cursor id {id} not found"))
}

#[cfg(test)]
mod tests {
    use nimbus_io::SimulatedRandomness;

    use crate::batch::Origin;

    use super::*;

    fn owner(tenant: &str, namespace: &str) -> Owner {
        Owner {
            tenant: TenantId::parse(tenant).unwrap(),
            namespace: namespace.into(),
            session: None,
            transaction: None,
            connection: 1,
            no_timeout: false,
        }
    }

    fn open(cursors: &Cursors, owner: Owner) -> Result<i64> {
        static RANDOMNESS: std::sync::LazyLock<SimulatedRandomness> =
            std::sync::LazyLock::new(|| SimulatedRandomness::new(1));
        cursors.insert(owner, Source::new(Origin::Documents(Vec::new()), String::new()), &*RANDOMNESS, 0)
    }

    #[test]
    fn a_cursor_is_not_found_from_another_namespace() {
        let cursors = Cursors::default();
        let id = open(&cursors, owner("a", "a.c")).unwrap();
        assert!(id > 0);
        for other in [owner("b", "b.c"), owner("a", "a.d"), owner("b", "a.c")] {
            assert_eq!(cursors.take(id, &other, 0).err().unwrap().code, codes::CURSOR_NOT_FOUND);
            assert!(!cursors.kill(id, &other.tenant, &other.namespace));
        }
        let taken = cursors.take(id, &owner("a", "a.c"), 0).unwrap();
        assert_eq!(cursors.take(id, &owner("a", "a.c"), 0).err().unwrap().code, codes::CURSOR_IN_USE);
        drop(taken);
        assert!(cursors.kill(id, &owner("a", "a.c").tenant, "a.c"));
        assert_eq!(cursors.count(), 0);
    }

    #[test]
    fn cursors_end_with_their_session_their_transaction_or_time() {
        let cursors = Cursors::default();
        let session = SessionId([3; 16]);
        open(&cursors, Owner { session: Some(session), transaction: Some(1), ..owner("a", "a.c") }).unwrap();
        let kept = open(&cursors, Owner { session: Some(session), ..owner("a", "a.c") }).unwrap();
        cursors.end_transaction(session, 1);
        assert_eq!(cursors.count(), 1);
        let asker = owner("a", "a.c");
        assert!(cursors.take(kept, &asker, 0).is_err(), "it belongs to the session");
        cursors.end_session(session);
        assert_eq!(cursors.count(), 0);
        open(&cursors, owner("a", "a.c")).unwrap();
        open(&cursors, Owner { no_timeout: true, ..owner("a", "a.c") }).unwrap();
        cursors.sweep(IDLE_US - 1);
        assert_eq!(cursors.count(), 2);
        cursors.sweep(IDLE_US);
        assert_eq!(cursors.count(), 1);
    }

    #[test]
    fn one_tenants_cursors_leave_room_for_anothers() {
        let cursors = Cursors::default();
        for connection in 0..PER_TENANT {
            open(&cursors, Owner { connection: connection as u64, ..owner("a", "a.c") }).unwrap();
        }
        assert_eq!(open(&cursors, owner("a", "a.c")).unwrap_err().code, codes::EXCEEDED_MEMORY_LIMIT);
        open(&cursors, owner("b", "b.c")).unwrap();
    }
}
