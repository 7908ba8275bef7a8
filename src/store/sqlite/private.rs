//! File modes of the store. It holds task tokens and payloads in clear, so only the owner may read it.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use super::open::beside;

/// Options that create a file with mode 0600. SQLite gives its log and its shared memory the mode of the database.
pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// Files of the store that others than their owner may read or write, each with its mode.
#[must_use]
pub fn exposed(store: &Path) -> Vec<(PathBuf, u32)> {
    let files = ["", "-wal", "-shm"].map(|ending| beside(store, ending));
    let exposed = files.into_iter().filter_map(|file| {
        let mode = mode(&file).filter(|mode| mode & 0o077 != 0)?;
        Some((file, mode))
    });
    exposed.collect()
}

#[cfg(unix)]
fn mode(file: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    Some(std::fs::metadata(file).ok()?.permissions().mode() & 0o7777)
}

#[cfg(not(unix))]
fn mode(_: &Path) -> Option<u32> {
    None
}
