//! The parts that a partition and its executions share, on their one thread.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{LocalBoxFuture, Shared as SharedFuture};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::engine::execution::effects::{Calls, Effects};
use crate::engine::execution::express::Express;
use crate::engine::execution::host::{Host, Incarnation};
use crate::engine::execution::message::{CanPassivate, IsClosed};
use crate::engine::execution::message::{Message, Responder};
use crate::engine::execution::state_cell::PackTemplates;
use crate::engine::execution::turns::Turns;
use crate::engine::services::Services;
use crate::engine::services::intake::Intake;
use crate::engine::services::resources::Resources;
use crate::engine::types::{Applied, Deliver, DeliverError};
use crate::ids::{ExecutionId, PartitionId};
use crate::interpreter::state::Outcome;
use crate::store::Epoch;

use super::backlog::Backlog;
use super::registry::{Active, Registry};
use super::reply_consumer::ReplyConsumer;
use super::timers::Timers;
use super::unsure::Unsure;

pub(super) type Revival = SharedFuture<LocalBoxFuture<'static, Result<Active, DeliverError>>>;
type EndWaiter = oneshot::Sender<Result<Outcome, DeliverError>>;

/// The parts that every partition works with: the services, and the rooms above by their traits.
#[derive(Clone)]
pub(in crate::engine) struct Wiring {
    pub services: Arc<Services>,
    pub express: Arc<Express>,
    pub effects: Arc<dyn Effects>,
    pub calls: Arc<dyn Calls>,
    pub replies: Arc<dyn ReplyConsumer>,
}

/// Nothing of a partition goes on here. Its manager, on another thread, knows that first.
#[derive(Debug, Clone, Default)]
pub(in crate::engine) struct Ended(Arc<AtomicBool>);

impl Ended {
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The parts that the partition and its executions share, on their one thread.
pub(in crate::engine) struct PartitionState {
    pub id: PartitionId,
    /// Which time of ownership this is: each append names it.
    pub(super) epoch: Epoch,
    pub(super) wiring: Wiring,
    pub services: Arc<Services>,
    /// Where its replies arrive.
    pub reply_queue: String,
    pub intake: Arc<Intake>,
    /// May tasks time out now?
    pub backlog: Backlog,
    pub resources: Resources,
    pub(super) registry: Registry,
    /// The tasks that run as long as the partition.
    pub(super) tasks: RefCell<Vec<JoinHandle<()>>>,
    pub(super) reviving: RefCell<HashMap<ExecutionId, Revival>>,
    pub(super) timers: RefCell<Timers>,
    /// Something is due sooner than it was.
    pub(super) sooner: Notify,
    /// Executions with a confirm that is not written yet, and when it is. One list, in order: a timer for each would
    /// cost more than the append that it saves.
    pub(super) deferred: RefCell<VecDeque<(Instant, ExecutionId)>>,
    /// Something lingers.
    pub(super) defers: Notify,
    pub(super) templates: RefCell<PackTemplates>,
    /// Executions packed since the last sweep.
    pub(super) packed_lately: Cell<usize>,
    pub(super) waiters: RefCell<HashMap<ExecutionId, Vec<EndWaiter>>>,
    /// Executions whose queues the bus forgot with the last process, until they are revived: all that they have open is
    /// owed again.
    pub(super) redispatch_all: RefCell<HashSet<ExecutionId>>,
    pub(super) unsure: RefCell<Unsure>,
    pub(super) draining: Cell<bool>,
    ended: Ended,
    /// Executions that have more to do than one decision may.
    pub(super) turns: Turns,
    /// Timers that are being handled, and word of each that has been.
    pub(super) firing: Cell<usize>,
    pub(super) fired: Notify,
    /// The store is being asked for executions that are due soon; it did not answer the last time.
    pub(super) fetching: Cell<bool>,
    pub(super) fetch_failing: Cell<bool>,
}

impl PartitionState {
    pub fn new(id: PartitionId, epoch: Epoch, wiring: Wiring, ended: Ended) -> Rc<Self> {
        let services = Arc::clone(&wiring.services);
        Rc::new(Self {
            id,
            epoch,
            wiring,
            reply_queue: services.bus.reply_queue(id),
            intake: Intake::of(services.bus.reply_queue(id)),
            backlog: Backlog::new(),
            services,
            resources: Resources::default(),
            registry: Registry::default(),
            tasks: RefCell::default(),
            reviving: RefCell::default(),
            timers: RefCell::default(),
            sooner: Notify::new(),
            deferred: RefCell::default(),
            defers: Notify::new(),
            templates: RefCell::default(),
            packed_lately: Cell::new(0),
            waiters: RefCell::default(),
            redispatch_all: RefCell::default(),
            unsure: RefCell::default(),
            draining: Cell::new(false),
            ended,
            turns: Turns::default(),
            firing: Cell::new(0),
            fired: Notify::new(),
            fetching: Cell::new(false),
            fetch_failing: Cell::new(false),
        })
    }

