//! Stories told event by event, and the lines they are drawn as.

use crate::payload::Payload;

use serde_json::json;

use super::*;
use crate::ids::{Arn, BlockId};
use crate::interpreter::event::{Started, TaskFamily, TaskScheduled};

/// Entries, one second after the other.
#[derive(Default)]
struct Story(Vec<Entry>, u64);

impl Story {
    fn tell(&mut self, frame: u32, previous: u64, event: Event) -> u64 {
        let at = Timestamp::from_millis(i64::try_from(self.0.len()).unwrap() * 1_000);
        let id = if event.is_hidden() { 0 } else { self.1 + 1 };
        self.1 = self.1.max(id);
        self.0.push(Entry { at, id: EventId(id), previous: EventId(previous), frame: FrameId(frame), event });
        id
    }

    fn enter(&mut self, frame: u32, previous: u64, kind: StateType, name: &str) -> u64 {
        self.tell(frame, previous, Event::StateEntered { kind, name: name.into(), input: Payload::new(json!({})) })
    }

    fn exit(&mut self, frame: u32, kind: StateType, name: &str, next: Option<&str>) {
        let event = Event::StateExited {
            kind,
            name: name.into(),
            output: Payload::new(json!({})),
            assigned: None,
            next: next.map(Into::into),
        };
        self.tell(frame, 0, event);
    }

    fn task(&mut self, frame: u32, resource: &str) -> u64 {
        let event = Event::TaskScheduled(Box::new(TaskScheduled {
            family: family(),
            resource: resource.into(),
            parameters: Payload::new(json!({})),
            timeout_seconds: None,
            heartbeat_seconds: None,
            credentials: None,
        }));
        self.tell(frame, 0, event)
    }

    fn start(&mut self) {
        self.tell(
            0,
            0,
            Event::ExecutionStarted(Box::new(Started {
                input: Payload::new(json!({})),
                role_arn: "".into(),
                arn: Arn::new("arn:e"),
                name: "spring".into(),
                machine: Arn::new("arn:m"),
                machine_name: "art-event".into(),
                version_arn: None,
                alias_arn: None,
                parent: None,
                block: None,
                item: None,
                map_run: None,
                attempt: 0,
                depth: 0,
                forked: None,
                trace: None,
            })),
        );
    }

    fn lines(&self, waiting: &[Wait]) -> Vec<String> {
        let now = Timestamp::from_millis(60_000);
        view(&self.0, waiting, now).iter().map(Line::plain).collect()
    }
}

fn family() -> TaskFamily {
    TaskFamily::Service { resource_type: "amqp".into(), resource: "call".into() }
}

fn waits(scheduled: u64, resource: &str, destination: &str) -> Wait {
    Wait {
        state: String::new(),
        resource: resource.to_owned(),
        scheduled: EventId(scheduled),
        since: Timestamp::from_millis(10_000),
        timeout: Some(Timestamp::from_millis(3_660_000)),
        heartbeat_due: None,
        submitted: true,
        destination: destination.to_owned(),
        queue: true,
        attempt: 1,
        last_heartbeat: None,
    }
}

const CALLBACK: &str = "arn:aws:states:::amqp:publish.waitForTaskToken";
const CALL: &str = "arn:aws:states:::amqp:call";

/// The art event while the friend thinks.
fn art_event() -> (Story, Vec<Wait>) {
    let mut story = Story::default();
    story.start();
    story.enter(0, 0, StateType::Parallel, "Prepare the event");
    let branches = (1..=4).map(BlockId).collect();
    let fork = story.tell(0, 2, Event::ParallelStarted { branches, input: Payload::new(json!({})) });
    story.enter(1, fork, StateType::Task, "Set up the venue");
    story.enter(2, fork, StateType::Task, "Arrange catering");
    story.enter(3, fork, StateType::Task, "Hire a photographer");
    story.enter(4, fork, StateType::Choice, "Anybody to invite?");
    story.exit(4, StateType::Choice, "Anybody to invite?", Some("Let the ink dry"));
    story.enter(4, 0, StateType::Wait, "Let the ink dry");
    story.tell(4, 0, Event::WaitScheduled { due: Timestamp::from_millis(65_000) });
    story.task(1, CALL);
    story.tell(
        1,
        0,
        Event::TaskSucceeded {
            family: family(),
            scheduled: EventId(0),
            output: Payload::new(json!({})),
            by: None,
            link: None,
        },
    );
    story.exit(1, StateType::Task, "Set up the venue", None);
    let catering = story.task(2, CALL);
    let friend = story.task(3, CALLBACK);
    (story, vec![waits(catering, CALL, "queue 'catering'"), waits(friend, CALLBACK, "queue 'photographer-friend'")])
}

