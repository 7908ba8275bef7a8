//! Messages at which connections end, on the broker of the run: behind a proxy that ends a connection when it sees a
//! marker, with a flaw that only tests have, and with headers over the agreed frame. Without a broker these are
//! skipped.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, LongString};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::suspects::Course;
use super::{AmqpBus, Options};
use crate::bus::{
    Address, HeaderValue, Mended, Message, Names, Properties, Publication, QueueKind, QueueSpec, Settlement, TaskBus,
};

const SOON: Duration = Duration::from_mins(2);

fn unique(name: &str) -> String {
    format!("isolation.{name}.{}", uuid::Uuid::new_v4().simple())
}

fn url() -> Option<String> {
    let url = std::env::var("REVEILLE_TEST_AMQP_URL").ok();
    if url.is_none() {
        eprintln!("skipped: REVEILLE_TEST_AMQP_URL is not set");
    }
    url
}

async fn connected(url: &str, names: &Names) -> Arc<AmqpBus> {
    let options = Options { names: names.clone(), ..Options::default() };
    let bus = AmqpBus::connect(url, options).expect("a usable URL");
    bus.wait_ready(SOON).await.expect("the broker");
    bus
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let waited = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, waited).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

async fn publish(bus: &AmqpBus, queue: &str, body: &str, header: Option<(&str, &str)>) {
    let to = Address { exchange: String::new(), routing_key: queue.to_owned() };
    let headers = header.map(|(name, text)| (name.to_owned().into(), HeaderValue::Text(text.to_owned())));
    let properties = Properties {
        persistent: true,
        message_id: Some(body.to_owned()),
        headers: headers.into_iter().collect(),
        ..Properties::default()
    };
    let said = bus.publish(to, Message { body: body.into(), properties }).await.expect("the bus is open");
    assert_eq!(said, Publication::Confirmed);
}

/// Between a bus and the broker.
struct Proxy {
    url: String,
    /// Connections that it has ended over the marker.
    cuts: Arc<AtomicUsize>,
    /// Ends all connections.
    all: watch::Sender<()>,
}

impl Proxy {
    /// Ends a connection when `marker` comes from the broker, `most` times.
    async fn start(url: &str, marker: &str, most: usize) -> Self {
        let (login, place) = url.split_once('@').expect("a URL with a user");
        let (broker, vhost) = place.split_once('/').expect("a virtual host");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own = listener.local_addr().expect("an address");
        let (cuts, all) = (Arc::<AtomicUsize>::default(), watch::Sender::new(()));
        let (broker, marker, seen, ends) =
            (broker.to_owned(), marker.as_bytes().to_vec(), cuts.clone(), all.subscribe());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&broker).await else { continue };
                let (marker, seen, mut ends) = (marker.clone(), seen.clone(), ends.clone());
                ends.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = pass(client, server, &marker, &seen, most) => {}
                        _ = ends.changed() => {}
                    }
                });
            }
        });
        Self { url: format!("{login}@{own}/{vhost}"), cuts, all }
    }
}

async fn pass(
    client: TcpStream,
    server: TcpStream,
    marker: &[u8],
    cuts: &AtomicUsize,
    most: usize,
) -> std::io::Result<()> {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let out = async move { tokio::io::copy(&mut from_client, &mut to_server).await.map(|_| ()) };
    let back = async move {
        let (mut buffer, mut held) = (vec![0; 65_536], Vec::<u8>::new());
        loop {
            let n = from_server.read(&mut buffer).await?;
            if n == 0 {
                return Ok(());
            }
            let fresh = held.len();
            held.extend_from_slice(&buffer[..n]);
            if let Some(at) = held.windows(marker.len()).position(|bytes| bytes == marker)
                && cuts.load(Ordering::Acquire) < most
            {
                cuts.fetch_add(1, Ordering::AcqRel);
                // all that is before it goes through
                to_client.write_all(&held[fresh..at.max(fresh)]).await?;
                return Ok(());
            }
            to_client.write_all(&buffer[..n]).await?;
            held.drain(..held.len().saturating_sub(marker.len() - 1));
        }
    };
    tokio::select! {
        done = out => done,
        done = back => done,
    }
}

type Seen = Arc<Mutex<Vec<(String, Option<Mended>)>>>;

