//! Settlements of one channel. Each connection has its own [`Session`] (channel, tracker). A receipt settles in the
//! session it came from, so a receipt of an old connection touches nothing. A task per session tells the broker.
//!
//! A delivery that could not be handled now is held here and handed out again after a while. The broker does not learn
//! of it, so it counts no delivery where the message has no fault, and a delivery limit ends only messages that take
//! connections or processes with them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicNackOptions};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;
use tracing::debug;

use super::acks::Tracker;
use super::codec;
use super::consumer::Shared;
use super::plants;
use super::publisher::{Errand, Job};
use super::reconnect::{Live, State};
use crate::bus::{Address, Delivery, Mended, Message, Publication, Receipt, Settlement};

/// Acks gather for so long. Each `basic.ack` on a quorum queue is a command in its Raft log, so few that speak for many
/// spare the broker more than they delay: with eight reply queues and 6,000 replies a second one speaks for some
/// twenty.
const ACK_IDLE: Duration = Duration::from_millis(25);
/// So many settled deliveries are acked at once, without waiting; half of the prefetch where that is less, so that its
/// window stays open.
const ACK_COUNT: usize = 128;
/// Settled deliveries behind an open one are acked one by one at the latest after this.
const STRAY_AGE: Duration = Duration::from_millis(100);
/// A delivery that was held for so long goes to the end of its queue as a new message: RabbitMQ closes the channel of a
/// delivery that is unacknowledged for 30 minutes, and counts that.
const HELD_MAX: Duration = Duration::from_mins(10);
/// A stream was dropped: its deliveries that are still being handled may be settled for so long before its channel
/// closes.
const LINGER: Duration = Duration::from_secs(30);

/// A delivery that is handed out again at its time.
#[derive(Debug)]
struct Held {
    due: Instant,
    tag: u64,
    since: Instant,
    message: Message,
    mended: Option<Mended>,
}

/// The settlements of one channel.
#[derive(Debug)]
pub(super) struct Settlements {
    state: Mutex<Settling>,
    /// Something was settled.
    some: Notify,
    /// Enough was settled, or the end is near: do not gather any longer.
    enough: Notify,
    /// So many are enough.
    ack_count: usize,
    requeue_delay: Duration,
    /// A stream hands out held deliveries again. Without a stream (`basic.get`) they go back to the broker.
    streams: bool,
    /// Something is held.
    held: Notify,
}

#[derive(Debug, Default)]
struct Settling {
    tracker: Tracker,
    /// Deliveries to give back, and when; in order.
    giving_back: VecDeque<(Instant, u64)>,
    /// Deliveries to hand out again, and when; in order.
    held: VecDeque<Held>,
    /// The stream is gone: settle open deliveries, then end.
    closed: bool,
}

impl Settlements {
    fn lock(&self) -> MutexGuard<'_, Settling> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a delivery, to hand it out again after a while; without a stream it is given back.
    fn hold(&self, tag: u64, since: Instant, message: Message, mended: Option<Mended>) {
        let mut state = self.lock();
        if state.closed || !self.streams {
            drop(state);
            self.settle(tag, Settlement::Requeue);
            return;
        }
        // at once it would come at once: a hot loop while whatever is wrong stays wrong
        state.held.push_back(Held { due: Instant::now() + self.requeue_delay, tag, since, message, mended });
        drop(state);
        self.held.notify_one();
    }

    /// When the first of the held is due.
    fn due(&self) -> Option<Instant> {
        self.lock().held.front().map(|held| held.due)
    }

    fn take_held(&self, now: Instant) -> Option<Held> {
        let mut state = self.lock();
        if state.held.front().is_some_and(|held| held.due <= now) { state.held.pop_front() } else { None }
    }

    fn settle(&self, tag: u64, settlement: Settlement) {
        let mut state = self.lock();
        match settlement {
            Settlement::Ack => {
                let settled = state.tracker.ack(tag);
                if settled == 1 {
                    self.some.notify_one();
                }
                if settled == self.ack_count {
                    self.enough.notify_one();
                }
            }
            Settlement::Requeue => {
                if state.tracker.give_back(tag) {
                    // at once it would come at once: a hot loop while whatever is wrong stays wrong
                    state.giving_back.push_back((Instant::now() + self.requeue_delay, tag));
                    self.some.notify_one();
                }
            }
        }
        if state.closed {
            self.enough.notify_one();
            self.some.notify_one();
        }
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let now = Instant::now();
        for held in std::mem::take(&mut state.held) {
            if state.tracker.give_back(held.tag) {
                state.giving_back.push_back((now, held.tag));
            }
        }
        drop(state);
        self.some.notify_one();
        self.enough.notify_one();
    }
}

