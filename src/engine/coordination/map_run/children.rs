//! The children of a map run: started under names of their own, found again, stopped.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::asl::model::Machine;
use crate::engine::coordination::map_run::row::{Row, RunStatus};
use crate::engine::coordination::map_run::runs::{ROWS_PER_PAGE, child_status};
use crate::engine::services::admission::pause_after;
use crate::engine::services::{RETRY_AFTER, Services, entropy};
use crate::engine::types::{DeliverError, Delivered, Input, Start};
use crate::ids::{Arn, ExecutionId, child_name};
use crate::interpreter::event::{Failure, Payload, Started};
use crate::interpreter::map_items::Child;
use crate::interpreter::map_run::ChildStatus;
use crate::interpreter::stimulus::StimulusKind;
use crate::store::{ExecutionFilter, ExecutionHeader, ExecutionRow, ExecutionStatus, StoreError, StoreResult};
use crate::trace::{Trace, TraceOrigin};

/// The parts that all children of a run share.
#[derive(Debug)]
pub(super) struct ChildTemplate {
    pub run: Arn,
    pub machine: Arc<Machine>,
    pub block: crate::ids::BlockId,
    pub express: bool,
    /// The parent, as it was started.
    pub parent: Arc<Started>,
    pub parent_row: ExecutionHeader,
    /// The Map state's name.
    pub state_name: crate::ids::StateName,
    /// 0, or the number of the run's redrive.
    pub attempt: u32,
    /// Where results are exported to.
    pub writer: Option<Payload>,
    /// `WriterConfig`.
    pub writer_config: serde_json::Value,
}

impl ChildTemplate {
    /// `MACHINE/LABEL`, as the run's ARN has it.
    fn place(&self) -> &str {
        let text = self.run.as_str();
        let (head, _) = text.rsplit_once(':').unwrap_or((text, ""));
        head.rsplit(':').next().unwrap_or_default()
    }

    /// A UUID, as AWS's children are named.
    fn name(&self, index: u64) -> Uuid {
        child_name(&self.run, index)
    }

    /// The child's ARN.
    pub fn arn(&self, services: &Services, index: u64) -> Arn {
        let name = self.name(index);
        if self.express {
            services.realm.express_execution(self.place(), &name.to_string(), ExecutionId(name))
        } else {
            services.realm.execution(self.place(), &name.to_string())
        }
    }

    /// Each child has a trace of its own, with a link to its parent: a run may have millions.
    fn origin(&self, services: &Services) -> Option<Box<TraceOrigin>> {
        let above = self.parent.trace.as_deref();
        if services.options.traces.is_none() && above.is_none() {
            return None;
        }
        let id = self.parent_row.id;
        let parent = Trace::of(id, above, services.sampling()).execution(id);
        Some(Box::new(TraceOrigin { parent, state: above.and_then(|above| above.state.clone()), linked: true }))
    }

    /// Starts this child now.
    async fn begin(&self, services: &Services, child: &Child) -> Result<ExecutionId, DeliverError> {
        let (header, started) = self.of(services, child).await?;
        let id = header.id;
        let machine = Arc::clone(&self.machine);
        let start = Start { header, started: Box::new(started), machine, hurries: false };
        services.courier.start(start).await.map(|_| id)
    }

    async fn of(&self, services: &Services, child: &Child) -> Result<(ExecutionHeader, Started), DeliverError> {
        let id = services.execution_id().await?;
        let text = self.name(child.index).to_string();
        let arn = self.arn(services, child.index);
        let machine = services.realm.state_machine(self.place());
        let started = Started {
            input: Payload::clone(&child.input),
            role_arn: Arc::clone(&self.parent.role_arn),
            arn: arn.clone(),
            name: text.as_str().into(),
            machine: machine.clone(),
            machine_name: Arc::clone(&self.parent.machine_name),
            version_arn: self.parent.version_arn.clone(),
            alias_arn: self.parent.alias_arn.clone(),
            parent: None,
            block: Some(self.block),
            item: child.item.clone(),
            map_run: Some(self.run.clone()),
            attempt: self.attempt,
            depth: self.parent.depth,
            forked: None,
            trace: self.origin(services),
        };
        let header = ExecutionHeader {
            id,
            partition: services.partition_of(id),
            arn,
            name: text,
            state_machine: machine,
            revision: self.parent_row.revision,
            version_arn: self.parent_row.version_arn.clone(),
            alias_arn: self.parent_row.alias_arn.clone(),
            input: child.input.to_string(),
            trace_header: self.parent_row.trace_header.clone(),
            started: services.clock.now(),
            parent: None,
            map_run: Some(self.run.clone()),
            item_index: Some(child.index),
            forked: None,
        };
        Ok((header, started))
    }
}

