//! Pictures of whole numbers: `#,##0`, `I`, `a`, `w`, `Ww;o`. Also the parts of dates are written by them.

use super::super::error::{Bound, Fault, Stop};
use super::super::eval::{Machine, Outcome};
use super::super::number;
use super::super::value::Val;
use super::{number as numeric, text};

/// Characters of a picture, and digits that one may ask for.
pub(super) const PICTURE_MAX: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Lower,
    Title,
}

#[derive(Debug, Clone)]
pub(super) enum Primary {
    Letters,
    Roman,
    Words,
    Decimal(Decimal),
    /// A sequence that begins with this: not one of ours.
    Sequence(String),
}

#[derive(Debug, Clone)]
pub(super) struct Decimal {
    /// The zero of the digits' family.
    pub zero: u32,
    pub mandatory: usize,
    pub optional: usize,
    /// The distance of separators, where it is the same between all of them.
    pub regular: usize,
    /// Digits to the right of each separator, from the right.
    pub separators: Vec<(usize, char)>,
    /// Exactly so many digits are read, since further digits follow.
    pub parse_width: Option<usize>,
}

#[derive(Debug, Clone)]
pub(super) struct Picture {
    pub primary: Primary,
    pub case: Case,
    pub ordinal: bool,
}

/// Zeros of the families of digits in the basic plane.
const ZEROS: [u32; 37] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
    0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620,
    0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
];

impl Picture {
    pub(super) fn read(text: &str) -> Result<Self, Stop> {
        if text.len() > PICTURE_MAX {
            return Err(Bound::Picture.into());
        }
        let (primary, modifier) = text.rsplit_once(';').unwrap_or((text, ""));
        let ordinal = modifier.starts_with('o');
        let case = match primary {
            "A" | "I" | "W" => Case::Upper,
            "Ww" => Case::Title,
            _ => Case::Lower,
        };
        let primary = match primary {
            "A" | "a" => Primary::Letters,
            "I" | "i" => Primary::Roman,
            "W" | "w" | "Ww" => Primary::Words,
            digits => Self::digits(digits)?,
        };
        Ok(Self { primary, case, ordinal })
    }

    fn digits(text: &str) -> Result<Primary, Stop> {
        let (mut zero, mut mandatory, mut optional) = (None, 0, 0);
        let mut separators = Vec::new();
        for c in text.chars().rev() {
            let code = u32::from(c);
            if let Some(family) = ZEROS.into_iter().find(|zero| (*zero..*zero + 10).contains(&code)) {
                mandatory += 1;
                if *zero.get_or_insert(family) != family {
                    return Err(Fault::new("D3131").into());
                }
            } else if c == '#' {
                optional += 1;
            } else {
                separators.push((mandatory + optional, c));
            }
        }
        let Some(zero) = zero else { return Ok(Primary::Sequence(text.to_owned())) };
        let regular = regular_distance(&separators);
        Ok(Primary::Decimal(Decimal { zero, mandatory, optional, regular, separators, parse_width: None }))
    }

    pub(super) fn decimal(&self) -> Option<&Decimal> {
        match &self.primary {
            Primary::Decimal(decimal) => Some(decimal),
            _ => None,
        }
    }

    pub(super) fn decimal_mut(&mut self) -> Option<&mut Decimal> {
        match &mut self.primary {
            Primary::Decimal(decimal) => Some(decimal),
            _ => None,
        }
    }

    /// Appends a number.
    pub(super) fn write(&self, n: f64, out: &mut String) -> Result<(), Stop> {
        let magnitude = n.abs();
        if n < 0.0 {
            out.push('-');
        }
        let from = out.len();
        match &self.primary {
            Primary::Letters => letters(magnitude, out),
            Primary::Roman => roman(magnitude, out)?,
            Primary::Words => words(magnitude, false, self.ordinal, out),
            Primary::Decimal(decimal) => return decimal.write(magnitude, self.ordinal, out),
            Primary::Sequence(token) => return Err(Fault::new("D3130").text(token).into()),
        }
        match self.case {
            Case::Upper => out[from..].make_ascii_uppercase(),
            Case::Lower => out[from..].make_ascii_lowercase(),
            Case::Title => {}
        }
        Ok(())
    }

