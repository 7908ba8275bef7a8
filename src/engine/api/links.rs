//! Tasks as people see them, and the approval links to them.

use crate::clock::Timestamp;
use crate::engine::journal::{load, waits};
use crate::engine::types::{EngineError, WaitingTask};
use crate::ids::TaskKey;
use crate::interpreter::event::Payload;
use crate::store::ExecutionRow;
use crate::token::TokenDefect;
use crate::token::link::Link;

use super::handle::EngineHandle;

/// An open task with its parameters.
#[derive(Debug, Clone)]
pub struct AskedTask {
    pub row: ExecutionRow,
    pub task: WaitingTask,
    /// The raw input of its state.
    pub input: Payload,
    pub parameters: Payload,
}

impl EngineHandle {
    /// An open task of a standard execution; `None`: it does not wait, or not any more.
    pub async fn asked(&self, key: TaskKey) -> Result<Option<AskedTask>, EngineError> {
        let services = &self.inner.services;
        let Some(row) = services.journal.execution(key.execution).await? else { return Ok(None) };
        if !row.summary.status.is_open() {
            return Ok(None);
        }
        let loaded = load::state(services, key.execution).await;
        services.quarantine.record_load(key.execution, &loaded).await;
        let state = loaded?;
        let (true, Ok(view)) = (state.is_running(), state.task(key.scheduled)) else { return Ok(None) };
        let (input, parameters) = (view.visit.input.clone(), view.task.details.parameters.clone());
        let (arn, machine) = (&row.header.arn, &row.header.state_machine);
        let wait = waits::wait(services, key.execution, arn, machine, view);
        let task = self.waiting_task(key.execution, arn, machine, wait);
        Ok(Some(AskedTask { row, task, input, parameters }))
    }

    /// Makes an approval link for a task: its address, and its end. `seconds`: asked for, from now.
    pub fn make_link(
        &self,
        task: &WaitingTask,
        actions: u16,
        audience: &str,
        maker: &str,
        seconds: Option<u64>,
    ) -> (String, String, Timestamp) {
        let services = &self.inner.services;
        let (now, deadline) = (services.clock.now(), task.wait.timeout);
        let (code, until) = services.link(task.key, actions, audience, maker, now, seconds, deadline);
        (services.link_address(&code), crate::token::link::id(&code), until)
    }

    /// The link of a code that this installation made.
    pub fn open_link(&self, code: &str) -> Result<Link, TokenDefect> {
        self.inner.services.tokens.open_link(code)
    }

    /// How a link is named in logs and in the store.
    pub fn link_id(&self, code: &str) -> String {
        crate::token::link::id(code)
    }

    /// The address of this server for people.
    pub fn address(&self) -> &str {
        &self.inner.services.options.address
    }
}
