//! The plans of hot statements: none scans a table, however many rows are there and whatever the planner knows of them.

use tokio::sync::oneshot;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::super::commit::{BEGIN, Statement, statements};
use super::super::values::Params;
use super::super::writer::{Create, Write};
use super::super::{listing, look, pieces, purge, rows, waits};
use super::fresh;
use crate::ids::Arn;
use crate::store::contract::given::{append, at, batch, header, id, machine_arn, running, succeeded};
use crate::store::contract::waits::wait;
use crate::store::postgres::{Options, Postgres};
use crate::store::{Append, ExecutionFilter, ExecutionHeader, ExecutionStatus, Node, NodeId, WaitChange, WaitFilter};

/// Executions with all that belongs to them: a tenth is open.
fn fill(n: u32) -> String {
    format!(
        "INSERT INTO executions SELECT lpad(to_hex(i), 32, '0')::uuid, 2, CASE WHEN i % 30 = 0 THEN i END, \
           CASE WHEN i % 10 > 0 THEN i END, NULL, i, md5((i % 7)::text)::uuid, CASE WHEN i % 3 = 0 THEN md5('v')::uuid END, NULL, \
           CASE WHEN i % 5 = 0 THEN md5((i % 50)::text)::uuid END, 1, (i % 100 = 0)::int, i % 16, CASE WHEN i % 10 > 0 THEN 1 ELSE 0 END, \
           i % 90 = 1, i % 20 = 0 FROM generate_series(1, {n}) i; \
         INSERT INTO headers SELECT id, md5(id::text)::uuid, md5((started % 7)::text)::uuid, NULL, NULL, NULL, true, 'arn' || started, 'n', \
           'm', NULL, NULL, NULL, NULL, '{{}}' FROM executions; \
         INSERT INTO closings SELECT id, NULL, NULL, '1' FROM executions WHERE closed IS NOT NULL; \
         INSERT INTO journal (execution, after, events, epoch, bytes) SELECT id, a, 1, 1, '\\x00' FROM executions, generate_series(0, 1) a; \
         INSERT INTO waits SELECT id, 1, machine, md5((started % 100)::text)::uuid, started, NULL, NULL, NULL, 1, true, true, 'q', 's', 'r' \
           FROM executions"
    )
}

fn writes() -> Vec<Write> {
    let answer = || oneshot::channel().0;
    let create = |n: u32| {
        let header = ExecutionHeader { version_arn: Some(Arn::new("v")), map_run: Some(Arn::new("r")), ..header(n) };
        let create = Create {
            header,
            first: append(n, 0, 1, running()),
            reusable_before: at(0),
            releases: Some(uuid::Uuid::nil()),
        };
        Write::Create { create: Box::new(create), answer: answer() }
    };
    let end = |n: u32| {
        let waits = vec![WaitChange::Put(wait(1, "q", 5)), WaitChange::Gone(crate::ids::EventId(2))];
        Write::Append { append: Append { waits, ..append(n, 2, 1, succeeded(5)) }, answer: answer() }
    };
    let beat = |n: u32| {
        let append = Append { batch: batch(1, 2, "beats"), replaces: 1, ..append(n, 1, 2, running()) };
        Write::Append { append, answer: answer() }
    };
    let told = |n: u32| Write::ParentTold { execution: id(n), answer: answer() };
    (0..100).map(create).chain((0..100).map(end)).chain((200..300).map(beat)).chain((0..100).map(told)).collect()
}

async fn plan(client: &Client, text: &str, values: Params<'_>) -> String {
    let rows = client.query_typed(&format!("EXPLAIN {text}"), values).await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
    rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n")
}

/// The plan of a named statement after its first runs: it is the same for all values.
async fn lasting_plan(client: &Client, statement: &Statement<'_>) -> String {
    let (types, values): (Vec<_>, Vec<_>) =
        statement.params().into_iter().map(|(_, of)| (of.name().to_owned(), "NULL")).unzip();
    let (types, values, sql) = (types.join(", "), values.join(", "), statement.sql);
    let text = format!("SET LOCAL plan_cache_mode = force_generic_plan; PREPARE lasting ({types}) AS {sql}");
    client.batch_execute(&text).await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
    let plan = plan(client, &format!("EXECUTE lasting({values})"), &[]).await;
    client.batch_execute("DEALLOCATE lasting").await.unwrap();
    plan
}

/// Tables that grow with the executions.
const LARGE: [&str; 5] = ["executions", "headers", "closings", "journal", "waits"];

fn scans(plan: &str) -> bool {
    LARGE.iter().any(|table| plan.lines().any(|line| line.contains(&format!("Seq Scan on {table}"))))
        // A plan over all entries of an index is a scan too.
        || plan.contains("Hash Join")
}

/// A parameter with its type.
fn of<T: ToSql + Sync>(value: &T, of: Type) -> (&(dyn ToSql + Sync), Type) {
    (value, of)
}

