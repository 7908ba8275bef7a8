//! Messages that are asked for one by one, and readers that give up.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::{FutureExt, join, join_all};
use futures_util::stream::{BoxStream, StreamExt};

use super::given::{QUIET, confirmed, declared, message, next, nothing_more, queue, text, to_queue, unique};
use super::{Bus, SOON};
use crate::bus::{BusError, Delivery, Settlement};

pub(super) async fn get_takes_one_message(bus: Bus) {
    let spec = declared(&bus, queue("get")).await;
    assert!(bus.get(&spec.name).await.expect("get").is_none());
    let missing = bus.get(&unique("missing")).await;
    assert!(matches!(missing, Err(BusError::Refused { .. })), "{missing:?}");
    confirmed(&bus, to_queue(&spec), message("one")).await;
    confirmed(&bus, to_queue(&spec), message("two")).await;
    let one = bus.get(&spec.name).await.expect("get").expect("a message");
    assert_eq!(text(&one), "one");
    one.settle(Settlement::Ack);
    let two = bus.get(&spec.name).await.expect("get").expect("a message");
    two.settle(Settlement::Requeue);
    // The broker takes a returned delivery back when it comes to it.
    let back = async {
        loop {
            match bus.get(&spec.name).await.expect("get") {
                Some(again) => break again,
                None => tokio::time::sleep(QUIET / 10).await,
            }
        }
    };
    let again = tokio::time::timeout(SOON, back).await.expect("it comes again");
    assert_eq!((text(&again).as_str(), again.redelivered), ("two", true));
}

/// Acks that are on their way when the broker refuses a get are heard all the same, however often that happens.
pub(super) async fn a_get_from_a_missing_queue_disturbs_no_ack(bus: Bus) {
    let spec = declared(&bus, queue("get")).await;
    for n in 0..12 {
        confirmed(&bus, to_queue(&spec), message(n)).await;
    }
    for n in 0..12 {
        let one = bus.get(&spec.name).await.expect("get").expect("a message");
        assert_eq!((text(&one), one.redelivered), (n.to_string(), false));
        one.settle(Settlement::Ack);
        // at times more queues than keep a channel
        for _ in 0..=n {
            let missing = bus.get(&unique("missing")).await;
            assert!(matches!(missing, Err(BusError::Refused { .. })), "{missing:?}");
        }
    }
    assert!(bus.get(&spec.name).await.expect("get").is_none(), "what was acked came again");
    nothing_more(&mut bus.consume(spec, 100)).await;
}

/// A delivery that comes again where its connection ends, and its stream.
async fn held(bus: &Bus) -> (Delivery, BoxStream<'static, Delivery>) {
    let spec = declared(bus, queue("stream")).await;
    confirmed(bus, to_queue(&spec), message("held")).await;
    let mut stream = bus.consume(spec, 1);
    (next(&mut stream).await, stream)
}

/// RabbitMQ ends a connection that asks for a message of a queue without a leader.
pub(super) async fn a_get_from_a_queue_that_is_being_made_disturbs_no_stream(bus: Bus) {
    let (held, mut stream) = held(&bus).await;
    for _ in 0..30 {
        let passing = queue("passing");
        let declares = bus.declare(vec![], vec![passing.clone()], vec![]);
        let gets = async {
            for _ in 0..4 {
                let _ = bus.get(&passing.name).await;
            }
        };
        let _ = join(declares, gets).await;
    }
    held.settle(Settlement::Ack);
    nothing_more(&mut stream).await;
}

/// The same where several consume a queue that is being made.
pub(super) async fn consumers_of_a_queue_that_is_being_made_disturb_no_stream(bus: Bus) {
    let (held, mut stream) = held(&bus).await;
    for _ in 0..30 {
        let passing = queue("passing");
        let mut streams: Vec<_> = (0..4).map(|_| bus.consume(passing.clone(), 1)).collect();
        let reads = join_all(streams.iter_mut().map(|stream| tokio::time::timeout(QUIET / 4, stream.next())));
        let _ = join(bus.declare(vec![], vec![passing.clone()], vec![]), reads).await;
    }
    held.settle(Settlement::Ack);
    nothing_more(&mut stream).await;
}

/// However far the get has come when its caller goes away.
pub(super) async fn a_get_that_is_given_up_takes_nothing_away(bus: Bus) {
    let spec = declared(&bus, queue("get")).await;
    for n in 0..40 {
        confirmed(&bus, to_queue(&spec), message(n)).await;
    }
    let mut taken = BTreeSet::new();
    for n in 0..20 {
        let patience = Duration::from_micros(50 * n);
        if let Ok(Ok(Some(one))) = tokio::time::timeout(patience, bus.get(&spec.name)).await {
            taken.insert(text(&one));
            one.settle(Settlement::Ack);
        }
    }
    let rest = async {
        while taken.len() < 40 {
            match bus.get(&spec.name).await.expect("get") {
                Some(one) => {
                    taken.insert(text(&one));
                    one.settle(Settlement::Ack);
                }
                None => tokio::time::sleep(QUIET / 10).await,
            }
        }
    };
    tokio::time::timeout(SOON, rest).await.expect("each message comes");
}

/// However far the stream has come when its reader goes away, and also where the reader looks seldom.
pub(super) async fn a_stream_that_is_given_up_takes_nothing_away(bus: Bus) {
    let spec = declared(&bus, queue("given-up")).await;
    for n in 0..20 {
        confirmed(&bus, to_queue(&spec), message(n)).await;
    }
    for looks in 0..12 {
        let mut stream = bus.consume(spec.clone(), 20);
        for _ in 0..looks {
            drop(stream.next().now_or_never());
            tokio::time::sleep(QUIET / 10).await;
        }
    }
    let mut stream = bus.consume(spec, 20);
    let mut came = BTreeSet::new();
    while came.len() < 20 {
        let one = next(&mut stream).await;
        came.insert(text(&one));
        one.settle(Settlement::Ack);
    }
}