/// Settles in the session that it came from.
struct AmqpReceipt {
    settlements: Arc<Settlements>,
    tag: u64,
    /// When the broker delivered it.
    since: Instant,
    mended: Option<Mended>,
    settled: bool,
}

impl fmt::Debug for AmqpReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AmqpReceipt({})", self.tag)
    }
}

impl Receipt for AmqpReceipt {
    fn settle(mut self: Box<Self>, settlement: Settlement) {
        self.settled = true;
        self.settlements.settle(self.tag, settlement);
    }

    fn give_back(mut self: Box<Self>, message: Message) {
        self.settled = true;
        self.settlements.hold(self.tag, self.since, message, self.mended);
    }
}

impl Drop for AmqpReceipt {
    fn drop(&mut self) {
        if !self.settled {
            self.settlements.settle(self.tag, Settlement::Requeue);
        }
    }
}

/// A channel with the task that tells the broker the settlements on it. After its drop open deliveries may still be
/// settled, for a while.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) live: Arc<Live>,
    pub(super) channel: Channel,
    settlements: Arc<Settlements>,
}

impl Session {
    /// `consumer`: its tag and prefetch, where there is one.
    pub(super) fn new(
        shared: &Shared,
        live: Arc<Live>,
        channel: Channel,
        consumer: Option<(lapin::types::ShortString, u16)>,
    ) -> Self {
        let (consumer_tag, prefetch) = consumer.unzip();
        let streams = consumer_tag.is_some();
        let settlements = Arc::new(Settlements {
            state: Mutex::default(),
            some: Notify::new(),
            enough: Notify::new(),
            ack_count: prefetch.map_or(ACK_COUNT, |prefetch| ACK_COUNT.min(usize::from(prefetch).div_ceil(2))),
            // A message that is asked for one by one comes again when it is asked for: no hot loop.
            requeue_delay: if streams { shared.requeue_delay } else { Duration::ZERO },
            streams,
            held: Notify::new(),
        });
        let teller = Teller {
            channel: channel.clone(),
            live: live.clone(),
            settlements: settlements.clone(),
            states: shared.link.states(),
            sessions: shared.sessions.clone(),
            consumer_tag,
        };
        shared.sessions.send_modify(|n| *n += 1);
        shared.runtime.spawn(teller.run());
        Self { live, channel, settlements }
    }

    /// When the first of the held is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.settlements.due()
    }

    /// Waits until something is held.
    pub(super) async fn held(&self) {
        self.settlements.held.notified().await;
    }

    /// Nothing is out that the broker waits for.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.settlements.lock();
        state.tracker.outstanding() == 0 && state.tracker.settled() == 0
    }

    pub(super) fn delivery(&self, delivery: lapin::message::Delivery) -> Delivery {
        let tag = delivery.delivery_tag;
        self.settlements.lock().tracker.delivered(tag);
        if plants::is_planted("ack") {
            self.settlements.settle(tag, Settlement::Ack);
            self.settlements.enough.notify_one();
        }
        let mended = self.live.marks.take(self.channel.id(), tag);
        let message = codec::message(delivery.data, &delivery.properties);
        self.hand_out(tag, Instant::now(), message, mended, delivery.redelivered)
    }

    fn hand_out(
        &self,
        tag: u64,
        since: Instant,
        message: Message,
        mended: Option<Mended>,
        redelivered: bool,
    ) -> Delivery {
        let receipt = AmqpReceipt { settlements: self.settlements.clone(), tag, since, mended, settled: false };
        Delivery { message, redelivered, mended, receipt: Box::new(receipt) }
    }

    /// The next held delivery whose time has come. A delivery that was held too long goes to the end of its queue.
    pub(super) fn again(&self, shared: &Shared, queue: &str) -> Option<Delivery> {
        let now = Instant::now();
        while let Some(held) = self.settlements.take_held(now) {
            let Held { tag, since, mut message, mended, .. } = held;
            if since + HELD_MAX > now || mended.is_some() {
                return Some(self.hand_out(tag, since, message, mended, true));
            }
            let to = Address { exchange: String::new(), routing_key: queue.to_owned() };
            // the broker would refuse a user id that is not ours
            message.properties.user_id = None;
            if codec::refusal(&to, &message, "").is_some() {
                return Some(self.hand_out(tag, since, message, mended, true));
            }
            let (settlements, lane) = (self.settlements.clone(), shared.lane.clone());
            shared.runtime.spawn(async move {
                let (answer, answered) = oneshot::channel();
                let job = Arc::new(Job { to, message });
                let sent = lane.send(Errand { job: job.clone(), answer }).await.is_ok();
                match answered.await {
                    Ok(Publication::Confirmed) if sent => settlements.settle(tag, Settlement::Ack),
                    _ => settlements.hold(tag, since, job.message.clone(), None),
                }
            });
        }
        None
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.settlements.close();
    }
}