    /// The number of a text; NaN for any other text.
    pub(super) fn parse(&self, text: &str) -> Result<f64, Stop> {
        Ok(match &self.primary {
            Primary::Letters => {
                let zero = if self.case == Case::Upper { 'A' } else { 'a' };
                let units: Vec<u16> = text.encode_utf16().collect();
                let value = |unit: u16| f64::from(unit) - f64::from(u32::from(zero)) + 1.0;
                // From the right, each by its power. Other characters count too, and the sum may be infinite or NaN.
                (0..).zip(units.iter().rev()).map(|(place, unit)| value(*unit) * 26_f64.powi(place)).sum()
            }
            Primary::Roman if self.case == Case::Upper => from_roman(text),
            Primary::Roman => from_roman(&text.to_uppercase()),
            Primary::Words => from_words(&text.to_lowercase()),
            Primary::Decimal(decimal) => decimal.parse(text, self.ordinal),
            Primary::Sequence(token) => return Err(Fault::new("D3130").text(token).into()),
        })
    }
}

/// The distance of separators that are all alike and stand at each multiple of it; else 0.
fn regular_distance(separators: &[(usize, char)]) -> usize {
    let places: Vec<usize> = separators.iter().map(|(place, _)| *place).collect();
    let alike = separators.windows(2).all(|pair| pair[0].1 == pair[1].1);
    if alike { regular(&places) } else { 0 }
}

/// The distance of places, where they are the multiples of it; else 0.
pub(super) fn regular(places: &[usize]) -> usize {
    fn common(a: usize, b: usize) -> usize {
        if b == 0 { a } else { common(b, a % b) }
    }
    let factor = places.iter().copied().reduce(common).unwrap_or(0);
    if (1..=places.len()).all(|n| places.contains(&(n * factor))) { factor } else { 0 }
}

impl Decimal {
    fn write(&self, magnitude: f64, ordinal: bool, out: &mut String) -> Result<(), Stop> {
        let plain = number::text(magnitude);
        if self.mandatory > PICTURE_MAX {
            return Err(Bound::Picture.into());
        }
        let zeros = std::iter::repeat_n('0', self.mandatory.saturating_sub(plain.len()));
        if self.separators.is_empty() && self.zero == ZEROS[0] && !ordinal {
            out.extend(zeros.chain(plain.chars()));
            return Ok(());
        }
        let digit = |c: char| char::from_u32((u32::from(c) + self.zero).saturating_sub(0x30)).unwrap_or(c);
        let mut chars: Vec<char> = zeros.chain(plain.chars()).map(digit).collect();
        if self.regular > 0 {
            let separator = self.separators.first().map_or(',', |(_, separator)| *separator);
            let mut at = chars.len();
            while at > self.regular {
                at -= self.regular;
                chars.insert(at, separator);
            }
        } else {
            for (position, separator) in self.separators.iter().rev() {
                if *position <= chars.len() {
                    chars.insert(chars.len() - position, *separator);
                } else {
                    // The reference cuts from the end where there are too few digits.
                    let rest = chars.len().saturating_sub(position - chars.len());
                    chars = std::iter::once(*separator).chain(chars[rest.min(chars.len())..].iter().copied()).collect();
                }
            }
        }
        out.extend(&chars);
        if ordinal {
            let teen = chars.len() > 1 && chars[chars.len() - 2] == '1';
            out.push_str(match chars.last() {
                Some('1') if !teen => "st",
                Some('2') if !teen => "nd",
                Some('3') if !teen => "rd",
                _ => "th",
            });
        }
        Ok(())
    }

