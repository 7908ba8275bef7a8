//! The output of commands: JSON for programs, tables for people, colours only on a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::CliError;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// The server's answer as it is
    Json,
    /// Each item of a list on a line of its own
    Jsonl,
    /// The answer as YAML
    Yaml,
    /// For reading
    Table,
    /// A table with further columns, and with texts whole
    Wide,
    /// Only ARNs (of tasks: tokens), one a line, for other commands
    Name,
}

#[derive(Debug, Clone, Copy, Args)]
pub(super) struct OutputArgs {
    /// How to print [default: table on a terminal, json elsewhere]
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
    /// Show long texts whole in tables; without a terminal they always are
    #[arg(long)]
    pub full: bool,
}

impl OutputArgs {
    pub(super) fn format(self) -> Format {
        self.output.unwrap_or(if std::io::stdout().is_terminal() { Format::Table } else { Format::Json })
    }

    /// The characters at which a text of a table is cut.
    pub(super) fn cut(self, most: usize) -> usize {
        let is_whole = self.full || self.output == Some(Format::Wide) || !std::io::stdout().is_terminal();
        if is_whole { usize::MAX } else { most }
    }

    /// Prints an answer in the format, or as the text that `table` makes of it.
    pub(super) fn print(self, answer: &Value, table: impl FnOnce(&Value) -> String) -> Result<(), CliError> {
        match self.format() {
            Format::Json => line(&json(answer)),
            Format::Jsonl => lines(items(answer).iter().map(|item| json_line(item))),
            Format::Yaml => line(super::yaml::yaml(answer).trim_end()),
            Format::Name => lines(items(answer).iter().filter_map(|item| name(item))),
            Format::Table | Format::Wide => line(table(answer).trim_end()),
        }
    }
}

/// The items of an answer that is one list; an answer of another kind is its only item.
fn items(answer: &Value) -> Vec<&Value> {
    let lists: Vec<&Vec<Value>> =
        answer.as_object().into_iter().flatten().filter_map(|(_, member)| member.as_array()).collect();
    match lists.as_slice() {
        [] => vec![answer],
        lists => lists.iter().copied().flatten().collect(),
    }
}

/// The name by which other commands take an item.
fn name(item: &Value) -> Option<String> {
    const NAMES: [&str; 9] = [
        "taskToken",
        "executionArn",
        "stateMachineAliasArn",
        "stateMachineVersionArn",
        "stateMachineArn",
        "activityArn",
        "mapRunArn",
        "execution",
        "id",
    ];
    NAMES.iter().find_map(|name| maybe(item, name))
}

fn lines(lines: impl Iterator<Item = String>) -> Result<(), CliError> {
    let all: Vec<String> = lines.collect();
    if all.is_empty() { Ok(()) } else { line(&all.join("\n")) }
}

/// JSON text.
fn json(value: &Value) -> String {
    escaped(serde_json::to_string_pretty(value).unwrap_or_default())
}

/// The same on one line.
pub(super) fn json_line(value: &Value) -> String {
    escaped(value.to_string())
}

/// serde_json escapes the control characters of ASCII; those beyond are escaped here.
fn escaped(text: String) -> String {
    if !text.contains(|c| matches!(c, '\u{7f}'..='\u{9f}')) {
        return text;
    }
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        match c {
            '\u{7f}'..='\u{9f}' => _ = write!(escaped, "\\u{:04x}", u32::from(c)),
            c => escaped.push(c),
        }
        escaped
    })
}

/// One or more lines on standard output. A reader that has gone (`| head`) is no error.
pub(super) fn line(text: &str) -> Result<(), CliError> {
    use std::io::Write as _;
    match writeln!(anstream::stdout().lock(), "{}", harmless(text)) {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::failed(format!("cannot write the output: {why}")))
        }
        _ => Ok(()),
    }
}

/// One line for the person, beside the output.
pub(super) fn note(text: &str) {
    anstream::eprintln!("{}", Tone::Faint.paint(&visible(text)));
}

/// One line on standard error that stops nothing.
pub(super) fn warning(text: &str) {
    anstream::eprintln!("{}: {}", Tone::Waiting.paint("warning"), visible(text));
}

/// A text from a server or a broker, without control characters: an error of a worker could hold sequences that a
/// terminal acts on. Line breaks and tabulators stay.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    let acts = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.contains(acts) {
        Cow::Owned(text.chars().map(|c| if acts(c) { char::REPLACEMENT_CHARACTER } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// A text for the terminal: of all control sequences only our colours (`ESC [ … m`) are left.
pub(super) fn harmless(text: &str) -> Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return visible(text);
    }
    let mut parts = text.split('\u{1b}');
    let mut left = visible(parts.next().unwrap_or_default()).into_owned();
    for part in parts {
        let code = part.strip_prefix('[').and_then(|rest| rest.split_once('m')).map(|(code, _)| code);
        let is_colour = code.is_some_and(|code| code.bytes().all(|b| b.is_ascii_digit() || b == b';'));
        left.push(if is_colour { '\u{1b}' } else { char::REPLACEMENT_CHARACTER });
        left.push_str(&visible(part));
    }
    Cow::Owned(left)
}

