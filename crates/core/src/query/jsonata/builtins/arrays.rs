//! Functions of arrays.

use std::collections::HashSet;

use super::super::eval::{Machine, Outcome};
use super::super::number;
use super::super::value::{SEQUENCE, Val};
use super::arg;

pub(super) fn count<'e>(_: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let list = arg(args, 0);
    Ok(Val::Num(if list.is_undefined() { 0.0 } else { number::double(list.items().len()) }))
}

pub(super) fn append<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let (first, second) = (arg(args, 0), arg(args, 1));
    if first.is_undefined() {
        return Ok(second);
    }
    if second.is_undefined() {
        return Ok(first);
    }
    let mark = machine.heap.mark();
    for items in [first.items(), second.items()] {
        machine.push_all(items)?;
    }
    machine.heap.take_array(mark, 0)
}

pub(super) fn zip<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let lengths = args.iter().map(|list| if list.is_undefined() { 0 } else { list.items().len() });
    let length = lengths.min().unwrap_or(0);
    machine.step(length.saturating_mul(args.len()))?;
    let mark = machine.heap.mark();
    for at in 0..length {
        let row = machine.heap.mark();
        for list in args {
            machine.heap.push(list.items().get(at))?;
        }
        let row = machine.heap.take_array(row, 0)?;
        machine.heap.push(row)?;
    }
    machine.heap.take_array(mark, 0)
}

pub(super) fn reverse<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let list = arg(args, 0);
    let items = list.items();
    if list.is_undefined() || items.len() < 2 {
        return Ok(list);
    }
    machine.step(items.len())?;
    let mark = machine.heap.mark();
    for at in (0..items.len()).rev() {
        machine.heap.push(items.get(at))?;
    }
    machine.heap.take_array(mark, 0)
}

pub(super) fn shuffle<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let list = arg(args, 0);
    let items = list.items();
    if list.is_undefined() || items.len() < 2 {
        return Ok(list);
    }
    machine.step(items.len())?;
    let mark = machine.heap.mark();
    for at in 0..items.len() {
        machine.heap.push(items.get(at))?;
        let other = number::count(machine.entropy.unit() * number::double(at + 1));
        machine.heap.pushed_mut(mark).swap(at, other);
    }
    machine.heap.take_array(mark, 0)
}

/// A scalar's type and its bits.
fn scalar_key(value: Val<'_>) -> Option<(u8, u64, &str)> {
    match value {
        Val::Null => Some((b'l', 0, "")),
        Val::Bool(b) => Some((b'b', u64::from(b), "")),
        Val::Str(text) => Some((b's', 0, text)),
        other => other.num().map(|n| (b'n', if n == 0.0 { 0 } else { n.to_bits() }, "")),
    }
}

pub(super) fn distinct<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    /// Bytes of an entry of the table of scalars, growth included.
    const ENTRY: usize = 96;
    let list = arg(args, 0);
    let Some(items) = list.array().filter(|items| items.len() > 1) else { return Ok(list) };
    let mark = machine.heap.mark();
    let mut scalars = HashSet::new();
    let mut reserved = 0;
    for item in items.iter() {
        machine.step(1)?;
        if let Some(key) = scalar_key(item) {
            if let Val::Str(text) = item {
                machine.read(text)?;
            }
            if !scalars.contains(&key) {
                machine.heap.reserve(ENTRY)?;
                reserved += ENTRY;
                scalars.insert(key);
                machine.heap.push(item)?;
            }
            continue;
        }
        if !known(machine, mark, item)? {
            machine.heap.push(item)?;
        }
    }
    machine.heap.release(reserved);
    machine.heap.take_array(mark, list.flags() & SEQUENCE)
}

fn known<'e>(machine: &mut Machine<'e>, mark: usize, item: Val<'e>) -> Result<bool, super::Stop> {
    let count = machine.heap.pushed(mark).len();
    for at in 0..count {
        let other = machine.heap.pushed(mark)[at];
        machine.step(1)?;
        if scalar_key(other).is_none() && machine.equal(other, item)? {
            return Ok(true);
        }
    }
    Ok(false)
}
