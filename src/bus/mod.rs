//! PORT: tasks out, replies in. RabbitMQ (`amqp`), or in this process (`embedded`). Both pass `contract.rs`.
//!
//! A bus moves messages and tells what the broker said of them; it knows no execution, no state and no token's meaning.
//! May enter: `ids`, `clock`, `limits`, `payload`. The wire form of a task and a reply is in `envelope`.

pub mod amqp;
#[cfg(test)]
mod contract;
pub mod embedded;
pub mod envelope;
mod facts;
mod mended;
mod message;
mod names;
pub mod parked;

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::ids::PartitionId;
use crate::limits;

pub use facts::{BusFacts, ConsumerFact, RefusedFact};
pub use mended::Mended;
pub use message::{Address, HeaderValue, Headers, Message, Properties, TaskHeaders, Text};
pub use names::{DEFAULT_PREFIX, HTTP_TASKS, Names};

/// The broker's answer to a publish. While the broker cannot be reached, a publish waits and is sent again; it never
/// fails for that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publication {
    /// Confirmed: it is in a queue.
    Confirmed,
    /// Mandatory, and no queue is bound (`basic.return`), or the exchange does not exist.
    Unroutable { code: u16, text: String },
    /// The broker refused it (`basic.nack`; over the length with `reject-publish`).
    Nacked,
    /// It cannot be sent at all (a header too long, a body over the broker's maximum). Trying again does not help.
    Refused { text: String },
}

/// A message that came in. It must be settled: [`Delivery::settle`] or dropped (then it comes again after a while).
#[derive(Debug)]
pub struct Delivery {
    pub message: Message,
    pub redelivered: bool,
    /// Set where the message could not be read as it came. Where it [`Mended::spoils`] the message, its taker refuses
    /// it: [`Delivery::unreadable`].
    pub mended: Option<Mended>,
    pub receipt: Box<dyn Receipt>,
}

/// How a delivery ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// Its effect is durable, or it was refused for good.
    Ack,
    /// It could not be handled now: it comes again after a while. A stream hands it out again by itself; the broker
    /// does not count that.
    Requeue,
}

/// Settles one delivery. Does not wait; a settlement that is lost with its connection means that the delivery comes
/// again.
pub trait Receipt: Send + fmt::Debug {
    fn settle(self: Box<Self>, settlement: Settlement);

    /// Gives it back with its message: a stream hands it out again by itself.
    fn give_back(self: Box<Self>, message: Message) {
        drop(message);
        self.settle(Settlement::Requeue);
    }
}

impl Delivery {
    /// Why this message must be refused whatever it says: it could not be read as it came.
    #[must_use]
    pub fn unreadable(&self) -> Option<String> {
        self.mended.filter(|mended| mended.spoils()).map(|mended| mended.to_string())
    }

    pub fn settle(self, settlement: Settlement) {
        match settlement {
            Settlement::Ack => self.receipt.settle(Settlement::Ack),
            Settlement::Requeue => self.receipt.give_back(self.message),
        }
    }
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum BusError {
    /// Not reachable now; the bus goes on trying.
    #[error("the broker cannot be reached: {0}")]
    Unavailable(String),
    /// The broker refuses a request (other arguments on an existing queue, no permission). A person must look.
    #[error("the broker refuses {what}: {why}")]
    Refused { what: String, why: String },
    #[error("{0}")]
    BadUrl(String),
    #[error("the bus is closed")]
    Closed,
}

/// Kind of a queue that the engine declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueKind {
    #[default]
    Quorum,
    Classic,
    /// Of a guest that leaves nothing behind: the broker deletes it soon after its last use. No setting names it.
    #[serde(skip)]
    Temporary,
    /// The same, replicated: a server among others hears the answers to its words in it, and those to its express
    /// executions, also after the loss of a broker's node. No setting names it.
    #[serde(skip)]
    OfNode,
}

impl QueueKind {
    /// The kind of the reply queues whose executions end with their server, where the others are of this kind.
    #[must_use]
    pub fn that_ends(self) -> Self {
        if self == Self::Quorum { Self::OfNode } else { Self::Temporary }
    }
}

/// The queues that definitions name: whether and how the engine declares them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeclareQueues {
    /// Durable, without arguments: a worker that declares its queue in the common way finds the same arguments.
    Auto,
    /// With the engine's kind and dead letters, as the queues of `bus.queues`.
    DeadLetters,
    #[default]
    Never,
}

/// A queue that the engine declares.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueSpec {
    pub name: String,
    pub kind: QueueKind,
    /// Exchange and routing key for dead letters.
    pub dead_letter: Option<Address>,
    pub max_length: Option<u32>,
    /// Messages beyond `max_length` are refused, and copies go here. Of a classic queue without `dead_letter` only.
    pub refused_to: Option<Address>,
    /// Beyond these the oldest messages are dropped. Not together with `max_length` or `dead_letter`, under which
    /// further messages are refused.
    pub drop_oldest: Option<Bounds>,
    pub message_ttl: Option<Duration>,
    pub delivery_limit: Option<u32>,
    /// An existing queue of this name is used as it is, whatever its arguments; nothing is said of them.
    pub only_if_missing: bool,
}

impl QueueSpec {
    /// A queue without bounds.
    #[must_use]
    pub const fn plain(name: String, kind: QueueKind) -> Self {
        Self {
            name,
            kind,
            dead_letter: None,
            max_length: None,
            refused_to: None,
            drop_oldest: None,
            message_ttl: None,
            delivery_limit: None,
            only_if_missing: false,
        }
    }

