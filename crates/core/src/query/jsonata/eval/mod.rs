//! The evaluator: walks the tree. Each kind of node has a function of its own, so that a level of recursion costs the
//! stack of a small one.

mod call;
mod group;
mod ops;
mod path;
mod sort;
mod transform;
mod tuples;
mod walk;

pub(super) use call::arity;
pub(super) use sort::merge_sort;

use super::budget::Budget;
use super::error::{Fault, Stop};
use super::heap::Heap;
use super::syntax::tree::{Item, Kind, Node, Program, Sym};
use super::value::{CONS, Frame, Fun, Items, KEEP, OUTER, SEQUENCE, Val};
use crate::query::Entropy;

pub(super) type Outcome<'e> = Result<Val<'e>, Stop>;

/// One evaluation.
pub(super) struct Machine<'e> {
    pub heap: Heap<'e>,
    pub budget: Budget,
    pub entropy: &'e mut Entropy,
    pub program: &'e Program,
    /// The call that [`Val::Tail`] stands for.
    parked: Option<Parked<'e>>,
}

struct Parked<'e> {
    call: &'e Node,
    input: Val<'e>,
    frame: &'e Frame<'e>,
}

impl<'e> Machine<'e> {
    pub(super) fn new(heap: Heap<'e>, budget: Budget, entropy: &'e mut Entropy, program: &'e Program) -> Self {
        Self { heap, budget, entropy, program, parked: None }
    }

    /// Draws work; see [`Budget::step`].
    #[inline]
    pub(super) fn step(&mut self, steps: usize) -> Result<(), Stop> {
        self.budget.step(steps)
    }

    /// The value of the whole expression over an input document.
    pub(super) fn run(&mut self, input: Val<'e>, globals: &'e Frame<'e>) -> Outcome<'e> {
        let input = match input.array() {
            // An array as the document is one item, not a sequence of items.
            Some(_) if input.flags() & SEQUENCE == 0 => {
                let items = self.heap.slice(&[input])?;
                self.heap.array(items, SEQUENCE | OUTER)?
            }
            _ => input,
        };
        let program = self.program;
        self.eval(&program.root, input, globals)
    }

    /// The value of a node. Sequences of one are that one, sequences of none are nothing.
    ///
    /// Here and below a result is handed on as it came, and looked at by reference: a copy of a value that was just
    /// written waits for the write.
    #[inline]
    pub(super) fn eval(&mut self, node: &'e Node, input: Val<'e>, frame: &'e Frame<'e>) -> Outcome<'e> {
        if node.tuple { self.untupled(node, input, frame) } else { self.eval_tuples(node, input, frame) }
    }

