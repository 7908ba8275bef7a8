//! Workers that come with the engine. They know what any worker knows: a message, where its answer goes, and the token
//! to send back. May enter: the port `bus`, `clock`, `ids`, `limits`; never the engine.

pub mod check;
pub mod http;
pub mod relay;
