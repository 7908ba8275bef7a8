//! Signature V4: verifies the signatures of AWS's clients. Pure: the request as text, the key, the time.
//!
//! Source: "Create a signed AWS API request", AWS General Reference. Canonical request → string to sign → HMAC chain →
//! compare.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::clock::Timestamp;

use super::error::ApiError;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "states";
/// The header with the client's digest of the body.
const CONTENT_SHA256: &str = "x-amz-content-sha256";
/// AWS: the greatest difference between the clocks.
const SKEW_SECONDS: f64 = 300.0;

/// The head of a request as it was signed. Header names in lower case, in the order of arrival.
pub struct Signed<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
}

/// The `Authorization` header, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Authorization<'a> {
    pub access_key: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

fn incomplete(message: &str) -> ApiError {
    ApiError::new("IncompleteSignatureException", message)
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidSignatureException", message)
}

impl<'a> Signed<'a> {
    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }

    /// The `Authorization` header of the request.
    pub fn authorization(&self) -> Result<Authorization<'a>, ApiError> {
        let Some(header) = self.header("authorization") else {
            return Err(ApiError::new("MissingAuthenticationTokenException", "Missing Authentication Token"));
        };
        let Some(fields) = header.strip_prefix(ALGORITHM).and_then(|rest| rest.strip_prefix(' ')) else {
            return Err(incomplete(
                "Unsupported AWS 'algorithm' in the Authorization header: only AWS4-HMAC-SHA256 is supported",
            ));
        };
        let field = |name: &str| {
            fields
                .split(',')
                .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
                .filter(|value| !value.is_empty())
        };
        let required = |name: &str| {
            field(name).ok_or_else(|| incomplete(&format!("Authorization header requires '{name}' parameter.")))
        };
        let credential = required("Credential")?;
        let parts: Vec<&str> = credential.split('/').collect();
        let [access_key, date, region, service, "aws4_request"] = parts[..] else {
            return Err(incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term",
            ));
        };
        Ok(Authorization {
            access_key,
            date,
            region,
            service,
            signed_headers: required("SignedHeaders")?,
            signature: required("Signature")?,
        })
    }

    fn time(&self) -> Result<&'a str, ApiError> {
        self.header("x-amz-date")
            .ok_or_else(|| incomplete("Authorization header requires existence of an 'X-Amz-Date' header."))
    }

    /// Checks everything that needs no body: the signature is current, is for this service and region, and covers every
    /// header that matters.
    pub fn check(
        &self,
        authorization: &Authorization<'_>,
        region: Option<&str>,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let time = self.time()?;
        check_time(time, now)?;
        if time.split_once('T').is_none_or(|(day, _)| day != authorization.date) {
            return Err(invalid(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP",
            ));
        }
        if let Some(region) = region
            && authorization.region != region
        {
            return Err(invalid(format!(
                "Credential should be scoped to a valid region: this server's is '{region}' (its setting \
                 engine.region), the request was signed for '{}'.",
                authorization.region.escape_debug()
            )));
        }
        if authorization.service != SERVICE {
            return Err(invalid(format!("Credential should be scoped to correct service: '{SERVICE}'.")));
        }
        self.check_signed_headers(authorization)
    }

    /// Verifies that this request was signed with this secret over this body.
    pub fn verify(&self, authorization: &Authorization<'_>, secret: &str, body: &[u8]) -> Result<(), ApiError> {
        let time = self.time()?;
        let digest = hex::encode(Sha256::digest(body));
        if self.header(CONTENT_SHA256).is_some_and(|said| said != digest) {
            return Err(invalid(format!("The value of '{CONTENT_SHA256}' is not the SHA-256 of the body that came.")));
        }
        let scope = format!("{}/{}/{}/aws4_request", authorization.date, authorization.region, authorization.service);
        let hashed = hex::encode(Sha256::digest(self.canonical(authorization.signed_headers, &digest)));
        let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{hashed}");
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in [authorization.date, authorization.region, authorization.service, "aws4_request"] {
            key = hmac(&key, part);
        }
        let expected = hex::encode(hmac(&key, &to_sign));
        if bool::from(expected.as_bytes().ct_eq(authorization.signature.as_bytes())) {
            return Ok(());
        }
        Err(invalid(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.",
        ))
    }

    /// Checks that `Host` and all `x-amz-` headers are signed, so that a signature is not valid for another operation.
    fn check_signed_headers(&self, authorization: &Authorization<'_>) -> Result<(), ApiError> {
        let signed = |name: &str| authorization.signed_headers.split(';').any(|s| s == name);
        let own = self.headers.iter().map(|(name, _)| *name).filter(|name| name.starts_with("x-amz-"));
        match std::iter::once("host").chain(own).find(|name| !signed(name)) {
            Some(name) => Err(invalid(format!("'{name}' must be a 'SignedHeader' in the AWS Authorization."))),
            None => Ok(()),
        }
    }

    fn canonical(&self, signed_headers: &str, digest: &str) -> String {
        let mut text = String::with_capacity(512);
        let mut query: Vec<&str> = self.query.split('&').filter(|pair| !pair.is_empty()).collect();
        query.sort_unstable();
        let path = if self.path.is_empty() { "/" } else { self.path };
        let _ = write!(text, "{}\n{path}\n{}\n", self.method, query.join("&"));
        for name in signed_headers.split(';') {
            let values: Vec<String> =
                self.headers.iter().filter(|(n, _)| *n == name).map(|(_, value)| squeezed(value)).collect();
            let _ = writeln!(text, "{name}:{}", values.join(","));
        }
        let _ = write!(text, "\n{signed_headers}\n{digest}");
        text
    }
}

