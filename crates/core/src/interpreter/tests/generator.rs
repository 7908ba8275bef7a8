//! Valid machines by chance: structured programs (sequences, branches that meet again, loops that end, forks), written
//! out as ASL.
//!
//! A program shrinks as a tree, so a failing seed ends as a small machine. Every machine that comes out is accepted by
//! the parser and ends, with any answers of its workers. Ways to fail (paths that match nothing, results that do not
//! fit) are part of it.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The states between the start and the end of a workflow.
pub(super) type Block = Vec<Node>;

#[derive(Debug, Clone)]
pub(super) struct Program {
    /// The whole machine is JSONata; else single states are.
    pub jsonata: bool,
    pub timeout: Option<u32>,
    pub body: Block,
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    Pass(bool, PassKind),
    Wait(bool, u32),
    Task(Box<TaskNode>),
    Choice(bool, Block, Block),
    /// The body runs so often.
    Loop(u8, Block),
    Parallel(Vec<Block>, Handlers),
    Map {
        items: u8,
        window: u8,
        select: bool,
        body: Block,
        handlers: Handlers,
    },
    /// The rest of the block is not reached, but by other ways.
    Fail(&'static str),
    Succeed,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum PassKind {
    Result,
    Template,
    Swap,
    Chance,
    /// Works or fails by what the input is.
    Reach,
}

#[derive(Debug, Clone)]
pub(super) struct TaskNode {
    jsonata: bool,
    resource: &'static str,
    timeout: Option<u32>,
    heartbeat: bool,
    keep: bool,
    handlers: Handlers,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Handlers {
    /// Error, attempts, jitter.
    retry: Vec<(&'static str, u8, bool)>,
    catch: Option<(&'static str, Block)>,
}

pub(super) const ERRORS: &[&str] = &["A", "B", "States.Timeout", "States.Runtime"];
const MATCHERS: &[&str] = &["A", "B", "States.Timeout", "States.HeartbeatTimeout", "States.TaskFailed", "States.ALL"];
const RESOURCES: &[&str] = &[
    "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
    "arn:aws:states:::sqs:sendMessage",
    "arn:aws:states:us-east-1:123456789012:activity:work",
    "arn:aws:lambda:us-east-1:123456789012:function:f",
];

pub(super) fn programs() -> impl Strategy<Value = Program> {
    (any::<bool>(), prop::option::weighted(0.2, 3u32..40), block(4)).prop_map(|(jsonata, timeout, body)| Program {
        jsonata,
        timeout,
        body,
    })
}

fn block(levels: u32) -> BoxedStrategy<Block> {
    prop::collection::vec(node(levels), 0..4).boxed()
}

fn handlers(levels: u32) -> BoxedStrategy<Handlers> {
    let retry = prop::collection::vec((prop::sample::select(MATCHERS), 0u8..3, any::<bool>()), 0..3);
    let catch = prop::option::weighted(0.4, (prop::sample::select(MATCHERS), block(levels.saturating_sub(1))));
    (retry, catch).prop_map(|(retry, catch)| Handlers { retry, catch }).boxed()
}

fn node(levels: u32) -> BoxedStrategy<Node> {
    let pass = prop_oneof![
        Just(PassKind::Result),
        Just(PassKind::Template),
        Just(PassKind::Swap),
        Just(PassKind::Chance),
        Just(PassKind::Reach),
    ];
    let simple = prop_oneof![
        6 => (any::<bool>(), pass).prop_map(|(jsonata, kind)| Node::Pass(jsonata, kind)),
        3 => (any::<bool>(), 0u32..9).prop_map(|(jsonata, seconds)| Node::Wait(jsonata, seconds)),
        1 => prop::sample::select(&["A", "B", "C"][..]).prop_map(Node::Fail),
        1 => Just(Node::Succeed),
    ];
    if levels == 0 {
        return simple.boxed();
    }
    let inner = levels - 1;
    let task = (
        any::<bool>(),
        prop::sample::select(RESOURCES),
        prop::option::of(3u32..20),
        any::<bool>(),
        any::<bool>(),
        handlers(inner),
    )
        .prop_map(|(jsonata, resource, timeout, heartbeat, keep, handlers)| {
            Node::Task(Box::new(TaskNode { jsonata, resource, timeout, heartbeat, keep, handlers }))
        });
    let map = (0u8..6, 0u8..4, any::<bool>(), block(inner), handlers(inner))
        .prop_map(|(items, window, select, body, handlers)| Node::Map { items, window, select, body, handlers });
    prop_oneof![
        6 => simple,
        6 => task,
        2 => (any::<bool>(), block(inner), block(inner)).prop_map(|(jsonata, yes, no)| Node::Choice(jsonata, yes, no)),
        1 => (0u8..4, block(inner)).prop_map(|(times, body)| Node::Loop(times, body)),
        2 => (prop::collection::vec(block(inner), 1..4), handlers(inner)).prop_map(|(branches, handlers)| Node::Parallel(branches, handlers)),
        2 => map,
    ]
    .boxed()
}

impl Program {
    /// The machine as ASL.
    pub fn definition(&self) -> Value {
        let mut writer = Writer { all_jsonata: self.jsonata, names: 0 };
        let mut states = Map::new();
        let first = writer.block(&self.body, None, &mut states);
        // Every expression may read `x` and `y`; only the top level swaps them.
        let mut start = json!({ "Type": "Pass", "Assign": { "x": 1, "y": 2 } });
        link(&mut start, Some(&first));
        states.insert("Start".into(), start);
        let mut machine = json!({ "StartAt": "Start", "States": reachable("Start", states) });
        if self.jsonata {
            machine["QueryLanguage"] = json!("JSONata");
        }
        if let Some(seconds) = self.timeout {
            machine["TimeoutSeconds"] = json!(seconds);
        }
        machine
    }
}

struct Writer {
    all_jsonata: bool,
    names: u32,
}

fn link(state: &mut Value, next: Option<&String>) {
    match next {
        Some(next) => state["Next"] = json!(next),
        None => state["End"] = json!(true),
    }
}

impl Writer {
    fn name(&mut self, kind: &str) -> String {
        self.names += 1;
        format!("{kind}{}", self.names)
    }

    fn language(&self, state: &mut Value, jsonata: bool) -> bool {
        if jsonata && !self.all_jsonata {
            state["QueryLanguage"] = json!("JSONata");
        }
        jsonata || self.all_jsonata
    }

    /// Writes the block so that it goes on at `next`; the name of its first state.
    fn block(&mut self, nodes: &[Node], next: Option<&String>, states: &mut Map<String, Value>) -> String {
        let reached =
            nodes.iter().position(|n| matches!(n, Node::Fail(_) | Node::Succeed)).map_or(nodes, |end| &nodes[..=end]);
        let mut at = next.cloned();
        for node in reached.iter().rev() {
            at = Some(self.node(node, at.as_ref(), states));
        }
        at.filter(|_| !reached.is_empty()).unwrap_or_else(|| {
            let name = self.name("Empty");
            let mut state = json!({ "Type": "Pass" });
            link(&mut state, next);
            states.insert(name.clone(), state);
            name
        })
    }

    fn workflow(&mut self, nodes: &[Node]) -> Value {
        let mut states = Map::new();
        // Shadowing is refused: nothing below the top level assigns `x` and `y`.
        let start = self.block(&without_swaps(nodes), None, &mut states);
        json!({ "StartAt": start, "States": reachable(&start, states) })
    }

    fn node(&mut self, node: &Node, next: Option<&String>, states: &mut Map<String, Value>) -> String {
        let name = self.name(match node {
            Node::Pass(..) => "Pass",
            Node::Wait(..) => "Wait",
            Node::Task(_) => "Task",
            Node::Choice(..) => "Choice",
            Node::Loop(..) => "Loop",
            Node::Parallel(..) => "Parallel",
            Node::Map { .. } => "Map",
            Node::Fail(_) => "Fail",
            Node::Succeed => "Succeed",
        });
        let mut state = match node {
            Node::Pass(jsonata, kind) => self.pass(*jsonata, *kind),
            Node::Wait(jsonata, seconds) => {
                let mut state = json!({ "Type": "Wait" });
                let jsonata = self.language(&mut state, *jsonata);
                state["Seconds"] = if jsonata { json!(format!("{{% {seconds} + 0 %}}")) } else { json!(seconds) };
                state
            }
            Node::Task(task) => self.task(task, next, states),
            Node::Choice(jsonata, yes, no) => {
                let (yes, no) = (self.block(yes, next, states), self.block(no, next, states));
                let state = self.choice(*jsonata, &yes, &no);
                states.insert(name.clone(), state);
                return name;
            }
            Node::Loop(times, body) => return self.counted(&name, *times, body, next, states),
            Node::Parallel(branches, handlers) => {
                let branches: Vec<Value> = branches.iter().map(|b| self.workflow(b)).collect();
                let mut state = json!({ "Type": "Parallel", "Branches": branches });
                self.handlers(&mut state, self.all_jsonata, handlers, next, states);
                state
            }
            Node::Map { items, window, select, body, handlers } => {
                let mut state =
                    json!({ "Type": "Map", "ItemProcessor": self.workflow(body), "MaxConcurrency": window });
                let items: Vec<Value> =
                    (0..*items).map(|i| if i % 2 == 0 { json!({ "n": i }) } else { json!(i) }).collect();
                let selector = if self.all_jsonata {
                    ("v", "{% $states.context.Map.Item.Value.n %}")
                } else {
                    ("v.$", "$$.Map.Item.Value.n")
                };
                if *select {
                    state["ItemSelector"] = json!({ selector.0: selector.1, "x": 1 });
                }
                let before = self.name("Items");
                let mut list = json!({ "Type": "Pass", "Next": name });
                if self.all_jsonata {
                    list["Output"] = json!(items);
                } else {
                    list["Result"] = json!(items);
                }
                self.handlers(&mut state, self.all_jsonata, handlers, next, states);
                link(&mut state, next);
                states.insert(name, state);
                states.insert(before.clone(), list);
                return before;
            }
            Node::Fail(error) => {
                states.insert(name.clone(), json!({ "Type": "Fail", "Error": error, "Cause": "by the program" }));
                return name;
            }
            Node::Succeed => {
                states.insert(name.clone(), json!({ "Type": "Succeed" }));
                return name;
            }
        };
        link(&mut state, next);
        states.insert(name.clone(), state);
        name
    }

    fn pass(&self, jsonata: bool, kind: PassKind) -> Value {
        let mut state = json!({ "Type": "Pass" });
        let fields = if self.language(&mut state, jsonata) {
            match kind {
                PassKind::Result => json!({ "Output": { "a": [1, 2] } }),
                PassKind::Template => json!({ "Output": { "in": "{% $states.input %}", "x": "{% $x + $y %}" } }),
                PassKind::Swap => json!({ "Assign": { "x": "{% $y %}", "y": "{% $x %}" } }),
                PassKind::Chance => json!({ "Output": { "u": "{% $uuid() %}", "r": "{% $random() %}" } }),
                PassKind::Reach => json!({ "Output": "{% $states.input.a[0] + 1 %}" }),
            }
        } else {
            match kind {
                PassKind::Result => json!({ "Result": { "a": [1, 2] }, "ResultPath": "$.r" }),
                PassKind::Template => json!({ "Parameters": { "in.$": "$", "x.$": "States.MathAdd($x, $y)" } }),
                PassKind::Swap => json!({ "Assign": { "x.$": "$y", "y.$": "$x" } }),
                PassKind::Chance => {
                    json!({ "Parameters": { "u.$": "States.UUID()", "r.$": "States.MathRandom(1, 100)" } })
                }
                PassKind::Reach => json!({ "Parameters": { "n.$": "States.MathAdd($.a[0], 1)" } }),
            }
        };
        extend(&mut state, fields);
        state
    }

    fn choice(&self, jsonata: bool, yes: &str, no: &str) -> Value {
        let mut state = json!({ "Type": "Choice", "Default": no });
        let rule = if self.language(&mut state, jsonata) {
            json!({ "Condition": "{% $x < $y %}", "Next": yes })
        } else {
            json!({ "And": [{ "Variable": "$x", "NumericLessThanPath": "$y" }, { "Not": { "Variable": "$.never", "IsPresent": true } }], "Next": yes })
        };
        state["Choices"] = json!([rule]);
        state
    }

    /// `i = 0; while i < times { body; i += 1 }`, in variables of its own name.
    fn counted(
        &mut self,
        name: &str,
        times: u8,
        body: &[Node],
        next: Option<&String>,
        states: &mut Map<String, Value>,
    ) -> String {
        let (test, step, out) = (self.name("Test"), self.name("Step"), self.name("Out"));
        let counter = format!("i{}", self.names);
        let first = self.block(body, Some(&step), states);
        let (rule, more) = if self.all_jsonata {
            (
                json!({ "Condition": format!("{{% ${counter} < {times} %}}"), "Next": first }),
                json!({ counter.clone(): format!("{{% ${counter} + 1 %}}") }),
            )
        } else {
            let more = json!({ format!("{counter}.$"): format!("States.MathAdd(${counter}, 1)") });
            (json!({ "Variable": format!("${counter}"), "NumericLessThan": times, "Next": first }), more)
        };
        let mut end = json!({ "Type": "Pass" });
        link(&mut end, next);
        states.insert(name.to_owned(), json!({ "Type": "Pass", "Assign": { counter: 0 }, "Next": test }));
        states.insert(step, json!({ "Type": "Pass", "Assign": more, "Next": test }));
        states.insert(test, json!({ "Type": "Choice", "Choices": [rule], "Default": out }));
        states.insert(out, end);
        name.to_owned()
    }

    fn task(&mut self, task: &TaskNode, next: Option<&String>, states: &mut Map<String, Value>) -> Value {
        let mut state = json!({ "Type": "Task", "Resource": task.resource });
        let jsonata = self.language(&mut state, task.jsonata);
        if task.resource.contains("sqs") {
            let callback = task.resource.ends_with("waitForTaskToken");
            let (field, body) = match (jsonata, callback) {
                (true, true) => {
                    ("Arguments", json!({ "QueueUrl": "q", "MessageBody": "{% $states.context.Task.Token %}" }))
                }
                (true, false) => ("Arguments", json!({ "QueueUrl": "q", "MessageBody": "b" })),
                (false, true) => ("Parameters", json!({ "QueueUrl": "q", "MessageBody.$": "$$.Task.Token" })),
                (false, false) => ("Parameters", json!({ "QueueUrl": "q", "MessageBody.$": "$" })),
            };
            state[field] = body;
        }
        if let Some(seconds) = task.timeout {
            state["TimeoutSeconds"] = json!(seconds);
            if task.heartbeat {
                state["HeartbeatSeconds"] = json!(seconds - 1);
            }
        }
        match (jsonata, task.keep) {
            (true, true) => state["Output"] = json!({ "in": "{% $states.input %}", "r": "{% $states.result %}" }),
            (false, true) => state["ResultPath"] = json!("$.t"),
            (_, false) => {}
        }
        self.handlers(&mut state, jsonata, &task.handlers, next, states);
        state
    }

    fn handlers(
        &mut self,
        state: &mut Value,
        jsonata: bool,
        handlers: &Handlers,
        next: Option<&String>,
        states: &mut Map<String, Value>,
    ) {
        // States.ALL stands alone and last.
        let mut retry: Vec<Value> = Vec::new();
        for (error, attempts, jitter) in handlers
            .retry
            .iter()
            .filter(|r| r.0 != "States.ALL")
            .chain(handlers.retry.iter().filter(|r| r.0 == "States.ALL").take(1))
        {
            let strategy = if *jitter { "FULL" } else { "NONE" };
            retry.push(json!({ "ErrorEquals": [error], "MaxAttempts": attempts, "IntervalSeconds": 2, "JitterStrategy": strategy, "MaxDelaySeconds": 3 }));
        }
        if !retry.is_empty() {
            state["Retry"] = json!(retry);
        }
        if let Some((error, block)) = &handlers.catch {
            let target = self.block(block, next, states);
            let mut catcher = json!({ "ErrorEquals": [error], "Next": target });
            if jsonata {
                catcher["Output"] = json!({ "e": "{% $states.errorOutput.Error %}" });
            } else {
                catcher["ResultPath"] = json!("$.e");
            }
            state["Catch"] = json!([catcher]);
        }
    }
}

/// Only the states that can be reached: others are refused.
fn reachable(start: &str, mut states: Map<String, Value>) -> Map<String, Value> {
    let mut seen = std::collections::BTreeSet::new();
    let mut open = vec![start.to_owned()];
    while let Some(name) = open.pop() {
        let Some(state) = states.get(&name).filter(|_| seen.insert(name)) else { continue };
        let rules = ["Choices", "Catch"].into_iter().filter_map(|f| state[f].as_array()).flatten().map(|r| &r["Next"]);
        let targets = [&state["Next"], &state["Default"]].into_iter().chain(rules);
        open.extend(targets.filter_map(Value::as_str).map(str::to_owned));
    }
    states.retain(|name, _| seen.contains(name));
    states
}

fn extend(state: &mut Value, fields: Value) {
    if let Value::Object(fields) = fields {
        for (name, value) in fields {
            state[name] = value;
        }
    }
}

fn without_swaps(nodes: &[Node]) -> Block {
    let plain = |b: &Block| without_swaps(b);
    let handled = |h: &Handlers| Handlers {
        retry: h.retry.clone(),
        catch: h.catch.as_ref().map(|(e, b)| (*e, without_swaps(b))),
    };
    nodes
        .iter()
        .map(|node| match node {
            Node::Pass(jsonata, PassKind::Swap) => Node::Pass(*jsonata, PassKind::Template),
            Node::Choice(jsonata, yes, no) => Node::Choice(*jsonata, plain(yes), plain(no)),
            Node::Loop(times, body) => Node::Loop(*times, plain(body)),
            Node::Parallel(branches, h) => Node::Parallel(branches.iter().map(plain).collect(), handled(h)),
            Node::Map { items, window, select, body, handlers } => Node::Map {
                items: *items,
                window: *window,
                select: *select,
                body: plain(body),
                handlers: handled(handlers),
            },
            Node::Task(task) => {
                Node::Task(Box::new(TaskNode { handlers: handled(&task.handlers), ..(**task).clone() }))
            }
            other => other.clone(),
        })
        .collect()
}
