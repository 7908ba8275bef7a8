//! `reveille serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{CliError, local};
use crate::config::{Settings, Sources};
use crate::telemetry::logs::{self, Output};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille serve
  reveille serve --listen 0.0.0.0:8083 --store sqlite:/var/lib/reveille/store.db
  REVEILLE__BUS__URL=amqp://user:password@host reveille serve
  reveille serve --log debug
  reveille serve --print-config > reveille.toml")]
pub(super) struct Args {
    /// Address and port of the API [default: 127.0.0.1:8083]
    #[arg(long, short, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// The store: sqlite:PATH or postgres://… [default: sqlite:reveille.db]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// The broker: embedded:, amqp://… or amqps://… [default: embedded:]. Keep a password out of the command line:
    /// REVEILLE__BUS__URL, or REVEILLE__BUS__URL_FILE
    #[arg(long, value_name = "URL")]
    bus: Option<String>,
    /// Settings file; --print-config shows every key [default: ./reveille.toml, ~/.config/reveille/reveille.toml or
    /// /etc/reveille/reveille.toml]
    #[arg(long, short, env = "REVEILLE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The level of the log: off, error, warn, info, debug, trace, or directives such as info,reveille::bus=debug
    #[arg(long, short = 'v', value_name = "FILTER")]
    log: Option<String>,
    /// Print the settings file with all defaults, and exit
    #[arg(long)]
    print_config: bool,
}

pub(super) fn execute(args: Args) -> Result<(), CliError> {
    if args.print_config {
        return super::output::line(crate::config::DEFAULT_FILE.trim_end());
    }
    let given = [
        ("api.listen", args.listen.map(|l| l.to_string())),
        ("store.url", args.store),
        ("bus.url", args.bus),
        ("logs.filter", args.log),
    ];
    let flags = given.into_iter().filter_map(|(key, value)| value.map(|value| (key, value))).collect();
    let settings = Settings::load(&Sources::of_process(args.config, flags))?;
    logs::init(&settings.logs, Output::Stdout).map_err(|why| CliError::failed(why.to_string()))?;
    for warning in settings.warnings() {
        tracing::warn!("{warning}");
    }
    local::serve(&settings)
}
