//! The API while callbacks run: the clients' rates, and the loss of the callbacks. For each operation alone: callbacks
//! without load, then the same with it. The client is a process of its own that keeps connections open and calls as
//! fast as it is answered, or at the given rate. Its executions need no worker, so the callbacks do not queue behind
//! them at the broker.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::callback::{drive, failed, machine_of, with_worker};
use super::{CliError, Kind, PAYLOAD, Plan, Process, Role, quantile};

/// Connections that call.
const CONNECTIONS: u32 = 8;
/// Each is a load of its own; the last is both at once, with as many connections each.
const LOADS: [(&str, &[&str]); 3] = [
    ("DescribeExecution", &["DescribeExecution"]),
    ("StartExecution", &["StartExecution"]),
    ("both", &["DescribeExecution", "StartExecution"]),
];
/// The time after which a start refused for load is repeated.
const THROTTLED: Duration = Duration::from_millis(5);

pub(super) fn measure(plan: &Plan, kind: Kind, per_second: u32) -> Result<Value, CliError> {
    with_worker(plan, kind, async |app, settings, asks| {
        let passes = machine_of(&app.engine, "passes", &json!({"Type": "Pass", "End": true})).await?;
        let server = app.bind(settings).map_err(|why| failed(&why))?;
        let (address, handle) = (server.addr, server.handle());
        let serving = actix_rt::spawn(server.run());
        let mut loads = Vec::new();
        for (name, operations) in LOADS {
            let alone = drive(app, &asks, plan, None).await?;
            let arguments =
                json!({"address": address, "machine": passes, "operations": operations, "per_second": per_second});
            let client = Process::start(Role::ApiClient, &arguments)?;
            let beside = drive(app, &asks, plan, None).await?;
            let answers =
                actix_rt::task::spawn_blocking(move || client.answer()).await.map_err(|why| failed(&why))??;
            tracing::info!(load = name, "load done");
            loads.push(json!({
                "load": name,
                "callbacks_alone_per_second": alone.per_second.round(),
                "callbacks_alone_p99_ms": alone.p99_ms,
                "callbacks_beside_per_second": beside.per_second.round(),
                "callbacks_beside_p99_ms": beside.p99_ms,
                "ratio": (beside.per_second / alone.per_second * 1e3).round() / 1e3,
                "operations": answers,
            }));
        }
        handle.stop().await;
        let _ = serving.await;
        Ok(json!({
            "queues": kind.as_str(),
            "connections_each": CONNECTIONS,
            "asked_per_second": (per_second > 0).then_some(per_second),
            "loads": loads,
        }))
    })
}

/// The figures of one connection.
#[derive(Debug, Default)]
struct Calls {
    took_ms: Vec<f64>,
    /// Starts that were refused for load.
    throttled: u64,
}

/// In the process of its own: calls until standard input is closed.
pub(super) fn call(arguments: &Value) -> Result<(), CliError> {
    let address: SocketAddr =
        arguments["address"].as_str().and_then(|a| a.parse().ok()).ok_or_else(|| failed(&"no address"))?;
    let machine = arguments["machine"].as_str().unwrap_or_default().to_owned();
    let operations = arguments["operations"].as_array().into_iter().flatten().filter_map(Value::as_str);
    // Each connection calls in turns of its own, so that all together keep to the rate.
    let turn = match arguments["per_second"].as_f64() {
        Some(rate) if rate > 0.0 => Some(Duration::from_secs_f64(f64::from(CONNECTIONS) / rate)),
        _ => None,
    };
    let told = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let callers: Vec<_> = operations
        .flat_map(|operation| (0..CONNECTIONS).map(move |_| operation.to_owned()))
        .map(|operation| {
            let (machine, told) = (machine.clone(), Arc::clone(&told));
            std::thread::spawn(move || {
                let calls = keep_calling(address, &operation, &machine, turn, &told);
                (operation, calls)
            })
        })
        .collect();
    let _ = std::io::stdin().read(&mut [0]);
    told.store(true, Ordering::Relaxed);
    let mut calls: BTreeMap<String, Calls> = BTreeMap::new();
    for caller in callers {
        let (operation, made) = caller.join().map_err(|_| failed(&"a caller panicked"))?;
        let (all, made) = (calls.entry(operation).or_default(), made.map_err(|why| failed(&why))?);
        all.took_ms.extend(made.took_ms);
        all.throttled += made.throttled;
    }
    let seconds = began.elapsed().as_secs_f64();
    let answers: serde_json::Map<String, Value> = calls
        .into_iter()
        .map(|(operation, Calls { mut took_ms, throttled })| {
            took_ms.sort_by(f64::total_cmp);
            #[expect(clippy::cast_precision_loss, reason = "figures for people")]
            let per_second = (took_ms.len() as f64 / seconds).round();
            let (p50, p99) = (quantile(&took_ms, 50), quantile(&took_ms, 99));
            (operation, json!({"per_second": per_second, "p50_ms": p50, "p99_ms": p99, "throttled": throttled}))
        })
        .collect();
    super::super::output::line(&Value::Object(answers).to_string())
}

fn keep_calling(
    address: SocketAddr,
    operation: &str,
    machine: &str,
    turn: Option<Duration>,
    told: &AtomicBool,
) -> std::io::Result<Calls> {
    let mut stream = BufReader::new(TcpStream::connect(address)?);
    stream.get_ref().set_nodelay(true)?;
    stream.get_ref().set_read_timeout(Some(Duration::from_secs(30)))?;
    let start = json!({"stateMachineArn": machine, "input": PAYLOAD});
    let mut calls = Calls::default();
    let body = if operation == "StartExecution" {
        start
    } else {
        loop {
            match request(&mut stream, "StartExecution", &start)? {
                Some(started) => break json!({"executionArn": started["executionArn"]}),
                None => std::thread::sleep(THROTTLED),
            }
        }
    };
    let mut next = Instant::now();
    while !told.load(Ordering::Relaxed) {
        let since = Instant::now();
        if request(&mut stream, operation, &body)?.is_some() {
            calls.took_ms.push(since.elapsed().as_secs_f64() * 1e3);
        } else {
            calls.throttled += 1;
            std::thread::sleep(THROTTLED);
        }
        if let Some(turn) = turn {
            // Turns that were missed are not made up for.
            next = (next + turn).max(Instant::now());
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }
    Ok(calls)
}

/// One call on a connection that stays open. `None`: refused for load, try again.
pub(super) fn request(
    stream: &mut BufReader<TcpStream>,
    operation: &str,
    body: &Value,
) -> std::io::Result<Option<Value>> {
    let body = body.to_string();
    let service = if operation.contains('.') { "" } else { "AWSStepFunctions." };
    let head = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Target: \
         {service}{operation}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.get_mut().write_all(format!("{head}{body}").as_bytes())?;
    let mut status = String::new();
    stream.read_line(&mut status)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap_or(0),
            Some(_) => {}
            None => break,
        }
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
    if status.starts_with("HTTP/1.1 200") {
        Ok(Some(answer))
    } else if answer["__type"] == "ThrottlingException" {
        Ok(None)
    } else {
        Err(std::io::Error::other(format!("{}: {answer}", status.trim_end())))
    }
}
