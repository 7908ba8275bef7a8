//! Arguments that are JSON: the text itself, `@FILE`, or `-` for standard input.

use std::io::{IsTerminal, Read};

use super::CliError;

/// The JSON text of an argument. It is checked here, so that a typing error is shown with its place and not sent.
pub(super) fn json(argument: &str, what: &str) -> Result<String, CliError> {
    let text = text(argument)?;
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(text),
        Err(why) => {
            let error = CliError::usage(format!("{what} is not JSON: {why}"));
            let word = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || " -_.,:".contains(c));
            Err(if word {
                error.hint(format!("a text needs its quotes: '\"{text}\"'; a file: @FILE"))
            } else {
                error.hint("a file: @FILE")
            })
        }
    }
}

/// The text of an argument.
pub(super) fn text(argument: &str) -> Result<String, CliError> {
    match argument.strip_prefix('@') {
        Some(path) => file(path),
        None if argument == "-" => file("-"),
        None => Ok(argument.to_owned()),
    }
}

/// Asks the person at the terminal. Without a terminal the command fails and asks for `--yes`.
pub(super) fn confirm(question: &str) -> Result<bool, CliError> {
    if !std::io::stdin().is_terminal() {
        return Err(CliError::usage(format!("{question} There is no terminal to answer on"))
            .hint("--yes does it without a question"));
    }
    anstream::eprint!("{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|why| CliError::failed(format!("no answer could be read: {why}")))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// A file's text; `-` is standard input.
pub(super) fn file(path: &str) -> Result<String, CliError> {
    let read = if path == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    read.map_err(|why| CliError::usage(format!("cannot read {path}: {why}")))
}
