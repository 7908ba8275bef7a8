//! A worker that the checker starts and ends.

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use crate::workers::relay::exec::signal;

/// The last bytes that it wrote are kept, for the case that it does not work.
const SAID_BYTES_MAX: usize = 2_000;

pub(super) struct Hired {
    child: Child,
    group: Option<Pid>,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Hired {
    /// In a process group of its own, so that a signal reaches the programs that it starts too.
    pub fn start(command: &[String], url: &str) -> std::io::Result<Self> {
        let [program, arguments @ ..] = command else {
            return Err(std::io::Error::other("there is no program"));
        };
        let mut child = Command::new(program)
            .args(arguments)
            .env("AMQP_URL", url)
            .env("REVEILLE__BUS__URL", url)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        let said = Arc::default();
        keep(child.stdout.take(), &said);
        keep(child.stderr.take(), &said);
        Ok(Self { child, group, said })
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The end of its output.
    pub fn said(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&said).trim().to_owned()
    }

    pub async fn kill(&mut self) {
        signal(self.group, Signal::KILL);
        let _ = self.child.wait().await;
    }

    /// SIGTERM; false: it goes on.
    pub async fn stops(&mut self, within: Duration) -> bool {
        if !self.has_ended() {
            signal(self.group, Signal::TERM);
        }
        tokio::time::timeout(within, self.child.wait()).await.is_ok()
    }
}

impl Drop for Hired {
    fn drop(&mut self) {
        if !self.has_ended() {
            signal(self.group, Signal::KILL);
        }
    }
}

fn keep(pipe: Option<impl AsyncRead + Unpin + Send + 'static>, said: &Arc<Mutex<Vec<u8>>>) {
    let Some(mut pipe) = pipe else { return };
    let said = Arc::clone(said);
    tokio::spawn(async move {
        let mut piece = vec![0; 4_096];
        while let Ok(length @ 1..) = pipe.read(&mut piece).await {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said.extend_from_slice(&piece[..length]);
            let over = said.len().saturating_sub(SAID_BYTES_MAX);
            said.drain(..over);
        }
    });
}
