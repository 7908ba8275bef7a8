//! Functions that take functions.

use super::super::error::{Fault, Stop, fail};
use super::super::eval::{Machine, Outcome, arity, merge_sort};
use super::super::heap::Merge;
use super::super::number;
use super::super::value::{SEQUENCE, Val};
use super::arg;
use super::strings::natural_order;

/// Calls with as many of the arguments as the function takes, and one at least.
fn call<'e>(machine: &mut Machine<'e>, function: Val<'e>, args: [Val<'e>; 3], arity: usize) -> Outcome<'e> {
    machine.step(1)?;
    machine.call_back(function, &args[..arity.clamp(1, 3)])
}

pub(super) fn map<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let (list, function) = (arg(args, 0), arg(args, 1));
    if list.is_undefined() {
        return Ok(list);
    }
    let arity = arity(function);
    let mark = machine.heap.mark();
    for (at, item) in list.items().iter().enumerate() {
        let value = call(machine, function, [item, Val::Num(number::double(at)), list], arity)?;
        if !value.is_undefined() {
            machine.heap.push(value)?;
        }
    }
    machine.heap.take_array(mark, SEQUENCE)
}

pub(super) fn filter<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let (list, function) = (arg(args, 0), arg(args, 1));
    if list.is_undefined() {
        return Ok(list);
    }
    let arity = arity(function);
    let mark = machine.heap.mark();
    for (at, item) in list.items().iter().enumerate() {
        let value = call(machine, function, [item, Val::Num(number::double(at)), list], arity)?;
        if machine.holds(value)? {
            machine.heap.push(item)?;
        }
    }
    machine.heap.take_array(mark, SEQUENCE)
}

/// JavaScript's own truth, which `$sort` goes by.
pub(super) fn truthy(value: Val<'_>) -> bool {
    match value {
        Val::Undefined | Val::Null => false,
        Val::Bool(b) => b,
        Val::Str(text) => !text.is_empty(),
        other => other.num().is_none_or(|n| n != 0.0 && !n.is_nan()),
    }
}

pub(super) fn single<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let (list, function) = (arg(args, 0), arg(args, 1));
    if list.is_undefined() {
        return Ok(list);
    }
    let arity = arity(function);
    let mut found = None;
    for (at, item) in list.items().iter().enumerate() {
        let chosen = function.is_undefined() || {
            let value = call(machine, function, [item, Val::Num(number::double(at)), list], arity)?;
            machine.holds(value)?
        };
        if chosen && found.replace(item).is_some() {
            return Err(Fault::new("D3138").index(at).into());
        }
    }
    found.map_or_else(|| fail("D3139"), Ok)
}

pub(super) fn reduce<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let (list, function, initial) = (arg(args, 0), arg(args, 1), arg(args, 2));
    if list.is_undefined() {
        return Ok(list);
    }
    let arity = arity(function);
    if arity < 2 {
        return Err(Fault::new("D3050").index(1).into());
    }
    let items = list.items();
    let (mut result, start) = if initial.is_undefined() { (items.get(0), 1) } else { (initial, 0) };
    for at in start..items.len() {
        machine.step(1)?;
        let args = [result, items.get(at), Val::Num(number::double(at)), list];
        result = machine.call_back(function, &args[..arity.min(4)])?;
    }
    Ok(result)
}

pub(super) fn sift<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let (object, function) = (arg(args, 0), arg(args, 1));
    let arity = arity(function);
    let mut kept = Merge::new(machine);
    let mut any = false;
    for (name, value) in object.fields() {
        let chosen = call(machine, function, [value, Val::Str(name), object], arity)?;
        if machine.holds(chosen)? {
            any = true;
            kept.set(machine, name, value)?;
        }
    }
    let kept = kept.take(machine)?;
    Ok(if any { kept } else { Val::Undefined })
}

pub(super) fn each<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let (object, function) = (arg(args, 0), arg(args, 1));
    let arity = arity(function);
    let mark = machine.heap.mark();
    for (name, value) in object.fields() {
        let made = call(machine, function, [value, Val::Str(name), object], arity)?;
        if !made.is_undefined() {
            machine.heap.push(made)?;
        }
    }
    machine.heap.take_array(mark, SEQUENCE)
}

pub(super) fn sort<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let (list, function) = (arg(args, 0), arg(args, 1));
    let items = list.items();
    if list.is_undefined() || items.len() < 2 {
        return Ok(list);
    }
    if function.is_undefined() {
        let all = |kind: fn(&Val<'e>) -> bool| items.iter().all(|item| kind(&item));
        machine.step(items.len())?;
        if !all(|item| item.num().is_some()) && !all(|item| item.text().is_some()) {
            return Err(Fault::new("D3070").index(1).into());
        }
    }
    let mark = machine.heap.mark();
    machine.push_all(items)?;
    let end = machine.heap.mark();
    merge_sort(machine, mark, end, &mut |machine: &mut Machine<'e>, a, b| -> Result<bool, Stop> {
        if function.is_undefined() {
            let texts = a.text().map_or(0, str::len).min(b.text().map_or(0, str::len));
            machine.step(1 + texts / 64)?;
            return Ok(natural_order(a, b).is_some_and(std::cmp::Ordering::is_gt));
        }
        let swap = machine.call_back(function, &[a, b])?;
        Ok(truthy(swap))
    })?;
    machine.heap.take_array(mark, 0)
}
