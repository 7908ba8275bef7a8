//! The history that the API shows: journal entries as AWS's `HistoryEvent`s.
//!
//! Shapes are those of AWS's model and of histories recorded on AWS: details are always present where the model has
//! them, data fields carry `…Details: {"truncated": false}`, payloads are compact JSON texts.

use serde_json::{Map, Value, json};

use crate::ids::Arn;
use crate::interpreter::event::{Entry, Event, Failure, StateType, TaskFamily, TaskScheduled};

/// Options for showing a history.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// `includeExecutionData`: without it inputs, outputs and variables are left out.
    pub data: bool,
    /// The parameters of a `TaskScheduled`: AWS leaves them in a history without data, and a log has it only with them.
    pub parameters: bool,
    /// The region that `TaskScheduled` shows.
    pub region: &'a str,
}

/// An entry as AWS shows it; `None` where AWS has no such event.
pub fn render(entry: &Entry, view: View<'_>) -> Option<Value> {
    if entry.event.is_hidden() {
        return None;
    }
    let (name, details) = event(&entry.event, view)?;
    let mut shown = Map::new();
    shown.insert("timestamp".into(), json!(entry.at.epoch_seconds()));
    shown.insert("type".into(), name.into());
    shown.insert("id".into(), entry.id.0.into());
    shown.insert("previousEventId".into(), entry.previous.0.into());
    if let Some((key, details)) = details {
        shown.insert(key, Value::Object(details.0));
    }
    Some(Value::Object(shown))
}

/// The member that holds the details of an event, and the details.
type Named = Option<(String, Details)>;

/// `…EventDetails` being built.
#[derive(Default)]
struct Details(Map<String, Value>);

impl Details {
    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.into(), value.into());
        self
    }

    fn maybe(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// `input` or `output`, as a JSON text.
    fn data(self, key: &str, payload: &Value, view: View<'_>) -> Self {
        if !view.data {
            return self;
        }
        self.with(key, payload.to_string()).with(&format!("{key}Details"), json!({"truncated": false}))
    }

    fn failure(self, failure: &Failure) -> Self {
        self.maybe("error", failure.error.as_deref()).maybe("cause", failure.cause.as_deref())
    }

    /// The two members with the service that a task calls.
    fn of(self, family: &TaskFamily) -> Self {
        match family {
            TaskFamily::Service { resource_type, resource } => {
                self.with("resourceType", &**resource_type).with("resource", &**resource)
            }
            TaskFamily::Lambda | TaskFamily::Activity => self,
        }
    }
}

/// The common case: the details are named after the event.
fn named(name: &str, details: Details) -> (String, Details) {
    let mut key = name.to_owned();
    if let Some(first) = key.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    key.push_str("EventDetails");
    (key, details)
}

