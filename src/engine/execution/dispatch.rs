//! Effects: tasks go out, and the answers of the bus come back as stimuli.

use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use futures_util::future::join_all;
use uuid::Uuid;

use crate::asl::resource::{Resource, ResourceKind};
use crate::bus::envelope::{TaskKind, TaskMessage};
use crate::bus::{Address, BusError, DeclareQueues, HeaderValue, Message, Properties, Publication};
use crate::clock::Timestamp;
use crate::engine::execution::actor::{ExecutionActor, InFlight};
use crate::engine::services::admission::pause_after;
use crate::engine::services::task_identity::{INBOX, message_id, place};
use crate::engine::services::{Services, entropy};
use crate::engine::types::EngineError;
use crate::engine::types::StartRequest;
use crate::engine::types::stand_in::{Asked, Word};
use crate::ids::{Arn, EventId, TaskKey};
use crate::integrations::{self, ChildStart, ChildWait, CompletesOn, Outgoing, Plan, PlanContext, Publishing};
use crate::interpreter::command::CancelReason;
use crate::interpreter::event::{Failure, Payload};
use crate::interpreter::stimulus::StimulusKind;
use crate::telemetry::task_log::Face;

/// A task whose messages are on the way to the broker.
struct Sent {
    scheduled: EventId,
    resource: Rc<Resource>,
    publishing: Publishing,
    receipt: Payload,
    /// The broker's confirm ends the task.
    completes: bool,
    request_id: Uuid,
    at: Timestamp,
}

impl ExecutionActor {
    /// Sends a task out. Doing it again sends the same messages with the same token.
    pub(in crate::engine) fn dispatch(&mut self, scheduled: EventId, ctx: &mut Context<Self>) {
        let Ok(view) = self.state.task(scheduled) else { return };
        let details = Arc::clone(&view.task.details);
        let Some(started) = self.state.started().map(Arc::clone) else { return };
        let key = TaskKey { execution: self.id, scheduled };
        if let Some(stand_in) = &self.services.options.stand_in {
            let (frame, state) = (view.frame, &*view.visit.name);
            match stand_in.word(Asked { execution: self.id, frame, state, resource: &details.resource }) {
                Word::Answer(completion) => {
                    let meaning = self.meaning(scheduled, completion, (None, None), self.services.clock.now());
                    return self.enqueue(ctx, meaning);
                }
                Word::Withhold => return,
                Word::Send => {}
            }
        }
        let Some(resource) = self.host.resource(&details.resource) else {
            let failure =
                Failure::new("States.Runtime", format!("The resource '{}' cannot be called", details.resource));
            self.enqueue(ctx, StimulusKind::DispatchFailed { scheduled, failure });
            return;
        };
        let context = PlanContext {
            realm: &self.services.realm,
            table: &self.services.table,
            names: self.services.bus.names(),
            message_id: message_id(&key),
            at: view.task.scheduled_at,
            execution: &started.arn,
            machine: &started.machine,
        };
        match integrations::plan(&resource, &details.parameters, &context) {
            Err(failure) => self.enqueue(ctx, StimulusKind::DispatchFailed { scheduled, failure }),
            Ok(Plan::Publish(publishing)) => self.publish(key, resource, publishing, ctx),
            Ok(Plan::Activity { queue, body, .. }) => {
                let message = to_queue(queue, body, message_id(&key));
                let publishing =
                    Publishing { messages: vec![message], completes_on: CompletesOn::Reply, failure: None };
                self.publish(key, resource, publishing, ctx);
            }
            Ok(plan @ Plan::StartExecution(_)) => self.start_child(key, resource, plan, ctx),
            Ok(Plan::Call(call)) => self.call(key, call, ctx),
        }
    }

