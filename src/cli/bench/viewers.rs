//! Callbacks while people look at them: so many live streams of the list of executions are open, and each asks for the
//! page again when it hears of a change, as `live.js` does. The viewers are a process of their own on this machine:
//! their processor time counts against the ratio.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::callback::{drive, failed, with_worker};
use super::{CliError, Kind, Plan, Process, Role, quantile};

/// A viewer rests so long between two pages, and in proportion to the time that the last one took.
const REST: Duration = Duration::from_millis(150);
const REST_MAX: Duration = Duration::from_secs(5);
/// A thread for each viewer needs little.
const STACK_BYTES: usize = 128 * 1024;

pub(super) fn measure(plan: &Plan, kind: Kind, viewers: u32) -> Result<Value, CliError> {
    with_worker(plan, kind, async |app, settings, asks| {
        let server = app.bind(settings).map_err(|why| failed(&why))?;
        let (address, handle) = (server.addr, server.handle());
        let serving = actix_rt::spawn(server.run());
        let alone = drive(app, &asks, plan, None).await?;
        let arguments = json!({"address": address, "viewers": viewers});
        let process = Process::start(Role::Viewers, &arguments)?;
        let beside = drive(app, &asks, plan, None).await?;
        let seen = actix_rt::task::spawn_blocking(move || process.answer()).await.map_err(|why| failed(&why))??;
        let after = drive(app, &asks, plan, None).await?;
        app.close_console();
        handle.stop().await;
        let _ = serving.await;
        // A store that grows and a machine that drifts are on both sides of the ratio.
        let without = f64::midpoint(alone.per_second, after.per_second);
        Ok(json!({
            "viewers": viewers,
            "callbacks_alone_per_second": alone.per_second.round(),
            "callbacks_beside_per_second": beside.per_second.round(),
            "callbacks_after_per_second": after.per_second.round(),
            "ratio": (beside.per_second / without * 1e3).round() / 1e3,
            "seen": seen,
        }))
    })
}

/// In the process of its own: looks until standard input is closed.
pub(super) fn look(arguments: &Value) -> Result<(), CliError> {
    let address: SocketAddr =
        arguments["address"].as_str().and_then(|a| a.parse().ok()).ok_or_else(|| failed(&"no address"))?;
    let viewers = arguments["viewers"].as_u64().unwrap_or_default();
    let (told, news) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let began = Instant::now();
    let mut all = Vec::new();
    for _ in 0..viewers {
        let (told, news) = (Arc::clone(&told), Arc::clone(&news));
        let viewer = std::thread::Builder::new().stack_size(STACK_BYTES);
        all.push(viewer.spawn(move || follow(address, &told, &news)).map_err(|why| failed(&why))?);
    }
    let _ = std::io::stdin().read(&mut [0]);
    told.store(true, Ordering::Relaxed);
    let seconds = began.elapsed().as_secs_f64();
    let (mut took_ms, mut lost) = (Vec::new(), 0);
    for viewer in all {
        match viewer.join().map_err(|_| failed(&"a viewer panicked"))? {
            Ok(took) => took_ms.extend(took),
            Err(_) => lost += 1,
        }
    }
    took_ms.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let per_second = |n: u64| (n as f64 / seconds).round();
    let answer = json!({
        "news_per_second": per_second(news.load(Ordering::Relaxed)),
        "pages_per_second": per_second(took_ms.len() as u64),
        "page_p50_ms": quantile(&took_ms, 50),
        "page_p99_ms": quantile(&took_ms, 99),
        "streams_lost": lost,
    });
    super::super::output::line(&answer.to_string())
}

/// One viewer; returns how long each of its pages took.
fn follow(address: SocketAddr, told: &AtomicBool, news: &AtomicU64) -> std::io::Result<Vec<f64>> {
    let connect = || {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok::<_, std::io::Error>(BufReader::new(stream))
    };
    let (mut stream, mut pages) = (connect()?, connect()?);
    stream.get_ref().set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.get_mut().write_all(b"GET /console/live?topics=executions%20waits HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let (mut took_ms, mut again, mut line) = (Vec::new(), Instant::now(), String::new());
    while !told.load(Ordering::Relaxed) {
        match stream.read_line(&mut line) {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(quiet) if matches!(quiet.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(other) => return Err(other),
        }
        if line.starts_with("data: ") {
            news.fetch_add(1, Ordering::Relaxed);
            if Instant::now() >= again {
                let since = Instant::now();
                page(&mut pages, "/console/executions")?;
                let took = since.elapsed();
                took_ms.push(took.as_secs_f64() * 1e3);
                again = Instant::now() + (took * 5).clamp(REST, REST_MAX);
            }
        }
        if line.ends_with('\n') {
            line.clear();
        }
    }
    Ok(took_ms)
}

/// Asks for a page.
pub(super) fn page(stream: &mut BufReader<TcpStream>, path: &str) -> std::io::Result<()> {
    stream.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap_or(0),
            Some(_) => {}
            None if line.starts_with("HTTP/1.1 200") => {}
            None if line.trim_end().is_empty() => break,
            None => return Err(std::io::Error::other(line.trim_end().to_owned())),
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)
}
