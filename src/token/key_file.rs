//! The file that keeps the signing key where none is configured: made at the first start, readable by its owner only.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::{KeyError, TokenKeys, new_secret};

/// Why the key file cannot be used. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("the token key file {path} may be read by others (mode {mode:04o}): whoever reads it can end any task. Run: chmod 600 {path}")]
    Exposed { path: PathBuf, mode: u32 },
    #[error("the token key file {path} holds no usable key: {why}")]
    Unusable { path: PathBuf, why: KeyError },
    #[error("cannot {doing} the token key file {path}: {why}")]
    Io { path: PathBuf, doing: &'static str, why: io::Error },
}

/// Reads the keys of `path`; makes the file with one random key (mode 0600) where there is none. Of several processes that start at once
/// one makes it and all use it.
pub fn load_or_create(path: &Path) -> Result<TokenKeys, KeyFileError> {
    let error = |doing| move |why| KeyFileError::Io { path: path.to_owned(), doing, why };
    match File::open(path) {
        Ok(file) => return load(path, file),
        Err(why) if why.kind() == io::ErrorKind::NotFound => {}
        Err(why) => return Err(error("read")(why)),
    }
    create(path).map_err(error("make"))?;
    load(path, File::open(path).map_err(error("read"))?)
}

fn load(path: &Path, mut file: File) -> Result<TokenKeys, KeyFileError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = file.metadata().map_err(|why| KeyFileError::Io { path: path.to_owned(), doing: "read", why })?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
        }
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|why| KeyFileError::Io { path: path.to_owned(), doing: "read", why })?;
    TokenKeys::parse(&SecretString::from(text)).map_err(|why| KeyFileError::Unusable { path: path.to_owned(), why })
}

/// Whole or not at all: written beside its place, made durable, then linked there unless somebody else was first.
fn create(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let made = write_draft(&draft).and_then(|()| match std::fs::hard_link(&draft, path) {
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let removed = std::fs::remove_file(&draft);
    made?;
    removed?;
    File::open(directory)?.sync_all()
}

fn write_draft(draft: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(draft)?;
    writeln!(file, "# Reveille signs task tokens with this key. Whoever has it can end any task: keep it secret, keep a copy.")?;
    writeln!(file, "# To rotate, put a new one (openssl rand -hex 32) above it; remove the old one when its tasks have ended.")?;
    writeln!(file, "{}", new_secret().expose_secret())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{EventId, ExecutionId, PartitionId, TaskKey};

    fn task() -> TaskKey {
        TaskKey { execution: ExecutionId(uuid::Uuid::from_u128(1)), scheduled: EventId(5) }
    }

    #[test]
    fn the_first_start_makes_the_file_and_the_next_one_uses_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data/token.key");
        let first = load_or_create(&path).unwrap().mint(&task(), PartitionId(0));
        assert_eq!(load_or_create(&path).unwrap().mint(&task(), PartitionId(0)), first);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_file_that_others_can_read_is_refused_with_what_to_do() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token.key");
        load_or_create(&path).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let text = load_or_create(&path).unwrap_err().to_string();
            assert!(text.contains(&format!("{mode:04o}")) && text.contains("chmod 600"), "{text}");
        }
    }

    #[test]
    fn a_file_without_a_key_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token.key");
        load_or_create(&path).unwrap();
        std::fs::write(&path, "# nothing\n").unwrap();
        assert!(matches!(load_or_create(&path), Err(KeyFileError::Unusable { why: KeyError::Empty, .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# nothing\n");
    }
}
