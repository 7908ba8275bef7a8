//! Servers of two versions on one database. Rows of the database play the other version.

use serde_json::json;

use super::cluster::{balanced, launch};
use super::support::{Database, Launch, Server, Wire, asks, vhost};

#[test]
fn a_server_joins_one_of_the_next_version_and_none_that_is_further_away() {
    let (Some(bus), Some(database)) = (vhost(), Database::start()) else { return };
    let first = Server::start(launch(&bus, &database));
    let wire = Wire::to(&bus);
    wire.declare(&["work"]);
    let mut second = Server::start(launch(&bus, &database));
    balanced([&first, &second]);
    assert!(second.stop().success());

    // Two versions on: it may write what this one does not read.
    assert_eq!(database.ask("SELECT speaks FROM nodes"), "2");
    database.ask("UPDATE nodes SET speaks = 4, version = '9.9.9'");
    let (status, said) = second.fails_to_start();
    assert!(
        !status.success() && said.contains("version 9.9.9") && said.contains("one version after the other"),
        "{said}"
    );

    // One version on, and one version back: both write what both read.
    for speaks in [3, 1] {
        database.ask(&format!("UPDATE nodes SET speaks = {speaks}"));
        second.start_again();
        balanced([&first, &second]);
        let machine = first.machine("asks", &asks("work", &json!({})));
        for (starts, answers, n) in [(&first, &second, 1), (&second, &first, 2)] {
            let arn = starts.execution(&machine, &format!("e{speaks}-{n}"), &json!({"number": n}));
            let token = wire.task("work").token;
            answers.call("SendTaskSuccess", &json!({"taskToken": token, "output": n.to_string()}));
            assert_eq!(starts.ended(&arn)["output"], n.to_string());
        }
        assert!(second.stop().success());
    }
}

#[test]
fn a_server_does_not_start_on_a_store_that_a_newer_version_has_written() {
    let mut server = Server::start(Launch::embedded());
    assert!(server.stop().success());
    let store = rusqlite::Connection::open(server.store()).expect("the store");
    let raised = store.execute("UPDATE settings SET value = '3' WHERE key = 'engine.form'", []).expect("written");
    assert_eq!(raised, 1);
    drop(store);
    let (status, said) = server.fails_to_start();
    assert!(!status.success() && said.contains("written by a newer version"), "{said}");
}
