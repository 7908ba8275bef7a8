//! Which fields an object of the language may have, and in which query language.
//!
//! Source: Amazon States Language specification, and the developer guide's page of each state type. The service refuses
//! any other field (`Field '..' is not supported`), with one exception: `Comment` stands anywhere.

use super::model::QueryLanguage;

/// In which query language a field exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Both,
    JsonPath,
    Jsonata,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub name: &'static str,
    pub scope: Scope,
}

const fn both(name: &'static str) -> Field {
    Field { name, scope: Scope::Both }
}

const fn path(name: &'static str) -> Field {
    Field { name, scope: Scope::JsonPath }
}

const fn jsonata(name: &'static str) -> Field {
    Field { name, scope: Scope::Jsonata }
}

/// The types, in the order in which the service lists them.
pub(super) const TYPES: [&str; 8] = ["Task", "Wait", "Pass", "Succeed", "Fail", "Choice", "Parallel", "Map"];

pub(super) const LANGUAGES: [&str; 2] = ["JSONPath", "JSONata"];

/// The language that a `QueryLanguage` asks for: JSONPath only by its exact name (as the service resolves it).
pub(super) fn language_of(name: Option<&str>) -> QueryLanguage {
    if name == Some("JSONPath") { QueryLanguage::JsonPath } else { QueryLanguage::Jsonata }
}

pub(super) const MACHINE: &[Field] =
    &[both("StartAt"), both("States"), both("Comment"), both("Version"), both("TimeoutSeconds"), both("QueryLanguage")];

pub(super) const BRANCH: &[Field] = &[both("StartAt"), both("States"), both("Comment")];

pub(super) const PROCESSOR: &[Field] = &[both("StartAt"), both("States"), both("Comment"), both("ProcessorConfig")];

pub(super) const PROCESSOR_CONFIG: &[Field] = &[both("Mode"), both("ExecutionType"), both("Comment")];

const PASS: &[Field] = &[
    both("Type"),
    both("Comment"),
    both("QueryLanguage"),
    both("Next"),
    both("End"),
    path("InputPath"),
    path("OutputPath"),
    path("Parameters"),
    path("Result"),
    path("ResultPath"),
    both("Assign"),
    jsonata("Output"),
];

const TASK: &[Field] = &[
    both("Type"),
    both("Comment"),
    both("QueryLanguage"),
    both("Next"),
    both("End"),
    both("Resource"),
    path("InputPath"),
    path("OutputPath"),
    path("Parameters"),
    path("ResultSelector"),
    path("ResultPath"),
    both("Retry"),
    both("Catch"),
    both("TimeoutSeconds"),
    path("TimeoutSecondsPath"),
    both("HeartbeatSeconds"),
    path("HeartbeatSecondsPath"),
    both("Credentials"),
    both("Assign"),
    jsonata("Arguments"),
    jsonata("Output"),
];

const CHOICE: &[Field] = &[
    both("Type"),
    both("Comment"),
    both("QueryLanguage"),
    both("Choices"),
    both("Default"),
    path("InputPath"),
    path("OutputPath"),
    both("Assign"),
    jsonata("Output"),
];

const WAIT: &[Field] = &[
    both("Type"),
    both("Comment"),
    both("QueryLanguage"),
    both("Next"),
    both("End"),
    both("Seconds"),
    both("Timestamp"),
    path("SecondsPath"),
    path("TimestampPath"),
    path("InputPath"),
    path("OutputPath"),
    both("Assign"),
    jsonata("Output"),
];

const SUCCEED: &[Field] =
    &[both("Type"), both("Comment"), both("QueryLanguage"), path("InputPath"), path("OutputPath"), jsonata("Output")];

const FAIL: &[Field] = &[
    both("Type"),
    both("Comment"),
    both("QueryLanguage"),
    both("Error"),
    both("Cause"),
    path("ErrorPath"),
    path("CausePath"),
];

