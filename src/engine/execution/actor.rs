//! One execution, awake: an actor that takes one stimulus at a time.
//!
//! ```text
//! Message ─► decide ─► append (the mailbox stands still) ─► perform ─► answer
//!                │     └─ an express execution has no journal: it goes on at once (`express.rs`)
//!                └─ state is already folded; a failed append throws the actor away, and the next message loads
//!                   it from the journal
//! ```

use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use actix::prelude::*;

use crate::asl::model::Machine;
use crate::clock::Timestamp;
use crate::engine::execution::deciding::Prepared;
use crate::engine::execution::express::{Express, ExpressSlot};
use crate::engine::execution::host::{Host, Incarnation};
use crate::engine::execution::message::{Message, Responder};
use crate::engine::execution::observer::{Observer, TaskSnapshot};
use crate::engine::execution::state_cell::StateCell;
use crate::engine::journal::heartbeat_batch::{self, ReplaceableBatch};
use crate::engine::journal::load::Loaded;
use crate::engine::journal::summary::summary;
use crate::engine::journal::waits::{Changed, YoungTasks};
use crate::engine::journal::write::write;
use crate::engine::services::Services;
use crate::engine::services::feed::News;
use crate::engine::services::footprint::Part;
use crate::engine::services::logging::Logging;
use crate::engine::types::{Applied, DeliverError, Input};
use crate::ids::{Arn, EventId, ExecutionId, Version};
use crate::interpreter;
use crate::interpreter::event::{Event, Payload};
use crate::interpreter::state::State;
use crate::interpreter::stimulus::{Rejection, StimulusKind};
use crate::spans::Spans;
use crate::store::{Append, ExecutionHeader, ExecutionRow, StoreError, Tenure};
use crate::telemetry::task_log::Face;

/// A task message whose fate is not in the journal yet.
#[derive(Debug)]
pub(in crate::engine) struct InFlight {
    pub scheduled: EventId,
    /// The output of `TaskSubmitted` in the history.
    pub receipt: Payload,
    /// The broker has confirmed the message. The confirm is written with the next append, or after `confirm_linger`.
    pub confirmed: bool,
}

pub(in crate::engine) struct ExecutionActor {
    pub services: Arc<Services>,
    pub host: Rc<dyn Host>,
    pub id: ExecutionId,
    pub(super) incarnation: Incarnation,
    pub machine: Arc<Machine>,
    /// The `loggingConfiguration` of its machine.
    pub logging: Logging,
    pub state: StateCell,
    /// Until it exists in the store: its header.
    pub(super) new_header: Option<Box<ExecutionHeader>>,
    /// A caller waits until it exists there.
    hurries: bool,
    /// An express execution: nothing is written, it lives here.
    pub(super) express: Option<Box<ExpressSlot>>,
    pub in_flight: Vec<InFlight>,
    /// Operations in progress (dispatches, starts of children). While there are any the actor must not be passivated: a
    /// second one would be revived beside it and do the same once more.
    pub operations_open: u32,
    /// Inputs that the actor gave itself: the outcomes of its operations. Taken in one after the other.
    pub(super) pending: Vec<StimulusKind>,
    /// The actor is going to look at `pending`.
    pub(super) wakes: bool,
    /// An append is under way: the state is ahead of the journal, and nothing else may be decided.
    pub(super) appending: bool,
    /// Set where the state was loaded from the journal: debts are performed when the actor starts. `Some(false)`: the
    /// bus forgot its queues.
    owed: Option<bool>,
    /// How far it was when the partition was asked to look at it again in a while.
    pub(super) deferred: Option<Version>,
    /// The newest batch of its journal, where heartbeats may take its place.
    tail: Option<ReplaceableBatch>,
    /// Bytes of its journal.
    pub(super) written: u64,
    /// Its share of the memory that is counted.
    pub(super) part: Part,
    /// It has more to do, and waits for its turn.
    pub(super) waits_for_turn: bool,
    /// Its open tasks that have no row in the table of waiting tasks yet.
    pub(super) young: YoungTasks,
    /// A decision of the actor before this one may land yet: it knows nothing of rows that are written meanwhile, and
    /// an append without events would not be in its way.
    pub(in crate::engine) unsure: bool,
    /// Its open spans, where it is traced and awake.
    pub(super) spans: Option<Box<Spans>>,
}

impl ExecutionActor {
    /// An execution that begins.
    pub fn new(
        services: Arc<Services>,
        host: Rc<dyn Host>,
        incarnation: Incarnation,
        header: ExecutionHeader,
        machine: Arc<Machine>,
        hurries: bool,
    ) -> Self {
        let logging = services.definitions.logging(header.revision);
        let mut actor = Self::with(services, host, (header.id, incarnation), machine, logging, State::default());
        (actor.new_header, actor.hurries) = (Some(Box::new(header)), hurries);
        actor
    }

