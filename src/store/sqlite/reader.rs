//! The threads that read. SQLite blocks, so reads have threads of their own; each sees every append that has been
//! answered.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::limits;
use crate::store::{StoreError, StoreResult};

use super::error::{Outcome, classify};

enum Read {
    Work(Box<dyn FnOnce(&Connection) + Send>),
    /// Ends one thread, which answers when its connection is closed.
    Stop(oneshot::Sender<()>),
}

#[derive(Debug)]
pub(super) struct Readers {
    queue: Option<mpsc::Sender<Read>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub(super) fn start(connections: Vec<Connection>) -> StoreResult<Self> {
        let (queue, incoming) = mpsc::channel(limits::READ_QUEUE);
        let incoming = Arc::new(Mutex::new(incoming));
        let mut threads = Vec::with_capacity(connections.len());
        for (number, connection) in connections.into_iter().enumerate() {
            let incoming = Arc::clone(&incoming);
            let thread = std::thread::Builder::new().name(format!("store-read-{number}")).spawn(move || {
                let told = serve(&connection, &incoming);
                drop(connection);
                _ = told.map(|told| told.send(()));
            });
            threads.push(
                thread.map_err(|error| StoreError::Unusable(format!("no thread for the store's reads ({error})")))?,
            );
        }
        Ok(Self { queue: Some(queue), threads })
    }

    /// Runs `work` in one read transaction, so that it sees one moment of the store.
    pub(super) async fn read<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    {
        let (answer, outcome) = oneshot::channel();
        let read = Read::Work(Box::new(move |connection| {
            // The caller may have gone away meanwhile and need no answer.
            let _ = answer.send(in_transaction(connection, work));
        }));
        let stopped = || StoreError::Unavailable("the store's readers have stopped".into());
        self.queue.as_ref().ok_or_else(stopped)?.send(read).await.map_err(|_| stopped())?;
        outcome.await.map_err(|_| stopped())?
    }

    /// Answers earlier requests, then closes all connections. Later requests fail.
    pub(super) async fn close(&self) {
        let Some(queue) = &self.queue else { return };
        for _ in &self.threads {
            let (told, ended) = oneshot::channel();
            if queue.send(Read::Stop(told)).await.is_ok() {
                let _ = ended.await;
            }
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn serve(connection: &Connection, incoming: &Mutex<mpsc::Receiver<Read>>) -> Option<oneshot::Sender<()>> {
    loop {
        // One thread waits for work while it holds the queue, the others wait for the queue.
        let next = incoming.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let read = match next? {
            Read::Work(read) => read,
            Read::Stop(told) => return Some(told),
        };
        // A broken rule of ours in one read must not take the thread from all others; that read's caller sees its
        // answer dropped.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(connection)));
    }
}

fn in_transaction<T>(connection: &Connection, work: impl FnOnce(&Connection) -> Outcome<T>) -> StoreResult<T> {
    let _open = Open::begin(connection).map_err(|error| classify(&error))?;
    Ok(work(connection)?)
}

/// A read transaction, ended however its read ends. Its two statements stay prepared: rusqlite's own transaction parses
/// them again for every read.
struct Open<'c>(&'c Connection);

impl<'c> Open<'c> {
    fn begin(connection: &'c Connection) -> rusqlite::Result<Self> {
        connection.prepare_cached("BEGIN")?.execute([])?;
        Ok(Self(connection))
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        // It wrote nothing. A failure shows at the next BEGIN.
        let _ = self.0.prepare_cached("COMMIT").and_then(|mut end| end.execute([]));
    }
}
