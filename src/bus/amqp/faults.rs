//! Faults of brokers, done to a broker: killed, suspended, cut off, out of memory, its queues and exchanges deleted.
//! It starts a broker of its own with `scripts/broker.sh`, since all of this would disturb the tests that share one;
//! where the run has no broker, neither has this.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use tokio::task::JoinHandle;

use super::{AmqpBus, Options};
use crate::bus::{
    Address, BusHealth, ExchangeSpec, Message, Properties, Publication, QueueKind, QueueSpec, Settlement, TaskBus,
};

const SOON: Duration = Duration::from_mins(2);

/// A broker of this test's own; killed and deleted at the end.
struct Broker {
    dir: tempfile::TempDir,
    url: String,
}

impl Broker {
    fn start() -> Option<Self> {
        if std::env::var_os("REVEILLE_TEST_AMQP_URL").is_none() || !script().exists() {
            eprintln!("skipped: REVEILLE_TEST_AMQP_URL is not set, or there is no scripts/broker.sh");
            return None;
        }
        let dir = tempfile::tempdir().expect("a folder");
        let conf = dir.path().join("extra.conf");
        std::fs::write(&conf, "max_message_size = 100000\n").expect("broker settings");
        let mut broker = Self { dir, url: String::new() };
        broker.url = broker.run(&["start"], Some(&conf)).trim().lines().last().expect("a URL").to_owned();
        Some(broker)
    }

    fn run(&self, arguments: &[&str], conf: Option<&Path>) -> String {
        let mut command = Command::new(script());
        command.arg(arguments[0]).arg(self.dir.path()).args(&arguments[1..]);
        if let Some(conf) = conf {
            command.env("BROKER_CONF", conf);
        }
        let output = command.output().expect("scripts/broker.sh runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(self.dir.path().join("pid")).expect("the broker's pid");
        assert!(Command::new("kill").arg(signal).arg(pid.trim()).status().expect("kill runs").success());
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = Command::new(script()).arg("discard").arg(self.dir.path()).output();
    }
}

fn script() -> PathBuf {
    PathBuf::from("scripts/broker.sh")
}

fn quorum(name: &str) -> QueueSpec {
    QueueSpec::plain(name.into(), QueueKind::Quorum)
}

fn to(exchange: &str, key: &str) -> Address {
    Address { exchange: exchange.into(), routing_key: key.into() }
}

fn message(body: impl std::fmt::Display) -> Message {
    Message {
        body: body.to_string().into_bytes(),
        properties: Properties { persistent: true, ..Properties::default() },
    }
}

/// Publishes `count` numbered messages at once; the answers in their order.
fn load(bus: &Arc<AmqpBus>, address: &Address, count: u32) -> JoinHandle<Vec<Publication>> {
    load_from(bus, address, 0, count)
}

fn load_from(bus: &Arc<AmqpBus>, address: &Address, from: u32, count: u32) -> JoinHandle<Vec<Publication>> {
    let (bus, address) = (bus.clone(), address.clone());
    tokio::spawn(async move {
        let publishes: FuturesUnordered<_> = (from..from + count)
            .map(|n| {
                let publish = bus.publish(address.clone(), message(n));
                async move { (n, publish.await.expect("the bus is open")) }
            })
            .collect();
        let mut answers: Vec<_> = publishes.collect().await;
        answers.sort_unstable_by_key(|(n, _)| *n);
        answers.into_iter().map(|(_, publication)| publication).collect()
    })
}

/// Consumes and acks until each of `count` numbers has come at least once; how many came twice or more.
async fn all_of(bus: &AmqpBus, queue: &QueueSpec, count: u32) -> usize {
    let mut stream = bus.consume(queue.clone(), 500);
    let mut seen = BTreeSet::new();
    let mut again = 0;
    while seen.len() < count as usize {
        let delivery = tokio::time::timeout(SOON, stream.next())
            .await
            .unwrap_or_else(|_| panic!("{} of {count}", seen.len()))
            .expect("goes on");
        let n: u32 = String::from_utf8_lossy(&delivery.message.body).parse().expect("a number");
        again += usize::from(!seen.insert(n));
        delivery.settle(Settlement::Ack);
    }
    again
}

async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, work).await.unwrap_or_else(|_| panic!("{what}: not in time"))
}

