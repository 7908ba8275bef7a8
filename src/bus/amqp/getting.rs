//! Single messages out of queues (`basic.get`). Each queue has a channel of its own: a queue that is not there closes
//! the channel that asks for it, and acks that were on their way on it would be lost.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lapin::options::BasicGetOptions;
use tokio::sync::oneshot;

use super::codec;
use super::consumer::Shared;
use super::reconnect::Trouble;
use super::session::Session;
use crate::bus::{BusError, Delivery};

/// Queues that keep their channel. The queue that was asked the longest ago gives its channel up; deliveries that are
/// out on it may still be settled for a while.
const CHANNELS_MAX: usize = 8;
/// Between tries while the connection is away.
const AGAIN: Duration = Duration::from_millis(100);

type Place = Arc<tokio::sync::Mutex<Option<Session>>>;

/// The channels that gets use, the last used one first.
#[derive(Debug, Default)]
pub(super) struct Getting {
    channels: Mutex<VecDeque<(String, Place)>>,
}

impl Getting {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(String, Place)>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, queue: &str) -> Place {
        let mut channels = self.lock();
        let index = channels.iter().position(|(of, _)| of == queue);
        let found =
            index.and_then(|index| channels.remove(index)).unwrap_or_else(|| (queue.to_owned(), Place::default()));
        let place = found.1.clone();
        channels.push_front(found);
        channels.truncate(CHANNELS_MAX);
        place
    }

    /// Gives up all channels.
    pub(super) fn end(&self) {
        self.lock().clear();
    }

    /// The first message of a queue, if there is one; tries on while the connection is away.
    ///
    /// A task of its own waits for the broker. A caller that gives up in between (its client went away) would leave a
    /// message that the broker has handed out and that no code here knows: it goes back to its queue.
    pub(super) async fn one(self: &Arc<Self>, shared: Shared, queue: &str) -> Result<Option<Delivery>, BusError> {
        let (answer, answered) = oneshot::channel();
        let (getting, queue) = (self.clone(), queue.to_owned());
        let runtime = shared.runtime.clone();
        runtime.spawn(async move {
            let got = getting.ask(&shared, &queue, || answer.is_closed()).await;
            // Dropped unsettled where the caller is gone.
            let _ = answer.send(got);
        });
        answered.await.unwrap_or(Err(BusError::Closed))
    }

    async fn ask(
        &self,
        shared: &Shared,
        queue: &str,
        is_given_up: impl Fn() -> bool,
    ) -> Result<Option<Delivery>, BusError> {
        let refused = |why: String| BusError::Refused { what: format!("basic.get from queue {queue}"), why };
        let name = codec::short("the queue name", queue).map_err(refused)?;
        let place = self.place(queue);
        let mut place = place.lock().await;
        loop {
            if is_given_up() {
                return Ok(None);
            }
            if shared.isolation.is_apart(queue) {
                return Err(BusError::Unavailable(format!("connections end at a message of queue {queue}")));
            }
            let Some(live) = shared.link.live().await else { return Err(BusError::Closed) };
            let usable = place.as_ref().is_some_and(|s| Arc::ptr_eq(&s.live, &live) && s.channel.status().connected());
            let answer = async {
                if !usable {
                    *place = Some(Session::new(shared, live.clone(), live.channel().await?, None));
                }
                let Some(session) = place.as_ref() else { return Ok(None) };
                let got =
                    live.answer(session.channel.basic_get(name.clone(), BasicGetOptions { no_ack: false })).await?;
                Ok(got.map(|got| session.delivery(got.delivery)))
            };
            match answer.await {
                Ok(got) => return Ok(got),
                Err(trouble) => {
                    if let Some(session) = place.take()
                        && !live.connection.status().connected()
                    {
                        shared.isolation.died(queue, &live.marks.left(session.channel.id()), false, 1);
                    }
                    match trouble {
                        Trouble::Refused(_, why) => return Err(refused(why)),
                        Trouble::Lost(_) => tokio::time::sleep(AGAIN).await,
                    }
                }
            }
        }
    }
}
