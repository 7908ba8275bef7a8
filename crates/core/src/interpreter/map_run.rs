//! A map run, pure: it turns events into commands. The shell (`engine::coordination`) reads, starts and stops; here is
//! decided when.
//!
//! ```text
//!  Read ──► queue ──► Start (at most MaxConcurrency open) ──► Closed ──┬─► all closed: Finish(Succeeded)
//!                                                                      └─► tolerance exceeded: Abort ─► Finish(Failed)
//! ```
//! Nothing here is journaled: a run that restarts is told which children exist (`MapRun::known`) and counts them as it
//! reads their items again. Its children's rows are the truth.
//!
//! Source: developer guide, "Tolerated failure threshold", "Setting concurrency"; error and cause as recorded.

use std::collections::{BTreeMap, VecDeque};

use super::event::{Failure, Tolerance};
use super::map_items::Child;
use crate::limits::{
    MAP_RUN_CHILDREN_MAX, MAP_RUN_CONCURRENCY, MAP_RUN_QUEUE, MAP_RUN_STARTS, MAP_RUN_STARTS_BYTES,
    MAP_RUN_STARTS_LARGE,
};

/// The settings that can be changed during a run (`UpdateMapRun`).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RunLimits {
    /// 0 = no limit but the engine's.
    pub max_concurrency: u64,
    pub tolerance: Tolerance,
}

impl RunLimits {
    fn concurrency(&self) -> usize {
        let wanted =
            if self.max_concurrency == 0 { MAP_RUN_CONCURRENCY } else { self.max_concurrency.min(MAP_RUN_CONCURRENCY) };
        usize::try_from(wanted).unwrap_or(usize::MAX)
    }
}

/// How a child is, as far as its run must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChildStatus {
    /// Not started.
    #[default]
    None,
    Running,
    Succeeded,
    Failed,
    TimedOut,
    Aborted,
    /// It had no success in an earlier attempt, and waits to be redriven.
    PendingRedrive,
}

impl ChildStatus {
    const fn is_unsuccessful(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut | Self::Aborted)
    }
}

/// Children or items by status, as `DescribeMapRun` counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub pending: u64,
    pub running: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub timed_out: u64,
    pub aborted: u64,
    pub pending_redrive: u64,
}

impl Tally {
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.pending + self.running + self.succeeded + self.unsuccessful() + self.pending_redrive
    }

    /// The counts that are compared with the tolerated failures.
    #[must_use]
    pub const fn unsuccessful(&self) -> u64 {
        self.failed + self.timed_out + self.aborted
    }

    fn slot(&mut self, status: ChildStatus) -> &mut u64 {
        match status {
            ChildStatus::None => &mut self.pending,
            ChildStatus::Running => &mut self.running,
            ChildStatus::Succeeded => &mut self.succeeded,
            ChildStatus::Failed => &mut self.failed,
            ChildStatus::TimedOut => &mut self.timed_out,
            ChildStatus::Aborted => &mut self.aborted,
            ChildStatus::PendingRedrive => &mut self.pending_redrive,
        }
    }

    fn shift(&mut self, from: ChildStatus, to: ChildStatus, n: u64) {
        let left = self.slot(from);
        *left = left.saturating_sub(n);
        *self.slot(to) += n;
    }
}

/// An event of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEvent {
    /// It begins or restarts.
    Begin,
    /// Children whose items were read, in order; `last`: there are no more.
    Read {
        children: Vec<Child>,
        last: bool,
    },
    /// The items cannot be read, or not be made into inputs.
    ReadFailed(Failure),
    /// A child that was ordered is there, durably.
    Started {
        index: u64,
    },
    /// A child cannot be started, now or ever.
    StartFailed {
        index: u64,
        failure: Failure,
    },
    Closed {
        index: u64,
        status: ChildStatus,
    },
    /// `UpdateMapRun`.
    Changed(RunLimits),
    /// The parent goes on, or ended, without this run.
    Stop,
    /// All children that were open have closed.
    Aborted,
}

/// A command to the shell of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum RunCommand {
    /// Read on: about so many children more.
    Read {
        children: usize,
    },
    Start(Child),
    /// Stop every open child; then `RunEvent::Aborted`.
    Abort,
    /// Gather or write the results and tell the parent.
    Finish(RunOutcome),
}

/// How a run ends.
#[derive(Debug, Clone, PartialEq)]
pub enum RunOutcome {
    Succeeded,
    Failed(Failure),
    /// It was stopped, and its results are not needed.
    Aborted,
}

