//! Distributed Map: the parent's side. The plan of the run is evaluated here, once; the run itself is
//! [`crate::interpreter::map_run`].
//!
//! Source: developer guide, "Using Map state in Distributed mode"; order of events as recorded: a tolerance that is
//! none fails the execution after `MapStateStarted`, and a Map that reads its items shows 0 of them.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::asl::model::{Map, Quantity, QueryLanguage, State, Template};
use crate::ids::{Arn, derived_uuid, timed_uuid};
use crate::interpreter::command::Command;
use crate::interpreter::dataflow::{self, EvalError, Extra};
use crate::interpreter::decide::Decider;
use crate::interpreter::event::{Batching, Event, FrameId, ItemSource, MapRunPlan, MapStarted, Payload, Tolerance};
use crate::query::{Entropy, Roots};

use super::fork::{not_an_array, select_items, tolerance};
use super::{check_size, effective_input};

pub(super) fn enter(
    d: &mut Decider<'_>,
    frame: FrameId,
    state: &State,
    map: &Map,
    express: bool,
) -> Result<(), EvalError> {
    let input = effective_input(d, frame, state)?;
    let language = state.language;
    let (scope, entropy) = d.scope(frame, &input, None);
    let max_concurrency =
        dataflow::map_count(map.max_concurrency.as_ref(), "MaxConcurrency", &scope, entropy)?.unwrap_or(0);
    let (source, length) = source(map, language, &input, &scope, entropy)?;
    let batching = batching(map, &scope, entropy)?;
    let writer = writer(map, &scope, entropy)?;
    // The plan is journaled, so each part of it is bounded as a payload.
    for part in [Some(&input), batching.as_ref().and_then(|b| b.input.as_ref()), writer.as_ref()].into_iter().flatten()
    {
        check_size(&state.name, part)?;
    }
    match &source {
        ItemSource::StateData { items } => check_size(&state.name, items)?,
        ItemSource::Reader { parameters, .. } => check_size(&state.name, parameters)?,
    }
    // JSONata evaluates the state before anything of it is shown; JSONPath looks at the tolerance after.
    let early =
        if language == QueryLanguage::Jsonata { Some(tolerance(map, language, &scope, entropy)?) } else { None };
    let started = MapStarted {
        length,
        block: map.processor,
        items: Vec::new(),
        max_concurrency,
        tolerance: early.unwrap_or_default(),
        input: Payload::default(),
        distributed: true,
    };
    d.emit(frame, Event::MapStarted(Box::new(started)));
    let tolerance: Tolerance = if let Some(tolerance) = early {
        tolerance
    } else {
        let (scope, entropy) = d.scope(frame, &input, None);
        tolerance(map, language, &scope, entropy)?
    };
    let plan =
        MapRunPlan { block: map.processor, express, input, source, batching, max_concurrency, tolerance, writer };
    let arn = arn(d, state, map);
    let started = d.emit(frame, Event::MapRunStarted { arn, plan: Some(Box::new(plan)) });
    // 0: the history was full, and the execution has failed instead.
    if started.0 != 0 {
        d.command(Command::StartMapRun { started });
    }
    Ok(())
}

/// A run that had failed or was stopped goes on where it was: its children that succeeded are kept.
pub(in crate::interpreter) fn redrive(d: &mut Decider<'_>, frame: FrameId) {
    let Some(kept) = d.visit(frame).and_then(|visit| visit.kept_run.as_deref()) else { return };
    let (arn, redrive_count) = (kept.arn.clone(), kept.redrives + 1);
    let started = d.emit(frame, Event::MapRunRedriven { arn, redrive_count });
    // 0: the history was full, and the execution has failed instead.
    if started.0 != 0 {
        d.command(Command::StartMapRun { started });
    }
}

