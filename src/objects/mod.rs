//! Files that Distributed Maps read their items from and write their results to: buckets, keys, streams of bytes.
//!
//! A bucket is a folder below `objects.folder`, or one of an S3-compatible service (`objects.endpoint`), both through
//! the `object_store` crate. No file is held whole: it is read in pieces, and [`items`] cuts them into items.
//!
//! May enter: `csv`, `ids`, `limits`, `clock`.

mod fence;
pub mod items;
mod listing;
mod s3;

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::{Path, PathPart};
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use tokio::sync::OnceCell;

use fence::Fence;
use s3::Buckets;

pub use fence::exposed;
pub use listing::{Listed, Listing};
pub use s3::Service;

/// Parts of an upload that are sent at the same time.
const PARTS_AT_ONCE_MAX: usize = 2;
/// The size of a manifest or another file that must be read whole, in bytes.
const WHOLE_BYTES_MAX: usize = 64 * 1_048_576;
/// S3's own bound of a key.
const KEY_BYTES_MAX: usize = 1_024;

/// Settings of the object store.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder whose subfolders are the buckets (`objects.folder`).
    pub folder: PathBuf,
    /// A service whose buckets are used instead.
    pub service: Option<Service>,
}

impl Default for Options {
    fn default() -> Self {
        Self { folder: PathBuf::from("objects"), service: None }
    }
}

/// Reasons why an object cannot be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ObjectError {
    #[error("The specified bucket does not exist: '{0}'")]
    NoBucket(String),
    #[error("The specified key does not exist: 's3://{bucket}/{key}'")]
    NoKey { bucket: String, key: String },
    /// The name has a part `..` or an empty part, or is not allowed for a bucket.
    #[error("'{0}' is not a valid name of a bucket or object")]
    BadName(String),
    #[error("'{0}' lies behind a symbolic link that leads out of the folder of objects")]
    Outside(String),
    #[error("'{what}' is larger than {limit} bytes, the limit for a file that is read whole")]
    TooLarge { what: String, limit: usize },
    #[error("'{what}' cannot be used: {why}")]
    Unavailable { what: String, why: String },
}

/// The object store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Objects {
    place: Arc<Place>,
}

#[derive(Debug)]
enum Place {
    Folder { folder: PathBuf, opened: OnceCell<Opened> },
    Service(Buckets),
}

#[derive(Debug)]
struct Opened {
    store: Arc<dyn ObjectStore>,
    fence: Fence,
}

/// Bytes of an object, piece by piece.
pub type Pieces = BoxStream<'static, Result<Vec<u8>, ObjectError>>;

impl Objects {
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let place = match &options.service {
            Some(service) => Place::Service(Buckets::new(service.clone())),
            None => Place::Folder { folder: options.folder.clone(), opened: OnceCell::new() },
        };
        Self { place: Arc::new(place) }
    }

    /// The bytes of an object.
    pub async fn read(&self, bucket: &str, key: &str) -> Result<Pieces, ObjectError> {
        let path = path(bucket, key)?;
        let (folder, place) = match &*self.place {
            Place::Service(buckets) => return s3::read(buckets.client(bucket)?, bucket, key, path).await,
            Place::Folder { folder, opened: place } => (folder, opened(folder, place).await?),
        };
        let path = in_folder(bucket, &path);
        place.fence.check(&path).await?;
        let object = match place.store.get(&path).await {
            Ok(object) => object,
            Err(object_store::Error::NotFound { .. }) => {
                is_bucket(folder, bucket).await?;
                return Err(ObjectError::NoKey { bucket: bucket.to_owned(), key: key.to_owned() });
            }
            Err(e) => return Err(unavailable(bucket, key, &e)),
        };
        let name = (bucket.to_owned(), key.to_owned());
        Ok(object
            .into_stream()
            .map(move |piece| piece.map(|bytes| bytes.to_vec()).map_err(|e| unavailable(&name.0, &name.1, &e)))
            .boxed())
    }

    /// A small object, whole.
    pub async fn read_whole(&self, bucket: &str, key: &str) -> Result<Vec<u8>, ObjectError> {
        let mut pieces = self.read(bucket, key).await?;
        let mut whole = Vec::new();
        while let Some(piece) = pieces.next().await {
            whole.extend(piece?);
            if whole.len() > WHOLE_BYTES_MAX {
                return Err(ObjectError::TooLarge { what: format!("s3://{bucket}/{key}"), limit: WHOLE_BYTES_MAX });
            }
        }
        Ok(whole)
    }

    /// The objects of a bucket whose keys begin with `prefix`, in the order of their keys.
    pub async fn list(&self, bucket: &str, prefix: &str) -> Result<Listing, ObjectError> {
        check_length(bucket, prefix)?;
        path(bucket, "x")?;
        match &*self.place {
            Place::Service(buckets) => {
                let client = buckets.client(bucket)?;
                Listing::of_service(&client, bucket, prefix)
            }
            Place::Folder { folder, opened: place } => {
                is_bucket(folder, bucket).await?;
                let Opened { store, fence } = opened(folder, place).await?;
                Ok(Listing::of_folder(Arc::clone(store), fence.clone(), bucket, prefix))
            }
        }
    }

    /// Begins to write an object. It exists when [`Upload::finish`] has returned, not before.
    pub async fn write(&self, bucket: &str, key: &str) -> Result<Upload, ObjectError> {
        let path = path(bucket, key)?;
        let begun = match &*self.place {
            Place::Folder { folder, opened: place } => {
                let (place, path) = (opened(folder, place).await?, in_folder(bucket, &path));
                place.fence.check(&path).await?;
                place.store.put_multipart(&path).await
            }
            Place::Service(buckets) => {
                let client = buckets.client(bucket)?;
                match client.put_multipart(&path).await {
                    Err(object_store::Error::NotFound { .. }) => return Err(s3::missing(&client, bucket, key).await),
                    begun => begun,
                }
            }
        };
        let upload = begun.map_err(|e| unavailable(bucket, key, &e))?;
        Ok(Upload { name: (bucket.to_owned(), key.to_owned()), parts: WriteMultipart::new(upload), bytes: 0 })
    }
}

