//! Functions that search texts: by a text, a regular expression, or a function that stands in for one.

use super::super::error::{Fault, Stop, fail};
use super::super::eval::{Machine, Outcome};
use super::super::number;
use super::super::syntax::regex::Pattern;
use super::super::value::{Fun, Items, SEQUENCE, Val};
use super::{arg, number as numeric, text};

/// A match in bytes, with its groups on the heap.
struct Found<'e> {
    start: usize,
    end: usize,
    groups: Items<'e>,
}

/// A pattern of ours, or a function of the expression in its place.
enum Matcher<'e> {
    Pattern(&'e Pattern),
    Function(Val<'e>),
}

/// A search that goes on from match to match.
struct Search<'e> {
    matcher: Matcher<'e>,
    text: &'e str,
    /// Where the next match of a pattern is looked for.
    from: usize,
    /// The function that gives the next match.
    next: Val<'e>,
    first: bool,
}

fn matcher(value: Val<'_>) -> Matcher<'_> {
    match value {
        Val::Fun(Fun::Regex(pattern) | Fun::Passed(Val::Fun(Fun::Regex(pattern)))) => Matcher::Pattern(pattern),
        other => Matcher::Function(other),
    }
}

/// Runs a pattern from a byte on.
fn run<'e>(
    machine: &mut Machine<'e>,
    pattern: &'e Pattern,
    text: &'e str,
    from: usize,
) -> Result<Option<Found<'e>>, Stop> {
    let charge = |machine: &mut Machine<'e>, to: usize| {
        machine.step(1 + pattern.cost.saturating_mul((to.saturating_sub(from)) / 64 + 1))
    };
    if pattern.regex.captures_len() == 1 {
        let found = pattern.regex.find_at(text, from);
        charge(machine, found.map_or(text.len(), |found| found.end()))?;
        return Ok(found.map(|found| Found { start: found.start(), end: found.end(), groups: Items::Vals(&[]) }));
    }
    let found = pattern.regex.captures_at(text, from);
    charge(machine, found.as_ref().and_then(|found| found.get(0)).map_or(text.len(), |whole| whole.end()))?;
    let Some(found) = found else { return Ok(None) };
    let Some(whole) = found.get(0) else { return Ok(None) };
    let mark = machine.heap.mark();
    for group in found.iter().skip(1) {
        machine.heap.push(group.map_or(Val::Undefined, |group| Val::Str(group.as_str())))?;
    }
    let groups = Items::Vals(machine.heap.take(mark)?);
    Ok(Some(Found { start: whole.start(), end: whole.end(), groups }))
}

/// UTF-16 units of a text, in which JavaScript counts positions.
fn units(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(char::len_utf16).sum() }
}

/// The byte at which so many UTF-16 units end.
fn byte_of(text: &str, units: usize) -> usize {
    if text.is_ascii() {
        return units.min(text.len());
    }
    let mut count = 0;
    for (at, c) in text.char_indices() {
        if count >= units {
            return at;
        }
        count += c.len_utf16();
    }
    text.len()
}

/// A regular expression called as a function: the match as an object, which has the next one.
pub(in crate::query::jsonata) fn find_from<'e>(
    machine: &mut Machine<'e>,
    pattern: &'e Pattern,
    text: Val<'e>,
    from: f64,
) -> Outcome<'e> {
    let Val::Str(text) = text else { return Ok(Val::Undefined) };
    machine.read(text)?;
    let from = byte_of(text, number::count(from));
    match run(machine, pattern, text, from)? {
        Some(found) => described(machine, Some(pattern), text, &found),
        None => Ok(Val::Undefined),
    }
}

/// The match behind another one.
pub(in crate::query::jsonata) fn next<'e>(
    machine: &mut Machine<'e>,
    pattern: &'e Pattern,
    text: &'e str,
    from: usize,
) -> Outcome<'e> {
    if from >= text.len() {
        return Ok(Val::Undefined);
    }
    match run(machine, pattern, text, from)? {
        Some(found) if found.start == found.end => fail("D1004"),
        Some(found) => described(machine, Some(pattern), text, &found),
        None => Ok(Val::Undefined),
    }
}

/// A match as an object; one of a pattern has the next one too.
fn described<'e>(
    machine: &mut Machine<'e>,
    pattern: Option<&'e Pattern>,
    text: &'e str,
    found: &Found<'e>,
) -> Outcome<'e> {
    machine.read(text)?;
    let whole = &text[found.start..found.end];
    let start = units(&text[..found.start]);
    let mut fields = [
        ("match", Val::Str(whole)),
        ("start", Val::Num(number::double(start))),
        ("end", Val::Num(number::double(start + units(whole)))),
        ("groups", groups_of(machine, found)?),
        ("next", Val::Undefined),
    ];
    let mut count = fields.len() - 1;
    if let Some(pattern) = pattern {
        fields[count].1 = Val::Fun(machine.heap.alloc(Fun::Next { pattern, text, from: found.end })?);
        count += 1;
    }
    machine.heap.object(&fields[..count]).map(Val::Object)
}

