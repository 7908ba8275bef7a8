//! Executions that wait for executions: children of tasks, and map runs.

pub(in crate::engine) mod children;
pub(in crate::engine) mod map_run;