/// The meaning of a text, which gives its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tone {
    Plain,
    Heading,
    Good,
    Bad,
    /// Work is in progress.
    Active,
    /// A task waits for an answer.
    Waiting,
    Faint,
}

impl Tone {
    fn style(self) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            Self::Plain => Style::new(),
            Self::Heading => Style::new().bold(),
            Self::Good => colour(AnsiColor::Green),
            Self::Bad => colour(AnsiColor::Red),
            Self::Active => colour(AnsiColor::Cyan),
            Self::Waiting => colour(AnsiColor::Yellow),
            Self::Faint => Style::new().dimmed(),
        }
    }

    /// The text with its colours. `anstream` removes them where the output is no terminal.
    pub(super) fn paint(self, text: &str) -> String {
        let style = self.style();
        if style.is_plain() { text.to_owned() } else { format!("{style}{text}{style:#}") }
    }
}

/// The tone of an execution's status.
pub(super) fn status_tone(status: &str) -> Tone {
    match status {
        "SUCCEEDED" => Tone::Good,
        "RUNNING" => Tone::Active,
        "PENDING_REDRIVE" => Tone::Waiting,
        _ => Tone::Bad,
    }
}

/// Rows in columns as wide as needed; the last column is not padded.
pub(super) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<(String, Tone)>>,
}

impl Table {
    pub(super) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: Vec<(String, Tone)>) {
        self.rows.push(cells);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn render(&self) -> String {
        let width = |text: &str| text.chars().count();
        let mut widths: Vec<usize> = self.head.iter().map(|name| width(name)).collect();
        for row in &self.rows {
            for (at, (text, _)) in row.iter().enumerate() {
                widths[at] = widths[at].max(width(text));
            }
        }
        let mut rendered = String::new();
        let last = widths.len().saturating_sub(1);
        let mut put = |cells: &[(String, Tone)]| {
            for (at, (text, tone)) in cells.iter().enumerate() {
                let padding = if at == last { 0 } else { widths[at] - width(text) + 2 };
                let _ = write!(rendered, "{}{:padding$}", tone.paint(text), "");
            }
            rendered.push('\n');
        };
        put(&self.head.iter().map(|name| ((*name).to_owned(), Tone::Heading)).collect::<Vec<_>>());
        for row in &self.rows {
            put(row);
        }
        rendered
    }
}

/// Names and values, one a line; absent values are left out.
pub(super) fn fields(pairs: &[(&str, Option<String>)]) -> String {
    let widest =
        pairs.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in pairs {
        if let Some(value) = value {
            let padding = widest - name.chars().count() + 2;
            let _ = writeln!(text, "{}{:padding$}{value}", Tone::Faint.paint(name), "");
        }
    }
    text
}

/// A member that is a text.
pub(super) fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::String(text)) => visible(text).into_owned(),
        None | Some(Value::Null) => String::new(),
        Some(other) => visible(&other.to_string()).into_owned(),
    }
}

/// A member that is a text, if it is there.
pub(super) fn maybe(value: &Value, name: &str) -> Option<String> {
    Some(text(value, name)).filter(|text| !text.is_empty())
}

/// The first `most` characters of a text on one line.
pub(super) fn short(text: &str, most: usize) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.chars().count() <= most { flat } else { flat.chars().take(most.saturating_sub(1)).chain(['…']).collect() }
}

/// The part of an ARN that people call it by.
pub(super) fn last_part(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_has_items_and_they_have_names() {
        let listed = json!({"executions": [{"executionArn": "e1", "stateMachineArn": "m"}, {"executionArn": "e2"}]});
        let names = |answer: &Value| items(answer).into_iter().filter_map(name).collect::<Vec<_>>();
        assert_eq!(names(&listed), ["e1", "e2"]);
        assert_eq!(names(&json!({"tasks": [{"executionArn": "e", "taskToken": "t"}]})), ["t"]);
        assert_eq!(names(&json!({"executionArn": "e", "startDate": 1.0})), ["e"]);
        assert_eq!(names(&json!({"executions": []})), [""; 0]);
        assert_eq!(json_line(&json!({"a": "\u{9b}"})), r#"{"a":"\u009b"}"#);
    }

    #[test]
    fn a_text_of_a_worker_sends_nothing_to_the_terminal() {
        let attack = json!({"cause": "x\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}2Jy\r\nz\u{7f}"});
        let shown = text(&attack, "cause");
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
        assert!(shown.starts_with('x') && shown.ends_with("\nz\u{fffd}"), "{shown:?}");
        let printed = super::json(&attack);
        assert!(!printed.contains(|c: char| c.is_control() && c != '\n'), "{printed:?}");
        assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), attack);
        let mut table = Table::new(&["CAUSE"]);
        table.row(vec![("\u{1b}[2Jx".to_owned(), Tone::Bad)]);
        let painted = table.render();
        assert!(painted.contains("\u{1b}["), "the table has colours: {painted:?}");
        let harmless = harmless(&painted);
        assert!(!harmless.contains("[2J\u{1b}") && !harmless.contains("\u{1b}[2J"), "{harmless:?}");
        assert_eq!(anstream::adapter::strip_str(&harmless).to_string(), "CAUSE\n\u{fffd}[2Jx\n");
    }
}
