//! A store moves to another kind of store, while nothing runs on either.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::{Settings, SettingsError};
use crate::store::StoreError;
use crate::store::copying::{self, CopyMade, Progress};

use super::AppError;
use super::stores::{self, Kept};

/// A database that is away at the beginning of a copy.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// A copy that was made.
#[derive(Debug)]
pub struct Copied {
    pub made: CopyMade,
    /// Where the keys are that sign the task tokens of the source: the copy needs the same. `None`: in the settings.
    pub token_keys: Option<PathBuf>,
}

/// Copies the store of one settings to the empty store of the other, and compares them. `partitions`: of the copy;
/// `None`: as many as a new store has, and not fewer than the source.
///
/// # Errors
/// A store that cannot be used, is in use, or is not empty; a copy that is not the same.
pub async fn copy_store(
    from: &Settings,
    to: &Settings,
    partitions: Option<u16>,
    report: &(dyn Fn(Progress) + Sync),
) -> Result<Copied, AppError> {
    if from.store.url.expose() == to.store.url.expose() {
        return Err(AppError::Unsupported("source and target are the same store".into()));
    }
    if let Some(path) = from.store.sqlite_path().filter(|path| !path.is_file()) {
        return Err(StoreError::Unusable(format!("there is no store at {}", path.display())).into());
    }
    let keys = from.token_key_path().filter(|keys| keys.is_file());
    let wanted =
        to.store.sqlite_path().and_then(|_| to.token_key_path()).filter(|wanted| keys.as_ref() != Some(wanted));
    if let (Some(_), Some(wanted)) = (&keys, &wanted)
        && wanted.exists()
    {
        return Err(StoreError::AlreadyExists { what: "file", key: wanted.display().to_string() }.into());
    }
    let (source, target) = (open(from).await?, open(to).await?);
    let made = match (source.portable(), target.portable()) {
        (Some(source), Some(target)) => {
            let partitions = match partitions {
                Some(asked) => Ok(asked),
                None => copying::partitions_of(source).await.map(|held| held.max(to.partitions())),
            };
            match partitions {
                Ok(partitions) => copying::copy(source, target, partitions, report).await,
                Err(error) => Err(error),
            }
        }
        _ => Err(StoreError::Unusable("a store in memory ends with its process".into())),
    };
    source.close().await;
    target.close().await;
    let made = made?;
    let token_keys = match (keys, wanted) {
        (Some(keys), Some(wanted)) => {
            crate::token::copy_file(&keys, &wanted).map_err(SettingsError::from)?;
            Some(wanted)
        }
        (keys, _) => keys,
    };
    Ok(Copied { made, token_keys })
}

/// A database that is away is waited for, for a moment.
async fn open(settings: &Settings) -> Result<Kept, AppError> {
    match tokio::time::timeout(ANSWERS_WITHIN, stores::open(settings, watch::Sender::default())).await {
        Ok(opened) => Ok(opened?.store),
        Err(_) => Err(StoreError::Unavailable(format!("{} does not answer", settings.store.url)).into()),
    }
}
