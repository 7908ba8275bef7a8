//! The rules of Step Functions for expressions: refusals, and the names that an expression reads.
//!
//! One walk over the tree does all of it. It knows two things at each node: whether the node stands at the *top level*
//! (where there is no context item, since Step Functions gives no input document) and which variables the expression
//! itself binds.

use std::collections::{BTreeSet, HashSet};

use super::syntax::tree::{Item, Kind, Node, Program, Stage, Sym, Symbols};

/// The reserved variable with the values that a state can read.
pub(super) const STATES: &str = "states";

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

/// The names from outside that an expression reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    variables: BTreeSet<String>,
    states: BTreeSet<StatesMember>,
    /// Members that are written out: not by way of `$states` as a whole.
    named: BTreeSet<StatesMember>,
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

    /// Whether this member is written out (`$states.result`). `$states` as a whole has the members that there are, in
    /// each field (recorded).
    #[must_use]
    pub fn names(&self, member: StatesMember) -> bool {
        self.named.contains(&member)
    }

    pub(super) fn reads_states(&self) -> bool {
        !self.states.is_empty()
    }
}

/// The references; or the first refusal, and the byte at which it stands.
pub(super) fn apply(program: &Program) -> Result<References, (String, usize)> {
    let mut walk = Walk {
        symbols: &program.symbols,
        references: References::default(),
        refused: None,
        scopes: vec![HashSet::new()],
    };
    walk.node(&program.root, true);
    walk.refused.map_or(Ok(walk.references), Err)
}

/// `$root.name.name` without anything else: the root's name and the names that follow.
pub(super) fn plain_path(program: &Program) -> Option<(&str, Vec<&str>)> {
    let root = |node: &Node| match node.kind {
        Kind::Variable(name) if node.more.is_none() && !node.keep => {
            Some(program.symbols.name(name)).filter(|name| !name.is_empty())
        }
        _ => None,
    };
    let Kind::Path { steps, keep_singleton: false } = &program.root.kind else {
        return Some((root(&program.root)?, Vec::new()));
    };
    if program.root.keep || program.root.more.is_some() {
        return None;
    }
    let (first, rest) = steps.split_first()?;
    let names = rest.iter().map(|step| match &step.kind {
        Kind::Name(name) if step.more.is_none() => Some(&*name.text),
        _ => None,
    });
    Some((root(first)?, names.collect::<Option<_>>()?))
}

struct Walk<'p> {
    symbols: &'p Symbols,
    references: References,
    refused: Option<(String, usize)>,
    /// Names that the expression binds itself, innermost scope last.
    scopes: Vec<HashSet<Sym>>,
}