fn groups_of<'e>(machine: &mut Machine<'e>, found: &Found<'e>) -> Outcome<'e> {
    let mark = machine.heap.mark();
    machine.push_all(found.groups)?;
    machine.heap.take_array(mark, 0)
}

impl<'e> Search<'e> {
    fn new(machine: &mut Machine<'e>, function: Val<'e>, text: &'e str) -> Result<Self, Stop> {
        machine.step(1)?;
        Ok(Self { matcher: matcher(function), text, from: 0, next: Val::Undefined, first: true })
    }

    fn next(&mut self, machine: &mut Machine<'e>) -> Result<Option<Found<'e>>, Stop> {
        let first = std::mem::take(&mut self.first);
        match self.matcher {
            Matcher::Pattern(pattern) => {
                if !first && self.from >= self.text.len() {
                    return Ok(None);
                }
                let found = run(machine, pattern, self.text, self.from)?;
                if let Some(found) = &found {
                    if !first && found.start == found.end {
                        return fail("D1004");
                    }
                    self.from = found.end;
                }
                Ok(found)
            }
            Matcher::Function(function) => {
                let answer = if first {
                    machine.call_back(function, &[Val::Str(self.text)])?
                } else {
                    machine.call_back(self.next, &[])?
                };
                let answer = machine.settled(answer, false)?;
                self.understood(machine, answer)
            }
        }
    }

    /// The answer of a function in place of a pattern.
    fn understood(&mut self, machine: &mut Machine<'e>, answer: Val<'e>) -> Result<Option<Found<'e>>, Stop> {
        if answer.is_undefined() {
            return Ok(None);
        }
        let (start, end) = (answer.field("start").num(), answer.field("end").num());
        let groups = answer.field("groups");
        self.next = answer.field("next");
        let known = start.is_some() || end.is_some() || groups.array().is_some() || self.next.is_function();
        if !known && super::higher::truthy(answer) {
            return fail("T1010");
        }
        machine.read(self.text)?;
        let start = byte_of(self.text, number::count(start.unwrap_or(0.0)));
        let end = byte_of(self.text, number::count(end.unwrap_or(0.0))).max(start);
        Ok(Some(Found { start, end, groups: groups.array().unwrap_or(Items::Vals(&[])) }))
    }
}

/// A limit that may not be negative.
fn limit(args: &[Val<'_>], at: usize, code: &'static str) -> Result<usize, Stop> {
    match numeric(args, at)? {
        Some(limit) if limit < 0.0 => Err(Fault::new(code).index(at + 1).value(Val::Num(limit)).into()),
        Some(limit) => Ok(number::count(limit.ceil())),
        None => Ok(usize::MAX),
    }
}

pub(super) fn contains<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let Some(whole) = text(machine, args, 0)? else { return Ok(Val::Undefined) };
    match arg(args, 1) {
        Val::Str(part) => Ok(Val::Bool(whole.contains(part))),
        Val::Undefined => Ok(Val::Undefined),
        function => {
            let found = Search::new(machine, function, whole)?.next(machine)?;
            Ok(Val::Bool(found.is_some()))
        }
    }
}

pub(super) fn find_all<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let Some(whole) = text(machine, args, 0)? else { return Ok(Val::Undefined) };
    let limit = limit(args, 2, "D3040")?;
    let mut search = Search::new(machine, arg(args, 1), whole)?;
    let mark = machine.heap.mark();
    let (mut counted_to, mut index) = (0, 0);
    let mut count = 0;
    while count < limit {
        let Some(found) = search.next(machine)? else { break };
        let from = counted_to.min(found.start);
        index += units(&whole[from..found.start]);
        counted_to = found.start;
        let groups = groups_of(machine, &found)?;
        let whole = Val::Str(&whole[found.start..found.end]);
        let fields = [("match", whole), ("index", Val::Num(number::double(index))), ("groups", groups)];
        let object = machine.heap.object(&fields)?;
        machine.heap.push(Val::Object(object))?;
        count += 1;
    }
    machine.heap.take_array(mark, SEQUENCE)
}

