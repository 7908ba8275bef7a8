//! Deliveries in. A stream goes on over reconnects, with a [`Session`] for each connection; it drives the consumer
//! itself (no task between the socket and its reader). Where connections end at one of its messages it goes on a
//! connection of its own until that is over (`isolation`).

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt, unfold};
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Consumer};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::codec::{self, short};
use super::consumers::{Consumers, Entry};
use super::isolation::{Apart, Claim, Isolation, reject_first};
use super::plants;
use super::publisher::{Errand, Job};
use super::reconnect::{Link, Live, State, Trouble};
use super::session::Session;
use super::suspects::{Case, Course, News};
use super::topology::{Item, Topology, declare};
use crate::bus::{Address, Delivery, Message, QueueSpec};

/// Between attempts to consume from a queue that the broker does not let us have.
const RETRY: Duration = Duration::from_secs(2);
/// A queue that is apart gave nothing for so long: what ended the connections is gone.
const QUIET: Duration = Duration::from_secs(2);

/// The parts that all consumers of a bus share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) runtime: Handle,
    pub(super) link: Link,
    pub(super) requeue_delay: Duration,
    /// Sessions that have settlements to tell; `close` waits for none.
    pub(super) sessions: Arc<watch::Sender<usize>>,
    pub(super) consumers: Arc<Consumers>,
    /// Publishes deliveries that were held too long.
    pub(super) lane: mpsc::Sender<Errand>,
    pub(super) isolation: Arc<Isolation>,
    pub(super) topology: Arc<Topology>,
}

/// The deliveries of `queue`, until the bus closes.
pub(super) fn deliveries(
    shared: Shared,
    queue: QueueSpec,
    prefetch: u16,
    priority: Option<i32>,
    standing: bool,
) -> BoxStream<'static, Delivery> {
    let (states, main) = (shared.link.states(), shared.link.states());
    let entry = shared.consumers.enter(&queue.name, standing);
    let consuming = Consuming { shared, main, states, queue, prefetch, priority, entry, current: None, apart: None };
    unfold(consuming, |mut c| async move { c.next().await.map(|delivery| (delivery, c)) }).boxed()
}

struct Consuming {
    shared: Shared,
    /// States of the connection that all share, and of the connection in use: mostly the same.
    main: watch::Receiver<State>,
    states: watch::Receiver<State>,
    queue: QueueSpec,
    prefetch: u16,
    /// `x-priority`: among the consumers of several processes.
    priority: Option<i32>,
    entry: Entry,
    current: Option<(Session, Consumer)>,
    apart: Option<Apart>,
}

