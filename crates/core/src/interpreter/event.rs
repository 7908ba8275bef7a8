//! Events: journaled facts, past tense. AWS's history events, plus a few facts of ours that AWS does not show
//! ("hidden").
//!
//! Serialized names are part of the journal's form and never follow a Rust rename; `record` pins them by
//! snapshots. A visible event has an [`EventId`] (1..n); a hidden one shares the number line of nothing: its id is 0.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::ids::{Arn, BlockId, EventId, ExecutionKind, StateName, TaskKey};
use crate::trace::{SpanContext, TraceOrigin};

pub use crate::payload::Payload;

/// Number of a frame: the top level is 0, each branch and iteration gets the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FrameId(pub u32);

impl FrameId {
    pub const TOP: Self = Self(0);
}

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    #[serde(rename = "t")]
    pub at: Timestamp,
    /// 0: hidden.
    #[serde(rename = "i", default, skip_serializing_if = "is_zero_id")]
    pub id: EventId,
    #[serde(rename = "p", default, skip_serializing_if = "is_zero_id")]
    pub previous: EventId,
    #[serde(rename = "f", default, skip_serializing_if = "is_top")]
    pub frame: FrameId,
    #[serde(rename = "e")]
    pub event: Event,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero_id(id: &EventId) -> bool {
    id.0 == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_top(frame: &FrameId) -> bool {
    frame.0 == 0
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StateType {
    Pass,
    Task,
    Choice,
    Wait,
    Succeed,
    Fail,
    Parallel,
    Map,
}

impl StateType {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::Task => "Task",
            Self::Choice => "Choice",
            Self::Wait => "Wait",
            Self::Succeed => "Succeed",
            Self::Fail => "Fail",
            Self::Parallel => "Parallel",
            Self::Map => "Map",
        }
    }
}

/// An error with its cause, as AWS shows both; either may be absent (a Fail state without them, a worker that gave
/// none).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Failure {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Hidden: a missed heartbeat. AWS records it as `States.Timeout`, yet a Retry or Catch for
    /// `States.HeartbeatTimeout` matches.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub heartbeat: bool,
}

impl Failure {
    #[must_use]
    pub fn new(error: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { error: Some(error.into()), cause: Some(cause.into()), heartbeat: false }
    }

    #[must_use]
    pub fn named(error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), cause: None, heartbeat: false }
    }

    /// Nothing retries or catches it.
    #[must_use]
    pub fn is_runtime(&self) -> bool {
        self.error.as_deref() == Some("States.Runtime")
    }
}

/// The author of an answer or an order, as far as its way in tells. AWS's history does not show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The access key of a request.
    Key(Arc<str>),
    /// The key that a person signed in with to the console.
    Person(Arc<str>),
    /// The console, without keys: anybody at this machine.
    Console,
    /// The broker's user that sent a reply, as the broker checked it.
    Queue(Arc<str>),
    /// An approval link: the person that it was made for, and its maker.
    Link { audience: Arc<str>, maker: Arc<str> },
}

impl std::fmt::Display for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(id) => write!(f, "key {id}"),
            Self::Person(id) => write!(f, "{id} (console)"),
            Self::Console => f.write_str("console"),
            Self::Queue(user) => write!(f, "queue user {user}"),
            Self::Link { audience, maker } => write!(f, "{audience} (link, made by {maker})"),
        }
    }
}

/// Which of AWS's three sets of task events a task shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskFamily {
    /// `LambdaFunction...`
    Lambda,
    /// `Activity...`
    Activity,
    /// `Task...`, with these two in every event.
    Service { resource_type: Arc<str>, resource: Arc<str> },
}

/// The start of an execution: everything that the context object and the first event show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    pub input: Payload,
    pub role_arn: Arc<str>,
    pub arn: Arn,
    pub name: Arc<str>,
    pub machine: Arn,
    pub machine_name: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_arn: Option<Arn>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias_arn: Option<Arn>,
    /// The task of another execution that waits for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TaskKey>,
    /// Where it runs in the definition: the top, or (child of a Distributed Map) the processor's block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<BlockId>,
    /// The item that a child of a Distributed Map works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<MapItem>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_run: Option<Arn>,
    /// Which attempt of its map run started it: 0, or the number of the run's redrive.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
    /// How many executions started each other before it: 0 where a caller or a message did.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub depth: u32,
    /// It was forked from another execution, and begins in the middle. Absent in journals from before forks existed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked: Option<Box<Forked>>,
    /// The trace in which it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Box<TraceOrigin>>,
}

