//! The map run's own machine: tables of events and commands.

use crate::payload::Payload;

use serde_json::json;

use crate::interpreter::event::{Failure, Tolerance};
use crate::interpreter::map_items::Child;
use crate::interpreter::map_run::{ChildStatus, MapRun, RunCommand, RunEvent, RunLimits, RunOutcome};
use crate::limits::{MAP_RUN_CONCURRENCY, MAP_RUN_QUEUE, MAP_RUN_STARTS, MAP_RUN_STARTS_LARGE};

fn child(index: u64) -> Child {
    Child { index, input: Payload::new(json!(index)), items: 1, item: None }
}

fn children(range: std::ops::Range<u64>) -> Vec<Child> {
    range.map(child).collect()
}

fn limits(max_concurrency: u64, count: Option<u64>) -> RunLimits {
    RunLimits { max_concurrency, tolerance: Tolerance { count, percentage: None } }
}

/// Commands in short: `R` read, `S3` start child 3, `A` abort, `F+` `F-` `F0` finish (succeeded, failed, aborted).
fn short(commands: &[RunCommand]) -> String {
    let words: Vec<String> = commands
        .iter()
        .map(|o| match o {
            RunCommand::Read { .. } => "R".to_owned(),
            RunCommand::Start(c) => format!("S{}", c.index),
            RunCommand::Abort => "A".to_owned(),
            RunCommand::Finish(RunOutcome::Succeeded) => "F+".to_owned(),
            RunCommand::Finish(RunOutcome::Failed(_)) => "F-".to_owned(),
            RunCommand::Finish(RunOutcome::Aborted) => "F0".to_owned(),
        })
        .collect();
    words.join(" ")
}

fn read(range: std::ops::Range<u64>, last: bool) -> RunEvent {
    RunEvent::Read { children: children(range), last }
}

fn closed(index: u64, status: ChildStatus) -> RunEvent {
    RunEvent::Closed { index, status }
}

fn started(index: u64) -> RunEvent {
    RunEvent::Started { index }
}

use ChildStatus::{Failed, Running, Succeeded};

/// Name, limits, existing children, and events with their commands.
type Case = (&'static str, RunLimits, Vec<ChildStatus>, Vec<(RunEvent, &'static str)>);

#[test]
fn what_a_run_orders() {
    let broken = || Failure::new("States.ItemReaderFailed", "gone");
    let table: Vec<Case> = vec![
        ("no items", limits(0, None), vec![], vec![(RunEvent::Begin, "R"), (read(0..0, true), "F+")]),
        (
            "one after the other",
            limits(1, None),
            vec![],
            vec![
                (RunEvent::Begin, "R"),
                (read(0..2, true), "S0"),
                (started(0), ""),
                (closed(0, Succeeded), "S1"),
                (closed(0, Succeeded), ""),
                (started(1), ""),
                (closed(1, Succeeded), "F+"),
            ],
        ),
        (
            "a child that closes before its start is known ends nothing early",
            limits(0, None),
            vec![],
            vec![(RunEvent::Begin, "R"), (read(0..1, true), "S0"), (closed(0, Succeeded), ""), (started(0), "F+")],
        ),
        (
            "a failure too many: what runs is stopped, then the run fails",
            limits(2, Some(0)),
            vec![],
            vec![
                (RunEvent::Begin, "R"),
                (read(0..4, true), "S0 S1"),
                (started(0), ""),
                (closed(0, Failed), ""),
                (started(1), "A"),
                (closed(1, ChildStatus::Aborted), ""),
                (RunEvent::Aborted, "F-"),
                (RunEvent::Stop, ""),
            ],
        ),
        (
            "stopped: nothing starts any more",
            limits(1, None),
            vec![],
            vec![
                (RunEvent::Begin, "R"),
                (read(0..4, true), "S0"),
                (RunEvent::Stop, ""),
                (started(0), "A"),
                (RunEvent::Aborted, "F0"),
            ],
        ),
        (
            "items that cannot be read",
            limits(0, None),
            vec![],
            vec![(RunEvent::Begin, "R"), (RunEvent::ReadFailed(broken()), "A"), (RunEvent::Aborted, "F-")],
        ),
        (
            "more at once by UpdateMapRun",
            limits(1, None),
            vec![],
            vec![
                (RunEvent::Begin, "R"),
                (read(0..4, true), "S0"),
                (started(0), ""),
                (RunEvent::Changed(limits(3, None)), "S1 S2"),
                (started(1), ""),
                (started(2), ""),
                (RunEvent::Changed(limits(1, None)), ""),
                (closed(0, Succeeded), ""),
                (closed(1, Succeeded), ""),
                (closed(2, Succeeded), "S3"),
            ],
        ),
        (
            "a tolerance taken back ends the run",
            limits(1, Some(5)),
            vec![],
            vec![
                (RunEvent::Begin, "R"),
                (read(0..4, true), "S0"),
                (started(0), ""),
                (closed(0, Failed), "S1"),
                (started(1), ""),
                (RunEvent::Changed(limits(1, Some(0))), "A"),
            ],
        ),
        (
            "restarted: existing children are not started again, missing ones are",
            limits(0, Some(9)),
            vec![Succeeded, Running, ChildStatus::None, Failed],
            vec![
                (RunEvent::Begin, "R"),
                (read(0..5, true), "S2 S4"),
                (started(2), ""),
                (started(4), ""),
                (closed(2, Succeeded), ""),
                (closed(4, Succeeded), ""),
                (closed(1, Succeeded), "F+"),
            ],
        ),
        (
            "restarted: a child that closes before its item is read again",
            limits(0, None),
            vec![Running],
            vec![(closed(0, Succeeded), "R"), (read(0..1, true), "F+")],
        ),
    ];
    for (name, limits, known, steps) in table {
        let mut run = MapRun::new(limits, known, false);
        for (i, (event, wanted)) in steps.into_iter().enumerate() {
            let commands = run.take(event);
            assert_eq!(short(&commands), wanted, "{name}, step {i}");
        }
    }
}

