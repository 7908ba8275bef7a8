//! `reveille context`: servers by name, in a file of the user's own.
//!
//! Names of the command line and the environment come first: a flag, `REVEILLE_ENDPOINT`, `REVEILLE_CONTEXT`, AWS's
//! variables; then the context in use. A key goes to the server of its context only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::CliError;
use super::output::{OutputArgs, Table, Tone, line, maybe, text};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the contexts
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Name a server, with the key of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY where asked
    Set(SetArgs),
    /// Use a context from now on
    Use(UseArgs),
    /// Forget a context
    #[command(visible_alias = "rm")]
    Delete(NameArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille context list
  reveille context list -o json")]
pub(super) struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille context set local --endpoint http://127.0.0.1:8083
  reveille context set live --endpoint https://reveille.example.com --key --region eu-west-1")]
pub(super) struct SetArgs {
    /// Name of the context
    #[arg(value_parser = named)]
    name: String,
    /// The server's address
    #[arg(long, alias = "url", value_name = "URL")]
    endpoint: String,
    /// Certificate authority of the server, PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Region of the server, for signatures
    #[arg(long)]
    region: Option<String>,
    /// Keep the access key of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY with it
    #[arg(long)]
    key: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille context use live
  reveille context use --none")]
pub(super) struct UseArgs {
    /// Name of the context
    #[arg(required_unless_present = "none", conflicts_with = "none")]
    name: Option<String>,
    /// Use none
    #[arg(long)]
    none: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille context delete local")]
pub(super) struct NameArgs {
    /// Name of the context
    name: String,
}

/// The contexts of a user.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Contexts {
    /// The one in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    contexts: BTreeMap<String, Context>,
}

/// A server by name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Context {
    pub endpoint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
}

/// An access key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    pub id: String,
    #[serde(serialize_with = "written")]
    pub secret: SecretString,
}

fn written<S: Serializer>(secret: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret.expose_secret())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Beside the user's settings file.
fn file() -> Result<PathBuf, CliError> {
    let of_user = std::env::var_os("XDG_CONFIG_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")));
    of_user
        .map(|folder| folder.join("reveille").join("contexts.json"))
        .ok_or_else(|| CliError::failed("there is no place for contexts: neither XDG_CONFIG_HOME nor HOME is set"))
}

impl Contexts {
    fn read(file: &Path) -> Result<Self, CliError> {
        let wrong = |why: &dyn std::fmt::Display| {
            CliError::failed(format!("cannot read the contexts of {}: {why}", file.display()))
                .hint("mend it, or delete the file and set the contexts again")
        };
        match std::fs::read_to_string(file) {
            Ok(text) => serde_json::from_str(&text).map_err(|why| wrong(&why)),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(why) => Err(wrong(&why)),
        }
    }

    /// Readable by their owner only, like every file of this process; whole or not at all.
    fn write(&self, file: &Path) -> Result<(), CliError> {
        let wrong = |why: &dyn std::fmt::Display| CliError::failed(format!("cannot write {}: {why}", file.display()));
        let folder = file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|why| wrong(&why))?;
        let text = serde_json::to_string_pretty(self).map_err(|why| wrong(&why))?;
        let beside = folder.join(format!(".contexts.{}", std::process::id()));
        let done = std::fs::write(&beside, text + "\n").and_then(|()| std::fs::rename(&beside, file));
        done.map_err(|why| {
            let _ = std::fs::remove_file(&beside);
            wrong(&why)
        })
    }

    fn find(&self, name: &str) -> Result<&Context, CliError> {
        self.contexts.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            let hint = if names.is_empty() {
                "there are none yet: reveille context set NAME --endpoint URL".to_owned()
            } else {
                format!("there are: {}", names.join(", "))
            };
            CliError::failed(format!("there is no context '{name}'")).hint(hint)
        })
    }
}

/// The context of this name, which must be there.
pub(super) fn of_name(name: &str) -> Result<Context, CliError> {
    Contexts::read(&file()?)?.find(name).cloned()
}

/// The context in use.
pub(super) fn in_use() -> Result<Option<Context>, CliError> {
    // A process without a home has none.
    let Ok(file) = file() else { return Ok(None) };
    let contexts = Contexts::read(&file)?;
    contexts.current.as_deref().map(|name| contexts.find(name).cloned()).transpose()
}

pub(super) fn execute(command: &Command) -> Result<(), CliError> {
    let file = file()?;
    let mut contexts = Contexts::read(&file)?;
    match command {
        Command::List(args) => return list(&contexts, args.output),
        Command::Set(args) => {
            let context = Context {
                endpoint: args.endpoint.trim_end_matches('/').to_owned(),
                ca_file: args.ca_file.as_deref().map(absolute).transpose()?,
                region: args.region.clone(),
                key: if args.key { Some(key()?) } else { None },
            };
            super::client::check_endpoint(&context.endpoint)?;
            contexts.contexts.insert(args.name.clone(), context);
        }
        Command::Use(args) => {
            if let Some(name) = &args.name {
                contexts.find(name)?;
            }
            contexts.current.clone_from(&args.name);
        }
        Command::Delete(args) => {
            contexts.find(&args.name)?;
            contexts.contexts.remove(&args.name);
            contexts.current = contexts.current.take().filter(|current| *current != args.name);
        }
    }
    contexts.write(&file)
}

fn key() -> Result<Key, CliError> {
    match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => Ok(Key { id, secret: SecretString::from(secret) }),
        _ => {
            Err(CliError::usage("--key keeps the key of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; both must be set"))
        }
    }
}

/// The file must be found from every folder.
fn absolute(file: &Path) -> Result<PathBuf, CliError> {
    std::path::absolute(file).map_err(|why| CliError::usage(format!("{}: {why}", file.display())))
}

/// Without the secrets of keys.
fn list(contexts: &Contexts, output: OutputArgs) -> Result<(), CliError> {
    let shown = |(name, context): (&String, &Context)| {
        json!({
            "name": name,
            "endpoint": context.endpoint,
            "region": context.region,
            "accessKeyId": context.key.as_ref().map(|key| &key.id),
            "inUse": contexts.current.as_deref() == Some(name),
        })
    };
    let answer = json!({"contexts": contexts.contexts.iter().map(shown).collect::<Vec<Value>>()});
    if contexts.contexts.is_empty() && output.output.is_none() {
        return line("no contexts: reveille context set NAME --endpoint URL");
    }
    output.print(&answer, |answer| {
        let mut table = Table::new(&["", "NAME", "ENDPOINT", "REGION", "KEY"]);
        for context in answer["contexts"].as_array().into_iter().flatten() {
            let in_use = context["inUse"] == true;
            table.row(vec![
                ((if in_use { "*" } else { "" }).to_owned(), Tone::Good),
                (text(context, "name"), Tone::Plain),
                (text(context, "endpoint"), Tone::Plain),
                (text(context, "region"), Tone::Plain),
                (maybe(context, "accessKeyId").unwrap_or_else(|| "none".to_owned()), Tone::Faint),
            ]);
        }
        table.render()
    })
}

fn named(name: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.len() <= 64 && name.chars().all(fits) && !name.starts_with('-') {
        Ok(name.to_owned())
    } else {
        Err("allowed: up to 64 letters, digits, '-', '_' and '.'".to_owned())
    }
}
