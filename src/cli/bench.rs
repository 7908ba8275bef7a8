//! `reveille bench`: callback round trips beside the bare broker's echo rate, memory of sleepers, and the API under
//! load.
//!
//! ```text
//! rounds × ( echo: this process ⇄ broker ⇄ worker
//!            callback: EngineHandle ─► store ─► broker ⇄ worker ─► store ─► ended
//!            with --store: the same callbacks over PostgreSQL )
//! latency: callbacks one at a time and at a rate, and replies beside bare commits
//! sleepers: a fresh process that holds executions that wait, awake, then passivated
//! api: a client process calls the API while callbacks run: DescribeExecution, StartExecution, both; before each,
//!      callbacks alone
//! viewers: callbacks alone, while browsers follow the console's list of executions, and alone again
//! scale: a store of very many executions that wait: a cold server is asked while timers fire and tasks are answered
//! growth: long histories, large Maps, map runs, and a start with many executions that owe
//! ```
//! One run measures both sides of each ratio in turn, because a shared machine drifts. The worker, the sleepers and the
//! API's client are this program again, in processes of their own ([`Role`]).

mod api;
mod callback;
mod echo;
mod growth;
mod latency;
mod machine;
mod report;
mod scale;
mod silent;
mod sleepers;
mod starts;
mod viewers;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::CliError;
use super::output::OutputArgs;
use crate::config::{Settings, Sources};
use crate::telemetry::logs::{self, Output};

/// The body of every round trip.
const PAYLOAD: &str = concat!(
    r#"{"order":"4711","customer":{"name":"Ann","city":"Ulm"},"#,
    r#""items":[{"sku":"a-1","count":2},{"sku":"b-2","count":1}],"note":"ring twice"}"#
);
/// Variables with the role and the arguments of a child process. They are not on the command line because a URL holds a
/// password.
const ROLE: &str = "REVEILLE_BENCH_ROLE";
const ROLE_ARGUMENTS: &str = "REVEILLE_BENCH_ARGUMENTS";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille bench --bus amqp://localhost
  reveille bench --bus amqp://localhost --count 10000 --only rates
  reveille bench --bus amqp://localhost --only rates --store postgres://reveille@localhost/bench")]
pub(super) struct Args {
    /// The broker: amqp://user:password@host:5672/vhost; a vhost without an engine of its own
    #[arg(long, alias = "amqp", value_name = "URL", required_unless_present = "role")]
    bus: Option<String>,
    /// Round trips that are measured in each round
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Under way at once
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    in_flight: u64,
    /// Rounds of echo and callback, in turn; medians count
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    rounds: u64,
    /// Executions that wait at once, in the parts `sleepers` and `scale`
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    sleepers: u64,
    /// The store of the part `scale` is made here and kept; a store from an earlier run is used again
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Calls of each operation in a second, in the part `api`; 0: as fast as they are answered
    #[arg(long, default_value_t = 0, value_name = "RATE")]
    api_per_second: u32,
    /// Callbacks in a second, in the parts `rates` and `api`; 0: as many as there can be
    #[arg(long, default_value_t = 0, value_name = "RATE")]
    callbacks_per_second: u32,
    /// Browsers that look at the console, in the part `viewers`
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_500))]
    viewers: u32,
    /// Kinds of queues
    #[arg(long, value_delimiter = ',', default_values_t = [Kind::Quorum, Kind::Classic], value_name = "KIND")]
    queues: Vec<Kind>,
    /// Only these parts
    #[arg(
        long,
        value_delimiter = ',',
        default_values_t = [Part::Rates, Part::Latency, Part::Sleepers, Part::Api],
        value_name = "PART"
    )]
    only: Vec<Part>,
    /// Where stores are made [default: the folder for temporary files]; a real disk, for figures that mean something
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Log filter of the measured engine: logs cost too
    #[arg(long, default_value = "warn", value_name = "FILTER")]
    logs: String,
    /// Callbacks over PostgreSQL too, in turn with those over SQLite: a schema is made in this database for each round
    /// and dropped. The part `scale` makes its store in the database itself, which must be empty, and leaves it there
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Settings of the measured engine beside the shipped ones
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set in the processes that this one starts.
    #[arg(long, hide = true, env = ROLE)]
    role: Option<Role>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Echo and callback round trips
    Rates,
    /// Callbacks one at a time, and the way of a reply
    Latency,
    /// Bytes of memory per execution that waits
    Sleepers,
    /// The API while callbacks run, and starts by message
    Api,
    /// Callbacks while people look at the console
    Viewers,
    /// A store of many executions that wait: cold start, memory, listings, backup
    Scale,
    /// Costs that must not grow with histories and Maps, and a start with many executions that owe: `--count` of them
    Growth,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Quorum,
    Classic,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Quorum => "quorum",
            Self::Classic => "classic",
        }
    }
}

/// The role of a child process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Role {
    Worker,
    Sleepers,
    ApiClient,
    Viewers,
    Scale,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Sleepers => "sleepers",
            Self::ApiClient => "api-client",
            Self::Viewers => "viewers",
            Self::Scale => "scale",
        }
    }
}

