//! Settings: every room's options, gathered from `config/default.toml` < a file < `REVEILLE__*` of the environment <
//! flags.
//!
//! Settings are read once, at start. An unknown key or a forbidden value stops the start with the key's full name, its
//! origin and the allowed values. The other rooms get typed options. Secrets are never shown. May enter: options of
//! other rooms (`telemetry::LogOptions`, `integrations::ServiceTable`, `bus::QueueKind`, `objects::Options`,
//! `workers::http::Connection`), `ids`, `limits::EngineBounds`, `token`, `trace`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::integrations::{ServiceTable, TableEntry};
use crate::telemetry::{LogOptions, OtlpOptions};
use crate::token::{self, TokenKeys};
use crate::workers::http::Connection;

mod api;
mod bus;
mod cluster;
mod console;
mod engine;
mod http;
mod keys;
mod layers;
mod objects;
mod store;
mod telemetry;

pub use api::{AccessKey, ApiOptions, CLASSES, Kms};
pub use bus::{BusOptions, OwnedQueue};
pub use cluster::ClusterOptions;
pub use console::ConsoleOptions;
pub use engine::EngineOptions;
pub use http::HttpOptions;
pub use layers::DEFAULT_FILE;
use layers::Flat;
pub use objects::ObjectOptions;
pub use store::{ExposedFiles, StoreOptions, Synchronous};
pub use telemetry::TelemetryOptions;

/// The name of a settings file that is found without being named.
const FILE: &str = "reveille.toml";

/// Reasons why the settings cannot be used. Each text names the key and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("there is no setting {name} (in {origin}); {hint}")]
    UnknownKey { name: String, origin: String, hint: String },
    #[error("{name} {why} (in {origin})")]
    BadValue { name: String, origin: String, why: String },
    #[error("the settings file {path} does not exist or is no file")]
    NoFile { path: String },
    #[error("the settings in {origin} cannot be read: {why}")]
    Unreadable { origin: String, why: String },
    #[error("{name} names {path}, which cannot be read: {why}")]
    NoSecretFile { name: String, path: String, why: std::io::Error },
    #[error(transparent)]
    KeyFile(#[from] token::KeyFileError),
}

/// A URL that may hold a password: `Display` and `Debug` leave it out.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(SecretString);

impl SecretUrl {
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self(SecretString::from(url))
    }

    /// The URL with its password, for connecting.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.expose();
        // In a list of addresses each is shown without its password.
        let next = ["amqp://", "amqps://"]
            .iter()
            .flat_map(|begin| url.match_indices(begin))
            .map(|(at, _)| at)
            .filter(|at| *at > 0 && url[..*at].ends_with([',', ' ', '\n', '\t', '\r']))
            .min();
        if let Some(at) = next {
            let (first, rest) = url.split_at(at);
            let first = first.trim_end_matches([',', ' ', '\n', '\t', '\r']);
            return write!(f, "{}, {}", Self::new(first), Self::new(rest));
        }
        // A password may hold an @: everything before the last @ of the authority is left out.
        let Some((scheme, rest)) = url.split_once("://") else { return f.write_str(url) };
        let end =
            rest.find(['/', '?']).filter(|at| rest[..*at].contains('@') || !rest.contains('@')).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let path = tail.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{host}{path}")
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretUrl({self})")
    }
}

/// All settings of a server.
#[derive(Debug, Clone)]
pub struct Settings {
    pub api: ApiOptions,
    pub console: ConsoleOptions,
    pub store: StoreOptions,
    pub bus: BusOptions,
    pub engine: EngineOptions,
    pub cluster: ClusterOptions,
    pub objects: ObjectOptions,
    pub logs: LogOptions,
    pub http: HttpOptions,
    pub telemetry: TelemetryOptions,
    pub integrations: ServiceTable,
    pub connections: Vec<Connection>,
    /// All of them by name, for people: secrets are left out.
    pub shown: Vec<(String, String)>,
}

/// The sources of settings besides the shipped file.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--config`, or `REVEILLE_CONFIG`.
    pub file: Option<PathBuf>,
    /// Variables; only those that begin with `REVEILLE__` count.
    pub environment: Vec<(String, String)>,
    /// Key and value of each flag given.
    pub flags: Vec<(&'static str, String)>,
}

impl Sources {
    /// A file and flags, with this process's environment. A variable that is not valid Unicode is ignored.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(&'static str, String)>) -> Self {
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { file: file.or_else(found), environment: environment.collect(), flags }
    }
}

/// The settings file where none is named: in the working folder, of the user, of the machine.
fn found() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let of_user = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")));
    let folders = [Some(PathBuf::new()), of_user.map(|folder| folder.join("reveille")), Some("/etc/reveille".into())];
    folders.into_iter().flatten().map(|folder| folder.join(FILE)).find(|file| file.is_file())
}

impl Settings {
    /// The address of this server for people, without a slash at its end.
    #[must_use]
    pub fn address(&self) -> String {
        let scheme = if self.api.tls().is_some() { "https" } else { "http" };
        self.console.url().map_or_else(|| format!("{scheme}://{}", self.api.listen), str::to_owned)
    }

