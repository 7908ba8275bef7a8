//! Frames on their way to the broker. One kind is left out: frames of a channel that the broker has closed.
//!
//! lapin answers `channel.close` with `channel.close-ok` at once, ahead of the publishes that wait in its queue. They
//! follow on a channel that no longer is, and RabbitMQ answers with 504 (`expected 'channel.open'`) and ends the
//! connection with all its other channels. The publishes have failed already when they are written, and go again on
//! another channel.

use std::collections::BTreeSet;
use std::io::IoSlice;

/// A frame's type, channel and size.
const HEAD: usize = 7;
/// With class and method, where it is a method.
const METHOD_HEAD: usize = HEAD + 4;
const METHOD: u8 = 1;
/// `AMQP`, 0, and a version: what a client says first.
const PROTOCOL_HEADER: usize = 8;

const CHANNEL_OPEN: [u8; 4] = [0, 20, 0, 10];
const CHANNEL_CLOSE_OK: [u8; 4] = [0, 20, 0, 41];

/// The first of some bytes, up to where something else is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// So many go to the broker.
    Pass(usize),
    /// So many belong to a channel that is closed.
    Drop(usize),
}

/// The filter over one connection's outgoing bytes.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    place: Place,
    /// Channels that the broker closed and that were not opened again.
    closed: BTreeSet<u16>,
}

/// A place between two bytes of a connection.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The first `len` bytes of a head that is not whole yet.
    head: [u8; METHOD_HEAD],
    len: usize,
    /// Bytes of the frame behind its head.
    left: usize,
    /// The frame is left out.
    drops: bool,
}

impl Default for Place {
    fn default() -> Self {
        Self { head: [0; METHOD_HEAD], len: 0, left: PROTOCOL_HEADER, drops: false }
    }
}

/// A head after which other channels are closed than before.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Open(u16),
    CloseOk(u16),
}

impl Place {
    /// Goes on to the end of a head or of a frame, whichever is first. Returns how many bytes that took.
    fn step(&mut self, bytes: &[u8], closed: &BTreeSet<u16>) -> (usize, Option<Turn>) {
        if self.left > 0 {
            let taken = self.left.min(bytes.len());
            self.left -= taken;
            return (taken, None);
        }
        let kind = if self.len == 0 { bytes.first() } else { self.head.first() };
        let wanted = if kind == Some(&METHOD) { METHOD_HEAD } else { HEAD };
        let taken = (wanted - self.len).min(bytes.len());
        self.head[self.len..self.len + taken].copy_from_slice(&bytes[..taken]);
        self.len += taken;
        if self.len < wanted {
            return (taken, None);
        }
        let [_, c0, c1, s0, s1, s2, s3, method @ ..] = self.head;
        let channel = u16::from_be_bytes([c0, c1]);
        let turn = match method {
            CHANNEL_OPEN if wanted == METHOD_HEAD => Some(Turn::Open(channel)),
            CHANNEL_CLOSE_OK if wanted == METHOD_HEAD => Some(Turn::CloseOk(channel)),
            _ => None,
        };
        self.len = 0;
        // the rest of the payload, and the octet at the end
        self.left = (u32::from_be_bytes([s0, s1, s2, s3]) as usize + 1).saturating_sub(wanted - HEAD);
        self.drops = !matches!(turn, Some(Turn::Open(_))) && closed.contains(&channel);
        (taken, turn)
    }
}

