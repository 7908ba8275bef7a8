//! Wait and Fail.
//!
//! Source: Amazon States Language specification, "Wait State", "Fail State".

use super::check::{Checker, Site};
use super::expressions::QuantityField;
use super::model::{Fail, QueryLanguage, Text, Wait};
use crate::limits::TASK_TIMEOUT_SECONDS_MAX;

impl<'n> Checker<'n> {
    /// Exactly one of the four ways to say how long.
    pub fn wait(&mut self, site: &Site<'_, 'n>) -> Option<Wait> {
        let Site { object, at, language, .. } = *site;
        if !self.read.exactly_one(&object, &["Seconds", "SecondsPath", "Timestamp", "TimestampPath"], at) {
            return None;
        }
        if object.has("Seconds") || object.has("SecondsPath") {
            let field = QuantityField {
                name: "Seconds",
                path_name: "SecondsPath",
                min: 0,
                max: TASK_TIMEOUT_SECONDS_MAX,
                fraction: false,
            };
            return self.quantity(&object, field, at, language)?.map(Wait::Seconds);
        }
        let timestamp = self.text(&object, ("Timestamp", "TimestampPath"), at, language, false)??;
        if let (Text::Literal(text), Some(node)) = (&timestamp, object.node("Timestamp"))
            && !is_timestamp(text)
        {
            let hint = match language {
                QueryLanguage::JsonPath => {
                    "for example 2026-01-31T08:00:00Z; to read it from the input, use TimestampPath"
                }
                QueryLanguage::Jsonata => "for example 2026-01-31T08:00:00Z or {% $states.input.at %}",
            };
            self.read.schema_hint(NOT_A_TIMESTAMP, &at.name("Timestamp"), node.offset, hint);
            return None;
        }
        Some(Wait::Timestamp(timestamp))
    }

    pub fn fail(&mut self, site: &Site<'_, 'n>) -> Option<Fail> {
        let Site { object, at, language, .. } = *site;
        let error = self.text(&object, ("Error", "ErrorPath"), at, language, true);
        let cause = self.text(&object, ("Cause", "CausePath"), at, language, true);
        Some(Fail { error: error?, cause: cause? })
    }
}

/// Recorded on AWS.
pub(super) const NOT_A_TIMESTAMP: &str = "String does not match RFC3339 timestamp";

/// RFC 3339 with an upper-case `T` and a zone (specification, "Timestamps").
pub(super) fn is_timestamp(text: &str) -> bool {
    crate::clock::parse_rfc3339(text).is_ok()
}
