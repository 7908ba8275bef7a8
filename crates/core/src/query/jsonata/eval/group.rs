//! Objects: `{...}` by itself, and grouping behind a path.

use super::super::error::{Fault, Stop};
use super::super::heap::{Group, Link, Names};
use super::super::syntax::tree::{Kind, Node};
use super::super::value::{Items, Tuple, Val};
use super::{Frame, Machine, Outcome};

impl<'e> Machine<'e> {
    /// `{...}` with keys that are known, over one item.
    #[inline(never)]
    pub(super) fn object(&mut self, pairs: &'e [(Node, Node)], input: Val<'e>, frame: &'e Frame<'e>) -> Outcome<'e> {
        let mark = self.heap.field_mark();
        for (key, value) in pairs {
            let value = self.eval(value, input, frame)?;
            if let (Kind::Text(key), false) = (&key.kind, value.is_undefined()) {
                self.heap.push_field(key, value)?;
            }
        }
        self.heap.take_object(mark)
    }

    /// Keys first, for all items; then the value of each key over the items that gave it.
    #[inline(never)]
    pub(super) fn group(&mut self, pairs: &'e [(Node, Node)], input: Val<'e>, frame: &'e Frame<'e>) -> Outcome<'e> {
        let mark = self.heap.group_mark();
        let mut names = Names::default();
        if let Val::Tuples(tuples) = input {
            for tuple in tuples {
                let inner = self.heap.tuple_frame(frame, tuple.binds)?;
                self.keys(pairs, *tuple, inner, mark, &mut names)?;
            }
        } else {
            let items = match input.items() {
                // Grouping nothing still makes the object once.
                items if items.len() == 0 => Items::One(Val::Undefined),
                items => items,
            };
            self.budget.step(items.len())?;
            for item in items.iter() {
                self.keys(pairs, Tuple { at: item, binds: None }, frame, mark, &mut names)?;
            }
        }
        names.done(&mut self.heap);
        let fields = self.heap.field_mark();
        for at in 0..self.heap.groups(mark).len() {
            let group = self.heap.groups(mark)[at];
            let inner = match input {
                Val::Tuples(_) => self.group_frame(&group, frame)?,
                _ => frame,
            };
            let context = self.gathered(&group, |tuple| tuple.at)?;
            let value = self.eval(&pairs[group.pair].1, context, inner)?;
            if !value.is_undefined() {
                self.heap.push_field(group.key, value)?;
            }
        }
        self.heap.forget_groups(mark);
        self.heap.take_object(fields)
    }

    fn keys(
        &mut self,
        pairs: &'e [(Node, Node)],
        item: Tuple<'e>,
        frame: &'e Frame<'e>,
        mark: usize,
        names: &mut Names<'e>,
    ) -> Result<(), Stop> {
        for (pair, (key, _)) in pairs.iter().enumerate() {
            let key = match self.eval(key, item.at, frame)? {
                Val::Str(key) => key,
                Val::Undefined => continue,
                other => return Err(Fault::new("T1003").value(other).into()),
            };
            self.read(key)?;
            let len = self.heap.group_mark() - mark;
            match names.find(&mut self.heap, key, len, |heap, at| heap.group_key(mark + at))? {
                None => self.heap.push_group(Group { key, pair, first: item, rest: None })?,
                Some(at) => {
                    let known = self.heap.groups(mark)[at];
                    if known.pair != pair {
                        return Err(Fault::new("D1009").text(key).into());
                    }
                    let link = self.heap.alloc(Link { item, before: known.rest })?;
                    self.heap.groups(mark)[at].rest = Some(link);
                }
            }
        }
        Ok(())
    }

    /// A part of all items of a group: a single one as it is, several as one array.
    fn gathered(&mut self, group: &Group<'e>, part: impl Fn(&Tuple<'e>) -> Val<'e>) -> Outcome<'e> {
        if group.rest.is_none() {
            return Ok(part(&group.first));
        }
        let mark = self.heap.mark();
        let mut link = group.rest;
        while let Some(at) = link {
            self.heap.push(part(&at.item))?;
            link = at.before;
        }
        self.heap.push(part(&group.first))?;
        self.heap.pushed_mut(mark).reverse();
        let items = self.heap.take(mark)?;
        let mut value = Val::Undefined;
        let flat = items.iter().all(|item| item.array().is_none() && !item.is_undefined());
        if flat {
            return self.heap.array(items, 0);
        }
        let mut defined = 0;
        for item in items.iter().filter(|item| !item.is_undefined()) {
            defined += 1;
            value = *item;
            self.push_all(item.items())?;
        }
        if defined <= 1 {
            self.heap.forget(mark);
            return Ok(value);
        }
        self.heap.take_array(mark, 0)
    }

    /// The variables of a group of tuples, each gathered like the items.
    fn group_frame(&mut self, group: &Group<'e>, frame: &'e Frame<'e>) -> Result<&'e Frame<'e>, Stop> {
        if group.rest.is_none() {
            return self.heap.tuple_frame(frame, group.first.binds);
        }
        let inner = self.heap.frame(frame)?;
        let mut bind = group.first.binds;
        while let Some(at) = bind {
            let value = self.gathered(group, |tuple| {
                let mut bind = tuple.binds;
                while let Some(own) = bind {
                    if own.name == at.name {
                        return own.value;
                    }
                    bind = own.next;
                }
                Val::Undefined
            })?;
            self.heap.bind(inner, at.name, value)?;
            bind = at.next;
        }
        Ok(inner)
    }
}
