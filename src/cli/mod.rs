//! The command line: one file per subcommand. Client commands speak the API over HTTP like any other client; `serve`,
//! `run` and `demo` hold the engine in this process.
//!
//! Exit codes: 0 done · 1 refused or failed · 2 the command line is wrong · 3 the server cannot be reached. May enter:
//! `app`, `config`, `telemetry`, `asl`, `graph`, `replay`, `workers`, and the vocabulary below. No command knows an
//! adapter.

use std::process::ExitCode;

use clap::{FromArgMatches, Parser, Subcommand};

mod backup;
mod bench;
mod bulk;
mod call;
mod client;
mod completions;
mod console;
mod context;
mod contract;
mod demo;
mod describe;
mod error;
mod executions;
mod finish;
mod follow;
mod fork;
mod graph;
mod health;
mod help;
mod history;
mod init;
mod input;
mod link;
mod list;
mod local;
mod machines;
mod man;
mod names;
mod nodes;
mod output;
pub mod progress;
mod replay;
mod replies;
mod run;
pub mod screen;
mod secrecy;
mod serve;
mod sigv4;
mod start;
mod store;
mod tasks;
mod time;
mod validate;
mod versions;
pub mod watch;
mod watch_execution;
mod worker;
mod yaml;

pub use error::CliError;

/// Durable workflows: Amazon States Language on RabbitMQ.
#[derive(Debug, Parser)]
#[command(
    name = "reveille",
    version,
    propagate_version = true,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server with the API and the engine.
    Serve(serve::Args),
    /// Watch the art event from beginning to end.
    Demo(demo::Args),
    /// Make a folder with a definition, mocks, a worker and a broker.
    Init(init::Args),
    /// Check a definition: show each problem, its place, and the remedy.
    #[command(visible_aliases = ["check", "lint"])]
    Validate(validate::Args),
    /// Draw a definition as an SVG picture.
    #[command(visible_aliases = ["draw"])]
    Graph(graph::Args),
    /// Run one execution of a definition file here, with its progress.
    Run(run::Args),

    /// Play recorded executions again, against their own definition or a new one; show the first difference.
    Replay(replay::Args),

    /// Start an execution.
    Start(start::Args),
    /// Show an execution or a state machine.
    #[command(visible_aliases = ["show", "get"])]
    Describe(describe::Args),
    /// Show the history of an execution.
    #[command(visible_aliases = ["events"])]
    History(history::Args),
    /// Watch an execution until its end.
    Watch(watch_execution::Args),
    /// List executions, newest first.
    #[command(visible_aliases = ["ls", "executions"])]
    List(list::Args),
    /// Stop running executions: one, some, or all that filters choose.
    #[command(visible_aliases = ["abort", "cancel"])]
    Stop(executions::StopArgs),
    /// Run failed executions on from where they failed.
    #[command(visible_aliases = ["resume"])]
    Redrive(executions::RedriveArgs),
    /// Start an execution that begins at a state of another one.
    Fork(fork::Args),
    /// Stops, redrives and replays of many at once, as the server does them.
    #[command(subcommand)]
    Bulk(bulk::Command),

    /// Show the tasks that wait for an answer, with age and queue.
    #[command(visible_aliases = ["waiting", "inbox"])]
    Tasks(tasks::Args),
    /// End a task with a result.
    #[command(visible_aliases = ["success", "complete", "approve"])]
    Succeed(finish::SucceedArgs),
    /// End a task with an error.
    #[command(visible_aliases = ["failure", "reject"])]
    Fail(finish::FailArgs),
    /// Report that the worker of a task is alive.
    Heartbeat(finish::HeartbeatArgs),

    /// Make a link at which one person answers one task.
    Link(link::Args),
    /// Do the tasks of a queue with a program or a web service; needs only the broker.
    Worker(worker::Args),
    /// Show refused replies, send them again, or delete them; needs only the broker.
    #[command(subcommand, visible_aliases = ["parked"])]
    Replies(replies::Command),
    /// Show the servers that share a store, and how many partitions each owns.
    Nodes(nodes::Args),
    /// Copy the store to a file, while a server uses it or not.
    Backup(backup::Args),
    /// Move a store from SQLite to PostgreSQL, or back, while no server runs on it.
    #[command(subcommand)]
    Store(store::Command),

    /// Create, update, delete and list state machines, their versions and aliases.
    #[command(subcommand, visible_aliases = ["machine"])]
    Machines(machines::Command),
    /// Write what the workers of a state machine must know, as an AsyncAPI document.
    #[command(visible_aliases = ["asyncapi"])]
    Contract(contract::Args),
    /// Call any operation of the API; JSON in, JSON out.
    #[command(visible_aliases = ["api"])]
    Call(call::Args),
    /// Print the address of the console, with a code that signs in once.
    Console(console::Args),
    /// Ask a server whether it is ready.
    Health(health::Args),
    /// Name servers, and choose the server of commands.
    #[command(subcommand, visible_aliases = ["contexts"])]
    Context(context::Command),
    /// Print completions for a shell.
    Completions(completions::Args),
    /// Write manual pages.
    Man(man::Args),
    /// Measure callback round trips beside the bare broker's.
    Bench(bench::Args),
}

/// Runs the command of this process's command line.
#[must_use]
pub fn main() -> ExitCode {
    secrecy::keep_files_private();
    let matches = help::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|fault| fault.exit());
    secrecy::hide_arguments();
    let done = match cli.command {
        Command::Serve(args) => serve::execute(args),
        Command::Init(args) => init::execute(&args),
        Command::Demo(args) => demo::execute(&args),
        Command::Validate(args) => validate::execute(&args),
        Command::Graph(args) => graph::execute(&args),
        Command::Run(args) => run::execute(&args),
        Command::Replay(args) => replay::execute(&args),
        Command::Start(args) => start::execute(&args),
        Command::Describe(args) => describe::execute(&args),
        Command::History(args) => history::execute(&args),
        Command::Watch(args) => watch_execution::execute(&args),
        Command::List(args) => list::execute(&args),
        Command::Stop(args) => executions::stop(&args),
        Command::Redrive(args) => executions::redrive(&args),
        Command::Fork(args) => fork::execute(&args),
        Command::Bulk(command) => bulk::execute(&command),
        Command::Tasks(args) => tasks::execute(&args),
        Command::Succeed(args) => finish::succeed(&args),
        Command::Fail(args) => finish::fail(&args),
        Command::Heartbeat(args) => finish::heartbeat(&args),
        Command::Link(args) => link::execute(&args),
        Command::Worker(args) => worker::execute(args),
        Command::Replies(command) => replies::execute(&command),
        Command::Nodes(args) => nodes::execute(&args),
        Command::Backup(args) => backup::execute(&args),
        Command::Store(command) => store::execute(&command),
        Command::Machines(command) => machines::execute(&command),
        Command::Contract(args) => contract::execute(&args),
        Command::Call(args) => call::execute(&args),
        Command::Console(args) => console::execute(&args),
        Command::Health(args) => health::execute(&args),
        Command::Context(command) => context::execute(&command),
        Command::Man(args) => man::execute(&args),
        Command::Completions(args) => completions::execute(&args),
        Command::Bench(args) => bench::execute(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.show();
            error.exit_code()
        }
    }
}

#[cfg(test)]
mod tests;
