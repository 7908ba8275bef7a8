//! Frames, one after the other: method and header frames are held back until they are whole and then walked; bodies and
//! heartbeats are counted through, not kept.

use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::sync::Arc;

use super::marks::{Arrival, Marks};
use super::walk::{Walker, method_kinds, table_span, without_table};
use crate::bus::Mended;
use crate::limits;

/// Read from the socket at once.
const BUFFER_BYTES: usize = 64 << 10;
/// A frame's type, channel and size; with the octet at its end 8 bytes around a payload.
const HEAD: usize = 7;
const AROUND: usize = HEAD + 1;
const FRAME_END: u8 = 0xCE;
/// A content header without a property: class, weight, body size, flags.
const BLANK_HEADER: usize = 14;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;

/// The least that AMQP lets both sides agree upon.
const FRAME_MIN: usize = 4_096;

const CONNECTION_TUNE: (u16, u16) = (10, 30);
const CHANNEL_OPEN_OK: (u16, u16) = (20, 11);
const BASIC_RETURN: (u16, u16) = (60, 50);
const BASIC_DELIVER: (u16, u16) = (60, 60);
const BASIC_GET_OK: (u16, u16) = (60, 71);

/// The filter over one connection's incoming bytes.
#[derive(Debug)]
pub struct Frames {
    /// `..start` was handed out, `start..ready` may be, `ready..end` waits for the rest of its frame.
    bytes: Vec<u8>,
    start: usize,
    ready: usize,
    end: usize,
    /// Bytes to come that pass as they are.
    pass: usize,
    /// Bytes of the frame that is being held back.
    need: usize,
    /// The delivery whose content header is awaited, by channel.
    awaited: Vec<Option<(u64, Arrival)>>,
    marks: Arc<Marks>,
    /// The largest frame on this connection: RabbitMQ keeps to it with bodies, not with content headers, which grow
    /// on the way (`x-death`, `x-delivery-count`) or come from a connection that agreed upon more.
    frame_max: usize,
    /// No delivery's properties are let through.
    blank: bool,
}

/// Headers that hold this end the connection as something would that the walk does not know.
#[cfg(test)]
pub(super) const TEST_FLAW: &[u8] = b"x-test-flaw";

/// The marks of a message, as far as it was seen.
fn print(before: u64, parts: &[&[u8]]) -> u64 {
    let mut hash = DefaultHasher::new();
    hash.write_u64(before);
    for part in parts {
        hash.write(part);
    }
    hash.finish()
}

fn broken(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the broker's bytes cannot be read: {text}"))
}

impl Frames {
    #[must_use]
    pub fn new(marks: Arc<Marks>) -> Self {
        Self {
            bytes: vec![0; BUFFER_BYTES],
            start: 0,
            ready: 0,
            end: 0,
            pass: 0,
            need: 0,
            awaited: Vec::new(),
            marks,
            frame_max: usize::MAX,
            blank: false,
        }
    }

    /// The size that we ask for; the broker may ask for less.
    #[must_use]
    pub fn with_frame_max(mut self, bytes: usize) -> Self {
        self.frame_max = bytes.max(FRAME_MIN);
        self
    }

    /// Properties of deliveries are left out unread.
    #[must_use]
    pub fn blanking(mut self, blank: bool) -> Self {
        self.blank = blank;
        self
    }

    /// Bytes that may go out now.
    pub(super) fn is_ready(&self) -> bool {
        self.start < self.ready
    }

    pub(super) fn hand_out(&mut self, out: &mut [u8]) -> usize {
        let n = out.len().min(self.ready - self.start);
        out[..n].copy_from_slice(&self.bytes[self.start..self.start + n]);
        self.start += n;
        if self.start == self.end {
            (self.start, self.ready, self.end) = (0, 0, 0);
        }
        n
    }

    /// So many of the next bytes pass as they are: the reader may take them around this buffer, where that is empty.
    pub(super) fn passing(&self) -> usize {
        if self.start == self.end { self.pass } else { 0 }
    }

    /// So many of them went around the buffer.
    pub(super) fn passed(&mut self, n: usize) {
        self.pass -= n;
    }

