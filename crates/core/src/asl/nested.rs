//! Parallel and Map: states that hold workflows.
//!
//! Source: Amazon States Language specification, "Parallel State", "Map State"; developer guide, "Using Map state in
//! Distributed mode".

use super::MachineType;
use super::check::{Checker, Site};
use super::diagnostics::code;
use super::expressions::QuantityField;
use super::fields;
use super::location::Location;
use super::model::{BlockId, Map, MapMode, Parallel, QueryLanguage, Template};
use super::reader::Object;
use super::spans::Json;

const MAX_CONCURRENCY: QuantityField = QuantityField {
    name: "MaxConcurrency",
    path_name: "MaxConcurrencyPath",
    min: 0,
    max: i64::MAX as u64,
    fraction: false,
};

const TOLERATED_COUNT: QuantityField = QuantityField {
    name: "ToleratedFailureCount",
    path_name: "ToleratedFailureCountPath",
    min: 0,
    max: i64::MAX as u64,
    fraction: false,
};

const TOLERATED_PERCENTAGE: QuantityField = QuantityField {
    name: "ToleratedFailurePercentage",
    path_name: "ToleratedFailurePercentagePath",
    min: 0,
    max: 100,
    fraction: true,
};

impl<'n> Checker<'n> {
    pub fn parallel(&mut self, site: &Site<'_, 'n>) -> Option<Parallel> {
        let Site { object, at, language, around } = *site;
        self.read.required(&object, &["Branches"], at);
        let payload = if language == QueryLanguage::Jsonata { "Arguments" } else { "Parameters" };
        let parameters = self.template(&object, payload, at, language);
        let result_selector = self.template(&object, "ResultSelector", at, language);
        let result_path = self.result_path(&object, at);
        let retry = self.retry(&object, at);
        let catch = self.catch(site);
        let items = self.read.filled_array(&object, "Branches", at)?;
        let branches_at = at.name("Branches");
        let mut branches = Vec::with_capacity(items.len());
        for (i, node) in items.iter().enumerate() {
            let at = branches_at.index(i);
            let branch = self.read.as_object(node, &at).and_then(|branch| {
                self.read.known_fields(&branch, fields::BRANCH, None, &at);
                self.comment(&branch, &at);
                self.block(&branch, &at, around.depth + 1, around.kind)
            });
            branches.push(branch);
        }
        Some(Parallel {
            branches: branches.into_iter().collect::<Option<_>>()?,
            parameters: parameters?,
            result_selector: result_selector?,
            result_path: result_path?,
            retry: retry?,
            catch: catch?,
        })
    }

    pub fn map(&mut self, site: &Site<'_, 'n>) -> Option<Map> {
        let Site { object, at, language, .. } = *site;
        self.read.at_most_one(&object, &["ItemProcessor", "Iterator"], at);
        if !object.has("Iterator") {
            self.read.required(&object, &["ItemProcessor"], at);
        }
        let items_path = self.items_path(&object, at);
        let items = self.items(&object, at, language);
        let item_selector = self.item_selector(&object, at, language);
        let max_concurrency = self.map_quantity(&object, MAX_CONCURRENCY, at, language);
        let tolerated_failure_count = self.map_quantity(&object, TOLERATED_COUNT, at, language);
        let tolerated_failure_percentage = self.map_quantity(&object, TOLERATED_PERCENTAGE, at, language);
        let item_reader = self.item_reader(&object, at, language);
        let item_batcher = self.item_batcher(&object, at, language);
        let result_writer = self.result_writer(&object, at, language);
        let label = self.label(&object, at);
        let result_selector = self.template(&object, "ResultSelector", at, language);
        let result_path = self.result_path(&object, at);
        let retry = self.retry(&object, at);
        let catch = self.catch(site);
        let processor = self.processor(site);
        let (mode, processor) = processor?;
        if mode == MapMode::Inline {
            self.warn_of_distributed(&object, at);
        }
        Some(Map {
            processor,
            mode,
            items_path: items_path?,
            items: items?,
            item_selector: item_selector?,
            item_reader: item_reader?,
            item_batcher: item_batcher?,
            result_writer: result_writer?,
            max_concurrency: max_concurrency?,
            tolerated_failure_count: tolerated_failure_count?,
            tolerated_failure_percentage: tolerated_failure_percentage?,
            label: label?,
            result_selector: result_selector?,
            result_path: result_path?,
            retry: retry?,
            catch: catch?,
        })
    }

