//! The content of a picture: blocks of nodes and edges, without sizes and places.

use serde_json::{Map, Value};

use super::rules;

/// Nesting of blocks in a picture. Deeper blocks are drawn closed: more is not readable, and layout is recursive.
const DEPTH_MAX: usize = 24;
/// Rules or catchers between the same two states whose labels are shown; more are counted.
const LABELS_SHOWN: usize = 2;

/// A definition, ready to be laid out.
#[derive(Debug, Default)]
pub struct Diagram {
    pub top: Block,
}

/// The states of one workflow: the top level, a branch, or the processor of a Map.
#[derive(Debug, Default)]
pub struct Block {
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
    /// Index of the first state; `None` where `StartAt` names no state.
    pub start: Option<usize>,
}

#[derive(Debug)]
pub struct Node {
    pub name: String,
    /// Where the state stands in the definition: `/States/Fork/Branches/0/States/A`.
    pub pointer: String,
    pub kind: NodeKind,
    /// The second line: the resource of a Task, how long a Wait is, how many states a closed container has.
    pub detail: String,
    /// Branches of a Parallel, the processor of a Map.
    pub blocks: Vec<Block>,
    /// The workflow can end here.
    pub ends: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    Pass,
    Task,
    /// A Task that waits for its token.
    Callback,
    Choice,
    Wait,
    Succeed,
    Fail,
    Parallel,
    Map,
    Unknown,
}

#[derive(Debug)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
    pub kind: EdgeKind,
    pub label: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeKind {
    Next,
    Rule,
    Default,
    Catch,
}

impl NodeKind {
    /// The `Type` as a definition writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::Task | Self::Callback => "Task",
            Self::Choice => "Choice",
            Self::Wait => "Wait",
            Self::Succeed => "Succeed",
            Self::Fail => "Fail",
            Self::Parallel => "Parallel",
            Self::Map => "Map",
            Self::Unknown => "State",
        }
    }
}

impl Diagram {
    /// Reads a definition. Missing parts are left out of the picture.
    pub fn read(definition: &Value) -> Self {
        Self { top: block(definition, "", DEPTH_MAX) }
    }

    /// How many states there are, nested ones too.
    pub fn states(&self) -> usize {
        self.top.states()
    }
}

impl Block {
    pub fn states(&self) -> usize {
        self.nodes.iter().map(|node| 1 + node.blocks.iter().map(Self::states).sum::<usize>()).sum()
    }
}

fn block(value: &Value, pointer: &str, depth: usize) -> Block {
    let Some(states) = value.get("States").and_then(Value::as_object) else { return Block::default() };
    let index = |name: &Value| name.as_str().and_then(|name| states.keys().position(|key| key == name));
    let mut edges = Vec::new();
    for (from, state) in states.values().enumerate() {
        transitions(state, |to, kind, label| {
            if let Some(to) = index(to) {
                add(&mut edges, Edge { from, to, kind, label });
            }
        });
    }
    for edge in &mut edges {
        edge.label = shortened(&edge.label);
    }
    let nodes = states
        .iter()
        .map(|(name, state)| node(name, state, format!("{pointer}/States/{}", escaped(name)), depth))
        .collect();
    Block { nodes, edges, start: value.get("StartAt").and_then(index) }
}

/// Edges of the same kind between the same two states become one: its label lists theirs.
fn add(edges: &mut Vec<Edge>, edge: Edge) {
    let kin = edges.iter_mut().find(|e| (e.from, e.to, e.kind) == (edge.from, edge.to, edge.kind));
    match kin {
        Some(kin) => {
            kin.label.push('\n');
            kin.label.push_str(&edge.label);
        }
        None => edges.push(edge),
    }
}

fn shortened(labels: &str) -> String {
    let lines: Vec<&str> = labels.split('\n').collect();
    if lines.len() <= LABELS_SHOWN {
        return lines.join(" or ");
    }
    format!("{} or {} more", lines[0], lines.len() - 1)
}

