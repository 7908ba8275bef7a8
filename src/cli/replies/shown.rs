//! Parked messages as text for people.

use serde_json::Value;

use crate::cli::output::{Table, Tone, fields, maybe, short, text, visible};
use crate::cli::time;
use crate::clock::Timestamp;

pub(super) fn table(answer: &Value, now: Timestamp) -> String {
    let mut table = Table::new(&["ID", "PARKED", "VERDICT", "FROM", "TOKEN", "REASON"]);
    for reply in answer["replies"].as_array().into_iter().flatten() {
        let parked = maybe(reply, "parkedAt").and_then(|at| Timestamp::parse_iso(&at).ok());
        let since = parked.map_or_else(|| "?".to_owned(), |at| format!("{} ago", time::duration(now.since(at))));
        table.row(vec![
            (text(reply, "id"), Tone::Plain),
            (since, Tone::Faint),
            (text(reply, "verdict"), Tone::Bad),
            (text(reply, "from"), Tone::Plain),
            (text(reply, "tokenId"), Tone::Faint),
            (short(&text(reply, "reason"), 80), Tone::Plain),
        ]);
    }
    let mut said = if table.is_empty() { "nothing is parked".to_owned() } else { table.render() };
    if answer["more"] == true {
        said.push_str("there are more: --limit");
    }
    said
}

pub(super) fn shown(answer: &Value) -> String {
    let mut said = fields(&[
        ("id", maybe(answer, "id")),
        ("parked", maybe(answer, "parkedAt")),
        ("verdict", maybe(answer, "verdict")),
        ("reason", maybe(answer, "reason")),
        ("from", maybe(answer, "from")),
        ("cut", maybe(answer, "cut")),
    ]);
    for part in ["properties", "headers"] {
        for (name, value) in answer[part].as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            said.push_str(&fields(&[(
                &format!("{part}.{name}"),
                Some(value.as_str().map_or_else(|| value.to_string(), |text| visible(text).into_owned())),
            )]));
        }
    }
    let body = answer
        .get("body")
        .or_else(|| answer.get("bodyBase64"))
        .map(|body| serde_json::to_string_pretty(body).unwrap_or_default());
    said + "\n" + &body.unwrap_or_default()
}
