//! Paths: each step over the items of the one before it.

use serde_json::Value;

use super::super::error::Stop;
use super::super::number;
use super::super::syntax::tree::{Kind, Node, Stage};
use super::super::value::{CONS, Frame, Items, KEEP, SEQUENCE, Tuple, Val};
use super::{Machine, Outcome, finite};

/// The result of a step.
#[derive(Clone, Copy)]
pub(super) enum Stream<'e> {
    /// Items on the heap's stack, from the path's mark on.
    Pushed,
    /// An array that is the whole result as it is.
    Whole(Val<'e>),
    Tuples(&'e [Tuple<'e>]),
}

impl<'e> Machine<'e> {
    #[inline(never)]
    pub(super) fn path(
        &mut self,
        node: &'e Node,
        steps: &'e [Node],
        keep_singleton: bool,
        input: Val<'e>,
        frame: &'e Frame<'e>,
    ) -> Outcome<'e> {
        let plain = !keep_singleton && !node.keep && node.more.is_none();
        let (mut value, mut walked) = (input, 0);
        // The first steps, as long as they are names that lead from object to object.
        while let Some(step) = steps.get(walked).filter(|step| step.more.is_none() && !step.keep) {
            let next = match (&step.kind, &value) {
                (Kind::Name(_), Val::Json(json @ Value::Object(_))) => {
                    let (found, count) = followed(&steps[walked..], json);
                    self.budget.step(count)?;
                    walked += count;
                    if plain && walked == steps.len() {
                        return Ok(found.map_or(Val::Undefined, Val::of));
                    }
                    value = found.map_or(Val::Undefined, Val::of);
                    break;
                }
                (Kind::Name(name), Val::Object(object)) => object.get(&name.text),
                (Kind::Variable(name), _) if walked == 0 => self.variable(*name, input, frame),
                _ => break,
            };
            self.budget.step(1)?;
            value = self.settled(next, false)?;
            walked = if value.is_undefined() { steps.len() } else { walked + 1 };
        }
        if plain && walked == steps.len() && value.flags() == 0 {
            return Ok(value);
        }
        self.budget.enter()?;
        let value = self.steps(node, walked, keep_singleton, value, frame)?;
        self.budget.leave();
        self.settled(value, node.keep)
    }

    /// The steps from `walked` on, over the result of those before them.
    #[inline(never)]
    fn steps(
        &mut self,
        node: &'e Node,
        walked: usize,
        keep_singleton: bool,
        input: Val<'e>,
        frame: &'e Frame<'e>,
    ) -> Outcome<'e> {
        let Kind::Path { steps, .. } = &node.kind else { return Ok(Val::Undefined) };
        let mark = self.heap.mark();
        let mut stream = Stream::Pushed;
        let absolute = matches!(steps.first().map(|step| &step.kind), Some(Kind::Variable(_)));
        let mut first = Some(match input.array() {
            Some(items) if !(absolute && walked == 0) && input.flags() & CONS == 0 => items,
            _ => Items::One(input),
        });
        if walked == steps.len() {
            match input {
                Val::Undefined => {}
                // An array that a field holds is the whole result.
                _ if input.array().is_some() && input.flags() & SEQUENCE == 0 => stream = Stream::Whole(input),
                _ => self.pour(Stream::Pushed, first)?,
            }
        }
        for (at, step) in steps.iter().enumerate().skip(walked) {
            let last = at + 1 == steps.len();
            let bound = matches!(stream, Stream::Tuples(_));
            if at == 0 && step.cons {
                // An array constructor at the start is made once, from the whole input.
                let whole = if input.array().is_some() { input } else { self.single(input)? };
                stream = Stream::Whole(self.eval(step, whole, frame)?);
            } else if step.tuple || bound {
                let before = std::mem::replace(&mut stream, Stream::Pushed);
                stream = self.tuple_step(step, before, first.take(), mark, frame)?;
            } else {
                let before = std::mem::replace(&mut stream, Stream::Pushed);
                stream = self.plain_step(step, before, first.take(), mark, last, frame)?;
            }
            first = None;
            let nothing = match &stream {
                Stream::Pushed => self.heap.pushed(mark).is_empty(),
                Stream::Whole(Val::Undefined | Val::Str("")) => true,
                Stream::Whole(value) => value.array().is_some_and(|items| items.len() == 0),
                Stream::Tuples(_) => false,
            };
            if nothing {
                break;
            }
        }
        self.path_result(node, stream, keep_singleton, mark, frame)
    }

    /// The items of a first step that is no sequence: of a text its characters, of a scalar none.
    fn iterated(&mut self, value: Val<'e>) -> Result<Items<'e>, Stop> {
        let Val::Str(text) = value else { return Ok(value.array().unwrap_or(Items::Vals(&[]))) };
        let mark = self.heap.mark();
        for (at, c) in text.char_indices() {
            self.budget.step(1)?;
            self.heap.push(Val::Str(&text[at..at + c.len_utf8()]))?;
        }
        self.heap.take(mark).map(Items::Vals)
    }

    fn single(&mut self, value: Val<'e>) -> Outcome<'e> {
        let items = self.heap.slice(&[value])?;
        self.heap.array(items, SEQUENCE)
    }

    #[inline(never)]
    fn path_result(
        &mut self,
        node: &'e Node,
        stream: Stream<'e>,
        keep_singleton: bool,
        mark: usize,
        frame: &'e Frame<'e>,
    ) -> Outcome<'e> {
        let group = node.group();
        let value = match stream {
            Stream::Tuples(tuples) => {
                if let Some(pairs) = group {
                    return self.group(pairs, Val::Tuples(tuples), frame);
                }
                if node.tuple {
                    return Ok(Val::Tuples(tuples));
                }
                for tuple in tuples {
                    self.heap.push(tuple.at)?;
                }
                self.heap.take_array(mark, SEQUENCE)?
            }
            Stream::Pushed => match self.heap.pushed(mark) {
                // The common cases need no array.
                [] => Val::Undefined,
                [one] if !keep_singleton && !node.keep && group.is_none() && one.flags() & SEQUENCE == 0 => {
                    let one = *one;
                    self.heap.forget(mark);
                    return Ok(one);
                }
                _ => self.heap.take_array(mark, SEQUENCE)?,
            },
            Stream::Whole(value) => value,
        };
        let value = if keep_singleton && value.array().is_some() {
            // An array that was constructed is the single item of the sequence.
            let bare = value.flags() & (CONS | SEQUENCE) == CONS;
            let sequence = if bare { self.single(value)? } else { value };
            self.heap.flagged(sequence, sequence.flags() | KEEP)?
        } else {
            value
        };
        match group {
            Some(pairs) => self.group(pairs, value, frame),
            None => Ok(value),
        }
    }

    /// The items that the stream holds, pushed to the heap's stack from `mark` on.
    pub(super) fn pour(&mut self, stream: Stream<'e>, first: Option<Items<'e>>) -> Result<(), Stop> {
        let items = match (stream, first) {
            (_, Some(items)) => items,
            (Stream::Whole(value), _) => self.iterated(value)?,
            _ => return Ok(()),
        };
        for item in items.iter() {
            self.heap.push(item)?;
        }
        Ok(())
    }

    #[inline(never)]
    fn plain_step(
        &mut self,
        step: &'e Node,
        before: Stream<'e>,
        first: Option<Items<'e>>,
        mark: usize,
        last: bool,
        frame: &'e Frame<'e>,
    ) -> Result<Stream<'e>, Stop> {
        if let Kind::Sort(terms) = &step.kind {
            self.pour(before, first)?;
            let mut value = match self.heap.pushed(mark).len() {
                0 | 1 => self.heap.take_array(mark, SEQUENCE)?,
                _ => {
                    self.sort_items(terms, mark, frame)?;
                    self.heap.take_array(mark, 0)?
                }
            };
            for stage in step.stages() {
                if let Stage::Filter(predicate) = stage {
                    value = self.filter(predicate, value, frame)?;
                }
            }
            return Ok(Stream::Whole(value));
        }
        // Items come from where they lie: the input, an array, or the stack below the results.
        let source = match (before, first) {
            (_, Some(items)) => Some(items),
            (Stream::Whole(value), _) => Some(self.iterated(value)?),
            _ => None,
        };
        let begin = self.heap.mark();
        let count = source.map_or(begin - mark, Items::len);
        let mut results = 0_usize;
        let mut only = Val::Undefined;
        self.budget.step(count)?;
        for at in 0..count {
            let item = match source {
                Some(items) => items.get(at),
                None => self.heap.pushed(mark)[at],
            };
            let mut value = match &step.kind {
                Kind::Name(name) if item.is_object() && !step.keep => self.settled(item.named(name), false)?,
                _ => self.eval(step, item, frame)?,
            };
            for stage in step.stages() {
                if let Stage::Filter(predicate) = stage {
                    value = self.filter(predicate, value, frame)?;
                }
            }
            if value.is_undefined() {
                continue;
            }
            results += 1;
            only = value;
            match value.array() {
                Some(items) if value.flags() & CONS == 0 => self.push_all(items)?,
                _ => self.heap.push(value)?,
            }
        }
        self.heap.drop_between(mark, begin);
        if last && results == 1 && only.array().is_some() && only.flags() & SEQUENCE == 0 {
            self.heap.forget(mark);
            return Ok(Stream::Whole(only));
        }
        Ok(Stream::Pushed)
    }

    /// `input[predicate]`.
    #[inline(never)]
    pub(super) fn filter(&mut self, predicate: &'e Node, input: Val<'e>, frame: &'e Frame<'e>) -> Outcome<'e> {
        if let Val::Tuples(tuples) = input {
            return self.filter_tuples(predicate, tuples, frame);
        }
        let items = input.items();
        if let Kind::Number(n) = predicate.kind
            && predicate.more.is_none()
        {
            self.budget.step(1)?;
            return match place(n, items.len()).map_or(Val::Undefined, |at| items.get(at)) {
                Val::Undefined => {
                    let none = self.heap.mark();
                    self.heap.take_array(none, SEQUENCE)
                }
                item if item.array().is_some() => Ok(item),
                item => self.single(item),
            };
        }
        let mark = self.heap.mark();
        self.budget.step(items.len())?;
        self.budget.enter()?;
        for (at, item) in items.iter().enumerate() {
            let result = self.eval(predicate, item, frame);
            let times = match &result {
                Ok(Val::Bool(b)) => usize::from(*b),
                _ => self.chosen(result?, at, items.len())?,
            };
            for _ in 0..times {
                self.heap.push(item)?;
            }
        }
        self.budget.leave();
        self.heap.take_array(mark, SEQUENCE)
    }

    /// The number of times that a predicate's value takes the item at this place: positions may name it twice.
    pub(super) fn chosen(&mut self, value: Val<'e>, at: usize, len: usize) -> Result<usize, Stop> {
        if let Val::Bool(b) = value {
            return Ok(usize::from(b));
        }
        if let Some(n) = finite(value)? {
            return Ok(usize::from(place(n, len) == Some(at)));
        }
        if let Some(items) = value.array() {
            self.budget.step(items.len())?;
            let mut times = 0;
            let mut numbers = true;
            for item in items.iter() {
                match finite(item)? {
                    Some(n) => times += usize::from(place(n, len) == Some(at)),
                    None => numbers = false,
                }
            }
            if numbers {
                return Ok(times);
            }
        }
        Ok(usize::from(self.holds(value)?))
    }
}

/// Where names lead from an object of the payload, and how many steps that were.
fn followed<'e>(steps: &'e [Node], from: &'e Value) -> (Option<&'e Value>, usize) {
    let mut value = from;
    for (at, step) in steps.iter().enumerate() {
        match (&step.kind, value) {
            (Kind::Name(name), Value::Object(fields)) if step.more.is_none() && !step.keep => match name.find(fields) {
                Some(found) => value = found,
                None => return (None, steps.len()),
            },
            _ => return (Some(value), at),
        }
    }
    (Some(value), steps.len())
}

/// The position that a number names: rounded down, negative ones from the end.
pub(super) fn place(n: f64, len: usize) -> Option<usize> {
    let n = n.floor();
    let n = if n < 0.0 { n + number::double(len) } else { n };
    (n >= 0.0 && n < number::double(len)).then(|| number::count(n))
}
