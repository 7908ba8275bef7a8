//! From the broker to an execution, and the verdict back.

pub(in crate::engine) mod dead_letters;
mod lines;
pub(in crate::engine) mod parking;
pub(in crate::engine) mod replies;
pub(in crate::engine) mod start_queue;

pub(in crate::engine) use lines::Lines;
