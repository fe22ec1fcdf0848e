//! One tenant's namespace on the primary: its head, its log, its entries.
//!
//! Promises: every read is of one state; what is read is decoded and checked, or is corruption; tables of
//! another tenant or of another version are refused. Writing
//! stands in `commit`. Deliberately unknown: replicas.

mod check;
mod commit;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use bytes::Bytes;
use nimbus_namespace::remote::NamespaceName;
use nimbus_namespace::{
    Commit, CommitRecord, Entry, Head, LogPage, PAGE_BYTES, Result, Space, StateDigest, StorageError,
};
use nimbus_types::{Sequence, TenantId};
use parking_lot::Mutex;

use crate::hrana::{
    Begin, Columns, Cursor, Database, HEAD_LIMIT, REQUEST_LIMIT, Row, Statement, StepResult, Traffic, Value,
};
use crate::server::Server;
use crate::tables;

use self::commit::Fence;

const HEAD: &str = "SELECT sequence, time_ms, digest, log_start, fence, format_version, tenant FROM head";
/// Records after `?1`, all of the next 64 or, when those are large, none: they come with the head in one
/// answer, which sqld holds to a size.
const NEXT_RECORDS: &str = "SELECT record, index_changes FROM commit_log \
     WHERE sequence > ?1 AND sequence <= ?1 + 64 AND 1048576 >= \
     (SELECT sum(length(record) + length(index_changes)) FROM commit_log \
     WHERE sequence > ?1 AND sequence <= ?1 + 64) ORDER BY sequence";
const RECORDS: &str =
    "SELECT record, index_changes FROM commit_log WHERE sequence > ?1 AND sequence <= ?2 ORDER BY sequence";
/// At most `?2` records after `?1`, up to the one with which their bytes reach `?3`.
const PAGE_OF_RECORDS: &str = "SELECT record FROM commit_log WHERE sequence > ?1 AND sequence <= coalesce( \
     (SELECT min(sequence) FROM (SELECT sequence, sum(bytes) OVER (ORDER BY sequence) AS total FROM \
     (SELECT sequence, length(record) AS bytes FROM commit_log \
     WHERE sequence > ?1 ORDER BY sequence LIMIT ?2)) WHERE total >= ?3), ?1 + ?2) ORDER BY sequence";
/// Records asked for at once.
const PAGE_ROWS: u64 = 4096;
/// What `PRAGMA synchronous` answers where commits are synced.
const SYNCHRONOUS_FULL: i64 = 2;

/// A tenant's namespace.
pub(crate) struct Primary {
    database: Database,
    tenant: TenantId,
    fence: Mutex<Fence>,
    /// How many commits in a row another server came before.
    overtaken: AtomicU32,
}

/// Where the primary's head is and what a replica lacks of it.
pub(crate) struct News {
    pub(crate) head: Head,
    /// The next commits after the replica's, perhaps not all.
    pub(crate) commits: Vec<Commit>,
}

impl Primary {
    pub(crate) fn new(server: &Arc<Server>, name: &NamespaceName, tenant: &TenantId) -> Result<Self> {
        let database = Database::new(Arc::clone(server), name.clone())?;
        Ok(Self { database, tenant: tenant.clone(), fence: Mutex::default(), overtaken: AtomicU32::new(0) })
    }

    pub(crate) fn name(&self) -> &NamespaceName {
        self.database.name()
    }

    pub(crate) fn traffic(&self) -> &Traffic {
        self.database.traffic()
    }

    /// Makes the tables of a namespace that has just been created, and makes sure that it syncs commits.
    pub(crate) async fn make(&self, mut statements: Vec<Statement>) -> Result<()> {
        statements.push(Statement::new("PRAGMA synchronous", []));
        let results = self.database.transact(Begin::Write, statements, REQUEST_LIMIT).await?;
        require_sync(results.into_iter().next_back())
    }

    /// The head.
    pub(crate) async fn head(&self) -> Result<Head> {
        let mut results = self.database.read(vec![Statement::new(HEAD, [])], HEAD_LIMIT).await?;
        self.head_of(results.pop())
    }