/// Consumes and acks; all bodies that came in.
fn consume(bus: &AmqpBus, queue: QueueSpec) -> Seen {
    let (mut stream, seen) = (bus.consume(queue, 10), Seen::default());
    let out = seen.clone();
    tokio::spawn(async move {
        while let Some(delivery) = stream.next().await {
            let body = String::from_utf8_lossy(&delivery.message.body).into_owned();
            out.lock().expect("lock").push((body, delivery.mended));
            delivery.settle(Settlement::Ack);
        }
    });
    seen
}

/// How often each body came in.
fn times(seen: &Seen) -> BTreeMap<String, usize> {
    seen.lock().expect("lock").iter().fold(BTreeMap::new(), |mut times, (body, _)| {
        *times.entry(body.clone()).or_default() += 1;
        times
    })
}

fn set_aside(bus: &AmqpBus) -> (u64, u64) {
    let facts = bus.facts();
    (facts.set_aside["parked"], facts.set_aside["rejected"])
}

fn numbered(from: usize) -> Vec<String> {
    (from..from + 5).map(|n| n.to_string()).collect()
}

/// Five messages, a bad one and five more wait in a queue; its stream, and that of another queue.
async fn scene(
    url: &str,
    through: &str,
    kind: QueueKind,
    header: (&str, &str),
) -> (Arc<AmqpBus>, Arc<AmqpBus>, [Seen; 2]) {
    let names = Names::new(&unique("scene"));
    let direct = connected(url, &names).await;
    let owned = |name: &str| QueueSpec::owned(format!("{}.{name}", names.prefix()), kind, &names);
    let (queue, other) = (owned("queue"), owned("other"));
    let parked = QueueSpec::plain(names.parked(), QueueKind::Classic);
    direct.declare(vec![], vec![parked, queue.clone(), other.clone()], vec![]).await.expect("declared");
    for body in numbered(0) {
        publish(&direct, &queue.name, &body, None).await;
    }
    publish(&direct, &queue.name, "bad", Some(header)).await;
    for body in numbered(5) {
        publish(&direct, &queue.name, &body, None).await;
    }
    let bus = connected(through, &names).await;
    let seen = [consume(&bus, queue), consume(&bus, other.clone())];
    publish(&direct, &other.name, "neighbour", None).await;
    (direct, bus, seen)
}

