//! Publishing: N lanes, each one channel, one task and one bounded window of unconfirmed publishes.
//!
//! ```text
//! publish() ─ round robin ─▶ lane: backlog ─▶ basic.publish ─▶ flying ─▶ confirm, return, nack ─▶ answer
//!                                     ▲────── channel or connection lost, stalled ──────┘
//! ```
//!
//! One task a channel, not one a publish: lapin numbers confirms in the order of calls, and two tasks calling at once
//! could number them otherwise than they are sent. Futures of all publishes of a channel lie in one `FuturesUnordered`:
//! a slow queue's confirm holds up no other.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::protocol::AMQPErrorKind;
use lapin::{Channel, Confirmation, ErrorKind};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::warn;

use super::codec;
use super::exchanges::Exchanges;
use super::reconnect::{Link, Live, State, Trouble};
use super::topology::Topology;
use crate::bus::{Address, Message, Publication};
use crate::limits;

/// The longest wait for a confirm that stalls have stretched.
const CONFIRM_TIMEOUT_MAX: Duration = Duration::from_mins(10);
/// After the first error of a channel: how long its other publishes may take to tell of it too.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// One publish on its way.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) to: Address,
    pub(super) message: Message,
}

/// A job with the one who waits for it.
pub(super) struct Errand {
    pub(super) job: Arc<Job>,
    pub(super) answer: oneshot::Sender<Publication>,
}

struct Flying {
    errand: Errand,
    sent: Instant,
}

pub(super) struct Lane {
    pub(super) link: Link,
    pub(super) topology: Arc<Topology>,
    pub(super) exchanges: Arc<Exchanges>,
    pub(super) inbox: mpsc::Receiver<Errand>,
    pub(super) confirm_timeout: Duration,
    state: Sending,
}

/// The parts that outlive a channel.
struct Sending {
    /// To be sent (again) before anything new.
    backlog: VecDeque<Errand>,
    flying: HashMap<u64, Flying>,
    next: u64,
    /// So many of the backlog are sent one at a time: one of them made the broker close the channel, and which one is
    /// not known.
    suspects: usize,
    stalls: u32,
}

/// Why a channel is given up.
enum End {
    /// All senders are gone and everything is answered.
    Done,
    /// Connection or channel lost.
    Lost,
    /// The broker closed channel or connection because of something that was sent.
    Blamed(u16, String),
    /// Confirms do not come.
    Stalled,
}

impl Lane {
    pub(super) fn new(
        link: Link,
        topology: Arc<Topology>,
        exchanges: Arc<Exchanges>,
        inbox: mpsc::Receiver<Errand>,
        confirm_timeout: Duration,
    ) -> Self {
        let state = Sending { backlog: VecDeque::new(), flying: HashMap::new(), next: 0, suspects: 0, stalls: 0 };
        Self { link, topology, exchanges, inbox, confirm_timeout, state }
    }

    pub(super) async fn run(mut self) {
        loop {
            let Some(live) = self.link.live().await else { return };
            self.topology.declared().await;
            let mut states = self.link.states();
            let Ok(channel) = open(&live).await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let end = self.session(&live, &channel, &mut states).await;
            if let End::Done = end {
                return;
            }
            self.state.take_back();
            match end {
                End::Blamed(code, text) => self.judge(code, &text),
                End::Stalled => {
                    self.state.stalls += 1;
                    warn!(
                        event = "broker.stalled",
                        count = self.state.backlog.len(),
                        "confirms do not come, sending again on a new channel"
                    );
                    if self.state.stalls > 1 {
                        // a new channel did not help
                        live.condemn();
                    }
                    let _ = tokio::time::timeout(Duration::from_secs(1), channel.close(200, "OK".into())).await;
                }
                End::Done | End::Lost => {}
            }
        }
    }

