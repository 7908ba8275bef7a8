//! Events of executions on the exchange `reveille.events`, for machines that ask for them (`bus.events`).
//!
//! | event | how sure |
//! |---|---|
//! | the end of an execution | at least once: its row says that it is owed, until the broker has it |
//! | its start and its redrive, events of tasks | at most once: a crash at that moment loses them |
//!
//! The change of an execution's status has the shape that AWS sends to EventBridge ("Step Functions Execution Status
//! Change", AWS developer guide, "Automating Step Functions event delivery with EventBridge").

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::bus::{Address, HeaderValue, Message, Properties, Publication};
use crate::clock::Timestamp;
use crate::engine::services::Services;
use crate::engine::services::redrivable::{self, Execution};
use crate::engine::services::task_identity::message_id;
use crate::engine::types::DeliverError;
use crate::ids::{EventId, ExecutionId, ExecutionKind, TaskKey};
use crate::interpreter::event::{Payload, Started};
use crate::interpreter::state::{Conclusion, Outcome, Phase, State};

/// Bytes of input and output that an event shows (AWS: 248 KiB together).
const DATA_BYTES_MAX: usize = 248 * 1_024;
/// Bytes of a routing key, as AMQP bounds it.
const KEY_BYTES_MAX: usize = 255;

/// Something that happened to a task: `task.scheduled`, `task.succeeded`, `task.failed`, `task.timed_out`.
pub(in crate::engine) struct TaskChange<'a> {
    pub kind: &'static str,
    pub scheduled: EventId,
    pub at: Timestamp,
    pub state: &'a str,
    pub attempt: u32,
    pub error: Option<&'a str>,
}

impl Services {
    /// Events of this execution are published. AWS tells of standard executions only; the children of a map run would
    /// be millions.
    pub fn announces(&self, state: &State) -> bool {
        let events = &self.options.events;
        let has = |s: &Started| s.kind() == ExecutionKind::Standard && events.has(&s.machine_name);
        !events.is_empty() && state.started().is_some_and(|s| has(s))
    }

    /// It began, or goes on by a redrive.
    pub fn announce_start(self: &Arc<Self>, execution: ExecutionId, state: &State) {
        if let Some(started) = state.started() {
            let (to, message) = self.status_change(execution, state, started, None);
            self.publish_best_effort(to, message);
        }
    }

    /// It has ended; returns when the broker has the event.
    pub async fn announce_end(&self, execution: ExecutionId, state: &State) -> Result<(), DeliverError> {
        let (Phase::Closed(outcome), Some(started)) = (state.phase(), state.started()) else { return Ok(()) };
        if !self.announces(state) {
            return Ok(());
        }
        let (to, message) = self.status_change(execution, state, started, Some(outcome));
        match self.bus.publish(to, message).await {
            // Without a binding it goes nowhere, as it should. A refused one would be refused again.
            Ok(Publication::Confirmed | Publication::Unroutable { .. } | Publication::Refused { .. }) => Ok(()),
            Ok(Publication::Nacked) => Err(DeliverError::Busy("the broker did not take its event".to_owned())),
            Err(e) => Err(DeliverError::Busy(e.to_string())),
        }
    }

    pub fn announce_task(self: &Arc<Self>, execution: ExecutionId, started: &Started, change: &TaskChange<'_>) {
        let body = json!({
            "executionArn": started.arn,
            "stateMachineArn": started.machine,
            "stateName": change.state,
            "scheduledEventId": change.scheduled.0,
            "attempt": change.attempt,
            "messageId": message_id(&TaskKey { execution, scheduled: change.scheduled }),
            "time": change.at.iso(),
            "error": change.error,
        });
        let (to, message) = self.event(change.kind, started, Uuid::new_v4(), &body);
        self.publish_best_effort(to, message);
    }

    /// `ended`: `None` where it runs.
    fn status_change(
        &self,
        execution: ExecutionId,
        state: &State,
        started: &Started,
        ended: Option<&Outcome>,
    ) -> (Address, Message) {
        let (kind, status, output, failure) = match ended.map(|outcome| &outcome.result) {
            None => ("execution.running", "RUNNING", None, None),
            Some(Conclusion::Succeeded(output)) => ("execution.succeeded", "SUCCEEDED", Some(output), None),
            Some(Conclusion::Failed(f)) => ("execution.failed", "FAILED", None, Some(f)),
            Some(Conclusion::TimedOut(f)) => ("execution.timed_out", "TIMED_OUT", None, Some(f)),
            Some(Conclusion::Aborted(f)) => ("execution.aborted", "ABORTED", None, Some(f)),
        };
        let (input, output) = (started.input.text(), output.map(Payload::text));
        let fits = input.len() + output.map_or(0, str::len) <= DATA_BYTES_MAX;
        let shown = |there: bool| if there { json!({"included": fits}) } else { Value::Null };
        // The same for every copy of it.
        let number = u64::MAX - 2 * u64::from(state.redrive_count()) - u64::from(ended.is_some());
        let id = message_id(&TaskKey { execution, scheduled: EventId(number) });
        let at = ended.map_or(state.redriven_at().unwrap_or(state.started_at()), |outcome| outcome.at);
        let of = Execution {
            status,
            is_child_of_map_run: started.map_run.is_some(),
            started: state.started_at(),
            closed: ended.map(|outcome| outcome.at),
        };
        let (redrive, because) = match redrivable::status(of, at) {
            ("REDRIVABLE", _) if state.history_is_full() => redrivable::full(),
            said => said,
        };
        let body = json!({
            "version": "0",
            "id": id,
            "detail-type": "Step Functions Execution Status Change",
            "source": "aws.states",
            "account": self.realm.account,
            "time": at.iso(),
            "region": self.realm.region,
            "resources": [started.arn],
            "detail": {
                "executionArn": started.arn,
                "stateMachineArn": started.machine,
                "name": started.name,
                "status": status,
                "startDate": state.started_at().millis(),
                "stopDate": ended.map(|outcome| outcome.at.millis()),
                "input": fits.then_some(input),
                "output": output.filter(|_| fits),
                "inputDetails": shown(true),
                "outputDetails": shown(output.is_some()),
                "error": failure.and_then(|f| f.error.as_deref()),
                "cause": failure.and_then(|f| f.cause.as_deref()),
                "stateMachineVersionArn": started.version_arn,
                "stateMachineAliasArn": started.alias_arn,
                "redriveCount": state.redrive_count(),
                "redriveDate": state.redriven_at().map(Timestamp::millis),
                "redriveStatus": redrive,
                "redriveStatusReason": because,
            },
        });
        self.event(kind, started, id, &body)
    }

    fn event(&self, kind: &'static str, started: &Started, id: Uuid, body: &Value) -> (Address, Message) {
        let routing_key = format!("{kind}.{}", started.machine_name);
        let routing_key = if routing_key.len() > KEY_BYTES_MAX { kind.to_owned() } else { routing_key };
        let properties = Properties {
            content_type: Some("application/json".into()),
            message_id: Some(id.to_string()),
            app_id: Some("reveille".into()),
            kind: Some(kind.into()),
            timestamp: Some(self.clock.now()),
            persistent: true,
            headers: [
                ("execution-arn".into(), HeaderValue::Text(started.arn.to_string())),
                ("state-machine-arn".into(), HeaderValue::Text(started.machine.to_string())),
            ]
            .into(),
            ..Properties::default()
        };
        let to = Address { exchange: self.bus.names().events(), routing_key };
        (to, Message { body: body.to_string().into_bytes(), properties })
    }
}
