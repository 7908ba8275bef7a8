//! The scope of a state's expressions: its input, the variables of its frame and the frames around it, the context
//! object.

use std::cell::{Cell, OnceCell};

use serde_json::{Map, Value, json};

use crate::ids::TaskKey;
use crate::query::Roots;

use super::decide::TokenMint;
use super::event::{FrameId, Payload, StateType};
use super::state::State;

/// The context object of the current scope, and the parts that the next scope takes over.
///
/// It holds the execution's input. If it were made for each expression, a Map over the items of that input would copy
/// all of them for each item.
#[derive(Default)]
pub(super) struct Context {
    whole: OnceCell<Value>,
    execution: Cell<Option<Map<String, Value>>>,
    /// Work of the decision's expressions.
    spent: Cell<u64>,
}

/// Members that differ from scope to scope. All others belong to the execution.
const OF_SCOPE: [&str; 3] = ["State", "Task", "Map"];

impl Context {
    pub fn spent(&self) -> u64 {
        self.spent.get()
    }

    /// Makes ready for another scope of the same decision.
    pub fn renew(&mut self) {
        if let Some(Value::Object(mut fields)) = self.whole.take() {
            for name in OF_SCOPE {
                fields.shift_remove(name);
            }
            self.execution.set(Some(fields));
        }
    }
}

#[cfg(test)]
thread_local! {
    /// How often the execution's part was made, with its input.
    pub(super) static EXECUTIONS_MADE: Cell<usize> = const { Cell::new(0) };
}

pub(super) struct Scope<'a> {
    state: &'a State,
    frame: FrameId,
    input: &'a Payload,
    /// The token is minted when an expression reads it: most tasks hand their token on without one.
    token: Option<(&'a dyn TokenMint, TaskKey)>,
    context: &'a Context,
    /// `TestState`: the context object as the caller gave it.
    given: Option<&'a Value>,
    /// The item whose `ItemSelector` is evaluated: its iteration has no frame yet.
    item: Option<&'a super::event::MapItem>,
}

impl<'a> Scope<'a> {
    pub fn new(
        state: &'a State,
        context: &'a Context,
        frame: FrameId,
        input: &'a Payload,
        token: Option<(&'a dyn TokenMint, TaskKey)>,
    ) -> Self {
        Self { state, frame, input, token, context, given: None, item: None }
    }

    pub fn with_context(mut self, given: Option<&'a Value>) -> Self {
        self.given = given;
        self
    }

    pub fn with_item(mut self, item: &'a super::event::MapItem) -> Self {
        self.item = Some(item);
        self
    }

    /// `Execution` and `StateMachine`.
    fn execution(&self) -> Map<String, Value> {
        #[cfg(test)]
        EXECUTIONS_MADE.set(EXECUTIONS_MADE.get() + 1);
        let mut context = Map::new();
        if let Some(started) = self.state.started() {
            let mut execution = Map::new();
            execution.insert("Id".into(), json!(started.arn));
            execution.insert("Input".into(), (*started.input).clone());
            execution.insert("StartTime".into(), json!(self.state.started_at().iso()));
            execution.insert("Name".into(), json!(started.name));
            // `TestState` needs no role; then AWS shows null.
            execution.insert(
                "RoleArn".into(),
                if started.role_arn.is_empty() { Value::Null } else { json!(started.role_arn) },
            );
            // Recorded: there is none where nothing can be redriven.
            if !started.is_express() {
                execution.insert("RedriveCount".into(), json!(self.state.redrive_count()));
            }
            if let Some(at) = self.state.redriven_at() {
                execution.insert("RedriveTime".into(), json!(at.iso()));
            }
            context.insert("Execution".into(), Value::Object(execution));
            context.insert("StateMachine".into(), json!({ "Id": started.machine, "Name": started.machine_name }));
        }
        context
    }

    /// The context object. Source: AWS developer guide, "Accessing execution data from the Context object"; order of
    /// keys as recorded.
    fn build(&self) -> Value {
        let mut context = self.context.execution.take().unwrap_or_else(|| self.execution());
        if let Some(visit) = self.state.visit(self.frame) {
            let mut state = Map::new();
            state.insert("Name".into(), json!(visit.name));
            state.insert("EnteredTime".into(), json!(visit.entered_at.iso()));
            if matches!(visit.kind, StateType::Task | StateType::Parallel | StateType::Map) {
                state.insert("RetryCount".into(), json!(visit.retry_count()));
            }
            context.insert("State".into(), Value::Object(state));
        }
        if let Some((tokens, key)) = self.token {
            context.insert("Task".into(), json!({ "Token": tokens.token(key) }));
        }
        if let Some(item) = self.item.or_else(|| self.state.item(self.frame)) {
            let mut fields = Map::new();
            fields.insert("Index".into(), json!(item.index));
            fields.insert("Value".into(), (*item.value).clone());
            if let Some(key) = &item.key {
                fields.insert("Key".into(), json!(key));
            }
            if let Some(source) = &item.source {
                fields.insert("Source".into(), json!(source));
            }
            context.insert("Map".into(), json!({ "Item": fields }));
        }
        Value::Object(context)
    }
}

impl Roots for Scope<'_> {
    fn input(&self) -> &Value {
        self.input
    }

    fn text_of_input(&self) -> Option<&str> {
        self.input.to_pass_on()
    }

    fn context(&self) -> &Value {
        self.given.unwrap_or_else(|| self.context.whole.get_or_init(|| self.build()))
    }

    fn variable(&self, name: &str) -> Option<&Value> {
        self.state.variable(self.frame, name).map(|v| &**v)
    }

    fn spend(&self, work: u64) {
        self.context.spent.set(self.context.spent.get().saturating_add(work));
    }
}
