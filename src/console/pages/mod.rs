//! The pages: plain functions from plain values to HTML. Nothing here asks the engine.

pub mod bulk;
pub mod editor;
pub mod execution;
pub mod executions;
pub mod fork;
pub mod form;
pub mod inbox;
pub mod layout;
pub mod link;
pub mod machines;
pub mod map_run;
pub mod panel;
pub mod parked;
pub mod queues;
pub mod sign_in;
pub mod strip;
pub mod system;
pub mod timeline;

#[cfg(test)]
mod tests;