    fn parse(&self, text: &str, ordinal: bool) -> f64 {
        let count = text.chars().count();
        let kept = if ordinal { count.saturating_sub(2) } else { count };
        let separator = |c: char| match self.regular {
            0 => self.separators.iter().any(|(_, separator)| *separator == c),
            _ => c == ',',
        };
        let digits: String = text
            .chars()
            .take(kept)
            .filter(|c| !separator(*c))
            .map(|c| match u32::from(c).checked_sub(self.zero).filter(|digit| *digit < 10) {
                Some(digit) => char::from_digit(digit, 10).unwrap_or(c),
                None => c,
            })
            .collect();
        leading_integer(&digits)
    }
}

/// The number that JavaScript's `parseInt` reads at the beginning of a text.
pub(super) fn leading_integer(text: &str) -> f64 {
    let text = text.trim_start();
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (text, radix) = hex.map_or((text, 10), |hex| (hex, 16));
    let digits = text.chars().take_while(|c| c.is_digit(radix)).count();
    if digits == 0 {
        return f64::NAN;
    }
    if radix == 10 {
        return sign * text[..digits].parse::<f64>().unwrap_or(f64::NAN);
    }
    sign * text[..digits].chars().fold(0.0, |sum, c| sum * 16.0 + f64::from(c.to_digit(16).unwrap_or(0)))
}

fn letters(mut n: f64, out: &mut String) {
    let mut letters = Vec::new();
    while n >= 1.0 && letters.len() < PICTURE_MAX {
        letters.push(char::from(b'a' + u8::try_from(number::whole((n - 1.0) % 26.0)).unwrap_or(0)));
        n = ((n - 1.0) / 26.0).floor();
    }
    out.extend(letters.iter().rev());
}

const ROMAN: [(u32, &str); 13] = [
    (1000, "m"),
    (900, "cm"),
    (500, "d"),
    (400, "cd"),
    (100, "c"),
    (90, "xc"),
    (50, "l"),
    (40, "xl"),
    (10, "x"),
    (9, "ix"),
    (5, "v"),
    (4, "iv"),
    (1, "i"),
];

fn roman(n: f64, out: &mut String) -> Result<(), Stop> {
    // A thousand for each letter.
    if n > 1e6 {
        return Err(Bound::Picture.into());
    }
    let mut rest = u32::try_from(number::whole(n)).unwrap_or(0);
    for (value, letters) in ROMAN {
        while rest >= value {
            out.push_str(letters);
            rest -= value;
        }
    }
    Ok(())
}

fn from_roman(text: &str) -> f64 {
    let mut largest = 1.0;
    text.chars().rev().fold(0.0, |sum, letter| {
        let known = ROMAN.iter().find(|(_, letters)| letters.chars().eq([letter.to_ascii_lowercase()]));
        let value = known.filter(|_| letter.is_ascii_uppercase()).map_or(f64::NAN, |(value, _)| f64::from(*value));
        if value < largest {
            sum - value
        } else {
            largest = value;
            sum + value
        }
    })
}

const FEW: &str = "Zero One Two Three Four Five Six Seven Eight Nine Ten Eleven Twelve Thirteen Fourteen Fifteen \
                   Sixteen Seventeen Eighteen Nineteen";
const ORDINALS: &str = "Zeroth First Second Third Fourth Fifth Sixth Seventh Eighth Ninth Tenth Eleventh Twelfth \
                        Thirteenth Fourteenth Fifteenth Sixteenth Seventeenth Eighteenth Nineteenth";
const TENS: [&str; 8] = ["Twenty", "Thirty", "Forty", "Fifty", "Sixty", "Seventy", "Eighty", "Ninety"];
const POWERS: [(f64, &str); 5] =
    [(1e12, "Trillion"), (1e9, "Billion"), (1e6, "Million"), (1e3, "Thousand"), (1e2, "Hundred")];

