//! AWS's sentences for an expression that gave no value, as recorded in execution histories.

use super::super::QueryError;

/// The sentence after "An error occurred while executing the state 'X' (entered at the event id #N). ".
///
/// In: the expression as written between its delimiters, the field as AWS locates it (`Output/result`), what went
/// wrong.
#[must_use]
pub fn cause(expression: &str, field: &str, error: &QueryError) -> String {
    let what = match error {
        QueryError::Undefined => "returned nothing (undefined).".to_owned(),
        QueryError::UnexpectedType { .. } | QueryError::UnsupportedType => error.to_string(),
        // Measured on AWS: a colon before a sentence without a code.
        QueryError::Bound { .. } => format!("threw an error during evaluation: {error}"),
        other => format!("threw an error during evaluation. {other}"),
    };
    format!("The JSONata expression '{expression}' specified for the field '{field}' {what}")
}
