//! `|pattern|update, delete|`: a function that changes a copy of an object.

use serde_json::Value;

use super::super::error::{Fault, Stop};
use super::super::number;
use super::super::syntax::tree::Transform;
use super::super::value::{Object, Val, letter};
use super::{Frame, Machine, Outcome};

impl<'e> Machine<'e> {
    #[inline(never)]
    pub(super) fn transform(
        &mut self,
        transform: &'e Transform,
        frame: &'e Frame<'e>,
        args: &[Val<'e>],
        input: Val<'e>,
    ) -> Outcome<'e> {
        let subject = args.first().copied().unwrap_or(Val::Undefined);
        match letter(subject) {
            b'm' => return Ok(Val::Undefined),
            b'o' | b'a' if args.len() < 2 => {}
            b'o' | b'a' => return Err(Fault::new("T0410").index(2).into()),
            _ => return Err(Fault::new("T0410").index(1).into()),
        }
        let own = self.program.symbols.find("clone").and_then(|name| frame.lookup(name));
        let copy = match own {
            Some(function) if function.is_function() => self.apply(function, &[subject], input)?,
            Some(_) => return Err(Fault::new("T2013").into()),
            None => self.copy(subject)?,
        };
        let matches = self.eval(&transform.pattern, copy, frame)?;
        if matches.is_undefined() {
            return Ok(copy);
        }
        let items = matches.items();
        self.budget.step(items.len())?;
        let mut deeper = false;
        for item in items.iter() {
            deeper |= self.change(transform, item, frame)?;
        }
        if deeper {
            self.measure(copy)?;
        }
        Ok(copy)
    }

    /// Changes one match. Whether containers were put into it.
    fn change(&mut self, transform: &'e Transform, item: Val<'e>, frame: &'e Frame<'e>) -> Result<bool, Stop> {
        let mut deeper = false;
        let update = self.eval(&transform.update, item, frame)?;
        if !update.is_undefined() {
            if !update.is_object() {
                return Err(Fault::new("T2011").value(update).into());
            }
            match item {
                Val::Object(object) => deeper = self.update(object, update)?,
                // Fields of an array have no place in JSON, and nothing can be put where nothing is.
                _ if item.array().is_some() || update.width() == 0 => {}
                _ => return Err(Fault::new("T2011").value(item).into()),
            }
        }
        let Some(delete) = &transform.delete else { return Ok(deeper) };
        let names = self.eval(delete, item, frame)?;
        if names.is_undefined() {
            return Ok(deeper);
        }
        let list = names.items();
        self.budget.step(list.len())?;
        if list.iter().any(|name| name.text().is_none()) {
            return Err(Fault::new("T2012").value(names).into());
        }
        if let Val::Object(object) = item {
            let mark = self.heap.field_mark();
            let fields = object.fields.get();
            self.budget.step(fields.len() * list.len().min(8))?;
            for (name, value) in fields {
                if !list.iter().any(|gone| gone.text() == Some(*name)) {
                    self.heap.push_field(name, *value)?;
                }
            }
            self.replace(object, mark)?;
        }
        Ok(deeper)
    }

    /// Whether containers were put into the object.
    fn update(&mut self, object: &'e Object<'e>, update: Val<'e>) -> Result<bool, Stop> {
        let mut deeper = false;
        let mut merge = super::super::heap::Merge::over(self, object.fields.get())?;
        for (name, value) in update.fields() {
            deeper |= value.levels() > 0;
            merge.set(self, name, value)?;
        }
        let mark = merge.finish(self);
        self.replace(object, mark)?;
        Ok(deeper)
    }

    fn replace(&mut self, object: &'e Object<'e>, mark: usize) -> Result<(), Stop> {
        let fields = self.heap.take_fields(mark)?;
        object.order.set(self.heap.order(fields)?);
        object.fields.set(fields);
        Ok(())
    }

    /// A copy all of whose containers are its own, as JSON would carry it: numbers rounded, functions as empty texts.
    pub(in crate::query::jsonata) fn copy(&mut self, value: Val<'e>) -> Outcome<'e> {
        self.budget.step(1)?;
        match value {
            Val::Num(n) if n.is_finite() => Ok(Val::Num(number::rounded(n))),
            Val::Num(_) => Err(Fault::new("D1001").value(value).into()),
            Val::Native(_) | Val::Fun(_) => Ok(Val::Str("")),
            Val::Undefined => Ok(Val::Null),
            Val::Array(_) | Val::Object(_) | Val::Json(Value::Array(_) | Value::Object(_)) => {
                self.budget.enter()?;
                let copy = self.copied(value)?;
                self.budget.leave();
                Ok(copy)
            }
            value => Ok(value),
        }
    }

    fn copied(&mut self, value: Val<'e>) -> Outcome<'e> {
        if let Some(items) = value.array() {
            let mark = self.heap.mark();
            for item in items.iter() {
                let item = self.copy(item)?;
                self.heap.push(item)?;
            }
            return self.heap.take_array(mark, 0);
        }
        let mark = self.heap.field_mark();
        for (name, value) in value.fields().filter(|(_, value)| !value.is_undefined()) {
            let value = self.copy(value)?;
            self.heap.push_field(name, value)?;
        }
        self.heap.take_object(mark)
    }

    /// The levels of containers, after some were put into others; too many are a bound.
    fn measure(&mut self, value: Val<'e>) -> Result<u8, Stop> {
        self.budget.step(1)?;
        self.budget.enter()?;
        let mut deepest = 0;
        if let Some(items) = value.array() {
            for item in items.iter() {
                deepest = deepest.max(self.measured(item)?);
            }
        } else {
            for (_, value) in value.fields() {
                deepest = deepest.max(self.measured(value)?);
            }
        }
        self.budget.leave();
        let levels = deepest.saturating_add(1);
        if levels > super::super::value::LEVELS_MAX {
            return Err(super::super::error::Bound::Nesting.into());
        }
        if let Val::Object(object) = value {
            object.levels.set(levels);
        }
        Ok(levels)
    }

    fn measured(&mut self, value: Val<'e>) -> Result<u8, Stop> {
        match value {
            Val::Array(_) | Val::Object(_) => self.measure(value),
            value => Ok(value.levels()),
        }
    }
}