/// Where a forked execution comes from and begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forked {
    /// The execution that it was forked from.
    pub from: Arn,
    /// The state of the top level that it enters first.
    pub state: StateName,
    /// The event of the source that entered this state; 0: it never did.
    #[serde(default, skip_serializing_if = "is_zero_id")]
    pub event: EventId,
    /// The state's input.
    pub input: Payload,
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub variables: Assigned,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Started {
    /// An express execution, as its ARN says (`arn:…:express:…`): five minutes at most, no bound on its events, nothing
    /// written.
    #[must_use]
    pub fn is_express(&self) -> bool {
        self.arn.is_express()
    }

    #[must_use]
    pub fn kind(&self) -> ExecutionKind {
        ExecutionKind::of(&self.arn, self.map_run.as_ref())
    }
}

/// `$$.Map.Item`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MapItem {
    pub index: u64,
    pub value: Payload,
    /// Set where the items were an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The source of the items: `STATE_DATA`, or the URI of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Variables that a state assigned, in the order of the definition.
pub type Assigned = serde_json::Map<String, Value>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    ExecutionStarted(Box<Started>),
    ExecutionSucceeded {
        output: Payload,
    },
    ExecutionFailed(Failure),
    ExecutionTimedOut(Failure),
    ExecutionAborted(Failure),
    ExecutionRedriven {
        redrive_count: u32,
        /// Hidden, of a map run's child: which of the run's redrives it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<u32>,
        /// Hidden: the caller's `clientToken`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<Arc<str>>,
    },

    StateEntered {
        kind: StateType,
        name: StateName,
        input: Payload,
    },
    StateExited {
        kind: StateType,
        name: StateName,
        output: Payload,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        assigned: Option<Box<Assigned>>,
        /// Hidden: where the frame goes; absent = its end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<StateName>,
    },
    /// `TaskStateAborted`, `WaitStateAborted`, ...: the state was running when its branch was ended from outside.
    StateAborted {
        kind: StateType,
    },
    /// Hidden: a state failed before or without an event of AWS's that says so (a path that matched nothing, a Fail
    /// state).
    StateFailed(Failure),
    /// JSONata only; shown before the consequences of the failure.
    EvaluationFailed {
        error: String,
        cause: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        location: Option<String>,
        state: StateName,
    },
    /// Hidden: the failed state runs again at `due` by its retrier `retrier`.
    RetryScheduled {
        retrier: u32,
        due: Timestamp,
    },
    /// Hidden: a Wait state, or a backoff, is over.
    WaitEnded,
    /// Hidden: a Wait state waits until `due`.
    WaitScheduled {
        due: Timestamp,
    },

    TaskScheduled(Box<TaskScheduled>),
    /// Hidden: the broker has the task, and AWS shows no event for that (request-response).
    TaskPublished {
        scheduled: EventId,
    },
    TaskStarted {
        family: TaskFamily,
        scheduled: EventId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        worker_name: Option<String>,
    },
    TaskStartFailed {
        family: TaskFamily,
        scheduled: EventId,
        failure: Failure,
    },
    /// The broker has the task; `output` is its receipt. Callbacks and jobs only.
    TaskSubmitted {
        family: TaskFamily,
        scheduled: EventId,
        output: Payload,
    },
    TaskSubmitFailed {
        family: TaskFamily,
        scheduled: EventId,
        failure: Failure,
    },
    /// Hidden: the worker is alive.
    TaskHeartbeat {
        scheduled: EventId,
        /// How many of them this is: the last of so many (`heartbeats`).
        #[serde(default = "one", skip_serializing_if = "is_one")]
        count: u32,
    },
    TaskSucceeded {
        family: TaskFamily,
        scheduled: EventId,
        output: Payload,
        /// Hidden: who answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Box<By>>,
        /// Hidden: the span in which the worker answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<Box<SpanContext>>,
    },
    TaskFailed {
        family: TaskFamily,
        scheduled: EventId,
        failure: Failure,
        /// Hidden: who answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Box<By>>,
        /// Hidden: the span in which the worker answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<Box<SpanContext>>,
    },
    TaskTimedOut {
        family: TaskFamily,
        scheduled: EventId,
        failure: Failure,
    },

    /// Hidden fields: the input of the branches.
    ParallelStarted {
        branches: Vec<BlockId>,
        input: Payload,
    },
    ParallelSucceeded,
    ParallelFailed,
    MapStarted(Box<MapStarted>),
    MapSucceeded,
    MapFailed,
    MapIterationStarted {
        name: StateName,
        index: u64,
        input: Payload,
    },
    MapIterationSucceeded {
        name: StateName,
        index: u64,
    },
    MapIterationFailed {
        name: StateName,
        index: u64,
    },
    MapIterationAborted {
        name: StateName,
        index: u64,
    },
    /// Hidden: the frames of a fork are gone; its state failed with this.
    ForkFailed(Failure),

    MapRunStarted {
        arn: Arn,
        /// Hidden: the plan of the run. Absent in journals from before map runs existed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan: Option<Box<MapRunPlan>>,
    },
    /// Hidden: the children of a run that was stopped have all closed.
    MapRunStopped {
        started: EventId,
    },
    /// Hidden: the child of a task that ended without it is over.
    ChildStopped {
        scheduled: EventId,
    },
    /// Hidden: a task of another execution, which asked for this very start, waits for the end of this one.
    ExecutionFollowed {
        task: TaskKey,
    },
    MapRunSucceeded {
        output: Payload,
    },
    MapRunFailed(Failure),
    MapRunRedriven {
        arn: Arn,
        redrive_count: u32,
    },
}

