//! A store with everything in it goes to PostgreSQL and back. Needs a server: `REVEILLE_TEST_POSTGRES_URL`.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::tables::KEPT;
use super::*;
use crate::ids::{Arn, EventId, TaskKey, Version};
use crate::store::contract::given::{
    activity, alias, append, at, batch, create, due, failed, header, id, machine, machine_arn, revision, revision_id,
    running, succeeded, under,
};
use crate::store::postgres::{self, Postgres};
use crate::store::sqlite::{self, Sqlite};
use crate::store::{Append, ExecutionHeader, Kinship, MapRunRow, NoteRow, Summary, Wait, WaitChange, WaitFilter};

const EXECUTIONS: u64 = 8;

fn run_arn() -> Arn {
    Arn::new("arn:aws:states:us-east-1:1:mapRun:m/All:7")
}

fn wait(n: u64) -> Wait {
    Wait {
        scheduled: EventId(n),
        state: "Ask \u{0}".into(),
        resource: "amqp:publish.waitForTaskToken".into(),
        destination: format!("work-{n}"),
        queue: true,
        since: at(30),
        timeout: Some(at(900)),
        heartbeat_due: Some(at(400)),
        last_heartbeat: Some(at(300)),
        attempt: 2,
        submitted: true,
    }
}

/// Everything that a store may hold.
async fn fill(store: &Sqlite) {
    store.fix_setting(PARTITIONS, "2").await.unwrap();
    store.fix_setting("store.id", "an-id").await.unwrap();
    store.fix_setting(STATE, WHOLE).await.unwrap();
    store.put_machine(machine("m", 1)).await.unwrap();
    store.put_version(&machine_arn("m"), revision_id(1), Some("first\u{0}".into()), at(2)).await.unwrap();
    for n in [2, 3] {
        store.update_machine(&machine_arn("m"), revision("m", n)).await.unwrap();
        store.put_version(&machine_arn("m"), revision_id(n), None, at(3)).await.unwrap();
    }
    // Number 3 is not given out again; no machine names revision 2 any more.
    store.delete_version(&Arn::new(format!("{}:3", machine_arn("m")))).await.unwrap();
    let first = Arn::new(format!("{}:1", machine_arn("m")));
    store.put_alias(alias("m", "zebra", &first), false).await.unwrap();
    store.put_alias(alias("m", "ape", &first), false).await.unwrap();
    store.put_machine(machine("gone", 4)).await.unwrap();
    for name in ["z", "y", "a"] {
        store.put_activity(activity(name)).await.unwrap();
    }
    store.delete_activity(&activity("y").arn).await.unwrap();
    let tags = vec![("k\u{0}".into(), "v".into()), ("a".into(), String::new())];
    store.tag(&machine_arn("m"), tags, Vec::new()).await.unwrap();
    for (key, until) in [("one", None), ("two", Some(at(10_000)))] {
        let note = NoteRow { kind: "form".into(), key: key.into(), body: r#"{"ä":1}"#.into(), until };
        store.put_note(note, true, at(1)).await.unwrap();
    }

    create(store, header(1), succeeded(20)).await;
    // The next one takes its name.
    let named = ExecutionHeader { arn: header(1).arn, name: header(1).name, ..header(2) };
    store.create(named, append(2, 0, 2, failed(40)), at(1_000)).await.unwrap();
    // Waits for a task, with a heartbeat that took the place of another.
    create(store, header(3), running()).await;
    store.append(append(3, 2, 1, running())).await.unwrap();
    let waits = [7, 9].map(|n| WaitChange::Put(wait(n))).to_vec();
    let beaten = Append { batch: batch(2, 4, "four beats"), replaces: 1, waits, ..append(3, 0, 0, due(500)) };
    let beaten = Append { summary: Summary { tasks: 2, owes: true, ..due(500) }, ..beaten };
    store.append(beaten).await.unwrap();
    // A child whose parent has not heard of its end, and which was redriven.
    let parent = Some(TaskKey { execution: id(3), scheduled: EventId(7) });
    create(store, ExecutionHeader { parent, ..header(4) }, running()).await;
    let owes = Summary { owes_parent: true, redrive_count: 3, redriven_at: Some(at(70)), ..failed(90) };
    store.append(append(4, 2, 1, owes)).await.unwrap();
    // A child of a map run, of an alias and a version.
    let of_run = ExecutionHeader {
        map_run: Some(run_arn()),
        item_index: Some(17),
        version_arn: Some(first.clone()),
        alias_arn: Some(alias("m", "ape", &first).arn),
        trace_header: Some("Root=1-\u{0}".into()),
        ..header(5)
    };
    create(store, of_run, succeeded(60)).await;
    let run = MapRunRow {
        arn: run_arn(),
        execution: id(3),
        started: at(4),
        stopped: None,
        body: serde_json::json!({"x": [1, null]}),
    };
    store.put_map_run(run, under(1)).await.unwrap();
    create(store, ExecutionHeader { forked: Some(id(1)), ..header(6) }, due(700)).await;
    // A journal that is read in several pieces.
    create(store, header(7), running()).await;
    for n in 0..3 {
        let large = Append { batch: batch(2 + n, 1, &"x".repeat(700 * 1024)), ..append(7, 0, 0, running()) };
        store.append(large).await.unwrap();
    }
    // Its machine is being deleted.
    let last = ExecutionHeader { state_machine: machine_arn("gone"), revision: revision_id(4), ..header(8) };
    create(store, last, running()).await;
    store.delete_machine(&machine_arn("gone")).await.unwrap();
}

/// All that the port shows, as text.
async fn shown(store: &dyn Portable) -> Vec<String> {
    let mut all = Vec::new();
    let mut show = |what: &dyn std::fmt::Debug| all.push(format!("{what:?}"));
    show(&store.machines(None, 100).await.unwrap());
    for n in 1..=4 {
        show(&store.revision(revision_id(n)).await.unwrap());
    }
    show(&store.versions(&machine_arn("m"), None, 100).await.unwrap());
    show(&store.aliases(&machine_arn("m"), None, 100).await.unwrap());
    show(&store.activities(None, 100).await.unwrap());
    show(&store.tags(&machine_arn("m")).await.unwrap());
    show(&store.notes("form", None, 100).await.unwrap());
    show(&store.map_runs(id(3), None, 100).await.unwrap());
    show(&store.waits(WaitFilter { limit: 100, ..WaitFilter::default() }).await.unwrap());
    show(&store.waits_by_destination(100).await.unwrap());
    let mut rows = store.list(ExecutionFilter { limit: 100, ..ExecutionFilter::default() }).await.unwrap();
    for row in &mut rows {
        row.header.partition = PartitionId(0);
    }
    assert_eq!(rows.len() as u64, EXECUTIONS);
    show(&rows);
    for n in 1..=8 {
        show(&store.load(id(n)).await.unwrap());
        show(&store.execution_by_arn(&header(n).arn).await.unwrap().map(|row| row.header.id));
        for kinship in [Kinship::Child, Kinship::Fork] {
            let kin = store.kin(id(n), kinship, None, 100).await.unwrap();
            show(&kin.iter().map(|row| row.header.id).collect::<Vec<_>>());
        }
    }
    let figures = store.figures();
    show(&(figures.open_executions, figures.open_tasks));
    show(&store.fix_setting("store.id", "another").await.unwrap());
    all
}

fn quiet(_: Progress) {}

fn file(folder: &tempfile::TempDir, name: &str) -> Sqlite {
    Sqlite::open(folder.path().join(name), sqlite::Options::default()).unwrap()
}

async fn database(url: &str) -> Postgres {
    Postgres::open(url, postgres::Options::default()).await.unwrap()
}

#[tokio::test]
async fn a_store_goes_to_postgres_and_back_with_everything_in_it() {
    let Some(url) = postgres::tests::fresh() else { return };
    let folder = tempfile::tempdir().unwrap();
    let source = file(&folder, "source.db");
    fill(&source).await;
    let before = shown(&source).await;

    let there = database(&url).await;
    let told = Mutex::new(Vec::new());
    let made = copy(&source, &there, 5, &|progress| told.lock().unwrap().push(progress)).await.unwrap();
    assert_eq!((made.executions, made.open, made.partitions), (EXECUTIONS, 4, 5));
    assert_eq!(made.batches, EXECUTIONS + 5);
    assert_eq!(told.lock().unwrap().last(), Some(&Progress { compares: true, executions: 8, of: 8 }));
    assert_eq!(shown(&there).await, before);
    let partition = there.execution(id(7)).await.unwrap().unwrap().header.partition;
    assert_eq!(partition, PartitionId::of(id(7), 5));
    assert_eq!(there.fix_setting(PARTITIONS, "9").await.unwrap(), "5");
    must_be_whole(&there).await.unwrap();
    there.close().await;

    let (there, back) = (database(&url).await, file(&folder, "back.db"));
    copy(&there, &back, 5, &quiet).await.unwrap();
    there.close().await;
    back.close().await;
    drop(back);
    let back = file(&folder, "back.db");
    assert_eq!(shown(&back).await, before);
    // It is written like any other: sums, numbers and places go on.
    back.append(append(7, 5, 1, succeeded(99))).await.unwrap();
    back.put_version(&machine_arn("m"), revision_id(3), None, at(8)).await.unwrap();
    let numbers = back.versions(&machine_arn("m"), None, 9).await.unwrap();
    assert_eq!(numbers.iter().map(|version| version.number).collect::<Vec<_>>(), [4, 2, 1]);
    assert_eq!(back.figures().open_executions, 3);
    assert_eq!(back.load(id(7)).await.unwrap().len(), 5);
    // A revision stays as long as something runs it.
    assert_eq!(back.reap_machines().await.unwrap(), 0);
    back.append(append(8, 2, 1, succeeded(99))).await.unwrap();
    assert_eq!(back.reap_machines().await.unwrap(), 1);
    assert!(back.revision(revision_id(4)).await.unwrap().is_some());
    assert_eq!(back.execution(id(3)).await.unwrap().unwrap().version, Version(6));
}

#[tokio::test]
async fn nothing_is_copied_into_a_store_that_is_not_empty_or_from_one_that_is() {
    let folder = tempfile::tempdir().unwrap();
    let (empty, other) = (file(&folder, "empty.db"), file(&folder, "other.db"));
    let refused = |made: StoreResult<CopyMade>| made.unwrap_err().to_string();
    let said = refused(copy(&empty, &other, 2, &quiet).await);
    assert!(said.contains("no server has ever run"), "{said}");
    let source = file(&folder, "source.db");
    fill(&source).await;
    let said = refused(copy(&source, &other, 1, &quiet).await);
    assert!(said.contains("has 2 partitions"), "{said}");
    other.put_activity(activity("a")).await.unwrap();
    let said = refused(copy(&source, &other, 2, &quiet).await);
    assert!(said.contains("not empty (it has activities)"), "{said}");
    assert!(other.machines(None, 1).await.unwrap().is_empty());
}

/// A copy that ends in the middle is no store: no engine begins on it, and nothing is added to it.
#[tokio::test]
async fn a_copy_that_was_cut_short_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (file(&folder, "source.db"), file(&folder, "target.db"));
    fill(&source).await;
    // Damage in the middle of a journal.
    let damage = rusqlite::Connection::open(folder.path().join("source.db")).unwrap();
    damage.execute("DELETE FROM journal WHERE n = (SELECT max(n) - 2 FROM journal)", []).unwrap();
    let said = copy(&source, &target, 2, &quiet).await.unwrap_err();
    assert!(matches!(said, StoreError::Corrupt { .. }), "{said}");
    let said = must_be_whole(&target).await.unwrap_err().to_string();
    assert!(said.contains("not finished"), "{said}");
    let said = copy(&source, &target, 2, &quiet).await.unwrap_err().to_string();
    assert!(said.contains("was not finished"), "{said}");
}

