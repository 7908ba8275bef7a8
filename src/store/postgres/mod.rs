//! The store in PostgreSQL: one connection for appends, one for the catalog, a few for reads, one for the lease.
//!
//! ```text
//! Journal::append ─► writer (group commit) ─► commit.rs      Journal::load, list, … ─► readers ─► rows.rs, listing.rs
//! Catalog::put_…  ─► work (a transaction)  ─► machines.rs, … Catalog::machine, …    ─► readers ─► machines.rs, …
//! ```
//!
//! Why it is built so, with figures: `docs/decisions/0031-postgres.md`. The tables: `migrations/postgres/`. Nothing
//! relies on a session: each statement is unnamed, each setting is local to its transaction, so a pooler may stand
//! between.

mod activities;
mod catalog;
mod commit;
mod connect;
mod copying;
mod error;
mod journal;
mod listing;
mod look;
mod machines;
mod migrate;
mod names;
mod notes;
mod ownership;
mod packed;
mod pieces;
mod places;
mod primary;
mod purge;
mod rows;
mod scratch;
mod seat;
mod session;
mod tags;
#[cfg(test)]
pub(crate) mod tests;
mod tls;
mod values;
mod versions;
mod waits;
mod work;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use crate::limits;
use crate::store::{Ownership, StoreError, StoreResult};

use connect::{Connector, Slot, Waits};
use error::Outcome;
pub use scratch::Schema;
use seat::Seat;
use session::Session;
use work::Work;
use writer::{Counters, Write, Writer};

/// The settings of the store in PostgreSQL (`store.*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A commit counts when it is on the disk of PostgreSQL (and of its synchronous standbys). Otherwise a crash of the
    /// server may take the last moments.
    pub durable: bool,
    /// Connections that read, 1 to 8.
    pub readers: u8,
    /// The authorities of the server's certificate, PEM. `None`: the operating system's.
    pub ca_file: Option<PathBuf>,
    /// The client's own certificate and its key, PEM.
    pub certificate_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { durable: true, readers: 2, ca_file: None, certificate_file: None, key_file: None }
    }
}

/// The time for the answer to a read.
const READ_ANSWERS: Duration = Duration::from_secs(30);
/// The same for a node that has lost its place: a reply that waits for a read goes to its new owner then.
const LOST_READ_ANSWERS: Duration = Duration::from_secs(2);
/// For the row of this process, when it stops.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);

/// A handle, cheap to clone.
#[derive(Clone)]
pub struct Postgres {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").field("node", &self.inner.seat.node()).finish_non_exhaustive()
    }
}

struct Inner {
    connector: Arc<Connector>,
    seat: Arc<Seat>,
    queue: Mutex<Option<mpsc::Sender<Write>>>,
    /// Held by the writer while it runs.
    writing: Arc<Mutex<()>>,
    work: Arc<Work>,
    readers: Vec<Arc<Slot>>,
    next_reader: AtomicUsize,
    /// Beats.
    lease: Arc<Slot>,
    /// Changes of the rows of nodes and partitions, one after the other.
    moves: Arc<Slot>,
    moving: Mutex<()>,
    counters: Arc<Counters>,
    /// The connections live here, apart from the arbiters, which run executions.
    runtime: Option<Runtime>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // In async code a runtime cannot be waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Postgres {
    /// Opens the store in the database of `url`. Missing tables are made, older ones are migrated. A server that is
    /// away is waited for. The store is read from now on, and written when this process has joined (`Ownership`).
    ///
    /// # Errors
    /// `Unusable`, with a text for operators: a wrong URL, a login that is refused, a database that was made by a newer
    /// version.
    pub async fn open(url: &str, options: Options) -> StoreResult<Self> {
        Self::open_telling(url, options, watch::Sender::default()).await
    }