/// The task of a session.
struct Teller {
    channel: Channel,
    live: Arc<Live>,
    settlements: Arc<Settlements>,
    states: watch::Receiver<State>,
    sessions: Arc<watch::Sender<usize>>,
    consumer_tag: Option<lapin::types::ShortString>,
}

impl Teller {
    async fn run(mut self) {
        // a failure means that the channel is gone; its deliveries come again
        if let Err(error) = self.tell().await {
            debug!(%error, "settlements end with their channel");
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), self.channel.close(200, "OK".into())).await;
        self.sessions.send_modify(|n| *n = n.saturating_sub(1));
    }

    async fn tell(&mut self) -> lapin::Result<()> {
        let mut stray_since: Option<Instant> = None;
        let mut end: Option<Instant> = None;
        loop {
            let due = self.settlements.lock().giving_back.front().map(|(at, _)| *at);
            let wake = [due, stray_since.map(|s| s + STRAY_AGE), end].into_iter().flatten().min();
            tokio::select! {
                () = self.settlements.some.notified() => {
                    let _ = tokio::time::timeout(ACK_IDLE, self.settlements.enough.notified()).await;
                }
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                changed = self.states.changed() => {
                    let gone = changed.is_err() || match &*self.states.borrow() {
                        State::Up(now) | State::Closing(Some(now)) => !Arc::ptr_eq(now, &self.live),
                        State::Down(_) | State::Closing(None) => true,
                    };
                    if gone {
                        return Ok(());
                    }
                    if matches!(*self.states.borrow(), State::Closing(_)) {
                        self.settlements.close();
                    }
                }
            }
            let now = Instant::now();
            let (batch, back, closed) = {
                let mut state = self.settlements.lock();
                let strays = state.closed || stray_since.is_some_and(|s| s + STRAY_AGE <= now);
                let batch = state.tracker.take(strays);
                let mut back = Vec::new();
                // closing gives back at once: the channel's end would do it anyway
                while let Some((at, tag)) = state.giving_back.front().copied()
                    && (at <= now || state.closed)
                {
                    state.giving_back.pop_front();
                    state.tracker.given_back(tag);
                    back.push(tag);
                }
                (batch, back, state.closed)
            };
            if let Some(tag) = batch.up_to {
                self.channel.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
            }
            for tag in batch.singles {
                self.channel.basic_ack(tag, BasicAckOptions { multiple: false }).await?;
            }
            for tag in back {
                self.channel.basic_nack(tag, BasicNackOptions { multiple: false, requeue: true }).await?;
            }
            let (settled, outstanding) = {
                let state = self.settlements.lock();
                (state.tracker.settled(), state.tracker.outstanding())
            };
            stray_since =
                if settled == 0 { None } else { stray_since.filter(|s| s.elapsed() < STRAY_AGE).or(Some(now)) };
            if closed {
                if end.is_none()
                    && let Some(tag) = &self.consumer_tag
                {
                    let cancel = self.channel.basic_cancel(tag.clone(), BasicCancelOptions::default());
                    let _ = tokio::time::timeout(Duration::from_secs(1), cancel).await;
                }
                let until = *end.get_or_insert(now + LINGER);
                if (outstanding == 0 && settled == 0) || now >= until {
                    return Ok(());
                }
            }
        }
    }
}
