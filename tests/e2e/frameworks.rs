//! Workers of other frameworks, unchanged: Celery and nameko, from their packages.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::support::{Launch, Program, Server, python, vhost};

const CELERY: &str = r#"
import sys
from celery import Celery

app = Celery("shop", broker=sys.argv[1], backend="rpc://")
app.conf.update(task_track_started=True, worker_hijack_root_logger=False)


@app.task(name="shop.add")
def add(a, b):
    return a + b


@app.task(name="shop.refuse")
def refuse(what):
    raise ValueError(f"no {what} left")


app.worker_main(["worker", "--pool", "solo", "--loglevel", "info", "--without-gossip", "--without-mingle"])
"#;

const NAMEKO: &str = r#"
import eventlet
eventlet.monkey_patch()
import sys
from nameko.containers import ServiceContainer
from nameko.rpc import rpc


class Shop:
    name = "shop"

    @rpc
    def add(self, a, b):
        return a + b

    @rpc
    def refuse(self, what):
        raise ValueError(f"no {what} left")


container = ServiceContainer(Shop, config={"AMQP_URI": sys.argv[1]})
container.start()
print("waiting for calls", flush=True)
container.wait()
"#;

const ROWS: &str = r#"
[[integrations]]
resource = "celery:*"
routing_key = "celery"
body = "message"
reply = "celery"
headers = { lang = "py", task = "{parameters.task}", id = "{message_id}", root_id = "{message_id}" }

[[integrations]]
resource = "nameko:*"
exchange = "nameko-rpc"
routing_key = "{parameters.method}"
body = "message"
reply = "nameko"
"#;

/// The interpreter, if it has the package.
fn python_with(package: &str) -> Option<std::path::PathBuf> {
    let python = python()?;
    let found = Command::new(&python).args(["-c", &format!("import {package}")]).output().ok()?.status.success();
    if !found {
        eprintln!("skipped: PYTHON has no package {package} (make setup installs it)");
    }
    found.then_some(python)
}

fn server(url: &str) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = folder.path().join("reveille.toml");
    std::fs::write(&settings, ROWS).expect("settings");
    (Server::start(Launch::over(url).with("REVEILLE_CONFIG", settings.to_str().expect("a path"))), folder)
}

/// Output, or error and cause, of one execution with one task.
fn asked(server: &Server, name: &str, resource: &str, parameters: &Value) -> (String, String) {
    let state = json!({"Type": "Task", "Resource": format!("arn:aws:states:::{resource}"), "Parameters": parameters,
        "TimeoutSeconds": 50, "End": true});
    let machine = server.machine(name, &json!({"StartAt": "Ask", "States": {"Ask": state}}).to_string());
    let ended = server.ended(&server.execution(&machine, "one", &json!({})));
    let text = |name: &str| ended[name].as_str().unwrap_or_default().to_owned();
    if ended["status"] == "SUCCEEDED" { ("output".to_owned(), text("output")) } else { (text("error"), text("cause")) }
}

fn run(python: &Path, folder: &Path, script: &str, url: &str, says: &str) -> Program {
    let file = folder.join("worker.py");
    std::fs::write(&file, script).expect("a script");
    let mut program = Program::start(python, &file, &[url], &[]);
    program.says(says);
    program
}

#[test]
fn a_celery_worker_answers_tasks_and_its_exceptions_fail_them() {
    let (Some(url), Some(python)) = (vhost(), python_with("celery")) else { return };
    let (server, folder) = server(&url);
    let _worker = run(&python, folder.path(), CELERY, &url, "ready.");
    let task = |name: &str, args: Value| json!({"task": name, "message": [args, {}, {}]});
    let sum = asked(&server, "adds", "celery:call", &task("shop.add", json!([2, 3])));
    assert_eq!(sum, ("output".to_owned(), "5".to_owned()));
    let (error, cause) = asked(&server, "refuses", "celery:call", &task("shop.refuse", json!(["room"])));
    assert_eq!(error, "ValueError");
    assert!(cause.starts_with("no room left\nTraceback"), "{cause}");
}

#[test]
fn a_nameko_service_answers_tasks_and_its_exceptions_fail_them() {
    let (Some(url), Some(python)) = (vhost(), python_with("nameko.containers")) else { return };
    let (server, folder) = server(&url);
    let _service = run(&python, folder.path(), NAMEKO, &url, "waiting for calls");
    let call = |method: &str, args: Value| json!({"method": method, "message": {"args": args, "kwargs": {}}});
    let sum = asked(&server, "adds", "nameko:call", &call("shop.add", json!([2, 3])));
    assert_eq!(sum, ("output".to_owned(), "5".to_owned()));
    let refused = asked(&server, "refuses", "nameko:call", &call("shop.refuse", json!(["room"])));
    assert_eq!(refused, ("ValueError".to_owned(), "no room left".to_owned()));
    let (error, _) = asked(&server, "misses", "nameko:call", &call("shop.nothing", json!([])));
    assert_eq!(error, "MethodNotFound");
}
