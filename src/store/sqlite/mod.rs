//! The embedded store: one SQLite file, one thread that writes, a few that read.
//!
//! ```text
//! Journal::append ─► writer (group commit) ─► executions.rs   Journal::load, list, … ─► readers ─► rows.rs, listing.rs
//! Catalog::put_…  ─► writer (as a job)     ─► machines.rs, …  Catalog::machine, …    ─► readers ─► machines.rs, …
//! ```
//!
//! Why it is built so, with figures: `docs/decisions/0002-store.md`. The tables: `migrations/`.

mod activities;
mod backup;
mod catalog;
mod checkpoint;
mod copying;
mod damage;
mod error;
mod executions;
mod gathering;
mod identity;
mod journal;
mod listing;
mod machines;
mod map_runs;
mod migrate;
mod names;
mod notes;
mod open;
mod pieces;
mod places;
mod private;
mod purge;
mod reader;
mod rows;
mod tags;
#[cfg(test)]
mod tests;
mod values;
mod versions;
mod waits;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use crate::store::{StoreError, StoreFuture, StoreResult};

pub use backup::{Copied, copy_store as copy};
use checkpoint::Copier;
use error::Outcome;
use identity::Identity;
use open::Place;
pub use private::exposed;
use reader::Readers;
use writer::Writer;

/// When a commit counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// When it is on the disk: survives a power cut.
    #[default]
    Full,
    /// When the operating system has it: survives a killed process, a power cut may take the last moments.
    Normal,
}

impl Synchronous {
    /// SQLite's word.
    fn as_str(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Normal => "NORMAL",
        }
    }
}

/// A write of 64 KiB that leaves nothing behind.
const PROBE: &str = "INSERT INTO settings (key, value) VALUES ('probe', hex(zeroblob(32768))); DELETE FROM settings \
    WHERE key = 'probe'";

/// The settings of the embedded store (`store.*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub synchronous: Synchronous,
    /// Threads that read, 1 to 8.
    pub readers: u8,
    /// Memory for pages, in KiB: each reader has a quarter of it, the connection that writes as much, up to 8 MiB.
    pub cache_kib: u32,
    /// The log is moved into the file when it has grown by this many pages (of 4 KiB), beside the writer.
    pub checkpoint_pages: u32,
    /// Look for damage at start (`quick_check`): reads the whole file.
    pub check: bool,
    /// The file may not grow beyond this; then writes fail as on a full disk.
    pub size_bytes_max: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            synchronous: Synchronous::Full,
            readers: 2,
            cache_kib: 64 * 1024,
            // 4 MiB: with 32 each copy kept the disk from the commits, and from the broker's, for a quarter of a
            // second.
            checkpoint_pages: 1_024,
            check: false,
            size_bytes_max: None,
        }
    }
}

/// A handle, cheap to clone. Dropping the last one writes all queued requests and ends the threads, which may take a
/// moment.
#[derive(Debug, Clone)]
pub struct Sqlite {
    inner: Arc<Inner>,
}

/// Dropped in the order of the fields: readers, writer (its close moves the log into the file), lock.
#[derive(Debug)]
struct Inner {
    /// `None` for `:memory:`, which only its one connection can see: there the writer also reads.
    readers: Option<Readers>,
    writer: Writer,
    place: Option<Place>,
    identity: Option<Identity>,
    options: Options,
}

impl Sqlite {
    /// The size of the store's file, or of the file beside it. A look opens no descriptor: closing one would free
    /// `SQLite`'s locks.
    fn bytes_beside(&self, ending: &str) -> u64 {
        let path = |place: &Place| std::path::PathBuf::from(format!("{}{ending}", place.path.display()));
        self.inner.place.as_ref().and_then(|place| std::fs::metadata(path(place)).ok()).map_or(0, |file| file.len())
    }

    /// Opens the store at `path`. A missing store is created, an older one is migrated. `:memory:` lives as long as the
    /// handle.
    ///
    /// # Errors
    /// `Unusable`, with a text for operators: open in another process, made by a newer version, no store of ours,
    /// damaged, not writable.
    pub fn open(path: impl AsRef<Path>, options: Options) -> StoreResult<Self> {
        Self::open_file(path.as_ref(), options).map_err(|error| match error {
            // Damage that shows while opening concerns the whole store.
            StoreError::Corrupt { .. } => {
                StoreError::Unusable(format!("the store is damaged: {error}; restore it from a backup"))
            }
            other => other,
        })
    }

    fn open_file(path: &Path, options: Options) -> StoreResult<Self> {
        let place = if path == Path::new(":memory:") { None } else { Some(open::claim(path)?) };
        let connection = open::writer(place.as_ref(), &options)?;
        let readers = match &place {
            Some(place) => {
                let count = options.readers.clamp(1, 8);
                let connections =
                    (0..count).map(|_| open::reader(&place.path, &options)).collect::<StoreResult<_>>()?;
                Some(Readers::start(connections)?)
            }
            None => None,
        };
        let copier = match &place {
            Some(place) => Some(Copier::start(open::copier(&place.path, &options)?)?),
            None => None,
        };
        let writer = Writer::start(connection, options.checkpoint_pages, copier)?;
        let identity = place.as_ref().map(|place| Identity::of(&place.path));
        Ok(Self { inner: Arc::new(Inner { readers, writer, place, identity, options }) })
    }

    /// Copies the store to a new file while it is in use. The copy is a complete store. Fails with `AlreadyExists`
    /// where the file exists.
    pub fn backup(&self, to: impl Into<PathBuf>) -> StoreFuture<'_, Copied> {
        let to = to.into();
        Box::pin(async move {
            let Some(place) = &self.inner.place else {
                return self.write(move |connection| Ok(backup::copy(connection, &to))).await?;
            };
            // A thread and a connection of its own: a large copy must not keep a reader from its work.
            let connection = open::reader(&place.path, &self.inner.options)?;
            let (answer, outcome) = tokio::sync::oneshot::channel();
            let thread = std::thread::Builder::new().name("store-backup".into()).spawn(move || {
                let _ = answer.send(backup::copy(&connection, &to));
            });
            thread.map_err(|error| StoreError::Unavailable(format!("no thread for the backup ({error})")))?;
            outcome.await.map_err(|_| StoreError::Unavailable("the backup was not made: its thread ended".into()))?
        })
    }

    /// Writes all queued requests, moves the log into the file and closes all connections. Requests through other
    /// handles then fail. Without this call it happens when the last handle is dropped, which a process that ends may
    /// never do.
    pub async fn close(&self) {
        if let Some(readers) = &self.inner.readers {
            readers.close().await;
        }
        self.inner.writer.close().await;
    }

    /// Checks that the store reads and writes. It writes only where the last write failed.
    async fn probe(&self) -> StoreResult<()> {
        if let Some(identity) = &self.inner.identity {
            identity.check()?;
        }
        self.reading(|connection| Ok(connection.query_row("SELECT count(*) FROM settings", [], |_| Ok(()))?)).await?;
        if self.inner.writer.counters.refuses() {
            // The probe needs as much room as a payload.
            self.write(|connection| Ok(connection.execute_batch(PROBE)?)).await?;
        }
        Ok(())
    }

    async fn reading<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Outcome<T> + Send + 'static,
    {
        match &self.inner.readers {
            Some(readers) => readers.read(work).await,
            None => self.inner.writer.run(work).await,
        }
    }

    async fn write<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Outcome<T> + Send + 'static,
    {
        self.inner.writer.run(work).await
    }
}
