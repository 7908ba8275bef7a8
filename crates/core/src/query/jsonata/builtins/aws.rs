//! The functions that AWS adds: `$partition`, `$range`, `$hash`, `$random(seed)`, `$uuid`, `$parse`.
//!
//! Source: "Transforming data with JSONata", AWS Step Functions developer guide; measured: `$random(42)` is that of
//! `java.util.Random`, `$range` truncates its arguments and gives a sequence.

use std::fmt;

use md5::Md5;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::super::error::{Fault, Stop, fail};
use super::super::eval::{Machine, Outcome};
use super::super::heap::Merge;
use super::super::number;
use super::super::out;
use super::super::value::{SEQUENCE, Val};
use super::arg;
use crate::query::java::JavaRandom;

fn wrong_argument<T>(index: usize) -> Result<T, Stop> {
    Err(Fault::new("T0410").index(index).into())
}

fn failed<T>(message: &str) -> Result<T, Stop> {
    Err(Fault::new("D3137").message(message).into())
}

fn numeric(args: &[Val<'_>], at: usize) -> Result<f64, Stop> {
    arg(args, at).num().filter(|n| n.is_finite()).map_or_else(|| wrong_argument(at + 1), Ok)
}

/// Refused when a machine is made; this is for a name that comes to it in another way.
pub(super) fn eval<'e>(_: &mut Machine<'e>, _: &[Val<'e>]) -> Outcome<'e> {
    fail("T1006")
}

/// `$partition(array, size)`: consecutive pieces of at most `size` items; without a size there is one piece. Nothing
/// for an empty array or the size 0.
pub(super) fn partition<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let list = arg(args, 0);
    if list.is_undefined() {
        return Ok(list);
    }
    if matches!(list, Val::Null) {
        return Err(Fault::new("T0412").index(1).text("values").into());
    }
    let size = if arg(args, 1).is_undefined() { f64::INFINITY } else { numeric(args, 1)?.trunc() };
    if size < 0.0 {
        return failed("Second argument must be zero or greater");
    }
    let (items, size) = (list.items(), number::count(size));
    if size == 0 || items.len() == 0 {
        return Ok(Val::Undefined);
    }
    machine.step(items.len())?;
    let mark = machine.heap.mark();
    let mut from = 0;
    while from < items.len() {
        let piece = machine.heap.mark();
        let to = from.saturating_add(size).min(items.len());
        for at in from..to {
            machine.heap.push(items.get(at))?;
        }
        let piece = machine.heap.take_array(piece, 0)?;
        machine.heap.push(piece)?;
        from = to;
    }
    machine.heap.take_array(mark, 0)
}

/// `$range(first, last, delta)`: `first`, `first + delta`, ... up to and with `last`, all truncated to whole numbers.
/// Nothing without a delta, or with a delta that does not lead to `last`.
pub(super) fn range<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    if arg(args, 0).is_undefined() {
        return Ok(Val::Undefined);
    }
    let (first, last) = (numeric(args, 0)?.trunc(), numeric(args, 1)?.trunc());
    let delta = if arg(args, 2).is_undefined() { 0.0 } else { numeric(args, 2)?.trunc() };
    let steps = ((last - first) / delta).floor();
    if delta == 0.0 || steps < 0.0 {
        return Ok(Val::Undefined);
    }
    let count = number::count(steps).saturating_add(1);
    if number::whole(delta) == 1 && count > 1 {
        machine.step(count)?;
        return machine.heap.range(first, count);
    }
    let mark = machine.heap.mark();
    for at in 0..count {
        machine.step(1)?;
        machine.heap.push(Val::Num(first + number::double(at) * delta))?;
    }
    machine.heap.take_array(mark, SEQUENCE)
}

/// `$hash(text, algorithm)` in lower-case hexadecimal.
pub(super) fn hash<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    if arg(args, 0).is_undefined() {
        return Ok(Val::Undefined);
    }
    let Val::Str(text) = arg(args, 0) else { return wrong_argument(1) };
    if arg(args, 1).is_undefined() {
        return Ok(Val::Undefined);
    }
    let Val::Str(algorithm) = arg(args, 1) else { return wrong_argument(2) };
    machine.step(text.len() / 16)?;
    let digest = match algorithm {
        "MD5" => hex::encode(Md5::digest(text)),
        "SHA-1" => hex::encode(Sha1::digest(text)),
        "SHA-256" => hex::encode(Sha256::digest(text)),
        "SHA-384" => hex::encode(Sha384::digest(text)),
        "SHA-512" => hex::encode(Sha512::digest(text)),
        _ => {
            return failed("The second argument of the hash function must be MD5, SHA-1, SHA-256, SHA-384 or SHA-512");
        }
    };
    Ok(Val::Str(machine.heap.str(&digest)?))
}

