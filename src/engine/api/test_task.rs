//! `TestState` without a mock: one task, done for real.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::asl;
use crate::asl::resource::Resource;
use crate::interpreter::event::{Failure, Payload};
use crate::interpreter::state::Conclusion;
use crate::store::{MachineType, RevisionId};

use crate::engine::api::EngineHandle;
use crate::engine::journal::summary::outcome;
use crate::engine::services::definitions::Resolved;
use crate::engine::starting;
use crate::engine::types::http_tasks::HttpTasks;
use crate::engine::types::{EngineError, StartRequest};

/// The name under which tasks of `TestState` are counted.
const TESTED_MACHINE: &str = "TestState";

impl EngineHandle {
    /// The client for HTTP Tasks in this process; `None` where the settings send them elsewhere.
    #[must_use]
    pub fn http_tasks(&self) -> Option<&dyn HttpTasks> {
        self.inner
            .services
            .options
            .http_tasks
            .as_deref()
            .filter(|_| self.inner.services.table.find("http", "invoke").is_none())
    }

    /// Does one task for real, outside any machine, and waits for its end (five minutes at most): `TestState` without a
    /// mock.
    ///
    /// `Err` inside: the task failed.
    ///
    /// # Errors
    /// [`EngineError::Unserved`] where no worker would take the task.
    pub async fn call_task(
        &self,
        resource: &str,
        parameters: &Value,
        timeout_seconds: Option<u64>,
        role_arn: &str,
    ) -> Result<Result<Payload, Failure>, EngineError> {
        if let Some(parsed) = Resource::parse(resource)
            && let Some(queue) = self.unserved(&parsed, &Payload::new(parameters.clone())).await
        {
            return Err(EngineError::Unserved { queue });
        }
        let mut task = json!({ "Type": "Task", "Resource": resource, "End": true });
        if let Some(seconds) = timeout_seconds {
            task["TimeoutSeconds"] = json!(seconds);
        }
        let valid = asl::parse_state(&task.to_string()).map_err(|d| EngineError::Internal(d.to_string()))?;
        let resolved = Resolved {
            machine: self.inner.services.realm.state_machine(TESTED_MACHINE),
            name: TESTED_MACHINE.to_owned(),
            kind: MachineType::Express,
            role_arn: role_arn.to_owned(),
            // It is read when an execution comes back from its journal; express ones never do.
            revision: RevisionId(Uuid::nil()),
            version_arn: None,
            alias_arn: None,
            compiled: valid.machine,
        };
        let request = StartRequest {
            machine: resolved.machine.clone(),
            name: None,
            input: parameters.to_string(),
            trace_header: None,
            trace: None,
        };
        let ended = starting::run_express(&self.inner.services, &request, &resolved).await?;
        Ok(match outcome(&ended.row).map(|o| o.result) {
            Some(Conclusion::Succeeded(output)) => Ok(output),
            Some(Conclusion::Failed(failure) | Conclusion::Aborted(failure)) => Err(failure),
            // The five minutes are over (AWS: `States.Timeout`).
            Some(Conclusion::TimedOut(_)) | None => Err(Failure::named("States.Timeout")),
        })
    }
}