/// `mapRun:MACHINE/LABEL:UUID`. A Map state without a `Label` has one made of where it stands.
fn arn(d: &mut Decider<'_>, state: &State, map: &Map) -> Arn {
    let id = timed_uuid(u64::try_from(d.at.millis()).unwrap_or(0), d.entropy.uuid());
    let (machine, name) = d
        .state
        .started()
        .map_or_else(|| (Arn::new(""), "".into()), |s| (s.machine.clone(), Arc::clone(&s.machine_name)));
    let label = map
        .label
        .clone()
        .unwrap_or_else(|| derived_uuid(&[machine_base(&machine).as_bytes(), state.pointer.as_bytes()]).to_string());
    d.env.realm.map_run(&name, &label, id)
}

/// A child's machine ARN ends with the label of the run that it belongs to; the machine is the same.
fn machine_base(machine: &Arn) -> &str {
    machine.as_str().split('/').next().unwrap_or_default()
}

/// Where the items come from, and how many the history shows.
fn source(
    map: &Map,
    language: QueryLanguage,
    input: &Payload,
    roots: &dyn Roots,
    entropy: &mut Entropy,
) -> Result<(ItemSource, u64), EvalError> {
    if let Some(reader) = &map.item_reader {
        let parameters = match &reader.parameters {
            Some(t) => dataflow::payload(t, "ItemReader/Arguments", roots, Extra::default(), entropy)?,
            None => Payload::new(json!({})),
        };
        let max_items =
            dataflow::map_count(reader.max_items.as_ref(), "ItemReader/ReaderConfig/MaxItems", roots, entropy)?;
        return Ok((ItemSource::Reader { parameters, max_items }, 0));
    }
    let items = match &map.items {
        Some(Template::Jsonata(t)) => {
            use crate::query::jsonata::{Bindings, Limits, ValueType};
            let bindings = Bindings::new(roots);
            let value =
                t.evaluate("Items", &bindings, entropy, &Limits::default()).map_err(|f| EvalError::from(&*f))?;
            if !value.is_array() && !value.is_object() {
                let refused = t.evaluate_as(ValueType::Array, "Items", &bindings, entropy, &Limits::default());
                refused.map_err(|f| EvalError::from(&*f))?;
            }
            Payload::new(value)
        }
        Some(t @ Template::JsonPath(_)) => dataflow::payload(t, "Items", roots, Extra::default(), entropy)?,
        None => select_items(map, input, roots)?,
    };
    let length = match &*items {
        Value::Array(values) => values.len(),
        Value::Object(pairs) => pairs.len(),
        other => return Err(not_an_array(map, language, other)),
    };
    Ok((ItemSource::StateData { items }, length as u64))
}

/// The bounds of `ItemBatcher`; 0 is none.
pub(in crate::interpreter) fn batching(
    map: &Map,
    roots: &dyn Roots,
    entropy: &mut Entropy,
) -> Result<Option<Batching>, EvalError> {
    let Some(batcher) = &map.item_batcher else { return Ok(None) };
    let mut bound = |field: Option<&Quantity>, place| {
        dataflow::map_count(field, place, roots, entropy).map(|n| n.filter(|n| *n > 0))
    };
    let max_items = bound(batcher.max_items_per_batch.as_ref(), "ItemBatcher/MaxItemsPerBatch")?;
    let max_bytes = bound(batcher.max_input_bytes_per_batch.as_ref(), "ItemBatcher/MaxInputBytesPerBatch")?;
    let input = match &batcher.batch_input {
        Some(t) => Some(dataflow::payload(t, "ItemBatcher/BatchInput", roots, Extra::default(), entropy)?),
        None => None,
    };
    Ok(Some(Batching { max_items, max_bytes, input }))
}

/// Where results are exported to. A `ResultWriter` without `Resource` only shapes the output.
fn writer(map: &Map, roots: &dyn Roots, entropy: &mut Entropy) -> Result<Option<Payload>, EvalError> {
    let Some(writer) = map.result_writer.as_ref().filter(|w| w.resource.is_some()) else { return Ok(None) };
    Ok(Some(match &writer.parameters {
        Some(t) => dataflow::payload(t, "ResultWriter/Arguments", roots, Extra::default(), entropy)?,
        None => Payload::new(json!({})),
    }))
}
