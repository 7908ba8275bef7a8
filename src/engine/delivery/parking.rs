//! Refused messages are put into the parking queue, each with its reason, and are acknowledged after that. Parking
//! always ends: a message that is too large for the queue is cut to a stub, a queue that is gone is declared again, and
//! the end of passing troubles (a broker that is away, an alarm, a full queue) is waited for, longer each time.
//!
//! Replies, starts, dead letters and messages in an activity's queue are parked in the same way.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout};

use crate::bus::parked::{self, Cut, PARKING_DELIVERY_LIMIT, Refusal};
use crate::bus::{Address, BusError, Delivery, Message, Publication, QueueKind, QueueSpec, Receipt, Settlement};

use crate::engine::services::Services;
use crate::engine::services::intake::{Intake, Waits};
use crate::limits::MESSAGE_BYTES_MAX;

/// A message that is not parked within this time counts as waiting.
const SOON: Duration = Duration::from_secs(1);
/// Between tries: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// All that wait ask for the same queue: it is declared so often at most.
const DECLARED_FOR: Duration = Duration::from_millis(100);

/// Copies of one message that share its place in the queue to the parking queue; further ones are parked by themselves.
const COPIES_MAX: usize = 100;

type Fingerprint = [u8; 32];

/// The messages that wait for the parking queue.
pub(in crate::engine) struct Parking {
    services: Arc<Services>,
    waiting: Mutex<HashMap<Fingerprint, Waiting>>,
    /// Told that messages wait: once, until none waits.
    said: AtomicBool,
    declared: tokio::sync::Mutex<Declared>,
}

#[derive(Debug, Default)]
struct Declared {
    at: Option<Instant>,
    /// Told that the queue has other arguments than ours.
    said: bool,
}

/// One message that waits, or several that are alike.
#[derive(Debug, Default)]
struct Waiting {
    alike: usize,
    /// Receipts of the delivery and of its later copies: after a lost connection unacknowledged messages come again.
    receipts: Vec<Box<dyn Receipt>>,
}

