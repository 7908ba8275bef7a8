use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::Receiver;

use serde_json::{Value, json};

use super::*;
use crate::clock::Timestamp;
use crate::ids::{EventId, ExecutionId};
use crate::spans::{Attribute, End, Kind};
use crate::trace::TraceOrigin;

/// A collector that answers each request with the next of these statuses and bodies, then with 200.
fn collector(answers: Vec<(u16, &'static str)>) -> (String, Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (got, requests) = mpsc::channel();
    std::thread::spawn(move || {
        let mut answers = answers.into_iter();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            while let Some(request) = request(&mut stream) {
                let (status, body) = answers.next().unwrap_or((200, "{}"));
                write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
                if got.send(request).is_err() {
                    return;
                }
            }
        }
    });
    (endpoint, requests)
}

/// Head and body of one request.
fn request(stream: &mut TcpStream) -> Option<(String, Value)> {
    let (mut head, mut reader) = (String::new(), BufReader::new(stream));
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((lower, serde_json::from_slice(&body).expect("JSON")))
}

fn traces(endpoint: &str) -> (Traces, Metrics) {
    let metrics = Metrics::new();
    let options = OtlpOptions {
        endpoint: endpoint.to_owned(),
        headers: vec![("x-team".to_owned(), SecretString::from("shop"))],
        sampling: Sampling(1.0),
        service: "orders".to_owned(),
    };
    (Traces::start(&options, metrics.clone()).unwrap(), metrics)
}

fn trace() -> Trace {
    let origin = TraceOrigin::of_w3c("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some("a=1"));
    Trace::of(ExecutionId(uuid::Uuid::from_u128(7)), origin.as_ref(), Sampling(1.0))
}

fn span(number: u64) -> Span {
    Span {
        id: number,
        parent: Some(9),
        kind: Kind::Task,
        name: "amqp:call".into(),
        from: Timestamp::from_millis(1_700_000_000_001),
        to: Timestamp::from_millis(1_700_000_000_003),
        end: End::Failed("Kitchen.Busy".to_owned()),
        links: vec![trace().task(ExecutionId(uuid::Uuid::from_u128(0)), EventId(3))],
        attributes: vec![("reveille.task.attempt", Attribute::Number(2))],
    }
}

const PATIENCE: Duration = Duration::from_mins(1);

fn metric(metrics: &Metrics, name: &str) -> String {
    let text = metrics.render(&crate::telemetry::metrics::Now::default());
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default().to_owned()
}

#[test]
fn spans_arrive_in_the_protocols_form() {
    let (endpoint, requests) = collector(Vec::new());
    let (traces, metrics) = traces(&endpoint);
    traces.send(&trace(), vec![span(5), span(6)]);
    traces.flush(PATIENCE);
    let (head, body) = requests.recv_timeout(PATIENCE).unwrap();
    assert!(head.starts_with("post /v1/traces ") && head.contains("content-type: application/json"), "{head}");
    assert!(head.contains("x-team: shop"), "{head}");
    let resource = &body["resourceSpans"][0];
    assert_eq!(
        resource["resource"]["attributes"][0],
        json!({"key": "service.name", "value": {"stringValue": "orders"}})
    );
    let spans = resource["scopeSpans"][0]["spans"].as_array().unwrap();
    assert_eq!(spans.len(), 2);
    assert_eq!(
        spans[0],
        json!({
            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
            "spanId": "0000000000000005",
            "parentSpanId": "0000000000000009",
            "traceState": "a=1",
            "name": "amqp:call",
            "kind": 3,
            "startTimeUnixNano": "1700000000001000000",
            "endTimeUnixNano": "1700000000003000000",
            "attributes": [
                {"key": "reveille.task.attempt", "value": {"intValue": "2"}},
                {"key": "error.type", "value": {"stringValue": "Kitchen.Busy"}},
            ],
            "links": [{"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "0000000000000003"}],
            "status": {"code": 2, "message": "Kitchen.Busy"},
        })
    );
    assert_eq!(metric(&metrics, "reveille_spans_sent_total"), "2");
}

#[test]
fn a_collector_that_is_busy_gets_them_again() {
    let (endpoint, requests) = collector(vec![(503, "")]);
    let (traces, metrics) = traces(&endpoint);
    traces.send(&trace(), vec![span(5)]);
    let first = requests.recv_timeout(PATIENCE).unwrap();
    assert_eq!(requests.recv_timeout(PATIENCE).unwrap(), first);
    let until = Instant::now() + PATIENCE;
    while metric(&metrics, "reveille_spans_sent_total") != "1" {
        assert!(Instant::now() < until, "it took them");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(metric(&metrics, "reveille_spans_dropped_total"), "0");
}

#[test]
fn what_the_collector_refuses_is_counted_and_not_sent_again() {
    let partly = r#"{"partialSuccess": {"rejectedSpans": "1", "errorMessage": "too old"}}"#;
    let (endpoint, requests) = collector(vec![(400, ""), (200, partly)]);
    let (traces, metrics) = traces(&endpoint);
    for _ in 0..2 {
        traces.send(&trace(), vec![span(5), span(6)]);
        traces.flush(PATIENCE);
    }
    assert_eq!(requests.try_iter().count(), 2);
    assert_eq!(metric(&metrics, "reveille_spans_sent_total"), "1");
    assert_eq!(metric(&metrics, "reveille_spans_dropped_total"), "3");
}

#[test]
fn without_a_collector_memory_is_bounded_and_nothing_waits() {
    // A port that is closed again.
    let endpoint = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let (traces, metrics) = traces(&endpoint);
    let many: Vec<Span> = (0..1_000).map(span).collect();
    for _ in 0..SPANS_WAITING_MAX / 1_000 + 5 {
        traces.send(&trace(), many.clone());
    }
    assert!(traces.inner.state.waiting.load(Ordering::Relaxed) <= SPANS_WAITING_MAX);
    let dropped: usize = metric(&metrics, "reveille_spans_dropped_total").parse().unwrap();
    assert!(dropped >= 4_000, "{dropped}");
}
