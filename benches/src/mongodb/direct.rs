//! The engine's own API, without the wire: what the door has to work with.

use std::path::Path;

use bson::{Bson, Document};
use futures_util::future::BoxFuture;
use nimbus_engine::{AggregateOptions, Mutation, Query, Tenant};
use nimbus_query::{Filter, ParseContext, Pipeline};
use nimbus_types::{TableName, limits};
use tokio::runtime::Runtime;

use super::operation::{self, Operation};
use super::side::{Connection, Side};
use crate::Outcome;
use crate::engines::Provider;
use crate::nimbus::{Nimbus, insert, table, tenant_id};
use crate::work::Work;

/// Documents and bytes of a first batch, as the door asks for them.
const BATCH: (usize, usize) = (101, limits::DOCUMENT_BYTES);

/// A loaded tenant in this process.
pub(crate) struct Direct {
    engine: nimbus_engine::Engine,
    caller: Caller,
}

impl Direct {
    /// Makes it in a folder.
    pub(crate) fn open(runtime: &Runtime, provider: Provider, folder: &Path, work: &Work) -> Outcome<Self> {
        let nimbus = Nimbus::open(runtime, provider.open(folder)?, work)?;
        let engine = nimbus.engine.clone();
        let tenant = runtime.block_on(engine.tenant(&tenant_id()?))?;
        Ok(Self { engine, caller: Caller { tenant, table: table()? } })
    }

    /// Closes its storage.
    pub(crate) fn close(self, runtime: &Runtime) {
        drop(self.caller);
        runtime.block_on(self.engine.close());
    }
}

impl Side for Direct {
    fn connect(&self) -> BoxFuture<'_, Outcome<Box<dyn Connection>>> {
        let connection: Box<dyn Connection> = Box::new(self.caller.clone());
        Box::pin(std::future::ready(Ok(connection)))
    }
}

#[derive(Clone)]
struct Caller {
    tenant: Tenant,
    table: TableName,
}

impl Connection for Caller {
    fn ask(&mut self, operation: Operation, n: u64) -> BoxFuture<'_, Outcome<()>> {
        Box::pin(async move {
            let id = || Bson::String(Work::id(n));
            let found = match operation {
                Operation::Insert => self.tenant.transact(vec![insert(&self.table, n)]).await?.results.len(),
                Operation::Find => usize::from(self.tenant.get(&self.table, &id()).await?.is_some()),
                Operation::Range => {
                    let filter = Filter::parse(&operation::range(n), &ParseContext::default())?;
                    self.tenant.find(&Query { filter, ..Query::all(self.table.clone()) }).await?.len()
                }
                Operation::Update => {
                    let set = bson::rawdoc! { "score": n as f64 };
                    let (table, id) = (self.table.clone(), id());
                    let patch = Mutation::Patch { table, id, set, unset: Vec::new(), if_version: None };
                    self.tenant.transact(vec![patch]).await?.results.len()
                }
                Operation::Aggregate => self.aggregate(&operation::pipeline(n)).await?,
            };
            if found == 0 { Err("nothing was found".into()) } else { Ok(()) }
        })
    }
}

impl Caller {
    async fn aggregate(&self, stages: &[Document]) -> Outcome<usize> {
        let pipeline = Pipeline::parse(stages, &ParseContext::default())?;
        let (table, options) = (Some(self.table.clone()), AggregateOptions::default());
        let mut cursor = self.tenant.aggregate(table, pipeline, options).await?;
        let mut found = 0;
        while !cursor.is_exhausted() {
            found += self.tenant.next_aggregated(&mut cursor, BATCH.0, BATCH.1).await?.len();
        }
        Ok(found)
    }
}
