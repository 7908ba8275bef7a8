//! Tests of the engine as a whole, over ports in memory.

mod activities;
mod admission;
mod bounds;
mod children;
mod clock;
mod express;
mod gated;
mod health;
mod nodes;
mod partition_life;
mod recovery;
mod router;
mod waits;
mod watched;
