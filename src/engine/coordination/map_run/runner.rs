//! One map run at work: messages come in, the pure machine gives commands, the commands are done beside it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::ids::{Arn, EventId, ExecutionId};
use crate::interpreter::event::Failure;
use crate::interpreter::map_items;
use crate::interpreter::map_run::{ChildStatus, MapRun, RunCommand, RunEvent, RunLimits, RunOutcome};
use crate::interpreter::stimulus::StimulusKind;
use crate::store::{StoreError, Tenure};

use crate::engine::coordination::Coordinator;
use crate::engine::coordination::map_run::children::{self, ChildTemplate};
use crate::engine::coordination::map_run::results;
use crate::engine::coordination::map_run::row::{Row, RunStatus};
use crate::engine::coordination::map_run::runs::RunnerMessage;
use crate::engine::coordination::map_run::source::Source;
use crate::engine::journal::load;
use crate::engine::services::RETRY_AFTER;
use crate::engine::types::DeliverError;

/// How often a run that moves writes its counts.
const ROW_WRITTEN_EVERY: Duration = Duration::from_secs(1);
/// After so long without a message, the index is asked whether children have closed unheard (on another node, in a
/// crash); then after twice as long, and so on, up to an hour: a run that waits for months costs nothing.
const SILENCE_CHECK: Duration = Duration::from_secs(10);
const SILENCE_CHECK_MAX: Duration = Duration::from_hours(1);