/// Calls `to(target, kind, label)` for each transition, in the order of the definition.
fn transitions(state: &Value, mut to: impl FnMut(&Value, EdgeKind, String)) {
    let list = |name: &str| state.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if state.get("Type").and_then(Value::as_str) == Some("Choice") {
        for rule in list("Choices") {
            if let Some(next) = rule.get("Next") {
                to(next, EdgeKind::Rule, rules::label(rule));
            }
        }
        if let Some(next) = state.get("Default") {
            to(next, EdgeKind::Default, "default".to_owned());
        }
    } else if let Some(next) = state.get("Next") {
        to(next, EdgeKind::Next, String::new());
    }
    for catcher in list("Catch") {
        if let Some(next) = catcher.get("Next") {
            to(next, EdgeKind::Catch, errors(catcher));
        }
    }
}

/// `States.Timeout`, `States.ALL` → `Timeout, ALL`.
fn errors(catcher: &Value) -> String {
    let names = catcher.get("ErrorEquals").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let names = names.iter().filter_map(Value::as_str).map(|name| name.strip_prefix("States.").unwrap_or(name));
    names.collect::<Vec<_>>().join(", ")
}

fn node(name: &str, state: &Value, pointer: String, depth: usize) -> Node {
    let empty = Map::new();
    let fields = state.as_object().unwrap_or(&empty);
    let text = |field: &str| fields.get(field).and_then(Value::as_str);
    let resource = text("Resource").unwrap_or_default();
    let kind = match text("Type") {
        Some("Pass") => NodeKind::Pass,
        Some("Task") if resource.ends_with(".waitForTaskToken") => NodeKind::Callback,
        Some("Task") => NodeKind::Task,
        Some("Choice") => NodeKind::Choice,
        Some("Wait") => NodeKind::Wait,
        Some("Succeed") => NodeKind::Succeed,
        Some("Fail") => NodeKind::Fail,
        Some("Parallel") => NodeKind::Parallel,
        Some("Map") => NodeKind::Map,
        _ => NodeKind::Unknown,
    };
    let inner = inner(fields, kind, &pointer);
    let (blocks, closed) = match depth.checked_sub(1) {
        Some(depth) => (inner.iter().map(|(value, pointer)| block(value, pointer, depth)).collect(), false),
        None => (Vec::new(), !inner.is_empty()),
    };
    let detail = match kind {
        NodeKind::Task | NodeKind::Callback => rules::resource(resource),
        NodeKind::Wait => rules::wait(fields),
        NodeKind::Fail => text("Error").unwrap_or_default().to_owned(),
        NodeKind::Map if distributed(fields) => "distributed".to_owned(),
        _ if closed => "…".to_owned(),
        _ => String::new(),
    };
    let ends = fields.get("End") == Some(&Value::Bool(true)) || matches!(kind, NodeKind::Succeed | NodeKind::Fail);
    Node { name: name.to_owned(), pointer, kind, detail, blocks, ends }
}

/// Nested workflows with their pointers.
fn inner<'v>(fields: &'v Map<String, Value>, kind: NodeKind, pointer: &str) -> Vec<(&'v Value, String)> {
    match kind {
        NodeKind::Parallel => {
            let branches = fields.get("Branches").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            branches.iter().enumerate().map(|(i, branch)| (branch, format!("{pointer}/Branches/{i}"))).collect()
        }
        // `Iterator` is the older name of the field.
        NodeKind::Map => ["ItemProcessor", "Iterator"]
            .into_iter()
            .filter_map(|field| Some((fields.get(field)?, format!("{pointer}/{field}"))))
            .take(1)
            .collect(),
        _ => Vec::new(),
    }
}

fn distributed(fields: &Map<String, Value>) -> bool {
    let processor = fields.get("ItemProcessor").or_else(|| fields.get("Iterator"));
    processor.and_then(|p| p.pointer("/ProcessorConfig/Mode")).and_then(Value::as_str) == Some("DISTRIBUTED")
}

/// A name as a part of a JSON pointer (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
