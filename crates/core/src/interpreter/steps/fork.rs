//! Parallel and inline Map: frames below this one, joined in order.

use std::sync::Arc;

use serde_json::Value;

use crate::asl::model::{Map, MapMode, Parallel, QueryLanguage, Selection, State, Template};
use crate::interpreter::dataflow::{self, EvalError, Extra};
use crate::interpreter::decide::Decider;
use crate::interpreter::event::{Event, FrameId, MapItem, MapStarted, Payload, Tolerance};
use crate::interpreter::failure::fail_fork;
use crate::interpreter::size::Excess;
use crate::interpreter::state::{Fork, ForkKind, Step};
use crate::interpreter::test_state::Stage;
use crate::query::jsonpath::Root;
use crate::query::reference_path::ReferencePath;
use crate::query::{Entropy, Roots};

use super::{check_size, data_limit, effective_input};

pub(in crate::interpreter) fn enter_parallel(
    d: &mut Decider<'_>,
    frame: FrameId,
    state: &State,
    parallel: &Parallel,
) -> Result<(), EvalError> {
    let input = parallel_input(d, frame, state, parallel)?;
    d.emit(frame, Event::ParallelStarted { branches: parallel.branches.clone(), input });
    Ok(())
}

/// The input of all branches.
pub(in crate::interpreter) fn parallel_input(
    d: &mut Decider<'_>,
    frame: FrameId,
    state: &State,
    parallel: &Parallel,
) -> Result<Payload, EvalError> {
    let mut input = effective_input(d, frame, state)?;
    if let Some(t) = &parallel.parameters {
        let field = if state.language == QueryLanguage::Jsonata { "Arguments" } else { "Parameters" };
        let (scope, entropy) = d.scope(frame, &input, None);
        input = dataflow::payload(t, field, &scope, Extra::default(), entropy)?;
    }
    check_size(&state.name, &input)?;
    d.observe(Stage::Parameters, &input);
    Ok(input)
}

pub(in crate::interpreter) fn enter_map(
    d: &mut Decider<'_>,
    frame: FrameId,
    state: &State,
    map: &Map,
) -> Result<(), EvalError> {
    if let MapMode::Distributed { express } = map.mode {
        return super::map_run::enter(d, frame, state, map, express);
    }
    // Such a definition is accepted; measured on AWS.
    if map.item_reader.is_some() || map.item_batcher.is_some() || map.result_writer.is_some() {
        return Err(EvalError::runtime(
            "The ItemReader, ItemBatcher and ResultWriter fields are not supported for INLINE maps",
        ));
    }
    let input = effective_input(d, frame, state)?;
    let (scope, entropy) = d.scope(frame, &input, None);
    let tolerance = tolerance(map, state.language, &scope, entropy)?;
    let max_concurrency =
        dataflow::map_count(map.max_concurrency.as_ref(), "MaxConcurrency", &scope, entropy)?.unwrap_or(0);
    let items = items(map, state, &input, &scope, entropy)?;
    check_size(&state.name, &input)?;
    let length = items.len() as u64;
    let started =
        MapStarted { length, block: map.processor, items, max_concurrency, tolerance, input, distributed: false };
    d.emit(frame, Event::MapStarted(Box::new(started)));
    Ok(())
}

/// The items: an array (or, JSONata, an object) of state data.
pub(in crate::interpreter) fn items(
    map: &Map,
    state: &State,
    input: &Payload,
    roots: &dyn Roots,
    entropy: &mut Entropy,
) -> Result<Vec<MapItem>, EvalError> {
    let (language, name) = (state.language, &state.name);
    let found = match &map.items {
        Some(Template::Jsonata(t)) => {
            use crate::query::jsonata::{Bindings, Limits, ValueType};
            let value = t.evaluate_as(ValueType::Array, "Items", &Bindings::new(roots), entropy, &Limits::default());
            Payload::new(value.map_err(|f| EvalError::from(&*f))?)
        }
        Some(t @ Template::JsonPath(_)) => dataflow::payload(t, "Items", roots, Extra::default(), entropy)?,
        None => select_items(map, input, roots)?,
    };
    check_size(name, &found)?;
    match &*found {
        Value::Array(values) => Ok(values
            .iter()
            .enumerate()
            .map(|(i, v)| MapItem { index: i as u64, value: Payload::new(v.clone()), key: None, source: None })
            .collect()),
        other => Err(not_an_array(map, language, other)),
    }
}

