//! A cold server over the store: it is asked, its timers fire, its tasks are answered, it is copied and tidied.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Seek};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::api::request;
use super::super::callback::failed;
use super::super::viewers::page;
use super::super::{CliError, Plan, machine, quantile};
use super::{CALLS, HOUR_SECONDS, HOURS, Place, QUEUE, WAITS, settings_of};
use crate::app::{self, Application};
use crate::clock::Timestamp;
use crate::store::{ExecutionFilter, ExecutionStatus};

/// The parts of the run, in order.
const PARTS: [&str; 5] = ["alone", "hour", "backup", "retention", "after"];
/// How long the cold server is asked before the hour begins, at least; and at the end.
const ALONE: Duration = Duration::from_secs(10);
/// How long closed executions are removed at most; and removed at once, as the engine does.
const RETENTION: Duration = Duration::from_secs(20);
const PURGE_AT_ONCE: u32 = 200;
/// How long the others wait for the first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(1);
/// Threads that ask.
const ASKING: usize = 2;
/// A thread that asks rests so long between two questions.
const REST: Duration = Duration::from_millis(5);
/// Pages of one walk through a listing.
const PAGES: usize = 50;
/// Timers that fired are looked for so long behind the hour.
const LATE_MAX: Duration = Duration::from_secs(30);

/// Durations of all calls in milliseconds, by part and operation.
#[derive(Default)]
struct Book {
    part: AtomicUsize,
    over: AtomicBool,
    calls: Mutex<BTreeMap<(usize, &'static str), Vec<f64>>>,
    failed: AtomicUsize,
    first_failure: Mutex<Option<String>>,
}

impl Book {
    fn enter(&self, part: &str) {
        let at = PARTS.iter().position(|name| *name == part).unwrap_or(0);
        self.part.store(at, Ordering::Relaxed);
    }

    fn timed<T>(&self, operation: &'static str, call: impl FnOnce() -> std::io::Result<T>) -> Option<T> {
        let (part, since) = (self.part.load(Ordering::Relaxed), Instant::now());
        match call() {
            Ok(answer) => {
                let took = since.elapsed().as_secs_f64() * 1e3;
                let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
                calls.entry((part, operation)).or_default().push(took);
                Some(answer)
            }
            Err(why) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                let mut first = self.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| format!("{operation}: {why}"));
                None
            }
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn figures(&self) -> Value {
        let mut all = json!({});
        for ((part, operation), took) in &mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner) {
            took.sort_by(f64::total_cmp);
            all[PARTS[*part]][*operation] = json!({"calls": took.len(), "p50_ms": quantile(took, 50),
                "p99_ms": quantile(took, 99), "longest_ms": took.last()});
        }
        all
    }
}

/// `hour`: the hour's timers fire from then on.
pub(super) fn measure(plan: &Plan, place: &Place, hour: Timestamp) -> Result<Value, CliError> {
    let began = Instant::now();
    let settings = settings_of(plan, place, &[])?;
    actix_rt::System::new().block_on(async {
        let app = Application::build(&settings).await.map_err(|why| failed(&why))?;
        let server = app.bind(&settings).map_err(|why| failed(&why))?;
        let (address, handle) = (server.addr, server.handle());
        let serving = actix_rt::spawn(server.run());
        while app.engine.ready().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let ready = began.elapsed();
        let at_ready = machine::memory();
        let book = Arc::new(Book::default());
        let open = app.engine.journal().figures().open_executions;
        let threads = ask(address, &app, &book, place, open / HOURS)?;
        book.enter("alone");
        let alone = hour.since(app.engine.clock().now()).max(ALONE);
        tokio::time::sleep(alone).await;
        book.enter("hour");
        tokio::time::sleep(Duration::from_secs(HOUR_SECONDS)).await;
        let fired = fired(&app, open / HOURS).await?;
        let behind_the_hour = machine::memory();
        book.enter("backup");
        let backup = backup(&settings, place).await?;
        book.enter("retention");
        let retention = retain(&app).await?;
        book.enter("after");
        tokio::time::sleep(ALONE).await;
        book.over.store(true, Ordering::Relaxed);
        for thread in threads {
            let _ = actix_rt::task::spawn_blocking(move || thread.join()).await;
        }
        let at_the_end = machine::memory();
        handle.stop().await;
        let _ = serving.await;
        app.stop().await;
        let first_failure = book.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(json!({
            "ready_ms": ready.as_millis(),
            "resident_mib": {"ready": at_ready.0 >> 20, "hour": behind_the_hour.0 >> 20, "end": at_the_end.0 >> 20,
                "peak": at_the_end.1 >> 20},
            "timers": fired,
            "backup": backup,
            "retention": retention,
            "calls": book.figures(),
            "failed": {"calls": book.failed.load(Ordering::Relaxed), "first": *first_failure},
        }))
    })
}