#[test]
fn branches_are_shown_with_their_states_and_what_they_wait_for() {
    let (story, waiting) = art_event();
    assert_eq!(
        story.lines(&waiting),
        [
            "spring  running for 1 min",
            "● Prepare the event",
            "  ├ ✓ Set up the venue",
            "  ├ ● Arrange catering  asks queue 'catering', 50 s (1 h left)",
            "  ├ ◌ Hire a photographer  waits for an answer from queue 'photographer-friend', 50 s (1 h left)",
            "  └ ◌ Anybody to invite? → Let the ink dry  goes on in 5.0 s",
        ]
    );
    assert!(
        !view(&story.0, &waiting, Timestamp::default()).iter().any(|line| line.plain().contains("secret")),
        "no token on the screen"
    );
}

#[test]
fn a_retry_a_failure_and_the_outcome_are_told() {
    let (mut story, _) = art_event();
    let failure = Failure::new("Kitchen.Busy", "all ovens\nare taken");
    story.tell(
        2,
        0,
        Event::TaskFailed { family: family(), scheduled: EventId(0), failure: failure.clone(), by: None, link: None },
    );
    story.tell(2, 0, Event::RetryScheduled { retrier: 0, due: Timestamp::from_millis(62_000) });
    assert_eq!(story.lines(&[])[3], "  ├ ◌ Arrange catering  again in 2.0 s after Kitchen.Busy: all ovens are taken");
    story.tell(
        2,
        0,
        Event::TaskFailed { family: family(), scheduled: EventId(0), failure: failure.clone(), by: None, link: None },
    );
    story.tell(3, 0, Event::StateAborted { kind: StateType::Task });
    story.tell(0, 0, Event::ExecutionFailed(failure));
    let lines = story.lines(&[]);
    assert_eq!(lines[0], "spring  FAILED after 19 s");
    assert_eq!(lines[3], "  ├ ✗ Arrange catering  Kitchen.Busy: all ovens are taken");
    assert_eq!(lines[4], "  ├ ◼ Hire a photographer");
    assert_eq!(lines.last().unwrap(), "  Kitchen.Busy: all ovens are taken");
}

#[test]
fn a_map_shows_a_few_iterations_and_counts_the_rest() {
    let mut story = Story::default();
    story.start();
    let map = story.enter(0, 0, StateType::Map, "Send the invitations out");
    for frame in 1..=12_u32 {
        let name: crate::ids::StateName = "Send the invitations out".into();
        let started = story.tell(
            0,
            map,
            Event::MapIterationStarted { name, index: u64::from(frame) - 1, input: Payload::new(json!({})) },
        );
        story.enter(frame, started, StateType::Pass, "Send the e-mail");
    }
    for frame in 1..=3 {
        story.exit(frame, StateType::Pass, "Send the e-mail", None);
    }
    let lines = story.lines(&[]);
    assert_eq!(lines[1], "● Send the invitations out  3 of 12 done");
    assert_eq!(lines[2], "  ├ ● Send the e-mail [3]");
    assert_eq!(lines.len(), 2 + ITERATIONS_SHOWN + 1);
    assert_eq!(lines.last().unwrap(), "  └ 3 done, 4 more running");
}

#[test]
fn a_success_closes_the_view() {
    let mut story = Story::default();
    story.start();
    story.enter(0, 0, StateType::Pass, "Sum up");
    story.exit(0, StateType::Pass, "Sum up", None);
    story.tell(0, 0, Event::ExecutionSucceeded { output: Payload::new(json!({})) });
    assert_eq!(story.lines(&[]), ["spring  SUCCEEDED after 3.0 s", "✓ Sum up"]);
    assert_eq!(view(&[], &[], Timestamp::default()).len(), 1);
}
