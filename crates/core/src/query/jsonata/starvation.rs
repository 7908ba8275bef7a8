//! Each case of the suite with its work and its memory cut short: the same answer or a bound, never another one. What
//! escapes the budget shows itself here.

use serde_json::{Map, Value};

use super::super::QueryError;
use super::Limits;
use super::suite::{Case, cases, run};

fn outcome(case: &Case, limits: &Limits) -> Result<Value, QueryError> {
    run(&case.text, case.input.as_ref(), &case.bindings, limits)
}

fn cut(case: &Case, whole: &Result<Value, QueryError>, limits: &Limits) {
    match outcome(case, limits) {
        Err(QueryError::Bound { .. }) => {}
        other => assert_eq!(&other, whole, "{} with {limits:?}", case.text),
    }
}

#[test]
fn a_cut_budget_gives_the_same_answer_or_a_bound() {
    // The cuts multiply the work: every third case in an unoptimized build.
    let step = if cfg!(debug_assertions) { 3 } else { 1 };
    for case in cases().iter().step_by(step) {
        let limits = Limits { depth: case.depth, ..Limits::default() };
        let whole = outcome(case, &limits);
        let costly = matches!(outcome(case, &Limits { steps: 200_000, ..limits }), Err(QueryError::Bound { .. }));
        if costly {
            continue;
        }
        for exponent in 0..18 {
            cut(case, &whole, &Limits { steps: 1 << exponent, ..limits });
        }
        for kilobytes in [0, 1, 2, 4, 8, 16, 32, 64, 128, 256] {
            cut(case, &whole, &Limits { heap_bytes: kilobytes << 10, ..limits });
        }
        for depth in [1, 2, 4, 8, 16, 32] {
            cut(case, &whole, &Limits { depth, ..limits });
        }
        cut(case, &whole, &Limits { string_bytes: 8, ..limits });
    }
}

#[test]
fn equal_evaluations_end_equally_on_any_thread() {
    let run = || {
        let expressions = [
            "$map([1..200], function($i){ {'r': $random(), 'u': $uuid(), 's': $shuffle([1..5]), 't': $now()} })",
            "$reduce([1..1000], function($a, $i){ $a & $string($i) })",
            "($f := function($n){ $n > 0 ? $f($n - 1) : $n }; $f(100000))",
        ];
        let mut outcomes = Vec::new();
        for text in expressions {
            for exponent in 8..24 {
                let limits = Limits { steps: 1 << exponent, ..Limits::default() };
                outcomes.push(super::suite::run(text, None, &Map::new(), &limits));
            }
        }
        outcomes
    };
    let here = run();
    assert_eq!(run(), here);
    assert_eq!(std::thread::spawn(run).join().unwrap(), here);
}
