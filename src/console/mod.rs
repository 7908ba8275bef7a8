//! THE CONSOLE: pages for people, on the API's server below `/console`.
//!
//! ```text
//! HTTP ─ serve.rs ─▶ guard.rs: host, origin, session; headers of every answer
//!                    read/*.rs: rows and journals, as values ─▶ pages/*.rs: HTML from values alone
//!                    act.rs: a form as an operation of the API, with the rights of the caller
//!        live.rs: which topics changed (engine's feed) ─▶ assets/live.js asks for its page again
//! shown.rs: pages that several people look at, made once
//! link.rs: the page of an approval link, at `/a`    answers.rs: who answered lately
//! story.rs: a journal as stays in states    infer.rs: answers that a definition expects
//! ```
//!
//! May enter: `api` (its operations, keys and host check), `engine`, the ports' rows (`store`), `graph`, and the core's
//! words below. Never: an adapter, a stimulus. A token is never in a page or an address.

mod act;
mod answers;
mod assets;
mod call;
mod diff;
mod guard;
mod gzip;
mod infer;
mod link;
mod live;
mod pages;
mod proxy;
mod read;
mod serve;
mod sessions;
mod shown;
mod story;
mod task_forms;
mod words;

pub use self::proxy::Options;
pub use self::serve::Console;
