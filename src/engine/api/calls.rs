//! The API as tasks call it: the answers of `aws-sdk:sfn:*`.

use futures_util::future::BoxFuture;
use serde_json::Value;
use uuid::Uuid;

use crate::engine::api::EngineHandle;
use crate::engine::execution::effects::{CallError, Calls};
use crate::engine::types::{Completion, CompletionError, EngineError, StartRequest};
use crate::ids::Arn;
use crate::integrations::ChildStart;
use crate::integrations::sfn::{self, Call, Seen};
use crate::store::{ExecutionFilter, ExecutionRow, ExecutionStatus};

impl From<EngineError> for CallError {
    fn from(e: EngineError) -> Self {
        if e.is_passing() {
            return Self::Passing(e.to_string());
        }
        let (code, message) = match &e {
            EngineError::ExecutionDoesNotExist(_) => ("ExecutionDoesNotExist", e.to_string()),
            e => (e.aws_code(), e.to_string()),
        };
        Self::Failed(sfn::refused(code, &message, Uuid::new_v4()))
    }
}

impl From<CompletionError> for CallError {
    fn from(e: CompletionError) -> Self {
        let code = match e {
            CompletionError::Engine(e) => return e.into(),
            CompletionError::InvalidToken => "InvalidToken",
            CompletionError::Closed => "TaskTimedOut",
            CompletionError::Unknown => "TaskDoesNotExist",
        };
        Self::Failed(sfn::refused(code, &e.to_string(), Uuid::new_v4()))
    }
}

impl Calls for EngineHandle {
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Value, CallError>> {
        Box::pin(answer(self.clone(), call))
    }
}

async fn answer(engine: EngineHandle, call: Call) -> Result<Value, CallError> {
    match call {
        Call::SendTaskSuccess { token, output } => {
            engine.complete_task(&token, Completion::Success(output), None).await?;
            Ok(sfn::nothing())
        }
        Call::SendTaskFailure { token, failure } => {
            engine.complete_task(&token, Completion::Failure(failure), None).await?;
            Ok(sfn::nothing())
        }
        Call::SendTaskHeartbeat { token } => {
            engine.complete_task(&token, Completion::Heartbeat, None).await?;
            Ok(sfn::nothing())
        }
        Call::StartExecution(ChildStart { machine, name, input, trace_header, .. }) => {
            let request = StartRequest { machine, name: Some(name), input, trace_header };
            let started = engine.start_execution(request).await?;
            Ok(sfn::started(&started.arn, started.started))
        }
        Call::DescribeExecution { execution } => {
            let row = engine.journaled(&execution).await?;
            let (status, why) = engine.redrive_status(&row).await?;
            let seen = Seen { redrive_status: Some((status, why.as_deref())), ..seen(&row) };
            Ok(sfn::described(&seen))
        }
        Call::StopExecution { execution, failure } => {
            let at = engine.stop_execution(&execution, failure).await?;
            Ok(sfn::stopped(at))
        }
        Call::ListExecutions { machine, map_run, status, most } => list(&engine, machine, map_run, status, most).await,
    }
}

async fn list(
    engine: &EngineHandle,
    machine: Option<Arn>,
    map_run: Option<Arn>,
    status: Option<String>,
    most: u32,
) -> Result<Value, CallError> {
    if let Some(arn) = &machine {
        let found = engine.catalog().machine(arn).await.map_err(EngineError::from)?;
        found.ok_or_else(|| EngineError::MachineDoesNotExist(arn.clone()))?;
    }
    let filter = ExecutionFilter {
        state_machine: machine,
        map_run,
        status: status.as_deref().and_then(ExecutionStatus::parse),
        limit: most,
        brief: true,
        ..ExecutionFilter::default()
    };
    let rows = engine.journal().list(filter).await.map_err(EngineError::from)?;
    Ok(sfn::listed(&rows.iter().map(seen).collect::<Vec<_>>()))
}

fn seen(row: &ExecutionRow) -> Seen<'_> {
    let (header, summary) = (&row.header, &row.summary);
    let closed = summary.closed.as_ref();
    Seen {
        arn: &header.arn,
        machine: &header.state_machine,
        name: &header.name,
        status: summary.status.as_str(),
        input: &header.input,
        output: closed.and_then(|c| c.output.as_deref()),
        error: closed.and_then(|c| c.error.as_deref()),
        cause: closed.and_then(|c| c.cause.as_deref()),
        started: header.started,
        stopped: closed.map(|c| c.at),
        redrive_count: summary.redrive_count,
        redriven: summary.redriven_at,
        redrive_status: None,
        version: header.version_arn.as_ref(),
        alias: header.alias_arn.as_ref(),
        map_run: header.map_run.as_ref(),
        trace_header: header.trace_header.as_deref(),
    }
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;
