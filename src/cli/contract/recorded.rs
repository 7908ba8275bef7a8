//! Payloads and results that an execution really had, by state.

use std::collections::HashMap;

use serde_json::Value;

/// The first of each state.
#[derive(Debug, Default)]
pub(super) struct Examples(HashMap<String, Example>);

#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Example {
    /// Evaluated parameters; of a function or an activity its input.
    pub parameters: Option<Value>,
    pub output: Option<Value>,
}

impl Examples {
    pub fn of(&self, state: &str) -> Option<&Example> {
        self.0.get(state)
    }

    /// Reads a history with its data.
    pub fn read(events: &[Value]) -> Self {
        let id = |event: &Value, name: &str| event[name].as_u64().unwrap_or_default();
        let by_id: HashMap<u64, &Value> = events.iter().map(|event| (id(event, "id"), event)).collect();
        let mut found: HashMap<String, Example> = HashMap::new();
        for event in events {
            let (member, is_parameters) = match event["type"].as_str().unwrap_or_default() {
                "TaskScheduled" => (&event["taskScheduledEventDetails"]["parameters"], true),
                "LambdaFunctionScheduled" => (&event["lambdaFunctionScheduledEventDetails"]["input"], true),
                "ActivityScheduled" => (&event["activityScheduledEventDetails"]["input"], true),
                "TaskSucceeded" => (&event["taskSucceededEventDetails"]["output"], false),
                "LambdaFunctionSucceeded" => (&event["lambdaFunctionSucceededEventDetails"]["output"], false),
                "ActivitySucceeded" => (&event["activitySucceededEventDetails"]["output"], false),
                _ => continue,
            };
            let Some(value) = member.as_str().and_then(|text| serde_json::from_str(text).ok()) else { continue };
            let Some(state) = state_of(event, &by_id) else { continue };
            let example = found.entry(state).or_default();
            let place = if is_parameters { &mut example.parameters } else { &mut example.output };
            place.get_or_insert(value);
        }
        Self(found)
    }
}

/// The state that was entered before an event.
fn state_of(event: &Value, by_id: &HashMap<u64, &Value>) -> Option<String> {
    let mut at = event;
    loop {
        if let Some(name) = at["stateEnteredEventDetails"]["name"].as_str() {
            return Some(name.to_owned());
        }
        let before = at["previousEventId"].as_u64().filter(|before| Some(*before) < at["id"].as_u64())?;
        at = by_id.get(&before)?;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_payload_and_result_of_each_state_are_taken() {
        let entered = |id: u64, name: &str| {
            json!({"id": id, "previousEventId": id - 1, "type": "TaskStateEntered",
                "stateEnteredEventDetails": {"name": name}})
        };
        let events = [
            json!({"id": 1, "previousEventId": 0, "type": "ExecutionStarted"}),
            entered(2, "A"),
            json!({"id": 3, "previousEventId": 2, "type": "TaskScheduled",
                "taskScheduledEventDetails": {"parameters": "{\"Queue\":\"q\",\"Body\":1}"}}),
            json!({"id": 4, "previousEventId": 3, "type": "TaskSucceeded",
                "taskSucceededEventDetails": {"output": "7"}}),
            entered(5, "A"),
            json!({"id": 6, "previousEventId": 5, "type": "TaskScheduled",
                "taskScheduledEventDetails": {"parameters": "{\"Body\":2}"}}),
        ];
        let found = Examples::read(&events);
        let expected = Example { parameters: Some(json!({"Queue": "q", "Body": 1})), output: Some(json!(7)) };
        assert_eq!(found.of("A"), Some(&expected));
        assert_eq!(found.of("B"), None);
    }
}
