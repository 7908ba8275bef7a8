//! One execution, awake: an actor that takes one stimulus at a time.
//!
//! ```text
//! Hear ─► decide ─► append (the mailbox stands still) ─► perform ─► answer
//!             │     └─ an express execution has no journal: it goes on at once (`express.rs`)
//!             └─ state is already folded; a failed append throws the actor away, the next message loads it from the journal
//! ```

use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use actix::prelude::*;

use crate::asl::model::Machine;
use crate::clock::Timestamp;
use crate::engine::execution::express::Stay;
use crate::engine::execution::message::{Ear, Hear};
use crate::engine::execution::observer::{Note, Story};
use crate::engine::execution::state_cell::Held;
use crate::engine::journal::heartbeat_batch::{self, Tail};
use crate::engine::journal::load::Loaded;
use crate::engine::journal::summary::summary;
use crate::engine::partition::Local;
use crate::engine::partition::registry::Incarnation;
use crate::engine::services::Shared;
use crate::engine::services::footprint::Part;
use crate::engine::services::logging::Logging;
use crate::engine::types::{Completion, TellError, Told, What};
use crate::ids::{Arn, EventId, ExecutionId, TaskKey, Version};
use crate::integrations;
use crate::interpreter::command::Command;
use crate::interpreter::event::{Entry, Event, Payload};
use crate::interpreter::state::{Phase, State};
use crate::interpreter::stimulus::{Rejection, Stimulus, StimulusKind};
use crate::interpreter::{self, Bounds, Env, TokenMint};
use crate::store::{Append, ExecutionHeader, ExecutionRow, StoreError};

/// A task message whose fate is not in the journal yet.
#[derive(Debug)]
pub(in crate::engine) struct InFlight {
    pub scheduled: EventId,
    /// What the history will show of the submission.
    pub receipt: Payload,
    /// The broker's word is there; it is written with the next append, or after the linger.
    pub confirmed: bool,
}

pub(in crate::engine) struct ExecutionActor {
    pub shared: Arc<Shared>,
    pub local: Rc<Local>,
    pub id: ExecutionId,
    incarnation: Incarnation,
    pub machine: Arc<Machine>,
    /// What its machine's `loggingConfiguration` asks for.
    pub logging: Logging,
    pub state: Held,
    /// Until it exists in the store: what it is made of.
    birth: Option<Box<ExecutionHeader>>,
    /// An express execution: nothing is written, it lives here.
    express: Option<Box<Stay>>,
    pub in_flight: Vec<InFlight>,
    /// What this actor has begun and must hear the end of (dispatches, words to itself): until then it must not leave
    /// memory, or a second one would be revived beside it and do the same once more.
    pub unheard: u32,
    /// An append is under way: the state is ahead of the journal, and nothing else may be decided.
    appending: bool,
    /// Loaded from the journal: what is owed is performed when the actor starts. `Some(false)`: the bus forgot its
    /// queues.
    owed: Option<bool>,
    /// How far it was when the partition was asked to look at it again in a while.
    lingering: Option<Version>,
    /// The newest batch of its journal, where heartbeats may take its place.
    tail: Option<Tail>,
    /// Bytes of its journal.
    written: u64,
    /// What it holds.
    part: Part,
    /// It has more to do, and waits for its turn.
    waits_for_turn: bool,
}

impl ExecutionActor {
    /// An execution that begins.
    pub fn new(
        shared: Arc<Shared>,
        local: Rc<Local>,
        incarnation: Incarnation,
        header: ExecutionHeader,
        machine: Arc<Machine>,
    ) -> Self {
        let logging = shared.definitions.logging(header.revision);
        let mut actor = Self::with(shared, local, (header.id, incarnation), machine, logging, State::default());
        actor.birth = Some(Box::new(header));
        actor
    }

    /// An express execution that begins.
    pub fn express(
        shared: Arc<Shared>,
        local: Rc<Local>,
        incarnation: Incarnation,
        header: ExecutionHeader,
        machine: Arc<Machine>,
    ) -> Result<Self, TellError> {
        let id = header.id;
        let logging = shared.definitions.logging(header.revision);
        let stay = Stay::new(Arc::clone(&shared), Rc::clone(&local), header)?;
        let mut actor = Self::with(shared, local, (id, incarnation), machine, logging, State::default());
        actor.express = Some(Box::new(stay));
        Ok(actor)
    }

