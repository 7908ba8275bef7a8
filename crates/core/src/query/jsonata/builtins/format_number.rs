//! `$formatNumber`: numbers by a decimal picture, as XPath has it.

use super::super::error::{Bound, Fault, Stop};
use super::super::eval::{Machine, Outcome};
use super::super::number;
use super::super::value::Val;
use super::integer::{PICTURE_MAX, regular};
use super::{arg, number as numeric, text};

/// Characters with a meaning in the picture.
struct Symbols {
    decimal: char,
    grouping: char,
    exponent: char,
    minus: String,
    percent: char,
    per_mille: char,
    zero: char,
    digit: char,
    pattern: char,
}

/// One half of a picture, taken apart.
struct Part {
    whole: Vec<char>,
    prefix: Vec<char>,
    suffix: Vec<char>,
    active: Vec<char>,
    mantissa: Vec<char>,
    exponent: Option<Vec<char>>,
    integer: Vec<char>,
    fraction: Vec<char>,
}

/// The form that a half asks for.
struct Format {
    regular: usize,
    integer_groups: Vec<usize>,
    fraction_groups: Vec<usize>,
    integer_min: usize,
    fraction_min: usize,
    fraction_max: usize,
    exponent_min: usize,
    scale: i32,
}

impl Symbols {
    fn read(options: Val<'_>) -> Self {
        let text = |name: &str| options.field(name).text();
        let symbol = |name: &str, usual: char| text(name).and_then(|text| text.chars().next()).unwrap_or(usual);
        Self {
            decimal: symbol("decimal-separator", '.'),
            grouping: symbol("grouping-separator", ','),
            exponent: symbol("exponent-separator", 'e'),
            minus: text("minus-sign").unwrap_or("-").chars().take(PICTURE_MAX).collect(),
            percent: symbol("percent", '%'),
            per_mille: symbol("per-mille", '\u{2030}'),
            zero: symbol("zero-digit", '0'),
            digit: symbol("digit", '#'),
            pattern: symbol("pattern-separator", ';'),
        }
    }

    fn in_family(&self, c: char) -> bool {
        (u32::from(self.zero)..u32::from(self.zero) + 10).contains(&u32::from(c))
    }

    fn takes_digit(&self, c: char) -> bool {
        self.in_family(c) || c == self.digit
    }

    fn is_active(&self, c: char) -> bool {
        self.takes_digit(c) || [self.decimal, self.exponent, self.grouping, self.pattern].contains(&c)
    }

    fn split(&self, whole: &[char]) -> Part {
        let bounds = |c: &char| self.is_active(*c) && *c != self.exponent;
        let start = whole.iter().position(bounds).unwrap_or(0);
        let end = whole.iter().rposition(bounds).map_or(whole.len(), |at| at + 1).max(start);
        let active = whole[start..end].to_vec();
        // The reference counts this place from the beginning of the picture, but cuts the active part there.
        let exponent = whole[start..end].iter().position(|c| *c == self.exponent).map(|at| at + start);
        let (mantissa, exponent) = match exponent {
            Some(at) => {
                let behind = active.get(at + 1..).unwrap_or_default().to_vec();
                (active[..at.min(active.len())].to_vec(), Some(behind))
            }
            None => (active.clone(), None),
        };
        let suffix = whole[end..].to_vec();
        let (integer, fraction) = match mantissa.iter().position(|c| *c == self.decimal) {
            Some(at) => (mantissa[..at].to_vec(), mantissa[at + 1..].to_vec()),
            // Without a separator the reference takes the suffix for the fraction.
            None => (mantissa.clone(), suffix.clone()),
        };
        Part {
            whole: whole.to_vec(),
            prefix: whole[..start].to_vec(),
            suffix,
            active,
            mantissa,
            exponent,
            integer,
            fraction,
        }
    }

