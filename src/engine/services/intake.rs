//! The consumption of a queue of ours. A refused delivery that cannot be parked yet stays unacknowledged, and so takes
//! a place in the prefetch. Where such deliveries fill the prefetch, a further window is opened, so that good
//! deliveries behind them come in.
//!
//! ```text
//! prefetch: [refused, waits][refused, waits][refused, waits] full ─► a second consumer with a prefetch of its own
//! all parked ─► the further windows close
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, SelectAll, unfold};
use tokio::sync::Notify;

use crate::bus::Delivery;
use crate::limits;

/// One queue, and its refused deliveries that wait for the parking queue.
#[derive(Debug)]
pub(in crate::engine) struct Intake {
    pub queue: String,
    waiting: AtomicUsize,
    waiting_bytes: AtomicUsize,
    changed: Notify,
}

impl Intake {
    pub fn of(queue: String) -> Arc<Self> {
        Arc::new(Self {
            queue,
            waiting: AtomicUsize::new(0),
            waiting_bytes: AtomicUsize::new(0),
            changed: Notify::new(),
        })
    }

    /// One more refused delivery waits, until the guard is dropped.
    pub fn wait(self: &Arc<Self>, bytes: usize) -> Waits {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.waiting_bytes.fetch_add(bytes, Ordering::AcqRel);
        self.changed.notify_one();
        Waits { intake: Arc::clone(self), bytes }
    }

    /// A quarter of a window is all that is left for deliveries that can be used.
    fn is_full(&self, windows: usize, prefetch: usize) -> bool {
        self.waiting.load(Ordering::Acquire) + prefetch / 4 >= windows * prefetch
            && windows < limits::INTAKE_WINDOWS_MAX
            && self.waiting_bytes.load(Ordering::Acquire) < limits::INTAKE_WAITING_BYTES_MAX
    }

    /// Its deliveries, until the bus closes. `open` begins to consume; it is called once for each window.
    pub fn deliveries(
        self: &Arc<Self>,
        prefetch: u16,
        open: impl Fn() -> BoxStream<'static, Delivery> + Send + 'static,
    ) -> BoxStream<'static, Delivery> {
        let windows = Windows {
            intake: Arc::clone(self),
            prefetch: usize::from(prefetch.max(1)),
            first: open(),
            further: SelectAll::new(),
            open,
        };
        unfold(windows, |mut windows| async move { windows.next().await.map(|delivery| (delivery, windows)) }).boxed()
    }
}

/// A refused delivery that waits for the parking queue.
#[derive(Debug)]
pub(in crate::engine) struct Waits {
    intake: Arc<Intake>,
    bytes: usize,
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.intake.waiting_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        if self.intake.waiting.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.intake.changed.notify_one();
        }
    }
}

struct Windows<F> {
    intake: Arc<Intake>,
    prefetch: usize,
    first: BoxStream<'static, Delivery>,
    further: SelectAll<BoxStream<'static, Delivery>>,
    open: F,
}

impl<F: Fn() -> BoxStream<'static, Delivery>> Windows<F> {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            if self.intake.is_full(1 + self.further.len(), self.prefetch) {
                let further = (self.open)();
                self.further.push(further);
            } else if !self.further.is_empty() && self.intake.waiting.load(Ordering::Acquire) == 0 {
                self.further.clear();
            }
            tokio::select! {
                biased;
                delivery = self.first.next() => return delivery,
                Some(delivery) = self.further.next() => return Some(delivery),
                () = self.intake.changed.notified() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bus::embedded::EmbeddedBus;
    use crate::bus::{Address, Message, QueueKind, QueueSpec, Settlement, TaskBus};

    const PREFETCH: u16 = 4;

    #[tokio::test]
    async fn deliveries_that_wait_leave_room_for_others_and_the_windows_close_after_them() {
        let bus = EmbeddedBus::new();
        let intake = Intake::of("in".to_owned());
        let consumed = bus.clone();
        let mut deliveries = intake.deliveries(PREFETCH, move || {
            consumed.consume(QueueSpec::plain("in".to_owned(), QueueKind::Classic), PREFETCH)
        });
        let mut next = async || {
            tokio::time::timeout(Duration::from_mins(1), deliveries.next()).await.expect("in time").expect("one")
        };
        let publish = async |n: usize| {
            let to = Address { exchange: String::new(), routing_key: "in".to_owned() };
            bus.publish(to, Message { body: n.to_string().into_bytes(), ..Message::default() })
                .await
                .expect("published");
        };
        let mut held = Vec::new();
        for n in 0..20 {
            publish(n).await;
            let delivery = next().await;
            held.push((intake.wait(delivery.message.body.len()), delivery));
        }
        // Four of them fill a window: without further ones the fifth would not have come.
        for (waits, delivery) in held {
            delivery.settle(Settlement::Ack);
            drop(waits);
        }
        publish(20).await;
        let last = next().await;
        assert_eq!((last.message.body.as_slice(), last.redelivered), (&b"20"[..], false));
        last.settle(Settlement::Ack);
        assert_eq!(bus.depth("in"), 0);
    }

    #[test]
    fn windows_and_their_bytes_have_bounds() {
        let intake = Intake::of("in".to_owned());
        let few: Vec<Waits> = (0..3).map(|_| intake.wait(1)).collect();
        assert!(!intake.is_full(1, 8) && intake.is_full(1, 4) && !intake.is_full(2, 4), "{few:?}");
        let many: Vec<Waits> = (0..10_000).map(|_| intake.wait(0)).collect();
        assert!(intake.is_full(limits::INTAKE_WINDOWS_MAX - 1, 4) && !intake.is_full(limits::INTAKE_WINDOWS_MAX, 4));
        let large = intake.wait(limits::INTAKE_WAITING_BYTES_MAX);
        assert!(!intake.is_full(1, 4), "{}", many.len());
        drop(large);
        assert!(intake.is_full(1, 4));
    }
}
