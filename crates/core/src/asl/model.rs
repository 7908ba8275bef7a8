//! A definition, parsed and compiled for the interpreter.
//!
//! Built by [`super::parse`] only. Texts of paths, templates, intrinsics and JSONata are compiled here once, so that an
//! execution never parses. Nested workflows (branches of a Parallel, the processor of a Map) are flattened into
//! [`Machine::blocks`]: a frame of the interpreter points at its block by number.
//!
//! Source of the shapes: Amazon States Language specification, and the AWS developer guide where the service goes
//! further.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::resource::Resource;
pub use crate::ids::{BlockId, StateName};
use crate::payload::Payload;
use crate::query::jsonata::{Expression, JsonataTemplate};
use crate::query::jsonpath;
use crate::query::reference_path::ReferencePath;
use crate::query::template::Template as PathTemplate;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueryLanguage {
    #[default]
    JsonPath,
    Jsonata,
}

/// A state machine, ready to run.
#[derive(Debug)]
pub struct Machine {
    pub query_language: QueryLanguage,
    /// `TimeoutSeconds` of the whole machine.
    pub timeout_seconds: Option<u64>,
    /// `blocks[0]` is the top level; nested workflows follow.
    pub blocks: Vec<Block>,
    /// Memory that the compiled machine takes, about.
    pub bytes: u64,
}

/// A set of states with a start: the top level, a branch or a Map's processor.
#[derive(Debug)]
pub struct Block {
    pub start_at: StateName,
    pub states: BTreeMap<StateName, Arc<State>>,
    /// Where it stands in the definition: `/States/Fork/Branches/0`; empty for the top.
    pub pointer: String,
}

#[derive(Debug)]
pub struct State {
    pub name: StateName,
    /// Where it stands in the definition: `/States/A`.
    pub pointer: String,
    pub language: QueryLanguage,
    /// `InputPath` (JSONPath only).
    pub input_path: Selection,
    /// `OutputPath` (JSONPath only).
    pub output_path: Selection,
    /// `Output` (JSONata only).
    pub output: Option<Template>,
    /// `Assign`; a template that gives an object.
    pub assign: Option<Template>,
    /// `Next` or `End`. Not read for Choice, Succeed and Fail.
    pub transition: Transition,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    Next(StateName),
    End,
}

#[derive(Debug)]
pub enum Kind {
    Pass(Pass),
    Task(Box<Task>),
    Choice(Choice),
    Wait(Wait),
    Succeed,
    Fail(Fail),
    Parallel(Box<Parallel>),
    Map(Box<Map>),
}

impl Kind {
    /// The `Type` as the definition writes it.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Pass(_) => "Pass",
            Self::Task(_) => "Task",
            Self::Choice(_) => "Choice",
            Self::Wait(_) => "Wait",
            Self::Succeed => "Succeed",
            Self::Fail(_) => "Fail",
            Self::Parallel(_) => "Parallel",
            Self::Map(_) => "Map",
        }
    }
}

/// `InputPath`, `OutputPath`, `ItemsPath`: a part of a value.
#[derive(Debug, Default)]
pub enum Selection {
    /// `$`, or the field is absent.
    #[default]
    Whole,
    /// `null`: an empty object.
    Nothing,
    Path(jsonpath::Path),
}

/// `ResultPath`.
#[derive(Debug, Default)]
pub enum ResultPath {
    /// `$`, or the field is absent: the result replaces the input.
    #[default]
    Replace,
    /// `null`: the input goes on, the result is dropped.
    Discard,
    Into(ReferencePath),
}

/// A JSON value with expressions in it: `Parameters`, `Arguments`, `ResultSelector`, `ItemSelector`, `Assign`,
/// `Output`...
#[derive(Debug)]
pub enum Template {
    JsonPath(PathTemplate),
    Jsonata(JsonataTemplate),
}

/// A number that may be computed: `TimeoutSeconds` (literal or JSONata), `TimeoutSecondsPath`, ...
#[derive(Debug)]
pub enum Quantity {
    Literal(f64),
    /// The `...Path` form.
    Path(jsonpath::Path),
    Jsonata(Expression),
}

/// A string that may be computed: `Error`, `Cause`, `Timestamp`.
#[derive(Debug)]
pub enum Text {
    Literal(String),
    /// The `...Path` form with a path.
    Path(jsonpath::Path),
    /// The `...Path` form with an intrinsic function (`ErrorPath`, `CausePath`).
    Intrinsic(crate::query::intrinsics::Intrinsic),
    Jsonata(Expression),
}

#[derive(Debug, Default)]
pub struct Pass {
    /// `Result` (JSONPath only).
    pub result: Option<Payload>,
    pub parameters: Option<Template>,
    pub result_path: ResultPath,
}

#[derive(Debug)]
pub struct Task {
    pub resource: Resource,
    /// `Parameters` or `Arguments`.
    pub parameters: Option<Template>,
    pub result_selector: Option<Template>,
    pub result_path: ResultPath,
    pub timeout: Option<Quantity>,
    pub heartbeat: Option<Quantity>,
    /// `Credentials`; evaluated and shown in the history, not used.
    pub credentials: Option<Template>,
    pub retry: Vec<Retrier>,
    pub catch: Vec<Catcher>,
}

