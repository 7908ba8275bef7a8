//! Buckets of an S3-compatible service: AWS S3, MinIO, Ceph and the like.
//!
//! An object is read by ranges, each a request of its own: a map run may read slowly, for hours, and holds no
//! connection meanwhile. A range of another version of the object than the first range is refused (`If-Match`).

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ClientOptions, GetOptions, GetRange, ObjectStore, RetryConfig};
use secrecy::{ExposeSecret, SecretString};

use super::{ObjectError, Pieces, unavailable};

/// Bytes of one request for a part of an object.
const RANGE_BYTES: u64 = 4 * 1_048_576;
/// How often, and for how long, an unanswered request is repeated.
const RETRIES: usize = 5;
const RETRY_FOR: Duration = Duration::from_mins(1);
/// The time for one request with its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
/// Clients that are kept, a connection pool each: the names of buckets come from inputs.
const CLIENTS_MAX: usize = 64;
/// The time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of the service.
#[derive(Debug, Clone)]
pub struct Service {
    /// `https://s3.eu-central-1.amazonaws.com`, `http://minio:9000` (`objects.endpoint`).
    pub endpoint: String,
    /// The region in signatures (`objects.region`).
    pub region: String,
    /// Id and secret (`objects.key`). `None`: requests are not signed.
    pub key: Option<(String, SecretString)>,
    /// `endpoint/bucket/key` instead of `bucket.endpoint/key` (`objects.path_style`).
    pub path_style: bool,
}

/// The clients of the service, one for each bucket in use.
pub(super) struct Buckets {
    service: Service,
    clients: Mutex<HashMap<String, Arc<AmazonS3>>>,
}

impl fmt::Debug for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buckets").field("endpoint", &self.service.endpoint).finish_non_exhaustive()
    }
}

impl Buckets {
    pub fn new(service: Service) -> Self {
        // The process has one TLS library, also for AMQP. It may have been installed before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { service, clients: Mutex::default() }
    }

    pub fn client(&self, bucket: &str) -> Result<Arc<AmazonS3>, ObjectError> {
        if !is_bucket_name(bucket) {
            return Err(ObjectError::BadName(bucket.to_owned()));
        }
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(bucket) {
            return Ok(Arc::clone(client));
        }
        let Service { endpoint, region, key, path_style } = &self.service;
        let http = endpoint.starts_with("http://");
        // With the bucket in the host name, `object_store` expects it in the endpoint.
        let endpoint = match endpoint.split_once("://") {
            Some((scheme, host)) if !path_style => format!("{scheme}://{bucket}.{host}"),
            _ => endpoint.clone(),
        };
        let connection = ClientOptions::new()
            .with_timeout(REQUEST_TIMEOUT)
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_allow_http(http);
        let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_FOR, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new()
            .with_endpoint(endpoint)
            .with_region(region)
            .with_bucket_name(bucket)
            .with_virtual_hosted_style_request(!path_style)
            .with_client_options(connection)
            .with_retry(retry);
        builder = match key {
            Some((id, secret)) => builder.with_access_key_id(id).with_secret_access_key(secret.expose_secret()),
            None => builder.with_skip_signature(true),
        };
        let client = Arc::new(builder.build().map_err(|e| unavailable(bucket, "", &e))?);
        if clients.len() >= CLIENTS_MAX {
            // Those in use live on with their users.
            clients.clear();
        }
        clients.insert(bucket.to_owned(), Arc::clone(&client));
        Ok(client)
    }
}

