//! The parts of a connection: addresses, password, certificates. Read and checked at the start, where a fault
//! stops it, and read again at each connect: a rotated password or certificate needs no restart.

use std::path::PathBuf;

use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::endpoint::Options;
use crate::bus::BusError;

/// Addresses in the order in which they are tried, and what TLS needs.
#[derive(Clone)]
pub(super) struct Material {
    pub(super) uris: Vec<AMQPUri>,
    pub(super) tls: OwnedTLSConfig,
}

impl Material {
    pub(super) fn read(url: &str, options: &Options) -> Result<Self, BusError> {
        let url = match &options.url_file {
            Some(path) => read("bus.url_file", path)?,
            None => url.to_owned(),
        };
        let uris = addresses(&url).map(|one| address(one, options)).collect::<Result<Vec<_>, _>>()?;
        if uris.is_empty() {
            return Err(not_a_url());
        }
        let identity = match (&options.certificate_file, &options.key_file) {
            (Some(certificate), Some(key)) => {
                let pem = read("the client certificate", certificate)?;
                let key_pem = read("the client key", key)?;
                check_identity(certificate, &pem, key, &key_pem)?;
                Some(OwnedIdentity::PKCS8 { pem: pem.into_bytes(), key: key_pem.into_bytes() })
            }
            (None, None) => None,
            _ => {
                return Err(BusError::BadUrl(
                    "a client certificate needs its key, and a key its certificate".to_owned(),
                ));
            }
        };
        let cert_chain = options.ca_file.as_ref().map(authorities).transpose()?;
        if uris.iter().any(|uri| uri.scheme == AMQPScheme::AMQP) && (identity.is_some() || cert_chain.is_some()) {
            return Err(BusError::BadUrl(
                "certificates are set, but bus.url is amqp://, which is not encrypted; use amqps://".to_owned(),
            ));
        }
        Ok(Self { uris, tls: OwnedTLSConfig { identity, cert_chain } })
    }
}

/// The URLs of a list: separated by commas, lines or blanks, each with its scheme, so that a comma in a password
/// separates nothing.
pub(super) fn addresses(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list.trim();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let next = rest.match_indices("amqp").map(|(at, _)| at).find(|at| {
            let begins = rest[*at..].starts_with("amqp://") || rest[*at..].starts_with("amqps://");
            *at > 0 && begins && rest[..*at].ends_with([',', ' ', '\n', '\t', '\r'])
        });
        let (one, tail) = rest.split_at(next.unwrap_or(rest.len()));
        rest = tail;
        Some(one.trim_end_matches([',', ' ', '\n', '\t', '\r']))
    })
}

fn not_a_url() -> BusError {
    BusError::BadUrl(
        "bus.url is not an AMQP URL (amqp://user:password@host:5672/vhost or amqps://…, special characters %-encoded), \
         nor a list of them"
            .to_owned(),
    )
}

/// An empty virtual host (`amqp://host/`) means `/`, as most clients have it.
fn address(url: &str, options: &Options) -> Result<AMQPUri, BusError> {
    // the parser's own message may quote the URL, password and all: only its kind is told
    let mut uri: AMQPUri = url.parse().map_err(|_| not_a_url())?;
    if uri.vhost.is_empty() {
        "/".clone_into(&mut uri.vhost);
    }
    if uri.query.heartbeat.is_none() {
        uri.query.heartbeat = Some(u16::try_from(options.heartbeat.as_secs()).unwrap_or(u16::MAX));
    }
    Ok(uri)
}

fn read(what: &str, path: &PathBuf) -> Result<String, BusError> {
    std::fs::read_to_string(path)
        .map_err(|e| BusError::BadUrl(format!("{what} {} cannot be read: {e}", path.display())))
}

/// Certificates of authorities, PEM; at least one.
fn authorities(path: &PathBuf) -> Result<String, BusError> {
    let pem = read("the CA file", path)?;
    let bad = |why: String| BusError::BadUrl(format!("the CA file {} {why}", path.display()));
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|e| bad(format!("is damaged: {e}")))?;
        roots.add(certificate).map_err(|e| bad(format!("holds a certificate that cannot be used: {e}")))?;
    }
    if roots.is_empty() {
        return Err(bad("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)".to_owned()));
    }
    Ok(pem)
}

