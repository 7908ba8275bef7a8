//! The API over HTTP: AWS JSON 1.0, as every AWS SDK speaks it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use secrecy::SecretString;
use serde_json::Value;

use super::CliError;
use super::context::{self, Context, Key};
use super::sigv4::Signer;
use crate::clock::{Clock, SystemClock};

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:8083";
/// The time for one call: longer than every operation, also than the long poll of 60 seconds.
const TIMEOUT: Duration = Duration::from_secs(70);
/// The size of an answer. SDKs would also refuse a page of 1,000 events of 256 KiB each.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The server to call.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ServerArgs {
    /// The server's address [default: of the context, AWS_ENDPOINT_URL_SFN, AWS_ENDPOINT_URL, or
    /// http://127.0.0.1:8083]
    #[arg(long, alias = "url", env = "REVEILLE_ENDPOINT", value_name = "URL", help_heading = "Server")]
    pub endpoint: Option<String>,
    /// The server of this name (reveille context)
    #[arg(long, env = "REVEILLE_CONTEXT", value_name = "NAME", help_heading = "Server")]
    pub context: Option<String>,
    /// Certificate authority of the server, PEM, in the place of the public ones
    #[arg(long, env = "REVEILLE_CA_FILE", value_name = "FILE", help_heading = "Server")]
    pub ca_file: Option<PathBuf>,
}

/// The certificates of a file.
fn authorities(file: &Path) -> Result<ureq::tls::RootCerts, CliError> {
    let failed = |why: &dyn std::fmt::Display| {
        CliError::usage(format!("the certificate authority {} cannot be used: {why}", file.display()))
            .hint("a file with certificates in PEM form (--ca-file, REVEILLE_CA_FILE)")
    };
    let text = std::fs::read(file).map_err(|why| failed(&why))?;
    let mut found = Vec::new();
    for item in ureq::tls::parse_pem(&text) {
        match item {
            Ok(ureq::tls::PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(why) => return Err(failed(&why)),
        }
    }
    if found.is_empty() {
        return Err(failed(&"it holds none"));
    }
    Ok(ureq::tls::RootCerts::new_with_certs(&found))
}

#[derive(Debug)]
pub(super) struct Client {
    agent: ureq::Agent,
    endpoint: String,
    host: String,
    signer: Option<Signer>,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A URL with its scheme and its host.
pub(super) fn check_endpoint(endpoint: &str) -> Result<(&str, &str), CliError> {
    match endpoint.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) if !rest.is_empty() => Ok((scheme, rest)),
        _ => Err(CliError::usage(format!("the endpoint '{endpoint}' is no URL"))
            .hint("a URL looks like http://127.0.0.1:8083 (--endpoint, REVEILLE_ENDPOINT)")),
    }
}

impl ServerArgs {
    /// The closest name of the server: a flag or our own variables, then AWS's, then the context in use.
    fn server(&self) -> Result<Context, CliError> {
        let of_url = |endpoint: String| Context { endpoint, ca_file: None, region: None, key: None };
        if let Some(endpoint) = self.endpoint.clone().filter(|endpoint| !endpoint.is_empty()) {
            return Ok(of_url(endpoint));
        }
        if let Some(name) = self.context.as_deref().filter(|name| !name.is_empty()) {
            return context::of_name(name);
        }
        if let Some(endpoint) = variable("AWS_ENDPOINT_URL_SFN").or_else(|| variable("AWS_ENDPOINT_URL")) {
            return Ok(of_url(endpoint));
        }
        Ok(context::in_use()?.unwrap_or_else(|| of_url(DEFAULT_ENDPOINT.to_owned())))
    }

