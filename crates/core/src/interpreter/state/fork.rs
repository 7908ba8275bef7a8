//! Forks: frames below a Parallel's or an inline Map's frame, and their results.

use std::sync::Arc;

use crate::ids::{BlockId, EventId};
use crate::interpreter::event::{FrameId, MapItem, Payload, Variables};

use super::{Fork, ForkKind, Frame, Position, State, Step, Visit};

impl State {
    pub(super) fn is_parallel(&self, frame: FrameId) -> bool {
        matches!(self.visit(frame).map(|v| &v.step), Some(Step::Fork(f)) if matches!(f.kind, ForkKind::Parallel { .. }))
    }

    pub(super) fn fork(&mut self, frame: FrameId, kind: ForkKind, n: usize, items_bytes: usize, tail: EventId) {
        let results = vec![None; n];
        let fork = Fork { kind, results, results_bytes: 0, items_bytes, running: 0, done: 0, next: 0, tail };
        self.step(frame, Step::Fork(Box::new(fork)));
    }

    pub(super) fn iteration(&self, frame: FrameId, index: u64) -> Option<(BlockId, Arc<MapItem>)> {
        match &self.visit(frame)?.step {
            Step::Fork(fork) => match &fork.kind {
                ForkKind::Map(map) => {
                    let item = map.items.get(usize::try_from(index).ok()?)?;
                    Some((map.block, Arc::new(item.clone())))
                }
                ForkKind::Parallel { .. } => None,
            },
            _ => None,
        }
    }

    pub(super) fn start_child(
        &mut self,
        parent: FrameId,
        block: BlockId,
        index: usize,
        input: Payload,
        item: Option<Arc<MapItem>>,
        after: EventId,
    ) {
        let id = FrameId(self.next_frame);
        self.next_frame += 1;
        if let Some(Visit { step: Step::Fork(fork), .. }) = self.visit_mut(parent) {
            fork.running += 1;
            fork.next = index + 1;
        }
        self.frames.insert(
            id,
            Frame {
                parent: Some(parent),
                index: u32::try_from(index).unwrap_or(u32::MAX),
                block,
                last_event: after,
                variables: Variables::new(),
                item,
                position: Position::At { next: None, input },
            },
        );
        self.mark(id);
    }

    /// A branch or iteration has ended well: its result goes to the fork, its frame goes away.
    pub(super) fn join(&mut self, child: FrameId, succeeded: Option<EventId>) {
        let Some(frame) = self.frames.remove(&child) else { return };
        self.ready.remove(&child);
        self.forget(&frame);
        let (Some(parent), Position::Finished { output }) = (frame.parent, frame.position) else { return };
        if let Some(Visit { step: Step::Fork(fork), .. }) = self.visit_mut(parent) {
            if let Some(slot) = fork.results.get_mut(frame.index as usize) {
                fork.results_bytes += output.bytes();
                // The result is not read before all have ended.
                *slot = Some(output.compact());
            }
            fork.running = fork.running.saturating_sub(1);
            fork.done += 1;
            fork.tail = succeeded.unwrap_or(frame.last_event);
        }
        self.chain(parent, frame.last_event);
        self.mark(parent);
    }
}

impl Fork {
    /// The results, in branch or item order.
    pub(super) fn gathered(&self) -> Payload {
        let result = |r: &Option<Payload>| r.as_ref().map_or(serde_json::Value::Null, |v| (**v).clone());
        Payload::new(serde_json::Value::Array(self.results.iter().map(result).collect()))
    }
}
