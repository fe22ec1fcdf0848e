//! One commit group on its way into the tables.
//!
//! A commit is one transaction: the head's row is moved, which locks it and so puts the commits of every
//! server in order; the records are appended, the net changes applied. It goes out as one packet with its
//! COMMIT, so the statement that moves the head must stop the packet by itself when the head or the fence is
//! elsewhere: it then computes a number out of range, an error under every `sql_mode`.
//!
//! The transaction is REPEATABLE READ, yet its first statement locks the head's row and so reads the newest
//! (`InnoDB`'s "locking reads"), and whatever follows is ordered by that lock. Promises: see
//! [`Committer`]. Deliberately unknown: how often a group is tried.

use std::sync::Arc;

use bytes::Bytes;
use nimbus_namespace::remote::{NetChanges, WriterMark};
use nimbus_namespace::{Commit, CommitGroup, CommitRecord, Head, Space, StorageError};
use nimbus_sql::{Committer, Failure, Lease, Position, Sent};
use nimbus_types::Sequence;

use crate::error::{OUT_OF_RANGE, Outcome, number};
use crate::log::PIECE_BYTES;
use crate::namespace::Store;
use crate::session::{QUIET_SECONDS, Server};
use crate::statements::{Answered, Statements, ask, bytes, column, literal, push, push_literal};
use crate::tables::{SpaceTables, encoded, missing_head};
use crate::writer::{LARGEST_TEXT_VALUE_BYTES, WriteFailed, Writer};

/// Room that a packet needs beside the values in it.
const STATEMENT_BYTES: u64 = 1024;

/// A group to be committed at `expected`.
pub(crate) struct GroupCommit<'a> {
    pub(crate) store: &'a Arc<Store>,
    pub(crate) expected: Sequence,
    pub(crate) group: &'a CommitGroup,
    pub(crate) last: &'a CommitRecord,
    pub(crate) writer: WriterMark,
}

impl Committer for GroupCommit<'_> {
    type Done = Head;

    async fn send(&self, fence: i64) -> Outcome<Sent<Head>> {
        self.require_fit()?;
        let mut lease = self.store.pool.lease(&self.store.counters).await?;
        match self.write(&mut lease, fence).await {
            Ok(answered) => {
                lease.finish(Ok(()))?;
                let row = answered.rows.first().ok_or_else(missing_head)?;
                Ok(Sent::Committed(self.head(Sequence(column(row, 0)?))))
            }
            Err(failed) if number(&failed.error) == Some(OUT_OF_RANGE) => {
                // Answered and classified; the transaction is ended by the next statement.
                let _ = lease.finish_in_transaction::<()>(Err(failed.error));
                self.elsewhere(&mut lease).await
            }
            // The connection is closed, since the lease is not told how the operation ended.
            Err(failed) if failed.may_be_done => {
                Err(Failure::Lost("contact with the database was lost during the commit".into()))
            }
            Err(failed) => Err(lease.finish_in_transaction(Err(failed.error))?),
        }
    }

    async fn settle(&self) -> Outcome<(Position, Option<Head>)> {
        let database = &self.store.database;
        let mut lease = self.store.pool.lease(&self.store.counters).await?;
        let statements =
            Statements::one(format_args!("UPDATE {database}.head SET fence=fence+1 WHERE one=1"))
                .and(format_args!(
                    "SELECT writer FROM {database}.commit_log WHERE sequence={} AND piece=0",
                    self.last.sequence
                ))
                // After the log, so that it tells of any trim that came before the log was looked at.
                .and(format_args!("SELECT sequence,fence,log_start FROM {database}.head WHERE one=1"));
        let answered = ask(&mut lease, statements).await?;
        let [_, log, head] = answered.as_slice() else { return Err(missing_head()) };
        let head = head.rows.first().ok_or_else(missing_head)?;
        let position = Position { sequence: Sequence(column(head, 0)?), fence: column(head, 1)? };
        let log_start = Sequence(column(head, 2)?);
        let is_ours = match log.rows.first() {
            Some(row) => bytes(row, 0)? == self.writer.as_bytes(),
            None if self.last.sequence < log_start => {
                // Another server trimmed the log meanwhile, and with it what would tell.
                return Err(Failure::Lost("the log has been trimmed past the commit".into()));
            }
            None => false,
        };
        Ok((position, is_ours.then(|| self.head(log_start))))
    }
}

