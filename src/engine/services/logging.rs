//! `loggingConfiguration` of a state machine, acted on in our log: its executions' history events, one line each.
//!
//! Source: AWS developer guide, "Log levels for Step Functions execution events". Without a configuration, or with
//! level `OFF`, nothing of this is written. A line never holds a task token.

use serde_json::Value;

/// The logging of one machine's executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::engine) struct Logging {
    level: Level,
    /// `includeExecutionData`.
    pub(super) data: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Level {
    #[default]
    Off,
    Fatal,
    Error,
    All,
}

impl Logging {
    /// From a revision's configuration, as the API took it.
    pub fn of(configuration: &Value) -> Self {
        let logging = &configuration["loggingConfiguration"];
        let level = match logging["level"].as_str() {
            Some("ALL") => Level::All,
            Some("ERROR") => Level::Error,
            Some("FATAL") => Level::Fatal,
            _ => Level::Off,
        };
        Self { level, data: logging["includeExecutionData"].as_bool().unwrap_or(false) }
    }

    pub(super) fn is_off(self) -> bool {
        self.level == Level::Off
    }

    pub(super) fn wants(self, kind: &str) -> bool {
        let fatal = matches!(kind, "ExecutionAborted" | "ExecutionFailed" | "ExecutionTimedOut");
        match self.level {
            Level::Off => false,
            Level::Fatal => fatal,
            Level::Error => {
                fatal
                    || kind == "FailStateEntered"
                    || ["Failed", "Aborted", "TimedOut"].iter().any(|end| kind.ends_with(end))
            }
            Level::All => true,
        }
    }
}

const REDACTED: &str = "[task token]";
/// Tokens are about this long; shorter words and longer ones are none, and cost nothing.
const TOKEN_BYTES: std::ops::RangeInclusive<usize> = 40..=128;

/// The text without the task's own token, wherever it stands, and without every other word that is a token of ours: a
/// worker may have written one into its answer.
pub(super) fn without_tokens(text: &str, own: Option<&str>, is_token: impl Fn(&str) -> bool) -> String {
    let text = match own {
        Some(own) if text.contains(own) => text.replace(own, REDACTED),
        _ => text.to_owned(),
    };
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let word_end = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_end);
        clean.push_str(if TOKEN_BYTES.contains(&word.len()) && is_token(word) { REDACTED } else { word });
        let gap_end = after.find(in_word).unwrap_or(after.len());
        clean.push_str(&after[..gap_end]);
        rest = &after[gap_end..];
    }
    clean
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn levels_let_through_what_awss_table_says() {
        let of = |level: &str| Logging::of(&json!({ "loggingConfiguration": { "level": level } }));
        let table = [
            ("ExecutionStarted", [false, false, false, true]),
            ("TaskStateExited", [false, false, false, true]),
            ("TaskScheduled", [false, false, false, true]),
            ("FailStateEntered", [false, false, true, true]),
            ("TaskFailed", [false, false, true, true]),
            ("ActivityTimedOut", [false, false, true, true]),
            ("MapIterationAborted", [false, false, true, true]),
            ("EvaluationFailed", [false, false, true, true]),
            ("ExecutionFailed", [false, true, true, true]),
            ("ExecutionAborted", [false, true, true, true]),
            ("ExecutionTimedOut", [false, true, true, true]),
        ];
        for (kind, expected) in table {
            assert_eq!(["OFF", "FATAL", "ERROR", "ALL"].map(|level| of(level).wants(kind)), expected, "{kind}");
        }
        assert_eq!(Logging::of(&json!({})), Logging::default());
    }

    #[test]
    fn a_token_is_taken_out_wherever_it_stands() {
        let (own, other) = ("A".repeat(50), "B".repeat(50));
        let text =
            format!(r#"{{"parameters":"{{\"t\":\"x-{own}\",\"u\":\"{other}\",\"é\":\"{}\"}}"}}"#, "C".repeat(50));
        let clean = without_tokens(&text, Some(&own), |run| run == other);
        assert_eq!(
            clean,
            format!(
                r#"{{"parameters":"{{\"t\":\"x-[task token]\",\"u\":\"[task token]\",\"é\":\"{}\"}}"}}"#,
                "C".repeat(50)
            )
        );
    }
}
