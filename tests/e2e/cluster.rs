//! Two servers share a database and a broker: one is killed, frozen, stopped, and all executions go on.

use std::io::{BufRead, BufReader};
use std::process::Command;
use std::time::SystemTime;

use serde_json::json;

use super::support::{Answer, Database, Launch, SOON, Server, Wire, asks, until, vhost};

pub(super) const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

pub(super) fn launch(bus: &str, database: &Database) -> Launch {
    Launch::over(bus).on(&database.url).with("REVEILLE__ENGINE__TOKEN_KEY", KEY)
}

/// Whether it has so many partitions.
fn has(server: &Server, partitions: f64) -> bool {
    (server.metric("reveille_node_partitions") - partitions).abs() < 0.5
}

/// Each has its half of the partitions.
pub(super) fn balanced(servers: [&Server; 2]) {
    until("the partitions are even", SOON, || servers.iter().all(|server| has(server, 24.0)).then_some(()));
}

fn signal(server: &Server, name: &str) {
    let told = Command::new("kill").args([name, &server.id().to_string()]).status().expect("kill runs");
    assert!(told.success());
}

/// So many executions by each server, whose tasks wait in the queue `work`.
fn begin(servers: [&Server; 2], machine: &str, prefix: &str, each: usize) -> Vec<String> {
    let start = |n: usize| {
        let server = servers[n % 2];
        server.execution(machine, &format!("{prefix}-{n}"), &json!({"number": n}))
    };
    (0..2 * each).map(start).collect()
}

/// A worker of its own, which answers all tasks, until it is dropped. A task whose confirm was not written when its
/// server was killed goes out twice.
fn worker(bus: &str) -> Wire {
    let wire = Wire::to(bus);
    wire.worker("work", 20, |task| Answer::success(&task.body["number"]));
    wire
}

fn all_ended(database: &Database, count: usize) {
    let open = "SELECT count(*) FROM executions WHERE closed IS NOT NULL";
    until("all have ended", SOON * 2, || (database.ask(open) == count.to_string()).then_some(()));
    assert_eq!(database.ask("SELECT count(*) FROM executions WHERE status <> 1"), "0", "all have succeeded");
    // Each task was answered once, and each journal was written by one owner after the other.
    let back = "SELECT count(*) FROM (SELECT j.epoch, max(j.epoch) OVER (PARTITION BY e.partition ORDER BY j.n) AS newest \
        FROM journal j JOIN executions e ON e.id = j.execution) w WHERE epoch < newest";
    assert_eq!(database.ask(back), "0", "an entry of an older epoch after one of a newer");
}

