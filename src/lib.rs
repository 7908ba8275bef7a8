//! Reveille: a durable workflow orchestrator. Amazon States Language on RabbitMQ.

pub mod clock;
pub mod query;
