//! The walk over a definition: blocks and states, with the fields that all states have in common.
//!
//! Every field is read even after an error, so that one run shows all faults. The result is complete only where nothing
//! was refused: a function that could not build its part returns `None` and has said why.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::diagnostics::{Findings, code};
use super::fields::{self, LANGUAGES, TYPES, language_of};
use super::graph::Graph;
use super::location::Location;
use super::model::{Block, BlockId, Kind, Machine, Pass, QueryLanguage, ResultPath, State, StateName, Transition};
use super::reader::{Object, Reader, duplicates};
use super::spans::{Json, Node};
use super::{MachineType, Whole};
use crate::limits::{BLOCK_DEPTH_MAX, NAME_CHARS_MAX, TASK_TIMEOUT_SECONDS_MAX};
use crate::payload::Payload;
use crate::query::programs::Programs;

pub(super) struct Checker<'n> {
    pub read: Reader,
    /// For the regular expressions of the definition.
    pub programs: &'n Programs,
    /// The query language of the machine, for states that name none.
    pub machine_language: QueryLanguage,
    blocks: Vec<Option<Block>>,
    /// The transitions of each block, in the order of the blocks; judged after all fields.
    graphs: Vec<Graph<'n>>,
    /// State names seen so far: unique over the whole machine.
    names: HashSet<&'n str>,
    /// Labels of Map states seen so far: unique as well.
    pub labels: HashSet<&'n str>,
    /// Names that the blocks around us assign, outermost first.
    pub variables: Vec<HashSet<&'n str>>,
}

/// A block's surroundings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    /// Number of the block in [`Machine::blocks`] and of its graph.
    pub block: usize,
    pub depth: usize,
    /// The type of the block's execution: the children of a Distributed Map may be Express in a Standard machine.
    pub kind: MachineType,
}

/// A state while it is read.
#[derive(Clone, Copy)]
pub(super) struct Site<'a, 'n> {
    pub object: Object<'n>,
    pub at: &'a Location<'a>,
    pub language: QueryLanguage,
    pub around: Around,
}

impl<'n> Checker<'n> {
    /// Reads the whole definition. The machine is there if nothing was refused.
    pub fn check(
        node: &'n Node,
        kind: MachineType,
        whole: Whole,
        programs: &'n Programs,
    ) -> (Option<Machine>, Findings) {
        let mut checker = Self {
            read: Reader::default(),
            programs,
            machine_language: QueryLanguage::JsonPath,
            blocks: Vec::new(),
            graphs: Vec::new(),
            names: HashSet::new(),
            labels: HashSet::new(),
            variables: Vec::new(),
        };
        let machine = checker.machine(node, kind);
        let Self { mut read, graphs, .. } = checker;
        for (number, graph) in graphs.iter().enumerate().skip(usize::from(whole == Whole::State)) {
            graph.judge(number == 0, &mut read);
        }
        let machine = machine.filter(|_| !read.findings.has_errors());
        (machine, read.findings)
    }

    fn machine(&mut self, node: &'n Node, kind: MachineType) -> Option<Machine> {
        let at = Location::TOP;
        let object = self.read.as_object(node, &at)?;
        self.read.known_fields(&object, fields::MACHINE, None, &at);
        if let Some(member) = object.get("QueryLanguage") {
            self.read.word(&object, "QueryLanguage", &at, &LANGUAGES);
            self.machine_language = language_of(member.node.as_str());
        }
        self.comment(&object, &at);
        self.read.word(&object, "Version", &at, &["1.0"]);
        let timeout_seconds = self.read.integer(&object, "TimeoutSeconds", &at, 1, TASK_TIMEOUT_SECONDS_MAX);
        self.block(&object, &at, 0, kind);
        let blocks: Option<Vec<Block>> = std::mem::take(&mut self.blocks).into_iter().collect();
        Some(Machine { query_language: self.machine_language, timeout_seconds, blocks: blocks?, bytes: 0 })
    }

    pub fn comment(&mut self, object: &Object<'n>, at: &Location<'_>) {
        self.read.string(object, "Comment", at);
    }

