//! Findings of the language with AWS's codes and words and, beyond AWS, with line, column and remedy.
//!
//! Codes: `ValidateStateMachineDefinitionDiagnostic` of the Step Functions API reference, and, for JSONata, what the
//! service answers. Codes that only we have are marked so; all of them are warnings.

use std::fmt;

use super::spans::Lines;
use crate::payload::jackson;

/// Diagnostics of one severity that are kept. AWS shows at most 100 (`maxResults`); each one costs a look through its
/// line.
pub const DIAGNOSTICS_MAX: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// The definition is refused.
    Error,
    /// The definition runs, but probably not as meant.
    Warning,
}

impl Severity {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warning => "WARNING",
        }
    }
}

/// The codes. An error's code is AWS's; a warning says whether AWS has it.
pub mod code {
    /// The text is not JSON.
    pub const INVALID_JSON_DESCRIPTION: &str = "INVALID_JSON_DESCRIPTION";
    /// The text is empty or `null`.
    pub const MISSING_DESCRIPTION: &str = "MISSING_DESCRIPTION";
    /// A field is missing, unknown, of another type or out of range.
    pub const SCHEMA_VALIDATION_FAILED: &str = "SCHEMA_VALIDATION_FAILED";
    /// No state ends the workflow.
    pub const MISSING_END_STATE: &str = "MISSING_END_STATE";
    /// A state name stands twice.
    pub const DUPLICATE_STATE_NAME: &str = "DUPLICATE_STATE_NAME";
    /// A state name is empty or too long.
    pub const INVALID_STATE_NAME: &str = "INVALID_STATE_NAME";
    /// `StartAt`, `Next` or `Default` names no state, or no transition leads to a state.
    pub const MISSING_TRANSITION_TARGET: &str = "MISSING_TRANSITION_TARGET";
    /// Values or states nest too deeply.
    pub const TOO_DEEPLY_NESTED: &str = "TOO_DEEPLY_NESTED";
    /// A `Label` stands twice.
    pub const DUPLICATE_LABEL_NAME: &str = "DUPLICATE_LABEL_NAME";
    /// A `Label` is empty, too long or holds a character that labels must not hold.
    pub const INVALID_LABEL_NAME: &str = "INVALID_LABEL_NAME";
    /// A JSONata expression does not parse. (Answered by the service; not in its reference.)
    pub const INVALID_JSONATA_EXPRESSION: &str = "INVALID_JSONATA_EXPRESSION";
    /// A JSONata expression reads a variable that Step Functions does not offer there. (As above.)
    pub const UNSUPPORTED_JSONATA_EXPRESSION: &str = "UNSUPPORTED_JSONATA_EXPRESSION";

    /// Warning, AWS's: a key without `.$` whose value looks like a path or an intrinsic function.
    pub const NO_DOLLAR: &str = "NO_DOLLAR";
    /// Warning, AWS's: a field without `Path` whose value looks like a path.
    pub const NO_PATH: &str = "NO_PATH";
    /// Warning, AWS's: a path in the `Result` of a Pass state, which is never evaluated.
    pub const PASS_RESULT_IS_STATIC: &str = "PASS_RESULT_IS_STATIC";

