//! A link: one connection to the broker that is made again for ever.
//!
//! The bus has two. RabbitMQ blocks a connection that publishes while it is short of memory or disk, and lapin then
//! writes nothing on it, not even acks: on a connection of their own, replies keep flowing and are acknowledged while
//! publishes wait.
//!
//! lapin's own recovery is not used: it gives up after a number of tries, leaves the order of declarations no choice,
//! and is young.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::{Channel, Connection, Event};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::endpoint::{Backoff, Endpoint, Options};
use super::mend::Marks;

/// An answer of the broker (open a channel, declare, consume) that takes longer means that the connection is of no use.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that held for so long was a good one: the next wait is short again.
const GOOD_CONNECTION: Duration = Duration::from_secs(5);
/// lapin reports a lost connection as an event; a loss that it reports only in its status is found this late.
const STATUS_CHECK: Duration = Duration::from_millis(500);

/// A connection that was up when it was handed out.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) connection: Connection,
    pub(super) marks: Arc<Marks>,
    /// Held while a queue is declared. RabbitMQ answers a second declaration of a queue that it is making as if it were
    /// made, and ends the connection that consumes it then.
    pub(super) declaring: tokio::sync::Mutex<()>,
    condemned: Notify,
}

impl Live {
    /// Ends this connection: it no longer answers, whatever its status says.
    pub(super) fn condemn(&self) {
        self.condemned.notify_one();
    }

    pub(super) async fn channel(&self) -> Result<Channel, Trouble> {
        self.answer(self.connection.create_channel()).await
    }

    /// Waits for an answer of the broker, but not for ever.
    pub(super) async fn answer<T>(&self, request: impl Future<Output = lapin::Result<T>>) -> Result<T, Trouble> {
        match tokio::time::timeout(ANSWER_TIMEOUT, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Trouble::from(&error)),
            Err(_) => {
                self.condemn();
                Err(Trouble::Lost("the broker does not answer".to_owned()))
            }
        }
    }
}

/// Why a request to the broker failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The connection is going or gone: try again on the next one.
    Lost(String),
    /// The broker understood and refused (code, text): trying again does not help. The channel is gone.
    Refused(u16, String),
}

impl Trouble {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Lost(text) | Self::Refused(_, text) => text,
        }
    }
}

impl From<&lapin::Error> for Trouble {
    fn from(error: &lapin::Error) -> Self {
        use lapin::protocol::AMQPErrorKind;
        match error.kind() {
            lapin::ErrorKind::ProtocolError(e) if matches!(e.kind(), AMQPErrorKind::Soft(_)) => {
                Self::Refused(e.get_id(), e.get_message().as_str().to_owned())
            }
            _ => Self::Lost(error.to_string()),
        }
    }
}

/// The purpose of a connection, as the broker and the log show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Publish,
    Consume,
    /// Single messages (`getting`).
    Get,
    /// One queue alone (`isolation`).
    Apart,
    /// The same, and properties of deliveries are left out.
    Blank,
}

impl Purpose {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Consume => "consume",
            Self::Get => "get",
            Self::Apart | Self::Blank => "apart",
        }
    }
}

/// Why a link is down that has not tried.
const NOT_YET: &str = "not connected yet";

#[derive(Debug, Clone)]
pub(super) enum State {
    Down(String),
    Up(Arc<Live>),
    /// The bus is closing: finish work in progress, begin nothing.
    Closing(Option<Arc<Live>>),
}

/// A handle to one link; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Link {
    state: watch::Receiver<State>,
    blocked: watch::Receiver<Option<String>>,
    closing: Arc<Notify>,
    end: Arc<Notify>,
}

impl Link {
    pub(super) fn start(runtime: &Handle, endpoint: Arc<Endpoint>, purpose: Purpose, options: &Options) -> Self {
        let (state, state_seen) = watch::channel(State::Down(NOT_YET.to_owned()));
        let (blocked, blocked_seen) = watch::channel(None);
        let link = Self { state: state_seen, blocked: blocked_seen, closing: Arc::default(), end: Arc::default() };
        let supervisor = Supervisor {
            endpoint,
            purpose,
            backoff: Backoff::new(options),
            state,
            blocked,
            closing: link.closing.clone(),
            end: link.end.clone(),
        };
        runtime.spawn(supervisor.run());
        link
    }

