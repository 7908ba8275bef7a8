//! The memory of an execution, computed from its state so that it is the same on every machine.

use std::collections::HashSet;

use crate::payload::length::json_bytes;
use crate::payload::{LARGE, Payload};

use super::{Fork, ForkKind, Frame, Position, State, Step, Visit};

/// Bytes of a frame besides its payloads.
const FRAME_BYTES: usize = 512;
/// Bytes of an entry in a list of results.
const RESULT_BYTES: usize = 16;

#[derive(Default)]
struct Room {
    bytes: usize,
    /// Large payloads that are already counted: frames share them.
    seen: HashSet<usize>,
}

impl State {
    /// Bytes of JSON text that the execution holds.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let mut room = Room { bytes: self.variables_bytes, ..Room::default() };
        if let Some(started) = &self.started {
            room.payload(&started.input);
            if let Some(forked) = &started.forked {
                room.payload(&forked.input);
                // The values that the frame does not share with the first event.
                room.bytes += forked.variables.values().map(json_bytes).sum::<usize>();
            }
        }
        for (_, frame) in self.frames.iter() {
            room.frame(frame);
        }
        room.bytes as u64
    }
}

impl Room {
    fn payload(&mut self, payload: &Payload) {
        let bytes = payload.bytes();
        if bytes < LARGE || self.seen.insert(payload.address()) {
            self.bytes += bytes;
        }
    }

    fn frame(&mut self, frame: &Frame) {
        self.bytes += FRAME_BYTES;
        if let Some(item) = &frame.item {
            self.payload(&item.value);
        }
        match &frame.position {
            Position::At { input, .. } => self.payload(input),
            Position::Finished { output } => self.payload(output),
            Position::In(visit) => self.visit(visit),
        }
    }

    fn visit(&mut self, visit: &Visit) {
        self.payload(&visit.input);
        visit.kept.iter().for_each(|fork| self.fork(fork));
        match &visit.step {
            Step::Task(task) => self.payload(&task.details.parameters),
            Step::Succeeded(raw) => self.payload(raw),
            Step::Fork(fork) => self.fork(fork),
            Step::MapRun(run) => run.output.iter().for_each(|output| self.payload(output)),
            Step::Failed(failure) => self.bytes += failure.cause.as_ref().map_or(0, String::len),
            Step::Entered | Step::Waiting { .. } | Step::WaitOver | Step::Backoff { .. } => {}
        }
    }

    fn fork(&mut self, fork: &Fork) {
        self.bytes += fork.results_bytes + fork.items_bytes + RESULT_BYTES * fork.results.len();
        match &fork.kind {
            ForkKind::Parallel { input, .. } => self.payload(input),
            ForkKind::Map(map) => self.payload(&map.input),
        }
    }
}
