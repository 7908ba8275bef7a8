//! `reveille init NAME`: a folder with a definition, its mocks, a worker and a broker, ready to run.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::CliError;
use super::output::line;

const MACHINE: &str = include_str!("init/machine.asl.json");
const README: &str = include_str!("init/README.md");
const COMPOSE: &str = include_str!("init/compose.yaml");
const INPUT: &str = "{\"name\": \"Ada\"}\n";
const MOCKS: &str = "{\n  \"Greet\": { \"result\": { \"text\": \"Hello, Ada\" } },\n  \
                     \"Approve\": { \"result\": { \"approved\": true } }\n}\n";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille init greeting
  reveille init greeting --worker python --folder services/greeting")]
pub(super) struct Args {
    /// Name of the state machine and of its queue
    #[arg(value_parser = named)]
    name: String,
    /// Language of the worker
    #[arg(long, value_enum, default_value_t = Worker::Sh)]
    worker: Worker,
    /// The new folder [default: NAME]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Worker {
    /// A program of the shell behind `reveille worker`
    Sh,
    Python,
    Node,
}

impl Worker {
    /// File, content, command.
    const fn parts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Sh => ("worker.sh", include_str!("init/worker.sh"), "reveille worker NAME --exec ./worker.sh"),
            Self::Python => ("worker.py", include_str!("init/worker.py"), "python3 worker.py"),
            Self::Node => ("worker.js", include_str!("init/worker.js"), "node worker.js"),
        }
    }
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let folder = args.folder.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let failed = |path: &Path, why: &std::io::Error| {
        CliError::failed(format!("cannot write {}: {why}", path.display())).hint("nothing is overwritten")
    };
    std::fs::create_dir_all(&folder).map_err(|why| failed(&folder, &why))?;
    let files = files(&args.name, args.worker);
    for (name, content, is_program) in &files {
        let path = folder.join(name);
        write(&path, content, *is_program).map_err(|why| failed(&path, &why))?;
    }
    let names: Vec<&str> = files.iter().map(|(name, ..)| name.as_str()).collect();
    line(&format!(
        "{}: {}\nnext: cd {} && reveille run {name}.asl.json --input @input.json --mock mocks.json\nREADME.md says how \
         it \
         goes on",
        folder.display(),
        names.join(", "),
        folder.display(),
        name = args.name
    ))
}

/// Name, content, and whether it is a program.
fn files(name: &str, worker: Worker) -> Vec<(String, String, bool)> {
    let (file, program, run) = worker.parts();
    let of = |text: &str| text.replace("RUN", run).replace("WORKER", file).replace("NAME", name);
    vec![
        (format!("{name}.asl.json"), of(MACHINE), false),
        ("input.json".to_owned(), INPUT.to_owned(), false),
        ("mocks.json".to_owned(), MOCKS.to_owned(), false),
        (file.to_owned(), of(program), worker == Worker::Sh),
        ("compose.yaml".to_owned(), of(COMPOSE), false),
        ("README.md".to_owned(), of(README), false),
    ]
}

fn write(path: &Path, content: &str, is_program: bool) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(if is_program { 0o755 } else { 0o644 });
    }
    options.open(path)?.write_all(content.as_bytes())
}

/// A name that a state machine, a queue and a folder may have.
fn named(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !text.is_empty() && text.len() <= 64 && text.chars().all(fits) && !text.starts_with('-') {
        Ok(text.to_owned())
    } else {
        Err("allowed: up to 64 letters, digits, '-' and '_'".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asl::{self, MachineType, Severity};

    #[test]
    fn the_definition_has_no_warning_and_no_placeholder_is_left() {
        for worker in [Worker::Sh, Worker::Python, Worker::Node] {
            let files = files("greeting", worker);
            let definition = &files[0].1;
            assert_eq!(asl::diagnose(definition, MachineType::Standard, Severity::Warning), []);
            for (name, content, _) in &files {
                for placeholder in ["NAME", "WORKER", "RUN"] {
                    assert!(!content.contains(placeholder), "{name}: {placeholder}");
                }
            }
        }
    }

    #[test]
    fn names_fit_a_machine_and_a_queue() {
        assert!(named("a-1_B").is_ok());
        for bad in ["", "a b", "a/b", "-a", "ä", &"x".repeat(65)] {
            assert!(named(bad).is_err(), "{bad}");
        }
    }
}
