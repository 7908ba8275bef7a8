//! The duties of both adapters, as one suite. The AMQP half needs a broker: `REVEILLE_TEST_AMQP_URL` (`make test` sets
//! it); without it these tests say so and pass. Names are unique to each test, so that all can share one broker.

mod gets;
mod given;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};

use self::gets::{
    a_get_from_a_missing_queue_disturbs_no_ack, a_get_from_a_queue_that_is_being_made_disturbs_no_stream,
    a_get_that_is_given_up_takes_nothing_away, a_stream_that_is_given_up_takes_nothing_away,
    consumers_of_a_queue_that_is_being_made_disturb_no_stream, get_takes_one_message,
};
use self::given::{QUIET, broker, confirmed, declared, message, next, nothing_more, queue, text, to_queue, unique};
use super::embedded::EmbeddedBus;
use super::{
    Address, Bounds, BusError, BusHealth, DeclareQueues, ExchangeSpec, HeaderValue, Publication, QueueKind, QueueSpec,
    Settlement, TaskBus,
};
use crate::ids::PartitionId;

type Bus = Arc<dyn TaskBus>;

const SOON: Duration = Duration::from_secs(20);

/// Each contract twice: over the embedded bus, and over a broker where there is one.
macro_rules! contracts {
    ($($name:ident),+ $(,)?) => {
        mod embedded_bus {
            $(#[tokio::test]
            async fn $name() {
                let bus = super::EmbeddedBus::new();
                super::$name(std::sync::Arc::new(bus)).await;
            })+
        }
        mod amqp_bus {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let Some(bus) = super::broker().await else { return };
                super::$name(bus.clone()).await;
                super::TaskBus::close(&*bus, super::SOON).await;
            })+
        }
    };
}

contracts!(
    a_task_goes_out_and_its_reply_comes_back,
    a_publish_that_no_queue_takes_is_unroutable,
    each_of_many_concurrent_publishes_gets_its_own_answer,
    a_missing_exchange_disturbs_no_other_publish,
    a_full_queue_nacks,
    what_a_full_queue_refuses_may_be_seen,
    a_bounded_queue_drops_its_oldest,
    what_waits_in_a_queue_is_counted,
    who_consumes_a_queue_is_counted,
    what_is_given_back_or_dropped_comes_again,
    no_more_is_out_than_the_prefetch,
    what_was_settled_in_any_order_never_comes_again,
    a_slow_delivery_does_not_stop_those_behind_it,
    an_expired_task_is_dead_lettered_with_its_reason,
    get_takes_one_message,
    a_get_from_a_missing_queue_disturbs_no_ack,
    a_get_from_a_queue_that_is_being_made_disturbs_no_stream,
    consumers_of_a_queue_that_is_being_made_disturb_no_stream,
    a_get_that_is_given_up_takes_nothing_away,
    a_stream_that_is_given_up_takes_nothing_away,
    other_arguments_on_a_queue_are_refused_and_disturb_nothing,
    a_queue_of_tasks_leaves_an_existing_one_as_it_is_and_waits_for_its_worker,
    exchanges_route_as_their_types_say,
    what_cannot_be_carried_is_refused_and_disturbs_nothing,
    close_ends_streams_and_refuses_publishes,
);

