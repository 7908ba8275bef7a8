//! THE API: Step Functions' operations over AWS JSON 1.0, so that the AWS CLI, SDKs and tools drive this engine by
//! changing their endpoint.
//!
//! ```text
//! HTTP ─ server.rs ─▶ hosts.rs: is the host ours, is the sender no page of another site
//!                     protocol.rs: the operation, the caller (auth.rs, sigv4.rs), the body (bodies.rs) as JSON
//!                     validate.rs: the input against AWS's model (model.rs, model.json)
//!                     operations/<one file per operation>.rs ─▶ EngineHandle, Catalog, Journal (reads)
//! reveille.start ─ start_queue.rs ─▶ the same as StartExecution
//! aws-sdk:sfn:* ─ task_calls.rs ─▶ the same operations, for tasks
//!                     error.rs: errors in AWS's words          history.rs: journal entries as AWS's history events
//! ```
//!
//! May enter: `engine` (its handle), the ports' rows (`store`), `interpreter::event` for the history, `asl` to check
//! definitions, and below. Never: an adapter, a stimulus. Tokens, inputs and outputs are never logged, nor repeated in
//! errors.

mod arn;
mod auth;
mod bodies;
pub mod bulk;
#[cfg(test)]
mod catalog_tests;
pub mod claims;
mod configuration;
mod connections;
mod context;
mod definition;
#[cfg(test)]
mod engine_tests;
pub mod error;
mod faces;
pub mod forms;
mod front;
#[cfg(test)]
mod fuzz;
pub mod history;
mod hosts;
#[cfg(test)]
mod kinds_tests;
pub mod links;
mod machines;
mod map_runs;
pub mod matches;
pub mod model;
pub mod operations;
mod options;
mod page;
pub mod protocol;
mod references;
mod routes;
pub mod search;
mod server;
pub mod sign_in;
mod sigv4;
pub mod start_queue;
#[cfg(test)]
mod start_queue_tests;
mod tags;
mod task_calls;
#[cfg(test)]
mod task_calls_tests;
#[cfg(test)]
mod test_state_tests;
mod tls;
mod validate;
mod waiting;
mod wire;

pub use self::configuration::Kms;
pub use self::faces::SharedApi;
pub use self::operations::Class;
pub use self::options::{AccessKey, Options};
pub use self::server::{BindError, Server, ServerHandle};
pub use self::task_calls::TaskCalls;
pub use self::tls::Files as TlsFiles;
pub use self::waiting::Waiting;
