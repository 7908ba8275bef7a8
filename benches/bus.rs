//! The bare bus: round trips a second through [`reveille::bus`], 2,000 in flight, beside an echo worker written
//! straight on lapin in a process of its own; then the CPU time that one round trip costs this process.
//!
//! `cargo bench --bench bus`. Needs a broker: `REVEILLE_BENCH_AMQP_URL` (`make bench` starts one); without it only the
//! embedded bus is measured.

use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reveille::bus::amqp::{AmqpBus, Options};
use reveille::bus::embedded::EmbeddedBus;
use reveille::bus::{Address, Message, Properties, Publication, QueueKind, QueueSpec, Settlement, TaskBus};
use reveille::ids::PartitionId;
use tokio::sync::Semaphore;

const IN_FLIGHT: usize = 2_000;
const WARM_UP: u32 = 5_000;
const ROUND_TRIPS: u32 = 40_000;
const PAYLOAD: &str = r#"{"order":"4711","customer":{"name":"Ann","city":"Ulm"},"items":[{"sku":"a-1","count":2},{"sku":"b-2","count":1}],"note":"ring twice"}"#;

fn main() {
    // the worker's process is this program again
    if let (Ok(url), Ok(queue)) = (std::env::var("BENCH_ECHO_URL"), std::env::var("BENCH_ECHO_QUEUE")) {
        runtime().block_on(echo(&url, &queue));
        return;
    }
    runtime().block_on(async {
        embedded().await;
        let Ok(url) = std::env::var("REVEILLE_BENCH_AMQP_URL") else {
            println!("amqp: skipped, REVEILLE_BENCH_AMQP_URL names no broker");
            return;
        };
        for kind in [QueueKind::Quorum, QueueKind::Classic] {
            amqp(&url, kind).await;
        }
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn spec(name: String, kind: QueueKind) -> QueueSpec {
    QueueSpec::plain(name, kind)
}

fn to(queue: &str) -> Address {
    Address { exchange: String::new(), routing_key: queue.to_owned() }
}

/// User and system time of this process (of all its threads, lapin's too), where /proc tells it.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

async fn drive(name: &str, bus: Arc<dyn TaskBus>, queue: &str, partition: PartitionId) {
    let mut replies = bus.replies(partition, 1);
    let room = Arc::new(Semaphore::new(IN_FLIGHT));
    let publisher = {
        let (bus, room, queue) = (bus.clone(), room.clone(), queue.to_owned());
        tokio::spawn(async move {
            for n in 0..WARM_UP + ROUND_TRIPS {
                room.acquire().await.expect("open").forget();
                let mut message = Message {
                    body: PAYLOAD.as_bytes().to_vec(),
                    properties: Properties { persistent: true, ..Properties::default() },
                };
                message.properties.reply_to = Some(bus.reply_queue(partition));
                message.properties.correlation_id = Some(format!("{n:064}"));
                let (bus, to) = (bus.clone(), to(&queue));
                tokio::spawn(async move {
                    assert_eq!(bus.publish(to, message).await.expect("open"), Publication::Confirmed);
                });
            }
        })
    };
    let (mut since, mut cpu_before) = (Instant::now(), cpu());
    for n in 0..WARM_UP + ROUND_TRIPS {
        if n == WARM_UP {
            (since, cpu_before) = (Instant::now(), cpu());
        }
        replies.next().await.expect("a reply").settle(Settlement::Ack);
        room.add_permits(1);
    }
    let (wall, used) = (since.elapsed(), cpu().saturating_sub(cpu_before));
    publisher.await.expect("publisher");
    println!(
        "{name}: {:.0} round trips/s; {:.1} µs of CPU in this process for each (publish, confirm, delivery, ack)",
        f64::from(ROUND_TRIPS) / wall.as_secs_f64(),
        used.as_secs_f64() * 1e6 / f64::from(ROUND_TRIPS)
    );
}

async fn embedded() {
    let bus = EmbeddedBus::new();
    let mut tasks = bus.worker("bench", 1_000);
    let worker = bus.clone();
    tokio::spawn(async move {
        while let Some(task) = tasks.next().await {
            let reply_to = task.message.properties.reply_to.clone().unwrap_or_default();
            let mut reply = Message { body: b"true".to_vec(), properties: Properties::default() };
            reply.properties.correlation_id.clone_from(&task.message.properties.correlation_id);
            worker.publish(to(&reply_to), reply).await.expect("open");
            task.settle(Settlement::Ack);
        }
    });
    drive("embedded (worker in this process)", Arc::new(bus), "bench", PartitionId(0)).await;
}

async fn amqp(url: &str, kind: QueueKind) {
    // other arguments on the same name are refused: each run and kind has its own queues
    let run = u16::try_from(std::process::id() % 10_000).unwrap_or(0);
    let partition = PartitionId(30_000 + run + if kind == QueueKind::Quorum { 0 } else { 10_000 });
    let queue = format!("bench.{kind:?}.{}", std::process::id());
    let bus = AmqpBus::connect(url, Options { reply_queue_kind: kind, ..Options::default() }).expect("a usable URL");
    bus.wait_ready(Duration::from_secs(20)).await.expect("the broker");
    bus.declare(vec![], vec![spec(queue.clone(), kind)], vec![]).await.expect("declared");
    let mut worker = Worker::start(url, &queue);
    drive(&format!("amqp, {kind:?} queues"), bus.clone(), &queue, partition).await;
    bus.close(Duration::from_secs(5)).await;
    worker.stop();
}

struct Worker(Child);

impl Worker {
    fn start(url: &str, queue: &str) -> Self {
        let program = std::env::current_exe().expect("this program");
        Self(
            Command::new(program)
                .env("BENCH_ECHO_URL", url)
                .env("BENCH_ECHO_QUEUE", queue)
                .spawn()
                .expect("the worker"),
        )
    }

    fn stop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A stock RPC server: answers each message to its `reply_to` with its `correlation_id`.
async fn echo(url: &str, queue: &str) {
    use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions};
    use lapin::types::FieldTable;
    let connection = lapin::Connection::connect(url, lapin::ConnectionProperties::default()).await.expect("the broker");
    let channel = connection.create_channel().await.expect("a channel");
    channel.basic_qos(1_000, BasicQosOptions::default()).await.expect("qos");
    let mut tasks = channel
        .basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await
        .expect("consume");
    let mut taken = 0u64;
    while let Some(Ok(task)) = tasks.next().await {
        let reply_to = task.properties.reply_to().clone().expect("reply_to");
        let properties = lapin::BasicProperties::default()
            .with_delivery_mode(2)
            .with_correlation_id(task.properties.correlation_id().clone().expect("correlation_id"));
        let publish = channel.basic_publish("".into(), reply_to, BasicPublishOptions::default(), b"true", properties);
        drop(publish.await.expect("publish"));
        taken += 1;
        if taken.is_multiple_of(100) {
            task.ack(BasicAckOptions { multiple: true }).await.expect("ack");
        }
    }
}
