//! ADAPTER: the bus on RabbitMQ (AMQP 0-9-1, lapin).
//!
//! ```text
//! endpoint   URL, TLS, backoff                  reconnect  a link: one connection, made again for ever
//! topology   our queues, declared again         publisher  lanes: publish, confirm, send again
//! exchanges  which exchanges are there          consumer   streams of deliveries, settlements
//! session    settlements of one channel         acks       which deliveries can be acked together
//! suspects   when a queue is taken apart        isolation  how
//! codec      Message ↔ properties, refusals
//! material   addresses and certificates, read    lock       another engine with the same names is noticed
//! getting    single messages, a channel for each queue
//! mend       what lapin could not read, mended before it sees it
//! plants     faults for campaigns, in debug builds only
//! ```
//!
//! Two links: one publishes, one consumes and declares (`reconnect` says why). Logs: connected, lost, blocked,
//! declared, stalled; never a credential, never a token. Mind that lapin itself logs a returned message whole, token
//! and all, at `warn` on target `lapin::returned_messages`, and frames at `trace`: `telemetry::logs` lets neither
//! through.

mod acks;
mod codec;
mod consumer;
mod consumers;
mod endpoint;
mod exchanges;
#[cfg(test)]
mod faults;
mod getting;
mod isolation;
#[cfg(test)]
mod isolation_tests;
mod lock;
mod material;
pub mod mend;
#[cfg(test)]
mod owning;
mod plants;
mod port;
mod publisher;
mod reconnect;
mod session;
mod suspects;
mod topology;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::stream::BoxStream;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::warn;

pub use endpoint::{Options, connection_name};

use self::consumers::Consumers;
use self::endpoint::Endpoint;
use self::exchanges::Exchanges;
use self::getting::Getting;
use self::isolation::Isolation;
use self::lock::Lock;
use self::publisher::{Errand, Job, Lane};
use self::reconnect::{Link, Purpose, State, Trouble};
use self::topology::{Item, Topology};
use super::{Address, BusError, BusHealth, Delivery, Message, Publication, QueueSpec, QueueView, TaskBus};
use crate::ids::PartitionId;

/// `declare` and `get` wait so long for a broker that is away before they say so.
const UNAVAILABLE_AFTER: Duration = Duration::from_secs(5);
/// A broker that refuses a message (`basic.nack`) is asked again for so long: its queue may be full, and it may be one
/// whose leader was on a node that died (RabbitMQ 3.10 refused some for 13 s after one of three was killed).
const NACKED_WITHIN: Duration = Duration::from_secs(15);
/// The first pause before that; each next one is twice as long, up to the longest: many tasks for a full queue must not
/// become a storm of copies.
const NACKED_PAUSE: Duration = Duration::from_millis(500);
const NACKED_PAUSE_MAX: Duration = Duration::from_secs(4);
/// The broker's code for a queue that is not there.
const NOT_FOUND: u16 = 404;
/// Errands that wait for their lane beyond its window; their senders wait beyond it.
const LANE_INBOX: usize = 256;

/// The bus on RabbitMQ. Dropping it ends its connections without waiting for anything; [`TaskBus::close`] waits.
#[derive(Debug)]
pub struct AmqpBus {
    runtime: Handle,
    options: Options,
    endpoint: Arc<Endpoint>,
    publishing: Link,
    consuming: Link,
    /// For single messages, from the first one on: the broker ends the whole connection where the queue is being made
    /// just then.
    fetching: OnceLock<Link>,
    topology: Arc<Topology>,
    exchanges: Arc<Exchanges>,
    lanes: Vec<mpsc::Sender<Errand>>,
    next_lane: AtomicUsize,
    /// Publishes without an answer.
    open: AtomicUsize,
    answered: Notify,
    closing: AtomicBool,
    /// Streams and settlements that are not done.
    sessions: Arc<watch::Sender<usize>>,
    getting: Arc<Getting>,
    consumers: Arc<Consumers>,
    isolation: Arc<Isolation>,
    /// Another engine with the same names.
    other: Arc<std::sync::Mutex<Option<String>>>,
}