macro_rules! shown_by_name {
    ($($kind:ty),*) => {$(
        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let name = clap::ValueEnum::to_possible_value(self);
                f.write_str(name.as_ref().map_or("", |n| n.get_name()))
            }
        }
    )*};
}
shown_by_name!(Part, Kind);

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    if let Some(role) = args.role {
        return play(role);
    }
    let url = args.bus.as_deref().unwrap_or_default();
    let plan = Plan {
        url: url.to_owned(),
        count: args.count,
        in_flight: args.in_flight,
        per_second: args.callbacks_per_second,
        folder: args.folder.clone().unwrap_or_else(std::env::temp_dir),
        logs: args.logs.clone(),
        config: args.config.clone(),
        store: args.store.clone(),
    };
    logs::init(&settings(&plan, Kind::Quorum, "sqlite:unused", &[])?.logs, Output::Stderr)
        .map_err(|why| CliError::failed(why.to_string()))?;
    let mut measured = json!({"machine": machine::facts(&plan.folder), "in_flight": plan.in_flight});
    let kinds = || args.queues.iter().copied();
    if args.only.contains(&Part::Rates) {
        let rates: Result<Vec<Value>, CliError> = kinds().map(|kind| rates(&plan, kind, args.rounds)).collect();
        measured["rates"] = Value::Array(rates?);
    }
    if args.only.contains(&Part::Latency) {
        let latency: Result<Vec<Value>, CliError> = kinds().map(|kind| latency::measure(&plan, kind)).collect();
        measured["latency"] = Value::Array(latency?);
    }
    if args.only.contains(&Part::Sleepers) {
        measured["sleepers"] = sleepers::measure(&plan, args.sleepers)?;
    }
    if args.only.contains(&Part::Api) {
        let kind = kinds().next().unwrap_or(Kind::Quorum);
        measured["api"] = api::measure(&plan, kind, args.api_per_second)?;
        measured["starts"] = starts::measure(&plan, kind)?;
    }
    if args.only.contains(&Part::Viewers) {
        let kind = kinds().next().unwrap_or(Kind::Quorum);
        measured["viewers"] = viewers::measure(&plan, kind, args.viewers)?;
    }
    if args.only.contains(&Part::Scale) {
        measured["scale"] = scale::measure(&plan, args.sleepers, args.keep.as_deref())?;
    }
    if args.only.contains(&Part::Growth) {
        measured["growth"] = growth::measure(&plan)?;
    }
    args.output.print(&measured, report::table)
}

/// The arguments of all parts.
#[derive(Debug, Clone)]
struct Plan {
    url: String,
    count: u64,
    in_flight: u64,
    /// Round trips; 0: as many as there can be.
    per_second: u32,
    folder: PathBuf,
    logs: String,
    config: Option<PathBuf>,
    /// The database of the callbacks over PostgreSQL.
    store: Option<String>,
}

impl Plan {
    /// The time between two round trips.
    fn turn(&self) -> Option<std::time::Duration> {
        (self.per_second > 0).then(|| std::time::Duration::from_secs(1) / self.per_second)
    }
}

/// Both echoes and callbacks in turn, over one worker.
fn rates(plan: &Plan, kind: Kind, rounds: u64) -> Result<Value, CliError> {
    let place = echo::Place::prepare(&plan.url, kind)?;
    let worker = Process::start(Role::Worker, &json!({"url": plan.url, "queue": place.queue}))?;
    let mut measured = report::Rounds::default();
    let fast = Plan { per_second: 0, ..plan.clone() };
    for round in 0..rounds {
        measured.bare.push(echo::round_trips(&fast, echo::Shape::Bare, &place)?);
        measured.tasks.push(echo::round_trips(&fast, echo::Shape::Task, &place)?);
        measured.callbacks.push(callback::round_trips(plan, kind, &place)?);
        if let Some(url) = &plan.store {
            measured.postgres.push(callback::round_trips_over_postgres(plan, kind, &place, url)?);
        }
        tracing::info!(round, kind = kind.as_str(), "round done");
    }
    drop(worker);
    place.clear(&plan.url)?;
    Ok(report::rates(kind, &measured))
}

