//! A web service does the task: the payload by `POST`, the result in the answer. The headers are `CloudEvents`' binary
//! ones, and those of the message.

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use super::Outcome;
use super::exec::json_of;
use super::task::Task;
use crate::limits::PAYLOAD_BYTES_MAX;

const CONNECTS_WITHIN: Duration = Duration::from_secs(10);
/// Pauses between tries to connect: the task waits for its service.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Where the service is.
#[derive(Debug, Clone)]
pub struct Url(reqwest::Url);

impl Url {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let url = reqwest::Url::parse(text).map_err(|why| format!("'{text}' is no URL: {why}"))?;
        if matches!(url.scheme(), "http" | "https") {
            Ok(Self(url))
        } else {
            Err(format!("'{text}' is no web address"))
        }
    }
}

/// A failure in the service's own words.
#[derive(Deserialize)]
struct Said {
    #[serde(alias = "errorType")]
    error: String,
    #[serde(default, alias = "errorMessage")]
    cause: String,
}

#[derive(Debug)]
pub(super) struct Client(reqwest::Client);

impl Client {
    pub fn new() -> Result<Self, String> {
        // The process has one TLS library, for AMQP too; where it was chosen before, that is well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            // A redirect would make a GET of the POST.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECTS_WITHIN)
            .build();
        client.map(Self).map_err(|why| why.to_string())
    }

    /// A service that is away is tried again: the task has its own timeout.
    pub async fn post(&self, url: &Url, task: &Task) -> Outcome {
        let mut pause = PAUSE_FIRST;
        loop {
            match self.request(url, task).send().await {
                Ok(response) => return outcome(response).await,
                Err(why) if why.is_connect() => {
                    tracing::warn!(event = "worker.waits", reason = told(why), "the web service is away");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Err(why) => return Outcome::failure("Http.NoAnswer", told(why)),
            }
        }
    }

    fn request(&self, url: &Url, task: &Task) -> reqwest::RequestBuilder {
        let mut request = self
            .0
            .post(url.0.clone())
            .header(CONTENT_TYPE, &task.content_type)
            .header("ce-specversion", "1.0")
            .header("ce-type", "reveille.task")
            .header("ce-id", &task.message_id)
            .header("ce-source", encoded(task.header("state-machine-arn")))
            .header("ce-subject", encoded(task.header("state-name")));
        if let Some(time) = &task.time {
            request = request.header("ce-time", time);
        }
        for (name, value) in task.headers() {
            request = request.header(name, encoded(value));
        }
        request.body(task.body.clone())
    }
}

/// A header's value: letters beyond ASCII, blanks at its ends and `%` as `CloudEvents` writes them (percent and two
/// digits). Names of states may have them.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| (0x21..=0x7e).contains(&byte) && !matches!(byte, b'%' | b'"');
    let last = text.len().saturating_sub(1);
    let mut encoded = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        if plain(byte) || (byte == b' ' && at > 0 && at < last) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

async fn outcome(response: Response) -> Outcome {
    let status = response.status();
    let body = match read(response).await {
        Ok(body) => body,
        Err(failed) => return failed,
    };
    match status {
        StatusCode::ACCEPTED => Outcome::Taken,
        status if status.is_success() => Outcome::Success(json_of(&body)),
        status => match serde_json::from_str(&body) {
            Ok(Said { error, cause }) => Outcome::failure(error, cause),
            Err(_) => Outcome::failure(format!("Http.{}", status.as_u16()), reason(status, &body)),
        },
    }
}

fn reason(status: StatusCode, body: &str) -> String {
    if body.is_empty() { status.canonical_reason().unwrap_or_default().to_owned() } else { body.to_owned() }
}

async fn read(mut response: Response) -> Result<String, Outcome> {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => break,
            Ok(Some(piece)) if bytes.len() + piece.len() <= PAYLOAD_BYTES_MAX => bytes.extend_from_slice(&piece),
            Ok(Some(_)) => {
                let why = format!("The web service answered with more than {PAYLOAD_BYTES_MAX} bytes");
                return Err(Outcome::failure("States.DataLimitExceeded", why));
            }
            Err(why) => return Err(Outcome::failure("Http.NoAnswer", told(why))),
        }
    }
    String::from_utf8(bytes)
        .map_err(|_| Outcome::failure("Worker.InvalidResult", "The answer of the web service is not UTF-8 text"))
}

/// An error with its causes; `reqwest` says the outermost alone.
fn told(why: reqwest::Error) -> String {
    // A URL may hold a password.
    let why = why.without_url();
    let mut text = why.to_string();
    let mut cause = std::error::Error::source(&why);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