    /// The head, and the commits after `after` if they are few and small, in one round trip.
    pub(crate) async fn news(&self, after: Sequence) -> Result<News> {
        let statements = vec![Statement::new(HEAD, []), Statement::new(NEXT_RECORDS, [integer(after.0)])];
        let mut results = self.database.read(statements, HEAD_LIMIT).await?;
        let rows = results.pop().map(|records| records.rows).unwrap_or_default();
        let head = self.head_of(results.pop())?;
        let commits: Result<Vec<_>> = rows.into_iter().map(stored_commit).collect();
        Ok(News { head, commits: commits? })
    }

    /// Commits after one sequence up to another, however many.
    pub(crate) async fn commits(&self, after: Sequence, up_to: Sequence) -> Result<Commits> {
        let query = Statement::new(RECORDS, [integer(after.0), integer(up_to.0)]);
        Ok(Commits { cursor: self.database.stream(vec![query]).await? })
    }

    /// A copy of the whole state at one head.
    pub(crate) async fn copy(&self) -> Result<Copy> {
        let mut statements = vec![Statement::new(HEAD, [])];
        statements.extend(tables::all_entries());
        let mut cursor = self.database.stream(statements).await?;
        let missing = || StorageError::Corruption("a namespace on the libSQL primary has no head".into());
        let (_, row) = cursor.next().await?.ok_or_else(missing)?;
        let head = self.own_head(Columns::from(row))?;
        Ok(Copy { head, cursor })
    }

    /// See [`nimbus_namespace::Namespace::read_log`].
    pub(crate) async fn read_log(&self, after: Sequence, limit: usize) -> Result<Vec<CommitRecord>> {
        // Head and rows are read one after the other, and a trim may come between: then the rows lack
        // their beginning, and the head read anew says so.
        let mut page = LogPage::begin(&self.head().await?, after, limit)?;
        match self.fill(&mut page).await {
            Err(StorageError::Corruption(message)) => {
                LogPage::begin(&self.head().await?, after, limit)?;
                Err(StorageError::Corruption(message))
            }
            Err(error) => Err(error),
            Ok(()) => page.finish(),
        }
    }

