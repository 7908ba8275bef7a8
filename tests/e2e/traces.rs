//! Traces: from the caller through the engine and a Python worker to the end, at a collector that decodes OTLP with
//! the protocol's own messages.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use reveille::bus::{HeaderValue, Message, Properties};

use super::support::{Launch, Program, SOON, Server, Wire, python, until, vhost};

/// A collector: OTLP over HTTP in both encodings; one line of JSON for each span.
const COLLECTOR: &str = r#"
import base64
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest as Request


def decoded(body, kind):
    if kind == "application/x-protobuf":
        return Request.FromString(body)
    request = json.loads(body)
    for resource in request["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                # OTLP writes ids as hexadecimal digits, protobuf's JSON as base64.
                for ids in [span, *span.get("links", [])]:
                    for name in ("traceId", "spanId", "parentSpanId"):
                        if name in ids:
                            ids[name] = base64.b64encode(bytes.fromhex(ids[name])).decode()
    return json_format.ParseDict(request, Request())


class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        assert self.path == "/v1/traces", self.path
        request = decoded(self.rfile.read(int(self.headers["content-length"])), self.headers["content-type"])
        for resource in request.resource_spans:
            service = [a.value.string_value for a in resource.resource.attributes if a.key == "service.name"]
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                told = {"service": service[0], "name": span.name, "trace": span.trace_id.hex(), "id": span.span_id.hex(),
                        "parent": span.parent_span_id.hex(), "links": [link.span_id.hex() for link in span.links],
                        "state": span.trace_state, "kind": span.kind, "error": span.status.message,
                        "from": span.start_time_unix_nano, "to": span.end_time_unix_nano}
                print(json.dumps(told), flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
print(f"collecting at http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"#;

/// A worker as OpenTelemetry's documents write it. Its first answer is a failure.
const WORKER: &str = r#"
import json
import sys

import pika
from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

amqp, collector = sys.argv[1:]
provider = TracerProvider(resource=Resource.create({"service.name": "worker"}))
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{collector}/v1/traces")))
tracer = provider.get_tracer("worker")
failed = False


def on_task(channel, method, task, body):
    global failed
    with tracer.start_as_current_span("work", propagate.extract(task.headers), kind=trace.SpanKind.CONSUMER):
        headers = {"task-token": task.headers["task-token"], "task-status": "success" if failed else "failure"}
        answer = {"done": True} if failed else {"error": "Busy", "cause": "later"}
        propagate.inject(headers)
        channel.basic_publish("", task.reply_to, json.dumps(answer), pika.BasicProperties(headers=headers))
        failed = True
    channel.basic_ack(method.delivery_tag)


channel = pika.BlockingConnection(pika.URLParameters(amqp)).channel()
channel.basic_consume("work", on_task)
print("waiting", flush=True)
channel.start_consuming()
"#;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const UNSAMPLED: &str = "5bf92f3577b34da6a3ce929d0e0e4736";

fn run(python: &Path, folder: &Path, name: &str, script: &str, arguments: &[&str]) -> Program {
    let file = folder.join(name);
    std::fs::write(&file, script).expect("a script");
    Program::start(python, &file, arguments, &[])
}

/// `StartExecution` within a trace.
fn start(server: &Server, machine: &str, name: &str, headers: &[(&str, &str)]) -> String {
    let body = json!({"stateMachineArn": machine, "name": name, "input": "{}"}).to_string();
    let mut request = ureq::post(&server.endpoint)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "AWSStepFunctions.StartExecution");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let text = request.send(body).expect("an answer").body_mut().read_to_string().expect("text");
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    answer["executionArn"].as_str().expect("an ARN").to_owned()
}

fn spans(collector: &Program) -> Vec<Value> {
    collector.said().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn a_trace_goes_from_the_caller_through_the_worker_to_the_end() {
    let (Some(url), Some(python)) = (vhost(), python()) else { return };
    let packages = "import opentelemetry.exporter.otlp.proto.http";
    if !Command::new(&python).args(["-c", packages]).status().expect("it runs").success() {
        eprintln!("skipped: PYTHON has no OpenTelemetry (make setup installs it)");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut collector = run(&python, folder.path(), "collector.py", COLLECTOR, &[]);
    let endpoint = collector.line_with("collecting at").rsplit(' ').next().expect("a URL").to_owned();
    let mut server = Server::start(Launch::over(&url).with("REVEILLE__TELEMETRY__OTLP__ENDPOINT", &endpoint));
    let machine = server.machine(
        "traced",
        &json!({"StartAt": "Ask", "States": {"Ask": {"Type": "Task", "End": true,
            "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken",
            "Parameters": {"Queue": "work", "Body": {"question": "?"}},
            "Retry": [{"ErrorEquals": ["Busy"], "IntervalSeconds": 1}]}}})
        .to_string(),
    );
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let traced = start(&server, &machine, "traced", &[("traceparent", &parent), ("tracestate", "shop=1")]);
    // With the confirm in the journal a start does not publish the task again.
    server.wait_for("the task is submitted", SOON, |server| {
        server.history(&traced).iter().any(|event| event["type"] == "TaskSubmitted")
    });
    server.kill();
    server.start_again();
    let mut worker = run(&python, folder.path(), "worker.py", WORKER, &[&url, &endpoint]);
    worker.says("waiting");
    assert_eq!(server.ended(&traced)["status"], "SUCCEEDED");
    let x_ray = format!("Root=1-{}-{};Sampled=0", &UNSAMPLED[..8], &UNSAMPLED[8..]);
    let unsampled = start(&server, &machine, "unsampled", &[("x-amzn-trace-id", &x_ray)]);
    assert_eq!(server.ended(&unsampled)["status"], "SUCCEEDED");
    let own = start(&server, &machine, "own", &[]);
    assert_eq!(server.ended(&own)["status"], "SUCCEEDED");

    let all = until("the last execution's span arrives", SOON, || {
        let all = spans(&collector);
        let ends = all.iter().filter(|span| span["name"] == "traced").count();
        (ends == 2).then_some(all)
    });
    assert!(!all.iter().any(|span| span["trace"] == UNSAMPLED), "{all:#?}");
    let by_name = |name: &str| -> Vec<&Value> {
        let mut found: Vec<&Value> = all.iter().filter(|span| span["trace"] == TRACE && span["name"] == name).collect();
        found.sort_by_key(|span| span["from"].as_u64());
        found
    };
    let [execution] = by_name("traced")[..] else { panic!("{all:#?}") };
    let [state] = by_name("Ask")[..] else { panic!("{all:#?}") };
    let [pause] = by_name("retry")[..] else { panic!("{all:#?}") };
    let [first, second] = by_name("amqp:publish.waitForTaskToken")[..] else { panic!("{all:#?}") };
    let [failed, done] = by_name("work")[..] else { panic!("{all:#?}") };
    let parents = [
        ("execution", &execution["parent"], json!(CALLER)),
        ("state", &state["parent"], execution["id"].clone()),
        ("pause", &pause["parent"], state["id"].clone()),
        ("first", &first["parent"], state["id"].clone()),
        ("second", &second["parent"], state["id"].clone()),
        ("failed", &failed["parent"], first["id"].clone()),
        ("done", &done["parent"], second["id"].clone()),
        ("link of first", &first["links"], json!([failed["id"]])),
        ("link of second", &second["links"], json!([done["id"]])),
    ];
    for (what, is, should) in parents {
        assert_eq!(*is, should, "{what} in {all:#?}");
    }
    assert_eq!((&first["error"], &second["error"], &execution["error"]), (&json!("Busy"), &json!(""), &json!("")));
    assert_eq!((&execution["state"], &done["state"]), (&json!("shop=1"), &json!("shop=1")), "tracestate goes along");
    // A span that began before the crash kept its time.
    assert!(first["from"].as_u64() < failed["from"].as_u64() && execution["from"].as_u64() <= first["from"].as_u64());
    let answered = server.log().into_iter().find(|line| line["event"] == "reply.accepted").expect("a line");
    assert_eq!((&answered["trace_id"], &answered["span_id"]), (&json!(TRACE), &first["id"]));
    let own: Vec<&Value> = all.iter().filter(|span| span["name"] == "traced" && span["trace"] != TRACE).collect();
    assert_eq!(own[0]["parent"], "", "it has a trace of its own");
}

#[test]
fn a_start_message_continues_its_trace_and_children_of_a_map_run_are_linked() {
    let (Some(url), Some(python)) = (vhost(), python()) else { return };
    if !Command::new(&python).args(["-c", "import opentelemetry.proto"]).status().expect("it runs").success() {
        eprintln!("skipped: PYTHON has no OpenTelemetry (make setup installs it)");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut collector = run(&python, folder.path(), "collector.py", COLLECTOR, &[]);
    let endpoint = collector.line_with("collecting at").rsplit(' ').next().expect("a URL").to_owned();
    let server = Server::start(Launch::over(&url).with("REVEILLE__TELEMETRY__OTLP__ENDPOINT", &endpoint));
    let pass = json!({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}});
    let machine = server.machine(
        "fans",
        &json!({"StartAt": "Fan", "States": {"Fan": {"Type": "Map", "End": true, "ItemsPath": "$.items",
            "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": pass["StartAt"], "States": pass["States"]}}}})
        .to_string(),
    );
    let wire = Wire::to(&url);
    wire.wait_for_queue("reveille.start");
    let request = json!({"stateMachineArn": machine, "name": "by-message", "input": {"items": [1, 2]}});
    let headers = [
        ("traceparent".into(), HeaderValue::Text(format!("00-{TRACE}-{CALLER}-01"))),
        ("tracestate".into(), HeaderValue::Text("shop=1".to_owned())),
    ];
    let properties =
        Properties { content_type: Some("application/json".into()), headers: headers.into(), ..Properties::default() };
    wire.publish("reveille.start", Message { body: request.to_string().into_bytes(), properties });

    // The children of a run are many: they have traces of their own, with a link to the run's parent.
    let all = until("the spans of parent and children arrive", SOON, || {
        let all = spans(&collector);
        let of = |name: &str| all.iter().filter(|span| span["name"] == name).count();
        (of("P") == 2 && all.iter().any(|span| span["trace"] == TRACE && span["name"] == "fans")).then_some(all)
    });
    let parent = all.iter().find(|span| span["trace"] == TRACE && span["name"] == "fans").expect("the parent");
    assert_eq!((&parent["parent"], &parent["state"]), (&json!(CALLER), &json!("shop=1")));
    let fan = all.iter().find(|span| span["name"] == "Fan").expect("the Map state");
    let of_trace: Vec<&Value> = all.iter().filter(|span| span["trace"] == TRACE).map(|span| &span["id"]).collect();
    assert_eq!(fan["parent"], parent["id"]);
    let children: Vec<&Value> =
        all.iter().filter(|span| span["trace"] != TRACE && span["parent"] == "" && span["name"] != "P").collect();
    assert_eq!(children.len(), 2, "{all:#?}");
    assert_ne!(children[0]["trace"], children[1]["trace"]);
    for child in children {
        let links = child["links"].as_array().expect("links");
        assert!(links.len() == 1 && of_trace.contains(&&links[0]), "{child} {all:#?}");
    }
}
