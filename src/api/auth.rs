//! Access keys and their rights. Without access keys any caller may call any operation.

use secrecy::ExposeSecret;

use crate::clock::Timestamp;
use crate::ids::Realm;
use crate::interpreter::event::By;

use super::error::ApiError;
use super::operations::{Class, Operation};
use super::options::AccessKey;
use super::sigv4::{Authorization, Signed};

/// The access keys of this server.
#[derive(Debug, Default)]
pub struct Keys(Vec<AccessKey>);

impl Keys {
    pub fn new(keys: Vec<AccessKey>) -> Self {
        Self(keys)
    }

    pub fn find(&self, id: &str) -> Option<&AccessKey> {
        self.0.iter().find(|key| key.id == id)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the claimed sender from the head of a request: the key must be known, and the signature current and for
    /// this server (and its region, where it is given). [`Claim::prove`] verifies it. Call only where there are keys.
    pub fn claim<'k, 'r>(
        &'k self,
        request: &Signed<'r>,
        region: Option<&str>,
        now: Timestamp,
    ) -> Result<Claim<'k, 'r>, ApiError> {
        let authorization = request.authorization()?;
        let Some(key) = self.find(authorization.access_key) else {
            return Err(ApiError::new(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            ));
        };
        request.check(&authorization, region, now)?;
        Ok(Claim { authorization, key })
    }
}

/// The claimed sender of a request.
#[derive(Debug)]
pub struct Claim<'k, 'r> {
    authorization: Authorization<'r>,
    key: &'k AccessKey,
}

impl<'k> Claim<'k, '_> {
    /// The caller, if the signature over head and body was made with its key.
    pub fn prove(&self, request: &Signed<'_>, body: &[u8]) -> Result<Caller<'k>, ApiError> {
        request.verify(&self.authorization, self.key.secret.expose_secret(), body)?;
        Ok(Caller(self.key))
    }
}

/// The verified caller.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a>(&'a AccessKey);

impl Caller<'_> {
    /// As the journal names him.
    pub fn by(self) -> By {
        By::Key(self.0.id.as_str().into())
    }

    /// Whether he may see inputs and outputs.
    pub fn sees_payloads(self) -> bool {
        self.0.allow.contains(&Class::Payload)
    }

    /// Checks that this key may call this operation as one of class `class`.
    pub fn may(self, operation: &Operation, class: Class, realm: &Realm) -> Result<(), ApiError> {
        if self.0.allow.contains(&class) {
            return Ok(());
        }
        let why = if class == operation.class { "" } else { operation.why_demanded() };
        let message = format!(
            "User: arn:aws:iam::{}:user/{} is not authorized to perform: states:{} because its access key does not \
             allow '{}' operations{why}",
            realm.account,
            self.0.id,
            operation.name,
            class.as_str()
        );
        Err(ApiError::new("AccessDeniedException", message))
    }
}
