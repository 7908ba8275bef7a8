//! Brokers: a virtual host on the one of the run, or a broker of the test's own.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Virtual hosts made at a time: a call of `rabbitmqctl` takes seconds of a processor, however many it makes.
const BATCH: usize = 8;

/// The URL of a virtual host for this test alone; `None`, with a message, where the run has no broker.
pub fn vhost() -> Option<String> {
    let (Ok(url), Some(dir)) = (std::env::var("REVEILLE_TEST_AMQP_URL"), std::env::var_os("REVEILLE_TEST_BROKER_DIR"))
    else {
        eprintln!("skipped: REVEILLE_TEST_AMQP_URL and REVEILLE_TEST_BROKER_DIR name no broker (make test has one)");
        return None;
    };
    let name = claimed(Path::new(&dir));
    let (server, _) = url.rsplit_once('/').expect("the URL ends with its virtual host");
    Some(format!("{server}/{name}"))
}

/// A virtual host that is made and free has a file of its name beside the broker. The process that deletes the file has
/// the host: each test of a run is a process of its own.
fn claimed(dir: &Path) -> String {
    let free = dir.join("vhosts");
    std::fs::create_dir_all(&free).expect("a folder");
    let names = std::fs::read_dir(&free).expect("it is there").map(|entry| entry.expect("an entry").file_name());
    for name in names {
        if std::fs::remove_file(free.join(&name)).is_ok() {
            return name.into_string().expect("a name of ours");
        }
    }
    let mut made = make(dir);
    let ours = made.pop().expect("they were just made");
    for name in made {
        std::fs::write(free.join(name), "").expect("a file");
    }
    ours
}

/// The output of `rabbitmqctl`, asked about the broker of the run.
pub fn broker_says(arguments: &[&str]) -> String {
    let dir = std::env::var_os("REVEILLE_TEST_BROKER_DIR").expect("the run has a broker");
    run("ctl", Path::new(&dir), arguments)
}

fn make(dir: &Path) -> Vec<String> {
    let names: Vec<String> = (0..BATCH).map(|_| format!("e2e-{}", uuid::Uuid::new_v4().simple())).collect();
    let list = names.iter().map(|name| format!("<<\"{name}\">>")).collect::<Vec<_>>().join(",");
    let user = "<<\"e2e\">>";
    let erlang = format!(
        "lists:foreach(fun(N) -> rabbit_vhost:add(N, {user}), \
         rabbit_auth_backend_internal:set_permissions(<<\"guest\">>, N, <<\".*\">>, <<\".*\">>, <<\".*\">>, {user}) end, [{list}])."
    );
    run("ctl", dir, &["eval", &erlang]);
    names
}

/// A broker of a test's own; killed and deleted at the end.
pub struct Broker {
    dir: tempfile::TempDir,
    pub url: String,
}

impl Broker {
    /// `None`, and a word about it, where the run has no broker at all.
    pub fn start() -> Option<Self> {
        if std::env::var_os("REVEILLE_TEST_AMQP_URL").is_none() {
            eprintln!("skipped: REVEILLE_TEST_AMQP_URL names no broker, so none is started (make test does)");
            return None;
        }
        let dir = tempfile::tempdir().expect("a folder");
        let url = run("start", dir.path(), &[]).trim().lines().last().expect("a URL").to_owned();
        Some(Self { dir, url })
    }

    /// `rabbitmqctl`.
    pub fn ctl(&self, arguments: &[&str]) {
        run("ctl", self.dir.path(), arguments);
    }

    pub fn restart(&self) {
        run("restart", self.dir.path(), &[]);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = Command::new(script(ONE)).arg("discard").arg(self.dir.path()).output();
    }
}

/// Three brokers in a cluster; killed and deleted at the end.
pub struct Brokers {
    dir: tempfile::TempDir,
    pub urls: Vec<String>,
}

impl Brokers {
    /// `None`, and a word about it, where the run has no broker at all.
    pub fn start() -> Option<Self> {
        if std::env::var_os("REVEILLE_TEST_AMQP_URL").is_none() {
            eprintln!("skipped: REVEILLE_TEST_AMQP_URL names no broker, so none is started (make test does)");
            return None;
        }
        let dir = tempfile::tempdir().expect("a folder");
        let said = run_script(CLUSTER, "start", dir.path(), &[]);
        let urls = said.trim().lines().last().expect("URLs").split(',').map(str::to_owned).collect();
        Some(Self { dir, urls })
    }

    /// kill -9 of a node, 1 to 3.
    pub fn kill(&self, node: &str) {
        run_script(CLUSTER, "kill", self.dir.path(), &[node]);
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        let _ = Command::new(script(CLUSTER)).arg("discard").arg(self.dir.path()).output();
    }
}

const ONE: &str = "broker.sh";
const CLUSTER: &str = "broker-cluster.sh";

fn run(command: &str, dir: &Path, arguments: &[&str]) -> String {
    run_script(ONE, command, dir, arguments)
}

fn run_script(name: &str, command: &str, dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new(script(name)).arg(command).arg(dir).args(arguments).output().expect("the script runs");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name)
}