    /// An express execution that begins.
    pub fn express(
        services: Arc<Services>,
        express: Arc<Express>,
        host: Rc<dyn Host>,
        incarnation: Incarnation,
        header: ExecutionHeader,
        machine: Arc<Machine>,
    ) -> Result<Self, DeliverError> {
        let id = header.id;
        let logging = services.definitions.logging(header.revision);
        let slot = ExpressSlot::new(express, Rc::clone(&host), header)?;
        let mut actor = Self::with(services, host, (id, incarnation), machine, logging, State::default());
        actor.express = Some(Box::new(slot));
        Ok(actor)
    }

    /// An execution that comes back from its journal.
    pub fn revived(
        services: Arc<Services>,
        host: Rc<dyn Host>,
        incarnation: Incarnation,
        row: &ExecutionRow,
        machine: Arc<Machine>,
        Loaded { state, tail, written, held }: Loaded,
        bus_kept: bool,
    ) -> Self {
        let id = row.header.id;
        let logging = services.definitions.logging(row.header.revision);
        let mut actor = Self::with(services, host, (id, incarnation), machine, logging, state);
        actor.young = YoungTasks::of_revived(&actor.state);
        (actor.owed, actor.tail, actor.written) = (Some(bus_kept), tail, written);
        let held = held + actor.part_of_machine();
        actor.services.footprint.count(&mut actor.part, held);
        actor
    }

    fn with(
        services: Arc<Services>,
        host: Rc<dyn Host>,
        (id, incarnation): (ExecutionId, Incarnation),
        machine: Arc<Machine>,
        logging: Logging,
        state: State,
    ) -> Self {
        Self {
            services,
            host,
            id,
            incarnation,
            machine,
            logging,
            state: StateCell::new(state),
            new_header: None,
            hurries: false,
            express: None,
            in_flight: Vec::new(),
            operations_open: 0,
            pending: Vec::new(),
            wakes: false,
            appending: false,
            owed: None,
            deferred: None,
            tail: None,
            written: 0,
            part: Part::default(),
            waits_for_turn: false,
            young: YoungTasks::default(),
            unsure: false,
            spans: None,
        }
    }

    /// Its ARN, from its first event: nothing is told of an execution that has not begun. It is not kept beside the
    /// state, which sleeps packed.
    pub(in crate::engine) fn arn(&self) -> &Arn {
        static NONE: LazyLock<Arn> = LazyLock::new(|| Arn::new(""));
        self.state.started().map_or(&NONE, |started| &started.arn)
    }

    /// For log lines about this execution.
    pub(in crate::engine) fn observer<'a>(&'a self, before: &'a [TaskSnapshot], face: Face) -> Observer<'a> {
        Observer {
            services: &self.services,
            express: self.express.as_deref(),
            arn: self.arn(),
            id: self.id,
            state: &self.state,
            before,
            face,
            logging: self.logging,
        }
    }