    pub(super) fn states(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// The reason why the broker takes no publishes now.
    pub(super) fn blocked(&self) -> Option<String> {
        self.blocked.borrow().clone()
    }

    /// Waits until an attempt to connect has failed, or the bus closes.
    pub(super) async fn failed(&self) {
        let mut state = self.state.clone();
        let _ =
            state.wait_for(|s| matches!(s, State::Closing(_)) || matches!(s, State::Down(why) if why != NOT_YET)).await;
    }

    /// The connection, as soon as there is one; `None` when the bus closes.
    pub(super) async fn live(&self) -> Option<Arc<Live>> {
        let mut state = self.state.clone();
        let seen = state.wait_for(|s| !matches!(s, State::Down(_))).await.ok()?;
        match &*seen {
            State::Up(live) => Some(live.clone()),
            _ => None,
        }
    }

    /// Begins the end: the connection stays for work in progress, until [`Link::shut`].
    pub(super) fn close(&self) {
        self.closing.notify_one();
    }

    /// Ends the connection.
    pub(super) fn shut(&self) {
        self.end.notify_one();
    }
}

struct Supervisor {
    endpoint: Arc<Endpoint>,
    purpose: Purpose,
    backoff: Backoff,
    state: watch::Sender<State>,
    blocked: watch::Sender<Option<String>>,
    closing: Arc<Notify>,
    end: Arc<Notify>,
}

impl Supervisor {
    async fn run(mut self) {
        loop {
            let attempt = tokio::select! {
                attempt = self.endpoint.connect(self.purpose) => attempt,
                () = self.closing.notified() => {
                    self.state.send_replace(State::Closing(None));
                    return;
                }
            };
            match attempt {
                Ok((connection, marks)) => {
                    let since = Instant::now();
                    info!(
                        event = "broker.connected",
                        bus.url = %self.endpoint,
                        link = self.purpose.as_str(),
                        "broker connected"
                    );
                    let live = Arc::new(Live {
                        connection,
                        marks,
                        declaring: tokio::sync::Mutex::default(),
                        condemned: Notify::new(),
                    });
                    self.state.send_replace(State::Up(live.clone()));
                    let Some(reason) = self.hold(&live).await else { return };
                    self.blocked.send_replace(None);
                    self.endpoint.count_lost();
                    warn!(
                        event = "broker.lost",
                        bus.url = %self.endpoint,
                        link = self.purpose.as_str(),
                        reason,
                        "broker lost"
                    );
                    self.state.send_replace(State::Down(reason));
                    if since.elapsed() > GOOD_CONNECTION {
                        self.backoff.reset();
                    }
                    // a former connection (condemned, half dead) must not hold up the next
                    tokio::spawn(async move {
                        tokio::time::timeout(ANSWER_TIMEOUT, live.connection.close(200, "OK".into())).await
                    });
                }
                Err(reason) => {
                    let first = self.state.send_if_modified(|state| {
                        let news = !matches!(state, State::Down(old) if *old == reason);
                        *state = State::Down(reason.clone());
                        news
                    });
                    if first {
                        warn!(
                            event = "broker.unreachable",
                            bus.url = %self.endpoint,
                            link = self.purpose.as_str(),
                            reason,
                            "broker cannot be reached, trying on"
                        );
                    } else {
                        debug!(
                            event = "broker.unreachable",
                            bus.url = %self.endpoint,
                            link = self.purpose.as_str(),
                            reason,
                            "broker cannot be reached"
                        );
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(self.backoff.next()) => {}
                () = self.closing.notified() => {
                    self.state.send_replace(State::Closing(None));
                    return;
                }
            }
        }
    }

    /// Watches a connection until it is lost (the reason) or closed by us (`None`).
    async fn hold(&self, live: &Arc<Live>) -> Option<String> {
        // lapin gives each event to one listener only: this must stay the only one
        let mut events = Box::pin(live.connection.events_listener());
        let mut check = tokio::time::interval(STATUS_CHECK);
        let mut closing = false;
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => {
                        warn!(event = "broker.blocked", bus.url = %self.endpoint, reason, "broker blocks publishes");
                        self.blocked.send_replace(Some(reason));
                    }
                    Some(Event::ConnectionUnblocked) => {
                        info!(event = "broker.unblocked", bus.url = %self.endpoint, "broker takes publishes again");
                        self.blocked.send_replace(None);
                    }
                    // lapin tells of a channel that died by the same event: the connection is lost only where its
                    // status says so too
                    Some(Event::Error(error)) => if !live.connection.status().connected() {
                        return self.lost(closing, error.to_string());
                    },
                    Some(_) => {}
                    None => return self.lost(closing, "the connection ended".to_owned()),
                },
                _ = check.tick() => if !live.connection.status().connected() {
                    return self.lost(closing, "the connection was closed".to_owned());
                },
                () = live.condemned.notified() => return self.lost(closing, "the connection no longer \
                    answers".to_owned()),
                () = self.closing.notified(), if !closing => {
                    closing = true;
                    self.state.send_replace(State::Closing(Some(live.clone())));
                }
                () = self.end.notified(), if closing => {
                    // a blocked connection cannot even say goodbye
                    let goodbye = live.connection.close(200, "OK".into());
                    let goodbye = tokio::time::timeout(Duration::from_millis(500), goodbye).await;
                    debug!(link = self.purpose.as_str(), orderly = goodbye.is_ok(), "broker connection closed");
                    self.state.send_replace(State::Closing(None));
                    return None;
                }
            }
        }
    }

    fn lost(&self, closing: bool, reason: String) -> Option<String> {
        if closing {
            self.state.send_replace(State::Closing(None));
            return None;
        }
        Some(reason)
    }
}
