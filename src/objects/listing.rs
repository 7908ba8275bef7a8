//! `ListObjectsV2`: the objects of a bucket in the order of their keys, a folder at a time.
//!
//! The order matters: a map run that begins anew must find the same items at the same places. S3 orders by the bytes of the whole
//! key, so a folder stands where `name/` stands among its neighbours.

use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

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

/// A listing that goes on with [`Listing::next`]. Holds the entries of the folders that it is in.
#[derive(Debug)]
pub struct Listing {
    store: Arc<dyn ObjectStore>,
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

impl Listing {
    pub(super) fn new(store: Arc<dyn ObjectStore>, bucket: &str, prefix: &str) -> Self {
        Self { store, bucket: bucket.to_owned(), prefix: prefix.to_owned(), ahead: Vec::new(), begun: false }
    }

    /// The next object.
    pub async fn next(&mut self) -> Result<Option<Listed>, ObjectError> {
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
        let found = self.store.list_with_delimiter(Some(&path)).await.map_err(|e| failed(&e))?;
        let skip = self.bucket.len() + 1;
        let folders = found.common_prefixes.iter().map(|p| Entry::Folder(format!("{}/", &p.as_ref()[skip..])));
        let objects = found.objects.into_iter().map(|meta| Entry::Object(listed(meta, skip)));
        let mut entries: Vec<Entry> = objects.chain(folders).filter(|e| self.wants(e.key())).collect();
        entries.sort_unstable_by(|a, b| b.key().cmp(a.key()));
        self.ahead.extend(entries);
        Ok(())
    }

    /// Keys below the prefix, and folders on the way to it.
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
