//! Text of any kind stays text in every page.

mod evil;

use maud::html;
use serde_json::json;
use uuid::Uuid;

use crate::api::claims::Claim;
use crate::bus::QueueView;
use crate::console::answers::Answered;
use crate::console::diff::Line;
use crate::console::infer::{Answer, Expected};
use crate::console::pages::editor::{Difference, Edited, Editor};
use crate::console::pages::execution::{Events, View, ViewTab};
use crate::console::pages::fork::{self, Beginning, Filled};
use crate::console::pages::form::Entered;
use crate::console::pages::inbox::{Inbox, Open, Typed};
use crate::console::pages::layout::Who;
use crate::console::pages::machines::{Listed, Machine};
use crate::console::pages::map_run::MapRun;
use crate::console::pages::panel::Part;
use crate::console::pages::parked::Parked;
use crate::console::pages::queues::Looked;
use crate::console::pages::{
    bulk, editor, execution, executions, inbox, layout, link, machines, map_run, parked, queues, sign_in, system,
};
use crate::console::story::Standing;
use crate::engine::Link;
use crate::forms::Wrong;
use crate::ids::{Arn, EventId, ExecutionId, TaskKey};
use crate::store::{
    AliasRow, DestinationWaits, ExecutionStatus, MachineRow, MachineType, Revision, RevisionId, VersionRow, WaitRow,
};

use evil::{EVIL, asked, at, evil_form, evil_items, is_safe, lineage, row, story, wait, whole};

#[test]
fn parked_messages_and_the_system_show_hostile_text_as_text() {
    let message = json!({
        "id": EVIL, "verdict": EVIL, "reason": EVIL, "from": EVIL, "parkedAt": EVIL, "cut": EVIL, "bytes": 7,
        "body": {EVIL: EVIL}, "properties": {EVIL: EVIL}, "headers": {EVIL: {EVIL: EVIL}},
    });
    for (admin, said) in [(true, "purged"), (false, EVIL)] {
        let who = Who { key: None, start: true, complete: true, admin, ..Who::default() };
        for messages in [&[message.clone(), message.clone()][..], &[]] {
            let parked = Parked {
                messages,
                queue: EVIL,
                more: true,
                verdict: EVIL,
                verdicts: &[(EVIL.to_owned(), 2)],
                who: &who,
                said: layout::said(Some(said)),
            };
            let page = whole(&parked::list(&parked));
            is_safe(&page);
            assert_eq!(page.contains("Delete for good"), admin && !messages.is_empty());
        }
        is_safe(&whole(&parked::one(&message, &who, Some(EVIL))));
    }
    let system = json!({
        "version": EVIL, "ready": false, "missing": [EVIL], "doubts": [EVIL], "engine": {"threads": 2}, "store": {},
        "broker": {"health": EVIL, "why": EVIL}, "settings": {EVIL: EVIL},
    });
    let nodes = [
        json!({"slot": 1, "name": EVIL, "version": EVIL, "status": EVIL, "partitions": 24, "answers": true}),
        json!({"name": EVIL, "status": "ACTIVE"}),
    ];
    is_safe(&whole(&system::page(&system, &nodes)));
}

#[test]
fn bulk_actions_show_hostile_text_as_text() {
    let who = Who { start: true, ..Who::default() };
    let shown = |status: &str, action: &str| {
        json!({
            "bulkActionId": EVIL, "action": action, "query": EVIL, "status": status, "by": EVIL, "cause": EVIL,
            "startDate": 1.5, "stopDate": 2.5, "expected": 7, "expectedMore": true, "done": 3, "refused": 2,
            "refusals": [{"id": EVIL, "why": EVIL}],
        })
    };
    for action in ["STOP", "REDRIVE", "REPLAY", EVIL] {
        for (expected, why) in [(Ok((7, true)), Some(EVIL)), (Ok((0, false)), None), (Err(EVIL), None)] {
            let plan = bulk::Plan { query: EVIL, action, expected, why };
            is_safe(&whole(&bulk::plan(&plan)));
        }
        let all = [shown("RUNNING", action), shown("COMPLETED", action), shown(EVIL, action)];
        for bulk in &all {
            is_safe(&whole(&bulk::one(bulk, &who)));
        }
        is_safe(&whole(&bulk::list(&all, &who)));
    }
    is_safe(&whole(&bulk::list(&[], &who)));
}

