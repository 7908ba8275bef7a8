//! Other programs: the command line, and workers in Python and Node.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::{SOON, Server, until};

/// The command line against a server: exit code, standard output, standard error.
pub fn cli(server: &Server, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
    command
        .args(arguments)
        .env("REVEILLE_ENDPOINT", &server.endpoint)
        .env_remove("AWS_ACCESS_KEY_ID")
        .stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().expect("the command runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// The same with `--output json`; it must succeed.
#[track_caller]
pub fn cli_json(server: &Server, arguments: &[&str]) -> Value {
    let all: Vec<&str> = arguments.iter().copied().chain(["--output", "json"]).collect();
    let (code, out, err) = cli(server, &all);
    assert_eq!(code, 0, "{arguments:?}: {err}");
    serde_json::from_str(&out).unwrap_or_else(|why| panic!("{arguments:?}: {why}: {out}"))
}

/// The interpreter with pika and boto3; `None`, and a word about it, where there is none.
pub fn python() -> Option<PathBuf> {
    let python = std::env::var_os("PYTHON").map(PathBuf::from).filter(|path| path.exists());
    if python.is_none() {
        eprintln!("skipped: PYTHON names no interpreter (make test installs one)");
    }
    python
}

/// The folder of the Node workers with their packages; `None`, and a word about it, where they are not installed.
pub fn workers_of_node() -> Option<PathBuf> {
    let folder = std::env::var_os("NODE_WORKERS").map(PathBuf::from).filter(|path| path.join("node_modules").exists());
    if folder.is_none() {
        eprintln!("skipped: NODE_WORKERS names no folder with its packages (make test installs them)");
    }
    folder
}

/// A worker that runs until the test ends.
pub struct Program {
    child: Child,
    log: PathBuf,
    _dir: tempfile::TempDir,
}

impl Program {
    pub fn start(interpreter: &Path, script: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let log = dir.path().join("log");
        let file = fs::File::create(&log).expect("a log file");
        let mut command = Command::new(interpreter);
        command.arg(script).args(arguments).envs(variables.iter().copied()).stdin(Stdio::null());
        command.stdout(file.try_clone().expect("the log file")).stderr(file);
        Self { child: command.spawn().expect("the worker starts"), log, _dir: dir }
    }

    /// Waits until it has printed something; the line that it stands in.
    #[track_caller]
    pub fn line_with(&mut self, what: &str) -> String {
        self.says(what);
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        said.lines().find(|line| line.contains(what)).unwrap_or_default().to_owned()
    }

    /// The file with its output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// All that it has printed so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has printed something.
    #[track_caller]
    pub fn says(&mut self, what: &str) {
        until(&format!("a worker says '{what}'"), SOON, || {
            let said = fs::read_to_string(&self.log).unwrap_or_default();
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the worker ended ({status}): {said}");
            }
            said.contains(what).then_some(())
        });
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
