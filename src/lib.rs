//! Reveille: a durable workflow orchestrator. It runs Amazon States Language state machines on RabbitMQ: each execution
//! is an actor that publishes a task with a *task token*, sleeps, and wakes when a reply carrying that token comes
//! back.
//!
//! # The rooms, from the top down (imports run downward only)
//!
//! | room | purpose |
//! |---|---|
//! | [`cli`] | one file per subcommand; arguments in, words out |
//! | [`app`] | the composition root: the only place that names adapters |
//! | [`api`] | the AWS Step Functions API: AWS JSON 1.0 over HTTP, one file per operation |
//! | [`engine`] | the shell: actors around the core; [`engine::EngineHandle`] is its only face |
//! | [`store`] | port: where the truth is kept (SQLite, PostgreSQL, memory) |
//! | [`bus`] | port: tasks out and replies in (RabbitMQ, in this process) |
//! | [`integrations`] | what a resource ARN publishes, and how its answer becomes a result; pure |
//! | [`workers`] | workers that come with the engine: HTTP Tasks |
//! | [`telemetry`], [`config`] | logs, metrics and traces; settings |
//! | [`spans`], [`trace`] | spans of an execution, folded from its journal; pure |
//! | [`interpreter`] | THE CORE, pure: `decide(machine, state, stimulus) → events + commands`, `evolve`, `owed` |
//! | [`asl`] | the language: text → model, diagnostics with line, column and JSON pointer; pure |
//! | [`query`] | JSONPath, intrinsic functions, payload templates, JSONata; pure |
//! | [`ids`], [`limits`], [`token`], [`clock`] | newtypes, every bound with its reason, signed tokens, time |
//! | [`payload`], [`memory`] | JSON values with their text; what the allocator gives back |
//!
//! # The way of one callback
//!
//! `StartExecution` → [`engine::EngineHandle::start_execution`] → the execution's partition → its actor: `decide` gives
//! `ExecutionStarted`, `TaskStateEntered`, `TaskScheduled`, `TaskStarted`; one append makes them durable; only then the
//! task is published with its token, and the caller answered. The actor waits in its mailbox, and leaves memory after a
//! while.
//!
//! The worker's reply arrives in the partition's reply queue → the token is verified → the actor is found, or revived
//! from its journal → `decide` gives `TaskSubmitted`, `TaskSucceeded`, ... → one append → the delivery is acknowledged,
//! and only then.
//!
//! After a crash: fold the journal ([`interpreter::state::State::evolve`], the same code as live), then perform the
//! commands of [`interpreter::owed`].
//!
//! # Where to start reading
//!
//! `interpreter/decide.rs` (the decisions of an execution), `interpreter/state/mod.rs` (its state),
//! `engine/execution/actor.rs` (how that becomes durable), `engine/delivery/replies.rs` (how a reply finds it), then
//! `docs/ARCHITECTURE.md`.

pub use reveille_core::{
    asl, clock, csv, forms, graph, ids, interpreter, limits, payload, query, record, replay, spans, trace,
};

pub mod api;
pub mod app;
pub mod bus;
pub mod cli;
pub mod config;
pub mod console;
pub mod engine;
pub mod integrations;
pub mod memory;
pub mod objects;
pub mod store;
pub mod telemetry;
pub mod token;
pub mod workers;
