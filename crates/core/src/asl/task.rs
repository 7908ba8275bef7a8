//! Task: resource, timeouts, credentials, and the resources that an Express machine refuses.
//!
//! Source: Amazon States Language specification, "Task State"; developer guide, "Service integration patterns"; the
//! messages about Express machines as recorded.

use super::MachineType;
use super::check::{Checker, Site};
use super::diagnostics::code;
use super::expressions::QuantityField;
use super::model::{Quantity, QueryLanguage, Task, Template};
use super::resource::{Pattern, Resource, ResourceKind};
use super::spans::{Json, Node};
use crate::limits::TASK_TIMEOUT_SECONDS_MAX;

const TIMEOUT: QuantityField = QuantityField {
    name: "TimeoutSeconds",
    path_name: "TimeoutSecondsPath",
    min: 1,
    max: TASK_TIMEOUT_SECONDS_MAX,
    fraction: false,
};

const HEARTBEAT: QuantityField =
    QuantityField { name: "HeartbeatSeconds", path_name: "HeartbeatSecondsPath", ..TIMEOUT };

impl<'n> Checker<'n> {
    pub fn task(&mut self, site: &Site<'_, 'n>) -> Option<Task> {
        let Site { object, at, language, .. } = *site;
        self.read.required(&object, &["Resource"], at);
        let resource = self.resource(site);
        let payload = if language == QueryLanguage::Jsonata { "Arguments" } else { "Parameters" };
        let parameters = self.template(&object, payload, at, language);
        let result_selector = self.template(&object, "ResultSelector", at, language);
        let result_path = self.result_path(&object, at);
        let timeout = self.quantity(&object, TIMEOUT, at, language);
        let heartbeat = self.quantity(&object, HEARTBEAT, at, language);
        let credentials = self.credentials(site);
        let retry = self.retry(&object, at);
        let catch = self.catch(site);

        if let (Some(Some(Quantity::Literal(timeout))), Some(Some(Quantity::Literal(heartbeat)))) =
            (&timeout, &heartbeat)
            && heartbeat >= timeout
        {
            let offset = object.node("HeartbeatSeconds").map_or(object.offset, |node| node.offset);
            let hint = format!("a heartbeat of {heartbeat} s would never be missed before the timeout of {timeout} s");
            let at = at.name("HeartbeatSeconds");
            self.read.schema_hint("HeartbeatSeconds must be smaller than TimeoutSeconds", &at, offset, hint);
            return None;
        }
        let (resource, timeout, heartbeat) = (resource?, timeout?, heartbeat?);
        if !self.asks(site, &resource, payload) {
            return None;
        }
        self.warn_of_callbacks(site, &resource, timeout.is_some() || heartbeat.is_some());
        Some(Task {
            resource,
            parameters: parameters?,
            result_selector: result_selector?,
            result_path: result_path?,
            timeout,
            heartbeat,
            credentials: credentials?,
            retry: retry?,
            catch: catch?,
        })
    }

    fn resource(&mut self, site: &Site<'_, 'n>) -> Option<Resource> {
        let Site { object, at, around, .. } = *site;
        let text = self.read.string(&object, "Resource", at)?;
        let offset = object.node("Resource").map_or(object.offset, |node| node.offset);
        let at = at.name("Resource");
        let Some(resource) = Resource::parse(text) else {
            let hint = "for example arn:aws:states:::amqp:publish.waitForTaskToken, \
                arn:aws:lambda:REGION:ACCOUNT:function:NAME or arn:aws:states:REGION:ACCOUNT:activity:NAME";
            self.read.schema_hint("Value is not a valid resource ARN", &at, offset, hint);
            return None;
        };
        if around.kind == MachineType::Express
            && let Some(message) = refused_by_express(&resource)
        {
            let hint = "an Express machine waits for no callback: make it a Standard machine, or use the resource \
                without the suffix";
            self.read.schema_hint(message, &at, offset, hint);
            return None;
        }
        if !resource.is_offered() {
            let message = format!(
                "The resource provided {text} is not recognized. The value is not a valid resource ARN, or the \
                 resource is not available in this region."
            );
            let hint = "the operations of aws-sdk:sfn are those of the API in camelCase, without .sync: for example \
                arn:aws:states:::aws-sdk:sfn:startExecution";
            self.read.schema_hint(message, &at, offset, hint);
            return None;
        }
        Some(resource)
    }

