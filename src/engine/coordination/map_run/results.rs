//! Outputs of a run's children: gathered as the state's result, or written to files with a manifest.
//!
//! Source: developer guide, "ResultWriter (Map)": names of files, members of records, `Transformation`, `OutputType`. A
//! child that failed is shown as with `NONE`, under any transformation.

use serde_json::{Map, Value, json};

use crate::interpreter::event::{Failure, Payload};
use crate::interpreter::map_items::{self, Child};
use crate::interpreter::map_run::{MapRun, RunOutcome};
use crate::interpreter::size;
use crate::limits::{PAYLOAD_BYTES_MAX, RESULT_FILE_BYTES};
use crate::objects::{ObjectError, Objects, Upload};
use crate::store::{ExecutionRow, ExecutionStatus, StoreError};

use crate::engine::coordination::map_run::children::ChildTemplate;
use crate::engine::services::{RETRY_AFTER, Services};

/// Rows that are read at once, in the order of items.
const CHILDREN_PER_READ: u64 = 100;

/// How a run ended for its parent.
pub(super) struct Ended {
    pub result: Result<Payload, Failure>,
    /// Children whose results were written.
    pub written: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transformation {
    None,
    Compact,
    Flatten,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    /// Try again.
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("the results are larger than a payload")]
    TooLarge,
}

