//! Map runs: the shell around [`crate::interpreter::map_run`]. A run is a task on the thread of its parent's partition.
//!
//! ```text
//! parent's StartMapRun ─► Runner ◄─ messages: read, started, closed, changed, stop
//!                           │  pure MapRun decides
//!                           ├─ source.rs    items → inputs of children, page by page
//!                           ├─ children.rs  starts them (named by run and index: twice is once), stops them
//!                           ├─ results.rs   gathers or writes their outputs
//!                           └─ row.rs       the row that DescribeMapRun shows
//! ```
//! Nothing of a run is lost with the process: the parent's journal says that it is open (`owed`), its children's rows
//! say how far it is. The items are read again from their beginning, and children that exist are not started again.

mod children;
mod results;
mod row;
mod runner;
pub(in crate::engine) mod runs;
mod source;

#[cfg(test)]
mod redrive_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::engine::coordination::Coordinator;
use crate::engine::journal::load;
use crate::engine::services::RETRY_AFTER;
use crate::engine::types::tell::{Answer, Word};
use crate::engine::types::{DeliverError, EngineError, MapRunChange, MapRunError};
use crate::ids::{Arn, EventId, ExecutionId};
use crate::interpreter::map_run::RunEvent;
use crate::interpreter::state::Outcome;
use crate::interpreter::stimulus::StimulusKind;
use crate::store::StoreError;

pub use row::redriven;
use runs::{Claim, ENDING, ROWS_PER_PAGE, RunnerMessage};

/// Runs a map run of an execution here, unless it does already. A redrive may come while the attempt before it writes
/// its end.
pub(super) fn start(coordinator: Arc<Coordinator>, parent: ExecutionId, started: EventId, run: Arn) {
    match coordinator.map_runs.claim(&run, started) {
        Claim::Runs => {}
        Claim::Given(sender, receiver) => {
            let (its, of) = (Arc::clone(&coordinator), run.clone());
            let runner = actix_rt::spawn(async move {
                runner::run(&coordinator, parent, started, &run, sender, receiver).await;
                coordinator.map_runs.release(&run);
            });
            its.map_runs.runs(&of, parent, runner.abort_handle());
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
        coordinator.run_ended(parent, &run, started).await;
        let stopped = StimulusKind::MapRunStopped { started };
        coordinator.services.courier.deliver_until_taken(parent, stopped).await;
    });
}

impl Coordinator {
    /// Stops a run and waits until it has ended: by its runner, or (after a restart) without one. `last`: attempts that
    /// an event behind this one began are not meant.
    async fn run_ended(&self, parent: ExecutionId, run: &Arn, last: EventId) {
        loop {
            if let Some((attempt, runner)) = self.map_runs.holder(run) {
                if attempt > last {
                    // Redriven since: the attempt that was to be stopped has ended.
                    return;
                }
                if runner.send(RunnerMessage::Event(RunEvent::Stop)).await.is_ok() {
                    runner.closed().await;
                }
            } else if let Claim::Given(_sender, _receiver) = self.map_runs.claim(run, ENDING) {
                let result = children::abandon(&self.services, parent, run).await;
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
            let runs = self.services.catalog.map_runs(execution, after, ROWS_PER_PAGE).await?;
            let Some(last) = runs.last().map(|r| r.arn.clone()) else { return Ok(()) };
            if runs.iter().any(|r| r.stopped.is_none()) {
                // Read after the rows: a run that is in both is not left.
                let state = load::state(&self.services, execution).await?;
                let awaited = |run: &Arn| state.map_runs().any(|view| view.run.arn == *run);
                for run in runs.iter().filter(|r| r.stopped.is_none() && !awaited(&r.arn)) {
                    self.run_ended(execution, &run.arn, state.last_id()).await;
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
        let row = self.services.catalog.map_run(run).await?.ok_or_else(|| MapRunError::DoesNotExist(run.clone()))?;
        let courier = &self.services.courier;
        let partition = courier.partition_of(row.execution);
        if courier.epoch_of(partition).is_some() || !courier.away().has_others() {
            match self.change_map_run_here(run, change).await {
                // It was handed over meanwhile, and nothing was written.
                Err(MapRunError::Engine(EngineError::Store(StoreError::Fenced { .. }))) => {}
                changed => return changed,
            }
        }
        match courier.away().ask(partition, &Word::ChangeMapRun { run: run.clone(), change }).await {
            Ok(Answer::NoMapRun) => Err(MapRunError::DoesNotExist(run.clone())),
            Ok(Answer::MapRunEnded) => Err(MapRunError::Ended(run.clone())),
            Ok(answer) => {
                let changed = answer.into_delivered(row.execution).into_result();
                changed.map(drop).map_err(|error| MapRunError::Engine(error.into()))
            }
            Err(error) => Err(MapRunError::Engine(error.into())),
        }
    }

    /// A child of a run has closed here. Its run may be another node's.
    pub(super) fn child_of_run_closed(&self, run: &Arn, child: ExecutionId, attempt: u32, outcome: &Outcome) {
        let status = runs::ended_status(outcome);
        if self.map_runs.child_closed(run, child, runs::child_status(status), attempt) {
            return;
        }
        if !self.services.courier.away().has_others() {
            return;
        }
        let (services, run) = (Arc::clone(&self.services), run.clone());
        actix_rt::spawn(async move {
            let Ok(Some(row)) = services.catalog.map_run(&run).await else { return };
            let partition = services.courier.partition_of(row.execution);
            if row.stopped.is_none() && services.courier.epoch_of(partition).is_none() {
                services.courier.away().say(partition, &Word::ChildClosed { run, child, status, attempt }).await;
            }
        });
    }

    /// The same where the partition of the run's execution is here.
    pub(super) async fn change_map_run_here(&self, run: &Arn, change: MapRunChange) -> Result<(), MapRunError> {
        let services = &self.services;
        let row = services.catalog.map_run(run).await?.ok_or_else(|| MapRunError::DoesNotExist(run.clone()))?;
        if row.stopped.is_some() {
            return Err(MapRunError::Ended(run.clone()));
        }
        let tenure = services.courier.tenure_over(row.execution).map_err(EngineError::from)?;
        if let Some(runner) = self.map_runs.find(run) {
            let (done, changed) = oneshot::channel();
            if runner.send(RunnerMessage::Changed { change, done }).await.is_ok()
                && let Ok(result) = changed.await
            {
                return Ok(result?);
            }
        }
        // The run is about to begin again and will read its limits from the row. Or it has just ended.
        let row = services.catalog.map_run(run).await?.ok_or_else(|| MapRunError::DoesNotExist(run.clone()))?;
        let mut row = row::Row::from(row);
        if row.is_stopped() {
            return Err(MapRunError::Ended(run.clone()));
        }
        row.set_limits(&change.apply(row.limits()));
        Ok(services.catalog.put_map_run(row.to_store(), tenure).await?)
    }
}
