//! Two engines with the same names on one virtual host take each other's replies and starts. Each consumes the queue
//! `<prefix>.engine` exclusively, and answers there with its identity. An engine that is refused asks, with its own
//! identity. So both log the other.
//!
//! A dead connection of our own that the broker still holds refuses as well, but answers nothing: nothing is told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{debug, error, info};

use super::reconnect::{Link, Live, State, Trouble};
use super::topology::{Item, declare};
use crate::bus::{Names, QueueKind, QueueSpec};

/// Between looks whether the other one has gone.
const AGAIN: Duration = Duration::from_secs(5);
/// The other one answers within this time, or is none.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// No other engine has asked for so long: it has gone.
const GONE_AFTER: Duration = Duration::from_secs(30);
/// Of the other one's name, as the log shows it.
const NAME_CHARS_MAX: usize = 100;
/// A question is worth nothing later; it must not pile up in the queue.
const QUESTION_EXPIRES_MS: &str = "10000";
/// The broker's own queue for answers to a channel.
const DIRECT_REPLY: &str = "amq.rabbitmq.reply-to";

/// Keeps the lock, over all connections.
pub(super) struct Lock {
    pub(super) link: Link,
    pub(super) names: Names,
    /// The identity of this engine: its store.
    pub(super) identity: String,
    /// Shown for it: the connection's name.
    pub(super) called: String,
    /// Another engine with these names.
    pub(super) other: Arc<Mutex<Option<String>>>,
}

impl Lock {
    pub(super) async fn keep(self) {
        while let Some(live) = self.link.live().await {
            match self.hold(&live).await {
                Ok(()) => {}
                Err(Trouble::Refused(403, why)) => match self.ask(&live).await {
                    Some((identity, called)) if identity != self.identity => self.tell(&called),
                    _ => debug!(reason = why, "the engine's lock is held by a connection that does not answer"),
                },
                Err(trouble) => debug!(reason = trouble.text(), "the engine's lock cannot be had"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Logs the other engine once, until it has gone. Its words are not to be trusted.
    fn tell(&self, called: &str) {
        let called: String = called.chars().take(NAME_CHARS_MAX).collect();
        let mut other = self.other.lock().unwrap_or_else(PoisonError::into_inner);
        if other.is_none() {
            error!(
                event = "broker.shared",
                prefix = self.names.prefix(),
                other = called,
                "another engine uses the same names on this virtual host: each takes the other's replies; give one of \
                 them a virtual host or a bus.prefix of its own"
            );
            *other = Some(called);
        }
    }

    /// Consumes the lock's queue and answers, until the connection is gone.
    async fn hold(&self, live: &Arc<Live>) -> Result<(), Trouble> {
        let queue = self.names.engine();
        let mut channel = live.channel().await?;
        let spec = QueueSpec::plain(queue.clone(), QueueKind::Classic);
        if let Err(Trouble::Refused(..)) = declare(live, &channel, &Item::Queue(spec)).await {
            channel = live.channel().await?;
        }
        let options = BasicConsumeOptions { exclusive: true, no_ack: true, ..BasicConsumeOptions::default() };
        let request = channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default());
        let mut questions = live.answer(request).await?;
        self.tell_alone();
        let mut states = self.link.states();
        let (mut look, mut asked) = (tokio::time::interval(AGAIN), Instant::now());
        loop {
            tokio::select! {
                _ = look.tick() => if asked.elapsed() >= GONE_AFTER {
                    self.tell_alone();
                },
                question = questions.next() => {
                    let Some(Ok(question)) = question else { return Ok(()) };
                    live.marks.take(channel.id(), question.delivery_tag);
                    if let Some((identity, called)) = introduced(&question.data)
                        && identity != self.identity
                    {
                        asked = Instant::now();
                        self.tell(&called);
                    }
                    let Some(to) = question.properties.reply_to().clone() else { continue };
                    let body = self.introduction();
                    let answered = channel.basic_publish(
                        "".into(),
                        to,
                        BasicPublishOptions::default(),
                        body.as_bytes(),
                        BasicProperties::default(),
                    );
                    live.answer(answered).await?;
                }
                changed = states.changed() => {
                    let here = changed.is_ok() && matches!(&*states.borrow(), State::Up(now) if Arc::ptr_eq(now, live));
                    if !here {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Identity and name of the engine that holds the lock.
    async fn ask(&self, live: &Arc<Live>) -> Option<(String, String)> {
        let channel = live.channel().await.ok()?;
        let answer = self.answer(live, &channel).await;
        // Also where none came: a channel with a consumer does not close by being dropped.
        let _ = live.answer(channel.close(200, "OK".into())).await;
        introduced(&answer?.data)
    }

    async fn answer(&self, live: &Arc<Live>, channel: &Channel) -> Option<lapin::message::Delivery> {
        let no_ack = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let mut answers = live
            .answer(channel.basic_consume(DIRECT_REPLY.into(), "".into(), no_ack, FieldTable::default()))
            .await
            .ok()?;
        let question =
            BasicProperties::default().with_reply_to(DIRECT_REPLY.into()).with_expiration(QUESTION_EXPIRES_MS.into());
        let options = BasicPublishOptions::default();
        let (to, body) = (self.names.engine(), self.introduction());
        live.answer(channel.basic_publish("".into(), to.as_str().into(), options, body.as_bytes(), question))
            .await
            .ok()?;
        tokio::time::timeout(ANSWER_WITHIN, answers.next()).await.ok()??.ok()
    }

    /// The identity and name of this engine, in questions and answers.
    fn introduction(&self) -> String {
        json!({"identity": self.identity, "called": self.called}).to_string()
    }

    fn tell_alone(&self) {
        if let Some(gone) = self.other.lock().unwrap_or_else(PoisonError::into_inner).take() {
            info!(event = "broker.alone", prefix = self.names.prefix(), other = gone, "the other engine has gone");
        }
    }
}

/// Identity and name of another engine; earlier versions ask without.
fn introduced(body: &[u8]) -> Option<(String, String)> {
    let said: Value = serde_json::from_slice(body).ok()?;
    Some((said["identity"].as_str()?.to_owned(), said["called"].as_str()?.to_owned()))
}