fn event(event: &Event, view: View<'_>) -> Option<(String, Named)> {
    let details = Details::default;
    let own = |name: &str, details: Details| Some((name.to_owned(), Some(named(name, details))));
    let bare = |name: &str| Some((name.to_owned(), None));
    match event {
        Event::ExecutionStarted(started) => own(
            "ExecutionStarted",
            details()
                .data("input", &started.input, view)
                .with("roleArn", &*started.role_arn)
                .maybe("stateMachineAliasArn", started.alias_arn.as_ref().map(Arn::as_str))
                .maybe("stateMachineVersionArn", started.version_arn.as_ref().map(Arn::as_str)),
        ),
        Event::ExecutionSucceeded { output } => own("ExecutionSucceeded", details().data("output", output, view)),
        Event::ExecutionFailed(failure) => own("ExecutionFailed", details().failure(failure)),
        // Recorded: the event names the error, the execution's description does not.
        Event::ExecutionTimedOut(failure) => {
            let error = failure.error.as_deref().unwrap_or("States.Timeout");
            own("ExecutionTimedOut", details().with("error", error).maybe("cause", failure.cause.as_deref()))
        }
        Event::ExecutionAborted(failure) => own("ExecutionAborted", details().failure(failure)),
        Event::ExecutionRedriven { redrive_count, .. } => {
            own("ExecutionRedriven", details().with("redriveCount", *redrive_count))
        }

        Event::StateEntered { kind, name, input } => {
            let details = details().with("name", &**name).data("input", input, view);
            Some((format!("{}StateEntered", kind.as_str()), Some(("stateEnteredEventDetails".into(), details))))
        }
        Event::StateExited { kind, name, output, assigned, .. } => {
            let mut details = details().with("name", &**name).data("output", output, view);
            if let Some(assigned) = assigned.as_deref().filter(|assigned| !assigned.is_empty() && view.data) {
                let texts: Map<String, Value> =
                    assigned.iter().map(|(name, value)| (name.clone(), value.to_string().into())).collect();
                details = details
                    .with("assignedVariables", texts)
                    .with("assignedVariablesDetails", json!({"truncated": false}));
            }
            Some((format!("{}StateExited", kind.as_str()), Some(("stateExitedEventDetails".into(), details))))
        }
        // AWS has this event only for states that can wait.
        Event::StateAborted {
            kind: kind @ (StateType::Task | StateType::Wait | StateType::Parallel | StateType::Map),
        } => bare(&format!("{}StateAborted", kind.as_str())),
        Event::EvaluationFailed { error, cause, location, state } => own(
            "EvaluationFailed",
            details()
                .with("error", error.as_str())
                .with("cause", cause.as_str())
                .maybe("location", location.as_deref())
                .with("state", &**state),
        ),

        Event::TaskScheduled(scheduled) => Some(task_scheduled(scheduled, view)),
        Event::TaskStarted { family: TaskFamily::Lambda, .. } => bare("LambdaFunctionStarted"),
        Event::TaskStarted { family: TaskFamily::Activity, worker_name, .. } => {
            own("ActivityStarted", details().maybe("workerName", worker_name.as_deref()))
        }
        Event::TaskStarted { family, .. } => own("TaskStarted", details().of(family)),
        Event::TaskStartFailed { family, failure, .. } => {
            let name = match family {
                TaskFamily::Lambda => "LambdaFunctionStartFailed",
                TaskFamily::Activity => "ActivityScheduleFailed",
                TaskFamily::Service { .. } => "TaskStartFailed",
            };
            own(name, details().of(family).failure(failure))
        }
        Event::TaskSubmitted { family: family @ TaskFamily::Service { .. }, output, .. } => {
            own("TaskSubmitted", details().of(family).data("output", output, view))
        }
        Event::TaskSubmitFailed { family, failure, .. } => {
            let name = match family {
                TaskFamily::Lambda => "LambdaFunctionScheduleFailed",
                TaskFamily::Activity => "ActivityScheduleFailed",
                TaskFamily::Service { .. } => "TaskSubmitFailed",
            };
            own(name, details().of(family).failure(failure))
        }
        Event::TaskSucceeded { family, output, .. } => {
            own(&outcome(family, "Succeeded"), details().of(family).data("output", output, view))
        }
        Event::TaskFailed { family, failure, .. } => {
            own(&outcome(family, "Failed"), details().of(family).failure(failure))
        }
        Event::TaskTimedOut { family, failure, .. } => {
            own(&outcome(family, "TimedOut"), details().of(family).failure(failure))
        }

        Event::ParallelStarted { .. } => bare("ParallelStateStarted"),
        Event::ParallelSucceeded => bare("ParallelStateSucceeded"),
        Event::ParallelFailed => bare("ParallelStateFailed"),
        Event::MapStarted(started) => own("MapStateStarted", details().with("length", started.length)),
        Event::MapSucceeded => bare("MapStateSucceeded"),
        Event::MapFailed => bare("MapStateFailed"),
        Event::MapIterationStarted { name, index, .. } => own("MapIterationStarted", iteration(name, *index)),
        Event::MapIterationSucceeded { name, index } => own("MapIterationSucceeded", iteration(name, *index)),
        Event::MapIterationFailed { name, index } => own("MapIterationFailed", iteration(name, *index)),
        Event::MapIterationAborted { name, index } => own("MapIterationAborted", iteration(name, *index)),

        Event::MapRunStarted { arn, .. } => own("MapRunStarted", details().with("mapRunArn", arn.as_str())),
        Event::MapRunSucceeded { .. } => bare("MapRunSucceeded"),
        Event::MapRunFailed(failure) => own("MapRunFailed", details().failure(failure)),
        Event::MapRunRedriven { arn, redrive_count } => {
            own("MapRunRedriven", details().with("mapRunArn", arn.as_str()).with("redriveCount", *redrive_count))
        }

        // Our own events, and pairs without an event on AWS.
        Event::StateAborted { .. }
        | Event::TaskSubmitted { .. }
        | Event::StateFailed(_)
        | Event::RetryScheduled { .. }
        | Event::WaitScheduled { .. }
        | Event::WaitEnded
        | Event::TaskPublished { .. }
        | Event::TaskHeartbeat { .. }
        | Event::ForkFailed(_)
        | Event::MapRunStopped { .. }
        | Event::ChildStopped { .. }
        | Event::ExecutionFollowed { .. } => None,
    }
}

fn outcome(family: &TaskFamily, ending: &str) -> String {
    let head = match family {
        TaskFamily::Lambda => "LambdaFunction",
        TaskFamily::Activity => "Activity",
        TaskFamily::Service { .. } => "Task",
    };
    format!("{head}{ending}")
}

fn iteration(name: &str, index: u64) -> Details {
    Details::default().with("name", name).with("index", index)
}

fn task_scheduled(scheduled: &TaskScheduled, view: View<'_>) -> (String, Named) {
    let details = Details::default();
    let (name, details) = match &scheduled.family {
        TaskFamily::Lambda => (
            "LambdaFunctionScheduled",
            details.with("resource", &*scheduled.resource).data("input", &scheduled.parameters, view),
        ),
        TaskFamily::Activity => (
            "ActivityScheduled",
            details
                .with("resource", &*scheduled.resource)
                .data("input", &scheduled.parameters, view)
                .maybe("heartbeatInSeconds", scheduled.heartbeat_seconds),
        ),
        family @ TaskFamily::Service { .. } => (
            "TaskScheduled",
            details
                .of(family)
                .with("region", view.region)
                .maybe("parameters", view.parameters.then(|| scheduled.parameters.to_string()))
                .maybe("heartbeatInSeconds", scheduled.heartbeat_seconds),
        ),
    };
    let details = details.maybe("timeoutInSeconds", scheduled.timeout_seconds);
    let role = scheduled.credentials.as_deref().and_then(|c| c.get("RoleArn").or_else(|| c.get("roleArn")));
    let details = match (&scheduled.family, role) {
        (TaskFamily::Lambda | TaskFamily::Service { .. }, Some(role)) => {
            details.with("taskCredentials", json!({ "roleArn": role }))
        }
        _ => details,
    };
    (name.into(), Some(named(name, details)))
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
