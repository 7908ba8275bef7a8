//! TLS to PostgreSQL: rustls under the driver. A certificate is always verified, name and issuer.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

use crate::store::{StoreError, StoreResult};

use super::Options;

/// Makes TLS streams with the certificates of the settings.
#[derive(Clone)]
pub(super) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Reads the certificates of the settings; the operating system's authorities where no file is named.
    pub(super) fn read(options: &Options) -> StoreResult<Self> {
        let mut roots = RootCertStore::empty();
        match &options.ca_file {
            Some(path) => {
                for certificate in certificates("store.ca_file", path)? {
                    roots.add(certificate).map_err(|error| unfit("store.ca_file", path, &error))?;
                }
            }
            None => {
                // An unreadable certificate is no reason to stop: the server's issuer may be among the others.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| StoreError::Unusable(format!("TLS cannot be used: {error}")))?
            .with_root_certificates(roots);
        let config = match (&options.certificate_file, &options.key_file) {
            (Some(certificate), Some(key)) => {
                let chain = certificates("store.certificate_file", certificate)?;
                let private = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| unfit("store.certificate_key_file", key, &error))?;
                builder
                    .with_client_auth_cert(chain, private)
                    .map_err(|error| unfit("store.certificate_key_file", key, &error))?
            }
            _ => builder.with_no_client_auth(),
        };
        Ok(Self(Arc::new(config)))
    }
}

fn certificates(setting: &str, path: &Path) -> StoreResult<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| unfit(setting, path, &error))?;
    if found.is_empty() {
        return Err(unfit(setting, path, &"it holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"));
    }
    Ok(found)
}

fn unfit(setting: &str, path: &Path, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unusable(format!("{} ({setting}) cannot be used: {why}", path.display()))
}

impl<S> MakeTlsConnect<S> for Tls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Stream<S>;
    type TlsConnect = Handshake;
    type Error = rustls::pki_types::InvalidDnsNameError;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Handshake, Self::Error> {
        Ok(Handshake { config: Arc::clone(&self.0), server: ServerName::try_from(domain)?.to_owned() })
    }
}

pub(super) struct Handshake {
    config: Arc<ClientConfig>,
    server: ServerName<'static>,
}

impl<S> TlsConnect<S> for Handshake
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Stream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let encrypted = TlsConnector::from(self.config).connect(self.server, stream).await;
            encrypted.map(|stream| Stream(Box::new(stream)))
        })
    }
}

pub(super) struct Stream<S>(Box<tokio_rustls::client::TlsStream<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Stream<S> {
    /// None: the certificate has been verified, so no third party stands between.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
