//! Map runs over SQLite and the embedded bus: whole runs, crashes in the middle, files.

#![expect(clippy::needless_pass_by_value, reason = "tables of JSON values read best without &")]

use crate::payload::Payload;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bus::embedded::EmbeddedBus;
use crate::engine::api::EngineHandle;
use crate::engine::types::{HistoryQuery, MapRunChange, Parts, StartRequest};
use crate::engine::{self, support};
use crate::ids::{Arn, Realm};
use crate::interpreter::event::{Event, Failure};
use crate::interpreter::state::Conclusion;
use crate::store::sqlite::{self, Sqlite};
use crate::store::{Catalog, ExecutionFilter, ExecutionStatus, Journal, MachineType, MapRunRow};

const BUCKET: &str = "bucket";

/// An engine over a store in a folder, with a machine in it.
pub(super) struct Given {
    pub engine: EngineHandle,
    pub store: Sqlite,
    folder: tempfile::TempDir,
    machine: Arn,
}

impl Given {
    pub async fn new(definition: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (engine, store) = start(folder.path()).await;
        let machine =
            support::machine_of_kind(&store, engine.realm(), "machine", MachineType::Standard, definition).await;
        Self { engine, store, folder, machine }
    }

    fn put(&self, key: &str, body: &str) {
        let path = self.folder.path().join("objects").join(BUCKET).join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, body).unwrap();
    }

    fn object(&self, key: &str) -> String {
        std::fs::read_to_string(self.folder.path().join("objects").join(BUCKET).join(key)).unwrap()
    }

    pub async fn begin(&self, input: &Value) -> Arn {
        let request = StartRequest {
            machine: self.machine.clone(),
            name: None,
            input: input.to_string(),
            trace_header: None,
            trace: None,
        };
        self.engine.start_execution(request).await.unwrap().arn
    }

    async fn run(&self, input: &Value) -> Conclusion {
        let arn = self.begin(input).await;
        self.end(&arn).await
    }

    pub async fn end(&self, arn: &Arn) -> Conclusion {
        tokio::time::timeout(Duration::from_mins(1), self.engine.await_end(arn))
            .await
            .expect("the execution ends")
            .unwrap()
            .result
    }

    /// The one map run of an execution, when it satisfies the condition.
    pub async fn map_run(&self, execution: &Arn, wanted: impl Fn(&MapRunRow) -> bool) -> MapRunRow {
        let id = self.engine.execution(execution).await.unwrap().header.id;
        for _ in 0..600 {
            if let Some(row) = self.store.map_runs(id, None, 10).await.unwrap().into_iter().find(&wanted) {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the map run does not come to be as wanted: {:?}", self.store.map_runs(id, None, 10).await)
    }

    async fn count(&self, run: &Arn) -> Vec<(ExecutionStatus, u64)> {
        self.store.count(ExecutionFilter { map_run: Some(run.clone()), ..ExecutionFilter::default() }).await.unwrap()
    }

    /// Ends the engine in the midst of everything, and starts another over the same file. What the old one had
    /// committed is there.
    pub async fn kill(self) -> Self {
        let Self { engine, store, folder, machine } = self;
        for arbiter in engine.engine().partitions.arbiters() {
            arbiter.stop();
        }
        // Listeners outside the arbiters let go of the store.
        engine.engine().services.bus.close(Duration::ZERO).await;
        drop((engine, store));
        let (engine, store) = start(folder.path()).await;
        Self { engine, store, folder, machine }
    }
}

async fn start(folder: &Path) -> (EngineHandle, Sqlite) {
    // The file of a store that was just dropped may be held for a moment by its writer.
    let mut tries = 0;
    let store = loop {
        match Sqlite::open(folder.join("store.db"), sqlite::Options::default()) {
            Ok(store) => break store,
            Err(e) if tries > 200 => panic!("{e}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
        tries += 1;
    };
    let options = engine::Options {
        partitions: 3,
        threads: 2,
        objects: crate::objects::Options { folder: folder.join("objects"), service: None },
        ..engine::Options::default()
    };
    let parts = support::parts(Arc::new(store.clone()), Arc::new(store.clone()), Arc::new(EmbeddedBus::new()), options);
    let parts = Parts { realm: Realm::new("us-east-1", "123456789012"), ..parts };
    (engine::start(parts).await.unwrap(), store)
}

pub(super) fn map(more: Value, processor: Value) -> Value {
    let mut map = json!({
        "Type": "Map",
        "ItemProcessor": { "ProcessorConfig": { "Mode": "DISTRIBUTED", "ExecutionType": "STANDARD" }, "StartAt": "Work", "States": { "Work": processor } },
        "Label": "All",
        "End": true
    });
    map.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "StartAt": "Map", "States": { "Map": map } })
}

fn echo() -> Value {
    json!({ "Type": "Pass", "End": true })
}

fn wait(seconds: u64) -> Value {
    json!({ "Type": "Wait", "Seconds": seconds, "End": true })
}

fn reader(resource: &str, parameters: Value, config: Value) -> Value {
    json!({ "Resource": format!("arn:aws:states:::s3:{resource}"), "Parameters": parameters, "ReaderConfig": config })
}

pub(super) fn succeeded(value: Value) -> Conclusion {
    Conclusion::Succeeded(Payload::new(value))
}

#[actix_rt::test]
async fn children_are_executions_of_their_own() {
    let given = Given::new(&map(json!({ "MaxConcurrency": 2 }), echo())).await;
    let arn = given.begin(&json!(["a", "b", "c"])).await;
    assert_eq!(given.end(&arn).await, succeeded(json!(["a", "b", "c"])));
    let row = given.map_run(&arn, |row| row.stopped.is_some()).await;
    assert!(row.arn.as_str().starts_with("arn:aws:states:us-east-1:123456789012:mapRun:machine/All:"), "{}", row.arn);
    assert_eq!(row.body["status"], "SUCCEEDED");
    assert_eq!(row.body["maxConcurrency"], 2);
    for counts in ["itemCounts", "executionCounts"] {
        assert_eq!((&row.body[counts]["succeeded"], &row.body[counts]["total"]), (&json!(3), &json!(3)));
    }
    let filter = ExecutionFilter { map_run: Some(row.arn.clone()), limit: 10, ..ExecutionFilter::default() };
    let children = given.store.list(filter).await.unwrap();
    assert_eq!(children.len(), 3);
    let child = children.iter().find(|c| c.header.item_index == Some(1)).unwrap();
    assert!(
        child.header.arn.as_str().starts_with("arn:aws:states:us-east-1:123456789012:execution:machine/All:"),
        "{}",
        child.header.arn
    );
    assert_eq!(child.header.state_machine.last(), "machine/All");
    assert_eq!(child.header.input, "\"b\"");
    let history = given.engine.history(&child.header.arn, HistoryQuery::default()).await.unwrap();
    assert_eq!(history.entries.len(), 4);
    // They are no executions of the machine.
    let of_machine =
        ExecutionFilter { state_machine: Some(given.machine.clone()), limit: 10, ..ExecutionFilter::default() };
    assert_eq!(given.store.list(of_machine).await.unwrap().len(), 1);
}

#[actix_rt::test]
async fn a_run_of_500_items_goes_on_after_the_engine_died_in_its_middle() {
    let processor = json!({ "Type": "Pass", "Parameters": { "n.$": "$" }, "End": true });
    let mut given = Given::new(&map(json!({ "MaxConcurrency": 20 }), processor)).await;
    let input: Vec<u64> = (0..500).collect();
    let arn = given.begin(&json!(input)).await;
    for _ in 0..3 {
        let run = given.map_run(&arn, |_| true).await.arn;
        let before: u64 = given.count(&run).await.iter().map(|(_, n)| n).sum();
        // Some more have begun.
        while given.count(&run).await.iter().map(|(_, n)| n).sum::<u64>() < (before + 60).min(500) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        given = given.kill().await;
    }
    let wanted: Vec<Value> = (0..500).map(|n| json!({ "n": n })).collect();
    assert_eq!(given.end(&arn).await, succeeded(json!(wanted)));
    let row = given.map_run(&arn, |row| row.stopped.is_some()).await;
    assert_eq!(row.body["itemCounts"]["succeeded"], 500);
    assert_eq!(given.count(&row.arn).await, vec![(ExecutionStatus::Succeeded, 500)]);
    // One map run, one start of it, one end.
    let history = given.engine.history(&arn, HistoryQuery::default()).await.unwrap();
    let starts = history.entries.iter().filter(|e| matches!(e.event, Event::MapRunStarted { .. })).count();
    assert_eq!(starts, 1);
}

#[actix_rt::test]
async fn a_stopped_execution_stops_its_children_also_after_a_crash() {
    let given = Given::new(&map(json!({}), wait(3_600))).await;
    let arn = given.begin(&json!([1, 2, 3, 4, 5])).await;
    let run = given.map_run(&arn, |row| row.body["executionCounts"]["running"] == 5).await.arn;
    given.engine.stop_execution(&arn, Failure::default()).await.unwrap();
    let given = given.kill().await;
    let row = given.map_run(&arn, |row| row.stopped.is_some()).await;
    assert_eq!(row.body["status"], "ABORTED");
    assert_eq!(given.count(&run).await, vec![(ExecutionStatus::Aborted, 5)]);
}

#[actix_rt::test]
async fn a_failed_sibling_stops_the_run() {
    let map = map(json!({}), wait(3_600))["States"]["Map"].clone();
    let fail = json!({ "Wait": { "Type": "Wait", "Seconds": 1, "Next": "Fail" }, "Fail": { "Type": "Fail", "Error": "Enough" } });
    let definition = json!({ "StartAt": "Both", "States": { "Both": {
        "Type": "Parallel", "End": true,
        "Branches": [{ "StartAt": "Map", "States": { "Map": map } }, { "StartAt": "Wait", "States": fail }]
    } } });
    let given = Given::new(&definition).await;
    let arn = given.begin(&json!([1, 2])).await;
    assert!(matches!(given.end(&arn).await, Conclusion::Failed(f) if f.error.as_deref() == Some("Enough")));
    let row = given.map_run(&arn, |row| row.stopped.is_some()).await;
    assert_eq!(row.body["status"], "ABORTED");
    assert_eq!(given.count(&row.arn).await, vec![(ExecutionStatus::Aborted, 2)]);
}

#[actix_rt::test]
async fn more_failures_than_tolerated_fail_the_run_and_stop_the_others() {
    let choice = json!({ "Type": "Choice", "Choices": [{ "Variable": "$", "NumericEquals": 0, "Next": "Fail" }], "Default": "Wait" });
    let mut definition = map(json!({}), choice);
    let states = definition.pointer_mut("/States/Map/ItemProcessor/States").unwrap();
    states["Fail"] = json!({ "Type": "Fail", "Error": "Broken" });
    states["Wait"] = wait(3_600);
    let given = Given::new(&definition).await;
    let arn = given.begin(&json!([1, 2, 0])).await;
    let Conclusion::Failed(failure) = given.end(&arn).await else { panic!("it should fail") };
    assert_eq!(failure.error.as_deref(), Some("States.ExceedToleratedFailureThreshold"));
    assert_eq!(failure.cause.as_deref(), Some("The specified tolerated failure threshold was exceeded"));
    let row = given.map_run(&arn, |row| row.stopped.is_some()).await;
    assert_eq!(row.body["status"], "FAILED");
    assert_eq!(given.count(&row.arn).await, vec![(ExecutionStatus::Failed, 1), (ExecutionStatus::Aborted, 2)]);
}

#[actix_rt::test]
async fn update_map_run_changes_a_run_that_goes_on() {
    let given = Given::new(&map(json!({ "MaxConcurrency": 1 }), wait(3_600))).await;
    let arn = given.begin(&json!([1, 2, 3, 4])).await;
    let run = given.map_run(&arn, |row| row.body["executionCounts"]["running"] == 1).await.arn;
    let change = MapRunChange { max_concurrency: Some(3), tolerated_failure_count: Some(9), ..MapRunChange::default() };
    given.engine.update_map_run(&run, change).await.unwrap();
    let row = given.map_run(&arn, |row| row.body["executionCounts"]["running"] == 3).await;
    assert_eq!((&row.body["maxConcurrency"], &row.body["toleratedFailureCount"]), (&json!(3), &json!(9)));
    // It stays changed after a crash.
    let given = given.kill().await;
    let change = MapRunChange { tolerated_failure_percentage: Some(50.0), ..MapRunChange::default() };
    given.engine.update_map_run(&run, change).await.unwrap();
    let row = given.map_run(&arn, |row| row.body["toleratedFailurePercentage"] == 50.0).await;
    assert_eq!(row.body["maxConcurrency"], 3);
    given.engine.stop_execution(&arn, Failure::default()).await.unwrap();
    given.map_run(&arn, |row| row.stopped.is_some()).await;
    assert!(given.engine.update_map_run(&run, change).await.is_err());
}

/// Few inputs are held, however long the file is.
#[actix_rt::test]
async fn a_file_of_200_000_rows_does_not_sit_in_memory() {
    use std::fmt::Write;
    let read = reader(
        "getObject",
        json!({ "Bucket": BUCKET, "Key": "rows.csv" }),
        json!({ "InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW" }),
    );
    let processor = json!({ "Type": "Pass", "Parameters": { "first.$": "$.Items[0].id", "n.$": "States.ArrayLength($.Items)" }, "End": true });
    let more = json!({ "ItemReader": read, "ItemBatcher": { "MaxItemsPerBatch": 500 }, "MaxConcurrency": 10 });
    let given = Given::new(&map(more, processor)).await;
    let mut file = String::from("id,name\n");
    for i in 0..200_000 {
        writeln!(file, "{i},row number {i}").unwrap();
    }
    given.put("rows.csv", &file);
    let arn = given.begin(&json!({})).await;
    let wanted: Vec<Value> = (0..400).map(|b| json!({ "first": (b * 500).to_string(), "n": 500 })).collect();
    assert_eq!(given.end(&arn).await, succeeded(json!(wanted)));
    let row = given.map_run(&arn, |row| row.stopped.is_some()).await;
    assert_eq!(row.body["itemCounts"]["succeeded"], 200_000);
    assert_eq!(row.body["executionCounts"]["succeeded"], 400);
    let held = given.engine.engine().coordinator.map_runs().most_held.load(Ordering::Relaxed);
    assert!(
        held > 0 && held <= crate::limits::MAP_RUN_QUEUE + crate::limits::MAP_RUN_STARTS,
        "{held} of 400 inputs were held at once"
    );
}

#[actix_rt::test]
async fn items_come_from_files_of_every_kind() {
    let bucket = json!({ "Bucket": BUCKET });
    let key = |key: &str| json!({ "Bucket": BUCKET, "Key": key });
    for (resource, parameters, config, wanted) in [
        ("getObject", key("a.json"), json!({ "InputType": "JSON", "MaxItems": 2 }), json!([1, { "b": 2 }])),
        ("getObject", key("deep.json"), json!({ "InputType": "JSON", "ItemsPointer": "/x/y" }), json!([7])),
        ("getObject", key("lines/a.jsonl"), json!({ "InputType": "JSONL" }), json!([{ "n": 1 }, { "n": 2 }])),
        (
            "getObject",
            key("rows.csv"),
            json!({ "InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["k"], "CSVDelimiter": "SEMICOLON" }),
            json!([{ "k": "1" }, { "k": "2" }]),
        ),
        (
            "getObject",
            key("manifest.json"),
            json!({ "InputType": "MANIFEST" }),
            json!([{ "Bucket": "b", "Key": "k1" }, { "Bucket": "b", "Key": "k2" }]),
        ),
        (
            "getObject",
            key("athena.csv"),
            json!({ "InputType": "JSONL", "ManifestType": "ATHENA_DATA" }),
            json!([{ "n": 1 }, { "n": 2 }, { "n": 3 }]),
        ),
        (
            "listObjectsV2",
            json!({ "Bucket": BUCKET, "Prefix": "lines/" }),
            json!({ "InputType": "JSONL", "Transformation": "LOAD_AND_FLATTEN" }),
            json!([{ "n": 1 }, { "n": 2 }, { "n": 3 }]),
        ),
    ] {
        let given = Given::new(&map(json!({ "ItemReader": reader(resource, parameters, config) }), echo())).await;
        given.put("a.json", r#"[1, {"b": 2}, 3]"#);
        given.put("deep.json", r#"{"x": {"y": [7]}}"#);
        given.put("lines/a.jsonl", "{\"n\":1}\n{\"n\":2}\n");
        given.put("lines/b.jsonl", "{\"n\":3}\n");
        given.put("rows.csv", "1;x\n2;y\n");
        given.put("inventory/1.csv", "\"b\",\"k1\"\n\"b\",\"k2\"\n");
        given.put("athena.csv", &format!("s3://{BUCKET}/lines/a.jsonl\ns3://{BUCKET}/lines/b.jsonl\n"));
        let manifest = json!({
            "sourceBucket": "b", "destinationBucket": format!("arn:aws:s3:::{BUCKET}"), "fileFormat": "CSV", "fileSchema": "Bucket, Key",
            "files": [{ "key": "inventory/1.csv" }]
        });
        given.put("manifest.json", &manifest.to_string());
        assert_eq!(given.run(&json!({})).await, succeeded(wanted), "{resource}");
    }
    // A listing: its members as AWS names them, its source in the context.
    let selector =
        json!({ "key.$": "$$.Map.Item.Value.Key", "size.$": "$$.Map.Item.Value.Size", "from.$": "$$.Map.Item.Source" });
    let given = Given::new(&map(
        json!({ "ItemReader": reader("listObjectsV2", bucket, json!({})), "ItemSelector": selector }),
        echo(),
    ))
    .await;
    given.put("b", "12");
    given.put("a/b", "1");
    let from = format!("S3://{BUCKET}");
    let wanted = json!([{ "key": "a/b", "size": 1, "from": from }, { "key": "b", "size": 2, "from": from }]);
    assert_eq!(given.run(&json!({})).await, succeeded(wanted));
}

#[actix_rt::test]
async fn the_pairs_of_a_json_object_are_items() {
    let read = reader("getObject", json!({ "Bucket": BUCKET, "Key": "o.json" }), json!({ "InputType": "JSON" }));
    let given = Given::new(&map(json!({ "ItemReader": read }), echo())).await;
    given.put("o.json", r#"{"a": {"x": 1}, "b": 2}"#);
    let wanted = json!([{ "Key": "a", "Value": { "x": 1 } }, { "Key": "b", "Value": 2 }]);
    assert_eq!(given.run(&json!({})).await, succeeded(wanted));

    let selector = json!({ "k.$": "$$.Map.Item.Key", "v.$": "$$.Map.Item.Value" });
    let given = Given::new(&map(json!({ "ItemReader": read, "ItemSelector": selector }), echo())).await;
    given.put("o.json", r#"{"a": {"x": 1}, "b": 2}"#);
    let wanted = json!([{ "k": "a", "v": { "x": 1 } }, { "k": "b", "v": 2 }]);
    assert_eq!(given.run(&json!({})).await, succeeded(wanted));
}

#[actix_rt::test]
async fn items_that_cannot_be_read_fail_the_run() {
    let given = |config| {
        map(json!({ "ItemReader": reader("getObject", json!({ "Bucket": BUCKET, "Key.$": "$" }), config) }), echo())
    };
    let headers = json!({ "InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["H1", "H1"] });
    for (config, key, cause) in [
        (json!({ "InputType": "JSON" }), "text.json", "Attempting to map over non-iterable node.".to_owned()),
        (headers, "object.json", "CSV headers cannot contain duplicates.".to_owned()),
        (json!({ "InputType": "JSON" }), "none", format!("The specified key does not exist: 's3://{BUCKET}/none'")),
    ] {
        let given = Given::new(&given(config)).await;
        given.put("object.json", r#"{"Hello": "world"}"#);
        given.put("text.json", r#""Hello""#);
        let arn = given.begin(&json!(key)).await;
        assert_eq!(given.end(&arn).await, Conclusion::Failed(Failure::new("States.ItemReaderFailed", cause)));
        let history = given.engine.history(&arn, HistoryQuery::default()).await.unwrap();
        assert!(matches!(history.entries[4].event, Event::MapRunFailed(_)), "{:?}", history.entries);
        assert!(matches!(history.entries[5].event, Event::MapFailed));
    }
}

fn writer(config: Value) -> Value {
    json!({
        "ResultWriter": { "Resource": "arn:aws:states:::s3:putObject", "Parameters": { "Bucket": BUCKET, "Prefix": "out" }, "WriterConfig": config },
        "ToleratedFailureCount": 1
    })
}

#[actix_rt::test]
async fn results_are_exported_with_a_manifest() {
    let choice = json!({ "Type": "Choice", "Choices": [{ "Variable": "$[0]", "NumericEquals": 0, "Next": "Fail" }], "Default": "Pass" });
    for (config, extension, wanted) in [
        (json!({ "Transformation": "COMPACT", "OutputType": "JSON" }), "json", "[[1,2],[3]]"),
        (json!({ "Transformation": "FLATTEN", "OutputType": "JSONL" }), "jsonl", "1\n2\n3\n"),
    ] {
        let mut definition = map(writer(config), choice.clone());
        let states = definition.pointer_mut("/States/Map/ItemProcessor/States").unwrap();
        states["Fail"] = json!({ "Type": "Fail", "Error": "Broken", "Cause": "as told" });
        states["Pass"] = echo();
        let given = Given::new(&definition).await;
        let arn = given.begin(&json!([[1, 2], [0], [3]])).await;
        let Conclusion::Succeeded(output) = given.end(&arn).await else { panic!("{:?}", given.end(&arn).await) };
        let row = given.map_run(&arn, |row| row.stopped.is_some()).await;
        assert_eq!(row.body["executionCounts"]["resultsWritten"], 3);
        let key = format!("out/{}/manifest.json", row.arn.last());
        assert_eq!(*output, json!({ "MapRunArn": row.arn, "ResultWriterDetails": { "Bucket": BUCKET, "Key": key } }));
        let manifest: Value = serde_json::from_str(&given.object(&key)).unwrap();
        assert_eq!((&manifest["DestinationBucket"], &manifest["ResultFiles"]["PENDING"]), (&json!(BUCKET), &json!([])));
        let file = &manifest["ResultFiles"]["SUCCEEDED"][0];
        let name = format!("out/{}/SUCCEEDED_0.{extension}", row.arn.last());
        assert_eq!((&file["Key"], &file["Size"]), (&json!(name), &json!(wanted.len())));
        assert_eq!(given.object(&name), wanted);
        // A failed child is shown whole, under any transformation.
        let failed = given.object(manifest["ResultFiles"]["FAILED"][0]["Key"].as_str().unwrap());
        let failed: Value =
            serde_json::from_str(failed.trim_start_matches('[').trim_end().trim_end_matches(']')).unwrap();
        assert_eq!(
            (&failed["Status"], &failed["Error"], &failed["Cause"], &failed["Input"]),
            (&json!("FAILED"), &json!("Broken"), &json!("as told"), &json!("[0]"))
        );
    }
}

#[actix_rt::test]
async fn results_over_the_limit_of_a_payload_fail_the_state() {
    let processor = json!({ "Type": "Pass", "End": true });
    let given = Given::new(&map(json!({ "ItemSelector": { "all.$": "$" } }), processor)).await;
    let input = json!(["x".repeat(60_000), 1, 2, 3, 4]);
    let Conclusion::Failed(failure) = given.run(&input).await else { panic!("it should fail") };
    assert_eq!(failure.error.as_deref(), Some("States.DataLimitExceeded"));
    assert_eq!(
        failure.cause.as_deref(),
        Some("The state/task 'Map' returned a result with a size exceeding the maximum number of bytes service limit.")
    );
}

#[actix_rt::test]
async fn maps_nest() {
    let mut inner = map(json!({ "Label": "Inner", "ItemsPath": "$.of" }), echo())["States"]["Map"].clone();
    inner["ItemProcessor"]["StartAt"] = json!("Inner");
    inner["ItemProcessor"]["States"] = json!({ "Inner": echo() });
    let given = Given::new(&map(json!({}), inner)).await;
    assert_eq!(given.run(&json!([{ "of": [1, 2] }, { "of": [3] }])).await, succeeded(json!([[1, 2], [3]])));
}

#[actix_rt::test]
async fn children_may_be_express() {
    let mut definition = map(json!({}), echo());
    *definition.pointer_mut("/States/Map/ItemProcessor/ProcessorConfig/ExecutionType").unwrap() = json!("EXPRESS");
    let given = Given::new(&definition).await;
    let arn = given.begin(&json!([1, 2])).await;
    assert_eq!(given.end(&arn).await, succeeded(json!([1, 2])));
    let run = given.map_run(&arn, |row| row.stopped.is_some()).await.arn;
    let filter = ExecutionFilter { map_run: Some(run), limit: 10, ..ExecutionFilter::default() };
    let children = given.store.list(filter).await.unwrap();
    assert!(children[0].header.arn.as_str().starts_with("arn:aws:states:us-east-1:123456789012:express:machine/All:"));
}
