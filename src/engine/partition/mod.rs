//! A partition: owns its executions (their addresses), one timer queue, one reply queue. Pinned to an arbiter;
//! everything here runs on that one thread.

mod backlog;
mod housekeeping;
pub(in crate::engine) mod messages;
pub(in crate::engine) mod registry;
mod starting;
mod timekeeping;
mod timers;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, Shared as SharedFuture};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::ids::{ExecutionId, PartitionId};
use crate::interpreter::state::{Outcome, Phase, State};

use crate::engine::delivery::Lines;
use crate::engine::execution::actor::{CanPassivate, ExecutionActor};
use crate::engine::execution::message::{Message, Responder};
use crate::engine::execution::state_cell::{PackTemplates, StateCell};
use crate::engine::execution::turns::Turns;
use crate::engine::journal::summary::outcome;
use crate::engine::partition::messages::{Beat, Begin, Drain};
use crate::engine::partition::registry::{Active, Incarnation, Registry};
use crate::engine::partition::timers::Timers;
use crate::engine::services::Services;
use crate::engine::services::intake::Intake;
use crate::engine::services::resources::Resources;
use crate::engine::types::{Applied, AwaitEnd, Deliver, DeliverError, Input, RunToEnd, Start};
use backlog::Backlog;
use starting::Starting;

/// The partition that looks after what belongs to no execution.
const HOUSEKEEPER: PartitionId = PartitionId(0);
/// Executions recovered at once after a start.
const RECOVERY_PAGE: u32 = 200;

type Revival = SharedFuture<LocalBoxFuture<'static, Result<Active, DeliverError>>>;
type EndWaiter = oneshot::Sender<Result<Outcome, DeliverError>>;

/// What the partition and its executions share, on their one thread.
pub(in crate::engine) struct PartitionState {
    pub id: PartitionId,
    pub services: Arc<Services>,
    /// Where its replies arrive.
    pub reply_queue: String,
    pub intake: Arc<Intake>,
    pub lines: Lines,
    /// May tasks time out now?
    pub backlog: Backlog,
    pub resources: Resources,
    registry: Registry,
    reviving: RefCell<HashMap<ExecutionId, Revival>>,
    timers: RefCell<Timers>,
    /// Something is due sooner than it was.
    sooner: Notify,
    /// Executions with a confirm that is not written yet, and when it is. One list, in order: a timer for each would
    /// cost more than the append that it saves.
    deferred: RefCell<VecDeque<(Instant, ExecutionId)>>,
    /// Something lingers.
    defers: Notify,
    templates: RefCell<PackTemplates>,
    /// Executions packed since the last sweep.
    packed_lately: Cell<usize>,
    waiters: RefCell<HashMap<ExecutionId, Vec<EndWaiter>>>,
    /// Executions whose queues the bus forgot with the last process, until they are revived: all that they have open is
    /// owed again.
    redispatch_all: RefCell<HashSet<ExecutionId>>,
    draining: Cell<bool>,
    /// Executions that have more to do than one decision may.
    turns: Turns,
    /// Timers that are being handled, and word of each that has been.
    firing: Cell<usize>,
    fired: Notify,
    /// The store is being asked for what is due soon; it did not answer the last time.
    fetching: Cell<bool>,
    fetch_failing: Cell<bool>,
}

impl PartitionState {
    /// When the execution is due next.
    pub fn arm(&self, execution: ExecutionId, due: Option<Timestamp>) {
        let is_due = due.is_some_and(|at| self.backlog.is_held() && at <= self.services.clock.now());
        let due = due.filter(|_| !(is_due && self.backlog.keeps(execution)));
        if self.timers.borrow_mut().arm(execution, due) {
            self.sooner.notify_one();
        }
    }

    /// This actor is of no use any more; the next message revives the execution from its journal. One that was revived
    /// meanwhile stays: of those who wait for an answer of the old actor each comes here.
    pub fn forget(&self, execution: ExecutionId, incarnation: Incarnation) {
        if self.registry.remove(execution, incarnation) {
            self.services.metrics.execution_slept();
        }
    }

    /// The store did not take what an execution had decided. What it owes is looked at again after a while: nobody else
    /// may ask.
    pub fn revive_later(self: &Rc<Self>, execution: ExecutionId) {
        let local = Rc::clone(self);
        actix_rt::spawn(async move {
            tokio::time::sleep(crate::engine::services::RETRY_AFTER).await;
            if let Err(e) = local.resident(execution).await {
                if matches!(
                    e,
                    DeliverError::NoExecution(_) | DeliverError::Store(crate::store::StoreError::NotFound { .. })
                ) {
                    return; // it was never made
                }
                tracing::warn!(execution.id = %execution, error = %e, "an execution could not be revived");
                if matches!(e, DeliverError::Store(crate::store::StoreError::Unavailable(_))) {
                    local.revive_later(execution);
                }
            }
        });
    }