/// A migration that adds a table or a column adds it here too.
#[tokio::test]
async fn each_table_is_copied_column_by_column_or_kept_by_the_store_itself() {
    let wanted = |table: &Table, has_place: bool| {
        let own = table.columns.iter().map(|column| column.name.to_owned());
        own.chain(has_place.then(|| "place".to_owned())).collect::<BTreeSet<String>>()
    };
    let check = |found: Vec<(String, String)>, store: &str| {
        for (table, column) in &found {
            if KEPT.contains(&table.as_str()) {
                continue;
            }
            let known = TABLES.iter().chain([&SETTINGS]).find(|known| known.name == *table);
            let known = known.unwrap_or_else(|| panic!("{store}: the table {table} is not copied"));
            assert!(wanted(known, true).contains(column), "{store}: {table}.{column} is not copied");
        }
        for table in TABLES.iter().chain([&SETTINGS]) {
            let there: BTreeSet<String> =
                found.iter().filter(|(of, _)| of == table.name).map(|(_, column)| column.clone()).collect();
            assert_eq!(there, wanted(table, table.key[0].name == "place"), "{store}: {}", table.name);
        }
    };
    let folder = tempfile::tempdir().unwrap();
    drop(file(&folder, "store.db"));
    let connection = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
    let mut columns = connection
        .prepare(
            "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c \
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'",
        )
        .unwrap();
    let found = columns.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    check(found.map(Result::unwrap).collect(), "SQLite");

    let Some(url) = postgres::tests::fresh() else { return };
    database(&url).await.close().await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let found = client
        .query(
            "SELECT c.table_name::text, c.column_name::text FROM information_schema.columns c \
             JOIN information_schema.tables t USING (table_schema, table_name) \
             WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE'",
            &[],
        )
        .await
        .unwrap();
    check(found.iter().map(|row| (row.get(0), row.get(1))).collect(), "PostgreSQL");
    drop(client);
    connection.await.unwrap().unwrap();
}
