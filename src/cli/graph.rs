//! `reveille graph FILE`: a definition as an SVG picture.

use std::path::PathBuf;

use serde_json::Value;

use super::output::line;
use super::{CliError, input};
use crate::asl::{self, MachineType, Severity};
use crate::graph::{Diagram, Fold, Laid, Look, svg};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille graph order.asl.json > order.svg
  reveille graph order.asl.json --output order.svg --open")]
pub(super) struct Args {
    /// The definition: a file, or - for standard input
    file: String,
    /// Write the picture to this file, not to standard output
    #[arg(long, short)]
    output: Option<PathBuf>,
    /// Draw the states inside of Parallel and Map states, however many there are
    #[arg(long, conflicts_with = "fold")]
    open: bool,
    /// Draw each Parallel and Map state as one box
    #[arg(long)]
    fold: bool,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let text = input::file(&args.file)?;
    let Ok(definition) = serde_json::from_str::<Value>(&text) else {
        let problem = asl::diagnose(&text, MachineType::Standard, Severity::Error).into_iter().next();
        let why = problem.map_or_else(|| "no JSON".to_owned(), |problem| problem.message);
        return Err(CliError::usage(format!("{} cannot be drawn: {why}", args.file)));
    };
    let diagram = Diagram::read(&definition);
    if diagram.states() == 0 {
        return Err(CliError::usage(format!("{} cannot be drawn: it has no States", args.file)));
    }
    let fold = match (args.open, args.fold) {
        (true, _) => Fold::Open,
        (_, true) => Fold::Closed,
        (false, false) => Fold::for_size(diagram.states()),
    };
    let picture = svg::draw(&Laid::of(&diagram, fold), &Look { style: true, ..Look::default() });
    match &args.output {
        Some(file) => std::fs::write(file, picture)
            .map_err(|why| CliError::usage(format!("{} cannot be written: {why}", file.display()))),
        None => line(picture.trim_end()),
    }
}