    /// The same. `away` tells why it waits, now and whenever a start waits for the store again
    /// ([`Catalog::reconnected`](crate::store::Catalog::reconnected)).
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_telling(url: &str, options: Options, away: watch::Sender<Option<String>>) -> StoreResult<Self> {
        let mut connector = Connector::read(url, &options)?;
        connector.away = away;
        let connector = Arc::new(connector);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("store")
            .enable_all()
            .build()
            .map_err(|error| StoreError::Unusable(format!("no thread for the store ({error})")))?;
        let opening = Arc::clone(&connector);
        let opened = runtime.spawn(async move { first_totals(&opening).await }).await;
        let totals = match opened {
            Ok(opened) => opened,
            Err(_) => Err(stopped()),
        };
        let totals = match totals {
            Ok(totals) => totals,
            Err(error) => {
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let counters = Arc::new(Counters::default());
        counters.beside(0, totals);
        let seat = Arc::new(Seat::default());
        let slot = || Arc::new(Slot::new(&connector, ""));
        let (queue, incoming) = mpsc::channel(limits::APPEND_QUEUE);
        let writing = Arc::new(Mutex::new(()));
        let writer = Writer {
            slot: Arc::new(Slot::new(&connector, commit::settings(options.durable))),
            seat: Arc::clone(&seat),
            durable: options.durable,
            counters: Arc::clone(&counters),
        };
        runtime.spawn(writer::serve(writer, incoming, Arc::clone(&writing)));
        let inner = Inner {
            queue: Mutex::new(Some(queue)),
            writing,
            work: Arc::new(Work::new(slot(), Arc::clone(&seat), Arc::clone(&counters))),
            readers: (0..options.readers.clamp(1, 8)).map(|_| slot()).collect(),
            next_reader: AtomicUsize::new(0),
            lease: slot(),
            moves: slot(),
            moving: Mutex::default(),
            connector,
            seat,
            counters,
            runtime: Some(runtime),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Writes all queued requests, and gives the store free for another process. Later writes fail.
    pub async fn close(&self) {
        drop(self.inner.queue.lock().await.take());
        drop(self.inner.writing.lock().await);
        let left = tokio::time::timeout(LEAVE_WITHIN, self.leave()).await.unwrap_or_else(|_| Err(stopped()));
        if let Err(error) = left {
            tracing::warn!(%error, "the store could not be given free; the next start waits some seconds for it");
        }
    }

    /// Hands a request to the writer.
    async fn send(&self, write: impl FnOnce(oneshot::Sender<StoreResult<()>>) -> Write) -> StoreResult<()> {
        let (answer, outcome) = oneshot::channel();
        let queue = self.inner.queue.lock().await.clone().ok_or_else(stopped)?;
        queue.send(write(answer)).await.map_err(|_| stopped())?;
        outcome.await.map_err(|_| stopped())?
    }

    /// Runs a change of the catalog in a transaction of its own. It goes on when the caller has gone away.
    async fn write<T, F>(&self, change: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Session>) -> BoxFuture<'static, Outcome<T>> + Send + 'static,
    {
        let work = Arc::clone(&self.inner.work);
        self.on_runtime(async move { work.run(change).await }).await
    }

    async fn reading<T, F>(&self, read: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Session>) -> BoxFuture<'static, Outcome<T>> + Send + 'static,
    {
        let readers = &self.inner.readers;
        let slot = Arc::clone(&readers[self.inner.next_reader.fetch_add(1, Ordering::Relaxed) % readers.len()]);
        let seat = Arc::clone(&self.inner.seat);
        let answered = async move {
            let client = slot.client().await?;
            let Ok(done) = tokio::time::timeout(READ_ANSWERS, read(Arc::clone(&client))).await else {
                slot.give_up(&client).await;
                return Err(StoreError::Unavailable("PostgreSQL has not answered a read in time".into()));
            };
            done.map_err(StoreError::from)
        };
        self.on_runtime(async move { seat.unless_lost(LOST_READ_ANSWERS, answered).await? }).await
    }

    async fn on_runtime<T: Send + 'static>(
        &self,
        future: impl Future<Output = StoreResult<T>> + Send + 'static,
    ) -> StoreResult<T> {
        let runtime = self.inner.runtime.as_ref().ok_or_else(stopped)?;
        runtime.spawn(future).await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Waits until a server that went away in the middle of a start is there again.
    async fn wait_for_server(&self, lost: StoreError) -> StoreResult<()> {
        let connector = Arc::clone(&self.inner.connector);
        connector.is_away(&lost);
        self.on_runtime(async move { connector.patiently().await.map(drop) }).await
    }

    /// Checks that the store reads and writes. It writes only where the last write failed.
    async fn probe(&self) -> StoreResult<()> {
        self.reading(|client| {
            Box::pin(async move { Ok(client.query_typed("SELECT 1 FROM schema_version", &[]).await.map(drop)?) })
        })
        .await?;
        if self.inner.counters.refuses() {
            self.write(|client| Box::pin(async move { tags::probe(&client).await })).await?;
        }
        Ok(())
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the store has stopped".into())
}

/// The first connection: schema, sums. A server that is away is waited for.
async fn first_totals(connector: &Connector) -> StoreResult<(i64, i64)> {
    let shown = connector.shown();
    let mut waits = Waits::default();
    loop {
        let client = connector.patiently().await?;
        let ready = async {
            migrate::migrate(&client, &shown).await?;
            writer::totals(&client).await
        };
        match ready.await {
            Err(error @ StoreError::Unavailable(_)) => connector.is_away(&error),
            done => return done,
        }
        tokio::time::sleep(waits.next()).await;
    }
}
