//! Reading a service's parameters, with AWS's errors for bad ones.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::bus::{HeaderValue, Headers};
use crate::interpreter::event::{Failure, Payload};

/// The parameters of one call.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    members: Members<'a>,
    service: Service,
    request_id: Uuid,
}

/// The members of the parameters. Of an unparsed text only the members that the service needs are parsed: a message's
/// body is sent as the original text.
#[derive(Debug)]
enum Members<'a> {
    Read(&'a Map<String, Value>),
    Unread(Vec<Member<'a>>),
}

#[derive(Debug)]
struct Member<'a> {
    name: Cow<'a, str>,
    text: &'a RawValue,
    value: OnceCell<Value>,
}

impl Member<'_> {
    fn value(&self) -> &Value {
        // The text was checked with the whole parameters, so it is valid JSON.
        self.value.get_or_init(|| serde_json::from_str(self.text.get()).unwrap_or_default())
    }
}

/// The members of an object, in order, unread.
struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Vec<Member<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(4);
        while let Some((name, text)) = object.next_entry::<Name<'de>, &RawValue>()? {
            members.push(Member { name: name.0, text, value: OnceCell::new() });
        }
        Ok(members)
    }
}

/// The name of a member. Without escapes it borrows from the text.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// AWS's names of a service in errors: `SQS.AmazonSQSException`, `(Service: AmazonSQS; ...)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Service {
    /// Before the dot of an error name.
    pub prefix: &'static str,
    /// In causes.
    pub client: &'static str,
    /// The exception for errors that have none of their own.
    pub exception: &'static str,
}

impl Service {
    pub(super) const SQS: Self = Self { prefix: "SQS", client: "AmazonSQS", exception: "AmazonSQSException" };
    pub(super) const SNS: Self = Self { prefix: "SNS", client: "AmazonSNS", exception: "AmazonSNSException" };
    pub(super) const EVENTS: Self =
        Self { prefix: "EventBridge", client: "AmazonEventBridge", exception: "AmazonEventBridgeException" };
    pub(super) const LAMBDA: Self = Self { prefix: "Lambda", client: "AWSLambda", exception: "AWSLambdaException" };
    pub(super) const STATES: Self =
        Self { prefix: "StepFunctions", client: "AWSStepFunctions", exception: "AWSStepFunctionsException" };
    pub(super) const SFN: Self = Self { prefix: "Sfn", client: "Sfn", exception: "SfnException" };
    /// Our own service, without an AWS client.
    pub(super) const AMQP: Self = Self { prefix: "Amqp", client: "", exception: "InvalidParameter" };

    fn named(service: &str) -> Self {
        match service {
            "sqs" => Self::SQS,
            "sns" => Self::SNS,
            "events" => Self::EVENTS,
            "lambda" => Self::LAMBDA,
            "states" => Self::STATES,
            "aws-sdk:sfn" => Self::SFN,
            _ => Self::AMQP,
        }
    }

    /// A failure as AWS words it: `message (Service: AmazonSQS; Status Code: 400; Error Code: MissingParameter; Request
    /// ID: ...; Proxy: null)`.
    pub(super) fn failure(self, exception: &str, status: u16, code: &str, message: &str, request_id: Uuid) -> Failure {
        let error = format!("{}.{exception}", self.prefix);
        if self.client.is_empty() {
            return Failure::new(error, message);
        }
        let Self { client, .. } = self;
        Failure::new(
            error,
            format!(
                "{message} (Service: {client}; Status Code: {status}; Error Code: {code}; Request ID: {request_id}; \
                 Proxy: null)"
            ),
        )
    }
}

impl<'a> Fields<'a> {
    pub(super) fn of(parameters: &'a Payload, service: &str, request_id: Uuid) -> Result<Self, Failure> {
        let service = Service::named(service);
        let unread =
            parameters.unread().and_then(|text| serde_json::Deserializer::from_str(text).deserialize_map(Object).ok());
        let members = if let Some(members) = unread {
            Members::Unread(members)
        } else {
            let Value::Object(members) = &**parameters else {
                let what = format!("The parameters must be an object, not {}", kind_of(parameters));
                return Err(service.failure(service.exception, 400, "ValidationException", &what, request_id));
            };
            Members::Read(members)
        };
        Ok(Self { members, service, request_id })
    }

    /// A failure of this service, of the form of [`Service::failure`].
    pub(super) fn failure(&self, exception: &str, status: u16, code: &str, message: &str) -> Failure {
        self.service.failure(exception, status, code, message, self.request_id)
    }

    /// The service's own refusal of a value.
    pub(super) fn invalid(&self, message: &str) -> Failure {
        self.failure(self.service.exception, 400, "ValidationException", message)
    }