    /// All rules are looked at, and the last broken one is told.
    fn check(&self, part: &Part) -> Result<(), Stop> {
        let count = |c: char| part.whole.iter().filter(|own| **own == c).count();
        let place = part.whole.iter().position(|c| *c == self.decimal);
        let beside =
            |at: usize| [at.wrapping_sub(1), at + 1].into_iter().any(|at| part.whole.get(at) == Some(&self.grouping));
        let integer_optional = part.integer.iter().position(|c| *c == self.digit).unwrap_or(0);
        let fraction_optional = part.fraction.iter().rposition(|c| *c == self.digit).unwrap_or(part.fraction.len());
        let percents = count(self.percent) + count(self.per_mille);
        let exponent = part.exponent.as_deref();
        let rules = [
            ("D3081", count(self.decimal) > 1),
            ("D3082", count(self.percent) > 1),
            ("D3083", count(self.per_mille) > 1),
            ("D3084", count(self.percent) > 0 && count(self.per_mille) > 0),
            ("D3085", !part.mantissa.iter().any(|c| self.takes_digit(*c))),
            ("D3086", part.active.iter().any(|c| !self.is_active(*c))),
            ("D3087", place.is_some_and(beside)),
            ("D3088", place.is_none() && part.integer.last() == Some(&self.grouping)),
            ("D3089", part.whole.windows(2).any(|pair| pair == [self.grouping, self.grouping])),
            ("D3090", part.integer[..integer_optional].iter().any(|c| self.in_family(*c))),
            ("D3091", part.fraction[fraction_optional..].iter().any(|c| self.in_family(*c))),
            ("D3092", exponent.is_some_and(|exponent| !exponent.is_empty()) && percents > 0),
            ("D3093", exponent.is_some_and(|e| e.is_empty() || e.iter().any(|c| !self.in_family(*c)))),
        ];
        match rules.iter().rfind(|(_, broken)| *broken) {
            Some((code, _)) => Err(Fault::new(code).into()),
            None => Ok(()),
        }
    }

    fn analyse(&self, part: &Part) -> Format {
        let digits = |part: &[char]| part.iter().filter(|c| self.takes_digit(**c)).count();
        let family = |part: &[char]| part.iter().filter(|c| self.in_family(**c)).count();
        let groups = |part: &[char]| -> Vec<usize> {
            part.iter().enumerate().filter(|(_, c)| **c == self.grouping).map(|(at, _)| at).collect()
        };
        let integer_groups: Vec<usize> = groups(&part.integer).iter().map(|at| digits(&part.integer[*at..])).collect();
        let fraction_groups = groups(&part.fraction).iter().map(|at| digits(&part.fraction[..*at])).collect();
        let (mut integer_min, mut fraction_min) = (family(&part.integer), family(&part.fraction));
        let mut fraction_max = digits(&part.fraction);
        let scale = i32::try_from(integer_min).unwrap_or(i32::MAX);
        let exponent = part.exponent.as_deref();
        if integer_min == 0 && fraction_max == 0 {
            if exponent.is_some() {
                (fraction_min, fraction_max) = (1, 1);
            } else {
                integer_min = 1;
            }
        }
        if exponent.is_some() && integer_min == 0 && part.integer.contains(&self.digit) {
            integer_min = 1;
        }
        if integer_min == 0 && fraction_min == 0 {
            fraction_min = 1;
        }
        Format {
            regular: regular(&integer_groups),
            integer_groups,
            fraction_groups,
            integer_min,
            fraction_min,
            fraction_max,
            exponent_min: exponent.map_or(0, family),
            scale,
        }
    }

    /// The digits of a number in the picture's family.
    fn digits(&self, n: f64, places: usize) -> Vec<char> {
        let shown = if n.abs() >= 1e21 { number::text(n.abs()).to_owned() } else { format!("{:.places$}", n.abs()) };
        let own = |c: char| match c.to_digit(10) {
            Some(digit) => char::from_u32(u32::from(self.zero) + digit).unwrap_or(c),
            None => c,
        };
        shown.chars().map(own).collect()
    }

