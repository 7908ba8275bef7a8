//! Reveille from the outside: `reveille serve` as a process of its own, real workers, a real broker, real clients.
//!
//! Each test has a server on a free port with a store of its own, and a virtual host of its own on the broker of the
//! run (`REVEILLE_TEST_AMQP_URL`, `REVEILLE_TEST_BROKER_DIR`; `make test` sets both). Tests that disturb a broker start
//! one of their own. Without a broker the tests that need one say that they are skipped; so do those over PostgreSQL
//! without `REVEILLE_TEST_POSTGRES_URL`.

#![expect(clippy::unwrap_used, reason = "the place where a test stops names the fault")]

mod activities;
mod api;
mod approval;
mod art_event;
mod backlog;
mod backup;
mod broken;
mod check;
mod cluster;
mod command_line;
mod contract;
mod counted;
mod events;
mod express_nodes;
mod forks;
mod frameworks;
mod http;
mod load;
mod metrics;
mod mixed_versions;
mod objects;
mod parked;
mod parking;
mod postgres;
mod pressure;
mod quarantine;
mod queues;
mod refused;
mod replay;
mod secrets;
mod starting;
mod stopping;
mod store_away;
mod store_copy;
mod support;
mod takeover;
mod tells;
mod traces;
mod unreadable;
mod worker;
