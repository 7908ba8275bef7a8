//! `reveille demo`: the art event, live on the terminal. The definition, its input and the workers are in the binary:
//! it needs no server, no file and no network, and leaves nothing behind.

use std::io::{IsTerminal, Write};

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use self::workers::{Answer, Question};
use super::output::{Tone, line};
use super::screen::Screen;
use super::watch::{Snapshot, watch};
use super::{CliError, local};
use crate::interpreter::event::{Event, StateType};
use crate::interpreter::state::Conclusion;

mod workers;

const DEFINITION: &str = include_str!("../../examples/art-event/art-event.asl.json");
const INPUT: &str = include_str!("../../examples/art-event/input.json");
/// The photographer whom the friend recommends if the person at the terminal only presses Enter.
const RECOMMENDATION: &str = "Vera Holm";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille demo
  reveille demo --bus amqp://localhost --with-workers")]
pub(super) struct Args {
    /// Run it over this broker, with the workers that consume its queues
    #[arg(long, alias = "amqp", value_name = "URL")]
    bus: Option<String>,
    /// With --bus: answer the tasks in this process, over the broker
    #[arg(long, requires = "bus")]
    with_workers: bool,
    /// Do not ask: answer for the friend too
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    local::block_on(async {
        let app = local::begin(args.bus.as_deref(), None, None).await?;
        let told = tell(args, &app).await;
        app.stop().await;
        told
    })
}

async fn tell(args: &Args, app: &crate::app::Application) -> Result<(), CliError> {
    let engine = &app.engine;
    line(&introduction(args))?;
    let asks = !args.yes && std::io::stdin().is_terminal();
    let mut friend = match &args.bus {
        Some(_) if !args.with_workers => None,
        _ => Some(workers::start(&app.bus)),
    };
    if !asks && let Some(questions) = friend.take() {
        actix_rt::spawn(workers::answer_by_itself(questions, RECOMMENDATION));
    }
    let machine = local::install(engine, "art-event", DEFINITION).await?;
    let execution = local::start(engine, machine, "open-studios", INPUT).await?;
    let mut screen = Screen::stdout();
    let snapshot = loop {
        let asked = || friend.as_ref().is_some_and(|questions| !questions.is_empty());
        let snapshot =
            watch(engine, &execution, &mut screen, |snapshot| asked() && only_the_friend_is_awaited(snapshot)).await?;
        if !snapshot.row.summary.status.is_open() {
            break snapshot;
        }
        if let Some(questions) = &mut friend {
            screen.leave();
            ask(questions).await?;
        }
    };
    line(&format!("\n{}\n\n{}", Tone::Heading.paint("The history"), local::history(engine, &snapshot)))?;
    match local::outcome(engine, &execution).await? {
        Conclusion::Succeeded(output) => line(&outcome(&output)),
        Conclusion::Failed(why) | Conclusion::TimedOut(why) | Conclusion::Aborted(why) => {
            let (error, cause) = (why.error.unwrap_or_default(), why.cause.unwrap_or_default());
            Err(CliError::failed(format!("the art event {}: {error}: {cause}", snapshot.row.summary.status)))
        }
    }
}

fn introduction(args: &Args) -> String {
    let place = match (&args.bus, args.with_workers) {
        (None, _) => "The engine, its queues and two workers are in this process; nothing is kept.",
        (Some(_), true) => "The engine and the workers are in this process; their messages travel over the broker.",
        (Some(_), false) => {
            "The tasks go to the broker's queues venue, catering and photographer-friend; the workers that consume \
             them answer \
             (examples/workers has a program for each)."
        }
    };
    let event = "Four things are prepared side by side. One of them asks a friend for a photographer,\nand sleeps \
        until the friend answers.";
    format!("{}\n{event}\n{}\n", Tone::Heading.paint("The art event"), Tone::Faint.paint(place))
}

/// Tells whether all other branches have ended, so that the picture does not change while the person thinks.
fn only_the_friend_is_awaited(snapshot: &Snapshot) -> bool {
    let [task] = snapshot.waiting.as_slice() else { return false };
    let dries = snapshot.entries.iter().fold(0_i32, |open, entry| match entry.event {
        Event::StateEntered { kind: StateType::Wait, .. } => open + 1,
        Event::StateExited { kind: StateType::Wait, .. } => open - 1,
        _ => open,
    });
    task.submitted && task.destination == workers::FRIEND && dries == 0
}

/// Asks the person at the terminal the execution's question to the friend.
async fn ask(questions: &mut mpsc::Receiver<Question>) -> Result<(), CliError> {
    let Some(question) = questions.recv().await else { return Ok(()) };
    let text = format!(
        "\n{}\n{}\n{} ",
        Tone::Waiting.paint(&format!("You are the friend. {}", question.text())),
        Tone::Faint.paint("The execution sleeps until you answer: a name, or - if you know no photographer."),
        Tone::Heading.paint(&format!("[{RECOMMENDATION}]")),
    );
    let mut out = anstream::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    let (heard, typed) = oneshot::channel();
    // In a thread of its own, because a read of the terminal cannot be cancelled.
    std::thread::spawn(move || {
        let mut name = String::new();
        let _ = heard.send(std::io::stdin().read_line(&mut name).map(|_| name));
    });
    let name = typed.await.ok().and_then(Result::ok).unwrap_or_default();
    line("")?;
    let answer = match name.trim() {
        "" => Answer::Name(RECOMMENDATION.to_owned()),
        "-" => Answer::Nobody,
        name => Answer::Name(name.to_owned()),
    };
    question.answer(answer).await.map_err(|why| CliError::failed(why.to_string()))
}

fn outcome(output: &Value) -> String {
    let summary = output["summary"].as_str().unwrap_or_default();
    let pretty = serde_json::to_string_pretty(output).unwrap_or_default();
    format!("{}\n\n{}\n\n{}", Tone::Heading.paint("The outcome"), pretty, Tone::Good.paint(summary))
}
