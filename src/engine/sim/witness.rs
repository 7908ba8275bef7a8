//! The witness: a second copy of every execution, folded from the entries that landed in the journal, and the rules of
//! each thing that crosses a port.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::asl::model::Machine;
use crate::bus::envelope::{self, Reply, ReplyOutcome};
use crate::bus::{HeaderValue, Message};
use crate::clock::Timestamp;
use crate::engine::journal::summary::summary;
use crate::engine::types::CompletionError;
use crate::ids::{EventId, ExecutionId, TaskKey};
use crate::interpreter::due;
use crate::interpreter::event::Event;
use crate::interpreter::state::{State, TaskView};
use crate::interpreter::stimulus::Rejection;
use crate::record;
use crate::store::{Append, ExecutionHeader, ExecutionStatus, Summary, WaitRow};
use crate::token::TokenKeys;

use super::world::Inner;

/// No machine rests longer: a wait of a month, a day of it without a process, and clocks that jump.
const LONGEST_REST: Duration = Duration::from_hours(24 * 45);

/// An execution as its journal tells it.
#[derive(Debug)]
pub struct Fold {
    pub header: ExecutionHeader,
    pub state: State,
    before_tail: State,
    machine: Arc<Machine>,
    ended: BTreeSet<EventId>,
    /// When something last happened to it.
    last: Option<Timestamp>,
}

impl Inner {
    /// Nothing may wait for a moment that passed longer than `grace` ago, whatever the clock did meanwhile.
    pub fn look_for_overdue(&mut self, grace: Duration) {
        let true_now = self.true_time();
        let now = Timestamp::from_millis(true_now + self.skew);
        let grace = i64::try_from(grace.as_millis()).unwrap();
        let mut wrong = Vec::new();
        for (id, fold) in &self.executions {
            match due(&fold.machine, &fold.state) {
                Some(at) if at <= now => {
                    let since = self.overdue.entry(*id).or_insert((at, true_now));
                    if since.0 != at {
                        *since = (at, true_now);
                    } else if true_now - since.1 > grace {
                        wrong.push(format!("{}: nothing happens, though it is due since {at}", fold.header.name));
                        since.1 = i64::MAX; // said once
                    }
                }
                _ => _ = self.overdue.remove(id),
            }
        }
        self.violations.append(&mut wrong);
    }

    pub fn born(&mut self, header: &ExecutionHeader) {
        let machine = Arc::clone(&self.machines[&header.revision]);
        let fold = Fold {
            header: header.clone(),
            state: State::default(),
            before_tail: State::default(),
            machine,
            ended: BTreeSet::new(),
            last: None,
        };
        if self.executions.values().any(|f| f.header.arn == header.arn) {
            self.violate(format!("{} was made twice", header.arn));
        }
        self.executions.insert(header.id, fold);
    }

    /// An append has landed: the journal is well-formed, and the row says what the fold says.
    pub fn landed(&mut self, append: &Append) {
        if append.batch.events == 0 {
            return;
        }
        let newest =
            *self.epochs.entry(append.partition).and_modify(|e| *e = append.epoch.max(*e)).or_insert(append.epoch);
        if append.epoch < newest {
            self.violate(format!(
                "partition {} has an entry of epoch {} after one of epoch {}",
                append.partition, append.epoch.0, newest.0
            ));
        }
        let entries = record::decode(&append.batch.bytes).unwrap();
        let now = self.true_time();
        let Some(fold) = self.executions.get_mut(&append.execution) else {
            self.violate("an append to an execution that was never made".to_owned());
            return;
        };
        let mut wrong = Vec::new();
        if append.replaces > 0 {
            // Heartbeats in the place of earlier ones: it goes on from the state before those.
            fold.state = fold.before_tail.clone();
        } else {
            fold.before_tail = fold.state.clone();
        }
        let now = now % 10_000_000_000;
        let name = fold.header.name.clone();
        for entry in &entries {
            if self.trace {
                println!("{now} {name} {} {:.160}", entry.id, format!("{:?}", entry.event));
            }
            if entry.id.0 != 0 && entry.id.0 != fold.state.last_id().0 + 1 {
                wrong.push(format!("{name}: event {} follows {}", entry.id, fold.state.last_id()));
            }
            let outcome = match &entry.event {
                Event::TaskSucceeded { scheduled, output, .. } => Some((scheduled, Some(output))),
                Event::TaskFailed { scheduled, .. } | Event::TaskTimedOut { scheduled, .. } => Some((scheduled, None)),
                _ => None,
            };
            if let Some((scheduled, output)) = outcome {
                if !fold.ended.insert(*scheduled) {
                    wrong.push(format!("{name}: the task of event {scheduled} ended twice"));
                }
                let key = TaskKey { execution: append.execution, scheduled: *scheduled };
                if let (Some(output), Some(said)) = (output, self.answers.get(&key))
                    && !said.iter().any(|answer| answer == &**output)
                {
                    wrong.push(format!(
                        "{name}: the task of event {scheduled} has a result that its worker did not give"
                    ));
                }
            }
            if matches!(entry.event, Event::ExecutionTimedOut(_)) {
                if fold.last.is_none_or(|last| entry.at.since(last) > LONGEST_REST) {
                    wrong.push(format!("{name}: it stood still until its year was over"));
                }
                self.outlived += 1;
            }
            fold.last = Some(entry.at);
            if let Err(misfit) = fold.state.evolve(entry) {
                wrong.push(format!("{name}: {misfit}"));
            }
        }
        let said: &Summary = &append.summary;
        let meant = summary(&fold.machine, &fold.state, true);
        if *said != meant {
            wrong.push(format!("{name}: the row says {said:?}, its journal {meant:?}"));
        }
        if fold.state.is_running() != (said.status == ExecutionStatus::Running) {
            wrong.push(format!("{name}: the row's status is {}", said.status));
        }
        self.violations.append(&mut wrong);
    }

