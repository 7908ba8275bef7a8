//! Dates by a picture (`[Y0001]-[M01]-[D01]`), and the calendar behind them.

use std::sync::OnceLock;

use super::super::error::{Bound, Fault, Stop};
use super::super::eval::{Machine, Outcome};
use super::super::number;
use super::super::value::Val;
use super::integer::{Case, PICTURE_MAX, Picture, leading_integer};
use super::{number as numeric, text};

pub(super) const DAY: f64 = 86_400_000.0;
const DAY_MILLIS: i64 = 86_400_000;
/// The last moment of JavaScript's calendar.
const LAST: f64 = 8.64e15;

pub(super) const MONTHS: &str = "January February March April May June July August September October November December";
pub(super) const DAYS: &str = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday";

/// A picture, taken apart.
#[derive(Debug)]
pub(super) enum Part {
    Literal(String),
    Marker(Marker),
}

#[derive(Debug)]
pub(super) struct Marker {
    pub component: char,
    pub names: Option<Case>,
    pub picture: Option<Picture>,
    /// `t`: a zone of zero is `Z`.
    zulu: bool,
    pub width_max: Option<usize>,
    /// Digits of a year that are shown.
    year_digits: Option<u32>,
}

pub(super) fn parts(picture: &str) -> Result<Vec<Part>, Stop> {
    if picture.len() > PICTURE_MAX {
        return Err(Bound::Picture.into());
    }
    let mut parts: Vec<Part> = Vec::new();
    let literal = |parts: &mut Vec<Part>, text: &str| {
        if !text.is_empty() {
            parts.push(Part::Literal(text.replace("]]", "]")));
        }
    };
    let mut rest = picture;
    while let Some(open) = rest.find('[') {
        literal(&mut parts, &rest[..open]);
        rest = &rest[open + 1..];
        if let Some(behind) = rest.strip_prefix('[') {
            parts.push(Part::Literal("[".to_owned()));
            rest = behind;
            continue;
        }
        let Some(close) = rest.find(']') else { return Err(Fault::new("D3135").into()) };
        let marker: String = rest[..close].chars().filter(|c| !c.is_whitespace()).collect();
        rest = &rest[close + 1..];
        let marker = Marker::read(&marker)?;
        // Digits that follow digits: the width of the first ones must be known to read them.
        if marker.picture.is_some()
            && !matches!(marker.component, 'Z' | 'z')
            && let Some(Part::Marker(before)) = parts.last_mut()
            && let Some(decimal) = before.picture.as_mut().and_then(Picture::decimal_mut)
        {
            decimal.parse_width = Some(decimal.mandatory);
        }
        parts.push(Part::Marker(marker));
    }
    literal(&mut parts, rest);
    Ok(parts)
}

impl Marker {
    fn read(text: &str) -> Result<Self, Stop> {
        let component = text.chars().next().unwrap_or_default();
        let tail = &text[component.len_utf8().min(text.len())..];
        let (modifiers, width) = match text.rfind(',') {
            Some(comma) => (text.get(component.len_utf8()..comma).unwrap_or_default(), Some(&text[comma + 1..])),
            None => (tail, None),
        };
        let usual = match component {
            'Y' | 'M' | 'D' | 'd' | 'W' | 'w' | 'X' | 'x' | 'H' | 'h' | 'f' => "1",
            'F' | 'P' | 'C' | 'E' => "n",
            'm' | 's' => "01",
            'Z' | 'z' => "01:01",
            _ => "",
        };
        let mut second = None;
        let first = match modifiers.chars().count() {
            0 if usual.is_empty() => {
                return Err(Fault::new("D3132").text(component.encode_utf8(&mut [0; 4]).trim_matches('\0')).into());
            }
            0 => usual,
            1 => modifiers,
            _ => match modifiers.chars().last() {
                Some(last @ ('a' | 't' | 'c' | 'o')) => {
                    second = Some(last);
                    &modifiers[..modifiers.len() - 1]
                }
                _ => modifiers,
            },
        };
        let width_of = |text: &str| {
            let n = leading_integer(text);
            (text != "*" && n.is_finite() && n >= 0.0).then(|| number::count(n))
        };
        let (min, max) = match width {
            None => (None, None),
            Some(width) => match width.split_once('-') {
                Some((min, max)) => (width_of(min), width_of(max)),
                None => (width_of(width), None),
            },
        };
        if min.max(max).is_some_and(|width| width > PICTURE_MAX) {
            return Err(Bound::Picture.into());
        }
        let names = match first.as_bytes() {
            [b'n', ..] => Some(Case::Lower),
            [b'N', b'n', ..] => Some(Case::Title),
            [b'N', ..] => Some(Case::Upper),
            _ => None,
        };
        let mut marker =
            Self { component, names, picture: None, zulu: second == Some('t'), width_max: max, year_digits: None };
        if matches!(component, 'Z' | 'z') {
            marker.picture = Some(Picture::read(first)?);
        } else if names.is_none() && "YMDdFWwXxHhmsf".contains(component) {
            let mut picture = match second {
                Some(second) => Picture::read(&[first, ";", second.encode_utf8(&mut [0; 4])].concat())?,
                None => Picture::read(first)?,
            };
            if let (Some(decimal), Some(min)) = (picture.decimal_mut(), min) {
                decimal.mandatory = decimal.mandatory.max(min);
            }
            if component == 'Y' {
                if let Some(max) = max {
                    marker.year_digits = u32::try_from(max).ok();
                    if let Some(decimal) = picture.decimal_mut() {
                        decimal.mandatory = max;
                    }
                } else {
                    let digits = picture.decimal().map_or(0, |decimal| decimal.mandatory + decimal.optional);
                    marker.year_digits = u32::try_from(digits).ok().filter(|digits| *digits >= 2);
                }
            }
            marker.picture = Some(picture);
        }
        Ok(marker)
    }