    fn publish(&mut self, key: TaskKey, resource: Rc<Resource>, publishing: Publishing, ctx: &mut Context<Self>) {
        let scheduled = key.scheduled;
        let now = self.services.clock.now();
        let request_id = Uuid::new_v4();
        let completes = publishing.completes_on == CompletesOn::Confirm && !resource.waits_for_token();
        let plan = Plan::Publish(publishing);
        let receipt = integrations::receipt(&resource, &plan, None, now, request_id);
        let Plan::Publish(mut publishing) = plan else { return };
        // The rest of them names their destination.
        for message in &mut publishing.messages {
            self.add_link(&key, message);
        }
        let kind = if resource.waits_for_token() { TaskKind::Callback } else { TaskKind::Request };
        let messages: Vec<(Address, Message)> = publishing
            .messages
            .iter_mut()
            .map(|m| (m.address.clone(), self.envelope(&key, m, kind, !completes && !m.is_notice)))
            .collect();
        if !completes {
            self.in_flight.push(InFlight { scheduled, receipt: Payload::clone(&receipt), confirmed: false });
        }
        if !messages.is_empty() {
            self.services.metrics.task_published();
        }
        if tracing::enabled!(tracing::Level::INFO) {
            let place = publishing.messages.first().map_or_else(|| INBOX.to_owned(), |m| place(&m.address));
            self.observer(&[], Face::Engine).task(scheduled, |log, _| log.published(&place));
        }
        let services = Arc::clone(&self.services);
        let is_activity = matches!(resource.kind, ResourceKind::Activity { .. });
        let permit = services.publishing(messages.iter().map(|(_, message)| message.body.len()).sum());
        let published = async move {
            let _permit = permit;
            let publish = async |(to, message)| {
                if is_activity {
                    services.activities.offer(&*services.bus, to, message).await
                } else {
                    services.bus.publish(to, message).await
                }
            };
            let mut messages = messages;
            // Nearly always there is one.
            match messages.pop() {
                Some(only) if messages.is_empty() => vec![publish(only).await],
                last => join_all(messages.into_iter().chain(last).map(publish)).await,
            }
        };
        let sent = Sent { scheduled, resource, publishing, receipt, completes, request_id, at: now };
        self.operations_open += 1;
        ctx.spawn(published.into_actor(self).map(move |outcomes, actor, ctx| {
            actor.operations_open -= 1;
            actor.published(sent, outcomes, ctx);
        }));
    }

