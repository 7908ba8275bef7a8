//! The catalog's promises.

use crate::ids::Arn;
use crate::store::{
    AliasRow, Closing, Epoch, ExecutionHeader, ExecutionStatus, MachineRow, MapRunRow, NoteRow, Revision, StoreError,
    Summary, VersionRow,
};

use super::Store;
use super::given::{
    activity, alias, append, at, create, header, id, machine, machine_arn, never, revision, revision_id, running,
    succeeded, under,
};

fn names<T>(rows: &[T], name: impl Fn(&T) -> &str) -> Vec<String> {
    rows.iter().map(|row| name(row).to_owned()).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn is_not_found<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::NotFound { .. })), "{result:?}");
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn is_taken<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::AlreadyExists { .. })), "{result:?}");
}

async fn publish(store: &dyn Store, name: &str, n: u32) -> VersionRow {
    store.put_version(&machine_arn(name), revision_id(n), Some(format!("v{n}")), at(7)).await.unwrap()
}

pub async fn a_machine_is_found_listed_and_not_made_twice(store: &dyn Store) {
    for (n, name) in [(1, "b"), (2, "a"), (3, "c")] {
        store.put_machine(machine(name, n)).await.unwrap();
    }
    is_taken(store.put_machine(machine("a", 9)).await);
    assert_eq!(store.revision(revision_id(9)).await.unwrap(), None, "the refused one left no revision");
    is_taken(store.put_machine(machine("d", 1)).await);
    assert_eq!(store.machine(&machine_arn("d")).await.unwrap(), None, "a revision belongs to one machine");

    assert_eq!(store.machine(&machine_arn("a")).await.unwrap(), Some(machine("a", 2)));
    assert_eq!(store.machine(&machine_arn("x")).await.unwrap(), None);
    let all = store.machines(None, 9).await.unwrap();
    assert_eq!(all, [machine("a", 2), machine("b", 1), machine("c", 3)], "by name");
    assert_eq!(store.machines(None, 2).await.unwrap(), all[..2]);
    assert_eq!(store.machines(Some(machine_arn("a")), 9).await.unwrap(), all[1..]);
}

pub async fn an_update_makes_another_revision_current(store: &dyn Store) {
    store.put_machine(machine("m", 1)).await.unwrap();
    store.update_machine(&machine_arn("m"), revision("m", 2)).await.unwrap();
    assert_eq!(store.machine(&machine_arn("m")).await.unwrap().unwrap().revision, revision("m", 2));
    assert_eq!(store.revision(revision_id(2)).await.unwrap(), Some(revision("m", 2)));
    is_taken(store.update_machine(&machine_arn("m"), revision("m", 1)).await);
    is_not_found(store.update_machine(&machine_arn("x"), revision("x", 3)).await);
    assert_eq!(store.revision(revision_id(3)).await.unwrap(), None);
}

pub async fn a_revision_stays_while_an_execution_or_version_points_at_it(store: &dyn Store) {
    store.put_machine(machine("m", 1)).await.unwrap();
    create(store, header(1), running()).await;
    create(store, header(2), succeeded(5)).await;
    for n in 2..=4 {
        store.update_machine(&machine_arn("m"), revision("m", n)).await.unwrap();
    }
    let version = publish(store, "m", 2).await;

    assert_eq!(store.purge(at(100), 9).await.unwrap(), 1);
    assert!(store.revision(revision_id(1)).await.unwrap().is_some(), "execution 1 runs it");
    assert!(store.revision(revision_id(2)).await.unwrap().is_some(), "version 1 is it");
    assert!(store.revision(revision_id(3)).await.unwrap().is_none(), "nothing points at it");
    assert!(store.revision(revision_id(4)).await.unwrap().is_some(), "it is current");
    let late = ExecutionHeader { revision: revision_id(3), ..header(3) };
    is_not_found(store.create(late, append(3, 0, 1, running()), never()).await);

    store.append(append(1, 2, 1, succeeded(6))).await.unwrap();
    store.delete_version(&version.arn).await.unwrap();
    assert_eq!(store.purge(at(100), 9).await.unwrap(), 1);
    assert!(store.revision(revision_id(1)).await.unwrap().is_none());
    assert!(store.revision(revision_id(2)).await.unwrap().is_none());
    assert!(store.revision(revision_id(4)).await.unwrap().is_some());
}