pub(super) async fn collect(services: &Services, template: &ChildTemplate, run: &MapRun, outcome: RunOutcome) -> Ended {
    let failure = match outcome {
        RunOutcome::Failed(failure) => Some(failure),
        RunOutcome::Succeeded | RunOutcome::Aborted => None,
    };
    let end = |result| Ended { result, written: 0 };
    loop {
        let problem = match (&template.writer, &failure) {
            (None, Some(failure)) => return end(Err(failure.clone())),
            (None, None) => match gather(services, template, run).await {
                Ok(results) => return end(Ok(Payload::new(results))),
                Err(problem) => problem,
            },
            (Some(parameters), _) => match Writer::new(services, template, parameters).write(run).await {
                Ok((details, written)) => {
                    return Ended { result: failure.map_or(Ok(Payload::new(details)), Err), written };
                }
                Err(problem) => problem,
            },
        };
        match problem {
            Problem::TooLarge => return end(Err(map_items::result_too_large(&template.state_name))),
            Problem::Object(e) => {
                return end(Err(failure.unwrap_or_else(|| Failure::new("States.ResultWriterFailed", e.to_string()))));
            }
            Problem::Store(e) => {
                tracing::warn!(
                    map_run.arn = %template.run,
                    error = %e,
                    "the results of a map run could not be read; trying again"
                );
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

/// Children of the indices in `range`, in their order. A child that could not be started is missing.
async fn rows(
    services: &Services,
    template: &ChildTemplate,
    range: std::ops::Range<u64>,
) -> Result<Vec<ExecutionRow>, StoreError> {
    services.journal.executions_by_arn(range.map(|index| template.arn(services, index)).collect()).await
}

/// The state's result: the output of each child, in the order of items.
async fn gather(services: &Services, template: &ChildTemplate, run: &MapRun) -> Result<Value, Problem> {
    let transformation = template.transformation().unwrap_or(Transformation::Compact);
    let mut results = Vec::new();
    let mut bytes = 2;
    let mut from = 0;
    while from < run.begun() {
        let to = (from + CHILDREN_PER_READ).min(run.begun());
        for row in rows(services, template, from..to).await? {
            let before = results.len();
            transform(&row, transformation, &mut results);
            bytes += results[before..].iter().map(|v| size::json_bytes(v) + 1).sum::<usize>();
            if bytes > PAYLOAD_BYTES_MAX + 1 {
                return Err(Problem::TooLarge);
            }
        }
        from = to;
    }
    Ok(Value::Array(results))
}

fn transform(row: &ExecutionRow, transformation: Transformation, results: &mut Vec<Value>) {
    let output = row.summary.closed.as_ref().and_then(|c| c.output.as_deref()).map(parsed);
    match (transformation, output) {
        (Transformation::Flatten, Some(Value::Array(values))) => results.extend(values),
        (Transformation::Compact | Transformation::Flatten, Some(output)) => results.push(output),
        (Transformation::None, _) | (_, None) => results.push(record(row)),
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// A child with everything about it, as AWS exports it.
fn record(row: &ExecutionRow) -> Value {
    let status = row.summary.status;
    let mut record = Map::new();
    let mut put = |name: &str, value: Value| record.insert(name.to_owned(), value);
    let closed = row.summary.closed.as_ref();
    if let Some(cause) = closed.and_then(|c| c.cause.clone()) {
        put("Cause", cause.into());
    }
    if let Some(error) = closed.and_then(|c| c.error.clone()) {
        put("Error", error.into());
    }
    put("ExecutionArn", row.header.arn.as_str().into());
    put("Input", row.header.input.clone().into());
    put("InputDetails", json!({ "Included": true }));
    put("Name", row.header.name.clone().into());
    if let Some(output) = closed.and_then(|c| c.output.clone()) {
        put("Output", output.into());
    }
    put("OutputDetails", json!({ "Included": true }));
    put("RedriveCount", row.summary.redrive_count.into());
    if status == ExecutionStatus::Succeeded {
        put("RedriveStatus", "NOT_REDRIVABLE".into());
        put("RedriveStatusReason", "Execution is SUCCEEDED and cannot be redriven".into());
    } else {
        put("RedriveStatus", "REDRIVABLE_BY_MAP_RUN".into());
    }
    put("StartDate", row.header.started.iso().into());
    put("StateMachineArn", row.header.state_machine.as_str().into());
    put("Status", status.as_str().into());
    if let Some(closed) = closed {
        put("StopDate", closed.at.iso().into());
    }
    Value::Object(record)
}

impl ChildTemplate {
    fn transformation(&self) -> Option<Transformation> {
        match self.writer_config.get("Transformation")?.as_str()? {
            "NONE" => Some(Transformation::None),
            "COMPACT" => Some(Transformation::Compact),
            "FLATTEN" => Some(Transformation::Flatten),
            _ => None,
        }
    }
}

/// Files of results below `PREFIX/UUID/`.
struct Writer<'a> {
    services: &'a Services,
    template: &'a ChildTemplate,
    objects: &'a Objects,
    bucket: String,
    folder: String,
    lines: bool,
    written: u64,
}

impl<'a> Writer<'a> {
    fn new(services: &'a Services, template: &'a ChildTemplate, parameters: &Value) -> Self {
        let text = |name: &str| parameters.get(name).and_then(Value::as_str).unwrap_or_default();
        let prefix = text("Prefix").trim_end_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        Self {
            services,
            template,
            objects: &services.objects,
            bucket: text("Bucket").to_owned(),
            folder: format!("{prefix}{slash}{}", template.run.last()),
            lines: template.writer_config.get("OutputType").and_then(Value::as_str) == Some("JSONL"),
            written: 0,
        }
    }

    async fn write(mut self, run: &MapRun) -> Result<(Value, u64), Problem> {
        let transformation = self.template.transformation().unwrap_or(Transformation::None);
        let (mut succeeded, mut failed, mut pending) =
            (File::new("SUCCEEDED"), File::new("FAILED"), File::new("PENDING"));
        let mut from = 0;
        while from < run.begun() {
            let to = (from + CHILDREN_PER_READ).min(run.begun());
            for row in rows(self.services, self.template, from..to).await? {
                let mut results = Vec::new();
                transform(&row, transformation, &mut results);
                let file = if row.summary.status == ExecutionStatus::Succeeded { &mut succeeded } else { &mut failed };
                for result in &results {
                    file.add(&self, result).await?;
                }
                self.written += 1;
            }
            from = to;
        }
        for child in run.pending() {
            pending.add(&self, &self.never_started(child)).await?;
        }
        let manifest = json!({
            "DestinationBucket": self.bucket,
            "MapRunArn": self.template.run,
            "ResultFiles": {
                "FAILED": failed.finish(&self).await?,
                "PENDING": pending.finish(&self).await?,
                "SUCCEEDED": succeeded.finish(&self).await?,
            },
        });
        let key = format!("{}/manifest.json", self.folder);
        let mut upload = self.objects.write(&self.bucket, &key).await?;
        upload.write(manifest.to_string().as_bytes()).await?;
        upload.finish().await?;
        let details =
            json!({ "MapRunArn": self.template.run, "ResultWriterDetails": { "Bucket": self.bucket, "Key": key } });
        Ok((details, self.written))
    }

    fn never_started(&self, child: &Child) -> Value {
        let arn = self.template.arn(self.services, child.index);
        json!({
            "ExecutionArn": arn,
            "Input": child.input.to_string(),
            "InputDetails": { "Included": true },
            "Name": arn.last(),
            "OutputDetails": { "Included": true },
            "RedriveCount": 0,
            "RedriveStatus": "REDRIVABLE_BY_MAP_RUN",
            "Status": "PENDING",
        })
    }
}

/// `SUCCEEDED_0.json`, `SUCCEEDED_1.json`, ...: begun when there is something to write.
struct File {
    kind: &'static str,
    done: Vec<Value>,
    open: Option<(String, Upload)>,
}

impl File {
    const fn new(kind: &'static str) -> Self {
        Self { kind, done: Vec::new(), open: None }
    }

    async fn add(&mut self, writer: &Writer<'_>, result: &Value) -> Result<(), ObjectError> {
        if self.open.as_ref().is_some_and(|(_, upload)| upload.bytes() >= RESULT_FILE_BYTES) {
            self.close(writer).await?;
        }
        let mut text = result.to_string();
        if let Some((_, upload)) = &mut self.open {
            text.insert(0, if writer.lines { '\n' } else { ',' });
            return upload.write(text.as_bytes()).await;
        }
        let extension = if writer.lines { "jsonl" } else { "json" };
        let key = format!("{}/{}_{}.{extension}", writer.folder, self.kind, self.done.len());
        let mut upload = writer.objects.write(&writer.bucket, &key).await?;
        if !writer.lines {
            text.insert(0, '[');
        }
        upload.write(text.as_bytes()).await?;
        self.open = Some((key, upload));
        Ok(())
    }

    async fn close(&mut self, writer: &Writer<'_>) -> Result<(), ObjectError> {
        let Some((key, mut upload)) = self.open.take() else { return Ok(()) };
        upload.write(if writer.lines { b"\n" } else { b"]" }).await?;
        let bytes = upload.finish().await?;
        self.done.push(json!({ "Key": key, "Size": bytes }));
        Ok(())
    }

    async fn finish(mut self, writer: &Writer<'_>) -> Result<Vec<Value>, ObjectError> {
        self.close(writer).await?;
        Ok(self.done)
    }
}
