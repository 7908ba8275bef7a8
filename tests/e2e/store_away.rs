//! A server starts while PostgreSQL is away, or loses it in the middle of its start: it waits, and gets ready.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::cluster::launch;
use super::support::{Database, Launch, SOON, Server, until, vhost};

#[test]
fn a_start_without_its_database_answers_that_it_is_not_ready_and_waits() {
    let Some(database) = Database::start() else { return };
    database.kill();
    let mut server = Server::begin(Launch::embedded().on(&database.url));
    server.says("waiting");
    let address = server.endpoint.clone();
    assert_eq!(server.get("/healthz").0, 200);
    let (status, said) = server.get("/readyz");
    assert!(status == 503 && said.contains("store: "), "{status} {said}");
    assert_eq!(server.try_call("ListStateMachines", &json!({})).unwrap_err().0, 503);
    database.start_again();
    server.says("ready");
    assert_eq!(server.endpoint, address, "its port is the same");
    assert_eq!(server.get("/readyz").0, 200);
    assert_eq!(server.call("ListStateMachines", &json!({}))["stateMachines"], json!([]));
    assert!(server.stop().success());
}

/// A way to the database that refuses some connections. With the first of them all that are open end.
fn way(to: SocketAddr, refused: Range<usize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        for (number, client) in listener.incoming().map_while(Result::ok).enumerate() {
            if refused.contains(&number) {
                for stream in open.lock().unwrap().drain(..) {
                    let _ = stream.shutdown(Shutdown::Both);
                }
                continue;
            }
            let Ok(server) = TcpStream::connect(to) else { continue };
            open.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
            for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    address
}

/// A start has a connection after the other: for the tables, for reads, for settings, for its beats.
#[test]
fn a_start_that_loses_its_database_in_the_middle_goes_on_when_it_is_back() {
    let (Some(bus), Some(database)) = (vhost(), Database::start()) else { return };
    let host = database.address();
    for first in 0..5 {
        let through = way(host.parse().unwrap(), first..first + 3);
        let url = database.url.replace(host, &through.to_string());
        let mut server = Server::start(Launch { store: Some(url), ..launch(&bus, &database) });
        until("it is ready", SOON, || (server.get("/readyz").0 == 200).then_some(()));
        // The last are those of its ownership, which waits by itself.
        let waited = server.log().iter().any(|line| line["event"] == "store.away");
        assert!(waited || first > 2, "it lost connection {first}");
        assert!(server.stop().success());
    }
}

#[test]
fn a_failover_is_told_and_counted_once() {
    let Some(database) = Database::start() else { return };
    let standby = database.standby();
    let both = database.url.replace(database.address(), &format!("{},{}", database.address(), standby.address()));
    let mut server = Server::start(Launch::embedded().on(&both));
    let failovers = |server: &Server| server.metric("reveille_store_failovers_total");
    let pass = json!({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}});
    let machine = server.machine("passes", &pass.to_string());
    database.kill();
    standby.promote();
    until("it goes on with the new primary", SOON, || {
        server.try_call("StartExecution", &json!({"stateMachineArn": machine})).ok()
    });
    until("it is ready", SOON, || (server.get("/readyz").0 == 200).then_some(()));
    let told: Vec<_> = server.log().into_iter().filter(|line| line["event"] == "store.failed_over").collect();
    assert!(told.len() == 1 && told[0]["timeline"] == "00000002", "{told:?}");
    assert_eq!(told[0]["address"], standby.address());
    assert!((failovers(&server) - 1.0).abs() < 0.1);
    // A restart of the same server is none.
    standby.kill();
    standby.start_again();
    until("it goes on after the restart", SOON, || {
        server.try_call("StartExecution", &json!({"stateMachineArn": machine})).ok()
    });
    assert!((failovers(&server) - 1.0).abs() < 0.1);
    assert!(server.stop().success());
}
