//! Handling of a failed state: a retry, a catcher, or the end of its branch.
//!
//! Source: Amazon States Language, "Errors"; order of events as recorded.

use std::sync::Arc;

use serde_json::json;

use crate::asl::model::{self, Catcher, Kind, QueryLanguage, ResultPath, Retrier};
use crate::ids::EventId;
use crate::limits::CAUSE_CHARS_MAX;

use super::command::{CancelReason, Command};
use super::dataflow::{self, EvalError, Extra};
use super::decide::Decider;
use super::event::{Event, Failure, FrameId, Payload, StateType};
use super::state::Step;

/// A state of `frame` fails, with AWS's sentence around the detail.
pub(super) fn fail_state(d: &mut Decider<'_>, frame: FrameId, error: EvalError) {
    let after = evaluation_after(d, frame, &error);
    if let Some(failure) = shown(d, frame, error, after) {
        d.emit(frame, Event::StateFailed(failure));
    }
}

/// Recorded at the end of 2024: at the top level the first failed expression of a state follows the event before the
/// state's entry, in all but Map and Parallel. Measured in 2026: elsewhere it follows the last event, as others do.
fn evaluation_after(d: &Decider<'_>, frame: FrameId, error: &EvalError) -> Option<EventId> {
    let visit = d.visit(frame)?;
    let first = d.state.frame(frame).is_some_and(|f| f.last_event == visit.entered);
    let forks = matches!(visit.kind, StateType::Map | StateType::Parallel);
    let on_entry = matches!(visit.step, Step::Entered) && first && !error.after_evaluation;
    (on_entry && frame == FrameId::TOP && !forks).then_some(visit.before)
}

/// The same while branches or iterations of the state run: they end with it.
pub(super) fn fail_fork(d: &mut Decider<'_>, frame: FrameId, error: EvalError) {
    let Some(visit) = d.visit(frame) else { return };
    let iteration_of = (visit.kind == StateType::Map).then(|| Arc::clone(&visit.name));
    let Some(failure) = shown(d, frame, error, None) else { return };
    if failure.is_runtime() {
        d.close_failed(frame, failure);
        return;
    }
    let trigger = d.state.frame(frame).map(|f| f.last_event).unwrap_or_default();
    for child in d.state.children(frame) {
        abort(d, child, trigger, iteration_of.clone());
    }
    d.emit(frame, Event::ForkFailed(failure));
}

/// The error as a failure, after the event that shows it, if there is one. That event follows `after`, or the frame's
/// last one.
fn shown(d: &mut Decider<'_>, frame: FrameId, error: EvalError, after: Option<EventId>) -> Option<Failure> {
    let visit = d.visit(frame)?;
    // Recorded: TestState shows the sentence alone.
    let cause = if error.bare || d.probe.is_some() {
        error.detail
    } else {
        format!(
            "An error occurred while executing the state '{}' (entered at the event id #{}). {}",
            visit.name, visit.entered, error.detail
        )
    };
    let cause = clipped(cause, CAUSE_CHARS_MAX);
    if error.evaluation {
        let location = error.location;
        let state = Arc::clone(&visit.name);
        let event = Event::EvaluationFailed { error: error.name.to_owned(), cause: cause.clone(), location, state };
        match after {
            Some(after) => d.emit_after(frame, after, event),
            None => d.emit(frame, event),
        };
    }
    Some(Failure::new(error.name, cause))
}

/// The first `chars` characters: a cause may quote a whole input.
pub(super) fn clipped(mut text: String, chars: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(chars) {
        text.truncate(end);
    }
    text
}

/// `Retry` and `Catch` of a state.
pub(super) fn handlers(kind: &Kind) -> (&[Retrier], &[Catcher]) {
    match kind {
        Kind::Task(t) => (&t.retry, &t.catch),
        Kind::Parallel(p) => (&p.retry, &p.catch),
        Kind::Map(m) => (&m.retry, &m.catch),
        _ => (&[], &[]),
    }
}