    /// Runs as long as the partition. Where that has ended already (it was abandoned while it began) nothing runs.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        if !self.is_ended() {
            self.tasks.borrow_mut().push(actix_rt::spawn(task));
        }
    }

    /// Nothing of this partition goes on here: its loops end, and its actors leave memory. Their debts are in the
    /// store, for the next owner.
    pub(super) fn end(&self) {
        self.ended.set();
        self.tasks.take().into_iter().for_each(|task| task.abort());
        for _ in 0..self.registry.clear() {
            self.services.metrics.execution_slept();
        }
        self.waiters.take();
        Arc::clone(&self.wiring.effects).released(self.id);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.is_set()
    }

    /// The priority of its consumer of replies: the broker prefers a later owner to a former owner that still consumes.
    pub(super) fn priority(&self) -> i32 {
        i32::try_from(self.epoch.0).unwrap_or(i32::MAX)
    }

    /// The effects of executions on each other, for words of other nodes.
    pub fn effects(&self) -> &Arc<dyn Effects> {
        &self.wiring.effects
    }

    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    pub(super) fn insert(&self, execution: ExecutionId, resident: Active) {
        if self.registry.insert(execution, resident) {
            self.services.metrics.execution_woke();
        }
    }

    /// `waiter` gets this execution's end.
    pub(super) fn wait(&self, execution: ExecutionId, waiter: EndWaiter) {
        self.waiters.borrow_mut().entry(execution).or_default().push(waiter);
    }

    pub(super) fn tell_waiters(&self, execution: ExecutionId, end: impl Fn() -> Result<Outcome, DeliverError>) {
        for waiter in self.waiters.borrow_mut().remove(&execution).unwrap_or_default() {
            let _ = waiter.send(end());
        }
    }

    /// Those who wait no more are forgotten.
    pub(super) fn forget_waiters(&self, execution: ExecutionId) {
        let mut waiters = self.waiters.borrow_mut();
        if let Some(of_one) = waiters.get_mut(&execution) {
            of_one.retain(|sender| !sender.is_closed());
            if of_one.is_empty() {
                waiters.remove(&execution);
            }
        }
    }

    /// Delivers to an execution, reviving it if need be.
    pub async fn deliver(self: &Rc<Self>, message: Deliver) -> Result<Applied, DeliverError> {
        // An actor may end between two messages (it closed, it was thrown away): its journal is the truth, ask again.
        for _ in 0..4 {
            let Active { incarnation, addr } = self.active(message.execution).await?;
            self.registry.sent(message.execution, incarnation);
            let (caller, answer) = oneshot::channel();
            let sent = addr.send(Message { input: message.input.clone(), responder: Responder::Caller(caller) }).await;
            let answer = if sent.is_ok() { answer.await.ok() } else { None };
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

    /// A closed execution that was revived to refuse something leaves memory at once.
    pub async fn dismiss_closed(&self, execution: ExecutionId, incarnation: Incarnation) {
        let Some(addr) = self.registry.address_of(execution, incarnation) else { return };
        if matches!(addr.send(IsClosed).await, Ok(true)) {
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
}