async fn a_task_goes_out_and_its_reply_comes_back(bus: Bus) {
    let partition = PartitionId(60_001);
    let mut replies = bus.replies(partition, 1);
    let spec = declared(&bus, queue("echo")).await;
    let mut worker = bus.consume(spec.clone(), 10);
    let token = unique("token");
    let mut task = message(r#"{"a":1}"#);
    task.properties.reply_to = Some(bus.reply_queue(partition));
    task.properties.correlation_id = Some(token.clone());
    task.properties.headers.insert("attempt".into(), HeaderValue::Integer(2));
    confirmed(&bus, to_queue(&spec), task.clone()).await;

    let got = next(&mut worker).await;
    assert_eq!((&got.message, got.redelivered), (&task, false));
    let mut reply = message("true");
    reply.properties.correlation_id.clone_from(&got.message.properties.correlation_id);
    let to =
        Address { exchange: String::new(), routing_key: got.message.properties.reply_to.clone().expect("reply_to") };
    confirmed(&bus, to, reply).await;
    got.settle(Settlement::Ack);

    loop {
        let reply = next(&mut replies).await;
        let ours = reply.message.properties.correlation_id.as_deref() == Some(&token);
        reply.settle(Settlement::Ack);
        if ours {
            break;
        }
    }
}

async fn a_publish_that_no_queue_takes_is_unroutable(bus: Bus) {
    let exchange = ExchangeSpec { name: unique("lonely"), kind: "topic" };
    bus.declare(vec![exchange.clone()], vec![], vec![]).await.expect("declared");
    let to = Address { exchange: exchange.name, routing_key: "a.b".into() };
    let publication = bus.publish(to, message(1)).await.expect("publish");
    assert!(matches!(publication, Publication::Unroutable { code: 312, .. }), "{publication:?}");
}

async fn each_of_many_concurrent_publishes_gets_its_own_answer(bus: Bus) {
    let exchange = ExchangeSpec { name: unique("mixed"), kind: "direct" };
    let spec = queue("mixed");
    let from = Address { exchange: exchange.name.clone(), routing_key: "routed".into() };
    bus.declare(vec![exchange.clone()], vec![spec.clone()], vec![(spec, from)]).await.expect("declared");
    let mut answers: FuturesUnordered<_> = (0..3_000u32)
        .map(|n| {
            let key = if n % 3 == 0 { "nowhere" } else { "routed" };
            let to = Address { exchange: exchange.name.clone(), routing_key: key.into() };
            let bus = bus.clone();
            async move { (n, bus.publish(to, message(n)).await.expect("publish")) }
        })
        .collect();
    while let Some((n, publication)) = answers.next().await {
        let expected = if n % 3 == 0 {
            matches!(publication, Publication::Unroutable { code: 312, .. })
        } else {
            publication == Publication::Confirmed
        };
        assert!(expected, "{n}: {publication:?}");
    }
}

async fn a_missing_exchange_disturbs_no_other_publish(bus: Bus) {
    let spec = declared(&bus, queue("neighbour")).await;
    let missing = unique("missing");
    let mut answers: FuturesUnordered<_> = (0..300u32)
        .map(|n| {
            let to = if n % 50 == 0 {
                Address { exchange: missing.clone(), routing_key: "k".into() }
            } else {
                to_queue(&spec)
            };
            let bus = bus.clone();
            async move { (n, bus.publish(to, message(n)).await.expect("publish")) }
        })
        .collect();
    while let Some((n, publication)) = answers.next().await {
        let expected = if n % 50 == 0 {
            matches!(publication, Publication::Unroutable { code: 404, .. })
        } else {
            publication == Publication::Confirmed
        };
        assert!(expected, "{n}: {publication:?}");
    }
}

async fn a_full_queue_nacks(bus: Bus) {
    let spec = declared(&bus, QueueSpec { max_length: Some(2), ..queue("full") }).await;
    // RabbitMQ's limit is soft: a few more get in
    for n in 0..20 {
        match bus.publish(to_queue(&spec), message(n)).await.expect("publish") {
            Publication::Confirmed => {}
            Publication::Nacked => return,
            other => panic!("{other:?}"),
        }
    }
    panic!("20 messages in a queue of 2");
}

async fn what_a_full_queue_refuses_may_be_seen(bus: Bus) {
    let seen = declared(&bus, queue("seen")).await;
    let spec = QueueSpec { kind: QueueKind::Classic, max_length: Some(1), ..queue("full-seen") };
    let spec = declared(&bus, QueueSpec { refused_to: Some(to_queue(&seen)), ..spec }).await;
    confirmed(&bus, to_queue(&spec), message("first")).await;
    assert_eq!(bus.publish(to_queue(&spec), message("second")).await.expect("publish"), Publication::Nacked);
    for (name, expected) in [(&seen.name, "second"), (&spec.name, "first")] {
        let taken = loop {
            if let Some(taken) = bus.get(name).await.expect("get") {
                break taken;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(text(&taken), expected);
        taken.settle(Settlement::Ack);
    }
    assert!(bus.get(&spec.name).await.expect("get").is_none());
}

async fn a_bounded_queue_drops_its_oldest(bus: Bus) {
    for (name, most) in
        [("few", Bounds { messages: Some(2), bytes: None }), ("short", Bounds { messages: Some(100), bytes: Some(7) })]
    {
        let spec = declared(&bus, QueueSpec { drop_oldest: Some(most), ..queue(name) }).await;
        for n in 1..=4 {
            confirmed(&bus, to_queue(&spec), message(format!("{n}{n}{n}"))).await;
        }
        for expected in ["333", "444"] {
            let taken = bus.get(&spec.name).await.expect("get").expect("a message");
            assert_eq!(text(&taken), expected, "{name}");
            taken.settle(Settlement::Ack);
        }
        assert!(bus.get(&spec.name).await.expect("get").is_none(), "{name}");
    }
}

async fn what_waits_in_a_queue_is_counted(bus: Bus) {
    assert_eq!(bus.waiting(&unique("nowhere")).await.expect("an answer"), None);
    let spec = declared(&bus, queue("counted")).await;
    assert_eq!(bus.waiting(&spec.name).await.expect("an answer"), Some(0));
    for n in 0..3 {
        confirmed(&bus, to_queue(&spec), message(n)).await;
    }
    let taken = bus.get(&spec.name).await.expect("get").expect("a message");
    // A quorum queue counts a moment later.
    let counted = async {
        while bus.waiting(&spec.name).await.expect("an answer") != Some(2) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, counted).await.expect("what is out is not counted");
    taken.settle(Settlement::Ack);
}

async fn who_consumes_a_queue_is_counted(bus: Bus) {
    assert_eq!(bus.consumers(&unique("nowhere")).await.expect("an answer"), None);
    let spec = declared(&bus, queue("consumed")).await;
    assert_eq!(bus.consumers(&spec.name).await.expect("an answer"), Some(0));
    let mut worker = bus.consume(spec.clone(), 10);
    confirmed(&bus, to_queue(&spec), message("one")).await;
    next(&mut worker).await.settle(Settlement::Ack);
    let view = bus.look(&spec.name).await.expect("an answer");
    assert_eq!(view, Some(super::QueueView { ready: 0, consumers: 1 }));
    drop(worker);
    let left = async {
        while bus.consumers(&spec.name).await.expect("an answer") != Some(0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, left).await.expect("a consumer that left is not counted");
}

async fn what_is_given_back_or_dropped_comes_again(bus: Bus) {
    let spec = declared(&bus, queue("again")).await;
    let mut worker = bus.consume(spec.clone(), 10);
    confirmed(&bus, to_queue(&spec), message("one")).await;
    let first = next(&mut worker).await;
    assert!(!first.redelivered);
    first.settle(Settlement::Requeue);
    let second = next(&mut worker).await;
    assert!(second.redelivered);
    drop(second);
    let third = next(&mut worker).await;
    assert_eq!((text(&third).as_str(), third.redelivered), ("one", true));
    third.settle(Settlement::Ack);
    nothing_more(&mut worker).await;
}

async fn no_more_is_out_than_the_prefetch(bus: Bus) {
    let spec = declared(&bus, queue("prefetch")).await;
    for n in 0..5 {
        confirmed(&bus, to_queue(&spec), message(n)).await;
    }
    let mut worker = bus.consume(spec, 2);
    let (first, second) = (next(&mut worker).await, next(&mut worker).await);
    nothing_more(&mut worker).await;
    first.settle(Settlement::Ack);
    let third = next(&mut worker).await;
    nothing_more(&mut worker).await;
    assert_eq!((text(&second).as_str(), text(&third).as_str()), ("1", "2"));
}

async fn what_was_settled_in_any_order_never_comes_again(bus: Bus) {
    let spec = declared(&bus, queue("order")).await;
    for n in 0..300 {
        confirmed(&bus, to_queue(&spec), message(n)).await;
    }
    let mut worker = bus.consume(spec.clone(), 400);
    let mut out = Vec::new();
    for _ in 0..300 {
        out.push(next(&mut worker).await);
    }
    // backwards, then interleaved: nothing is contiguous until the end
    while out.len() > 150 {
        out.pop().expect("delivery").settle(Settlement::Ack);
    }
    for (n, delivery) in out.into_iter().enumerate() {
        if n % 2 == 0 {
            tokio::task::yield_now().await;
        }
        delivery.settle(Settlement::Ack);
    }
    nothing_more(&mut worker).await;
    drop(worker);
    tokio::time::sleep(QUIET).await;
    assert!(bus.get(&spec.name).await.expect("get").is_none());
}

async fn a_slow_delivery_does_not_stop_those_behind_it(bus: Bus) {
    let spec = declared(&bus, queue("slow")).await;
    for n in 0..40 {
        confirmed(&bus, to_queue(&spec), message(n)).await;
    }
    let mut worker = bus.consume(spec, 5);
    let slow = next(&mut worker).await;
    for n in 1..40 {
        let delivery = next(&mut worker).await;
        assert_eq!(text(&delivery), n.to_string());
        delivery.settle(Settlement::Ack);
    }
    slow.settle(Settlement::Ack);
    nothing_more(&mut worker).await;
}

async fn an_expired_task_is_dead_lettered_with_its_reason(bus: Bus) {
    let exchange = ExchangeSpec { name: unique("dead"), kind: "topic" };
    let grave = queue("grave");
    let from = Address { exchange: exchange.name.clone(), routing_key: "#".into() };
    let dead_letter = Some(Address { exchange: exchange.name.clone(), routing_key: "dead.one".into() });
    let spec = QueueSpec { dead_letter, ..queue("mortal") };
    bus.declare(vec![exchange], vec![grave.clone(), spec.clone()], vec![(grave.clone(), from)])
        .await
        .expect("declared");
    let mut dead = bus.consume(grave, 10);
    let mut task = message("late");
    task.properties.expiration = Some(Duration::from_millis(50));
    confirmed(&bus, to_queue(&spec), task).await;
    let letter = next(&mut dead).await;
    let Some(HeaderValue::Json(deaths)) = letter.message.properties.headers.get("x-death") else {
        panic!("{letter:?}")
    };
    assert_eq!(
        (deaths[0]["reason"].as_str(), deaths[0]["queue"].as_str()),
        (Some("expired"), Some(spec.name.as_str()))
    );
    letter.settle(Settlement::Ack);
}

async fn other_arguments_on_a_queue_are_refused_and_disturb_nothing(bus: Bus) {
    let spec = declared(&bus, queue("arguments")).await;
    let other = QueueSpec { max_length: Some(7), ..spec.clone() };
    let refused = bus.declare(vec![], vec![other], vec![]).await;
    assert!(matches!(&refused, Err(BusError::Refused { what, .. }) if what.contains(&spec.name)), "{refused:?}");
    declared(&bus, spec.clone()).await;
    confirmed(&bus, to_queue(&spec), message(1)).await;
    // it is consumed all the same: what waits in it counts for more than its arguments
    let mut worker = bus.consume(QueueSpec { max_length: Some(7), ..spec }, 1);
    next(&mut worker).await.settle(Settlement::Ack);
}

async fn a_queue_of_tasks_leaves_an_existing_one_as_it_is_and_waits_for_its_worker(bus: Bus) {
    let of_tasks = |name: &str, how| QueueSpec::of_tasks(name.to_owned(), how, QueueKind::Quorum, bus.names()).unwrap();
    assert_eq!(QueueSpec::of_tasks("q".to_owned(), DeclareQueues::Never, QueueKind::Quorum, bus.names()), None);
    let theirs = declared(&bus, QueueSpec { max_length: Some(7), ..queue("theirs") }).await;
    for how in [DeclareQueues::Auto, DeclareQueues::DeadLetters] {
        declared(&bus, of_tasks(&theirs.name, how)).await;
        confirmed(&bus, to_queue(&theirs), message(1)).await;
        assert_eq!(bus.facts().refused, [], "nothing is said of its arguments");
        // The publish waits until the queue is there; its worker declares it in the common way.
        let ours = declared(&bus, of_tasks(&unique("ours"), how)).await;
        confirmed(&bus, to_queue(&ours), message("waits")).await;
        if how == DeclareQueues::Auto {
            declared(&bus, QueueSpec::plain(ours.name.clone(), QueueKind::Classic)).await;
        }
        assert_eq!(text(&bus.get(&ours.name).await.expect("get").expect("a message")), "waits");
    }
}

async fn exchanges_route_as_their_types_say(bus: Bus) {
    let kinds = ["fanout", "topic", "direct"];
    let specs: BTreeMap<_, _> = kinds.iter().map(|kind| (*kind, queue(kind))).collect();
    for kind in kinds {
        let exchange = ExchangeSpec { name: unique(kind), kind };
        let from = |key: &str| Address { exchange: exchange.name.clone(), routing_key: key.into() };
        let spec = specs[kind].clone();
        let bindings = vec![(spec.clone(), from("order.*")), (spec.clone(), from("order.*.#"))];
        bus.declare(vec![exchange.clone()], vec![spec.clone()], bindings).await.expect("declared");
        let matches = match kind {
            "direct" => "order.*",
            _ => "order.placed",
        };
        confirmed(&bus, from(matches), message(kind)).await;
        let elsewhere = bus.publish(from("elsewhere"), message("elsewhere")).await.expect("publish");
        assert_eq!(elsewhere == Publication::Confirmed, kind == "fanout", "{kind}: {elsewhere:?}");
        // one copy, although two bindings match
        let mut worker = bus.consume(spec, 10);
        let delivery = next(&mut worker).await;
        assert_eq!(text(&delivery), kind);
        delivery.settle(Settlement::Ack);
        if kind != "fanout" {
            nothing_more(&mut worker).await;
        }
    }
}

async fn what_cannot_be_carried_is_refused_and_disturbs_nothing(bus: Bus) {
    let spec = declared(&bus, queue("carried")).await;
    let long = Address { exchange: String::new(), routing_key: "x".repeat(256) };
    let large = message("x".repeat(crate::limits::MESSAGE_BYTES_MAX + 1));
    for (to, message) in [(long, message(1)), (to_queue(&spec), large)] {
        let publication = bus.publish(to, message).await.expect("publish");
        assert!(matches!(publication, Publication::Refused { .. }), "{publication:?}");
    }
    let largest = message("x".repeat(crate::limits::MESSAGE_BYTES_MAX));
    confirmed(&bus, to_queue(&spec), largest).await;
}

async fn close_ends_streams_and_refuses_publishes(bus: Bus) {
    let spec = declared(&bus, queue("close")).await;
    let mut worker = bus.consume(spec.clone(), 10);
    confirmed(&bus, to_queue(&spec), message(1)).await;
    next(&mut worker).await.settle(Settlement::Ack);
    assert_eq!(bus.health(), BusHealth::Up);
    bus.close(SOON).await;
    assert!(tokio::time::timeout(SOON, worker.next()).await.expect("the end in time").is_none());
    let publication = bus.publish(to_queue(&spec), message(2)).await;
    assert!(matches!(publication, Err(BusError::Closed)), "{publication:?}");
    assert!(matches!(bus.health(), BusHealth::Down(_)));
}
