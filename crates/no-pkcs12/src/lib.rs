//! Refuses PKCS#12 files. The AMQP client's TLS can read a client certificate from such a file; Reveille gives it PEM
//! files only, so nothing here is ever called. The functions are those that the TLS layer names.

use std::convert::Infallible;
use std::fmt;

/// A key store that cannot be made.
pub struct KeyStore(Infallible);

/// A private key with its certificates.
pub struct KeyChain(Infallible);

/// A certificate.
pub struct Certificate(Infallible);

/// The one answer: this program reads PEM files.
#[derive(Debug)]
pub struct Unsupported;

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PKCS#12 files are not read: convert the certificate and its key to PEM files")
    }
}

impl std::error::Error for Unsupported {}

impl KeyStore {
    /// # Errors
    /// Always.
    pub fn from_pkcs12(_der: &[u8], _password: &str) -> Result<Self, Unsupported> {
        Err(Unsupported)
    }

    pub fn private_key_chain(&self) -> Option<(&str, &KeyChain)> {
        match self.0 {}
    }
}

impl KeyChain {
    pub fn chain(&self) -> &[Certificate] {
        match self.0 {}
    }

    pub fn key(&self) -> &[u8] {
        match self.0 {}
    }
}

impl Certificate {
    pub fn as_der(&self) -> &[u8] {
        match self.0 {}
    }
}