pub async fn a_deleted_machine_goes_when_nothing_of_it_runs(store: &dyn Store) {
    let arn = machine_arn("m");
    store.put_machine(machine("m", 1)).await.unwrap();
    store.put_machine(machine("stays", 2)).await.unwrap();
    create(store, header(1), running()).await;
    let version = publish(store, "m", 1).await;
    store.put_alias(alias("m", "live", &version.arn), false).await.unwrap();

    for _ in 0..2 {
        store.delete_machine(&arn).await.unwrap();
    }
    assert!(store.machine(&arn).await.unwrap().unwrap().deleting);
    assert_eq!(store.version(&version.arn).await.unwrap(), None);
    assert_eq!(store.alias(&alias("m", "live", &version.arn).arn).await.unwrap(), None);
    is_taken(store.put_machine(machine("m", 3)).await);
    assert_eq!(store.reap_machines().await.unwrap(), 0);

    store.append(append(1, 2, 1, succeeded(9))).await.unwrap();
    assert_eq!(store.reap_machines().await.unwrap(), 1);
    assert_eq!(store.machine(&arn).await.unwrap(), None);
    assert!(store.revision(revision_id(1)).await.unwrap().is_some(), "the closed execution still shows its definition");
    assert!(store.machine(&machine_arn("stays")).await.unwrap().is_some());
    store.put_machine(machine("m", 3)).await.unwrap();
    store.purge(at(100), 9).await.unwrap();
    assert!(store.revision(revision_id(1)).await.unwrap().is_none());
}

pub async fn version_numbers_are_never_given_out_again(store: &dyn Store) {
    let arn = machine_arn("m");
    store.put_machine(machine("m", 1)).await.unwrap();
    let first = publish(store, "m", 1).await;
    assert_eq!((first.number, first.arn.as_str()), (1, format!("{arn}:1").as_str()));
    store.update_machine(&arn, revision("m", 2)).await.unwrap();
    let second = publish(store, "m", 2).await;
    assert_eq!(store.versions(&arn, None, 9).await.unwrap(), [second.clone(), first.clone()], "highest first");
    assert_eq!(store.versions(&arn, Some(2), 9).await.unwrap(), [first]);
    assert_eq!(store.versions(&arn, None, 1).await.unwrap(), std::slice::from_ref(&second));

    store.delete_version(&second.arn).await.unwrap();
    assert_eq!(store.version(&second.arn).await.unwrap(), None);
    assert_eq!(publish(store, "m", 2).await.number, 3);
    is_not_found(store.delete_version(&second.arn).await);
}

pub async fn the_same_revision_is_published_once(store: &dyn Store) {
    store.put_machine(machine("m", 1)).await.unwrap();
    let first = publish(store, "m", 1).await;
    let again = store.put_version(&machine_arn("m"), revision_id(1), Some("other words".into()), at(99)).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(store.version(&first.arn).await.unwrap(), Some(first));
    is_not_found(store.put_version(&machine_arn("m"), revision_id(8), None, at(1)).await);
    is_not_found(store.put_version(&machine_arn("x"), revision_id(1), None, at(1)).await);
}

pub async fn aliases_are_made_changed_listed_and_deleted(store: &dyn Store) {
    let arn = machine_arn("m");
    store.put_machine(machine("m", 1)).await.unwrap();
    store.put_machine(machine("n", 2)).await.unwrap();
    let version = publish(store, "m", 1).await.arn;
    let live = alias("m", "live", &version);
    for alias in [live.clone(), alias("m", "beta", &version), alias("n", "live", &version)] {
        store.put_alias(alias, false).await.unwrap();
    }
    is_taken(store.put_alias(live.clone(), false).await);
    is_not_found(store.put_alias(alias("m", "none", &version), true).await);
    is_not_found(store.put_alias(alias("x", "live", &version), false).await);

    let changed = AliasRow {
        description: Some("two".into()),
        routes: vec![(version.clone(), 90), (Arn::new("m:2"), 10)],
        updated: at(9),
        ..live.clone()
    };
    store.put_alias(changed.clone(), true).await.unwrap();
    assert_eq!(store.alias(&live.arn).await.unwrap(), Some(changed.clone()));
    assert_eq!(
        store.aliases(&arn, None, 9).await.unwrap(),
        [changed, alias("m", "beta", &version)],
        "a change keeps the place"
    );
    assert_eq!(names(&store.aliases(&arn, Some(live.arn.clone()), 9).await.unwrap(), |a| &a.name), ["beta"]);
    assert_eq!(store.aliases(&arn, None, 1).await.unwrap().len(), 1);
    store.delete_alias(&live.arn).await.unwrap();
    assert_eq!(store.alias(&live.arn).await.unwrap(), None);
    is_not_found(store.delete_alias(&live.arn).await);
}