    /// A queue of tasks that a definition names; `None` where the engine declares none.
    #[must_use]
    pub fn of_tasks(name: String, how: DeclareQueues, kind: QueueKind, names: &Names) -> Option<Self> {
        let plain = match how {
            DeclareQueues::Never => return None,
            DeclareQueues::Auto => Self::plain(name, QueueKind::Classic),
            DeclareQueues::DeadLetters => Self {
                dead_letter: Some(Address { exchange: String::new(), routing_key: names.dead_letters() }),
                ..Self::plain(name, kind)
            },
        };
        Some(Self { only_if_missing: true, ..plain })
    }

    /// A queue that the engine consumes. What takes connections or processes with it, again and again, ends in the
    /// parking queue; only quorum queues count deliveries.
    #[must_use]
    pub fn owned(name: String, kind: QueueKind, names: &Names) -> Self {
        let counts = kind == QueueKind::Quorum;
        let parked = || Address { exchange: String::new(), routing_key: names.parked() };
        Self {
            dead_letter: counts.then(parked),
            delivery_limit: counts.then_some(limits::OWN_DELIVERY_LIMIT),
            ..Self::plain(name, kind)
        }
    }
}

/// The room of a queue; `None` is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    pub messages: Option<u32>,
    /// Of bodies.
    pub bytes: Option<u64>,
}

/// An exchange that the engine declares, durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeSpec {
    pub name: String,
    /// `topic`, `fanout`, `direct`.
    pub kind: &'static str,
}

/// A queue as the broker counts it at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueView {
    /// Messages that wait in it, those out to consumers not counted.
    pub ready: u64,
    pub consumers: u32,
}

/// Is the broker there?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusHealth {
    Up,
    /// The broker blocks publishers (memory or disk alarm); replies still come in.
    Blocked(String),
    Down(String),
}

/// Tasks out, replies in.
pub trait TaskBus: Send + Sync + fmt::Debug {
    /// Publishes persistent, `mandatory`, and waits for the broker's word. Pipelined: many may be under way at once.
    /// While the broker is away it waits and sends again after the reconnect (the same message: a consumer may see it
    /// twice).
    fn publish(&self, to: Address, message: Message) -> BoxFuture<'_, Result<Publication, BusError>>;

    /// Names of the queues and exchanges that the engine owns here.
    fn names(&self) -> &Names {
        Names::shipped()
    }

    /// The queue in which replies for this partition arrive: what goes into `reply_to`.
    fn reply_queue(&self, partition: PartitionId) -> String {
        self.names().replies(partition)
    }

    /// Replies of a partition. Goes on over reconnects (unsettled deliveries come again, `redelivered`); ends when the
    /// bus closes, or when it is dropped. One caller per partition in this process. Of consumers in several processes
    /// the one with the highest `priority` gets all that is new, as long as it takes it.
    fn replies(&self, partition: PartitionId, priority: i32) -> BoxStream<'static, Delivery>;

    /// Deliveries that one stream of replies has out unsettled at most.
    fn reply_prefetch(&self) -> u16 {
        crate::limits::REPLY_PREFETCH
    }

    /// Declares and consumes any queue (activities, `reveille.start`, dead letters), with a prefetch.
    fn consume(&self, queue: QueueSpec, prefetch: u16) -> BoxStream<'static, Delivery>;

    /// Declares what the engine owns; remembered, and declared again after each reconnect.
    fn declare(
        &self,
        exchanges: Vec<ExchangeSpec>,
        queues: Vec<QueueSpec>,
        bindings: Vec<(QueueSpec, Address)>,
    ) -> BoxFuture<'_, Result<(), BusError>>;

    /// Takes one message from a queue, if there is one (`basic.get`).
    fn get(&self, queue: &str) -> BoxFuture<'_, Result<Option<Delivery>, BusError>>;

    /// The messages and consumers of a queue; `None`: there is no such queue.
    ///
    /// Asked where deliveries come in: messages that were on their way to this process have come in before the answer.
    fn look(&self, queue: &str) -> BoxFuture<'_, Result<Option<QueueView>, BusError>>;

    /// [`QueueView::ready`] of a queue.
    fn waiting(&self, queue: &str) -> BoxFuture<'_, Result<Option<u64>, BusError>> {
        let queue = queue.to_owned();
        Box::pin(async move { Ok(self.look(&queue).await?.map(|view| view.ready)) })
    }

    /// [`QueueView::consumers`] of a queue.
    fn consumers(&self, queue: &str) -> BoxFuture<'_, Result<Option<u32>, BusError>> {
        let queue = queue.to_owned();
        Box::pin(async move { Ok(self.look(&queue).await?.map(|view| view.consumers)) })
    }

    /// Waits until all that was asked for until now is declared: true; or until the broker could not be reached: false
    /// (all of it is declared once it can be).
    fn declared(&self) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(true))
    }

    fn health(&self) -> BusHealth;

    /// Further facts of the bus, now: queues with and without a consumer, refusals of the broker, counts. [`BusFacts`]
    /// says how readiness and metrics read them.
    fn facts(&self) -> BusFacts {
        BusFacts::default()
    }

    /// True where queues outlive this process. Where they do not, recovery publishes every open task again.
    fn is_durable(&self) -> bool;

    /// Stops consuming, waits for outstanding confirms and settlements up to `within`, closes.
    fn close(&self, within: Duration) -> BoxFuture<'_, ()>;
}
