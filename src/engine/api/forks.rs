//! Forks: executions that begin in the middle of others, and what came from what.

use crate::engine::journal::load;
use crate::engine::starting;
use crate::engine::types::{DeliverError, EngineError, ForkRequest, Lineage, StartedExecution};
use crate::ids::{Arn, ExecutionId};
use crate::interpreter::event::{Event, Forked};
use crate::interpreter::forking::{Forking, NoFork};
use crate::store::{ExecutionRow, Kinship};

use super::handle::EngineHandle;

impl EngineHandle {
    /// Starts a new execution that begins at a state of another one; durable when it returns.
    pub async fn fork_execution(&self, request: ForkRequest) -> Result<StartedExecution, EngineError> {
        let services = &self.inner.services;
        let ForkRequest { source, name, wish } = request;
        let row = self.journaled(&source).await?;
        let no_fork = |why: NoFork| EngineError::NotForkable { arn: source.clone(), why };
        if row.header.map_run.is_some() {
            return Err(no_fork(NoFork::ChildOfMapRun));
        }
        let machine = services.definitions.revision(row.header.revision).await?;
        let execution = row.header.id;
        let forking = load::fold(
            &*services.journal,
            services.options.bounds.execution_bytes_max,
            execution,
            || Forking::new(wish.clone()),
            |forking, batches| {
                for batch in batches {
                    for entry in load::entries(execution, &batch)? {
                        forking.see(&entry).map_err(|misfit| load::corrupt(execution, misfit.to_string()))?;
                    }
                }
                Ok(())
            },
        );
        let started = forking.await?.finish(&machine).map_err(no_fork)?;
        starting::fork(services, &row.header, name.as_deref(), started, machine).await
    }

    /// The origins and the descendants of an execution; each list has up to `limit`.
    pub async fn lineage(&self, arn: &Arn, limit: u32) -> Result<Lineage, EngineError> {
        let row = self.execution(arn).await?;
        let (id, journal) = (row.header.id, &self.inner.services.journal);
        let parent = match row.header.parent {
            Some(task) => journal.execution(task.execution).await?,
            None => None,
        };
        let forked = match row.header.forked {
            Some(source) => match self.beginning(id).await? {
                Some(forked) => Some((forked, self.source(source).await?)),
                None => None,
            },
            None => None,
        };
        let forks = journal.kin(id, Kinship::Fork, None, limit).await?;
        let children = journal.kin(id, Kinship::Child, None, limit).await?;
        Ok(Lineage { row, forked, parent, forks, children })
    }

    async fn source(&self, source: ExecutionId) -> Result<Option<ExecutionRow>, EngineError> {
        Ok(self.inner.services.journal.execution(source).await?.map(ExecutionRow::brief))
    }

    /// The beginning of a fork, from the first event of its journal.
    async fn beginning(&self, fork: ExecutionId) -> Result<Option<Box<Forked>>, EngineError> {
        let query = crate::engine::types::HistoryQuery { reverse: false, after: None, limit: 1 };
        let page = crate::engine::journal::history_page::read(&*self.inner.services.journal, fork, &query);
        let first = page.await.map_err(DeliverError::Store)?.entries.into_iter().next();
        Ok(first.and_then(|entry| match entry.event {
            Event::ExecutionStarted(started) => started.forked,
            _ => None,
        }))
    }
}
