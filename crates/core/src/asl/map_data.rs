//! The data fields of a Map: `ItemReader`, `ItemBatcher`, `ResultWriter`, and its `Label`.
//!
//! Source: developer guide, "ItemReader (Map)", "ItemBatcher (Map)", "ResultWriter (Map)"; labels as recorded. The
//! service accepts these fields in an inline Map too, where they mean nothing.

use serde_json::Value;

use super::check::Checker;
use super::diagnostics::code;
use super::expressions::QuantityField;
use super::fields;
use super::location::Location;
use super::model::{ItemBatcher, ItemReader, QueryLanguage, ResultWriter, Template};
use super::reader::Object;
use super::resource::Resource;
use super::spans::{Json, Node};
use crate::limits::PAYLOAD_BYTES_MAX;

/// Developer guide, "ItemReader (Map)": at most this many items.
const MAX_ITEMS: QuantityField =
    QuantityField { name: "MaxItems", path_name: "MaxItemsPath", min: 0, max: 100_000_000, fraction: false };

/// Measured on AWS: the least value of each number of a Map is 0.
const ITEMS_PER_BATCH: QuantityField = QuantityField {
    name: "MaxItemsPerBatch",
    path_name: "MaxItemsPerBatchPath",
    min: 0,
    max: i64::MAX as u64,
    fraction: false,
};

const BYTES_PER_BATCH: QuantityField = QuantityField {
    name: "MaxInputBytesPerBatch",
    path_name: "MaxInputBytesPerBatchPath",
    min: 0,
    max: PAYLOAD_BYTES_MAX as u64,
    fraction: false,
};

/// Developer guide, "Map state in Distributed mode", `Label`.
const LABEL_CHARS_MAX: usize = 40;

impl<'n> Checker<'n> {
    pub fn item_reader(
        &mut self,
        object: &Object<'n>,
        at: &Location<'_>,
        language: QueryLanguage,
    ) -> Option<Option<ItemReader>> {
        if !object.has("ItemReader") {
            return Some(None);
        }
        let reader = self.read.object(object, "ItemReader", at)?;
        let at = at.name("ItemReader");
        self.read.known_fields(&reader, fields::ITEM_READER, Some(language), &at);
        self.read.required(&reader, &["Resource"], &at);
        let resource = self.data_resource(&reader, &at);
        let parameters = self.data_parameters(&reader, &at, language);
        let lists = reader.node("Resource").and_then(Node::as_str).is_some_and(|arn| arn.contains(":listObjects"));
        self.warn_of_no_object(&reader, if lists { &["Bucket"] } else { &["Bucket", "Key"] }, &at, language);
        let mut max_items = Some(None);
        let mut config = Value::Null;
        if reader.has("ReaderConfig") {
            let fields = self.read.object(&reader, "ReaderConfig", &at)?;
            let at = at.name("ReaderConfig");
            max_items = self.reader_config(&fields, &at, language);
            config = reader.node("ReaderConfig").map(Node::to_value).unwrap_or_default();
        }
        Some(Some(ItemReader { resource: resource??, parameters: parameters?, config, max_items: max_items? }))
    }

    fn reader_config(
        &mut self,
        config: &Object<'n>,
        at: &Location<'_>,
        language: QueryLanguage,
    ) -> Option<Option<super::model::Quantity>> {
        self.read.known_fields(config, fields::READER_CONFIG, Some(language), at);
        self.read.word(config, "InputType", at, &["CSV", "JSON", "JSONL", "PARQUET", "MANIFEST"]);
        self.read.word(config, "Transformation", at, &["NONE", "LOAD_AND_FLATTEN"]);
        self.read.word(config, "CSVHeaderLocation", at, &["FIRST_ROW", "GIVEN"]);
        self.read.word(config, "CSVDelimiter", at, &["COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB"]);
        self.read.word(config, "ManifestType", at, &["ATHENA_DATA", "S3_INVENTORY"]);
        self.read.string(config, "ItemsPointer", at);
        if let Some(headers) = self.read.array(config, "CSVHeaders", at) {
            let at = at.name("CSVHeaders");
            for (i, header) in headers.iter().enumerate() {
                self.read.as_string(header, &at.index(i));
            }
        }
        if config.node("CSVHeaderLocation").and_then(Node::as_str) == Some("GIVEN") {
            self.read.required(config, &["CSVHeaders"], at);
        }
        self.map_quantity(config, MAX_ITEMS, at, language)
    }

    pub fn item_batcher(
        &mut self,
        object: &Object<'n>,
        at: &Location<'_>,
        language: QueryLanguage,
    ) -> Option<Option<ItemBatcher>> {
        if !object.has("ItemBatcher") {
            return Some(None);
        }
        let batcher = self.read.object(object, "ItemBatcher", at)?;
        let at = at.name("ItemBatcher");
        self.read.known_fields(&batcher, fields::ITEM_BATCHER, Some(language), &at);
        let items = self.map_quantity(&batcher, ITEMS_PER_BATCH, &at, language);
        let bytes = self.map_quantity(&batcher, BYTES_PER_BATCH, &at, language);
        let input = self.template(&batcher, "BatchInput", &at, language);
        let bounds = ["MaxItemsPerBatch", "MaxItemsPerBatchPath", "MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath"];
        if !bounds.iter().any(|name| batcher.has(name)) {
            let hint = "say how large a batch may get: MaxItemsPerBatch, MaxInputBytesPerBatch, or both";
            let message = format!("At least one of these fields is required: [{}]", bounds.join(", "));
            self.read.schema_hint(message, &at, batcher.offset, hint);
            return None;
        }
        Some(Some(ItemBatcher { max_items_per_batch: items?, max_input_bytes_per_batch: bytes?, batch_input: input? }))
    }

