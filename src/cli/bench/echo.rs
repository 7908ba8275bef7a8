//! The bare broker: what any AMQP program could do at best. Persistent, `mandatory`, confirmed, acked with `multiple`,
//! both queues of the kind that is measured; no store, no engine. Once with the least that an RPC needs, and once with
//! the message that the engine sends for a task. And the worker, which all sides use: a stock RPC server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};

use super::{CliError, Figures, Kind, Laps, PAYLOAD, Plan, Stopwatch};
use crate::bus::envelope::{TaskKind, TaskMessage};
use crate::bus::{HeaderValue, Message, Names, TaskHeaders};
use crate::clock::Timestamp;
use crate::ids::{Arn, PartitionId};

/// Of the task that the measured engine publishes.
pub(super) const TASK_TIMEOUT: Duration = Duration::from_hours(24);
const PREFETCH: u16 = 1_000;
/// One `basic.ack` speaks for so many deliveries.
const ACKED_TOGETHER: u64 = 100;
/// The time after which a worker acks deliveries behind its last full hundred.
const ACK_IDLE: Duration = Duration::from_millis(5);
/// Before a refused answer is given again.
const NACKED_PAUSE: Duration = Duration::from_millis(10);
/// As long as a task token.
const CORRELATION_CHARS: usize = 52;
/// Reply queues of an engine that are looked for and deleted.
const PARTITIONS: u16 = 8;

fn failed(why: &lapin::Error) -> CliError {
    // Its text may name the URL's host, never its password.
    CliError::failed(format!("the broker: {why}"))
}

fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    built.map_err(|why| CliError::failed(why.to_string()))
}

async fn connect(url: &str) -> Result<Connection, CliError> {
    Connection::connect(url, ConnectionProperties::default()).await.map_err(|why| failed(&why))
}

fn name(text: &str) -> ShortString {
    ShortString::try_new(text).unwrap_or_default()
}

/// The queues of a measurement.
pub(super) struct Place {
    /// From which the worker takes.
    pub queue: String,
    replies: String,
}

impl Place {
    /// Declares them. Refuses a virtual host in which an engine lives: its replies would be taken, and its queues
    /// deleted.
    pub(super) fn prepare(url: &str, kind: Kind) -> Result<Self, CliError> {
        let run = uuid::Uuid::new_v4().simple().to_string();
        let place = Self { queue: format!("bench.tasks.{run}"), replies: format!("bench.replies.{run}") };
        runtime()?.block_on(async {
            let connection = connect(url).await?;
            let channel = connection.create_channel().await.map_err(|why| failed(&why))?;
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let reply_queue = Names::shipped().replies(PartitionId(0));
            if channel.queue_declare(name(&reply_queue), passive, FieldTable::default()).await.is_ok() {
                return Err(CliError::failed(format!(
                    "an engine has lived in this virtual host: there is a queue {reply_queue}"
                ))
                .hint("give the bench a virtual host of its own, or delete the queue"));
            }
            let channel = connection.create_channel().await.map_err(|why| failed(&why))?;
            for queue in [&place.queue, &place.replies] {
                declare(&channel, queue, kind).await?;
            }
            Ok(place)
        })
    }

    /// Deletes these queues and the engine's.
    pub(super) fn clear(&self, url: &str) -> Result<(), CliError> {
        clear(url, &[&self.queue, &self.replies])
    }
}

/// Deletes queues, and those that an engine has made here.
pub(super) fn clear(url: &str, queues: &[&str]) -> Result<(), CliError> {
    runtime()?.block_on(async {
        let connection = connect(url).await?;
        let channel = connection.create_channel().await.map_err(|why| failed(&why))?;
        let replies = (0..PARTITIONS).map(|n| Names::shipped().replies(PartitionId(n)));
        for queue in queues.iter().map(|q| (*q).to_owned()).chain(replies).chain([Names::shipped().parked()]) {
            let _ = channel.queue_delete(name(&queue), QueueDeleteOptions::default()).await;
        }
        Ok(())
    })
}

async fn declare(channel: &Channel, queue: &str, kind: Kind) -> Result<(), CliError> {
    let mut arguments = FieldTable::default();
    arguments.insert(name("x-queue-type"), AMQPValue::LongString(LongString::from(kind.as_str())));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name(queue), durable, arguments).await.map_err(|why| failed(&why))?;
    Ok(())
}

/// A queue for tasks without a worker.
pub(super) fn quiet_queue(url: &str, queue: &str) -> Result<(), CliError> {
    runtime()?.block_on(async {
        let connection = connect(url).await?;
        let channel = connection.create_channel().await.map_err(|why| failed(&why))?;
        declare(&channel, queue, Kind::Classic).await
    })
}

/// The properties of the echoed message, whose body is always the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `reply_to` and `correlation_id`.
    Bare,
    /// Properties and headers of a task, as a worker may rely on them.
    Task,
}

