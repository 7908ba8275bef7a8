//! Signature Version 4, the signing side: for servers that ask for it (`api.keys`).

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;

/// Credentials, and the scope of the signature.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    pub key_id: String,
    pub secret: SecretString,
    /// Of temporary credentials.
    pub session_token: Option<String>,
    pub region: String,
    pub service: &'static str,
}

impl Signer {
    /// The headers to add: `Authorization`, `X-Amz-Date`, and the session token where there is one. `headers` are
    /// signed too; `host` must be among them. The path is `/`, without a query.
    pub(super) fn sign(
        &self,
        method: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        at: Timestamp,
    ) -> Vec<(&'static str, String)> {
        let moment = at.to_jiff().strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = &moment[..8];
        let mut signed: Vec<(String, String)> =
            headers.iter().map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
        signed.push(("x-amz-date".to_owned(), moment.clone()));
        if let Some(token) = &self.session_token {
            signed.push(("x-amz-security-token".to_owned(), token.clone()));
        }
        signed.sort();
        let names = signed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
        let lines: String =
            signed.iter().flat_map(|(name, value)| [name, ":", value, "\n"].map(str::to_owned)).collect();
        let request = format!("{method}\n/\n\n{lines}\n{names}\n{}", sha256(body));
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let to_sign = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{}", sha256(request.as_bytes()));
        let mut key = hmac(format!("AWS4{}", self.secret.expose_secret()).as_bytes(), day.as_bytes());
        for part in [self.region.as_str(), self.service, "aws4_request"] {
            key = hmac(&key, part.as_bytes());
        }
        let signature = hex::encode(hmac(&key, to_sign.as_bytes()));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.key_id
        );
        let mut added = vec![("Authorization", authorization), ("X-Amz-Date", moment)];
        added.extend(self.session_token.clone().map(|token| ("X-Amz-Security-Token", token)));
        added
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length: this never is an error.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(data).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signatures_of_awss_test_suite_come_out() {
        let signer = Signer {
            key_id: "AKIDEXAMPLE".to_owned(),
            secret: SecretString::from("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session_token: None,
            region: "us-east-1".to_owned(),
            service: "service",
        };
        let at = Timestamp::parse_iso("2015-08-30T12:36:00Z").unwrap();
        for (method, signature) in [
            ("GET", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            ("POST", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ] {
            let added = signer.sign(method, &[("Host", "example.amazonaws.com")], b"", at);
            assert_eq!(
                added[0].1,
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                     SignedHeaders=host;x-amz-date, Signature={signature}"
                )
            );
        }
        assert!(!format!("{signer:?}").contains("wJalr"));
    }
}