async fn until(bus: &AmqpBus, what: &str, is: impl Fn(BusHealth) -> bool) {
    in_time(what, async {
        while !is(bus.health()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_whatever_happens_to_the_broker() {
    let Some(broker) = Broker::start() else { return };
    let bus = connected(&broker, Duration::from_secs(20)).await;

    let live = bus.publishing.live().await.expect("open");
    too_large_for_the_broker(&bus).await;
    closed_with_megabytes_behind(&bus).await;
    exchange_deleted(&bus).await;
    // a channel that the broker closes is no reason to give up the connection
    assert!(Arc::ptr_eq(&live, &bus.publishing.live().await.expect("open")));
    drop(live);
    queue_deleted(&bus, &broker).await;
    out_of_memory(&bus, &broker).await;
    connections_cut(&bus, &broker).await;
    killed(&bus, &broker).await;
    bus.close(SOON).await;

    let hasty = connected(&broker, Duration::from_secs(1)).await;
    suspended(&hasty, &broker).await;
    hasty.close(SOON).await;
}

/// A bus whose watchdog takes a confirm for lost after `confirm_timeout`: long, so that a busy machine is not taken for
/// a dead broker.
async fn connected(broker: &Broker, confirm_timeout: Duration) -> Arc<AmqpBus> {
    let bus = AmqpBus::connect(&broker.url, Options { confirm_timeout, ..Options::default() }).expect("a usable URL");
    bus.wait_ready(SOON).await.expect("the broker");
    bus
}

/// The broker closes the channel over one message: it alone is refused.
async fn too_large_for_the_broker(bus: &Arc<AmqpBus>) {
    let queue = quorum("faults.large");
    bus.declare(vec![], vec![queue.clone()], vec![]).await.expect("declared");
    let others = load(bus, &to("", &queue.name), 500);
    let large = bus.publish(to("", &queue.name), message("x".repeat(200_000)));
    let refused = in_time("too large", large).await.expect("publish");
    assert!(matches!(&refused, Publication::Refused { text } if text.contains("406")), "{refused:?}");
    let answers = in_time("the others", others).await.expect("load");
    assert!(answers.iter().all(|p| *p == Publication::Confirmed));
}

/// The client library still holds megabytes for a channel when the broker closes it: they must not reach the broker,
/// which would end the connection over them ([`super::mend`]).
async fn closed_with_megabytes_behind(bus: &Arc<AmqpBus>) {
    let queue = quorum("faults.behind");
    bus.declare(vec![], vec![queue.clone()], vec![]).await.expect("declared");
    let body = vec![b'x'; 90_000];
    let live = bus.publishing.live().await.expect("open");
    for _ in 0..5 {
        let channel = live.channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        let publishes: Vec<_> = (0..300)
            .map(|n| {
                let exchange = if n == 5 { "faults.nowhere" } else { "" };
                let options = BasicPublishOptions::default();
                let properties = lapin::BasicProperties::default();
                channel.basic_publish(exchange.into(), queue.name.as_str().into(), options, &body, properties)
            })
            .collect();
        let sent = in_time("written or refused", join_all(publishes)).await;
        for confirm in sent.into_iter().flatten() {
            let _ = confirm.await;
        }
        assert!(!channel.status().connected());
        // the broker answers on another channel: the connection holds
        let channel = live.channel().await.expect("a channel");
        channel.queue_purge(queue.name.as_str().into(), QueuePurgeOptions::default()).await.expect("purged");
    }
}

/// An exchange that was there is deleted: publishes to it are unroutable, those beside them on the same channels are
/// not.
async fn exchange_deleted(bus: &Arc<AmqpBus>) {
    let exchange = ExchangeSpec { name: "faults.exchange".into(), kind: "fanout" };
    let queue = quorum("faults.neighbour");
    bus.declare(vec![], vec![queue.clone()], vec![]).await.expect("declared");
    // a foreign queue: the engine's own would be declared again
    let channel = bus.publishing.live().await.expect("open").channel().await.expect("a channel");
    channel
        .exchange_declare(
            exchange.name.as_str().into(),
            lapin::ExchangeKind::Fanout,
            lapin::options::ExchangeDeclareOptions::default(),
            lapin::types::FieldTable::default(),
        )
        .await
        .expect("declared");
    channel
        .queue_bind(
            queue.name.as_str().into(),
            exchange.name.as_str().into(),
            "".into(),
            lapin::options::QueueBindOptions::default(),
            lapin::types::FieldTable::default(),
        )
        .await
        .expect("bound");
    let first = bus.publish(to(&exchange.name, ""), message(0)).await.expect("publish");
    assert_eq!(first, Publication::Confirmed);
    channel.exchange_delete(exchange.name.as_str().into(), ExchangeDeleteOptions::default()).await.expect("deleted");
    let others = load(bus, &to("", &queue.name), 500);
    let answers = in_time("404", load(bus, &to(&exchange.name, ""), 10)).await.expect("load");
    assert!(answers.iter().all(|p| matches!(p, Publication::Unroutable { code: 404, .. })), "{answers:?}");
    assert!(in_time("neighbours", others).await.expect("load").iter().all(|p| *p == Publication::Confirmed));
}

/// The queue under a consumer is deleted: it is declared and consumed again.
async fn queue_deleted(bus: &Arc<AmqpBus>, _broker: &Broker) {
    let queue = quorum("faults.deleted");
    let mut stream = bus.consume(queue.clone(), 10);
    let polled = tokio::spawn(async move { stream.next().await.map(|d| d.message.body) });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let channel = bus.consuming.live().await.expect("open").channel().await.expect("a channel");
    channel.queue_delete(queue.name.as_str().into(), QueueDeleteOptions::default()).await.expect("deleted");
    // it comes back by itself; until then the publish is unroutable, as it must be
    let confirmed = async {
        while bus.publish(to("", &queue.name), message("back")).await.expect("publish") != Publication::Confirmed {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    in_time("queue is back", confirmed).await;
    assert_eq!(in_time("delivery", polled).await.expect("task"), Some(b"back".to_vec()));
}

/// A memory alarm: publishes wait, health says so, replies still come in and are acked; then all goes on.
async fn out_of_memory(bus: &Arc<AmqpBus>, broker: &Broker) {
    let queue = quorum("faults.blocked");
    bus.declare(vec![], vec![queue.clone()], vec![]).await.expect("declared");
    in_time("before", load(bus, &to("", &queue.name), 100)).await.expect("load");
    broker.run(&["ctl", "set_vm_memory_high_watermark", "0.00001"], None);
    let waiting = load(bus, &to("", "faults.blocked.more"), 100);
    bus.declare(vec![], vec![quorum("faults.blocked.more")], vec![]).await.expect("declares while blocked");
    until(bus, "blocked", |h| matches!(h, BusHealth::Blocked(_))).await;
    assert_eq!(all_of(bus, &queue, 100).await, 0);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!waiting.is_finished(), "nothing is published while the broker is blocked");
    broker.run(&["ctl", "set_vm_memory_high_watermark", "0.4"], None);
    until(bus, "unblocked", |h| h == BusHealth::Up).await;
    let answers = in_time("after", waiting).await.expect("load");
    assert_eq!(answers.len(), 100);
    assert!(bus.get(&queue.name).await.expect("get").is_none(), "all were acked while the broker was blocked");
}

/// Connections are cut, twice, in the middle of load in both directions.
async fn connections_cut(bus: &Arc<AmqpBus>, broker: &Broker) {
    let queue = quorum("faults.cut");
    bus.declare(vec![], vec![queue.clone()], vec![]).await.expect("declared");
    let consuming = {
        let (bus, queue) = (bus.clone(), queue.clone());
        tokio::spawn(async move { all_of(&bus, &queue, 20_000).await })
    };
    let publishing = load(bus, &to("", &queue.name), 20_000);
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        broker.run(&["ctl", "close_all_connections", "test"], None);
    }
    let answers = in_time("confirms", publishing).await.expect("load");
    assert!(answers.iter().all(|p| *p == Publication::Confirmed));
    let again = in_time("deliveries", consuming).await.expect("task");
    eprintln!("connections cut twice: 20,000 published, {again} came again");
}

/// The broker stands still: confirms do not come, the watchdog sends again, and all is well when it goes on.
async fn suspended(bus: &Arc<AmqpBus>, broker: &Broker) {
    let queue = quorum("faults.suspended");
    bus.declare(vec![], vec![queue.clone()], vec![]).await.expect("declared");
    broker.signal("-STOP");
    let publishing = load(bus, &to("", &queue.name), 1_000);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!publishing.is_finished());
    broker.signal("-CONT");
    assert!(in_time("after the stop", publishing).await.expect("load").iter().all(|p| *p == Publication::Confirmed));
    all_of(bus, &queue, 1_000).await;
}

/// Stopped, and killed by -9, in the middle of 5,000 publishes, started again a while later: all confirmed, all there.
async fn killed(bus: &Arc<AmqpBus>, broker: &Broker) {
    let queue = quorum("faults.killed");
    bus.declare(vec![], vec![queue.clone()], vec![]).await.expect("declared");
    // RabbitMQ 3.10 saves a quorum queue's name a moment later than it answers
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Stopped while some are confirmed and others are not, however fast it is: more are sent until it stands still.
    let (mut sent, mut publishing) = (0, Vec::new());
    let first = in_time("the first", load(bus, &to("", &queue.name), 1)).await.expect("load");
    assert_eq!(first, [Publication::Confirmed]);
    while sent < 5_000 {
        publishing.push(load_from(bus, &to("", &queue.name), sent, 500));
        sent += 500;
        tokio::time::sleep(Duration::from_millis(5)).await;
        if sent == 2_500 {
            broker.signal("-STOP");
        }
    }
    broker.signal("-KILL");
    until(bus, "down", |h| matches!(h, BusHealth::Down(_))).await;
    assert!(publishing.iter().any(|load| !load.is_finished()), "killed in the middle");
    broker.run(&["start"], None);
    for load in publishing {
        assert!(in_time("after the kill", load).await.expect("load").iter().all(|p| *p == Publication::Confirmed));
    }
    let again = all_of(bus, &queue, 5_000).await;
    eprintln!("killed in the middle of 5,000: all confirmed and there, {again} twice");
}