impl Shape {
    /// All but `reply_to`, `correlation_id` and `message_id`.
    fn properties(self) -> BasicProperties {
        let bare = BasicProperties::default().with_delivery_mode(2).with_content_type(name("application/json"));
        if self == Self::Bare {
            return bare;
        }
        let (id, at) = (uuid::Uuid::now_v7(), Timestamp::from_millis(1_700_000_000_000));
        let arn =
            |kind: &str, rest: &str| Arn::new(format!("arn:aws:states:us-east-1:123456789012:{kind}:bench{rest}"));
        let task = TaskMessage {
            body: Vec::new(),
            content_type: None,
            token: Some("0".repeat(CORRELATION_CHARS)),
            task_kind: TaskKind::Callback,
            resource: "arn:aws:states:::amqp:publish.waitForTaskToken".to_owned(),
            heartbeat_seconds: None,
            reply_to: None,
            message_id: String::new(),
            at,
            execution: arn("execution", &format!(":{id}")),
            state_machine: arn("stateMachine", ""),
            state_name: "Only".to_owned(),
            attempt: 1,
            deadline: Some(at.plus(TASK_TIMEOUT)),
            expiration: Some(TASK_TIMEOUT),
            tracestate: None,
            traceparent: Some(format!("00-{}-{:016x}-01", id.simple(), 3)),
            priority: None,
            user_id: None,
            kind: None,
            headers: BTreeMap::new(),
        };
        let Message { properties: task, .. } = task.into_message(TaskHeaders::Full);
        let mut headers = FieldTable::default();
        for (header, value) in task.headers {
            let value = match value {
                HeaderValue::Text(text) => AMQPValue::LongString(LongString::from(text)),
                HeaderValue::Integer(number) => AMQPValue::LongLongInt(number),
                HeaderValue::Double(_) | HeaderValue::Boolean(_) | HeaderValue::Json(_) => continue,
                // a task of ours has none
            };
            headers.insert(name(&header), value);
        }
        bare.with_headers(headers)
            .with_expiration(name(&TASK_TIMEOUT.as_millis().to_string()))
            .with_app_id(name(&task.app_id.unwrap_or_default()))
            .with_type(name(&task.kind.unwrap_or_default()))
            .with_timestamp(at.millis().unsigned_abs() / 1_000)
    }
}

/// One round of bare round trips, as many as there can be or so many a second.
pub(super) fn round_trips(plan: &Plan, shape: Shape, place: &Place) -> Result<Figures, CliError> {
    runtime()?.block_on(async {
        let connection = connect(&plan.url).await?;
        let publishing = connection.create_channel().await.map_err(|why| failed(&why))?;
        publishing.confirm_select(ConfirmSelectOptions::default()).await.map_err(|why| failed(&why))?;
        // As the engine does: publishing and consuming do not share a connection.
        let consuming_connection = connect(&plan.url).await?;
        let consuming = consuming_connection.create_channel().await.map_err(|why| failed(&why))?;
        let (replies, done) = mpsc::channel(usize::try_from(plan.in_flight).unwrap_or(1_024));
        let room = Arc::new(Semaphore::new(usize::try_from(plan.in_flight).unwrap_or(1_024)));
        tokio::spawn(receive(consuming, place.replies.clone(), replies));
        let total = Laps::of(plan).total;
        let publisher = tokio::spawn(publish(
            publishing,
            shape,
            (place.queue.clone(), place.replies.clone()),
            Arc::clone(&room),
            (total, plan.turn()),
        ));
        let figures = count(Laps::of(plan), done, &room).await;
        publisher.await.map_err(|why| CliError::failed(why.to_string()))??;
        figures.ok_or_else(|| CliError::failed("the broker closed the connection in the middle of the measurement"))
    })
}