    /// `lingered`: nothing has happened to it for the linger of confirms.
    fn append(&mut self, prepared: &Prepared, lingered: bool) -> Result<Append, DeliverError> {
        let (batch, replaces) = heartbeat_batch::make(&mut self.tail, prepared.after, &prepared.entries)?;
        // Heartbeats take the place of heartbeats and add no bytes.
        self.written += if replaces == 0 { batch.bytes.len() as u64 } else { 0 };
        let mut summary = summary(&self.machine, &self.state, self.services.bus.is_durable());
        // Its end is owed to the exchange of events too.
        summary.owes_parent |= summary.closed.is_some() && self.services.announces(&self.state);
        let before: Vec<EventId> = prepared.before.iter().map(|task| task.scheduled).collect();
        let waits = self.young.changes(&Changed {
            services: &self.services,
            execution: self.id,
            state: &self.state,
            entries: &prepared.entries,
            before: &before,
            lingered,
        });
        let Tenure { partition, epoch } = self.host.tenure();
        let hurries = self.new_header.is_some() && self.hurries;
        Ok(Append { execution: self.id, partition, epoch, batch, replaces, summary, waits, hurries })
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
    /// Takes a message in. The mailbox stands still until the decision is durable.
    pub(super) fn take(&mut self, input: Input, responder: Responder, ctx: &mut Context<Self>) {
        let face = input.face();
        let lingered = matches!(input, Input::WriteConfirms);
        let confirmed = || self.in_flight.iter().any(|f| f.confirmed);
        // Tasks that the broker does not take wait too.
        let grown = !self.young.is_empty() && !self.unsure && self.deferred == Some(self.state.version());
        if lingered && !confirmed() && !grown {
            self.look_again();
            let at = self.services.clock.now();
            return self.answer(responder, Ok(Applied { at }));
        }
        let slept = self.state.is_asleep();
        if let Err(e) = self.state.unpack() {
            tracing::error!(execution.id = %self.id, error = %e, "an execution is read from its journal again");
            self.host.forget(self.id, self.incarnation);
            Rc::clone(&self.host).revive_later(self.id, false);
            ctx.stop();
            return self.answer(responder, Err(DeliverError::Internal(e.to_string())));
        }
        if slept {
            // It rests again also where this message is refused and nothing is written.
            self.defer();
        }
        self.open_spans();
        let prepared = match self.decide(input) {
            Ok(prepared) => prepared,
            Err(e) => {
                if matches!(e, DeliverError::Misfit(_)) {
                    self.quarantine(e.clone(), ctx);
                }
                return self.answer(responder, self.unwritten(Err(e)));
            }
        };
        if prepared.entries.is_empty() && !(lingered && grown) {
            self.perform(prepared.commands, ctx);
            return self.answer(responder, self.unwritten(told(prepared.at, prepared.rejection)));
        }
        // An express execution has no journal: its commands are done at once.
        let append = if self.express.is_some() {
            None
        } else {
            match self.append(&prepared, lingered) {
                Ok(append) => Some(append),
                Err(e) => {
                    self.host.forget(self.id, self.incarnation);
                    ctx.stop();
                    return self.answer(responder, Err(e));
                }
            }
        };
        self.appending = true;
        let waits_changed = append.as_ref().is_some_and(|append| !append.waits.is_empty());
        let services = Arc::clone(&self.services);
        let new_header = self.new_header.take();
        let is_new = new_header.is_some();
        let durable = async move {
            match (append, new_header) {
                // Nothing is waited for: the thread is given to others now and then.
                (None, _) => {
                    tokio::task::consume_budget().await;
                    Ok(())
                }
                (Some(append), new_header) => write(&services, new_header, append).await,
            }
        };
        ctx.wait(durable.into_actor(self).map(move |result, actor, ctx| {
            let result = match result {
                Ok(()) => actor.committed(prepared, face, (is_new, waits_changed), ctx),
                Err(e) => actor.lost(e, is_new, ctx),
            };
            actor.answer(responder, result);
            actor.wake(ctx);
        }));
    }

    /// The decision is durable: others are told of it, and its commands are done.
    fn committed(
        &mut self,
        prepared: Prepared,
        face: Face,
        (is_new, waits_changed): (bool, bool),
        ctx: &mut Context<Self>,
    ) -> Result<Applied, DeliverError> {
        self.appending = false;
        if self.unsure && !prepared.entries.is_empty() {
            self.unsure = false;
            self.host.unsure(self.id, false);
        }
        let begun = is_new || prepared.entries.iter().any(|e| matches!(e.event, Event::ExecutionRedriven { .. }));
        if begun {
            self.services.open.began();
            if self.services.announces(&self.state) {
                self.services.announce_start(self.id, &self.state);
            }
        }
        self.observer(&prepared.before, face).record(&prepared.entries);
        self.trace(&prepared.entries);
        self.services.feed.tell(News {
            execution: self.id,
            status_changed: begun || !self.state.is_running(),
            waits_changed,
        });
        self.perform(prepared.commands, ctx);
        told(prepared.at, prepared.rejection)
    }

    /// The append failed. The state is ahead of its journal and must not be used again.
    fn lost(&self, error: StoreError, is_new: bool, ctx: &mut Context<Self>) -> Result<Applied, DeliverError> {
        self.host.forget(self.id, self.incarnation);
        // A new execution may be in the store all the same: the store does not always know.
        let elsewhere = matches!(error, StoreError::Fenced { .. });
        if matches!(error, StoreError::Unavailable(_)) {
            self.host.unsure(self.id, true);
        }
        if !elsewhere && (!is_new || matches!(error, StoreError::Unavailable(_))) {
            Rc::clone(&self.host).revive_later(self.id, is_new);
        }
        ctx.stop();
        Err(error.into())
    }

    /// A decision that does not fit its own journal: nothing of it is written, and the next message begins again from
    /// the journal.
    fn quarantine(&self, misfit: DeliverError, ctx: &mut Context<Self>) {
        self.host.forget(self.id, self.incarnation);
        let (services, id) = (Arc::clone(&self.services), self.id);
        actix::spawn(async move { services.quarantine.record_load(id, &Err::<(), _>(misfit)).await });
        ctx.stop();
    }

    /// An answer for which nothing was written, so the store's fence has not been asked: it counts where this actor's
    /// memory is the newest word.
    fn unwritten(&self, result: Result<Applied, DeliverError>) -> Result<Applied, DeliverError> {
        match result {
            Ok(_) | Err(DeliverError::Rejected(_)) if self.host.may_be_behind() => {
                Err(DeliverError::NotHere(self.host.tenure().partition))
            }
            result => result,
        }
    }

    fn answer(&self, responder: Responder, result: Result<Applied, DeliverError>) {
        responder.respond(&self.host, self.id, self.incarnation, result);
    }
}

fn told(at: Timestamp, rejection: Option<Rejection>) -> Result<Applied, DeliverError> {
    rejection.map_or(Ok(Applied { at }), |rejection| Err(rejection.into()))
}

impl Handler<Message> for ExecutionActor {
    type Result = ();

    fn handle(&mut self, Message { input, responder }: Message, ctx: &mut Self::Context) {
        self.take(input, responder, ctx);
    }
}

impl Drop for ExecutionActor {
    fn drop(&mut self) {
        self.services.footprint.leaves(&mut self.part);
    }
}
