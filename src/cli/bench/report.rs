//! The figures as JSON, and as a table for people.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::output::{Table, Tone, fields};
use super::{Figures, Kind};

/// The goals: at least this part of the bare rate, at most so many bytes.
const RATIO_MIN: f64 = 0.6;
const AWAKE_BYTES_MAX: f64 = 2_560.0;
const PASSIVATED_BYTES_MAX: f64 = 300.0;

const READY_MS_MAX: f64 = 10_000.0;
const RESIDENT_MIB_MAX: f64 = 512.0;
const ANSWER_MS_MAX: f64 = 50.0;

const OVER_POSTGRES: &str = "callback over PostgreSQL";
/// Callbacks over PostgreSQL beside those over SQLite: at least this part of the rate, at most this part of the
/// engine's CPU time; CPU time and log of PostgreSQL.
const POSTGRES_RATE_MIN: f64 = 0.75;
const POSTGRES_ENGINE_MAX: f64 = 0.85;
const POSTGRES_US_MAX: f64 = 100.0;
const POSTGRES_LOG_MAX: f64 = 4_500.0;

fn rounded(value: f64, digits: i32) -> f64 {
    let by = 10_f64.powi(digits);
    (value * by).round() / by
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// The figures of each round.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    pub bare: Vec<Figures>,
    pub tasks: Vec<Figures>,
    pub callbacks: Vec<Figures>,
    /// Callbacks over PostgreSQL; empty where it is not measured.
    pub postgres: Vec<Figures>,
}

/// The medians of all rounds; a ratio is the median of each round's own.
pub(super) fn rates(kind: Kind, rounds: &Rounds) -> Value {
    let side = |all: &[Figures]| {
        let of = |figure: fn(&Figures) -> f64, digits| rounded(median(all.iter().map(figure)), digits);
        let rates: Vec<f64> = all.iter().map(|f| f.per_second.round()).collect();
        let threads: serde_json::Map<String, Value> = all.last().map_or_else(Default::default, |last| {
            last.threads_us.iter().map(|(name, us)| (name.clone(), json!(rounded(*us, 1)))).collect()
        });
        json!({
            "per_second": of(|f| f.per_second, 0),
            "rounds_per_second": rates,
            "p50_ms": of(|f| f.p50_ms, 1),
            "p99_ms": of(|f| f.p99_ms, 1),
            "cpu_us_each": of(|f| f.cpu_us, 1),
            "broker_cpu_us_each": of(|f| f.broker_us, 1),
            "worker_cpu_us_each": of(|f| f.worker_us, 1),
            "postgres_cpu_us_each": of(|f| f.postgres_us, 1),
            "log_bytes_each": of(|f| f.log_bytes, 0),
            "cpu_us_each_by_thread": threads,
            "writes_per_commit": of(|f| f.writes_per_commit, 0),
        })
    };
    let ratio = |of: &[Figures], to: &[Figures], figure: fn(&Figures) -> f64| {
        let all: Vec<f64> = to.iter().zip(of).map(|(to, of)| rounded(figure(of) / figure(to), 3)).collect();
        json!({ "median": median(all.iter().copied()), "rounds": all })
    };
    let ratios = |echo: &[Figures]| ratio(&rounds.callbacks, echo, |figures| figures.per_second);
    let mut measured = json!({
        "queues": kind.as_str(),
        "bare echo": side(&rounds.bare),
        "echo of tasks": side(&rounds.tasks),
        "callback": side(&rounds.callbacks),
        "callback_of": { "bare echo": ratios(&rounds.bare), "echo of tasks": ratios(&rounds.tasks) },
    });
    if !rounds.postgres.is_empty() {
        measured[OVER_POSTGRES] = side(&rounds.postgres);
        measured["postgres_of_sqlite"] = json!({
            "per_second": ratio(&rounds.postgres, &rounds.callbacks, |figures| figures.per_second),
            "cpu_us_each": ratio(&rounds.postgres, &rounds.callbacks, |figures| figures.cpu_us),
        });
    }
    measured
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or(0.0)
}

