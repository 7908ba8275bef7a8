//! A program does the task: the payload on its standard input, the result on its standard output.

use std::io::Write as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::Outcome;
use super::task::Task;
use crate::limits::PAYLOAD_BYTES_MAX;

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(10);
/// The last bytes of standard error: the cause of a failure. A character has up to four of them.
const STDERR_BYTES_MAX: usize = 16 * 1024;

/// A failure in the program's own words, on its standard output.
#[derive(Deserialize)]
struct Said {
    error: String,
    #[serde(default)]
    cause: String,
}

pub(super) async fn run(
    program: &Path,
    arguments: &[String],
    task: &Task,
    cancelled: impl Future<Output = ()>,
) -> Outcome {
    let mut child = match spawn(program, arguments, task) {
        Ok(child) => child,
        Err(why) => return Outcome::failure("Worker.NotStarted", format!("{}: {why}", program.display())),
    };
    let group = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let working = async {
        let given = async {
            if let Some(mut stdin) = stdin {
                // A program may end without reading its input.
                let _ = stdin.write_all(&task.body).await;
            }
        };
        let ((), result, cause) = tokio::join!(given, head(stdout, group), tail(stderr));
        (result, cause, child.wait().await)
    };
    tokio::pin!(working, cancelled);
    let ended = tokio::select! {
        ended = &mut working => Some(ended),
        () = &mut cancelled => None,
    };
    let Some((result, cause, status)) = ended else {
        signal(group, Signal::TERM);
        if tokio::time::timeout(GRACE, working).await.is_err() {
            signal(group, Signal::KILL);
        }
        return Outcome::Cancelled;
    };
    match status {
        Ok(status) => outcome(status, result, &cause),
        Err(why) => Outcome::failure("Worker.NotStarted", why.to_string()),
    }
}

/// In a process group of its own: a signal reaches the programs that it has started, and Ctrl-C at the terminal does
/// not end its task.
fn spawn(program: &Path, arguments: &[String], task: &Task) -> std::io::Result<Child> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    // Settings of servers, with the broker's password.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("REVEILLE__")) {
        command.env_remove(name);
    }
    command.envs(task.headers().map(|(name, value)| (variable(name), value)));
    command.spawn()
}

/// `task-token` as `REVEILLE_TASK_TOKEN`; those of W3C as others call them.
fn variable(header: &str) -> String {
    let name = header.replace('-', "_").to_uppercase();
    if header.starts_with("trace") { name } else { format!("REVEILLE_{name}") }
}

pub(in crate::workers) fn signal(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // It may have ended by itself.
        let _ = kill_process_group(group, signal);
    }
}

/// Standard output. Over the limit of a payload the program is ended: no reader takes its output.
async fn head(pipe: Option<impl AsyncRead + Unpin>, group: Option<Pid>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        let _ = pipe.take(PAYLOAD_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).await;
    }
    if bytes.len() > PAYLOAD_BYTES_MAX {
        signal(group, Signal::TERM);
    }
    bytes
}

/// Standard error goes on to ours; its end is kept.
async fn tail(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let (mut kept, mut piece) = (Vec::new(), vec![0; 4_096]);
    if let Some(mut pipe) = pipe {
        while let Ok(length @ 1..) = pipe.read(&mut piece).await {
            let _ = std::io::stderr().write_all(&piece[..length]);
            kept.extend_from_slice(&piece[..length]);
            if kept.len() > 2 * STDERR_BYTES_MAX {
                kept.drain(..kept.len() - STDERR_BYTES_MAX);
            }
        }
    }
    let from = kept.len().saturating_sub(STDERR_BYTES_MAX);
    String::from_utf8_lossy(&kept[from..]).trim().to_owned()
}

fn outcome(status: ExitStatus, result: Vec<u8>, cause: &str) -> Outcome {
    if result.len() > PAYLOAD_BYTES_MAX {
        let why = format!("The program wrote more than {PAYLOAD_BYTES_MAX} bytes to its standard output");
        return Outcome::failure("States.DataLimitExceeded", why);
    }
    let Ok(result) = String::from_utf8(result) else {
        return Outcome::failure("Worker.InvalidResult", "The standard output of the program is not UTF-8 text");
    };
    if status.success() {
        return Outcome::Success(json_of(&result));
    }
    if let Ok(Said { error, cause }) = serde_json::from_str(&result) {
        return Outcome::failure(error, cause);
    }
    let error = match status.code() {
        Some(code) => format!("Exit.{code}"),
        None => format!("Signal.{}", signal_of(status)),
    };
    Outcome::failure(error, cause)
}

#[cfg(unix)]
fn signal_of(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.signal().unwrap_or_default()
}

/// JSON as it is; any other text as a string without the last line's end; nothing as `null`.
pub(super) fn json_of(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        "null".to_owned()
    } else if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        text.trim().to_owned()
    } else {
        serde_json::Value::from(text.strip_suffix('\n').unwrap_or(text)).to_string()
    }
}
