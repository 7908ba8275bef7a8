//! The rows of an execution in the table of waiting tasks: a function of its state, written with its appends.
//!
//! Most tasks are answered at once and never get a row. A task gets its row with the append that says that the broker
//! has it, or when it has waited for the linger of confirms. So each open task has a row, or is still owed, or is
//! young.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::asl::resource::Resource;
use crate::engine::services::Services;
use crate::engine::services::task_identity::{INBOX, message_id, place};
use crate::ids::{Arn, EventId, ExecutionId, TaskKey, Version};
use crate::integrations::{self, Plan, PlanContext};
use crate::interpreter::event::{Entry, Event};
use crate::interpreter::state::{State, TaskView};
use crate::store::{
    Append, Batch, Epoch, ExecutionFilter, ExecutionRow, ExecutionStatus, StoreError, StoreResult, Wait, WaitChange,
};

use super::load;

/// The setting of a store that says whether its open executions have their rows, and its value when they have.
const SETTING: &str = "waits";
const WRITTEN: &str = "written";
/// Executions of a store of an earlier version that are read at once.
const FILL_PAGE: u32 = 200;

/// The row of an open task.
pub(in crate::engine) fn wait(
    services: &Services,
    execution: ExecutionId,
    arn: &Arn,
    machine: &Arn,
    view: TaskView<'_>,
) -> Wait {
    let key = TaskKey { execution, scheduled: view.task.scheduled };
    let details = &view.task.details;
    let context = PlanContext {
        realm: &services.realm,
        table: &services.table,
        names: services.bus.names(),
        message_id: message_id(&key),
        at: view.task.scheduled_at,
        execution: arn,
        machine,
    };
    let resource = Resource::parse(&details.resource);
    let plan = resource.as_ref().and_then(|r| integrations::plan(r, &details.parameters, &context).ok());
    let (destination, queue) = match plan {
        _ if resource.as_ref().is_some_and(Resource::is_ask) => (INBOX.to_owned(), false),
        Some(Plan::Publish(p)) => {
            p.messages.first().map(|m| (place(&m.address), m.address.exchange.is_empty())).unwrap_or_default()
        }
        Some(Plan::StartExecution(child)) => (child.machine.to_string(), false),
        Some(Plan::Call(_)) => ("this service".to_owned(), false),
        Some(Plan::Activity { queue, .. }) => (queue, true),
        None => (String::new(), false),
    };
    Wait {
        scheduled: view.task.scheduled,
        state: view.visit.name.to_string(),
        resource: details.resource.to_string(),
        destination,
        queue,
        since: view.task.scheduled_at,
        timeout: view.task.deadline(),
        heartbeat_due: view.task.heartbeat_due(),
        last_heartbeat: view.task.last_heartbeat,
        attempt: view.visit.retry_count() + 1,
        submitted: view.task.published,
    }
}

/// The rows of all open tasks of an execution.
pub(in crate::engine) fn of_state(services: &Services, execution: ExecutionId, state: &State) -> Vec<Wait> {
    let Some(started) = state.started().filter(|_| state.is_running()) else { return Vec::new() };
    state.tasks().map(|view| wait(services, execution, &started.arn, &started.machine, view)).collect()
}

/// The changes of an append.
pub(in crate::engine) struct Changed<'a> {
    pub services: &'a Services,
    pub execution: ExecutionId,
    /// After the entries.
    pub state: &'a State,
    pub entries: &'a [Entry],
    /// The tasks that were open before them.
    pub before: &'a [EventId],
    /// The linger is over: nothing is young any more.
    pub lingered: bool,
}

/// The open tasks that have no row yet; true: one may have been written by an actor before this one.
#[derive(Debug, Default)]
pub(in crate::engine) struct YoungTasks(BTreeMap<EventId, bool>);