pub async fn activities_are_made_listed_and_deleted(store: &dyn Store) {
    for name in ["b", "a", "c"] {
        store.put_activity(activity(name)).await.unwrap();
    }
    is_taken(store.put_activity(activity("a")).await);
    assert_eq!(store.activity(&activity("a").arn).await.unwrap(), Some(activity("a")));
    assert_eq!(store.activities(None, 9).await.unwrap(), ["b", "a", "c"].map(activity), "in the order of creation");
    assert_eq!(store.activities(Some(activity("b").arn), 1).await.unwrap(), [activity("a")]);
    store.delete_activity(&activity("a").arn).await.unwrap();
    assert_eq!(store.activity(&activity("a").arn).await.unwrap(), None);
    is_not_found(store.delete_activity(&activity("a").arn).await);
}

pub async fn a_listing_goes_on_after_a_row_that_is_gone(store: &dyn Store) {
    for (n, name) in [(1, "a"), (2, "b"), (3, "c")] {
        store.put_machine(machine(name, n)).await.unwrap();
        store.put_activity(activity(name)).await.unwrap();
    }
    store.delete_machine(&machine_arn("a")).await.unwrap();
    assert_eq!(store.reap_machines().await.unwrap(), 1);
    store.delete_activity(&activity("a").arn).await.unwrap();
    assert_eq!(names(&store.machines(Some(machine_arn("a")), 9).await.unwrap(), |m| &m.name), ["b", "c"]);
    assert_eq!(names(&store.activities(Some(activity("a").arn), 9).await.unwrap(), |a| &a.name), ["b", "c"]);

    store.put_activity(activity("a")).await.unwrap();
    assert_eq!(store.activities(Some(activity("a").arn), 9).await.unwrap(), [], "made again, it stands last");
    is_not_found(store.activities(Some(machine_arn("never")), 9).await);
}

pub async fn tags_are_set_replaced_removed_and_go_with_their_resource(store: &dyn Store) {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let arn = activity("a").arn;
    store.put_activity(activity("a")).await.unwrap();
    store.tag(&arn, vec![pair("z", "1"), pair("a", "2"), pair("m", "3")], vec![]).await.unwrap();
    store.tag(&arn, vec![pair("a", "4")], vec!["z".into(), "none".into()]).await.unwrap();
    assert_eq!(store.tags(&arn).await.unwrap(), [pair("a", "4"), pair("m", "3")], "in the order of keys");
    assert_eq!(store.tags(&machine_arn("other")).await.unwrap(), []);
    store.delete_activity(&arn).await.unwrap();
    assert_eq!(store.tags(&arn).await.unwrap(), []);

    store.put_machine(machine("m", 1)).await.unwrap();
    store.tag(&machine_arn("m"), vec![pair("k", "v")], vec![]).await.unwrap();
    store.delete_machine(&machine_arn("m")).await.unwrap();
    assert_eq!(store.tags(&machine_arn("m")).await.unwrap().len(), 1);
    store.reap_machines().await.unwrap();
    assert_eq!(store.tags(&machine_arn("m")).await.unwrap(), []);
}

pub async fn map_runs_are_put_changed_and_listed_by_execution(store: &dyn Store) {
    let run = |n: u32, of: u32| MapRunRow {
        arn: Arn::new(format!("run{n}")),
        execution: id(of),
        started: at(i64::from(n)),
        stopped: None,
        body: serde_json::json!({"n": n, "tolerated": 12.5}),
    };
    for (n, of) in [(2, 1), (1, 1), (3, 2)] {
        store.put_map_run(run(n, of), under(1)).await.unwrap();
    }
    let done = MapRunRow { stopped: Some(at(9)), body: serde_json::json!({"done": true}), ..run(2, 1) };
    store.put_map_run(done.clone(), under(1)).await.unwrap();
    let late = store.put_map_run(run(2, 1), under(7)).await;
    assert!(matches!(late, Err(StoreError::Fenced { execution, epoch: Epoch(7) }) if execution == id(1)), "{late:?}");
    assert_eq!(store.map_run(&done.arn).await.unwrap(), Some(done.clone()));
    assert_eq!(store.map_run(&Arn::new("none")).await.unwrap(), None);
    assert_eq!(store.map_runs(id(1), None, 9).await.unwrap(), [done.clone(), run(1, 1)], "in the order of creation");
    assert_eq!(store.map_runs(id(1), Some(done.arn), 9).await.unwrap(), [run(1, 1)]);
    assert_eq!(store.map_runs(id(9), None, 9).await.unwrap(), []);
}

