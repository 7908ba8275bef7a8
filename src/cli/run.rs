//! `reveille run FILE`: one execution, here, with its progress. Progress goes to standard error, the result to standard
//! output.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use self::mocks::Mocks;
use super::output::line;
use super::screen::Screen;
use super::watch::{Snapshot, watch};
use super::{CliError, input, local, validate};
use crate::asl::{self, MachineType, Severity};
use crate::engine::EngineHandle;
use crate::engine::stand_in::StandIn;
use crate::ids::Arn;
use crate::interpreter::state::Conclusion;

mod mocks;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille run order.asl.json --input '{\"id\": 7}' --mock mocks.json
  reveille run order.asl.json --bus amqp://localhost          tasks go to real workers
  reveille run order.asl.json --history

Exit codes: 0 it succeeded, 1 it failed or was refused, 2 the command line makes no sense, 3 no broker")]
pub(super) struct Args {
    /// Definition: a file, or - for standard input
    file: String,
    /// Input: JSON, or @FILE
    #[arg(long, short, default_value = "{}", value_name = "JSON")]
    input: String,
    /// Answers for all tasks, by state: {"STATE": {"result": …}} or {"STATE": {"errorOutput": {"error": …, "cause":
    /// …}}}; a list of them answers one call after the other, the state "*" stands for all others. With --bus, tasks of
    /// other states go to the broker
    #[arg(long, short, value_name = "FILE")]
    mock: Option<String>,
    /// Send tasks to this broker instead of the one in this process
    #[arg(long, alias = "amqp", value_name = "URL")]
    bus: Option<String>,
    /// Keep the execution in this store, sqlite:PATH; what still waits goes on in `serve` [default: in memory]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Print the history of events too
    #[arg(long)]
    history: bool,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let definition = input::file(&args.file)?;
    let input = input::json(&args.input, "the input")?;
    let findings = asl::diagnose(&definition, MachineType::Standard, Severity::Error);
    if !findings.is_empty() {
        let _ = write!(anstream::stderr(), "{}", validate::render(&args.file, &definition, &findings));
        return Err(CliError::Reported);
    }
    let mocks = match &args.mock {
        Some(path) => Some(Arc::new(Mocks::parse(&input::file(path)?, &definition, args.bus.is_some())?)),
        None => None,
    };
    local::block_on(async {
        let stand_in = mocks.clone().map(|mocks| mocks as Arc<dyn StandIn>);
        let app = local::begin(args.bus.as_deref(), args.store.as_deref(), stand_in).await?;
        let ran = tokio::select! {
            ran = run(args, &app.engine, &definition, &input, mocks.as_deref()) => ran,
            _ = tokio::signal::ctrl_c() => Err(CliError::failed("interrupted")),
        };
        app.stop().await;
        ran
    })
}

async fn run(
    args: &Args,
    engine: &EngineHandle,
    definition: &str,
    input: &str,
    mocks: Option<&Mocks>,
) -> Result<(), CliError> {
    let machine = local::install(engine, &machine_name(&args.file), definition).await?;
    let name = format!("run-{}", engine.clock().now().millis());
    let execution = local::start(engine, machine, &name, input).await?;
    let mut screen = Screen::new(anstream::stderr(), std::io::stderr().is_terminal());
    let missing = || mocks.and_then(Mocks::missing);
    let snapshot = watch(engine, &execution, &mut screen, |_| missing().is_some()).await?;
    match missing().filter(|_| snapshot.row.summary.status.is_open()) {
        Some(missing) => Err(missing.into()),
        None => print(args, engine, &execution, &snapshot).await,
    }
}

async fn print(args: &Args, engine: &EngineHandle, execution: &Arn, snapshot: &Snapshot) -> Result<(), CliError> {
    if args.history {
        let _ = writeln!(anstream::stderr(), "\n{}", local::history(engine, snapshot));
    }
    match local::outcome(engine, execution).await? {
        Conclusion::Succeeded(output) => line(&serde_json::to_string_pretty::<Value>(&output).unwrap_or_default()),
        // The last frame of the view has the beginning of it.
        Conclusion::Failed(why) | Conclusion::TimedOut(why) | Conclusion::Aborted(why) => {
            let cause = why.cause.map_or_else(String::new, |cause| format!(": {cause}"));
            Err(CliError::failed(format!("{}{cause}", why.error.as_deref().unwrap_or("the execution did not succeed"))))
        }
    }
}

/// The file's name without its endings, as far as a state machine may bear it.
fn machine_name(file: &str) -> String {
    let name = Path::new(file).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    let name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).take(80).collect();
    if name.trim_matches('-').is_empty() { "stdin".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_called_after_its_file() {
        assert_eq!(machine_name("examples/art-event/art-event.asl.json"), "art-event");
        assert_eq!(machine_name("a b.json"), "a-b");
        assert_eq!(machine_name("-"), "stdin");
    }
}