impl YoungTasks {
    /// Of an execution that comes back from its journal. A task that the broker has got its row with that news; of the
    /// others it is not known.
    pub fn of_revived(state: &State) -> Self {
        Self(state.tasks().filter(|view| !view.task.published).map(|view| (view.task.scheduled, true)).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rows that an append writes and takes away.
    pub fn changes(&mut self, changed: &Changed<'_>) -> Vec<WaitChange> {
        let Changed { services, execution, state, entries, before, lingered } = changed;
        let open = |task: EventId| if state.is_running() { state.task(task).ok() } else { None };
        let mut told = BTreeSet::new();
        for entry in *entries {
            if matches!(entry.event, Event::TaskScheduled(_)) {
                self.0.insert(entry.id, false);
            } else {
                // A task that began in this append is young.
                told.extend(task_of(&entry.event).filter(|task| before.contains(task)));
            }
        }
        let mut changes = Vec::new();
        for task in before.iter().filter(|task| open(**task).is_none()) {
            if self.0.remove(task).unwrap_or(true) {
                changes.push(WaitChange::Gone(*task));
            }
        }
        self.0.retain(|task, _| open(*task).is_some());
        if *lingered {
            told.extend(std::mem::take(&mut self.0).into_keys());
        }
        let Some(started) = state.started() else { return changes };
        for view in told.into_iter().filter_map(open) {
            self.0.remove(&view.task.scheduled);
            changes.push(WaitChange::Put(wait(services, *execution, &started.arn, &started.machine, view)));
        }
        changes
    }
}

/// The task that an event tells something of.
fn task_of(event: &Event) -> Option<EventId> {
    match event {
        Event::TaskPublished { scheduled }
        | Event::TaskStarted { scheduled, .. }
        | Event::TaskSubmitted { scheduled, .. }
        | Event::TaskHeartbeat { scheduled, .. } => Some(*scheduled),
        _ => None,
    }
}

/// Writes the rows of open tasks in a store of an earlier version, in the background and once.
pub(in crate::engine) async fn fill(services: &Arc<Services>) -> StoreResult<()> {
    if services.catalog.fix_setting(SETTING, WRITTEN).await? == WRITTEN {
        return Ok(());
    }
    let services = Arc::clone(services);
    actix_rt::spawn(async move {
        if let Err(error) = fill_all(&services).await {
            tracing::warn!(
                %error,
                "listings of waiting tasks lack some that waited before the update; the next start tries again"
            );
        }
    });
    Ok(())
}

async fn fill_all(services: &Services) -> StoreResult<()> {
    let mut filter = ExecutionFilter {
        status: Some(ExecutionStatus::Running),
        limit: FILL_PAGE,
        brief: true,
        ..ExecutionFilter::default()
    };
    loop {
        let rows = services.journal.list(filter.clone()).await?;
        let Some(last) = rows.last() else { break };
        filter.after = Some((last.header.started, last.header.id));
        for row in rows {
            fill_one(services, row).await?;
        }
    }
    services.catalog.put_setting(SETTING, WRITTEN).await
}

/// Where something happens to the execution meanwhile, that is read again.
async fn fill_one(services: &Services, row: ExecutionRow) -> StoreResult<()> {
    let mut next = Some(row);
    while let Some(row) = next.take().filter(|row| row.summary.status.is_open()) {
        // A journal that cannot be read stands still and is told elsewhere.
        let Ok(state) = load::state(services, row.header.id).await else { return Ok(()) };
        let waits = of_state(services, row.header.id, &state).into_iter().map(WaitChange::Put).collect();
        let written = if state.version() == row.version {
            services.journal.append(without_events(&row, waits)).await
        } else {
            Err(conflict(&row, state.version()))
        };
        match written {
            Err(StoreError::VersionConflict { execution, .. }) => {
                next = services.journal.execution(execution).await?;
            }
            Err(StoreError::NotFound { .. }) => {}
            other => other?,
        }
    }
    Ok(())
}

fn without_events(row: &ExecutionRow, waits: Vec<WaitChange>) -> Append {
    Append {
        execution: row.header.id,
        partition: row.header.partition,
        // Stores of an earlier version have one owner.
        epoch: Epoch::FIRST,
        batch: Batch { after: row.version, events: 0, bytes: Vec::new() },
        replaces: 0,
        summary: row.summary.clone(),
        waits,
        hurries: false,
    }
}

fn conflict(row: &ExecutionRow, actual: Version) -> StoreError {
    StoreError::VersionConflict { execution: row.header.id, expected: row.version, actual }
}