impl AmqpBus {
    /// Starts a bus and returns at once; it connects, and connects again for ever, on the current tokio runtime.
    ///
    /// # Errors
    /// `BadUrl`: the URL or a certificate file cannot be used.
    pub fn connect(url: &str, options: Options) -> Result<Arc<Self>, BusError> {
        let runtime =
            Handle::try_current().map_err(|_| BusError::BadUrl("the AMQP bus needs a tokio runtime".to_owned()))?;
        let endpoint = Arc::new(Endpoint::new(url, &options)?);
        let publishing = Link::start(&runtime, endpoint.clone(), Purpose::Publish, &options);
        let consuming = Link::start(&runtime, endpoint.clone(), Purpose::Consume, &options);
        let topology = Topology::new();
        let exchanges = Arc::new(Exchanges::new());
        runtime.spawn(topology.clone().keep(consuming.clone()));
        let other = Arc::<std::sync::Mutex<Option<String>>>::default();
        if let Some(identity) = options.identity.clone() {
            let lock = Lock {
                link: consuming.clone(),
                names: options.names.clone(),
                identity,
                called: options.connection_name.clone(),
                other: other.clone(),
            };
            runtime.spawn(lock.keep());
        }
        let lanes = (0..options.publish_channels.max(1))
            .map(|_| {
                let (errands, inbox) = mpsc::channel(LANE_INBOX);
                let lane =
                    Lane::new(publishing.clone(), topology.clone(), exchanges.clone(), inbox, options.confirm_timeout);
                runtime.spawn(lane.run());
                errands
            })
            .collect();
        let isolation = Isolation::new(endpoint.clone(), options.clone());
        Ok(Arc::new(Self {
            runtime,
            options,
            endpoint,
            publishing,
            consuming,
            fetching: OnceLock::new(),
            topology,
            exchanges,
            lanes,
            next_lane: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            answered: Notify::new(),
            closing: AtomicBool::new(false),
            sessions: Arc::new(watch::Sender::new(0)),
            getting: Arc::default(),
            consumers: Arc::default(),
            isolation,
            other,
        }))
    }

    /// Waits until both connections are up and everything wanted is declared.
    ///
    /// # Errors
    /// `Unavailable` with the last reason, when `within` is over.
    pub async fn wait_ready(&self, within: Duration) -> Result<(), BusError> {
        let ready = async {
            if self.publishing.live().await.is_none() || self.consuming.live().await.is_none() {
                return Err(BusError::Closed);
            }
            self.topology.declared().await;
            Ok(())
        };
        match tokio::time::timeout(within, ready).await {
            Ok(result) => result,
            Err(_) => Err(BusError::Unavailable(match self.health() {
                BusHealth::Down(why) => why,
                _ => "queues and exchanges are not declared yet".to_owned(),
            })),
        }
    }