#[derive(Debug)]
pub struct Retrier {
    pub error_equals: Vec<String>,
    /// Seconds, default 1.
    pub interval_seconds: u64,
    /// Default 3; 0 = never.
    pub max_attempts: u64,
    /// Default 2.0, at least 1.0.
    pub backoff_rate: f64,
    pub max_delay_seconds: Option<u64>,
    /// `JitterStrategy: FULL`.
    pub full_jitter: bool,
}

#[derive(Debug)]
pub struct Catcher {
    pub error_equals: Vec<String>,
    pub next: StateName,
    pub result_path: ResultPath,
    /// `Assign` of the catcher.
    pub assign: Option<Template>,
    /// `Output` of the catcher (JSONata only).
    pub output: Option<Template>,
}

#[derive(Debug)]
pub struct Choice {
    pub rules: Vec<Rule>,
    pub default: Option<StateName>,
}

#[derive(Debug)]
pub struct Rule {
    pub condition: Condition,
    pub next: StateName,
    pub assign: Option<Template>,
    /// JSONata only.
    pub output: Option<Template>,
}

#[derive(Debug)]
pub enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    /// `{"Variable": path, "<operator>": operand}`.
    Test {
        variable: jsonpath::Path,
        operator: Operator,
        operand: Operand,
    },
    /// `Condition` (JSONata): must give a boolean.
    Jsonata(Expression),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    StringEquals,
    StringLessThan,
    StringGreaterThan,
    StringLessThanEquals,
    StringGreaterThanEquals,
    StringMatches,
    NumericEquals,
    NumericLessThan,
    NumericGreaterThan,
    NumericLessThanEquals,
    NumericGreaterThanEquals,
    BooleanEquals,
    TimestampEquals,
    TimestampLessThan,
    TimestampGreaterThan,
    TimestampLessThanEquals,
    TimestampGreaterThanEquals,
    IsNull,
    IsPresent,
    IsNumeric,
    IsString,
    IsBoolean,
    IsTimestamp,
}

#[derive(Debug)]
pub enum Operand {
    Literal(Value),
    /// The `...Path` form of the operator.
    Path(jsonpath::Path),
}

#[derive(Debug)]
pub enum Wait {
    /// `Seconds` (literal or JSONata) or `SecondsPath`.
    Seconds(Quantity),
    /// `Timestamp` (literal or JSONata) or `TimestampPath`.
    Timestamp(Text),
}

#[derive(Debug, Default)]
pub struct Fail {
    pub error: Option<Text>,
    pub cause: Option<Text>,
}

#[derive(Debug)]
pub struct Parallel {
    pub branches: Vec<BlockId>,
    pub parameters: Option<Template>,
    pub result_selector: Option<Template>,
    pub result_path: ResultPath,
    pub retry: Vec<Retrier>,
    pub catch: Vec<Catcher>,
}

#[derive(Debug)]
pub struct Map {
    pub processor: BlockId,
    pub mode: MapMode,
    /// `ItemsPath` (JSONPath).
    pub items_path: Selection,
    /// `Items` (JSONata): a literal array or an expression.
    pub items: Option<Template>,
    /// `ItemSelector`, or the older `Parameters`.
    pub item_selector: Option<Template>,
    pub item_reader: Option<ItemReader>,
    pub item_batcher: Option<ItemBatcher>,
    pub result_writer: Option<ResultWriter>,
    /// `MaxConcurrency[Path]`; 0 or absent = no limit.
    pub max_concurrency: Option<Quantity>,
    pub tolerated_failure_count: Option<Quantity>,
    pub tolerated_failure_percentage: Option<Quantity>,
    pub label: Option<String>,
    /// `Parameters` (older form): the state's own payload template where `ItemSelector` stands beside it.
    pub result_selector: Option<Template>,
    pub result_path: ResultPath,
    pub retry: Vec<Retrier>,
    pub catch: Vec<Catcher>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MapMode {
    #[default]
    Inline,
    Distributed {
        express: bool,
    },
}

/// `ItemReader` (Distributed Map).
#[derive(Debug)]
pub struct ItemReader {
    pub resource: Resource,
    pub parameters: Option<Template>,
    /// `ReaderConfig` as written; `MaxItems` and `MaxItemsPath` are compiled beside it.
    pub config: Value,
    pub max_items: Option<Quantity>,
}

/// `ItemBatcher` (Distributed Map).
#[derive(Debug)]
pub struct ItemBatcher {
    pub max_items_per_batch: Option<Quantity>,
    pub max_input_bytes_per_batch: Option<Quantity>,
    pub batch_input: Option<Template>,
}

/// `ResultWriter` (Distributed Map).
#[derive(Debug)]
pub struct ResultWriter {
    pub resource: Option<Resource>,
    pub parameters: Option<Template>,
    pub config: Value,
}
