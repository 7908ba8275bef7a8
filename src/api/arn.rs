//! Parses the ARNs that clients send.

use crate::ids::Arn;

use super::error::ApiError;

/// The resource that an ARN of this service names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// `stateMachine:name`, `stateMachine:name/label` (the processor of a Distributed Map),
    /// `stateMachine:name:qualifier`.
    StateMachine {
        name: String,
        label: Option<String>,
        qualifier: Option<Qualifier>,
    },
    Execution,
    /// `express:…`: known only while it is kept in memory; most operations refuse it.
    Express,
    Activity,
    MapRun,
}

/// The part of an ARN after the name of a state machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Qualifier {
    Version(u64),
    Alias(String),
}

/// A state machine ARN, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineArn {
    /// The ARN as the client gave it.
    pub full: Arn,
    /// Without label and qualifier.
    pub machine: Arn,
    pub label: Option<String>,
    pub qualifier: Option<Qualifier>,
}

/// Parses an ARN. Recorded: `Invalid Arn: 'Invalid ARN prefix: …'`, `Invalid Arn: 'Resource type not valid in this
/// context: …'`.
pub fn parse(text: &str) -> Result<Resource, ApiError> {
    let Some(rest) = text.strip_prefix("arn:") else {
        return Err(ApiError::invalid_arn(format!("Invalid ARN prefix: {text}")));
    };
    // partition : service : region : account : resource type : resource
    let mut parts = rest.splitn(6, ':');
    let mut next = || parts.next().filter(|part| !part.is_empty());
    let (Some(_partition), Some(service), Some(_region), Some(_account), Some(kind), Some(resource)) =
        (next(), next(), next(), next(), next(), next())
    else {
        return Err(ApiError::invalid_arn(format!("Invalid ARN: {text}")));
    };
    if service != "states" {
        return Err(ApiError::invalid_arn(format!("Invalid ARN service: {service}")));
    }
    let parts = resource.split(':').count();
    match (kind, parts) {
        ("stateMachine", 1 | 2) => Ok(machine(resource)),
        ("execution", 2) => Ok(Resource::Execution),
        ("express", 2 | 3) => Ok(Resource::Express),
        ("activity", 1) => Ok(Resource::Activity),
        ("mapRun", 2) => Ok(Resource::MapRun),
        ("stateMachine" | "execution" | "express" | "activity" | "mapRun", _) => {
            Err(ApiError::invalid_arn(format!("Invalid ARN: {text}")))
        }
        _ => Err(wrong_kind(kind)),
    }
}

fn machine(resource: &str) -> Resource {
    let (name, qualifier) =
        resource.split_once(':').map_or((resource, None), |(name, qualifier)| (name, Some(qualifier)));
    let (name, label) = name.split_once('/').map_or((name, None), |(name, label)| (name, Some(label.to_owned())));
    let qualifier = qualifier.map(|q| q.parse().map_or_else(|_| Qualifier::Alias(q.to_owned()), Qualifier::Version));
    Resource::StateMachine { name: name.to_owned(), label, qualifier }
}

fn wrong_kind(kind: &str) -> ApiError {
    ApiError::invalid_arn(format!("Resource type not valid in this context: {kind}"))
}

fn kind_of(resource: &Resource) -> &'static str {
    match resource {
        Resource::StateMachine { .. } => "stateMachine",
        Resource::Execution => "execution",
        Resource::Express => "express",
        Resource::Activity => "activity",
        Resource::MapRun => "mapRun",
    }
}

/// A state machine, with or without version or alias or label.
pub fn any_machine(text: &str) -> Result<MachineArn, ApiError> {
    match parse(text)? {
        Resource::StateMachine { label, qualifier, .. } => {
            let keep = text.splitn(7, ':').take(6).map(str::len).sum::<usize>() + 6;
            let name_end = text[keep..].find([':', '/']).map_or(text.len(), |at| keep + at);
            Ok(MachineArn { full: Arn::new(text), machine: Arn::new(&text[..name_end]), label, qualifier })
        }
        other => Err(wrong_kind(kind_of(&other))),
    }
}

/// A state machine without a label; versions and aliases are welcome.
pub fn machine_or_qualified(text: &str) -> Result<MachineArn, ApiError> {
    let arn = any_machine(text)?;
    if arn.label.is_some() {
        return Err(labelled());
    }
    Ok(arn)
}

