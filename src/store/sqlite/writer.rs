//! The one thread that writes: group commit.
//!
//! ```text
//! append → bounded queue → gather waiting requests → BEGIN · each request · COMMIT (one fsync) → answer every request
//! ```
//!
//! While one commit waits for the disk the next group gathers, so the groups grow with the load. Where a hundred
//! requests gather during one commit, the writer may wait some milliseconds for more ([`super::gathering`]); otherwise
//! it never waits for a timer. A refused request (version conflict, name taken) wrote nothing and does not affect the
//! others. Where SQLite itself fails in the middle, the whole group is rolled back and its requests are tried again one
//! by one: only the faulty request fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;

use rusqlite::{Connection, Statement};
use tokio::sync::{mpsc, oneshot};

use crate::clock::Timestamp;
use crate::limits;
use crate::store::{Append, CommitSizes, ExecutionHeader, StoreError, StoreResult};

use super::checkpoint::{Checkpoints, Copier};
use super::error::{Fault, Outcome, classify};
use super::executions::{Executions, Totals};
use super::gathering::Gathering;

/// A request to the writer.
#[expect(clippy::large_enum_variant, reason = "nearly all are appends, and an allocation for each is what this spares")]
pub(super) enum Write {
    Append {
        append: Append,
        answer: oneshot::Sender<StoreResult<()>>,
    },
    Create {
        create: Box<Create>,
        answer: oneshot::Sender<StoreResult<()>>,
    },
    Job(Box<dyn Job>),
    /// Ends the writer, which answers when its connections are closed.
    Close {
        closed: oneshot::Sender<()>,
    },
}

impl Write {
    /// Its caller waits for it alone.
    pub(super) fn hurries(&self) -> bool {
        match self {
            Self::Append { append, .. } => append.hurries,
            Self::Create { create, .. } => create.first.hurries,
            // Someone waits for each, and they are rare.
            Self::Job(_) | Self::Close { .. } => true,
        }
    }

    /// Its weight in events. It is at least one, so that the group ends.
    pub(super) fn weight(&self) -> usize {
        let events = match self {
            Self::Append { append, .. } => append.batch.events.saturating_sub(append.replaces) as usize,
            Self::Create { create, .. } => create.first.batch.events as usize,
            Self::Job(_) | Self::Close { .. } => 1,
        };
        events.max(1)
    }
}

pub(super) struct Create {
    pub header: ExecutionHeader,
    pub first: Append,
    pub reusable_before: Timestamp,
}

/// Anything rarer than an append: changes of the catalog, purges. May run twice, the first time rolled back.
pub(super) trait Job: Send {
    fn run(&mut self, connection: &Connection) -> Outcome<()>;
    /// After the commit, or after it failed.
    fn answer(self: Box<Self>, failed: Option<StoreError>);
}

struct Work<T, F> {
    run: F,
    done: Option<T>,
    answer: oneshot::Sender<StoreResult<T>>,
}

impl<T: Send, F: FnMut(&Connection) -> Outcome<T> + Send> Job for Work<T, F> {
    fn run(&mut self, connection: &Connection) -> Outcome<()> {
        self.done = Some((self.run)(connection)?);
        Ok(())
    }

    fn answer(self: Box<Self>, failed: Option<StoreError>) {
        let result = match (failed, self.done) {
            (Some(error), _) => Err(error),
            (None, Some(done)) => Ok(done),
            (None, None) => Err(stopped()),
        };
        // The caller may have gone away; its request is done all the same.
        let _ = self.answer.send(result);
    }
}

/// Counters of the writer since its start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub appends: AtomicU64,
    /// Commits that held a job: everything but an append.
    pub jobs: AtomicU64,
    pub checkpoints: AtomicU64,
    /// Open executions as of the last commit.
    pub open_executions: AtomicI64,
    pub open_tasks: AtomicI64,
    /// Commits by their size, and their events.
    pub commit_sizes: [AtomicU64; CommitSizes::BOUNDS.len() + 1],
    pub commit_events: AtomicU64,
    /// The last write failed.
    refuses: AtomicBool,
}

impl Counters {
    /// Tells whether the last write failed.
    pub fn refuses(&self) -> bool {
        self.refuses.load(Ordering::Relaxed)
    }

    fn open(&self, totals: Totals) {
        self.open_executions.store(totals.executions, Ordering::Relaxed);
        self.open_tasks.store(totals.tasks, Ordering::Relaxed);
    }

