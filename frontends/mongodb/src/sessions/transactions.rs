//! The transactions that sessions have open, and what came of the last one of each session.
//!
//! A session has one transaction at a time, numbered by the client in ascending order. Promises: a
//! transaction belongs to one tenant for its life; an operation takes it out and puts it back, so that one
//! that fails, or is dropped half way, aborts it; commit may be asked for again and answers the same. A client is
//! told that nothing was committed only where that is certain: it would do everything once more.
//! At most [`OPEN_PER_TENANT`] of a tenant are open, each for [`LIFETIME_US`] at most. Deliberately
//! unknown: what is read and written in them.

use std::collections::HashMap;
use std::sync::Arc;

use nimbus_engine::{CommitPosition, Tenant, Transaction};
use nimbus_types::{ErrorKind, TenantId};
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::error::{CommandError, Result, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_COMMIT_RESULT, codes};
use crate::generic::SessionId;

/// Most transactions that one tenant may have open at once. Each holds a snapshot, and a store may have only so
/// many of them (64 in `sqlite`): what is left is for all that reads without a transaction.
pub(crate) const OPEN_PER_TENANT: usize = 40;
/// How long a transaction may stay open: MongoDB's default of `transactionLifetimeLimitSeconds`.
pub(crate) const LIFETIME_US: u64 = 60 * 1_000_000;

/// The transactions of all sessions.
#[derive(Default)]
pub(crate) struct Transactions {
    sessions: Mutex<HashMap<SessionId, Arc<AsyncMutex<Slot>>>>,
    open: Arc<Mutex<HashMap<TenantId, usize>>>,
}

/// The last transaction of one session.
struct Slot {
    number: i64,
    tenant: TenantId,
    began_us: u64,
    phase: Phase,
}

enum Phase {
    Open(Box<Transaction>, Permit),
    Committed(CommitPosition),
    /// The storage could not tell whether it took the commit.
    Unknown,
    /// Aborted, or taken out by an operation that has not put it back.
    Aborted,
}

/// One of a tenant's open transactions; given back when it is dropped.
struct Permit {
    open: Arc<Mutex<HashMap<TenantId, usize>>>,
    tenant: TenantId,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        if let Some(count) = open.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.tenant);
            }
        }
    }
}

/// A transaction in the hands of one operation. Dropping it aborts it; [`Self::keep`] puts it back.
pub(crate) struct OpenTransaction {
    slot: OwnedMutexGuard<Slot>,
    transaction: Box<Transaction>,
    permit: Permit,
}

impl OpenTransaction {
    /// To read and write in.
    pub(crate) fn transaction(&mut self) -> &mut Transaction {
        &mut self.transaction
    }

    /// Leaves it open for the next operation.
    pub(crate) fn keep(mut self) {
        self.slot.phase = Phase::Open(self.transaction, self.permit);
    }
}

impl Transactions {
    /// Begins transaction `number` of a session, ending an older one that is still open.
    pub(crate) async fn begin(
        &self,
        session: SessionId,
        number: i64,
        tenant: &Tenant,
        now_us: u64,
    ) -> Result<OpenTransaction> {
        let slot = self.sessions.lock().get(&session).cloned();
        let mut slot = match slot {
            Some(slot) => {
                let mut slot = slot.lock_owned().await;
                slot.check_new(number)?;
                // What is still open of the one before gives its place back first.
                slot.phase = Phase::Aborted;
                slot
            }
            None => self.new_slot(session, tenant.id())?,
        };
        let permit = self.permit(tenant.id())?;
        *slot = Slot { number, tenant: tenant.id().clone(), began_us: now_us, phase: Phase::Aborted };
        let transaction = Box::new(tenant.begin().await?);
        Ok(OpenTransaction { slot, transaction, permit })
    }