    /// One that comes back from its journal.
    pub fn revived(
        local: Rc<Local>,
        incarnation: Incarnation,
        row: &ExecutionRow,
        machine: Arc<Machine>,
        Loaded { state, tail, written, held }: Loaded,
        bus_kept: bool,
    ) -> Self {
        let (shared, id) = (Arc::clone(&local.shared), row.header.id);
        let logging = shared.definitions.logging(row.header.revision);
        let mut actor = Self::with(shared, local, (id, incarnation), machine, logging, state);
        (actor.owed, actor.tail, actor.written) = (Some(bus_kept), tail, written);
        actor.shared.footprint.count(&mut actor.part, held);
        actor
    }

    fn with(
        shared: Arc<Shared>,
        local: Rc<Local>,
        (id, incarnation): (ExecutionId, Incarnation),
        machine: Arc<Machine>,
        logging: Logging,
        state: State,
    ) -> Self {
        Self {
            shared,
            local,
            id,
            incarnation,
            machine,
            logging,
            state: Held::new(state),
            birth: None,
            express: None,
            in_flight: Vec::new(),
            unheard: 0,
            appending: false,
            owed: None,
            lingering: None,
            tail: None,
            written: 0,
            part: Part::default(),
            waits_for_turn: false,
        }
    }

    /// What the stimulus means, decided and encoded. Nothing is done yet.
    fn decide(&mut self, what: What) -> Result<Prepared, TellError> {
        // The row and the first event tell one start date.
        let at = self.birth.as_ref().map_or_else(|| self.shared.clock.now(), |header| header.started);
        let mut prepared = Prepared {
            at,
            entries: Vec::new(),
            commands: Vec::new(),
            after: self.state.version(),
            rejection: None,
            notes: self.state.tasks().map(Note::of).collect(),
        };
        // What the broker confirmed meanwhile is written first; a reply, or a worker that took the task, proves it for
        // that task.
        let replied = match &what {
            What::Reply { scheduled, .. }
            | What::Stimulus(
                StimulusKind::TaskStarted { scheduled, .. } | StimulusKind::TaskOverflowed { scheduled },
            ) => Some(*scheduled),
            What::Stimulus(_) | What::Flush => None,
        };
        let settled: Vec<InFlight> =
            self.in_flight.extract_if(.., |f| f.confirmed || Some(f.scheduled) == replied).collect();
        for sent in settled {
            let kind = StimulusKind::Dispatched { scheduled: sent.scheduled, receipt: sent.receipt, completes: false };
            // A task that ended meanwhile needs no receipt.
            let _ = self.feed(&mut prepared, kind);
        }
        let kind = match what {
            What::Flush => {
                self.lingering = None;
                return Ok(prepared);
            }
            What::Stimulus(kind) => kind,
            What::Reply { scheduled, completion, .. } => self.meaning(scheduled, completion, at),
        };
        if let Err(rejection) = self.feed(&mut prepared, kind) {
            if prepared.entries.is_empty() {
                return Err(rejection.into());
            }
            prepared.rejection = Some(rejection);
        }
        Ok(prepared)
    }

    fn feed(&mut self, prepared: &mut Prepared, kind: StimulusKind) -> Result<(), Rejection> {
        let tokens = Mint { shared: &self.shared };
        let options = &self.shared.options;
        let bounds = Bounds {
            held: options.execution_bytes_max,
            share: self.shared.footprint.share(),
            journal: options.journal_bytes_max,
            journal_left: options.journal_bytes_max.saturating_sub(self.written),
        };
        let holds_timeouts = self.local.backlog.is_held();
        let env = Env { execution: self.id, realm: &self.shared.realm, tokens: &tokens, bounds, holds_timeouts };
        let stimulus = Stimulus { at: prepared.at, entropy: crate::engine::services::entropy::entropy(), kind };
        let decision = interpreter::decide(env, &self.machine, self.state.get_mut(), stimulus)?;
        prepared.entries.extend(decision.entries);
        prepared.commands.extend(decision.commands);
        self.shared.footprint.count(&mut self.part, decision.held);
        Ok(())
    }

