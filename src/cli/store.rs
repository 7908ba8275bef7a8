//! `reveille store copy FROM TO`: a store moves to another kind of store, while nothing runs on either.

use std::io::IsTerminal;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::output::{OutputArgs, fields, maybe, note};
use super::{CliError, local};
use crate::config::{Settings, Sources};
use crate::store::copying::Progress;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Copy a store into an empty one, and compare both; stop all servers of both first
    Copy(CopyArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille store copy sqlite:reveille.db postgres://reveille:PASSWORD@db.example/reveille
  reveille store copy postgres://reveille@db.example/reveille sqlite:reveille.db

Afterwards start the server with the new store.url, the same broker and the same token keys, and never again with the
old store: both would take the same replies. The source stays as it is.")]
pub(super) struct CopyArgs {
    /// The store to copy: sqlite:FILE or postgres://…
    from: String,
    /// An empty one: a file that does not exist, or an empty database
    to: String,
    /// Partitions of the copy, at most one server for each; not fewer than the source has [default: as a new store]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    partitions: Option<u16>,
    /// Settings file, for the certificates of PostgreSQL and the place of the token keys
    #[arg(long, short, env = "REVEILLE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn execute(command: &Command) -> Result<(), CliError> {
    let Command::Copy(args) = command;
    let settings = |url: &String| {
        let flags = vec![("store.url", url.clone()), ("store.url_file", String::new())];
        Settings::load(&Sources::of_process(args.config.clone(), flags))
    };
    let (from, to) = (settings(&args.from)?, settings(&args.to)?);
    let shown = std::io::stderr().is_terminal();
    let report = |progress: Progress| {
        if shown {
            tell(progress);
        }
    };
    let copied = local::block_on(async { Ok(crate::app::copy_store(&from, &to, args.partitions, &report).await?) })?;
    let made = copied.made;
    let answer = json!({
        "store": to.store.url.to_string(),
        "executions": made.executions,
        "open": made.open,
        "batches": made.batches,
        "rows": made.rows,
        "partitions": made.partitions,
        "tokenKeys": copied.token_keys,
    });
    args.output.print(&answer, table)
}

fn tell(Progress { compares, executions, of }: Progress) {
    note(&format!("{} {executions} of {of} executions", if compares { "compared" } else { "copied" }));
}

fn table(answer: &Value) -> String {
    let text = |name| maybe(answer, name);
    fields(&[
        ("store", text("store")),
        ("executions", text("executions")),
        ("of these open", text("open")),
        ("appends", text("batches")),
        ("other rows", text("rows")),
        ("partitions", text("partitions")),
        ("token keys", text("tokenKeys").or_else(|| Some("in the settings (engine.token_key)".to_owned()))),
        ("compared", Some("the same".to_owned())),
    ])
}