    /// The value of a step that binds, without its bindings.
    #[inline(never)]
    fn untupled(&mut self, node: &'e Node, input: Val<'e>, frame: &'e Frame<'e>) -> Outcome<'e> {
        let value = self.eval_tuples(node, input, frame)?;
        let Val::Tuples(tuples) = value else { return Ok(value) };
        let mark = self.heap.mark();
        for tuple in tuples {
            self.heap.push(tuple.at)?;
        }
        let sequence = self.heap.take_array(mark, SEQUENCE)?;
        self.settled(sequence, node.keep)
    }

    /// Whether a node counts as true.
    pub(super) fn test(&mut self, node: &'e Node, input: Val<'e>, frame: &'e Frame<'e>) -> Result<bool, Stop> {
        let result = self.eval(node, input, frame);
        match &result {
            Ok(Val::Bool(b)) => Ok(*b),
            _ => self.holds(result?),
        }
    }

    /// As [`Self::eval`], for a step that hands its bindings on.
    fn eval_tuples(&mut self, node: &'e Node, input: Val<'e>, frame: &'e Frame<'e>) -> Outcome<'e> {
        self.budget.step(1)?;
        if node.more.is_some() {
            return self.narrowed(node, input, frame);
        }
        match &node.kind {
            Kind::Text(text) => Ok(Val::Str(text)),
            Kind::Number(n) => Ok(Val::Num(*n)),
            Kind::Null => Ok(Val::Null),
            Kind::Bool(b) => Ok(Val::Bool(*b)),
            Kind::Path { steps, keep_singleton } => self.path(node, steps, *keep_singleton, input, frame),
            _ => {
                let result = self.bare(node, input, frame);
                if let Ok(Val::Array(array)) = &result {
                    return self.settled(Val::Array(array), node.keep);
                }
                result
            }
        }
    }

    /// A node without its predicates and grouping, before it is settled.
    fn bare(&mut self, node: &'e Node, input: Val<'e>, frame: &'e Frame<'e>) -> Outcome<'e> {
        match &node.kind {
            Kind::Path { steps, keep_singleton } => self.path(node, steps, *keep_singleton, input, frame),
            Kind::Name(name) => self.lookup(input, &name.text),
            Kind::Variable(name) => Ok(self.variable(*name, input, frame)),
            _ => {
                self.budget.enter()?;
                let result = self.compound(node, input, frame);
                self.budget.leave();
                result
            }
        }
    }

    #[inline(never)]
    fn compound(&mut self, node: &'e Node, input: Val<'e>, frame: &'e Frame<'e>) -> Outcome<'e> {
        match &node.kind {
            Kind::Text(text) => Ok(Val::Str(text)),
            Kind::Number(n) => Ok(Val::Num(*n)),
            Kind::Null => Ok(Val::Null),
            Kind::Bool(b) => Ok(Val::Bool(*b)),
            Kind::Chain(first, links) => self.chain(first, links, input, frame),
            Kind::Call { tail: true, .. } => {
                self.parked = Some(Parked { call: node, input, frame });
                Ok(Val::Tail)
            }
            Kind::Call { procedure, args, .. } => self.call(procedure, args, None, input, frame),
            Kind::Partial { procedure, args } => self.partial(procedure, args, input, frame),
            Kind::Condition { .. } => self.condition(node, input, frame),
            Kind::Block(parts, scoped) => self.block(node, parts, *scoped, input, frame),
            Kind::Object(pairs, true) if input.array().is_none() => self.object(pairs, input, frame),
            Kind::Object(pairs, _) => self.group(pairs, input, frame),
            Kind::Array(items) => self.array(node, items, input, frame),
            Kind::Bind(name, value) => {
                let value = self.eval(value, input, frame)?;
                self.heap.bind(frame, *name, value)?;
                Ok(value)
            }
            Kind::Lambda(lambda) => self.function(Fun::Lambda { lambda, input, frame }),
            Kind::Transform(transform) => self.function(Fun::Transform { transform, frame }),
            Kind::Regex(pattern) => self.function(Fun::Regex(pattern)),
            Kind::Negate(inner) => self.negate(inner, input, frame),
            Kind::Wildcard => self.wildcard(input),
            Kind::Descendants => self.descendants(input),
            Kind::Parent(slot) => {
                let label = self.program.labels.get(*slot as usize).copied().unwrap_or(Sym::MAX);
                Ok(frame.lookup(label).unwrap_or(Val::Undefined))
            }
            // A step of a path, evaluated by the path.
            _ => Ok(Val::Undefined),
        }
    }

    fn function(&mut self, function: Fun<'e>) -> Outcome<'e> {
        Ok(Val::Fun(self.heap.alloc(function)?))
    }

    /// A node with predicates and grouping behind it.
    #[inline(never)]
    fn narrowed(&mut self, node: &'e Node, input: Val<'e>, frame: &'e Frame<'e>) -> Outcome<'e> {
        let mut value = self.bare(node, input, frame)?;
        self.budget.enter()?;
        for predicate in node.filters() {
            value = self.filter(predicate, value, frame)?;
        }
        if let Some(pairs) = node.group()
            // A path groups its own tuples.
            && !matches!(node.kind, Kind::Path { .. })
        {
            value = self.group(pairs, value, frame)?;
        }
        self.budget.leave();
        self.settled(value, node.keep)
    }

    /// A sequence as the value it stands for.
    #[inline]
    pub(super) fn settled(&mut self, value: Val<'e>, keep: bool) -> Outcome<'e> {
        let Val::Array(array) = value else { return Ok(value) };
        if array.flags & SEQUENCE == 0 {
            return Ok(value);
        }
        match array.items.len() {
            0 => Ok(Val::Undefined),
            1 if !keep && array.flags & KEEP == 0 => Ok(array.items.get(0)),
            _ if keep => self.heap.flagged(value, array.flags | KEEP),
            _ => Ok(value),
        }
    }

    fn variable(&self, name: Sym, input: Val<'e>, frame: &'e Frame<'e>) -> Val<'e> {
        let named = self.program.symbols.name(name);
        if named.is_empty() {
            return match input {
                Val::Array(array) if array.flags & OUTER != 0 => array.items.get(0),
                input => input,
            };
        }
        frame.lookup(name).or_else(|| self.program.symbols.native(name).map(Val::Native)).unwrap_or(Val::Undefined)
    }

    #[inline(never)]
    fn condition(&mut self, node: &'e Node, input: Val<'e>, frame: &'e Frame<'e>) -> Outcome<'e> {
        let mut node = node;
        // Chains of conditions cost no depth.
        while let Kind::Condition { test, then, otherwise } = &node.kind {
            if self.test(test, input, frame)? {
                return self.eval(then, input, frame);
            }
            match otherwise {
                None => return Ok(Val::Undefined),
                Some(other) if matches!(other.kind, Kind::Condition { .. }) && other.more.is_none() => {
                    self.budget.step(1)?;
                    node = other;
                }
                Some(other) => return self.eval(other, input, frame),
            }
        }
        Ok(Val::Undefined)
    }

    #[inline(never)]
    fn block(
        &mut self,
        node: &'e Node,
        parts: &'e [Node],
        scoped: bool,
        input: Val<'e>,
        frame: &'e Frame<'e>,
    ) -> Outcome<'e> {
        let frame = if scoped { self.heap.frame(frame)? } else { frame };
        let Some((last, before)) = parts.split_last() else { return Ok(Val::Undefined) };
        for part in before {
            self.eval(part, input, frame)?;
        }
        if node.tuple { self.eval_tuples(last, input, frame) } else { self.eval(last, input, frame) }
    }

    #[inline(never)]
    fn array(&mut self, node: &'e Node, items: &'e [Item], input: Val<'e>, frame: &'e Frame<'e>) -> Outcome<'e> {
        let mark = self.heap.mark();
        let mut only = None;
        for item in items {
            let (value, whole) = match item {
                Item::One(item) => {
                    let whole =
                        matches!(item.kind, Kind::Array(_)) || matches!(&item.kind, Kind::Text(t) if &**t == "[");
                    (self.eval(item, input, frame)?, whole)
                }
                Item::Range(from, to) => {
                    let from = self.eval(from, input, frame)?;
                    let to = self.eval(to, input, frame)?;
                    (self.range(from, to)?, false)
                }
            };
            if value.is_undefined() {
                continue;
            }
            match value.array() {
                // A long range stays a range as long as it stands alone.
                Some(Items::Range { .. }) if !whole && items.len() == 1 => only = Some(value),
                Some(inner) if !whole => self.push_all(inner)?,
                _ => self.heap.push(value)?,
            }
        }
        let flags = if node.cons { CONS } else { 0 };
        match only {
            Some(range) => self.heap.flagged(range, flags),
            None => self.heap.take_array(mark, flags),
        }
    }

    #[inline(never)]
    fn negate(&mut self, inner: &'e Node, input: Val<'e>, frame: &'e Frame<'e>) -> Outcome<'e> {
        let value = self.eval(inner, input, frame)?;
        if value.is_undefined() {
            return Ok(value);
        }
        match finite(value)? {
            Some(n) => Ok(Val::Num(-n)),
            None => Err(Fault::new("D1002").token("-").value(value).into()),
        }
    }

    /// Whether a value counts as true. Nothing does not.
    #[inline]
    pub(super) fn holds(&mut self, value: Val<'e>) -> Result<bool, Stop> {
        match value {
            Val::Bool(b) => Ok(b),
            value => Ok(self.truth(value)?.unwrap_or(false)),
        }
    }

    /// The truth of a value; `None` for nothing.
    pub(super) fn truth(&mut self, value: Val<'e>) -> Result<Option<bool>, Stop> {
        self.budget.step(1)?;
        Ok(Some(match value {
            Val::Undefined => return Ok(None),
            Val::Bool(b) => b,
            Val::Str(s) => !s.is_empty(),
            Val::Null | Val::Native(_) | Val::Fun(_) | Val::Tuples(_) | Val::Tail => false,
            _ => match (value.array(), finite(value)?) {
                (_, Some(n)) => n != 0.0,
                (Some(items), _) => {
                    // Nesting is bounded where containers are made.
                    for item in items.iter() {
                        if self.holds(item)? {
                            return Ok(Some(true));
                        }
                    }
                    false
                }
                _ => value.width() > 0,
            },
        }))
    }

    fn range(&mut self, from: Val<'e>, to: Val<'e>) -> Outcome<'e> {
        let whole = |value: Val<'e>| value.num().filter(|n| n.is_finite() && n.fract() == 0.0);
        if !from.is_undefined() && whole(from).is_none() {
            return Err(Fault::new("T2003").value(from).into());
        }
        if !to.is_undefined() && whole(to).is_none() {
            return Err(Fault::new("T2004").value(to).into());
        }
        let (Some(from), Some(to)) = (whole(from), whole(to)) else { return Ok(Val::Undefined) };
        if from > to {
            return Ok(Val::Undefined);
        }
        let size = to - from + 1.0;
        if size > 1e7 {
            return Err(Fault::new("D2014").value(Val::Num(size)).into());
        }
        let len = super::number::count(size);
        self.budget.step(len / 8)?;
        if len == 1 {
            return Ok(Val::Num(from));
        }
        self.heap.range(from, len)
    }

    /// Deep equality.
    pub(super) fn equal(&mut self, a: Val<'e>, b: Val<'e>) -> Result<bool, Stop> {
        self.budget.step(1)?;
        if let (Val::Str(a), Val::Str(b)) = (a, b) {
            self.budget.step(a.len().min(b.len()) / 64)?;
            return Ok(a == b);
        }
        if a.same(b) {
            return Ok(true);
        }
        self.budget.enter()?;
        let equal = self.equal_containers(a, b)?;
        self.budget.leave();
        Ok(equal)
    }

    fn equal_containers(&mut self, a: Val<'e>, b: Val<'e>) -> Result<bool, Stop> {
        match (a.array(), b.array()) {
            (Some(x), Some(y)) => {
                if x.len() != y.len() {
                    return Ok(false);
                }
                for (x, y) in x.iter().zip(y.iter()) {
                    if !self.equal(x, y)? {
                        return Ok(false);
                    }
                }
                return Ok(true);
            }
            (None, None) => {}
            _ => return Ok(false),
        }
        if !a.is_object() || !b.is_object() || a.width() != b.width() {
            return Ok(false);
        }
        for (name, x) in a.fields() {
            let y = b.field(name);
            if y.is_undefined() || !self.equal(x, y)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Text read or written.
    pub(super) fn read(&mut self, text: &str) -> Result<(), Stop> {
        self.budget.step(text.len() / 64)
    }
}

/// The number, if the value is one; an error if it is infinite.
pub(super) fn finite(value: Val<'_>) -> Result<Option<f64>, Stop> {
    match value.num() {
        Some(n) if n.is_infinite() => Err(Fault::new("D1001").value(value).into()),
        Some(n) if n.is_nan() => Ok(None),
        number => Ok(number),
    }
}
