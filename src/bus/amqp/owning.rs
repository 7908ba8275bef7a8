//! Owning queues on a broker that others use as well: refused declarations, missing rights, deleted queues, and the
//! number of redeliveries. On the broker of the run; without a broker these tests are skipped.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};

use super::{AmqpBus, Options};
use crate::bus::{
    Address, BusError, DeclareQueues, ExchangeSpec, Message, Publication, QueueKind, QueueSpec, Settlement, TaskBus,
};

const SOON: Duration = Duration::from_mins(1);

fn unique(name: &str) -> String {
    format!("owning.{name}.{}", uuid::Uuid::new_v4().simple())
}

fn url() -> Option<String> {
    let url = std::env::var("REVEILLE_TEST_AMQP_URL").ok();
    if url.is_none() {
        eprintln!("skipped: REVEILLE_TEST_AMQP_URL is not set");
    }
    url
}

async fn connected(url: &str) -> Arc<AmqpBus> {
    let options = Options { requeue_delay: Duration::from_millis(10), ..Options::default() };
    let bus = AmqpBus::connect(url, options).expect("a usable URL");
    bus.wait_ready(SOON).await.expect("the broker");
    bus
}

fn to(exchange: &str, key: &str) -> Address {
    Address { exchange: exchange.to_owned(), routing_key: key.to_owned() }
}

async fn publish(bus: &AmqpBus, to: Address) -> Publication {
    let message = Message { body: b"1".to_vec(), ..Message::default() };
    tokio::time::timeout(SOON, bus.publish(to, message)).await.expect("in time").expect("the bus is open")
}

