//! Two events: where they differ. Times, and what chance or another server makes, do not count.

use serde_json::Value;

use super::TOKEN;

/// Members that say nothing of the decision: times, marks of the API, names that each run makes for itself.
const IGNORED: [&str; 8] = [
    "timestamp",
    "inputDetails",
    "outputDetails",
    "assignedVariablesDetails",
    "mapRunArn",
    "roleArn",
    "taskCredentials",
    "region",
];
/// Members that hold JSON as a text.
const DATA: [&str; 3] = ["input", "output", "parameters"];

/// The first member that differs, as a JSON pointer; `None`: they are the same.
pub(super) fn difference(recorded: &Value, replayed: &Value) -> Option<String> {
    for name in ["type", "id", "previousEventId"] {
        if recorded[name] != replayed[name] {
            return Some(format!("/{name}"));
        }
    }
    of("", None, recorded, replayed)
}

fn of(at: &str, name: Option<&str>, recorded: &Value, replayed: &Value) -> Option<String> {
    match (recorded, replayed) {
        (Value::Object(a), Value::Object(b)) => {
            let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
            names.filter(|name| !IGNORED.contains(&name.as_str())).find_map(|name| {
                let [a, b] = [a, b].map(|members| members.get(name).unwrap_or(&Value::Null));
                of(&format!("{at}/{name}"), Some(name), a, b)
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(index, (a, b))| of(&format!("{at}/{index}"), None, a, b))
        }
        (Value::String(a), Value::String(b)) if a == b => None,
        (Value::String(a), Value::String(b)) => {
            let json = |text: &str| serde_json::from_str::<Value>(text).ok();
            if name.is_some_and(|name| DATA.contains(&name))
                && let (Some(a), Some(b)) = (json(a), json(b))
            {
                return of(at, None, &a, &b);
            }
            (!same_text(a, b)).then(|| at.to_owned())
        }
        // 1 and 1.0 are the same number.
        (Value::Number(a), Value::Number(b)) => (a != b && a.as_f64() != b.as_f64()).then(|| at.to_owned()),
        (a, b) => (a != b).then(|| at.to_owned()),
    }
}

/// The same but for identifiers that chance made, and for the task's token.
fn same_text(recorded: &str, replayed: &str) -> bool {
    if let Some((before, after)) = replayed.split_once(TOKEN) {
        return recorded.len() >= before.len() + after.len()
            && recorded.starts_with(before)
            && recorded.ends_with(after);
    }
    without_uuids(recorded) == without_uuids(replayed)
}

fn without_uuids(text: &str) -> String {
    const LENGTH: usize = 36;
    let is_uuid = |part: &[u8]| {
        part.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    let bytes = text.as_bytes();
    let mut kept = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes.get(at..at + LENGTH) {
            Some(part) if is_uuid(part) => {
                kept.extend_from_slice(b"{uuid}");
                at += LENGTH;
            }
            _ => {
                kept.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}