/// Runs a map run to its end, from its beginning or from where its children are.
pub(super) async fn run(
    coordinator: &Arc<Coordinator>,
    parent: ExecutionId,
    started: EventId,
    arn: &Arn,
    sender: mpsc::Sender<RunnerMessage>,
    mut messages: mpsc::Receiver<RunnerMessage>,
) {
    let mut runner = loop {
        match Runner::open(coordinator, parent, started, arn, sender.clone()).await {
            Ok(Some(runner)) => break runner,
            // The parent went on without it.
            Ok(None) => return,
            Err(e) => {
                tracing::warn!(map_run.arn = %arn, error = %e, "a map run could not begin; trying again");
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    };
    drop(sender);
    tracing::info!(map_run.arn = %arn, execution.id = %parent, event = "map_run.started", "a map run has begun");
    let outcome = runner.work(&mut messages).await;
    runner.finish(outcome).await;
}

struct Runner {
    coordinator: Arc<Coordinator>,
    parent: ExecutionId,
    started: EventId,
    arn: Arn,
    /// Under which it read the state and the row: its changes of the row are refused when that is over.
    tenure: Tenure,
    run: MapRun,
    template: Arc<ChildTemplate>,
    /// Away while it is read from.
    source: Option<Box<Source>>,
    /// Open children whose ids are known.
    ids: HashMap<ExecutionId, u64>,
    /// Children that closed before it was known that they had started.
    early: HashMap<ExecutionId, ChildStatus>,
    sender: mpsc::Sender<RunnerMessage>,
    row: Row,
    moved: bool,
}

impl Runner {
    async fn open(
        coordinator: &Arc<Coordinator>,
        parent: ExecutionId,
        started: EventId,
        arn: &Arn,
        sender: mpsc::Sender<RunnerMessage>,
    ) -> Result<Option<Self>, DeliverError> {
        let services = &coordinator.services;
        let tenure = services.courier.tenure_over(parent)?;
        let state = load::state(services, parent).await?;
        let Some(view) = state.map_run(started) else { return Ok(None) };
        let (Some(plan), Some(origin)) = (view.run.plan.clone(), state.started().map(Arc::clone)) else {
            return Ok(None);
        };
        let started_at = view.run.started_at;
        let header = services.journal.execution(parent).await?.ok_or(DeliverError::NoExecution(parent))?.header;
        let machine =
            services.definitions.revision(header.revision).await.map_err(|e| DeliverError::Internal(e.to_string()))?;
        let redrives = view.run.redrives;
        let row = if let Some(mut row) = services.catalog.map_run(arn).await?.map(Row::from) {
            if row.redrives() < redrives {
                row.redrive(redrives, started_at);
                services.catalog.put_map_run(row.to_store(), tenure).await?;
            }
            row
        } else {
            let limits = RunLimits { max_concurrency: plan.max_concurrency, tolerance: plan.tolerance };
            let row = Row::new(arn.clone(), parent, started_at, &limits);
            services.catalog.put_map_run(row.to_store(), tenure).await?;
            row
        };
        let state_name = Arc::clone(&view.visit.name);
        let writer_config = map_items::definition(&machine, &state, started)
            .and_then(|m| m.result_writer.as_ref())
            .map(|w| w.config.clone());
        let (known, open) = children::known(services, arn).await?;
        let source = Source::new(&machine, state, started, &plan, services.objects.clone());
        let template = ChildTemplate {
            run: arn.clone(),
            machine,
            block: plan.block,
            express: plan.express,
            parent: origin,
            parent_row: header,
            state_name,
            attempt: redrives,
            writer: plan.writer.clone(),
            writer_config: writer_config.unwrap_or_default(),
        };
        Ok(Some(Self {
            coordinator: Arc::clone(coordinator),
            parent,
            started,
            arn: arn.clone(),
            tenure,
            run: MapRun::new(row.limits(), known, redrives > 0),
            template: Arc::new(template),
            source: source.map(Box::new),
            ids: open.into_iter().collect(),
            early: HashMap::new(),
            sender,
            row,
            moved: true,
        }))
    }

    /// Until the run knows how it ends.
    async fn work(&mut self, messages: &mut mpsc::Receiver<RunnerMessage>) -> RunOutcome {
        let mut quiet = SILENCE_CHECK;
        let mut listens = Instant::now() + quiet;
        let mut shows = Instant::now();
        // A message that came in meanwhile is taken first: the run may have been stopped. The run must begin after it:
        // the message may be about a child that is known to be over, and then no other message would set the run going.
        if let Ok(message) = messages.try_recv()
            && let Some(outcome) = self.take(message).await
        {
            return outcome;
        }
        let mut next = RunnerMessage::Event(RunEvent::Begin);
        loop {
            if let Some(outcome) = self.take(next).await {
                return outcome;
            }
            self.coordinator.map_runs.holds(self.run.held());
            next = loop {
                tokio::select! {
                    message = messages.recv() => {
                        quiet = SILENCE_CHECK;
                        listens = Instant::now() + quiet;
                        // The runner holds a sender of its own: there is always a next message.
                        if let Some(message) = message { break message; }
                    }
                    () = tokio::time::sleep_until(shows), if self.moved => {
                        self.show_progress().await;
                        shows = Instant::now() + ROW_WRITTEN_EVERY;
                    }
                    () = tokio::time::sleep_until(listens), if !self.ids.is_empty() => {
                        quiet = (quiet * 2).min(SILENCE_CHECK_MAX);
                        listens = Instant::now() + quiet;
                        self.listen();
                    }
                }
            };
        }
    }

    async fn take(&mut self, message: RunnerMessage) -> Option<RunOutcome> {
        self.moved = true;
        let event = match message {
            RunnerMessage::Event(event) => event,
            RunnerMessage::Read { source, event } => {
                self.source = Some(source);
                event
            }
            RunnerMessage::Started { index, id, closed } => {
                let outcome = self.decide(RunEvent::Started { index });
                let closed = closed.or_else(|| self.early.remove(&id));
                if self.run.starting() == 0 {
                    self.early.clear();
                }
                if let Some(status) = closed {
                    return outcome.or(self.decide(RunEvent::Closed { index, status }));
                }
                self.ids.insert(id, index);
                return outcome;
            }
            RunnerMessage::Closed { attempt, .. } if attempt != self.template.attempt => return None,
            RunnerMessage::Closed { child, status, .. } => {
                let Some(index) = self.ids.remove(&child) else {
                    if self.run.starting() > 0 {
                        self.early.insert(child, status);
                    }
                    return None;
                };
                RunEvent::Closed { index, status }
            }
            RunnerMessage::Changed { change, done } => {
                let limits = change.apply(*self.run.limits());
                self.row.set_limits(&limits);
                let kept = self.coordinator.services.catalog.put_map_run(self.row.to_store(), self.tenure).await;
                let changed = kept.is_ok();
                let _ = done.send(kept);
                if !changed {
                    return None;
                }
                RunEvent::Changed(limits)
            }
        };
        self.decide(event)
    }

    fn decide(&mut self, event: RunEvent) -> Option<RunOutcome> {
        let mut outcome = None;
        for command in self.run.take(event) {
            match command {
                RunCommand::Read { children } => self.read(children),
                RunCommand::Start(child) => {
                    let services = Arc::clone(&self.coordinator.services);
                    let (template, sender) = (Arc::clone(&self.template), self.sender.clone());
                    actix_rt::spawn(async move {
                        let index = child.index;
                        let message = match children::start(&services, &template, &child).await {
                            Ok(started) => RunnerMessage::Started { index, id: started.id, closed: started.closed },
                            Err(failure) => RunnerMessage::Event(RunEvent::StartFailed { index, failure }),
                        };
                        let _ = sender.send(message).await;
                    });
                }
                RunCommand::Abort => {
                    let (services, run, sender) =
                        (Arc::clone(&self.coordinator.services), self.arn.clone(), self.sender.clone());
                    actix_rt::spawn(async move {
                        children::stop_all(&services, &run).await;
                        let _ = sender.send(RunnerMessage::Event(RunEvent::Aborted)).await;
                    });
                }
                RunCommand::Finish(how) => outcome = Some(how),
            }
        }
        outcome
    }

    fn read(&mut self, children: usize) {
        let sender = self.sender.clone();
        let source = self.source.take();
        actix_rt::spawn(async move {
            let message = match source {
                Some(mut source) => {
                    let event = source.read(children).await;
                    RunnerMessage::Read { source, event }
                }
                None => RunnerMessage::Event(RunEvent::ReadFailed(Failure::new(
                    "States.Runtime",
                    "The map run's state is not there.",
                ))),
            };
            let _ = sender.send(message).await;
        });
    }

    /// Asks the index about children that are silent.
    fn listen(&self) {
        let (services, run, sender) = (Arc::clone(&self.coordinator.services), self.arn.clone(), self.sender.clone());
        let (attempt, ids) = (self.template.attempt, self.ids.keys().copied().collect());
        actix_rt::spawn(async move {
            for (child, status) in children::over(&services, &run, ids).await.unwrap_or_default() {
                let _ = sender.send(RunnerMessage::Closed { child, status, attempt }).await;
            }
        });
    }

    async fn show_progress(&mut self) {
        if self.moved {
            self.moved = false;
            self.row.count(&self.run, 0);
            if let Err(e) = self.coordinator.services.catalog.put_map_run(self.row.to_store(), self.tenure).await {
                tracing::debug!(map_run.arn = %self.arn, error = %e, "a map run's counts could not be written");
                self.moved = true;
            }
        }
    }

    /// Results, row, parent: in this order, each again until it is done.
    async fn finish(mut self, outcome: RunOutcome) {
        let services = Arc::clone(&self.coordinator.services);
        let mut written = 0;
        let result = match outcome {
            RunOutcome::Aborted => None,
            outcome => {
                let ended = results::collect(&services, &self.template, &self.run, outcome).await;
                written = ended.written;
                Some(ended.result)
            }
        };
        self.row.count(&self.run, written);
        let status = match &result {
            None => RunStatus::Aborted,
            Some(Ok(_)) => RunStatus::Succeeded,
            Some(Err(_)) => RunStatus::Failed,
        };
        self.row.end(status, services.clock.now());
        let status = status.as_str();
        while let Err(e) = services.catalog.put_map_run(self.row.to_store(), self.tenure).await {
            // Of a run whose partition has another owner that one writes the end.
            if matches!(e, StoreError::Unusable(_) | StoreError::Fenced { .. }) {
                return;
            }
            tracing::warn!(
                map_run.arn = %self.arn,
                error = %e,
                "the end of a map run could not be written; trying again"
            );
            tokio::time::sleep(RETRY_AFTER).await;
        }
        tracing::info!(
            map_run.arn = %self.arn,
            execution.id = %self.parent,
            status,
            event = "map_run.ended",
            "a map run has ended: {status}"
        );
        if let Some(result) = result {
            let ended = StimulusKind::MapRunEnded { started: self.started, result };
            services.courier.deliver_until_taken(self.parent, ended).await;
        }
    }
}
