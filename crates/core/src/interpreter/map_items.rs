//! From items to children: `ItemSelector` on each item, `ItemBatcher` over them. Pure and repeatable: the same items
//! give the same children with the same inputs, so that a run that restarts after a crash finds the children that it
//! has.
//!
//! Source: developer guide, "ItemSelector (Map)", "ItemBatcher (Map)", "Context object data for Map states".

use std::sync::Arc;

use serde_json::{Map as Object, Value};
use uuid::Uuid;

use crate::asl::model::{Kind, Machine, Map, Template};
use crate::ids::{EventId, derived_uuid};
use crate::limits::PAYLOAD_BYTES_MAX;
use crate::query::Entropy;

use super::dataflow::{self, EvalError, Extra};
use super::event::{Batching, Failure, FrameId, MapItem, MapRunPlan, Payload};
use super::scope::{Context, Scope};
use super::size::json_bytes;
use super::state::State;

/// An item as its source gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub value: Value,
    /// Set where the items are the pairs of an object.
    pub key: Option<String>,
}

/// One child execution to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Child {
    /// Its place among the children of its run.
    pub index: u64,
    pub input: Payload,
    /// How many items it works on.
    pub items: u64,
    /// `$$.Map.Item`; a batch has none.
    pub item: Option<MapItem>,
}

/// Turns items into children, one after the other.
pub struct Shaper {
    machine: Arc<Machine>,
    /// The parent, as it stands while the run goes on.
    state: State,
    frame: FrameId,
    context: Context,
    plan: Arc<MapRunPlan>,
    source: Option<String>,
    /// The entropy of `ItemSelector`.
    seed: Uuid,
    items: u64,
    children: u64,
    batch: Vec<Value>,
    batch_bytes: usize,
}

impl std::fmt::Debug for Shaper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shaper").field("items", &self.items).field("children", &self.children).finish_non_exhaustive()
    }
}

impl Shaper {
    /// `source`: the value of `$$.Map.Item.Source`. `None` where the state has no such run.
    #[must_use]
    pub fn new(machine: Arc<Machine>, state: State, started: EventId, source: Option<String>) -> Option<Self> {
        let view = state.map_run(started)?;
        let (frame, plan) = (view.frame, view.run.plan.clone()?);
        let seed = derived_uuid(&[view.run.arn.as_str().as_bytes()]);
        Some(Self {
            machine,
            state,
            frame,
            context: Context::default(),
            plan,
            source,
            seed,
            items: 0,
            children: 0,
            batch: Vec::new(),
            batch_bytes: 0,
        })
    }

    /// Takes the next item; gives the child that it completes, if any.
    ///
    /// # Errors
    /// The failure that ends the run.
    pub fn push(&mut self, item: Item) -> Result<Option<Child>, Failure> {
        let (value, item) = self.select(item)?;
        self.items += 1;
        let Some(batching) = self.plan.batching.clone() else {
            let bytes = json_bytes(&value);
            if bytes > PAYLOAD_BYTES_MAX {
                return Err(self.too_large(item.index, bytes, PAYLOAD_BYTES_MAX));
            }
            return Ok(Some(self.child(value, 1, Some(item))));
        };
        let bound = bytes_max(&batching);
        let own = json_bytes(&value) + 1;
        let empty = wrapper_bytes(&batching);
        if empty + own > bound {
            return Err(self.too_large(item.index, empty + own, bound));
        }
        let full = !self.batch.is_empty() && empty + self.batch_bytes + own > bound;
        let mut done = if full { self.close_batch(&batching) } else { None };
        self.batch.push(value);
        self.batch_bytes += own;
        if done.is_none() && batching.max_items.is_some_and(|max| self.batch.len() as u64 >= max) {
            done = self.close_batch(&batching);
        }
        Ok(done)
    }

    /// There are no more items: the child that was being filled.
    pub fn finish(&mut self) -> Option<Child> {
        let batching = self.plan.batching.clone()?;
        self.close_batch(&batching)
    }

