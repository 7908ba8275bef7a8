//! The overview of `reveille --help`: commands in groups.

use std::fmt::Write as _;

use clap::CommandFactory;

use super::Cli;
use super::output::Tone;

/// Each command stands in one group.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Try it, without a server", &["demo", "init", "run", "validate", "graph"]),
    ("Executions", &["start", "watch", "list", "describe", "history", "stop", "redrive", "fork", "bulk", "replay"]),
    ("Tasks", &["tasks", "succeed", "fail", "heartbeat", "link", "worker"]),
    ("State machines", &["machines", "contract"]),
    ("Server and broker", &["serve", "health", "console", "replies", "nodes", "backup", "store", "bench"]),
    ("More", &["context", "call", "completions", "man", "help"]),
];

const AFTER: &str = "\
Each command has examples: reveille COMMAND --help. Commands that call a server take --endpoint, REVEILLE_ENDPOINT, \
AWS_ENDPOINT_URL or a context, and sign with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or the context's key.

Exit codes: 0 done, 1 refused or failed, 2 the command line is wrong, 3 the server or the broker cannot be reached.";

/// The command line with its help.
pub(super) fn command() -> clap::Command {
    let command = Cli::command();
    let width = GROUPS.iter().flat_map(|(_, names)| *names).map(|name| name.len()).max().unwrap_or_default();
    let mut template = String::from("{about-with-newline}\n{usage-heading} {usage}\n");
    for (group, names) in GROUPS {
        let _ = writeln!(template, "\n{}", Tone::Heading.paint(&format!("{group}:")));
        for name in names {
            let about = command
                .find_subcommand(name)
                .and_then(clap::Command::get_about)
                .map_or_else(|| "Print this message, or the help of a command".to_owned(), ToString::to_string);
            let _ = writeln!(
                template,
                "  {}  {}",
                Tone::Active.paint(&format!("{name:width$}")),
                about.trim_end_matches('.')
            );
        }
    }
    let _ = write!(template, "\n{}\n{{options}}{{after-help}}", Tone::Heading.paint("Options:"));
    command.help_template(template).after_help(AFTER)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_command_stands_in_one_group() {
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        let once: BTreeSet<&str> = grouped.iter().copied().collect();
        assert_eq!(grouped.len(), once.len());
        let command = Cli::command();
        let all = command.get_subcommands().map(clap::Command::get_name).chain(["help"]).collect::<BTreeSet<_>>();
        assert_eq!(once, all);
        let help = super::command().render_help().to_string();
        for word in ["Executions:\n", "  replay  ", "Options:\n", "--version", "REVEILLE_ENDPOINT"] {
            assert!(help.contains(word), "{word}: {help}");
        }
    }

    #[test]
    fn each_help_has_examples() {
        fn look(command: &clap::Command, path: &str, lacking: &mut Vec<String>) {
            let path = format!("{path} {}", command.get_name());
            let inner: Vec<_> = command.get_subcommands().filter(|inner| inner.get_name() != "help").collect();
            if inner.is_empty() && !command.clone().render_long_help().to_string().contains("Examples:\n") {
                lacking.push(path.clone());
            }
            for command in inner {
                look(command, &path, lacking);
            }
        }
        let mut lacking = Vec::new();
        look(&Cli::command(), "", &mut lacking);
        assert_eq!(lacking, [""; 0]);
    }
}
