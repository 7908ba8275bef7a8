//! `reveille serve` as a process of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::{SOON, until};

/// A token is never shorter.
const TOKEN_CHARS_MIN: usize = 40;

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Launch {
    pub bus: String,
    /// The URL of the store; a file of the test's own where it is `None`.
    pub store: Option<String>,
    /// `REVEILLE__…` variables.
    pub settings: Vec<(&'static str, String)>,
}

impl Launch {
    pub fn over(bus: &str) -> Self {
        Self { bus: bus.to_owned(), store: None, settings: Vec::new() }
    }

    pub fn embedded() -> Self {
        Self::over("embedded:")
    }

    pub fn on(mut self, store: &str) -> Self {
        self.store = Some(store.to_owned());
        self
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.to_string()));
        self
    }
}

/// A server, its store and its log. Killed and deleted at the end.
pub struct Server {
    launch: Launch,
    dir: tempfile::TempDir,
    child: Option<Child>,
    starts: usize,
    pub endpoint: String,
    agent: ureq::Agent,
}

impl Server {
    pub fn start(launch: Launch) -> Self {
        let mut server = Self::begin(launch);
        server.says("ready");
        server
    }

    /// Starts it and waits for nothing.
    pub fn begin(launch: Launch) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let agent =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(SOON)).build().new_agent();
        let mut server = Self { launch, dir, child: None, starts: 0, endpoint: String::new(), agent };
        server.begin_again();
        server
    }

    /// Changes a setting for the next start.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.launch.settings.retain(|(known, _)| *known != name);
        self.launch.settings.push((name, value.to_string()));
    }

    /// Starts on the same store and waits until it is ready.
    pub fn start_again(&mut self) {
        self.begin_again();
        self.says("ready");
    }

    fn begin_again(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        self.starts += 1;
        self.child = Some(self.command().spawn().expect("the server starts"));
    }

    /// Waits for this event in its log, which names its address.
    pub fn says(&mut self, event: &str) {
        let log = self.log_file();
        let address = until("the server says that it listens", SOON, || {
            if let Ok(Some(status)) = self.child.as_mut().expect("it runs").try_wait() {
                panic!("the server ended ({status}):\n{}", fs::read_to_string(&log).unwrap_or_default());
            }
            let line = lines(&log).into_iter().find(|line| line["event"] == event)?;
            Some(line["api.address"].as_str().unwrap().to_owned())
        });
        self.endpoint = format!("http://{address}");
    }

    /// Starts a server that must not get ready. Returns its exit status and its output.
    pub fn fails_to_start(&mut self) -> (ExitStatus, String) {
        self.starts += 1;
        let mut child = self.command().spawn().expect("the process starts");
        let status = until("the server gives up", SOON, || child.try_wait().expect("a status"));
        (status, fs::read_to_string(self.log_file()).unwrap_or_default())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
        let log = File::create(self.log_file()).expect("a log file");
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--bus", &self.launch.bus, "--store"])
            .arg(self.launch.store.clone().unwrap_or_else(|| format!("sqlite:{}", self.store().display())))
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log file"))
            .stderr(log);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("REVEILLE_") {
                command.env_remove(name);
            }
        }
        command.envs(self.launch.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn store(&self) -> PathBuf {
        self.dir.path().join("store.db")
    }

    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Where the log since the last start is.
    pub fn log_file(&self) -> PathBuf {
        self.dir.path().join(format!("log.{}", self.starts))
    }

    /// The log since the last start, line by line.
    pub fn log(&self) -> Vec<Value> {
        lines(&self.log_file())
    }

    /// Kills the server without a goodbye, as a power cut or the kernel would.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it has ended");
    }

    /// Of its process.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// SIGTERM: how it ended.
    pub fn stop(&mut self) -> ExitStatus {
        self.term();
        self.gone()
    }

    /// SIGTERM, and no waiting.
    pub fn term(&self) {
        let child = self.child.as_ref().expect("it runs");
        let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
        assert!(told.success());
    }

    /// How it ended.
    pub fn gone(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        until("the server stops", SOON, || child.try_wait().expect("a status"))
    }

    pub fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Calls an operation of the API. A refusal is AWS's error: status and body.
    pub fn try_call(&self, operation: &str, request: &Value) -> Result<Value, (u16, Value)> {
        let target =
            if operation.contains('.') { operation.to_owned() } else { format!("AWSStepFunctions.{operation}") };
        let call = self.agent.post(format!("{}/", self.endpoint));
        let call = call.header("Content-Type", "application/x-amz-json-1.0").header("X-Amz-Target", target);
        let mut answer = call.send(request.to_string()).expect("the server answers");
        let text = answer.body_mut().with_config().limit(64 << 20).read_to_string().expect("a text");
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        match answer.status().as_u16() {
            200 => Ok(body),
            status => {
                self.holds_no_token(&format!("the error of {operation}"), &body.to_string());
                Err((status, body))
            }
        }
    }

    #[track_caller]
    pub fn call(&self, operation: &str, request: &Value) -> Value {
        self.try_call(operation, request).unwrap_or_else(|(status, body)| panic!("{operation}: {status} {body}"))
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        let mut answer = self.agent.get(format!("{}{path}", self.endpoint)).call().expect("the server answers");
        let text = answer.body_mut().read_to_string().expect("a text");
        if path == "/metrics" {
            self.holds_no_token(path, &text);
        }
        (answer.status().as_u16(), text)
    }

    /// Fails where a word of this text is a token that the server's own keys sign.
    pub fn holds_no_token(&self, what: &str, text: &str) {
        let file = self.dir.path().join("store.db.token-key");
        if !file.exists() {
            return; // its keys are in its settings, or it never came so far
        }
        let keys = reveille::token::load_or_create(&file).expect("the server's keys");
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')));
        for word in words.filter(|word| word.len() >= TOKEN_CHARS_MIN) {
            assert!(keys.verify(word).is_err(), "{what} holds a token");
        }
    }

    /// The ARN of a new state machine.
    #[track_caller]
    pub fn machine(&self, name: &str, definition: &str) -> String {
        let request = json!({"name": name, "definition": definition, "roleArn": "arn:aws:iam::123456789012:role/e2e"});
        self.call("CreateStateMachine", &request)["stateMachineArn"].as_str().unwrap().to_owned()
    }

    /// The ARN of a new execution.
    #[track_caller]
    pub fn execution(&self, machine: &str, name: &str, input: &Value) -> String {
        let request = json!({"stateMachineArn": machine, "name": name, "input": input.to_string()});
        self.call("StartExecution", &request)["executionArn"].as_str().unwrap().to_owned()
    }

    pub fn status(&self, execution: &str) -> String {
        self.call("DescribeExecution", &json!({"executionArn": execution}))["status"].as_str().unwrap().to_owned()
    }

    /// `DescribeExecution` once it has ended.
    #[track_caller]
    pub fn ended(&self, execution: &str) -> Value {
        until("the execution ends", SOON, || {
            let shown = self.call("DescribeExecution", &json!({"executionArn": execution}));
            (shown["status"] != "RUNNING").then_some(shown)
        })
    }

    /// All events.
    pub fn history(&self, execution: &str) -> Vec<Value> {
        let mut events = Vec::new();
        let mut request = json!({"executionArn": execution, "maxResults": 1000});
        loop {
            let page = self.call("GetExecutionHistory", &request);
            events.extend(page["events"].as_array().unwrap().iter().cloned());
            match page.get("nextToken") {
                Some(token) => request["nextToken"] = token.clone(),
                None => return events,
            }
        }
    }

    /// The waiting tasks of an execution.
    pub fn waiting(&self, execution: &str) -> Vec<Value> {
        let tasks = self.call("Reveille.ListWaitingTasks", &json!({"executionArn": execution}));
        tasks["tasks"].as_array().unwrap().clone()
    }

    /// The token of the only task of a state, once the broker has it.
    #[track_caller]
    pub fn token(&self, execution: &str, state: &str) -> String {
        until(&format!("{state} waits"), SOON, || {
            let tasks = self.waiting(execution);
            let task = tasks.iter().find(|task| task["stateName"] == state && task["submitted"] == true)?;
            Some(task["taskToken"].as_str().unwrap().to_owned())
        })
    }

    /// One value of `/metrics`: the sum of the lines that begin so.
    pub fn metric(&self, begins: &str) -> f64 {
        let (_, text) = self.get("/metrics");
        text.lines()
            .filter(|line| line.starts_with(begins))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    pub fn wait_for(&self, what: &str, within: Duration, mut look: impl FnMut(&Self) -> bool) {
        until(what, within, || look(self).then_some(()));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for line in
                self.log().iter().filter(|line| ["WARN", "ERROR"].contains(&line["level"].as_str().unwrap_or_default()))
            {
                eprintln!("server: {line}");
            }
            return;
        }
        for start in 1..=self.starts {
            let log = fs::read(self.dir.path().join(format!("log.{start}"))).unwrap_or_default();
            self.holds_no_token("the server's log", &String::from_utf8_lossy(&log));
        }
    }
}

fn lines(log: &Path) -> Vec<Value> {
    fs::read_to_string(log).unwrap_or_default().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
