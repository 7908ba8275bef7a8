//! A journal that cannot be read, or does not fit together: its execution stands still and is named, all others run;
//! mended, it goes on.

use serde_json::json;

use super::support::{Launch, SOON, Server};

#[test]
fn an_execution_that_cannot_be_read_is_named_and_all_others_run() {
    let mut server = Server::start(Launch::embedded());
    // Long enough that all of it happens after the restart, and due at once then.
    let definition =
        json!({"StartAt": "W", "States": {"W": {"Type": "Wait", "SecondsPath": "$.seconds", "End": true}}}).to_string();
    let machine = server.machine("waits", &definition);
    let broken = server.execution(&machine, "broken", &json!({"seconds": 1}));
    let mixed = server.execution(&machine, "mixed", &json!({"seconds": 1}));
    let whole: Vec<String> =
        (0..10).map(|n| server.execution(&machine, &format!("n-{n}"), &json!({"seconds": 1}))).collect();
    server.kill();

    let kept: Vec<(i64, Vec<u8>)> = {
        let store = rusqlite::Connection::open(server.store()).expect("the store is a file of SQLite");
        let damage = |name: &str, damaged: &dyn Fn(&[u8]) -> Vec<u8>| {
            let n: i64 = store.query_row("SELECT n FROM headers WHERE name = ?1", [name], |row| row.get(0)).unwrap();
            let first = "SELECT min(n) FROM journal WHERE execution = ?1";
            let row: i64 = store.query_row(first, [n], |row| row.get(0)).unwrap();
            let bytes: Vec<u8> =
                store.query_row("SELECT bytes FROM journal WHERE n = ?1", [row], |row| row.get(0)).unwrap();
            store.execute("UPDATE journal SET bytes = ?2 WHERE n = ?1", (row, damaged(&bytes))).unwrap();
            (row, bytes)
        };
        // A batch that does not decode, and a batch whose second event was lost.
        let lost = |bytes: &[u8]| {
            let mut batch: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            batch["e"].as_array_mut().unwrap().remove(1);
            batch.to_string().into_bytes()
        };
        vec![damage("broken", &|_| b"{\"v\":1,\"e\":[{]}".to_vec()), damage("mixed", &lost)]
    };
    server.start_again();
    for execution in &whole {
        assert_eq!(server.ended(execution)["status"], "SUCCEEDED");
    }
    // Named: in the log once, in DescribeExecution, in a metric.
    let named =
        |line: &serde_json::Value| line["event"] == "execution.quarantined" && line["execution.arn"] == broken.as_str();
    server.wait_for("it is named", SOON, |server| server.log().iter().any(named));
    let shown = server.call("DescribeExecution", &json!({"executionArn": broken}));
    assert_eq!((&shown["status"], &shown["error"]), (&json!("RUNNING"), &json!("Reveille.Quarantined")));
    assert!(shown["cause"].as_str().unwrap().contains("does not decode"), "{shown}");
    let shown = server.call("DescribeExecution", &json!({"executionArn": mixed}));
    assert_eq!((&shown["status"], &shown["error"]), (&json!("RUNNING"), &json!("Reveille.Quarantined")));
    assert!(
        shown["cause"].as_str().unwrap().contains("does not fit: it follows event 2, which is not there yet"),
        "{shown}"
    );
    assert!(server.metric("reveille_executions_quarantined") > 1.5);
    // It does not hide other waiting tasks from a listing, and a stop of it is refused.
    server.call("Reveille.ListWaitingTasks", &json!({}));
    let (status, _) = server.try_call("StopExecution", &json!({"executionArn": broken})).unwrap_err();
    assert_eq!(status, 500);
    let after = server.execution(&machine, "after", &json!({"seconds": 0}));
    assert_eq!(server.ended(&after)["status"], "SUCCEEDED");
    assert_eq!(server.log().iter().filter(|line| named(line)).count(), 1, "said once");

    // Its row in the index is damaged too: a listing leaves out unreadable rows, and shows the others.
    assert!(server.stop().success());
    let store = rusqlite::Connection::open(server.store()).unwrap();
    let revision: Vec<u8> =
        store.query_row("SELECT revision FROM headers WHERE name = 'broken'", [], |row| row.get(0)).unwrap();
    store.execute("UPDATE headers SET revision = x'00' WHERE name = 'broken'", []).unwrap();
    drop(store);
    server.start_again();
    let listed = server.call("ListExecutions", &json!({"stateMachineArn": machine}));
    let names: Vec<&str> =
        listed["executions"].as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap()).collect();
    assert!(names.len() == whole.len() + 2 && !names.contains(&"broken") && names.contains(&"after"), "{names:?}");
    let left_out = |line: &serde_json::Value| line["event"] == "execution.unreadable";
    server.wait_for("it is named", SOON, |server| server.log().iter().any(left_out));
    let (status, _) = server.try_call("DescribeExecution", &json!({"executionArn": broken})).unwrap_err();
    assert_eq!(status, 500);

    // Mended, it goes on.
    assert!(server.stop().success());
    let store = rusqlite::Connection::open(server.store()).unwrap();
    for kept in kept {
        store.execute("UPDATE journal SET bytes = ?2 WHERE n = ?1", kept).unwrap();
    }
    store.execute("UPDATE headers SET revision = ?1 WHERE name = 'broken'", [revision]).unwrap();
    drop(store);
    server.start_again();
    for execution in [&broken, &mixed] {
        assert_eq!(server.ended(execution)["status"], "SUCCEEDED");
    }
    assert!(server.metric("reveille_executions_quarantined") < 0.5);
}
