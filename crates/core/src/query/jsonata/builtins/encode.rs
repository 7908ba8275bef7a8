//! Base64 and URLs. Base64 is of the text in UTF-8.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::super::error::Fault;
use super::super::eval::{Machine, Outcome};
use super::super::value::Val;
use super::text;

/// Characters of a URL that have a meaning there.
pub(super) const RESERVED: &[u8] = b";/?:@&=+$,#";

pub(super) fn to_base64<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let Some(text) = text(machine, args, 0)? else { return Ok(Val::Undefined) };
    let mark = machine.heap.text_mark();
    // In pieces of whole groups, so that no copy lies outside of the heap.
    for piece in text.as_bytes().chunks(3 * 1024) {
        machine.heap.write(mark, &base64::engine::general_purpose::STANDARD.encode(piece))?;
    }
    machine.heap.take_text(mark)
}

/// As lenient as JavaScript's: other characters are passed over, the padding may be missing.
pub(super) fn from_base64<'e>(machine: &mut Machine<'e>, args: &[Val<'e>]) -> Outcome<'e> {
    let Some(text) = text(machine, args, 0)? else { return Ok(Val::Undefined) };
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&STANDARD, config);
    machine.heap.reserve(text.len() * 3)?;
    let digit = |byte: u8| match byte {
        b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => Some(byte),
        _ => None,
    };
    let mut digits: Vec<u8> = text.bytes().take_while(|byte| *byte != b'=').filter_map(digit).collect();
    if digits.len() % 4 == 1 {
        digits.pop();
    }
    let bytes = engine.decode(&digits).unwrap_or_default();
    let decoded = String::from_utf8_lossy(&bytes);
    let value = machine.heap.str(&decoded)?;
    machine.heap.release(text.len() * 3);
    Ok(Val::Str(value))
}

pub(super) fn encoded<'e>(machine: &mut Machine<'e>, args: &[Val<'e>], also_plain: &[u8]) -> Outcome<'e> {
    const HEX: &str = "0123456789ABCDEF";
    let Some(text) = text(machine, args, 0)? else { return Ok(Val::Undefined) };
    let mark = machine.heap.text_mark();
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.!~*'()".contains(b) || also_plain.contains(b);
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate().filter(|(_, byte)| !plain(byte)) {
        machine.heap.write(mark, text.get(from..at).unwrap_or_default())?;
        let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
        machine.heap.write(mark, "%")?;
        machine.heap.write(mark, &HEX[high..=high])?;
        machine.heap.write(mark, &HEX[low..=low])?;
        from = at + 1;
    }
    machine.heap.write(mark, text.get(from..).unwrap_or_default())?;
    machine.heap.take_text(mark)
}

pub(super) fn decoded<'e>(machine: &mut Machine<'e>, args: &[Val<'e>], keep: &[u8], name: &str) -> Outcome<'e> {
    let Some(text) = text(machine, args, 0)? else { return Ok(Val::Undefined) };
    let malformed = || Fault::new("D3140").token(name).text(text);
    let mark = machine.heap.text_mark();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        machine.step(1)?;
        machine.heap.write(mark, &rest[..at])?;
        rest = &rest[at..];
        let byte = |at: usize| rest.get(at + 1..at + 3).filter(|_| rest.as_bytes()[at] == b'%');
        let digits = |hex: &&str| hex.bytes().all(|b| b.is_ascii_hexdigit());
        let byte = |at: usize| byte(at).filter(digits).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let first = byte(0).ok_or_else(malformed)?;
        let length = match first {
            0..0x80 => 1,
            0xc2..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0..0xf5 => 4,
            _ => return Err(malformed().into()),
        };
        let mut bytes = [first, 0, 0, 0];
        for (position, place) in bytes.iter_mut().enumerate().take(length).skip(1) {
            let there = rest.len() > 3 * position;
            *place = if there { byte(3 * position) } else { None }.ok_or_else(malformed)?;
        }
        let shown = std::str::from_utf8(&bytes[..length]).map_err(|_| malformed())?;
        let whole = if length == 1 && keep.contains(&first) { &rest[..3] } else { shown };
        machine.heap.write(mark, whole)?;
        rest = &rest[3 * length..];
    }
    machine.heap.write(mark, rest)?;
    machine.heap.take_text(mark)
}