/// The settings that the measured engine runs with: those that `serve` would have.
fn settings(plan: &Plan, kind: Kind, store: &str, more: &[(&'static str, String)]) -> Result<Settings, CliError> {
    let mut flags = vec![
        ("store.url", store.to_owned()),
        ("bus.url", plan.url.clone()),
        ("bus.queue_kind", kind.as_str().to_owned()),
        ("api.listen", "127.0.0.1:0".to_owned()),
        ("logs.filter", plan.logs.clone()),
        ("logs.format", "json".to_owned()),
    ];
    flags.extend_from_slice(more);
    Ok(Settings::load(&Sources { file: plan.config.clone(), environment: Vec::new(), flags })?)
}

/// The setting of an engine over PostgreSQL, which does not keep the keys of tokens.
fn token_key() -> (&'static str, String) {
    ("engine.token_key", "5a".repeat(32))
}

fn play(role: Role) -> Result<(), CliError> {
    let arguments = std::env::var(ROLE_ARGUMENTS).unwrap_or_default();
    let arguments: Value =
        serde_json::from_str(&arguments).map_err(|why| CliError::failed(format!("{ROLE_ARGUMENTS}: {why}")))?;
    match role {
        Role::Worker => echo::work(&arguments),
        Role::Sleepers => sleepers::sleep(&arguments),
        Role::ApiClient => api::call(&arguments),
        Role::Viewers => viewers::look(&arguments),
        Role::Scale => scale::step(&arguments),
    }
}

/// This program again; it ends with this value.
struct Process(Child);

impl Process {
    fn start(role: Role, arguments: &Value) -> Result<Self, CliError> {
        let failed =
            |why: std::io::Error| CliError::failed(format!("cannot start the {} process: {why}", role.as_str()));
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        command.arg("bench").env(ROLE, role.as_str()).env(ROLE_ARGUMENTS, arguments.to_string());
        // The API's client ends when its standard input is closed; the others do not read it.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Self(command.spawn().map_err(failed)?))
    }

    /// The output of the process up to its end: one JSON value. Its standard input is closed.
    fn answer(mut self) -> Result<Value, CliError> {
        drop(self.0.stdin.take());
        let mut text = String::new();
        if let Some(mut out) = self.0.stdout.take() {
            std::io::Read::read_to_string(&mut out, &mut text).map_err(|why| CliError::failed(why.to_string()))?;
        }
        serde_json::from_str(&text)
            .map_err(|_| CliError::failed("a process of the bench ended without an answer; see above"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that is deleted with its value.
struct Scratch(PathBuf);

impl Scratch {
    fn make(parent: &std::path::Path) -> Result<Self, CliError> {
        let folder = parent.join(format!("reveille-bench-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder)
            .map_err(|why| CliError::failed(format!("cannot make {}: {why}", folder.display())))?;
        Ok(Self(folder))
    }

    /// The URL of a store.
    fn store(&self) -> String {
        format!("sqlite:{}", self.0.join("bench.db").display())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The figures of one round of round trips.
#[derive(Debug, Clone, Default)]
struct Figures {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Of this process, user and system, for each round trip.
    cpu_us: f64,
    /// The same of the broker, where it runs on this machine, and of the worker.
    broker_us: f64,
    worker_us: f64,
    /// That of PostgreSQL's processes, and its log; 0 where it is not measured.
    postgres_us: f64,
    log_bytes: f64,
    /// That of this process by thread.
    threads_us: Vec<(String, f64)>,
    /// Writes that one commit of the store gathered, on average; 0 without a store.
    writes_per_commit: f64,
}

/// Round trips are counted from the end of the warm-up to `count` more; so many run before, and as many as are under
/// way after.
struct Laps {
    warm_up: u64,
    count: u64,
    total: u64,
}

impl Laps {
    fn of(plan: &Plan) -> Self {
        let warm_up = (plan.count / 5).max(plan.in_flight);
        Self { warm_up, count: plan.count, total: warm_up + plan.count + plan.in_flight }
    }
}

/// Gathers latencies and the moments at which the measured part began and ended.
struct Stopwatch {
    laps: Laps,
    /// PostgreSQL's first process, where one is measured.
    postmaster: Option<u32>,
    done: u64,
    began: Option<(std::time::Instant, machine::Cpu)>,
    figures: Option<Figures>,
    latencies: Vec<f64>,
}

impl Stopwatch {
    fn new(laps: Laps, postmaster: Option<u32>) -> Self {
        let latencies = Vec::with_capacity(usize::try_from(laps.count).unwrap_or(0));
        Self { laps, postmaster, done: 0, began: None, figures: None, latencies }
    }

    /// One round trip has ended.
    fn lap(&mut self, took: std::time::Duration) {
        self.done += 1;
        if self.done == self.laps.warm_up {
            self.began = Some((std::time::Instant::now(), machine::Cpu::now(self.postmaster)));
        } else if self.done > self.laps.warm_up && self.figures.is_none() {
            self.latencies.push(took.as_secs_f64() * 1e3);
            if self.done == self.laps.warm_up + self.laps.count {
                self.stop();
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn stop(&mut self) {
        let Some((began, cpu)) = &self.began else { return };
        let (wall, count) = (began.elapsed().as_secs_f64(), self.laps.count as f64);
        let used = machine::Cpu::now(self.postmaster);
        self.latencies.sort_by(f64::total_cmp);
        self.figures = Some(Figures {
            per_second: count / wall,
            p50_ms: quantile(&self.latencies, 50),
            p99_ms: quantile(&self.latencies, 99),
            cpu_us: (used.process - cpu.process) * 1e6 / count,
            broker_us: (used.broker - cpu.broker) * 1e6 / count,
            worker_us: (used.worker - cpu.worker) * 1e6 / count,
            postgres_us: (used.postgres - cpu.postgres) * 1e6 / count,
            log_bytes: 0.0,
            threads_us: used.threads_since(cpu).into_iter().map(|(name, s)| (name, s * 1e6 / count)).collect(),
            writes_per_commit: 0.0,
        });
    }
}

/// Of sorted values.
fn quantile(sorted: &[f64], percent: usize) -> f64 {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}