#[test]
fn a_map_run_shows_hostile_text_as_text() {
    let run = json!({"status": "RUNNING", "maxConcurrency": 7, "mapRunArn": EVIL});
    let (parent, who) = (
        row(ExecutionStatus::Running),
        Who { key: None, start: true, complete: true, admin: true, payload: true, by_proxy: false },
    );
    for only in [None, Some(ExecutionStatus::Failed)] {
        let of = MapRun {
            run: &run,
            id: EVIL,
            parent: &parent,
            items: &[Some(Standing::Failed), None],
            counts: &[(ExecutionStatus::Failed, 1)],
            children: &[row(ExecutionStatus::Failed), row(ExecutionStatus::Running)],
            only,
            more: Some(EVIL.to_owned()),
            now: at(9_000),
            who: &who,
            said: html! {},
        };
        is_safe(&whole(&map_run::page(&of)));
    }
}

#[test]
fn a_fork_shows_hostile_text_as_text() {
    let filled = Filled { name: EVIL.to_owned(), input: EVIL.to_owned(), variables: EVIL.to_owned() };
    let entered = || fork::Entered { event: EventId(3), at: at(5) };
    let form = fork::Form {
        row: &row(ExecutionStatus::Failed),
        beginnings: &[Beginning { name: EVIL.to_owned(), visits: 2 }, Beginning { name: EVIL.to_owned(), visits: 0 }],
        state: EVIL,
        event: Some(EventId(3)),
        entered: &[entered(), entered()],
        filled: &filled,
        why: Some(EVIL),
    };
    is_safe(&whole(&fork::page(&form)));
}

#[test]
fn an_execution_shows_hostile_text_as_text() {
    let (story, who) = (story(), Who { start: true, complete: true, admin: true, ..Who::default() });
    for status in ExecutionStatus::ALL {
        let (row, lineage) = (row(status), lineage());
        let items = [(story.visits[0].pointer.clone(), evil_items())].into();
        for tab in [ViewTab::Graph, ViewTab::Events, ViewTab::Definition] {
            for part in [Part::State, Part::Input, Part::Output, Part::Attempts] {
                let event = json!({
                    "id": 3, "timestamp": 1.5, "type": EVIL,
                    "taskFailedEventDetails": {"resourceType": EVIL, "resource": EVIL, "error": EVIL, "cause": EVIL},
                });
                let view = View {
                    row: &row,
                    now: at(10_000),
                    who: &who,
                    tab,
                    part,
                    story: &story,
                    chosen: story.visits.first(),
                    asked: &[asked()],
                    graph: String::new(),
                    items: &items,
                    events: Some(Events { shown: vec![event], older: Some(3), from: Some(4), find: EVIL.to_owned() }),
                    definition: EVIL,
                    lineage: &lineage,
                    runs: vec![(EVIL.to_owned(), EVIL.to_owned())],
                    run: Some(EVIL.to_owned()),
                    said: layout::said(Some(EVIL)),
                };
                is_safe(&whole(&execution::page(&view)));
            }
        }
    }
}

#[test]
fn the_graph_shows_hostile_text_as_text() {
    let definition = json!({"StartAt": EVIL, "Comment": EVIL, "States": {
        EVIL: {"Type": EVIL, "Next": "Choose", "Resource": EVIL, "Catch": [{"ErrorEquals": [EVIL], "Next": "Choose"}]},
        "Choose": {"Type": "Choice", "Choices": [{"Variable": EVIL, "StringEquals": EVIL, "Next": EVIL}]},
    }});
    let story = story();
    let svg = crate::console::read::execution::graph(
        &definition.to_string(),
        Some((&story, &[(story.visits[0].pointer.clone(), evil_items())].into())),
        Some(&story.visits[0].pointer),
        Some("x?state=".to_owned()),
    );
    assert!(svg.contains("waiting") && svg.contains("chosen"), "{svg}");
    is_safe(&whole(&html! { (layout::drawing(svg)) }));
}

