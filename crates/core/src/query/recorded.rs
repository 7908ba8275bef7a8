//! Payload templates of recorded single-state machines, evaluated here and compared with AWS's answers. The recordings
//! lie beside the checkout (`../shared/conformance/cases`, or `CONFORMANCE_CASES`); without them there is nothing to
//! compare and the test passes.

use std::path::PathBuf;

use serde_json::Value;

use super::Entropy;
use super::template::Template;
use super::test_roots::TestRoots;
use crate::clock::Timestamp;

fn cases() -> Option<Vec<PathBuf>> {
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/conformance/cases"));
    let folder = std::env::var_os("CONFORMANCE_CASES").map_or_else(default, PathBuf::from).join("intrinsic_functions");
    Some(std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect())
}

#[test]
fn recorded_intrinsic_functions_give_the_recorded_output() {
    let Some(cases) = cases() else { return };
    let mut compared = 0;
    for file in cases {
        let case: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let chance = !case["bare_placeholders"].as_array().is_none_or(Vec::is_empty);
        for run in case["runs"].as_array().unwrap() {
            let definition =
                &case["definitions"][usize::try_from(run["definition"].as_u64().unwrap()).unwrap()]["definition"];
            let state = definition["States"].as_object().unwrap().values().next().unwrap();
            let template =
                Template::compile(&state["Parameters"]).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            let mut roots = TestRoots::of(serde_json::from_str(run["input"].as_str().unwrap()).unwrap());
            roots.context["Execution"]["Input"] = roots.input.clone();
            let output = template.evaluate(&roots, &mut Entropy::new(Timestamp::from_millis(0), 1));
            let output = output.unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            // Results that depend on names, on chance or on other fields of the state are not compared.
            let expected = &run["expect"]["output"];
            if !chance && state.get("OutputPath").is_none() && !expected.to_string().contains("@@{") {
                assert_eq!(&output, expected, "{} with {}", file.display(), run["input"]);
                compared += 1;
            }
        }
    }
    assert!(compared > 50, "only {compared} recordings were compared");
}