    /// Room for more; called only with nothing left to hand out.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.bytes.copy_within(self.ready..self.end, 0);
        self.end -= self.ready;
        (self.start, self.ready) = (0, 0);
        if self.need > self.bytes.len() {
            self.bytes.resize(self.need, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// `more` bytes were put into the room.
    pub(super) fn scan(&mut self, more: usize) -> io::Result<()> {
        self.end += more;
        self.need = 0;
        while self.ready < self.end {
            let have = self.end - self.ready;
            if self.pass > 0 {
                let n = have.min(self.pass);
                self.ready += n;
                self.pass -= n;
                continue;
            }
            let head = &self.bytes[self.ready..self.end];
            if head[0] == b'A' {
                // "AMQP" and a version: the broker speaks another one
                self.pass = 8;
                continue;
            }
            let [kind, c1, c2, s1, s2, s3, s4, ..] = *head else { return Ok(()) };
            let channel = u16::from_be_bytes([c1, c2]);
            let size = u32::from_be_bytes([s1, s2, s3, s4]) as usize;
            if matches!(kind, BODY | HEARTBEAT) {
                self.pass = size + AROUND;
                continue;
            }
            if !matches!(kind, METHOD | HEADER) {
                return Err(broken("no frame of AMQP 0-9-1 begins so"));
            }
            if size + AROUND > limits::AMQP_FRAME_BYTES_MAX {
                return Err(broken("a method or content header is too large (AMQP_FRAME_BYTES_MAX)"));
            }
            if have < size + AROUND {
                self.need = size + AROUND;
                return Ok(());
            }
            if head[HEAD + size] != FRAME_END {
                return Err(broken("a frame does not end where it says"));
            }
            let from = self.ready + HEAD;
            let size = if kind == METHOD {
                self.method(channel, from, size)?;
                size
            } else {
                self.header(channel, from, size)?
            };
            self.ready += size + AROUND;
        }
        Ok(())
    }

    fn method(&mut self, channel: u16, from: usize, size: usize) -> io::Result<()> {
        let payload = &mut self.bytes[from..from + size];
        let [c1, c2, m1, m2, ..] = *payload else { return Err(broken("a method without a number")) };
        let id = (u16::from_be_bytes([c1, c2]), u16::from_be_bytes([m1, m2]));
        if let (CONNECTION_TUNE, [.., f1, f2, f3, f4, _, _]) = (id, &*payload) {
            let asked = u32::from_be_bytes([*f1, *f2, *f3, *f4]) as usize;
            self.frame_max = if asked == 0 { self.frame_max } else { self.frame_max.min(asked.max(FRAME_MIN)) };
        }
        let Some(kinds) = method_kinds(id.0, id.1) else { return Ok(()) };
        let mended = Walker::new(payload).method(kinds).ok_or_else(|| broken("a method cannot be taken apart"))?;
        let (tag_at, names_at) = match id {
            BASIC_DELIVER => (5 + usize::from(payload[4]), 14 + usize::from(payload[4])),
            BASIC_GET_OK => (4, 13),
            // a returned message has no tag
            BASIC_RETURN => {
                self.awaits(channel, None);
                return Ok(());
            }
            CHANNEL_OPEN_OK => {
                self.marks.forget(channel);
                return Ok(());
            }
            _ => return Ok(()),
        };
        let tag = payload.get(tag_at..tag_at + 8).and_then(|tag| tag.try_into().ok()).map_or(0, u64::from_be_bytes);
        // exchange and routing key; what follows them in a get-ok is how many messages are left
        let names = payload.get(names_at..size - if id == BASIC_GET_OK { 4 } else { 0 }).unwrap_or_default();
        // consumer tag, exchange and routing key: the message itself is as it was
        let mended = if mended.is_none() { mended } else { Mended::KEY };
        let arrival = Arrival { print: print(0, &[names]), header_bytes: 0, body_bytes: 0, mended };
        self.marks.put(channel, tag, arrival);
        self.awaits(channel, Some((tag, arrival)));
        Ok(())
    }

    fn awaits(&mut self, channel: u16, delivery: Option<(u64, Arrival)>) {
        let index = usize::from(channel);
        if index >= self.awaited.len() {
            self.awaited.resize(index + 1, None);
        }
        self.awaited[index] = delivery;
    }

    /// The size of the header afterwards.
    fn header(&mut self, channel: u16, from: usize, size: usize) -> io::Result<usize> {
        let delivery = self.awaited.get_mut(usize::from(channel)).and_then(Option::take);
        let payload = &self.bytes[from..from + size];
        let delivery = delivery.map(|(tag, before)| {
            let body_bytes = payload.get(4..12).and_then(|n| n.try_into().ok()).map_or(0, u64::from_be_bytes);
            // the broker counts deliveries in the table
            let table = table_span(payload).unwrap_or(size..size);
            let said = [payload.get(4..12), payload.get(14..table.start), payload.get(table.end..)];
            let print = print(before.print, &said.map(Option::unwrap_or_default));
            let arrival = Arrival { print, header_bytes: size, body_bytes, ..before };
            self.marks.put(channel, tag, Arrival { mended: Mended::none(), ..arrival });
            (tag, arrival)
        });
        #[cfg(test)]
        if !self.blank && self.bytes[from..from + size].windows(TEST_FLAW.len()).any(|bytes| bytes == TEST_FLAW) {
            return Err(broken("a flaw that only tests have"));
        }
        let (mended, size) = self.mend(from, size, self.blank && delivery.is_some())?;
        if let Some((tag, arrival)) = delivery {
            let mended = mended.and(arrival.mended);
            if !mended.is_none() {
                self.marks.put(channel, tag, Arrival { mended, ..arrival });
            }
        }
        Ok(size)
    }

    /// Changes a content header until the library can read it. Returns the changes, and the new size.
    fn mend(&mut self, from: usize, size: usize, blank: bool) -> io::Result<(Mended, usize)> {
        if size < BLANK_HEADER {
            return Err(broken("a content header is too short"));
        }
        if blank {
            return Ok((Mended::DEADLY, self.without_properties(from, size)));
        }
        let (mut mended, mut size) = (Mended::none(), size);
        if size + AROUND > self.frame_max
            && let Some(left) = without_table(&mut self.bytes[from..from + size])
        {
            self.shorten(from, size, left);
            (mended, size) = (Mended::LARGE, left);
        }
        let walked = Walker::new(&mut self.bytes[from..from + size]).content_header();
        match walked.filter(|_| size + AROUND <= self.frame_max) {
            Some(also) => Ok((mended.and(also), size)),
            None => Ok((mended.and(Mended::BLANK), self.without_properties(from, size))),
        }
    }

    fn without_properties(&mut self, from: usize, size: usize) -> usize {
        self.bytes[from + 12..from + BLANK_HEADER].fill(0);
        self.shorten(from, size, BLANK_HEADER);
        BLANK_HEADER
    }

    /// A payload ends after `left` of its bytes. Its frame is whole, and nothing of it went out.
    fn shorten(&mut self, from: usize, size: usize, left: usize) {
        let tail = from + size;
        let said = u32::try_from(left).unwrap_or(u32::MAX);
        self.bytes[from - 4..from].copy_from_slice(&said.to_be_bytes());
        self.bytes.copy_within(tail..self.end, from + left);
        self.end -= size - left;
    }

    /// All that comes out when `input` comes in by pieces of `piece` bytes. For tests and fuzzing: whatever comes out
    /// must be readable by the library's own parser; an error stands for a connection that ends.
    ///
    /// # Errors
    /// `InvalidData` where the bytes are no frames.
    pub fn run(&mut self, input: &[u8], piece: usize) -> io::Result<Vec<u8>> {
        let (mut all, mut out) = (Vec::new(), [0; 1000]);
        for mut part in input.chunks(piece.max(1)) {
            while !part.is_empty() {
                let around = self.passing().min(part.len());
                if around > 0 {
                    all.extend_from_slice(&part[..around]);
                    self.passed(around);
                    part = &part[around..];
                    continue;
                }
                let room = self.room();
                let n = part.len().min(room.len());
                room[..n].copy_from_slice(&part[..n]);
                part = &part[n..];
                self.scan(n)?;
                while self.is_ready() {
                    let n = self.hand_out(&mut out);
                    all.extend_from_slice(&out[..n]);
                }
            }
        }
        Ok(all)
    }
}