    pub fn result_writer(
        &mut self,
        object: &Object<'n>,
        at: &Location<'_>,
        language: QueryLanguage,
    ) -> Option<Option<ResultWriter>> {
        if !object.has("ResultWriter") {
            return Some(None);
        }
        let writer = self.read.object(object, "ResultWriter", at)?;
        let at = at.name("ResultWriter");
        self.read.known_fields(&writer, fields::RESULT_WRITER, Some(language), &at);
        // An export needs its bucket. Measured on AWS: `These fields are required: [Arguments]`.
        let payload = parameters_field(language);
        match (writer.has("WriterConfig"), writer.has("Resource")) {
            (true, false) => {}
            (_, true) => drop(self.read.required(&writer, &[payload], &at)),
            (false, false) => drop(self.read.required(&writer, &["Resource", payload], &at)),
        }
        let resource = self.data_resource(&writer, &at);
        let parameters = self.data_parameters(&writer, &at, language);
        if writer.has("Resource") {
            self.warn_of_no_object(&writer, &["Bucket"], &at, language);
        }
        let mut config = Value::Null;
        if writer.has("WriterConfig") {
            let fields = self.read.object(&writer, "WriterConfig", &at)?;
            let at = at.name("WriterConfig");
            self.read.known_fields(&fields, fields::WRITER_CONFIG, None, &at);
            self.read.word(&fields, "Transformation", &at, &["NONE", "COMPACT", "FLATTEN"]);
            self.read.word(&fields, "OutputType", &at, &["JSON", "JSONL"]);
            config = writer.node("WriterConfig").map(Node::to_value).unwrap_or_default();
        }
        Some(Some(ResultWriter { resource: resource?, parameters: parameters?, config }))
    }

    /// A reader or writer must have a place, which may be computed.
    fn warn_of_no_object(&mut self, object: &Object<'n>, names: &[&str], at: &Location<'_>, language: QueryLanguage) {
        let field = parameters_field(language);
        let members = match object.node(field).map(|node| &node.json) {
            Some(Json::Object(members)) => members.as_slice(),
            None => &[],
            Some(_) => return,
        };
        let stands = |name: &str| members.iter().any(|m| m.name == name || m.name.strip_suffix(".$") == Some(name));
        let missing: Vec<&str> = names.iter().copied().filter(|name| !stands(name)).collect();
        if !missing.is_empty() {
            let message = format!("{field} has no {}", missing.join(" and no "));
            let offset = object.get(field).map_or(object.offset, |member| member.offset);
            let hint = "for example \"Bucket\": \"orders\", \"Key\": \"2026/items.json\"";
            self.read.warning(code::NO_OBJECT, message, at, offset, hint);
        }
    }

    fn data_resource(&mut self, object: &Object<'n>, at: &Location<'_>) -> Option<Option<Resource>> {
        let Some(node) = object.node("Resource") else { return Some(None) };
        let at = at.name("Resource");
        let text = self.read.as_string(node, &at)?;
        let resource = Resource::parse(text);
        if resource.is_none() {
            let hint = "for example arn:aws:states:::s3:getObject, s3:listObjectsV2 or s3:putObject";
            self.read.schema_hint("Value is not a valid resource ARN", &at, node.offset, hint);
        }
        resource.map(Some)
    }

    fn data_parameters(
        &mut self,
        object: &Object<'n>,
        at: &Location<'_>,
        language: QueryLanguage,
    ) -> Option<Option<Template>> {
        self.template(object, parameters_field(language), at, language)
    }

    /// At most 40 characters, none of which would confuse an ARN or a log group; unique over the machine.
    pub fn label(&mut self, object: &Object<'n>, at: &Location<'_>) -> Option<Option<String>> {
        if !object.has("Label") {
            return Some(None);
        }
        let text = self.read.string(object, "Label", at)?;
        let offset = object.node("Label").map_or(object.offset, |node| node.offset);
        let at = at.name("Label");
        let refuse = |this: &mut Self, code: &'static str, message: String, hint: &str| {
            this.read.error(code, message, &at, offset, hint);
        };
        if text.is_empty() {
            refuse(
                self,
                code::INVALID_LABEL_NAME,
                "Label cannot be empty".into(),
                "remove the field: a label is made up where none is given",
            );
            return None;
        }
        if text.chars().count() > LABEL_CHARS_MAX {
            let message = format!("Label cannot exceed {LABEL_CHARS_MAX} characters");
            refuse(self, code::INVALID_LABEL_NAME, message, "choose a shorter label");
            return None;
        }
        if let Some(c) = text.chars().find(|c| !label_character(*c)) {
            let message = format!("Label contains invalid character: '{}'", c.escape_default());
            refuse(self, code::INVALID_LABEL_NAME, message, "use letters, digits, '-', '_' and '.'");
            return None;
        }
        if !self.labels.insert(text) {
            refuse(
                self,
                code::DUPLICATE_LABEL_NAME,
                format!("Duplicate Label name: {text}"),
                "labels are unique over the whole machine",
            );
            return None;
        }
        Some(Some(text.to_owned()))
    }
}

const fn parameters_field(language: QueryLanguage) -> &'static str {
    match language {
        QueryLanguage::JsonPath => "Parameters",
        QueryLanguage::Jsonata => "Arguments",
    }
}

/// Neither white space nor a control character, bracket, wildcard or special character of the guide's list.
fn label_character(c: char) -> bool {
    !(c.is_whitespace() || c.is_control() || "?*<>{}[]:;,\\|^~$#%&`\"".contains(c))
}
