//! A takeover costs the same however many executions sleep in the database.

use std::time::SystemTime;

use serde_json::json;

use super::cluster::{balanced, launch};
use super::support::{Answer, Database, SOON, Server, Wire, asks, until, vhost};

/// Executions that wait for a year: copies of the only one with the name `sleeper`, spread over all partitions.
fn plant(database: &Database, sleepers: u64) {
    // Ids of version 7 whose tails are 2^63 + n: the tail's rest is the partition.
    let ids = format!(
        "CREATE TEMP TABLE planted AS SELECT n, \
           ('0190000000007000' || lpad(to_hex(n - 9223372036854775807 - 1), 16, '0'))::uuid AS id, \
           ((9223372036854775808::numeric + n) % 48)::int AS partition \
         FROM generate_series(1, {sleepers}::bigint) n"
    );
    let copied = "CREATE TEMP TABLE original AS SELECT id FROM headers WHERE name = 'sleeper'; \
        INSERT INTO executions SELECT p.id, e.version, e.due, e.closed, e.redriven, e.started, e.machine, e.machine_version, \
          e.machine_alias, e.map_run, e.tasks, e.redrive_count, p.partition, e.status, e.owes_parent, e.owes \
          FROM planted p, executions e WHERE e.id = (SELECT id FROM original); \
        INSERT INTO headers (id, arn_key, revision, named, arn, name, machine, input) \
          SELECT p.id, p.id, h.revision, true, h.arn || p.n, h.name || p.n, h.machine, h.input \
          FROM planted p, headers h WHERE h.id = (SELECT id FROM original); \
        INSERT INTO journal (execution, after, events, epoch, bytes) SELECT p.id, j.after, j.events, j.epoch, j.bytes \
          FROM planted p, journal j WHERE j.execution = (SELECT id FROM original)";
    database.ask(&format!("{ids}; {copied}; ANALYZE executions; ANALYZE headers; ANALYZE journal"));
}

const UPROOT: &str = "DELETE FROM executions WHERE id < '01900000-0000-7001-0000-000000000000'; \
    DELETE FROM headers WHERE id < '01900000-0000-7001-0000-000000000000'; \
    DELETE FROM journal WHERE execution < '01900000-0000-7001-0000-000000000000'";

/// `TAKEOVER_SLEEPERS=1000,1000000 cargo nextest run takeover --no-capture` prints how long executions stood still.
#[test]
fn a_takeover_reads_none_of_the_executions_that_sleep() {
    let (Some(bus), Some(database)) = (vhost(), Database::start()) else { return };
    let given = std::env::var("TAKEOVER_SLEEPERS").unwrap_or_else(|_| "2000".to_owned());
    let counts: Vec<u64> = given.split(',').map(|n| n.parse().expect("a number")).collect();
    let mut first = Server::start(launch(&bus, &database));
    let second = Server::start(launch(&bus, &database));
    let wire = Wire::to(&bus);
    wire.declare(&["work"]);
    let wait = json!({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 31_000_000, "End": true}}});
    let waits = first.machine("waits", &wait.to_string());
    let sleeper = first.execution(&waits, "sleeper", &json!({}));
    let machine = first.machine("asks", &asks("work", &json!({})));
    for (round, count) in counts.iter().enumerate() {
        database.ask(UPROOT);
        plant(&database, *count);
        balanced([&first, &second]);
        let names = (0..20).map(|n| format!("r{round}-{n}"));
        let arns: Vec<String> = names.map(|name| first.execution(&machine, &name, &json!({"number": 1}))).collect();
        let tasks: Vec<_> = arns.iter().map(|_| wire.task("work")).collect();
        #[expect(clippy::disallowed_methods, reason = "compared with the database's clock")]
        let killed = SystemTime::now();
        first.kill();
        for task in &tasks {
            wire.reply(&task.reply_to, Some(&task.token), &Answer::success(&json!(1)));
        }
        // By the index of the machine's executions: the look itself must not read the sleepers.
        let of_machine = format!(
            "machine = (SELECT machine FROM executions WHERE id = (SELECT id FROM headers \
            WHERE arn = '{}'))",
            arns[0]
        );
        until("all have ended", SOON * 2, || {
            let open = format!("SELECT count(*) FROM executions WHERE status = 0 AND {of_machine}");
            (database.ask(&open) == "0").then_some(())
        });
        let last = format!("SELECT max(closed) FROM executions WHERE status = 1 AND {of_machine}");
        let last: u128 = database.ask(&last).parse().expect("a time");
        let stood = last - killed.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        println!("{count} sleepers: 20 executions of a killed server stood still for {stood} ms at most");
        first.start_again();
    }
    // None of them was touched, and none was brought into memory.
    let untouched = database.ask("SELECT count(*) FROM executions WHERE status = 0");
    assert_eq!(untouched, (counts.last().unwrap() + 1).to_string());
    let awake: f64 = [&first, &second].iter().map(|server| server.metric("reveille_executions_awake")).sum();
    assert!(awake <= 25.0, "{awake} are in memory");
    assert_eq!(second.status(&sleeper), "RUNNING");
}
