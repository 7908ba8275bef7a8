//! The API while callbacks run: what clients get, and what they take from the callbacks. The client is a process of its own that keeps
//! connections open and calls as fast as it is answered.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::callback::{drive, failed, machine};
use super::{CliError, Kind, PAYLOAD, Plan, Process, Role, Scratch, echo, quantile, settings};
use crate::app::Application;

/// Connections that call each operation.
const CONNECTIONS: u64 = 8;
const OPERATIONS: [&str; 2] = ["StartExecution", "DescribeExecution"];

pub(super) fn measure(plan: &Plan, kind: Kind) -> Result<Value, CliError> {
    let place = echo::Place::prepare(&plan.url, kind)?;
    let worker = Process::start(Role::Worker, &json!({"url": plan.url, "queue": place.queue}))?;
    let scratch = Scratch::make(&plan.folder)?;
    let settings = settings(plan, kind, &scratch.store(), &[])?;
    let measured = actix_rt::System::new().block_on(async {
        let app = Application::build(&settings).await.map_err(|why| failed(&why))?;
        let machine = machine(&app.engine, &place.queue).await?;
        let server = app.bind(&settings).map_err(|why| failed(&why))?;
        let (address, handle) = (server.addr, server.handle());
        let serving = actix_rt::spawn(server.run());
        let alone = drive(&app, &machine, plan).await?;
        let arguments = json!({"address": address, "machine": machine, "in_flight": CONNECTIONS});
        let client = Process::start(Role::ApiClient, &arguments)?;
        let beside = drive(&app, &machine, plan).await?;
        let answers = actix_rt::task::spawn_blocking(move || client.answer()).await.map_err(|why| failed(&why))??;
        handle.stop().await;
        let _ = serving.await;
        app.stop().await;
        Ok::<Value, CliError>(json!({
            "queues": kind.as_str(),
            "connections": CONNECTIONS * OPERATIONS.len() as u64,
            "callbacks_alone_per_second": alone.per_second.round(),
            "callbacks_beside_per_second": beside.per_second.round(),
            "callbacks_beside_p99_ms": beside.p99_ms,
            "operations": answers,
        }))
    });
    drop(worker);
    place.clear(&plan.url)?;
    measured
}

/// In the process of its own: calls until standard input is closed.
pub(super) fn call(arguments: &Value) -> Result<(), CliError> {
    let address: SocketAddr = arguments["address"].as_str().and_then(|a| a.parse().ok()).ok_or_else(|| failed(&"no address"))?;
    let machine = arguments["machine"].as_str().unwrap_or_default().to_owned();
    let told = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let began = Instant::now();
    let callers: Vec<_> = OPERATIONS
        .into_iter()
        .flat_map(|operation| (0..CONNECTIONS).map(move |_| operation))
        .map(|operation| {
            let (machine, told) = (machine.clone(), std::sync::Arc::clone(&told));
            std::thread::spawn(move || (operation, keep_calling(address, operation, &machine, &told)))
        })
        .collect();
    let _ = std::io::stdin().read(&mut [0]);
    told.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut latencies: std::collections::BTreeMap<&str, Vec<f64>> = std::collections::BTreeMap::new();
    for caller in callers {
        let (operation, took) = caller.join().map_err(|_| failed(&"a caller panicked"))?;
        latencies.entry(operation).or_default().extend(took.map_err(|why| failed(&why))?);
    }
    let seconds = began.elapsed().as_secs_f64();
    let answers: serde_json::Map<String, Value> = latencies
        .into_iter()
        .map(|(operation, mut took)| {
            took.sort_by(f64::total_cmp);
            #[expect(clippy::cast_precision_loss, reason = "figures for people")]
            let per_second = (took.len() as f64 / seconds).round();
            (operation.to_owned(), json!({"per_second": per_second, "p50_ms": quantile(&took, 50), "p99_ms": quantile(&took, 99)}))
        })
        .collect();
    super::super::output::line(&Value::Object(answers).to_string())
}

fn keep_calling(address: SocketAddr, operation: &str, machine: &str, told: &std::sync::atomic::AtomicBool) -> std::io::Result<Vec<f64>> {
    let mut stream = BufReader::new(TcpStream::connect(address)?);
    stream.get_ref().set_nodelay(true)?;
    stream.get_ref().set_read_timeout(Some(Duration::from_secs(30)))?;
    let start = json!({"stateMachineArn": machine, "input": PAYLOAD});
    let started = request(&mut stream, "StartExecution", &start)?;
    let describe = json!({"executionArn": started["executionArn"]});
    let body = if operation == "StartExecution" { start } else { describe };
    let mut took = Vec::new();
    while !told.load(std::sync::atomic::Ordering::Relaxed) {
        let since = Instant::now();
        request(&mut stream, operation, &body)?;
        took.push(since.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took)
}

/// One call on a connection that stays open.
fn request(stream: &mut BufReader<TcpStream>, operation: &str, body: &Value) -> std::io::Result<Value> {
    let body = body.to_string();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Target: AWSStepFunctions.{operation}\r\nContent-Length: {}\r\n\r\n",
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
    if !status.starts_with("HTTP/1.1 200") {
        return Err(std::io::Error::other(format!("{}: {}", status.trim_end(), String::from_utf8_lossy(&answer))));
    }
    Ok(serde_json::from_slice(&answer).unwrap_or_default())
}