async fn goes_on(direct: &AmqpBus, bus: &AmqpBus, [seen, other]: &[Seen; 2]) {
    until("all good ones are here", || {
        numbered(0).iter().chain(&numbered(5)).all(|body| times(seen).contains_key(body))
            && times(other).contains_key("neighbour")
    })
    .await;
    let queue = format!("{}.queue", bus.names().prefix());
    until("the queue is with the others again", || !bus.isolation.is_apart(&queue)).await;
    let lost = bus.facts().connections_lost;
    publish(direct, &queue, "after", None).await;
    until("what comes after it", || times(seen).contains_key("after")).await;
    assert_eq!(bus.facts().connections_lost, lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_ends_each_connection_is_rejected_and_its_neighbours_come_in() {
    let Some(url) = url() else { return };
    for kind in [QueueKind::Quorum, QueueKind::Classic] {
        let marker = unique("marker");
        let proxy = Proxy::start(&url, &marker, usize::MAX).await;
        let (direct, bus, seen) = scene(&url, &proxy.url, kind, ("x-marker", &marker)).await;
        goes_on(&direct, &bus, &seen).await;
        assert!(!times(&seen[0]).contains_key("bad"), "{kind:?}");
        assert_eq!(set_aside(&bus), (0, 1), "{kind:?}");
        let parked = direct.get(&direct.names().parked()).await.expect("an answer");
        // only quorum queues of ours have dead letters
        assert_eq!(parked.map(|d| d.message.body), (kind == QueueKind::Quorum).then(|| b"bad".to_vec()), "{kind:?}");
        eprintln!("{kind:?}: {} connections ended", proxy.cuts.load(Ordering::Acquire));
        for bus in [bus, direct] {
            bus.close(SOON).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_was_suspected_wrongly_comes_in_as_it_is() {
    let Some(url) = url() else { return };
    let marker = unique("marker");
    // the network failed at it three times, and is well again
    let proxy = Proxy::start(&url, &marker, 3).await;
    let (direct, bus, seen) = scene(&url, &proxy.url, QueueKind::Quorum, ("x-marker", &marker)).await;
    goes_on(&direct, &bus, &seen).await;
    let came = seen[0].lock().expect("lock").iter().find(|(body, _)| body == "bad").cloned();
    assert_eq!(came, Some(("bad".to_owned(), None)));
    assert_eq!((set_aside(&bus), proxy.cuts.load(Ordering::Acquire)), ((0, 0), 3));
    for bus in [bus, direct] {
        bus.close(SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_its_properties_make_deadly_comes_in_without_them() {
    let Some(url) = url() else { return };
    let (direct, bus, seen) = scene(&url, &url, QueueKind::Classic, ("x-test-flaw", "any")).await;
    goes_on(&direct, &bus, &seen).await;
    let came = seen[0].lock().expect("lock").iter().find(|(body, _)| body == "bad").cloned();
    assert_eq!(came, Some(("bad".to_owned(), Some(Mended::DEADLY))));
    assert_eq!(set_aside(&bus), (1, 0));
    for bus in [bus, direct] {
        bus.close(SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_is_cut_again_and_again_is_no_messages_fault() {
    let Some(url) = url() else { return };
    let proxy = Proxy::start(&url, "there is no such text", 0).await;
    let names = Names::new(&unique("cut"));
    let direct = connected(&url, &names).await;
    let queue = QueueSpec::owned(format!("{}.queue", names.prefix()), QueueKind::Quorum, &names);
    let parked = QueueSpec::plain(names.parked(), QueueKind::Classic);
    direct.declare(vec![], vec![parked, queue.clone()], vec![]).await.expect("declared");
    let bus = connected(&proxy.url, &names).await;
    let seen = consume(&bus, queue.clone());
    for round in 0..12 {
        for n in 0..50 {
            publish(&direct, &queue.name, &format!("{round}.{n}"), None).await;
        }
        proxy.all.send_replace(());
    }
    until("all are here", || times(&seen).len() == 600).await;
    assert_eq!((set_aside(&bus), direct.waiting(&names.parked()).await.expect("an answer")), ((0, 0), Some(0)));
    until("the queue is with the others", || {
        bus.isolation.step(&queue.name, |_| super::suspects::News::default()) == Course::Together
    })
    .await;
    for bus in [bus, direct] {
        bus.close(SOON).await;
    }
}

/// RabbitMQ keeps to `frame_max` with bodies only: headers that fitted when they were published are too large with what
/// it adds to them, or for a connection that agreed upon less.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_over_the_agreed_frame_cost_no_connection() {
    let Some(url) = url() else { return };
    let small = format!("{url}?frame_max=8192");
    for (through, bytes, kind) in [(&url, 131_039, QueueKind::Quorum), (&small, 50_000, QueueKind::Classic)] {
        let names = Names::new(&unique("large"));
        let direct = connected(&url, &names).await;
        let queue = QueueSpec::plain(unique("large"), kind);
        direct.declare(vec![], vec![queue.clone()], vec![]).await.expect("declared");
        let mut headers = FieldTable::default();
        headers.insert("h".into(), AMQPValue::LongString(LongString::from("x".repeat(bytes))));
        let properties = lapin::BasicProperties::default().with_headers(headers);
        let channel = direct.publishing.live().await.expect("open").channel().await.expect("a channel");
        let options = BasicPublishOptions::default();
        let to = queue.name.as_str().into();
        channel.basic_publish("".into(), to, options, b"large", properties).await.expect("published");
        if kind == QueueKind::Quorum {
            // from its first return on the broker counts deliveries in it
            let taken = async {
                loop {
                    if let Some(taken) = direct.get(&queue.name).await.expect("an answer") {
                        break taken;
                    }
                }
            };
            tokio::time::timeout(SOON, taken).await.expect("a message").settle(Settlement::Requeue);
        }
        let bus = connected(through, &names).await;
        let seen = consume(&bus, queue.clone());
        publish(&direct, &queue.name, "good", None).await;
        until("both are here", || times(&seen).len() == 2).await;
        let mut seen = seen.lock().expect("lock").clone();
        seen.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(seen, [("good".to_owned(), None), ("large".to_owned(), Some(Mended::LARGE))], "{through}");
        assert_eq!(bus.facts().connections_lost + direct.facts().connections_lost, 0, "{through}");
        for bus in [bus, direct] {
            bus.close(SOON).await;
        }
    }
}
