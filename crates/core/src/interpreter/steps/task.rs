//! Task: scheduled here, worked on outside, ended by a reply, a timeout or the broker's word.

use std::sync::Arc;

use crate::asl::model::{Quantity, State, Task};
use crate::asl::resource::{Pattern, ResourceKind};
use crate::interpreter::command::Command;
use crate::interpreter::dataflow::{self, EvalError, Extra};
use crate::interpreter::decide::Decider;
use crate::interpreter::event::{By, Event, Failure, FrameId, Payload, TaskFamily, TaskScheduled};
use crate::interpreter::size;
use crate::interpreter::state::OpenTask;
use crate::interpreter::test_state::Stage;
use crate::trace::SpanContext;

use super::{check_size, data_limit, effective_input};

/// Evaluates the fields of the task and schedules it. From then on the shell owes its dispatch.
pub(in crate::interpreter) fn enter(
    d: &mut Decider<'_>,
    frame: FrameId,
    state: &State,
    task: &Task,
) -> Result<(), EvalError> {
    let input = effective_input(d, frame, state)?;
    // The token is a function of the event that schedules the task, which is the next one.
    let token = token_in_context(task).then(|| d.next_id());
    let (scope, entropy) = d.scope(frame, &input, token);
    let parameters = match &task.parameters {
        Some(t) => {
            let field = if matches!(state.language, crate::asl::model::QueryLanguage::Jsonata) {
                "Arguments"
            } else {
                "Parameters"
            };
            dataflow::payload(t, field, &scope, Extra::default(), entropy)?
        }
        None => Payload::clone(&input),
    };
    let timeout_seconds = seconds(task.timeout.as_ref(), "TimeoutSeconds", &scope, entropy)?;
    let heartbeat_seconds = seconds(task.heartbeat.as_ref(), "HeartbeatSeconds", &scope, entropy)?;
    let credentials = match &task.credentials {
        Some(t) => Some(dataflow::payload(t, "Credentials", &scope, Extra::default(), entropy)?),
        None => None,
    };
    let family = family(task);
    let what = limited(&family, &task.resource.arn);
    check_size(what, &parameters)?;
    if let Some(credentials) = &credentials {
        check_size(what, credentials)?;
    }
    d.observe(Stage::Parameters, &parameters);
    let scheduled = d.emit(
        frame,
        Event::TaskScheduled(Box::new(TaskScheduled {
            family: family.clone(),
            resource: Arc::clone(&task.resource.arn),
            parameters,
            timeout_seconds,
            heartbeat_seconds,
            credentials,
        })),
    );
    // 0: the history was full, and the execution has failed instead.
    if scheduled.0 != 0 {
        d.command(Command::Dispatch { scheduled });
    }
    Ok(())
}

/// `TimeoutSeconds` and `HeartbeatSeconds`: at least 1 where they are computed.
fn seconds(
    field: Option<&Quantity>,
    name: &str,
    roots: &dyn crate::query::Roots,
    entropy: &mut crate::query::Entropy,
) -> Result<Option<u64>, EvalError> {
    let n = dataflow::whole(field, name, roots, entropy)?;
    match field {
        Some(q) if n == Some(0) => Err(dataflow::no_positive_integer(q, name, &0.into())),
        _ => Ok(n),
    }
}

/// AWS offers `$$.Task.Token` to callbacks, and to `.sync` tasks, whose job may end by token too.
fn token_in_context(task: &Task) -> bool {
    matches!(
        task.resource.kind,
        ResourceKind::Service { pattern: Pattern::WaitForTaskToken | Pattern::Sync | Pattern::Sync2, .. }
    )
}

fn family(task: &Task) -> TaskFamily {
    match &task.resource.kind {
        ResourceKind::LambdaFunction { .. } => TaskFamily::Lambda,
        ResourceKind::Activity { .. } => TaskFamily::Activity,
        ResourceKind::Service { service, .. } => TaskFamily::Service {
            resource_type: service.as_str().into(),
            resource: task.resource.resource_name().into(),
        },
    }
}

/// The name that AWS gives where a task is over a limit: the service of an integration, else the ARN (recorded:
/// `lambda`, and a function's ARN).
fn limited<'a>(family: &'a TaskFamily, arn: &'a str) -> &'a str {
    match family {
        TaskFamily::Service { resource_type, .. } => resource_type,
        TaskFamily::Lambda | TaskFamily::Activity => arn,
    }
}

/// Callbacks and jobs show `TaskSubmitted`; for the others being published is a hidden fact.
pub(in crate::interpreter) fn shows_submission(task: &TaskScheduled) -> bool {
    match &task.family {
        TaskFamily::Service { resource, .. } => {
            [Pattern::WaitForTaskToken, Pattern::Sync, Pattern::Sync2].iter().any(|p| resource.ends_with(p.suffix()))
        }
        TaskFamily::Lambda | TaskFamily::Activity => false,
    }
}

/// The failure of a task whose worker answered with more than a payload may hold; `None` for a callback, whose token is
/// still good.
///
/// An activity's worker and a callback's speak through `SendTaskSuccess`, which refuses such an output
/// (`ValidationException`); a request's answer is the service's, and fails the task. Source: the API's model, and
/// executions recorded on AWS.
pub(in crate::interpreter) fn overflow(task: &OpenTask) -> Option<Failure> {
    let details = &task.details;
    let said = || data_limit(limited(&details.family, &details.resource), size::Excess::Bytes);
    (!answers_by_token(task)).then(|| Failure::new("States.DataLimitExceeded", said()))
}

/// Its worker may answer again where an answer was refused; a request has one answer.
pub(in crate::interpreter) fn answers_by_token(task: &OpenTask) -> bool {
    match &task.details.family {
        TaskFamily::Activity => true,
        TaskFamily::Lambda => false,
        TaskFamily::Service { resource, .. } => resource.ends_with(Pattern::WaitForTaskToken.suffix()),
    }
}

/// A worker's result: too large is a failure (AWS: `States.DataLimitExceeded`), else the task has succeeded.
pub(in crate::interpreter) fn take_result(
    d: &mut Decider<'_>,
    frame: FrameId,
    task: &OpenTask,
    output: Payload,
    by: Option<Box<By>>,
    link: Option<Box<SpanContext>>,
) {
    let (family, scheduled) = (task.details.family.clone(), task.scheduled);
    let event = match size::of(&output) {
        Ok(_) => Event::TaskSucceeded { family, scheduled, output, by, link },
        Err(excess) => {
            let failure = Failure::new(
                "States.DataLimitExceeded",
                data_limit(limited(&task.details.family, &task.details.resource), excess),
            );
            Event::TaskFailed { family, scheduled, failure, by, link }
        }
    };
    d.emit(frame, event);
}