impl Outgoing {
    /// The fate of the first bytes. They end with whole frames, as lapin writes them; the beginning of a head that
    /// stands at their end would pass.
    pub(super) fn run(&self, parts: &[IoSlice<'_>]) -> Run {
        let mut place = self.place;
        let (mut drops, mut len) = (None, 0);
        // bytes of a head that is not whole: its end tells of what run they are
        let mut head = 0;
        for part in parts {
            let mut bytes = &part[..];
            while !bytes.is_empty() {
                let (taken, turn) = place.step(bytes, &self.closed);
                bytes = &bytes[taken..];
                head += taken;
                if place.len > 0 {
                    continue;
                }
                if drops.is_some_and(|drops| drops != place.drops) {
                    return Run::of(drops, len);
                }
                drops = Some(place.drops);
                len += std::mem::take(&mut head);
                if turn.is_some() {
                    return Run::of(drops, len);
                }
            }
        }
        if len == 0 { Run::Pass(head) } else { Run::of(drops, len) }
    }

    /// So many bytes of `parts` were dealt with.
    pub(super) fn advance(&mut self, parts: &[IoSlice<'_>], mut count: usize) {
        for part in parts {
            let mut bytes = &part[..count.min(part.len())];
            count -= bytes.len();
            while !bytes.is_empty() {
                let (taken, turn) = self.place.step(bytes, &self.closed);
                bytes = &bytes[taken..];
                match turn {
                    Some(Turn::Open(channel)) => drop(self.closed.remove(&channel)),
                    Some(Turn::CloseOk(channel)) => drop(self.closed.insert(channel)),
                    None => {}
                }
            }
        }
    }
}

impl Run {
    fn of(drops: Option<bool>, len: usize) -> Self {
        if drops == Some(true) { Self::Drop(len) } else { Self::Pass(len) }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
        let size = u32::try_from(payload.len()).unwrap();
        [&[kind], &channel.to_be_bytes()[..], &size.to_be_bytes(), payload, &[0xCE]].concat()
    }

    /// Some frames, and what of them a broker should see: nothing of a channel between its `close-ok` and its next
    /// `open`.
    fn conversation(dice: &mut StdRng) -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut frames = vec![b"AMQP\x00\x00\x09\x01".to_vec()];
        let mut seen = frames[0].clone();
        let mut closed = BTreeSet::new();
        for _ in 0..dice.random_range(1..40) {
            let channel = dice.random_range(0..4_u16);
            let (bytes, passes) = match dice.random_range(0..6) {
                0 if channel > 0 => {
                    closed.remove(&channel);
                    (frame(METHOD, channel, &[&CHANNEL_OPEN[..], &[0]].concat()), true)
                }
                1 if channel > 0 => (frame(METHOD, channel, &CHANNEL_CLOSE_OK), closed.insert(channel)),
                2 => (frame(8, 0, &[]), true),
                3 => (frame(METHOD, channel, &[0, 60, 0, 40, 0, 0, 0]), !closed.contains(&channel)),
                kind => {
                    let payload: Vec<u8> = (0..dice.random_range(0..30)).map(|_| dice.random()).collect();
                    (frame(if kind == 4 { 2 } else { 3 }, channel, &payload), !closed.contains(&channel))
                }
            };
            if passes {
                seen.extend_from_slice(&bytes);
            }
            frames.push(bytes);
        }
        (frames, seen)
    }

    /// Frames are handed over whole, some at once and split in two as a ring buffer does; the socket takes any part.
    #[test]
    fn frames_of_a_closed_channel_are_left_out_and_no_others() {
        for seed in 0..2_000 {
            let mut dice = StdRng::seed_from_u64(seed);
            let (frames, wanted) = conversation(&mut dice);
            let mut outgoing = Outgoing::default();
            let mut written = Vec::new();
            let mut buffer: Vec<u8> = Vec::new();
            let mut frames = frames.into_iter();
            loop {
                let mut more = dice.random_range(0..4);
                while more > 0 || buffer.is_empty() {
                    let Some(frame) = frames.next() else { break };
                    buffer.extend(frame);
                    more -= 1_i32;
                }
                if buffer.is_empty() {
                    break;
                }
                let (one, two) = buffer.split_at(dice.random_range(0..=buffer.len()));
                let parts = [IoSlice::new(one), IoSlice::new(two)];
                let taken = match outgoing.run(&parts) {
                    Run::Drop(n) => n,
                    Run::Pass(n) => {
                        let n = dice.random_range(1..=n);
                        written.extend_from_slice(&buffer[..n]);
                        n
                    }
                };
                outgoing.advance(&parts, taken);
                buffer.drain(..taken);
            }
            assert_eq!(written, wanted, "seed {seed}");
        }
    }
}