#[test]
fn counts_are_those_of_describe_map_run() {
    let mut run = MapRun::new(limits(2, Some(9)), vec![Succeeded], false);
    let batch = |index| Child { items: 10, ..child(index) };
    let _ = run.take(RunEvent::Read { children: (0..4).map(batch).collect(), last: true });
    let _ = run.take(started(1));
    let _ = run.take(closed(1, ChildStatus::TimedOut));
    let counts = run.children();
    assert_eq!((counts.pending, counts.running, counts.succeeded, counts.timed_out, counts.total()), (1, 1, 1, 1, 4));
    let items = run.items();
    assert_eq!((items.pending, items.running, items.succeeded, items.timed_out, items.total()), (10, 10, 10, 10, 40));
}

/// However long the items are, few are held and no more than the bounds are open.
#[test]
fn a_long_run_stays_within_its_bounds() {
    const ITEMS: u64 = 20_000;
    let mut run = MapRun::new(limits(0, None), Vec::new(), false);
    let mut events = std::collections::VecDeque::from([RunEvent::Begin]);
    let (mut next, mut open, mut peak, mut ended) = (0u64, 0usize, 0usize, false);
    while let Some(now) = events.pop_front() {
        if matches!(now, RunEvent::Closed { .. }) {
            open -= 1;
        }
        for order in run.take(now) {
            match order {
                RunCommand::Read { children: n } => {
                    let end = (next + n as u64).min(ITEMS);
                    events.push_back(read(next..end, end == ITEMS));
                    next = end;
                }
                RunCommand::Start(c) => {
                    open += 1;
                    events.push_back(started(c.index));
                    events.push_back(closed(c.index, Succeeded));
                }
                RunCommand::Finish(outcome) => {
                    assert_eq!(outcome, RunOutcome::Succeeded);
                    ended = true;
                }
                RunCommand::Abort => panic!("nothing failed"),
            }
        }
        peak = peak.max(run.held());
        assert!(open as u64 <= MAP_RUN_CONCURRENCY);
    }
    assert!(ended);
    assert_eq!(run.children().succeeded, ITEMS);
    assert!(peak <= MAP_RUN_QUEUE + MAP_RUN_STARTS, "{peak} children were held at once");
}

/// Small inputs start by the hundred, large ones by the dozen: each start holds its input until it is durable.
#[test]
fn starts_are_fewer_where_their_inputs_are_large() {
    for (bytes, starts) in [(10, MAP_RUN_STARTS), (100_000, MAP_RUN_STARTS_LARGE)] {
        let text = "x".repeat(bytes);
        let large = |index| Child { input: Payload::new(json!(text)), ..child(index) };
        let mut run = MapRun::new(limits(0, None), Vec::new(), false);
        let _ = run.take(RunEvent::Begin);
        let begun = run.take(RunEvent::Read { children: (0..1_000).map(large).collect(), last: true });
        assert_eq!((begun.len(), run.starting()), (starts, starts), "inputs of {bytes} bytes");
        for index in 0..10 {
            let next = run.take(started(index));
            assert_eq!((next.len(), run.starting()), (1, starts), "one for one");
        }
    }
}

/// A redriven run starts those again that had no success, and starts those that were never begun.
#[test]
fn a_redriven_run_keeps_what_succeeded() {
    let known = vec![Succeeded, ChildStatus::Failed, ChildStatus::Aborted, Running];
    let mut run = MapRun::new(limits(1, None), known, true);
    let _ = run.take(RunEvent::Begin);
    let commands = run.take(read(0..6, true));
    let counts = *run.children();
    assert_eq!(
        (counts.succeeded, counts.pending_redrive, counts.running, counts.pending, counts.total()),
        (1, 2, 1, 2, 6)
    );
    assert!(commands.is_empty(), "one is open already: {commands:?}");
    assert_eq!(run.pending().map(|c| c.index).collect::<Vec<_>>(), [4, 5], "those that never were");
    let mut begun = Vec::new();
    let mut events = std::collections::VecDeque::from([closed(3, Succeeded)]);
    let mut outcome = None;
    while let Some(now) = events.pop_front() {
        for order in run.take(now) {
            match order {
                RunCommand::Start(child) => {
                    begun.push(child.index);
                    events.extend([started(child.index), closed(child.index, Succeeded)]);
                }
                RunCommand::Finish(how) => outcome = Some(how),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((begun, outcome), (vec![1, 2, 4, 5], Some(RunOutcome::Succeeded)));
    assert_eq!((run.children().succeeded, run.children().pending_redrive, run.begun()), (6, 0, 6));
}
