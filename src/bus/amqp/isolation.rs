//! Queues that are taken apart from the others (`suspects` decides): who consumes them, on a connection of their own,
//! and how a message is rejected that cannot come in.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join;
use lapin::options::{BasicGetOptions, BasicRejectOptions};
use lapin::types::ShortString;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::consumer::Shared;
use super::endpoint::{Endpoint, Options};
use super::mend::Arrival;
use super::reconnect::{Link, Live, Purpose, State};
use super::suspects::{Aside, Case, Course, News, Print};

/// Queues that something is remembered of; more are not looked at.
const CASES_MAX: usize = 1_000;
/// Deliveries in progress when a queue goes back to the others may be settled for so long.
const LINGER: Duration = Duration::from_secs(30);
/// The broker answers a get within this time, or the connection has ended over it.
const REJECT_WITHIN: Duration = Duration::from_secs(3);

/// Which queues are apart, and who consumes them.
#[derive(Debug)]
pub(super) struct Isolation {
    endpoint: Arc<Endpoint>,
    options: Options,
    places: Mutex<HashMap<String, Place>>,
    changed: Notify,
    set_aside: [AtomicU64; Aside::ALL.len()],
}

#[derive(Debug, Default)]
struct Place {
    case: Case,
    /// A stream consumes it apart; others of the same queue wait.
    taken: bool,
    /// The last message that was on its way, for the log.
    seen: Option<Arrival>,
}

/// Where a stream may consume its queue.
#[derive(Debug)]
pub(super) enum Claim {
    Together,
    /// Alone, by this stream, as the course says.
    Apart(Taken, Course),
    /// Another stream of this process has it.
    Wait,
}

/// The holder of this consumes a queue that is apart.
#[derive(Debug)]
pub(super) struct Taken {
    isolation: Arc<Isolation>,
    queue: String,
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(place) = self.isolation.lock().get_mut(&self.queue) {
            place.taken = false;
        }
        self.isolation.changed.notify_waiters();
    }
}

