//! `reveille completions SHELL`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::output::line;
use super::{Cli, CliError};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille completions bash > /etc/bash_completion.d/reveille
  reveille completions zsh > ~/.zfunc/_reveille")]
pub(super) struct Args {
    shell: Shell,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "reveille", &mut script);
    line(String::from_utf8_lossy(&script).trim_end())
}