    /// The execution has closed: those who wait for it are told.
    pub fn finished(&self, execution: ExecutionId, state: &State, outcome: &Outcome) {
        self.arm(execution, None);
        self.tell_end(execution, state, crate::engine::journal::summary::owes_end(state), outcome);
    }

    /// `owes_news`: a parent or map runs have not heard of it yet.
    fn tell_end(&self, execution: ExecutionId, state: &State, owes_end: bool, outcome: &Outcome) {
        self.tell_waiters(execution, || Ok(outcome.clone()));
        if let Some(run) = state.started().and_then(|s| s.map_run.as_ref()) {
            self.services.map_runs.child_closed(run, execution, state.attempt(), outcome);
        }
        if owes_end {
            self.services.settle_end(execution);
        }
    }

    /// The execution is gone without an end (an express one whose actor died): nobody waits for it any more.
    pub fn lost(&self, execution: ExecutionId) {
        self.arm(execution, None);
        self.tell_waiters(execution, || {
            Err(DeliverError::Internal("the execution was lost before its end".to_owned()))
        });
    }

    /// `waiter` hears of this execution's end.
    fn wait(&self, execution: ExecutionId, waiter: EndWaiter) {
        self.waiters.borrow_mut().entry(execution).or_default().push(waiter);
    }

    fn tell_waiters(&self, execution: ExecutionId, end: impl Fn() -> Result<Outcome, DeliverError>) {
        for waiter in self.waiters.borrow_mut().remove(&execution).unwrap_or_default() {
            let _ = waiter.send(end());
        }
    }

    /// Packs what an actor holds; the bytes that are left of it.
    pub fn pack(&self, state: &mut StateCell) -> Option<u64> {
        let packed = state.pack(&mut self.templates.borrow_mut());
        self.packed_lately.set(self.packed_lately.get() + usize::from(packed.is_some()));
        packed
    }

    /// This execution is looked at again in a while. A confirmed task is written with its reply if that comes sooner,
    /// else then.
    pub fn defer(&self, execution: ExecutionId) {
        self.deferred.borrow_mut().push_back((Instant::now() + self.services.options.confirm_linger, execution));
        self.defers.notify_one();
    }

    /// Writes down confirms whose replies have not come, and lets rest what nothing happened to. Runs as long as the
    /// partition.
    async fn flush_deferred(self: Rc<Self>) {
        // So often is often enough: what is late here is only written later.
        let pause = (self.services.options.confirm_linger / 4).max(std::time::Duration::from_millis(1));
        loop {
            let next = self.deferred.borrow().front().map(|(at, _)| *at);
            let Some(next) = next else {
                self.defers.notified().await;
                continue;
            };
            tokio::time::sleep_until(next.max(Instant::now() + pause)).await;
            let now = Instant::now();
            loop {
                let due = self.deferred.borrow_mut().pop_front_if(|(at, _)| *at <= now);
                let Some((_, execution)) = due else { break };
                // Gone from memory: it has ended. Most have. Refused where its mailbox is full: then it is busy, and
                // what it writes next holds the confirm.
                self.registry.hint(execution, Message { input: Input::Flush, responder: Responder::Nobody });
            }
        }
    }

    fn insert(&self, execution: ExecutionId, resident: Active) {
        if self.registry.insert(execution, resident) {
            self.services.metrics.execution_woke();
        }
    }

    /// The actor of an execution, from memory or from its journal.
    async fn resident(self: &Rc<Self>, execution: ExecutionId) -> Result<Active, DeliverError> {
        if let Some(resident) = self.registry.find(execution) {
            return Ok(resident);
        }
        let revival = {
            let mut reviving = self.reviving.borrow_mut();
            if let Some(revival) = reviving.get(&execution) {
                revival.clone()
            } else {
                let local = Rc::clone(self);
                let revival = async move {
                    let revived = local.revive(execution).await;
                    local.services.record_load(execution, &revived).await;
                    local.reviving.borrow_mut().remove(&execution);
                    revived
                };
                let revival = revival.boxed_local().shared();
                reviving.insert(execution, revival.clone());
                revival
            }
        };
        revival.await
    }

