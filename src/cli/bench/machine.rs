//! Figures of the operating system about this machine and this process. Without `/proc` they are zero.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

/// Clock ticks of `/proc/…/stat` in a second: 100 on every Linux of today.
const TICKS: f64 = 100.0;

/// Cores, memory, kernel, and the file system of the store's folder.
pub(super) fn facts(folder: &Path) -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo")
        .lines()
        .find_map(|l| l.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name.to_owned()));
    json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "processor": cpu,
        "memory_gib": kib(&read("/proc/meminfo"), "MemTotal:") / 1_048_576,
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load_before": read("/proc/loadavg").split(' ').next().unwrap_or_default(),
        "file_system": file_system(folder, &read("/proc/mounts")),
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        "version": env!("CARGO_PKG_VERSION"),
    })
}

/// The type of the file system that holds `folder`.
fn file_system(folder: &Path, mounts: &str) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    fields.filter(|f| f.len() > 2 && folder.starts_with(f[1])).max_by_key(|f| f[1].len()).map(|f| f[2].to_owned())
}

fn kib(text: &str, name: &str) -> u64 {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Bytes of this process that are in memory and are its own: pages of files, which the kernel takes back when it likes,
/// do not count.
pub(super) fn resident_bytes() -> u64 {
    kib(&std::fs::read_to_string("/proc/self/status").unwrap_or_default(), "RssAnon:") * 1_024
}

/// Resident memory of this process with pages of files, now and at most so far.
pub(super) fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    (kib(&status, "VmRSS:") * 1_024, kib(&status, "VmHWM:") * 1_024)
}

/// The broker's processes on this machine, by name: Erlang's.
const BROKER: &str = "beam.smp";

/// Processor time used so far, in seconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Cpu {
    pub process: f64,
    /// Of all processes of this machine that may be the broker; 0 where it runs elsewhere.
    pub broker: f64,
    /// Of the processes that this one started: the worker.
    pub worker: f64,
    /// Of a PostgreSQL on this machine: its first process and all that this one started.
    pub postgres: f64,
    /// By name; threads of one name together.
    threads: BTreeMap<String, f64>,
}

impl Cpu {
    /// `postmaster`: PostgreSQL's first process, where one is measured.
    pub(super) fn now(postmaster: Option<u32>) -> Self {
        let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let mut threads = BTreeMap::new();
        for thread in tasks.filter_map(|task| Stat::read(&task.path().join("stat"))) {
            *threads.entry(thread.kind()).or_insert(0.0) += thread.seconds;
        }
        let mut now = Self { process: 0.0, broker: 0.0, worker: 0.0, postgres: 0.0, threads };
        let own = std::process::id();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let Some(process) = Stat::read(&entry.path().join("stat")) else { continue };
            if id == own {
                now.process = process.seconds;
            } else if process.parent == own {
                now.worker += process.seconds;
            } else if process.name == BROKER {
                now.broker += process.seconds;
            } else if postmaster == Some(id) {
                // With those that have ended.
                now.postgres += process.seconds + process.of_ended;
            } else if postmaster == Some(process.parent) {
                now.postgres += process.seconds;
            }
        }
        now
    }

    pub(super) fn threads_since(&self, earlier: &Self) -> Vec<(String, f64)> {
        let since = |name: &String, now: &f64| now - earlier.threads.get(name).copied().unwrap_or(0.0);
        self.threads.iter().map(|(name, now)| (name.clone(), since(name, now))).filter(|(_, s)| *s > 0.0).collect()
    }
}

/// PostgreSQL's first process, by one of its sessions on this machine.
pub(super) fn postmaster(session: u32) -> Option<u32> {
    let session = Stat::read(Path::new(&format!("/proc/{session}/stat")))?;
    let parent = Stat::read(Path::new(&format!("/proc/{}/stat", session.parent)))?;
    (parent.name == session.name).then_some(session.parent)
}

/// Name, parent, and user plus system time of a process or thread.
struct Stat {
    name: String,
    parent: u32,
    seconds: f64,
    /// That of its children that have ended.
    of_ended: f64,
}

impl Stat {
    fn read(path: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path).ok()?;
        // The name stands in parentheses and may hold anything.
        let (head, rest) = text.rsplit_once(") ")?;
        let name = head.split_once('(')?.1.to_owned();
        let fields: Vec<&str> = rest.split(' ').collect();
        let seconds =
            |from| fields.iter().skip(from).take(2).filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() / TICKS;
        Some(Self { name, parent: fields.get(1)?.parse().ok()?, seconds: seconds(11), of_ended: seconds(13) })
    }

    /// `actix-rt|system:0|arbiter:1`, cut off at 15 characters: numbers tell nothing here.
    fn kind(&self) -> String {
        self.name.trim_end_matches(|c: char| c.is_ascii_digit() || c == ':' || c == '-').to_owned()
    }
}
