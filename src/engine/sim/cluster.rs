//! Several nodes in one world: they share its store and its broker, die, freeze at any call of a port, are cut off from
//! the broker, leave, come back, and take over from each other. The checks are those of one process; and no
//! partition's journal has an entry of an older epoch than the partition had.

use std::sync::Arc;
use std::time::Duration;

use super::bus::SimBus;
use super::disturb::disturb;
use super::rng::Rng;
use super::store::SimStore;
use super::workers::{Crew, workers};
use super::world::{Faults, NodeClock, World};
use super::{
    Client, Report, keys, machines, no_map_run_is_open, number, on_paused_time, put_machines, redrive, report, start,
    watch,
};
use crate::clock::Clock;
use crate::engine::services::entropy::seeded;
use crate::engine::types::{Options, Parts, Sharing};
use crate::ids::{PartitionId, Realm};
use crate::store::Journal;
use crate::store::memory::Memory;
use crate::telemetry::metrics::Metrics;

const PARTITIONS: u16 = 5;
const HORIZON: Duration = Duration::from_mins(5);
/// Longer than any execution here.
const TOO_LONG: Duration = Duration::from_hours(6);

/// The kinds of worlds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Everything fails now and then.
    Disturbed,
    /// One node, and nothing fails.
    Undisturbed,
    /// As the first, over a store that lets every append through.
    Unfenced,
}

fn parts(world: &Arc<World>, memory: &Memory, realm: &Realm, node: usize) -> Parts {
    let store = SimStore { memory: memory.further_node(), world: Arc::clone(world), node: Some(node) };
    let options = Options {
        partitions: PARTITIONS,
        threads: 0,
        passivate_after: Duration::from_secs(5),
        sweep: HORIZON / 3,
        horizon: HORIZON,
        clock_check: Duration::from_secs(5),
        health_check: None,
        retention: Duration::from_hours(24 * 365 * 100),
        start_queue: None,
        ..Options::default()
    };
    Parts {
        realm: realm.clone(),
        clock: Arc::new(NodeClock { world: Arc::clone(world), node }) as Arc<dyn Clock>,
        journal: Arc::new(store.clone()),
        catalog: Arc::new(store.clone()),
        ownership: Some(Sharing { store: Arc::new(store), alone: false, lapse: Duration::from_secs(3) }),
        bus: Arc::new(SimBus { world: Arc::clone(world), node: Some(node) }),
        tokens: keys(),
        table: crate::integrations::ServiceTable::default(),
        metrics: Metrics::new(),
        options,
    }
}

/// A place of a node: one process after the other.
async fn place(world: Arc<World>, memory: Memory, realm: Realm, crew: Crew, restless: bool) {
    // Nothing of a dead one runs on: each of its calls waits for ever. It goes with the world.
    let mut dead = Vec::new();
    loop {
        let node = world.lock().node_begins();
        let Ok(engine) = crate::engine::lifecycle::start(parts(&world, &memory, &realm, node)).await else {
            world.pass(1_000).await;
            continue;
        };
        crew.joins(node, engine.clone());
        if !restless {
            return std::future::pending().await;
        }
        loop {
            let (after, what, lasts) = {
                let rng = &mut world.lock().rng;
                (rng.below(40_000), rng.below(10), 100 + rng.below(9_000))
            };
            world.pass(after).await;
            match what {
                0 => {
                    world.lock().node_dies(node);
                    world.changed.notify_waiters();
                    crew.goes(node);
                    dead.push(engine);
                    break;
                }
                1 => {
                    crew.goes(node);
                    engine.stop(Duration::from_secs(20)).await;
                    world.lock().node_dies(node);
                    world.changed.notify_waiters();
                    dead.push(engine);
                    break;
                }
                2 => return std::future::pending().await,
                3 | 4 => {
                    world.lock().node_is_cut_off(node, 2 * lasts);
                    world.changed.notify_waiters();
                }
                5..8 => world.lock().node_freezes(node, lasts),
                // Words between nodes are good for ten seconds.
                _ => {
                    let off = i64::try_from(lasts / 2).unwrap();
                    world.lock().node_clock_steps(node, if what == 8 { off } else { -off });
                }
            }
        }
        world.pass(lasts_away(&world)).await;
    }
}

fn lasts_away(world: &World) -> u64 {
    world.lock().rng.below(20_000)
}