    /// Adds the approval link that a message is to carry: the same at every dispatch.
    fn add_link(&self, key: &TaskKey, message: &mut Outgoing) {
        let Some(wish) = message.link.take() else { return };
        let (Ok(view), Some(started)) = (self.state.task(key.scheduled), self.state.started()) else { return };
        let maker = format!("state machine {}", started.machine.last());
        let (at, deadline) = (view.task.scheduled_at, view.task.deadline());
        let (code, until) = self.services.link(*key, wish.actions, &wish.audience, &maker, at, wish.seconds, deadline);
        if let Ok(mut body) = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&message.body) {
            body.insert("Link".to_owned(), self.services.link_address(&code).into());
            body.insert("LinkFor".to_owned(), wish.audience.into());
            body.insert("LinkUntil".to_owned(), until.iso().into());
            message.body = serde_json::Value::Object(body).to_string().into_bytes();
        }
    }

    /// The broker's outcome of each of a task's messages.
    fn published(&mut self, sent: Sent, outcomes: Vec<Result<Publication, BusError>>, ctx: &mut Context<Self>) {
        let Sent { scheduled, resource, publishing, receipt, completes, request_id, at: now } = sent;
        let mut failure = publishing.failure.clone();
        for (message, outcome) in publishing.messages.iter().zip(outcomes) {
            match outcome {
                Ok(publication) => {
                    let place = place(&message.address);
                    if let Some(f) =
                        integrations::refusal(&resource, message, &publication, &self.services.realm, request_id)
                    {
                        // An owner who has set `never` gets AWS's words alone.
                        let f = match self.services.options.declare_queues {
                            DeclareQueues::Never => f,
                            _ => integrations::with_remedy(f, message, &publication),
                        };
                        self.services.metrics.task_returned(returned(&publication));
                        let (error, reason) =
                            (f.error.clone().unwrap_or_default(), f.cause.clone().unwrap_or_default());
                        self.observer(&[], Face::Engine)
                            .task(scheduled, |log, _| log.returned(&place, &error, &reason));
                        failure = Some(f);
                    } else {
                        self.services.metrics.task_confirmed();
                        if tracing::enabled!(tracing::Level::INFO) {
                            let took = self.services.clock.now().since(now);
                            self.observer(&[], Face::Engine).task(scheduled, |log, _| log.confirmed(&place, took));
                        }
                    }
                }
                // The bus is closing: the task stays owed, the next start sends it.
                Err(_) => return,
            }
        }
        if let Some(failure) = failure {
            self.in_flight.retain(|f| f.scheduled != scheduled);
            self.enqueue(ctx, StimulusKind::DispatchFailed { scheduled, failure });
        } else if completes {
            self.enqueue(ctx, StimulusKind::Dispatched { scheduled, receipt, completes });
        } else if let Some(sent) = self.in_flight.iter_mut().find(|f| f.scheduled == scheduled) {
            // Written with the reply if that comes soon: one append less. A crash until then publishes once more, with
            // the same token.
            sent.confirmed = true;
            self.defer();
        }
    }

    /// The message as it goes out. Its large parts are taken from `message`.
    fn envelope(&self, key: &TaskKey, message: &mut Outgoing, kind: TaskKind, expects_reply: bool) -> Message {
        let Ok(view) = self.state.task(key.scheduled) else { return Message::default() };
        let started = self.state.started();
        let deadline = view.task.deadline();
        let now = self.services.clock.now();
        let left = deadline.map(|d| d.since(now));
        let expiration = match (left, message.expiration) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let (traceparent, tracestate) = self.task_context(key.scheduled);
        let mut task = TaskMessage {
            body: std::mem::take(&mut message.body),
            content_type: Some(std::mem::take(&mut message.content_type)),
            token: expects_reply.then(|| self.services.token(key)),
            task_kind: kind,
            resource: view.task.details.resource.to_string(),
            heartbeat_seconds: view.task.details.heartbeat_seconds,
            reply_to: expects_reply.then(|| self.host.reply_queue().to_owned()),
            message_id: message.message_id.to_string(),
            at: now,
            execution: self.arn().clone(),
            state_machine: started.map_or_else(|| Arn::new(""), |s| s.machine.clone()),
            state_name: view.visit.name.to_string(),
            attempt: view.visit.retry_count() + 1,
            deadline,
            expiration,
            traceparent: Some(traceparent.to_string()),
            tracestate,
            priority: message.priority,
            user_id: message.user_id.clone(),
            kind: message.kind.clone(),
            headers: std::mem::take(&mut message.headers),
        };
        if !expects_reply {
            task.reply_to.clone_from(&message.reply_to);
        }
        let mut out = task.into_message(self.services.options.task_headers);
        if !expects_reply {
            out.properties.correlation_id.clone_from(&message.correlation_id);
        }
        out
    }

    /// Dispatches a task once more, after a pause that grows with the time that it has waited.
    pub(in crate::engine) fn dispatch_again(&mut self, scheduled: EventId, ctx: &mut Context<Self>) {
        let Ok(view) = self.state.task(scheduled) else { return };
        let waited = self.services.clock.now().since(view.task.scheduled_at);
        self.operations_open += 1;
        ctx.run_later(pause_after(waited, entropy::unit()), move |actor, ctx| {
            actor.operations_open -= 1;
            actor.dispatch(scheduled, ctx);
        });
    }

    /// The start of this task's child has waited for room long enough.
    fn gives_up(&self, scheduled: EventId) -> bool {
        let waited = |at| self.services.clock.now().since(at);
        self.state.task(scheduled).is_ok_and(|view| self.services.child_gives_up(waited(view.task.scheduled_at)))
    }

    /// The nesting depth of an execution that this task starts. It depends on the journal alone: the same whenever it
    /// is asked.
    fn depth_below(&self, scheduled: EventId, wait: ChildWait) -> u32 {
        let Some(depth) = self.state.started().map(|s| s.depth) else { return 1 };
        let begun = self.state.redriven_at().unwrap_or(self.state.started_at());
        let ran_long = self
            .state
            .task(scheduled)
            .is_ok_and(|view| view.task.scheduled_at >= begun.plus_seconds(crate::limits::SUCCESSOR_SECONDS));
        // A depth of 0 is a caller's.
        if wait == ChildWait::Started && ran_long { depth.max(1) } else { depth.saturating_add(1) }
    }

    fn start_child(&mut self, key: TaskKey, resource: Rc<Resource>, plan: Plan, ctx: &mut Context<Self>) {
        let scheduled = key.scheduled;
        let Plan::StartExecution(child) = &plan else { return };
        let ChildStart { mut machine, name, input, wait, trace_header } = child.clone();
        if self.services.options.any_region
            && let Some(own) = self.services.realm.adopt(machine.as_str())
        {
            machine = Arn::new(own);
        }
        let waits = matches!(wait, ChildWait::Ended { .. });
        let trace = self.child_origin(scheduled, waits);
        let request = StartRequest { machine, name: Some(name), input, trace_header, trace };
        let starting = self.host.effects().start_child(key, request, waits, self.depth_below(scheduled, wait));
        let request_id = Uuid::new_v4();
        self.operations_open += 1;
        ctx.spawn(starting.into_actor(self).map(move |result, actor, ctx| {
            actor.operations_open -= 1;
            match result {
                Ok(child) => {
                    actor.services.child_starts();
                    let now = actor.services.clock.now();
                    let receipt =
                        integrations::receipt(&resource, &plan, Some((&child.arn, child.started)), now, request_id);
                    let completes = wait == ChildWait::Started;
                    actor.enqueue(ctx, StimulusKind::Dispatched { scheduled, receipt, completes });
                    if waits {
                        actor.host.effects().watch_child(child.arn);
                    }
                }
                // Nothing is wrong with the child: the start is tried again as long as the task is open and there may
                // be room.
                Err(e) if e.is_passing() && !actor.gives_up(scheduled) => {
                    actor.services.child_waits(actor.arn(), &e.to_string());
                    actor.dispatch_again(scheduled, ctx);
                }
                Err(e) => {
                    let full = if e.is_passing() { EngineError::LimitReached(e.to_string()) } else { e };
                    let failure = integrations::start_failure(full.aws_code(), &full.to_string(), request_id);
                    actor.enqueue(ctx, StimulusKind::DispatchFailed { scheduled, failure });
                }
            }
        }));
    }
}

