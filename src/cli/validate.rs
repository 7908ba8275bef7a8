//! `reveille validate FILE`: each finding as FILE:LINE:COLUMN with its line, a caret, and what to do.

use std::fmt::Write as _;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::output::{Format, OutputArgs, Tone, line};
use super::{CliError, input};
use crate::asl::{self, Diagnostic, MachineType, Severity};

mod consumers;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  reveille validate order.asl.json
  reveille validate order.asl.json --bus amqp://localhost     who consumes its queues?
  reveille validate machines/*.asl.json -o json")]
pub(super) struct Args {
    /// Definitions: files, or - for standard input
    #[arg(required = true)]
    files: Vec<String>,
    /// Type of the state machine that it is for
    #[arg(long = "type", short, value_enum, default_value_t = Type::Standard)]
    kind: Type,
    /// Look at this broker for the workers: warn of each queue that a task names and no worker consumes
    #[arg(long, value_name = "URL")]
    bus: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Type {
    Standard,
    Express,
}

pub(super) fn execute(args: &Args) -> Result<(), CliError> {
    let mut failed = false;
    let mut reports = Vec::new();
    let texts: Vec<String> = args.files.iter().map(|file| input::file(file)).collect::<Result<_, _>>()?;
    let mut of_broker = match &args.bus {
        Some(url) => consumers::look(url, &texts)?,
        None => vec![Vec::new(); texts.len()],
    };
    for (at, (file, text)) in args.files.iter().zip(&texts).enumerate() {
        let mut findings = asl::diagnose(text, args.kind.into(), Severity::Warning);
        findings.append(&mut of_broker[at]);
        failed |= findings.iter().any(is_error);
        if args.output.output == Some(Format::Json) {
            reports.push(report(file, &findings));
        } else {
            line(render(file, text, &findings).trim_end())?;
        }
    }
    if args.output.output == Some(Format::Json) {
        let shown = if let [one] = reports.as_slice() { one.clone() } else { Value::Array(reports) };
        line(&serde_json::to_string_pretty(&shown).unwrap_or_default())?;
    }
    if failed { Err(CliError::Reported) } else { Ok(()) }
}

impl From<Type> for MachineType {
    fn from(kind: Type) -> Self {
        match kind {
            Type::Standard => Self::Standard,
            Type::Express => Self::Express,
        }
    }
}

pub(super) fn is_error(finding: &Diagnostic) -> bool {
    finding.severity == Severity::Error
}

/// `ValidateStateMachineDefinition`'s shape, with the place beside.
fn report(file: &str, findings: &[Diagnostic]) -> Value {
    let diagnostics: Vec<Value> = findings
        .iter()
        .map(|finding| {
            json!({
                "severity": finding.severity.name(),
                "code": finding.code,
                "message": finding.message,
                "location": finding.location,
                "line": finding.line,
                "column": finding.column,
                "hint": finding.hint,
            })
        })
        .collect();
    let result = if findings.iter().any(is_error) { "FAIL" } else { "OK" };
    json!({"file": file, "result": result, "diagnostics": diagnostics})
}

pub(super) fn render(file: &str, text: &str, findings: &[Diagnostic]) -> String {
    let mut shown = String::new();
    for finding in findings {
        let (word, tone) = if is_error(finding) { ("error", Tone::Bad) } else { ("warning", Tone::Waiting) };
        let place = finding.location.as_deref().map(|at| format!(" at {at}")).unwrap_or_default();
        let _ = writeln!(
            shown,
            "{file}:{}:{}: {}: {}{place}",
            finding.line,
            finding.column,
            tone.paint(word),
            finding.message.trim_end()
        );
        if let Some(source) = text.lines().nth(finding.line.saturating_sub(1)) {
            let number = finding.line.to_string();
            let (source, caret) = window(source, finding.column);
            let _ = writeln!(shown, "  {} {source}", Tone::Faint.paint(&format!("{number} |")));
            let _ = writeln!(shown, "  {:width$} {:caret$}{}", "", "", tone.paint("^"), width = number.len() + 2);
        }
        let _ = writeln!(shown, "  {}", Tone::Faint.paint(&format!("[{}]", finding.code)));
        if let Some(hint) = &finding.hint {
            let _ = writeln!(shown, "  {}: {hint}", Tone::Active.paint("hint"));
        }
    }
    let count = |errors: bool| findings.iter().filter(|finding| is_error(finding) == errors).count();
    let plural = |count: usize, word: &str| if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") };
    let sum = match (count(true), count(false)) {
        (0, 0) => Tone::Good.paint("valid"),
        (0, warnings) => format!("{}, {}", Tone::Good.paint("valid"), plural(warnings, "warning")),
        (errors, 0) => Tone::Bad.paint(&plural(errors, "error")),
        (errors, warnings) => format!("{}, {}", Tone::Bad.paint(&plural(errors, "error")), plural(warnings, "warning")),
    };
    let _ = writeln!(shown, "{file}: {sum}");
    shown
}

/// The part of a source line around a column, and where the caret goes below it: a definition on one line is not shown
/// whole.
fn window(source: &str, column: usize) -> (String, usize) {
    const BEFORE: usize = 60;
    const WIDTH: usize = 100;
    let at = column.saturating_sub(1);
    let start = at.saturating_sub(BEFORE);
    let length = source.chars().count();
    let mut shown: String =
        source.chars().skip(start).take(WIDTH).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut caret = at - start;
    if start > 0 {
        shown.insert(0, '…');
        caret += 1;
    }
    if start + WIDTH < length {
        shown.push('…');
    }
    (shown, caret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(line: usize, column: usize) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            code: "MISSING_TRANSITION_TARGET",
            message: "Missing 'Next' target: B".to_owned(),
            location: Some("/States/A/Next".to_owned()),
            line,
            column,
            hint: Some("did you mean b?".to_owned()),
        }
    }

    #[test]
    fn a_finding_is_shown_with_its_line_a_caret_and_the_hint() {
        let text = "{\n  \"Next\": \"B\"\n}";
        let shown = anstream::adapter::strip_str(&render("m.json", text, &[finding(2, 11)])).to_string();
        assert_eq!(
            shown,
            "m.json:2:11: error: Missing 'Next' target: B at /States/A/Next\n  \
             2 |   \"Next\": \"B\"\n                \
             ^\n  \
             [MISSING_TRANSITION_TARGET]\n  \
             hint: did you mean b?\n\
             m.json: 1 error\n"
        );
        assert!(anstream::adapter::strip_str(&render("m.json", text, &[])).to_string().ends_with("m.json: valid\n"));
    }

    #[test]
    fn a_long_line_is_shown_around_its_caret() {
        let text = "x".repeat(500);
        let (shown, caret) = window(&text, 300);
        assert_eq!((shown.chars().count(), caret), (102, 61));
        assert_eq!(window("abc", 2), ("abc".to_owned(), 1));
        assert_eq!(window("", 9).1, 8);
    }

    #[test]
    fn a_wrong_definition_is_told_with_its_place() {
        let text =
            "{\n  \"StartAt\": \"A\",\n  \"States\": {\n    \"A\": {\"Type\": \"Pass\", \"Next\": \"B\"}\n  }\n}";
        let found = asl::diagnose(text, MachineType::Standard, Severity::Warning);
        assert!(found.iter().any(|finding| is_error(finding) && finding.line == 4), "{found:?}");
        let shown = anstream::adapter::strip_str(&render("m.json", text, &found)).to_string();
        assert!(shown.contains("m.json:4:") && shown.contains("4 |     \"A\": {\"Type\""), "{shown}");
        assert_eq!(report("m.json", &found)["result"], "FAIL");
    }
}