/// Tasks that were chosen, one after the other.
struct Chosen(BufReader<std::fs::File>);

impl Chosen {
    fn open(place: &Place) -> Result<Self, CliError> {
        Ok(Self(BufReader::new(std::fs::File::open(place.chosen()).map_err(|why| failed(&why))?)))
    }

    /// ARN and token.
    fn next(&mut self) -> Option<(String, String)> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        line.trim_end().split_once(' ').map(|(arn, token)| (arn.to_owned(), token.to_owned()))
    }

    /// The next ARN; behind the last, the first again. Executions that were answered are described too.
    fn arn(&mut self) -> Option<String> {
        let arn = self.next().map(|(arn, _)| arn);
        if arn.is_none() {
            self.0.rewind().ok()?;
        }
        arn
    }
}

/// One thread answers, the others read.
fn ask(
    address: SocketAddr,
    app: &Application,
    book: &Arc<Book>,
    place: &Place,
    an_hour: u64,
) -> Result<Vec<std::thread::JoinHandle<()>>, CliError> {
    let machine = app.engine.realm().state_machine(CALLS).to_string();
    let mut threads = Vec::new();
    let (answers, tasks) = (Arc::clone(book), Chosen::open(place)?);
    let pause = Duration::from_secs(HOUR_SECONDS).div_f64(f64::from(u32::try_from(an_hour).unwrap_or(u32::MAX).max(1)));
    threads.push(std::thread::spawn(move || answer(address, &answers, tasks, pause)));
    for _ in 0..ASKING {
        let (book, chosen, machine) = (Arc::clone(book), Chosen::open(place)?, machine.clone());
        threads.push(std::thread::spawn(move || read(address, &book, chosen, &machine)));
    }
    Ok(threads)
}

fn connect(address: SocketAddr, book: &Book) -> Option<BufReader<TcpStream>> {
    let stream = book.timed("connect", || {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(2)))?;
        Ok(stream)
    })?;
    Some(BufReader::new(stream))
}

