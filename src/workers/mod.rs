//! Workers that come with the engine. They know what any worker knows: a message, where its answer goes, and the token
//! to send back. May enter: the port `bus`, `limits`; never the engine.

pub mod http;
