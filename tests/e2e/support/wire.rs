//! The other side of the broker: workers and senders of this test's own, over AMQP.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use serde_json::Value;
use tokio::runtime::Runtime;

use reveille::bus::amqp::{AmqpBus, Options};
use reveille::bus::{
    Address, Delivery, HeaderValue, Headers, Message, Properties, Publication, QueueKind, QueueSpec, Settlement,
    TaskBus,
};

use super::SOON;

/// A connection to a broker.
pub struct Wire {
    runtime: Runtime,
    url: String,
    bus: Arc<AmqpBus>,
}

/// A task as a worker sees it.
#[derive(Debug, Clone)]
pub struct Task {
    pub body: Value,
    pub reply_to: String,
    pub token: String,
    pub redelivered: bool,
}

/// A worker's reply: header `task-status`, and a body.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: &'static str,
    pub body: Vec<u8>,
    /// Where the verdict goes.
    pub reply_to: Option<String>,
}

impl Answer {
    pub fn success(body: &Value) -> Self {
        Self { status: "success", body: body.to_string().into_bytes(), reply_to: None }
    }
}

impl Wire {
    pub fn to(url: &str) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let bus = runtime.block_on(async { AmqpBus::connect(url, Options::default()).expect("a URL") });
        runtime.block_on(bus.wait_ready(SOON)).expect("the broker is there");
        Self { runtime, url: url.to_owned(), bus }
    }

    /// Declares queues as most workers do: durable, and nothing else.
    pub fn declare(&self, names: &[&str]) {
        let queues = names.iter().map(|name| plain(name)).collect();
        self.runtime.block_on(self.bus.declare(Vec::new(), queues, Vec::new())).expect("declared");
    }

    pub fn declare_as(&self, queue: QueueSpec) {
        self.runtime.block_on(self.bus.declare(Vec::new(), vec![queue], Vec::new())).expect("declared");
    }

    /// How many messages wait in a queue, where it is there.
    pub fn peek(&self, queue: &str) -> Option<u64> {
        self.runtime.block_on(self.bus.waiting(queue)).expect("an answer")
    }

    /// Deletes a queue with all that is in it.
    pub fn delete(&self, queue: &str) {
        self.runtime.block_on(async {
            let connection = lapin::Connection::connect(&self.url, lapin::ConnectionProperties::default())
                .await
                .expect("the broker is there");
            let channel = connection.create_channel().await.expect("a channel");
            channel.queue_delete(queue.into(), lapin::options::QueueDeleteOptions::default()).await.expect("deleted");
            connection.close(200, "OK".into()).await.expect("closed");
        });
    }

    /// Waits for a queue that another program declares.
    #[track_caller]
    pub fn wait_for_queue(&self, queue: &str) {
        super::until(&format!("the queue {queue}"), SOON, || match self.runtime.block_on(self.bus.get(queue)) {
            Ok(found) => {
                if let Some(delivery) = found {
                    delivery.settle(Settlement::Requeue);
                }
                Some(())
            }
            Err(_) => None,
        });
    }

    /// How many consumers the broker says that a queue has.
    pub fn consumers(&self, queue: &str) -> u32 {
        self.runtime.block_on(async {
            let connection = Connection::connect(&self.url, ConnectionProperties::default()).await.expect("the broker");
            let channel = connection.create_channel().await.expect("a channel");
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let count = match channel.queue_declare(queue.into(), passive, FieldTable::default()).await {
                Ok(queue) => queue.consumer_count(),
                Err(_) => 0,
            };
            let _ = connection.close(200, "done".into()).await;
            count
        })
    }

    /// The next message of a queue, acknowledged.
    #[track_caller]
    pub fn take(&self, queue: &str) -> Message {
        super::until(&format!("a message in {queue}"), SOON, || self.try_take(queue))
    }

    /// A message of a queue, acknowledged, if there is one.
    pub fn try_take(&self, queue: &str) -> Option<Message> {
        let delivery = self.runtime.block_on(self.bus.get(queue)).expect("the queue is there")?;
        let message = delivery.message.clone();
        delivery.settle(Settlement::Ack);
        Some(message)
    }

    /// The next task of a queue, acknowledged.
    #[track_caller]
    pub fn task(&self, queue: &str) -> Task {
        Task::of(&self.take(queue), false)
    }

    /// Takes a task and holds it: it comes again when the wire is dropped.
    #[track_caller]
    pub fn hold(&self, queue: &str) -> (Task, Delivery) {
        let delivery = self.runtime.block_on(async {
            let mut tasks = self.bus.consume(plain(queue), 1);
            tokio::time::timeout(SOON, tasks.next()).await
        });
        let delivery = delivery.expect("a task comes in time").expect("the stream goes on");
        (Task::of(&delivery.message, delivery.redelivered), delivery)
    }

    /// Publishes through the default exchange, and waits for the confirm.
    #[track_caller]
    pub fn publish(&self, queue: &str, message: Message) {
        let to = Address { exchange: String::new(), routing_key: queue.to_owned() };
        let said = self.runtime.block_on(self.bus.publish(to, message)).expect("the bus is open");
        assert_eq!(said, Publication::Confirmed, "to {queue}");
    }

    /// A reply for a task.
    #[track_caller]
    pub fn reply(&self, to: &str, token: Option<&str>, answer: &Answer) {
        self.publish(to, message(token, answer));
    }

    /// Answers every task of a queue, as many at a time as the prefetch, until the wire is dropped.
    pub fn worker(&self, queue: &str, prefetch: u16, work: impl Fn(&Task) -> Answer + Send + Sync + 'static) {
        let mut tasks = self.bus.consume(plain(queue), prefetch);
        let (bus, work) = (Arc::clone(&self.bus), Arc::new(work));
        self.runtime.spawn(async move {
            while let Some(delivery) = tasks.next().await {
                let (bus, work) = (Arc::clone(&bus), Arc::clone(&work));
                tokio::spawn(async move {
                    let task = Task::of(&delivery.message, delivery.redelivered);
                    let to = Address { exchange: String::new(), routing_key: task.reply_to.clone() };
                    let reply = message(Some(&task.token), &work(&task));
                    if let Ok(Publication::Confirmed) = bus.publish(to, reply).await {
                        delivery.settle(Settlement::Ack);
                    }
                });
            }
        });
    }

    pub fn close(self) {
        self.runtime.block_on(self.bus.close(Duration::from_secs(5)));
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Unsettled deliveries come again to others.
        self.runtime.block_on(self.bus.close(Duration::ZERO));
    }
}

impl Task {
    fn of(message: &Message, redelivered: bool) -> Self {
        let properties = &message.properties;
        Self {
            body: serde_json::from_slice(&message.body).expect("a task is JSON"),
            reply_to: properties.reply_to.clone().expect("a task says where its answer goes"),
            token: properties.correlation_id.clone().expect("a task has a token"),
            redelivered,
        }
    }
}

fn message(token: Option<&str>, answer: &Answer) -> Message {
    let mut headers = Headers::new();
    headers.insert("task-status".into(), HeaderValue::Text(answer.status.to_owned()));
    if let Some(token) = token {
        headers.insert("task-token".into(), HeaderValue::Text(token.to_owned()));
    }
    let properties = Properties {
        content_type: Some("application/json".into()),
        // Where a token is in its header, what else the sender wants to know its reply by.
        correlation_id: answer.reply_to.as_ref().and(token).map(|_| "about-this-one".to_owned()),
        reply_to: answer.reply_to.clone(),
        persistent: true,
        headers,
        ..Properties::default()
    };
    Message { body: answer.body.clone(), properties }
}

fn plain(name: &str) -> QueueSpec {
    QueueSpec::plain(name.to_owned(), QueueKind::Classic)
}
