//! The rules of a frame of the broker that lapin can read. Pure; lengths stay as they are.

use std::ops::Range;

use crate::bus::Mended;
use crate::limits;

/// Kinds of the arguments of each method that a broker sends and that holds texts or tables: `s` short string, `S` long
/// string, `F` table, `b` octet, `h` 16 bits, `l` 32 bits, `L` 64 bits. Other methods pass as they are.
pub(super) fn method_kinds(class: u16, method: u16) -> Option<&'static [u8]> {
    Some(match (class, method) {
        // connection.start
        (10, 10) => b"bbFSS",
        // connection.secure, channel.open-ok
        (10, 20) | (20, 11) => b"S",
        // connection.open-ok, connection.blocked, basic.consume-ok, basic.cancel-ok, basic.get-empty
        (10, 41 | 60) | (60, 21 | 31 | 72) => b"s",
        // connection.close, channel.close
        (10, 50) | (20, 40) => b"hshh",
        // queue.declare-ok
        (50, 11) => b"sll",
        // basic.cancel
        (60, 30) => b"sb",
        // basic.return
        (60, 50) => b"hsss",
        // basic.deliver
        (60, 60) => b"sLbss",
        // basic.get-ok
        (60, 71) => b"Lbssl",
        _ => return None,
    })
}

/// Kinds of the fourteen properties of class basic, by their flags from bit 15 down to bit 2.
const PROPERTY_KINDS: &[u8; 14] = b"ssFbbssssLssss";

/// The flag of the property that is a table.
const HEADERS: u16 = 1 << 13;

/// Where a content header holds its headers table, length and all. `None`: it has none, or cannot be read so far.
pub(super) fn table_span(payload: &[u8]) -> Option<Range<usize>> {
    let flags = flags(payload)?;
    let mut at = 14;
    for bit in [15, 14] {
        if flags & (1 << bit) != 0 {
            at += 1 + usize::from(*payload.get(at)?);
        }
    }
    let len = usize::try_from(u32::from_be_bytes(payload.get(at..at + 4)?.try_into().ok()?)).ok()?;
    let end = at.checked_add(4)?.checked_add(len)?;
    (flags & HEADERS != 0 && end <= payload.len()).then_some(at..end)
}

fn flags(payload: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(payload.get(12..14)?.try_into().ok()?))
}

/// Takes the headers table out of a content header; the size afterwards.
pub(super) fn without_table(payload: &mut [u8]) -> Option<usize> {
    let span = table_span(payload)?;
    let kept = flags(payload)? & !HEADERS;
    payload[12..14].copy_from_slice(&kept.to_be_bytes());
    payload.copy_within(span.end.., span.start);
    Some(payload.len() - span.len())
}

/// Walks the payload of one frame and changes what lapin could not read.
pub(super) struct Walker<'a> {
    bytes: &'a mut [u8],
    at: usize,
    values: usize,
    mended: Mended,
}

