//! Goal: a picture that can be read, of any definition, always the same. Method: properties over definitions by chance,
//! and the definitions of this repository.

use std::fmt::Write;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::diagram::Diagram;
use super::layout::{Fold, Laid, LaidBlock, Shape};
use super::{picture, svg};

/// A machine of `states` states whose transitions come from `chance`: chains, rules, catchers, loops.
fn machine(states: usize, chance: &[u8]) -> Value {
    let mut all = Map::new();
    let pick = |at: usize| usize::from(chance[at % chance.len()]);
    for number in 0..states {
        let next = format!("S{}", (number + 1).min(states - 1));
        let other = format!("S{}", pick(number) * states / 256);
        let mut state = match pick(number + 1) % 6 {
            0 => json!({"Type": "Choice", "Default": next, "Choices": [
                {"Variable": "$.a", "NumericGreaterThan": pick(number), "Next": other},
                {"Variable": "$.name", "StringEquals": "a rather long text to compare with", "Next": other}]}),
            1 => json!({"Type": "Parallel", "Next": next, "Branches": [
                {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Succeed"}}},
                {"StartAt": "C", "States": {"C": {"Type": "Wait", "Seconds": 5, "End": true}}}]}),
            2 => json!({"Type": "Map", "Next": next, "ItemProcessor": {
                "StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::amqp:call", "End": true}}}}),
            _ => json!({"Type": "Task", "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken", "Next": next,
                "Catch": [{"ErrorEquals": ["States.Timeout", "States.HeartbeatTimeout"], "Next": other}]}),
        };
        if number + 1 == states {
            state = json!({"Type": "Succeed"});
        }
        all.insert(format!("S{number}"), state);
    }
    json!({"StartAt": "S0", "States": all})
}

/// Boxes of one block: left, top, right, bottom, and a name for the message.
fn boxes(block: &LaidBlock<'_>) -> Vec<(f64, f64, f64, f64, String)> {
    let around =
        |x: f64, y: f64, w: f64, h: f64, name: String| (x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0, name);
    let name = |shape: &Shape<'_>| match shape {
        Shape::State { node, .. } => node.name.clone(),
        Shape::Start { .. } => "Start".to_owned(),
        Shape::End { .. } => "End".to_owned(),
    };
    let nodes = block.nodes.iter().map(|n| around(n.x, n.y, n.width, n.height, name(&n.shape)));
    let labels = block.lines.iter().filter_map(|line| line.label.as_ref());
    let labels = labels.map(|l| around(l.x, l.y, l.width, l.height, l.text.clone()));
    nodes.chain(labels).collect()
}

fn blocks<'b, 'd>(block: &'b LaidBlock<'d>, all: &mut Vec<&'b LaidBlock<'d>>) {
    all.push(block);
    for node in &block.nodes {
        if let Shape::State { lanes, .. } = &node.shape {
            for lane in lanes {
                blocks(&lane.block, all);
            }
        }
    }
}

