//! `reveille nodes`: the servers that share a store, and how many partitions each owns.

use serde_json::{Value, json};

use super::client::ServerArgs;
use super::output::{OutputArgs, Table, Tone, text};
use super::{CliError, follow};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille nodes
  reveille nodes --watch
  reveille nodes -o json | jq '.nodes[].partitions'")]
pub(super) struct Args {
    /// Draw the list again and again
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let client = args.server.client()?;
    let find = || client.call("Reveille.ListNodes", &json!({}));
    if args.watch {
        return follow::list(|| Ok(table(&find()?)));
    }
    args.output.print(&find()?, table)
}

fn table(answer: &Value) -> String {
    let mut table = Table::new(&["SLOT", "SERVER", "VERSION", "PARTITIONS", "STATUS", ""]);
    for node in answer["nodes"].as_array().into_iter().flatten() {
        let status = text(node, "status");
        let tone = if status == "ACTIVE" { Tone::Good } else { Tone::Waiting };
        let here = if node["answers"] == true { "gave this answer" } else { "" };
        table.row(vec![
            (text(node, "slot"), Tone::Plain),
            (text(node, "name"), Tone::Plain),
            (text(node, "version"), Tone::Plain),
            (text(node, "partitions"), Tone::Plain),
            (status, tone),
            (here.to_owned(), Tone::Faint),
        ]);
    }
    table.render()
}
