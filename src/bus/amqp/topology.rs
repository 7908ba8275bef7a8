//! The engine's own exchanges, queues and bindings on the broker. Remembered, and declared again on each new
//! connection before anything is published on it: a reply to a queue that is not there is lost without a word.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{Channel, ExchangeKind};
use tokio::sync::{Notify, watch};
use tracing::{debug, error, info, warn};

use super::codec::short;
use super::reconnect::{Link, Live, State, Trouble};
use crate::bus::{Address, BusError, ExchangeSpec, QueueKind, QueueSpec, RefusedFact};

/// A temporary queue goes after this: longer than a broker takes to restart and a consumer to come back.
const TEMPORARY_UNUSED_MS: i64 = 120_000;

/// `basic.return`: the exchange is there, and no queue is bound for this key.
const NO_ROUTE: u16 = 312;

/// One thing to declare.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Exchange(ExchangeSpec),
    Queue(QueueSpec),
    Binding(String, Address),
}

impl Item {
    fn what(&self) -> String {
        match self {
            Self::Exchange(e) => format!("exchange {}", e.name),
            Self::Queue(q) => format!("queue {}", q.name),
            Self::Binding(queue, from) => format!("binding of queue {queue} to exchange {}", from.exchange),
        }
    }

    /// A queue that belongs to its workers.
    pub(super) fn is_of_workers(&self) -> bool {
        matches!(self, Self::Queue(queue) if queue.only_if_missing)
    }
}

/// Everything that was ever asked for, in order.
#[derive(Debug)]
pub(super) struct Topology {
    wanted: Mutex<Wanted>,
    news: Notify,
    /// All of it is there, as far as the broker lets it be. Publishes wait for it.
    declared: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Wanted {
    items: Vec<Item>,
    known: HashSet<String>,
    /// The refusals of the broker now, by item.
    refused: BTreeMap<String, RefusedFact>,
    /// Queues of workers that are not there and that the engine may not make. Their workers make them.
    left: HashSet<String>,
}

impl Topology {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { wanted: Mutex::default(), news: Notify::new(), declared: watch::Sender::new(false) })
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers items. Publishes wait until new items have been declared.
    pub(super) fn want(&self, items: impl IntoIterator<Item = Item>) {
        let mut wanted = self.lock();
        let before = wanted.items.len();
        for item in items {
            if wanted.known.insert(format!("{item:?}")) {
                wanted.items.push(item);
            }
        }
        if wanted.items.len() > before {
            self.declared.send_replace(false);
            self.news.notify_one();
        }
    }

    /// The wanted items of this name that could be declared, where a publish has found them missing. Nothing where the
    /// broker has refused them.
    ///
    /// `code` says which part the broker missed: 404 the exchange, 312 a queue behind it. An exchange without a queue
    /// is no loss.
    pub(super) fn missing(&self, to: &Address, code: u16) -> Vec<Item> {
        let wanted = self.lock();
        let is_it = |item: &&Item| match item {
            Item::Queue(queue) => to.exchange.is_empty() && queue.name == to.routing_key,
            Item::Exchange(exchange) => exchange.name == to.exchange && code != NO_ROUTE,
            Item::Binding(_, from) => !to.exchange.is_empty() && from.exchange == to.exchange,
        };
        let is_refused = |what: &str| wanted.refused.contains_key(what) || wanted.left.contains(what);
        wanted.items.iter().filter(is_it).filter(|item| !is_refused(&item.what())).cloned().collect()
    }

    pub(super) fn refused(&self) -> Vec<RefusedFact> {
        self.lock().refused.values().cloned().collect()
    }

    /// Declared by the stream that consumes it: a refusal before that is over.
    pub(super) fn is_there(&self, item: &Item) {
        self.lock().refused.remove(&item.what());
    }

    pub(super) fn is_declared(&self) -> bool {
        *self.declared.borrow()
    }

    pub(super) async fn declared(&self) {
        // the sender lives in `self`: it cannot be closed
        let _ = self.declared.subscribe().wait_for(|d| *d).await;
    }