impl GroupCommit<'_> {
    /// The head that the group leaves.
    fn head(&self, log_start: Sequence) -> Head {
        Head {
            sequence: self.last.sequence,
            time_ms: self.last.time_ms,
            digest: self.group.digest.clone(),
            log_start,
        }
    }

    /// Refuses, before anything is sent, a value that the server would not take.
    fn require_fit(&self) -> Outcome<()> {
        let most_bytes = self.store.pool.backend().max_packet_bytes();
        for change in self.group.commits.iter().flat_map(Commit::all_changes) {
            let Some(value) = &change.value else { continue };
            let packet_bytes = (value.len() + 2 * change.key.len()) as u64 + STATEMENT_BYTES;
            if value.len() > LARGEST_TEXT_VALUE_BYTES && packet_bytes > most_bytes {
                return Err(Failure::Refused(StorageError::Refused(format!(
                    "a value of {} bytes needs a packet of {packet_bytes} bytes, and the server's \
                     max_allowed_packet is {most_bytes}",
                    value.len()
                ))));
            }
        }
        Ok(())
    }

    /// Writes and commits the transaction; answers the `log_start` it read.
    async fn write(&self, lease: &mut Lease<Server>, fence: i64) -> Result<Answered, WriteFailed> {
        let database = &self.store.database;
        let changes = Space::ALL.map(|space| (space, NetChanges::of(self.group, space)));
        let puts_long_key =
            changes.iter().any(|(_, net)| net.puts.iter().any(|(key, _)| SpaceTables::is_long(key)));
        let begin = Statements::one("START TRANSACTION").and(self.move_head(fence, puts_long_key));
        let mut writer = Writer::new(lease, begin);
        self.append_records(&mut writer).await?;
        for (space, net) in &changes {
            let tables = SpaceTables::of(*space);
            for (key, value) in &net.puts {
                self.put(&mut writer, tables, key, value).await?;
            }
            for key in &net.removals {
                self.remove(&mut writer, tables, key).await?;
            }
        }
        writer.commit(format!("SELECT log_start FROM {database}.head WHERE one=1")).await
    }

    /// Moves the head if it and the fence are where they are believed to be, and fails otherwise. `sequence`
    /// is set last, because an assignment sees those before it.
    fn move_head(&self, fence: i64, puts_long_key: bool) -> String {
        let (database, expected, last) = (&self.store.database, self.expected, self.last);
        let long_keys = if puts_long_key { "long_keys=1," } else { "" };
        format!(
            "UPDATE {database}.head SET time_ms={},digest={},{long_keys}\
             sequence=IF(sequence={expected} AND fence={fence},{},{}+one) WHERE one=1",
            last.time_ms,
            literal(encoded(&self.group.digest)),
            last.sequence,
            u64::MAX,
        )
    }

    async fn append_records(&self, writer: &mut Writer<'_>) -> Result<(), sqlx::Error> {
        let opening = format!(
            "INSERT INTO {}.commit_log (sequence,piece,pieces,time_ms,writer,record) VALUES ",
            self.store.database
        );
        let mark = literal(self.writer.as_bytes());
        for commit in &self.group.commits {
            let CommitRecord { sequence, time_ms, .. } = commit.record;
            let record = commit.record.encode();
            let pieces = record.len().div_ceil(PIECE_BYTES);
            for (at, piece) in record.chunks(PIECE_BYTES).enumerate() {
                let write = |text: &mut String| {
                    push(text, format_args!("({sequence},{at},{pieces},{time_ms},{mark},"));
                    push_literal(text, piece);
                    text.push(')');
                };
                writer.row(&opening, "", write).await?;
            }
        }
        Ok(())
    }

    async fn put(
        &self,
        writer: &mut Writer<'_>,
        tables: SpaceTables,
        key: &Bytes,
        value: &Bytes,
    ) -> Result<(), sqlx::Error> {
        let SpaceTables { short, long, value: column, .. } = tables;
        let is_long = SpaceTables::is_long(key);
        let opening = if is_long {
            format!("REPLACE INTO {}.{long} (key_digest,`key`,`{column}`) VALUES ", self.store.database)
        } else {
            format!("REPLACE INTO {}.{short} (`key`,`{column}`) VALUES ", self.store.database)
        };
        if value.len() > LARGEST_TEXT_VALUE_BYTES {
            return if is_long {
                writer.bound(opening + "(UNHEX(SHA2(?,256)),?,?)", &[key, key, value]).await
            } else {
                writer.bound(opening + "(?,?)", &[key, value]).await
            };
        }
        let write = |text: &mut String| {
            text.push('(');
            if is_long {
                push_key_digest(text, key);
                text.push(',');
            }
            push_literal(text, key);
            text.push(',');
            push_literal(text, value);
            text.push(')');
        };
        writer.row(&opening, "", write).await
    }

    async fn remove(
        &self,
        writer: &mut Writer<'_>,
        tables: SpaceTables,
        key: &Bytes,
    ) -> Result<(), sqlx::Error> {
        let (database, SpaceTables { short, long, .. }) = (&self.store.database, tables);
        if SpaceTables::is_long(key) {
            let opening = format!("DELETE FROM {database}.{long} WHERE key_digest IN (");
            writer.row(&opening, ")", |text| push_key_digest(text, key)).await
        } else {
            let opening = format!("DELETE FROM {database}.{short} WHERE `key` IN (");
            writer.row(&opening, ")", |text| push_literal(text, key)).await
        }
    }

    /// Ends a transaction that moved nothing, and looks where the head is.
    async fn elsewhere(&self, lease: &mut Lease<Server>) -> Outcome<Sent<Head>> {
        let statements = Statements::one("ROLLBACK")
            .and(format_args!("SET SESSION wait_timeout={QUIET_SECONDS}"))
            .and(format_args!("SELECT sequence,fence FROM {}.head WHERE one=1", self.store.database));
        let answered = ask(lease, statements).await?;
        let row = answered.last().and_then(|selected| selected.rows.first()).ok_or_else(missing_head)?;
        Ok(Sent::Elsewhere(Position { sequence: Sequence(column(row, 0)?), fence: column(row, 1)? }))
    }
}

/// The primary key of a long key's row, computed by the server.
pub(crate) fn push_key_digest(text: &mut String, key: &[u8]) {
    text.push_str("UNHEX(SHA2(");
    push_literal(text, key);
    text.push_str(",256))");
}
