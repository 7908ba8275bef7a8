//! `reveille man [FOLDER]`: manual pages, made of the same descriptions as the help.

use std::path::{Path, PathBuf};

use clap_mangen::Man;

use super::output::line;
use super::{CliError, help};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille man | man -l -
  reveille man /usr/local/share/man/man1                 a page for each command")]
pub(super) struct Args {
    /// Write a page for each command into this folder [default: print the page of reveille]
    folder: Option<PathBuf>,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let mut command = help::command();
    command.build();
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page).map_err(|why| CliError::failed(why.to_string()))?;
        return line(String::from_utf8_lossy(&page).trim_end());
    };
    let count = write(folder, &command, "reveille")
        .map_err(|why| CliError::failed(format!("cannot write to {}: {why}", folder.display())))?;
    line(&format!("{count} pages in {}", folder.display()))
}

/// The page of a command and those of its subcommands.
fn write(folder: &Path, command: &clap::Command, name: &str) -> std::io::Result<usize> {
    let mut page = Vec::new();
    Man::new(command.clone()).title(name).render(&mut page)?;
    std::fs::write(folder.join(format!("{name}.1")), page)?;
    let mut count = 1;
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help" && !inner.is_hide_set()) {
        count += write(folder, inner, &format!("{name}-{}", inner.get_name()))?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = help::command();
        command.build();
        let count = write(folder.path(), &command, "reveille").unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), count);
        let page = std::fs::read_to_string(folder.path().join("reveille-machines-create.1")).unwrap();
        assert!(page.contains("definition") && count > 30, "{count}");
    }
}