    /// Keeps the broker as it is wanted, over all connections.
    pub(super) async fn keep(self: Arc<Self>, link: Link) {
        while let Some(live) = link.live().await {
            let mut states = link.states();
            let mut done = 0;
            loop {
                let pending: Vec<Item> = self.lock().items[done..].to_vec();
                done += pending.len();
                if self.declare_all(&live, &pending).await.is_err() {
                    break;
                }
                {
                    let wanted = self.lock();
                    if wanted.items.len() > done {
                        continue;
                    }
                    self.declared.send_replace(true);
                }
                let gone = states.wait_for(|s| !matches!(s, State::Up(now) if Arc::ptr_eq(now, &live)));
                tokio::select! {
                    () = self.news.notified() => {}
                    _ = gone => break,
                }
            }
            self.declared.send_replace(false);
            // the link notices a lost connection a moment after a request on it has failed
            let _ = tokio::time::timeout(
                std::time::Duration::from_secs(1),
                states.wait_for(|s| !matches!(s, State::Up(now) if Arc::ptr_eq(now, &live))),
            )
            .await;
        }
        // closing: messages in progress may go out
        self.declared.send_replace(true);
    }

    /// Declares one after the other. Each stands alone: what the broker refuses is told and passed over, so that it
    /// holds up nothing else. The first refusal of something that is not there.
    pub(super) async fn declare_all(&self, live: &Live, items: &[Item]) -> Result<Option<BusError>, Trouble> {
        if items.is_empty() {
            return Ok(None);
        }
        let mut channel = live.channel().await?;
        let (mut first, mut there) = (None, 0);
        for item in items {
            let asked = match item {
                Item::Queue(queue) if queue.only_if_missing => match look(live, &channel, &queue.name).await {
                    Err(Trouble::Refused(..)) => {
                        channel = live.channel().await?;
                        declare(live, &channel, item).await
                    }
                    there_or_lost => there_or_lost,
                },
                _ => declare(live, &channel, item).await,
            };
            match asked {
                Ok(()) => {
                    there += 1;
                    self.lock().refused.remove(&item.what());
                }
                Err(Trouble::Refused(code, why)) => {
                    let exists = exists(live, item).await?;
                    // without the right to make a queue, the queue that its owner has made is as good
                    let is_fine = exists && (matches!(code, 403 | 405) || item.is_of_workers());
                    if item.is_of_workers() && !exists {
                        self.leave(item, code, &why);
                    } else if is_fine {
                        there += 1;
                        self.lock().refused.remove(&item.what());
                        debug!(event = "broker.kept", what = item.what(), reason = why, "used as it is ({code})");
                    } else {
                        self.tell(item, code, &why, exists);
                        first.get_or_insert(BusError::Refused { what: item.what(), why });
                    }
                    channel = live.channel().await?;
                }
                Err(lost) => return Err(lost),
            }
        }
        let _ = live.answer(channel.close(200, "OK".into())).await;
        info!(event = "broker.declared", count = there, "exchanges, queues and bindings declared");
        Ok(first)
    }

    /// Told once. The task that finds no queue says so again.
    fn leave(&self, item: &Item, code: u16, reason: &str) {
        let what = item.what();
        if self.lock().left.insert(what.clone()) {
            warn!(
                event = "broker.left",
                what,
                reason,
                "the broker refuses to declare a queue of tasks ({code}); its worker or its owner makes it"
            );
        }
    }

    /// Once for each reason, not once for each connection.
    fn tell(&self, item: &Item, code: u16, why: &str, exists: bool) {
        let fact = RefusedFact { what: item.what(), code, why: why.to_owned() };
        if self.lock().refused.insert(item.what(), fact.clone()).as_ref() == Some(&fact) {
            return;
        }
        let (what, reason) = (fact.what, why);
        if exists {
            // declared by an older version, or by its owner with arguments of his own: what waits in it counts for more
            warn!(
                event = "broker.refused",
                what,
                reason,
                "it has other arguments, used as it is ({code}); a policy can give a quorum queue the limits of this \
                 version, or it is deleted when it is empty: docs/OPERATING-BROKER.md"
            );
        } else {
            error!(event = "broker.refused", what, reason, "broker refuses a declaration ({code})");
        }
    }
}

