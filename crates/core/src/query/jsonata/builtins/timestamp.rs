//! `$toMillis`: texts as moments, in ISO 8601 or by a picture.

use super::super::error::{Bound, Fault, Stop};
use super::super::eval::{Machine, Outcome};
use super::super::number;
use super::super::value::Val;
use super::datetime::{DAY, DAYS, MONTHS, Marker, Moment, Part, days_of, now_millis, parts};
use super::integer::{PICTURE_MAX, Primary, leading_integer, word_lengths};
use super::text;

/// Bytes of a timestamp that is read by a picture, and of the picture.
const TEXT_MAX: usize = PICTURE_MAX / 4;

pub(super) fn to_millis<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let Some(given) = text(machine, args, 0)? else { return Ok(Val::Undefined) };
    let Some(picture) = text(machine, args, 1)? else {
        let millis = iso(given).ok_or_else(|| Fault::new("D3110").text(given))?;
        return Ok(Val::Num(millis));
    };
    if given.len() > TEXT_MAX || picture.len() > TEXT_MAX {
        return Err(Bound::Picture.into());
    }
    let parts = parts(picture)?;
    machine.step((1 + parts.len()) * (1 + given.len()) * (1 + given.len() / 16))?;
    let now = Moment::at(now_millis(machine));
    let Some(components) = read(&parts, given)? else { return Ok(Val::Undefined) };
    moment(components, &now)
}

/// A cursor over digits and marks.
struct Cursor<'t> {
    rest: &'t str,
}

