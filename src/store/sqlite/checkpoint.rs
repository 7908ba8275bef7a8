//! The log's way into the file.
//!
//! A commit is safe in the log; from time to time the log's pages go into the file, and the log begins anew. Most of
//! that a thread with a connection of its own does while the writer goes on. Only the rest, what came in meanwhile, the
//! writer does itself, after its answers: a log that is always written to would never be all in the file.
//!
//! ```text
//! the log has grown ─▶ copier ─▶ again, while much has come in ─▶ writer: the rest ─▶ the log begins anew
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use crate::store::{StoreError, StoreResult};

use super::writer::Counters;

/// The writer does the rest where it is no more than this part of what a log grows to: some ten milliseconds.
const REST: i32 = 4;
/// A log that grows faster than it is copied: the writer waits for it at this multiple.
const LOGS_MAX: i32 = 4;

/// When what is copied, decided after each commit.
pub(super) struct Checkpoints {
    every: i32,
    seen: i32,
    phase: Phase,
    copier: Option<Copier>,
    warner: Warner,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Until the log has so many pages.
    Growing { until: i32 },
    /// The copier was asked last when it had so many.
    Copying { asked_at: i32 },
}

impl Checkpoints {
    /// Without a `copier` the writer does all.
    pub fn every(pages: u32, copier: Option<Copier>) -> Self {
        let every = i32::try_from(pages).unwrap_or(i32::MAX / (2 * LOGS_MAX)).max(1);
        Self { every, seen: 0, phase: Phase::Growing { until: every }, copier, warner: Warner::default() }
    }

    /// `pages`: how long the log is now.
    pub fn after_commit(&mut self, connection: &Connection, pages: i32, counters: &Counters) {
        if pages < self.seen {
            // The log began anew.
            self.phase = Phase::Growing { until: self.every };
            if let Some(copier) = &self.copier {
                copier.state.copied.store(0, Ordering::Relaxed);
            }
        }
        self.seen = pages;
        let Some(copier) = self.copier.as_ref() else {
            if matches!(self.phase, Phase::Growing { until } if pages >= until) {
                self.finish(connection, counters);
            }
            return;
        };
        let rest = (self.every / REST).max(1);
        match self.phase {
            Phase::Growing { until } if pages < until => {}
            _ if copier.is_busy() => {}
            Phase::Copying { .. } if pages - copier.copied() <= rest || pages / LOGS_MAX >= self.every => {
                self.finish(connection, counters);
            }
            Phase::Copying { asked_at } if pages < asked_at.saturating_add(rest) => {}
            Phase::Growing { .. } | Phase::Copying { .. } => {
                copier.ask();
                self.phase = Phase::Copying { asked_at: pages };
            }
        }
    }

    fn finish(&mut self, connection: &Connection, counters: &Counters) {
        // Where a long read keeps the log from beginning anew, the next try waits for as many pages again.
        self.phase = Phase::Growing { until: self.seen.saturating_add(self.every) };
        counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        self.warner.heed(&copy(connection));
    }
}

/// Copies what no reader still needs the old form of; pages of the log that are in the file after it.
fn copy(connection: &Connection) -> rusqlite::Result<i32> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2))
}

/// A failure is said once, not with every commit. Nothing is lost by it: the log holds it all and grows.
#[derive(Default)]
struct Warner {
    failing: bool,
}

impl Warner {
    fn heed(&mut self, copied: &rusqlite::Result<i32>) {
        match copied {
            Ok(_) => self.failing = false,
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::warn!(%error, "the store's log could not be moved into its file");
            }
            Err(_) => {}
        }
    }
}

/// The thread that copies beside the writer.
pub(super) struct Copier {
    ask: Option<SyncSender<()>>,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    busy: AtomicBool,
    copied: AtomicI32,
}

impl Copier {
    /// `connection`: its own.
    pub fn start(connection: Connection) -> StoreResult<Self> {
        let (ask, asked) = sync_channel(1);
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("store-copy".into())
            .spawn(move || serve(&connection, &asked, &shared))
            .map_err(|error| StoreError::Unusable(format!("no thread for the store's log ({error})")))?;
        Ok(Self { ask: Some(ask), state, thread: Some(thread) })
    }

    fn is_busy(&self) -> bool {
        self.state.busy.load(Ordering::Acquire)
    }

    fn copied(&self) -> i32 {
        self.state.copied.load(Ordering::Relaxed)
    }

    /// Of one that is not busy.
    fn ask(&self) {
        self.state.busy.store(true, Ordering::Relaxed);
        let taken = self.ask.as_ref().is_some_and(|ask| ask.try_send(()).is_ok());
        if !taken {
            self.state.busy.store(false, Ordering::Relaxed);
        }
    }
}

fn serve(connection: &Connection, asked: &Receiver<()>, state: &State) {
    let mut warner = Warner::default();
    while asked.recv().is_ok() {
        let copied = copy(connection);
        warner.heed(&copied);
        if let Ok(pages) = copied {
            state.copied.store(pages, Ordering::Relaxed);
        }
        state.busy.store(false, Ordering::Release);
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