    pub fn load(sources: &Sources) -> Result<Self, SettingsError> {
        let mut flat = layers::shipped()?;
        if let Some(path) = &sources.file {
            layers::lay_over(&mut flat, layers::file(path)?);
        }
        layers::lay_over(&mut flat, layers::environment(sources.environment.iter().cloned())?);
        layers::lay_over(&mut flat, layers::flags(&sources.flags)?);
        Self::of(flat)
    }

    /// The shipped settings.
    pub fn shipped() -> Result<Self, SettingsError> {
        Self::load(&Sources::default())
    }

    fn of(mut flat: Flat) -> Result<Self, SettingsError> {
        read_secret_files(&mut flat)?;
        let unfit = |name: &str, why: String| SettingsError::BadValue {
            name: name.to_owned(),
            origin: "the settings".to_owned(),
            why,
        };
        let table: Vec<TableEntry> = rows(&mut flat, keys::INTEGRATIONS)?;
        let integrations = ServiceTable::new(table).map_err(|why| {
            let place = format!("integrations[{}].{}", why.row, why.field);
            unfit(&place, why.why)
        })?;
        let connections: Vec<Connection> = rows(&mut flat, keys::CONNECTIONS)?;
        Connection::check(&connections).map_err(|why| unfit(&format!("connections[{}]", why.row), why.why))?;
        let settings = Self {
            shown: keys::in_force(&flat),
            api: section(&flat, "api")?,
            console: section(&flat, "console")?,
            store: section(&flat, "store")?,
            bus: section(&flat, "bus")?,
            engine: section(&flat, "engine")?,
            cluster: section(&flat, "cluster")?,
            objects: section(&flat, "objects")?,
            logs: section(&flat, "logs")?,
            http: section(&flat, "http")?,
            telemetry: section(&flat, "telemetry")?,
            integrations,
            connections,
        };
        settings.access_keys()?;
        settings.check_together(unfit)?;
        Ok(settings)
    }

    /// Checks the rules that concern more than one key.
    fn check_together(&self, unfit: impl Fn(&str, String) -> SettingsError) -> Result<(), SettingsError> {
        let region = &self.engine.region;
        if region.is_empty() || !region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return Err(unfit(
                "engine.region",
                format!("is {}; allowed: lower-case letters, digits and -, such as us-east-1", keys::shown(region)),
            ));
        }
        if self.store.certificate_file.is_empty() != self.store.certificate_key_file.is_empty() {
            return Err(unfit(
                "store.certificate_key_file",
                "and store.certificate_file go together: give both or none".to_owned(),
            ));
        }
        if self.bus.certificate_file.is_empty() != self.bus.certificate_key_file.is_empty() {
            return Err(unfit(
                "bus.certificate_key_file",
                "and bus.certificate_file go together: give both or none".to_owned(),
            ));
        }
        crate::bus::Names::check(&self.bus.prefix).map_err(|why| unfit("bus.prefix", why))?;
        if self.api.tls_certificate.is_empty() != self.api.tls_key.is_empty() {
            return Err(unfit("api.tls.key", "and api.tls.certificate go together: give both or none".to_owned()));
        }
        self.bus.queues().map_err(|why| unfit("bus.queues", why))?;
        self.objects.read(self.engine.region()).map_err(|(name, why)| unfit(name, why))?;
        self.telemetry.otlp().map_err(|(name, why)| unfit(name, why))?;
        if self.store.sqlite_path().is_some_and(|path| path.as_os_str().is_empty()) {
            return Err(unfit("store.url", "has no path; allowed: sqlite:PATH, such as sqlite:reveille.db".to_owned()));
        }
        Ok(())
    }

    /// The number of partitions of a new store.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        self.engine.partitions(self.store.sqlite_path().is_none())
    }

    /// How long a server that stops goes on to take requests. Without other servers there is none to go to.
    #[must_use]
    pub fn drain(&self) -> Duration {
        let shares = self.store.sqlite_path().is_none();
        Duration::from_secs(if shares { self.api.drain_seconds } else { 0 })
    }

    /// The keys whose signatures the API accepts. Without any it asks for no signature.
    pub fn access_keys(&self) -> Result<Vec<AccessKey>, SettingsError> {
        let mut keys: Vec<AccessKey> = Vec::new();
        for entry in names(self.api.keys.expose_secret()) {
            let key = api::access_key(&entry).and_then(|key| {
                let twice = keys.iter().any(|other| other.id == key.id);
                if twice { Err(format!("has the key '{}' twice", key.id)) } else { Ok(key) }
            });
            let (name, origin) = ("api.keys".to_owned(), "the settings".to_owned());
            keys.push(key.map_err(|why| SettingsError::BadValue { name, origin, why })?);
        }
        Ok(keys)
    }

    /// The keys that sign tokens, from `engine.token_key` or else from the key file, which is made if it is missing.
    pub fn token_keys(&self) -> Result<TokenKeys, SettingsError> {
        if !self.engine.token_key.expose_secret().trim().is_empty() {
            return TokenKeys::parse(&self.engine.token_key).map_err(|why| SettingsError::BadValue {
                name: "engine.token_key".to_owned(),
                origin: "the settings".to_owned(),
                why: format!("cannot be used: {why}"),
            });
        }
        Ok(token::load_or_create(&self.token_key_file())?)
    }

    fn token_key_file(&self) -> PathBuf {
        path(&self.engine.token_key_file).unwrap_or_else(|| match self.store.sqlite_path() {
            Some(store) if store != Path::new(":memory:") => token_key_beside(store),
            _ => PathBuf::from("reveille.token-key"),
        })
    }

    /// The file with the keys that sign tokens; `None` where `engine.token_key` has them.
    #[must_use]
    pub fn token_key_path(&self) -> Option<PathBuf> {
        self.engine.token_key.expose_secret().trim().is_empty().then(|| self.token_key_file())
    }

    /// The object store of Distributed Maps.
    pub fn objects(&self) -> Result<crate::objects::Options, SettingsError> {
        let origin = || "the settings".to_owned();
        let read = self.objects.read(self.engine.region());
        read.map_err(|(name, why)| SettingsError::BadValue { name: name.to_owned(), origin: origin(), why })
    }

    /// The collector of traces; `None`: nothing is traced.
    pub fn otlp(&self) -> Result<Option<OtlpOptions>, SettingsError> {
        let origin = || "the settings".to_owned();
        let read = self.telemetry.otlp();
        read.map_err(|(name, why)| SettingsError::BadValue { name: name.to_owned(), origin: origin(), why })
    }

    /// Warnings about allowed but risky settings.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.api.listen.ip().is_loopback() {
            let listen = self.api.listen;
            if self.api.keys.expose_secret().is_empty() {
                warnings.push(format!(
                    "api.listen is {listen}, and api.keys is empty: any client that reaches it may do everything, and \
                     read and end every task (set api.keys, and api.tls.certificate and api.tls.key)"
                ));
            } else if self.api.tls().is_none() {
                warnings.push(format!(
                    "api.listen is {listen}, without TLS: payloads and task tokens can be read on the way, and a \
                     signed request can be sent again for five minutes (set api.tls.certificate and api.tls.key, or \
                     let a proxy speak TLS)"
                ));
            }
        }
        if self.store.synchronous == Synchronous::Normal {
            warnings.push("store.synchronous is normal: a power cut may take the last moments".to_owned());
        }
        warnings
    }
}

