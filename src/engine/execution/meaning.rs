//! The meaning of an answer: the resource of a task says how it wants to see the word of a worker or the end of a
//! child.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::engine::types::Completion;
use crate::ids::EventId;
use crate::integrations::{self, Answer};
use crate::interpreter::event::{By, Payload};
use crate::interpreter::stimulus::StimulusKind;
use crate::store::ExecutionRow;
use crate::trace::SpanContext;

use super::actor::ExecutionActor;

impl ExecutionActor {
    /// A worker's answer, in the shape of the task's service.
    pub(super) fn meaning(
        &self,
        scheduled: EventId,
        completion: Completion,
        (by, link): (Option<Box<By>>, Option<Box<SpanContext>>),
        at: Timestamp,
    ) -> StimulusKind {
        let details = self.state.task(scheduled).ok().map(|t| Arc::clone(&t.task.details));
        let resource = details.as_ref().and_then(|details| self.host.resource(&details.resource));
        match completion {
            Completion::Heartbeat => StimulusKind::TaskHeartbeat { scheduled },
            Completion::Success(output) => {
                let answer = match &resource {
                    Some(resource) => integrations::answer(resource, &self.services.table, output),
                    None => Answer::Result(output),
                };
                let output = match answer {
                    Answer::Result(output) => output,
                    Answer::Failure(failure) => return StimulusKind::TaskFailed { scheduled, failure, by, link },
                    Answer::Working => return StimulusKind::TaskHeartbeat { scheduled },
                };
                let output = match (resource, details) {
                    (Some(resource), Some(details)) => {
                        integrations::result(&resource, &details.parameters, output, at, uuid::Uuid::new_v4())
                    }
                    _ => output,
                };
                StimulusKind::TaskSucceeded { scheduled, output, by, link }
            }
            Completion::Unreadable { why } => {
                let failure = integrations::unreadable(resource.as_deref(), why);
                StimulusKind::TaskUnreadable { scheduled, failure }
            }
            Completion::Failure(failure) => {
                let failure = match resource {
                    Some(resource) => integrations::failure(&resource, failure),
                    None => failure,
                };
                StimulusKind::TaskFailed { scheduled, failure, by, link }
            }
        }
    }

    /// The end of a child, in the shape that the task's resource asks for.
    pub(super) fn child_result(&self, scheduled: EventId, child: &ExecutionRow) -> StimulusKind {
        let details = self.state.task(scheduled).ok().map(|view| &view.task.details.resource);
        let as_json = details
            .and_then(|resource| self.host.resource(resource))
            .is_some_and(|resource| resource.resource_name().ends_with(".sync:2"));
        let closing = child.summary.closed.as_ref();
        let child = integrations::Child {
            arn: &child.header.arn,
            machine: &child.header.state_machine,
            name: &child.header.name,
            status: child.summary.status.as_str(),
            input: &child.header.input,
            output: closing.and_then(|c| c.output.as_deref()),
            error: closing.and_then(|c| c.error.as_deref()),
            cause: closing.and_then(|c| c.cause.as_deref()),
            started: child.header.started,
            stopped: closing.map_or(child.header.started, |c| c.at),
            redrive_count: child.summary.redrive_count,
            redriven: child.summary.redriven_at,
            version: child.header.version_arn.as_ref(),
            alias: child.header.alias_arn.as_ref(),
        };
        match integrations::child_result(&child, as_json) {
            Ok(output) => StimulusKind::TaskSucceeded { scheduled, output: Payload::new(output), by: None, link: None },
            Err(failure) => StimulusKind::TaskFailed { scheduled, failure, by: None, link: None },
        }
    }
}
