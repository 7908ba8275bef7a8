//! Express executions: they live in memory, have no journal, and last five minutes at most. After a crash they are
//! gone.
//!
//! Source: AWS developer guide, "Choosing workflow type": at-least-once, no history, names not unique, `StartExecution`
//! not idempotent. The actor is the same as a standard execution's; its entries are folded and told, and then
//! forgotten. This file keeps one row per open execution, and the rows of the last executions that closed, for requests
//! that name an ARN.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::ids::{Arn, ExecutionId, Version};
use crate::interpreter::state::Outcome;
use crate::limits::{EXPRESS_EXECUTIONS_MAX, EXPRESS_REMEMBERED, EXPRESS_REMEMBERED_BYTES};
use crate::store::{ExecutionHeader, ExecutionRow, Summary};

use crate::engine::execution::host::Host;
use crate::engine::journal::summary::closed as summary;
use crate::engine::types::DeliverError;

/// The express executions of this process.
#[derive(Debug, Default)]
pub(in crate::engine) struct Express {
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    all: HashMap<ExecutionId, ExecutionRow>,
    /// Closed ones, the oldest first.
    closed: VecDeque<ExecutionId>,
    /// Input and output of the closed ones.
    closed_bytes: usize,
    /// Tasks of the open ones.
    tasks: u64,
}

impl Rows {
    /// So many tasks of this execution are open.
    fn set_tasks(&mut self, id: ExecutionId, tasks: u32) {
        let Some(row) = self.all.get_mut(&id) else { return };
        let before = std::mem::replace(&mut row.summary.tasks, tasks);
        self.tasks = self.tasks.saturating_sub(u64::from(before)) + u64::from(tasks);
    }
}

impl Express {
    fn lock(&self) -> MutexGuard<'_, Rows> {
        // Every change below is whole before it can panic.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, header: ExecutionHeader) -> Result<(), DeliverError> {
        let mut rows = self.lock();
        if rows.all.len() - rows.closed.len() >= EXPRESS_EXECUTIONS_MAX {
            return Err(DeliverError::Busy(format!(
                "{EXPRESS_EXECUTIONS_MAX} express executions are running already; try again later"
            )));
        }
        let summary = Summary::default();
        rows.all.insert(header.id, ExecutionRow { header, version: Version(0), summary });
        Ok(())
    }

    fn close(&self, id: ExecutionId, version: Version, outcome: &Outcome) {
        let mut rows = self.lock();
        rows.set_tasks(id, 0);
        let Some(row) = rows.all.get_mut(&id) else { return };
        (row.version, row.summary) = (version, summary(outcome));
        let bytes = weight(row);
        rows.closed_bytes += bytes;
        rows.closed.push_back(id);
        while rows.closed.len() > EXPRESS_REMEMBERED || rows.closed_bytes > EXPRESS_REMEMBERED_BYTES {
            let Some(oldest) = rows.closed.pop_front() else { break };
            let freed = rows.all.remove(&oldest).map_or(0, |row| weight(&row));
            rows.closed_bytes = rows.closed_bytes.saturating_sub(freed);
        }
    }

    fn lose(&self, id: ExecutionId) -> Option<Arn> {
        let mut rows = self.lock();
        rows.set_tasks(id, 0);
        rows.all.remove(&id).map(|row| row.header.arn)
    }

    /// So many tasks of this execution are open.
    fn set_tasks(&self, id: ExecutionId, tasks: usize) {
        self.lock().set_tasks(id, u32::try_from(tasks).unwrap_or(u32::MAX));
    }

    /// Open executions and their open tasks.
    pub fn open(&self) -> (u64, u64) {
        let rows = self.lock();
        ((rows.all.len() - rows.closed.len()) as u64, rows.tasks)
    }

    pub fn row(&self, id: ExecutionId) -> Option<ExecutionRow> {
        self.lock().all.get(&id).cloned()
    }

    pub fn row_by_arn(&self, arn: &Arn) -> Option<ExecutionRow> {
        let id = Uuid::parse_str(arn.last()).ok().map(ExecutionId)?;
        self.row(id).filter(|row| row.header.arn == *arn)
    }
}