    /// Reads `StartAt` and `States` of the machine, a branch or a Map's processor.
    pub fn block(
        &mut self,
        object: &Object<'n>,
        at: &Location<'_>,
        depth: usize,
        kind: MachineType,
    ) -> Option<BlockId> {
        if depth > BLOCK_DEPTH_MAX {
            let hint = "start a child execution (arn:aws:states:::states:startExecution.sync:2) for the inner part";
            self.read.error(
                code::TOO_DEEPLY_NESTED,
                format!("States are nested deeper than {BLOCK_DEPTH_MAX} levels"),
                at,
                object.offset,
                hint,
            );
            return None;
        }
        let block = self.blocks.len();
        self.blocks.push(None);
        self.graphs.push(Graph::default());
        self.variables.push(HashSet::new());
        let built = self.block_states(object, at, Around { block, depth, kind });
        self.variables.pop();
        self.blocks[block] = built;
        u32::try_from(block).ok().map(BlockId)
    }

    fn block_states(&mut self, object: &Object<'n>, at: &Location<'_>, around: Around) -> Option<Block> {
        self.read.required(object, &["StartAt", "States"], at);
        let start_at = self.read.string(object, "StartAt", at);
        let states_at = at.name("States");
        // Keys that stand twice have a code of their own here.
        let states = object.node("States").and_then(|node| match &node.json {
            Json::Object(members) => Some(Object { members, offset: node.offset }),
            _ => self.read.as_object(node, &states_at),
        });
        if let (Some(start), Some(node)) = (start_at, object.node("StartAt")) {
            self.graphs[around.block].start(start, &at.name("StartAt"), node.offset);
        }
        let states = states?;
        if states.members.is_empty() {
            self.read.schema("Value cannot be empty", &states_at, states.offset);
            return None;
        }
        for member in duplicates(states.members) {
            self.duplicate_state(&member.name, &states_at.name(&member.name), member.offset);
        }
        let mut own = HashSet::with_capacity(states.members.len());
        self.graphs[around.block].states_at = states_at.to_aws();
        self.declare_variables(&states);
        let mut built = BTreeMap::new();
        let mut complete = true;
        for member in states.members {
            let at = states_at.name(&member.name);
            self.graphs[around.block].state(&member.name, member.offset);
            if own.insert(member.name.as_str()) {
                self.state_name(&member.name, &at, member.offset);
            }
            match self.state(&member.name, &member.node, &at, around) {
                Some(state) => drop(built.insert(Arc::clone(&state.name), Arc::new(state))),
                None => complete = false,
            }
        }
        let start_at: StateName = start_at?.into();
        complete.then(|| Block { start_at, states: built, pointer: at.to_pointer() })
    }

    fn duplicate_state(&mut self, name: &str, at: &Location<'_>, offset: u32) {
        let hint = "state names are unique over the whole machine, branches and processors included";
        self.read.error(code::DUPLICATE_STATE_NAME, format!("Duplicate State name: {name}"), at, offset, hint);
    }

    /// 1..80 characters, unique over the machine (Amazon States Language specification, "States").
    fn state_name(&mut self, name: &'n str, at: &Location<'_>, offset: u32) {
        if name.is_empty() {
            self.read.error(
                code::INVALID_STATE_NAME,
                "Invalid State name: the name is empty",
                at,
                offset,
                "give the state a name",
            );
        }
        let characters = name.chars().count();
        if characters > NAME_CHARS_MAX {
            let message = format!(
                "Invalid State name: State '{name}' exceeds the {NAME_CHARS_MAX}-character limit allowed by the service"
            );
            let hint = format!("the name has {characters} characters");
            self.read.error(code::INVALID_STATE_NAME, message, at, offset, hint);
        }
        if !self.names.insert(name) {
            self.duplicate_state(name, at, offset);
        }
    }

