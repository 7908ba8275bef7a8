//! The lines of the history log.

use crate::engine::services::Services;
use crate::engine::services::logging::{Logging, without_tokens};
use crate::ids::{Arn, ExecutionId, TaskKey};
use crate::interpreter::event::{Entry, Event};

impl Services {
    /// One line for each of these entries that the level lets through.
    pub fn log_history(&self, logging: Logging, execution: ExecutionId, arn: &Arn, machine: &Arn, entries: &[Entry]) {
        let Some(view) = self.options.history_view else { return };
        if logging.is_off() {
            return;
        }
        for entry in entries {
            let Some(shown) = view(entry, logging.data, &self.realm.region) else { continue };
            let kind = shown["type"].as_str().unwrap_or_default();
            if !logging.wants(kind) {
                continue;
            }
            let details =
                shown.as_object().and_then(|members| members.iter().find(|(name, _)| name.ends_with("EventDetails")));
            let mut details = details.map(|(_, details)| details.to_string());
            if logging.data
                && let Some(text) = &mut details
            {
                let own = matches!(entry.event, Event::TaskScheduled(_))
                    .then(|| self.token(&TaskKey { execution, scheduled: entry.id }));
                *text = without_tokens(text, own.as_deref(), |run| self.tokens.verify(run).is_ok());
            }
            // Fields by their names in `telemetry::fields`: the macro takes no constants beside a target.
            tracing::info!(
                target: "reveille::history",
                event = "history.event",
                execution.arn = %arn,
                state_machine.arn = %machine,
                history.id = entry.id.0,
                history.previous_id = entry.previous.0,
                history.type = kind,
                history.details = details.as_deref(),
                "{kind}"
            );
        }
    }
}