    pub(super) fn client(&self) -> Result<Client, CliError> {
        let server = self.server()?;
        let endpoint = server.endpoint.trim_end_matches('/').to_owned();
        let (scheme, rest) = check_endpoint(&endpoint)?;
        let host = rest.split('/').next().unwrap_or(rest);
        // The header has no port where it is the scheme's own.
        let host = host.strip_suffix(if scheme == "http" { ":80" } else { ":443" }).unwrap_or(host).to_owned();
        let mut config = ureq::Agent::config_builder();
        if let Some(file) = self.ca_file.as_ref().or(server.ca_file.as_ref()) {
            config = config.tls_config(ureq::tls::TlsConfig::builder().root_certs(authorities(file)?).build());
        }
        let agent = config
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .timeout_connect(Some(Duration::from_secs(5)))
            .user_agent(concat!("reveille-cli/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Client { agent, host, signer: signer(server.key, server.region), endpoint })
    }
}

/// The key of the context, else that of the variables of AWS's own tools. Without one requests are not signed.
fn signer(key: Option<Key>, region: Option<String>) -> Option<Signer> {
    let of_context = key.is_some();
    let key = match key {
        Some(key) => key,
        None => {
            Key { id: variable("AWS_ACCESS_KEY_ID")?, secret: SecretString::from(variable("AWS_SECRET_ACCESS_KEY")?) }
        }
    };
    Some(Signer {
        key_id: key.id,
        secret: key.secret,
        session_token: variable("AWS_SESSION_TOKEN").filter(|_| !of_context),
        region: region
            .or_else(|| variable("AWS_REGION"))
            .or_else(|| variable("AWS_DEFAULT_REGION"))
            .unwrap_or_else(|| "us-east-1".to_owned()),
        service: "states",
    })
}

impl Client {
    /// The server's address, without a slash at its end.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Calls an operation of `AWSStepFunctions` or, with its prefix, one of our own (`Reveille.ListWaitingTasks`).
    pub(super) fn call(&self, operation: &str, request: &Value) -> Result<Value, CliError> {
        let target =
            if operation.contains('.') { operation.to_owned() } else { format!("AWSStepFunctions.{operation}") };
        let body = request.to_string().into_bytes();
        let headers = [("Host", self.host.as_str()), ("Content-Type", CONTENT_TYPE), ("X-Amz-Target", target.as_str())];
        let mut call = self
            .agent
            .post(format!("{}/", self.endpoint))
            .header("Content-Type", CONTENT_TYPE)
            .header("X-Amz-Target", &target);
        if let Some(signer) = &self.signer {
            for (name, value) in signer.sign("POST", &headers, &body, SystemClock.now()) {
                call = call.header(name, value);
            }
        }
        let mut answer = call.send(&body[..]).map_err(|why| self.unreachable(&why))?;
        let status = answer.status().as_u16();
        let text = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string()
            .map_err(|why| self.unreachable(&why))?;
        let value: Value =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
        if status == 200 { Ok(value) } else { Err(refused(operation, status, &value)) }
    }

    /// All items of a listing, page by page, at most `limit`.
    pub(super) fn pages(
        &self,
        operation: &str,
        request: Value,
        items: &str,
        limit: usize,
    ) -> Result<Vec<Value>, CliError> {
        let mut all = Vec::new();
        self.each(operation, request, items, limit, |item| {
            all.push(item);
            all.len() < limit
        })?;
        Ok(all)
    }

    /// Each item of a listing, page by page, until `take` wants no more; about `expected` of them.
    pub(super) fn each(
        &self,
        operation: &str,
        mut request: Value,
        items: &str,
        expected: usize,
        mut take: impl FnMut(Value) -> bool,
    ) -> Result<(), CliError> {
        let mut seen = 0;
        loop {
            request["maxResults"] = Value::from(expected.saturating_sub(seen).clamp(1, 1_000));
            let mut answer = self.call(operation, &request)?;
            if let Some(Value::Array(page)) = answer.get_mut(items).map(Value::take) {
                for item in page {
                    seen += 1;
                    if !take(item) {
                        return Ok(());
                    }
                }
            }
            match answer.get_mut("nextToken").map(Value::take) {
                Some(token @ Value::String(_)) => request["nextToken"] = token,
                _ => return Ok(()),
            }
        }
    }

    /// Reads a page beside the API. Returns status and text.
    pub(super) fn get(&self, path: &str) -> Result<(u16, String), CliError> {
        let mut answer =
            self.agent.get(format!("{}{path}", self.endpoint)).call().map_err(|why| self.unreachable(&why))?;
        let text = answer.body_mut().read_to_string().map_err(|why| self.unreachable(&why))?;
        Ok((answer.status().as_u16(), text))
    }

    fn unreachable(&self, why: &ureq::Error) -> CliError {
        CliError::Unreachable {
            what: format!("the server at {}", self.endpoint),
            why: why.to_string(),
            hint: "is it running (reveille serve)? Another address: --endpoint, REVEILLE_ENDPOINT, or a context",
        }
    }
}

/// AWS's error, with a hint for the person.
fn refused(operation: &str, status: u16, answer: &Value) -> CliError {
    let field = |names: [&str; 2]| names.iter().find_map(|name| answer.get(*name)).and_then(Value::as_str);
    let Some(kind) = field(["__type", "code"]) else {
        return CliError::failed(format!("the server answered {operation} with status {status} and no AWS error"))
            .hint("is this a Reveille server? See --endpoint");
    };
    let kind = kind.rsplit('#').next().unwrap_or(kind);
    let message = field(["message", "Message"]).unwrap_or("without a message");
    let error = CliError::failed(format!("{kind}: {message}"));
    match kind {
        "StateMachineDoesNotExist" => error.hint("reveille machines list shows all machines"),
        "ExecutionDoesNotExist" => error.hint("reveille list shows the executions"),
        "StateMachineAlreadyExists" => error.hint("reveille machines update NAME FILE gives it another definition"),
        "StateMachineTypeNotSupported" => error.hint(
            "express executions are not listed nor kept: reveille call start-sync-execution runs one and shows its end",
        ),
        "ExecutionNotRedrivable" => error.hint("reveille describe shows its redriveStatusReason"),
        "UnknownOperationException" => error.hint("docs/API.md names the operations, as AWS does"),
        "ThrottlingException" | "ServiceUnavailable" => {
            error.hint("try again in a moment; reveille health says whether the server is ready")
        }
        "ExecutionAlreadyExists" => error.hint("choose another --name, or none"),
        "TaskTimedOut" => {
            error.hint("the task has ended: it was answered, timed out, or its execution ended; see reveille history")
        }
        "InvalidToken" => error.hint("reveille tasks shows the tokens of waiting tasks"),
        "InvalidDefinition" => error.hint("reveille validate FILE shows each problem with its line"),
        "MissingAuthenticationTokenException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "AccessDeniedException" => error.hint(
            "the server asks for a signature: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to one of its api.keys, \
             or keep one in a context",
        ),
        _ => error,
    }
}