/// `$random()`, `$random(seed)`: in `[0, 1)`; a seed gives the same number each time, that of `java.util.Random`.
pub(super) fn random<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    if arg(args, 0).is_undefined() {
        return Ok(Val::Num(machine.entropy.unit()));
    }
    Ok(Val::Num(JavaRandom::new(number::whole(numeric(args, 0)?)).next_double()))
}

/// `$uuid()`: a version 4 UUID.
pub(super) fn uuid<'e>(machine: &mut Machine<'e>, _: &[Val<'e>]) -> Outcome<'e> {
    let uuid = machine.entropy.uuid().to_string();
    Ok(Val::Str(machine.heap.str(&uuid)?))
}

/// `$parse(text)`: the value of a JSON text, read straight onto the heap.
pub(super) fn parse<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    if arg(args, 0).is_undefined() {
        return Ok(Val::Undefined);
    }
    let Val::Str(text) = arg(args, 0) else { return wrong_argument(1) };
    machine.step(text.len() / 16)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut stop = None;
    let read = Reading { machine, stop: &mut stop }.deserialize(&mut reader);
    match read.and_then(|value| reader.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(error) => stop.map_or_else(|| failed(&["Invalid JSON: ", &error.to_string()].concat()), Err),
    }
}

/// Reads one JSON value. A bound that is met is kept aside, since the reader knows errors of its own only.
struct Reading<'m, 'e> {
    machine: &'m mut Machine<'e>,
    stop: &'m mut Option<Stop>,
}

impl Reading<'_, '_> {
    fn keep<T, E: de::Error>(&mut self, result: Result<T, Stop>) -> Result<T, E> {
        result.map_err(|stop| {
            *self.stop = Some(stop);
            E::custom("a bound")
        })
    }
}

impl<'e> DeserializeSeed<'e> for Reading<'_, 'e> {
    type Value = Val<'e>;

    fn deserialize<D: de::Deserializer<'e>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'e> Visitor<'e> for Reading<'_, 'e> {
    type Value = Val<'e>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Val<'e>, E> {
        Ok(Val::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Val<'e>, E> {
        Ok(Val::Bool(value))
    }

    fn visit_i64<E: de::Error>(mut self, value: i64) -> Result<Val<'e>, E> {
        let kept = self.machine.heap.alloc(Value::from(value));
        self.keep(kept).map(Val::of)
    }

    #[expect(clippy::cast_precision_loss, reason = "all numbers of JSONata are doubles")]
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Val<'e>, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => Ok(Val::Num(value as f64)),
        }
    }

    fn visit_f64<E>(self, value: f64) -> Result<Val<'e>, E> {
        Ok(Val::Num(value))
    }

    fn visit_borrowed_str<E>(self, text: &'e str) -> Result<Val<'e>, E> {
        Ok(Val::Str(text))
    }

    fn visit_str<E: de::Error>(mut self, text: &str) -> Result<Val<'e>, E> {
        let made = self.machine.heap.str(text);
        self.keep(made).map(Val::Str)
    }

    fn visit_seq<A: SeqAccess<'e>>(mut self, mut items: A) -> Result<Val<'e>, A::Error> {
        let mark = self.machine.heap.mark();
        while let Some(item) = items.next_element_seed(Reading { machine: self.machine, stop: self.stop })? {
            let pushed = self.machine.step(1).and_then(|()| self.machine.heap.push(item));
            self.keep(pushed)?;
        }
        let made = self.machine.heap.take_array(mark, 0);
        self.keep(made)
    }

    fn visit_map<A: MapAccess<'e>>(mut self, mut fields: A) -> Result<Val<'e>, A::Error> {
        let mut merge = Merge::new(self.machine);
        while let Some(name) = fields.next_key_seed(Reading { machine: self.machine, stop: self.stop })? {
            let value = fields.next_value_seed(Reading { machine: self.machine, stop: self.stop })?;
            let name = name.text().unwrap_or_default();
            let set = merge.set(self.machine, name, value);
            if !self.keep(set)? {
                return Err(de::Error::custom(format_args!("the name '{}' stands twice", out::cut(name))));
            }
        }
        let made = merge.take(self.machine);
        self.keep(made)
    }
}