/// Milliseconds from `since` until each of these executions closed.
fn closed_after(database: &Database, since: SystemTime, partitions_of: &str) -> Vec<i64> {
    let since = i64::try_from(since.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let sql = format!(
        "SELECT closed - {since} FROM executions WHERE closed >= {since} AND partition IN ({partitions_of}) ORDER BY 1"
    );
    database.ask(&sql).lines().filter_map(|line| line.parse().ok()).collect()
}

/// `CLUSTER_ROUNDS=10` repeats it, and prints how long executions stood still.
#[test]
fn when_a_server_is_killed_the_other_goes_on_with_its_executions() {
    let (Some(bus), Some(database)) = (vhost(), Database::start()) else { return };
    let rounds: usize = std::env::var("CLUSTER_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut first = Server::start(launch(&bus, &database));
    let second = Server::start(launch(&bus, &database));
    let wire = Wire::to(&bus);
    wire.declare(&["work"]);
    let machine = first.machine("asks", &asks("work", &json!({})));
    let mut stood = Vec::new();
    for round in 0..rounds {
        balanced([&first, &second]);
        begin([&first, &second], &machine, &format!("r{round}"), 30);
        // The killed one's: those that the survivor does not own.
        let survivor = "SELECT node FROM nodes ORDER BY since LIMIT 1 OFFSET";
        let place = usize::from(round == 0);
        let of_killed = database.ask(&format!(
            "SELECT string_agg(partition::text, ',') FROM partitions WHERE owner <> ({survivor} {place})"
        ));
        #[expect(clippy::disallowed_methods, reason = "compared with the database's clock")]
        let killed = SystemTime::now();
        first.kill();
        let _answers = worker(&bus);
        all_ended(&database, 60 * (round + 1));
        stood.extend(closed_after(&database, killed, &of_killed));
        assert!(second.log().iter().any(|line| line["event"] == "node.lapsed"));
        first.start_again();
    }
    stood.sort_unstable();
    let at = |part: usize| stood.get((stood.len() * part / 100).min(stood.len().saturating_sub(1)));
    println!("{} executions stood still: p50 {:?} ms, max {:?} ms", stood.len(), at(50), stood.last());
    assert!(!stood.is_empty());
}

#[test]
fn a_frozen_server_that_wakes_up_writes_nothing_and_one_that_leaves_hands_over() {
    let (Some(bus), Some(database)) = (vhost(), Database::start()) else { return };
    let mut first = Server::start(launch(&bus, &database));
    let second = Server::start(launch(&bus, &database));
    let wire = Wire::to(&bus);
    wire.declare(&["work"]);
    let machine = first.machine("asks", &asks("work", &json!({})));
    balanced([&first, &second]);
    begin([&first, &second], &machine, "frozen", 20);
    signal(&first, "-STOP");
    // Half of the answers come to the frozen one.
    let answers = worker(&bus);
    until("the other has taken all", SOON, || has(&second, 48.0).then_some(()));
    assert!(second.metric("reveille_partition_moves_total{why=\"claimed\"}") >= 24.0);
    signal(&first, "-CONT");
    all_ended(&database, 40);
    until("it has learned that it was taken for dead", SOON, || {
        first.log().iter().any(|line| line["event"] == "node.buried").then_some(())
    });
    drop(answers);
    // It is a node like any other again.
    balanced([&first, &second]);
    let started = std::time::Instant::now();
    begin([&first, &second], &machine, "left", 20);
    assert!(first.stop().success());
    println!("the server that was told to stop took {:?}", started.elapsed());
    // The other begins them with its next look at the table, half a second later at most.
    until("the other has begun all", SOON, || has(&second, 48.0).then_some(()));
    let _answers = worker(&bus);
    all_ended(&database, 80);
    assert_eq!(second.get("/readyz").0, 200);
}

/// Prints how long it took; the first news may wait until the other server knows of the viewer.
#[test]
fn a_page_of_one_server_hears_what_the_executions_of_the_other_do() {
    let (Some(bus), Some(database)) = (vhost(), Database::start()) else { return };
    let first = Server::start(launch(&bus, &database));
    let second = Server::start(launch(&bus, &database));
    let machine = first.machine("passes", r#"{"StartAt": "S", "States": {"S": {"Type": "Pass", "End": true}}}"#);
    balanced([&first, &second]);
    let (heard, stream) = std::sync::mpsc::channel();
    let address = format!("{}/console/live?topics=executions", second.endpoint);
    std::thread::spawn(move || {
        let body = ureq::get(&address).call().expect("a stream").into_body().into_reader();
        for line in BufReader::new(body).lines().map_while(Result::ok) {
            if heard.send(line).is_err() {
                return;
            }
        }
    });
    until("the stream is open", SOON, || stream.try_recv().ok());
    let news = |number: usize| {
        let started = std::time::Instant::now();
        first.execution(&machine, &format!("e{number}"), &json!({}));
        let end = started + std::time::Duration::from_secs(1);
        while let Ok(line) = stream.recv_timeout(end.saturating_duration_since(std::time::Instant::now())) {
            if line == "data: executions" {
                return Some(started.elapsed());
            }
        }
        None
    };
    let mut number = 0;
    let mut next = || {
        number += 1;
        news(number)
    };
    until("the other server's executions are heard of", SOON, &mut next);
    let took: Vec<_> = (0..5).filter_map(|_| next()).collect();
    println!("news of the other server after {took:?}");
    let here = "SELECT count(*) FROM executions e JOIN partitions p USING (partition) WHERE p.owner = \
        (SELECT node FROM nodes ORDER BY since DESC LIMIT 1)";
    assert_eq!(database.ask(here), "0", "none is at the server that was looked at");
}

/// Two servers of one database have the same keys, or the tasks of one are forgeries to the other.
#[test]
fn a_server_with_other_token_keys_does_not_join() {
    let (Some(bus), Some(database)) = (vhost(), Database::start()) else { return };
    let _first = Server::start(launch(&bus, &database));
    let mut other = Server::start(Launch::embedded());
    assert!(other.stop().success());
    let mut stranger = Command::new(env!("CARGO_BIN_EXE_reveille"));
    stranger.args(["serve", "--listen", "127.0.0.1:0", "--bus", &bus, "--store", &database.url]);
    let refused = stranger.current_dir(other.folder()).env_remove("REVEILLE_CONFIG").output().expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("engine.token_key"), "{said}");
}
