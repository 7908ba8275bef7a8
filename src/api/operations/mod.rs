//! The operations: one file each, one shape for all, one table of them.
//!
//! A file holds `Input` (already checked against the model), `Output`, and `pub async fn handle(ctx: &Context, input:
//! Input) -> Result<Output, ApiError>`. To add one: write its file, add its line to the table below; `docs/HOWTO.md`
//! says more.

use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::context::Context;
use super::error::ApiError;

/// A class of operations that an access key may be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Describe, list, validate.
    Read,
    /// Start, stop and redrive executions.
    Start,
    /// Take tasks and report their ends; operations that show task tokens.
    Complete,
    /// Create, change and delete machines, activities, aliases, versions and tags.
    Admin,
    /// Inputs, outputs and other payloads in what `Read` shows. No operation is of this class; a key has it unless its
    /// classes take it away.
    Payload,
}

impl Class {
    pub const ALL: [Self; 5] = [Self::Read, Self::Start, Self::Complete, Self::Admin, Self::Payload];
    /// The word in settings that takes [`Class::Payload`] away.
    pub const WITHOUT_PAYLOAD: &str = "no-payload";

    /// The classes of these words. Payloads are in, unless the words take them away.
    pub fn of_words<'w>(words: impl IntoIterator<Item = &'w str> + Clone) -> Vec<Self> {
        let mut classes: Vec<Self> = words.clone().into_iter().filter_map(Self::parse).collect();
        if words.into_iter().any(|word| word == Self::WITHOUT_PAYLOAD) {
            classes.retain(|class| *class != Self::Payload);
        } else if !classes.is_empty() && !classes.contains(&Self::Payload) {
            classes.push(Self::Payload);
        }
        classes
    }

    /// The class of this name, as [`Class::as_str`] gives it.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }

    /// The name of the class in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Start => "start",
            Self::Complete => "complete",
            Self::Admin => "admin",
            Self::Payload => "payload",
        }
    }
}

type Run = for<'a> fn(&'a Context, Map<String, Value>) -> LocalBoxFuture<'a, Result<Vec<u8>, ApiError>>;

/// An operation of the API.
pub struct Operation {
    /// AWS's name. Our own operations have the prefix `Reveille.`.
    pub name: &'static str,
    pub class: Class,
    /// Takes the checked members of the request, gives the body of the answer.
    pub run: Run,
}

impl Operation {
    /// A further class that this input demands, besides `class`.
    pub fn demands(&self, input: &Map<String, Value>) -> Option<Class> {
        match self.name {
            // A caller with his own definition can send any message to any queue.
            "TestState" if !input.contains_key("mock") => Some(Class::Admin),
            // As for messages that are named one by one.
            "Reveille.StartBulkAction" if input.get("action").is_some_and(|action| action == "REPLAY") => {
                Some(Class::Complete)
            }
            _ => None,
        }
    }

    /// The reason why an input demands more.
    pub fn why_demanded(&self) -> &'static str {
        match self.name {
            "TestState" => {
                " (TestState without a mock has the effects of the state, like a state machine of the caller's own)"
            }
            _ => " (a parked message is sent again)",
        }
    }
}

mod parked_messages;

macro_rules! operations {
    ($($name:literal $class:ident $module:ident;)*) => {
        $(pub mod $module;)*
        static OPERATIONS: &[Operation] = &[$(Operation {
            name: $name,
            class: Class::$class,
            run: |ctx, input| Box::pin(run(ctx, input, $module::handle)),
        }),*];
    };
}