pub(super) fn split<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let Some(whole) = text(machine, args, 0)? else { return Ok(Val::Undefined) };
    let separator = arg(args, 1);
    let limit = match separator {
        Val::Str(_) => limit(args, 2, "D3020").map(|limit| match numeric(args, 2) {
            Ok(Some(n)) => number::count(n),
            _ => limit,
        })?,
        _ => limit(args, 2, "D3020")?,
    };
    let mark = machine.heap.mark();
    match separator {
        Val::Undefined if limit == 0 => {}
        Val::Undefined => machine.heap.push(Val::Str(whole))?,
        Val::Str("") => {
            for (at, c) in whole.char_indices().take(limit) {
                machine.step(1)?;
                machine.heap.push(Val::Str(&whole[at..at + c.len_utf8()]))?;
            }
        }
        Val::Str(separator) => {
            for piece in whole.split(separator).take(limit) {
                machine.step(1)?;
                machine.heap.push(Val::Str(piece))?;
            }
        }
        function => {
            let mut search = Search::new(machine, function, whole)?;
            let (mut start, mut count) = (0, 0);
            while count < limit {
                let Some(found) = search.next(machine)? else { break };
                machine.heap.push(Val::Str(whole.get(start..found.start).unwrap_or_default()))?;
                start = found.end;
                count += 1;
            }
            if count < limit {
                machine.heap.push(Val::Str(&whole[start..]))?;
            }
        }
    }
    machine.heap.take_array(mark, 0)
}

pub(super) fn replace<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let Some(whole) = text(machine, args, 0)? else { return Ok(Val::Undefined) };
    let (pattern, replacement) = (arg(args, 1), arg(args, 2));
    if let Val::Str("") = pattern {
        return Err(Fault::new("D3010").index(2).value(pattern).into());
    }
    let limit = limit(args, 3, "D3011")?;
    if limit == 0 || pattern.is_undefined() {
        return Ok(Val::Str(whole));
    }
    let mark = machine.heap.text_mark();
    let mut position = 0;
    if let Val::Str(part) = pattern {
        for (at, _) in whole.match_indices(part).take(limit) {
            let Val::Str(replacement) = replacement else {
                return Err(Fault::new("D3012").value(replacement).into());
            };
            machine.step(1 + replacement.len() / 64)?;
            machine.heap.write(mark, &whole[position..at])?;
            machine.heap.write(mark, replacement)?;
            position = at + part.len();
        }
    } else {
        let mut search = Search::new(machine, pattern, whole)?;
        let mut count = 0;
        while count < limit {
            let Some(found) = search.next(machine)? else { break };
            machine.heap.write(mark, whole.get(position..found.start).unwrap_or_default())?;
            match replacement {
                Val::Str(template) => substitute(machine, mark, template, whole, &found)?,
                function => {
                    let subject = described(machine, None, whole, &found)?;
                    let made = machine.call_back(function, &[subject])?;
                    let Val::Str(made) = machine.settled(made, false)? else {
                        return Err(Fault::new("D3012").value(made).into());
                    };
                    machine.read(made)?;
                    machine.heap.write(mark, made)?;
                }
            }
            position = found.end;
            count += 1;
        }
    }
    machine.heap.write(mark, &whole[position..])?;
    machine.heap.take_text(mark)
}

/// Writes a template: `$0` is the match, `$1` a group, `$$` a dollar sign.
fn substitute<'e>(
    machine: &mut Machine<'e>,
    mark: usize,
    template: &'e str,
    whole: &'e str,
    found: &Found<'e>,
) -> Result<(), Stop> {
    let groups = found.groups.len();
    let digits_max = if groups == 0 { 1 } else { groups.ilog10() as usize + 1 };
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        machine.step(1)?;
        machine.heap.write(mark, &rest[..at])?;
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix('$') {
            machine.heap.write(mark, "$")?;
            rest = behind;
            continue;
        }
        if let Some(behind) = rest.strip_prefix('0') {
            machine.heap.write(mark, &whole[found.start..found.end])?;
            rest = behind;
            continue;
        }
        let read = |count: usize| {
            let digits = rest.bytes().take(count).take_while(u8::is_ascii_digit).count();
            rest[..digits].parse::<usize>().ok()
        };
        let index = match read(digits_max) {
            Some(index) if digits_max > 1 && index > groups => read(digits_max - 1),
            index => index,
        };
        match index {
            None => machine.heap.write(mark, "$")?,
            Some(index) => {
                if let Val::Str(group) = found.groups.get(index.wrapping_sub(1)) {
                    machine.heap.write(mark, group)?;
                }
                rest = &rest[index.to_string().len().min(rest.len())..];
            }
        }
    }
    machine.heap.write(mark, rest)
}
