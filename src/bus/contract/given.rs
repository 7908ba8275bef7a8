//! The beginning of each contract: a bus, queues, messages, and the expected deliveries of a stream.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt};
use uuid::Uuid;

use super::{Bus, SOON};
use crate::bus::amqp::{AmqpBus, Options};
use crate::bus::{Address, Delivery, Message, Properties, Publication, QueueKind, QueueSpec};

pub(super) const QUIET: Duration = Duration::from_millis(400);

/// A bus on the broker of the test run.
pub(super) async fn broker() -> Option<Arc<AmqpBus>> {
    let Ok(url) = std::env::var("REVEILLE_TEST_AMQP_URL") else {
        eprintln!("skipped: REVEILLE_TEST_AMQP_URL names no broker");
        return None;
    };
    let bus = AmqpBus::connect(&url, Options::default()).expect("a usable URL");
    bus.wait_ready(SOON).await.expect("the broker of the test run");
    Some(bus)
}

pub(super) fn unique(name: &str) -> String {
    format!("test.{name}.{}", Uuid::new_v4())
}

pub(super) fn queue(name: &str) -> QueueSpec {
    QueueSpec::plain(unique(name), QueueKind::Quorum)
}

pub(super) fn to_queue(spec: &QueueSpec) -> Address {
    Address { exchange: String::new(), routing_key: spec.name.clone() }
}

pub(super) fn message(body: impl std::fmt::Display) -> Message {
    Message {
        body: body.to_string().into_bytes(),
        properties: Properties { persistent: true, ..Properties::default() },
    }
}

pub(super) fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.message.body).into_owned()
}

pub(super) async fn declared(bus: &Bus, spec: QueueSpec) -> QueueSpec {
    bus.declare(vec![], vec![spec.clone()], vec![]).await.expect("declared");
    spec
}

pub(super) async fn confirmed(bus: &Bus, to: Address, message: Message) {
    assert_eq!(bus.publish(to, message).await.expect("publish"), Publication::Confirmed);
}

pub(super) async fn next(stream: &mut BoxStream<'static, Delivery>) -> Delivery {
    tokio::time::timeout(SOON, stream.next()).await.expect("a delivery in time").expect("the stream goes on")
}

pub(super) async fn nothing_more(stream: &mut BoxStream<'static, Delivery>) {
    let more = tokio::time::timeout(QUIET, stream.next()).await;
    assert!(more.is_err(), "nothing more was to come, but {more:?}");
}
