//! `reveille backup FILE`: a copy of the store, while a server uses it or not.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::CliError;
use super::output::{OutputArgs, fields, maybe};
use crate::config::{Settings, Sources};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille backup /backups/reveille.db --config /etc/reveille/reveille.toml
  reveille backup copy.db --store sqlite:reveille.db")]
pub(super) struct Args {
    /// The new file; nothing is overwritten
    file: PathBuf,
    /// The store [default: the setting store.url]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Settings file of the server
    #[arg(long, short, env = "REVEILLE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Leave out the keys that sign task tokens: without them the copy cannot take answers to tasks that are waiting
    #[arg(long)]
    without_keys: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let flags = args.store.iter().map(|store| ("store.url", store.clone())).collect();
    let settings = Settings::load(&Sources::of_process(args.config.clone(), flags))?;
    let made = crate::app::backup(&settings, &args.file, !args.without_keys)?;
    let answer = json!({
        "file": args.file,
        "bytes": made.copy.bytes,
        "executions": made.copy.executions,
        "open": made.copy.open,
        "tokenKeys": made.token_keys,
    });
    args.output.print(&answer, table)
}

fn table(answer: &Value) -> String {
    let text = |name| maybe(answer, name);
    fields(&[
        ("backup", text("file")),
        ("bytes", text("bytes")),
        ("executions", text("executions")),
        ("of these open", text("open")),
        ("token keys", text("tokenKeys").or_else(|| Some("not copied".to_owned()))),
        ("integrity", Some("ok".to_owned())),
    ])
}