/// The value without white space at its ends, and with each run of white space as one space.
fn squeezed(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn hmac(key: &[u8], data: &str) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { unreachable!("HMAC takes keys of every length") };
    mac.update(data.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// `20231114T221320Z`.
fn parse_time(text: &str) -> Option<Timestamp> {
    if text.len() != "20231114T221320Z".len() {
        return None;
    }
    let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
}

fn show_time(at: Timestamp) -> String {
    at.to_jiff().strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn check_time(text: &str, now: Timestamp) -> Result<(), ApiError> {
    let Some(signed) = parse_time(text) else {
        return Err(incomplete("Date must be in ISO-8601 'basic format', e.g. 20231114T221320Z"));
    };
    let (earliest, latest) = (now.plus_seconds(-SKEW_SECONDS), now.plus_seconds(SKEW_SECONDS));
    if signed < earliest {
        let (earliest, now) = (show_time(earliest), show_time(now));
        return Err(invalid(format!("Signature expired: {text} is now earlier than {earliest} ({now} - 5 min.)")));
    }
    if signed > latest {
        let (latest, now) = (show_time(latest), show_time(now));
        return Err(invalid(format!(
            "Signature not yet current: {text} is still later than {latest} ({now} + 5 min.)"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// A request that botocore signed: `scripts/sigv4-vectors.py`.
    #[derive(Deserialize)]
    struct Vector {
        secret: String,
        access_key: String,
        time: String,
        headers: Vec<(String, String)>,
        body: String,
    }

    fn vectors() -> Vec<Vector> {
        serde_json::from_str(include_str!("sigv4_vectors.json")).unwrap()
    }

    fn verdict(vector: &Vector, seconds_later: f64) -> Result<(), ApiError> {
        let headers: Vec<(&str, &str)> = vector.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let signed = Signed { method: "POST", path: "/", query: "", headers: &headers };
        let authorization = signed.authorization()?;
        assert_eq!(authorization.access_key, vector.access_key);
        let now = parse_time(&vector.time).unwrap().plus_seconds(seconds_later);
        signed.check(&authorization, Some("us-east-1"), now)?;
        signed.verify(&authorization, &vector.secret, vector.body.as_bytes())
    }

    /// Verifies a request that the test signs itself, with any scope and headers.
    fn made(scope: &str, time: &str, more: &[(&str, &str)], body: &[u8]) -> Result<(), ApiError> {
        let names: Vec<&str> = ["host", "x-amz-date"].into_iter().chain(more.iter().map(|(n, _)| *n)).collect();
        let head = format!("{ALGORITHM} Credential=AK/{scope}/states/aws4_request, SignedHeaders={}", names.join(";"));
        let mut headers = vec![("host", "h"), ("x-amz-date", time)];
        headers.extend_from_slice(more);
        let unsigned = Signed { method: "POST", path: "/", query: "", headers: &headers };
        let digest = hex::encode(Sha256::digest(body));
        let hashed = hex::encode(Sha256::digest(unsigned.canonical(&names.join(";"), &digest)));
        let to_sign = format!("{ALGORITHM}\n{time}\n{scope}/states/aws4_request\n{hashed}");
        let parts = scope.split('/').chain(["states", "aws4_request"]);
        let key = parts.fold(b"AWS4secret".to_vec(), |key, part| hmac(&key, part));
        let whole = format!("{head}, Signature={}", hex::encode(hmac(&key, &to_sign)));
        headers.push(("authorization", &whole));
        let signed = Signed { method: "POST", path: "/", query: "", headers: &headers };
        let authorization = signed.authorization()?;
        signed.check(&authorization, Some("us-east-1"), parse_time("20231114T221320Z").unwrap())?;
        signed.verify(&authorization, "secret", body)
    }

    #[test]
    fn a_scope_is_the_day_of_the_date_and_the_region_of_the_server() {
        let time = "20231114T221320Z";
        assert_eq!(made("20231114/us-east-1", time, &[], b"{}"), Ok(()));
        for day in ["", "2", "2023", "20231113", "20231114T", "20231114T221320Z", "202311140"] {
            let refused = made(&format!("{day}/us-east-1"), time, &[], b"{}").unwrap_err().to_string();
            assert!(refused.contains("Date in Credential scope does not match"), "{day}: {refused}");
        }
        for region in ["", "us-east-2", "us-east", "us-east-1 ", "US-EAST-1"] {
            let refused = made(&format!("20231114/{region}"), time, &[], b"{}").unwrap_err().to_string();
            assert!(refused.contains("this server's is 'us-east-1'") && refused.contains(&format!("for '{region}'")));
        }
        for time in ["2023114T221320Z", "20231114T22132Z", "20231114T221320", " 20231114T221320Z", "20231114t221320Z"] {
            assert_eq!(made("20231114/us-east-1", time, &[], b"{}").unwrap_err().kind, "IncompleteSignatureException");
        }
    }

    #[test]
    fn what_is_said_of_the_body_is_held_against_it() {
        let made = |said: &str| made("20231114/us-east-1", "20231114T221320Z", &[(CONTENT_SHA256, said)], b"{}");
        assert_eq!(made(&hex::encode(Sha256::digest(b"{}"))), Ok(()));
        let other = hex::encode(Sha256::digest(b"{ }"));
        for said in [other.as_str(), "UNSIGNED-PAYLOAD", "", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"] {
            assert!(made(said).unwrap_err().message.contains(CONTENT_SHA256), "{said}");
        }
    }

    #[test]
    fn what_botocore_signs_is_accepted() {
        let vectors = vectors();
        assert!(vectors.len() >= 4);
        for vector in &vectors {
            verdict(vector, 0.0).unwrap();
            verdict(vector, 299.0).unwrap();
            verdict(vector, -299.0).unwrap();
        }
    }

    #[test]
    fn what_was_changed_after_signing_is_refused() {
        let change: [fn(&mut Vector); 5] = [
            |v| v.body.push(' '),
            |v| v.secret.push('x'),
            |v| v.headers.iter_mut().filter(|(n, _)| n == "x-amz-target").for_each(|(_, v)| v.push('x')),
            |v| v.headers.iter_mut().filter(|(n, _)| n == "host").for_each(|(_, v)| v.push('x')),
            |v| {
                v.headers
                    .iter_mut()
                    .filter(|(n, _)| n == "authorization")
                    .for_each(|(_, v)| *v = v.replace("us-east-1", "eu-west-1"));
            },
        ];
        for change in change {
            for mut vector in vectors() {
                let before = (vector.body.clone(), vector.secret.clone(), vector.headers.clone());
                change(&mut vector);
                if before == (vector.body.clone(), vector.secret.clone(), vector.headers.clone()) {
                    continue;
                }
                let refused = verdict(&vector, 0.0).unwrap_err();
                assert_eq!(refused.kind, "InvalidSignatureException");
                let expected = ["The request signature we calculated does not match", "Credential should be scoped"];
                assert!(expected.iter().any(|begin| refused.message.starts_with(begin)), "{refused}");
            }
        }
    }

    #[test]
    fn clocks_may_differ_by_five_minutes() {
        let vector = &vectors()[0];
        let late = verdict(vector, 301.0).unwrap_err().to_string();
        assert!(
            late.starts_with(&format!(
                "InvalidSignatureException: Signature expired: {} is now earlier than ",
                vector.time
            )),
            "{late}"
        );
        let early = verdict(vector, -301.0).unwrap_err().to_string();
        assert!(early.contains("Signature not yet current"), "{early}");
    }

    #[test]
    fn a_header_that_is_not_a_signature_says_what_it_lacks() {
        let verdict = |authorization: Option<&str>| {
            let headers: Vec<(&str, &str)> = authorization.iter().map(|a| ("authorization", *a)).collect();
            let signed = Signed { method: "POST", path: "/", query: "", headers: &headers };
            signed.authorization().map(|_| ()).unwrap_err().to_string()
        };
        let scope = "Credential=a/20230101/r/states/aws4_request";
        let table = [
            (None, "MissingAuthenticationTokenException: Missing Authentication Token"),
            (Some("Basic abc"), "IncompleteSignatureException: Unsupported AWS 'algorithm'"),
            (
                Some("AWS4-HMAC-SHA256 Signature=a"),
                "IncompleteSignatureException: Authorization header requires 'Credential'",
            ),
            (Some("AWS4-HMAC-SHA256 Credential=a/b"), "IncompleteSignatureException: Credential must have exactly 5"),
        ];
        for (header, expected) in table {
            assert!(verdict(header).starts_with(expected), "{:?}", verdict(header));
        }
        assert!(verdict(Some(&format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host"))).contains("'Signature'"));
    }

    #[test]
    fn a_header_of_awss_own_must_be_signed() {
        let mut vector = vectors().swap_remove(0);
        vector.headers.push(("x-amz-extra".into(), "1".into()));
        assert_eq!(
            verdict(&vector, 0.0).unwrap_err().message,
            "'x-amz-extra' must be a 'SignedHeader' in the AWS Authorization."
        );
    }
}
