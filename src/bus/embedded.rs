//! ADAPTER: the bus without a server: queues and exchanges in this process, for `demo`, `run`, tests and one node
//! without RabbitMQ.
//!
//! Default exchange, `direct`, `fanout` and `topic` exchanges, `mandatory`, per-message expiration, queue TTL,
//! prefetch, redelivery of returned and dropped deliveries, bounded queues that nack, dead letters with `x-death`, as
//! RabbitMQ has them. Two differences, both because only the engine and its in-process workers are there to declare
//! anything:
//!
//! - a publish through the default exchange to an undeclared queue **declares it**: the task waits there for
//!   its worker;
//! - nothing outlives the process ([`TaskBus::is_durable`] is false): recovery publishes every open task again.
//!
//! Workers in this process use [`EmbeddedBus::worker`] and answer with [`TaskBus::publish`] to the task's `reply_to`.

mod queue;
mod world;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, ready};
use futures_util::stream::{BoxStream, unfold};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use self::queue::{Queue, Stored};
use self::world::World;
use super::{
    Address, BusError, BusHealth, Delivery, ExchangeSpec, Message, Names, Publication, QueueKind, QueueSpec, QueueView,
    Receipt, Settlement, TaskBus,
};
use crate::ids::PartitionId;
use crate::limits;

/// A message that came back comes again after this, so that a handler which cannot work now does not spin.
const REQUEUE_DELAY: Duration = Duration::from_millis(50);
/// Dead letters of queues without a consumer are found this late: RabbitMQ too is late, by as much as the message
/// before them.
const SWEEP: Duration = Duration::from_millis(200);
/// The bus of one process. Cheap to clone: clones are the same bus.
#[derive(Clone, Default)]
pub struct EmbeddedBus {
    shared: Arc<Shared>,
}

impl fmt::Debug for EmbeddedBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedBus").field("queues", &self.lock().queues.len()).finish()
    }
}

#[derive(Default)]
struct Shared {
    names: Names,
    world: Mutex<World>,
    closing: AtomicBool,
    closed: watch::Sender<bool>,
    sweeping: AtomicBool,
}

impl EmbeddedBus {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A bus whose engine has names of its own.
    #[must_use]
    pub fn with_names(names: Names) -> Self {
        Self { shared: Arc::new(Shared { names, ..Shared::default() }) }
    }

    /// Tasks of `queue` for a worker in this process; several share the queue's messages. At most `prefetch` are out
    /// unsettled.
    pub fn worker(&self, queue: &str, prefetch: u16) -> BoxStream<'static, Delivery> {
        self.lock().queues.entry(queue.to_owned()).or_insert_with(|| Queue::new(None));
        self.deliveries(queue, prefetch, true)
    }

    /// How many messages wait in a queue, those not yet settled not counted.
    #[must_use]
    pub fn depth(&self, queue: &str) -> usize {
        self.lock().queues.get(queue).map_or(0, Queue::ready)
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.shared.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliveries(&self, queue: &str, prefetch: u16, counts: bool) -> BoxStream<'static, Delivery> {
        if let Some(queue) = self.lock().queues.get_mut(queue) {
            queue.consumers += 1;
        }
        let consumer = Consumer {
            bus: self.clone(),
            queue: queue.to_owned(),
            window: Arc::new(Window { unsettled: Mutex::new(0), room: Notify::new() }),
            prefetch: usize::from(prefetch.max(1)),
            counts,
            closed: self.shared.closed.subscribe(),
        };
        unfold(consumer, |mut c| async move { c.next().await.map(|d| (d, c)) }).boxed()
    }

    /// Takes one message, or tells when it is worth to look again.
    fn take(
        &self,
        queue: &str,
        window: Option<&Arc<Window>>,
        counts: bool,
    ) -> Result<Delivery, (Arc<Notify>, Option<Instant>)> {
        let now = Instant::now();
        let mut world = self.lock();
        let q = world.queues.entry(queue.to_owned()).or_insert_with(|| Queue::new(None));
        let mut dead = Vec::new();
        let taken = q.pop(now, &mut dead);
        let wait = (q.news.clone(), q.next_due());
        world.bury(dead, now);
        let Some(stored) = taken else { return Err(wait) };
        drop(world);
        if let Some(window) = window {
            *window.lock() += 1;
        }
        Ok(Delivery {
            message: stored.message.clone(),
            redelivered: stored.deliveries > 1,
            mended: None,
            receipt: Box::new(EmbeddedReceipt {
                bus: self.clone(),
                queue: queue.to_owned(),
                stored: Some(stored),
                window: window.cloned(),
                counts,
            }),
        })
    }

    /// Moves expired messages to their dead-letter queue where no consumer does it. One task per bus, only while there
    /// is need.
    fn sweep(&self) {
        if !self.lock().queues.values().any(Queue::may_bury) || self.shared.sweeping.swap(true, Ordering::AcqRel) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let shared = Arc::downgrade(&self.shared);
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(shared) = shared.upgrade() else { return };
                let bus = Self { shared };
                let now = Instant::now();
                let mut world = bus.lock();
                let mut dead = Vec::new();
                world.queues.values_mut().for_each(|q| q.expire(now, &mut dead));
                world.bury(dead, now);
                if !world.queues.values().any(Queue::may_bury) {
                    bus.shared.sweeping.store(false, Ordering::Release);
                    return;
                }
            }
        });
    }

    fn give_back(&self, queue: &str, stored: Stored, counts: bool) {
        let now = Instant::now();
        let mut world = self.lock();
        let mut dead = Vec::new();
        if let Some(q) = world.queues.get_mut(queue) {
            q.give_back(stored, counts, now + REQUEUE_DELAY, &mut dead);
        }
        world.bury(dead, now);
    }
}