    fn close_batch(&mut self, batching: &Batching) -> Option<Child> {
        if self.batch.is_empty() {
            return None;
        }
        let items = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let n = items.len() as u64;
        let mut input = Object::new();
        if let Some(shared) = &batching.input {
            input.insert("BatchInput".to_owned(), (**shared).clone());
        }
        input.insert("Items".to_owned(), Value::Array(items));
        Some(self.child(Value::Object(input), n, None))
    }

    fn child(&mut self, input: Value, items: u64, item: Option<MapItem>) -> Child {
        let index = self.children;
        self.children += 1;
        Child { index, input: Payload::new(input), items, item }
    }

    /// `ItemSelector`; without one a child gets the item (of an object: the pair).
    fn select(&mut self, item: Item) -> Result<(Value, MapItem), Failure> {
        let index = self.items;
        self.context.renew();
        let item = MapItem { index, value: Payload::new(item.value), key: item.key, source: self.source.clone() };
        let Some(selector) = self.selector() else {
            let value = match &item.key {
                None => (*item.value).clone(),
                Some(key) => serde_json::json!({ "Key": key, "Value": *item.value }),
            };
            return Ok((value, item));
        };
        let at = self.state.started_at();
        let mut entropy = Entropy::new(at, self.seed.as_u64_pair().0 ^ index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let scope = Scope::new(&self.state, &self.context, self.frame, &self.plan.input, None).with_item(&item);
        let value = dataflow::template(selector, "ItemSelector", &scope, Extra::default(), &mut entropy)
            .map_err(|t| self.failure(&t))?;
        Ok((value, item))
    }

    fn selector(&self) -> Option<&Template> {
        map_in(&self.machine, &self.state, self.frame)?.item_selector.as_ref()
    }

    fn failure(&self, error: &EvalError) -> Failure {
        let (name, entered) =
            self.state.visit(self.frame).map_or_else(|| ("".into(), EventId(0)), |v| (Arc::clone(&v.name), v.entered));
        let cause = format!(
            "An error occurred while executing the state '{name}' (entered at the event id #{entered}). {}",
            error.detail
        );
        Failure::new(error.name, cause)
    }

    fn too_large(&self, index: u64, bytes: usize, bound: usize) -> Failure {
        let detail = format!("The input for item {index} is {bytes} bytes, over the limit of {bound} bytes.");
        self.failure(&EvalError::named("States.DataLimitExceeded", detail))
    }
}

/// The Map state of an open run, from the definition.
#[must_use]
pub fn definition<'m>(machine: &'m Machine, state: &State, started: EventId) -> Option<&'m Map> {
    map_in(machine, state, state.map_run(started)?.frame)
}

fn map_in<'m>(machine: &'m Machine, state: &State, frame: FrameId) -> Option<&'m Map> {
    let (block, name) = (state.frame(frame)?.block, &state.visit(frame)?.name);
    match &machine.blocks.get(block.0 as usize)?.states.get(name)?.kind {
        Kind::Map(map) => Some(map),
        _ => None,
    }
}

/// The failure of a Map state whose results exceed the limit of a payload.
#[must_use]
pub fn result_too_large(state: &str) -> Failure {
    Failure::new("States.DataLimitExceeded", super::steps::data_limit(state, super::size::Excess::Bytes))
}

pub(super) fn bytes_max(batching: &Batching) -> usize {
    batching.max_bytes.and_then(|n| usize::try_from(n).ok()).unwrap_or(PAYLOAD_BYTES_MAX).min(PAYLOAD_BYTES_MAX)
}

/// Of `{"BatchInput":…,"Items":[]}`; each item adds itself and a comma.
pub(super) fn wrapper_bytes(batching: &Batching) -> usize {
    let shared = batching.input.as_ref().map_or(0, |input| r#""BatchInput":,"#.len() + json_bytes(input));
    r#"{"Items":[]}"#.len() + shared
}
