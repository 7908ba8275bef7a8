//! The decision of an execution about one input. No effect happens here.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::engine::execution::observer::TaskSnapshot;
use crate::engine::services::{Services, entropy};
use crate::engine::types::{DeliverError, Input};
use crate::ids::{TaskKey, Version};
use crate::interpreter::command::Command;
use crate::interpreter::event::Entry;
use crate::interpreter::stimulus::{Rejection, Stimulus, StimulusKind};
use crate::interpreter::{self, Bounds, Env, TokenMint, Undecided};

use super::actor::{ExecutionActor, InFlight};

/// The decision about a message, before it is durable.
pub(super) struct Prepared {
    pub at: Timestamp,
    pub entries: Vec<Entry>,
    pub commands: Vec<Command>,
    pub after: Version,
    /// The tasks that were open before.
    pub before: Vec<TaskSnapshot>,
    /// The message itself was refused, though something older is to be written.
    pub rejection: Option<Rejection>,
}

impl ExecutionActor {
    /// Decides about an input. No effect happens yet.
    pub(super) fn decide(&mut self, input: Input) -> Result<Prepared, DeliverError> {
        // The row and the first event tell one start date.
        let at = self.new_header.as_ref().map_or_else(|| self.services.clock.now(), |header| header.started);
        let mut prepared = Prepared {
            at,
            entries: Vec::new(),
            commands: Vec::new(),
            after: self.state.version(),
            rejection: None,
            before: self.state.tasks().map(TaskSnapshot::of).collect(),
        };
        // The broker's confirms are written first. A reply, or a worker that took the task, proves the confirm of that
        // task.
        let replied = match &input {
            Input::Reply { scheduled, .. }
            | Input::Stimulus(
                StimulusKind::TaskStarted { scheduled, .. } | StimulusKind::TaskOverflowed { scheduled },
            ) => Some(*scheduled),
            Input::Stimulus(_) | Input::ChildEnded { .. } | Input::WriteConfirms => None,
        };
        let settled: Vec<InFlight> =
            self.in_flight.extract_if(.., |f| f.confirmed || Some(f.scheduled) == replied).collect();
        for sent in settled {
            let kind = StimulusKind::Dispatched { scheduled: sent.scheduled, receipt: sent.receipt, completes: false };
            // A task that ended meanwhile needs no receipt.
            if let Err(e @ Undecided::Misfit(_)) = self.feed(&mut prepared, kind) {
                return Err(e.into());
            }
        }
        let kind = match input {
            Input::WriteConfirms => {
                self.deferred = None;
                return Ok(prepared);
            }
            Input::Stimulus(kind) => kind,
            Input::Reply { scheduled, completion, by, link, .. } => self.meaning(scheduled, completion, (by, link), at),
            Input::ChildEnded { scheduled, child } => self.child_result(scheduled, &child),
        };
        match self.feed(&mut prepared, kind) {
            Err(Undecided::Rejected(rejection)) if !prepared.entries.is_empty() => prepared.rejection = Some(rejection),
            fed => fed?,
        }
        Ok(prepared)
    }

    fn feed(&mut self, prepared: &mut Prepared, kind: StimulusKind) -> Result<(), Undecided> {
        let tokens = Mint { services: &self.services };
        let set = &self.services.options.bounds;
        let bounds = Bounds {
            held: set.execution_bytes_max,
            share: self.services.footprint.share(),
            journal: set.journal_bytes_max,
            journal_left: set.journal_bytes_max.saturating_sub(self.written),
        };
        let holds_timeouts = self.host.holds_timeouts();
        let env = Env { execution: self.id, realm: &self.services.realm, tokens: &tokens, bounds, holds_timeouts };
        let stimulus = Stimulus { at: prepared.at, entropy: entropy::entropy(), kind };
        let decision = interpreter::decide(env, &self.machine, self.state.get_mut(), stimulus)?;
        prepared.entries.extend(decision.entries);
        prepared.commands.extend(decision.commands);
        let held = decision.held + self.part_of_machine();
        self.services.footprint.count(&mut self.part, held);
        Ok(())
    }

    /// Its part of the compiled machine's memory, which the executions of that machine share. A third of the bytes is
    /// counted, as with data.
    pub(super) fn part_of_machine(&self) -> u64 {
        self.machine.bytes / 3 / Arc::strong_count(&self.machine) as u64
    }
}

struct Mint<'a> {
    services: &'a Services,
}

impl TokenMint for Mint<'_> {
    fn token(&self, key: TaskKey) -> String {
        self.services.token(&key)
    }
}
