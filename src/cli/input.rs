//! Arguments that are JSON: the text itself, `@FILE`, or `-` for standard input.

use std::io::Read;

use super::CliError;

/// The JSON text of an argument; checked here, so that a typing error is told with its place and not sent off.
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