#[test]
fn lists_show_hostile_text_as_text() {
    let items = [
        executions::Item { row: row(ExecutionStatus::Failed), waits: vec![] },
        executions::Item { row: row(ExecutionStatus::Running), waits: vec![EVIL.to_owned()] },
    ];
    for items in [&items[..], &[]] {
        let list = executions::List {
            query: EVIL,
            unknown: &[EVIL.to_owned()],
            items,
            more: Some(EVIL.to_owned()),
            searched: Some(3),
            counts: &[],
            now: at(9_000),
            fresh: false,
            who: &Who { start: true, ..Who::default() },
            said: layout::said(Some(EVIL)),
        };
        is_safe(&whole(&executions::list(&list)));
    }
    let waits = DestinationWaits { destination: EVIL.to_owned(), queue: true, count: 2, oldest: at(0) };
    let looks =
        [Looked::Missing, Looked::Unknown, Looked::NoQueue, Looked::There(QueueView { ready: 1, consumers: 2 })];
    let rows: Vec<_> = looks.into_iter().map(|look| (waits.clone(), look)).collect();
    is_safe(&whole(&queues::list(&rows, at(9_000))));
    is_safe(&whole(&sign_in::form(Some(EVIL))));
    is_safe(&whole(&layout::trouble(EVIL, EVIL)));
}

#[test]
fn counts_that_were_not_counted_to_their_end_say_so() {
    let counts = [
        (ExecutionStatus::Running, u64::from(executions::COUNTED_MAX)),
        (ExecutionStatus::Succeeded, u64::from(executions::COUNTED_MAX) - 1),
    ];
    let list = executions::List {
        query: "",
        unknown: &[],
        items: &[],
        more: None,
        searched: None,
        counts: &counts,
        now: at(9_000),
        fresh: false,
        who: &Who::default(),
        said: layout::said(None),
    };
    let page = whole(&executions::list(&list));
    assert!(page.contains("1,000+") && page.contains("999<"), "{page}");
}

#[test]
fn the_inbox_shows_hostile_text_as_text() {
    let expected = Expected {
        answers: vec![Answer { label: EVIL.to_owned(), output: json!(EVIL) }],
        fields: vec![EVIL.to_owned()],
        errors: vec![EVIL.to_owned()],
        comment: Some(EVIL.to_owned()),
    };
    let (row, arn) = (row(ExecutionStatus::Running), Arn::new(EVIL));
    let rows = [WaitRow { execution: row.header.id, arn: arn.clone(), state_machine: arn, wait: wait() }];
    let key = TaskKey { execution: row.header.id, scheduled: EventId(4) };
    let form = evil_form();
    let claim = Claim { by: EVIL.to_owned(), until: at(99_000) };
    let claims = [(inbox::address(&key), claim)].into();
    let titles = [(inbox::address(&key), EVIL.to_owned())].into();
    let answered = Answered {
        at: 5,
        by: EVIL.to_owned(),
        said: EVIL.to_owned(),
        state: EVIL.to_owned(),
        execution: EVIL.to_owned(),
        name: EVIL.to_owned(),
        machine: EVIL.to_owned(),
    };
    is_safe(&whole(&inbox::answered(&[answered], Some(EVIL), at(9_000))));
    for (complete, form, marked) in [
        (true, Ok(Some(&form)), true),
        (true, Ok(Some(&form)), false),
        (true, Err(EVIL), false),
        (false, Ok(None), false),
    ] {
        let who = Who { key: None, start: false, complete, admin: complete, ..Who::default() };
        let entered = Entered {
            fields: vec![("f0".to_owned(), EVIL.to_owned()), ("f5".to_owned(), EVIL.to_owned())],
            wrong: vec![
                Wrong { field: "f5".to_owned(), label: EVIL.to_owned(), why: EVIL.to_owned() },
                Wrong { field: EVIL.to_owned(), label: EVIL.to_owned(), why: EVIL.to_owned() },
            ],
        };
        let entered = if marked { entered } else { Entered::default() };
        let link = Some(if marked { Ok(EVIL.to_owned()) } else { Err(EVIL.to_owned()) });
        let typed = Some(Typed { output: EVIL.to_owned(), why: EVIL.to_owned(), entered, link });
        let open = Open { key, row: &row, asked: asked(), expected: &expected, form, parameters: EVIL, typed };
        let shown = Inbox {
            rows: &rows,
            machine: EVIL,
            queue: EVIL,
            claims: &claims,
            titles: &titles,
            me: if marked { EVIL.to_owned() } else { "olga (console)".to_owned() },
            more: Some(EVIL.to_owned()),
            now: at(9_000),
            who: &who,
            open: Some(open),
            up: "../",
            said: html! {},
        };
        let page = whole(&inbox::inbox(&shown));
        is_safe(&page);
        assert_eq!(page.contains("Your answer"), complete, "what is not allowed is not drawn");
    }
}