    fn committed(&self, writes: usize, events: usize) {
        self.appends.fetch_add(writes as u64, Ordering::Relaxed);
        self.commit_events.fetch_add(events as u64, Ordering::Relaxed);
        self.commit_sizes[CommitSizes::place(events)].fetch_add(1, Ordering::Relaxed);
        self.refuses.store(false, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Write>>,
    thread: Option<JoinHandle<()>>,
    pub counters: Arc<Counters>,
}

impl Writer {
    /// `copier`: none where there is no log.
    pub(super) fn start(connection: Connection, checkpoint_pages: u32, copier: Option<Copier>) -> StoreResult<Self> {
        let (queue, incoming) = mpsc::channel(limits::APPEND_QUEUE);
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let counters = Arc::new(Counters::default());
        let counted = Arc::clone(&counters);
        let thread = std::thread::Builder::new()
            .name("store-write".into())
            .spawn(move || {
                let checkpoints = Checkpoints::every(checkpoint_pages, copier);
                let told = serve(connection, incoming, &counted, checkpoints, &ready);
                _ = told.map(|told| told.send(()));
            })
            .map_err(|error| StoreError::Unusable(format!("no thread for the store's writes ({error})")))?;
        started.recv().map_err(|_| stopped())??;
        Ok(Self { queue: Some(queue), thread: Some(thread), counters })
    }

    pub(super) async fn append(&self, append: Append) -> StoreResult<()> {
        let (answer, outcome) = oneshot::channel();
        self.send(Write::Append { append, answer }).await?;
        outcome.await.map_err(|_| stopped())?
    }

    pub(super) async fn create(&self, create: Create) -> StoreResult<()> {
        let (answer, outcome) = oneshot::channel();
        self.send(Write::Create { create: Box::new(create), answer }).await?;
        outcome.await.map_err(|_| stopped())?
    }

    pub(super) async fn run<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Outcome<T> + Send + 'static,
    {
        let (answer, outcome) = oneshot::channel();
        self.send(Write::Job(Box::new(Work { run: work, done: None, answer }))).await?;
        outcome.await.map_err(|_| stopped())?
    }

    /// Writes earlier requests, moves the log into the file and closes the connections. Later requests fail.
    pub(super) async fn close(&self) {
        let (closed, ended) = oneshot::channel();
        if self.send(Write::Close { closed }).await.is_ok() {
            let _ = ended.await;
        }
    }

    async fn send(&self, write: Write) -> StoreResult<()> {
        self.queue.as_ref().ok_or_else(stopped)?.send(write).await.map_err(|_| stopped())
    }
}

impl Drop for Writer {
    /// Writes all queued requests, then ends the thread.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the store's writer has stopped".into())
}

fn serve(
    mut connection: Connection,
    mut incoming: mpsc::Receiver<Write>,
    counters: &Counters,
    mut checkpoints: Checkpoints,
    ready: &std::sync::mpsc::SyncSender<StoreResult<()>>,
) -> Option<oneshot::Sender<()>> {
    let log = Arc::new(AtomicI32::new(0));
    let seen = Arc::clone(&log);
    // Instead of SQLite's own checkpoint, which runs inside COMMIT and would keep the group waiting for its answers.
    let hooked = connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
        seen.store(pages, Ordering::Relaxed);
        Ok(())
    }));
    let incoming = (&mut incoming, &*log);
    let closed = work(hooked, &connection, incoming, counters, &mut checkpoints, ready);
    // The copier's connection first: the last one to be closed moves the log into the file.
    drop(checkpoints);
    drop(connection);
    closed
}

/// Serves requests until `Close` comes or the last handle is gone.
fn work(
    hooked: rusqlite::Result<()>,
    connection: &Connection,
    (incoming, log): (&mut mpsc::Receiver<Write>, &AtomicI32),
    counters: &Counters,
    checkpoints: &mut Checkpoints,
    ready: &std::sync::mpsc::SyncSender<StoreResult<()>>,
) -> Option<oneshot::Sender<()>> {
    let mut session = match hooked.and_then(|()| Session::prepare(connection)) {
        Ok(session) => {
            counters.open(session.executions.totals());
            let _ = ready.send(Ok(()));
            session
        }
        Err(error) => {
            let _ = ready.send(Err(classify(&error)));
            return None;
        }
    };
    let (mut group, mut gathering) = (Vec::new(), Gathering::default());
    while let Some(first) = incoming.blocking_recv() {
        gathering.gather(first, incoming, &mut group);
        let closing = group.iter().position(|write| matches!(write, Write::Close { .. }));
        // Requests behind `Close` fail, because the writer has stopped.
        let closing = closing.and_then(|at| group.drain(at..).next());
        if !group.is_empty() {
            session.commit(&mut group, counters);
            checkpoints.after_commit(connection, log.load(Ordering::Relaxed), counters);
        }
        if let Some(Write::Close { closed }) = closing {
            return Some(closed);
        }
    }
    None
}