/// Asks for a queue and makes nothing. A refusal ends the channel.
async fn look(live: &Live, channel: &Channel, queue: &str) -> Result<(), Trouble> {
    let name = short("a queue name", queue).map_err(|why| Trouble::Refused(0, why))?;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    live.answer(channel.queue_declare(name, options, FieldTable::default())).await.map(|_| ())
}

/// Whether it is there, where the broker lets us look. A channel to throw away: a refusal ends it.
async fn exists(live: &Live, item: &Item) -> Result<bool, Trouble> {
    let channel = live.channel().await?;
    let asked = match item {
        Item::Exchange(e) => {
            let Ok(name) = short("an exchange name", &e.name) else { return Ok(false) };
            let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
            live.answer(channel.exchange_declare(name, ExchangeKind::Direct, options, FieldTable::default())).await
        }
        Item::Queue(q) => look(live, &channel, &q.name).await,
        Item::Binding(..) => return Ok(false),
    };
    match asked {
        Ok(()) => {
            let _ = live.answer(channel.close(200, "OK".into())).await;
            Ok(true)
        }
        Err(Trouble::Refused(..)) => Ok(false),
        Err(lost) => Err(lost),
    }
}

pub(super) async fn declare(live: &Live, channel: &Channel, item: &Item) -> Result<(), Trouble> {
    let name = |what: &str, text: &str| short(what, text).map_err(|why| Trouble::Refused(0, why));
    match item {
        Item::Exchange(e) => {
            let kind = match e.kind {
                "topic" => ExchangeKind::Topic,
                "fanout" => ExchangeKind::Fanout,
                "direct" => ExchangeKind::Direct,
                "headers" => ExchangeKind::Headers,
                other => ExchangeKind::Custom(other.to_owned()),
            };
            let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
            let request =
                channel.exchange_declare(name("an exchange name", &e.name)?, kind, options, FieldTable::default());
            live.answer(request).await
        }
        Item::Queue(q) => {
            let _turn = live.declaring.lock().await;
            let request =
                channel.queue_declare(name("a queue name", &q.name)?, QueueDeclareOptions::durable(), arguments(q));
            live.answer(request).await.map(|_| ())
        }
        Item::Binding(queue, from) => {
            let request = channel.queue_bind(
                name("a queue name", queue)?,
                name("an exchange name", &from.exchange)?,
                name("a routing key", &from.routing_key)?,
                QueueBindOptions::default(),
                FieldTable::default(),
            );
            live.answer(request).await
        }
    }
}

