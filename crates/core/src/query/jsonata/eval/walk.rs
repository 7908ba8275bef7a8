//! Values below a value: by name, `*`, `**`.

use super::super::error::Stop;
use super::super::value::{Items, OUTER, SEQUENCE, Val};
use super::{Machine, Outcome};

impl<'e> Machine<'e> {
    /// The values of a name in an object, or in all objects of an array.
    pub(in crate::query::jsonata) fn lookup(&mut self, input: Val<'e>, name: &str) -> Outcome<'e> {
        let Some(items) = input.array() else { return Ok(input.field(name)) };
        let mark = self.heap.mark();
        self.lookup_all(items, name)?;
        self.heap.take_array(mark, SEQUENCE)
    }

    fn lookup_all(&mut self, items: Items<'e>, name: &str) -> Result<(), Stop> {
        self.budget.step(items.len())?;
        for item in items.iter() {
            if let Some(inner) = item.array() {
                self.lookup_all(inner, name)?;
                continue;
            }
            let value = item.field(name);
            match value.array() {
                Some(inner) => self.push_all(inner)?,
                None if value.is_undefined() => {}
                None => self.heap.push(value)?,
            }
        }
        Ok(())
    }

    #[inline(never)]
    pub(super) fn wildcard(&mut self, input: Val<'e>) -> Outcome<'e> {
        let input = match input {
            Val::Array(array) if array.flags & OUTER != 0 && array.items.len() > 0 => array.items.get(0),
            input => input,
        };
        let mark = self.heap.mark();
        let mut flags = SEQUENCE;
        if let Some(items) = input.array() {
            for value in items.iter() {
                self.wild(value, &mut flags)?;
            }
        }
        for (_, value) in input.fields() {
            self.wild(value, &mut flags)?;
        }
        self.heap.take_array(mark, flags)
    }

    /// One value of a wildcard. Arrays are laid flat, and their result is an array even with one item.
    fn wild(&mut self, value: Val<'e>, flags: &mut u8) -> Result<(), Stop> {
        self.budget.step(1)?;
        match value.array() {
            Some(items) => {
                *flags = 0;
                self.flatten(items)
            }
            None => self.heap.push(value),
        }
    }

    /// Pushes items to the heap's stack.
    pub(in crate::query::jsonata) fn push_all(&mut self, items: Items<'e>) -> Result<(), Stop> {
        self.budget.step(items.len())?;
        for item in items.iter() {
            self.heap.push(item)?;
        }
        Ok(())
    }

    fn flatten(&mut self, items: Items<'e>) -> Result<(), Stop> {
        self.budget.step(items.len())?;
        for item in items.iter() {
            match item.array() {
                Some(inner) => self.flatten(inner)?,
                None => self.heap.push(item)?,
            }
        }
        Ok(())
    }

    #[inline(never)]
    pub(super) fn descendants(&mut self, input: Val<'e>) -> Outcome<'e> {
        if input.is_undefined() {
            return Ok(input);
        }
        let mark = self.heap.mark();
        self.descend(input)?;
        self.heap.take_array(mark, SEQUENCE)
    }

    fn descend(&mut self, value: Val<'e>) -> Result<(), Stop> {
        self.budget.step(1)?;
        self.budget.enter()?;
        if let Some(items) = value.array() {
            for item in items.iter() {
                self.descend(item)?;
            }
        } else {
            self.heap.push(value)?;
            for (_, inner) in value.fields() {
                self.descend(inner)?;
            }
        }
        self.budget.leave();
        Ok(())
    }
}
