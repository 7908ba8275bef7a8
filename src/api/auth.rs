//! Who may ask for what. Without access keys everybody may ask for everything.

use secrecy::ExposeSecret;

use crate::clock::Timestamp;
use crate::ids::Realm;

use super::error::ApiError;
use super::operations::Operation;
use super::options::AccessKey;
use super::sigv4::Signed;

/// The access keys of this server.
#[derive(Debug, Default)]
pub struct Keys(Vec<AccessKey>);

impl Keys {
    pub fn new(keys: Vec<AccessKey>) -> Self {
        Self(keys)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lets the request through, or says why not. Call only where there are keys.
    pub fn authorize(
        &self,
        request: &Signed<'_>,
        operation: &Operation,
        realm: &Realm,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let authorization = request.authorization()?;
        let Some(key) = self.0.iter().find(|key| key.id == authorization.access_key) else {
            return Err(ApiError::new(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            ));
        };
        request.verify(&authorization, key.secret.expose_secret(), now)?;
        if key.allow.contains(&operation.class) {
            return Ok(());
        }
        let message = format!(
            "User: arn:aws:iam::{}:user/{} is not authorized to perform: states:{} because its access key does not allow '{}' operations",
            realm.account,
            key.id,
            operation.name,
            operation.class.as_str()
        );
        Err(ApiError::new("AccessDeniedException", message))
    }
}
