//! Paths that bind variables (`@`, `#`) or parents (`%`): their items go from step to step with their bindings.

use super::super::error::Stop;
use super::super::number;
use super::super::syntax::tree::{Kind, Node, Stage, Sym, Term};
use super::super::value::{Bind, Frame, Items, Tuple, Val};
use super::path::{Stream, place};
use super::{Machine, Outcome};

impl<'e> Machine<'e> {
    #[inline(never)]
    pub(super) fn tuple_step(
        &mut self,
        step: &'e Node,
        before: Stream<'e>,
        first: Option<Items<'e>>,
        mark: usize,
        frame: &'e Frame<'e>,
    ) -> Result<Stream<'e>, Stop> {
        if let Kind::Sort(terms) = &step.kind {
            return self.tuple_sort(step, terms, before, first, mark, frame);
        }
        let tuples = match before {
            Stream::Tuples(tuples) => tuples,
            other => self.as_tuples(other, first, mark)?,
        };
        let mut out = Tuples::default();
        self.budget.step(tuples.len())?;
        self.budget.enter()?;
        for tuple in tuples {
            let inner = self.heap.tuple_frame(frame, tuple.binds)?;
            let value = self.eval_tuples(step, tuple.at, inner)?;
            match value {
                Val::Undefined => {}
                Val::Tuples(more) => {
                    for own in more {
                        let binds = self.joined(tuple.binds, own.binds)?;
                        out.push(self, Tuple { at: own.at, binds })?;
                    }
                }
                value => {
                    let items = value.items();
                    self.budget.step(items.len())?;
                    for (at, item) in items.iter().enumerate() {
                        let made = self.tuple(step, *tuple, at, item)?;
                        out.push(self, made)?;
                    }
                }
            }
        }
        let tuples = out.take(self)?;
        let staged = self.staged(step, tuples, frame)?;
        self.budget.leave();
        Ok(Stream::Tuples(staged))
    }

    fn tuple(&mut self, step: &'e Node, from: Tuple<'e>, at: usize, item: Val<'e>) -> Result<Tuple<'e>, Stop> {
        let mut binds = from.binds;
        let place = match step.focus() {
            Some(name) => {
                binds = self.with(binds, name, item)?;
                from.at
            }
            None => item,
        };
        if let Some(name) = step.index() {
            binds = self.with(binds, name, Val::Num(number::double(at)))?;
        }
        if let Some(slot) = step.ancestor() {
            let label = self.program.labels.get(slot as usize).copied().unwrap_or(Sym::MAX);
            binds = self.with(binds, label, from.at)?;
        }
        Ok(Tuple { at: place, binds })
    }

    /// The bindings with one more; a binding of the same name is replaced.
    fn with(&mut self, binds: Option<&'e Bind<'e>>, name: Sym, value: Val<'e>) -> Result<Option<&'e Bind<'e>>, Stop> {
        let mut at = binds;
        let mut known = false;
        while let Some(bind) = at {
            known |= bind.name == name;
            at = bind.next;
        }
        let next = if known { self.without(binds, name)? } else { binds };
        Ok(Some(self.heap.alloc(Bind { name, value, next })?))
    }

    fn without(&mut self, binds: Option<&'e Bind<'e>>, name: Sym) -> Result<Option<&'e Bind<'e>>, Stop> {
        let mut kept = None;
        let mut at = binds;
        while let Some(bind) = at {
            if bind.name != name {
                kept = Some(self.heap.alloc(Bind { name: bind.name, value: bind.value, next: kept })?);
            }
            at = bind.next;
        }
        Ok(kept)
    }

    fn joined(
        &mut self,
        outer: Option<&'e Bind<'e>>,
        inner: Option<&'e Bind<'e>>,
    ) -> Result<Option<&'e Bind<'e>>, Stop> {
        let mut binds = outer;
        let mut at = inner;
        while let Some(bind) = at {
            binds = self.with(binds, bind.name, bind.value)?;
            at = bind.next;
        }
        Ok(binds)
    }

    fn as_tuples(
        &mut self,
        stream: Stream<'e>,
        first: Option<Items<'e>>,
        mark: usize,
    ) -> Result<&'e [Tuple<'e>], Stop> {
        self.pour(stream, first)?;
        let items = self.heap.take(mark)?;
        let mut out = Tuples::default();
        for at in items {
            out.push(self, Tuple { at: *at, binds: None })?;
        }
        out.take(self)
    }

    fn tuple_sort(
        &mut self,
        step: &'e Node,
        terms: &'e [Term],
        before: Stream<'e>,
        first: Option<Items<'e>>,
        mark: usize,
        frame: &'e Frame<'e>,
    ) -> Result<Stream<'e>, Stop> {
        let tuples = match before {
            Stream::Tuples(tuples) => self.sort_tuples(terms, tuples, frame)?,
            other => {
                self.pour(other, first)?;
                if self.heap.pushed(mark).len() > 1 {
                    self.sort_items(terms, mark, frame)?;
                }
                let items = self.heap.take(mark)?;
                let mut out = Tuples::default();
                for (at, item) in items.iter().enumerate() {
                    let binds = match step.index() {
                        Some(name) => self.with(None, name, Val::Num(number::double(at)))?,
                        None => None,
                    };
                    out.push(self, Tuple { at: *item, binds })?;
                }
                out.take(self)?
            }
        };
        self.staged(step, tuples, frame).map(Stream::Tuples)
    }

    /// Predicates and index bindings behind a step that binds.
    fn staged(
        &mut self,
        step: &'e Node,
        mut tuples: &'e [Tuple<'e>],
        frame: &'e Frame<'e>,
    ) -> Result<&'e [Tuple<'e>], Stop> {
        for stage in step.stages() {
            match stage {
                Stage::Filter(predicate) => {
                    tuples = match self.filter_tuples(predicate, tuples, frame)? {
                        Val::Tuples(tuples) => tuples,
                        _ => &[],
                    };
                }
                Stage::Index(name) => {
                    let mut out = Tuples::default();
                    for (at, tuple) in tuples.iter().enumerate() {
                        let binds = self.with(tuple.binds, *name, Val::Num(number::double(at)))?;
                        out.push(self, Tuple { at: tuple.at, binds })?;
                    }
                    tuples = out.take(self)?;
                }
            }
        }
        Ok(tuples)
    }

    pub(super) fn filter_tuples(
        &mut self,
        predicate: &'e Node,
        tuples: &'e [Tuple<'e>],
        frame: &'e Frame<'e>,
    ) -> Outcome<'e> {
        let mut out = Tuples::default();
        if let Kind::Number(n) = predicate.kind {
            if let Some(at) = place(n, tuples.len()) {
                out.push(self, tuples[at])?;
            }
            return out.take(self).map(Val::Tuples);
        }
        self.budget.step(tuples.len())?;
        for (at, tuple) in tuples.iter().enumerate() {
            let inner = self.heap.tuple_frame(frame, tuple.binds)?;
            let value = self.eval(predicate, tuple.at, inner)?;
            for _ in 0..self.chosen(value, at, tuples.len())? {
                out.push(self, *tuple)?;
            }
        }
        out.take(self).map(Val::Tuples)
    }
}

/// A growing list of tuples on the heap's stack of them.
#[derive(Default)]
pub(super) struct Tuples {
    len: usize,
}

impl Tuples {
    pub(super) fn push<'e>(&mut self, machine: &mut Machine<'e>, tuple: Tuple<'e>) -> Result<(), Stop> {
        machine.heap.push_tuple(tuple)?;
        self.len += 1;
        Ok(())
    }

    pub(super) fn take<'e>(self, machine: &mut Machine<'e>) -> Result<&'e [Tuple<'e>], Stop> {
        machine.heap.take_tuples(self.len)
    }
}