fn check(definition: &Value) {
    let diagram = Diagram::read(definition);
    let laid = Laid::of(&diagram, Fold::Open);
    let mut all = Vec::new();
    blocks(&laid.top, &mut all);
    for block in all {
        let boxes = boxes(block);
        for (number, a) in boxes.iter().enumerate() {
            assert!(a.0 >= -0.01 && a.1 >= -0.01, "{a:?} lies outside");
            assert!(a.2 <= block.width + 0.01 && a.3 <= block.height + 0.01, "{a:?} lies outside");
            for b in &boxes[..number] {
                let apart = a.2 <= b.0 + 0.01 || b.2 <= a.0 + 0.01 || a.3 <= b.1 + 0.01 || b.3 <= a.1 + 0.01;
                assert!(apart, "{a:?} and {b:?} overlap");
            }
        }
        for line in &block.lines {
            let ends = [(line.from, line.points.first()), (line.to, line.points.last())];
            for (pointer, point) in ends.into_iter().filter_map(|(pointer, point)| Some((pointer?, point?))) {
                let node = block
                    .nodes
                    .iter()
                    .find(|n| matches!(&n.shape, Shape::State { node, .. } if node.pointer == pointer));
                let node = node.unwrap_or_else(|| panic!("an edge of {pointer}, which does not exist"));
                let on_border = (point.0 - node.x).abs() <= node.width / 2.0 + 0.01
                    && ((point.1 - node.y).abs() - node.height / 2.0).abs() < 0.01
                    || (point.0 - node.x - node.width / 2.0).abs() < 0.01;
                let place = (node.x, node.y, node.width, node.height);
                assert!(on_border, "an edge of {pointer} ends at {point:?}, beside {place:?}; {:?}", line.points);
            }
        }
    }
    assert_eq!(picture(definition), picture(definition));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn nothing_overlaps_and_every_edge_ends_at_its_states(
        states in 1_usize..40,
        chance in proptest::collection::vec(any::<u8>(), 8..64),
    ) {
        check(&machine(states, &chance));
    }

    #[test]
    fn any_json_has_a_picture(text in "[\\x00-\\x7f<>&\"'\u{202e}é]{0,40}", broken in 0_usize..5) {
        let mut definition = machine(4, &[7, 3, 9]);
        definition["States"]["S1"]["Comment"] = json!(text);
        definition["States"][text.as_str()] = json!({"Type": text, "Next": text, "Resource": text});
        match broken {
            0 => definition["StartAt"] = json!(7),
            1 => definition["States"]["S2"] = json!([text]),
            2 => definition["States"] = json!(text),
            3 => definition["States"]["S0"] = json!({"Type": "Parallel", "Branches": [7, {}, {"States": {}}]}),
            _ => definition["States"]["S3"] = json!({"Type": "Choice", "Choices": [{"Next": "S3"}, 7], "Next": "S0"}),
        }
        let svg = picture(&definition);
        prop_assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        // A tag begins only where the drawing writes one.
        prop_assert!(!svg.contains("<script") && svg.matches("<svg").count() == 1);
    }
}

#[test]
fn the_definitions_of_this_repository_can_be_drawn() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut drawn = 0;
    let mut folders = vec![root.join("examples"), root.join("tests/cases")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()) {
            if entry.is_dir() && entry.file_name().is_some_and(|name| name != "node_modules") {
                folders.push(entry);
            } else if entry.extension().is_some_and(|ending| ending == "json") {
                let Ok(value) = serde_json::from_str::<Value>(&std::fs::read_to_string(&entry).unwrap()) else {
                    continue;
                };
                let definition = if value.get("States").is_some() { &value } else { &value["definition"] };
                if definition.get("States").is_some() {
                    check(definition);
                    drawn += 1;
                }
            }
        }
    }
    assert!(drawn > 10, "only {drawn} definitions were found");
}

/// `reveille graph examples/art-event/art-event.asl.json --output examples/art-event/art-event.svg` makes it.
#[test]
fn the_picture_of_the_example_is_that_of_its_definition() {
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/art-event");
    let read = |name: &str| std::fs::read_to_string(example.join(name)).unwrap();
    let definition: Value = serde_json::from_str(&read("art-event.asl.json")).unwrap();
    assert!(picture(&definition) == read("art-event.svg"), "the picture is stale");
}

#[test]
fn a_large_machine_is_drawn_with_its_containers_closed() {
    let chance: Vec<u8> = (0..=255).collect();
    let definition = machine(400, &chance);
    let svg = picture(&definition);
    assert!(svg.contains("3 states") && !svg.contains("/States/S1/Branches/0/States/A"));
    let diagram = Diagram::read(&definition);
    let open = svg::draw(&Laid::of(&diagram, Fold::Open), &svg::Look::default());
    assert!(open.len() > svg.len() / 2 && open.contains("Branches/0/States/A"));
}

#[test]
fn deep_nesting_ends_in_a_closed_box() {
    let mut definition = json!({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}});
    for level in 0..60 {
        let state = json!({"Type": "Map", "End": true, "ItemProcessor": definition});
        let mut states = Map::new();
        states.insert(format!("L{level}"), state);
        definition = json!({"StartAt": format!("L{level}"), "States": states});
    }
    let mut names = String::new();
    for level in 36..60 {
        write!(names, "L{level} ").unwrap();
    }
    let svg = picture(&definition);
    assert!(names.split_whitespace().all(|name| svg.contains(&format!(">{name}<"))) && !svg.contains(">L30<"));
}
