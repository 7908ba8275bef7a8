//! The worker of HTTP Tasks in this process: on a thread of its own, over the bus; and for `TestState` beside it.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::{AppError, Io};
use crate::bus::{QueueKind, TaskBus};
use crate::config::Settings;
use crate::engine::http_tasks::{Exchanged, HttpTasks, SeenCall};
use crate::interpreter::event::{Failure, Payload};
use crate::workers::http::{self, Failed, HttpClient, Shown, Traced};

/// The client, and the thread that it works on.
pub(super) struct HttpRoom {
    client: HttpClient,
    runtime: Io,
    inside: tokio::runtime::Handle,
}

impl HttpRoom {
    pub(super) fn open(settings: &Settings) -> Result<Self, AppError> {
        let options = settings.http.worker_options(&settings.connections, settings.engine.region());
        let client = HttpClient::new(options).map_err(AppError::Http)?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("http").enable_all().build()?;
        let inside = runtime.handle().clone();
        Ok(Self { client, runtime: Io(Some(runtime)), inside })
    }

    pub(super) fn direct(&self) -> Arc<dyn HttpTasks> {
        Arc::new(Direct { client: self.client.clone(), inside: self.inside.clone() })
    }

    /// Takes tasks until the bus closes.
    pub(super) fn work(&self, bus: Arc<dyn TaskBus>, kind: QueueKind) {
        self.inside.spawn(http::run(bus, self.client.clone(), kind));
    }

    pub(super) fn into_runtime(self) -> Io {
        self.runtime
    }
}

#[derive(Debug)]
struct Direct {
    client: HttpClient,
    inside: tokio::runtime::Handle,
}

impl HttpTasks for Direct {
    fn call(&self, parameters: Value, reveal: bool) -> BoxFuture<'static, SeenCall> {
        let client = self.client.clone();
        let calling = self.inside.spawn(async move { client.call(&parameters, reveal).await });
        async move {
            let Ok(Traced { outcome, request, response }) = calling.await else {
                let result = Err(Failure::new("States.Http.Socket", "the server stops"));
                return SeenCall { result, request: None, response: None };
            };
            let result = outcome.map(Payload::new).map_err(|Failed { error, cause }| Failure::new(error, cause));
            SeenCall { result, request: request.map(exchanged), response: response.map(exchanged) }
        }
        .boxed()
    }
}

fn exchanged(seen: Shown) -> Exchanged {
    let Shown { protocol, line, headers, body } = seen;
    Exchanged { protocol, line, headers, body }
}
