//! The parts that another face on the same server uses: the API's operations with the rights of its keys, and its host
//! check.

use actix_web::{HttpRequest, web};
use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::engine::Asker;
use crate::interpreter::event::By;

use super::error::ApiError;
use super::hosts::Hosts;
use super::operations::{self, Class};
use super::protocol::{self, Api};
use super::server;

/// The API of this server, for pages.
pub struct SharedApi {
    api: web::Data<Api>,
    hosts: web::Data<Hosts>,
}

impl SharedApi {
    pub(super) fn new(api: web::Data<Api>, hosts: web::Data<Hosts>) -> Self {
        Self { api, hosts }
    }

    /// Refuses a request that does not name this server, or comes from a page of another site; says why.
    pub fn check_host(&self, request: &HttpRequest) -> Result<(), String> {
        server::is_for_us(request, &self.hosts).map_err(|error| error.message)
    }

    pub fn has_keys(&self) -> bool {
        !self.api.keys().is_empty()
    }

    /// Whether this is the secret of this key. It takes the same time for each wrong secret.
    pub fn is_secret_of(&self, key: &str, secret: &str) -> bool {
        let known = self.api.keys().find(key);
        let expected = known.map_or("", |key| key.secret.expose_secret());
        let same = expected.as_bytes().ct_eq(secret.as_bytes());
        known.is_some() && bool::from(same)
    }

    /// Whether this key may call operations of this class.
    pub fn key_may(&self, key: &str, class: Class) -> bool {
        self.api.keys().find(key).is_some_and(|key| key.allow.contains(&class))
    }

    /// Calls an operation for a caller who may call those of the classes that `may` says.
    pub async fn call(
        &self,
        operation: &'static str,
        input: Map<String, Value>,
        may: impl Fn(Class) -> bool,
        by: By,
    ) -> Result<Value, ApiError> {
        let Some(operation) = operations::find(operation) else {
            return Err(ApiError::unknown_operation(400, "There is no such operation"));
        };
        let demanded = operation.demands(&input);
        if let Some(class) = [Some(operation.class), demanded].into_iter().flatten().find(|class| !may(*class)) {
            let message = format!("You are not allowed '{}' operations here.", class.as_str());
            return Err(ApiError::new("AccessDeniedException", message));
        }
        self.run(operation, input, by, may(Class::Payload)).await
    }

    /// Ends a task for the holder of an approval link, whose code the caller has checked.
    pub async fn complete_by_link(
        &self,
        operation: &'static str,
        input: Map<String, Value>,
        by: By,
    ) -> Result<Value, ApiError> {
        let found = operations::find(operation).filter(|operation| operation.class == Class::Complete);
        let Some(operation) = found else {
            return Err(ApiError::unknown_operation(400, "A link ends tasks and does nothing else"));
        };
        self.run(operation, input, by, false).await
    }

    async fn run(
        &self,
        operation: &'static operations::Operation,
        input: Map<String, Value>,
        by: By,
        payloads: bool,
    ) -> Result<Value, ApiError> {
        let asker = (Asker { by: Some(by), trace: None }, payloads);
        protocol::answer(self.api.context(), operation, input, asker, Uuid::new_v4()).await
    }
}