/// The frame's state has failed with `failure`.
pub(super) fn handle(d: &mut Decider<'_>, frame: FrameId, state: &model::State, failure: Failure) {
    let (retry, catch) = handlers(&state.kind);
    if let Some((retrier, due)) = next_retry(d, frame, retry, &failure) {
        d.emit(frame, Event::RetryScheduled { retrier, due });
        return;
    }
    let before = d.state.frame(frame).map(|f| f.last_event);
    show_end(d, frame, state, &failure);
    if let Some((i, catcher)) = catch.iter().enumerate().find(|(_, c)| matches(&c.error_equals, &failure)) {
        match caught(d, frame, state, (i, catcher), &failure) {
            Ok(event) => drop(d.emit(frame, event)),
            // The catcher itself failed; nothing catches that.
            Err(t) => {
                // Measured: a Parallel's failed catcher follows the event before the first end, and ends it again.
                let forks = matches!(state.kind, Kind::Parallel(_) | Kind::Map(_));
                let failure = shown(d, frame, t, before.filter(|_| forks)).unwrap_or(failure);
                show_end(d, frame, state, &failure);
                end_frame(d, frame, failure);
            }
        }
        return;
    }
    end_frame(d, frame, failure);
}

/// The end of a fork. AWS shows none where the execution cannot go on anyway.
fn show_end(d: &mut Decider<'_>, frame: FrameId, state: &model::State, failure: &Failure) {
    match state.kind {
        _ if failure.is_runtime() => {}
        Kind::Parallel(_) => drop(d.emit(frame, Event::ParallelFailed)),
        Kind::Map(_) => drop(d.emit(frame, Event::MapFailed)),
        _ => {}
    }
}

/// Which retrier fires, and when its delay is over.
fn next_retry(
    d: &mut Decider<'_>,
    frame: FrameId,
    retry: &[Retrier],
    failure: &Failure,
) -> Option<(u32, crate::clock::Timestamp)> {
    let (i, retrier) = retry.iter().enumerate().find(|(_, r)| matches(&r.error_equals, failure))?;
    let done = d.visit(frame)?.retries.get(i).copied().unwrap_or(0);
    if u64::from(done) >= retrier.max_attempts {
        return None;
    }
    let mut delay = delay_seconds(retrier, done);
    if retrier.full_jitter {
        delay *= d.entropy.unit();
    }
    Some((u32::try_from(i).unwrap_or(u32::MAX), d.at.plus_seconds(delay)))
}

/// min(interval × rate^n, cap), before jitter: uniform between 0 and that.
#[expect(clippy::cast_precision_loss, reason = "seconds below 10^8")]
pub(super) fn delay_seconds(retrier: &Retrier, done: u32) -> f64 {
    let exponent = i32::try_from(done).unwrap_or(i32::MAX);
    let delay = retrier.interval_seconds as f64 * retrier.backoff_rate.powi(exponent);
    delay.min(retrier.max_delay_seconds.unwrap_or(crate::limits::TASK_TIMEOUT_SECONDS_MAX) as f64)
}

/// The event with which a state leaves by a catcher, the i-th of its list.
pub(super) fn caught(
    d: &mut Decider<'_>,
    frame: FrameId,
    state: &model::State,
    (i, catcher): (usize, &Catcher),
    failure: &Failure,
) -> Result<Event, EvalError> {
    let input = d.visit(frame).map(|v| Payload::clone(&v.input)).unwrap_or_default();
    // Recorded: a timeout, which has no cause of its own, is caught with an empty one; a worker's missing one stays
    // null.
    let cause = match (&failure.cause, failure.error.as_deref()) {
        (None, Some("States.Timeout")) => Some(String::new()),
        (cause, _) => cause.clone(),
    };
    let error = Payload::new(json!({ "Error": failure.error, "Cause": cause }));
    let kind = super::decide::state_type(&state.kind);
    let field = |name: &str| format!("Catch[{i}]/{name}");
    let (output, assigned) = match state.language {
        QueryLanguage::JsonPath => {
            let (scope, entropy) = d.scope(frame, &error, None);
            let assigned =
                dataflow::assign(catcher.assign.as_ref(), &field("Assign"), &scope, Extra::default(), entropy)?;
            (dataflow::apply_result_path(&catcher.result_path, &input, error)?, assigned)
        }
        QueryLanguage::Jsonata => {
            let (scope, entropy) = d.scope(frame, &input, None);
            let extra = Extra { result: None, error_output: Some(&error) };
            let assigned = dataflow::assign(catcher.assign.as_ref(), &field("Assign"), &scope, extra, entropy)?;
            let output = match &catcher.output {
                Some(t) => dataflow::payload(t, &field("Output"), &scope, extra, entropy)?,
                None => match &catcher.result_path {
                    ResultPath::Replace => error,
                    path => dataflow::apply_result_path(path, &input, error)?,
                },
            };
            (output, assigned)
        }
    };
    super::steps::check_size(&state.name, &output)?;
    Ok(Event::StateExited {
        kind,
        name: Arc::clone(&state.name),
        output,
        assigned,
        next: Some(Arc::clone(&catcher.next)),
    })
}