    async fn session(&mut self, live: &Arc<Live>, channel: &Channel, states: &mut watch::Receiver<State>) -> End {
        let mut futures = FuturesUnordered::new();
        let mut results = Vec::new();
        let mut returned: Vec<BasicReturnMessage> = Vec::new();
        let mut check = tokio::time::interval(Duration::from_secs(1).min(self.confirm_timeout / 4));
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut inbox_open = true;
        let mut arrivals = Vec::new();
        loop {
            let window = if self.state.suspects > 0 { 1 } else { limits::UNCONFIRMED_PUBLISHES };
            while self.state.flying.len() < window
                && let Some(errand) = self.state.backlog.pop_front()
            {
                let (number, job) = self.state.fly(errand);
                futures.push(send(channel, number, job));
            }
            if !inbox_open && futures.is_empty() {
                return End::Done;
            }
            let room = if self.state.backlog.is_empty() { window.saturating_sub(self.state.flying.len()) } else { 0 };
            tokio::select! {
                biased;
                Some(result) = futures.next(), if !futures.is_empty() => {
                    results.push(result);
                    // all that are ready, before any is answered: see `answer_all`
                    while let Some(Some(result)) = futures.next().now_or_never() {
                        results.push(result);
                    }
                    heard = Instant::now();
                    if let Some(error) = self.state.answer_all(&mut results, &mut returned) {
                        let last_words = async {
                            while let Some(result) = futures.next().await {
                                results.push(result);
                            }
                        };
                        let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
                        let later = self.state.answer_all(&mut results, &mut returned);
                        return later.filter(|_| matches!(error, End::Lost)).unwrap_or(error);
                    }
                }
                count = self.inbox.recv_many(&mut arrivals, room.min(64)), if inbox_open && room > 0 => {
                    inbox_open = count > 0;
                    self.state.backlog.extend(arrivals.drain(..));
                }
                _ = check.tick() => {
                    if self.link.blocked().is_some() {
                        heard = Instant::now();
                    } else if heard.elapsed() >= self.patience()
                        && self.oldest().is_some_and(|age| age >= self.patience())
                    {
                        return End::Stalled;
                    }
                }
                changed = states.changed() => {
                    let here = changed.is_ok() && match &*states.borrow() {
                        State::Up(now) | State::Closing(Some(now)) => Arc::ptr_eq(now, live),
                        State::Down(_) | State::Closing(None) => false,
                    };
                    if !here {
                        // confirms from before the end count
                        while let Some(Some(result)) = futures.next().now_or_never() {
                            results.push(result);
                        }
                        return self.state.answer_all(&mut results, &mut returned).unwrap_or(End::Lost);
                    }
                }
            }
        }
    }

    /// How long confirms may stay out. A queue without a majority of its nodes never confirms: stretched each time, so
    /// that it does not make a storm of copies.
    fn patience(&self) -> Duration {
        self.confirm_timeout
            .saturating_mul(1 << self.state.stalls.min(10))
            .min(CONFIRM_TIMEOUT_MAX.max(self.confirm_timeout))
    }

    fn oldest(&self) -> Option<Duration> {
        self.state.flying.values().map(|f| f.sent.elapsed()).max()
    }

    /// The broker closed the channel over one of the publishes that were out on it: that one is answered, the others go
    /// again.
    fn judge(&mut self, code: u16, text: &str) {
        let named = |marker: &str| {
            text.split_once(marker).and_then(|(_, rest)| rest.split_once('\'')).map(|(name, _)| name.to_owned())
        };
        let exchange = match code {
            404 => named("no exchange '"),
            403 => named("exchange '"),
            _ => None,
        };
        if let Some(exchange) = exchange {
            self.exchanges.forget(&exchange);
            let (theirs, others) =
                std::mem::take(&mut self.state.backlog).into_iter().partition(|e| e.job.to.exchange == exchange);
            self.state.backlog = others;
            let theirs: VecDeque<Errand> = theirs;
            if !theirs.is_empty() {
                for errand in theirs {
                    errand.tell(verdict_of(code, text));
                }
                self.state.suspects = 0;
                return;
            }
        }
        if self.state.suspects == 0 {
            self.state.suspects = self.state.backlog.len();
            warn!(
                event = "broker.refused",
                what = "a publish",
                reason = text,
                count = self.state.suspects,
                "broker closed a publish channel ({code}), sending one at a time to find the culprit"
            );
        } else {
            // one at a time: it was this one
            self.state.suspects -= 1;
            if let Some(culprit) = self.state.backlog.pop_front() {
                culprit.tell(verdict_of(code, text));
            }
        }
    }
}

/// The answer to the sender of a publish that the broker closed its channel for.
pub(super) fn verdict_of(code: u16, text: &str) -> Publication {
    if code == 404 {
        Publication::Unroutable { code, text: text.to_owned() }
    } else {
        Publication::Refused { text: format!("{code} {text}") }
    }
}

impl Errand {
    /// Answers the caller, who may have gone.
    fn tell(self, publication: Publication) {
        let _ = self.answer.send(publication);
    }
}

