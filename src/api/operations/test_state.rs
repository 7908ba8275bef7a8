//! `TestState`: one state, run alone. With a mock nothing leaves the process; without a mock a Task is really
//! performed.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::api::arn;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::wire::execution_input;
use crate::engine::http_tasks::{Exchanged, SeenCall};
use crate::integrations::shapes::{self, Validation};
use crate::interpreter::event::{Failure, Payload};
use crate::interpreter::test_state::{self, Answer, Configuration, Refusal, Report, Request, Stage, Subject, Tested};
use crate::payload::refusal;

const HTTP_TASK: &str = "arn:aws:states:::http:invoke";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "AWS's names")]
pub struct Input {
    definition: String,
    role_arn: Option<String>,
    input: Option<String>,
    inspection_level: Option<String>,
    #[serde(default)]
    reveal_secrets: bool,
    variables: Option<String>,
    state_name: Option<String>,
    mock: Option<Mock>,
    context: Option<String>,
    #[serde(default)]
    state_configuration: StateConfiguration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mock {
    result: Option<String>,
    error_output: Option<ErrorOutput>,
    #[serde(default)]
    field_validation_mode: Validation,
}

#[derive(Deserialize)]
struct ErrorOutput {
    error: Option<String>,
    cause: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct StateConfiguration {
    retrier_retry_count: Option<u32>,
    error_caused_by_state: Option<String>,
    map_iteration_failure_count: Option<u64>,
    map_item_reader_data: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "AWS's names")]
pub struct Output {
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inspection_data: Option<InspectionData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_state: Option<Arc<str>>,
    status: &'static str,
}

/// A value that is written as JSON text.
struct Text(Payload);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_string())
    }
}

/// Members in the order of the model.
#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct InspectionData {
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_arguments: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_input_path: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_parameters: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_result_selector: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_result_path: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Sent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Received>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variables: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_details: Option<ErrorDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_items_path: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_item_selector: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_item_batcher: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_items_pointer: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tolerated_failure_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tolerated_failure_percentage: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_concurrency: Option<u64>,
}