fn weight(row: &ExecutionRow) -> usize {
    let output = row.summary.closed.as_ref().and_then(|c| c.output.as_ref()).map_or(0, String::len);
    row.header.input.len() + output
}

/// An express execution's place in memory, held by its actor. An actor that goes away before its execution has closed
/// (a panic, the end of the process) takes the execution with it, so that no caller waits for ever.
pub(in crate::engine) struct ExpressSlot {
    express: Arc<Express>,
    host: Rc<dyn Host>,
    id: ExecutionId,
}

impl ExpressSlot {
    /// # Errors
    /// As many run already as may.
    pub fn new(express: Arc<Express>, host: Rc<dyn Host>, header: ExecutionHeader) -> Result<Self, DeliverError> {
        let id = header.id;
        express.admit(header)?;
        Ok(Self { express, host, id })
    }

    pub fn set_tasks(&self, tasks: usize) {
        self.express.set_tasks(self.id, tasks);
    }

    pub fn close(self, version: Version, outcome: &Outcome) {
        self.express.close(self.id, version, outcome);
    }
}

impl Drop for ExpressSlot {
    fn drop(&mut self) {
        // A closed execution is remembered. Only an open execution is lost.
        if self.express.row(self.id).is_some_and(|row| row.summary.status.is_open())
            && let Some(arn) = self.express.lose(self.id)
        {
            tracing::warn!(
                execution.arn = %arn,
                event = "execution.lost",
                "an express execution was lost before its end; only standard ones survive"
            );
            self.host.lost(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::engine::journal::summary::outcome;
    use crate::ids::{PartitionId, Realm};
    use crate::interpreter::event::Payload;
    use crate::interpreter::state::Conclusion;
    use crate::store::{ExecutionStatus, RevisionId};

    fn header(input: &str) -> ExecutionHeader {
        let id = ExecutionId(Uuid::now_v7());
        ExecutionHeader {
            id,
            partition: PartitionId(0),
            arn: Realm::new("r", "0").express_execution("m", "n", id),
            name: "n".into(),
            state_machine: Arn::new("m"),
            revision: RevisionId(Uuid::nil()),
            version_arn: None,
            alias_arn: None,
            input: input.into(),
            trace_header: None,
            started: Timestamp::from_millis(1),
            parent: None,
            map_run: None,
            item_index: None,
            forked: None,
        }
    }

    fn succeeded(output: &str) -> Outcome {
        Outcome { at: Timestamp::from_millis(2), result: Conclusion::Succeeded(Payload::new(output.into())) }
    }

    #[test]
    fn the_last_closed_ones_are_remembered_and_no_more() {
        let express = Express::default();
        let headers: Vec<ExecutionHeader> = (0..EXPRESS_REMEMBERED + 2).map(|_| header("{}")).collect();
        for h in &headers {
            express.admit(h.clone()).unwrap();
            express.close(h.id, Version(3), &succeeded("x"));
        }
        assert!(express.row(headers[0].id).is_none() && express.row(headers[1].id).is_none());
        let row = express.row_by_arn(&headers[2].arn).unwrap();
        assert_eq!((row.summary.status, row.version), (ExecutionStatus::Succeeded, Version(3)));
        assert_eq!(outcome(&row), Some(succeeded("x")));
    }

    #[test]
    fn large_ones_are_forgotten_sooner() {
        let express = Express::default();
        let large = "x".repeat(EXPRESS_REMEMBERED_BYTES / 2);
        let headers = [header(&large), header(&large), header("{}")];
        for h in &headers {
            express.admit(h.clone()).unwrap();
            express.close(h.id, Version(1), &succeeded(""));
        }
        let kept: Vec<bool> = headers.iter().map(|h| express.row(h.id).is_some()).collect();
        assert_eq!(kept, [false, true, true]);
        assert_eq!(express.lock().closed_bytes, large.len() + 2 + 2 + 2);
    }

    #[test]
    fn an_arn_tells_its_kind() {
        assert!(header("{}").arn.is_express());
        assert!(!Realm::new("r", "0").execution("express", "express").is_express());
    }
}
