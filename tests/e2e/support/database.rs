//! A PostgreSQL of a test's own.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Killed and deleted at the end.
pub struct Database {
    dir: tempfile::TempDir,
    pub url: String,
}

impl Database {
    /// `None`, and a word about it, where the run has no PostgreSQL at all.
    pub fn start() -> Option<Self> {
        if std::env::var_os("REVEILLE_TEST_POSTGRES_URL").is_none() {
            eprintln!("skipped: REVEILLE_TEST_POSTGRES_URL names no PostgreSQL, so none is started (make test does)");
            return None;
        }
        let dir = tempfile::tempdir().expect("a folder");
        // Started by root it runs as another user, who must get there.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).expect("changed");
        let url = run("start", &dir.path().join("server"), &[]).trim().to_owned();
        Some(Self { dir, url })
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("server")
    }

    /// A standby of this one.
    pub fn standby(&self) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).expect("changed");
        let of = self.folder().display().to_string();
        let url = run("standby", &dir.path().join("server"), &[&of]).trim().to_owned();
        Self { dir, url }
    }

    /// This standby takes writes from now on.
    pub fn promote(&self) {
        run("promote", &self.folder(), &[]);
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.url.split('@').nth(1).and_then(|rest| rest.split('/').next()).expect("it is in the URL")
    }

    /// kill -9 of the server and all its processes.
    pub fn kill(&self) {
        run("kill", &self.folder(), &[]);
    }

    /// Starts it again on the same data.
    pub fn start_again(&self) {
        run("start", &self.folder(), &[]);
    }

    /// The rows of a query, one per line.
    pub fn ask(&self, sql: &str) -> String {
        run("sql", &self.folder(), &["-At", "-c", sql]).trim().to_owned()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = Command::new(script()).arg("discard").arg(self.folder()).output();
    }
}

fn run(command: &str, dir: &Path, arguments: &[&str]) -> String {
    let output =
        Command::new(script()).arg(command).arg(dir).args(arguments).output().expect("scripts/postgres.sh runs");
    assert!(output.status.success(), "postgres.sh {command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres.sh")
}
