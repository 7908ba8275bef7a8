//! A fence around the folder of objects: no symbolic link leads out of it, and only its owner may enter it.

use std::io;
use std::path::{Path, PathBuf};

use object_store::path::Path as Key;

use super::ObjectError;

/// The real path of the folder.
#[derive(Debug, Clone)]
pub(super) struct Fence(PathBuf);

impl Fence {
    pub async fn around(folder: &Path) -> io::Result<Self> {
        Ok(Self(tokio::fs::canonicalize(folder).await?))
    }

    /// Refuses a key whose path leaves the folder through a symbolic link. Links within the folder are followed.
    pub async fn check(&self, key: &Key) -> Result<(), ObjectError> {
        let mut at = key.parts().fold(self.0.clone(), |path, part| path.join(part.as_ref()));
        // A part that does not exist yet has no links: the nearest existing folder counts.
        loop {
            match tokio::fs::canonicalize(&at).await {
                Ok(real) if real.starts_with(&self.0) => return Ok(()),
                Ok(_) => return Err(ObjectError::Outside(key.to_string())),
                Err(error) if error.kind() == io::ErrorKind::NotFound && at.pop() && at.starts_with(&self.0) => {}
                // The caller reports this error when it uses the path.
                Err(_) => return Ok(()),
            }
        }
    }

    /// Tells whether an entry is a link that leads out of the folder. Listings check every entry.
    pub async fn is_outside(&self, key: &Key) -> bool {
        let path = key.parts().fold(self.0.clone(), |path, part| path.join(part.as_ref()));
        tokio::fs::symlink_metadata(&path).await.is_ok_and(|found| found.is_symlink()) && self.check(key).await.is_err()
    }
}

/// Makes the folder, for its owner alone.
pub(super) async fn make(folder: &Path) -> io::Result<()> {
    let mut builder = tokio::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    builder.mode(0o700);
    builder.create(folder).await
}

/// The folder and its mode, where others than its owner may enter or read it.
#[must_use]
pub fn exposed(folder: &Path) -> Option<(PathBuf, u32)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder).ok()?.permissions().mode() & 0o7777;
        (mode & 0o077 != 0).then(|| (folder.to_owned(), mode))
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::{Objects, Options};
    use super::*;

    async fn write(objects: &Objects, bucket: &str, key: &str) -> Result<u64, ObjectError> {
        let mut upload = objects.write(bucket, key).await?;
        upload.write(b"new").await?;
        upload.finish().await
    }

    async fn keys(objects: &Objects, bucket: &str) -> Result<Vec<String>, ObjectError> {
        let mut listing = objects.list(bucket, "").await?;
        let mut keys = Vec::new();
        while let Some(found) = listing.next().await? {
            keys.push(found.key);
        }
        Ok(keys)
    }

    #[tokio::test]
    async fn links_that_lead_out_of_the_folder_are_not_followed() {
        let (place, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = place.path().join("objects");
        std::fs::create_dir_all(folder.join("bucket/sub")).unwrap();
        std::fs::write(folder.join("bucket/own"), "own").unwrap();
        std::fs::write(outside.path().join("secret"), "secret").unwrap();
        symlink(outside.path(), folder.join("link")).unwrap();
        symlink(outside.path(), folder.join("bucket/away")).unwrap();
        symlink(outside.path().join("secret"), folder.join("bucket/file")).unwrap();
        symlink(outside.path().join("not-yet"), folder.join("bucket/dangling")).unwrap();
        symlink(folder.join("bucket/own"), folder.join("bucket/within")).unwrap();
        let objects = Objects::new(&Options { folder: folder.clone(), service: None });
        for (bucket, key) in [("link", "secret"), ("bucket", "away/secret"), ("bucket", "file")] {
            assert!(matches!(objects.read_whole(bucket, key).await, Err(ObjectError::Outside(_))), "{bucket}/{key}");
            assert!(matches!(write(&objects, bucket, key).await, Err(ObjectError::Outside(_))), "{bucket}/{key}");
        }
        assert!(matches!(write(&objects, "bucket", "away/new/deep").await, Err(ObjectError::Outside(_))));
        assert!(matches!(keys(&objects, "link").await, Err(ObjectError::Outside(_))));
        let _ = write(&objects, "bucket", "dangling").await;
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1, "nothing was written outside");
        assert_eq!(std::fs::read_to_string(outside.path().join("secret")).unwrap(), "secret");
        assert_eq!(objects.read_whole("bucket", "within").await.unwrap(), b"own");
        let listed = keys(&objects, "bucket").await.unwrap();
        assert!(listed.contains(&"own".to_owned()) && listed.contains(&"within".to_owned()), "{listed:?}");
        assert!(!listed.iter().any(|key| key.starts_with("away") || key == "file"), "{listed:?}");
    }

    #[tokio::test]
    async fn the_folder_is_made_for_its_owner_alone_and_a_wider_one_is_told() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("made/objects");
        let objects = Objects::new(&Options { folder: folder.clone(), service: None });
        write(&objects, "bucket", "key").await.unwrap();
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(exposed(&folder), None);
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o750)).unwrap();
        assert_eq!(exposed(&folder), Some((folder.clone(), 0o750)));
        assert_eq!(exposed(&place.path().join("none")), None);
    }
}