/// S3's own rules: 3 to 63 of `a-z0-9.-` in labels that begin and end with a letter or a digit, and no IP address. The
/// name becomes part of the URL, and with `objects.path_style` = false of its host: any other name could lead to
/// another server.
fn is_bucket_name(name: &str) -> bool {
    let is_label = |label: &str| {
        label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (3..=63).contains(&name.len()) && name.split('.').all(is_label) && name.parse::<std::net::Ipv4Addr>().is_err()
}

/// The error of a missing key, or of its missing bucket.
pub(super) async fn missing(client: &AmazonS3, bucket: &str, key: &str) -> ObjectError {
    match client.list(None).next().await {
        Some(Err(e)) if is_no_bucket(&e) => ObjectError::NoBucket(bucket.to_owned()),
        _ => ObjectError::NoKey { bucket: bucket.to_owned(), key: key.to_owned() },
    }
}

/// Tells whether the bucket is missing. `object_store` has no error of its own for it, but its text holds the service's
/// code.
pub(super) fn is_no_bucket(e: &object_store::Error) -> bool {
    e.to_string().contains("NoSuchBucket")
}

/// Reads an object range by range. The first range is read at once, so that a missing object is found.
pub(super) async fn read(client: Arc<AmazonS3>, bucket: &str, key: &str, path: Path) -> Result<Pieces, ObjectError> {
    let name = (bucket.to_owned(), key.to_owned());
    let first = match part(&client, &path, 0..RANGE_BYTES, None).await {
        Ok(first) => first,
        Err(object_store::Error::NotFound { .. }) => return Err(missing(&client, bucket, key).await),
        Err(e) => {
            // No range of an empty object can be satisfied.
            let empty = client
                .get_opts(&path, GetOptions { head: true, ..GetOptions::default() })
                .await
                .is_ok_and(|o| o.meta.size == 0);
            if empty {
                return Ok(stream::empty().boxed());
            }
            return Err(unavailable(bucket, key, &e));
        }
    };
    let (size, e_tag) = (first.size, first.e_tag);
    let rest = stream::unfold(first.bytes.len() as u64, move |at| {
        let (client, path, name, e_tag) = (Arc::clone(&client), path.clone(), name.clone(), e_tag.clone());
        async move {
            if at >= size {
                return None;
            }
            match part(&client, &path, at..(at + RANGE_BYTES).min(size), e_tag).await {
                Ok(part) if !part.bytes.is_empty() => {
                    let next = at + part.bytes.len() as u64;
                    Some((Ok(part.bytes), next))
                }
                Ok(_) => {
                    let why = format!("it ends after {at} of {size} bytes");
                    Some((Err(ObjectError::Unavailable { what: format!("s3://{}/{}", name.0, name.1), why }), size))
                }
                Err(e) => Some((Err(unavailable(&name.0, &name.1, &e)), size)),
            }
        }
    });
    Ok(stream::once(async move { Ok(first.bytes) }).chain(rest).boxed())
}

struct Part {
    bytes: Vec<u8>,
    /// The size of the whole object, in bytes.
    size: u64,
    e_tag: Option<String>,
}

async fn part(client: &AmazonS3, path: &Path, range: Range<u64>, e_tag: Option<String>) -> object_store::Result<Part> {
    let options = GetOptions { range: Some(GetRange::Bounded(range)), if_match: e_tag, ..GetOptions::default() };
    let found = client.get_opts(path, options).await?;
    let (size, e_tag) = (found.meta.size, found.meta.e_tag.clone());
    Ok(Part { bytes: found.bytes().await?.to_vec(), size, e_tag })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_has_the_name_of_a_bucket() {
        for good in ["bucket", "a-b", "abc", "my.bucket.2", "123", &"x".repeat(63)] {
            assert!(is_bucket_name(good), "{good}");
        }
        for bad in [
            "",
            "ab",
            &"x".repeat(64),
            "Bucket",
            "127.0.0.1",
            "127.0.0.1:8083?",
            "user@127.0.0.1:1?",
            "a?b",
            "a#b",
            "a/b",
            "..",
            "a..b",
            "%2e%2e",
            "..%2f..",
            ".ab",
            "ab.",
            "-ab",
            "ab-",
            "a.-b",
            "a_b",
            "a b",
            "b\u{fc}cket",
            "a\u{0}b",
            "abc\n",
        ] {
            assert!(!is_bucket_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn clients_are_kept_for_so_many_buckets_and_no_more() {
        let service =
            Service { endpoint: "http://127.0.0.1:1".into(), region: "us-east-1".into(), key: None, path_style: true };
        let buckets = Buckets::new(service);
        for n in 0..3 * CLIENTS_MAX {
            buckets.client(&format!("bucket-{n}")).unwrap();
            assert!(buckets.clients.lock().unwrap().len() <= CLIENTS_MAX);
        }
        let last = format!("bucket-{}", 3 * CLIENTS_MAX - 1);
        assert!(Arc::ptr_eq(&buckets.client(&last).unwrap(), &buckets.client(&last).unwrap()));
    }

    /// The exact requests to the service: a key never becomes another path, a query or a fragment.
    #[tokio::test]
    async fn a_key_stays_one_path() {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (told, asked) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, mut head) = (stream.unwrap(), Vec::new());
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if stream.read(&mut byte).unwrap() == 0 {
                        break;
                    }
                    head.push(byte[0]);
                }
                let line = String::from_utf8(head).unwrap().lines().next().unwrap_or_default().to_owned();
                let _ = told.send(line);
                let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        let service = Service { endpoint, region: "us-east-1".into(), key: None, path_style: true };
        let objects =
            super::super::Objects::new(&super::super::Options { service: Some(service), ..Default::default() });
        for (key, expected) in [
            ("a/b.txt", "GET /bucket/a/b.txt HTTP/1.1"),
            ("k?versionId=1", "GET /bucket/k%3FversionId%3D1 HTTP/1.1"),
            ("a#b", "GET /bucket/a%23b HTTP/1.1"),
            ("a/%2e%2e/b", "GET /bucket/a/%252e%252e/b HTTP/1.1"),
            ("a b HTTP", "GET /bucket/a%20b%20HTTP HTTP/1.1"),
            ("a\\..\\b", "GET /bucket/a%5C..%5Cb HTTP/1.1"),
        ] {
            let refused = objects.read_whole("bucket", key).await.unwrap_err();
            assert!(!matches!(refused, ObjectError::BadName(_)), "{key}: {refused}");
            assert_eq!(asked.try_recv().unwrap(), expected);
            while asked.try_recv().is_ok() {}
        }
        for key in ["../x", "a/../b", "./a", "a//b", "..", "a\u{0}b", "a\r\nX: y"] {
            assert!(matches!(objects.read_whole("bucket", key).await, Err(ObjectError::BadName(_))), "{key}");
        }
    }
}