/// How many deliveries of one consumer are out.
struct Window {
    unsettled: Mutex<usize>,
    room: Notify,
}

impl Window {
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Consumer {
    bus: EmbeddedBus,
    queue: String,
    counts: bool,
    window: Arc<Window>,
    prefetch: usize,
    closed: watch::Receiver<bool>,
}

impl Consumer {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            if *self.closed.borrow_and_update() {
                return None;
            }
            if *self.window.lock() >= self.prefetch {
                tokio::select! {
                    () = self.window.room.notified() => {}
                    _ = self.closed.changed() => {}
                }
                continue;
            }
            match self.bus.take(&self.queue, Some(&self.window), self.counts) {
                Ok(delivery) => return Some(delivery),
                Err((news, due)) => {
                    let due_at = due.unwrap_or_else(Instant::now);
                    tokio::select! {
                        () = news.notified() => {}
                        () = tokio::time::sleep_until(due_at), if due.is_some() => {}
                        _ = self.closed.changed() => {}
                    }
                }
            }
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if let Some(queue) = self.bus.lock().queues.get_mut(&self.queue) {
            queue.consumers = queue.consumers.saturating_sub(1);
        }
    }
}

struct EmbeddedReceipt {
    bus: EmbeddedBus,
    queue: String,
    /// `None` once settled.
    stored: Option<Stored>,
    window: Option<Arc<Window>>,
    /// Returned deliveries count towards the queue's delivery limit: those of workers do. Messages that the engine
    /// cannot handle now have no fault.
    counts: bool,
}

impl fmt::Debug for EmbeddedReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmbeddedReceipt({})", self.queue)
    }
}

impl EmbeddedReceipt {
    fn end(&mut self, settlement: Settlement) {
        let Some(stored) = self.stored.take() else { return };
        if settlement == Settlement::Requeue {
            self.bus.give_back(&self.queue, stored, self.counts);
        }
        if let Some(window) = &self.window {
            *window.lock() -= 1;
            window.room.notify_one();
        }
    }
}

impl Receipt for EmbeddedReceipt {
    fn settle(mut self: Box<Self>, settlement: Settlement) {
        self.end(settlement);
    }
}

impl Drop for EmbeddedReceipt {
    fn drop(&mut self) {
        self.end(Settlement::Requeue);
    }
}