/// The world of a seed; and whether its executions must end as undisturbed.
fn run(seed: u64, kind: Kind) -> (Report, bool) {
    let mut rng = Rng::new(seed.wrapping_mul(97));
    let realm = Realm::new("us-east-1", "123456789012");
    let calm = rng.chance(60);
    let definition = machines::brief(&mut rng, calm);
    let mut clients: Vec<Client> = (0..=rng.below(5))
        .map(|n| Client { name: format!("e{n}"), accepted: false, redrives: rng.chance(40) })
        .collect();
    let faults = Faults {
        store: if rng.chance(60) { 1 + rng.below(6) } else { 0 },
        bus: if rng.chance(60) { 1 + rng.below(15) } else { 0 },
        rough: if calm { 0 } else { 1 + rng.below(15) },
        crashes: 1,
        ..Faults::default()
    };
    let (faults, nodes) = if kind == Kind::Undisturbed { (Faults::default(), 1) } else { (faults, 2 + rng.below(2)) };
    let world = World::new(seed, faults, keys());
    let memory = Memory::new();
    if kind == Kind::Unfenced {
        memory.take_fence_out();
    }
    seeded::set(Some(seed));
    on_paused_time(async {
        put_machines(&world, &memory, &realm, &definition).await;
        world.begin(None);
        let crew = Crew::default();
        for n in 0..nodes {
            let (world, memory, realm, crew) = (Arc::clone(&world), memory.clone(), realm.clone(), crew.clone());
            // One goes on whatever happens to the others: else nothing ends.
            actix_rt::spawn(async move {
                world.pass(n * 700).await;
                place(world, memory, realm, crew, n > 0).await;
            });
        }
        actix_rt::spawn(workers(Arc::clone(&world), crew.clone()));
        actix_rt::spawn(watch(Arc::clone(&world), Duration::from_secs(5)));
        let story = async {
            for client in &mut clients {
                start(&world, &crew, &client.name, &realm).await;
                client.accepted = true;
            }
            disturb(&world, &crew, &clients, &realm);
            loop {
                world.pass(5_000).await;
                if !world.all_closed() || !world.is_quiet() {
                    continue;
                }
                let mut redriven = false;
                for client in clients.iter().filter(|client| client.redrives) {
                    redriven |= redrive(&world, &crew, &client.name, &realm).await;
                }
                if !redriven && owing(&memory).await == 0 {
                    return no_map_run_is_open(&world, &memory).await;
                }
            }
        };
        if tokio::time::timeout(TOO_LONG, story).await.is_err() {
            let owing = owing(&memory).await;
            let mut inner = world.lock();
            let open: Vec<String> = inner
                .executions
                .values()
                .filter(|fold| fold.state.is_running())
                .map(|fold| fold.header.name.clone())
                .collect();
            let queued: Vec<_> = inner.queues.iter().map(|(name, queue)| (name.clone(), queue.len())).collect();
            let (planned, unsettled) = (inner.schedule.len(), inner.unsettled.len());
            inner.violate(format!(
                "it does not end: open {open:?}, {owing} owe their parents, {planned} replies to come, {unsettled} \
                 unsettled, queued {queued:?}"
            ));
        }
    });
    seeded::set(None);
    (report(&world, &clients), calm)
}

async fn owing(memory: &Memory) -> usize {
    let mut owing = 0;
    for partition in (0..PARTITIONS).map(PartitionId) {
        owing += memory.owing_parents(partition, None, 10).await.unwrap().len();
    }
    owing
}

/// The faults of a seed's world, and the counts of its events.
fn simulate(seed: u64) -> (Vec<String>, Report) {
    let (mut report, calm) = run(seed, Kind::Disturbed);
    let mut wrong = std::mem::take(&mut report.violations);
    if calm {
        let (undisturbed, _) = run(seed, Kind::Undisturbed);
        wrong.extend(undisturbed.violations.into_iter().map(|why| format!("undisturbed: {why}")));
        if undisturbed.outcomes != report.outcomes {
            let (with, without) = (&report.outcomes, &undisturbed.outcomes);
            wrong.push(format!("ended otherwise than undisturbed:\n  {with:?}\n  {without:?}"));
        }
    }
    (wrong, report)
}

/// `CLUSTER_SEEDS=100000` runs so many worlds, from `SIM_FROM`; `TEST_SEED=n` one.
#[test]
fn whatever_happens_to_nodes_every_accepted_execution_ends_once() {
    let from = number("TEST_SEED").or_else(|| number("SIM_FROM")).unwrap_or(0);
    let count = if number("TEST_SEED").is_some() { 1 } else { number("CLUSTER_SEEDS").unwrap_or(40) };
    let (mut sum, mut failed) = (Report::default(), Vec::new());
    for seed in from..from + count {
        let (wrong, report) = simulate(seed);
        sum.add(&report);
        if !wrong.is_empty() {
            failed.push(seed);
            eprintln!("seed {seed}: {:.2000}", wrong.join("\n  "));
            assert!(failed.len() < 5, "too many seeds fail: {failed:?}");
        }
    }
    println!(
        "{count} worlds: {} executions, {} map runs, {} redrives, {} nodes died or left, {} froze, {} were cut off, {} \
         clocks stepped, {} partitions changed hands, {} words between nodes, {} calls of ports",
        sum.executions,
        sum.map_runs,
        sum.redrives,
        sum.crashes,
        sum.freezes,
        sum.cuts,
        sum.jumps,
        sum.takings,
        sum.words,
        sum.steps
    );
    assert!(failed.is_empty(), "failing seeds: {failed:?}; TEST_SEED={} cargo test --lib sim::cluster", failed[0]);
}

/// A planted fault: a store that lets every append through. Few worlds are enough to find it.
#[test]
fn a_store_without_a_fence_is_found() {
    let older = |why: &String| why.contains("has an entry of epoch");
    let found = (0..200).find(|seed| run(*seed, Kind::Unfenced).0.violations.iter().any(older));
    println!("found in world {found:?}");
    assert!(found.is_some());
}