    /// Appends this part of a moment.
    fn write(&self, moment: &Moment, hours: f64, minutes: f64, out: &mut String) -> Result<(), Stop> {
        let value = moment.part(self.component);
        let name = match (self.component, self.names) {
            ('P', _) if moment.real && moment.hour() >= 12 => "pm",
            ('P', _) => "am",
            ('C' | 'E', _) => {
                out.push_str("ISO");
                return Ok(());
            }
            ('Z' | 'z', _) => return self.zone(hours, minutes, out),
            ('f', _) | (_, None) => {
                let value = match self.year_digits {
                    Some(digits) => value % 10_f64.powi(i32::try_from(digits).unwrap_or(i32::MAX)),
                    None => value,
                };
                return self.picture.as_ref().map_or(Ok(()), |picture| picture.write(value, out));
            }
            (component @ ('M' | 'x' | 'F'), Some(_)) => {
                let names = if component == 'F' { DAYS } else { MONTHS };
                names.split(' ').nth(number::count(value).wrapping_sub(1)).unwrap_or("undefined")
            }
            (component, Some(_)) => return Err(Fault::new("D3133").text(component.encode_utf8(&mut [0; 4])).into()),
        };
        let most = self.width_max.filter(|_| self.component != 'P').unwrap_or(name.len());
        let name = name.get(..most).unwrap_or(name);
        match self.names {
            Some(Case::Upper) => out.extend(name.chars().map(|c| c.to_ascii_uppercase())),
            Some(Case::Lower) => out.extend(name.chars().map(|c| c.to_ascii_lowercase())),
            _ => out.push_str(name),
        }
        Ok(())
    }

    fn zone(&self, hours: f64, minutes: f64, out: &mut String) -> Result<(), Stop> {
        let offset = hours * 100.0 + minutes;
        let Some(picture) = &self.picture else { return Ok(()) };
        let digits = picture.decimal().map_or(0, |decimal| decimal.mandatory);
        let regular = picture.decimal().is_some_and(|decimal| decimal.regular > 0);
        if offset == 0.0 && self.zulu && (regular || (1..=4).contains(&digits)) {
            out.push('Z');
            return Ok(());
        }
        if self.component == 'z' {
            out.push_str("GMT");
        }
        if offset >= 0.0 {
            out.push('+');
        }
        match digits {
            _ if regular => picture.write(offset, out),
            1 | 2 => {
                picture.write(hours, out)?;
                if minutes != 0.0 {
                    out.push(':');
                    Picture::read("00")?.write(minutes.floor(), out)?;
                }
                Ok(())
            }
            3 | 4 => picture.write(offset, out),
            _ => Err(Fault::new("D3134").into()),
        }
    }
}

/// A moment of the calendar. Each part is NaN where JavaScript's calendar lacks the moment.
pub(super) struct Moment {
    real: bool,
    /// Milliseconds of the day.
    in_day: i64,
    /// Days since 1970.
    days: i64,
    year: i64,
    month: i64,
    day: i64,
}

impl Moment {
    pub(super) fn at(millis: f64) -> Self {
        let real = millis.abs() <= LAST;
        let millis = if real { number::whole(millis) } else { 0 };
        let days = millis.div_euclid(DAY_MILLIS);
        let (year, month, day) = civil(days);
        Self { real, in_day: millis.rem_euclid(DAY_MILLIS), days, year, month, day }
    }

    fn hour(&self) -> i64 {
        self.in_day / 3_600_000
    }

    /// A part by its letter: months and week days count from 1.
    pub(super) fn part(&self, component: char) -> f64 {
        if self.real { number::signed(self.whole_part(component)) } else { f64::NAN }
    }

