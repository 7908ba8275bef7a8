//! Things of any kind that are hostile in each of their texts.

use maud::Markup;
use serde_json::json;
use uuid::Uuid;

use crate::bus::QueueView;
use crate::clock::Timestamp;
use crate::console::pages::execution::Asked;
use crate::console::pages::layout;
use crate::console::pages::layout::{Frame, Tab, Who};
use crate::console::story::{Attempt, Standing, Story, Visit};
use crate::engine::Lineage;
use crate::forms::Form;
use crate::graph::Items;
use crate::ids::{Arn, EventId, ExecutionId, PartitionId};
use crate::interpreter::event::{By, Failure, Forked, Payload, StateType};
use crate::store::{Closing, ExecutionHeader, ExecutionRow, ExecutionStatus, RevisionId, Summary, Wait};

/// A form that is hostile in each of its texts, with an input of each kind.
pub(super) fn evil_form() -> Form {
    let fields: serde_json::Map<_, _> = [
        json!({"type": "string", "title": EVIL, "description": EVIL, "default": EVIL}),
        json!({"type": "string", "format": "textarea", "default": EVIL, "minLength": 2}),
        json!({"type": "string", "enum": [EVIL, "b"], "default": EVIL}),
        json!({"type": "array", "items": {"enum": [EVIL]}, "default": [EVIL]}),
        json!({"type": "object", "title": EVIL, "properties": {EVIL: {"type": "boolean", "title": EVIL}}}),
        json!({"type": "number", "minimum": 1, "maximum": 9, "title": EVIL}),
        json!({"type": "string", "format": "date-time", "title": EVIL}),
    ]
    .into_iter()
    .enumerate()
    .map(|(n, field)| (format!("{EVIL}{n}"), field))
    .collect();
    let form = json!({
        "Title": EVIL, "Text": EVIL, "For": [EVIL],
        "Show": [{"Label": EVIL, "Value": EVIL}, {"Label": EVIL, "Value": {EVIL: EVIL}}],
        "Schema": {"type": "object", "required": [format!("{EVIL}0")], "properties": fields},
        "Actions": [
            {"Label": EVIL, "Success": {EVIL: EVIL}},
            {"Label": EVIL, "Failure": {"Error": EVIL, "Cause": EVIL}},
        ],
    });
    Form::read(&form).unwrap()
}

pub(super) const EVIL: &str = "<img src=x onerror=alert(1)>\"'</script><script>alert(2)</script>&amp;";

pub(super) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

/// A page whose content is this, inside of a frame that is hostile too.
pub(super) fn whole(content: &Markup) -> String {
    let who = Who { key: Some(EVIL.to_owned()), start: true, complete: true, admin: true, ..Who::default() };
    let frame =
        Frame { title: EVIL, tab: Tab::Inbox, up: "../", who: &who, waiting: Some(7), topics: "waits", every: 5 };
    layout::page(&frame, content).into_string()
}

/// No tag, attribute or script is made of a text; and nothing is inline, which the policy would refuse.
pub(super) fn is_safe(page: &str) {
    for bad in ["<img", "<script>", "onerror=alert(1)>", " style=", " onclick", "javascript:"] {
        assert!(!page.contains(bad), "{bad} in {page}");
    }
    // Each double quote of the text is escaped: an attribute does not end with it.
    assert!(!page.contains("alert(1)>\""), "{page}");
    assert!(!page.to_lowercase().contains("src=\"http") && !page.contains("href=\"http"), "{page}");
}

pub(super) fn row(status: ExecutionStatus) -> ExecutionRow {
    let closed = (status != ExecutionStatus::Running).then(|| Closing {
        at: at(9_000),
        output: Some(json!({EVIL: EVIL}).to_string()),
        error: Some(EVIL.to_owned()),
        cause: Some(EVIL.to_owned()),
    });
    ExecutionRow {
        header: ExecutionHeader {
            id: ExecutionId(Uuid::from_u128(7)),
            partition: PartitionId(0),
            arn: Arn::new(format!("arn:aws:states:us-east-1:1:execution:m:{EVIL}")),
            name: EVIL.to_owned(),
            state_machine: Arn::new(format!("arn:aws:states:us-east-1:1:stateMachine:{EVIL}")),
            revision: RevisionId(Uuid::nil()),
            version_arn: Some(Arn::new(EVIL)),
            alias_arn: Some(Arn::new(EVIL)),
            input: json!({EVIL: EVIL}).to_string(),
            trace_header: None,
            started: at(0),
            parent: None,
            map_run: None,
            item_index: None,
            forked: None,
        },
        version: crate::ids::Version(9),
        summary: Summary { status, closed, redrive_count: 1, ..Summary::default() },
    }
}

pub(super) fn wait() -> Wait {
    Wait {
        scheduled: EventId(4),
        state: EVIL.to_owned(),
        resource: EVIL.to_owned(),
        destination: EVIL.to_owned(),
        queue: true,
        since: at(1_000),
        timeout: Some(at(90_000)),
        heartbeat_due: Some(at(80_000)),
        last_heartbeat: Some(at(2_000)),
        attempt: 2,
        submitted: false,
    }
}

pub(super) fn asked() -> Asked {
    Asked { wait: wait(), queue: Some(QueueView { ready: 3, consumers: 0 }) }
}

pub(super) fn story() -> Story {
    let failure = Failure::new(EVIL, EVIL);
    let attempt = |scheduled, failure| Attempt {
        scheduled: EventId(scheduled),
        at: at(1_000),
        ended: Some(at(2_000)),
        failure,
        by: Some(By::Person(EVIL.into())),
        said: Some(Payload::new(json!(EVIL))),
    };
    let visit = Visit {
        event: EventId(2),
        pointer: format!("/States/{}", EVIL.replace('/', "~1")),
        name: EVIL.to_owned(),
        kind: StateType::Task,
        depth: 1,
        index: Some(3),
        entered: at(500),
        left: None,
        standing: Standing::Waiting,
        input: Payload::new(json!(EVIL)),
        output: Some(Payload::new(json!({EVIL: [EVIL]}))),
        task: Some((EVIL.to_owned(), Payload::new(json!(EVIL)))),
        attempts: vec![attempt(3, Some(failure.clone())), attempt(4, None)],
        failure: Some(failure),
        until: Some(at(70_000)),
        iterations: vec![Some(Standing::Failed), Some(Standing::Done), None],
        map_run: Some(Arn::new(EVIL)),
    };
    Story { visits: vec![visit], ..Story::default() }
}

pub(super) fn evil_items() -> Items {
    Items { words: EVIL.to_owned(), parts: vec![("done", 3), ("failed", 1)] }
}

pub(super) fn lineage() -> Lineage {
    let forked = Forked {
        from: Arn::new(EVIL),
        state: EVIL.into(),
        event: EventId(3),
        input: Payload::new(json!(EVIL)),
        variables: serde_json::Map::new(),
    };
    let relative = || row(ExecutionStatus::Failed);
    Lineage {
        row: relative(),
        forked: Some((Box::new(forked), Some(relative()))),
        parent: Some(relative()),
        forks: vec![relative()],
        children: vec![relative(), relative()],
    }
}
