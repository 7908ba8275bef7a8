//! `ListObjectsV2`: the objects of a bucket in the order of their keys. Folders are read one at a time, a service page
//! by page.
//!
//! The order matters: a map run that restarts must find the same items at the same places. S3 orders by the bytes of
//! the whole key, so a folder stands where `name/` stands among its neighbours.

use std::fmt;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use super::fence::Fence;
use super::s3::is_no_bucket;
use super::{ObjectError, unavailable};
use crate::clock::Timestamp;

/// An object, as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    pub size: u64,
    pub modified: Timestamp,
    pub e_tag: Option<String>,
}

/// A listing that goes on with [`Listing::next`].
pub struct Listing {
    way: Way,
}

enum Way {
    Folder(Walk),
    Service { bucket: String, prefix: String, found: BoxStream<'static, object_store::Result<ObjectMeta>> },
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bucket, prefix) = match &self.way {
            Way::Folder(walk) => (&walk.bucket, &walk.prefix),
            Way::Service { bucket, prefix, .. } => (bucket, prefix),
        };
        f.debug_struct("Listing").field("bucket", bucket).field("prefix", prefix).finish_non_exhaustive()
    }
}

impl Listing {
    pub(super) fn of_folder(store: Arc<dyn ObjectStore>, fence: Fence, bucket: &str, prefix: &str) -> Self {
        let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
        let walk = Walk { store, fence, bucket, prefix, ahead: Vec::new(), begun: false };
        Self { way: Way::Folder(walk) }
    }

    /// Lists a bucket of a service, which lists in the order of keys. The request names the folder in which the prefix
    /// ends.
    pub(super) fn of_service(client: &AmazonS3, bucket: &str, prefix: &str) -> Result<Self, ObjectError> {
        let folder = prefix.rfind('/').map_or("", |end| &prefix[..end]);
        let path = Path::parse(folder).map_err(|_| ObjectError::BadName(format!("s3://{bucket}/{prefix}")))?;
        let found = client.list((!folder.is_empty()).then_some(&path));
        Ok(Self { way: Way::Service { bucket: bucket.to_owned(), prefix: prefix.to_owned(), found } })
    }

    /// The next object.
    pub async fn next(&mut self) -> Result<Option<Listed>, ObjectError> {
        let (bucket, prefix, found) = match &mut self.way {
            Way::Folder(walk) => return walk.next().await,
            Way::Service { bucket, prefix, found } => (bucket, prefix, found),
        };
        while let Some(meta) = found.next().await {
            match meta {
                Ok(meta) if meta.location.as_ref().starts_with(prefix.as_str()) => return Ok(Some(listed(meta, 0))),
                Ok(_) => {}
                Err(e) if is_no_bucket(&e) => return Err(ObjectError::NoBucket(bucket.clone())),
                Err(e) => return Err(unavailable(bucket, prefix, &e)),
            }
        }
        Ok(None)
    }
}

/// A walk through folders. It holds the entries of the folders that it is in.
#[derive(Debug)]
struct Walk {
    store: Arc<dyn ObjectStore>,
    fence: Fence,
    bucket: String,
    prefix: String,
    /// The next entry last.
    ahead: Vec<Entry>,
    begun: bool,
}

#[derive(Debug)]
enum Entry {
    Object(Listed),
    /// Key with a slash at its end.
    Folder(String),
}

impl Entry {
    fn key(&self) -> &str {
        match self {
            Self::Object(object) => &object.key,
            Self::Folder(key) => key,
        }
    }
}

impl Walk {
    async fn next(&mut self) -> Result<Option<Listed>, ObjectError> {
        if !self.begun {
            self.begun = true;
            let folder = self.prefix.rfind('/').map_or("", |end| &self.prefix[..=end]).to_owned();
            self.open(&folder).await?;
        }
        while let Some(entry) = self.ahead.pop() {
            match entry {
                Entry::Object(object) => return Ok(Some(object)),
                Entry::Folder(key) => self.open(&key).await?,
            }
        }
        Ok(None)
    }

    async fn open(&mut self, folder: &str) -> Result<(), ObjectError> {
        let failed = |e: &object_store::Error| unavailable(&self.bucket, folder, e);
        let path = Path::parse(format!("{}/{}", self.bucket, folder.trim_end_matches('/')).trim_end_matches('/'))
            .map_err(|_| ObjectError::BadName(folder.to_owned()))?;
        self.fence.check(&path).await?;
        let found = self.store.list_with_delimiter(Some(&path)).await.map_err(|e| failed(&e))?;
        let skip = self.bucket.len() + 1;
        let mut entries = Vec::new();
        for folder in found.common_prefixes {
            let key = format!("{}/", &folder.as_ref()[skip..]);
            if self.wants(&key) && !self.fence.is_outside(&folder).await {
                entries.push(Entry::Folder(key));
            }
        }
        for meta in found.objects {
            if self.wants(&meta.location.as_ref()[skip..]) && !self.fence.is_outside(&meta.location).await {
                entries.push(Entry::Object(listed(meta, skip)));
            }
        }
        entries.sort_unstable_by(|a, b| b.key().cmp(a.key()));
        self.ahead.extend(entries);
        Ok(())
    }

    /// Tells whether a key is below the prefix, or a folder on the way to it.
    fn wants(&self, key: &str) -> bool {
        key.starts_with(&self.prefix) || (key.ends_with('/') && self.prefix.starts_with(key))
    }
}

fn listed(meta: ObjectMeta, skip: usize) -> Listed {
    Listed {
        key: meta.location.as_ref()[skip..].to_owned(),
        size: meta.size,
        modified: Timestamp::from_millis(meta.last_modified.timestamp_millis()),
        e_tag: meta.e_tag,
    }
}