pub async fn notes_are_put_listed_taken_once_and_go_with_their_time(store: &dyn Store) {
    let note = |kind: &str, key: &str, body: &str, until: Option<i64>| NoteRow {
        kind: kind.into(),
        key: key.into(),
        body: body.into(),
        until: until.map(at),
    };
    for given in [note("form", "b", "1", None), note("form", "a", "2", None), note("claim", "a", "3", Some(10))] {
        store.put_note(given, true, at(1)).await.unwrap();
    }
    is_taken(store.put_note(note("form", "a", "9", None), true, at(2)).await);
    store.put_note(note("form", "a", "4", Some(50)), false, at(2)).await.unwrap();
    let forms = [note("form", "a", "4", Some(50)), note("form", "b", "1", None)];
    assert_eq!(store.notes("form", None, 9).await.unwrap(), forms, "in the order of keys");
    assert_eq!(store.notes("form", Some("a".into()), 9).await.unwrap(), forms[1..]);
    assert_eq!(store.notes("form", None, 1).await.unwrap(), forms[..1]);
    assert_eq!(store.note("claim", "a").await.unwrap(), Some(note("claim", "a", "3", Some(10))));
    is_taken(store.put_note(note("claim", "a", "5", Some(30)), true, at(9)).await);
    store.put_note(note("claim", "a", "5", Some(30)), true, at(10)).await.unwrap();
    assert_eq!(store.take_note("claim", "a").await.unwrap().map(|note| note.body), Some("5".to_owned()));
    assert_eq!(store.take_note("claim", "a").await.unwrap(), None);
    store.put_note(note("claim", "x", "6", None), true, at(50)).await.unwrap();
    assert_eq!(store.notes("form", None, 9).await.unwrap(), forms[1..], "the other's time was over");
}

pub async fn a_setting_of_the_engine_is_replaced(store: &dyn Store) {
    store.put_setting("waits", "written").await.unwrap();
    assert_eq!(store.fix_setting("waits", "other").await.unwrap(), "written");
    store.put_setting("waits", "again").await.unwrap();
    assert_eq!(store.fix_setting("waits", "other").await.unwrap(), "again");
}

pub async fn a_setting_is_fixed_by_its_first_value(store: &dyn Store) {
    assert_eq!(store.fix_setting("partitions", "16").await.unwrap(), "16");
    assert_eq!(store.fix_setting("partitions", "32").await.unwrap(), "16");
    assert_eq!(store.fix_setting("other", "x").await.unwrap(), "x");
    store.ping().await.unwrap();
}

pub async fn texts_of_clients_come_back_as_they_were(store: &dyn Store) {
    let text = "a\0b – \u{1F980}\n\\x00'\"";
    let owner = MachineRow { revision: Revision { role_arn: text.into(), ..revision("m", 1) }, ..machine("m", 1) };
    store.put_machine(owner.clone()).await.unwrap();
    assert_eq!(store.machine(&machine_arn("m")).await.unwrap(), Some(owner));
    let version = store.put_version(&machine_arn("m"), revision_id(1), Some(text.into()), at(1)).await.unwrap();
    assert_eq!(store.version(&version.arn).await.unwrap().unwrap().description.as_deref(), Some(text));
    let live = AliasRow { description: Some(text.into()), ..alias("m", "live", &version.arn) };
    store.put_alias(live.clone(), false).await.unwrap();
    assert_eq!(store.alias(&live.arn).await.unwrap(), Some(live));
    store.tag(&machine_arn("m"), vec![(text.into(), text.into())], vec![]).await.unwrap();
    assert_eq!(store.tags(&machine_arn("m")).await.unwrap(), [(text.to_owned(), text.to_owned())]);

    let closing = Closing { at: at(9), output: None, error: Some(text.into()), cause: Some(text.into()) };
    let summary = Summary { status: ExecutionStatus::Failed, closed: Some(closing), ..Summary::default() };
    create(store, ExecutionHeader { trace_header: Some(text.into()), ..header(1) }, summary.clone()).await;
    let row = store.execution(id(1)).await.unwrap().unwrap();
    assert_eq!((row.header.trace_header.as_deref(), row.summary), (Some(text), summary));
}

pub async fn what_is_not_there_is_not_found(store: &dyn Store) {
    let unknown = machine_arn("unknown");
    assert_eq!(store.version(&unknown).await.unwrap(), None);
    assert_eq!(store.alias(&unknown).await.unwrap(), None);
    assert_eq!(store.versions(&unknown, None, 9).await.unwrap(), []);
    assert_eq!(store.aliases(&unknown, None, 9).await.unwrap(), []);
    is_not_found(store.delete_machine(&unknown).await);
    assert_eq!(store.reap_machines().await.unwrap(), 0);
    assert_eq!(store.purge(at(i64::MAX), 9).await.unwrap(), 0);
}
