//! Layers of settings, from weak to strong: the shipped file, a file, the environment, flags. Each is read flat
//! (`api.listen` → value) with the `config` crate, checked by the table of keys, and laid over the one before.

use std::collections::BTreeMap;
use std::path::Path;

use config::{Config, ConfigError, Environment, File, FileFormat};
use serde_json::Value;

use super::SettingsError;
use super::keys::{KEYS, ROWS, meant};

/// The shipped file, built in.
pub const DEFAULT_FILE: &str = include_str!("../../config/default.toml");
/// What begins the name of a setting in the environment.
const PREFIX: &str = "REVEILLE";

/// Settings of one layer, or of all so far.
pub(super) type Flat = BTreeMap<String, Value>;

/// The shipped defaults.
pub(super) fn shipped() -> Result<Flat, SettingsError> {
    read(File::from_str(DEFAULT_FILE, FileFormat::Toml), "config/default.toml")
}

/// A file of the user; its format by its extension.
pub(super) fn file(path: &Path) -> Result<Flat, SettingsError> {
    let origin = path.display().to_string();
    if !path.is_file() {
        return Err(SettingsError::NoFile { path: origin });
    }
    read(File::from(path).required(true), &origin)
}

/// `REVEILLE__API__LISTEN` → `api.listen`.
pub(super) fn environment(variables: impl IntoIterator<Item = (String, String)>) -> Result<Flat, SettingsError> {
    let variables = variables.into_iter().filter(|(name, _)| name.starts_with("REVEILLE__")).collect();
    let source = Environment::with_prefix(PREFIX).prefix_separator("__").separator("__").source(Some(variables));
    read(source, "the environment")
}

pub(super) fn flags(flags: &[(&'static str, String)]) -> Result<Flat, SettingsError> {
    let flat = flags.iter().map(|(name, value)| ((*name).to_owned(), Value::String(value.clone()))).collect();
    checked(flat, "the command line")
}

/// Lays `stronger` over `weaker`. A layer that gives a secret itself takes back a weaker layer's file for it.
pub(super) fn lay_over(weaker: &mut Flat, stronger: Flat) {
    for name in stronger.keys() {
        let by_file = format!("{name}_file");
        if !stronger.contains_key(&by_file) && weaker.contains_key(&by_file) {
            weaker.insert(by_file, Value::String(String::new()));
        }
    }
    weaker.extend(stronger);
}

fn read(source: impl config::Source + Send + Sync + 'static, origin: &str) -> Result<Flat, SettingsError> {
    let unreadable = |why: ConfigError| SettingsError::Unreadable { origin: origin.to_owned(), why: why.to_string() };
    let layer: Value =
        Config::builder().add_source(source).build().and_then(Config::try_deserialize).map_err(unreadable)?;
    let mut flat = Flat::new();
    flatten("", layer, &mut flat);
    checked(flat, origin)
}

fn flatten(name: &str, value: Value, flat: &mut Flat) {
    match value {
        Value::Object(members)
            if name.is_empty() || (!KEYS.iter().any(|key| key.name == name) && name != ROWS && !members.is_empty()) =>
        {
            for (member, value) in members {
                let name = if name.is_empty() { member } else { format!("{name}.{member}") };
                flatten(&name, value, flat);
            }
        }
        // An empty section says nothing.
        Value::Object(members) if members.is_empty() => {}
        value => {
            flat.insert(name.to_owned(), value);
        }
    }
}

fn checked(flat: Flat, origin: &str) -> Result<Flat, SettingsError> {
    flat.into_iter()
        .map(|(name, value)| {
            if name == ROWS {
                return Ok((name, value));
            }
            let Some(key) = KEYS.iter().find(|key| key.name == name) else {
                let hint = match meant(&name) {
                    Some(meant) => format!("did you mean {meant}?"),
                    None => format!("there are: {}", KEYS.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")),
                };
                return Err(SettingsError::UnknownKey { name, origin: origin.to_owned(), hint });
            };
            match key.kind.read(&value) {
                Ok(value) => Ok((name, value)),
                Err(why) => Err(SettingsError::BadValue { name, origin: origin.to_owned(), why }),
            }
        })
        .collect()
}