#[derive(Debug, Clone, PartialEq)]
enum Phase {
    Running,
    /// It will end with this result, after the open starts.
    Ending(RunOutcome),
    /// The children are being stopped.
    Aborting(RunOutcome),
    Ended,
}

/// One map run.
#[derive(Debug)]
pub struct MapRun {
    limits: RunLimits,
    phase: Phase,
    queue: VecDeque<Child>,
    /// Open children and how many items each has.
    open: BTreeMap<u64, u64>,
    /// Of those, the ones whose start is not durable yet, and the bytes of their inputs.
    starting: BTreeMap<u64, usize>,
    starting_bytes: usize,
    reading: bool,
    /// All items have been read.
    complete: bool,
    /// Children read so far; the next one's index.
    read: u64,
    /// Children whose status is known though their items have not been read (again).
    known: Vec<ChildStatus>,
    /// It goes on after a redrive: children without success are redriven.
    redriven: bool,
    children: Tally,
    items: Tally,
}

impl MapRun {
    /// `known`: the status of each child that exists, by index. `redriven`: those of them that had no success are
    /// ordered to start once more; the shell redrives them.
    #[must_use]
    pub fn new(limits: RunLimits, known: Vec<ChildStatus>, redriven: bool) -> Self {
        Self {
            limits,
            phase: Phase::Running,
            queue: VecDeque::new(),
            open: BTreeMap::new(),
            starting: BTreeMap::new(),
            starting_bytes: 0,
            reading: false,
            complete: false,
            read: 0,
            known,
            redriven,
            children: Tally::default(),
            items: Tally::default(),
        }
    }

    #[must_use]
    pub const fn limits(&self) -> &RunLimits {
        &self.limits
    }

    /// Child executions by status.
    #[must_use]
    pub const fn children(&self) -> &Tally {
        &self.children
    }

    /// Items by status.
    #[must_use]
    pub const fn items(&self) -> &Tally {
        &self.items
    }

    /// Children that may exist: all below this index.
    #[must_use]
    pub fn begun(&self) -> u64 {
        if self.redriven {
            return self.read;
        }
        self.queue.front().map_or(self.read, |child| child.index)
    }

    /// Open starts.
    #[must_use]
    pub fn starting(&self) -> usize {
        self.starting.len()
    }

    /// Children whose inputs are in memory.
    #[must_use]
    pub fn held(&self) -> usize {
        self.queue.len() + self.starting.len()
    }

    /// Children that were read and never started. The `PENDING` files of the results name them.
    pub fn pending(&self) -> impl Iterator<Item = &Child> {
        self.queue.iter().filter(|child| self.status_before(child.index) == ChildStatus::None)
    }

    /// How a child was when this attempt began.
    fn status_before(&self, index: u64) -> ChildStatus {
        let known = usize::try_from(index).ok().and_then(|i| self.known.get(i)).copied().unwrap_or_default();
        if self.redriven && known.is_unsuccessful() { ChildStatus::PendingRedrive } else { known }
    }

    /// Open children, by index.
    pub fn open(&self) -> impl Iterator<Item = u64> {
        self.open.keys().copied()
    }

    /// Takes an event and gives the commands that follow.
    #[must_use]
    pub fn take(&mut self, event: RunEvent) -> Vec<RunCommand> {
        match event {
            RunEvent::Begin => {}
            RunEvent::Read { children, last } => {
                self.reading = false;
                self.complete |= last;
                for child in children {
                    self.enqueue(child);
                }
            }
            RunEvent::ReadFailed(failure) => {
                self.reading = false;
                self.end(RunOutcome::Failed(failure));
            }
            RunEvent::Started { index } => self.started(index),
            RunEvent::StartFailed { index, failure } => {
                self.started(index);
                self.close(index, ChildStatus::Failed);
                self.end(RunOutcome::Failed(failure));
            }
            RunEvent::Closed { index, status } => self.close(index, status),
            RunEvent::Changed(limits) => self.limits = limits,
            RunEvent::Stop => self.end(RunOutcome::Aborted),
            RunEvent::Aborted => {
                for index in self.open().collect::<Vec<_>>() {
                    self.close(index, ChildStatus::Aborted);
                }
                if let Phase::Aborting(outcome) = &self.phase {
                    let outcome = outcome.clone();
                    self.phase = Phase::Ended;
                    return vec![RunCommand::Finish(outcome)];
                }
            }
        }
        self.go_on()
    }