impl<'a> Walker<'a> {
    pub(super) fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, at: 0, values: 0, mended: Mended::none() }
    }

    /// A content header: class, weight, body size, flags, properties. `None`: it cannot be read, even mended.
    pub(super) fn content_header(mut self) -> Option<Mended> {
        let end = self.bytes.len();
        self.skip(12, end)?;
        let at = self.at;
        self.skip(2, end)?;
        let flags = u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]]);
        for (bit, kind) in (2..16).rev().zip(*PROPERTY_KINDS) {
            if flags & (1 << bit) != 0 {
                self.field(kind, end)?;
            }
        }
        (self.at == end).then_some(self.mended)
    }

    /// A method's arguments behind its class and number. `None`: it cannot be read, even mended.
    pub(super) fn method(mut self, kinds: &[u8]) -> Option<Mended> {
        let end = self.bytes.len();
        self.skip(4, end)?;
        for kind in kinds {
            self.field(*kind, end)?;
        }
        (self.at == end).then_some(self.mended)
    }

    fn field(&mut self, kind: u8, end: usize) -> Option<()> {
        match kind {
            b's' => self.text(end),
            b'b' => self.skip(1, end),
            b'h' => self.skip(2, end),
            b'l' => self.skip(4, end),
            b'L' => self.skip(8, end),
            b'S' => self.long(end),
            _ => self.outer_table(end),
        }
    }

    fn skip(&mut self, n: usize, end: usize) -> Option<()> {
        (end.saturating_sub(self.at) >= n).then(|| self.at += n)
    }

    fn len(&mut self, end: usize) -> Option<usize> {
        let at = self.at;
        self.skip(4, end)?;
        let n = usize::try_from(u32::from_be_bytes(self.bytes[at..at + 4].try_into().ok()?)).ok()?;
        (end - self.at >= n).then_some(n)
    }

    fn long(&mut self, end: usize) -> Option<()> {
        let n = self.len(end)?;
        self.skip(n, end)
    }

    /// A short string: bytes that are not UTF-8 become question marks.
    fn text(&mut self, end: usize) -> Option<()> {
        let at = self.at;
        self.skip(1, end)?;
        let n = usize::from(self.bytes[at]);
        self.skip(n, end)?;
        let mut rest = &mut self.bytes[at + 1..at + 1 + n];
        if rest.is_ascii() {
            return Some(());
        }
        while let Err(bad) = std::str::from_utf8(rest) {
            let from = bad.valid_up_to();
            let to = bad.error_len().map_or(rest.len(), |n| from + n);
            rest[from..to].fill(b'?');
            rest = &mut rest[to..];
            self.mended = self.mended.and(Mended::TEXT);
        }
        Some(())
    }

    /// A table that is one by its place: it cannot become bytes, but it can hold one entry that is all bytes.
    fn outer_table(&mut self, end: usize) -> Option<()> {
        let n = self.len(end)?;
        let (from, to) = (self.at, self.at + n);
        self.values = 0;
        let before = self.mended;
        if self.entries(to, 0).is_some() {
            return Some(());
        }
        if !self.mended.has(Mended::MANY) || before.has(Mended::MANY) {
            self.mended = self.mended.and(Mended::MALFORMED);
        }
        let table = &mut self.bytes[from..to];
        match n {
            0 | 1 => return None,
            // a name and a void
            2..=5 => {
                table[0] = u8::try_from(n - 2).ok()?;
                table[1..n - 1].fill(b'?');
                table[n - 1] = b'V';
            }
            // an empty name and a byte array
            _ => {
                table[0] = 0;
                table[1] = b'x';
                table[2..6].copy_from_slice(&u32::try_from(n - 6).ok()?.to_be_bytes());
            }
        }
        self.at = to;
        Some(())
    }

    fn entries(&mut self, to: usize, depth: usize) -> Option<()> {
        while self.at < to {
            self.text(to)?;
            self.value(to, depth)?;
        }
        Some(())
    }

    fn items(&mut self, to: usize, depth: usize) -> Option<()> {
        while self.at < to {
            self.value(to, depth)?;
        }
        Some(())
    }

    /// A value with its type before it. `None`: the container around it cannot be read.
    fn value(&mut self, end: usize, depth: usize) -> Option<()> {
        self.values += 1;
        if self.values > limits::AMQP_VALUES_MAX {
            self.mended = self.mended.and(Mended::MANY);
            return None;
        }
        let at = self.at;
        self.skip(1, end)?;
        match self.bytes[at] {
            b'V' => Some(()),
            b't' | b'b' | b'B' => self.skip(1, end),
            b's' | b'U' | b'u' => self.skip(2, end),
            b'I' | b'i' | b'f' => self.skip(4, end),
            b'D' => self.skip(5, end),
            b'L' | b'l' | b'd' | b'T' => self.skip(8, end),
            b'S' | b'x' => self.long(end),
            kind @ (b'F' | b'A') => self.container(kind, at, end, depth),
            _ => None,
        }
    }

    /// A table or an array; as bytes, of the same length, where it is too deep or cannot be walked.
    fn container(&mut self, kind: u8, at: usize, end: usize, depth: usize) -> Option<()> {
        let n = self.len(end)?;
        let to = self.at + n;
        let walked = if depth >= limits::AMQP_DEPTH_MAX {
            self.mended = self.mended.and(Mended::DEEP);
            None
        } else {
            let before = self.mended;
            let walked = if kind == b'F' { self.entries(to, depth + 1) } else { self.items(to, depth + 1) };
            let too_many = self.mended.has(Mended::MANY) && !before.has(Mended::MANY);
            if walked.is_none() && !too_many {
                self.mended = self.mended.and(Mended::MALFORMED);
            }
            walked
        };
        if walked.is_none() {
            self.bytes[at] = b'x';
            self.at = to;
        }
        Some(())
    }
}
