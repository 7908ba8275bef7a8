//! Bulk actions over a running engine (store in memory, embedded bus).

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::api::operations;
use crate::engine::support;
use crate::store::memory::Memory;

use super::*;

const LONG: Duration = Duration::from_mins(1);

async fn given() -> Context {
    Context::for_test(support::engine(&Memory::new()).await)
}

async fn call(ctx: &Context, name: &str, input: Value) -> Result<Value, ApiError> {
    let Value::Object(input) = input else { unreachable!() };
    let body = (operations::find(name).unwrap().run)(ctx, input).await?;
    Ok(serde_json::from_slice(&body).unwrap())
}

/// A machine with this one state, and executions of it.
async fn executions(ctx: &Context, machine: &str, state: Value, names: &[&str]) -> Vec<String> {
    let definition = json!({"StartAt": "S", "States": {"S": state}}).to_string();
    let role = "arn:aws:iam::000000000000:role/r";
    let made = json!({"name": machine, "definition": definition, "roleArn": role});
    let arn = call(ctx, "CreateStateMachine", made).await.unwrap()["stateMachineArn"].clone();
    let mut started = Vec::new();
    for name in names {
        let input = json!({"stateMachineArn": arn, "name": name});
        let answer = call(ctx, "StartExecution", input).await.unwrap();
        started.push(answer["executionArn"].as_str().unwrap().to_owned());
    }
    started
}

async fn described(ctx: &Context, arn: &str) -> Value {
    call(ctx, "DescribeExecution", json!({"executionArn": arn})).await.unwrap()
}

