//! `Resource` of a Task: the kind of work that the ARN names.

use std::sync::Arc;

/// A Task's `Resource`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// As the definition writes it.
    pub arn: Arc<str>,
    pub kind: ResourceKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceKind {
    /// `arn:aws:lambda:REGION:ACCOUNT:function:NAME`: history shows `LambdaFunction...` events.
    LambdaFunction { name: String },
    /// `arn:aws:states:REGION:ACCOUNT:activity:NAME`: history shows `Activity...` events.
    Activity { name: String },
    /// `arn:aws:states:::SERVICE:ACTION[.PATTERN]`: history shows `Task...` events.
    Service { service: String, action: String, pattern: Pattern },
}

/// How a service integration ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Pattern {
    /// The answer to the request is the result.
    RequestResponse,
    /// `.sync`: the end of the job is the result.
    Sync,
    /// `.sync:2`: as `.sync`, with the child's output as JSON.
    Sync2,
    /// `.waitForTaskToken`: a call with the task token ends the task.
    WaitForTaskToken,
}

impl Pattern {
    /// As it stands in the ARN, with its dot; empty for request-response.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::RequestResponse => "",
            Self::Sync => ".sync",
            Self::Sync2 => ".sync:2",
            Self::WaitForTaskToken => ".waitForTaskToken",
        }
    }
}

/// The operations of Step Functions' own API, as an SDK integration names them. The server performs them itself, so it
/// knows them all.
pub const SFN_OPERATIONS: [&str; 37] = [
    "createActivity",
    "createStateMachine",
    "createStateMachineAlias",
    "deleteActivity",
    "deleteStateMachine",
    "deleteStateMachineAlias",
    "deleteStateMachineVersion",
    "describeActivity",
    "describeExecution",
    "describeMapRun",
    "describeStateMachine",
    "describeStateMachineAlias",
    "describeStateMachineForExecution",
    "getActivityTask",
    "getExecutionHistory",
    "listActivities",
    "listExecutions",
    "listMapRuns",
    "listStateMachineAliases",
    "listStateMachineVersions",
    "listStateMachines",
    "listTagsForResource",
    "publishStateMachineVersion",
    "redriveExecution",
    "sendTaskFailure",
    "sendTaskHeartbeat",
    "sendTaskSuccess",
    "startExecution",
    "startSyncExecution",
    "stopExecution",
    "tagResource",
    "testState",
    "untagResource",
    "updateMapRun",
    "updateStateMachine",
    "updateStateMachineAlias",
    "validateStateMachineDefinition",
];

