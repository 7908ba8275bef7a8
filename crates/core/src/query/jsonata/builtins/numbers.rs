//! Functions of numbers.

use super::super::error::{Fault, fail};
use super::super::eval::{Machine, Outcome};
use super::super::number;
use super::super::value::Val;
use super::{arg, number as numeric};

fn folded<'e>(
    machine: &mut Machine<'e>,
    args: &[Val<'e>],
    fold: impl Fn(f64, f64) -> f64,
) -> Result<Option<(f64, usize)>, super::Stop> {
    let list = arg(args, 0);
    if list.is_undefined() {
        return Ok(None);
    }
    let items = list.items();
    machine.step(items.len())?;
    let mut result = None;
    for item in items.iter() {
        let Some(n) = item.num() else { return Err(Fault::new("T0412").index(1).text("numbers").into()) };
        result = Some(result.map_or(n, |sum| fold(sum, n)));
    }
    Ok(Some((result.unwrap_or(0.0), items.len())))
}

pub(super) fn sum<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    Ok(folded(machine, args, |a, b| a + b)?.map_or(Val::Undefined, |(sum, _)| Val::Num(sum)))
}

pub(super) fn extreme<'e>(machine: &mut Machine<'e>, args: &[Val<'e>], of: fn(f64, f64) -> f64) -> Outcome<'e> {
    let found = folded(machine, args, of)?.filter(|(_, count)| *count > 0);
    Ok(found.map_or(Val::Undefined, |(found, _)| Val::Num(found)))
}

pub(super) fn average<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let sum = folded(machine, args, |a, b| a + b)?.filter(|(_, count)| *count > 0);
    Ok(sum.map_or(Val::Undefined, |(sum, count)| Val::Num(sum / number::double(count))))
}

pub(super) fn number<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let value = arg(args, 0);
    let read = match value {
        Val::Undefined => return Ok(value),
        Val::Bool(b) => Some(f64::from(u8::from(b))),
        Val::Str(text) => {
            machine.read(text)?;
            number::read(text)
        }
        other => other.num(),
    };
    read.map(Val::Num).ok_or_else(|| Fault::new("D3030").index(1).value(value).into())
}

pub(super) fn mapped<'e>(args: &[Val<'e>], map: impl Fn(f64) -> f64) -> Outcome<'e> {
    Ok(numeric(args, 0)?.map_or(Val::Undefined, |n| Val::Num(map(n))))
}

/// The nearest whole number, halves to the even one.
pub(super) fn half_even(n: f64) -> f64 {
    n.round_ties_even()
}

/// Rounded at so many digits behind the point, by way of the text: 1.005 is a half there.
pub(super) fn round_to(n: f64, precision: i32) -> f64 {
    let rounded = if precision == 0 {
        half_even(n)
    } else {
        number::shifted(half_even(number::shifted(n, precision)), -precision)
    };
    if rounded == 0.0 { 0.0 } else { rounded }
}

pub(super) fn round<'e>(_: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let Some(n) = numeric(args, 0)? else { return Ok(Val::Undefined) };
    let precision = numeric(args, 1)?.unwrap_or(0.0);
    if !n.is_finite() {
        return Ok(Val::Num(n));
    }
    if precision.fract() != 0.0 {
        return Ok(Val::Num(f64::NAN));
    }
    let places =
        i32::try_from(number::whole(precision)).unwrap_or(if precision < 0.0 { i32::MIN / 2 } else { i32::MAX / 2 });
    Ok(Val::Num(round_to(n, places)))
}

pub(super) fn sqrt<'e>(_: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    match numeric(args, 0)? {
        Some(n) if n < 0.0 => Err(Fault::new("D3060").index(1).value(Val::Num(n)).into()),
        n => Ok(n.map_or(Val::Undefined, |n| Val::Num(n.sqrt()))),
    }
}

pub(super) fn power<'e>(_: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let Some(base) = numeric(args, 0)? else { return Ok(Val::Undefined) };
    let exponent = numeric(args, 1)?.unwrap_or(f64::NAN);
    let result = base.powf(exponent);
    // A power of 1 is 1 here, with any exponent.
    if result.is_finite() && exponent.is_finite() {
        return Ok(Val::Num(result));
    }
    Err(Fault::new("D3061").index(1).value(Val::Num(base)).value2(arg(args, 1)).into())
}

pub(super) fn format_base<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let Some(n) = numeric(args, 0)? else { return Ok(Val::Undefined) };
    let n = half_even(n);
    let radix = numeric(args, 1)?.map_or(10.0, half_even);
    if !(2.0..=36.0).contains(&radix) {
        return Err(Fault::new("D3100").value(Val::Num(radix)).into());
    }
    if number::whole(radix) == 10 || !n.is_finite() {
        return Ok(Val::Str(machine.heap.str(&number::text(n))?));
    }
    let mut digits = [0_u8; 1100];
    let mut at = digits.len();
    let mut rest = n.abs();
    // Beyond 2^53 a double has no further digits.
    while rest >= number::EXACT {
        rest /= radix;
        at -= 1;
        digits[at] = b'0';
    }
    rest = rest.floor();
    loop {
        let digit = u32::try_from(number::count(rest % radix)).unwrap_or(0);
        at -= 1;
        digits[at] = char::from_digit(digit, 36).and_then(|c| u8::try_from(c).ok()).unwrap_or(b'0');
        rest = (rest / radix).floor();
        if rest < 1.0 {
            break;
        }
    }
    if n < 0.0 {
        at -= 1;
        digits[at] = b'-';
    }
    match std::str::from_utf8(&digits[at..]) {
        Ok(text) => Ok(Val::Str(machine.heap.str(text)?)),
        Err(_) => fail("D3100"),
    }
}
