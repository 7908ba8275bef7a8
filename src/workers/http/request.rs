//! A task's parameters as a request. Pure.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RANGE};
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
/// A definition cannot set these: they belong to the connection, or to those between (AWS's list, and the length).
const RESERVED: [&str; 28] = [
    "a-im",
    "accept-charset",
    "accept-datetime",
    "accept-encoding",
    "authorization",
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
/// AWS asks for no more than a result can hold.
const RANGE_SENT: &str = "bytes=0-262144";
const RESERVED_PREFIXES: [&str; 4] = ["if-", "x-forwarded-", "x-amz-", "x-amzn-"];

/// A request, ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Body>,
    /// Name of the connection that authorizes it.
    pub connection: Option<String>,
}

/// The body as the definition has it; what a connection adds comes before it is encoded.
#[derive(Debug, Clone)]
pub(super) struct Body {
    value: Value,
    /// A form with arrays written so; else JSON or a text.
    form: Option<ArrayFormat>,
}

impl Body {
    fn kind(&self) -> &'static str {
        match (&self.form, &self.value) {
            (Some(_), _) => "application/x-www-form-urlencoded",
            (None, Value::String(_)) => "text/plain; charset=utf-8",
            (None, _) => "application/json; charset=UTF-8",
        }
    }

    /// `None` where the value cannot be a form.
    fn text(&self) -> Option<String> {
        match (self.form, &self.value) {
            (None, Value::String(text)) => Some(text.clone()),
            (None, json) => Some(json.to_string()),
            (Some(_), Value::String(text)) => Some(form::escape(text)),
            (Some(arrays), body) => form::encode(body, arrays),
        }
    }
}

impl Request {
    /// # Errors
    /// The faults of parameters that make no request.
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
        let body = fields.get("RequestBody").map(|body| read_body(body, fields.get("Transform"))).transpose()?;
        headers.entry(RANGE).or_insert(HeaderValue::from_static(RANGE_SENT));
        if let Ok(agent) = HeaderValue::from_str(&format!("Amazon|StepFunctions|HttpInvoke|{region}")) {
            headers.entry(reqwest::header::USER_AGENT).or_insert(agent);
        }
        let mut request = Self { method, url, headers, body, connection: connection(fields)? };
        request.name_kind();
        Ok(request)
    }

    /// The body's content type, unless the author or the connection names one.
    fn name_kind(&mut self) {
        if let Some(body) = &self.body {
            self.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(body.kind()));
        }
    }

    pub(super) fn body_text(&self) -> Option<String> {
        self.body.as_ref().and_then(Body::text)
    }

    /// A query parameter of the connection wins over those of the same name.
    pub(super) fn set_query(&mut self, name: &str, value: &str) {
        let kept: Vec<(String, String)> =
            self.url.query_pairs().filter(|(own, _)| own != name).map(|(n, v)| (n.into(), v.into())).collect();
        self.url.query_pairs_mut().clear().extend_pairs(kept).append_pair(name, value);
    }

    /// A field of the connection wins over that of the body.
    ///
    /// # Errors
    /// A body that has no fields.
    pub(super) fn set_field(&mut self, name: &str, value: &str) -> Result<(), Failed> {
        let body = self.body.get_or_insert_with(|| Body { value: Value::Object(serde_json::Map::new()), form: None });
        let Value::Object(fields) = &mut body.value else {
            let why = "The connection adds fields to the RequestBody, so that must be an object";
            return Err(Failed::parameters(why));
        };
        fields.insert(name.to_owned(), value.into());
        self.name_kind();
        Ok(())
    }

    /// As `TestState` shows it.
    pub(super) fn shown(&self) -> Shown {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or("…")));
        Shown {
            protocol: self.url.scheme().to_owned(),
            line: (self.method.to_string(), self.url.to_string()),
            headers: shown_headers(headers),
            body: self.body_text().unwrap_or_default(),
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

/// A text, an object, or an array of both.
fn query(url: &mut Url, parameters: &Value) -> Result<(), Failed> {
    match parameters {
        Value::String(text) => {
            let mut read = url.clone();
            read.set_query(Some(text.trim_start_matches('?')));
            if !text.is_empty() {
                url.query_pairs_mut().extend_pairs(read.query_pairs());
            }
            Ok(())
        }
        Value::Array(parts) => parts.iter().filter(|part| !part.is_array()).try_for_each(|part| query(url, part)),
        Value::Object(parameters) if parameters.is_empty() => Ok(()),
        Value::Object(parameters) => {
            let mut pairs = url.query_pairs_mut();
            for (name, value) in parameters {
                let values = match value {
                    Value::Array(values) => values.as_slice(),
                    Value::Object(_) => {
                        let why = format!("The query parameter '{name}' must be a text or an array");
                        return Err(Failed::parameters(why));
                    }
                    one => std::slice::from_ref(one),
                };
                for value in values {
                    pairs.append_pair(name, &form::plain(value));
                }
            }
            Ok(())
        }
        _ => Err(Failed::parameters("The field 'QueryParameters' must be a text, an array or an object")),
    }
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

/// The body, once it is sure that it can be encoded.
fn read_body(value: &Value, transform: Option<&Value>) -> Result<Body, Failed> {
    let said = |pointer: &str| transform.and_then(|t| t.pointer(pointer)).and_then(Value::as_str);
    let form = match said("/RequestBodyEncoding") {
        None | Some("NONE") => None,
        Some("URL_ENCODED") => Some(match said("/RequestEncodingOptions/ArrayFormat") {
            None => ArrayFormat::default(),
            Some(text) => ArrayFormat::parse(text).ok_or_else(|| {
                Failed::parameters(format!(
                    "The ArrayFormat '{text}' is not supported; there are: INDICES, REPEAT, COMMAS, BRACKETS"
                ))
            })?,
        }),
        Some(other) => {
            let why = format!("The RequestBodyEncoding '{other}' is not supported; there are: NONE, URL_ENCODED");
            return Err(Failed::parameters(why));
        }
    };
    let body = Body { value: value.clone(), form };
    if body.text().is_none() {
        return Err(Failed::parameters("A RequestBody that is URL-encoded must be an object"));
    }
    Ok(body)
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
