//! Executions: started, looked at, stopped, redriven.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;

use crate::clock::Timestamp;
use crate::engine::coordination::map_run;
use crate::engine::delivery::start_queue::{self, StartMessage};
use crate::engine::journal::load;
use crate::engine::starting::{self, Origin, StartOutcome};
use crate::engine::types::{Delivered, EngineError, Input, StartRequest, StartedExecution, SyncOutcome};
use crate::ids::Arn;
use crate::interpreter::event::Failure;
use crate::interpreter::state::Outcome;
use crate::interpreter::stimulus::{Rejection, StimulusKind};
use crate::limits::HISTORY_EVENTS_MAX;
use crate::store::{ExecutionRow, MachineType};

use super::handle::EngineHandle;

/// A redrive waits at most so long until the execution's end has been brought to all that it concerns.
const REDRIVE_WAITS: Duration = Duration::from_secs(10);

impl EngineHandle {
    /// Starts an execution; durable when it returns. Same name and input as a running one: that one (standard).
    pub async fn start_execution(&self, request: StartRequest) -> Result<StartedExecution, EngineError> {
        self.start(&request, Origin::Caller).await
    }

    /// Starts an execution that a message asks for: the same message again gives the same execution and the same
    /// answer, also when that execution has closed since. Without a name the message's id is the name. (Express
    /// executions are not idempotent, as AWS's.)
    pub async fn start_by_message(
        &self,
        mut request: StartRequest,
        message_id: Option<&str>,
    ) -> Result<StartedExecution, EngineError> {
        let Some(message_id) = message_id else { return self.start_execution(request).await };
        request.name.get_or_insert_with(|| start_queue::name_of(message_id));
        self.start(&request, Origin::Message).await
    }

