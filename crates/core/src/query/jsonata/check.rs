//! What stands in an expression: its limits before it is parsed, what Step Functions does not offer, what it reads.
//!
//! One walk over the tree does all of it. It knows two things at each node: whether the node stands at the *top level*
//! (where there is no context item, since Step Functions gives no input document) and which variables the expression
//! itself binds.

use std::collections::{BTreeSet, HashSet};

use jsonata_core::ast::{AstNode, BinaryOp, PathStep, Stage};
use jsonata_core::parser;

use super::SyntaxError;

/// The reserved variable that holds what a state can read.
pub(super) const STATES: &str = "states";

/// Bytes of one expression. AWS has no figure of its own below the definition's 1 MiB; parsing is linear.
const TEXT_BYTES_MAX: usize = 128 * 1024;

/// A field of `$states`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatesMember {
    Input,
    Context,
    Result,
    ErrorOutput,
}

impl StatesMember {
    pub const ALL: [Self; 4] = [Self::Context, Self::Input, Self::Result, Self::ErrorOutput];

    /// As it is written after `$states.`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Context => "context",
            Self::Result => "result",
            Self::ErrorOutput => "errorOutput",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|member| member.name() == name)
    }
}

/// What an expression reads from outside of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    variables: BTreeSet<String>,
    states: BTreeSet<StatesMember>,
    /// Members that are written out: not by way of `$states` as a whole.
    named: BTreeSet<StatesMember>,
    chance: bool,
}

impl References {
    /// Names of workflow variables, without `$`, sorted. `states` and the names of functions that are called are not
    /// among them.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(String::as_str)
    }

    /// Whether this member of `$states` is read. `$states` as a whole reads all.
    #[must_use]
    pub fn reads(&self, member: StatesMember) -> bool {
        self.states.contains(&member)
    }

    /// Whether this member is written out (`$states.result`). `$states` as a whole is what there is, wherever it stands
    /// (recorded).
    #[must_use]
    pub fn names(&self, member: StatesMember) -> bool {
        self.named.contains(&member)
    }

    pub(super) fn reads_states(&self) -> bool {
        !self.states.is_empty()
    }

    /// Whether a result may differ from one evaluation to the next: `$random`, `$uuid`, `$shuffle`.
    pub(super) fn draws_chance(&self) -> bool {
        self.chance
    }
}

pub(super) fn parse(text: &str) -> Result<AstNode, SyntaxError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(SyntaxError::new(format!("the expression is longer than {TEXT_BYTES_MAX} bytes")));
    }
    // The parser has a bound on nesting (U1002); the guard is for what it may not have.
    std::panic::catch_unwind(|| parser::parse(text))
        .map_err(|_| SyntaxError::new("the expression could not be parsed"))?
        .map_err(|e| {
            let message = e.to_string();
            SyntaxError::new(message.strip_prefix("Invalid syntax: ").unwrap_or(&message))
        })
}

pub(super) fn reject_what_step_functions_lacks(ast: &AstNode) -> Result<(), SyntaxError> {
    let walk = Walk::over(ast);
    walk.refused.map_or(Ok(()), |message| Err(SyntaxError::new(message)))
}

pub(super) fn references(ast: &AstNode) -> References {
    Walk::over(ast).references
}

pub(super) fn extensions(ast: &AstNode) -> Vec<&'static str> {
    Walk::over(ast).extensions.into_iter().collect()
}

/// `$root.name.name` without anything else: the root's name and the names that follow.
pub(super) fn plain_path(ast: &AstNode) -> Option<(String, Vec<String>)> {
    let root = |node: &AstNode| match node {
        AstNode::Variable(name) if !name.is_empty() => Some(name.clone()),
        _ => None,
    };
    let AstNode::Path { steps } = ast else { return Some((root(ast)?, Vec::new())) };
    let (first, rest) = steps.split_first()?;
    if steps.iter().any(|s| !s.stages.is_empty() || s.focus.is_some() || s.index_var.is_some() || s.is_tuple) {
        return None;
    }
    let names = rest.iter().map(|step| match &step.node {
        AstNode::Name(name) => Some(name.clone()),
        _ => None,
    });
    Some((root(&first.node)?, names.collect::<Option<_>>()?))
}

#[derive(Default)]
struct Walk {
    references: References,
    extensions: BTreeSet<&'static str>,
    /// The first thing that Step Functions refuses.
    refused: Option<String>,
    /// Names that the expression binds itself, innermost scope last.
    scopes: Vec<HashSet<String>>,
}

impl Walk {
    fn over(ast: &AstNode) -> Self {
        let mut walk = Self { scopes: vec![HashSet::new()], ..Self::default() };
        walk.node(ast, true);
        walk
    }

    fn refuse(&mut self, message: impl FnOnce() -> String) {
        self.refused.get_or_insert_with(message);
    }