    /// Warning, ours: a task waits for a token and nothing ends the wait if no answer comes.
    pub const CALLBACK_WITHOUT_TIMEOUT: &str = "CALLBACK_WITHOUT_TIMEOUT";
    /// Warning, ours: a task waits for a token that its parameters never pass on.
    pub const TOKEN_NOT_PASSED: &str = "TOKEN_NOT_PASSED";
    /// Warning, ours: transitions lead to the state, but no path from `StartAt`.
    pub const UNREACHABLE_STATE: &str = "UNREACHABLE_STATE";
    /// Warning, ours: an inline Map has a field that only a Distributed Map may have; it fails when it is entered.
    pub const DISTRIBUTED_ONLY: &str = "DISTRIBUTED_ONLY";
    /// Warning, ours: a reader or writer names no bucket, or a reader of an object no key.
    pub const NO_OBJECT: &str = "NO_OBJECT";
    /// Warning, ours: no worker consumes the queue of a task, or the queue does not exist. Needs a broker to look at.
    pub const QUEUE_WITHOUT_CONSUMER: &str = "QUEUE_WITHOUT_CONSUMER";
    /// Warning, ours: an inner block assigns a name that an outer one assigns too.
    pub const VARIABLE_IN_OUTER_SCOPE: &str = "VARIABLE_IN_OUTER_SCOPE";
    /// Warning, ours: no error can reach this catcher.
    pub const CATCH_NEVER_MATCHES: &str = "CATCH_NEVER_MATCHES";
    /// Warning, ours: no error can reach this retrier.
    pub const RETRY_NEVER_MATCHES: &str = "RETRY_NEVER_MATCHES";
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Diagnostic {
    pub severity: Severity,
    pub code: &'static str,
    pub message: String,
    /// AWS's form: `/States/Fork/Branches[0]/States/A/Resource`. `None` where AWS names no place.
    pub location: Option<String>,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The remedy.
    pub hint: Option<String>,
}

impl fmt::Display for Diagnostic {
    /// `3:14 ERROR SCHEMA_VALIDATION_FAILED /States/A: message (hint)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.location.as_deref().unwrap_or("/");
        write!(
            f,
            "{}:{} {} {} {place}: {}",
            self.line,
            self.column,
            self.severity.name(),
            self.code,
            self.message.trim_end()
        )?;
        self.hint.as_deref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

/// The errors of a definition that was refused, in the order in which AWS reports them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.invalid_definition_message())]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl std::ops::Deref for Diagnostics {
    type Target = [Diagnostic];

    fn deref(&self) -> &[Diagnostic] {
        &self.0
    }
}

impl Diagnostics {
    /// `message` of the API's `InvalidDefinition` error, as AWS words it: each diagnostic as `CODE: message at
    /// location`.
    #[must_use]
    pub fn invalid_definition_message(&self) -> String {
        let parts: Vec<String> = self
            .0
            .iter()
            .filter(|d| d.severity == Severity::Error)
            .map(|d| match &d.location {
                Some(location) => format!("{}: {} at {location}", d.code, d.message),
                // The place as AWS's reader writes it, which does not repeat the text.
                None if d.code == code::INVALID_JSON_DESCRIPTION => {
                    format!("{}: {} at {}", d.code, d.message, jackson::place_at(d.line, d.column))
                }
                // AWS writes Java's `null` where there is no location.
                None => format!("{}: {} at null", d.code, d.message),
            })
            .collect();
        format!("Invalid State Machine Definition: '{}'", parts.join(", "))
    }
}

/// Gathers findings with byte offsets; lines and columns are looked up once, at the end, for the kept findings.
#[derive(Debug, Default)]
pub(super) struct Findings {
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
}

#[derive(Debug)]
struct Finding {
    code: &'static str,
    message: String,
    location: Option<String>,
    offset: usize,
    hint: Option<String>,
}

impl Findings {
    pub fn error(
        &mut self,
        code: &'static str,
        message: String,
        location: Option<String>,
        offset: usize,
        hint: Option<String>,
    ) {
        if self.errors.len() < DIAGNOSTICS_MAX {
            self.errors.push(Finding { code, message, location, offset, hint });
        }
    }

    pub fn warning(
        &mut self,
        code: &'static str,
        message: String,
        location: Option<String>,
        offset: usize,
        hint: Option<String>,
    ) {
        if self.warnings.len() < DIAGNOSTICS_MAX {
            self.warnings.push(Finding { code, message, location, offset, hint });
        }
    }

    /// No further error would be kept.
    pub fn is_full(&self) -> bool {
        self.errors.len() >= DIAGNOSTICS_MAX
    }

    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Errors and warnings, placed.
    pub fn settle(self, text: &str) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        let lines = Lines::new(text);
        let place = |severity: Severity, findings: Vec<Finding>| {
            let place_one = |f: Finding| {
                let (line, column) = lines.position(f.offset);
                Diagnostic {
                    severity,
                    code: f.code,
                    message: f.message,
                    location: f.location,
                    line,
                    column,
                    hint: f.hint,
                }
            };
            findings.into_iter().map(place_one).collect()
        };
        (place(Severity::Error, self.errors), place(Severity::Warning, self.warnings))
    }
}
