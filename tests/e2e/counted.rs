//! How many connections and channels a server of several has. Counted by the servers that it uses, under load.

use serde_json::json;

use super::cluster::launch;
use super::support::{Answer, Database, SOON, Server, Wire, asks, broker_says, until, vhost};

const POLLERS: u32 = 2;
/// Those that move between servers, and the server's own for express executions.
const PARTITIONS: u32 = 48 + 2;
const NAME: &str = "counted-server";

#[test]
fn a_server_has_six_connections_to_postgres_and_a_channel_for_each_partition_and_poller_and_eight_more() {
    let (Some(bus), Some(database)) = (vhost(), Database::start()) else { return };
    let server = Server::start(launch(&bus, &database).with("REVEILLE__BUS__CONNECTION_NAME", NAME));
    let wire = Wire::to(&bus);
    wire.declare(&["work"]);
    // All is in use: appends, the catalog, reads, requests, pollers, a reply queue for each partition.
    let machine = server.machine("asks", &asks("work", &json!({})));
    wire.worker("work", 20, |task| Answer::success(&task.body["number"]));
    let arns: Vec<String> =
        (0..10).map(|n| server.execution(&machine, &format!("e{n}"), &json!({"number": n}))).collect();
    let activity = server.call("CreateActivity", &json!({"name": "a"}))["activityArn"].clone();
    std::thread::scope(|scope| {
        for _ in 0..POLLERS {
            scope.spawn(|| server.call("GetActivityTask", &json!({"activityArn": activity})));
        }
        for arn in &arns {
            server.ended(arn);
        }
        until("the pollers wait", SOON, || (wire.consumers("reveille.activity.a") == POLLERS).then_some(()));
        // A channel more is open for a moment now and then, while a queue is looked at.
        let most = PARTITIONS + POLLERS + 8;
        let (connections, channels) = until("the channels are as many as may be", SOON, || {
            let listed =
                broker_says(&["list_connections", "-q", "--no-table-headers", "client_properties", "channels"]);
            let counts: Vec<u32> = listed
                .lines()
                .filter(|line| line.contains(NAME))
                .filter_map(|line| line.rsplit('\t').next()?.trim().parse().ok())
                .collect();
            let channels = counts.iter().sum::<u32>();
            println!("{counts:?} channels");
            (channels > PARTITIONS + POLLERS && channels <= most).then_some((counts.len(), channels))
        });
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'reveille'";
        let sessions: u32 = database.ask(sessions).parse().unwrap();
        println!("{connections} connections and {channels} channels to RabbitMQ, {sessions} connections to PostgreSQL");
        // To publish, to consume, and to ask for the tasks of activities.
        assert_eq!(connections, 3);
        assert!(sessions <= 6, "{sessions}");
        // The pollers get tasks, and end.
        let machine = json!({"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": activity, "End": true}}});
        let machine = server.machine("activities", &machine.to_string());
        for n in 0..POLLERS {
            server.execution(&machine, &format!("p{n}"), &json!({}));
        }
    });
}
