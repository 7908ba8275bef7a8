//! `Retry` and `Catch`.
//!
//! Source: Amazon States Language specification, "Errors"; developer guide, "Handling errors".

use super::check::{Checker, Site};
use super::diagnostics::code;
use super::fields;
use super::location::Location;
use super::model::{Catcher, QueryLanguage, Retrier};
use super::reader::Object;
use super::spans::Node;
use crate::limits::TASK_TIMEOUT_SECONDS_MAX;

/// `MaxDelaySeconds` is below this (developer guide: 31,622,400 seconds, 366 days, at most).
const MAX_DELAY_SECONDS: u64 = 31_622_400;

/// The error names that the service itself raises or matches with (developer guide, "Error names").
const STATES_ERRORS: [&str; 18] = [
    "States.ALL",
    "States.BranchFailed",
    "States.DataLimitExceeded",
    "States.ExceedToleratedFailureThreshold",
    "States.HeartbeatTimeout",
    "States.Http.Socket",
    "States.IntrinsicFailure",
    "States.ItemReaderFailed",
    "States.NoChoiceMatched",
    "States.ParameterPathFailure",
    "States.Permissions",
    "States.QueryEvaluationError",
    "States.ReferencePathConflict",
    "States.ResultPathMatchFailure",
    "States.ResultWriterFailed",
    "States.Runtime",
    "States.TaskFailed",
    "States.Timeout",
];

impl<'n> Checker<'n> {
    pub fn retry(&mut self, object: &Object<'n>, at: &Location<'_>) -> Option<Vec<Retrier>> {
        if !object.has("Retry") {
            return Some(Vec::new());
        }
        let items = self.read.array(object, "Retry", at)?;
        let at = at.name("Retry");
        let mut handled: Vec<String> = Vec::new();
        let retriers: Vec<Option<Retrier>> = items
            .iter()
            .enumerate()
            .map(|(i, node)| self.retrier(node, &at.index(i), i + 1 == items.len(), &mut handled))
            .collect();
        retriers.into_iter().collect()
    }

    fn retrier(&mut self, node: &'n Node, at: &Location<'_>, last: bool, handled: &mut Vec<String>) -> Option<Retrier> {
        let object = self.read.as_object(node, at)?;
        self.read.known_fields(&object, fields::RETRIER, None, at);
        self.read.required(&object, &["ErrorEquals"], at);
        self.comment(&object, at);
        let error_equals = self.error_equals(&object, at, last);
        let interval = self.read.integer(&object, "IntervalSeconds", at, 1, TASK_TIMEOUT_SECONDS_MAX);
        let attempts = self.read.integer(&object, "MaxAttempts", at, 0, TASK_TIMEOUT_SECONDS_MAX);
        let rate = self.read.number(&object, "BackoffRate", at, 1.0, f64::MAX);
        let max_delay = self.read.integer(&object, "MaxDelaySeconds", at, 1, MAX_DELAY_SECONDS);
        let jitter = self.read.word(&object, "JitterStrategy", at, &["FULL", "NONE"]);
        let interval_seconds = interval.unwrap_or(1);
        if let (Some(delay), Some(node)) = (max_delay, object.node("MaxDelaySeconds"))
            && delay <= interval_seconds
            && object.has("IntervalSeconds")
        {
            let hint = format!("the first delay is already {interval_seconds} s");
            let at = at.name("MaxDelaySeconds");
            self.read.schema_hint("MaxDelaySeconds must be greater than IntervalSeconds", &at, node.offset, hint);
        }
        if let Some(names) = &error_equals {
            self.warn_of_dead(code::RETRY_NEVER_MATCHES, names, handled, at, node);
        }
        Some(Retrier {
            error_equals: error_equals?,
            interval_seconds,
            max_attempts: attempts.unwrap_or(3),
            backoff_rate: rate.unwrap_or(2.0),
            max_delay_seconds: max_delay,
            full_jitter: jitter == Some("FULL"),
        })
    }

