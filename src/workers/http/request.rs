//! A task's parameters as a request. Pure.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;

use super::form::{self, ArrayFormat};
use super::guard::Guard;
use super::{Failed, Shown, shown_headers};

const PARAMETERS: [&str; 8] = [
    "ApiEndpoint",
    "Authentication",
    "InvocationConfig",
    "Method",
    "Headers",
    "QueryParameters",
    "RequestBody",
    "Transform",
];
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];
/// A definition cannot set these: they belong to the connection, or to those between (AWS's list).
const RESERVED: [&str; 27] = [
    "a-im",
    "accept-charset",
    "accept-datetime",
    "accept-encoding",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-md5",
    "date",
    "expect",
    "forwarded",
    "from",
    "host",
    "http2-settings",
    "max-forwards",
    "origin",
    "pragma",
    "proxy-authorization",
    "referer",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "warning",
];
const RESERVED_PREFIXES: [&str; 4] = ["if-", "x-forwarded-", "x-amz-", "x-amzn-"];

/// A request, ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<String>,
    /// Name of the connection that authorizes it.
    pub connection: Option<String>,
}

impl Request {
    /// # Errors
    /// What of the parameters makes no request.
    pub(super) fn read(parameters: &Value, region: &str, guard: &Guard) -> Result<Self, Failed> {
        let Some(fields) = parameters.as_object() else {
            return Err(Failed::parameters("The parameters of an HTTP Task must be an object"));
        };
        if let Some(unknown) = fields.keys().find(|name| !PARAMETERS.contains(&name.as_str())) {
            return Err(Failed::parameters(format!("The field '{unknown}' is not supported by an HTTP Task")));
        }
        let text = |name: &str| match fields.get(name) {
            None | Some(Value::Null) => Err(Failed::parameters(format!("The field '{name}' is required"))),
            Some(Value::String(text)) => Ok(text.as_str()),
            Some(_) => Err(Failed::parameters(format!("The field '{name}' must be a string"))),
        };
        let method = text("Method")?;
        if !METHODS.contains(&method) {
            let allowed = METHODS.join(", ");
            return Err(Failed::parameters(format!("The Method '{method}' is not supported; there are: {allowed}")));
        }
        let method = Method::from_bytes(method.as_bytes()).map_err(|e| Failed::parameters(e.to_string()))?;
        let mut url = endpoint(text("ApiEndpoint")?, guard)?;
        if let Some(more) = fields.get("QueryParameters") {
            query(&mut url, more)?;
        }
        let mut headers = fields.get("Headers").map(read_headers).transpose()?.unwrap_or_default();
        let (body, kind) = match fields.get("RequestBody") {
            None => (None, None),
            Some(body) => {
                let (body, kind) = encoded(body, fields.get("Transform"))?;
                (Some(body), Some(kind))
            }
        };
        if let Some(kind) = kind
            && !headers.contains_key(CONTENT_TYPE)
        {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        if let Ok(agent) = HeaderValue::from_str(&format!("Amazon|StepFunctions|HttpInvoke|{region}")) {
            headers.entry(reqwest::header::USER_AGENT).or_insert(agent);
        }
        Ok(Self { method, url, headers, body, connection: connection(fields)? })
    }

    /// As `TestState` shows it.
    pub(super) fn shown(&self) -> Shown {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or("…")));
        Shown {
            protocol: self.url.scheme().to_owned(),
            line: (self.method.to_string(), self.url.to_string()),
            headers: shown_headers(headers),
            body: self.body.clone().unwrap_or_default(),
        }
    }
}

fn endpoint(text: &str, guard: &Guard) -> Result<Url, Failed> {
    let wrong = |why: &str| Failed::parameters(format!("The ApiEndpoint '{text}' cannot be called: {why}"));
    let mut url = Url::parse(text).map_err(|e| wrong(&e.to_string()))?;
    let Some(host) = url.host_str() else { return Err(wrong("it has no host")) };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failed::parameters("The ApiEndpoint holds a user: a connection authorizes a call"));
    }
    match url.scheme() {
        "https" => {}
        "http" if guard.trusts(host) => {}
        _ => return Err(wrong("it must begin with https://")),
    }
    guard.check_literal(host).map_err(Failed::socket)?;
    url.set_fragment(None);
    Ok(url)
}