    /// The rows of waiting tasks say what the journal says; a task without a row is still owed.
    pub fn listed(&mut self, execution: ExecutionId, rows: &[WaitRow]) {
        let Some(fold) = self.executions.get(&execution) else { return };
        let open = |task| if fold.state.is_running() { fold.state.task(task).ok() } else { None };
        let mut wrong = Vec::new();
        for WaitRow { wait, .. } in rows {
            let said = (wait.since, wait.due(), wait.last_heartbeat, wait.submitted);
            let meant = open(wait.scheduled)
                .map(|TaskView { task, .. }| (task.scheduled_at, task.due(), task.last_heartbeat, task.published));
            if meant != Some(said) {
                wrong.push(format!("the row of task {} says {said:?}, its journal {meant:?}", wait.scheduled));
            }
        }
        for TaskView { task, .. } in fold.state.tasks().filter(|_| fold.state.is_running()) {
            if task.published && !rows.iter().any(|row| row.wait.scheduled == task.scheduled) {
                wrong.push(format!("task {} waits at the broker and has no row", task.scheduled));
            }
        }
        for why in &mut wrong {
            *why = format!("{}: {why}", fold.header.name);
        }
        self.violations.append(&mut wrong);
    }

    fn task(&self, key: TaskKey) -> Result<bool, Rejection> {
        let fold = self.executions.get(&key.execution).ok_or(Rejection::Unknown)?;
        fold.state.task(key.scheduled).map(|view| view.task.published)
    }

    /// A message leaves the engine: what orders it is in the journal, and its ids are those of its task.
    pub fn leaving(&mut self, message: &Message, tokens: &TokenKeys) {
        let Some(token) = message.properties.headers.get(envelope::TASK_TOKEN).and_then(HeaderValue::as_text) else {
            return;
        };
        if message.properties.headers.contains_key("x-verdict") {
            return;
        }
        let Ok((key, _)) = tokens.verify(token) else {
            return self.violate("a task went out with a token that is not ours".to_owned());
        };
        if self.trace {
            let name = self.executions.get(&key.execution).map(|f| f.header.name.as_str()).unwrap_or_default();
            println!("{} {name} out {} {:?}", self.true_time() % 10_000_000_000, key.scheduled, self.task(key));
        }
        match self.task(key) {
            // Where nothing fails. Elsewhere a reply may overtake the publish that an actor has ordered and not yet
            // begun.
            Ok(true) if self.faults.is_none() => {
                self.violate(format!(
                    "the task of event {} went out again after its confirm was written",
                    key.scheduled
                ));
            }
            Err(Rejection::Unknown) => {
                self.violate(format!("the task of event {} went out before it was written", key.scheduled));
            }
            Ok(_) | Err(_) => {}
        }
        let id = message.properties.message_id.clone().unwrap_or_default();
        if self.message_ids.entry(id).or_insert_with(|| token.to_owned()) != token {
            self.violate("two tasks share a message id".to_owned());
        }
        if message.properties.correlation_id.as_deref() != Some(token) {
            self.violate("correlation_id is not the token".to_owned());
        }
    }

    /// A reply is acknowledged: its effect is in the journal, or it could have none.
    pub fn acknowledged(&mut self, message: &Message, tokens: &TokenKeys) {
        let Ok(reply) = Reply::decode(message) else { return };
        let Ok((key, _)) = tokens.verify(&reply.token) else { return };
        if reply.outcome != ReplyOutcome::Heartbeat && self.task(key).is_ok() {
            self.violate(format!(
                "a good reply for the task of event {} was acknowledged, and the task is still open",
                key.scheduled
            ));
        }
    }

    /// A call with a reply has its final answer: as a reply that is acknowledged.
    pub fn answered(&mut self, message: &Message, answer: &Result<(), CompletionError>, tokens: &TokenKeys) {
        let Ok(reply) = Reply::decode(message) else { return };
        let Ok((key, _)) = tokens.verify(&reply.token) else { return };
        let heartbeat = reply.outcome == ReplyOutcome::Heartbeat && answer.is_ok();
        if !heartbeat && self.task(key).is_ok() {
            self.violate(format!(
                "a call with a good reply for the task of event {} was answered {answer:?}, and the task is still open",
                key.scheduled
            ));
        }
    }

    /// A reply is parked: only for a reason.
    pub fn parked(&mut self, message: &Message, tokens: &TokenKeys) {
        self.stranger_parked(message);
        let verdict =
            message.properties.headers.get("x-verdict").and_then(HeaderValue::as_text).unwrap_or_default().to_owned();
        let Ok(reply) = Reply::decode(message) else { return };
        let Ok((key, _)) = tokens.verify(&reply.token) else { return };
        if !matches!(verdict.as_str(), "duplicate" | "late") || self.task(key).is_ok() {
            let task = self.task(key);
            self.violate(format!(
                "a good reply for the task of event {} was refused as {verdict}, the task is {task:?}",
                key.scheduled
            ));
        }
    }
}