    /// The open transaction `number` of a session, for an operation on `tenant`.
    pub(crate) async fn resume(
        &self,
        session: SessionId,
        number: i64,
        tenant: &TenantId,
        now_us: u64,
    ) -> Result<OpenTransaction> {
        let mut slot = self.known_slot(session, number).await?;
        slot.check_current(number)?;
        if slot.tenant != *tenant {
            return Err(CommandError::new(
                codes::OPERATION_NOT_SUPPORTED_IN_TRANSACTION,
                "a transaction belongs to one database; this operation is for another and is no part of it",
            ));
        }
        if slot.is_over(now_us) {
            slot.phase = Phase::Aborted;
        }
        match std::mem::replace(&mut slot.phase, Phase::Aborted) {
            Phase::Open(transaction, permit) => Ok(OpenTransaction { slot, transaction, permit }),
            Phase::Committed(position) => {
                slot.phase = Phase::Committed(position);
                let message = format!("Transaction with {{ txnNumber: {number} }} has been committed.");
                Err(CommandError::new(codes::TRANSACTION_COMMITTED, message))
            }
            Phase::Unknown => {
                slot.phase = Phase::Unknown;
                Err(unknown(number))
            }
            Phase::Aborted => Err(aborted(number)),
        }
    }

    /// Commits, or tells again what an earlier commit of the same transaction gave. Once begun, the commit comes to
    /// its end although the caller may go away, so that whoever asks again learns what came of it.
    pub(crate) async fn commit(
        &self,
        session: SessionId,
        number: i64,
        now_us: u64,
    ) -> Result<CommitPosition> {
        // Where nothing is known of the session, the server may have been killed right after the commit.
        let mut slot = self.slot(session).await.ok_or_else(|| no_such(number).uncertain())?;
        slot.check_current(number)?;
        if slot.is_over(now_us) {
            slot.phase = Phase::Aborted;
        }
        let transaction = match std::mem::replace(&mut slot.phase, Phase::Aborted) {
            Phase::Open(transaction, _permit) => transaction,
            Phase::Committed(position) => {
                slot.phase = Phase::Committed(position);
                return Ok(position);
            }
            Phase::Unknown => {
                slot.phase = Phase::Unknown;
                return Err(unknown(number));
            }
            Phase::Aborted => return Err(aborted(number).label(TRANSIENT_TRANSACTION_ERROR)),
        };
        tokio::spawn(commit(slot, transaction)).await.map_err(|error| {
            CommandError::new(codes::INTERNAL_ERROR, format!("a commit was abandoned: {error}"))
        })?
    }

    /// Undoes what an open transaction has written.
    pub(crate) async fn abort(&self, session: SessionId, number: i64) -> Result<()> {
        let mut slot = self.known_slot(session, number).await?;
        slot.check_current(number)?;
        match slot.phase {
            Phase::Open(..) => {
                slot.phase = Phase::Aborted;
                Ok(())
            }
            Phase::Committed(_) => Err(CommandError::new(
                codes::TRANSACTION_COMMITTED,
                format!("Transaction with {{ txnNumber: {number} }} has been committed."),
            )),
            Phase::Unknown => Err(unknown(number)),
            Phase::Aborted => Err(aborted(number).label(TRANSIENT_TRANSACTION_ERROR)),
        }
    }

    /// Forgets a session. What it has open is aborted, once an operation that holds it is done.
    pub(crate) fn end(&self, session: SessionId) {
        self.sessions.lock().remove(&session);
    }

    /// Forgets a session that one tenant knows no more, if its last transaction was there. One in the hands of an
    /// operation is left to it.
    pub(crate) fn end_in(&self, tenant: &TenantId, session: SessionId) {
        let mut sessions = self.sessions.lock();
        let slot = sessions.get(&session).and_then(|slot| slot.clone().try_lock_owned().ok());
        if slot.is_some_and(|slot| slot.tenant == *tenant) {
            sessions.remove(&session);
        }
    }

    /// Aborts what has been open for too long. One in the hands of an operation is left to it.
    pub(crate) fn sweep(&self, now_us: u64) {
        let slots: Vec<_> = self.sessions.lock().values().cloned().collect();
        for slot in slots {
            if let Ok(mut slot) = slot.try_lock()
                && slot.is_over(now_us)
            {
                slot.phase = Phase::Aborted;
            }
        }
    }

    /// How many are open, over all tenants.
    pub(crate) fn count(&self) -> usize {
        self.open.lock().values().sum()
    }

    async fn slot(&self, session: SessionId) -> Option<OwnedMutexGuard<Slot>> {
        let slot = self.sessions.lock().get(&session).cloned()?;
        Some(slot.lock_owned().await)
    }

