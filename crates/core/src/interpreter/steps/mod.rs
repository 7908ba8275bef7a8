//! One file per state type: the steps on entry, and after a wait has ended.

pub(super) mod choice;
pub(super) mod fork;
pub(super) mod map_run;
pub(super) mod task;
pub(super) mod wait;

use std::sync::Arc;

use crate::asl::model::{Kind, Pass, QueryLanguage, State, Transition};
use crate::ids::StateName;
use crate::limits::{CAUSE_CHARS_MAX, ERROR_CHARS_MAX, JSON_DEPTH_MAX};

use super::dataflow::{self, EvalError, Extra};
use super::decide::{Decider, state_type};
use super::event::{Assigned, Event, Failure, FrameId, Payload};
use super::failure::{clipped, fail_state};
use super::size::{self, Excess};
use super::test_state::Stage;

/// The state begins, or begins again after a backoff.
pub(super) fn enter(d: &mut Decider<'_>, frame: FrameId, state: &State) {
    let done = match &state.kind {
        Kind::Pass(pass) => run_pass(d, frame, state, pass),
        Kind::Succeed => run_succeed(d, frame, state),
        Kind::Fail(fail) => run_fail(d, frame, fail),
        Kind::Task(task) => task::enter(d, frame, state, task),
        Kind::Choice(choice) => choice::enter(d, frame, state, choice),
        Kind::Wait(wait) => wait::enter(d, frame, state, wait),
        Kind::Parallel(parallel) => fork::enter_parallel(d, frame, state, parallel),
        Kind::Map(map) => fork::enter_map(d, frame, state, map),
    };
    if let Err(t) = done {
        fail_state(d, frame, t);
    }
}

/// The raw result of a task, of branches or of iterations is there.
pub(super) fn succeeded(d: &mut Decider<'_>, frame: FrameId, state: &State, raw: &Payload) {
    if let Err(t) = leave_with_result(d, frame, state, raw) {
        fail_state(d, frame, t);
    }
}

fn leave_with_result(d: &mut Decider<'_>, frame: FrameId, state: &State, raw: &Payload) -> Result<(), EvalError> {
    let (selector, path) = match &state.kind {
        Kind::Task(t) => (t.result_selector.as_ref(), &t.result_path),
        Kind::Parallel(p) => (p.result_selector.as_ref(), &p.result_path),
        Kind::Map(m) => (m.result_selector.as_ref(), &m.result_path),
        _ => return Ok(()),
    };
    let input = raw_input(d, frame);
    d.observe(Stage::Result, raw);
    match state.language {
        QueryLanguage::JsonPath => {
            let result = {
                let (scope, entropy) = d.scope(frame, raw, None);
                match selector {
                    None => Payload::clone(raw),
                    Some(t) => dataflow::payload(t, "ResultSelector", &scope, Extra::default(), entropy)?,
                }
            };
            leave_json_path(d, frame, state, &input, result, path)
        }
        QueryLanguage::Jsonata => leave_jsonata(d, frame, state, &input, Some(raw), raw),
    }
}

/// JSONPath: `Assign` sees the result; then `ResultPath`, then `OutputPath`.
fn leave_json_path(
    d: &mut Decider<'_>,
    frame: FrameId,
    state: &State,
    input: &Payload,
    result: Payload,
    path: &crate::asl::model::ResultPath,
) -> Result<(), EvalError> {
    let assigned = {
        let (scope, entropy) = d.scope(frame, &result, None);
        dataflow::assign(state.assign.as_ref(), "Assign", &scope, Extra::default(), entropy)?
    };
    d.observe(Stage::ResultSelector, &result);
    let merged = dataflow::apply_result_path(path, input, result)?;
    d.observe(Stage::ResultPath, &merged);
    let output = {
        let (scope, _) = d.scope(frame, &merged, None);
        dataflow::output_path(state, &merged, &scope)?
    };
    exit(d, frame, state, output, assigned, transition(state))
}

/// JSONata: `Assign` and `Output` see the same moment; without `Output`, `default` goes on.
pub(super) fn leave_jsonata(
    d: &mut Decider<'_>,
    frame: FrameId,
    state: &State,
    input: &Payload,
    result: Option<&Payload>,
    default: &Payload,
) -> Result<(), EvalError> {
    let extra = Extra { result: result.map(|r| &**r), error_output: None };
    let (scope, entropy) = d.scope(frame, input, None);
    let assigned = dataflow::assign(state.assign.as_ref(), "Assign", &scope, extra, entropy)?;
    let output = match &state.output {
        Some(t) => dataflow::payload(t, "Output", &scope, extra, entropy)?,
        None => Payload::clone(default),
    };
    exit(d, frame, state, output, assigned, transition(state))
}

pub(super) fn transition(state: &State) -> Option<StateName> {
    match &state.transition {
        Transition::Next(name) => Some(Arc::clone(name)),
        Transition::End => None,
    }
}

