//! Checkpoints: moving the write-ahead log into the file.
//!
//! A commit is durable in the log. From time to time the log's pages are copied into the file, and the log restarts. A
//! thread with its own connection (the copier) copies most pages while the writer goes on. The writer itself copies the
//! rest, the pages that came meanwhile, after it has answered: a log that is always written to would otherwise never be
//! copied completely.
//!
//! ```text
//! the log has grown ─▶ copier ─▶ again, while many pages came in ─▶ writer: the rest ─▶ the log restarts
//! ```
//!
//! A log that grows faster than it is copied has a bound: at [`LOGS_MAX`] times its usual length the writer waits for
//! the copier and copies the rest. Only a long read lets it grow further, because the reader needs the old pages.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use crate::store::{StoreError, StoreResult};

use super::writer::Counters;

/// The writer copies the rest where it is at most a quarter of the usual length of the log: some ten milliseconds of
/// work.
const REST_DIVISOR: i32 = 4;
/// The multiple of the usual length at which the writer waits for the copier.
const LOGS_MAX: i32 = 4;

/// Decides after each commit whether the log is copied, and by which thread.
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
    /// The copier was asked first when it had `from` pages, and last when it had `asked_at`.
    Copying { from: i32, asked_at: i32 },
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
            // The log restarted.
            self.phase = Phase::Growing { until: self.every };
            if let Some(copier) = &self.copier {
                copier.copied.set(0);
            }
        }
        self.seen = pages;
        let Some(copier) = self.copier.as_ref() else {
            if matches!(self.phase, Phase::Growing { until } if pages >= until) {
                self.finish(connection, counters);
            }
            return;
        };
        let rest = (self.every / REST_DIVISOR).max(1);
        match self.phase {
            Phase::Growing { until } if pages < until => {}
            Phase::Growing { .. } => {
                // A copier that still copies the log before this one need not be asked.
                if !copier.is_busy() {
                    copier.ask();
                }
                self.phase = Phase::Copying { from: pages, asked_at: pages };
            }
            Phase::Copying { from, .. } if pages - from >= self.every.saturating_mul(LOGS_MAX - 1) => {
                copier.wait();
                self.finish(connection, counters);
            }
            Phase::Copying { .. } if copier.is_busy() => {}
            Phase::Copying { .. } if pages - copier.copied.get() <= rest => self.finish(connection, counters),
            Phase::Copying { asked_at, .. } if pages < asked_at.saturating_add(rest) => {}
            Phase::Copying { from, .. } => {
                copier.ask();
                self.phase = Phase::Copying { from, asked_at: pages };
            }
        }
    }

    fn finish(&mut self, connection: &Connection, counters: &Counters) {
        // Where a long read keeps the log from restarting, the next try comes after as many pages again.
        self.phase = Phase::Growing { until: self.seen.saturating_add(self.every) };
        counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        self.warner.heed(&copy(connection));
    }
}

/// Copies the pages whose old form no reader needs. Returns the number of pages of the log that are then in the file.
fn copy(connection: &Connection) -> rusqlite::Result<i32> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2))
}

/// Logs a failure once, not with every commit. No data is lost by it: the log keeps everything and grows.
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

/// The thread that copies beside the writer. Only the writer's thread holds it.
pub(super) struct Copier {
    ask: Option<Sender<()>>,
    /// Pages that are in the file, after each time.
    done: Receiver<i32>,
    busy: Cell<bool>,
    copied: Cell<i32>,
    thread: Option<JoinHandle<()>>,
}

impl Copier {
    /// `connection`: its own.
    pub fn start(connection: Connection) -> StoreResult<Self> {
        Self::start_with(move |warner: &mut Warner| {
            let copied = copy(&connection);
            warner.heed(&copied);
            copied.unwrap_or(0)
        })
    }

    fn start_with(mut work: impl FnMut(&mut Warner) -> i32 + Send + 'static) -> StoreResult<Self> {
        let ((ask, asked), (tell, done)) = (channel(), channel());
        let serve = move || {
            let mut warner = Warner::default();
            while asked.recv().is_ok() {
                if tell.send(work(&mut warner)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("store-copy".into())
            .spawn(serve)
            .map_err(|error| StoreError::Unusable(format!("no thread for the store's log ({error})")))?;
        let (busy, copied) = (Cell::new(false), Cell::new(0));
        Ok(Self { ask: Some(ask), done, busy, copied, thread: Some(thread) })
    }

    fn is_busy(&self) -> bool {
        if self.busy.get()
            && let Ok(copied) = self.done.try_recv()
        {
            self.busy.set(false);
            self.copied.set(copied);
        }
        self.busy.get()
    }

    /// Waits until the copier has finished.
    fn wait(&self) {
        if self.busy.replace(false)
            && let Ok(copied) = self.done.recv()
        {
            self.copied.set(copied);
        }
    }

    /// Starts a copy. The copier must not be busy.
    fn ask(&self) {
        self.busy.set(self.ask.as_ref().is_some_and(|ask| ask.send(()).is_ok()));
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// The disk is so slow that the copier does not finish by itself: the writer waits for it at the bound of the log,
    /// not before.
    #[test]
    fn a_copier_that_lags_is_waited_for_where_the_log_has_its_bound() {
        const EVERY: i32 = 100;
        let (connection, counters) = (Connection::open_in_memory().unwrap(), Counters::default());
        let (go, may_go) = channel::<()>();
        let asked = Arc::new(Mutex::new(0));
        let seen = Arc::clone(&asked);
        let copier = Copier::start_with(move |_| {
            *seen.lock().unwrap() += 1;
            _ = may_go.recv();
            0
        });
        let mut checkpoints = Checkpoints::every(EVERY.cast_unsigned(), Some(copier.unwrap()));
        for pages in 1..LOGS_MAX * EVERY {
            // It would never return where it waited here.
            checkpoints.after_commit(&connection, pages, &counters);
            assert_eq!(counters.checkpoints.load(Ordering::Relaxed), 0, "{pages}");
        }
        go.send(()).unwrap();
        checkpoints.after_commit(&connection, LOGS_MAX * EVERY, &counters);
        assert_eq!((counters.checkpoints.load(Ordering::Relaxed), *asked.lock().unwrap()), (1, 1));
        // A reader keeps the log from restarting: it is copied once per `EVERY` pages, not after each commit.
        (0..100).for_each(|_| go.send(()).unwrap());
        for pages in LOGS_MAX * EVERY + 1..=2 * LOGS_MAX * EVERY + EVERY / 2 {
            checkpoints.after_commit(&connection, pages, &counters);
        }
        assert_eq!(counters.checkpoints.load(Ordering::Relaxed), 2);
        drop(go);
    }
}
