//! The file with the signing key, for servers whose settings have none. It is made at the first start and readable by
//! its owner only.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::{KeyError, TokenKeys, new_secret};

/// Why the key file cannot be used. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error(
        "the token key file {path} may be read by others (mode {mode:04o}): its key can end any task. Run: chmod 600 \
         {path} (secrets of containers may be readable for all where they are mounted below /run/secrets)"
    )]
    Exposed { path: PathBuf, mode: u32 },
    #[error("the token key file {path} holds no usable key: {why}")]
    Unusable { path: PathBuf, why: KeyError },
    #[error("cannot {doing} the token key file {path}: {why}")]
    Io { path: PathBuf, doing: &'static str, why: io::Error },
}

/// Reads the keys of `path`. A missing file is made with one random key (mode 0600). Of several processes that start at
/// once, one makes the file and all use it.
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

/// Copies a key file; the copy is a new file that only its owner can read.
///
/// # Errors
/// `Io` where `from` cannot be read, or where `to` exists or cannot be made.
pub fn copy_file(from: &Path, to: &Path) -> Result<(), KeyFileError> {
    let text = SecretString::from(std::fs::read_to_string(from).map_err(|why| KeyFileError::Io {
        path: from.to_owned(),
        doing: "read",
        why,
    })?);
    let write = || {
        let mut file = private().create_new(true).open(to)?;
        file.write_all(text.expose_secret().as_bytes())?;
        file.sync_all()
    };
    write().map_err(|why| KeyFileError::Io { path: to.to_owned(), doing: "make", why })
}

/// Options that create a file which only its owner may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

fn load(path: &Path, mut file: File) -> Result<TokenKeys, KeyFileError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = file.metadata().map_err(|why| KeyFileError::Io { path: path.to_owned(), doing: "read", why })?;
        let mode = metadata.permissions().mode() & 0o7777;
        if is_exposed(&path.canonicalize().unwrap_or_else(|_| path.to_owned()), mode) {
            return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
        }
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|why| KeyFileError::Io { path: path.to_owned(), doing: "read", why })?;
    TokenKeys::parse(&SecretString::from(text)).map_err(|why| KeyFileError::Unusable { path: path.to_owned(), why })
}

/// Tells whether users other than the owner have forbidden access to the key. A container's secrets are mounted
/// readable for all (0444), and only that container sees them: there only write access of others is forbidden.
#[cfg(unix)]
fn is_exposed(path: &Path, mode: u32) -> bool {
    let secret_of_a_container = SECRET_MOUNTS.iter().any(|mount| path.starts_with(mount));
    mode & if secret_of_a_container { 0o022 } else { 0o077 } != 0
}

/// The folders in which Docker, Podman and Kubernetes mount secrets.
#[cfg(unix)]
const SECRET_MOUNTS: [&str; 2] = ["/run/secrets", "/var/run/secrets"];

/// Makes the file whole or not at all: a draft beside it is written and synced, then linked to `path` unless another
/// process was first.
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
    let mut file = private().create(true).truncate(true).open(draft)?;
    writeln!(file, "# Reveille signs task tokens with this key. It can end any task: keep it secret, keep a copy.")?;
    writeln!(
        file,
        "# To rotate, put a new one (openssl rand -hex 32) above it; remove the old one when its tasks have ended."
    )?;
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
    #[cfg(unix)]
    fn a_containers_secret_may_be_read_by_all_but_changed_by_its_owner_alone() {
        for (path, mode, exposed) in [
            ("/run/secrets/token-key", 0o444, false),
            ("/var/run/secrets/reveille/token-key", 0o644, false),
            ("/run/secrets/token-key", 0o600, false),
            ("/run/secrets/token-key", 0o464, true),
            ("/run/secrets/token-key", 0o666, true),
            ("/run/secrets-of-mine/token-key", 0o444, true),
            ("/srv/reveille/token-key", 0o444, true),
            ("/srv/reveille/token-key", 0o400, false),
        ] {
            assert_eq!(is_exposed(Path::new(path), mode), exposed, "{path} {mode:04o}");
        }
    }

    #[test]
    fn a_copy_is_private_and_signs_alike_and_replaces_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (path, copy) = (directory.path().join("token.key"), directory.path().join("copy.key"));
        let token = load_or_create(&path).unwrap().mint(&task(), PartitionId(0));
        copy_file(&path, &copy).unwrap();
        assert_eq!(load_or_create(&copy).unwrap().mint(&task(), PartitionId(0)), token);
        assert!(matches!(copy_file(&path, &copy), Err(KeyFileError::Io { doing: "make", .. })));
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
