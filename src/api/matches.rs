//! A search over the executions of the store, row by row, newest start first.

use std::collections::VecDeque;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::engine::{EngineError, EngineHandle};
use crate::ids::{Arn, ExecutionId};
use crate::store::{ExecutionFilter, ExecutionRow, ExecutionStatus, Kinship, WaitingStates};

use super::search::{MapRuns, Query};

/// Rows that are read at once where some are left out.
const PAGE: u32 = 500;
/// The same, where the rows' errors are needed, which come with their outputs.
const PAGE_WHOLE: u32 = 50;
/// Children of one execution that are looked at.
const CHILDREN_MAX: u32 = 1_000;
/// Waiting states of one execution that a search looks at.
const WAITS_SEARCHED: u32 = 100;

/// The place of a row in a listing: its start and its id.
pub type Place = (Timestamp, ExecutionId);

#[must_use]
pub fn place(row: &ExecutionRow) -> Place {
    (row.header.started, row.header.id)
}

/// As text, for addresses and notes.
#[must_use]
pub fn place_text((at, id): Place) -> String {
    format!("{}:{id}", at.millis())
}

#[must_use]
pub fn parse_place(text: &str) -> Option<Place> {
    let (millis, id) = text.split_once(':')?;
    Some((Timestamp::from_millis(millis.parse().ok()?), ExecutionId(Uuid::parse_str(id).ok()?)))
}

/// The part of a query that the store's index answers.
#[must_use]
pub fn filter(engine: &EngineHandle, query: &Query) -> ExecutionFilter {
    let realm = engine.realm();
    ExecutionFilter {
        state_machine: query.machine.as_deref().map(|name| realm.state_machine(name)),
        qualified: query
            .machine
            .as_deref()
            .zip(query.version.as_deref())
            .map(|(name, version)| Arn::new(format!("{}:{version}", realm.state_machine(name)))),
        redriven: query.redriven,
        map_run: match &query.map_runs {
            MapRuns::Of(arn) => Some(Arn::new(arn.as_str())),
            MapRuns::With | MapRuns::Without => None,
        },
        outside_map_runs: query.map_runs == MapRuns::Without,
        ..ExecutionFilter::default()
    }
}

/// A row that a search looked at.
pub struct Seen {
    pub row: ExecutionRow,
    pub matches: bool,
}

/// A search under way. A search that leaves rows out may look at many of them: the caller has the bound.
pub struct Search<'a> {
    engine: &'a EngineHandle,
    query: &'a Query,
    filter: ExecutionFilter,
    rows: VecDeque<ExecutionRow>,
    /// Of these rows, where the query asks for them.
    states: WaitingStates,
    /// The store has no more.
    is_last: bool,
    now: Timestamp,
}

impl<'a> Search<'a> {
    /// From behind `after`. With `status` the store gives these only. `page`: rows that are wanted, where none is left
    /// out.
    pub fn new(
        engine: &'a EngineHandle,
        query: &'a Query,
        status: Option<ExecutionStatus>,
        after: Option<Place>,
        page: u32,
    ) -> Self {
        let limit = match (query.is_selective(), query.error.is_some()) {
            (false, _) => page,
            (true, false) => PAGE,
            (true, true) => PAGE_WHOLE,
        };
        let filter = ExecutionFilter {
            status,
            after: after.or_else(|| query.until.map(|until| (until, ExecutionId(Uuid::nil())))),
            limit,
            brief: query.error.is_none(),
            ..filter(engine, query)
        };
        Self {
            engine,
            query,
            filter,
            rows: VecDeque::new(),
            states: WaitingStates::new(),
            is_last: false,
            now: engine.clock().now(),
        }
    }

    /// The next row; `None`: all were looked at.
    pub async fn next(&mut self) -> Result<Option<Seen>, EngineError> {
        if self.rows.is_empty() && !self.is_last {
            self.read().await?;
        }
        let Some(row) = self.rows.pop_front() else { return Ok(None) };
        if self.query.from.is_some_and(|from| row.header.started < from) {
            (self.is_last, self.rows) = (true, VecDeque::new());
            return Ok(None);
        }
        // Children come without their errors.
        let row = match (&self.query.parent, &self.query.error) {
            (Some(_), Some(_)) => self.engine.journal().execution(row.header.id).await?.unwrap_or(row),
            _ => row,
        };
        let waits = self.states.remove(&row.header.id).unwrap_or_default();
        let matches = self.query.matches(&row, self.now, &waits);
        Ok(Some(Seen { row, matches }))
    }

    async fn read(&mut self) -> Result<(), EngineError> {
        let page = if let Some(parent) = &self.query.parent {
            let mut rows = children(self.engine, parent).await?;
            let (status, after) = (self.filter.status, self.filter.after);
            rows.retain(|row| status.is_none_or(|status| row.summary.status == status));
            rows.retain(|row| after.is_none_or(|after| place(row) < after));
            self.is_last = true;
            rows
        } else {
            let rows = self.engine.journal().list(self.filter.clone()).await?;
            self.is_last = rows.len() < self.filter.limit as usize;
            rows
        };
        if self.query.wants_waiting() {
            self.states = states(self.engine, &page, WAITS_SEARCHED).await?;
        }
        self.filter.after = page.last().map(place).or(self.filter.after);
        self.rows = page.into();
        Ok(())
    }
}

/// The states that wait, of those of these executions that are open: up to `each` of an execution.
pub async fn states(engine: &EngineHandle, rows: &[ExecutionRow], each: u32) -> Result<WaitingStates, EngineError> {
    let open = rows.iter().filter(|row| row.summary.status.is_open());
    Ok(engine.journal().waiting_states(open.map(|row| row.header.id).collect(), each).await?)
}

/// Executions that a task of this one started and waits for, newest first.
async fn children(engine: &EngineHandle, parent: &str) -> Result<Vec<ExecutionRow>, EngineError> {
    let of = match (Uuid::parse_str(parent), parent.split_once(':')) {
        (Ok(id), _) => Some(ExecutionId(id)),
        (Err(_), _) if parent.starts_with("arn:") => of_arn(engine, Arn::new(parent)).await?,
        (Err(_), Some((machine, name))) => of_arn(engine, engine.realm().execution(machine, name)).await?,
        (Err(_), None) => None,
    };
    let Some(of) = of else { return Ok(Vec::new()) };
    let mut rows = engine.journal().kin(of, Kinship::Child, None, CHILDREN_MAX).await?;
    rows.sort_unstable_by_key(|row| std::cmp::Reverse(place(row)));
    Ok(rows)
}

async fn of_arn(engine: &EngineHandle, arn: Arn) -> Result<Option<ExecutionId>, EngineError> {
    Ok(engine.journal().execution_by_arn(&arn).await?.map(|row| row.header.id))
}