impl Consuming {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            if self.current.is_none() {
                self.current = Some(self.open().await?);
            }
            let (session, consumer) = self.current.as_mut()?;
            if let Some(delivery) = session.again(&self.shared, &self.queue.name) {
                return Some(delivery);
            }
            let due = session.due();
            let is_apart = self.apart.is_some();
            let why = tokio::select! {
                biased;
                delivery = consumer.next() => match delivery {
                    Some(Ok(delivery)) => {
                        let delivery = session.delivery(delivery);
                        if is_apart {
                            let window = usize::from(self.prefetch);
                            self.step(|case| case.came(window));
                        }
                        return Some(delivery);
                    }
                    Some(Err(error)) => error.to_string(),
                    // the queue was deleted, its leader moved, or an unsettled delivery grew too old
                    None => "cancelled by the broker".to_owned(),
                },
                () = session.held() => continue,
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => continue,
                changed = self.states.changed() => match &*self.states.borrow() {
                    _ if changed.is_err() => return None,
                    State::Closing(_) => {
                        self.current = None;
                        return None;
                    }
                    State::Up(now) if Arc::ptr_eq(now, &session.live) => continue,
                    _ => "connection lost".to_owned(),
                },
                () = closing(&mut self.main), if is_apart => {
                    self.current = None;
                    return None;
                }
                () = tokio::time::sleep(QUIET), if is_apart => {
                    if session.is_idle() {
                        self.step(Case::quiet);
                    }
                    continue;
                }
            };
            self.entry.trouble(&why);
            warn!(event = "consumer.lost", queue = self.queue.name, reason = why, "consumer ended, consuming again");
            if let Some((session, _)) = self.current.take() {
                self.judge(&session.live, session.channel.id()).await;
            }
        }
    }

    /// After the end of a connection: looks at the messages that were on their way to this consumer, on this channel.
    async fn judge(&mut self, live: &Live, channel: u16) {
        if live.connection.status().connected() {
            return;
        }
        let arriving = live.marks.left(channel);
        let alone = match &self.apart {
            Some(apart) => apart.was_alone(&self.shared.link).await,
            None => false,
        };
        self.shared.isolation.died(&self.queue.name, &arriving, alone, usize::from(self.prefetch));
        // each connection of its own is a new one
        self.apart = None;
    }

    /// A step of this queue, which is apart; where it goes another way now, the consumer goes with it.
    fn step(&mut self, step: impl FnOnce(&mut Case) -> News) {
        let course = self.shared.isolation.step(&self.queue.name, step);
        if self.apart.as_ref().is_some_and(|apart| apart.course != course) {
            (self.current, self.apart) = (None, None);
        }
    }

    /// A consumer on the next connection that gives one; `None` when the bus closes.
    async fn open(&mut self) -> Option<(Session, Consumer)> {
        let mut said = None;
        loop {
            let (shared, prefetch) = self.place().await?;
            let live = tokio::select! {
                live = shared.link.live() => live?,
                () = closing(&mut self.main) => return None,
            };
            match self.attempt(&shared, live, prefetch).await {
                Ok(opened) => {
                    self.entry.active();
                    return Some(opened);
                }
                Err(trouble) => {
                    self.entry.trouble(trouble.text());
                    if said.as_ref() != Some(&trouble) {
                        warn!(
                            event = "consumer.refused",
                            queue = self.queue.name,
                            reason = trouble.text(),
                            "cannot consume, trying on"
                        );
                    }
                    // a lost connection is noticed by its link within a moment; a refusal lasts until a person has
                    // looked
                    tokio::time::sleep(if matches!(trouble, Trouble::Lost(_)) { RETRY / 20 } else { RETRY }).await;
                    said = Some(trouble);
                }
            }
        }
    }

    /// Where this queue is consumed now, and how many deliveries at once.
    async fn place(&mut self) -> Option<(Shared, u16)> {
        loop {
            if self.apart.is_none() {
                match self.shared.isolation.claim(&self.queue.name) {
                    Claim::Together => {
                        self.states = self.shared.link.states();
                        return Some((self.shared.clone(), self.prefetch));
                    }
                    Claim::Apart(taken, course) => self.apart = Some(Apart::open(&self.shared, taken, course)),
                    Claim::Wait => {
                        // another stream of ours hears it
                        self.entry.active();
                        tokio::select! {
                            () = self.shared.isolation.changes() => {}
                            () = closing(&mut self.main) => return None,
                        }
                        continue;
                    }
                }
            }
            let apart = self.apart.as_ref()?;
            self.states = apart.lone.link.states();
            if apart.course != Course::Reject {
                let (link, sessions) = (apart.lone.link.clone(), apart.lone.sessions.clone());
                return Some((Shared { link, sessions, ..self.shared.clone() }, 1));
            }
            self.reject().await?;
        }
    }

    /// Rejects the first message of this queue, which cannot come in.
    async fn reject(&mut self) -> Option<()> {
        let link = self.apart.as_ref()?.lone.link.clone();
        let live = tokio::select! {
            live = link.live() => live?,
            () = closing(&mut self.main) => return None,
        };
        if let Ok(queue) = short("a queue name", &self.queue.name)
            && let Some(came) = reject_first(&live, queue).await
        {
            self.send_back(codec::message(came.data, &came.properties)).await;
        }
        let window = usize::from(self.prefetch);
        self.shared.isolation.step(&self.queue.name, |case| {
            case.rejected(window);
            News::default()
        });
        self.apart = None;
        Some(())
    }

    /// It came in all the same, and is rejected: it goes to the end of its queue.
    async fn send_back(&self, mut message: Message) {
        let to = Address { exchange: String::new(), routing_key: self.queue.name.clone() };
        // the broker would refuse a user id that is not ours
        message.properties.user_id = None;
        if codec::refusal(&to, &message, "").is_none() {
            let (answer, answered) = oneshot::channel();
            let _ = self.shared.lane.send(Errand { job: Arc::new(Job { to, message }), answer }).await;
            let _ = answered.await;
        }
    }

    async fn attempt(
        &mut self,
        shared: &Shared,
        live: Arc<Live>,
        prefetch: u16,
    ) -> Result<(Session, Consumer), Trouble> {
        let (answer, answered) = oneshot::channel();
        let (queue, priority) = (self.queue.clone(), self.priority);
        let opening = Opening { shared: shared.clone(), live: live.clone(), queue, priority, prefetch };
        // A stream that is dropped meanwhile would leave a consumer behind, and deliveries that no code here knows.
        shared.runtime.spawn(async move {
            // Dropped where the stream is gone: the session ends the consumer.
            let _ = answer.send(opening.consumer().await);
        });
        let opened = answered.await.unwrap_or_else(|_| Err((Trouble::Lost("this process ends".to_owned()), None)));
        match opened {
            Ok(opened) => Ok(opened),
            Err((trouble, channel)) => {
                if let Some(channel) = channel {
                    // the first deliveries come with the answer
                    self.judge(&live, channel).await;
                }
                Err(trouble)
            }
        }
    }
}