impl Isolation {
    pub(super) fn new(endpoint: Arc<Endpoint>, options: Options) -> Arc<Self> {
        Arc::new(Self {
            endpoint,
            options,
            places: Mutex::default(),
            changed: Notify::new(),
            set_aside: Default::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages that were put aside, by how.
    pub(super) fn set_aside(&self) -> BTreeMap<&'static str, u64> {
        Aside::ALL.iter().zip(&self.set_aside).map(|(how, n)| (how.as_str(), n.load(Ordering::Relaxed))).collect()
    }

    pub(super) fn is_apart(&self, queue: &str) -> bool {
        self.lock().get(queue).is_some_and(|place| place.case.course() != Course::Together)
    }

    pub(super) fn claim(self: &Arc<Self>, queue: &str) -> Claim {
        let mut places = self.lock();
        match places.get_mut(queue).map(|place| (place.case.course(), place)) {
            None | Some((Course::Together, _)) => Claim::Together,
            Some((_, place)) if place.taken => Claim::Wait,
            Some((course, place)) => {
                place.taken = true;
                Claim::Apart(Taken { isolation: self.clone(), queue: queue.to_owned() }, course)
            }
        }
    }

    /// Waits until a queue may have become free; a moment at most.
    pub(super) async fn changes(&self) {
        let _ = tokio::time::timeout(Duration::from_millis(500), self.changed.notified()).await;
    }

    /// A connection ended while these of the queue were on their way.
    pub(super) fn died(&self, queue: &str, arriving: &[Arrival], alone: bool, window: usize) {
        let Some(first) = arriving.first() else { return };
        let now = Instant::now();
        let mut places = self.lock();
        if places.len() >= CASES_MAX {
            places.retain(|_, place| place.taken || !place.case.is_over(now));
        }
        if places.len() >= CASES_MAX && !places.contains_key(queue) {
            return;
        }
        let place = places.entry(queue.to_owned()).or_default();
        let prints: Vec<Print> = arriving.iter().map(|arrival| arrival.print).collect();
        let before = place.seen.replace(*first);
        let news = place.case.died(&prints, alone, window, now);
        drop(places);
        self.tell(queue, news, before);
    }

    /// A step of a queue that is apart.
    pub(super) fn step(&self, queue: &str, step: impl FnOnce(&mut Case) -> News) -> Course {
        let mut places = self.lock();
        let Some(place) = places.get_mut(queue) else { return Course::Together };
        let news = step(&mut place.case);
        let (course, seen) = (place.case.course(), place.seen);
        drop(places);
        self.tell(queue, news, seen);
        course
    }

    fn tell(&self, queue: &str, news: News, seen: Option<Arrival>) {
        let digest = seen.map_or_else(String::new, |arrival| format!("{:016x}", arrival.print));
        let (header, body) = seen.map_or((0, 0), |arrival| (arrival.header_bytes, arrival.body_bytes));
        if let Some(how) = news.aside {
            self.set_aside[how as usize].fetch_add(1, Ordering::Relaxed);
            error!(
                event = "message.set_aside",
                queue,
                message.digest = digest,
                message.header_bytes = header,
                message.body_bytes = body,
                how = how.as_str(),
                "connections ended at a message again and again, it was put aside: {}",
                match how {
                    Aside::Parked => "parked without its properties",
                    Aside::Rejected => "rejected unread, it is where the queue's dead letters go, or lost",
                }
            );
        }
        match news.turned {
            Some(Course::Together) => {
                info!(event = "queue.together", queue, "the queue is consumed with the others again");
            }
            Some(_) => warn!(
                event = "queue.apart",
                queue,
                message.digest = digest,
                message.header_bytes = header,
                message.body_bytes = body,
                "two connections ended while the same message came in: its queue has a connection of its own"
            ),
            None => {}
        }
        if news.turned.is_some() {
            self.changed.notify_waiters();
        }
    }
}

/// A connection for one queue alone; ends a while after it was dropped.
#[derive(Debug)]
pub(super) struct Lone {
    pub(super) link: Link,
    /// Sessions on it that have settlements to tell.
    pub(super) sessions: Arc<watch::Sender<usize>>,
    runtime: Handle,
}

impl Lone {
    pub(super) fn open(runtime: &Handle, isolation: &Isolation, course: Course) -> Self {
        let purpose = if course == Course::Blank { Purpose::Blank } else { Purpose::Apart };
        let link = Link::start(runtime, isolation.endpoint.clone(), purpose, &isolation.options);
        Self { link, sessions: Arc::new(watch::Sender::new(0)), runtime: runtime.clone() }
    }
}

impl Drop for Lone {
    fn drop(&mut self) {
        let (link, mut sessions) = (self.link.clone(), self.sessions.subscribe());
        self.runtime.spawn(async move {
            let _ = tokio::time::timeout(LINGER, sessions.wait_for(|n| *n == 0)).await;
            link.close();
            link.shut();
        });
    }
}

/// A queue that a stream consumes apart.
#[derive(Debug)]
pub(super) struct Apart {
    pub(super) lone: Lone,
    pub(super) course: Course,
    /// The connection of the others, as it was when this one was opened.
    others: Option<Arc<Live>>,
    _taken: Taken,
}

impl Apart {
    pub(super) fn open(shared: &Shared, taken: Taken, course: Course) -> Self {
        let lone = Lone::open(&shared.runtime, &shared.isolation, course);
        Self { lone, course, others: up(&shared.link), _taken: taken }
    }

    /// The connection of the others held while this one ended.
    pub(super) async fn was_alone(&self, main: &Link) -> bool {
        // a broker that goes takes both, and one is noticed before the other
        tokio::time::sleep(Duration::from_secs(1)).await;
        match (&self.others, up(main)) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, &now) && now.connection.status().connected(),
            _ => false,
        }
    }
}

fn up(link: &Link) -> Option<Arc<Live>> {
    match &*link.states().borrow() {
        State::Up(live) => Some(live.clone()),
        _ => None,
    }
}

/// Rejects the first message of a queue: the broker has heard it before the message can end this connection. The
/// message, where it came in all the same.
pub(super) async fn reject_first(live: &Live, queue: ShortString) -> Option<lapin::message::Delivery> {
    let channel = live.channel().await.ok()?;
    let get = channel.basic_get(queue, BasicGetOptions { no_ack: false });
    // written behind the get, before its answer is here; a channel's first delivery has the number 1
    let reject = channel.basic_reject(1, BasicRejectOptions { requeue: false });
    let (got, _) = tokio::time::timeout(REJECT_WITHIN, join(get, reject)).await.ok()?;
    got.ok()?.map(|got| got.delivery)
}