/// The moment of sending travels in the message: its number of nanoseconds since the process began.
fn stamp() -> u64 {
    static BEGAN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    u64::try_from(BEGAN.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(0)
}

async fn publish(
    channel: Channel,
    shape: Shape,
    (queue, replies): (String, String),
    room: Arc<Semaphore>,
    (total, turn): (u64, Option<Duration>),
) -> Result<(), CliError> {
    let common = shape.properties();
    let (confirms, mut confirmed) = mpsc::channel::<lapin::PublisherConfirm>(4_096);
    let listener = tokio::spawn(async move {
        while let Some(confirm) = confirmed.recv().await {
            if !matches!(confirm.await, Ok(Confirmation::Ack(None))) {
                return Err(CliError::failed("the broker did not confirm a message"));
            }
        }
        Ok(())
    });
    let began = tokio::time::Instant::now();
    for nth in 0..total {
        if let Some(turn) = turn {
            tokio::time::sleep_until(began + turn * u32::try_from(nth).unwrap_or(u32::MAX)).await;
        }
        let Ok(permit) = room.acquire().await else { break };
        permit.forget();
        let id = name(&format!("{:0CORRELATION_CHARS$}", stamp()));
        let mut properties = common.clone().with_reply_to(name(&replies)).with_correlation_id(id);
        if shape == Shape::Task {
            properties = properties.with_message_id(name(&uuid::Uuid::now_v7().to_string()));
        }
        let mandatory = BasicPublishOptions { mandatory: true, immediate: false };
        let sent = channel.basic_publish(name(""), name(&queue), mandatory, PAYLOAD.as_bytes(), properties).await;
        if confirms.send(sent.map_err(|why| failed(&why))?).await.is_err() {
            break;
        }
    }
    drop(confirms);
    listener.await.map_err(|why| CliError::failed(why.to_string()))?
}

async fn receive(channel: Channel, queue: String, replies: mpsc::Sender<Duration>) -> Result<(), CliError> {
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.map_err(|why| failed(&why))?;
    let consumer = channel.basic_consume(name(&queue), name(""), BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer = consumer.await.map_err(|why| failed(&why))?;
    let mut acks = Acks::default();
    while let Some(reply) = acks.next(&mut consumer, &channel).await {
        let sent: Option<u64> = reply.properties.correlation_id().as_ref().and_then(|id| id.as_str().parse().ok());
        let took = Duration::from_nanos(stamp().saturating_sub(sent.unwrap_or_default()));
        if replies.send(took).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn count(laps: Laps, mut done: mpsc::Receiver<Duration>, room: &Semaphore) -> Option<Figures> {
    let total = laps.total;
    let mut watch = Stopwatch::new(laps, None);
    for _ in 0..total {
        watch.lap(done.recv().await?);
        room.add_permits(1);
    }
    watch.figures
}

/// Acks by the hundred, and the rest when no delivery comes.
#[derive(Default)]
struct Acks {
    last: u64,
    open: u64,
}

impl Acks {
    async fn next(&mut self, consumer: &mut lapin::Consumer, channel: &Channel) -> Option<lapin::message::Delivery> {
        if self.open >= ACKED_TOGETHER {
            self.tell(channel).await;
        }
        let soon = tokio::time::timeout(ACK_IDLE, consumer.next()).await;
        let next = if let Ok(next) = soon {
            next
        } else {
            if self.open > 0 {
                self.tell(channel).await;
            }
            consumer.next().await
        };
        let delivery = next?.ok()?;
        self.last = delivery.delivery_tag;
        self.open += 1;
        Some(delivery)
    }

    async fn tell(&mut self, channel: &Channel) {
        let _ = channel.basic_ack(self.last, BasicAckOptions { multiple: true }).await;
        self.open = 0;
    }
}

/// The worker's process: a stock RPC server that knows nothing of tokens. Every message goes back to its `reply_to`,
/// with its `correlation_id`. As `docs/WORKERS.md` asks, it has its answers confirmed and gives those again that the
/// broker refused: RabbitMQ 3.10 at times nacks the first messages to a quorum queue that has just been declared.
pub(super) fn work(arguments: &Value) -> Result<(), CliError> {
    let (url, queue) = (arguments["url"].as_str().unwrap_or_default(), arguments["queue"].as_str().unwrap_or_default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| CliError::failed(why.to_string()))?;
    runtime.block_on(async {
        let connection = connect(url).await?;
        let channel = connection.create_channel().await.map_err(|why| failed(&why))?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.map_err(|why| failed(&why))?;
        let consumer =
            channel.basic_consume(name(queue), name(""), BasicConsumeOptions::default(), FieldTable::default());
        let mut consumer = consumer.await.map_err(|why| failed(&why))?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(|why| failed(&why))?;
        let (answered, answers) = mpsc::channel(usize::from(PREFETCH));
        tokio::spawn(confirm(channel.clone(), answers));
        let mut acks = Acks::default();
        while let Some(task) = acks.next(&mut consumer, &channel).await {
            let Some(reply_to) = task.properties.reply_to().clone() else { continue };
            let mut properties =
                BasicProperties::default().with_delivery_mode(2).with_content_type(name("application/json"));
            if let Some(id) = task.properties.correlation_id().clone() {
                properties = properties.with_correlation_id(id);
            }
            let answer = Answer { to: reply_to, properties, body: task.data };
            let sent = answer.send(&channel).await.map_err(|why| failed(&why))?;
            if answered.send((sent, answer)).await.is_err() {
                return Err(CliError::failed("the broker does not take the worker's answers"));
            }
        }
        Ok(())
    })
}

/// An answer of the worker that is not confirmed yet.
struct Answer {
    to: ShortString,
    properties: BasicProperties,
    body: Vec<u8>,
}

impl Answer {
    async fn send(&self, channel: &Channel) -> lapin::Result<lapin::PublisherConfirm> {
        channel
            .basic_publish(
                name(""),
                self.to.clone(),
                BasicPublishOptions::default(),
                &self.body,
                self.properties.clone(),
            )
            .await
    }
}

/// Ends where the broker is lost.
async fn confirm(channel: Channel, mut answers: mpsc::Receiver<(lapin::PublisherConfirm, Answer)>) {
    while let Some((mut sent, answer)) = answers.recv().await {
        loop {
            match sent.await {
                Ok(Confirmation::Nack(_)) => tokio::time::sleep(NACKED_PAUSE).await,
                Ok(_) => break,
                Err(_) => return,
            }
            match answer.send(&channel).await {
                Ok(again) => sent = again,
                Err(_) => return,
            }
        }
    }
}