impl Cursor<'_> {
    fn digits(&mut self, count: usize) -> Option<i64> {
        let digits = self.rest.get(..count).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        self.rest = &self.rest[count..];
        digits.parse().ok()
    }

    fn eat(&mut self, mark: &str) -> bool {
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

/// Milliseconds of an ISO 8601 text. A text without a zone is in UTC. NaN where it only looks like a date.
fn iso(text: &str) -> Option<f64> {
    let mut cursor = Cursor { rest: text };
    let year = cursor.digits(4)?;
    let mut month = 1;
    let mut day = 1;
    if cursor.eat("-") {
        month = cursor.digits(2).filter(|month| *month < 20)?;
        if cursor.eat("-") {
            day = cursor.digits(2).filter(|day| *day < 40)?;
        }
    }
    let mut real = (1..=12).contains(&month) && (1..=31).contains(&day);
    let mut millis = 0.0;
    if cursor.eat("T") {
        let hour = cursor.digits(2).filter(|hour| *hour < 30)?;
        let minute = cursor.eat(":").then(|| cursor.digits(2)).flatten().filter(|minute| *minute < 60)?;
        let second = cursor.eat(":").then(|| cursor.digits(2)).flatten().filter(|second| *second < 60)?;
        let mut thousandths = 0;
        if cursor.eat(".") {
            let count = cursor.rest.bytes().take_while(u8::is_ascii_digit).count();
            let digits: String = cursor.rest.get(..count.min(3)).filter(|_| count > 0)?.chars().collect();
            thousandths = [digits.as_str(), "000"].concat().get(..3)?.parse().ok()?;
            cursor.rest = &cursor.rest[count..];
        }
        real &= hour < 24 || (hour, minute, second, thousandths) == (24, 0, 0, 0);
        millis = number::signed(((hour * 60 + minute) * 60 + second) * 1000 + thousandths);
    }
    let offset = if cursor.rest.is_empty() || cursor.eat("Z") {
        0
    } else {
        let sign = if cursor.eat("-") { -1 } else { i64::from(cursor.eat("+")) };
        if sign == 0 {
            return None;
        }
        let hours = cursor.digits(2).filter(|hours| *hours < 24)?;
        cursor.eat(":");
        sign * (hours * 60 + cursor.digits(2).filter(|minutes| *minutes < 60)?)
    };
    if !cursor.rest.is_empty() {
        return None;
    }
    if !real {
        return Some(f64::NAN);
    }
    Some(number::signed(days_of(year, month, day)) * DAY + millis - number::signed(offset) * 60_000.0)
}

/// Values of components, by letter.
type Components = Vec<(char, f64)>;

fn get(components: &[(char, f64)], component: char) -> Option<f64> {
    components.iter().rfind(|(own, _)| *own == component).map(|(_, value)| *value)
}

/// The ends that a part may have in the text from a byte on, the longest first.
fn ends(part: &Part, text: &str, from: usize) -> Vec<usize> {
    let rest = &text[from..];
    let run = |takes: fn(&u8) -> bool| rest.bytes().take_while(takes).count();
    let up_to = |count: usize| (1..=count).rev().map(|len| from + len).collect::<Vec<_>>();
    let marker = match part {
        Part::Literal(literal) => {
            let same = rest.get(..literal.len()).is_some_and(|head| head.to_lowercase() == literal.to_lowercase());
            return if same { vec![from + literal.len()] } else { Vec::new() };
        }
        Part::Marker(marker) => marker,
    };
    if matches!(marker.component, 'Z' | 'z') {
        return zone_ends(marker, rest).into_iter().map(|end| from + end).collect();
    }
    let Some(picture) = &marker.picture else { return up_to(run(u8::is_ascii_alphabetic)) };
    match &picture.primary {
        Primary::Letters => up_to(run(u8::is_ascii_alphabetic)),
        Primary::Roman => up_to(run(|b| b"MDCLXVImdclxvi".contains(b))),
        Primary::Words => {
            let mut reached = vec![from];
            let mut at = 0;
            while at < reached.len() {
                let here = reached[at];
                for len in word_lengths(&text[here..]) {
                    if !reached.contains(&(here + len)) {
                        reached.push(here + len);
                    }
                }
                at += 1;
            }
            reached.retain(|end| *end > from);
            reached.sort_unstable_by(|a, b| b.cmp(a));
            reached
        }
        Primary::Decimal(decimal) => {
            let count = run(u8::is_ascii_digit);
            let widths = match decimal.parse_width {
                Some(width) if width <= count => vec![from + width],
                Some(_) => Vec::new(),
                None => up_to(count),
            };
            if !picture.ordinal {
                return widths;
            }
            let suffixed = |end: &usize| {
                let suffix = text.get(*end..*end + 2).unwrap_or_default().to_ascii_lowercase();
                matches!(suffix.as_str(), "th" | "st" | "nd" | "rd")
            };
            widths.into_iter().filter(suffixed).map(|end| end + 2).collect()
        }
        Primary::Sequence(_) => Vec::new(),
    }
}

fn separator(marker: &Marker) -> Option<char> {
    let decimal = marker.picture.as_ref()?.decimal()?;
    if decimal.regular > 0 { decimal.separators.first().map(|(_, separator)| *separator) } else { None }
}

fn zone_ends(marker: &Marker, rest: &str) -> Vec<usize> {
    let mut at = 0;
    if marker.component == 'z' {
        if !rest.get(..3).is_some_and(|zone| zone.eq_ignore_ascii_case("GMT")) {
            return Vec::new();
        }
        at = 3;
    }
    let digits =
        |from: usize| rest.as_bytes().get(from..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count();
    if !matches!(rest.as_bytes().get(at), Some(b'+' | b'-')) || digits(at + 1) == 0 {
        return Vec::new();
    }
    let first = at + 1 + digits(at + 1);
    match separator(marker) {
        None => (at + 2..=first).rev().collect(),
        Some(separator) if rest[first..].starts_with(separator) => {
            let from = first + separator.len_utf8();
            (from + 1..=from + digits(from)).rev().collect()
        }
        Some(_) => Vec::new(),
    }
}

/// Matches the whole text against the parts. `None` where it does not fit.
fn read(parts: &[Part], text: &str) -> Result<Option<Components>, Stop> {
    // Whether the parts from p on fit the text from a byte on, known from the end.
    let mut fits = vec![vec![false; text.len() + 1]; parts.len() + 1];
    fits[parts.len()][text.len()] = true;
    for p in (0..parts.len()).rev() {
        for from in (0..=text.len()).filter(|from| text.is_char_boundary(*from)) {
            fits[p][from] = ends(&parts[p], text, from).into_iter().any(|end| fits[p + 1][end]);
        }
    }
    let mut components = Components::new();
    if !fits[0][0] {
        // An unreadable picture is an error, with any text.
        for part in parts {
            if let Part::Marker(marker) = part {
                check(marker)?;
            }
        }
        return Ok(None);
    }
    let mut from = 0;
    for (p, part) in parts.iter().enumerate() {
        let Some(end) = ends(part, text, from).into_iter().find(|end| fits[p + 1][*end]) else { return Ok(None) };
        if let Part::Marker(marker) = part {
            check(marker)?;
            if let Some(value) = value(marker, &text[from..end])? {
                components.push((marker.component, value));
            }
        }
        from = end;
    }
    Ok((!components.is_empty()).then_some(components))
}

fn check(marker: &Marker) -> Result<(), Stop> {
    match &marker.picture {
        Some(picture) => match &picture.primary {
            Primary::Sequence(token) if !matches!(marker.component, 'Z' | 'z') => {
                Err(Fault::new("D3130").text(token).into())
            }
            _ => Ok(()),
        },
        None if matches!(marker.component, 'M' | 'x' | 'F' | 'P') => Ok(()),
        None => Err(Fault::new("D3133").text(marker.component.encode_utf8(&mut [0; 4])).into()),
    }
}

fn value(marker: &Marker, text: &str) -> Result<Option<f64>, Stop> {
    if matches!(marker.component, 'Z' | 'z') {
        let text = text.get(if marker.component == 'z' { 3 } else { 0 }..).unwrap_or_default();
        let (hours, minutes) = match separator(marker).and_then(|separator| text.split_once(separator)) {
            Some((hours, minutes)) => (hours, minutes),
            None if text.len() <= 3 => (text, "0"),
            None => text.split_at(3),
        };
        return Ok(Some(leading_integer(hours) * 60.0 + leading_integer(minutes)));
    }
    if let Some(picture) = &marker.picture {
        if marker.component == 'f' && picture.decimal().is_some() {
            // Digits behind the point of a second.
            let digits: String = text.chars().filter(char::is_ascii_digit).chain("000".chars()).take(3).collect();
            return Ok(Some(leading_integer(&digits)));
        }
        return picture.parse(text).map(Some);
    }
    let cut = |name: &'static str| marker.width_max.and_then(|max| name.get(..max)).unwrap_or(name);
    let place = |names: &'static str| names.split(' ').position(|name| cut(name) == text).map(|at| at + 1);
    Ok(match marker.component {
        'P' => match text {
            "am" | "AM" => Some(0.0),
            "pm" | "PM" => Some(1.0),
            _ => None,
        },
        'F' => place(DAYS).map(number::double),
        _ => place(MONTHS).map(number::double),
    })
}

/// The moment that the components name. Components left out on the large side are those of now, on the small
/// side the least.
fn moment<'e>(mut found: Components, now: &Moment) -> Outcome<'e> {
    let given = |component: char| get(&found, component).is_some_and(|value| value != 0.0 && !value.is_nan());
    // Which set of components the found ones belong to: all of them in it, and one at least.
    let fits =
        |all: &str, set: &str| all.chars().filter(|c| given(*c)).all(|c| set.contains(c)) && set.chars().any(given);
    let date = "YXMxWwdD";
    let by_day = !fits(date, "YMD") && fits(date, "Yd");
    let by_month_week = fits(date, "XxwF") || fits(date, "Xxw");
    let by_week = !by_month_week && fits(date, "XWF");
    let half_day = !fits("PHhmsf", "Hmsf") && fits("PHhmsf", "Phmsf");
    let order = match (by_day, by_month_week, by_week) {
        (true, _, _) => "YD",
        (_, true, _) => "XxwF",
        (_, _, true) => "XWF",
        _ => "YMD",
    };
    let time = if half_day { "Phmsf" } else { "Hmsf" };
    let (mut started, mut ended) = (false, false);
    for component in order.chars().chain(time.chars()) {
        match get(&found, component) {
            Some(_) if ended => return Err(Fault::new("D3136").into()),
            Some(_) => started = true,
            None if started => {
                found.push((component, if matches!(component, 'M' | 'D' | 'd') { 1.0 } else { 0.0 }));
                ended = true;
            }
            None => found.push((component, now.part(component))),
        }
    }
    if by_month_week || by_week {
        return Err(Fault::new("D3136").into());
    }
    let part = |component: char| get(&found, component).unwrap_or(0.0);
    let year = match part('Y') {
        year if (0.0..100.0).contains(&year.trunc()) => year.trunc() + 1900.0,
        year => year,
    };
    let (month, day) = if by_day { (1.0, part('d')) } else { (part('M').max(1.0), part('D')) };
    let hour = if half_day {
        // Twelve o'clock is the hour 0 of its half.
        let hour = if number::whole(part('h')) == 12 { 0.0 } else { part('h') };
        hour + 12.0 * part('P')
    } else {
        part('H')
    };
    let all = [year, month, day, hour, part('m'), part('s'), part('f')];
    if all.iter().any(|n| !n.is_finite() || n.abs() > 1e12) || year.abs() > 300_000.0 {
        return Ok(Val::Num(f64::NAN));
    }
    let days = number::signed(days_of(number::whole(year), number::whole(month), 1)) + day.trunc() - 1.0;
    let millis = days * DAY + ((hour * 60.0 + part('m')) * 60.0 + part('s')) * 1000.0 + part('f');
    let zone = get(&found, 'Z').filter(|zone| *zone != 0.0).or_else(|| get(&found, 'z')).unwrap_or(0.0);
    Ok(Val::Num(millis - zone * 60_000.0))
}