    async fn revive(self: &Rc<Self>, execution: ExecutionId) -> Result<Active, DeliverError> {
        let room = self.services.footprint.room().await;
        let loaded = self.services.load_with_tail(execution).await?;
        let row = self.services.journal.execution(execution).await?.ok_or(DeliverError::NoExecution(execution))?;
        let machine = self.services.definitions.revision(row.header.revision).await.map_err(|e| match e {
            crate::engine::types::EngineError::Store(e) => DeliverError::Store(e),
            other => DeliverError::Internal(other.to_string()),
        })?;
        let bus_kept = !self.redispatch_all.borrow_mut().remove(&execution);
        let incarnation = self.registry.incarnation();
        let actor = ExecutionActor::revived(Rc::clone(self), incarnation, &row, machine, loaded, bus_kept);
        if let Phase::Closed(outcome) = actor.state.phase() {
            // Its end landed, and whoever wrote it did not learn that: those who wait are told now.
            self.tell_end(execution, &actor.state, row.summary.owes_parent, outcome);
        }
        drop(room);
        let resident = Active { incarnation, addr: actor.start() };
        self.insert(execution, resident.clone());
        Ok(resident)
    }

    /// Delivers to an execution, reviving it if need be.
    pub async fn deliver(self: &Rc<Self>, message: Deliver) -> Result<Applied, DeliverError> {
        // An actor may end between two messages (it closed, it was thrown away): its journal is the truth, ask again.
        for _ in 0..4 {
            let Active { incarnation, addr } = self.resident(message.execution).await?;
            self.registry.sent(message.execution, incarnation);
            let (asker, answer) = oneshot::channel();
            let heard = addr.send(Message { input: message.input.clone(), responder: Responder::Asker(asker) }).await;
            let answer = if heard.is_ok() { answer.await.ok() } else { None };
            self.registry.answered(message.execution, incarnation);
            match answer {
                Some(result) => {
                    if matches!(result, Err(DeliverError::Rejected(_))) {
                        self.dismiss_closed(message.execution, incarnation).await;
                    }
                    return result;
                }
                None => self.forget(message.execution, incarnation),
            }
        }
        Err(DeliverError::Internal(format!("execution {} does not take messages", message.execution)))
    }

    /// Its actor is in memory.
    pub fn is_awake(&self, execution: ExecutionId) -> bool {
        self.registry.contains(execution)
    }

    /// Hands a reply to an execution that is in memory and takes messages; gives it back where there is none.
    pub fn try_deliver(&self, execution: ExecutionId, message: Message) -> Option<Message> {
        self.registry.hand(execution, message)
    }

    /// An actor has answered what [`Self::try_tell`] handed to it.
    pub fn answered(&self, execution: ExecutionId, incarnation: Incarnation) {
        self.registry.answered(execution, incarnation);
    }

    /// A closed execution that was revived to refuse something leaves memory at once.
    pub async fn dismiss_closed(&self, execution: ExecutionId, incarnation: Incarnation) {
        let Some(addr) = self.registry.address_of(execution, incarnation) else { return };
        if matches!(addr.send(crate::engine::execution::actor::IsClosed).await, Ok(true)) {
            self.forget(execution, incarnation);
        }
    }

    /// Executions that nothing happened to for `age` leave memory, or only those that hold much. Returns how many.
    pub async fn passivate(self: &Rc<Self>, age: std::time::Duration, heavy_only: bool) -> usize {
        let mut left = 0;
        for (id, Active { incarnation, addr }) in self.registry.idle_for(age) {
            if matches!(addr.send(CanPassivate { heavy_only }).await, Ok(true)) && self.registry.is_idle_for(id, age) {
                // Its last address: the actor ends by itself.
                self.forget(id, incarnation);
                left += 1;
            }
        }
        self.registry.shrink();
        left
    }

    /// After a start: what is owed is done. Sleepers that owe nothing stay asleep.
    async fn recover(self: &Rc<Self>) -> Result<(), DeliverError> {
        self.fetch_due().await?;
        let mut after = None;
        loop {
            let rows = self.services.journal.owing(self.id, after, RECOVERY_PAGE).await?;
            let Some(last) = rows.last().map(|r| r.header.id) else { break };
            if !self.services.bus.is_durable() {
                self.redispatch_all.borrow_mut().extend(rows.iter().map(|row| row.header.id));
            }
            let revivals = rows.iter().map(|row| self.resident(row.header.id));
            for (row, result) in rows.iter().zip(futures_util::future::join_all(revivals).await) {
                if let Err(e) = result
                    && !e.is_corrupt()
                {
                    tracing::error!(execution.arn = %row.header.arn, error = %e, "this execution cannot be recovered; all others go on");
                    // Where the store could not answer just now it is asked again: nobody else may touch this execution
                    // for a long time.
                    if matches!(e, DeliverError::Store(crate::store::StoreError::Unavailable(_))) {
                        self.revive_later(row.header.id);
                    }
                }
            }
            after = Some(last);
        }
        for row in self.services.journal.owing_parents(self.id, u32::MAX).await? {
            self.services.settle_end(row.header.id);
        }
        Ok(())
    }
}

pub(in crate::engine) struct Partition {
    local: Rc<PartitionState>,
}