async fn closed(ctx: &Context, arn: &str) -> Value {
    loop {
        let shown = described(ctx, arn).await;
        if shown["status"] != "RUNNING" {
            return shown;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn begun(ctx: &Context, action: Act, query: &str) -> Bulk {
    // Executions of the same millisecond were there before it.
    tokio::time::sleep(Duration::from_millis(3)).await;
    start(ctx, Wish { action, query: query.to_owned(), error: None, cause: None }).await.unwrap()
}

/// Its end, with a keeper at work.
async fn ended(ctx: &Context, id: &str) -> Bulk {
    let wait = async {
        loop {
            let found = find(&*ctx.catalog, id).await.unwrap().unwrap();
            if found.status != Status::Running {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        found = wait => found,
        () = keep(ctx.clone()) => unreachable!(),
        () = tokio::time::sleep(LONG) => panic!("it did not end"),
    }
}

fn waits() -> Value {
    json!({"Type": "Wait", "Seconds": 3_600, "End": true})
}

#[actix_rt::test]
async fn a_stop_ends_what_matches_and_nothing_else() {
    let ctx = given().await;
    let mine = executions(&ctx, "mine", waits(), &["a-1", "a-2", "b-1"]).await;
    let other = executions(&ctx, "other", waits(), &["a-3"]).await;
    let bulk = begun(&ctx, Act::Stop, "machine:mine a-").await;
    let later = call(
        &ctx,
        "StartExecution",
        json!({"stateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:mine", "name": "a-9"}),
    );
    tokio::time::sleep(Duration::from_millis(3)).await;
    let later = later.await.unwrap()["executionArn"].as_str().unwrap().to_owned();
    assert_eq!(bulk.expected, Count { matches: 2, more: false });
    let bulk = ended(&ctx, &bulk.id).await;
    assert_eq!((bulk.status, bulk.done, bulk.refused), (Status::Completed, 2, 0));
    for (arn, status) in [
        (&mine[0], "ABORTED"),
        (&mine[1], "ABORTED"),
        (&mine[2], "RUNNING"),
        (&other[0], "RUNNING"),
        (&later, "RUNNING"),
    ] {
        assert_eq!(described(&ctx, arn).await["status"], status, "{arn}");
    }
    assert_eq!(described(&ctx, &mine[0]).await["cause"], "stopped in bulk by a caller without a key");
    let listed = call(&ctx, "Reveille.ListBulkActions", json!({})).await.unwrap();
    assert_eq!(listed["bulkActions"][0]["status"], "COMPLETED");
    assert_eq!(listed["bulkActions"].as_array().unwrap().len(), 1);
}

#[actix_rt::test]
async fn a_redrive_goes_through_all_failed_ones_once_and_lists_what_refuses() {
    let ctx = given().await;
    let fails = json!({"Type": "Fail", "Error": "No.Van"});
    let failed = executions(&ctx, "fails", fails, &["f-1", "f-2"]).await;
    let stopped = executions(&ctx, "waits", waits(), &["w-1"]).await;
    for arn in &failed {
        closed(&ctx, arn).await;
    }
    call(&ctx, "StopExecution", json!({"executionArn": stopped[0]})).await.unwrap();
    let bulk = begun(&ctx, Act::Redrive, "started:>2020-01-01").await;
    let bulk = ended(&ctx, &bulk.id).await;
    assert_eq!((bulk.status, bulk.done, bulk.refused), (Status::Completed, 3, 0), "{bulk:?}");
    assert_eq!(described(&ctx, &stopped[0]).await["status"], "RUNNING");
    for arn in &failed {
        assert_eq!(closed(&ctx, arn).await["redriveCount"], 1, "it failed again, and is not met a second time");
    }
    // The same action again, as after a crash before its note: each redrive is the earlier redrive.
    let mut again = Bulk { status: Status::Running, walk: 0, place: None, done: 0, ..bulk.clone() };
    again.started = ctx.now();
    ctx.catalog.take_note("bulk.ended", &again.id).await.unwrap();
    notes::save(&*ctx.catalog, &again, ctx.now()).await.unwrap();
    ended(&ctx, &bulk.id).await;
    for arn in &failed {
        assert_eq!(described(&ctx, arn).await["redriveCount"], 1);
    }
}

#[actix_rt::test]
async fn one_that_another_server_left_off_goes_on_when_its_lease_is_over() {
    let ctx = given().await;
    let arns = executions(&ctx, "mine", waits(), &["a", "b"]).await;
    let bulk = begun(&ctx, Act::Stop, "machine:mine").await;
    assert!(notes::lease(&*ctx.catalog, &bulk.id, "the other", ctx.now()).await.unwrap());
    let a_moment = tokio::time::sleep(Duration::from_millis(100));
    tokio::select! { () = a_moment => {}, () = keep(ctx.clone()) => unreachable!() }
    assert_eq!(described(&ctx, &arns[0]).await["status"], "RUNNING", "the other server has it");
    ctx.catalog.take_note("bulk.lease", &bulk.id).await.unwrap();
    assert_eq!(ended(&ctx, &bulk.id).await.done, 2);
    for kind in ["bulk.open", "bulk.lease", "bulk.cancel"] {
        assert_eq!(ctx.catalog.notes(kind, None, 9).await.unwrap(), [], "{kind}");
    }
}

#[actix_rt::test]
async fn a_cancelled_one_does_no_more() {
    let ctx = given().await;
    let names: Vec<String> = (0..100).map(|n| format!("e{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let arns = executions(&ctx, "mine", waits(), &names).await;
    let bulk = begun(&ctx, Act::Stop, "machine:mine").await;
    call(&ctx, "Reveille.CancelBulkAction", json!({"bulkActionId": bulk.id})).await.unwrap();
    let bulk = ended(&ctx, &bulk.id).await;
    assert_eq!((bulk.status, bulk.done), (Status::Cancelled, 32), "the step under way is done");
    let mut running = 0;
    for arn in &arns {
        running += u32::from(described(&ctx, arn).await["status"] == "RUNNING");
    }
    assert_eq!(running, 68);
}

#[actix_rt::test]
async fn a_query_that_is_not_understood_acts_on_nothing() {
    let ctx = given().await;
    for (action, query) in [
        ("STOP", ""),
        ("STOP", " "),
        ("REDRIVE", "colour:red"),
        ("STOP", "status:gone"),
        ("REPLAY", "late"),
        ("REPLAY", ""),
    ] {
        for dry in [true, false] {
            let input = json!({"action": action, "query": query, "dryRun": dry});
            let refused = call(&ctx, "Reveille.StartBulkAction", input).await.unwrap_err();
            assert_eq!(refused.kind, "ValidationException", "{action} {query}");
        }
    }
    assert_eq!(ctx.catalog.notes("bulk.open", None, 9).await.unwrap(), []);
    let missing = call(&ctx, "Reveille.DescribeBulkAction", json!({"bulkActionId": "none"})).await.unwrap_err();
    assert_eq!(missing.kind, "ResourceNotFound");
}

#[test]
fn a_replay_demands_the_right_to_complete_tasks() {
    let operation = operations::find("Reveille.StartBulkAction").unwrap();
    let input = |action: &str| Map::from_iter([("action".to_owned(), json!(action))]);
    assert_eq!(operation.demands(&input("STOP")), None);
    assert_eq!(operation.demands(&input("REPLAY")), Some(operations::Class::Complete));
}