async fn commits_use_their_indexes(client: &Client) {
    let group = writes();
    client.batch_execute(BEGIN).await.unwrap();
    let node = Node { id: NodeId(uuid::Uuid::nil()), slot: 0 };
    for statement in statements(node, false, &group) {
        let plans = [plan(client, statement.sql, &statement.params()).await, lasting_plan(client, &statement).await];
        for plan in plans {
            assert!(!scans(&plan), "{}\n{plan}", statement.sql);
        }
    }
    let ids = vec![uuid::Uuid::nil(); 200];
    for sql in purge::DELETES {
        let plan = plan(client, sql, &[(&ids, Type::UUID_ARRAY)]).await;
        assert!(!scans(&plan), "{sql}\n{plan}");
    }
    client.batch_execute("ROLLBACK").await.unwrap();
}

async fn reads_use_their_indexes(client: &Client) {
    // Not so many that reading the whole of this small table would be less work.
    let ids = vec![uuid::Uuid::nil(); 20];
    let (nil, key, partition, limit) = (uuid::Uuid::nil(), uuid::Uuid::max(), 3_i32, 200_i64);
    let numbers = vec![1_i64, 2];
    let nine = 9_i64;
    let (one, most, of_partition) = (of(&nil, Type::UUID), of(&limit, Type::INT8), of(&partition, Type::INT4));
    let mut reads = vec![
        (rows::ROW, vec![one.clone()]),
        (rows::ROW_BY_NAME, vec![of(&key, Type::UUID)]),
        (rows::OWES, vec![of_partition.clone(), one.clone(), most.clone()]),
        (rows::OWES_FIRST, vec![of_partition.clone(), most.clone()]),
        (rows::OWING, vec![of_partition.clone(), one.clone(), most.clone()]),
        (rows::OWING_FIRST, vec![of_partition.clone(), most.clone()]),
        (waits::DESTINATIONS, vec![most.clone()]),
        (waits::STATES, vec![of(&ids, Type::UUID_ARRAY), most.clone()]),
        (rows::DUE, vec![of_partition, of(&nine, Type::INT8), most.clone()]),
        (pieces::OPEN, vec![one.clone(), most.clone()]),
        (pieces::BYTES, vec![one, of(&numbers, Type::INT8_ARRAY)]),
        (purge::VICTIMS, vec![of(&nine, Type::INT8), most]),
    ];
    reads.extend(look::READS.map(|sql| (sql, vec![of(&ids, Type::UUID_ARRAY)])));
    for (sql, values) in reads {
        let plan = plan(client, sql, &values).await;
        assert!(!scans(&plan), "{sql}\n{plan}");
    }
    let page = ExecutionFilter { limit: 100, after: Some((at(50), id(3))), ..Default::default() };
    let (machine, run) = (Some(machine_arn("m")), Some(Arn::new("run")));
    let filters = [
        page.clone(),
        ExecutionFilter { state_machine: machine.clone(), ..page.clone() },
        ExecutionFilter { state_machine: machine, redriven: Some(true), ..page.clone() },
        ExecutionFilter { qualified: Some(Arn::new("v")), brief: true, ..page.clone() },
        ExecutionFilter { map_run: run, status: Some(ExecutionStatus::Failed), run_redriven: Some(at(7)), ..page },
    ];
    for filter in filters {
        for query in [listing::page(&filter), listing::counts(&filter)] {
            let plan = plan(client, &query.sql, &query.params()).await;
            assert!(!scans(&plan), "{}\n{plan}", query.sql);
        }
    }
    let page = WaitFilter { limit: 100, ..WaitFilter::default() };
    let filters = [
        page.clone(),
        WaitFilter { execution: Some(id(3)), ..page.clone() },
        WaitFilter { destination: Some("q".into()), ..page.clone() },
        WaitFilter { state_machine: Some(machine_arn("m")), before: Some(at(900)), ..page },
    ];
    for filter in filters {
        for query in [waits::page(&filter), waits::counts(&filter)] {
            let plan = plan(client, &query.sql, &query.params()).await;
            assert!(!scans(&plan), "{}\n{plan}", query.sql);
        }
    }
}

#[test]
fn no_hot_statement_scans_a_table() {
    let Some(url) = fresh() else { return };
    let store = super::wait(Postgres::open(&url, Options::default())).unwrap();
    super::wait(store.close());
    super::wait(async {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        // Empty, and known to be (a read then scans nothing); then full, and not known yet; then known.
        client.batch_execute("ANALYZE executions, headers, closings, journal, waits").await.unwrap();
        commits_use_their_indexes(&client).await;
        for step in [fill(20_000), "ANALYZE executions, headers, closings, journal, waits".to_owned()] {
            client.batch_execute(&step).await.unwrap();
            commits_use_their_indexes(&client).await;
            reads_use_their_indexes(&client).await;
        }
    });
}
