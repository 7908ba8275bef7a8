//! A store of very many executions that wait: cold start, memory, answers, listings, backup and retention.
//!
//! ```text
//! make:    the engine starts all of them over a bus that confirms and drops (`silent.rs`); commits are not synced
//! prepare: in a new process an hour's worth of timers that fire soon, and tasks chosen at random
//! cold:    the file leaves the operating system's cache; a new process over the broker is asked, timers fire, the
//!          chosen tasks are answered, the store is copied, closed executions are removed
//! ```
//! Three of four wait for a worker, one of eight for a person, one of eight for a moment within a month.

mod cold;
mod make;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::callback::failed;
use super::{CliError, Kind, Plan, Process, Role, Scratch, echo, settings, token_key};
use crate::clock::Timestamp;
use crate::config::Settings;

/// Hours over which the ends of all are spread: an hour's worth is their number divided by it.
const HOURS: u64 = 720;
/// The hour passes in so many seconds.
const HOUR_SECONDS: u64 = 60;
/// Machines, by the reason to wait.
const CALLS: &str = "scale-calls";
const ASKS: &str = "scale-asks";
const WAITS: &str = "scale-waits";
/// The queue of the calls. No worker takes from it.
const QUEUE: &str = "scale.calls";

/// The store and its files.
struct Place {
    folder: PathBuf,
    /// The store where it is a database; else it is a file in the folder.
    database: Option<String>,
    _scratch: Option<Scratch>,
}

impl Place {
    /// `kept`: a folder that stays, with a store that may be there already.
    fn of(plan: &Plan, kept: Option<&Path>) -> Result<Self, CliError> {
        let Some(folder) = kept else {
            let scratch = Scratch::make(&plan.folder)?;
            return Ok(Self { folder: scratch.0.clone(), database: plan.store.clone(), _scratch: Some(scratch) });
        };
        std::fs::create_dir_all(folder).map_err(|why| failed(&why))?;
        Ok(Self { folder: folder.to_owned(), database: plan.store.clone(), _scratch: None })
    }

    fn file(&self) -> PathBuf {
        self.folder.join("bench.db")
    }

    /// The URL of the store.
    fn store(&self) -> String {
        self.database.clone().unwrap_or_else(|| format!("sqlite:{}", self.file().display()))
    }

    /// An earlier run has made the store.
    fn is_made(&self) -> bool {
        if self.database.is_some() { self.chosen().exists() } else { self.file().exists() }
    }

    /// Chosen tasks: a line for each, with the execution's ARN and the token.
    fn chosen(&self) -> PathBuf {
        self.folder.join("chosen.txt")
    }

    /// Of the file; `None` where it is a database.
    fn bytes(&self) -> Option<u64> {
        let ends = ["", "-wal"];
        let bytes = |end: &&str| std::fs::metadata(format!("{}{end}", self.file().display())).map_or(0, |m| m.len());
        self.database.is_none().then(|| ends.iter().map(bytes).sum())
    }
}

pub(super) fn measure(plan: &Plan, count: u64, kept: Option<&Path>) -> Result<Value, CliError> {
    let place = Place::of(plan, kept)?;
    let step = |step: &str, hour: &Value| -> Result<Value, CliError> {
        let arguments = json!({"step": step, "url": plan.url, "folder": place.folder, "count": count,
            "hour_from": hour, "logs": plan.logs, "config": plan.config, "store": plan.store});
        let answer = Process::start(Role::Scale, &arguments)?.answer()?;
        tracing::info!(step, %answer, "step done");
        Ok(answer)
    };
    let made = if place.is_made() { json!({"again": true}) } else { step("make", &Value::Null)? };
    let bytes = place.bytes();
    let prepared = step("prepare", &Value::Null)?;
    if place.database.is_none() {
        forget(&place.file())?;
    }
    let cold = step("cold", &prepared["hour_from"]);
    echo::clear(&plan.url, &[QUEUE])?;
    let open = prepared["open"].as_u64().unwrap_or(1).max(1);
    Ok(json!({
        "count": open,
        "made": made,
        "bytes": bytes,
        "bytes_each": bytes.map(|bytes| bytes / open),
        "prepared": prepared,
        "cold": cold?,
    }))
}

/// In a process of its own.
pub(super) fn step(arguments: &Value) -> Result<(), CliError> {
    let text = |name: &str| arguments[name].as_str().unwrap_or_default().to_owned();
    let database = arguments["store"].as_str().map(Into::into);
    let place = Place { folder: text("folder").into(), database, _scratch: None };
    let plan = Plan {
        url: text("url"),
        count: arguments["count"].as_u64().unwrap_or(0),
        in_flight: 0,
        per_second: 0,
        folder: place.folder.clone(),
        logs: text("logs"),
        config: arguments["config"].as_str().map(Into::into),
        store: None,
    };
    let answer = match arguments["step"].as_str() {
        Some("make") => make::make(&plan, &place)?,
        Some("prepare") => make::prepare(&plan, &place)?,
        _ => cold::measure(&plan, &place, Timestamp::from_millis(arguments["hour_from"].as_i64().unwrap_or(0)))?,
    };
    super::super::output::line(&answer.to_string())
}

/// The settings of a server with so many open executions.
fn settings_of(plan: &Plan, place: &Place, more: &[(&'static str, String)]) -> Result<Settings, CliError> {
    let mut all = vec![("engine.executions_open_max", "1000000000".to_owned())];
    if place.database.is_some() {
        all.push(token_key());
    }
    all.extend_from_slice(more);
    settings(plan, Kind::Quorum, &place.store(), &all)
}

/// Takes the pages of a file out of the operating system's cache, as after a restart of the machine.
fn forget(path: &Path) -> Result<(), CliError> {
    let file = std::fs::File::open(path).map_err(|why| failed(&why))?;
    // Pages that are not on the disk would stay.
    file.sync_all().map_err(|why| failed(&why))?;
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).map_err(|why| failed(&why))?;
    Ok(())
}