    fn state(&mut self, name: &'n str, node: &'n Node, at: &Location<'_>, around: Around) -> Option<State> {
        let object = self.read.as_object(node, at)?;
        let language = self.state_language(&object, at);
        self.read.required(&object, &["Type"], at);
        let type_name = self.read.word(&object, "Type", at, &TYPES);
        self.comment(&object, at);
        let Some(type_name) = type_name else {
            // The graph still counts: an unknown type is one mistake, not one for each state behind it.
            self.graphs[around.block].assume_terminal();
            self.follow(&object, at, around);
            return None;
        };
        self.read.known_fields(&object, fields::of_state(type_name), language, at);
        self.read.word(&object, "QueryLanguage", at, &LANGUAGES);
        let language = language.unwrap_or(self.machine_language);
        let site = Site { object, at, language, around };

        let input_path = self.selection(&object, "InputPath", at);
        let output_path = self.selection(&object, "OutputPath", at);
        let output = self.template(&object, "Output", at, language);
        let assign = self.assign(&object, at, language, false);
        let transition = match type_name {
            "Choice" => Some(Transition::End),
            "Succeed" | "Fail" => {
                self.graphs[around.block].terminal();
                Some(Transition::End)
            }
            _ => self.transition(&object, at, around),
        };
        let kind = match type_name {
            "Pass" => self.pass(&site).map(Kind::Pass),
            "Task" => self.task(&site).map(|task| Kind::Task(Box::new(task))),
            "Choice" => self.choice(&site).map(Kind::Choice),
            "Wait" => self.wait(&site).map(Kind::Wait),
            "Succeed" => Some(Kind::Succeed),
            "Fail" => self.fail(&site).map(Kind::Fail),
            "Parallel" => self.parallel(&site).map(|parallel| Kind::Parallel(Box::new(parallel))),
            _ => self.map(&site).map(|map| Kind::Map(Box::new(map))),
        };
        Some(State {
            name: name.into(),
            pointer: at.to_pointer(),
            language,
            input_path: input_path?,
            output_path: output_path?,
            output: output?,
            assign: assign?,
            transition: transition?,
            kind: kind?,
        })
    }

    /// The state's own `QueryLanguage`, else the machine's (never that of the Map or Parallel around it). `None` where
    /// it was refused: a JSONata machine holds no JSONPath state.
    fn state_language(&mut self, object: &Object<'n>, at: &Location<'_>) -> Option<QueryLanguage> {
        let Some(member) = object.get("QueryLanguage") else { return Some(self.machine_language) };
        let language = language_of(member.node.as_str());
        if self.machine_language == QueryLanguage::Jsonata && language == QueryLanguage::JsonPath {
            let hint = "leave the machine's QueryLanguage at JSONPath and set JSONata on single states, or move this \
                state to JSONata";
            let message = "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine";
            self.read.schema_hint(message, at, member.offset, hint);
            return None;
        }
        Some(language)
    }

    /// `Next` or `End`.
    fn transition(&mut self, object: &Object<'n>, at: &Location<'_>, around: Around) -> Option<Transition> {
        let end = self.read.boolean(object, "End", at);
        if end == Some(true) || (end.is_none() && object.has("End")) {
            self.graphs[around.block].terminal();
            if let Some(next) = object.get("Next") {
                let hint = "remove 'Next' if the workflow ends here, 'End' if it goes on";
                self.read.schema_hint("Exactly one of these fields is required: [Next, End]", at, next.offset, hint);
                self.next(object, "Next", at, around);
                return None;
            }
            return end.map(|_| Transition::End);
        }
        if !object.has("Next") {
            let hint = "name the state that follows in 'Next', or end the workflow here with \"End\": true";
            self.read.schema_hint("Exactly one of these fields is required: [Next, End]", at, object.offset, hint);
            self.graphs[around.block].assume_terminal();
            return None;
        }
        self.next(object, "Next", at, around).map(Transition::Next)
    }

    /// A field that names a state of the same block.
    pub fn next(&mut self, object: &Object<'n>, name: &str, at: &Location<'_>, around: Around) -> Option<StateName> {
        let target = self.read.string(object, name, at)?;
        let offset = object.node(name).map_or(object.offset, |node| node.offset);
        self.graphs[around.block].transition(target, &at.name(name), offset);
        Some(target.into())
    }

    /// Transitions of a state whose type is unknown.
    fn follow(&mut self, object: &Object<'n>, at: &Location<'_>, around: Around) {
        for name in ["Next", "Default"] {
            if object.node(name).is_some_and(|node| node.as_str().is_some()) {
                self.next(object, name, at, around);
            }
        }
    }

    fn pass(&mut self, site: &Site<'_, 'n>) -> Option<Pass> {
        let Site { object, at, language, .. } = *site;
        let parameters = self.template(&object, "Parameters", at, language);
        let result_path = self.result_path(&object, at);
        let result = object.node("Result").map(Node::to_value);
        if let (Some(value), Some(member)) = (&result, object.get("Result"))
            && super::expressions::holds_computed(value)
        {
            let hint = "a Result is a constant; use Parameters, with keys that end in '.$', to compute it";
            let message = "The Result of a Pass state is static: the path in it is not evaluated";
            self.read.warning(code::PASS_RESULT_IS_STATIC, message, &at.name("Result"), member.offset, hint);
        }
        let result_path: ResultPath = result_path?;
        Some(Pass { result: result.map(Payload::new), parameters: parameters?, result_path })
    }
}
