//! TLS of the listener: a certificate and its key from PEM files, checked at start and read again when they change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// How often the files are checked for changes. Certificates are renewed days before they end.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The files of certificate and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate and its chain, PEM (`api.tls.certificate`).
    pub certificate: PathBuf,
    /// Its private key, PEM (`api.tls.key`).
    pub key: PathBuf,
}

/// The current certificate.
#[derive(Debug)]
pub struct Current {
    files: Files,
    certified: RwLock<Arc<CertifiedKey>>,
    seen: RwLock<Stamp>,
}

/// Time of change and length of both files, to detect new ones.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Current {
    /// Reads the files. An error names the setting.
    pub fn load(files: &Files) -> Result<Arc<Self>, String> {
        let seen = RwLock::new(stamp(files));
        let certified = RwLock::new(Arc::new(read(files)?));
        Ok(Arc::new(Self { files: files.clone(), certified, seen }))
    }

    /// The configuration for the server library.
    pub fn config(self: &Arc<Self>) -> Result<rustls::ServerConfig, String> {
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("api.tls cannot be used: {error}"))?;
        Ok(config.with_no_client_auth().with_cert_resolver(Arc::<Self>::clone(self)))
    }

    /// Reads changed files, for ever. Open connections keep their certificate.
    pub async fn follow(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.look();
        }
    }

    /// Reads the files again if they have changed. An unusable file is logged once, and the old certificate stays.
    fn look(&self) {
        let now = stamp(&self.files);
        if now == *self.seen.read().unwrap_or_else(PoisonError::into_inner) {
            return;
        }
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = now;
        match read(&self.files) {
            Ok(certified) => {
                *self.certified.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
                tracing::info!("the certificate of the API was read again: {}", self.files.certificate.display());
            }
            Err(why) => tracing::warn!("{why}; the old certificate stays in use"),
        }
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.certified.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn stamp(files: &Files) -> Stamp {
    [&files.certificate, &files.key].map(|path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn read(files: &Files) -> Result<CertifiedKey, String> {
    let unusable = |setting: &str, path: &Path, why: &dyn std::fmt::Display| {
        format!("api.tls.{setting} names {}, which cannot be used: {why}", path.display())
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unusable("certificate", &files.certificate, &error))?;
    if chain.is_empty() {
        return Err(unusable("certificate", &files.certificate, &"it holds no certificate in PEM form"));
    }
    // The error of a key never shows the contents of the file.
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| match error {
        rustls::pki_types::pem::Error::Io(error) => unusable("key", &files.key, &error),
        _ => unusable("key", &files.key, &"it holds no private key in PEM form"),
    })?;
    CertifiedKey::from_der(chain, key, &default_provider())
        .map_err(|error| unusable("key", &files.key, &format!("it does not fit the certificate ({error})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(folder: &Path) -> (Files, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = Files { certificate: folder.join("c.pem"), key: folder.join("k.pem") };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        (files, made.cert.pem())
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_setting() {
        let folder = tempfile::tempdir().unwrap();
        let (files, certificate) = made(folder.path());
        let other = tempfile::tempdir().unwrap();
        let (others, _) = made(other.path());
        let refused = |files: &Files| Current::load(files).unwrap_err();
        let missing = Files { certificate: folder.path().join("none"), ..files.clone() };
        assert!(refused(&missing).starts_with("api.tls.certificate names"), "{}", refused(&missing));
        let swapped = Files { certificate: files.key.clone(), ..files.clone() };
        assert!(refused(&swapped).contains("holds no certificate"), "{}", refused(&swapped));
        let mixed = Files { key: others.key, ..files.clone() };
        assert!(refused(&mixed).contains("does not fit the certificate"), "{}", refused(&mixed));
        let no_key = Files { key: files.certificate.clone(), ..files.clone() };
        assert!(refused(&no_key).contains("holds no private key") && !refused(&no_key).contains(&certificate[40..60]));
        assert!(Current::load(&files).unwrap().config().is_ok());
    }

    #[test]
    fn new_files_are_taken_and_broken_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let (files, _) = made(folder.path());
        let current = Current::load(&files).unwrap();
        let chain = || current.certified.read().unwrap().cert.clone();
        let first = chain();
        current.look();
        assert_eq!(chain(), first);
        std::fs::write(&files.key, "broken").unwrap();
        current.look();
        assert_eq!(chain(), first);
        made(folder.path());
        current.look();
        assert_ne!(chain(), first);
    }
}