impl Resource {
    /// False for an operation that AWS refuses when the machine is created. The operations of other services are not
    /// known here.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        match &self.kind {
            ResourceKind::Service { service, action, pattern } if service == "aws-sdk:sfn" => {
                SFN_OPERATIONS.contains(&action.as_str()) && !matches!(pattern, Pattern::Sync | Pattern::Sync2)
            }
            _ => true,
        }
    }

    /// Takes an ARN apart; `None` where it is none.
    ///
    /// Any service in any partition is a resource: the table of integrations decides its meaning, not the language.
    #[must_use]
    pub fn parse(arn: &str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        if parts.next()? != "arn" || arn.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return None;
        }
        let partition = parts.next()?;
        let (service, _region, _account, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if [partition, service, rest].iter().any(|part| part.is_empty()) || partition.contains(['$', '{']) {
            return None;
        }
        let kind = match (service, rest.split_once(':')) {
            ("lambda", Some(("function", name))) if is_function_name(name) => {
                ResourceKind::LambdaFunction { name: name.to_owned() }
            }
            ("states", Some(("activity", name))) if !name.is_empty() => {
                ResourceKind::Activity { name: name.to_owned() }
            }
            ("states", Some(_)) => {
                let (body, pattern) = [Pattern::WaitForTaskToken, Pattern::Sync2, Pattern::Sync]
                    .into_iter()
                    .find_map(|p| rest.strip_suffix(p.suffix()).map(|body| (body, p)))
                    .unwrap_or((rest, Pattern::RequestResponse));
                let (service, action) = body.rsplit_once(':')?;
                if service.is_empty() || action.is_empty() || action.contains('.') {
                    return None;
                }
                ResourceKind::Service { service: service.to_owned(), action: action.to_owned(), pattern }
            }
            ("lambda" | "states", _) => return None,
            // An ARN of some other service: `arn:aws:swf:us-east-1:123456789012:task:X`.
            _ => ResourceKind::Service {
                service: service.to_owned(),
                action: rest.to_owned(),
                pattern: Pattern::RequestResponse,
            },
        };
        Some(Self { arn: arn.into(), kind })
    }

    /// True where the worker ends the task with the token: callbacks and activities.
    #[must_use]
    pub fn waits_for_token(&self) -> bool {
        matches!(
            self.kind,
            ResourceKind::Activity { .. } | ResourceKind::Service { pattern: Pattern::WaitForTaskToken, .. }
        )
    }

    /// People answer it in the inbox: `reveille:ask`.
    #[must_use]
    pub fn is_ask(&self) -> bool {
        matches!(&self.kind, ResourceKind::Service { service, action, .. } if service == "reveille" && action == "ask")
    }

    /// `resourceType` of Task events: `sqs`, `lambda`, `aws-sdk:dynamodb`.
    #[must_use]
    pub fn resource_type(&self) -> &str {
        match &self.kind {
            ResourceKind::LambdaFunction { .. } => "lambda",
            ResourceKind::Activity { .. } => "activity",
            ResourceKind::Service { service, .. } => service,
        }
    }

    /// `resource` of Task events: `sendMessage.waitForTaskToken`.
    #[must_use]
    pub fn resource_name(&self) -> String {
        match &self.kind {
            ResourceKind::LambdaFunction { name } | ResourceKind::Activity { name } => name.clone(),
            ResourceKind::Service { action, pattern, .. } => format!("{action}{}", pattern.suffix()),
        }
    }
}

/// `NAME`, `NAME:VERSION`, `NAME:ALIAS`, `NAME:$LATEST` (Lambda API, `FunctionName` and `Qualifier`).
fn is_function_name(name: &str) -> bool {
    let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    match name.split_once(':') {
        Some((function, qualifier)) => word(function) && (qualifier == "$LATEST" || word(qualifier)),
        None => word(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_integrations_are_taken_apart() {
        let r = Resource::parse("arn:aws:states:::sqs:sendMessage.waitForTaskToken").unwrap();
        assert_eq!(r.resource_type(), "sqs");
        assert_eq!(r.resource_name(), "sendMessage.waitForTaskToken");
        assert!(r.waits_for_token());
        let r = Resource::parse("arn:aws:states:::states:startExecution.sync:2").unwrap();
        assert_eq!(
            r.kind,
            ResourceKind::Service {
                service: "states".into(),
                action: "startExecution".into(),
                pattern: Pattern::Sync2
            }
        );
        let r = Resource::parse("arn:aws:states:::aws-sdk:dynamodb:getItem").unwrap();
        assert_eq!((r.resource_type(), r.resource_name().as_str()), ("aws-sdk:dynamodb", "getItem"));
        let r = Resource::parse("arn:aws:swf:us-east-1:123456789012:task:X").unwrap();
        assert_eq!((r.resource_type(), r.resource_name().as_str()), ("swf", "task:X"));
        for no_resource in [
            "foo:bar",
            "${Arn}",
            "arn:aws:lambda:us-east-1:1:function:f:",
            "arn:aws:lambda:us-east-1:1:function:f:$*",
            "arn:aws:states:::x",
        ] {
            assert!(Resource::parse(no_resource).is_none(), "{no_resource}");
        }
        assert!(Resource::parse("arn:aws:states:us-east-1:123456789012:activity:x").unwrap().waits_for_token());
    }
}
