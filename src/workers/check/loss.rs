//! The rules that keep a task from getting lost: a reply that the broker refuses, and a worker that dies.
//!
//! Replies go to a queue that is full. It hands refused replies to a second queue, so the checker knows the moment in
//! which the worker has tried.

use tokio::time::Instant;
use uuid::Uuid;

use super::hired::Hired;
use super::inbox::Inbox;
use super::{Asked, CheckError, Checker, LOOK, Verdict, own};
use crate::bus::envelope::Reply;
use crate::bus::{Address, BusError, Message, QueueSpec, Settlement};

const REFUSED: &str = "keeps a task until its reply is confirmed";
const REDELIVERED: &str = "does a task that comes again";
const STOPS: &str = "ends at SIGTERM";

pub(super) async fn all(checker: &mut Checker<'_>) -> Result<(), CheckError> {
    let mut full = Full::open(checker).await?;
    let task = Asked::new(checker.options.payload.as_bytes());
    checker.send(&task, &full.queue, None).await?;
    let within = checker.options.within;
    if !full.refused.hear(within, |log| !log.strays.is_empty()).await {
        checker.find(REFUSED, Verdict::Broken, format!("no answer within {} s", within.as_secs()));
        return Ok(());
    }
    if checker.hired.is_some() { killed(checker, &mut full, &task).await } else { left_alone(checker, &mut full).await }
}

/// Of a worker that runs by itself: its reply comes when there is room, or it gave the task back.
async fn left_alone(checker: &mut Checker<'_>, full: &mut Full) -> Result<(), CheckError> {
    full.make_room(checker).await?;
    let until = Instant::now() + checker.options.within;
    while Instant::now() < until {
        if full.answered(checker).await? {
            checker.find(REFUSED, Verdict::Kept, "a reply that the broker refused was sent again");
            return Ok(());
        }
        let view = checker.bus.look(&checker.options.queue).await?;
        if view.is_some_and(|view| view.consumers == 0 && view.ready > 0) {
            checker.find(REFUSED, Verdict::Kept, "the worker ended and left the task in its queue");
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    checker.find(REFUSED, Verdict::Broken, LOST);
    Ok(())
}

const LOST: &str = "the broker refused a reply, and neither the reply nor the task came again: publish replies with \
    confirms, and acknowledge the task after that";

/// Of a worker that the checker has started: it dies before its reply is confirmed, so its task must be there again.
async fn killed(checker: &mut Checker<'_>, full: &mut Full, task: &Asked) -> Result<(), CheckError> {
    if let Some(mut hired) = checker.hired.take() {
        hired.kill().await;
    }
    checker.gone().await?;
    let until = Instant::now() + checker.options.within;
    let mut is_there = checker.waiting().await? > 0;
    while !is_there && Instant::now() < until {
        tokio::time::sleep(LOOK).await;
        is_there = checker.waiting().await? > 0;
    }
    if is_there {
        checker.find(REFUSED, Verdict::Kept, "killed before the confirm: its task is in the queue again");
    } else {
        checker.find(REFUSED, Verdict::Broken, LOST);
    }
    full.make_room(checker).await?;
    checker.hire()?;
    if !checker.has_worker().await? {
        checker.find(REDELIVERED, Verdict::Broken, "the worker did not start a second time");
        return Ok(());
    }
    if is_there {
        redelivered(checker, full, task).await?;
    } else {
        checker.find(REDELIVERED, Verdict::Untried, "the task is lost");
    }
    let stops = match &mut checker.hired {
        Some(hired) => Hired::stops(hired, checker.options.within).await,
        None => true,
    };
    let (verdict, detail) =
        if stops { (Verdict::Kept, "") } else { (Verdict::Noted, "it goes on; a service manager will kill it") };
    checker.find(STOPS, verdict, detail);
    Ok(())
}

async fn redelivered(checker: &mut Checker<'_>, full: &mut Full, task: &Asked) -> Result<(), CheckError> {
    let until = Instant::now() + checker.options.within;
    while Instant::now() < until {
        if full.answered(checker).await? {
            checker.find(REDELIVERED, Verdict::Kept, "redelivered by the broker, and answered");
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    let within = checker.options.within.as_secs();
    checker.find(REDELIVERED, Verdict::Broken, format!("task {} is not answered within {within} s", task.message_id));
    Ok(())
}

/// A reply queue without room.
struct Full {
    queue: String,
    /// Copies of refused replies.
    refused: Inbox,
}

impl Full {
    async fn open(checker: &Checker<'_>) -> Result<Self, BusError> {
        let bus = checker.bus;
        let name = |what: &str| format!("{}.worker.{}.{what}", bus.names().prefix(), Uuid::new_v4().simple());
        let refused = Inbox::open(bus, &name("refused")).await?;
        let to = Address { exchange: String::new(), routing_key: refused.queue.clone() };
        let spec = QueueSpec { max_length: Some(1), refused_to: Some(to), ..own(name("full")) };
        let queue = spec.name.clone();
        bus.declare(Vec::new(), vec![spec], Vec::new()).await?;
        bus.publish(Address { exchange: String::new(), routing_key: queue.clone() }, Message::default()).await?;
        Ok(Self { queue, refused })
    }

    /// Takes the message out that fills it.
    async fn make_room(&self, checker: &Checker<'_>) -> Result<(), BusError> {
        if let Some(filler) = checker.bus.get(&self.queue).await? {
            filler.settle(Settlement::Ack);
        }
        Ok(())
    }

    /// Whether a reply came in after all.
    async fn answered(&self, checker: &Checker<'_>) -> Result<bool, BusError> {
        let Some(delivery) = checker.bus.get(&self.queue).await? else { return Ok(false) };
        let is_reply = Reply::decode(&delivery.message).is_ok();
        delivery.settle(Settlement::Ack);
        Ok(is_reply)
    }
}

impl Checker<'_> {
    /// Waits until the broker has noticed that the worker is gone.
    pub(super) async fn gone(&self) -> Result<(), BusError> {
        let until = Instant::now() + self.options.within;
        while self.bus.consumers(&self.options.queue).await?.unwrap_or_default() > 0 && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Takes out what waits: tasks of this run that no worker gets done.
    pub(super) async fn drain(&self) -> Result<(), BusError> {
        while let Some(delivery) = self.bus.get(&self.options.queue).await? {
            delivery.settle(Settlement::Ack);
        }
        Ok(())
    }
}