const PARALLEL: &[Field] = &[
    both("Type"),
    both("Comment"),
    both("QueryLanguage"),
    both("Next"),
    both("End"),
    both("Branches"),
    path("InputPath"),
    path("OutputPath"),
    path("Parameters"),
    path("ResultSelector"),
    path("ResultPath"),
    both("Retry"),
    both("Catch"),
    both("Assign"),
    jsonata("Arguments"),
    jsonata("Output"),
];

const MAP: &[Field] = &[
    both("Type"),
    both("Comment"),
    both("QueryLanguage"),
    both("Next"),
    both("End"),
    both("ItemProcessor"),
    both("Iterator"),
    jsonata("Items"),
    path("ItemsPath"),
    both("ItemSelector"),
    path("Parameters"),
    both("ItemReader"),
    both("ItemBatcher"),
    both("ResultWriter"),
    both("Label"),
    both("MaxConcurrency"),
    path("MaxConcurrencyPath"),
    both("ToleratedFailureCount"),
    path("ToleratedFailureCountPath"),
    both("ToleratedFailurePercentage"),
    path("ToleratedFailurePercentagePath"),
    path("InputPath"),
    path("OutputPath"),
    path("ResultSelector"),
    path("ResultPath"),
    both("Retry"),
    both("Catch"),
    both("Assign"),
    jsonata("Output"),
];

/// The fields of a state of this `Type`.
pub(super) fn of_state(type_name: &str) -> &'static [Field] {
    match type_name {
        "Pass" => PASS,
        "Task" => TASK,
        "Choice" => CHOICE,
        "Wait" => WAIT,
        "Succeed" => SUCCEED,
        "Fail" => FAIL,
        "Parallel" => PARALLEL,
        "Map" => MAP,
        _ => &[],
    }
}

pub(super) const RETRIER: &[Field] = &[
    both("ErrorEquals"),
    both("IntervalSeconds"),
    both("MaxAttempts"),
    both("BackoffRate"),
    both("MaxDelaySeconds"),
    both("JitterStrategy"),
    both("Comment"),
];

pub(super) const CATCHER: &[Field] =
    &[both("ErrorEquals"), both("Next"), path("ResultPath"), both("Assign"), jsonata("Output"), both("Comment")];

/// A rule of a Choice, beside its comparison.
pub(super) const RULE: &[Field] = &[
    both("Next"),
    both("Comment"),
    both("Assign"),
    jsonata("Condition"),
    jsonata("Output"),
    path("Variable"),
    path("And"),
    path("Or"),
    path("Not"),
];

/// A rule inside `And`, `Or` or `Not`.
pub(super) const NESTED_RULE: &[Field] = &[path("Variable"), path("And"), path("Or"), path("Not"), both("Comment")];

pub(super) const ITEM_READER: &[Field] =
    &[both("Resource"), path("Parameters"), jsonata("Arguments"), both("ReaderConfig"), both("Comment")];

pub(super) const READER_CONFIG: &[Field] = &[
    both("InputType"),
    both("Transformation"),
    both("CSVHeaderLocation"),
    both("CSVHeaders"),
    both("CSVDelimiter"),
    both("ItemsPointer"),
    both("ManifestType"),
    both("MaxItems"),
    path("MaxItemsPath"),
    both("Comment"),
];

pub(super) const ITEM_BATCHER: &[Field] = &[
    both("BatchInput"),
    both("MaxItemsPerBatch"),
    path("MaxItemsPerBatchPath"),
    both("MaxInputBytesPerBatch"),
    path("MaxInputBytesPerBatchPath"),
    both("Comment"),
];

pub(super) const RESULT_WRITER: &[Field] =
    &[both("Resource"), path("Parameters"), jsonata("Arguments"), both("WriterConfig"), both("Comment")];

pub(super) const WRITER_CONFIG: &[Field] = &[both("Transformation"), both("OutputType"), both("Comment")];