fn query(url: &mut Url, parameters: &Value) -> Result<(), Failed> {
    let Value::Object(parameters) = parameters else {
        return Err(Failed::parameters("The field 'QueryParameters' must be an object"));
    };
    if parameters.is_empty() {
        return Ok(());
    }
    let mut pairs = url.query_pairs_mut();
    for (name, value) in parameters {
        match value {
            Value::Array(values) => {
                for value in values {
                    pairs.append_pair(name, &form::plain(value));
                }
            }
            Value::Object(_) => {
                return Err(Failed::parameters(format!("The query parameter '{name}' must be a text or an array")));
            }
            value => {
                pairs.append_pair(name, &form::plain(value));
            }
        }
    }
    Ok(())
}

fn read_headers(given: &Value) -> Result<HeaderMap, Failed> {
    let Value::Object(given) = given else {
        return Err(Failed::parameters("The field 'Headers' must be an object"));
    };
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let wrong = || Failed::parameters(format!("The header '{name}' cannot be sent"));
        let lower = name.to_ascii_lowercase();
        if RESERVED.contains(&lower.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) {
            return Err(Failed::parameters(format!("The header '{name}' cannot be set by an HTTP Task")));
        }
        let key = HeaderName::from_bytes(lower.as_bytes()).map_err(|_| wrong())?;
        let values = match value {
            Value::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values {
            if value.is_object() || value.is_array() {
                return Err(wrong());
            }
            headers.append(&key, HeaderValue::from_str(&form::plain(value)).map_err(|_| wrong())?);
        }
    }
    Ok(headers)
}

/// The body and its content type.
fn encoded(body: &Value, transform: Option<&Value>) -> Result<(String, &'static str), Failed> {
    let said = |pointer: &str| transform.and_then(|t| t.pointer(pointer)).and_then(Value::as_str);
    match said("/RequestBodyEncoding") {
        None | Some("NONE") => Ok(match body {
            Value::String(text) => (text.clone(), "text/plain; charset=utf-8"),
            json => (json.to_string(), "application/json"),
        }),
        Some("URL_ENCODED") => {
            let arrays = match said("/RequestEncodingOptions/ArrayFormat") {
                None => ArrayFormat::default(),
                Some(text) => ArrayFormat::parse(text).ok_or_else(|| {
                    Failed::parameters(format!(
                        "The ArrayFormat '{text}' is not supported; there are: INDICES, REPEAT, COMMAS, BRACKETS"
                    ))
                })?,
            };
            let form = match body {
                Value::String(text) => form::escape(text),
                body => form::encode(body, arrays)
                    .ok_or_else(|| Failed::parameters("A RequestBody that is URL-encoded must be an object"))?,
            };
            Ok((form, "application/x-www-form-urlencoded"))
        }
        Some(other) => Err(Failed::parameters(format!(
            "The RequestBodyEncoding '{other}' is not supported; there are: NONE, URL_ENCODED"
        ))),
    }
}

/// `Authentication.ConnectionArn`: `arn:aws:events:REGION:ACCOUNT:connection/NAME/ID`, or a name.
fn connection(fields: &serde_json::Map<String, Value>) -> Result<Option<String>, Failed> {
    let Some(given) = fields.get("Authentication").or_else(|| fields.get("InvocationConfig")) else { return Ok(None) };
    let Some(arn) = given.get("ConnectionArn").and_then(Value::as_str) else {
        return Err(Failed::parameters("The field 'Authentication' must have a ConnectionArn"));
    };
    let name = arn.rsplit_once(":connection/").map_or(arn, |(_, rest)| rest);
    Ok(Some(name.split('/').next().unwrap_or(name).to_owned()))
}