    /// Present and not `null`: AWS takes `null` for absent.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        let value = match &self.members {
            Members::Read(members) => members.get(name),
            Members::Unread(members) => members.iter().find(|m| m.name == name).map(Member::value),
        };
        value.filter(|value| !value.is_null())
    }

    /// The same as compact JSON text.
    pub(super) fn json(&self, name: &str) -> Option<Vec<u8>> {
        if let Members::Unread(members) = &self.members {
            let text = members.iter().find(|m| m.name == name)?.text.get();
            return (text != "null").then(|| text.as_bytes().to_vec());
        }
        // `Display` would write piece by piece. A `Value` always has a text, so this does not fail.
        self.get(name).map(|value| serde_json::to_vec(value).unwrap_or_default())
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let (read, unread) = match &self.members {
            Members::Read(members) => (Some(members.keys().map(String::as_str)), None),
            Members::Unread(members) => (None, Some(members.iter().map(|m| &*m.name))),
        };
        read.into_iter().flatten().chain(unread.into_iter().flatten())
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.invalid(&format!("The parameter {name} must be a string, not {}", kind_of(other)))),
        }
    }

    /// A text that must be there; AWS's sentence where it is not.
    pub(super) fn required(&self, name: &str) -> Result<&str, Failure> {
        self.text(name)?.ok_or_else(|| {
            let member = lower_first(name);
            self.invalid(&format!(
                "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not \
                 be null"
            ))
        })
    }

    pub(super) fn integer(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, Failure> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_u64().filter(|n| (least..=most).contains(n)).map(Some).ok_or_else(|| {
            self.invalid(&format!(
                "The parameter {name} must be a whole number from {least} to {most}, not {}",
                brief(value)
            ))
        })
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<&Map<String, Value>>, Failure> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(fields)),
            Some(other) => {
                Err(self.invalid(&format!("The parameter {name} must be an object, not {}", kind_of(other))))
            }
        }
    }

    /// Refuses unknown names, so that a misspelt parameter is not ignored.
    pub(super) fn only(&self, allowed: &[&str]) -> Result<(), Failure> {
        match self.names().find(|name| !allowed.contains(name)) {
            None => Ok(()),
            Some(name) => {
                Err(self.invalid(&format!("There is no parameter {name}; there are: {}", allowed.join(", "))))
            }
        }
    }

    /// `MessageAttributes` of SQS and SNS, as headers: `Number` becomes a number, all else stays the text that it is.
    pub(super) fn message_attributes(&self) -> Result<Headers, Failure> {
        let mut headers = Headers::new();
        for (name, attribute) in self.object("MessageAttributes")?.into_iter().flatten() {
            let text = |field: &str| attribute.get(field).and_then(Value::as_str);
            let kind = text("DataType").unwrap_or("String");
            let value = text("StringValue").or_else(|| text("BinaryValue"));
            let Some(value) = value.filter(|v| !v.is_empty()) else {
                let message = format!(
                    "The message attribute '{name}' must contain non-empty message attribute value for message \
                     attribute type '{kind}'."
                );
                return Err(self.failure(self.service.exception, 400, "InvalidParameterValue", &message));
            };
            let header = if kind == "Number" || kind.starts_with("Number.") { number(value) } else { None };
            headers.insert(name.clone().into(), header.unwrap_or_else(|| HeaderValue::Text(value.to_owned())));
        }
        Ok(headers)
    }
}

fn number(text: &str) -> Option<HeaderValue> {
    let text = text.trim();
    text.parse()
        .map(HeaderValue::Integer)
        .ok()
        .or_else(|| text.parse().ok().filter(|n: &f64| n.is_finite()).map(HeaderValue::Double))
}

/// A JSON value as a header of its own type.
pub(super) fn header(value: &Value) -> Option<HeaderValue> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(HeaderValue::Text(text.clone())),
        Value::Bool(flag) => Some(HeaderValue::Boolean(*flag)),
        Value::Number(number) => {
            number.as_i64().map(HeaderValue::Integer).or_else(|| number.as_f64().map(HeaderValue::Double))
        }
        Value::Array(_) | Value::Object(_) => Some(HeaderValue::Json(value.clone())),
    }
}

/// A message's text: a string as it is, everything else as JSON; with the content type that fits.
pub(super) fn message_text(value: &Value) -> (Vec<u8>, &'static str) {
    match value {
        Value::String(text) => {
            let kind =
                if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() { super::JSON } else { super::TEXT };
            (text.clone().into_bytes(), kind)
        }
        other => (other.to_string().into_bytes(), super::JSON),
    }
}

/// Tells whether a queue or topic keeps the order of its message groups.
pub(super) fn is_fifo(name: &str) -> bool {
    name.strip_suffix(".fifo").is_some()
}

pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A value for an error text, cut to 40 characters.
fn brief(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => kind_of(value).to_owned(),
        scalar => scalar.to_string().chars().take(40).collect(),
    }
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