/// A client certificate, and the key that belongs to it.
fn check_identity(certificate: &PathBuf, pem: &str, key: &PathBuf, key_pem: &str) -> Result<(), BusError> {
    let bad = |path: &PathBuf, why: String| BusError::BadUrl(format!("{} {why}", path.display()));
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| bad(certificate, format!("(bus.certificate_file) is damaged: {e}")))?;
    if chain.is_empty() {
        return Err(bad(certificate, "(bus.certificate_file) holds no certificate in PEM".to_owned()));
    }
    if key_pem.contains("ENCRYPTED") {
        return Err(bad(
            key,
            "(bus.certificate_key_file) is encrypted; give the key without a passphrase (openssl pkey -in KEY -out \
             PLAIN)"
                .to_owned(),
        ));
    }
    let private = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
        .map_err(|_| bad(key, "(bus.certificate_key_file) holds no key in PEM (PKCS#8, PKCS#1 or SEC1)".to_owned()))?;
    match CertifiedKey::from_der(chain, private, &ring::default_provider()) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => Err(bad(
            key,
            format!("(bus.certificate_key_file) is the key of another certificate than {}", certificate.display()),
        )),
        Err(e) => Err(bad(key, format!("(bus.certificate_key_file) cannot be used with its certificate: {e}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_list_of_addresses_is_taken_apart_and_a_comma_in_a_password_is_not() {
        for (list, expected) in [
            ("amqp://a", &["amqp://a"][..]),
            ("amqp://a:5/v,amqps://b/v", &["amqp://a:5/v", "amqps://b/v"]),
            (" amqp://a , amqp://b\namqp://c\n", &["amqp://a", "amqp://b", "amqp://c"]),
            ("amqp://u:p,w@a,amqp://b", &["amqp://u:p,w@a", "amqp://b"]),
            ("", &[]),
        ] {
            assert_eq!(addresses(list).collect::<Vec<_>>(), expected, "{list}");
        }
    }

    #[test]
    fn every_address_of_a_list_is_checked() {
        let read = |url: &str| Material::read(url, &Options::default());
        let hosts = |m: Material| m.uris.into_iter().map(|u| u.authority.host).collect::<Vec<_>>();
        assert_eq!(hosts(read("amqp://a,amqp://b").expect("two")), ["a", "b"]);
        assert!(read("amqp://a,amqp://b:99999").is_err() && read("").is_err());
    }

    #[test]
    fn a_file_with_the_url_is_read_each_time() {
        let file = tempfile::NamedTempFile::new().expect("file");
        let options = Options { url_file: Some(file.path().to_owned()), ..Options::default() };
        for password in ["old", "new"] {
            std::fs::write(file.path(), format!("amqp://u:{password}@broker\n")).expect("written");
            let material = Material::read("amqp://ignored", &options).expect("read");
            assert_eq!(material.uris[0].authority.userinfo.password, password);
        }
    }

    /// Runs openssl in a folder; false where the machine has none.
    fn openssl(dir: &Path, arguments: &str) -> bool {
        let run = Command::new("openssl").args(arguments.split(' ')).current_dir(dir).output();
        run.is_ok_and(|output| output.status.success())
    }

    #[test]
    fn what_tls_cannot_use_is_told_before_anything_connects() {
        let dir = tempfile::tempdir().expect("a folder");
        let make = |name: &str| {
            let key =
                format!("req -x509 -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.pem -days 2 -subj /CN=x");
            openssl(dir.path(), &key)
        };
        if !make("a") || !make("b") || !openssl(dir.path(), "pkey -in a.key -aes128 -passout pass:word -out locked.key")
        {
            eprintln!("skipped: there is no openssl");
            return;
        }
        std::fs::write(dir.path().join("junk"), "junk").expect("written");
        let said = |ca: Option<&str>, identity: Option<(&str, &str)>| {
            let file = |name: &str| dir.path().join(name);
            let options = Options {
                ca_file: ca.map(file),
                certificate_file: identity.map(|(certificate, _)| file(certificate)),
                key_file: identity.map(|(_, key)| file(key)),
                ..Options::default()
            };
            Material::read("amqps://broker", &options).err().map(|e| e.to_string()).unwrap_or_default()
        };
        assert_eq!(said(Some("a.pem"), Some(("a.pem", "a.key"))), "");
        for (ca, identity, why) in [
            (Some("junk"), None, "holds no certificate"),
            (Some("a.key"), None, "holds no certificate"),
            (Some("nothing"), None, "cannot be read"),
            (None, Some(("a.pem", "b.key")), "is the key of another certificate"),
            (None, Some(("a.pem", "locked.key")), "is encrypted"),
            (None, Some(("a.pem", "junk")), "holds no key"),
            (None, Some(("junk", "a.key")), "holds no certificate"),
        ] {
            let text = said(ca, identity);
            assert!(text.contains(why), "{text} lacks {why}");
        }
        let options = Options { ca_file: Some(dir.path().join("a.pem")), ..Options::default() };
        assert!(Material::read("amqp://broker", &options).is_err(), "certificates without encryption");
        let half = Options { key_file: Some(dir.path().join("a.key")), ..Options::default() };
        assert!(Material::read("amqps://broker", &half).is_err(), "half of a pair");
    }
}