/// Of an HTTP Task.
#[derive(Serialize)]
struct Sent {
    protocol: String,
    method: String,
    url: String,
    headers: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    body: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Received {
    protocol: String,
    status_code: String,
    status_message: String,
    headers: String,
    body: String,
}

impl From<Exchanged> for Sent {
    fn from(seen: Exchanged) -> Self {
        let Exchanged { protocol, line: (method, url), headers, body } = seen;
        Self { protocol, method, url, headers, body }
    }
}

impl From<Exchanged> for Received {
    fn from(seen: Exchanged) -> Self {
        let Exchanged { protocol, line: (status_code, status_message), headers, body } = seen;
        Self { protocol, status_code, status_message, headers, body }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorDetails {
    #[serde(skip_serializing_if = "Option::is_none")]
    catch_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_backoff_interval_seconds: Option<u64>,
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        if refusal == Refusal::Stuck {
            tracing::error!("a state under test neither ended nor failed");
            return Self::internal();
        }
        Self::validation(refusal.to_string())
    }
}

pub async fn handle(ctx: &Context, input: Input) -> Result<Output, ApiError> {
    if let Some(role) = &input.role_arn {
        arn::role(role)?;
    }
    let subject = Subject::parse(&input.definition, input.state_name.as_deref())
        .map_err(|diagnostics| ApiError::new("InvalidDefinition", diagnostics.invalid_definition_message()))??;
    let configuration = Configuration {
        retrier_retry_count: input.state_configuration.retrier_retry_count.unwrap_or(0),
        error_caused_by_state: input.state_configuration.error_caused_by_state,
        map_iteration_failure_count: input.state_configuration.map_iteration_failure_count,
        map_item_reader_data: input.state_configuration.map_item_reader_data,
    };
    if input.reveal_secrets && input.mock.is_some() {
        return Err(Refusal::SecretsOfMock.into());
    }
    subject.check(input.mock.is_some(), input.role_arn.is_some(), &configuration)?;
    if input.context.is_some() && input.mock.is_none() {
        return Err(Refusal::ContextWithoutMock.into());
    }
    let context = input.context.as_deref().map(|text| object("context", text).map(Value::Object)).transpose()?;
    if let Some(context) = &context {
        subject.check_context(context)?;
    }
    let request = Request {
        input: Payload::new(json(&execution_input(input.input)?)?),
        context,
        variables: input.variables.as_deref().map(|text| object("variables", text)).transpose()?.unwrap_or_default(),
        configuration,
        role_arn: input.role_arn,
        realm: ctx.realm.clone(),
        at: ctx.now(),
        entropy: rand::random(),
    };
    let mocked = input.mock.map(|mock| answer(&subject, mock)).transpose()?;
    let level = input.inspection_level.as_deref().unwrap_or("INFO");
    let mut exchanged = (None, None);
    let report = match test_state::run(&subject, &request, mocked.as_ref())? {
        Tested::Report(report) => report,
        Tested::Call { resource, parameters, timeout_seconds } => {
            let role = request.role_arn.as_deref().unwrap_or_default();
            let here = ctx.engine().http_tasks().filter(|_| &*resource == HTTP_TASK);
            let done = match here {
                Some(http) => {
                    let reveal = input.reveal_secrets && level == "TRACE";
                    let seen = within(timeout_seconds, http.call(parameters.into_value(), reveal)).await;
                    exchanged = (seen.request, seen.response);
                    seen.result
                }
                None => ctx.engine().call_task(&resource, &parameters, timeout_seconds, role).await?,
            };
            let done = match done {
                Ok(result) => Answer::Result(result),
                Err(failure) => Answer::Error(failure),
            };
            match test_state::run(&subject, &request, Some(&done))? {
                Tested::Report(report) => report,
                Tested::Call { .. } => return Err(Refusal::Stuck.into()),
            }
        }
    };
    let mut output = output(*report, level != "INFO");
    if let Some(data) = output.inspection_data.as_mut().filter(|_| level == "TRACE") {
        data.request = exchanged.0.map(Sent::from);
        data.response = exchanged.1.map(Received::from);
    }
    Ok(output)
}

/// A call that is over when its state's time is.
async fn within(seconds: Option<u64>, call: impl Future<Output = SeenCall>) -> SeenCall {
    let Some(seconds) = seconds else { return call.await };
    let late = SeenCall { result: Err(Failure::named("States.Timeout")), request: None, response: None };
    tokio::time::timeout(Duration::from_secs(seconds), call).await.unwrap_or(late)
}

fn answer(subject: &Subject, mock: Mock) -> Result<Answer, ApiError> {
    match (mock.result, mock.error_output) {
        (Some(_), Some(_)) => Err(Refusal::MockOfBoth.into()),
        (None, None) => Err(Refusal::MockOfNothing.into()),
        (None, Some(failure)) => Ok(Subject::mocked_error(failure.error, failure.cause)?),
        (Some(text), None) => {
            let answer = subject.mocked_result(&text)?;
            if let (Some(resource), Answer::Result(result)) = (subject.resource(), &answer) {
                shapes::check(resource, result, mock.field_validation_mode).map_err(Refusal::MockShape)?;
            }
            Ok(answer)
        }
    }
}

fn json(text: &str) -> Result<Value, ApiError> {
    let invalid = |e| format!("Invalid State Machine Execution Input: '{}'", refusal(text, &e));
    serde_json::from_str(text).map_err(|e| ApiError::new("InvalidExecutionInput", invalid(e)))
}

fn object(what: &'static str, text: &str) -> Result<serde_json::Map<String, Value>, ApiError> {
    serde_json::from_str(text).map_err(|_| Refusal::NotAnObject(what).into())
}

fn output(report: Report, inspected: bool) -> Output {
    let Report { status, output, failure, next_state, inspection } = report;
    let failure = failure.unwrap_or_default();
    let inspection_data = inspected.then(|| {
        let mut seen = inspection.values;
        let mut after = |stage| seen.remove(&stage).map(Text);
        InspectionData {
            input: inspection.input.map(Text),
            after_arguments: after(Stage::Arguments),
            after_input_path: after(Stage::InputPath),
            after_parameters: after(Stage::Parameters),
            result: after(Stage::Result),
            after_result_selector: after(Stage::ResultSelector),
            after_result_path: after(Stage::ResultPath),
            request: None,
            response: None,
            // Recorded: left out where there is none.
            variables: Some(inspection.variables)
                .filter(|variables| !variables.is_empty())
                .map(|variables| Text(Payload::new(Value::Object(variables)))),
            error_details: inspection.error_details.map(|d| ErrorDetails {
                catch_index: d.catch_index,
                retry_index: d.retry_index,
                retry_backoff_interval_seconds: d.retry_backoff_interval_seconds,
            }),
            after_items_path: after(Stage::ItemsPath),
            after_item_selector: after(Stage::ItemSelector),
            after_item_batcher: after(Stage::ItemBatcher),
            after_items_pointer: after(Stage::ItemsPointer),
            tolerated_failure_count: inspection.tolerated_failure_count,
            tolerated_failure_percentage: inspection.tolerated_failure_percentage,
            max_concurrency: inspection.max_concurrency,
        }
    });
    Output {
        output: output.map(Text),
        error: failure.error,
        cause: failure.cause,
        inspection_data,
        next_state,
        status: status.as_str(),
    }
}
