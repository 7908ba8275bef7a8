//! The pages: plain functions from plain values to HTML. Nothing here asks the engine.

pub mod execution;
pub mod executions;
pub mod fork;
pub mod form;
pub mod inbox;
pub mod layout;
pub mod link;
pub mod machines;
pub mod panel;
pub mod queues;
pub mod sign_in;
pub mod timeline;

#[cfg(test)]
mod tests;
