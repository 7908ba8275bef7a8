//! `--bus`: queues that tasks name, and who consumes them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::asl::diagnostics::code;
use crate::asl::{self, Diagnostic, Severity, WrittenTask};
use crate::bus::TaskBus;
use crate::cli::{CliError, local};
use crate::config::{Settings, Sources};
use crate::integrations::{ServiceTable, queue_named};

/// Nothing is under way when the look is over.
const CLOSES_WITHIN: Duration = Duration::from_secs(2);

/// The findings of each text.
pub(super) fn look(url: &str, texts: &[String]) -> Result<Vec<Vec<Diagnostic>>, CliError> {
    let settings = Settings::load(&Sources { flags: vec![("bus.url", url.to_owned())], ..Sources::default() })?;
    if settings.bus.is_embedded() {
        return Err(
            CliError::usage("--bus names no broker").hint("give the URL of one: amqp://user:password@host/vhost")
        );
    }
    local::block_on(async {
        let bus = crate::app::look_at_broker(&settings)?;
        let mut known = BTreeMap::new();
        let mut findings = Vec::with_capacity(texts.len());
        for text in texts {
            findings.push(of_text(&*bus, text, &settings.integrations, &mut known).await);
        }
        bus.close(CLOSES_WITHIN).await;
        findings.into_iter().collect()
    })
}

/// `known`: what the broker said of each queue.
async fn of_text(
    bus: &dyn TaskBus,
    text: &str,
    table: &ServiceTable,
    known: &mut BTreeMap<String, Option<u32>>,
) -> Result<Vec<Diagnostic>, CliError> {
    let mut findings = Vec::new();
    for task in asl::tasks(text) {
        let Some(queue) = queue_named(&task.resource, &task.parameters, table, bus.names()) else { continue };
        let consumers = match known.get(&queue) {
            Some(consumers) => *consumers,
            None => bus.consumers(&queue).await.map_err(|why| CliError::failed(why.to_string()))?,
        };
        known.insert(queue.clone(), consumers);
        findings.extend(finding(task, &queue, consumers));
    }
    Ok(findings)
}

fn finding(task: WrittenTask, queue: &str, consumers: Option<u32>) -> Option<Diagnostic> {
    let (what, hint) = match consumers {
        None => (
            "does not exist",
            "start its worker, or let the server declare it with the state machine (bus.declare); without it the task \
             fails at once",
        ),
        Some(0) => ("has no consumer", "start its worker; until then the task waits"),
        Some(_) => return None,
    };
    Some(Diagnostic {
        severity: Severity::Warning,
        code: code::QUEUE_WITHOUT_CONSUMER,
        message: format!("The queue '{queue}' of state '{}' {what}", task.state),
        location: Some(task.location),
        line: task.line,
        column: task.column,
        hint: Some(hint.to_owned()),
    })
}