/// Handles a failure that nothing caught: it ends the branch and its fork, or at the top the execution.
fn end_frame(d: &mut Decider<'_>, frame: FrameId, failure: Failure) {
    let Some((parent, index)) = d.state.frame(frame).map(|f| (f.parent, u64::from(f.index))) else { return };
    // Measured: a failure without a catcher ends the execution at once, without a word of its branch or its siblings.
    let Some(parent) = parent.filter(|_| !failure.is_runtime()) else {
        d.close_failed(frame, failure);
        return;
    };
    let Some(fork) = d.visit(parent) else { return };
    let (is_map, name) = (fork.kind == StateType::Map, Arc::clone(&fork.name));
    let trigger = d.state.frame(frame).map(|f| f.last_event).unwrap_or_default();
    if is_map {
        d.emit_after(frame, trigger, Event::MapIterationFailed { name: Arc::clone(&name), index });
    }
    // The failed state itself is shown as aborted too, where AWS has a word for that.
    if d.visit(frame).is_some_and(|v| v.kind == StateType::Task) {
        d.emit_after(frame, trigger, Event::StateAborted { kind: StateType::Task });
    }
    for sibling in d.state.children(parent) {
        if sibling != frame {
            abort(d, sibling, trigger, is_map.then(|| Arc::clone(&name)));
        }
    }
    d.emit_after(parent, trigger, Event::ForkFailed(failure));
}

/// Ends a frame from outside, with everything below it; its open tasks are cancelled.
fn abort(
    d: &mut Decider<'_>,
    frame: FrameId,
    trigger: crate::ids::EventId,
    iteration_of: Option<crate::ids::StateName>,
) {
    if let Some(name) = iteration_of {
        let index = d.state.frame(frame).map_or(0, |f| u64::from(f.index));
        d.emit_after(frame, trigger, Event::MapIterationAborted { name, index });
    }
    let Some(visit) = d.visit(frame) else { return };
    let (kind, name, asleep) = (visit.kind, Arc::clone(&visit.name), visit.kept.is_some());
    let order = match &visit.step {
        Step::Task(task) => Some(Command::Cancel { scheduled: task.scheduled, reason: CancelReason::SiblingFailed }),
        Step::MapRun(run) => Some(Command::StopMapRun { started: run.started }),
        _ => None,
    };
    if let Some(order) = order {
        d.command(order);
    }
    // Branches that sleep since their fork failed have been shown as aborted.
    let children = if asleep { Vec::new() } else { d.state.children(frame) };
    for child in children {
        abort(d, child, trigger, (kind == StateType::Map).then(|| Arc::clone(&name)));
    }
    d.emit_after(frame, trigger, Event::StateAborted { kind });
}

/// Does a retrier or catcher with these names take this failure?
///
/// `States.ALL` takes all but `States.Runtime`; `States.TaskFailed` all but a timeout and `States.Runtime`; a missed
/// heartbeat is `States.Timeout` and answers to `States.HeartbeatTimeout` too. AWS's recordings show `States.ALL`
/// catching `States.DataLimitExceeded`, though its guide says otherwise. `States.Runtime` is never caught.
pub(super) fn matches(error_equals: &[String], failure: &Failure) -> bool {
    if failure.is_runtime() {
        return false;
    }
    let error = failure.error.as_deref();
    error_equals.iter().any(|name| match name.as_str() {
        "States.ALL" => true,
        "States.TaskFailed" => error != Some("States.Timeout"),
        "States.HeartbeatTimeout" if failure.heartbeat => true,
        name => error == Some(name),
    })
}