impl Partition {
    pub fn new(id: PartitionId, services: Arc<Services>) -> Self {
        Self {
            local: Rc::new(PartitionState {
                id,
                reply_queue: services.bus.reply_queue(id),
                intake: Intake::of(services.bus.reply_queue(id)),
                lines: Lines::default(),
                backlog: Backlog::new(),
                services,
                resources: Resources::default(),
                registry: Registry::default(),
                reviving: RefCell::default(),
                timers: RefCell::default(),
                sooner: Notify::new(),
                deferred: RefCell::default(),
                defers: Notify::new(),
                templates: RefCell::default(),
                packed_lately: Cell::new(0),
                waiters: RefCell::default(),
                redispatch_all: RefCell::default(),
                draining: Cell::new(false),
                turns: Turns::default(),
                firing: Cell::new(0),
                fired: Notify::new(),
                fetching: Cell::new(false),
                fetch_failing: Cell::new(false),
            }),
        }
    }
}

impl Actor for Partition {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(crate::limits::MAILBOX_MESSAGES);
    }
}

impl Handler<Begin> for Partition {
    type Result = ResponseFuture<Result<(), DeliverError>>;

    fn handle(&mut self, _: Begin, _: &mut Self::Context) -> Self::Result {
        let local = Rc::clone(&self.local);
        Box::pin(async move {
            // Before anything is published: on a broker that lost its queues, a reply to a queue that is not wanted yet
            // would be lost.
            let (bus, id) = (Arc::clone(&local.services.bus), local.id);
            let replies = local.intake.deliveries(bus.reply_prefetch(), move || bus.replies(id));
            actix_rt::spawn(Rc::clone(&local).make_room());
            local.recover().await?;
            let counted = Rc::new(Notify::new());
            actix_rt::spawn(Rc::clone(&local).watch_backlog(Rc::clone(&counted)));
            actix_rt::spawn(Rc::clone(&local).keep_time());
            actix_rt::spawn(Rc::clone(&local).sweep());
            actix_rt::spawn(Rc::clone(&local).flush_deferred());
            actix_rt::spawn(async move {
                counted.notified().await;
                crate::engine::delivery::replies::run(local, replies).await;
            });
            Ok(())
        })
    }
}

impl Handler<Deliver> for Partition {
    type Result = ResponseFuture<Result<Applied, DeliverError>>;

    fn handle(&mut self, message: Deliver, _: &mut Self::Context) -> Self::Result {
        let local = Rc::clone(&self.local);
        Box::pin(async move { local.deliver(message).await })
    }
}

impl Handler<Start> for Partition {
    type Result = Starting;

    fn handle(&mut self, start: Start, _: &mut Self::Context) -> Starting {
        Starting { local: Rc::clone(&self.local), start }
    }
}

impl Handler<RunToEnd> for Partition {
    type Result = Starting;

    fn handle(&mut self, RunToEnd(start): RunToEnd, _: &mut Self::Context) -> Starting {
        Starting { local: Rc::clone(&self.local), start }
    }
}

impl Handler<AwaitEnd> for Partition {
    type Result = ResponseFuture<Result<Outcome, DeliverError>>;

    fn handle(&mut self, message: AwaitEnd, _: &mut Self::Context) -> Self::Result {
        let local = Rc::clone(&self.local);
        // Registered before the look at the journal: an end in between is not missed.
        let (waiter, end) = oneshot::channel();
        local.wait(message.execution, waiter);
        Box::pin(async move {
            if let Some(row) = local.services.express.row(message.execution) {
                return match outcome(&row) {
                    Some(outcome) => Ok(outcome),
                    None => end.await.ok().and_then(Result::ok).ok_or(DeliverError::NoExecution(message.execution)),
                };
            }
            let state = local.services.load(message.execution).await?;
            if let Phase::Closed(outcome) = state.phase() {
                drop(end);
                local.forget_waiters(message.execution);
                return Ok(outcome.clone());
            }
            end.await.map_err(|e| DeliverError::Internal(e.to_string()))?
        })
    }
}

impl Handler<Beat> for Partition {
    type Result = ();

    fn handle(&mut self, _: Beat, _: &mut Self::Context) {}
}

impl Handler<Drain> for Partition {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        self.local.draining.set(true);
        let local = Rc::clone(&self.local);
        Box::pin(async move {
            // What is under way ends by itself; a closed store or bus ends what cannot.
            while local.registry.is_any_told() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
    }
}

impl PartitionState {
    /// Those who wait no more are forgotten.
    fn forget_waiters(&self, execution: ExecutionId) {
        let mut waiters = self.waiters.borrow_mut();
        if let Some(of_one) = waiters.get_mut(&execution) {
            of_one.retain(|sender| !sender.is_closed());
            if of_one.is_empty() {
                waiters.remove(&execution);
            }
        }
    }

    pub fn turns(&self) -> Turns {
        self.turns.clone()
    }

    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }
}