/// Callbacks over PostgreSQL beside those over SQLite.
fn over_postgres(kind: &Value) -> String {
    let mut rows = Table::new(&["PostgreSQL", "measured", "goal", "rounds"]);
    let mut row = |what: &str, value: f64, goal: f64, least: bool, each: String| {
        let good = if least { value >= goal } else { value <= goal };
        rows.row(vec![
            (what.to_owned(), Tone::Plain),
            (value.to_string(), if good { Tone::Good } else { Tone::Bad }),
            (format!("{} {goal}", if least { "≥" } else { "≤" }), Tone::Plain),
            (each, Tone::Faint),
        ]);
    };
    let (ratios, figures) = (&kind["postgres_of_sqlite"], &kind[OVER_POSTGRES]);
    for (what, name, goal, least) in [
        ("callbacks of SQLite's", "per_second", POSTGRES_RATE_MIN, true),
        ("CPU of the engine of SQLite's", "cpu_us_each", POSTGRES_ENGINE_MAX, false),
    ] {
        row(what, number(&ratios[name], "median"), goal, least, ratios[name]["rounds"].to_string());
    }
    row("its CPU µs a callback", number(figures, "postgres_cpu_us_each"), POSTGRES_US_MAX, false, String::new());
    row("its log, bytes a callback", number(figures, "log_bytes_each"), POSTGRES_LOG_MAX, false, String::new());
    rows.render()
}

