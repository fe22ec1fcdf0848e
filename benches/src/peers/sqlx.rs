//! `sqlx` by hand on PostgreSQL and on MariaDB or MySQL: one table with an index, one statement for each
//! operation, prepared once on each connection, every insert committed by itself.

use std::time::Instant;

use sqlx::{Connection as _, MySqlConnection, PgConnection};
use tokio::runtime::Runtime;

use super::Peer;
use crate::Outcome;
use crate::measure::on_tasks;
use crate::work::Work;

macro_rules! sqlx_peer {
    ($(#[$what:meta])* $peer:ident, $name:literal, $connection:ty, $database:ty,
     tables: $tables:expr, insert: $insert:literal, by_id: $by_id:literal, by_group: $by_group:literal) => {
        $(#[$what])*
        pub(crate) struct $peer<'a> {
            runtime: &'a Runtime,
            url: String,
            work: &'a Work,
        }

        impl<'a> $peer<'a> {
            /// Makes the table and loads the documents to start from.
            pub(crate) fn open(runtime: &'a Runtime, url: String, work: &'a Work) -> Outcome<Self> {
                runtime.block_on(async {
                    let mut connection = <$connection>::connect(&url).await?;
                    for statement in $tables {
                        sqlx::raw_sql(statement).execute(&mut connection).await?;
                    }
                    for numbers in Work::batches(work.documents) {
                        let mut load = sqlx::QueryBuilder::<$database>::new("INSERT INTO plain.documents (id, grp, body) ");
                        load.push_values(numbers, |mut row, n| {
                            row.push_bind(Work::id(n)).push_bind(Work::group(n));
                            row.push_bind(Work::document(n).as_bytes().to_vec());
                        });
                        load.build().persistent(false).execute(&mut connection).await?;
                    }
                    Outcome::Ok(())
                })?;
                Ok(Self { runtime, url, work })
            }
        }

        impl Peer for $peer<'_> {
            fn name(&self) -> &'static str {
                $name
            }

            fn inserts(&self, writers: u64, until: Instant) -> Outcome<u64> {
                on_tasks(self.runtime, writers, |_| {
                    let (url, numbers) = (self.url.clone(), self.work.fresh());
                    async move {
                        let mut connection = <$connection>::connect(&url).await?;
                        let mut done = 0;
                        for n in numbers {
                            if Instant::now() >= until {
                                break;
                            }
                            let insert = sqlx::query($insert).bind(Work::id(n)).bind(Work::group(n));
                            insert.bind(Work::document(n).as_bytes().to_vec()).execute(&mut connection).await?;
                            done += 1;
                        }
                        Ok(done)
                    }
                })
            }

            fn point_reads(&self, threads: u64, until: Instant) -> Outcome<u64> {
                on_tasks(self.runtime, threads, |thread| {
                    let (url, numbers) = (self.url.clone(), self.work.scattered(thread));
                    async move {
                        let mut connection = <$connection>::connect(&url).await?;
                        let mut done = 0;
                        for n in numbers {
                            if Instant::now() >= until {
                                break;
                            }
                            let select = sqlx::query_scalar::<_, Vec<u8>>($by_id).bind(Work::id(n));
                            select.fetch_one(&mut connection).await?;
                            done += 1;
                        }
                        Ok(done)
                    }
                })
            }

            fn index_scans(&self, until: Instant) -> Outcome<u64> {
                on_tasks(self.runtime, 1, |thread| {
                    let (url, numbers) = (self.url.clone(), self.work.scattered(thread));
                    async move {
                        let mut connection = <$connection>::connect(&url).await?;
                        let mut done = 0;
                        for n in numbers {
                            if Instant::now() >= until {
                                break;
                            }
                            let select = sqlx::query_scalar::<_, Vec<u8>>($by_group).bind(Work::group(n));
                            if select.fetch_all(&mut connection).await?.is_empty() {
                                return Err("an index scan found nothing".into());
                            }
                            done += 1;
                        }
                        Ok(done)
                    }
                })
            }
        }
    };
}

sqlx_peer! {
    /// A loaded table on PostgreSQL.
    PostgresPeer, "sqlx (PostgreSQL)", PgConnection, sqlx::Postgres,
    tables: [
        "CREATE SCHEMA plain",
        "CREATE TABLE plain.documents (id text PRIMARY KEY, grp bigint NOT NULL, body bytea NOT NULL)",
        "CREATE INDEX by_group ON plain.documents (grp)",
    ],
    insert: "INSERT INTO plain.documents (id, grp, body) VALUES ($1, $2, $3)",
    by_id: "SELECT body FROM plain.documents WHERE id = $1",
    by_group: "SELECT body FROM plain.documents WHERE grp = $1"
}

sqlx_peer! {
    /// A loaded table on MariaDB or MySQL.
    MysqlPeer, "sqlx (MariaDB)", MySqlConnection, sqlx::MySql,
    tables: [
        "CREATE SCHEMA plain",
        "CREATE TABLE plain.documents (id varchar(64) PRIMARY KEY, grp bigint NOT NULL, body blob NOT NULL)",
        "CREATE INDEX by_group ON plain.documents (grp)",
    ],
    insert: "INSERT INTO plain.documents (id, grp, body) VALUES (?, ?, ?)",
    by_id: "SELECT body FROM plain.documents WHERE id = ?",
    by_group: "SELECT body FROM plain.documents WHERE grp = ?"
}