/// Answers chosen tasks: the first at once, the others at the rate of the hour.
fn answer(address: SocketAddr, book: &Book, mut tasks: Chosen, pause: Duration) {
    let Some(mut stream) = connect(address, book) else { return };
    let mut next = Instant::now();
    let mut name = "first answer";
    while let Some((_, token)) = tasks.next().filter(|_| !book.is_over()) {
        let body = json!({"taskToken": token, "output": "{\"approved\":true}"});
        if book.timed(name, || request(&mut stream, "SendTaskSuccess", &body)).is_none() {
            let Some(again) = connect(address, book) else { return };
            stream = again;
        }
        name = "SendTaskSuccess";
        next = (next + pause).max(Instant::now());
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// Reads listings page by page, the console's pages, and executions at random.
fn read(address: SocketAddr, book: &Book, mut chosen: Chosen, machine: &str) {
    // The first answer has the cold server for itself.
    std::thread::sleep(FIRST_ANSWER);
    let running = json!({"stateMachineArn": machine, "statusFilter": "RUNNING", "maxResults": 100});
    let (all, queue) = (json!({"maxResults": 100}), json!({"maxResults": 100, "destination": QUEUE}));
    while !book.is_over() {
        for (operation, first) in
            [("ListExecutions", &running), ("Reveille.ListWaitingTasks", &all), ("Reveille.ListWaitingTasks", &queue)]
        {
            // A connection for each walk: a failed call ends both.
            let Some(mut stream) = connect(address, book) else { return };
            let mut body = first.clone();
            for _ in 0..PAGES {
                let answer = book.timed(operation, || request(&mut stream, operation, &body)).flatten();
                let Some(next) = answer.and_then(|answer| answer["nextToken"].as_str().map(str::to_owned)) else {
                    break;
                };
                body["nextToken"] = next.into();
                if let Some(arn) = chosen.arn() {
                    let execution = json!({"executionArn": arn});
                    book.timed("DescribeExecution", || request(&mut stream, "DescribeExecution", &execution));
                }
                std::thread::sleep(REST);
                if book.is_over() {
                    return;
                }
            }
        }
        let Some(mut stream) = connect(address, book) else { return };
        for path in ["/console/executions", "/console/inbox"] {
            book.timed(path, || page(&mut stream, path));
            std::thread::sleep(REST);
        }
    }
}

/// The timers of the hour: how many have fired, and how late.
async fn fired(app: &Application, hour: u64) -> Result<Value, CliError> {
    let filter = ExecutionFilter {
        state_machine: Some(app.engine.realm().state_machine(WAITS)),
        status: Some(ExecutionStatus::Succeeded),
        limit: u32::try_from(hour).unwrap_or(u32::MAX),
        ..ExecutionFilter::default()
    };
    let until = Instant::now() + LATE_MAX;
    loop {
        let rows = app.engine.journal().list(filter.clone()).await.map_err(|why| failed(&why))?;
        if (rows.len() as u64) < hour && Instant::now() < until {
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        }
        let mut late: Vec<f64> = rows
            .iter()
            .filter_map(|row| {
                let input: Value = serde_json::from_str(&row.header.input).ok()?;
                let due = Timestamp::parse_iso(input["until"].as_str()?).ok()?;
                Some(row.summary.closed.as_ref()?.at.since(due).as_secs_f64() * 1e3)
            })
            .collect();
        late.sort_by(f64::total_cmp);
        return Ok(json!({"due": hour, "fired": rows.len(), "late_p50_ms": quantile(&late, 50),
            "late_p99_ms": quantile(&late, 99)}));
    }
}

/// A backup, where the store is a file and the disk has room for it.
async fn backup(settings: &crate::config::Settings, place: &Place) -> Result<Value, CliError> {
    let Some(bytes) = place.bytes() else { return Ok(json!({"left_out": "a database has its own tools"})) };
    let room = rustix::fs::statvfs(&place.folder).map_err(|why| failed(&why))?;
    let free = room.f_bavail * room.f_frsize;
    if free < bytes + bytes / 4 {
        return Ok(json!({"left_out": "the disk has no room for a copy"}));
    }
    let (settings, to) = (settings.clone(), place.folder.join("copy.db"));
    let _ = std::fs::remove_file(&to);
    let copy = to.clone();
    let since = Instant::now();
    let made = actix_rt::task::spawn_blocking(move || app::backup(&settings, &copy, false));
    let made = made.await.map_err(|why| failed(&why))?.map_err(|why| failed(&why))?;
    let seconds = since.elapsed().as_secs_f64();
    let _ = std::fs::remove_file(&to);
    Ok(json!({"seconds": (seconds * 10.0).round() / 10.0, "bytes": made.copy.bytes}))
}

/// The housekeeping when the retention time of all closed executions is over.
async fn retain(app: &Application) -> Result<Value, CliError> {
    let (since, mut removed) = (Instant::now(), 0);
    let before = app.engine.clock().now().plus(Duration::from_hours(1));
    while since.elapsed() < RETENTION {
        let n = app.engine.journal().purge(before, PURGE_AT_ONCE).await.map_err(|why| failed(&why))?;
        removed += n;
        if n < u64::from(PURGE_AT_ONCE) {
            break;
        }
    }
    let seconds = since.elapsed().as_secs_f64();
    Ok(json!({"removed": removed, "seconds": (seconds * 10.0).round() / 10.0}))
}