/// The opened folder. It is made at its first use.
async fn opened<'s>(folder: &PathBuf, place: &'s OnceCell<Opened>) -> Result<&'s Opened, ObjectError> {
    let made = place.get_or_try_init(|| async {
        fence::make(folder).await.map_err(|e| e.to_string())?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|e| plain(&e))?;
        let fence = Fence::around(folder).await.map_err(|e| e.to_string())?;
        Ok::<_, String>(Opened { store: Arc::new(store), fence })
    });
    made.await.map_err(|why| ObjectError::Unavailable { what: "the folder of objects".to_owned(), why })
}

async fn is_bucket(folder: &std::path::Path, bucket: &str) -> Result<(), ObjectError> {
    match tokio::fs::metadata(folder.join(bucket)).await {
        Ok(found) if found.is_dir() => Ok(()),
        _ => Err(ObjectError::NoBucket(bucket.to_owned())),
    }
}

/// An object that is being written.
#[derive(Debug)]
pub struct Upload {
    name: (String, String),
    parts: WriteMultipart,
    bytes: u64,
}

impl Upload {
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ObjectError> {
        self.parts
            .wait_for_capacity(PARTS_AT_ONCE_MAX)
            .await
            .map_err(|e| unavailable(&self.name.0, &self.name.1, &e))?;
        self.parts.write(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub async fn finish(self) -> Result<u64, ObjectError> {
        let (bytes, name) = (self.bytes, self.name);
        self.parts.finish().await.map_err(|e| unavailable(&name.0, &name.1, &e))?;
        Ok(bytes)
    }
}

/// Where an object of a bucket lies below the folder of all buckets: under the bucket's name as it is, which [`path`]
/// has let through. (A conversion would write most characters as `%7E`, and the bucket would not be found again.)
fn in_folder(bucket: &str, key: &Path) -> Path {
    PathPart::parse(bucket).into_iter().chain(key.parts()).collect()
}

fn bad_name(bucket: &str, key: &str) -> ObjectError {
    let name = format!("s3://{bucket}/{key}");
    ObjectError::BadName(name[..name.floor_char_boundary(KEY_BYTES_MAX)].to_owned())
}

/// For keys and prefixes. The client of a service panics where an address is longer than 64 KiB.
fn check_length(bucket: &str, key: &str) -> Result<(), ObjectError> {
    if bucket.len() > KEY_BYTES_MAX || key.len() > KEY_BYTES_MAX { Err(bad_name(bucket, key)) } else { Ok(()) }
}

/// The path of an object in its bucket. Names that would leave the folder are refused.
fn path(bucket: &str, key: &str) -> Result<Path, ObjectError> {
    let is_part = PathPart::parse(bucket).is_ok() && !bucket.contains('\\');
    if !is_part || bucket.bytes().all(|b| b == b'.') {
        return Err(bad_name(bucket, ""));
    }
    check_length(bucket, key)?;
    // A key without a part would be the bucket itself.
    match Path::parse(key) {
        Ok(path) if path.parts().next().is_some() => Ok(path),
        _ => Err(bad_name(bucket, key)),
    }
}

fn unavailable(bucket: &str, key: &str, e: &object_store::Error) -> ObjectError {
    ObjectError::Unavailable { what: format!("s3://{bucket}/{key}"), why: plain(e) }
}

/// The text of an error without the server's own paths, because clients read it as the cause of a failure.
fn plain(e: &object_store::Error) -> String {
    match e {
        object_store::Error::Generic { store: "LocalFileSystem", source } => {
            let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(source.as_ref());
            while let Some(error) = cause {
                if let Some(io) = error.downcast_ref::<std::io::Error>() {
                    return io.to_string();
                }
                cause = error.source();
            }
            "the file cannot be used".to_owned()
        }
        object_store::Error::NotFound { .. } => "it does not exist".to_owned(),
        object_store::Error::AlreadyExists { .. } => "it already exists".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn put(objects: &Objects, key: &str, body: &str) {
        let mut upload = objects.write("bucket", key).await.unwrap();
        upload.write(body.as_bytes()).await.unwrap();
        upload.finish().await.unwrap();
    }

    #[tokio::test]
    async fn what_was_written_is_read_and_listed_in_the_order_of_keys() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::new(&Options { folder: folder.path().join("made/when/used"), service: None });
        for key in ["b.txt", "a/2", "a-1", "a/1", "a/deep/er", "c"] {
            put(&objects, key, key).await;
        }
        assert_eq!(objects.read_whole("bucket", "a/deep/er").await.unwrap(), b"a/deep/er");
        for (prefix, wanted) in [
            ("", vec!["a-1", "a/1", "a/2", "a/deep/er", "b.txt", "c"]),
            ("a/", vec!["a/1", "a/2", "a/deep/er"]),
            ("a/d", vec!["a/deep/er"]),
            ("a", vec!["a-1", "a/1", "a/2", "a/deep/er"]),
            ("nothing", vec![]),
        ] {
            let mut listing = objects.list("bucket", prefix).await.unwrap();
            let mut keys = Vec::new();
            while let Some(found) = listing.next().await.unwrap() {
                keys.push(found.key);
            }
            assert_eq!(keys, wanted, "{prefix}");
        }
    }

    /// Found by a fuzzer: such a bucket was written to under another name, and then it was not there.
    #[tokio::test]
    async fn a_bucket_lies_under_its_own_name() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::new(&Options { folder: folder.path().to_owned(), service: None });
        for bucket in ["my~bucket", "a*b", "b\u{fc}cket", "a%2Fb", "{x}", "a b"] {
            let mut upload = objects.write(bucket, "k#/a~b").await.unwrap();
            upload.write(b"x").await.unwrap();
            upload.finish().await.unwrap();
            assert_eq!(std::fs::read(folder.path().join(bucket).join("k#/a~b")).unwrap(), b"x", "{bucket}");
            assert_eq!(objects.read_whole(bucket, "k#/a~b").await.unwrap(), b"x", "{bucket}");
            let found = objects.list(bucket, "").await.unwrap().next().await.unwrap();
            assert_eq!(found.unwrap().key, "k#/a~b", "{bucket}");
        }
    }

    /// Found by a fuzzer: the client of a service panicked.
    #[tokio::test]
    async fn a_key_and_a_prefix_are_no_longer_than_s3_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let endpoint = "http://127.0.0.1:1".to_owned();
        let service = Service { endpoint, region: "us-east-1".into(), key: None, path_style: true };
        for service in [None, Some(service)] {
            let objects = Objects::new(&Options { folder: folder.path().to_owned(), service });
            for bytes in [KEY_BYTES_MAX + 1, 200_000] {
                let long = "k".repeat(bytes);
                let refused = objects.read_whole("bucket", &long).await.unwrap_err();
                assert!(matches!(&refused, ObjectError::BadName(name) if name.len() == KEY_BYTES_MAX), "{refused}");
                assert!(matches!(objects.write("bucket", &long).await, Err(ObjectError::BadName(_))));
                assert!(matches!(objects.list("bucket", &long).await, Err(ObjectError::BadName(_))));
                assert!(matches!(objects.read_whole(&long, "k").await, Err(ObjectError::BadName(_))));
            }
        }
        let objects = Objects::new(&Options { folder: folder.path().to_owned(), service: None });
        put(&objects, &"k/".repeat(KEY_BYTES_MAX / 2), "x").await;
    }

    #[tokio::test]
    async fn what_is_not_there_is_told_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::new(&Options { folder: folder.path().to_owned(), service: None });
        let refused = |r: Result<Vec<u8>, ObjectError>| r.unwrap_err().to_string();
        assert_eq!(refused(objects.read_whole("none", "k").await), "The specified bucket does not exist: 'none'");
        put(&objects, "there", "x").await;
        assert_eq!(
            refused(objects.read_whole("bucket", "k").await),
            "The specified key does not exist: 's3://bucket/k'"
        );
        // A folder in the place of a file: the operating system's message comes without the path on this machine.
        std::fs::create_dir_all(folder.path().join("bucket/folder/inner")).unwrap();
        let said = refused(objects.read_whole("bucket", "folder").await);
        assert!(!said.contains(&*folder.path().to_string_lossy()), "{said}");
        for (bucket, key) in
            [("..", "k"), ("bucket", "../../secret"), ("a/b", "k"), ("", "k"), ("a\\b", "k"), ("a\0b", "k")]
        {
            assert!(matches!(objects.read_whole(bucket, key).await, Err(ObjectError::BadName(_))), "{bucket} {key}");
        }
    }
}