fn labelled() -> ApiError {
    ApiError::validation_because(
        "API_DOES_NOT_SUPPORT_LABELED_ARNS",
        "This API does not support state machine ARNs with a Map state label",
    )
}

/// A standard execution.
pub fn execution(text: &str) -> Result<Arn, ApiError> {
    expect(text, &Resource::Execution)
}

pub fn activity(text: &str) -> Result<Arn, ApiError> {
    expect(text, &Resource::Activity)
}

pub fn map_run(text: &str) -> Result<Arn, ApiError> {
    expect(text, &Resource::MapRun)
}

fn expect(text: &str, wanted: &Resource) -> Result<Arn, ApiError> {
    let found = parse(text)?;
    if found == *wanted { Ok(Arn::new(text)) } else { Err(wrong_kind(kind_of(&found))) }
}

/// Checks the shape of a role ARN, as AWS does. Whether the role exists is not known here.
pub fn role(text: &str) -> Result<(), ApiError> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let good = matches!(parts.as_slice(), ["arn", partition, "iam", "", account, role]
        if !partition.is_empty() && account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())
            && role.strip_prefix("role/").is_some_and(|name| !name.is_empty()));
    if good { Ok(()) } else { Err(ApiError::new("InvalidArn", format!("Invalid Role Arn: '{text}'"))) }
}

/// AWS: names of state machines, executions and activities hold no white space, brackets, wildcards, special or control
/// characters.
pub fn name(text: &str) -> Result<(), ApiError> {
    let forbidden = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '\u{fffe}' | '\u{ffff}')
            || "<>{}[]?*\"#%\\^|~`$&,;:/".contains(c)
    };
    if text.chars().any(forbidden) { Err(ApiError::invalid_name(text)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "arn:aws:states:us-east-1:000000000000";

    #[test]
    fn wrong_arns_get_the_texts_of_aws() {
        let message = |text: &str| execution(text).unwrap_err().message;
        assert_eq!(message("not_a_valid_arn"), "Invalid Arn: 'Invalid ARN prefix: not_a_valid_arn'");
        assert_eq!(
            message(&format!("{BASE}:stateMachine:m")),
            "Invalid Arn: 'Resource type not valid in this context: stateMachine'"
        );
        assert_eq!(
            message(&format!("{BASE}:express:m:n:id")),
            "Invalid Arn: 'Resource type not valid in this context: express'"
        );
        assert_eq!(
            message(&format!("{BASE}:table:t")),
            "Invalid Arn: 'Resource type not valid in this context: table'"
        );
        assert!(message("arn:aws:states").starts_with("Invalid Arn: 'Invalid ARN: "));
        assert!(message("arn:aws:sqs:r:a:b:c").contains("service"));
    }

    #[test]
    fn a_machine_arn_comes_apart() {
        let table = [
            ("m", "m", None, None),
            ("m:3", "m", None, Some(Qualifier::Version(3))),
            ("m:live", "m", None, Some(Qualifier::Alias("live".into()))),
            ("m/label", "m", Some("label"), None),
        ];
        for (tail, machine, label, qualifier) in table {
            let arn = any_machine(&format!("{BASE}:stateMachine:{tail}")).unwrap();
            assert_eq!(arn.machine.as_str(), format!("{BASE}:stateMachine:{machine}"));
            assert_eq!((arn.label.as_deref(), arn.qualifier), (label, qualifier));
        }
        let refused = machine_or_qualified(&format!("{BASE}:stateMachine:m/label")).unwrap_err();
        assert_eq!(refused.reason, Some("API_DOES_NOT_SUPPORT_LABELED_ARNS"));
    }

    #[test]
    fn names_with_forbidden_characters_are_refused() {
        for c in " <>{}[]?*\"#%\\^|~`$&,;:/\u{1f}\u{7f}\u{85}\n".chars() {
            let text = format!("activity{c}name");
            assert_eq!(name(&text).unwrap_err().message, format!("Invalid Name: '{text}'"));
        }
        assert!(name("a-b_c.d+e@f!é").is_ok());
    }

    #[test]
    fn a_role_looks_like_a_role() {
        assert!(role("arn:aws:iam::012345678901:role/DummyRole").is_ok());
        assert_eq!(role("me").unwrap_err().message, "Invalid Role Arn: 'me'");
    }
}
