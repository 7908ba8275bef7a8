//! What faces may ask of the engine: [`EngineHandle`]. No rule stands here.

mod activities;
mod calls;
mod express;
mod handle;
pub(in crate::engine) mod health;
mod history;
mod redrivable;
mod unserved;

pub use handle::EngineHandle;