    /// An object; a payload template in JSONPath.
    fn credentials(&mut self, site: &Site<'_, 'n>) -> Option<Option<Template>> {
        let Site { object, at, language, .. } = *site;
        if let Some(node) = object.node("Credentials")
            && !(language == QueryLanguage::Jsonata && node.as_str().is_some())
        {
            self.read.object(&object, "Credentials", at)?;
        }
        self.template(&object, "Credentials", at, language)
    }

    /// Callbacks without a way to answer: AWS lacks these warnings.
    fn warn_of_callbacks(&mut self, site: &Site<'_, 'n>, resource: &Resource, has_timeout: bool) {
        let Site { object, at, .. } = *site;
        let Some(node) = object.node("Resource") else { return };
        if !resource.waits_for_token() {
            return;
        }
        let at = at.name("Resource");
        if !has_timeout {
            let message = "The task waits for a token, but has neither TimeoutSeconds nor HeartbeatSeconds";
            let hint = "add TimeoutSeconds: if the worker dies, the execution waits until it is a year old";
            self.read.warning(code::CALLBACK_WITHOUT_TIMEOUT, message, &at, node.offset, hint);
        }
        if !carries_token_in_header(resource)
            && !["Parameters", "Arguments"].iter().any(|f| object.node(f).is_some_and(mentions_token))
        {
            let message = "The task waits for a token, but its parameters never pass the token on";
            let hint =
                "pass \"TaskToken.$\": \"$$.Task.Token\" (JSONPath) or {% $states.context.Task.Token %} (JSONata)";
            self.read.warning(code::TOKEN_NOT_PASSED, message, &at, node.offset, hint);
        }
    }
}

/// `None` where an Express machine may use the resource. The words are the service's, the space at the end of the first
/// too.
fn refused_by_express(resource: &Resource) -> Option<&'static str> {
    match &resource.kind {
        ResourceKind::Activity { .. } => Some("Express state machine does not support Activity ARN"),
        ResourceKind::Service { pattern: Pattern::WaitForTaskToken, .. } => {
            Some("Express state machine does not support '.waitForTaskToken' service integration ")
        }
        ResourceKind::Service { pattern: Pattern::Sync | Pattern::Sync2, .. } => {
            Some("Express state machine does not support '.sync' service integration")
        }
        _ => None,
    }
}

/// Workers of `amqp` resources and of activities take the token from a header, or from `GetActivityTask`. People that
/// are asked need none. Definitions for all other services have the token in the payload only, as on AWS, and their
/// workers expect it there.
fn carries_token_in_header(resource: &Resource) -> bool {
    match &resource.kind {
        ResourceKind::Activity { .. } => true,
        ResourceKind::Service { service, .. } => service == "amqp" || resource.is_ask(),
        ResourceKind::LambdaFunction { .. } => false,
    }
}

/// Whether an expression below reads the token, or the whole context object that holds it.
fn mentions_token(node: &Node) -> bool {
    match &node.json {
        Json::String(text) => {
            text.contains("Task.Token")
                || text.contains("['Task']")
                || matches!(text.as_str(), "$$" | "$$.Task")
                || (text.starts_with("{%") && text.contains("context"))
        }
        Json::Array(items) => items.iter().any(mentions_token),
        Json::Object(members) => members.iter().any(|m| mentions_token(&m.node)),
        _ => false,
    }
}