impl TaskBus for EmbeddedBus {
    fn publish(&self, to: Address, message: Message) -> BoxFuture<'_, Result<Publication, BusError>> {
        if self.shared.closing.load(Ordering::Acquire) {
            return ready(Err(BusError::Closed)).boxed();
        }
        if message.body.len() > limits::MESSAGE_BYTES_MAX {
            let text = format!(
                "the body has {} bytes, more than {} (MESSAGE_BYTES_MAX)",
                message.body.len(),
                limits::MESSAGE_BYTES_MAX
            );
            return ready(Ok(Publication::Refused { text })).boxed();
        }
        if to.routing_key.len() > limits::AMQP_SHORT_STRING_MAX || to.exchange.len() > limits::AMQP_SHORT_STRING_MAX {
            let text =
                format!("the address has more than {} bytes (AMQP_SHORT_STRING_MAX)", limits::AMQP_SHORT_STRING_MAX);
            return ready(Ok(Publication::Refused { text })).boxed();
        }
        let publication = self.lock().publish(&to, &message, Instant::now());
        if !self.shared.sweeping.load(Ordering::Acquire) {
            self.sweep();
        }
        ready(Ok(publication)).boxed()
    }

    fn names(&self) -> &Names {
        &self.shared.names
    }

    fn replies(&self, partition: PartitionId, _: i32) -> BoxStream<'static, Delivery> {
        let spec = QueueSpec::plain(self.reply_queue(partition), QueueKind::Classic);
        self.consume(spec, limits::REPLY_PREFETCH)
    }

    fn consume(&self, queue: QueueSpec, prefetch: u16) -> BoxStream<'static, Delivery> {
        // a queue with other arguments stays as it is and is consumed all the same
        let _ = self.lock().declare(&queue);
        self.deliveries(&queue.name, prefetch, false)
    }

    fn declare(
        &self,
        exchanges: Vec<ExchangeSpec>,
        queues: Vec<QueueSpec>,
        bindings: Vec<(QueueSpec, Address)>,
    ) -> BoxFuture<'_, Result<(), BusError>> {
        let mut world = self.lock();
        let result = exchanges
            .iter()
            .try_for_each(|e| world.declare_exchange(e))
            .and_then(|()| queues.iter().try_for_each(|q| world.declare(q)))
            .and_then(|()| bindings.iter().try_for_each(|(q, from)| world.bind(q, from)));
        ready(result).boxed()
    }

    fn get(&self, queue: &str) -> BoxFuture<'_, Result<Option<Delivery>, BusError>> {
        if !self.lock().queues.contains_key(queue) {
            let why = format!("NOT_FOUND - no queue '{queue}'");
            return ready(Err(BusError::Refused { what: format!("basic.get from queue {queue}"), why })).boxed();
        }
        ready(Ok(self.take(queue, None, false).ok())).boxed()
    }

    fn look(&self, queue: &str) -> BoxFuture<'_, Result<Option<QueueView>, BusError>> {
        if self.shared.closing.load(Ordering::Acquire) {
            return ready(Err(BusError::Closed)).boxed();
        }
        let view = |q: &Queue| QueueView { ready: q.ready() as u64, consumers: q.consumers };
        let seen = self.lock().queues.get(queue).map(view);
        ready(Ok(seen)).boxed()
    }

    fn health(&self) -> BusHealth {
        if self.shared.closing.load(Ordering::Acquire) {
            BusHealth::Down("the bus is closed".to_owned())
        } else {
            BusHealth::Up
        }
    }

    fn is_durable(&self) -> bool {
        false
    }

    /// Ends all streams. There is nothing to wait for: unsettled messages end with the process.
    fn close(&self, _within: Duration) -> BoxFuture<'_, ()> {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.closed.send_replace(true);
        ready(()).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_publish_declares_an_unknown_queue_and_the_task_waits_for_its_worker() {
        let bus = EmbeddedBus::new();
        let to = Address { exchange: String::new(), routing_key: "nobody".into() };
        assert_eq!(bus.publish(to, Message::default()).await.expect("publish"), Publication::Confirmed);
        assert_eq!(bus.depth("nobody"), 1);
        assert!(bus.worker("nobody", 1).next().await.is_some());
    }
}