    fn write(&self, part: &Part, format: &Format, negative: bool, value: f64) -> Vec<char> {
        let scaled = if part.whole.contains(&self.percent) {
            value * 100.0
        } else if part.whole.contains(&self.per_mille) {
            value * 1000.0
        } else {
            value
        };
        let (mut mantissa, mut exponent) = (scaled, 0_i32);
        if format.exponent_min > 0 && scaled != 0.0 && scaled.is_finite() {
            let (most, least) = (10_f64.powi(format.scale), 10_f64.powi(format.scale - 1));
            while mantissa.abs() < least {
                mantissa *= 10.0;
                exponent -= 1;
            }
            while mantissa.abs() > most {
                mantissa /= 10.0;
                exponent += 1;
            }
        }
        let places = i32::try_from(format.fraction_max).unwrap_or(i32::MAX);
        let rounded = if mantissa.is_finite() { super::numbers::round_to(mantissa, places) } else { mantissa };
        let mut digits = self.digits(rounded, format.fraction_max);
        match digits.iter().position(|c| *c == '.') {
            Some(at) => digits[at] = self.decimal,
            None => digits.push(self.decimal),
        }
        let point = |digits: &[char]| digits.iter().position(|c| *c == self.decimal).unwrap_or(digits.len());
        let leading = digits.iter().take_while(|c| **c == self.zero).count();
        digits.drain(..leading);
        while digits.last() == Some(&self.zero) {
            digits.pop();
        }
        let left = format.integer_min.saturating_sub(point(&digits));
        digits.splice(0..0, std::iter::repeat_n(self.zero, left));
        let behind = digits.len().saturating_sub(point(&digits) + 1);
        digits.extend(std::iter::repeat_n(self.zero, format.fraction_min.saturating_sub(behind)));
        let mut at = point(&digits);
        if format.regular > 0 {
            while at > format.regular {
                at -= format.regular;
                digits.insert(at, self.grouping);
            }
        } else {
            for position in &format.integer_groups {
                // Beyond the first digit the reference counts from the end.
                let place = at.checked_sub(*position).unwrap_or_else(|| (at + digits.len()).saturating_sub(*position));
                digits.insert(place, self.grouping);
                at += 1;
            }
        }
        let at = point(&digits);
        for position in &format.fraction_groups {
            let place = position + at + 1;
            digits.insert(place.min(digits.len()), self.grouping);
        }
        if !part.whole.contains(&self.decimal) || point(&digits) + 1 == digits.len() {
            digits.pop();
        }
        if format.exponent_min > 0 {
            let shown = self.digits(f64::from(exponent), 0);
            digits.push(self.exponent);
            if exponent < 0 {
                digits.extend(self.minus.chars());
            }
            digits.extend(std::iter::repeat_n(self.zero, format.exponent_min.saturating_sub(shown.len())));
            digits.extend(shown);
        }
        let mut out = Vec::new();
        if negative {
            out.extend(self.minus.chars());
        }
        out.extend(part.prefix.iter().chain(&digits).chain(&part.suffix));
        out
    }
}

pub(super) fn format_number<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let Some(value) = numeric(args, 0)? else { return Ok(Val::Undefined) };
    let picture = text(machine, args, 1)?.unwrap_or_default();
    if picture.len() > PICTURE_MAX {
        return Err(Bound::Picture.into());
    }
    machine.step(4 * picture.len())?;
    let symbols = Symbols::read(arg(args, 2));
    let halves: Vec<Vec<char>> = picture.split(symbols.pattern).map(|half| half.chars().collect()).collect();
    if halves.len() > 2 {
        return Err(Fault::new("D3080").into());
    }
    let parts: Vec<Part> = halves.iter().map(|half| symbols.split(half)).collect();
    for part in &parts {
        symbols.check(part)?;
    }
    let negative = value < 0.0;
    let own = negative && parts.len() > 1;
    let part = &parts[usize::from(own)];
    let shown: String = symbols.write(part, &symbols.analyse(part), negative && !own, value).iter().collect();
    machine.step(shown.len())?;
    Ok(Val::Str(machine.heap.str(&shown)?))
}
