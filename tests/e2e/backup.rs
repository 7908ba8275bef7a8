//! `reveille backup`: a copy made under a running server goes on where the server was.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::support::{Answer, Launch, SOON, Server, Wire, asks, vhost};

const EXECUTIONS: usize = 40;

fn backup(store: &Path, to: &Path, more: &[&str]) -> (i32, Value, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
    command
        .arg("backup")
        .arg(to)
        .args(["--output", "json", "--store"])
        .arg(format!("sqlite:{}", store.display()))
        .args(more);
    let output = command.stdin(Stdio::null()).output().expect("the command runs");
    let shown = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().unwrap_or(-1), shown, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_restored_backup_runs_its_executions_on() {
    let Some(url) = vhost() else { return };
    let mut server = Server::start(Launch::over(&url));
    let wire = Wire::to(&url);
    wire.declare(&["work"]);
    let machine = server.machine("asks", &asks("work", &json!({})));
    let copy = server.folder().join("copy.db");
    // Made in the middle of starts: each is in the copy with all that it had, or not at all.
    let arns: Vec<String> = std::thread::scope(|scope| {
        let starts = scope.spawn(|| {
            (0..EXECUTIONS)
                .map(|n| server.execution(&machine, &format!("n-{n}"), &json!({"number": n})))
                .collect::<Vec<_>>()
        });
        server
            .wait_for("the first has started", SOON, |server| server.metric("reveille_executions_started_total") > 0.0);
        let (code, made, said) = backup(&server.store(), &copy, &[]);
        assert_eq!(code, 0, "{said}");
        assert!(made["open"].as_u64().unwrap() >= 1 && made["bytes"].as_u64().unwrap() > 4096, "{made}");
        assert!(made["tokenKeys"].as_str().unwrap().ends_with("copy.db.token-key"), "{made}");
        starts.join().expect("the starts")
    });
    let (code, _, said) = backup(&server.store(), &copy, &[]);
    assert!(code == 1 && said.contains("already exists"), "{code} {said}");

    // The machine that had the store is gone; the copy takes its place.
    server.kill();
    for end in ["", "-wal", "-shm", ".token-key"] {
        let _ = std::fs::remove_file(format!("{}{end}", server.store().display()));
    }
    std::fs::rename(&copy, server.store()).unwrap();
    std::fs::rename(format!("{}.token-key", copy.display()), format!("{}.token-key", server.store().display()))
        .unwrap();
    server.start_again();
    wire.worker("work", 50, |task| Answer::success(&task.body["number"]));
    let mut restored = 0;
    for (n, arn) in arns.iter().enumerate() {
        match server.try_call("DescribeExecution", &json!({"executionArn": arn})) {
            Ok(_) => {
                assert_eq!(server.ended(arn)["output"], n.to_string());
                restored += 1;
            }
            Err((_, error)) => assert!(error["__type"].as_str().unwrap().ends_with("ExecutionDoesNotExist"), "{error}"),
        }
    }
    assert!(restored >= 1, "the copy has everything that was written before it");
}

#[test]
fn what_is_no_store_and_what_is_damaged_makes_no_backup() {
    let dir = tempfile::tempdir().expect("a folder");
    let (file, copy) = (dir.path().join("a.db"), dir.path().join("copy.db"));
    let (code, _, said) = backup(&file, &copy, &[]);
    assert!(code == 1 && said.contains("there is no store at"), "{code} {said}");
    rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let (code, _, said) = backup(&file, &copy, &["--without-keys"]);
    assert!(code == 1 && said.contains("is no store of Reveille's"), "{code} {said}");

    let mut server = Server::start(Launch::embedded());
    let definition =
        json!({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 600, "End": true}}}).to_string();
    let machine = server.machine("waits", &definition);
    for n in 0..20 {
        server.execution(&machine, &format!("n-{n}"), &json!({"bulk": "x".repeat(5_000)}));
    }
    assert!(server.stop().success());
    // The log may hold pages that would heal those of the file.
    rusqlite::Connection::open(server.store()).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    // Half of the file is overwritten, as a failing disk would. A single page might be a free one, without any loss.
    let mut bytes = std::fs::read(server.store()).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..].fill(0xa5);
    std::fs::write(server.store(), bytes).unwrap();
    let (code, _, said) = backup(&server.store(), &copy, &[]);
    assert!(code == 1 && said.contains("damaged"), "{code} {said}");
    assert!(
        !copy.exists() && !dir.path().join("copy.db.token-key").exists(),
        "nothing that looks like a backup is left"
    );
    // The server says the same when it is told to look.
    server.set("REVEILLE__STORE__CHECK", "true");
    let (status, said) = server.fails_to_start();
    assert!(status.code() == Some(1) && said.contains("is damaged") && said.contains("restore a backup"), "{said}");
}