/// The default file of the signing keys of a store.
#[must_use]
pub fn token_key_beside(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".token-key");
    PathBuf::from(name)
}

/// Secrets from files: `bus.url_file` → `bus.url`. The file of the signing keys is not read here: it is made if it is
/// missing.
fn read_secret_files(flat: &mut Flat) -> Result<(), SettingsError> {
    for name in ["api.keys", "store.url", "bus.url", "objects.key", "telemetry.otlp.headers"] {
        let by_file = format!("{name}_file");
        let Some(file) = flat.get(&by_file).and_then(Value::as_str).filter(|file| !file.is_empty()) else { continue };
        let text = std::fs::read_to_string(file).map_err(|why| SettingsError::NoSecretFile {
            name: by_file.clone(),
            // The text may be the secret itself, given to the wrong key.
            path: if file.contains(':') { "no path, but a text with a ':'" } else { file }.to_owned(),
            why,
        })?;
        let kind = keys::KEYS.iter().find(|key| key.name == name).map_or(keys::Kind::Secret, |key| key.kind);
        let value = kind.read(&Value::String(text.trim().to_owned()));
        let value =
            value.map_err(|why| SettingsError::BadValue { name: name.to_owned(), origin: file.to_owned(), why })?;
        flat.insert(name.to_owned(), value);
    }
    Ok(())
}

/// A list of rows; none where the settings have none.
fn rows<T: for<'de> Deserialize<'de>>(flat: &mut Flat, name: &str) -> Result<Vec<T>, SettingsError> {
    let rows = flat.remove(name).unwrap_or_else(|| Value::Array(Vec::new()));
    serde_json::from_value(rows).map_err(|why| SettingsError::BadValue {
        name: name.to_owned(),
        origin: "the settings".to_owned(),
        why: format!("has a row that is not understood: {why}"),
    })
}

/// The typed options of a section. The values have already been checked, so it fails only where a key of the table has
/// no field.
fn section<T: for<'de> Deserialize<'de>>(flat: &Flat, name: &str) -> Result<T, SettingsError> {
    let begin = format!("{name}.");
    let is_typed = |key: &str| {
        !key.ends_with("_file")
            || matches!(key, "url_file" | "ca_file" | "certificate_file" | "certificate_key_file" | "token_key_file")
    };
    let members: Map<String, Value> = flat
        .iter()
        .filter_map(|(key, value)| {
            key.strip_prefix(&begin).filter(|key| is_typed(key)).map(|key| (key.to_owned(), value.clone()))
        })
        .collect();
    serde_json::from_value(Value::Object(members)).map_err(|why| SettingsError::BadValue {
        name: name.to_owned(),
        origin: "the settings".to_owned(),
        why: format!("cannot be used: {why}"),
    })
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

fn names(text: &str) -> Vec<String> {
    text.split([',', '\n']).map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
