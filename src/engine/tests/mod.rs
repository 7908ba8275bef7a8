//! Tests of the engine as a whole, over ports in memory.

mod activities;
mod bounds;
mod children;
mod clock;
mod express;
mod health;
mod pressure;
mod recovery;
mod router;
