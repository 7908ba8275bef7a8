//! The map runs of this process: each has one runner, which is reached by its messages.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::engine::types::MapRunChange;
use crate::ids::{Arn, EventId, ExecutionId};
use crate::interpreter::map_run::{ChildStatus, RunEvent};
use crate::interpreter::state::{Conclusion, Outcome};
use crate::store::{ExecutionStatus, StoreError};

use super::source;

/// Messages that wait for one runner; senders wait beyond it. Children closing are most of them, and no more than its
/// concurrency.
const RUNNER_QUEUE: usize = 256;
/// Rows read at once of a run's children, or of an execution's runs.
pub(super) const ROWS_PER_PAGE: u32 = 500;

/// To a runner.
#[derive(Debug)]
pub(super) enum RunnerMessage {
    Event(RunEvent),
    /// The source comes back with the items that were read from it.
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
    /// `attempt`: the attempt of the run that the child worked for. A child that is revived to be redriven reports its
    /// former end once more.
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
    /// Most inputs of children that one run held at once since the start: the bound of memory, for tests to look at.
    pub(super) most_held: AtomicUsize,
}

/// A run that an attempt holds.
#[derive(Debug)]
struct Open {
    attempt: EventId,
    messages: mpsc::Sender<RunnerMessage>,
    /// The execution that its runner works for, and the handle that ends the runner.
    runner: Option<(ExecutionId, AbortHandle)>,
}

/// The answer to an attempt of a run that wants to begin.
pub(super) enum Claim {
    Given(mpsc::Sender<RunnerMessage>, mpsc::Receiver<RunnerMessage>),
    /// It has begun already.
    Runs,
    /// Another attempt has not quite ended: its last work is in progress.
    After(mpsc::Sender<RunnerMessage>),
}

/// In the place of an attempt: the end of a run that no attempt holds.
pub(super) const ENDING: EventId = EventId(0);

impl Runs {
    /// `attempt`: the event that began it.
    pub(super) fn claim(&self, run: &Arn, attempt: EventId) -> Claim {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = open.get(run) {
            return if held.attempt == attempt { Claim::Runs } else { Claim::After(held.messages.clone()) };
        }
        let (sender, receiver) = mpsc::channel(RUNNER_QUEUE);
        open.insert(run.clone(), Open { attempt, messages: sender.clone(), runner: None });
        Claim::Given(sender, receiver)
    }

    /// The runner of a run that was given has begun.
    pub(super) fn runs(&self, run: &Arn, parent: ExecutionId, runner: AbortHandle) {
        if let Some(open) = self.open.lock().unwrap_or_else(PoisonError::into_inner).get_mut(run) {
            open.runner = Some((parent, runner));
        }
    }

    /// Ends the runners for such executions, wherever they are: another node takes them up from the store.
    pub(in crate::engine::coordination) fn end_where(&self, is_such: impl Fn(ExecutionId) -> bool) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, open| match &open.runner {
            Some((parent, runner)) if is_such(*parent) => {
                runner.abort();
                false
            }
            _ => true,
        });
    }

    pub(super) fn release(&self, run: &Arn) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(run);
    }

    pub(super) fn find(&self, run: &Arn) -> Option<mpsc::Sender<RunnerMessage>> {
        self.holder(run).map(|(_, messages)| messages)
    }

    /// Which attempt it is that runs.
    pub(super) fn holder(&self, run: &Arn) -> Option<(EventId, mpsc::Sender<RunnerMessage>)> {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(run)
            .map(|open| (open.attempt, open.messages.clone()))
    }

    pub(super) fn holds(&self, inputs: usize) {
        self.most_held.fetch_max(inputs, Ordering::Relaxed);
    }

    /// A child has closed. `false`: its run is not here (it begins again, or ended, or another node has it); the rows
    /// have the child's end.
    pub(in crate::engine) fn child_closed(
        &self,
        run: &Arn,
        child: ExecutionId,
        status: ChildStatus,
        attempt: u32,
    ) -> bool {
        let Some(sender) = self.find(run) else { return false };
        actix_rt::spawn(async move { sender.send(RunnerMessage::Closed { child, status, attempt }).await });
        true
    }
}

/// The status of an execution that has ended.
pub(super) const fn ended_status(outcome: &Outcome) -> ExecutionStatus {
    match &outcome.result {
        Conclusion::Succeeded(_) => ExecutionStatus::Succeeded,
        Conclusion::Failed(_) => ExecutionStatus::Failed,
        Conclusion::TimedOut(_) => ExecutionStatus::TimedOut,
        Conclusion::Aborted(_) => ExecutionStatus::Aborted,
    }
}

/// A row's status as a run takes it.
pub(in crate::engine) const fn child_status(status: ExecutionStatus) -> ChildStatus {
    match status {
        ExecutionStatus::Running | ExecutionStatus::PendingRedrive => ChildStatus::Running,
        ExecutionStatus::Succeeded => ChildStatus::Succeeded,
        ExecutionStatus::Failed => ChildStatus::Failed,
        ExecutionStatus::TimedOut => ChildStatus::TimedOut,
        ExecutionStatus::Aborted => ChildStatus::Aborted,
    }
}