    /// A worker's word, in the shape of the task's service.
    fn meaning(&self, scheduled: EventId, completion: Completion, at: Timestamp) -> StimulusKind {
        let resource =
            self.state.task(scheduled).ok().and_then(|t| self.local.resources.parse(&t.task.details.resource));
        match completion {
            Completion::Heartbeat => StimulusKind::TaskHeartbeat { scheduled },
            Completion::Success(output) => {
                let output = match resource {
                    Some(resource) => integrations::result(&resource, output, at, uuid::Uuid::new_v4()),
                    None => output,
                };
                StimulusKind::TaskSucceeded { scheduled, output }
            }
            Completion::Unreadable { why } => {
                let failure = integrations::unreadable(resource.as_deref(), why);
                StimulusKind::TaskUnreadable { scheduled, failure }
            }
            Completion::Failure(failure) => {
                let failure = match resource {
                    Some(resource) => integrations::failure(&resource, failure),
                    None => failure,
                };
                StimulusKind::TaskFailed { scheduled, failure }
            }
        }
    }

    /// Its own, from its first event: nothing is told of an execution that has not begun. Not kept beside the state,
    /// which sleeps packed.
    pub(in crate::engine) fn arn(&self) -> &Arn {
        static NONE: LazyLock<Arn> = LazyLock::new(|| Arn::new(""));
        self.state.started().map_or(&NONE, |started| &started.arn)
    }

    /// For log lines about this execution.
    pub(in crate::engine) fn story<'a>(&'a self, notes: &'a [Note], face: &'static str) -> Story<'a> {
        Story {
            shared: &self.shared,
            arn: self.arn(),
            id: self.id,
            state: &self.state,
            notes,
            face,
            logging: self.logging,
        }
    }

    fn append(&mut self, prepared: &Prepared) -> Result<Append, TellError> {
        let (batch, replaces) = heartbeat_batch::batch(&mut self.tail, prepared.after, &prepared.entries)?;
        // What takes the place of heartbeats is heartbeats: no more than was there.
        self.written += if replaces == 0 { batch.bytes.len() as u64 } else { 0 };
        let summary = summary(&self.machine, &self.state, self.shared.bus.is_durable());
        Ok(Append { execution: self.id, batch, replaces, summary })
    }

    /// Does what was decided, now that it is durable.
    fn perform(&mut self, commands: Vec<Command>, ctx: &mut Context<Self>) {
        for command in commands {
            match command {
                Command::Dispatch { scheduled } => self.dispatch(scheduled, ctx),
                Command::Cancel { scheduled, reason } => {
                    self.in_flight.retain(|f| f.scheduled != scheduled);
                    crate::engine::execution::dispatch::cancelled(
                        &self.shared,
                        self.arn(),
                        TaskKey { execution: self.id, scheduled },
                        reason,
                    );
                    self.shared.metrics.task_cancelled(reason.as_str());
                }
                Command::Continue => self.go_on_in_turn(ctx),
                Command::StartMapRun { started } => {
                    if let Some(view) = self.state.map_run(started) {
                        self.local.start_map_run(self.id, started, view.run.arn.clone());
                    }
                }
                Command::StopMapRun { started } => {
                    if let Some((_, run)) = self.state.stopping().find(|(id, _)| *id == started) {
                        self.local.stop_map_run(self.id, started, run.clone());
                    }
                }
                Command::StopChild { scheduled } => {
                    let left = self
                        .state
                        .left_children()
                        .find(|(id, _)| *id == scheduled)
                        .map(|(_, details)| Arc::clone(details));
                    if let Some((details, started)) = left.zip(self.state.started().cloned()) {
                        self.shared.stop_child_and_tell(TaskKey { execution: self.id, scheduled }, started, details);
                    }
                }
                Command::Finish => {
                    self.local.forget(self.id, self.incarnation);
                    if let Phase::Closed(outcome) = self.state.phase() {
                        match self.express.take() {
                            Some(stay) => stay.close(self.state.version(), outcome),
                            None => self.shared.open.ended(),
                        }
                        self.local.finished(self.id, &self.state, outcome);
                    }
                    ctx.stop();
                }
            }
        }
        if self.state.is_running() {
            self.local.arm(self.id, interpreter::due(&self.machine, &self.state));
            self.linger();
        }
    }

    /// The rest of a long decision follows when it is its turn.
    fn go_on_in_turn(&mut self, ctx: &mut Context<Self>) {
        if self.waits_for_turn {
            return;
        }
        self.waits_for_turn = true;
        self.unheard += 1;
        ctx.spawn(self.local.turns().next().into_actor(self).map(|turn, actor, ctx| {
            actor.waits_for_turn = false;
            actor.unheard -= 1;
            actor.say(ctx, StimulusKind::Continue);
            turn.ends();
        }));
    }

    /// Has the partition look at it again in a while: then what the broker confirmed is written, or, where nothing
    /// happened, it rests.
    pub(in crate::engine) fn linger(&mut self) {
        if self.lingering.is_none() && self.express.is_none() {
            self.lingering = Some(self.state.version());
            self.local.linger(self.id);
        }
    }

    /// A while has gone, and there is nothing to write.
    fn look_again(&mut self) {
        let since = self.lingering.take();
        if self.state.is_asleep() {
            return;
        }
        if since != Some(self.state.version()) {
            self.linger();
        } else if self.is_idle() {
            self.in_flight = Vec::new();
            if let Some(packed) = self.local.rest(&mut self.state) {
                self.shared.footprint.count(&mut self.part, packed);
            }
        }
        // Else it hears of something soon, and lingers then.
    }

    /// Nothing is under way that this actor must hear the end of.
    fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
            && self.unheard == 0
            && !self.appending
            && self.birth.is_none()
            && self.express.is_none()
    }
}

