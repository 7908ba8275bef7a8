//! The cost of a test: the processor time of its own thread, which does not depend on the load of the machine.

use std::time::{Duration, Instant};

/// A moment from which a thread's work is measured.
#[derive(Debug)]
pub struct Worked(Duration);

impl Worked {
    pub fn now() -> Self {
        Self(of_this_thread())
    }

    pub fn elapsed(&self) -> Duration {
        of_this_thread().saturating_sub(self.0)
    }
}

/// Linux tells it in nanoseconds; elsewhere the wall has to do.
fn of_this_thread() -> Duration {
    static SINCE: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .map_or_else(|| SINCE.get_or_init(Instant::now).elapsed(), Duration::from_nanos)
}

#[test]
fn sleep_is_no_work() {
    let start = Worked::now();
    std::thread::sleep(Duration::from_millis(300));
    let slept = start.elapsed();
    let until = start.elapsed() + Duration::from_millis(20);
    let mut sum = 0_u64;
    while start.elapsed() < until {
        sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(1));
    }
    assert!(!cfg!(target_os = "linux") || slept < Duration::from_millis(250), "{slept:?}");
}