operations! {
    "CreateActivity" Admin create_activity;
    "CreateStateMachine" Admin create_state_machine;
    "CreateStateMachineAlias" Admin create_state_machine_alias;
    "DeleteActivity" Admin delete_activity;
    "DeleteStateMachine" Admin delete_state_machine;
    "DeleteStateMachineAlias" Admin delete_state_machine_alias;
    "DeleteStateMachineVersion" Admin delete_state_machine_version;
    "DescribeActivity" Read describe_activity;
    "DescribeExecution" Read describe_execution;
    "DescribeMapRun" Read describe_map_run;
    "DescribeStateMachine" Read describe_state_machine;
    "DescribeStateMachineAlias" Read describe_state_machine_alias;
    "DescribeStateMachineForExecution" Read describe_state_machine_for_execution;
    "GetActivityTask" Complete get_activity_task;
    "GetExecutionHistory" Read get_execution_history;
    "ListActivities" Read list_activities;
    "ListExecutions" Read list_executions;
    "ListMapRuns" Read list_map_runs;
    "ListStateMachineAliases" Read list_state_machine_aliases;
    "ListStateMachineVersions" Read list_state_machine_versions;
    "ListStateMachines" Read list_state_machines;
    "ListTagsForResource" Read list_tags_for_resource;
    "PublishStateMachineVersion" Admin publish_state_machine_version;
    "RedriveExecution" Start redrive_execution;
    "SendTaskFailure" Complete send_task_failure;
    "SendTaskHeartbeat" Complete send_task_heartbeat;
    "SendTaskSuccess" Complete send_task_success;
    "StartExecution" Start start_execution;
    "StartSyncExecution" Start start_sync_execution;
    "StopExecution" Start stop_execution;
    "TagResource" Admin tag_resource;
    "TestState" Start test_state;
    "UntagResource" Admin untag_resource;
    "UpdateMapRun" Start update_map_run;
    "UpdateStateMachine" Admin update_state_machine;
    "UpdateStateMachineAlias" Admin update_state_machine_alias;
    "ValidateStateMachineDefinition" Read validate_state_machine_definition;
    "Reveille.CancelBulkAction" Start cancel_bulk_action;
    "Reveille.ClaimTask" Complete claim_task;
    "Reveille.CreateApprovalLink" Complete create_approval_link;
    "Reveille.RevokeApprovalLink" Complete revoke_approval_link;
    "Reveille.CreateSignIn" Read create_sign_in;
    "Reveille.DeleteForm" Admin delete_form;
    "Reveille.GetForm" Read get_form;
    "Reveille.ListForms" Read list_forms;
    "Reveille.PutForm" Admin put_form;
    "Reveille.ReleaseTask" Complete release_task;
    "Reveille.DescribeBulkAction" Read describe_bulk_action;
    "Reveille.DescribeLineage" Read describe_lineage;
    "Reveille.DescribeParkedMessage" Complete describe_parked_message;
    "Reveille.DescribeSystem" Admin describe_system;
    "Reveille.ForkExecution" Start fork_execution;
    "Reveille.ListBulkActions" Read list_bulk_actions;
    "Reveille.ListNodes" Read list_nodes;
    "Reveille.ListParkedMessages" Read list_parked_messages;
    "Reveille.ListTaskQueues" Read list_task_queues;
    "Reveille.ListWaitingTasks" Complete list_waiting_tasks;
    "Reveille.PurgeParkedMessages" Admin purge_parked_messages;
    "Reveille.ReplayParkedMessages" Complete replay_parked_messages;
    "Reveille.StartBulkAction" Start start_bulk_action;
}

/// The operation of this name.
pub fn find(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

async fn run<'a, I, O, F>(ctx: &'a Context, input: Map<String, Value>, handle: F) -> Result<Vec<u8>, ApiError>
where
    I: DeserializeOwned,
    O: Serialize,
    F: AsyncFnOnce(&'a Context, I) -> Result<O, ApiError>,
{
    // Payload texts move from the parsed body into the input; they are not copied or parsed again.
    let input = serde_json::from_value(Value::Object(input)).map_err(|e| ApiError::serialization(e.to_string()))?;
    let output = handle(ctx, input).await?;
    serde_json::to_vec(&output).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        ApiError::internal()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::model::Model;

    #[test]
    fn payloads_are_seen_unless_the_words_take_them_away() {
        use Class::{Complete, Payload, Read};
        assert_eq!(Class::of_words(["read", "complete"]), [Read, Complete, Payload]);
        assert_eq!(Class::of_words(["payload", "read"]), [Payload, Read]);
        assert_eq!(Class::of_words(["read", "no-payload"]), [Read]);
        assert_eq!(Class::of_words(["no-payload"]), []);
        assert_eq!(Class::of_words(["nonsense"]), []);
    }

    #[test]
    fn every_operation_of_the_model_has_its_handler() {
        let model = Model::get();
        for name in model.operations.keys() {
            assert!(find(name).is_some(), "{name} has no handler");
        }
        for operation in OPERATIONS {
            let known = model.operations.contains_key(operation.name) || operation.name.starts_with("Reveille.");
            assert!(known, "{} is no operation of the model", operation.name);
        }
    }
}