/// Arguments of `queue.declare`. A queue with a length or with dead letters refuses messages beyond its length
/// (`reject-publish`): a nack tells the engine, while the default drops the oldest task, and only so are dead letters
/// handed over with confirms (`at-least-once`).
fn arguments(q: &QueueSpec) -> FieldTable {
    let mut table = FieldTable::default();
    let mut put = |key: &str, value: AMQPValue| {
        if let Ok(key) = ShortString::try_new(key) {
            table.insert(key, value);
        }
    };
    let text = |t: &str| AMQPValue::LongString(LongString::from(t));
    // `classic` goes unsaid: a worker that declares the queue plainly, as most do, would be refused over the difference
    if matches!(q.kind, QueueKind::Quorum | QueueKind::OfNode) {
        put("x-queue-type", text("quorum"));
    }
    if matches!(q.kind, QueueKind::Temporary | QueueKind::OfNode) {
        put("x-expires", AMQPValue::LongLongInt(TEMPORARY_UNUSED_MS));
    }
    if let Some(dead) = q.dead_letter.as_ref().or(q.refused_to.as_ref()) {
        put("x-dead-letter-exchange", text(&dead.exchange));
        put("x-dead-letter-routing-key", text(&dead.routing_key));
        if q.kind == QueueKind::Quorum {
            put("x-dead-letter-strategy", text("at-least-once"));
        }
    }
    if let Some(max) = q.max_length {
        put("x-max-length", AMQPValue::LongLongInt(i64::from(max)));
    }
    if let Some(most) = &q.drop_oldest {
        if let Some(messages) = most.messages {
            put("x-max-length", AMQPValue::LongLongInt(i64::from(messages)));
        }
        if let Some(bytes) = most.bytes {
            put("x-max-length-bytes", AMQPValue::LongLongInt(i64::try_from(bytes).unwrap_or(i64::MAX)));
        }
        put("x-overflow", text("drop-head"));
    } else if q.refused_to.is_some() {
        put("x-overflow", text("reject-publish-dlx"));
    } else if q.max_length.is_some() || (q.dead_letter.is_some() && q.kind == QueueKind::Quorum) {
        put("x-overflow", text("reject-publish"));
    }
    if let Some(ttl) = q.message_ttl {
        put(
            "x-message-ttl",
            AMQPValue::LongLongInt(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX).min(i64::from(u32::MAX))),
        );
    }
    // a classic queue has none, and 3.10 refuses the argument there
    if let (Some(limit), QueueKind::Quorum) = (q.delivery_limit, q.kind) {
        put("x-delivery-limit", AMQPValue::LongLongInt(i64::from(limit)));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Bounds;

    #[test]
    fn an_exchange_that_nobody_listens_to_is_not_missing() {
        let topology = Topology::new();
        let exchange = |name: &str| Item::Exchange(ExchangeSpec { name: name.to_owned(), kind: "topic" });
        let to = |exchange: &str, key: &str| Address { exchange: exchange.to_owned(), routing_key: key.to_owned() };
        topology.want([exchange("events"), exchange("bound"), Item::Binding("q".to_owned(), to("bound", "#"))]);
        let missing = |exchange: &str, code: u16| topology.missing(&to(exchange, "k"), code).len();
        assert_eq!((missing("events", 312), missing("events", 404)), (0, 1));
        assert_eq!((missing("bound", 312), missing("bound", 404)), (1, 2));
        assert_eq!((missing("theirs", 404), missing("", 312)), (0, 0));
    }

    #[test]
    fn arguments_say_what_the_spec_says() {
        let spec = QueueSpec {
            name: "q".into(),
            kind: QueueKind::Quorum,
            dead_letter: Some(Address { exchange: "dlx".into(), routing_key: "dead".into() }),
            max_length: Some(10),
            refused_to: None,
            drop_oldest: None,
            message_ttl: Some(std::time::Duration::from_secs(2)),
            delivery_limit: Some(5),
            only_if_missing: false,
        };
        let keys = |spec: &QueueSpec| arguments(spec).inner().keys().map(|k| k.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(
            keys(&spec),
            [
                "x-dead-letter-exchange",
                "x-dead-letter-routing-key",
                "x-dead-letter-strategy",
                "x-delivery-limit",
                "x-max-length",
                "x-message-ttl",
                "x-overflow",
                "x-queue-type"
            ]
        );
        let parking = QueueSpec {
            drop_oldest: Some(Bounds { messages: Some(5), bytes: Some(6) }),
            ..QueueSpec::plain("p".into(), QueueKind::Classic)
        };
        assert_eq!(keys(&parking), ["x-max-length", "x-max-length-bytes", "x-overflow"]);
        assert_eq!(
            arguments(&parking).inner().get("x-overflow"),
            Some(&AMQPValue::LongString(LongString::from("drop-head")))
        );
        let classic = QueueSpec { kind: QueueKind::Classic, max_length: None, ..spec };
        assert_eq!(keys(&classic), ["x-dead-letter-exchange", "x-dead-letter-routing-key", "x-message-ttl"]);
        let temporary = QueueSpec { kind: QueueKind::Temporary, dead_letter: None, message_ttl: None, ..classic };
        assert_eq!(keys(&temporary), ["x-expires"]);
        assert_eq!(keys(&QueueSpec { kind: QueueKind::OfNode, ..temporary }), ["x-expires", "x-queue-type"]);
    }

    #[test]
    fn what_is_wanted_is_remembered_once_and_holds_up_publishes_until_declared() {
        let topology = Topology::new();
        let item = || Item::Exchange(ExchangeSpec { name: "e".into(), kind: "topic" });
        topology.declared.send_replace(true);
        topology.want([item(), item()]);
        assert!(!topology.is_declared());
        assert_eq!(topology.wanted.lock().expect("lock").items.len(), 1);
        topology.declared.send_replace(true);
        topology.want([item()]);
        assert!(topology.is_declared());
    }
}
