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
        QueryError::UnexpectedType { .. } => error.to_string(),
        other => format!("threw an error during evaluation. {other}"),
    };
    format!("The JSONata expression '{expression}' specified for the field '{field}' {what}")
}

/// An error of the library in the words of JSONata's reference implementation, which AWS's causes carry. Where the
/// library says more or less than those (it sometimes names what was called), the code decides.
pub(super) fn failed(message: &str) -> QueryError {
    QueryError::Evaluation { message: in_reference_words(message).unwrap_or_else(|| message.to_owned()) }
}

fn in_reference_words(message: &str) -> Option<String> {
    let (code, text) = message.split_once(": ")?;
    let fixed = match code {
        "T1006" => "Attempted to invoke a non-function",
        "T2003" => "The left side of the range operator (..) must evaluate to an integer",
        "T2004" => "The right side of the range operator (..) must evaluate to an integer",
        "T2006" => "The right side of the function application operator ~> must be a function",
        "T2008" => "The expressions within an order-by clause must evaluate to numeric or string values",
        "D3010" => "Second argument of replace function cannot be an empty string",
        // The operator stands in quotes.
        "T2001" | "T2002" => {
            let (side, rest) = text.split_once(" side of the ")?;
            let (operator, rest) = rest.split_once(' ')?;
            return Some(format!("{code}: {side} side of the \"{operator}\" {rest}"));
        }
        "D3030" => {
            let value = text.strip_prefix("Cannot convert '")?.strip_suffix("' to number")?;
            return Some(format!("{code}: Unable to cast value to a number: {}", serde_json::Value::from(value)));
        }
        _ => return None,
    };
    Some(format!("{code}: {fixed}"))
}
