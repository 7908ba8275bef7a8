//! An S3-compatible service (moto's server) in the place of the folder of buckets: objects, and a whole map run over
//! them.

use std::path::Path;

use serde_json::{Value, json};

use reveille::objects::{ObjectError, Objects, Options, Service};

use super::support::{Launch, Program, Server, python};

const BUCKET: &str = "bucket";

/// A service of the test's own with one empty bucket.
struct S3 {
    endpoint: String,
    _program: Program,
}

impl S3 {
    fn start() -> Option<Self> {
        let mut program =
            Program::start(&python()?, Path::new("-m"), &["moto.server", "-H", "127.0.0.1", "-p", "0"], &[]);
        let line = program.line_with("Running on http://127.0.0.1:");
        let endpoint = line[line.find("http://").unwrap()..].split_whitespace().next().unwrap().to_owned();
        ureq::put(format!("{endpoint}/{BUCKET}")).send_empty().expect("the bucket is made");
        Some(Self { endpoint, _program: program })
    }

    fn service(&self) -> Service {
        let key = Some(("test".to_owned(), "test".into()));
        Service { endpoint: self.endpoint.clone(), region: "us-east-1".to_owned(), key, path_style: true }
    }

    fn objects(&self) -> Objects {
        Objects::new(&Options { service: Some(self.service()), ..Options::default() })
    }
}

async fn put(objects: &Objects, key: &str, body: &[u8]) {
    let mut upload = objects.write(BUCKET, key).await.unwrap();
    for piece in body.chunks(100_000) {
        upload.write(piece).await.unwrap();
    }
    assert_eq!(upload.finish().await.unwrap(), body.len() as u64);
}

#[test]
fn objects_are_written_read_and_listed() {
    let Some(s3) = S3::start() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let objects = s3.objects();
        // More than one range, and more than one part.
        let large: Vec<u8> = (0..11_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        put(&objects, "large", &large).await;
        assert!(objects.read_whole(BUCKET, "large").await.unwrap() == large);
        put(&objects, "empty", b"").await;
        assert_eq!(objects.read_whole(BUCKET, "empty").await.unwrap(), b"");
        for key in ["a/2", "a-1", "a/1", "a/deep/er"] {
            put(&objects, key, key.as_bytes()).await;
        }
        for (prefix, wanted) in [
            ("a", vec!["a-1", "a/1", "a/2", "a/deep/er"]),
            ("a/", vec!["a/1", "a/2", "a/deep/er"]),
            ("a/d", vec!["a/deep/er"]),
            ("nothing/", vec![]),
        ] {
            let mut listing = objects.list(BUCKET, prefix).await.unwrap();
            let mut keys = Vec::new();
            while let Some(found) = listing.next().await.unwrap() {
                assert_eq!(found.size, found.key.len() as u64);
                keys.push(found.key);
            }
            assert_eq!(keys, wanted, "{prefix}");
        }
        // Missing objects.
        let no_key = objects.read_whole(BUCKET, "none").await.unwrap_err();
        assert!(matches!(no_key, ObjectError::NoKey { .. }), "{no_key}");
        let no_bucket = objects.read_whole("none", "key").await.unwrap_err();
        assert!(matches!(no_bucket, ObjectError::NoBucket(_)), "{no_bucket}");
        assert!(matches!(objects.write("none", "key").await, Err(ObjectError::NoBucket(_))));
        let listed = objects.list("none", "").await.unwrap().next().await;
        assert!(matches!(listed, Err(ObjectError::NoBucket(_))));
    });
}

#[test]
fn a_map_run_reads_and_writes_buckets_of_a_service() {
    let Some(s3) = S3::start() else { return };
    let launch = Launch::embedded()
        .with("REVEILLE__OBJECTS__ENDPOINT", &s3.endpoint)
        .with("REVEILLE__OBJECTS__KEY", "test:test");
    let server = Server::start(launch);
    let definition = json!({ "StartAt": "Write", "States": {
        "Write": {
            "Type": "Map",
            "ItemsPath": "$.numbers",
            "ItemProcessor": { "ProcessorConfig": { "Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS" }, "StartAt": "P", "States": { "P": { "Type": "Succeed" } } },
            "ResultWriter": {
                "Resource": "arn:aws:states:::s3:putObject",
                "WriterConfig": { "Transformation": "COMPACT", "OutputType": "JSONL" },
                "Parameters": { "Bucket": BUCKET, "Prefix": "out" },
            },
            "Next": "Read",
        },
        "Read": {
            "Type": "Map",
            "ItemReader": {
                "Resource": "arn:aws:states:::s3:listObjectsV2",
                "Parameters": { "Bucket": BUCKET, "Prefix": "out/" },
            },
            "ItemProcessor": { "ProcessorConfig": { "Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS" }, "StartAt": "Q", "States": { "Q": { "Type": "Succeed" } } },
            "End": true,
        },
    } });
    let machine = server.machine("copies", &definition.to_string());
    let execution = server.execution(&machine, "one", &json!({ "numbers": (0..40).collect::<Vec<u32>>() }));
    let shown = server.ended(&execution);
    assert_eq!(shown["status"], "SUCCEEDED", "{shown}");
    let listed: Vec<Value> = serde_json::from_str(shown["output"].as_str().unwrap()).unwrap();
    let keys: Vec<&str> = listed.iter().map(|object| object["Key"].as_str().unwrap()).collect();
    assert!(
        keys.len() == 2 && keys[0].ends_with("/SUCCEEDED_0.jsonl") && keys[1].ends_with("/manifest.json"),
        "{keys:?}"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let written = runtime.block_on(async { s3.objects().read_whole(BUCKET, keys[0]).await.unwrap() });
    let numbers: Vec<u32> = String::from_utf8(written).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(numbers, (0..40).collect::<Vec<u32>>());
}
