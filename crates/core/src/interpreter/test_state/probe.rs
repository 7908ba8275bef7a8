//! Values of a state that are observed while it runs.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::interpreter::event::{Assigned, Payload};

use super::ErrorDetails;

/// A place on the way of data through a state: after that field has been applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Arguments,
    InputPath,
    Parameters,
    /// The raw result.
    Result,
    ResultSelector,
    ResultPath,
    ItemsPath,
    ItemsPointer,
    ItemSelector,
    ItemBatcher,
}

/// `inspectionData`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inspection {
    pub input: Option<Payload>,
    pub values: BTreeMap<Stage, Payload>,
    /// All variables after the state.
    pub variables: Assigned,
    pub error_details: Option<ErrorDetails>,
    pub tolerated_failure_count: Option<u64>,
    pub tolerated_failure_percentage: Option<f64>,
    pub max_concurrency: Option<u64>,
}

/// Looks on while a state runs, and stands in for the context object where one was given.
#[derive(Debug)]
pub struct Probe {
    context: Option<Value>,
    pub(super) seen: Inspection,
}

impl Probe {
    pub(super) fn new(context: Option<Value>) -> Self {
        Self { context, seen: Inspection::default() }
    }

    pub(in crate::interpreter) fn context(&self) -> Option<&Value> {
        self.context.as_ref()
    }

    pub(in crate::interpreter) fn see(&mut self, stage: Stage, value: &Payload) {
        self.seen.values.insert(stage, Payload::clone(value));
    }
}
