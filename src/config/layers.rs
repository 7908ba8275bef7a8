//! Layers of settings, from weak to strong: the shipped file, a file, the environment, flags. Each layer is read flat
//! (`api.listen` → value) with the `config` crate, checked by the table of keys, and laid over the layer before.

use std::collections::BTreeMap;
use std::path::Path;

use config::{Config, ConfigError, Environment, File, FileFormat};
use serde_json::Value;

use super::SettingsError;
use super::keys::{KEYS, ROWS, meant};

/// The shipped file, built in.
pub const DEFAULT_FILE: &str = include_str!("../../config/default.toml");
/// The prefix of settings in the environment.
const PREFIX: &str = "REVEILLE";

/// Settings of one layer, or of all so far.
pub(super) type Flat = BTreeMap<String, Value>;

/// The shipped defaults.
pub(super) fn shipped() -> Result<Flat, SettingsError> {
    read(File::from_str(DEFAULT_FILE, FileFormat::Toml), "config/default.toml")
}

/// A settings file of the user, in TOML.
pub(super) fn file(path: &Path) -> Result<Flat, SettingsError> {
    let origin = path.display().to_string();
    if !path.is_file() {
        return Err(SettingsError::NoFile { path: origin });
    }
    let text = std::fs::read_to_string(path)
        .map_err(|why| SettingsError::Unreadable { origin: origin.clone(), why: why.to_string() })?;
    read(File::from_str(&text, FileFormat::Toml), &origin)
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

/// Lays `stronger` over `weaker`. A layer that gives a secret itself clears a weaker layer's file for it.
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
    let unreadable = |why: ConfigError| SettingsError::Unreadable { origin: origin.to_owned(), why: place(&why) };
    let layer: Value =
        Config::builder().add_source(source).build().and_then(Config::try_deserialize).map_err(unreadable)?;
    let mut flat = Flat::new();
    flatten("", layer, &mut flat);
    checked(flat, origin)
}

/// The place of the first fault in a TOML text. The parser's own message is dropped, because it shows the line, which
/// may hold a password.
fn place(why: &ConfigError) -> String {
    let said = why.to_string();
    let number = |word: &str| {
        let rest = said.split_once(word)?.1.trim_start();
        let digits = rest.find(|c: char| !c.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
        (!digits.is_empty()).then(|| digits.to_owned())
    };
    match (number("line "), number("column ")) {
        (Some(line), Some(column)) => format!(
            "no TOML at line {line}, column {column} (a missing quote or bracket, a value without quotes, a key twice?)"
        ),
        _ => "it is no TOML".to_owned(),
    }
}

fn flatten(name: &str, value: Value, flat: &mut Flat) {
    match value {
        Value::Object(members)
            if name.is_empty()
                || (!KEYS.iter().any(|key| key.name == name) && !ROWS.contains(&name) && !members.is_empty()) =>
        {
            for (member, value) in members {
                let name = if name.is_empty() { member } else { format!("{name}.{member}") };
                flatten(&name, value, flat);
            }
        }
        // An empty section sets nothing.
        Value::Object(members) if members.is_empty() => {}
        value => {
            flat.insert(name.to_owned(), value);
        }
    }
}

fn checked(flat: Flat, origin: &str) -> Result<Flat, SettingsError> {
    flat.into_iter()
        .map(|(name, value)| {
            if ROWS.contains(&name.as_str()) {
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