    /// Where the bus connects to, without credentials: for logs.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.endpoint.to_string()
    }

    fn reply_queue_spec(&self, partition: PartitionId) -> QueueSpec {
        // Its executions end with its node.
        let kind = self.options.reply_queue_kind;
        let kind = if partition.is_express() { kind.that_ends() } else { kind };
        QueueSpec::owned(self.reply_queue(partition), kind, &self.options.names)
    }

    fn links(&self) -> impl Iterator<Item = &Link> {
        [&self.publishing, &self.consuming].into_iter().chain(self.fetching.get())
    }

    fn shared(&self) -> consumer::Shared {
        consumer::Shared {
            runtime: self.runtime.clone(),
            link: self.consuming.clone(),
            requeue_delay: self.options.requeue_delay,
            sessions: self.sessions.clone(),
            consumers: self.consumers.clone(),
            lane: self.lanes[0].clone(),
            isolation: self.isolation.clone(),
            topology: self.topology.clone(),
        }
    }

    fn consume_with(&self, queue: QueueSpec, prefetch: u16, priority: Option<i32>) -> BoxStream<'static, Delivery> {
        // at once, not at the first poll: a task published after this call may be answered before that
        self.topology.want([Item::Queue(queue.clone())]);
        let standing = !self.options.names.is_aside(&queue.name);
        consumer::deliveries(self.shared(), queue, prefetch.max(1), priority, standing)
    }

    async fn publish_one(&self, to: Address, message: Message) -> Result<Publication, BusError> {
        if self.closing.load(Ordering::Acquire) {
            return Err(BusError::Closed);
        }
        if let Some(text) = codec::refusal(&to, &message, &self.endpoint.user()) {
            return Ok(Publication::Refused { text });
        }
        let _open = Open::count(self);
        if !self.topology.is_declared() {
            self.topology.declared().await;
        }
        if !self.exchanges.is_known(&to.exchange) {
            match self.exchanges.ask(&self.publishing, &to.exchange).await {
                Some(Ok(())) => {}
                Some(Err(fate)) => {
                    if !self.declare_missing(&to, &fate).await {
                        return Ok(fate);
                    }
                    self.exchanges.know(&to.exchange);
                }
                None => return Err(BusError::Closed),
            }
        }
        let job = Arc::new(Job { to, message });
        let until = Instant::now() + NACKED_WITHIN;
        let mut pause = NACKED_PAUSE;
        loop {
            let said = self.send(job.clone()).await?;
            // 312 and 404: a wanted queue or exchange was deleted meanwhile
            if self.declare_missing(&job.to, &said).await {
                return self.send(job).await;
            }
            let is_last = Instant::now() >= until || self.closing.load(Ordering::Acquire);
            if said != Publication::Nacked || is_last {
                return Ok(said);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(NACKED_PAUSE_MAX);
        }
    }

    async fn send(&self, job: Arc<Job>) -> Result<Publication, BusError> {
        let (answer, answered) = oneshot::channel();
        let lane = self.next_lane.fetch_add(1, Ordering::Relaxed) % self.lanes.len();
        self.lanes[lane].send(Errand { job, answer }).await.map_err(|_| BusError::Closed)?;
        answered.await.map_err(|_| BusError::Closed)
    }

    /// Declares again the wanted queue or exchange of this address; false where there is none. A queue that we consume
    /// is left to its stream: RabbitMQ silently moves a consumer of a deleted queue to a queue that is made at once
    /// under the same name, and some were seen to receive nothing there.
    async fn declare_missing(&self, to: &Address, said: &Publication) -> bool {
        let Publication::Unroutable { code, .. } = said else { return false };
        let missing = self.topology.missing(to, *code);
        if missing.is_empty() || (to.exchange.is_empty() && self.consumers.has(&to.routing_key)) {
            return false;
        }
        warn!(
            event = "broker.missing",
            exchange = to.exchange,
            queue = to.routing_key,
            "what the engine owns was deleted, declared again"
        );
        let Some(live) = self.consuming.live().await else { return false };
        matches!(self.topology.declare_all(&live, &missing).await, Ok(None))
    }

    /// Declares now, or after the reconnect where the broker cannot be reached within a moment.
    async fn declare_items(&self, items: Vec<Item>) -> Result<(), BusError> {
        // Publishes wait for wanted items, so nothing else must wait for queues of workers.
        if items.iter().all(Item::is_of_workers) {
            self.topology.want(items);
            return Ok(());
        }
        let attempt = async {
            loop {
                let Some(live) = self.consuming.live().await else { return Err(BusError::Closed) };
                match self.topology.declare_all(&live, &items).await {
                    Ok(None) => return Ok(()),
                    Ok(Some(refused)) => return Err(refused),
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        };
        let result = match tokio::time::timeout(UNAVAILABLE_AFTER, attempt).await {
            Ok(result) => result,
            Err(_) => Err(self.unavailable()),
        };
        // also refused items: they are tried again after a reconnect, or with rights that were given meanwhile
        if matches!(result, Ok(()) | Err(BusError::Unavailable(_))) {
            for item in &items {
                if let Item::Exchange(e) = item {
                    self.exchanges.know(&e.name);
                }
            }
        }
        self.topology.want(items);
        result
    }

    fn unavailable(&self) -> BusError {
        BusError::Unavailable(match self.health() {
            BusHealth::Down(why) | BusHealth::Blocked(why) => why,
            BusHealth::Up => "no answer".to_owned(),
        })
    }

    async fn get_one(&self, queue: &str) -> Result<Option<Delivery>, BusError> {
        if self.closing.load(Ordering::Acquire) {
            return Err(BusError::Closed);
        }
        let link = self
            .fetching
            .get_or_init(|| Link::start(&self.runtime, self.endpoint.clone(), Purpose::Get, &self.options));
        let one = self.getting.one(consumer::Shared { link: link.clone(), ..self.shared() }, queue);
        tokio::time::timeout(UNAVAILABLE_AFTER, one).await.unwrap_or_else(|_| Err(self.unavailable()))
    }

    /// On a channel of its own: a queue that is not there closes it.
    async fn look_at(&self, queue: &str) -> Result<Option<QueueView>, BusError> {
        let refused = |why: String| BusError::Refused { what: format!("a look at queue {queue}"), why };
        let name = codec::short("the queue name", queue).map_err(refused)?;
        let attempt = async {
            loop {
                let Some(live) = self.consuming.live().await else { return Err(BusError::Closed) };
                let counted = async {
                    let channel = live.channel().await?;
                    let options = QueueDeclareOptions::default().passive();
                    let answer =
                        live.answer(channel.queue_declare(name.clone(), options, FieldTable::default())).await?;
                    let _ = live.answer(channel.close(200, "OK".into())).await;
                    let (ready, consumers) = (u64::from(answer.message_count()), answer.consumer_count());
                    Ok(QueueView { ready, consumers })
                };
                match counted.await {
                    Ok(view) => return Ok(Some(view)),
                    Err(Trouble::Refused(NOT_FOUND, _)) => return Ok(None),
                    Err(Trouble::Refused(_, why)) => return Err(refused(why)),
                    Err(Trouble::Lost(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        };
        tokio::time::timeout(UNAVAILABLE_AFTER, attempt).await.unwrap_or_else(|_| Err(self.unavailable()))
    }

    async fn close_within(&self, within: Duration) {
        let until = tokio::time::Instant::now() + within;
        self.closing.store(true, Ordering::Release);
        // streams end, no new deliveries; settlements and confirms still travel
        self.consuming.close();
        if let Some(fetching) = self.fetching.get() {
            fetching.close();
        }
        self.getting.end();
        let mut sessions = self.sessions.subscribe();
        let quiet = async {
            let _ = sessions.wait_for(|n| *n == 0).await;
            loop {
                let answered = self.answered.notified();
                if self.open.load(Ordering::Acquire) == 0 {
                    return;
                }
                answered.await;
            }
        };
        let _ = tokio::time::timeout_at(until, quiet).await;
        self.publishing.close();
        for link in self.links() {
            link.shut();
            let mut states = link.states();
            // bounded by the link's own goodbye
            let _ =
                tokio::time::timeout(Duration::from_secs(1), states.wait_for(|s| matches!(s, State::Closing(None))))
                    .await;
        }
    }
}

impl Drop for AmqpBus {
    fn drop(&mut self) {
        for link in self.links() {
            link.close();
            link.shut();
        }
    }
}

/// Counts a publish for as long as it is open, however its future ends.
struct Open<'a>(&'a AmqpBus);

impl<'a> Open<'a> {
    fn count(bus: &'a AmqpBus) -> Self {
        bus.open.fetch_add(1, Ordering::AcqRel);
        Self(bus)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 && self.0.closing.load(Ordering::Acquire) {
            self.0.answered.notify_waiters();
        }
    }
}
