//! The tree of an expression, as it is evaluated: paths are lists of steps, chains of operators are lists of links, so
//! that neither costs depth.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value};

use super::regex::Pattern;
use super::signature::Signature;
use crate::query::jsonata::builtins::{self, Native};

/// A name of a variable, interned. Labels of parents (`%`) are such names too.
pub(crate) type Sym = u32;

/// A `%`, by its number in the expression.
pub(crate) type Slot = u32;

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Program {
    pub root: Node,
    pub symbols: Symbols,
    /// The name under which each `%` finds its item.
    pub labels: Vec<Sym>,
}

#[derive(Debug, Default)]
pub(crate) struct Symbols {
    names: Vec<(String, Option<&'static Native>)>,
    places: HashMap<String, Sym>,
}

impl Symbols {
    pub(crate) fn intern(&mut self, name: &str) -> Sym {
        if let Some(known) = self.places.get(name) {
            return *known;
        }
        let sym = Sym::try_from(self.names.len()).unwrap_or(Sym::MAX);
        self.names.push((name.to_owned(), builtins::named(name)));
        self.places.insert(name.to_owned(), sym);
        sym
    }

    pub(crate) fn find(&self, name: &str) -> Option<Sym> {
        self.places.get(name).copied()
    }

    pub(crate) fn name(&self, sym: Sym) -> &str {
        self.names.get(sym as usize).map_or("", |(name, _)| name)
    }

    /// The built-in function of this name.
    pub(crate) fn native(&self, sym: Sym) -> Option<&'static Native> {
        self.names.get(sym as usize).and_then(|(_, native)| *native)
    }
}

#[derive(Debug)]
pub(crate) struct Node {
    pub kind: Kind,
    /// Byte in the text.
    pub at: u32,
    /// `[]` stands behind it.
    pub keep: bool,
    /// A step that binds variables or parents.
    pub tuple: bool,
    /// An array constructor as first or last step: not iterated, not flattened.
    pub cons: bool,
    pub more: Option<Box<More>>,
}

/// Parts that few nodes have.
#[derive(Debug, Default)]
pub(crate) struct More {
    /// `[...]` behind something that is no step of a path.
    pub filters: Vec<Node>,
    /// `[...]` and `#$i` behind a step.
    pub stages: Vec<Stage>,
    pub group: Option<Vec<(Node, Node)>>,
    pub focus: Option<Sym>,
    pub index: Option<Sym>,
    pub ancestor: Option<Slot>,
    /// Parents that are still to be found further left. Empty once the expression is compiled.
    pub seeking: Vec<Slot>,
}

#[derive(Debug)]
pub(crate) enum Stage {
    Filter(Node),
    Index(Sym),
}

#[derive(Debug)]
pub(crate) enum Kind {
    Path {
        steps: Vec<Node>,
        keep_singleton: bool,
    },
    Name(Name),
    Text(Box<str>),
    Number(f64),
    Null,
    Bool(bool),
    Regex(Box<Pattern>),
    Wildcard,
    Descendants,
    Parent(Slot),
    Variable(Sym),
    /// Operators of any precedence, applied from the left.
    Chain(Box<Node>, Vec<(Op, Node)>),
    Negate(Box<Node>),
    Array(Vec<Item>),
    /// Whether its keys are texts, each another one.
    Object(Vec<(Node, Node)>, bool),
    /// Whether anything is bound directly in it.
    Block(Vec<Node>, bool),
    Condition {
        test: Box<Node>,
        then: Box<Node>,
        otherwise: Option<Box<Node>>,
    },
    Bind(Sym, Box<Node>),
    Call {
        procedure: Box<Node>,
        args: Vec<Node>,
        tail: bool,
    },
    Partial {
        procedure: Box<Node>,
        args: Vec<Option<Node>>,
    },
    Lambda(Box<Lambda>),
    Sort(Vec<Term>),
    Transform(Box<Transform>),
}

/// A name of a field, with the place where it stood the last time: objects of one list have their fields in one order.
/// The place is a hint; no result depends on it.
#[derive(Debug)]
pub(crate) struct Name {
    pub text: Box<str>,
    place: AtomicUsize,
}

