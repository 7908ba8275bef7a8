//! Numbers as JavaScript reads, rounds and writes them.

use std::fmt::{self, Write as _};

use serde_json::{Number, Value};

/// Below this a double holds each whole number, 2^53.
pub(super) const EXACT: f64 = 9_007_199_254_740_992.0;

/// A number as text: short enough for the stack.
#[derive(Debug, Default)]
pub(super) struct Text {
    bytes: [u8; 32],
    len: usize,
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

impl std::ops::Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl Text {
    /// The longest has 25 bytes.
    fn of(shown: fmt::Arguments<'_>) -> Self {
        let mut text = Self::default();
        text.write_fmt(shown).expect("numbers are short");
        text
    }

    /// Of a number written by `{:e}`: its digits without point, and the power of ten of the first one.
    fn digits(&self) -> (Self, i32) {
        let (mantissa, exponent) = self.split_once('e').unwrap_or((self, "0"));
        let (first, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        (Self::of(format_args!("{first}{rest}")), exponent.parse().unwrap_or(0))
    }
}

/// The shortest text that reads back as this number; `1e+21` and `1e-7` beyond the plain range.
pub(super) fn text(n: f64) -> Text {
    if n.fract() == 0.0 && n.abs() < EXACT {
        return Text::of(format_args!("{}", whole(n)));
    }
    let sign = if n < 0.0 { "-" } else { "" };
    if !n.is_finite() {
        return Text::of(format_args!("{sign}{}", if n.is_nan() { "NaN" } else { "Infinity" }));
    }
    let (digits, exponent) = Text::of(format_args!("{:e}", n.abs())).digits();
    let zeros = |count: i32| &"000000000000000000000"[..usize::try_from(count).unwrap_or(0).min(21)];
    let count = i32::try_from(digits.len()).unwrap_or(0);
    match exponent {
        0..21 if count <= exponent + 1 => Text::of(format_args!("{sign}{}{}", &*digits, zeros(exponent + 1 - count))),
        0..21 => {
            let (whole, fraction) = digits.split_at(usize::try_from(exponent + 1).unwrap_or(0));
            Text::of(format_args!("{sign}{whole}.{fraction}"))
        }
        -6..0 => Text::of(format_args!("{sign}0.{}{}", zeros(-exponent - 1), &*digits)),
        _ => {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            let plus = if exponent < 0 { "" } else { "+" };
            Text::of(format_args!("{sign}{first}{point}{rest}e{plus}{exponent}"))
        }
    }
}

/// Rounded to 15 significant digits, halves away from zero, as `$string` shows fractions. Whole numbers stay.
pub(super) fn rounded(n: f64) -> f64 {
    if !n.is_finite() || n.fract() == 0.0 {
        return n;
    }
    // A number that 15 digits name is that number. Mostly a few digits behind the point do: the quotient of two whole
    // numbers is the number nearest to it, as reading its text gives it.
    let millionths = (n * 1e6).round();
    if millionths.abs() < 1e15 && (millionths / 1e6).to_bits() == n.to_bits() {
        return n;
    }
    if Text::of(format_args!("{:e}", n.abs())).digits().0.len() <= 15 {
        return n;
    }
    let exact = format!("{:.40e}", n.abs());
    let (mantissa, exponent) = exact.split_once('e').unwrap_or((&exact, "0"));
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let mut kept: u64 = digits[..15].iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    if digits[15] >= b'5' {
        kept += 1;
    }
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let value: f64 = format!("{kept}e{}", exponent - 14).parse().unwrap_or(n.abs());
    if n < 0.0 { -value } else { value }
}

/// `n` with its decimal point moved, by way of its text: no error of a multiplication.
pub(super) fn shifted(n: f64, places: i32) -> f64 {
    let text = format!("{n:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent = exponent.parse::<i32>().unwrap_or(0).saturating_add(places);
    format!("{mantissa}e{exponent}").parse().unwrap_or(f64::NAN)
}

/// The texts that `$number` reads: numbers of JSON, leading zeros too, and `0x`, `0o`, `0b`.
pub(super) fn read(text: &str) -> Option<f64> {
    let radix = |digits: &str, radix: u32| {
        let valid = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        valid.then(|| {
            digits.chars().fold(0.0, |sum, c| sum * f64::from(radix) + f64::from(c.to_digit(radix).unwrap_or_default()))
        })
    };
    let bytes = text.as_bytes();
    if bytes.len() > 2 && bytes[0] == b'0' {
        match bytes[1] {
            b'x' | b'X' => return radix(&text[2..], 16),
            b'o' | b'O' => return radix(&text[2..], 8),
            b'b' | b'B' => return radix(&text[2..], 2),
            _ => {}
        }
    }
    let digits = |from: usize| bytes.get(from..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    at += match digits(at) {
        0 => return None,
        many => many,
    };
    if bytes.get(at) == Some(&b'.') {
        at += 1 + digits(at + 1).checked_sub(1).map(|less| less + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        at += 1 + sign + digits(at + 1 + sign).checked_sub(1).map(|less| less + 1)?;
    }
    if at != bytes.len() {
        return None;
    }
    text.parse().ok().filter(|n: &f64| n.is_finite())
}

/// A number as JSON holds it: whole ones without a fraction. `None` where it is not finite.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "the comparison keeps to the range of i64"
)]
pub(super) fn json(n: f64) -> Option<Value> {
    if n.fract() == 0.0 && n >= i64::MIN as f64 && n < i64::MAX as f64 {
        return Some(Value::from(n as i64));
    }
    Number::from_f64(n).map(Value::Number)
}

/// A whole number within the range in which doubles are exact to one.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and NaN gives 0")]
pub(super) fn whole(n: f64) -> i64 {
    n as i64
}

/// A count or position: negative ones and NaN are 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and NaN gives 0")]
pub(super) fn count(n: f64) -> usize {
    n as usize
}

#[expect(clippy::cast_precision_loss, reason = "parts of a date are far below 2^53")]
pub(super) fn signed(n: i64) -> f64 {
    n as f64
}

#[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^53")]
pub(super) fn double(n: usize) -> f64 {
    n as f64
}
