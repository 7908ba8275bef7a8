//! Roots for the tests of this room.

use serde_json::{Map, Value, json};

use super::Roots;

#[derive(Debug)]
pub(super) struct TestRoots {
    pub input: Value,
    pub context: Value,
    pub variables: Map<String, Value>,
}

impl TestRoots {
    pub(super) fn of(input: Value) -> Self {
        let context = json!({"Execution": {"Name": "run", "Input": {"x": 1}}, "StateMachine": {"Id": "arn:sm", "Name": "machine"}});
        let variables =
            json!({"answer": 42, "list": [1, 2, 3], "order": {"id": "o-1", "lines": [{"sku": "a"}, {"sku": "b"}]}});
        let Value::Object(variables) = variables else { unreachable!("a literal object") };
        Self { input, context, variables }
    }
}

impl Roots for TestRoots {
    fn input(&self) -> &Value {
        &self.input
    }

    fn context(&self) -> &Value {
        &self.context
    }

    fn variable(&self, name: &str) -> Option<&Value> {
        self.variables.get(name)
    }
}