    fn whole_part(&self, component: char) -> i64 {
        match component {
            'Y' => self.year,
            'M' => self.month,
            'D' => self.day,
            'd' => self.days - days_of(self.year, 1, 1) + 1,
            'F' => week_day(self.days),
            'W' => {
                let start = first_week(self.year, 1);
                self.week(start, first_week(self.year + 1, 1), first_week(self.year - 1, 1), 52)
            }
            'w' => {
                let (next, before) = (month_after(self.year, self.month, 1), month_after(self.year, self.month, -1));
                let start = first_week(self.year, self.month);
                self.week(start, first_week(next.0, next.1), first_week(before.0, before.1), 4)
            }
            'X' => {
                let (start, end) = (first_week(self.year, 1), first_week(self.year + 1, 1));
                self.year - i64::from(self.days < start) + i64::from(self.days >= end)
            }
            'x' => {
                let next = month_after(self.year, self.month, 1);
                let (start, end) = (first_week(self.year, self.month), first_week(next.0, next.1));
                if self.days < start {
                    month_after(self.year, self.month, -1).1
                } else if self.days >= end {
                    next.1
                } else {
                    self.month
                }
            }
            'H' => self.hour(),
            'h' => match self.hour() % 12 {
                0 => 12,
                hour => hour,
            },
            'P' => i64::from(self.hour() >= 12),
            'm' => self.in_day / 60_000 % 60,
            's' => self.in_day / 1000 % 60,
            'f' => self.in_day % 1000,
            _ => 0,
        }
    }

    /// The week that begins with `start`, unless this day belongs to the period after or before.
    fn week(&self, start: i64, after: i64, before: i64, most: i64) -> i64 {
        let weeks = |start: i64| (self.days - start).div_euclid(7) + 1;
        let in_weeks = weeks(start);
        // More than `most` whole weeks, or the first day of one more.
        let over = (self.days - start) > (most - 1) * 7;
        if over && self.days >= after {
            1
        } else if self.days < start {
            weeks(before)
        } else {
            in_weeks
        }
    }
}

/// Monday is 1.
fn week_day(days: i64) -> i64 {
    (days + 3).rem_euclid(7) + 1
}

/// The Monday of the week that holds the first Thursday of the month.
fn first_week(year: i64, month: i64) -> i64 {
    let first = days_of(year, month, 1);
    match week_day(first) {
        day @ 5.. => first + 8 - day,
        day => first - (day - 1),
    }
}

fn month_after(year: i64, month: i64, by: i64) -> (i64, i64) {
    let months = year * 12 + month - 1 + by;
    (months.div_euclid(12), months.rem_euclid(12) + 1)
}

/// Days since 1970 of a date of the Gregorian calendar. Years are counted from March, so that a leap day comes last.
pub(super) fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = (year + (month - 1).div_euclid(12), (month - 1).rem_euclid(12) + 1);
    let (from_march, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let cycle = from_march.div_euclid(400);
    let in_cycle = from_march.rem_euclid(400);
    let in_year = (153 * month + 2) / 5 + day - 1;
    cycle * 146_097 + in_cycle * 365 + in_cycle / 4 - in_cycle / 100 + in_year - 719_468
}

/// The date of a day since 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let cycle = days.div_euclid(146_097);
    let in_cycle = days.rem_euclid(146_097);
    let year = (in_cycle - in_cycle / 1460 + in_cycle / 36_524 - in_cycle / 146_096) / 365;
    let in_year = in_cycle - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year + cycle * 400 + carry, month, day)
}

/// The picture of a moment where none is given.
const ISO: &str = "[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01].[f001][Z01:01t]";
static ISO_PARTS: OnceLock<Vec<Part>> = OnceLock::new();

/// A moment as text. `zone` is `+hhmm` as a number.
fn formatted<'e>(machine: &mut Machine<'e>, millis: f64, picture: Option<&str>, zone: Option<&str>) -> Outcome<'e> {
    let offset = zone.map_or(0.0, leading_integer);
    let (hours, minutes) = ((offset / 100.0).floor(), offset % 100.0);
    machine.step(1 + picture.map_or(ISO.len(), str::len))?;
    let own;
    let parts = match picture {
        Some(picture) => {
            own = parts(picture)?;
            &own
        }
        None => ISO_PARTS.get_or_init(|| parts(ISO).unwrap_or_default()),
    };
    let moment = Moment::at(millis + (60.0 * hours + minutes) * 60_000.0);
    let mark = machine.heap.text_mark();
    let mut shown = String::new();
    for part in parts {
        shown.clear();
        match part {
            Part::Literal(text) => shown.push_str(text),
            Part::Marker(marker) => marker.write(&moment, hours, minutes, &mut shown)?,
        }
        machine.heap.write(mark, &shown)?;
    }
    machine.heap.take_text(mark)
}

pub(super) fn from_millis<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let Some(millis) = numeric(args, 0)? else { return Ok(Val::Undefined) };
    let (picture, zone) = (text(machine, args, 1)?, text(machine, args, 2)?);
    formatted(machine, millis, picture, zone)
}

pub(super) fn now_millis(machine: &Machine<'_>) -> f64 {
    number::signed(machine.entropy.now.millis())
}

pub(super) fn now<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let (picture, zone) = (text(machine, args, 0)?, text(machine, args, 1)?);
    let now = now_millis(machine);
    formatted(machine, now, picture, zone)
}

pub(super) fn millis<'e>(machine: &mut Machine<'e>, _: &[Val<'e>]) -> Outcome<'e> {
    Ok(Val::Num(now_millis(machine)))
}
