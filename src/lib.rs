//! Reveille: a durable workflow orchestrator. Amazon States Language on RabbitMQ.

pub mod api;
pub mod app;
pub mod asl;
pub mod bus;
pub mod cli;
pub mod clock;
pub mod config;
pub mod engine;
pub mod ids;
pub mod integrations;
pub mod interpreter;
pub mod limits;
pub mod query;
pub mod store;
pub mod telemetry;
pub mod token;