/// `ItemsPath`: AWS names a miss in its own way.
pub(super) fn select_items(map: &Map, input: &Payload, roots: &dyn Roots) -> Result<Payload, EvalError> {
    let reference = match &map.items_path {
        Selection::Path(path) => ReferencePath::parse(path.text()).ok(),
        Selection::Whole | Selection::Nothing => None,
    };
    match reference {
        Some(reference) => {
            let found = reference.get(roots).map_err(|f| EvalError::named(f.error, f.cause))?;
            Ok(Payload::new(found.into_owned()))
        }
        None => dataflow::select(&map.items_path, input, roots),
    }
}

pub(super) fn not_an_array(map: &Map, language: QueryLanguage, value: &Value) -> EvalError {
    match (language, &map.items_path) {
        (QueryLanguage::JsonPath, Selection::Path(p)) => {
            // Recorded: of `$$.Execution.Input` AWS names the path inside the context object.
            let path = if *p.root() == Root::Context { &p.text()[1..] } else { p.text() };
            EvalError::runtime(format!("Reference path \"{path}\" must point to array."))
        }
        (QueryLanguage::JsonPath, _) => EvalError::runtime("Reference path \"$\" must point to array."),
        (QueryLanguage::Jsonata, _) => {
            EvalError::value(language, format!("Map state input must be an array but was: {value}"), None)
        }
    }
}

/// `ToleratedFailureCount[Path]` and `ToleratedFailurePercentage[Path]`, with AWS's words for values that are none.
pub(in crate::interpreter) fn tolerance(
    map: &Map,
    language: QueryLanguage,
    roots: &dyn Roots,
    entropy: &mut Entropy,
) -> Result<Tolerance, EvalError> {
    let mut tolerance = Tolerance::default();
    if let Some(q) = &map.tolerated_failure_count {
        let n = dataflow::map_quantity(q, "ToleratedFailureCount", "integer", roots, entropy)?;
        if n < 0.0 {
            return Err(EvalError::value(language, "ToleratedFailureCount cannot be negative.", None));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; `as` saturates")]
        let count = n as u64;
        tolerance.count = Some(count);
    }
    if let Some(q) = &map.tolerated_failure_percentage {
        let n = dataflow::map_quantity(q, "ToleratedFailurePercentage", "float", roots, entropy)?;
        if !(0.0..=100.0).contains(&n) {
            return Err(EvalError::value(language, "ToleratedFailurePercentage must be between 0 and 100.", None));
        }
        tolerance.percentage = Some(n);
    }
    Ok(tolerance)
}

/// Starts branches or iterations that may start, and joins when all have ended.
pub(in crate::interpreter) fn go_on(d: &mut Decider<'_>, frame: FrameId, state: &State) {
    let Some(Step::Fork(fork)) = d.visit(frame).map(|v| &v.step) else { return };
    if fork.is_over() {
        // Further results cannot make it smaller.
        let excess = data_limit(&state.name, Excess::Bytes);
        fail_fork(d, frame, EvalError::named("States.DataLimitExceeded", excess));
    } else if fork.may_start() {
        let index = fork.next;
        if let Err(t) = start_iteration(d, frame, state, index) {
            // The iterations that run already end with their Map.
            fail_fork(d, frame, t);
        }
    } else if fork.is_complete() {
        let tail = fork.tail;
        let event = if is_parallel(fork) { Event::ParallelSucceeded } else { Event::MapSucceeded };
        d.emit_after(frame, tail, event);
    }
}

fn is_parallel(fork: &Fork) -> bool {
    matches!(fork.kind, ForkKind::Parallel { .. })
}

fn start_iteration(d: &mut Decider<'_>, frame: FrameId, state: &State, index: usize) -> Result<(), EvalError> {
    let Some(Step::Fork(fork)) = d.visit(frame).map(|v| &v.step) else { return Ok(()) };
    let ForkKind::Map(map) = &fork.kind else { return Ok(()) };
    let map = Arc::clone(map);
    let Some(item) = map.items.get(index) else { return Ok(()) };
    let selector = match &state.kind {
        crate::asl::model::Kind::Map(m) => m.item_selector.as_ref(),
        _ => None,
    };
    let input = match selector {
        None => Payload::clone(&item.value),
        Some(t) => {
            let (scope, entropy) = d.scope(frame, &map.input, None);
            let scope = scope.with_item(item);
            // Many of them are there at once, and their text is written anyway.
            dataflow::payload(t, "ItemSelector", &scope, Extra::default(), entropy)?.compact()
        }
    };
    check_size(&state.name, &input)?;
    d.emit(frame, Event::MapIterationStarted { name: Arc::clone(&state.name), index: index as u64, input });
    Ok(())
}