/// A task was scheduled: the shell owes its dispatch from here on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskScheduled {
    pub family: TaskFamily,
    /// The `Resource` ARN.
    pub resource: Arc<str>,
    pub parameters: Payload,
    /// As the history shows them: only where the definition sets them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub credentials: Option<Payload>,
}

impl TaskScheduled {
    /// `states:startExecution.sync` and `.sync:2`: the end of another execution ends the task, and the other way round.
    #[must_use]
    pub fn waits_for_child(&self) -> bool {
        matches!(&self.family, TaskFamily::Service { resource_type, resource }
            if &**resource_type == "states" && matches!(&**resource, "startExecution.sync" | "startExecution.sync:2"))
    }
}

/// A Map began. Inline: the items that its iterations get; distributed: only `length`, the rest stands in the
/// [`MapRunPlan`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MapStarted {
    /// As the history shows it; a Distributed Map that reads its items shows 0.
    pub length: u64,
    pub block: BlockId,
    pub items: Vec<MapItem>,
    /// 0 = no limit.
    pub max_concurrency: u64,
    pub tolerance: Tolerance,
    /// The value of `$` in `ItemSelector`.
    pub input: Payload,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub distributed: bool,
}

/// The plan of a map run, evaluated when its Map state was entered: the same after every restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MapRunPlan {
    pub block: BlockId,
    /// Its children are express executions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub express: bool,
    /// The value of `$` in `ItemSelector`.
    pub input: Payload,
    pub source: ItemSource,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batching: Option<Batching>,
    /// 0 = no limit but the engine's.
    pub max_concurrency: u64,
    pub tolerance: Tolerance,
    /// `Parameters` or `Arguments` of the `ResultWriter`, where results are exported.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub writer: Option<Payload>,
}

/// Where a map run's items come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ItemSource {
    /// An array, or an object whose pairs are the items.
    StateData { items: Payload },
    /// `ItemReader`: its `Parameters` or `Arguments`; `ReaderConfig` stands in the definition.
    Reader {
        parameters: Payload,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_items: Option<u64>,
    },
}

/// `ItemBatcher`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Batching {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_items: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// `BatchInput`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub input: Option<Payload>,
}

/// How many iterations may fail.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Tolerance {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentage: Option<f64>,
}

impl Event {
    /// True where the execution is closed by it.
    #[must_use]
    pub const fn closes(&self) -> bool {
        matches!(
            self,
            Self::ExecutionSucceeded { .. }
                | Self::ExecutionFailed(_)
                | Self::ExecutionTimedOut(_)
                | Self::ExecutionAborted(_)
        )
    }

    /// How far the journal's version goes on with it.
    #[must_use]
    pub const fn weight(&self) -> u32 {
        if let Self::TaskHeartbeat { count, .. } = self { *count } else { 1 }
    }

    /// True where AWS's history does not show it.
    #[must_use]
    pub const fn is_hidden(&self) -> bool {
        matches!(
            self,
            Self::StateFailed(_)
                | Self::RetryScheduled { .. }
                | Self::WaitScheduled { .. }
                | Self::WaitEnded
                | Self::TaskPublished { .. }
                | Self::TaskHeartbeat { .. }
                | Self::ForkFailed(_)
                | Self::MapRunStopped { .. }
                | Self::ChildStopped { .. }
                | Self::ExecutionFollowed { .. }
        )
    }
}

/// A present value, which may be `null`: serde would take `null` for an absent one.
pub(super) fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Payload>, D::Error> {
    Payload::deserialize(from).map(Some)
}

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde requires this signature")]
const fn is_one(count: &u32) -> bool {
    *count == 1
}

/// Variables of a scope, by name.
pub type Variables = BTreeMap<Arc<str>, Payload>;