/// What a message led to, before it is durable.
struct Prepared {
    at: Timestamp,
    entries: Vec<Entry>,
    commands: Vec<Command>,
    after: Version,
    /// The tasks that were open before.
    notes: Vec<Note>,
    /// The message itself was refused, though something older is to be written.
    rejection: Option<Rejection>,
}

struct Mint<'a> {
    shared: &'a Shared,
}

impl TokenMint for Mint<'_> {
    fn token(&self, key: TaskKey) -> String {
        self.shared.token(&key)
    }
}

impl Actor for ExecutionActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(crate::limits::EXECUTION_MAILBOX);
        if let Some(bus_kept) = self.owed.take() {
            let owed = interpreter::owed(&self.state, bus_kept);
            self.perform(owed, ctx);
        }
    }
}

impl ExecutionActor {
    /// Takes a message in. While what it led to is not durable the mailbox stands still.
    fn take(&mut self, what: What, ear: Ear, ctx: &mut Context<Self>) {
        let face = what.face();
        if matches!(what, What::Flush) && !self.in_flight.iter().any(|f| f.confirmed) {
            self.look_again();
            let at = self.shared.clock.now();
            return self.answer(ear, Ok(Told { at }));
        }
        let slept = self.state.is_asleep();
        if let Err(e) = self.state.wake() {
            tracing::error!(execution.id = %self.id, error = %e, "an execution is read from its journal again");
            self.local.forget(self.id, self.incarnation);
            self.local.revive_later(self.id);
            ctx.stop();
            return self.answer(ear, Err(TellError::Internal(e.to_string())));
        }
        if slept {
            // It rests again also where this message is refused and nothing is written.
            self.linger();
        }
        let prepared = match self.decide(what) {
            Ok(prepared) => prepared,
            Err(e) => return self.answer(ear, Err(e)),
        };
        if prepared.entries.is_empty() {
            self.perform(prepared.commands, ctx);
            return self.answer(ear, told(prepared.at, prepared.rejection));
        }
        // An express execution has no journal: what is decided is done at once.
        let append = if self.express.is_some() {
            None
        } else {
            match self.append(&prepared) {
                Ok(append) => Some(append),
                Err(e) => {
                    self.local.forget(self.id, self.incarnation);
                    ctx.stop();
                    return self.answer(ear, Err(e));
                }
            }
        };
        self.appending = true;
        let shared = Arc::clone(&self.shared);
        let birth = self.birth.take();
        let born = birth.is_some();
        let durable = async move {
            match (append, birth) {
                // Nothing is waited for: the thread is given to others now and then.
                (None, _) => {
                    tokio::task::consume_budget().await;
                    Ok(())
                }
                (Some(append), birth) => shared.write(birth, append).await,
            }
        };
        ctx.wait(durable.into_actor(self).map(move |result, actor, ctx| {
            let result = match result {
                Ok(()) => {
                    actor.appending = false;
                    if born || prepared.entries.iter().any(|e| matches!(e.event, Event::ExecutionRedriven { .. })) {
                        actor.shared.open.began();
                    }
                    actor.story(&prepared.notes, face).tell(&prepared.entries);
                    actor.perform(prepared.commands, ctx);
                    told(prepared.at, prepared.rejection)
                }
                Err(e) => {
                    // The state is ahead of its journal: it must not be used again.
                    actor.local.forget(actor.id, actor.incarnation);
                    // One that could not be made may have been made all the same: the store does not always know.
                    if !born || matches!(e, StoreError::Unavailable(_)) {
                        actor.local.revive_later(actor.id);
                    }
                    ctx.stop();
                    Err(e.into())
                }
            };
            actor.answer(ear, result);
        }));
    }

