//! `Resource` of a Task: what kind of work the ARN names.

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
    /// `.waitForTaskToken`: whoever holds the token ends the task.
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

impl Resource {
    /// Takes an ARN apart; `None` where it is no resource that Step Functions knows the form of.
    #[must_use]
    pub fn parse(arn: &str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        if parts.next()? != "arn" {
            return None;
        }
        let partition = parts.next()?;
        if !partition.starts_with("aws") {
            return None;
        }
        let (service, region, account, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let kind = match (service, rest.split_once(':')) {
            ("lambda", Some(("function", name))) if !name.is_empty() => ResourceKind::LambdaFunction { name: name.to_owned() },
            ("states", Some(("activity", name))) if !name.is_empty() => ResourceKind::Activity { name: name.to_owned() },
            ("states", Some(_)) if region.is_empty() && account.is_empty() => {
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
            _ => return None,
        };
        Some(Self { arn: arn.into(), kind })
    }

    /// True where the worker ends the task with the token: callbacks and activities.
    #[must_use]
    pub fn waits_for_token(&self) -> bool {
        matches!(self.kind, ResourceKind::Activity { .. } | ResourceKind::Service { pattern: Pattern::WaitForTaskToken, .. })
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
        assert_eq!(r.kind, ResourceKind::Service { service: "states".into(), action: "startExecution".into(), pattern: Pattern::Sync2 });
        let r = Resource::parse("arn:aws:states:::aws-sdk:dynamodb:getItem").unwrap();
        assert_eq!((r.resource_type(), r.resource_name().as_str()), ("aws-sdk:dynamodb", "getItem"));
        assert!(Resource::parse("foo:bar").is_none());
        assert!(Resource::parse("arn:aws:states:us-east-1:123456789012:activity:x").unwrap().waits_for_token());
    }
}