impl Name {
    /// Objects with more fields are searched by hash.
    const SCANNED: usize = 16;

    pub(crate) fn new(text: impl Into<Box<str>>) -> Self {
        Self { text: text.into(), place: AtomicUsize::new(0) }
    }

    pub(crate) fn find<'v>(&self, fields: &'v Map<String, Value>) -> Option<&'v Value> {
        if fields.len() > Self::SCANNED {
            return fields.get(&*self.text);
        }
        let hint = self.place.load(Ordering::Relaxed);
        if let Some((name, value)) = fields.iter().nth(hint)
            && **name == *self.text
        {
            return Some(value);
        }
        let (place, (_, value)) = fields.iter().enumerate().find(|(_, (name, _))| ***name == *self.text)?;
        self.place.store(place, Ordering::Relaxed);
        Some(value)
    }
}

#[derive(Debug)]
pub(crate) enum Item {
    One(Node),
    Range(Node, Node),
}

#[derive(Debug)]
pub(crate) struct Term {
    pub key: Node,
    pub descending: bool,
}

#[derive(Debug)]
pub(crate) struct Lambda {
    pub params: Vec<Sym>,
    pub signature: Option<Signature>,
    pub body: Node,
    /// Whether anything is bound directly in the body.
    pub binds: bool,
}

#[derive(Debug)]
pub(crate) struct Transform {
    pub pattern: Node,
    pub update: Node,
    pub delete: Option<Node>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Concat,
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    And,
    Or,
    Apply,
}

impl Op {
    const SYMBOLS: [(&str, Self); 16] = [
        ("+", Self::Add),
        ("-", Self::Subtract),
        ("*", Self::Multiply),
        ("/", Self::Divide),
        ("%", Self::Remainder),
        ("&", Self::Concat),
        ("=", Self::Equal),
        ("!=", Self::Unequal),
        ("<", Self::Less),
        ("<=", Self::LessEqual),
        (">", Self::Greater),
        (">=", Self::GreaterEqual),
        ("in", Self::In),
        ("and", Self::And),
        ("or", Self::Or),
        ("~>", Self::Apply),
    ];

    /// As it is written.
    pub(crate) fn symbol(self) -> &'static str {
        Self::SYMBOLS.iter().find(|(_, op)| *op == self).map_or("", |(symbol, _)| symbol)
    }

    pub(crate) fn of(symbol: &str) -> Option<Self> {
        Self::SYMBOLS.iter().find(|(own, _)| *own == symbol).map(|(_, op)| *op)
    }
}

impl Node {
    pub(crate) fn new(kind: Kind, at: usize) -> Self {
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        Self { kind, at, keep: false, tuple: false, cons: false, more: None }
    }

    pub(crate) fn more(&mut self) -> &mut More {
        self.more.get_or_insert_with(Box::default)
    }

    pub(crate) fn filters(&self) -> &[Self] {
        self.more.as_ref().map_or(&[], |more| &more.filters)
    }

    pub(crate) fn stages(&self) -> &[Stage] {
        self.more.as_ref().map_or(&[], |more| &more.stages)
    }

    pub(crate) fn group(&self) -> Option<&[(Self, Self)]> {
        self.more.as_ref().and_then(|more| more.group.as_deref())
    }

    pub(crate) fn focus(&self) -> Option<Sym> {
        self.more.as_ref().and_then(|more| more.focus)
    }

    pub(crate) fn index(&self) -> Option<Sym> {
        self.more.as_ref().and_then(|more| more.index)
    }

    pub(crate) fn ancestor(&self) -> Option<Slot> {
        self.more.as_ref().and_then(|more| more.ancestor)
    }

    /// The name, where this is a path of one step that is a name.
    pub(crate) fn single_name(&self) -> Option<&str> {
        match &self.kind {
            Kind::Path { steps, .. } if steps.len() == 1 => match &steps[0].kind {
                Kind::Name(name) => Some(&name.text),
                _ => None,
            },
            _ => None,
        }
    }
}
