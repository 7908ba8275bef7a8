//! After a clean stop there is no log beside the store, and no library logs a line for a client's bad request.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use super::support::{Launch, Server};

#[test]
fn twenty_clean_stops_leave_no_log_beside_the_store() {
    let mut server = Server::start(Launch::embedded().with("REVEILLE__ENGINE__THREADS", "2"));
    let wait = json!({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": true}}});
    let machine = server.machine("waits", &wait.to_string());
    for n in 0..20 {
        for m in 0..5 {
            server.execution(&machine, &format!("e-{n}-{m}"), &json!({}));
        }
        assert!(server.stop().success());
        let log = server.store().with_extension("db-wal");
        assert!(!log.exists(), "stop {n} left {} bytes of log", std::fs::metadata(&log).unwrap().len());
        server.start_again();
    }
    let running = server.call("ListExecutions", &json!({"stateMachineArn": machine, "statusFilter": "RUNNING"}));
    assert_eq!(running["executions"].as_array().unwrap().len(), 100);
}

#[test]
fn a_malformed_request_of_anybody_is_no_line_in_the_log() {
    let server = Server::start(Launch::embedded());
    for bad in ["GET / HTTP/1.1\r\nno colon here\r\n\r\n", "\0\0\0\r\n\r\n", "POST / HTTP/9.9\r\n\r\n"] {
        let mut stream = TcpStream::connect(server.endpoint.trim_start_matches("http://")).unwrap();
        stream.write_all(bad.as_bytes()).unwrap();
        // Until it is answered or cut.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(server.get("/healthz").0, 200);
    let http =
        |line: &serde_json::Value| line["target"].as_str().is_some_and(|target| target.starts_with("actix_http"));
    let loud: Vec<_> = server.log().into_iter().filter(|line| line["level"] == "ERROR" || http(line)).collect();
    assert!(loud.is_empty(), "{loud:?}");
}