async fn until<F: Future<Output = bool>>(what: &str, is: impl Fn() -> F) {
    let waited = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, waited).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_declaration_holds_up_no_other_and_is_named() {
    let Some(url) = url() else { return };
    let bus = connected(&url).await;
    let exchange = |name: &str, kind| ExchangeSpec { name: name.to_owned(), kind };
    let (taken, free) = (unique("taken"), unique("free"));
    let queue = QueueSpec::plain(unique("queue"), QueueKind::Classic);
    bus.declare(vec![exchange(&taken, "direct")], vec![], vec![]).await.expect("declared");
    let other = connected(&url).await;
    let said = other
        .declare(vec![exchange(&taken, "topic"), exchange(&free, "topic")], vec![queue.clone()], vec![])
        .await
        .expect_err("another type");
    assert!(matches!(&said, BusError::Refused { what, .. } if what.contains(&taken)), "{said}");
    assert_eq!(publish(&other, to("", &queue.name)).await, Publication::Confirmed);
    assert!(matches!(publish(&other, to(&free, "k")).await, Publication::Unroutable { code: 312, .. }));
    let facts = other.facts();
    let refused: Vec<_> = facts.refused.iter().map(|r| (r.what.clone(), r.code)).collect();
    assert_eq!(refused, [(format!("exchange {taken}"), 406)]);
    for bus in [bus, other] {
        bus.close(SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_queue_refuses_is_sent_again_for_a_while() {
    let Some(url) = url() else { return };
    let bus = connected(&url).await;
    let queue = QueueSpec { max_length: Some(1), ..QueueSpec::plain(unique("full"), QueueKind::Classic) };
    bus.declare(vec![], vec![queue.clone()], vec![]).await.expect("declared");
    assert_eq!(publish(&bus, to("", &queue.name)).await, Publication::Confirmed);
    let mut second = std::pin::pin!(publish(&bus, to("", &queue.name)));
    let said = tokio::time::timeout(Duration::from_secs(1), &mut second).await;
    assert!(said.is_err(), "a refusal is no answer yet: {said:?}");
    bus.get(&queue.name).await.expect("there").expect("the first").settle(Settlement::Ack);
    assert_eq!(second.await, Publication::Confirmed);
    bus.close(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_is_declared_again_by_the_publish_that_misses_it() {
    let Some(url) = url() else { return };
    let bus = connected(&url).await;
    let queue = QueueSpec::plain(unique("queue"), QueueKind::Classic);
    let bound = QueueSpec::plain(unique("bound"), QueueKind::Classic);
    let exchange = ExchangeSpec { name: unique("exchange"), kind: "fanout" };
    bus.declare(vec![exchange.clone()], vec![queue.clone()], vec![(bound.clone(), to(&exchange.name, ""))])
        .await
        .expect("declared");
    assert_eq!(publish(&bus, to(&exchange.name, "")).await, Publication::Confirmed);
    let channel = bus.consuming.live().await.expect("open").channel().await.expect("a channel");
    let no_options = QueueDeleteOptions::default();
    channel.queue_delete(queue.name.as_str().into(), no_options).await.expect("deleted");
    channel.exchange_delete(exchange.name.as_str().into(), ExchangeDeleteOptions::default()).await.expect("deleted");
    assert_eq!(publish(&bus, to("", &queue.name)).await, Publication::Confirmed);
    assert_eq!(publish(&bus, to(&exchange.name, "")).await, Publication::Confirmed, "with its binding");
    assert!(
        matches!(publish(&bus, to("", &unique("nobody"))).await, Publication::Unroutable { .. }),
        "others' stay theirs"
    );
    bus.close(SOON).await;
}

/// A user of the run's broker with no right to declare anything.
fn guest_without_rights(url: &str) -> Option<String> {
    let dir = std::env::var_os("REVEILLE_TEST_BROKER_DIR")?;
    let ctl = |arguments: &[&str]| {
        let done = Command::new("scripts/broker.sh").arg("ctl").arg(&dir).args(arguments).output().expect("it runs");
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    let user = format!("u{}", uuid::Uuid::new_v4().simple());
    // in one call: each takes seconds
    ctl(&[
        "eval",
        &format!(
            "rabbit_auth_backend_internal:add_user(<<\"{user}\">>, <<\"word\">>, <<\"t\">>), \
             rabbit_auth_backend_internal:set_permissions(<<\"{user}\">>, <<\"/\">>, <<\"^$\">>, <<\".*\">>, \
             <<\".*\">>, <<\"t\">>)."
        ),
    ]);
    let (_, host) = url.split_once('@').expect("a URL with a user");
    Some(format!("amqp://{user}:word@{host}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_to_declare_what_is_there_is_consumed_and_what_is_missing_is_told() {
    let Some(url) = url() else { return };
    let Some(poor) = guest_without_rights(&url) else { return };
    let owner = connected(&url).await;
    let queue = QueueSpec::plain(unique("there"), QueueKind::Classic);
    owner.declare(vec![], vec![queue.clone()], vec![]).await.expect("declared");
    assert_eq!(publish(&owner, to("", &queue.name)).await, Publication::Confirmed);
    let bus = connected(&poor).await;
    // quorum, where its owner made it classic: used as it is
    let as_quorum = QueueSpec::owned(queue.name.clone(), QueueKind::Quorum, bus.names());
    let mut stream = bus.consume(as_quorum, 10);
    let delivery = tokio::time::timeout(SOON, stream.next()).await.expect("in time").expect("goes on");
    delivery.settle(Settlement::Ack);
    assert_eq!((bus.facts().deaf().count(), bus.facts().refused), (0, vec![]));
    // Queues of workers: an existing one is used, a missing one is left to its worker and is no refusal of ours.
    let left = unique("left");
    for name in [&queue.name, &left] {
        let of_tasks = QueueSpec::of_tasks(name.clone(), DeclareQueues::Auto, QueueKind::Quorum, bus.names());
        bus.declare(vec![], of_tasks.into_iter().collect(), vec![]).await.expect("it is remembered");
    }
    assert_eq!(publish(&bus, to("", &queue.name)).await, Publication::Confirmed);
    let unroutable = publish(&bus, to("", &left)).await;
    assert!(matches!(unroutable, Publication::Unroutable { .. }), "{unroutable:?}");
    assert_eq!(bus.facts().refused, []);
    owner.declare(vec![], vec![QueueSpec::plain(left.clone(), QueueKind::Classic)], vec![]).await.expect("declared");
    assert_eq!(publish(&bus, to("", &left)).await, Publication::Confirmed);
    let missing = QueueSpec::plain(unique("missing"), QueueKind::Classic);
    let mut deaf = bus.consume(missing.clone(), 10);
    let polled = tokio::spawn(async move { deaf.next().await.is_some() });
    until("it is told", || async {
        let facts = bus.facts();
        let told = facts.deaf().any(|c| c.queue == missing.name && c.trouble.is_some());
        told && facts.refused.iter().any(|r| r.what.contains(&missing.name) && r.code == 403)
    })
    .await;
    // its owner makes it: it is consumed without a restart
    owner.declare(vec![], vec![missing.clone()], vec![]).await.expect("declared");
    assert_eq!(publish(&owner, to("", &missing.name)).await, Publication::Confirmed);
    assert!(tokio::time::timeout(SOON, polled).await.expect("in time").expect("no panic"));
    drop(stream);
    for bus in [bus, owner] {
        bus.close(SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_engine_gives_back_is_not_counted_and_what_takes_connections_is_parked() {
    let Some(url) = url() else { return };
    let bus = connected(&url).await;
    let parked = QueueSpec::plain(unique("parked"), QueueKind::Classic);
    let queue = QueueSpec {
        dead_letter: Some(to("", &parked.name)),
        delivery_limit: Some(3),
        ..QueueSpec::plain(unique("limited"), QueueKind::Quorum)
    };
    bus.declare(vec![], vec![parked.clone(), queue.clone()], vec![]).await.expect("declared");
    assert_eq!(publish(&bus, to("", &queue.name)).await, Publication::Confirmed);
    let mut stream = bus.consume(queue.clone(), 10);
    for round in 0..12 {
        let delivery = tokio::time::timeout(SOON, stream.next()).await.expect("in time").expect("goes on");
        assert_eq!((delivery.redelivered, delivery.message.body.as_slice()), (round > 0, &b"1"[..]));
        delivery.settle(Settlement::Requeue);
    }
    let delivery = tokio::time::timeout(SOON, stream.next()).await.expect("in time").expect("goes on");
    assert!(bus.get(&parked.name).await.expect("get").is_none(), "nothing was counted");
    drop((stream, delivery));
    bus.close(SOON).await;
    // Connections that end with it in their hands do count.
    for _ in 0..8 {
        let doomed = connected(&url).await;
        let mut stream = doomed.consume(queue.clone(), 10);
        let delivery = tokio::time::timeout(Duration::from_secs(3), stream.next()).await;
        let over = delivery.is_err();
        doomed.close(Duration::ZERO).await;
        if over {
            break;
        }
    }
    let bus = connected(&url).await;
    until("it is in the parking queue", || async {
        bus.get(&parked.name).await.expect("get").map(|d| d.settle(Settlement::Ack)).is_some()
    })
    .await;
    bus.close(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_engines_with_the_same_names_notice_each_other_and_a_prefix_keeps_them_apart() {
    let Some(url) = url() else { return };
    let engine = |prefix: &str, identity: &str| {
        let options = Options {
            names: crate::bus::Names::new(prefix),
            identity: Some(identity.to_owned()),
            connection_name: format!("engine {identity}"),
            ..Options::default()
        };
        AmqpBus::connect(&url, options).expect("a usable URL")
    };
    let prefix = unique("prefix");
    let first = engine(&prefix, "one");
    let channel = first.consuming.live().await.expect("open").channel().await.expect("a channel");
    until("the first has the lock", || async {
        let options = lapin::options::QueueDeclareOptions { passive: true, ..Default::default() };
        let name = format!("{prefix}.engine");
        let queue = first.consuming.live().await.expect("open").channel().await.expect("a channel");
        let seen = queue.queue_declare(name.as_str().into(), options, lapin::types::FieldTable::default()).await;
        seen.is_ok_and(|queue| queue.consumer_count() == 1)
    })
    .await;
    drop(channel);
    let second = engine(&prefix, "two");
    until("the second notices", || async { second.facts().shared_with.as_deref() == Some("engine one") }).await;
    let apart = engine(&unique("other"), "three");
    apart.wait_ready(SOON).await.expect("the broker");
    until("the first is told", || async { first.facts().shared_with.as_deref() == Some("engine two") }).await;
    assert_eq!(apart.facts().shared_with, None);
    first.close(SOON).await;
    until("the second is alone", || async { second.facts().shared_with.is_none() }).await;
    for bus in [second, apart] {
        bus.close(SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_address_is_taken_where_one_does_not_answer_and_a_new_password_is_read() {
    let Some(url) = url() else { return };
    let file = tempfile::NamedTempFile::new().expect("a file");
    let wrong = url.replacen("guest:guest@", "guest:wrong@", 1);
    std::fs::write(file.path(), format!("amqp://guest:guest@127.0.0.1:1/x,{wrong}")).expect("written");
    let options = Options { url_file: Some(file.path().to_owned()), ..Options::default() };
    let bus = AmqpBus::connect("amqp://ignored", options).expect("usable URLs");
    until("both are refused", || async {
        matches!(bus.health(), crate::bus::BusHealth::Down(why) if why.contains("127.0.0.1:1/x") && why.contains("; "))
    })
    .await;
    std::fs::write(file.path(), format!("amqp://guest:guest@127.0.0.1:1/x,{url}")).expect("written");
    bus.wait_ready(SOON).await.expect("the second address, with the new password");
    assert!(url.contains(bus.endpoint().split("://").nth(1).expect("an address").split('/').next().expect("a host")));
    bus.close(SOON).await;
}
