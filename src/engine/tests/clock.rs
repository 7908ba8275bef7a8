//! Timers and a wall clock that is put forward and back: by hand, by a time server, by a machine that slept.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::bus::embedded::EmbeddedBus;
use crate::clock::{Clock, Timestamp};
use crate::engine::api::EngineHandle;
use crate::engine::support::{self, request};
use crate::engine::types::{Options, Parts};
use crate::ids::Arn;
use crate::store::memory::Memory;

const DAY: i64 = 86_400_000;
/// Later than a second: the engine looks once a second, and its work then takes a moment.
const A_LOOK: Duration = Duration::from_millis(1_100);

/// Goes with the runtime's time, which a test lets pass at once, and is off by `skew`.
#[derive(Debug)]
struct WallClock {
    began: Instant,
    skew: AtomicI64,
}

impl WallClock {
    fn step(&self, by: i64) {
        self.skew.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.began.elapsed().as_millis()).unwrap();
        Timestamp::from_millis(1_700_000_000_000 + passed + self.skew.load(Ordering::SeqCst))
    }
}

struct Given {
    clock: Arc<WallClock>,
    engine: EngineHandle,
    machine: Arn,
}

impl Given {
    async fn new(options: Options) -> Self {
        let clock = Arc::new(WallClock { began: Instant::now(), skew: AtomicI64::new(0) });
        let store = Memory::new();
        let wait = json!({ "StartAt": "W", "States": {
            "W": { "Type": "Wait", "SecondsPath": "$.seconds", "End": true },
        } });
        let machine = support::machine(&store, "waits", &wait).await;
        let bus = Arc::new(EmbeddedBus::new());
        let options = Options { partitions: 1, threads: 0, ..options };
        let parts = support::parts(Arc::new(store.clone()), Arc::new(store), bus, options);
        let engine =
            crate::engine::lifecycle::start(Parts { clock: Arc::<WallClock>::clone(&clock), ..parts }).await.unwrap();
        Self { clock, engine, machine }
    }

    async fn waits(&self, name: &str, seconds: u64) -> Arn {
        let input = json!({ "seconds": seconds }).to_string();
        self.engine.start_execution(request(&self.machine, name, &input)).await.unwrap().arn
    }

    async fn is_open(&self, arn: &Arn) -> bool {
        self.engine.execution(arn).await.unwrap().summary.status.is_open()
    }

    /// Its end comes within `within`, and not before.
    async fn ends_after(&self, arn: &Arn, within: Duration) {
        if within > A_LOOK {
            tokio::time::sleep(within.saturating_sub(A_LOOK)).await;
            assert!(self.is_open(arn).await, "{arn} ended too early");
        }
        tokio::time::sleep(2 * A_LOOK).await;
        assert!(!self.is_open(arn).await, "{arn} is late");
    }
}

fn on_paused_time(work: impl Future<Output = ()>) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    actix_rt::System::with_tokio_rt(runtime).block_on(work);
}

#[test]
fn a_clock_that_was_two_days_back_for_ten_seconds_delays_no_timer() {
    on_paused_time(async {
        let given = Given::new(Options::default()).await;
        let before = given.waits("before", 60).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        given.clock.step(-2 * DAY);
        let meanwhile = given.waits("meanwhile", 60).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(given.is_open(&before).await && given.is_open(&meanwhile).await);
        given.clock.step(2 * DAY);
        // Begun two days ago, as the clock has it.
        given.ends_after(&meanwhile, A_LOOK).await;
        let after = given.waits("after", 5).await;
        given.ends_after(&after, Duration::from_secs(5)).await;
        given.ends_after(&before, Duration::from_secs(60 - 5 - 10 - 5).saturating_sub(3 * A_LOOK)).await;
    });
}

#[test]
fn what_the_clock_is_put_past_ends_at_once_also_where_only_the_store_knows_of_it() {
    on_paused_time(async {
        let given = Given::new(Options::default()).await;
        let near = given.waits("near", 200).await;
        // Beyond the horizon.
        let far = given.waits("far", 40 * 60).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        given.clock.step(3_600_000);
        tokio::time::sleep(2 * A_LOOK).await;
        assert!(!given.is_open(&near).await && !given.is_open(&far).await);
    });
}

#[test]
fn a_clock_that_is_put_back_for_good_lets_nothing_end_early() {
    on_paused_time(async {
        let given = Given::new(Options::default()).await;
        let waits = given.waits("waits", 60).await;
        given.clock.step(-3_600_000);
        let new = given.waits("new", 60).await;
        given.ends_after(&new, Duration::from_mins(1)).await;
        assert!(given.is_open(&waits).await);
        given.ends_after(&waits, Duration::from_hours(1).saturating_sub(A_LOOK)).await;
    });
}

/// An idle execution leaves memory, whatever the clock says of its last message.
#[test]
fn a_clock_that_is_put_back_keeps_no_execution_in_memory() {
    on_paused_time(async {
        let given = Given::new(Options::default()).await;
        let waits = given.waits("waits", 3_600).await;
        given.clock.step(-DAY);
        assert_eq!(given.engine.engine().services.metrics.awake(), 1);
        tokio::time::sleep(Duration::from_secs(80)).await;
        assert_eq!(given.engine.engine().services.metrics.awake(), 0);
        assert!(given.is_open(&waits).await);
    });
}

#[test]
fn more_that_is_due_than_one_look_at_the_store_takes_is_handled_all_the_same() {
    on_paused_time(async {
        let given = Given::new(Options { due_fetched: 2, ..Options::default() }).await;
        let mut all = Vec::new();
        for n in 0..9 {
            // Beyond the horizon.
            all.push(given.waits(&format!("n{n}"), 40 * 60).await);
        }
        let early = given.waits("early", 30 * 60).await;
        tokio::time::sleep(Duration::from_mins(39)).await;
        assert!(!given.is_open(&early).await);
        for arn in &all {
            assert!(given.is_open(arn).await, "{arn} ended too early");
        }
        // Two at a look, and a second between two looks.
        tokio::time::sleep(Duration::from_secs(60 + 9 * 2)).await;
        for arn in &all {
            assert!(!given.is_open(arn).await, "{arn} is late");
        }
    });
}
