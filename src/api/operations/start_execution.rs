//! `StartExecution`. AWS: with the same name and input as a running execution it succeeds and answers the same;
//! otherwise the name is taken.

use serde::{Deserialize, Serialize};

use crate::api::arn;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::{EpochSeconds, execution_input};
use crate::engine::{StartRequest, StartedExecution};
use crate::trace::TraceOrigin;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "AWS's names")]
pub struct Input {
    state_machine_arn: String,
    name: Option<String>,
    input: Option<String>,
    trace_header: Option<String>,
}

impl Input {
    /// Checked, for the engine.
    pub fn into_request(self, trace: Option<Box<TraceOrigin>>) -> Result<StartRequest, ApiError> {
        let machine = arn::machine_or_qualified(&self.state_machine_arn)?;
        if let Some(name) = &self.name {
            arn::name(name)?;
        }
        let input = execution_input(self.input)?;
        Ok(StartRequest { machine: machine.full, name: self.name, input, trace_header: self.trace_header, trace })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    execution_arn: String,
    start_date: EpochSeconds,
}

impl From<StartedExecution> for Output {
    fn from(StartedExecution { arn, started }: StartedExecution) -> Self {
        Self { execution_arn: arn.to_string(), start_date: started.into() }
    }
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    Ok(ctx.engine().start_execution(input.into_request(ctx.asker.trace.clone())?).await?.into())
}
