//! An answer that came in time counts, also if the engine was down or stood still until the time was over.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use super::support::{Answer, Launch, Server, Wire, asks, vhost};

const TASKS: usize = 20;
/// Of each task: long enough for all of them to be taken from their queue on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(25);

struct Asked {
    server: Server,
    wire: Wire,
    executions: Vec<String>,
    /// When the last of them times out.
    over: Instant,
}

/// Twenty executions that wait, and after `away` twenty answers.
fn answered(away: impl FnOnce(&mut Server)) -> Option<Asked> {
    let url = vhost()?;
    let mut server = Server::start(Launch::over(&url).with("REVEILLE__ENGINE__PARTITIONS", "2"));
    let wire = Wire::to(&url);
    wire.declare(&["questions"]);
    let machine = server.machine("asks", &asks("questions", &json!({"TimeoutSeconds": TIMEOUT.as_secs()})));
    let executions = (0..TASKS).map(|n| server.execution(&machine, &format!("e{n}"), &json!({"number": n}))).collect();
    let tasks: Vec<_> = (0..TASKS).map(|_| wire.task("questions")).collect();
    away(&mut server);
    let over = Instant::now() + TIMEOUT + Duration::from_secs(1);
    for task in &tasks {
        wire.reply(&task.reply_to, Some(&task.token), &Answer::success(&task.body));
    }
    Some(Asked { server, wire, executions, over })
}

impl Asked {
    fn all_succeed(&self) {
        for execution in &self.executions {
            let shown = self.server.ended(execution);
            assert_eq!(shown["status"], "SUCCEEDED", "{shown}");
        }
        assert_eq!(self.wire.try_take("reveille.parked"), None, "none was refused");
        assert!(self.server.metric("reveille_tasks_timed_out_total") < 0.5);
    }
}

fn signal(server: &Server, name: &str) {
    let told = Command::new("kill").args([name, &server.id().to_string()]).status().expect("kill runs");
    assert!(told.success());
}

#[test]
fn answers_that_came_while_the_engine_was_down_count() {
    let Some(mut asked) = answered(Server::kill) else { return };
    std::thread::sleep(asked.over.saturating_duration_since(Instant::now()));
    asked.server.start_again();
    asked.all_succeed();
}

#[test]
fn answers_that_came_while_the_engine_stood_still_count() {
    let Some(asked) = answered(|server| signal(server, "-STOP")) else { return };
    std::thread::sleep(asked.over.saturating_duration_since(Instant::now()));
    signal(&asked.server, "-CONT");
    asked.all_succeed();
}

/// Their executions are loaded from their journals meanwhile: the second answer must not overtake the first.
#[test]
fn of_two_answers_in_the_queue_the_first_counts() {
    const PAIRS: usize = 300;
    let Some(url) = vhost() else { return };
    let mut server = Server::start(Launch::over(&url).with("REVEILLE__ENGINE__PARTITIONS", "2"));
    let wire = Wire::to(&url);
    wire.declare(&["questions"]);
    let machine = server.machine("asks", &asks("questions", &json!({})));
    let executions: Vec<String> =
        (0..PAIRS).map(|n| server.execution(&machine, &format!("e{n}"), &json!({"number": n}))).collect();
    let tasks: Vec<_> = (0..PAIRS).map(|_| wire.task("questions")).collect();
    server.kill();
    for answer in ["first", "second"] {
        for task in &tasks {
            wire.reply(&task.reply_to, Some(&task.token), &Answer::success(&json!(answer)));
        }
    }
    server.start_again();
    for execution in &executions {
        assert_eq!(server.ended(execution)["output"], r#""first""#);
    }
}