/// A child that is there now.
#[derive(Debug)]
pub(super) struct ChildStart {
    pub id: ExecutionId,
    /// It is from before a restart, and over.
    pub closed: Option<ChildStatus>,
}

/// Starts a child; the start is durable when this returns. A child that exists is not started again. A child without
/// success is redriven where its run is redriven, once in each attempt.
///
/// # Errors
/// It can never be started.
pub(super) async fn start(services: &Services, template: &ChildTemplate, child: &Child) -> Result<ChildStart, Failure> {
    let mut waited = Duration::ZERO;
    loop {
        let arn = template.arn(services, child.index);
        let problem = match template.begin(services, child).await {
            Ok(id) => {
                services.child_starts();
                return Ok(ChildStart { id, closed: None });
            }
            Err(DeliverError::Store(StoreError::AlreadyExists { .. })) => {
                match services.journal.execution_by_arn(&arn).await {
                    Ok(Some(row)) => match existing(services, template, row).await {
                        Ok(child) => return Ok(child),
                        Err(why) => why,
                    },
                    Ok(None) => "its name is changing hands".to_owned(),
                    Err(e) => e.to_string(),
                }
            }
            Err(DeliverError::Store(e @ (StoreError::NotFound { .. } | StoreError::Corrupt { .. }))) => {
                return Err(Failure::new("States.Runtime", format!("A child of the map run cannot be started: {e}")));
            }
            Err(e) => e.to_string(),
        };
        services.child_waits(&template.parent.arn, &problem);
        let pause = pause_after(waited, entropy::unit());
        tokio::time::sleep(pause).await;
        waited += pause;
    }
}

/// A child that exists: open, over, or redriven now.
async fn existing(services: &Services, template: &ChildTemplate, row: ExecutionRow) -> Result<ChildStart, String> {
    let (id, status) = (row.header.id, child_status(row.summary.status));
    let over = matches!(status, ChildStatus::Failed | ChildStatus::TimedOut | ChildStatus::Aborted);
    if template.attempt == 0 || !over {
        return Ok(ChildStart { id, closed: (status != ChildStatus::Running).then_some(status) });
    }
    let kind = StimulusKind::RedriveByRun { attempt: template.attempt };
    match services.courier.deliver(id, Input::Stimulus(kind)).await {
        Delivered::Applied(_) => Ok(ChildStart { id, closed: None }),
        // It was redriven before a restart and failed again, or can never be (its history is full).
        Delivered::Refused(_) => {
            let row = services.journal.execution(id).await.map_err(|e| e.to_string())?;
            let status = row.map_or(status, |row| child_status(row.summary.status));
            Ok(ChildStart { id, closed: (status != ChildStatus::Running).then_some(status) })
        }
        delivered => match delivered.into_result() {
            Ok(_) => Ok(ChildStart { id, closed: None }),
            Err(e) => Err(e.to_string()),
        },
    }
}