/// A message to a queue, as it is.
fn to_queue(queue: String, body: Vec<u8>, message_id: Uuid) -> Outgoing {
    Outgoing {
        address: Address { exchange: String::new(), routing_key: queue },
        body,
        content_type: "application/json".into(),
        headers: std::collections::BTreeMap::new(),
        message_id,
        priority: None,
        expiration: None,
        kind: None,
        user_id: None,
        correlation_id: None,
        reply_to: None,
        on_unroutable: integrations::OnUnroutable::Fails,
        is_notice: false,
        link: None,
        answer: serde_json::Map::new(),
    }
}

fn returned(publication: &Publication) -> &'static str {
    match publication {
        Publication::Unroutable { .. } => "unroutable",
        Publication::Nacked => "nacked",
        Publication::Refused { .. } | Publication::Confirmed => "refused",
    }
}

/// Tells the worker of a task that the task has ended without its reply.
pub(in crate::engine) fn cancelled(services: &Arc<Services>, execution: &Arn, key: TaskKey, reason: CancelReason) {
    let token = services.token(&key);
    let fingerprint = crate::token::fingerprint(&token);
    tracing::info!(
        execution.arn = %execution,
        task.token_id = %fingerprint,
        reason = reason.as_str(),
        event = "task.cancelled",
        "a task was cancelled: {}",
        reason.as_str()
    );
    if !services.options.announce_cancellations {
        return;
    }
    let body = serde_json::json!({
        "reason": reason.as_str(),
        "executionArn": execution,
        "taskTokenFingerprint": fingerprint,
        "messageId": message_id(&key),
    });
    let properties = Properties {
        content_type: Some("application/json".into()),
        message_id: Some(Uuid::new_v4().to_string()),
        app_id: Some("reveille".into()),
        kind: Some("task.cancelled".into()),
        timestamp: Some(services.clock.now()),
        persistent: true,
        headers: [("execution-arn".into(), HeaderValue::Text(execution.to_string()))].into(),
        ..Properties::default()
    };
    let message = Message { body: body.to_string().into_bytes(), properties };
    let to =
        Address { exchange: services.bus.names().events(), routing_key: format!("task.cancelled.{}", reason.as_str()) };
    services.publish_best_effort(to, message);
}