pub(super) fn table(measured: &Value) -> String {
    let mut text = String::new();
    let machine = measured["machine"].as_object().into_iter().flatten();
    let facts: Vec<(&str, Option<String>)> = machine
        .map(|(name, value)| (name.as_str(), Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))))
        .collect();
    text.push_str(&fields(&facts));
    if let Some(kinds) = measured["rates"].as_array() {
        let mut rows = Table::new(&[
            "queues",
            "round trips",
            "per second",
            "callbacks of it",
            "p50 ms",
            "p99 ms",
            "CPU µs each",
            "broker's",
            "worker's",
            "by thread",
        ]);
        for kind in kinds {
            for side in ["bare echo", "echo of tasks", "callback", OVER_POSTGRES] {
                let figures = &kind[side];
                if !figures.is_object() {
                    continue;
                }
                let ratio = kind["callback_of"][side]["median"].as_f64();
                let threads = figures["cpu_us_each_by_thread"].as_object().into_iter().flatten();
                let threads: Vec<String> =
                    threads.filter(|(_, us)| us.as_f64() >= Some(1.0)).map(|(n, us)| format!("{n} {us}")).collect();
                let tone = if ratio.is_none_or(|ratio| ratio >= RATIO_MIN) { Tone::Good } else { Tone::Bad };
                rows.row(vec![
                    (kind["queues"].as_str().unwrap_or_default().to_owned(), Tone::Plain),
                    (side.to_owned(), Tone::Plain),
                    (format!("{:.0}", number(figures, "per_second")), Tone::Plain),
                    (ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")), tone),
                    (format!("{:.1}", number(figures, "p50_ms")), Tone::Plain),
                    (format!("{:.1}", number(figures, "p99_ms")), Tone::Plain),
                    (format!("{:.1}", number(figures, "cpu_us_each")), Tone::Plain),
                    (format!("{:.1}", number(figures, "broker_cpu_us_each")), Tone::Plain),
                    (format!("{:.1}", number(figures, "worker_cpu_us_each")), Tone::Plain),
                    (threads.join(", "), Tone::Faint),
                ]);
            }
        }
        let _ = write!(text, "\n{}", rows.render());
        for kind in kinds.iter().filter(|kind| kind["postgres_of_sqlite"].is_object()) {
            let _ = write!(text, "\n{}", over_postgres(kind));
        }
    }
    if let Some(kinds) = measured["latency"].as_array() {
        let _ = write!(text, "\n{}", latency(kinds));
    }
    let sleepers = &measured["sleepers"];
    if sleepers.is_object() {
        let mut rows = Table::new(&["sleepers", "bytes each", "at most", "resident MiB (empty: without them)"]);
        let empty = number(sleepers, "resident_empty_mib");
        for (what, bytes, most, resident) in [
            ("awake", "awake_bytes", AWAKE_BYTES_MAX, "resident_awake_mib"),
            ("passivated", "passivated_bytes", PASSIVATED_BYTES_MAX, "resident_passivated_mib"),
            ("more, passivated", "growth_bytes", PASSIVATED_BYTES_MAX, "resident_twice_as_many_mib"),
        ] {
            let tone = if number(sleepers, bytes) <= most { Tone::Good } else { Tone::Bad };
            rows.row(vec![
                (format!("{} {what}", sleepers["count"]), Tone::Plain),
                (format!("{:.0}", number(sleepers, bytes)), tone),
                (format!("{most:.0}"), Tone::Plain),
                (format!("{:.0} (empty: {empty:.0})", number(sleepers, resident)), Tone::Faint),
            ]);
        }
        let _ = write!(text, "\n{}", rows.render());
    }
    let api = &measured["api"];
    if api.is_object() {
        let mut rows = Table::new(&[
            "API load",
            "per second",
            "p50 ms",
            "p99 ms",
            "throttled",
            "callbacks",
            "alone",
            "ratio",
            "p99 ms",
            "alone",
        ]);
        for load in api["loads"].as_array().into_iter().flatten() {
            let mut callbacks = vec![
                (format!("{:.0}", number(load, "callbacks_beside_per_second")), Tone::Plain),
                (format!("{:.0}", number(load, "callbacks_alone_per_second")), Tone::Plain),
                (format!("{:.2}", number(load, "ratio")), Tone::Plain),
                (format!("{:.1}", number(load, "callbacks_beside_p99_ms")), Tone::Plain),
                (format!("{:.1}", number(load, "callbacks_alone_p99_ms")), Tone::Plain),
            ];
            for (operation, figures) in load["operations"].as_object().into_iter().flatten() {
                let beside_other = if load["load"] == "both" { " (both)" } else { "" };
                let mut row = vec![
                    (format!("{operation}{beside_other}"), Tone::Plain),
                    (format!("{:.0}", number(figures, "per_second")), Tone::Plain),
                    (format!("{:.1}", number(figures, "p50_ms")), Tone::Plain),
                    (format!("{:.1}", number(figures, "p99_ms")), Tone::Plain),
                    (format!("{:.0}", number(figures, "throttled")), Tone::Plain),
                ];
                // Once for each load.
                row.extend(std::mem::take(&mut callbacks));
                row.resize(10, (String::new(), Tone::Plain));
                rows.row(row);
            }
        }
        let _ = write!(text, "\n{}", rows.render());
    }
    let starts = &measured["starts"];
    if starts.is_object() {
        let shown = |name: &str| Some(number(starts, name).to_string());
        let pairs = [("starts by message, a second", "per_second"), ("CPU µs each", "cpu_us_each")];
        let _ = write!(text, "\n{}", fields(&pairs.map(|(what, name)| (what, shown(name)))));
    }
    if measured["scale"].is_object() {
        let _ = write!(text, "\n{}", scale(&measured["scale"]));
    }
    if measured["growth"].is_object() {
        let _ = write!(text, "\n{}", growth(&measured["growth"]));
    }
    if measured["viewers"].is_object() {
        let _ = write!(text, "\n{}", viewers(&measured["viewers"]));
    }
    text
}

const LATENCIES: [&str; 5] = [
    "one at a time",
    "at 1,000 a second",
    "echo of tasks at 1,000 a second",
    "reply to durable end",
    "commit of the store",
];

fn latency(kinds: &[Value]) -> String {
    let mut rows = Table::new(&["queues", "latency", "p50 ms", "p99 ms"]);
    for kind in kinds {
        for what in LATENCIES {
            rows.row(vec![
                (kind["queues"].as_str().unwrap_or_default().to_owned(), Tone::Plain),
                (what.to_owned(), Tone::Plain),
                (format!("{:.2}", number(&kind[what], "p50_ms")), Tone::Plain),
                (format!("{:.2}", number(&kind[what], "p99_ms")), Tone::Plain),
            ]);
        }
    }
    rows.render()
}