    fn answer(&self, ear: Ear, result: Result<Told, TellError>) {
        ear.hear(&self.local, self.id, self.incarnation, result);
    }
}

fn told(at: Timestamp, rejection: Option<Rejection>) -> Result<Told, TellError> {
    rejection.map_or(Ok(Told { at }), |rejection| Err(rejection.into()))
}

impl Handler<Hear> for ExecutionActor {
    type Result = ();

    fn handle(&mut self, Hear { what, ear }: Hear, ctx: &mut Self::Context) {
        self.take(what, ear, ctx);
    }
}

/// A word of the actor to itself.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(in crate::engine) struct Own(What);

impl ExecutionActor {
    pub(in crate::engine) fn tell_self(&mut self, ctx: &mut Context<Self>, what: What) {
        self.unheard += 1;
        ctx.notify(Own(what));
    }

    pub(in crate::engine) fn say(&mut self, ctx: &mut Context<Self>, kind: StimulusKind) {
        self.tell_self(ctx, What::Stimulus(kind));
    }
}

impl Handler<Own> for ExecutionActor {
    type Result = ();

    fn handle(&mut self, Own(what): Own, ctx: &mut Self::Context) {
        // actix looks at one word of the actor's own after a message of the mailbox has made it wait
        // (`ContextFut::poll` merges the wait only then): the word is said again, and heard when the append is done.
        if self.appending {
            ctx.notify(Own(what));
            return;
        }
        self.unheard -= 1;
        self.take(what, Ear::Nobody, ctx);
    }
}

impl Handler<MayLeave> for ExecutionActor {
    type Result = bool;

    fn handle(&mut self, MayLeave { heavy_only }: MayLeave, _: &mut Self::Context) -> bool {
        self.is_idle() && (!heavy_only || self.part.is_heavy())
    }
}

impl Drop for ExecutionActor {
    fn drop(&mut self) {
        self.shared.footprint.count(&mut self.part, 0);
    }
}

/// To an execution that nothing has happened to for a while: may it leave memory?
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub(in crate::engine) struct MayLeave {
    /// Only where it holds much.
    pub heavy_only: bool,
}

/// To an actor that was revived to refuse something: is the execution over?
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub(in crate::engine) struct IsClosed;

impl Handler<IsClosed> for ExecutionActor {
    type Result = bool;

    fn handle(&mut self, _: IsClosed, _: &mut Self::Context) -> bool {
        matches!(self.state.phase(), Phase::Closed(_))
    }
}
