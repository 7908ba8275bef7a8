//! Map runs: the shell around [`crate::interpreter::map_run`]. A run is a task on the thread of its parent's partition.
//!
//! ```text
//! parent's StartMapRun ─► Runner ◄─ messages: read, started, closed, changed, stop
//!                           │  pure MapRun decides
//!                           ├─ source.rs    items → inputs of children, page by page
//!                           ├─ children.rs  starts them (named by run and index: twice is once), stops them
//!                           ├─ results.rs   gathers or writes what they gave
//!                           └─ row.rs       what DescribeMapRun shows
//! ```
//! Nothing of a run is lost with the process: the parent's journal says that it is open (`owed`), its children's rows
//! say how far it is. The items are read again from their beginning, and children that exist are not started again.

mod children;
mod results;
mod row;
mod runner;
mod source;

#[cfg(test)]
mod redrive_tests;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::engine::coordination::Coordinator;
use crate::engine::journal::load;
use crate::engine::services::RETRY_AFTER;
use crate::engine::types::{DeliverError, MapRunChange, MapRunError};
use crate::ids::{Arn, EventId, ExecutionId};
use crate::interpreter::map_run::{ChildStatus, RunEvent};
use crate::interpreter::state::{Conclusion, Outcome};
use crate::interpreter::stimulus::StimulusKind;
use crate::store::{ExecutionStatus, StoreError};

pub use row::redriven;

/// Messages that wait for one runner; senders wait beyond it. Children closing are most of them, and no more than its
/// concurrency.
const RUNNER_QUEUE: usize = 256;
/// Rows read at once of a run's children, or of an execution's runs.
const PAGE: u32 = 500;

/// To a runner.
#[derive(Debug)]
enum RunnerMessage {
    Event(RunEvent),
    /// The source comes back with what was read from it.
    Read {
        source: Box<source::Source>,
        event: RunEvent,
    },
    /// The child is there; `closed` where it is from before a restart, and over.
    Started {
        index: u64,
        id: ExecutionId,
        closed: Option<ChildStatus>,
    },
    /// `attempt`: which of the run's attempts it worked for. One that is revived to be redriven tells its former end
    /// once more.
    Closed {
        child: ExecutionId,
        status: ChildStatus,
        attempt: u32,
    },
    Changed {
        change: MapRunChange,
        done: oneshot::Sender<Result<(), StoreError>>,
    },
}

/// The runs of this process, by ARN.
#[derive(Debug, Default)]
pub(in crate::engine) struct Runs {
    open: Mutex<HashMap<Arn, Open>>,
    /// Most inputs of children that one run held at once since the start: what bounds memory, for tests to look at.
    most_held: AtomicUsize,
}

/// A run that somebody holds.
#[derive(Debug)]
struct Open {
    attempt: EventId,
    messages: mpsc::Sender<RunnerMessage>,
}

/// The answer to an attempt of a run that wants to begin.
enum Claim {
    Given(mpsc::Sender<RunnerMessage>, mpsc::Receiver<RunnerMessage>),
    /// It has begun already.
    Runs,
    /// Another attempt has not quite ended: what it does last is under way.
    After(mpsc::Sender<RunnerMessage>),
}

/// In the place of an attempt: who ends a run that nobody holds.
const ENDING: EventId = EventId(0);

impl Runs {
    /// `attempt`: the event that began it.
    fn claim(&self, run: &Arn, attempt: EventId) -> Claim {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = open.get(run) {
            return if held.attempt == attempt { Claim::Runs } else { Claim::After(held.messages.clone()) };
        }
        let (sender, receiver) = mpsc::channel(RUNNER_QUEUE);
        open.insert(run.clone(), Open { attempt, messages: sender.clone() });
        Claim::Given(sender, receiver)
    }

    fn release(&self, run: &Arn) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(run);
    }

    fn find(&self, run: &Arn) -> Option<mpsc::Sender<RunnerMessage>> {
        self.holder(run).map(|(_, messages)| messages)
    }

    /// Which attempt it is that runs.
    fn holder(&self, run: &Arn) -> Option<(EventId, mpsc::Sender<RunnerMessage>)> {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(run)
            .map(|open| (open.attempt, open.messages.clone()))
    }

    fn holds(&self, inputs: usize) {
        self.most_held.fetch_max(inputs, Ordering::Relaxed);
    }

    /// A child has closed. Where its run is not here (it begins anew, or ended), the rows say it.
    pub(in crate::engine) fn child_closed(&self, run: &Arn, child: ExecutionId, attempt: u32, outcome: &Outcome) {
        let Some(sender) = self.find(run) else { return };
        let status = match &outcome.result {
            Conclusion::Succeeded(_) => ChildStatus::Succeeded,
            Conclusion::Failed(_) => ChildStatus::Failed,
            Conclusion::TimedOut(_) => ChildStatus::TimedOut,
            Conclusion::Aborted(_) => ChildStatus::Aborted,
        };
        actix_rt::spawn(async move { sender.send(RunnerMessage::Closed { child, status, attempt }).await });
    }
}