    pub fn catch(&mut self, site: &Site<'_, 'n>) -> Option<Vec<Catcher>> {
        if !site.object.has("Catch") {
            return Some(Vec::new());
        }
        let items = self.read.array(&site.object, "Catch", site.at)?;
        let at = site.at.name("Catch");
        let mut handled: Vec<String> = Vec::new();
        let catchers: Vec<Option<Catcher>> = items
            .iter()
            .enumerate()
            .map(|(i, node)| self.catcher(site, node, &at.index(i), i + 1 == items.len(), &mut handled))
            .collect();
        catchers.into_iter().collect()
    }

    fn catcher(
        &mut self,
        site: &Site<'_, 'n>,
        node: &'n Node,
        at: &Location<'_>,
        last: bool,
        handled: &mut Vec<String>,
    ) -> Option<Catcher> {
        let object = self.read.as_object(node, at)?;
        let language = site.language;
        self.read.known_fields(&object, fields::CATCHER, Some(language), at);
        self.read.required(&object, &["ErrorEquals", "Next"], at);
        self.comment(&object, at);
        let error_equals = self.error_equals(&object, at, last);
        let next = self.next(&object, "Next", at, site.around);
        let result_path = self.result_path(&object, at);
        let assign = self.assign(&object, at, language, true);
        let output = match object.node("Output") {
            Some(node) if language == QueryLanguage::Jsonata => {
                self.as_template(node, &at.name("Output"), language, true).map(Some)
            }
            _ => Some(None),
        };
        if let Some(names) = &error_equals {
            self.warn_of_dead(code::CATCH_NEVER_MATCHES, names, handled, at, node);
        }
        Some(Catcher {
            error_equals: error_equals?,
            next: next?,
            result_path: result_path?,
            assign: assign?,
            output: output?,
        })
    }

    /// At least one name; `States.ALL` alone and in the last entry of its list.
    fn error_equals(&mut self, object: &Object<'n>, at: &Location<'_>, last: bool) -> Option<Vec<String>> {
        let items = self.read.filled_array(object, "ErrorEquals", at)?;
        let names_at = at.name("ErrorEquals");
        let names: Vec<Option<&str>> =
            items.iter().enumerate().map(|(i, node)| self.read.as_string(node, &names_at.index(i))).collect();
        let names: Vec<String> =
            names.into_iter().collect::<Option<Vec<&str>>>()?.into_iter().map(str::to_owned).collect();
        if let Some(i) = names.iter().position(|name| name == "States.ALL") {
            let offset = items.get(i).map_or(object.offset, |node| node.offset);
            if names.len() > 1 {
                let hint = "'States.ALL' matches the other names too: keep it alone";
                self.read.schema_hint("'States.ALL' must appear alone in ErrorEquals", &names_at, offset, hint);
                return None;
            }
            if !last {
                let hint = "later entries would never be tried: move this entry to the end";
                self.read.schema_hint("'States.ALL' must appear in the last entry", &names_at, offset, hint);
                return None;
            }
        }
        Some(names)
    }

    /// An entry whose every name is handled by an earlier one, or is a `States.` name that nothing raises.
    fn warn_of_dead(
        &mut self,
        code: &'static str,
        names: &[String],
        handled: &mut Vec<String>,
        at: &Location<'_>,
        node: &Node,
    ) {
        // Lists are short in real life; a hostile one is not worth a warning.
        if handled.len() > 200 {
            return;
        }
        let never_raised = |name: &String| {
            name.starts_with("States.") && !STATES_ERRORS.contains(&name.as_str()) || name == "States.Runtime"
        };
        let dead = |name: &String| handled.contains(name) || never_raised(name);
        if names.iter().all(dead) {
            let message = format!(
                "No error reaches this entry: {} {} handled before or never raised",
                names.join(", "),
                if names.len() == 1 { "is" } else { "are" }
            );
            let hint = "remove the entry, or correct its names; States.Runtime can be neither retried nor caught";
            self.read.warning(code, message, at, node.offset, hint);
        }
        handled.extend(names.iter().cloned());
    }
}