impl Parking {
    pub fn new(services: Arc<Services>) -> Arc<Self> {
        Arc::new(Self {
            services,
            waiting: Mutex::default(),
            said: AtomicBool::new(false),
            declared: tokio::sync::Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Fingerprint, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a further copy of a message that waits already: it was refused, told and logged with the first. Any other
    /// delivery is given back.
    pub fn join(&self, delivery: Delivery) -> Option<Delivery> {
        if !delivery.redelivered || self.lock().is_empty() {
            return Some(delivery);
        }
        let print = fingerprint(&delivery.message);
        let mut waiting = self.lock();
        // Each receipt is kept: whether its connection is gone cannot be known here, and a delivery whose receipt is
        // dropped comes again at once, which would join again and drop the next.
        match waiting.get_mut(&print) {
            Some(first) if first.receipts.len() < first.alike + COPIES_MAX => first.receipts.push(delivery.receipt),
            _ => return Some(delivery),
        }
        None
    }

    /// For metrics: messages that wait.
    pub fn waiting(&self) -> usize {
        self.lock().values().map(|waiting| waiting.alike).sum()
    }
}

fn fingerprint(message: &Message) -> Fingerprint {
    let p = &message.properties;
    let mut hash = Sha256::new().chain_update(&message.body);
    for text in [p.correlation_id.as_deref(), p.message_id.as_deref(), p.reply_to.as_deref()] {
        hash = hash.chain_update([0]).chain_update(text.unwrap_or_default());
    }
    for (name, value) in p.headers.iter().filter(|(name, _)| !parked::is_the_brokers(name)) {
        hash = hash.chain_update([0]).chain_update(&**name).chain_update(format!("{value:?}"));
    }
    hash.finalize().into()
}

/// A message that waits is settled and counted no more when this is dropped.
struct Place<'a> {
    parking: &'a Parking,
    print: Fingerprint,
    _waits: Waits,
    parked: bool,
}

impl<'a> Place<'a> {
    fn take(parking: &'a Parking, message: &Message, receipt: Box<dyn Receipt>, intake: &Arc<Intake>) -> Self {
        let print = fingerprint(message);
        let mut waiting = parking.lock();
        let entry = waiting.entry(print).or_default();
        entry.alike += 1;
        entry.receipts.push(receipt);
        Self { parking, print, _waits: intake.wait(message.body.len()), parked: false }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.parking.lock();
        let Some(entry) = waiting.get_mut(&self.print) else { return };
        entry.alike -= 1;
        let receipts = if entry.alike == 0 {
            waiting.remove(&self.print).map(|entry| entry.receipts).unwrap_or_default()
        } else {
            entry.receipts.drain(..1.min(entry.receipts.len())).collect()
        };
        let none_waits = waiting.is_empty();
        drop(waiting);
        // A receipt that is dropped unsettled brings the message again.
        receipts.into_iter().filter(|_| self.parked).for_each(|receipt| receipt.settle(Settlement::Ack));
        if none_waits && self.parking.said.swap(false, Ordering::AcqRel) {
            tracing::info!(event = "parking.resumed", "all that waited for the parking queue is in it");
        }
    }
}

/// Why a message is put aside.
#[derive(Debug)]
pub(in crate::engine) struct Why {
    /// A reply's verdict; the error's name for a start; `dead-letter`.
    pub verdict: String,
    pub reason: String,
}

impl Parking {
    /// Parks a message that was refused, in the background; it is acknowledged once the broker has its copy.
    pub(in crate::engine) fn park(self: &Arc<Self>, delivery: Delivery, why: Why, intake: &Arc<Intake>) {
        let (parking, intake) = (Arc::clone(self), Arc::clone(intake));
        actix_rt::spawn(async move { parking.put_aside(delivery, why, intake).await });
    }

    async fn put_aside(&self, delivery: Delivery, why: Why, intake: Arc<Intake>) {
        let Delivery { message, receipt, .. } = delivery;
        let id = uuid::Uuid::new_v4().simple().to_string();
        let refusal = Refusal {
            id: &id[..12],
            verdict: &why.verdict,
            reason: &why.reason,
            at: self.services.clock.now(),
            from: &intake.queue,
        };
        let message = Arc::new(message);
        // the bus would refuse it, after a copy
        let bytes = message.body.len();
        let too_large = || format!("the body has {bytes} bytes, more than {MESSAGE_BYTES_MAX} (MESSAGE_BYTES_MAX)");
        let mut cut = (bytes > MESSAGE_BYTES_MAX).then(|| (Cut::Stub, too_large()));
        let mut digest = None;
        let (mut receipt, mut place) = (Some(receipt), None);
        let mut pause = PAUSE_MIN;
        loop {
            let copy = match &cut {
                None => parked::park(&message, &refusal),
                Some((cut, refused)) => {
                    if digest.is_none() {
                        // on a thread of its own: a partition does not stand still over a message of 100 MB
                        let message = Arc::clone(&message);
                        digest = tokio::task::spawn_blocking(move || parked::digest_of(&message.body)).await.ok();
                    }
                    parked::stub(&message, &refusal, *cut, refused, digest.as_deref().unwrap_or_default())
                }
            };
            let to = Address { exchange: String::new(), routing_key: self.services.bus.names().parked() };
            let mut publish = self.services.bus.publish(to, copy);
            let said = if let Ok(said) = timeout(SOON, &mut publish).await {
                said
            } else {
                if let Some(receipt) = receipt.take() {
                    place = Some(Place::take(self, &message, receipt, &intake));
                }
                publish.await
            };
            let delay = match said {
                Ok(Publication::Confirmed) => break,
                Ok(Publication::Refused { text }) => match Cut::after(cut.as_ref().map(|(cut, _)| *cut)) {
                    Some(next) => {
                        cut = Some((next, text));
                        continue;
                    }
                    None => text,
                },
                Ok(Publication::Unroutable { text, .. }) => {
                    self.declare().await;
                    text
                }
                Ok(Publication::Nacked) => {
                    "the broker refused it: the queue is full, or the broker is short".to_owned()
                }
                // Unsettled: it comes again after the next start.
                Err(BusError::Closed) => return,
                Err(error) => error.to_string(),
            };
            if let Some(receipt) = receipt.take() {
                place = Some(Place::take(self, &message, receipt, &intake));
            }
            if !self.said.swap(true, Ordering::AcqRel) {
                tracing::warn!(
                    event = "parking.delayed",
                    queue = self.services.bus.names().parked(),
                    reason = delay,
                    "refused messages cannot be parked now; tried again until they are: {delay}"
                );
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        self.services.metrics.parked(cut.map_or("whole", |(cut, _)| cut.as_str()));
        match (receipt, place.as_mut()) {
            (Some(receipt), _) => receipt.settle(Settlement::Ack),
            (None, Some(place)) => place.parked = true,
            (None, None) => {}
        }
    }

    /// Declares the parking queue. A queue with other arguments is used as it is.
    pub(in crate::engine) async fn declare(&self) {
        let mut declared = self.declared.lock().await;
        if declared.at.is_some_and(|at| at.elapsed() < DECLARED_FOR) {
            return;
        }
        let kind = self.services.options.queue_kind;
        let queue = QueueSpec {
            drop_oldest: Some(self.services.options.parking),
            delivery_limit: (kind == QueueKind::Quorum).then_some(PARKING_DELIVERY_LIMIT),
            ..QueueSpec::plain(self.services.bus.names().parked(), kind)
        };
        match self.services.bus.declare(Vec::new(), vec![queue], Vec::new()).await {
            Ok(()) => declared.said = false,
            Err(BusError::Refused { why, .. }) => {
                if !std::mem::replace(&mut declared.said, true) {
                    tracing::warn!(
                        event = "broker.refused",
                        queue = self.services.bus.names().parked(),
                        reason = why,
                        "the parking queue has other arguments than ours, it is used as it is"
                    );
                }
            }
            // A broker that is away declares it when it is back, before anything is published.
            Err(_) => {}
        }
        declared.at = Some(Instant::now());
    }
}

/// Keeps the parking queue there, and its size known, as long as the engine lives.
pub(in crate::engine) async fn watch(parking: Weak<Parking>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        let Some(parking) = parking.upgrade() else { return };
        let services = &parking.services;
        match services.bus.waiting(&services.bus.names().parked()).await {
            Ok(Some(messages)) => services.metrics.parked_now(messages),
            Ok(None) => parking.declare().await,
            Err(BusError::Closed) => return,
            Err(_) => {}
        }
    }
}