/// `follows`: other words stand before these.
fn words(n: f64, follows: bool, ordinal: bool, out: &mut String) {
    if !n.is_finite() {
        return out.push_str(&number::text(n));
    }
    if follows {
        out.push_str(if n < 100.0 { " and " } else { ", " });
    }
    let at = number::count(n);
    if let Some((power, name)) = POWERS.into_iter().find(|(power, _)| n >= *power) {
        let count = (n / power).floor();
        words(count, false, false, out);
        out.extend([" ", name]);
        let rest = n - count * power;
        if rest > 0.0 {
            words(rest, true, ordinal, out);
        } else if ordinal {
            out.push_str("th");
        }
    } else if n < 20.0 {
        out.push_str((if ordinal { ORDINALS } else { FEW }).split(' ').nth(at).unwrap_or_default());
    } else {
        let ten = TENS[at / 10 - 2];
        match at % 10 {
            0 if ordinal => out.extend([&ten[..ten.len() - 1], "ieth"]),
            0 => out.push_str(ten),
            _ => {
                out.extend([ten, "-"]);
                words(n % 10.0, false, ordinal, out);
            }
        }
    }
}

/// The value of a word, in lower case.
fn word_value(word: &str) -> Option<f64> {
    let place = |list: &'static str| list.split(' ').position(|name| name.eq_ignore_ascii_case(word));
    if let Some(at) = place(FEW).or_else(|| place(ORDINALS)) {
        return Some(number::double(at));
    }
    let stem = word.strip_suffix("ieth").map_or_else(|| word.to_owned(), |stem| [stem, "y"].concat());
    if let Some(at) = TENS.iter().position(|name| name.eq_ignore_ascii_case(&stem)) {
        return Some(number::double(10 * (at + 2)));
    }
    let stem = word.strip_suffix("th").unwrap_or(word);
    POWERS.iter().find(|(_, name)| name.eq_ignore_ascii_case(stem)).map(|(power, _)| *power)
}

fn from_words(text: &str) -> f64 {
    let text = text.replace(", ", " ").replace(" and ", " ");
    let mut parts = vec![0.0];
    for word in text.split([' ', '\t', '\n', '\r', '-', '\\']) {
        let value = word_value(word).unwrap_or(f64::NAN);
        let top = parts.pop().unwrap_or(0.0);
        if value < 100.0 && top >= 1000.0 {
            parts.extend([top, value]);
        } else {
            parts.push(if value < 100.0 { top + value } else { top * value });
        }
    }
    parts.iter().sum()
}

/// Lengths of the word or mark at the beginning of a text, as a picture of words takes them.
pub(super) fn word_lengths(text: &str) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    let mark = usize::from(bytes.first().is_some_and(|b| matches!(b, b'-' | b',' | b' ')));
    let longest = bytes.iter().take(20).take_while(|b| b.is_ascii_alphabetic()).count();
    let known = move |len: &usize| {
        let word = text[..*len].to_ascii_lowercase();
        word == "and" || word_value(&word).is_some()
    };
    (1..=longest).rev().filter(known).chain((mark == 1).then_some(1))
}

pub(super) fn format_integer<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let Some(n) = numeric(args, 0)? else { return Ok(Val::Undefined) };
    let picture = text(machine, args, 1)?.unwrap_or_default();
    machine.step(1 + picture.len())?;
    let mut shown = String::new();
    Picture::read(picture)?.write(n.floor(), &mut shown)?;
    machine.step(shown.len())?;
    Ok(Val::Str(machine.heap.str(&shown)?))
}

pub(super) fn parse_integer<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let Some(given) = text(machine, args, 0)? else { return Ok(Val::Undefined) };
    let picture = text(machine, args, 1)?.unwrap_or_default();
    if given.len() > 64 * PICTURE_MAX {
        return Err(Bound::Picture.into());
    }
    machine.step(1 + picture.len() + given.len())?;
    Ok(Val::Num(Picture::read(picture)?.parse(given)?))
}
