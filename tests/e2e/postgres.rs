//! The server over PostgreSQL and RabbitMQ: callbacks, kill -9 of the engine and of the database, one process at a
//! time.

use std::process::Command;

use serde_json::json;

use super::support::{Answer, Database, Launch, SOON, Server, Wire, asks, until, vhost};

const EXECUTIONS: usize = 60;

#[test]
fn callbacks_over_postgres_survive_kills_of_the_engine_and_of_the_database() {
    let (Some(bus), Some(database)) = (vhost(), Database::start()) else { return };
    let mut server = Server::start(Launch::over(&bus).on(&database.url));
    let wire = Wire::to(&bus);
    wire.declare(&["work"]);
    let machine = server.machine("asks", &asks("work", &json!({})));
    let arns: Vec<String> =
        (0..EXECUTIONS).map(|n| server.execution(&machine, &format!("n-{n}"), &json!({"number": n}))).collect();
    // The same start again is the same execution.
    assert_eq!(server.execution(&machine, "n-0", &json!({"number": 0})), arns[0]);
    let answer = |count: usize| {
        for _ in 0..count {
            let task = wire.task("work");
            wire.reply(&task.reply_to, Some(&task.token), &Answer::success(&task.body["number"]));
        }
    };
    answer(20);
    server.wait_for("twenty have ended", SOON, |server| server.metric("reveille_executions_closed_total") >= 20.0);

    // Answered while no engine is there; the row of the killed process is in the way for some seconds.
    server.kill();
    answer(10);
    server.start_again();
    assert!(server.log().iter().any(|line| line["event"] == "node.lapsed"));
    server.wait_for("thirty have ended", SOON, |_| ended(&database) == 30);

    // Replies that come while the database is away are given back and come again.
    database.kill();
    server.wait_for("it says that it is not ready", SOON, |server| server.get("/readyz").0 != 200);
    answer(10);
    assert!(server.try_call("StartExecution", &json!({"stateMachineArn": machine, "name": "late"})).is_err());
    database.start_again();
    server.wait_for("it is ready again", SOON, |server| server.get("/readyz").0 == 200);
    server.wait_for("forty have ended", SOON, |_| ended(&database) == 40);

    // Another process beside it does not start, and says why.
    let mut other = Command::new(env!("CARGO_BIN_EXE_reveille"));
    other.args(["serve", "--listen", "127.0.0.1:0", "--bus", "embedded:", "--store", &database.url]);
    let refused = other.current_dir(server.folder()).env_remove("REVEILLE_CONFIG").output().expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("is in use by another process"), "{said}");

    wire.worker("work", 10, |task| Answer::success(&task.body["number"]));
    for (n, arn) in arns.iter().enumerate() {
        let shown = server.ended(arn);
        assert_eq!((&shown["status"], &shown["output"]), (&json!("SUCCEEDED"), &json!(n.to_string())), "{shown}");
        let succeeded = server.history(arn).iter().filter(|event| event["type"] == "TaskSucceeded").count();
        assert_eq!(succeeded, 1, "{arn}");
    }
    assert!(server.stop().success());
    assert_eq!(database.ask("SELECT count(*) FROM nodes"), "0", "the place is free after a clean stop");
}

fn ended(database: &Database) -> usize {
    database.ask("SELECT count(*) FROM executions WHERE closed IS NOT NULL").parse().expect("a number")
}

/// Where its queues are in the server itself it shares the database with no other.
#[test]
fn a_server_without_a_broker_that_was_frozen_ends_when_another_has_its_database() {
    let Some(database) = Database::start() else { return };
    let mut server = Server::start(Launch::embedded().on(&database.url));
    let mut backup = Command::new(env!("CARGO_BIN_EXE_reveille"));
    let said = backup.args(["backup", "copy.db", "--store", &database.url]).current_dir(server.folder()).output();
    let said = said.expect("it runs");
    assert!(!said.status.success() && String::from_utf8_lossy(&said.stderr).contains("pg_dump"), "{said:?}");

    let wait = json!({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": true}}});
    let machine = server.machine("waits", &wait.to_string());
    server.execution(&machine, "before", &json!({}));
    // Its row goes, and nothing has taken its place: it joins again, and goes on.
    database.ask("DELETE FROM nodes");
    until("it takes starts again", SOON, || {
        server.try_call("StartExecution", &json!({"stateMachineArn": machine})).is_ok().then_some(())
    });
    signal(&server, "-STOP");
    let mut other = Server::start(Launch::embedded().on(&database.url));
    other.execution(&machine, "after", &json!({}));
    signal(&server, "-CONT");
    until("the woken server ends", SOON, || (!server.runs()).then_some(()));
    assert!(!server.gone().success());
    assert!(other.stop().success());
    assert_eq!(database.ask("SELECT count(*) FROM headers WHERE name IN ('before', 'after')"), "2");
}

fn signal(server: &Server, name: &str) {
    let told = Command::new("kill").args([name, &server.id().to_string()]).status().expect("kill runs");
    assert!(told.success());
}

/// A certificate of the test's own; PostgreSQL's default files, of its own user.
fn certificate(database: &Database) -> String {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    for (n, file, pem) in [(1, "server.crt", made.cert.pem()), (2, "server.key", made.signing_key.serialize_pem())] {
        database.ask(&format!("SELECT lo_from_bytea({n}, decode('{}', 'hex'))", hex::encode(&pem)));
        database.ask(&format!("SELECT lo_export({n}, '{file}')"));
    }
    database.ask("COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; chmod 600 server.key'");
    database.ask("ALTER SYSTEM SET ssl = on");
    database.ask("SELECT pg_reload_conf()");
    until("the server speaks TLS", SOON, || (database.ask("SHOW ssl") == "on").then_some(()));
    made.cert.pem()
}

#[test]
fn tls_is_used_and_the_certificate_verified() {
    let Some(database) = Database::start() else { return };
    let pem = certificate(&database);
    let encrypted = format!("{}?sslmode=verify-full", database.url);
    let folder = tempfile::tempdir().expect("a folder");
    // The issuer is not one of the operating system's.
    let mut stranger = Command::new(env!("CARGO_BIN_EXE_reveille"));
    stranger.args(["serve", "--listen", "127.0.0.1:0", "--bus", "embedded:", "--store", &encrypted]);
    let refused = stranger.current_dir(folder.path()).env_remove("REVEILLE_CONFIG").output().expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("certificate"), "{said}");

    let file = folder.path().join("ca.pem");
    std::fs::write(&file, pem).expect("written");
    let launch = Launch::embedded().on(&encrypted).with("REVEILLE__STORE__CA_FILE", &file.display().to_string());
    let mut server = Server::start(launch);
    let sessions = "SELECT count(*) > 0 AND bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'reveille'";
    assert_eq!(database.ask(sessions), "t");
    assert!(server.stop().success());
}
