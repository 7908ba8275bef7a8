//! `[objects]`: the object store of Distributed Maps.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::objects;

#[derive(Debug, Clone, Deserialize)]
pub struct ObjectOptions {
    /// The folder whose subfolders are the buckets.
    pub folder: PathBuf,
    /// The URL of a service whose buckets are used instead. Empty: the folder is used.
    pub endpoint: String,
    region: String,
    key: SecretString,
    path_style: bool,
}

impl ObjectOptions {
    /// The options of the room `objects`. `region` is used where the section names none.
    ///
    /// # Errors
    /// The name of the wrong key, and the allowed values.
    pub fn read(&self, region: &str) -> Result<objects::Options, (&'static str, String)> {
        if self.endpoint.is_empty() {
            if self.folder.as_os_str().is_empty() {
                return Err(("objects.folder", "is empty; allowed: the path of a folder".to_owned()));
            }
            return Ok(objects::Options { folder: self.folder.clone(), service: None });
        }
        let host = self.endpoint.strip_prefix("http://").or_else(|| self.endpoint.strip_prefix("https://"));
        if host.is_none_or(|host| host.is_empty() || host.contains(['@', '?', '#', ' '])) {
            let why = format!(
                "is {}; allowed: the URL of an S3-compatible service, such as https://s3.eu-central-1.amazonaws.com, \
                 without a user, a query or spaces",
                super::keys::shown(&self.endpoint)
            );
            return Err(("objects.endpoint", why));
        }
        let key = match self.key.expose_secret().trim() {
            "" => None,
            text => match text.split_once(':') {
                Some((id, secret)) if !id.is_empty() && !secret.is_empty() => {
                    Some((id.to_owned(), SecretString::from(secret)))
                }
                _ => {
                    return Err((
                        "objects.key",
                        "is not ID:SECRET; allowed: an access key's id and secret, or nothing".to_owned(),
                    ));
                }
            },
        };
        let region = if self.region.is_empty() { region } else { &self.region };
        let service = objects::Service {
            endpoint: self.endpoint.trim_end_matches('/').to_owned(),
            region: region.to_owned(),
            key,
            path_style: self.path_style,
        };
        Ok(objects::Options { folder: self.folder.clone(), service: Some(service) })
    }
}
