//! `[telemetry]`: where traces go.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::telemetry::OtlpOptions;
use crate::trace::Sampling;

#[derive(Debug, Clone, Deserialize)]
pub struct TelemetryOptions {
    #[serde(rename = "otlp.endpoint")]
    endpoint: String,
    #[serde(rename = "otlp.headers")]
    headers: SecretString,
    #[serde(rename = "otlp.sampling")]
    sampling: f64,
    #[serde(rename = "otlp.service")]
    service: String,
}

impl TelemetryOptions {
    /// The collector; `None`: nothing is traced.
    ///
    /// # Errors
    /// The name of the wrong key, and the allowed values.
    pub fn otlp(&self) -> Result<Option<OtlpOptions>, (&'static str, String)> {
        if self.endpoint.is_empty() {
            return Ok(None);
        }
        let host = self.endpoint.strip_prefix("http://").or_else(|| self.endpoint.strip_prefix("https://"));
        if host.is_none_or(|host| host.is_empty() || host.contains(['@', '?', '#', ' '])) {
            let shown = super::keys::shown(&self.endpoint);
            let why = format!(
                "is {shown}; allowed: the URL of a collector, such as http://localhost:4318, without a user, a query \
                 or spaces (a password goes into telemetry.otlp.headers)"
            );
            return Err(("telemetry.otlp.endpoint", why));
        }
        let header = |entry: String| {
            let (name, value) = entry.split_once('=').map(|(name, value)| (name.trim(), value.trim()))?;
            let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            let is_value = value.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b));
            (is_name && is_value).then(|| (name.to_ascii_lowercase(), SecretString::from(value)))
        };
        let entries = super::names(self.headers.expose_secret());
        let headers: Option<Vec<_>> = entries.into_iter().map(header).collect();
        let unfit = || "is no list of NAME=VALUE; allowed: headers of a request, separated by commas".to_owned();
        Ok(Some(OtlpOptions {
            endpoint: self.endpoint.clone(),
            headers: headers.ok_or_else(|| ("telemetry.otlp.headers", unfit()))?,
            sampling: Sampling(self.sampling),
            service: self.service.clone(),
        }))
    }
}