impl Sending {
    fn fly(&mut self, errand: Errand) -> (u64, Arc<Job>) {
        let number = self.next;
        self.next += 1;
        let job = errand.job.clone();
        self.flying.insert(number, Flying { errand, sent: Instant::now() });
        (number, job)
    }

    /// Messages that were out on a lost channel are sent again, first, in their order.
    fn take_back(&mut self) {
        let mut flying: Vec<_> = self.flying.drain().collect();
        flying.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
        for (_, flying) in flying {
            self.backlog.push_front(flying.errand);
        }
    }

    /// Answers confirmed publishes; the reason, where the channel is lost.
    ///
    /// lapin hands a returned message to the publish that is confirmed next, not to its own: under an ack with
    /// `multiple` that is any of them. So returns are gathered from all results first, and each is matched with its own
    /// publish.
    fn answer_all(
        &mut self,
        results: &mut Vec<(u64, lapin::Result<Confirmation>)>,
        returned: &mut Vec<BasicReturnMessage>,
    ) -> Option<End> {
        let mut end = None;
        for (_, result) in results.iter_mut() {
            if let Ok(Confirmation::Ack(message) | Confirmation::Nack(message)) = result {
                returned.extend(message.take());
            }
        }
        for (number, result) in results.drain(..) {
            let confirmed = match result {
                Ok(Confirmation::Ack(_)) => true,
                Ok(Confirmation::Nack(_)) => false,
                Ok(Confirmation::NotRequested) => {
                    end.get_or_insert(End::Lost);
                    continue;
                }
                Err(error) => {
                    match blame(&error) {
                        Some((code, text)) => end = Some(End::Blamed(code, text)),
                        None => drop(end.get_or_insert(End::Lost)),
                    }
                    continue;
                }
            };
            let Some(flying) = self.flying.remove(&number) else { continue };
            self.stalls = 0;
            self.suspects = self.suspects.saturating_sub(1);
            let own = if returned.is_empty() {
                None
            } else {
                returned.iter().position(|r| is_return_of(r, &flying.errand.job))
            };
            flying.errand.tell(match own.map(|i| returned.swap_remove(i)) {
                Some(r) => Publication::Unroutable { code: r.reply_code, text: r.reply_text.as_str().to_owned() },
                None if confirmed => Publication::Confirmed,
                None => Publication::Nacked,
            });
        }
        end
    }
}

fn is_return_of(returned: &BasicReturnMessage, job: &Job) -> bool {
    let id = |v: &Option<lapin::types::ShortString>, own: &Option<String>| {
        v.as_ref().map(lapin::types::ShortString::as_str) == own.as_deref()
    };
    let p = &returned.delivery.properties;
    let own = &job.message.properties;
    returned.delivery.routing_key.as_str() == job.to.routing_key
        && returned.delivery.exchange.as_str() == job.to.exchange
        && id(p.message_id(), &own.message_id)
        && id(p.correlation_id(), &own.correlation_id)
        && returned.delivery.data == job.message.body
}

/// Code and text where the broker closed channel or connection because of a message on it.
fn blame(error: &lapin::Error) -> Option<(u16, String)> {
    let ErrorKind::ProtocolError(e) = error.kind() else { return None };
    let blames = match e.kind() {
        AMQPErrorKind::Soft(_) => true,
        // frame error, syntax error, command invalid, unexpected frame: a connection that was merely forced to close
        // (320) blames no message
        AMQPErrorKind::Hard(_) => matches!(e.get_id(), 501 | 502 | 503 | 505),
    };
    blames.then(|| (e.get_id(), e.get_message().as_str().to_owned()))
}

async fn open(live: &Live) -> Result<Channel, Trouble> {
    let channel = live.channel().await?;
    live.answer(channel.confirm_select(ConfirmSelectOptions::default())).await?;
    Ok(channel)
}

/// One publish, from the call to its confirm.
async fn send(channel: &Channel, number: u64, job: Arc<Job>) -> (u64, lapin::Result<Confirmation>) {
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let properties = codec::properties(&job.message.properties);
    // both were checked when the publish came in
    let (Ok(exchange), Ok(key)) = (codec::short("", &job.to.exchange), codec::short("", &job.to.routing_key)) else {
        return (number, Ok(Confirmation::Nack(None)));
    };
    let result = match channel.basic_publish(exchange, key, options, &job.message.body, properties).await {
        Ok(confirm) => confirm.await,
        Err(error) => Err(error),
    };
    (number, result)
}
