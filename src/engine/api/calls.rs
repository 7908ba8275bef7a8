//! Tasks that call this service itself (`aws-sdk:sfn:*`). The API, which stands above the engine, answers them.

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use serde_json::Value;

use crate::engine::api::EngineHandle;
use crate::engine::execution::effects::{CallError, Calls};
use crate::integrations::sfn::Call;

impl Calls for EngineHandle {
    fn call(&self, call: Call) -> LocalBoxFuture<'static, Result<Value, CallError>> {
        match self.inner.own_api.get() {
            Some(api) => api.call(self.clone(), call),
            // A task that is owed may go out while the server still starts.
            None => ready(Err(CallError::Passing("the API has not begun yet".to_owned()))).boxed_local(),
        }
    }
}
