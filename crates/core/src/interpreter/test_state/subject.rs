//! The state under test, cut out of its machine, and the form of a mock of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::asl::model::{Block, Kind, Machine, State};
use crate::asl::resource::{Pattern, Resource, ResourceKind};
use crate::asl::{self, Diagnostics, LONE_STATE, MachineType, ValidMachine};
use crate::ids::StateName;
use crate::interpreter::event::{Failure, Payload};

use super::{Answer, Configuration, Refusal};

/// A machine whose top level is the state under test, alone. Its branches and processors stand where they stood.
#[derive(Debug)]
pub struct Subject {
    machine: Machine,
    state: Arc<State>,
}

impl Subject {
    /// Reads a state or, where `name` is given, the machine that holds it (at any depth).
    ///
    /// # Errors
    /// Outer: the definition is not valid. Inner: there is no such state.
    pub fn parse(definition: &str, name: Option<&str>) -> Result<Result<Self, Refusal>, Diagnostics> {
        let ValidMachine { machine, .. } = match name {
            Some(_) => asl::parse(definition, MachineType::Standard)?,
            None => asl::parse_state(definition)?,
        };
        let found = Arc::into_inner(machine).ok_or(Refusal::Stuck);
        Ok(found.and_then(|machine| Self::cut(machine, name.unwrap_or(LONE_STATE))))
    }

    fn cut(mut machine: Machine, name: &str) -> Result<Self, Refusal> {
        let state =
            machine.blocks.iter_mut().find_map(|block| block.states.remove(name)).ok_or(Refusal::StateNotFound)?;
        // Recorded: AWS runs it under a name of its own, not its name in the machine.
        let mut state = Arc::into_inner(state).ok_or(Refusal::Stuck)?;
        state.name = LONE_STATE.into();
        let state = Arc::new(state);
        let states = BTreeMap::from([(Arc::clone(&state.name), Arc::clone(&state))]);
        let top = Block { start_at: Arc::clone(&state.name), states, pointer: String::new() };
        match machine.blocks.first_mut() {
            Some(first) => *first = top,
            None => return Err(Refusal::StateNotFound),
        }
        Ok(Self { machine, state })
    }

    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    pub(super) fn name(&self) -> &StateName {
        &self.state.name
    }

    /// The resource of a Task.
    #[must_use]
    pub fn resource(&self) -> Option<&Resource> {
        match &self.state.kind {
            Kind::Task(task) => Some(&task.resource),
            _ => None,
        }
    }

    /// Whether the state can be tested without a mock, and with these settings.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, mocked: bool, role: bool, configuration: &Configuration) -> Result<(), Refusal> {
        let kind = &self.state.kind;
        let holds_states = matches!(kind, Kind::Map(_) | Kind::Parallel(_));
        if mocked && !(holds_states || matches!(kind, Kind::Task(_))) {
            return Err(Refusal::MockNotTaken(kind.type_name()));
        }
        if !mocked && holds_states {
            return Err(Refusal::MockNeeded(kind.type_name()));
        }
        if let Some(resource) = self.resource().filter(|_| !mocked) {
            if !role {
                return Err(Refusal::RoleNeeded(kind.type_name()));
            }
            let waits = match &resource.kind {
                ResourceKind::Activity { .. } => true,
                ResourceKind::Service { pattern, .. } => *pattern != Pattern::RequestResponse,
                ResourceKind::LambdaFunction { .. } => false,
            };
            if waits {
                return Err(Refusal::MockNeededToWait(resource.arn.to_string()));
            }
        }
        let is_map = matches!(kind, Kind::Map(_));
        if configuration.map_iteration_failure_count.is_some() && !is_map {
            return Err(Refusal::ConfigurationNotTaken { field: "mapIterationFailureCount", kinds: "Map" });
        }
        if configuration.map_item_reader_data.is_some() && !is_map {
            return Err(Refusal::ConfigurationNotTaken { field: "mapItemReaderData", kinds: "Map" });
        }
        if let Some(name) = &configuration.error_caused_by_state {
            if !holds_states {
                return Err(Refusal::ConfigurationNotTaken { field: "errorCausedByState", kinds: "Map or Parallel" });
            }
            if !self.machine.blocks.iter().skip(1).any(|block| block.states.contains_key(name.as_str())) {
                return Err(Refusal::StateNotFound);
            }
        }
        Ok(())
    }

    /// Whether the state may be tested over this context object.
    ///
    /// # Errors
    /// Why not.
    pub fn check_context(&self, context: &Value) -> Result<(), Refusal> {
        let offers_token = self.resource().is_some_and(|resource| {
            matches!(&resource.kind, ResourceKind::Service { pattern, .. } if *pattern != Pattern::RequestResponse)
        });
        if context.get("Task").is_some() && !offers_token { Err(Refusal::ContextWithTask) } else { Ok(()) }
    }

    /// A mocked result, if it has the form that the state's own result would have.
    ///
    /// # Errors
    /// The form that it should have.
    pub fn mocked_result(&self, text: &str) -> Result<Answer, Refusal> {
        let value: Value = serde_json::from_str(text).map_err(|_| Refusal::MockNotJson)?;
        match (&self.state.kind, &value) {
            // With a ResultWriter the state gives a description of the written files, not the results.
            (Kind::Map(map), value) if map.result_writer.is_some() && !value.is_object() => {
                return Err(Refusal::MockNotObject);
            }
            (Kind::Map(map), value) if map.result_writer.is_none() && !value.is_array() => {
                return Err(Refusal::MockNotArray);
            }
            (Kind::Parallel(parallel), Value::Array(results)) if results.len() != parallel.branches.len() => {
                return Err(Refusal::MockBranches);
            }
            (Kind::Parallel(_), value) if !value.is_array() => return Err(Refusal::MockNotArray),
            _ => {}
        }
        Ok(Answer::Result(Payload::new(value)))
    }

    /// A mocked error.
    ///
    /// # Errors
    /// Where it has no name.
    pub fn mocked_error(error: Option<String>, cause: Option<String>) -> Result<Answer, Refusal> {
        let error = error.ok_or(Refusal::MockWithoutError)?;
        Ok(Answer::Error(Failure { error: Some(error), cause, heartbeat: false }))
    }
}