/// The children that exist: their statuses by index, and the open ones.
pub(super) async fn known(services: &Services, run: &Arn) -> StoreResult<(Vec<ChildStatus>, Vec<(ExecutionId, u64)>)> {
    let mut statuses = Vec::new();
    let mut open = Vec::new();
    let mut after = None;
    loop {
        let filter = ExecutionFilter {
            map_run: Some(run.clone()),
            after,
            limit: ROWS_PER_PAGE,
            brief: true,
            ..ExecutionFilter::default()
        };
        let rows = services.journal.list(filter).await?;
        let Some(last) = rows.last() else { return Ok((statuses, open)) };
        after = Some((last.header.started, last.header.id));
        for row in &rows {
            let Some(index) = row.header.item_index else { continue };
            let at = usize::try_from(index).unwrap_or(usize::MAX);
            if at >= statuses.len() {
                statuses.resize(at + 1, ChildStatus::None);
            }
            statuses[at] = child_status(row.summary.status);
            if row.summary.status.is_open() {
                open.push((row.header.id, index));
            }
        }
    }
}

async fn open(services: &Services, run: &Arn) -> StoreResult<Vec<ExecutionRow>> {
    let filter = ExecutionFilter {
        map_run: Some(run.clone()),
        status: Some(ExecutionStatus::Running),
        limit: ROWS_PER_PAGE,
        brief: true,
        ..ExecutionFilter::default()
    };
    services.journal.list(filter).await
}

/// Stops every open child, until none is left.
pub(super) async fn stop_all(services: &Services, run: &Arn) {
    loop {
        match open(services, run).await {
            Ok(rows) if rows.is_empty() => return,
            Ok(rows) => {
                let stops = rows.iter().map(|row| stop(services, row));
                if futures_util::future::join_all(stops).await.into_iter().all(|stopped| stopped) {
                    continue;
                }
            }
            Err(e) => {
                tracing::warn!(
                    map_run.arn = %run,
                    error = %e,
                    "a map run's children could not be listed; trying again"
                );
            }
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// True where the child is over now.
async fn stop(services: &Services, row: &ExecutionRow) -> bool {
    let stop = Input::Stimulus(StimulusKind::Stop(Failure::default()));
    let delivered = services.courier.deliver(row.header.id, stop).await;
    if delivered.is_final() {
        return true;
    }
    if let Err(e) = delivered.into_result() {
        tracing::warn!(execution.arn = %row.header.arn, error = %e, "a child could not be stopped; trying again");
    }
    false
}

/// Which of these open children are over, by the index.
pub(super) async fn over(
    services: &Services,
    run: &Arn,
    ids: Vec<ExecutionId>,
) -> StoreResult<Vec<(ExecutionId, ChildStatus)>> {
    let mut running = std::collections::HashSet::new();
    let mut after = None;
    loop {
        let filter = ExecutionFilter {
            map_run: Some(run.clone()),
            status: Some(ExecutionStatus::Running),
            after,
            limit: ROWS_PER_PAGE,
            brief: true,
            ..ExecutionFilter::default()
        };
        let rows = services.journal.list(filter).await?;
        let Some(last) = rows.last() else { break };
        after = Some((last.header.started, last.header.id));
        running.extend(rows.iter().map(|r| r.header.id));
    }
    let mut over = Vec::new();
    for id in ids.into_iter().filter(|id| !running.contains(id)) {
        if let Some(row) = services.journal.execution(id).await? {
            let status = child_status(row.summary.status);
            if status != ChildStatus::Running {
                over.push((id, status));
            }
        }
    }
    Ok(over)
}

/// Ends a run that has no runner: its children are stopped, its row says that it was aborted.
pub(super) async fn abandon(services: &Services, parent: ExecutionId, run: &Arn) -> Result<(), DeliverError> {
    // Before the row is read: a later owner may change it.
    let tenure = services.courier.tenure_over(parent)?;
    stop_all(services, run).await;
    let Some(mut row) = services.catalog.map_run(run).await?.map(Row::from) else { return Ok(()) };
    if row.is_stopped() {
        return Ok(());
    }
    let counts =
        services.journal.count(ExecutionFilter { map_run: Some(run.clone()), ..ExecutionFilter::default() }).await?;
    row.count_by_status(&counts);
    row.end(RunStatus::Aborted, services.clock.now());
    Ok(services.catalog.put_map_run(row.to_store(), tenure).await?)
}
