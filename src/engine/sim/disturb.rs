//! Disturbances of a life: clock jumps, stops, redrives at any moment.

use std::sync::Arc;

use crate::engine::api::EngineHandle;
use crate::ids::Realm;
use crate::interpreter::event::Failure;

use super::rng::Rng;
use super::workers::Crew;
use super::world::World;
use super::{Client, machines};

/// By how much the clock jumps.
fn jump(rng: &mut Rng) -> i64 {
    let most = [10_000, 600_000, 3_600_000, 2 * 86_400_000][usize::try_from(rng.below(4)).unwrap()];
    i64::try_from(rng.below(2 * most)).unwrap() - i64::try_from(most).unwrap()
}

/// Plans them.
pub(super) fn disturb(world: &Arc<World>, crew: &Crew, clients: &[Client], realm: &Realm) {
    let mut inner = world.lock();
    let (rough, jumps) = (inner.faults.rough, inner.faults.jumps);
    for _ in 0..inner.rng.below(jumps + 1) {
        // Mostly while much happens; now and then in a long rest.
        let within = [10_000, 60_000, 400_000, 40 * 86_400_000][usize::try_from(inner.rng.below(4)).unwrap()];
        let (after, taken_back) = (inner.rng.below(within), inner.rng.chance(50));
        let (by, lasts) = (jump(&mut inner.rng), 1 + inner.rng.below(60_000));
        let world = Arc::clone(world);
        actix_rt::spawn(async move {
            world.pass(after).await;
            world.lock().step_clock(by);
            if taken_back {
                world.pass(lasts).await;
                world.lock().step_clock(-by);
            }
        });
    }
    for client in clients {
        let arn = realm.execution(machines::MACHINE, &client.name);
        if inner.rng.chance(rough) {
            let after = inner.rng.below(200_000);
            let (world, crew, arn) = (Arc::clone(world), crew.clone(), arn.clone());
            actix_rt::spawn(async move {
                world.pass(after).await;
                let stop = async |engine: EngineHandle| engine.stop_execution(&arn, Failure::named("Stopped")).await;
                let _ = crew.ask(&world, stop).await;
            });
        }
        if inner.rng.chance(rough) {
            let after = inner.rng.below(300_000);
            let (world, crew) = (Arc::clone(world), crew.clone());
            actix_rt::spawn(async move {
                world.pass(after).await;
                for _ in 0..200 {
                    let redrive = async |engine: EngineHandle| engine.redrive_execution(&arn, None).await;
                    if matches!(crew.ask(&world, redrive).await, Some(Ok(_))) {
                        return;
                    }
                    world.pass(1_000).await;
                }
            });
        }
    }
}