struct Session<'c> {
    connection: &'c Connection,
    executions: Executions<'c>,
    begin: Statement<'c>,
    commit: Statement<'c>,
}

impl<'c> Session<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            executions: Executions::prepare(connection)?,
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
        })
    }

    fn commit(&mut self, group: &mut Vec<Write>, counters: &Counters) {
        let mut refused = Vec::new();
        let failed = self.attempt(group, &mut refused).err();
        match failed {
            None => {
                self.executions.committed();
                counters.open(self.executions.totals());
                counters.committed(group.len() - refused.len(), group.iter().map(Write::weight).sum());
                if group.iter().any(|write| matches!(write, Write::Job(_))) {
                    // Before its caller has the answer: rows read earlier must not count as current after that.
                    counters.jobs.fetch_add(1, Ordering::Release);
                }
                let mut refused = refused.into_iter().peekable();
                for (place, write) in group.drain(..).enumerate() {
                    let error = refused.next_if(|(at, _)| *at == place).map(|(_, error)| error);
                    answer(write, error);
                }
            }
            Some(error) if group.len() == 1 => {
                // Damage concerns its row alone.
                counters.refuses.fetch_or(matches!(error, StoreError::Unavailable(_)), Ordering::Relaxed);
                group.drain(..).for_each(|write| answer(write, Some(error.clone())));
            }
            Some(_) => {
                for write in group.drain(..) {
                    let mut alone = vec![write];
                    self.commit(&mut alone, counters);
                }
            }
        }
    }

    /// One transaction. On `Err` nothing of it is there. `refused` holds the places in the group that were refused, in
    /// order.
    fn attempt(&mut self, group: &mut [Write], refused: &mut Vec<(usize, StoreError)>) -> Result<(), StoreError> {
        let done = self.transact(group, refused);
        if let Err(error) = &done {
            // A full disk rolls back by itself, and a failed COMMIT may leave the transaction open.
            if !self.connection.is_autocommit()
                && let Err(error) = self.connection.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "the store's writer could not roll back");
            }
            self.executions.rolled_back();
            refused.clear();
            return Err(classify(error));
        }
        Ok(())
    }

    fn transact(&mut self, group: &mut [Write], refused: &mut Vec<(usize, StoreError)>) -> rusqlite::Result<()> {
        self.begin.execute([])?;
        self.executions.begin();
        for (place, write) in group.iter_mut().enumerate() {
            match self.apply(write) {
                Ok(()) => {}
                Err(Fault::Refused(error)) => refused.push((place, error)),
                Err(Fault::Sqlite(error)) => return Err(error),
            }
        }
        of_sqlite(self.executions.finish())?;
        self.commit.execute([])?;
        Ok(())
    }

    fn apply(&mut self, write: &mut Write) -> Outcome<()> {
        match write {
            Write::Append { append, .. } => self.executions.append(append),
            Write::Create { create, .. } => {
                self.executions.create(&create.header, &create.first, create.reusable_before)
            }
            Write::Job(job) => {
                of_sqlite(self.executions.flush())?;
                // The job may remove cached rows. Jobs are rare, so all caches are emptied.
                self.executions.forget();
                self.connection.execute_batch("SAVEPOINT job")?;
                let done = job.run(self.connection);
                if let Err(Fault::Refused(_)) = &done {
                    self.connection.execute_batch("ROLLBACK TO job")?;
                }
                self.connection.execute_batch("RELEASE job")?;
                done
            }
            // `Close` was taken out of the group before.
            Write::Close { .. } => Ok(()),
        }
    }
}

/// The result of statements that cannot be refused.
fn of_sqlite(done: Outcome<()>) -> rusqlite::Result<()> {
    done.map_err(|fault| match fault {
        Fault::Sqlite(error) => error,
        Fault::Refused(_) => rusqlite::Error::InvalidQuery,
    })
}

fn answer(write: Write, failed: Option<StoreError>) {
    match write {
        Write::Append { answer, .. } | Write::Create { answer, .. } => {
            // The caller may have gone away; its request is done all the same.
            let _ = answer.send(failed.map_or(Ok(()), Err));
        }
        Write::Job(job) => job.answer(failed),
        Write::Close { .. } => {}
    }
}