    async fn fill(&self, page: &mut LogPage) -> Result<()> {
        while page.wanted() > 0 {
            let after = page.last();
            let rows = page.wanted().min(PAGE_ROWS);
            let query = Statement::new(
                PAGE_OF_RECORDS,
                [integer(after.0), integer(rows), integer(PAGE_BYTES as u64)],
            );
            let mut cursor = self.database.stream(vec![query]).await?;
            while let Some((_, row)) = cursor.next().await? {
                if page.wanted() > 0 {
                    page.take(&Columns::from(row).blob()?)?;
                }
            }
            if page.last() == after {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Forgets records before `before`.
    pub(crate) async fn trim_log(&self, before: Sequence) -> Result<()> {
        let statements = vec![
            Statement::new(
                "UPDATE head SET log_start = min(?1, sequence + 1) WHERE log_start < min(?1, sequence + 1)",
                [integer(before.0)],
            ),
            Statement::new("DELETE FROM commit_log WHERE sequence < (SELECT log_start FROM head)", []),
        ];
        // It may be carried out twice, so a lost answer needs no settling.
        match self.database.transact(Begin::Write, statements.clone(), REQUEST_LIMIT).await {
            Err(failure) if failure.is_uncertain() => {
                self.database.transact(Begin::Write, statements, REQUEST_LIMIT).await?;
            }
            result => drop(result?),
        }
        Ok(())
    }

    fn head_of(&self, result: Option<StepResult>) -> Result<Head> {
        let missing = || StorageError::Corruption("a namespace on the libSQL primary has no head".into());
        self.own_head(result.ok_or_else(missing)?.first_row()?)
    }

    /// A row of [`HEAD`], if it is this tenant's.
    fn own_head(&self, mut columns: Columns) -> Result<Head> {
        let (head, fence) = stored_head(&mut columns)?;
        let (version, owner) = (columns.integer()?, columns.text()?);
        let foreign =
            |what: String| Err(StorageError::Corruption(format!("namespace {}: {what}", self.name())));
        if version != tables::FORMAT_VERSION {
            let known = tables::FORMAT_VERSION;
            return foreign(format!("the format version is {version}, this server knows {known}"));
        }
        if owner != self.tenant.as_str() {
            return foreign("it belongs to another tenant".into());
        }
        self.note_fence(fence);
        Ok(head)
    }
}

/// The answer to `PRAGMA synchronous` is FULL.
pub(crate) fn require_sync(answer: Option<StepResult>) -> Result<()> {
    let answer = answer.map(|answer| answer.first_row()?.integer()).transpose()?;
    if answer == Some(SYNCHRONOUS_FULL) {
        return Ok(());
    }
    Err(StorageError::Unavailable(
        "the libSQL primary does not sync commits to disk (`durability_mode` strong); sqld 0.24.32 does"
            .into(),
    ))
}

/// A number as SQLite takes it; what is beyond its range is held to the range's end.
fn integer(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

/// What a row of [`HEAD`] begins with: the head and the fence.
fn stored_head(columns: &mut Columns) -> Result<(Head, i64)> {
    let head = Head {
        sequence: columns.sequence()?,
        time_ms: columns.unsigned()?,
        digest: StateDigest::from_bytes(&columns.blob()?)?,
        log_start: columns.sequence()?,
    };
    Ok((head, columns.integer()?))
}

/// A row of the log: a record, and the record's frame around the index changes.
fn stored_commit(row: Row) -> Result<Commit> {
    let mut columns = Columns::from(row);
    let record = CommitRecord::decode(&columns.blob()?)?;
    let index = CommitRecord::decode(&columns.blob()?)?;
    if index.sequence != record.sequence {
        return Err(StorageError::Corruption(format!(
            "the index changes of commit {} are another's",
            record.sequence
        )));
    }
    Ok(Commit { record, index_changes: index.changes })
}

/// A row that the statement of that index among [`tables::all_entries`] answered.
fn stored_entry(statement: Option<usize>, row: Row) -> Result<(Space, Entry)> {
    let malformed = || StorageError::Corruption("an entry on the libSQL primary is malformed".into());
    let space = statement.and_then(|at| Space::ALL.get(at)).ok_or_else(malformed)?;
    let mut columns = Columns::from(row);
    Ok((*space, Entry { key: columns.blob()?, value: columns.blob()? }))
}

/// The stored form of a commit's index changes: a record that holds them instead of its own changes, so
/// that they have its checksum and name their sequence.
fn encoded_index_changes(commit: &Commit) -> Bytes {
    CommitRecord { changes: commit.index_changes.clone(), ..commit.record }.encode().into()
}

/// Commits of the log as they come.
pub(crate) struct Commits {
    cursor: Cursor,
}

impl Commits {
    /// The next commits, a few MiB of them; empty at the end.
    pub(crate) async fn next_page(&mut self) -> Result<Vec<Commit>> {
        let (mut page, mut bytes) = (Vec::new(), 0);
        while bytes < PAGE_BYTES
            && let Some((_, row)) = self.cursor.next().await?
        {
            let commit = stored_commit(row)?;
            bytes += commit.record.encoded_bytes();
            page.push(commit);
        }
        Ok(page)
    }
}

/// A whole state as it comes.
pub(crate) struct Copy {
    /// Where it stands.
    pub(crate) head: Head,
    cursor: Cursor,
}

impl Copy {
    /// The next entries, a few MiB of them; empty at the end.
    pub(crate) async fn next_page(&mut self) -> Result<Vec<(Space, Entry)>> {
        let (mut page, mut bytes) = (Vec::new(), 0);
        while bytes < PAGE_BYTES
            && let Some((statement, row)) = self.cursor.next().await?
        {
            // The head was the first statement.
            let (space, entry) = stored_entry(statement.checked_sub(1), row)?;
            bytes += entry.key.len() + entry.value.len();
            page.push((space, entry));
        }
        Ok(page)
    }
}