impl Walk<'_> {
    fn refuse(&mut self, node: &Node, message: impl FnOnce() -> String) {
        self.refused.get_or_insert_with(|| (message(), node.at as usize));
    }

    fn bind(&mut self, name: Sym) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name);
        }
    }

    fn scoped(&mut self, inside: impl FnOnce(&mut Self)) {
        self.scopes.push(HashSet::new());
        inside(self);
        self.scopes.pop();
    }

    fn is_bound(&self, name: Sym) -> bool {
        self.scopes.iter().any(|scope| scope.contains(&name))
    }

    /// `top`: no context item here, so that nothing can be read from it.
    fn node(&mut self, node: &Node, top: bool) {
        self.kind(node, top);
        if let Some(more) = &node.more {
            for filter in &more.filters {
                self.node(filter, false);
            }
            if !matches!(node.kind, Kind::Path { .. })
                && let Some(pairs) = &more.group
            {
                self.pairs(pairs, false);
            }
        }
    }

    fn kind(&mut self, node: &Node, top: bool) {
        match &node.kind {
            Kind::Variable(name) => self.variable(node, *name, top, &StatesMember::ALL),
            Kind::Name(name) if top => self.refuse(node, || unqualified(&name.text)),
            Kind::Path { steps, .. } => {
                self.path(steps, top);
                if let Some(pairs) = node.group() {
                    self.pairs(pairs, false);
                }
            }
            Kind::Chain(first, links) => {
                self.node(first, top);
                for (_, right) in links {
                    self.node(right, top);
                }
            }
            Kind::Negate(inner) => self.node(inner, top),
            Kind::Array(items) => {
                for item in items {
                    match item {
                        Item::One(item) => self.node(item, top),
                        Item::Range(from, to) => {
                            self.node(from, top);
                            self.node(to, top);
                        }
                    }
                }
            }
            Kind::Object(pairs, _) => self.pairs(pairs, top),
            Kind::Block(parts, _) => self.scoped(|walk| {
                for part in parts {
                    walk.node(part, top);
                }
            }),
            Kind::Condition { test, then, otherwise } => {
                self.node(test, top);
                self.node(then, top);
                if let Some(other) = otherwise {
                    self.node(other, top);
                }
            }
            Kind::Bind(name, value) => {
                if self.symbols.name(*name) == STATES {
                    self.refuse(node, || "'$states' is reserved and can not be assigned".into());
                }
                // A lambda may call itself by the name that it is bound to.
                if matches!(value.kind, Kind::Lambda(_)) {
                    self.bind(*name);
                }
                self.node(value, top);
                self.bind(*name);
            }
            Kind::Call { procedure, args, .. } => {
                self.procedure(procedure, top);
                for arg in args {
                    self.node(arg, top);
                }
            }
            Kind::Partial { procedure, args } => {
                self.procedure(procedure, top);
                for arg in args.iter().flatten() {
                    self.node(arg, top);
                }
            }
            Kind::Lambda(lambda) => self.scoped(|walk| {
                for param in &lambda.params {
                    walk.bind(*param);
                }
                walk.node(&lambda.body, top);
            }),
            Kind::Sort(terms) => {
                for term in terms {
                    self.node(&term.key, false);
                }
            }
            Kind::Transform(transform) => {
                self.node(&transform.pattern, false);
                self.node(&transform.update, false);
                if let Some(delete) = &transform.delete {
                    self.node(delete, false);
                }
            }
            Kind::Name(_)
            | Kind::Text(_)
            | Kind::Number(_)
            | Kind::Null
            | Kind::Bool(_)
            | Kind::Regex(_)
            | Kind::Wildcard
            | Kind::Descendants
            | Kind::Parent(_) => {}
        }
    }

    fn pairs(&mut self, pairs: &[(Node, Node)], top: bool) {
        for (key, value) in pairs {
            self.node(key, top);
            self.node(value, top);
        }
    }

    /// A call by a bare name is an error of its own, not a field that is read.
    fn procedure(&mut self, node: &Node, top: bool) {
        match node.kind {
            Kind::Variable(name) if node.more.is_none() => {
                self.function(node, name);
                // A workflow variable holds no function, but a call of one is told as such only with its value at hand.
                if !self.is_bound(name) && self.symbols.native(name).is_none() && !self.symbols.name(name).is_empty() {
                    self.references.variables.insert(self.symbols.name(name).to_owned());
                }
                if self.symbols.name(name).is_empty() {
                    self.variable(node, name, top, &StatesMember::ALL);
                }
            }
            _ if node.single_name().is_some() => {}
            _ => self.node(node, top),
        }
    }

    /// The first step is read where the path stands, each further one and each predicate from the items before it.
    fn path(&mut self, steps: &[Node], top: bool) {
        for (position, step) in steps.iter().enumerate() {
            match (&step.kind, steps.get(position + 1).map(|next| &next.kind)) {
                (Kind::Variable(name), Some(Kind::Name(member)))
                    if self.symbols.name(*name) == STATES && step.more.is_none() =>
                {
                    self.variable(step, *name, top, StatesMember::named(&member.text).as_slice());
                }
                _ => self.node(step, top && position == 0),
            }
            for stage in step.stages() {
                match stage {
                    Stage::Filter(predicate) => self.node(predicate, false),
                    Stage::Index(name) => self.bind(*name),
                }
            }
            for name in step.focus().into_iter().chain(step.index()) {
                self.bind(name);
            }
        }
    }

    fn variable(&mut self, node: &Node, name: Sym, top: bool, members: &[StatesMember]) {
        match self.symbols.name(name) {
            "" if top => self.refuse(node, || unqualified("$")),
            "" => {}
            "$" => self.refuse(node, || "Reference to '$$' is not supported.".into()),
            _ if self.is_bound(name) => {}
            STATES => {
                self.references.states.extend(members);
                if members.len() < StatesMember::ALL.len() {
                    self.references.named.extend(members);
                }
            }
            text => {
                self.function(node, name);
                self.references.variables.insert(text.to_owned());
            }
        }
    }

    /// A function by name, called or passed on.
    fn function(&mut self, node: &Node, name: Sym) {
        if !self.is_bound(name) && self.symbols.name(name) == "eval" {
            self.refuse(node, || "the function '$eval' is not available: use '$parse' to read JSON text".into());
        }
    }
}

fn unqualified(name: &str) -> String {
    format!("Reference to '{name}' at the top level is not supported.")
}
