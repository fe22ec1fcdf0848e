//! The Rust driver.

use std::net::SocketAddr;

use bson::{Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use mongodb::options::ClientOptions;
use mongodb::{Client, Collection};
use tokio::runtime::Runtime;

use super::child::{PASSWORD, USERNAME};
use super::operation::{self, Operation};
use super::side::{Connection, Side};
use crate::Outcome;
use crate::nimbus::{TENANT, table};
use crate::work::Work;

/// A driver with a pool of connections.
pub(crate) struct Wire {
    collection: Collection<RawDocumentBuf>,
}

impl Wire {
    /// A driver that opens at most `connections` connections, and has them open when this is answered.
    pub(crate) fn connect(runtime: &Runtime, address: SocketAddr, connections: u64) -> Outcome<Self> {
        runtime.block_on(async {
            let uri = format!("mongodb://{USERNAME}:{PASSWORD}@{address}/?directConnection=true");
            let mut options = ClientOptions::parse(uri).await?;
            options.max_pool_size = Some(u32::try_from(connections)?);
            options.min_pool_size = options.max_pool_size;
            let client = Client::with_options(options)?;
            client.warm_connection_pool().await;
            let collection = client.database(TENANT).collection(table()?.as_str());
            Ok(Self { collection })
        })
    }
}

impl Side for Wire {
    fn connect(&self) -> BoxFuture<'_, Outcome<Box<dyn Connection>>> {
        let connection: Box<dyn Connection> = Box::new(Pooled(self.collection.clone()));
        Box::pin(std::future::ready(Ok(connection)))
    }
}

/// One of the tasks that share the pool.
struct Pooled(Collection<RawDocumentBuf>);

impl Connection for Pooled {
    fn ask(&mut self, operation: Operation, n: u64) -> BoxFuture<'_, Outcome<()>> {
        Box::pin(async move {
            let by_id = || doc! { "_id": Work::id(n) };
            let found = match operation {
                Operation::Insert => {
                    self.0.insert_one(operation::document(n)).await?;
                    1
                }
                Operation::Find => usize::from(self.0.find_one(by_id()).await?.is_some()),
                Operation::Range => {
                    let found: Vec<RawDocumentBuf> =
                        self.0.find(operation::range(n)).await?.try_collect().await?;
                    found.len()
                }
                Operation::Update => {
                    let result = self.0.update_one(by_id(), operation::change(n)).await?;
                    usize::try_from(result.matched_count)?
                }
                Operation::Aggregate => {
                    let found: Vec<Document> =
                        self.0.aggregate(operation::pipeline(n)).await?.try_collect().await?;
                    found.len()
                }
            };
            if found == 0 { Err("nothing was found".into()) } else { Ok(()) }
        })
    }
}