    /// The service accepts these fields in an inline Map and fails it when it is entered.
    fn warn_of_distributed(&mut self, object: &Object<'n>, at: &Location<'_>) {
        for name in ["ItemReader", "ItemBatcher", "ResultWriter"] {
            if let Some(member) = object.get(name) {
                let message = format!("An inline Map with '{name}' fails when it is entered");
                let hint = "set \"ProcessorConfig\": {\"Mode\": \"DISTRIBUTED\", \"ExecutionType\": \"STANDARD\"}, or \
                    remove the field";
                self.read.warning(code::DISTRIBUTED_ONLY, message, &at.name(name), member.offset, hint);
            }
        }
    }

    /// `Items`: an array, an object, or a JSONata expression that gives one.
    fn items(&mut self, object: &Object<'n>, at: &Location<'_>, language: QueryLanguage) -> Option<Option<Template>> {
        let Some(node) = object.node("Items").filter(|_| language == QueryLanguage::Jsonata) else { return Some(None) };
        let at = at.name("Items");
        let literal = node.as_str().is_some_and(|text| !text.starts_with("{%"));
        if literal || matches!(node.json, Json::Null | Json::Bool(_) | Json::Number(_)) {
            let hint = "write an array, an object, or an expression that gives one: \"{% $states.input.items %}\"";
            self.read.schema_hint("Expected value of type [ARRAY, JSONATA]", &at, node.offset, hint);
            return None;
        }
        self.as_template(node, &at, language, false).map(Some)
    }

    /// `ItemSelector`, or the older `Parameters`.
    fn item_selector(
        &mut self,
        object: &Object<'n>,
        at: &Location<'_>,
        language: QueryLanguage,
    ) -> Option<Option<Template>> {
        if !self.read.at_most_one(object, &["ItemSelector", "Parameters"], at) {
            return None;
        }
        let name =
            if object.has("Parameters") && language == QueryLanguage::JsonPath { "Parameters" } else { "ItemSelector" };
        self.template(object, name, at, language)
    }

    /// `ItemProcessor`, or the older `Iterator`: the workflow of each item and how it runs.
    fn processor(&mut self, site: &Site<'_, 'n>) -> Option<(MapMode, BlockId)> {
        let Site { object, at, around, .. } = *site;
        let name = if object.has("ItemProcessor") { "ItemProcessor" } else { "Iterator" };
        let processor = self.read.object(&object, name, at)?;
        let at = at.name(name);
        self.read.known_fields(&processor, fields::PROCESSOR, None, &at);
        self.comment(&processor, &at);
        let mode = self.mode(&processor, &at, around.kind);
        let kind = match mode {
            Some(MapMode::Distributed { express: true }) => MachineType::Express,
            Some(MapMode::Distributed { express: false }) => MachineType::Standard,
            _ => around.kind,
        };
        // Child executions do not see the variables of the parent, so no name of theirs can collide.
        let outer = matches!(mode, Some(MapMode::Distributed { .. })).then(|| std::mem::take(&mut self.variables));
        let block = self.block(&processor, &at, around.depth + 1, kind);
        if let Some(outer) = outer {
            self.variables = outer;
        }
        Some((mode?, block?))
    }

    /// `ProcessorConfig`: inline unless it says otherwise.
    fn mode(&mut self, processor: &Object<'n>, at: &Location<'_>, kind: MachineType) -> Option<MapMode> {
        if !processor.has("ProcessorConfig") {
            return Some(MapMode::Inline);
        }
        let config = self.read.object(processor, "ProcessorConfig", at)?;
        let at = at.name("ProcessorConfig");
        self.read.known_fields(&config, fields::PROCESSOR_CONFIG, None, &at);
        let mode = self.read.word(&config, "Mode", &at, &["INLINE", "DISTRIBUTED"]);
        let execution_type = self.read.word(&config, "ExecutionType", &at, &["STANDARD", "EXPRESS"]);
        if config.has("Mode") && mode.is_none() || config.has("ExecutionType") && execution_type.is_none() {
            return None;
        }
        if mode != Some("DISTRIBUTED") {
            if let Some(member) = config.get("ExecutionType") {
                let hint = "an inline Map runs inside its own execution: remove ExecutionType, or set \"Mode\": \
                    \"DISTRIBUTED\"";
                self.read.schema_hint("Field 'ExecutionType' is not supported", &at, member.offset, hint);
                return None;
            }
            return Some(MapMode::Inline);
        }
        if !self.read.required(&config, &["ExecutionType"], &at) {
            return None;
        }
        if kind == MachineType::Express {
            let offset = config.node("Mode").map_or(config.offset, |node| node.offset);
            let hint = "use \"Mode\": \"INLINE\", or make this a Standard machine";
            self.read.schema_hint(
                "Express state machine does not support Map state in 'DISTRIBUTED' mode",
                &at.name("Mode"),
                offset,
                hint,
            );
            return None;
        }
        Some(MapMode::Distributed { express: execution_type == Some("EXPRESS") })
    }
}
