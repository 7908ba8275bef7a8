//! The process as its operating system counts it, under the names that all Prometheus clients share. Linux only:
//! elsewhere the values stay 0.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::book::Book;

pub(super) struct Process {
    cpu: Counter<f64, AtomicU64>,
    memory: Gauge,
    files: Gauge,
    files_max: Gauge,
    started: Gauge<f64, AtomicU64>,
}

/// Ticks of `/proc/PID/stat` in a second: fixed in Linux's interface.
const TICKS: f64 = 100.0;

impl Process {
    pub fn new(book: &mut Book) -> Self {
        Self {
            cpu: book.process_seconds("process_cpu_seconds", "Processor time of this process, in seconds"),
            memory: book.process("process_resident_memory_bytes", "Memory of this process"),
            files: book.process("process_open_fds", "Open files and connections of this process"),
            files_max: book.process("process_max_fds", "Bound of open files and connections"),
            started: book
                .process_moment("process_start_time_seconds", "When this process started, in seconds since 1970"),
        }
    }

    pub fn started(&self, at: f64) {
        self.started.set(at);
    }

    /// Reads the values of now.
    pub fn look(&self) {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
        if let Some(seconds) = cpu_seconds(&read("stat")) {
            self.cpu.inner().store(seconds.to_bits(), Ordering::Relaxed);
        }
        if let Some(kib) = number_behind(&read("status"), "VmRSS:") {
            self.memory.set(kib * 1_024);
        }
        if let Some(most) = number_behind(&read("limits"), "Max open files") {
            self.files_max.set(most);
        }
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            self.files.set(i64::try_from(files.count()).unwrap_or(i64::MAX));
        }
    }
}

/// Fields 14 and 15 of `stat` (proc(5)): in user mode and in the kernel. Field 2 is a name in brackets.
#[expect(clippy::cast_precision_loss, reason = "exact for millions of years")]
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) as f64 / TICKS)
}

fn number_behind(text: &str, name: &str) -> Option<i64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_read() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(number_behind("Name:\tx\nVmRSS:\t  2048 kB\n", "VmRSS:"), Some(2_048));
        assert_eq!(number_behind("Max open files  1024   4096  files\n", "Max open files"), Some(1_024));
        assert_eq!((cpu_seconds(""), number_behind("", "VmRSS:")), (None, None));
    }
}