/// A row's status as a run takes it.
const fn child_status(status: ExecutionStatus) -> ChildStatus {
    match status {
        ExecutionStatus::Running | ExecutionStatus::PendingRedrive => ChildStatus::Running,
        ExecutionStatus::Succeeded => ChildStatus::Succeeded,
        ExecutionStatus::Failed => ChildStatus::Failed,
        ExecutionStatus::TimedOut => ChildStatus::TimedOut,
        ExecutionStatus::Aborted => ChildStatus::Aborted,
    }
}

/// Runs a map run of an execution here, unless it does already. A redrive may come while the attempt before it writes
/// its end.
pub(super) fn start(coordinator: Arc<Coordinator>, parent: ExecutionId, started: EventId, run: Arn) {
    match coordinator.map_runs.claim(&run, started) {
        Claim::Runs => {}
        Claim::Given(sender, receiver) => {
            actix_rt::spawn(async move {
                runner::run(&coordinator, parent, started, &run, sender, receiver).await;
                coordinator.map_runs.release(&run);
            });
        }
        Claim::After(former) => {
            actix_rt::spawn(async move {
                former.closed().await;
                start(coordinator, parent, started, run);
            });
        }
    }
}

/// Ends a map run that its execution left behind; the execution learns of it when no child is open any more.
pub(super) fn stop(coordinator: Arc<Coordinator>, parent: ExecutionId, started: EventId, run: Arn) {
    actix_rt::spawn(async move {
        coordinator.run_ended(&run, started).await;
        let stopped = StimulusKind::MapRunStopped { started };
        coordinator.services.courier.deliver_until_taken(parent, stopped).await;
    });
}

impl Coordinator {
    /// Stops a run and waits until it has ended: by its runner, or (after a restart) without one. `last`: attempts that
    /// an event behind this one began are not meant.
    async fn run_ended(&self, run: &Arn, last: EventId) {
        loop {
            if let Some((attempt, runner)) = self.map_runs.holder(run) {
                if attempt > last {
                    // Redriven since: so what was to be stopped has ended.
                    return;
                }
                if runner.send(RunnerMessage::Event(RunEvent::Stop)).await.is_ok() {
                    runner.closed().await;
                }
            } else if let Claim::Given(_sender, _receiver) = self.map_runs.claim(run, ENDING) {
                let result = children::abandon(&self.services, run).await;
                self.map_runs.release(run);
                match result {
                    Ok(()) => return,
                    Err(e) => {
                        tracing::warn!(map_run.arn = %run, error = %e, "a map run could not be stopped; trying again");
                    }
                }
            }
            if matches!(self.services.catalog.map_run(run).await, Ok(Some(row)) if row.stopped.is_some()) {
                return;
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    /// Stops every run that a closed execution left open. Not those of a redrive that came in between: their execution
    /// waits for them.
    pub(in crate::engine) async fn end_map_runs(&self, execution: ExecutionId) -> Result<(), DeliverError> {
        let mut after = None;
        loop {
            let runs = self.services.catalog.map_runs(execution, after, PAGE).await?;
            let Some(last) = runs.last().map(|r| r.arn.clone()) else { return Ok(()) };
            if runs.iter().any(|r| r.stopped.is_none()) {
                // Read after the rows: what is in both is not left.
                let state = load::state(&self.services, execution).await?;
                let awaited = |run: &Arn| state.map_runs().any(|view| view.run.arn == *run);
                for run in runs.iter().filter(|r| r.stopped.is_none() && !awaited(&r.arn)) {
                    self.run_ended(&run.arn, state.last_id()).await;
                }
            }
            after = Some(last);
        }
    }

    /// Changes concurrency and tolerance of a run that goes on; in force and durable when it returns.
    ///
    /// # Errors
    /// There is no such run, or it has ended.
    pub async fn change_map_run(&self, run: &Arn, change: MapRunChange) -> Result<(), MapRunError> {
        let services = &self.services;
        let row = services.catalog.map_run(run).await?.ok_or_else(|| MapRunError::DoesNotExist(run.clone()))?;
        if row.stopped.is_some() {
            return Err(MapRunError::Ended(run.clone()));
        }
        if let Some(runner) = self.map_runs.find(run) {
            let (done, changed) = oneshot::channel();
            if runner.send(RunnerMessage::Changed { change, done }).await.is_ok()
                && let Ok(result) = changed.await
            {
                return Ok(result?);
            }
        }
        // It is about to begin anew: it will read its limits from the row. Or it has just ended.
        let row = services.catalog.map_run(run).await?.ok_or_else(|| MapRunError::DoesNotExist(run.clone()))?;
        let mut row = row::Row::from(row);
        if row.is_stopped() {
            return Err(MapRunError::Ended(run.clone()));
        }
        row.set_limits(&change.apply(row.limits()));
        Ok(services.catalog.put_map_run(row.to_store()).await?)
    }
}