    fn go_on(&mut self) -> Vec<RunCommand> {
        if matches!(self.phase, Phase::Running) && self.exceeds() {
            let failure = Failure::new(
                "States.ExceedToleratedFailureThreshold",
                "The specified tolerated failure threshold was exceeded",
            );
            self.end(RunOutcome::Failed(failure));
        }
        match &self.phase {
            Phase::Running => self.run(),
            Phase::Ending(outcome) if self.starting.is_empty() => {
                self.phase = Phase::Aborting(outcome.clone());
                vec![RunCommand::Abort]
            }
            Phase::Ending(_) | Phase::Aborting(_) | Phase::Ended => Vec::new(),
        }
    }

    fn run(&mut self) -> Vec<RunCommand> {
        let mut commands = Vec::new();
        while self.may_start() && self.open.len() < self.limits.concurrency() {
            let Some(child) = self.queue.pop_front() else { break };
            self.open.insert(child.index, child.items);
            self.starting_bytes += child.input.bytes();
            self.starting.insert(child.index, child.input.bytes());
            self.shift(self.status_before(child.index), ChildStatus::Running, child.items);
            commands.push(RunCommand::Start(child));
        }
        if !self.reading && !self.complete && self.queue.len() <= MAP_RUN_QUEUE / 2 {
            self.reading = true;
            commands.push(RunCommand::Read { children: MAP_RUN_QUEUE - self.queue.len() });
        }
        if self.complete && self.queue.is_empty() && self.open.is_empty() && self.starting.is_empty() {
            self.phase = Phase::Ended;
            commands.push(RunCommand::Finish(RunOutcome::Succeeded));
        }
        commands
    }

    /// One more start may be awaited.
    fn may_start(&self) -> bool {
        let large = self.starting_bytes > MAP_RUN_STARTS_BYTES;
        self.starting.len() < if large { MAP_RUN_STARTS_LARGE } else { MAP_RUN_STARTS }
    }

    /// A start is awaited no more.
    fn started(&mut self, index: u64) {
        self.starting_bytes -= self.starting.remove(&index).unwrap_or(0);
    }

    /// A child has been read: it waits for its start, unless it exists already.
    fn enqueue(&mut self, child: Child) {
        let status = self.status_before(child.index);
        self.read = self.read.max(child.index + 1);
        if self.read > MAP_RUN_CHILDREN_MAX {
            let cause = format!("The map run has more than {MAP_RUN_CHILDREN_MAX} children.");
            self.end(RunOutcome::Failed(Failure::new("States.ItemReaderFailed", cause)));
            return;
        }
        *self.children.slot(status) += 1;
        *self.items.slot(status) += child.items;
        match status {
            ChildStatus::None | ChildStatus::PendingRedrive => self.queue.push_back(child),
            ChildStatus::Running => drop(self.open.insert(child.index, child.items)),
            _ => {}
        }
    }

    fn close(&mut self, index: u64, status: ChildStatus) {
        if let Some(items) = self.open.remove(&index) {
            self.shift(ChildStatus::Running, status, items);
        } else if index >= self.read
            && let Some(known) = usize::try_from(index).ok().and_then(|i| self.known.get_mut(i))
        {
            // It exists from before a restart; its items have not been read again.
            *known = status;
        }
        // Else it is the second message about the same end.
    }

    fn shift(&mut self, from: ChildStatus, to: ChildStatus, items: u64) {
        self.children.shift(from, to, 1);
        self.items.shift(from, to, items);
    }

    fn end(&mut self, outcome: RunOutcome) {
        match &self.phase {
            Phase::Running => self.phase = Phase::Ending(outcome),
            // A stop while children are stopped for another reason: the results are no longer needed.
            Phase::Ending(_) if outcome == RunOutcome::Aborted => self.phase = Phase::Ending(outcome),
            Phase::Aborting(_) if outcome == RunOutcome::Aborted => self.phase = Phase::Aborting(outcome),
            _ => {}
        }
    }

    /// Either threshold may be exceeded; none given means that no item may fail. A share is known when all items have
    /// been read.
    fn exceeds(&self) -> bool {
        let failed = self.items.unsuccessful();
        let Tolerance { count, percentage } = self.limits.tolerance;
        if count.is_none() && percentage.is_none() {
            return failed > 0;
        }
        #[expect(clippy::cast_precision_loss, reason = "items below 2^53")]
        let share = || failed as f64 * 100.0 / self.items.total() as f64;
        count.is_some_and(|n| failed > n) || percentage.is_some_and(|p| self.complete && failed > 0 && share() > p)
    }
}