    /// Messages that ask for executions, until the engine stops; none where the queue is turned off. One caller.
    pub fn start_messages(&self) -> BoxStream<'static, StartMessage> {
        start_queue::messages(&self.inner.services, &self.inner.parking)
    }

    async fn start(&self, request: &StartRequest, origin: Origin) -> Result<StartedExecution, EngineError> {
        match starting::start(&self.inner.services, request, origin).await? {
            StartOutcome::Started(started) => Ok(started),
            StartOutcome::NameTaken(holder) => {
                let ExecutionRow { header, summary, .. } = *holder;
                // AWS: the same start while it runs. A message may come again after the execution has closed.
                let counts = summary.status.is_open() || origin == Origin::Message;
                if counts && header.input == request.input {
                    return Ok(StartedExecution { arn: header.arn, started: header.started });
                }
                Err(EngineError::ExecutionAlreadyExists(header.arn))
            }
        }
    }

    /// Starts an express execution and waits for its end (at most 5 minutes).
    pub async fn start_sync_execution(&self, request: StartRequest) -> Result<SyncOutcome, EngineError> {
        let services = &self.inner.services;
        let resolved = starting::resolve(services, &request).await?;
        if resolved.kind != MachineType::Express {
            return Err(EngineError::TypeNotSupported { machine: request.machine, kind: resolved.kind });
        }
        let _admitted = services.admit()?;
        starting::run_express(services, &request, &resolved).await
    }

    /// Starts an execution that no other start shares, and waits for its end.
    pub async fn run_execution(&self, request: StartRequest) -> Result<Outcome, EngineError> {
        starting::run_to_end(&self.inner.services, &request).await
    }

    /// Waits until an execution has closed.
    pub async fn await_end(&self, arn: &Arn) -> Result<Outcome, EngineError> {
        let row = self.execution(arn).await?;
        Ok(self.inner.services.courier.await_end(row.header.id).await?)
    }

    /// Stops a running execution; returns when it stopped. A closed one: its stop date, nothing changes.
    pub async fn stop_execution(&self, arn: &Arn, failure: Failure) -> Result<Timestamp, EngineError> {
        let row = self.execution(arn).await?;
        if let Some(closed) = row.summary.closed {
            return Ok(closed.at);
        }
        let services = &self.inner.services;
        match services.courier.deliver(row.header.id, Input::Stimulus(StimulusKind::Stop(failure))).await {
            // It closed in the meantime.
            Delivered::Refused(_) => {
                let row = self.execution(arn).await?;
                Ok(row.summary.closed.map_or_else(|| services.clock.now(), |c| c.at))
            }
            delivered => Ok(delivered.into_result()?.at),
        }
    }

    /// Runs a failed, aborted or timed-out execution on from where it failed; returns when. A client token that redrove
    /// it lately does nothing more ([`Self::redriven_with`]).
    pub async fn redrive_execution(&self, arn: &Arn, token: Option<&str>) -> Result<Timestamp, EngineError> {
        let row = self.redrivable(arn).await?;
        let redrive = StimulusKind::Redrive { token: token.map(Arc::from) };
        match self.inner.services.courier.deliver(row.header.id, Input::Stimulus(redrive)).await {
            Delivered::Refused(why) => {
                // Two requests with one token at once: the other one was first.
                if let Some(token) = token.filter(|_| why == Rejection::Duplicate)
                    && let Some(at) = self.redriven_with(arn, token).await?
                {
                    return Ok(at);
                }
                let why =
                    format!("{} and cannot be redriven", why.to_string().replacen("the execution", "Execution", 1));
                Err(EngineError::NotRedrivable { arn: arn.clone(), why })
            }
            delivered => Ok(delivered.into_result()?.at),
        }
    }

    /// An execution that has closed for good: nothing of its end (children and map runs to stop, a parent to tell) is
    /// under way.
    async fn redrivable(&self, arn: &Arn) -> Result<ExecutionRow, EngineError> {
        let looked_at = self.journaled(arn).await?;
        if looked_at.header.map_run.is_some() {
            let why = "Execution is a child of a Map Run and is redriven with it".to_owned();
            return Err(EngineError::NotRedrivable { arn: arn.clone(), why });
        }
        if looked_at.summary.status.is_open() || !looked_at.summary.owes_parent {
            return Ok(looked_at);
        }
        let settled = self.inner.coordinator.end_settled(looked_at.header.id);
        if tokio::time::timeout(REDRIVE_WAITS, settled).await.is_ok() {
            let row = self.journaled(arn).await?;
            if row.summary.status.is_open() || !row.summary.owes_parent {
                return Ok(row);
            }
        }
        Err(EngineError::Busy(format!(
            "the end of '{arn}' is still under way (its children are being stopped, its parent told); try again"
        )))
    }

    /// When this client token redrove this execution, if it did lately: the answer to a repeated `RedriveExecution`
    /// with. From the journal, so it holds across a restart.
    pub async fn redriven_with(&self, arn: &Arn, token: &str) -> Result<Option<Timestamp>, EngineError> {
        let row = self.journaled(arn).await?;
        if row.summary.redrive_count == 0 {
            return Ok(None);
        }
        let state = load::state(&self.inner.services, row.header.id).await?;
        Ok(state.redriven_with(token, self.inner.services.clock.now()))
    }

    /// True where an execution's history has no room for a redrive. The index counts hidden events too, so most need no
    /// look at it.
    pub async fn history_is_full(&self, row: &ExecutionRow) -> Result<bool, EngineError> {
        if row.version.0 + 1 < HISTORY_EVENTS_MAX {
            return Ok(false);
        }
        let state = load::state(&self.inner.services, row.header.id).await?;
        Ok(state.history_is_full())
    }

    /// The execution with its status, standard or (while remembered) express.
    pub async fn execution(&self, arn: &Arn) -> Result<ExecutionRow, EngineError> {
        if let Some(row) = self.inner.express.row_by_arn(arn).filter(|_| arn.is_express()) {
            return Ok(row);
        }
        let found = self.inner.services.journal.execution_by_arn(arn).await?;
        let mut row = found.ok_or_else(|| EngineError::ExecutionDoesNotExist(arn.clone()))?;
        if row.summary.status.is_unsuccessful()
            && let Some(run) = &row.header.map_run
        {
            let redriven = self.inner.services.catalog.map_run(run).await?.as_ref().and_then(map_run::redriven);
            row.summary.status =
                row.summary.status.of_child(row.summary.closed.as_ref().map(|closing| closing.at), redriven);
        }
        Ok(row)
    }

    /// A standard execution: an express one has neither history nor redrive.
    pub(super) async fn journaled(&self, arn: &Arn) -> Result<ExecutionRow, EngineError> {
        let row = self.execution(arn).await?;
        if arn.is_express() {
            return Err(EngineError::TypeNotSupported {
                machine: row.header.state_machine,
                kind: MachineType::Express,
            });
        }
        Ok(row)
    }
}
