//! One call: out, and the answer within its bounds.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Value, json};

use super::guard::Guard;
use super::request::Request;
use super::{Failed, Shown, gathered, shown_headers};
use crate::limits::PAYLOAD_BYTES_MAX;

const BINARY: [&str; 4] = ["application/octet-stream", "image/", "video/", "audio/"];
const CONNECTS_WITHIN: Duration = Duration::from_secs(10);

pub(super) fn make(guard: &Guard, timeout: Duration) -> reqwest::Result<reqwest::Client> {
    // The process has one TLS library, for AMQP too; where it was chosen before, that is well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        // A proxy of the environment would resolve names for itself.
        .no_proxy()
        .dns_resolver(std::sync::Arc::new(guard.clone()))
        .connect_timeout(CONNECTS_WITHIN)
        .timeout(timeout)
        .build()
}

/// The response.
pub(super) struct Response {
    pub status: u16,
    reason: String,
    protocol: String,
    headers: HeaderMap,
    body: String,
}

pub(super) async fn send(client: &reqwest::Client, request: Request) -> Result<Response, Failed> {
    let body = request.body_text();
    let Request { method, url, headers, .. } = request;
    let protocol = url.scheme().to_owned();
    let mut call = client.request(method, url).headers(headers);
    if let Some(body) = body {
        call = call.body(body);
    }
    let response = call.send().await.map_err(|e| Failed::socket(told(&e)))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = read(response).await?;
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("unknown");
    // AWS: "Unsupported HTTP Task responses".
    if BINARY.iter().any(|binary| kind.to_ascii_lowercase().starts_with(binary)) {
        return Err(Failed::response(format!("A response of the content type {kind} is not supported")));
    }
    let body = String::from_utf8(bytes)
        .map_err(|_| Failed::response(format!("The response is not UTF-8 text (content type: {kind})")))?;
    let reason = status.canonical_reason().unwrap_or_default().to_owned();
    Ok(Response { status: status.as_u16(), reason, protocol, headers, body })
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|e| Failed::socket(told(&e)))? {
        if bytes.len() + piece.len() > PAYLOAD_BYTES_MAX {
            // The core's sentence for every result over the limit.
            return Err(Failed::new(
                "States.DataLimitExceeded",
                "The state/task 'http' returned a result with a size exceeding the maximum number of bytes service \
                 limit.",
            ));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// A form to a server that answers with JSON.
pub(super) async fn post_form(client: &reqwest::Client, url: &str, form: String) -> Result<Value, String> {
    let call = client.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
    let response = call.send().await.map_err(|e| told(&e))?;
    let status = response.status();
    let bytes = read(response).await.map_err(|failed| failed.cause)?;
    if !status.is_success() {
        return Err(format!("the server of tokens answers {status}"));
    }
    serde_json::from_slice(&bytes).map_err(|_| "the answer is not JSON".to_owned())
}

impl Response {
    /// The task's result, or the error of a status that is no success. Redirects are not followed: one is an error.
    pub(super) fn outcome(self) -> Result<Value, Failed> {
        if !(200..300).contains(&self.status) {
            let cause = if self.body.is_empty() { self.reason } else { self.body };
            return Err(Failed::new(format!("States.Http.StatusCode.{}", self.status), cause));
        }
        let body = if self.is_json() { serde_json::from_str(&self.body).ok() } else { None };
        Ok(json!({
            "Headers": gathered(texts(&self.headers)),
            "ResponseBody": body.unwrap_or(Value::String(self.body)),
            "StatusCode": self.status,
            "StatusText": self.reason,
        }))
    }

    fn is_json(&self) -> bool {
        let kind = self.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
    }

    pub(super) fn shown(&self) -> Shown {
        Shown {
            protocol: self.protocol.clone(),
            line: (self.status.to_string(), self.reason.clone()),
            headers: shown_headers(texts(&self.headers)),
            body: self.body.clone(),
        }
    }
}

fn texts(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or("…")))
}

/// An error with its reasons, without the URL, whose query may hold a secret.
pub(super) fn told(error: &reqwest::Error) -> String {
    use std::error::Error as _;
    if error.is_timeout() {
        return "the call took too long".to_owned();
    }
    let mut said = String::new();
    let mut next = error.source();
    while let Some(why) = next {
        let words = why.to_string();
        if !said.contains(&words) {
            if !said.is_empty() {
                said.push_str(": ");
            }
            said.push_str(&words);
        }
        next = why.source();
    }
    if said.is_empty() { "the call failed".to_owned() } else { said }
}
