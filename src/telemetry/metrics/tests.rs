//! Metrics as a scrape shows them.

use std::collections::HashSet;

use super::*;

#[test]
fn what_is_counted_is_shown() {
    let metrics = Metrics::new();
    metrics.execution_started("art-event");
    metrics.execution_started("art-event");
    metrics.execution_closed("art-event", "SUCCEEDED", Duration::from_secs(30));
    metrics.execution_woke();
    metrics.task_scheduled();
    metrics.task_scheduled();
    metrics.task_completed(Duration::from_millis(40));
    metrics.task_returned("unroutable");
    metrics.dead_letter("expired");
    metrics.reply("late");
    metrics.reply_refused("unknown-key");
    metrics.append(Duration::from_millis(2));
    metrics.append_conflict();
    metrics.api_request("StartExecution", "ok", Duration::from_millis(1));
    let now = Now {
        executions_open: 1,
        executions_bytes: 5,
        tasks_waiting: 4,
        bus_up: true,
        bus_reconnects: 3,
        unreadable_messages: [("deep", 2)].into(),
        not_ready: vec![("store", true), ("bus", false)],
        commits: vec![(64.0, 0), (128.0, 1), (f64::INFINITY, 0)],
        commit_events: 100,
        store_bytes: 9,
        ..Now::default()
    };
    let text = metrics.render(&now);
    for line in [
        r#"reveille_executions_started_total{machine="art-event"} 2"#,
        r#"reveille_executions_closed_total{machine="art-event",status="SUCCEEDED"} 1"#,
        r#"reveille_execution_duration_seconds_bucket{le="60.0",machine="art-event",status="SUCCEEDED"} 1"#,
        r#"reveille_api_request_duration_seconds_count{operation="StartExecution"} 1"#,
        "reveille_store_bytes 9",
        "reveille_executions_open 1",
        "reveille_executions_bytes 5",
        "reveille_executions_awake 1",
        "reveille_tasks_scheduled_total 2",
        "reveille_tasks_waiting 4",
        "reveille_store_conflicts_total 1",
        r#"reveille_messages_unreadable_total{reason="deep"} 2"#,
        r#"reveille_not_ready{reason="store"} 1"#,
        r#"reveille_not_ready{reason="bus"} 0"#,
        "reveille_bus_reconnects_total 3",
        "reveille_store_commit_events_sum 100.0",
        "reveille_store_commit_events_count 1",
        r#"reveille_store_commit_events_bucket{le="+Inf"} 1"#,
        r#"reveille_tasks_returned_total{reason="unroutable"} 1"#,
        r#"reveille_dead_letters_total{reason="expired"} 1"#,
        r#"reveille_replies_total{verdict="late"} 1"#,
        r#"reveille_replies_refused_total{reason="unknown-key"} 1"#,
        r#"reveille_callback_latency_seconds_bucket{le="0.05"} 1"#,
        "reveille_store_append_seconds_count 1",
        r#"reveille_store_commit_events_bucket{le="128.0"} 1"#,
        "reveille_bus_up 1",
        "reveille_bus_blocked 0",
        r#"reveille_api_requests_total{operation="StartExecution",outcome="ok"} 1"#,
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in:\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn machines_beyond_the_bound_share_a_label() {
    let metrics = Metrics::new();
    for n in 0..MACHINES_MAX + 100 {
        metrics.execution_started(&format!("m{n}"));
    }
    let text = metrics.render(&Now::default());
    assert_eq!(text.lines().filter(|l| l.starts_with("reveille_executions_started_total{")).count(), MACHINES_MAX + 1);
    assert!(text.contains(r#"reveille_executions_started_total{machine="(other)"} 100"#));
}

#[test]
fn queues_with_most_tasks_have_a_label_and_go_when_nothing_waits() {
    let metrics = Metrics::new();
    let of = |queue: String, waiting, oldest_seconds| QueueNow { queue, waiting, oldest_seconds };
    let mut queues: Vec<QueueNow> = (0..QUEUES_MAX + 50).map(|n| of(format!("q{n}"), 1 + n as u64, 2.5)).collect();
    queues.push(of(String::new(), 7, 90.0));
    let text = metrics.render(&Now { queues: Some(queues), ..Now::default() });
    let lines = |text: &str, name: &str| text.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(lines(&text, "reveille_queue_tasks_waiting{"), QUEUES_MAX + 1);
    let last = QUEUES_MAX + 49;
    for line in [
        format!("reveille_queue_tasks_waiting{{queue=\"q{last}\"}} {}", last + 1),
        // The fifty smallest have 1 to 50 tasks, and 7 wait elsewhere.
        format!("reveille_queue_tasks_waiting{{queue=\"(other)\"}} {}", 50 * 51 / 2 + 7),
        "reveille_queue_oldest_task_seconds{queue=\"(other)\"} 90.0".to_owned(),
        format!("reveille_queue_oldest_task_seconds{{queue=\"q{last}\"}} 2.5"),
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in:\n{text}");
    }
    let kept = metrics.render(&Now::default());
    assert_eq!(lines(&kept, "reveille_queue_tasks_waiting{"), QUEUES_MAX + 1, "not known: as before");
    let text = metrics.render(&Now { queues: Some(Vec::new()), ..Now::default() });
    assert_eq!(lines(&text, "reveille_queue_tasks_waiting{"), 0);
}

/// The document lists all metrics, and no others.
#[test]
fn the_document_lists_every_metric_as_it_is() {
    let document = include_str!("../../../docs/METRICS.md");
    let metrics = Metrics::new();
    let items: Vec<String> = metrics.described().iter().map(Described::item).collect();
    let (_, list) = document.split_once("## All metrics").unwrap();
    // The lines after the first line of an item are indented.
    let joined = list.replace("\n  ", " ");
    let listed: Vec<&str> = joined.lines().filter(|line| line.starts_with("- ")).collect();
    assert_eq!(listed, items, "the list of docs/METRICS.md must be:\n{}", items.join("\n"));
    // A scrape shows the same metrics. A metric with labels appears with its first sample.
    let text = metrics.render(&Now::default());
    let shown = metrics.described().iter().filter(|metric| metric.labels.is_empty());
    assert_eq!(text.lines().filter(|line| line.starts_with("# TYPE ")).count(), shown.clone().count());
    for metric in shown {
        let name = metric.name.strip_suffix("_total").unwrap_or(&metric.name);
        assert!(text.contains(&format!("# TYPE {name} {}\n", metric.kind)), "{metric:?} is not in:\n{text}");
    }
}

/// The dashboard and the alert rules name only metrics that there are.
#[test]
fn the_dashboard_and_the_alerts_use_metrics_that_there_are() {
    let metrics = Metrics::new();
    let described: HashSet<&str> = metrics.described().iter().map(|metric| metric.name.as_str()).collect();
    for (file, text) in [
        ("grafana.json", include_str!("../../../examples/monitoring/grafana.json")),
        ("alerts.yaml", include_str!("../../../examples/monitoring/alerts.yaml")),
    ] {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let named: Vec<&str> =
            words.filter(|word| word.starts_with("reveille_") || word.starts_with("process_")).collect();
        assert!(named.len() > 10, "{file}: {named:?}");
        for name in named {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!(described.contains(name) || described.contains(base), "{file} names {name}");
        }
    }
    let dashboard: serde_json::Value =
        serde_json::from_str(include_str!("../../../examples/monitoring/grafana.json")).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 10);
}