/// The state is left for `next`, or its block ends.
pub(super) fn exit(
    d: &mut Decider<'_>,
    frame: FrameId,
    state: &State,
    output: Payload,
    assigned: Option<Box<Assigned>>,
    next: Option<StateName>,
) -> Result<(), EvalError> {
    // The input has been measured before.
    if d.visit(frame).is_none_or(|v| !v.input.ptr_eq(&output)) {
        check_size(&state.name, &output)?;
    }
    if let Some(assigned) = &assigned {
        // A reassigned variable first frees its old bytes.
        let own = d.state.frame(frame).map(|f| &f.variables);
        let freed: usize =
            assigned.keys().filter_map(|name| own?.get(name.as_str())).map(|v| size::json_bytes(v)).sum();
        let bytes = assigned.values().map(size::json_bytes).sum::<usize>() + d.state.variables_bytes() - freed;
        if bytes > crate::limits::VARIABLES_BYTES_MAX {
            return Err(EvalError::named(
                "States.DataLimitExceeded",
                format!("All variables together are over the limit of {} bytes.", crate::limits::VARIABLES_BYTES_MAX),
            ));
        }
    }
    let exited =
        Event::StateExited { kind: state_type(&state.kind), name: Arc::clone(&state.name), output, assigned, next };
    match d.visit(frame).and_then(|v| v.tail) {
        Some(tail) => d.emit_after(frame, tail, exited),
        None => d.emit(frame, exited),
    };
    Ok(())
}

/// A value that an event will hold is a payload: over its limits (AWS: 256 KiB; ours: 128 levels) it is an error. Its
/// cause is AWS's sentence alone (recorded).
pub(super) fn check_size(what: &str, payload: &Payload) -> Result<(), EvalError> {
    size::of(payload)
        .map(drop)
        .map_err(|excess| EvalError::named("States.DataLimitExceeded", data_limit(what, excess)).bare())
}

/// AWS's sentence for a result over the limit, and ours for one too deep; `what` is a state's name, a service or the
/// ARN of a function.
pub(super) fn data_limit(what: &str, excess: Excess) -> String {
    match excess {
        Excess::Bytes => {
            format!(
                "The state/task '{what}' returned a result with a size exceeding the maximum number of bytes service \
                 limit."
            )
        }
        Excess::Depth => {
            format!(
                "The state/task '{what}' returned a result nested deeper than {JSON_DEPTH_MAX} levels, the limit of \
                 this service."
            )
        }
    }
}

pub(super) fn raw_input(d: &Decider<'_>, frame: FrameId) -> Payload {
    d.visit(frame).map(|v| Payload::clone(&v.input)).unwrap_or_default()
}

/// The input after `InputPath` (JSONPath), or the raw input (JSONata).
pub(super) fn effective_input(d: &mut Decider<'_>, frame: FrameId, state: &State) -> Result<Payload, EvalError> {
    let raw = raw_input(d, frame);
    let (scope, _) = d.scope(frame, &raw, None);
    let input = dataflow::select(&state.input_path, &raw, &scope)?;
    d.observe(Stage::InputPath, &input);
    Ok(input)
}

fn run_pass(d: &mut Decider<'_>, frame: FrameId, state: &State, pass: &Pass) -> Result<(), EvalError> {
    let raw = raw_input(d, frame);
    match state.language {
        QueryLanguage::Jsonata => leave_jsonata(d, frame, state, &raw, None, &raw),
        QueryLanguage::JsonPath => {
            let effective = effective_input(d, frame, state)?;
            let result = match (&pass.result, &pass.parameters) {
                (Some(result), _) => {
                    d.observe(Stage::Result, result);
                    Payload::clone(result)
                }
                (None, None) => effective,
                (None, Some(t)) => {
                    let (scope, entropy) = d.scope(frame, &effective, None);
                    dataflow::payload(t, "Parameters", &scope, Extra::default(), entropy)?
                }
            };
            if pass.result.is_none() {
                d.observe(Stage::Parameters, &result);
            }
            leave_json_path(d, frame, state, &raw, result, &pass.result_path)
        }
    }
}

fn run_succeed(d: &mut Decider<'_>, frame: FrameId, state: &State) -> Result<(), EvalError> {
    let raw = raw_input(d, frame);
    match state.language {
        QueryLanguage::Jsonata => {
            let (scope, entropy) = d.scope(frame, &raw, None);
            let output = match &state.output {
                Some(t) => dataflow::payload(t, "Output", &scope, Extra::default(), entropy)?,
                None => Payload::clone(&raw),
            };
            exit(d, frame, state, output, None, None)
        }
        QueryLanguage::JsonPath => {
            let effective = effective_input(d, frame, state)?;
            let output = {
                let (scope, _) = d.scope(frame, &effective, None);
                dataflow::output_path(state, &effective, &scope)?
            };
            exit(d, frame, state, output, None, None)
        }
    }
}

fn run_fail(d: &mut Decider<'_>, frame: FrameId, fail: &crate::asl::model::Fail) -> Result<(), EvalError> {
    let raw = raw_input(d, frame);
    let (scope, entropy) = d.scope(frame, &raw, None);
    let error = fail.error.as_ref().map(|t| dataflow::text(t, "Error", &scope, entropy)).transpose()?;
    let cause = fail.cause.as_ref().map(|t| dataflow::text(t, "Cause", &scope, entropy)).transpose()?;
    let error = error.map(|e| clipped(e, ERROR_CHARS_MAX));
    let cause = cause.map(|c| clipped(c, CAUSE_CHARS_MAX));
    d.emit(frame, Event::StateFailed(Failure { error, cause, heartbeat: false }));
    Ok(())
}