fn growth(measured: &Value) -> String {
    let mut rows = Table::new(&["growth", "size", "CPU µs each", "seconds"]);
    for (what, size) in
        [("tasks_in_a_row", "size"), ("inline_map", "size"), ("map_runs", "children"), ("recovery", "owed")]
    {
        let one = std::slice::from_ref(&measured[what]);
        for figures in measured[what].as_array().map_or(one, Vec::as_slice) {
            let kind = figures["kind"].as_str().unwrap_or_default();
            rows.row(vec![
                (format!("{what} {kind}").replace('_', " ").trim_end().to_lowercase(), Tone::Plain),
                (format!("{:.0}", number(figures, size)), Tone::Plain),
                (format!("{:.1}", number(figures, "cpu_us_each")), Tone::Plain),
                (figures["seconds"].as_f64().map_or_else(String::new, |s| format!("{s:.1}")), Tone::Plain),
            ]);
        }
    }
    rows.render()
}

/// The goals of the part `scale`, and the durations of its calls.
fn scale(measured: &Value) -> String {
    let cold = &measured["cold"];
    let mut rows = Table::new(&["store of many sleepers", "measured", "at most"]);
    let mut row = |what: &str, value: f64, most: Option<f64>| {
        let tone = if most.is_none_or(|most| value <= most) { Tone::Good } else { Tone::Bad };
        let most = most.map_or_else(String::new, |most| most.to_string());
        rows.row(vec![(what.to_owned(), Tone::Plain), (format!("{value:.1}"), tone), (most, Tone::Plain)]);
    };
    row("executions that wait", number(measured, "count"), None);
    if measured["bytes_each"].is_number() {
        row("bytes on disk for each", number(measured, "bytes_each"), None);
    }
    row("ready after a cold start, ms", number(cold, "ready_ms"), Some(READY_MS_MAX));
    for (what, at) in [("ready", "ready"), ("after the hour", "hour"), ("at the end", "end"), ("at most", "peak")] {
        row(&format!("resident MiB, {what}"), number(&cold["resident_mib"], at), Some(RESIDENT_MIB_MAX));
    }
    row("timers fired, late at p99, ms", number(&cold["timers"], "late_p99_ms"), None);
    let mut calls = Table::new(&["while", "call", "calls", "p50 ms", "p99 ms", "longest ms"]);
    for (part, operations) in cold["calls"].as_object().into_iter().flatten() {
        for (operation, figures) in operations.as_object().into_iter().flatten() {
            let p99 = number(figures, "p99_ms");
            calls.row(vec![
                (part.clone(), Tone::Plain),
                (operation.clone(), Tone::Plain),
                (format!("{:.0}", number(figures, "calls")), Tone::Plain),
                (format!("{:.1}", number(figures, "p50_ms")), Tone::Plain),
                (format!("{p99:.1}"), if p99 <= ANSWER_MS_MAX { Tone::Good } else { Tone::Bad }),
                (format!("{:.1}", number(figures, "longest_ms")), Tone::Faint),
            ]);
        }
    }
    let besides: Vec<(&str, Option<String>)> =
        ["timers", "backup", "retention"].map(|part| (part, Some(cold[part].to_string()))).to_vec();
    format!("{}\n{}\n{}", rows.render(), calls.render(), fields(&besides))
}

fn viewers(measured: &Value) -> String {
    let seen = &measured["seen"];
    let mut rows =
        Table::new(&["viewers", "callbacks", "alone", "and after", "ratio", "news", "pages", "p50 ms", "p99 ms"]);
    rows.row(vec![
        (format!("{:.0}", number(measured, "viewers")), Tone::Plain),
        (format!("{:.0}", number(measured, "callbacks_beside_per_second")), Tone::Plain),
        (format!("{:.0}", number(measured, "callbacks_alone_per_second")), Tone::Plain),
        (format!("{:.0}", number(measured, "callbacks_after_per_second")), Tone::Plain),
        (format!("{:.3}", number(measured, "ratio")), Tone::Plain),
        (format!("{:.0}", number(seen, "news_per_second")), Tone::Plain),
        (format!("{:.0}", number(seen, "pages_per_second")), Tone::Plain),
        (format!("{:.1}", number(seen, "page_p50_ms")), Tone::Plain),
        (format!("{:.1}", number(seen, "page_p99_ms")), Tone::Plain),
    ]);
    rows.render()
}