    fn bind(&mut self, name: &str) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_owned());
        }
    }

    fn scoped(&mut self, inside: impl FnOnce(&mut Self)) {
        self.scopes.push(HashSet::new());
        inside(self);
        self.scopes.pop();
    }

    fn is_bound(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.contains(name))
    }

    /// `top`: no context item here, so that nothing can be read from it.
    fn node(&mut self, node: &AstNode, top: bool) {
        match node {
            AstNode::Variable(name) => self.variable(name, top, &StatesMember::ALL),
            AstNode::ParentVariable(_) => {
                self.refuse(|| "'$$' is not available: read the state's input from '$states.input'".into());
            }
            AstNode::Name(name) if top => self.refuse(|| unqualified(name)),
            AstNode::Path { steps } => self.path(steps, top),
            AstNode::Binary { op, lhs, rhs } => self.binary(*op, lhs, rhs, top),
            AstNode::Unary { operand, .. } => self.node(operand, top),
            AstNode::Function { name, args, .. } => {
                self.function(name);
                self.all(args, top);
            }
            AstNode::Call { procedure, args } => {
                self.node(procedure, top);
                self.all(args, top);
            }
            AstNode::Lambda { params, body, .. } => self.scoped(|walk| {
                for param in params {
                    walk.bind(param);
                }
                walk.node(body, top);
            }),
            AstNode::Array(items) | AstNode::ArrayGroup(items) => self.all(items, top),
            AstNode::Block(items) => self.scoped(|walk| walk.all(items, top)),
            AstNode::Object(pairs) => self.pairs(pairs, top),
            AstNode::ObjectTransform { input, pattern } => {
                self.node(input, top);
                self.pairs(pattern, false);
            }
            AstNode::Conditional { condition, then_branch, else_branch } => {
                self.node(condition, top);
                self.node(then_branch, top);
                if let Some(branch) = else_branch {
                    self.node(branch, top);
                }
            }
            AstNode::FunctionApplication(inner) => self.node(inner, top),
            AstNode::Sort { input, terms } => {
                self.node(input, top);
                for (term, _) in terms {
                    self.node(term, false);
                }
            }
            AstNode::Transform { location, update, delete } => {
                self.node(location, false);
                self.node(update, false);
                if let Some(delete) = delete {
                    self.node(delete, false);
                }
            }
            AstNode::Name(_)
            | AstNode::String(_)
            | AstNode::Number(_)
            | AstNode::Boolean(_)
            | AstNode::Null
            | AstNode::Undefined
            | AstNode::Placeholder
            | AstNode::Regex { .. }
            | AstNode::Wildcard
            | AstNode::Descendant
            | AstNode::Parent(_) => {}
        }
    }

    fn all(&mut self, nodes: &[AstNode], top: bool) {
        for node in nodes {
            self.node(node, top);
        }
    }

    fn pairs(&mut self, pairs: &[(AstNode, AstNode)], top: bool) {
        for (key, value) in pairs {
            self.node(key, top);
            self.node(value, top);
        }
    }

    /// The first step is read where the path stands, each further one and each predicate from the items before it.
    fn path(&mut self, steps: &[PathStep], top: bool) {
        for (position, step) in steps.iter().enumerate() {
            match (&step.node, steps.get(position + 1).map(|next| &next.node)) {
                (AstNode::Variable(name), Some(AstNode::Name(member))) if name == STATES && step.stages.is_empty() => {
                    self.variable(name, top, StatesMember::named(member).as_slice());
                }
                (node, _) => self.node(node, top && position == 0),
            }
            for stage in &step.stages {
                match stage {
                    Stage::Filter(predicate) => self.node(predicate, false),
                    Stage::Index(name) => self.bind(name),
                    Stage::KeepArray => {}
                }
            }
            for name in step.focus.iter().chain(&step.index_var) {
                self.bind(name);
            }
        }
    }

    fn binary(&mut self, op: BinaryOp, lhs: &AstNode, rhs: &AstNode, top: bool) {
        match (op, lhs) {
            (BinaryOp::ColonEqual, AstNode::Variable(name)) => {
                if name == STATES {
                    self.refuse(|| "'$states' is reserved and can not be assigned".into());
                }
                // A lambda may call itself by the name that it is bound to.
                if matches!(rhs, AstNode::Lambda { .. }) {
                    self.bind(name);
                }
                self.node(rhs, top);
                self.bind(name);
                return;
            }
            (BinaryOp::Coalesce, _) => _ = self.extensions.insert("??"),
            (BinaryOp::Default, _) => _ = self.extensions.insert("?:"),
            _ => {}
        }
        self.node(lhs, top);
        self.node(rhs, top);
    }

    fn variable(&mut self, name: &str, top: bool, members: &[StatesMember]) {
        match name {
            "" if top => self
                .refuse(|| "'$' is not available at the top level: read the state's input from '$states.input'".into()),
            "" => {}
            _ if self.is_bound(name) => {}
            STATES => {
                self.references.states.extend(members);
                if members.len() < StatesMember::ALL.len() {
                    self.references.named.extend(members);
                }
            }
            _ => {
                self.function(name);
                self.references.variables.insert(name.to_owned());
            }
        }
    }

    /// A function by name, called or passed on.
    fn function(&mut self, name: &str) {
        if self.is_bound(name) {
            return;
        }
        match name {
            "eval" => self.refuse(|| "the function '$eval' is not available: use '$parse' to read JSON text".into()),
            "random" | "uuid" | "shuffle" => self.references.chance = true,
            _ => {}
        }
    }
}

fn unqualified(name: &str) -> String {
    format!("Reference to '{name}' at the top level is not supported.")
}
