//! HTTP Tasks of a whole server: its worker over the bus, retries, a connection of the settings, and what `TestState`
//! shows.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::{Value, json};

use super::support::{Launch, Server, vhost};

/// A server that is busy at first, and asks for a key. Its address.
fn shop() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for (count, stream) in listener.incoming().enumerate() {
            let mut stream = stream.expect("a connection");
            let mut bytes = [0; 4_096];
            let length = stream.read(&mut bytes).unwrap_or(0);
            let asked = String::from_utf8_lossy(&bytes[..length]).into_owned();
            let (status, body) = match () {
                () if !asked.contains("x-api-key: k-1\r\n") => ("401 Unauthorized", r#"{"who": "are you"}"#),
                () if count == 0 => ("503 Service Unavailable", "busy"),
                () => ("200 OK", r#"{"ok": true}"#),
            };
            let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
            let _ = write!(stream, "{head}\r\nConnection: close\r\n\r\n{body}");
        }
    });
    address
}

/// A server with the connection `shop`, and the folder of its settings.
fn server(bus: &str) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let (key, settings) = (folder.path().join("key"), folder.path().join("reveille.toml"));
    std::fs::write(&key, "k-1\n").expect("a key");
    let rows = format!(
        "[http]\nprivate_hosts = \"127.0.0.1\"\n[[connections]]\nname = \"shop\"\ntype = \"api_key\"\nheader = \"X-Api-Key\"\n\
         value_file = \"{}\"\n",
        key.display()
    );
    std::fs::write(&settings, rows).expect("settings");
    (Server::start(Launch::over(bus).with("REVEILLE_CONFIG", settings.to_str().expect("a path"))), folder)
}

fn task(endpoint: &str, connection: &str) -> Value {
    json!({ "Type": "Task", "Resource": "arn:aws:states:::http:invoke", "End": true,
        "Parameters": { "ApiEndpoint": endpoint, "Method": "GET",
            "Authentication": { "ConnectionArn": format!("arn:aws:events:us-east-1:123456789012:connection/{connection}/1") } },
        "Retry": [{ "ErrorEquals": ["States.Http.StatusCode.503"], "IntervalSeconds": 1, "MaxAttempts": 2 }],
        "ResultSelector": { "body.$": "$.ResponseBody", "status.$": "$.StatusCode" } })
}

fn calls(bus: &str) {
    let (server, _folder) = server(bus);
    let endpoint = shop();
    let definition = json!({ "StartAt": "Web", "States": { "Web": task(&endpoint, "shop") } });
    let machine = server.machine("web", &definition.to_string());
    let ended = server.ended(&server.execution(&machine, "one", &json!({})));
    let output: Value = serde_json::from_str(ended["output"].as_str().expect("it succeeds")).unwrap();
    assert_eq!(output, json!({ "body": { "ok": true }, "status": 200 }));
}

#[test]
fn an_http_task_is_tried_again_and_succeeds() {
    calls("embedded:");
}

#[test]
fn an_http_task_goes_over_a_broker() {
    if let Some(bus) = vhost() {
        calls(&bus);
    }
}

#[test]
fn test_state_shows_request_and_response() {
    let (server, _folder) = server("embedded:");
    let endpoint = shop();
    let test = |level: &str, reveal: bool| {
        server.call(
            "TestState",
            &json!({ "definition": task(&endpoint, "shop").to_string(), "inspectionLevel": level, "revealSecrets": reveal,
                "roleArn": "arn:aws:iam::123456789012:role/r", "input": "{}" }),
        )
    };
    // It is busy at first.
    let seen = test("INFO", false);
    assert_eq!(seen["error"], json!("States.Http.StatusCode.503"), "{seen}");
    assert!(seen.get("inspectionData").is_none(), "{seen}");
    let seen = test("TRACE", false);
    assert_eq!(seen["status"], json!("SUCCEEDED"), "{seen}");
    let (request, response) = (&seen["inspectionData"]["request"], &seen["inspectionData"]["response"]);
    assert_eq!((&request["method"], &request["protocol"]), (&json!("GET"), &json!("http")));
    assert_eq!(request["url"], json!(format!("{endpoint}/")));
    assert_eq!((&response["statusCode"], &response["statusMessage"]), (&json!("200"), &json!("OK")));
    assert_eq!(response["body"], json!(r#"{"ok": true}"#));
    assert!(!seen.to_string().contains("k-1"), "{seen}");
    let seen = test("TRACE", true);
    assert!(seen["inspectionData"]["request"]["headers"].as_str().unwrap().contains("x-api-key: k-1"), "{seen}");
    // The level asks for no more.
    assert!(test("DEBUG", true)["inspectionData"].get("request").is_none());
}
