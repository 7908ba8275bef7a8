//! The demo's workers. They know as much as any worker: a message, the address of its answer, and the token to send
//! back.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::bus::{
    Address, BusError, Delivery, HeaderValue, Message, Properties, QueueKind, QueueSpec, Settlement, TaskBus,
};

/// The queue of the friend who knows photographers.
pub(super) const FRIEND: &str = "photographer-friend";
/// Tasks that a worker takes at a time.
const PREFETCH: u16 = 10;
/// How long a worker works: long enough to be seen.
const VENUE_TAKES: Duration = Duration::from_millis(1_200);
const CATERING_TAKES: Duration = Duration::from_secs(2);
/// How long the friend thinks where no person is asked.
const FRIEND_THINKS: Duration = Duration::from_millis(3_500);

/// Starts the venue and the caterer; the friend's questions come out of the channel.
pub(super) fn start(bus: &Arc<dyn TaskBus>) -> mpsc::Receiver<Question> {
    rpc(bus, "venue", VENUE_TAKES, |order| {
        let seats = order["guests"].as_u64().unwrap_or_default() + 2;
        json!({"name": order["venue"], "seats": seats, "ready_on": order["date"]})
    });
    rpc(bus, "catering", CATERING_TAKES, |order| {
        let portions = order["guests"].as_array().map_or(0, Vec::len);
        json!({"menu": ["barley soup", "apple tart"], "portions": portions})
    });
    let (ask, questions) = mpsc::channel(1);
    let mut tasks = bus.consume(queue(FRIEND), PREFETCH);
    let bus = Arc::clone(bus);
    actix_rt::spawn(async move {
        while let Some(task) = tasks.next().await {
            if ask.send(Question { task, bus: Arc::clone(&bus) }).await.is_err() {
                break;
            }
        }
    });
    questions
}

/// A friend who answers every question after a moment.
pub(super) async fn answer_by_itself(mut questions: mpsc::Receiver<Question>, name: &'static str) {
    while let Some(question) = questions.recv().await {
        tokio::time::sleep(FRIEND_THINKS).await;
        // A bus that is closing: the demo has ended.
        let _ = question.answer(Answer::Name(name.to_owned())).await;
    }
}

/// A question to the friend that is not answered yet.
#[derive(Debug)]
pub(super) struct Question {
    task: Delivery,
    bus: Arc<dyn TaskBus>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Name(String),
    Nobody,
}

impl Question {
    pub(super) fn text(&self) -> String {
        body(&self.task)["question"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) async fn answer(self, answer: Answer) -> Result<(), BusError> {
        let (body, status) = match answer {
            Answer::Name(name) => (json!({"name": name, "phone": "555-0142"}), "success"),
            Answer::Nobody => {
                (json!({"error": "Friend.KnowsNobody", "cause": "the friend knows no photographer"}), "failure")
            }
        };
        reply(&*self.bus, self.task, &body, status).await
    }
}

/// Answers each task of a queue as an RPC server does.
fn rpc(bus: &Arc<dyn TaskBus>, name: &str, takes: Duration, work: fn(&Value) -> Value) {
    let mut tasks = bus.consume(queue(name), PREFETCH);
    let bus = Arc::clone(bus);
    actix_rt::spawn(async move {
        while let Some(task) = tasks.next().await {
            tokio::time::sleep(takes).await;
            let answer = work(&body(&task));
            if reply(&*bus, task, &answer, "success").await.is_err() {
                break;
            }
        }
    });
}

/// The answer goes where the task says, with the task's token; the task is acknowledged when the answer is safe.
async fn reply(bus: &dyn TaskBus, task: Delivery, body: &Value, status: &str) -> Result<(), BusError> {
    let asked = &task.message.properties;
    let Some(to) = asked.reply_to.clone() else {
        task.settle(Settlement::Ack);
        return Ok(());
    };
    let properties = Properties {
        content_type: Some("application/json".into()),
        correlation_id: asked.correlation_id.clone(),
        persistent: true,
        headers: [("task-status".into(), HeaderValue::Text(status.to_owned()))].into(),
        ..Properties::default()
    };
    let message = Message { body: body.to_string().into_bytes(), properties };
    bus.publish(Address { exchange: String::new(), routing_key: to }, message).await?;
    task.settle(Settlement::Ack);
    Ok(())
}

fn body(task: &Delivery) -> Value {
    serde_json::from_slice(&task.message.body).unwrap_or_default()
}

/// As workers of other languages declare it: durable, and nothing else.
fn queue(name: &str) -> QueueSpec {
    QueueSpec::plain(name.to_owned(), QueueKind::Classic)
}