#[test]
fn machines_show_hostile_text_as_text() {
    let arn = Arn::new(EVIL);
    let revision = Revision {
        id: RevisionId(Uuid::nil()),
        machine: arn.clone(),
        initial: true,
        definition: EVIL.to_owned(),
        role_arn: EVIL.to_owned(),
        configuration: json!({}),
        made: at(0),
    };
    let row = MachineRow {
        arn: arn.clone(),
        name: EVIL.to_owned(),
        kind: MachineType::Express,
        created: at(0),
        deleting: true,
        revision,
    };
    let admin = Who { key: None, start: true, complete: true, admin: true, payload: true, by_proxy: false };
    let listed = Listed { row: row.clone(), running: u64::from(executions::COUNTED_MAX), failed: 999 };
    let list = whole(&machines::list(&[listed], Some(EVIL), &admin));
    assert!(list.contains("1,000+") && list.contains(">999<"), "{list}");
    is_safe(&list);
    let version = VersionRow {
        arn: arn.clone(),
        machine: arn.clone(),
        number: 1,
        revision: RevisionId(Uuid::nil()),
        description: Some(EVIL.to_owned()),
        created: at(0),
    };
    let alias = AliasRow {
        arn: arn.clone(),
        machine: arn.clone(),
        name: EVIL.to_owned(),
        description: None,
        routes: vec![(arn, 100)],
        created: at(0),
        updated: at(0),
    };
    let diagnostics = crate::asl::diagnose(EVIL, crate::asl::MachineType::Standard, crate::asl::Severity::Warning);
    assert!(!diagnostics.is_empty());
    let who = Who { start: true, ..Who::default() };
    let machine = Machine {
        row: &row,
        graph: String::new(),
        diagnostics: &diagnostics,
        versions: &[version],
        aliases: &[alias],
        who: &who,
        refused: Some((EVIL.to_owned(), EVIL.to_owned())),
        said: html! {},
    };
    is_safe(&whole(&machines::one(&machine)));
    is_safe(&whole(&machines::one(&Machine {
        who: &admin,
        refused: None,
        said: html! {},
        graph: String::new(),
        ..machine
    })));
    let filled = editor::Filled {
        name: EVIL.to_owned(),
        express: true,
        role: EVIL.to_owned(),
        definition: EVIL.to_owned(),
        publish: true,
        description: EVIL.to_owned(),
    };
    for edited in [Edited::Machine(EVIL), Edited::New] {
        let editor = Editor {
            edited,
            filled: &filled,
            graph: String::new(),
            diagnostics: &diagnostics,
            checked: true,
            why: Some(EVIL),
        };
        is_safe(&whole(&editor::page(&editor)));
    }
    let lines = [Line::Same(EVIL), Line::Removed(EVIL), Line::Added(EVIL)];
    let of = Difference { machine: EVIL, from: EVIL, to: EVIL, names: &[EVIL.to_owned()], lines: &lines };
    is_safe(&whole(&editor::difference(&of)));
}

#[test]
fn the_page_of_a_link_shows_hostile_text_as_text() {
    let (form, task) = (evil_form(), TaskKey { execution: ExecutionId(Uuid::nil()), scheduled: EventId(4) });
    let own = Link { task, actions: 1, until: 9, audience: EVIL.to_owned(), maker: EVIL.to_owned() };
    let asked = link::Asked { form: &form, state: EVIL, code: EVIL, link: &own, entered: None, why: Some(EVIL) };
    let page = whole(&link::task(&asked));
    is_safe(&page);
    assert!(page.contains("value=\"0\"") && !page.contains("name=\"action\" value=\"1\""), "one button is allowed");
    let attempt = story().visits[0].attempts[0].clone();
    for content in [
        link::code(Some(EVIL)),
        link::thanks(EVIL),
        link::sign_in_first(false),
        link::sign_in_first(true),
        link::said(EVIL, EVIL),
        link::over(EVIL, &attempt, Some(EVIL), true, at(9_000)),
    ] {
        is_safe(&whole(&content));
    }
}
