//! Functions of objects, and those of any value.

use super::super::error::{Fault, Stop};
use super::super::eval::{Machine, Outcome, finite};
use super::super::heap::Merge;
use super::super::value::{SEQUENCE, Val, kind_name};
use super::{arg, text};

pub(super) fn boolean<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    Ok(machine.truth(arg(args, 0))?.map_or(Val::Undefined, Val::Bool))
}

pub(super) fn not<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    Ok(machine.truth(arg(args, 0))?.map_or(Val::Undefined, |truth| Val::Bool(!truth)))
}

pub(super) fn exists<'e>(_: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    Ok(Val::Bool(!arg(args, 0).is_undefined()))
}

pub(super) fn kind<'e>(_: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let value = arg(args, 0);
    // To the reference NaN is an object.
    let kind = match value.num() {
        Some(_) if finite(value)?.is_none() => "object",
        _ => kind_name(value),
    };
    Ok(if value.is_undefined() { value } else { Val::Str(kind) })
}

pub(super) fn lookup<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    match text(machine, args, 1)? {
        Some(name) => machine.lookup(arg(args, 0), name),
        None => Ok(Val::Undefined),
    }
}

pub(super) fn keys<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let value = arg(args, 0);
    let mark = machine.heap.mark();
    if value.array().is_none() {
        machine.step(value.width())?;
        for (name, _) in value.fields() {
            machine.heap.push(Val::Str(name))?;
        }
        return machine.heap.take_array(mark, SEQUENCE);
    }
    let mut names = Merge::new(machine);
    all_keys(machine, value, &mut names)?;
    let merged = names.take(machine)?;
    for (name, _) in merged.fields() {
        machine.heap.push(Val::Str(name))?;
    }
    machine.heap.take_array(mark, SEQUENCE)
}

fn all_keys<'e>(machine: &mut Machine<'e>, value: Val<'e>, names: &mut Merge<'e>) -> Result<(), Stop> {
    machine.step(1)?;
    if let Some(items) = value.array() {
        machine.budget.enter()?;
        for item in items.iter() {
            all_keys(machine, item, names)?;
        }
        machine.budget.leave();
        return Ok(());
    }
    for (name, _) in value.fields() {
        names.set(machine, name, Val::Null)?;
    }
    Ok(())
}

pub(super) fn spread<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let value = arg(args, 0);
    let Some(items) = value.array() else {
        if !value.is_object() {
            return Ok(value);
        }
        let mark = machine.heap.mark();
        spread_fields(machine, value)?;
        return machine.heap.take_array(mark, SEQUENCE);
    };
    let mark = machine.heap.mark();
    spread_all(machine, value)?;
    let flags = if items.len() == 0 { SEQUENCE } else { 0 };
    machine.heap.take_array(mark, flags)
}

fn spread_all<'e>(machine: &mut Machine<'e>, value: Val<'e>) -> Result<(), Stop> {
    machine.step(1)?;
    if let Some(items) = value.array() {
        machine.budget.enter()?;
        for item in items.iter() {
            spread_all(machine, item)?;
        }
        machine.budget.leave();
        return Ok(());
    }
    if value.is_object() { spread_fields(machine, value) } else { machine.heap.push(value) }
}

fn spread_fields<'e>(machine: &mut Machine<'e>, value: Val<'e>) -> Result<(), Stop> {
    machine.step(value.width())?;
    for (name, field) in value.fields() {
        let single = machine.heap.object(&[(name, field)])?;
        machine.heap.push(Val::Object(single))?;
    }
    Ok(())
}

pub(super) fn merge<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let list = arg(args, 0);
    if list.is_undefined() {
        return Ok(list);
    }
    let mut merge = Merge::new(machine);
    for item in list.items().iter() {
        machine.step(1)?;
        for (name, value) in item.fields() {
            merge.set(machine, name, value)?;
        }
    }
    merge.take(machine)
}

pub(super) fn clone<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    match arg(args, 0) {
        Val::Undefined => Ok(Val::Undefined),
        value => machine.copy(value),
    }
}

pub(super) fn error<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let message = text(machine, args, 0)?.filter(|message| !message.is_empty());
    Err(Fault::new("D3137").message(message.unwrap_or("$error() function evaluated")).into())
}

pub(super) fn assert<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    if matches!(arg(args, 0), Val::Bool(true)) {
        return Ok(Val::Undefined);
    }
    let message = text(machine, args, 1)?.filter(|message| !message.is_empty());
    Err(Fault::new("D3141").message(message.unwrap_or("$assert() statement failed")).into())
}