/// A consumer that is being opened on a connection.
struct Opening {
    shared: Shared,
    live: Arc<Live>,
    queue: QueueSpec,
    priority: Option<i32>,
    prefetch: u16,
}

impl Opening {
    /// # Errors
    /// With the channel, where deliveries may have been on their way.
    async fn consumer(self) -> Result<(Session, Consumer), (Trouble, Option<u16>)> {
        let (channel, queue) = self.channel().await.map_err(|trouble| (trouble, None))?;
        let mut arguments = FieldTable::default();
        if let Some(priority) = self.priority.filter(|_| !plants::is_planted("priority")) {
            arguments.insert("x-priority".into(), AMQPValue::LongInt(priority));
        }
        let request = channel.basic_consume(queue, "".into(), BasicConsumeOptions::default(), arguments);
        let consumer = self.live.answer(request).await.map_err(|trouble| (trouble, Some(channel.id())))?;
        debug!(queue = self.queue.name, self.prefetch, "consuming");
        let own = Some((consumer.tag(), self.prefetch));
        Ok((Session::new(&self.shared, self.live, channel, own), consumer))
    }

    /// A channel with the prefetch, and the name of the queue, which is there.
    async fn channel(&self) -> Result<(Channel, ShortString), Trouble> {
        let Self { shared, live, .. } = self;
        let mut channel = live.channel().await?;
        let queue = short("a queue name", &self.queue.name).map_err(|why| Trouble::Refused(0, why))?;
        let item = Item::Queue(self.queue.clone());
        match declare(live, &channel, &item).await {
            Ok(()) => shared.topology.is_there(&item),
            // Other arguments, or no right to declare: an existing queue is consumed as it is. `topology` logs it.
            Err(Trouble::Refused(403 | 405 | 406, _)) => channel = live.channel().await?,
            Err(trouble) => return Err(trouble),
        }
        live.answer(channel.basic_qos(self.prefetch, BasicQosOptions::default())).await?;
        Ok((channel, queue))
    }
}

/// Waits until the bus closes.
async fn closing(main: &mut watch::Receiver<State>) {
    let _ = main.wait_for(|state| matches!(state, State::Closing(_))).await;
}