    async fn known_slot(&self, session: SessionId, number: i64) -> Result<OwnedMutexGuard<Slot>> {
        self.slot(session).await.ok_or_else(|| no_such(number).label(TRANSIENT_TRANSACTION_ERROR))
    }

    fn new_slot(&self, session: SessionId, tenant: &TenantId) -> Result<OwnedMutexGuard<Slot>> {
        let slot = Slot { number: -1, tenant: tenant.clone(), began_us: 0, phase: Phase::Aborted };
        let slot = Arc::new(AsyncMutex::new(slot));
        let slot = self.sessions.lock().entry(session).or_insert(slot).clone();
        // Whoever comes second at the same moment is a second user of one session.
        slot.try_lock_owned().map_err(|_| {
            CommandError::new(
                codes::CONFLICTING_OPERATION_IN_PROGRESS,
                "another operation of this session begins a transaction at the same time",
            )
        })
    }

    fn permit(&self, tenant: &TenantId) -> Result<Permit> {
        let mut open = self.open.lock();
        let count = open.entry(tenant.clone()).or_default();
        if *count >= OPEN_PER_TENANT {
            let message = format!("a database may have at most {OPEN_PER_TENANT} transactions open at once");
            return Err(
                CommandError::new(codes::EXCEEDED_TIME_LIMIT, message).label(TRANSIENT_TRANSACTION_ERROR)
            );
        }
        *count += 1;
        Ok(Permit { open: self.open.clone(), tenant: tenant.clone() })
    }
}

impl Slot {
    fn is_over(&self, now_us: u64) -> bool {
        matches!(self.phase, Phase::Open(..)) && now_us.saturating_sub(self.began_us) >= LIFETIME_US
    }

    fn check_new(&self, number: i64) -> Result<()> {
        if number < self.number {
            return Err(self.too_old(number));
        }
        if number == self.number {
            return Err(CommandError::new(
                codes::CONFLICTING_OPERATION_IN_PROGRESS,
                "Only servers in a sharded cluster can start a new transaction at the active transaction number",
            ));
        }
        Ok(())
    }

    fn check_current(&self, number: i64) -> Result<()> {
        if number < self.number {
            return Err(self.too_old(number));
        }
        if number > self.number {
            let message = format!(
                "Given transaction number {number} does not match any in-progress transactions. The active \
                 transaction number is {}",
                self.number
            );
            return Err(
                CommandError::new(codes::NO_SUCH_TRANSACTION, message).label(TRANSIENT_TRANSACTION_ERROR)
            );
        }
        Ok(())
    }

    fn too_old(&self, number: i64) -> CommandError {
        CommandError::new(
            codes::TRANSACTION_TOO_OLD,
            format!(
                "Cannot start transaction {number} on session because a newer transaction with txnNumber {} has \
                 already started on this session.",
                self.number
            ),
        )
    }
}

/// Commits what is open in a slot and notes what came of it.
async fn commit(mut slot: OwnedMutexGuard<Slot>, transaction: Box<Transaction>) -> Result<CommitPosition> {
    match transaction.commit().await {
        Ok(position) => {
            slot.phase = Phase::Committed(position);
            Ok(position)
        }
        Err(error) if error.kind() == ErrorKind::CommitOutcomeUnknown => {
            slot.phase = Phase::Unknown;
            Err(CommandError::from(error).label(UNKNOWN_COMMIT_RESULT))
        }
        Err(error) => {
            let transient = matches!(error.kind(), ErrorKind::Conflict) || error.kind().retryable();
            let error = CommandError::from(error);
            Err(if transient { error.label(TRANSIENT_TRANSACTION_ERROR) } else { error })
        }
    }
}

fn no_such(number: i64) -> CommandError {
    let message = format!("Given transaction number {number} does not match any in-progress transactions.");
    CommandError::new(codes::NO_SUCH_TRANSACTION, message)
}

/// Without a label: to commit again tells no more, and to begin again may do everything twice.
fn unknown(number: i64) -> CommandError {
    let message =
        format!("It is not known whether the transaction with {{ txnNumber: {number} }} has been committed.");
    CommandError::new(codes::NO_SUCH_TRANSACTION, message).uncertain()
}

fn aborted(number: i64) -> CommandError {
    let message = format!("Transaction with {{ txnNumber: {number} }} has been aborted.");
    CommandError::new(codes::NO_SUCH_TRANSACTION, message)
}
