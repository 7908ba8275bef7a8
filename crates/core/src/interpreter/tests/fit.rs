//! A journal that was damaged, or mixed with another, either fits or is named. It never makes a panic.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::generator::{Program, programs};
use super::recovery::{by_chance, property, refuse};
use super::{Tokens, World};
use crate::clock::Timestamp;
use crate::ids::{EventId, ExecutionId, Version};
use crate::interpreter::event::{Entry, Event, Failure, FrameId, StateType};
use crate::interpreter::state::{Misfit, State, Unfit};
use crate::interpreter::stimulus::{Stimulus, StimulusKind};
use crate::interpreter::{Bounds, Env, decide, due, owed};
use crate::payload::Payload;

/// Folds a journal up to its first misfit, which changes nothing.
fn fold(journal: &[Entry]) -> (State, Option<Misfit>) {
    let mut state = State::default();
    for entry in journal {
        let before = cfg!(debug_assertions).then(|| state.clone());
        if let Err(misfit) = state.evolve(entry) {
            assert!(before.is_none_or(|before| before == state), "a misfit changed the state: {misfit}");
            return (state, Some(misfit));
        }
    }
    (state, None)
}

#[derive(Debug, Clone, Copy)]
enum Damage {
    Drop,
    Double,
    Swap,
    Foreign,
    Frame,
}

/// Damages a journal at some place. Tells whether the numbers of its visible events give it away.
fn damage(journal: &mut Vec<Entry>, other: &[Entry], rng: &mut StdRng) -> (Damage, bool) {
    let kinds = [Damage::Drop, Damage::Double, Damage::Swap, Damage::Foreign, Damage::Frame];
    let kind = kinds[rng.random_range(0..kinds.len())];
    let at = rng.random_range(0..journal.len());
    let visible = |entry: &Entry| entry.id.0 != 0;
    let told = match kind {
        Damage::Drop => {
            let dropped = journal.remove(at);
            visible(&dropped) && journal[at..].iter().any(visible)
        }
        Damage::Double => {
            journal.insert(at, journal[at].clone());
            visible(&journal[at])
        }
        Damage::Swap => {
            let with = rng.random_range(0..journal.len());
            journal.swap(at, with);
            at != with && visible(&journal[at]) && visible(&journal[with])
        }
        // With the right number: only the state can tell.
        Damage::Foreign => {
            let foreign = &other[rng.random_range(0..other.len())];
            let hidden = foreign.event.is_hidden();
            let id = if hidden { EventId(0) } else { journal[at].id };
            journal[at] = Entry { id, previous: journal[at].previous, ..foreign.clone() };
            false
        }
        Damage::Frame => {
            journal[at].frame = FrameId(rng.random_range(0..9));
            false
        }
    };
    (kind, told)
}

#[test]
fn a_damaged_journal_fits_or_is_named() {
    let show = |((program, other), _): &((Program, Program), u64)| {
        format!("{:#}\nand\n{:#}", program.definition(), other.definition())
    };
    let (named, folded) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    property(150, &((programs(), programs()), proptest::num::u64::ANY), show, |((program, other), seed)| {
        let (world, other) = (by_chance(&program, seed)?, by_chance(&other, seed)?);
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..12 {
            let mut journal = world.journal.clone();
            let (kind, told) = damage(&mut journal, &other.journal, &mut rng);
            let (state, misfit) = fold(&journal);
            if told && misfit.is_none() {
                return Err(refuse(format!("{kind:?} of a visible event was not noticed: {:?}", world.shown())));
            }
            match misfit {
                Some(misfit) => {
                    named.set(named.get() + 1);
                    if misfit.event.is_empty() || misfit.after != state.version() {
                        return Err(refuse(format!("{misfit:?}")));
                    }
                }
                None => folded.set(folded.get() + 1),
            }
            go_on(&world, state);
        }
        Ok(())
    });
    println!("{} named, {} folded", named.get(), folded.get());
    assert!(named.get() > 0 || std::env::var("REVEILLE_SEED").is_ok());
}

/// After any fold the questions of the shell are answered, and a decision is made or refused.
fn go_on(world: &World, mut state: State) {
    let at = due(&world.machine, &state).unwrap_or(world.now).max(world.now);
    drop(owed(&state, false));
    let _ = state.bytes();
    let env = Env {
        execution: ExecutionId(uuid::Uuid::from_u128(1)),
        realm: &world.realm,
        tokens: &Tokens,
        bounds: Bounds::default(),
        holds_timeouts: false,
    };
    for kind in [StimulusKind::Clock, StimulusKind::Stop(Failure::named("Stopped"))] {
        let _ = decide(env, &world.machine, &mut state, Stimulus { at, entropy: 1, kind });
    }
}

/// An execution that waits in its only state.
fn waiting() -> World {
    let mut world = World::new(&json!({
        "StartAt": "W", "States": { "W": { "Type": "Wait", "Seconds": 60, "End": true } }
    }));
    world.start(json!({}));
    world
}

#[test]
fn a_misfit_names_its_place_and_its_reason() {
    let entry = |id: u64, frame: u32, event: Event| Entry {
        at: Timestamp::from_millis(1),
        id: EventId(id),
        previous: EventId(0),
        frame: FrameId(frame),
        event,
    };
    let exit = |kind, name: &str| Event::StateExited {
        kind,
        name: name.into(),
        output: Payload::default(),
        assigned: None,
        next: None,
    };
    let task = Event::TaskHeartbeat { scheduled: EventId(9), count: 1 };
    let top = FrameId::TOP;
    let rows: Vec<(Entry, Unfit, &str)> = vec![
        (entry(4, 0, exit(StateType::Wait, "W")), Unfit::Id(EventId(3)), "its event id should be 3"),
        (entry(3, 0, Event::WaitEnded), Unfit::Id(EventId(0)), "its event id should be 0"),
        (
            Entry { previous: EventId(7), ..entry(0, 0, Event::WaitEnded) },
            Unfit::Previous(EventId(7)),
            "it follows event 7, which is not there yet",
        ),
        (entry(0, 5, Event::WaitEnded), Unfit::NoFrame(FrameId(5)), "frame 5 is not there"),
        (entry(0, 0, task), Unfit::Place { frame: top, is: "has no open task" }, "frame 0 has no open task"),
        (
            entry(3, 0, exit(StateType::Wait, "W")),
            Unfit::Place { frame: top, is: "has not ended its work" },
            "frame 0 has not ended its work",
        ),
        (entry(3, 0, exit(StateType::Wait, "X")), Unfit::Other("another state"), "it names another state"),
        (
            entry(3, 0, Event::ExecutionRedriven { redrive_count: 1, attempt: None, token: None }),
            Unfit::Phase("is running"),
            "the execution is running",
        ),
        (
            entry(3, 0, Event::ExecutionSucceeded { output: Payload::default() }),
            Unfit::Place { frame: top, is: "is not at its end" },
            "frame 0 is not at its end",
        ),
    ];
    for (entry, why, said) in rows {
        let mut state = waiting().state;
        let misfit = state.evolve(&entry).expect_err(said);
        assert_eq!((misfit.after, misfit.id, misfit.why), (Version(3), entry.id, why));
        assert!(misfit.to_string().ends_with(&format!(") does not fit: {said}")), "{misfit}");
    }
    let mut state = waiting().state;
    let misfit = state.evolve(&entry(0, 1, Event::WaitEnded)).unwrap_err();
    assert_eq!(misfit.to_string(), "entry 4 (WaitEnded, event id 0) does not fit: frame 1 is not there");
}

#[test]
fn nothing_but_a_redrive_follows_the_end() {
    let mut world = waiting();
    world.feed(StimulusKind::Stop(Failure::named("Stopped"))).unwrap();
    let stop = world.journal.pop().unwrap();
    let again = Entry { id: EventId(stop.id.0 + 1), ..stop };
    assert_eq!(world.state.evolve(&again).map_err(|m| m.why), Err(Unfit::Phase("has closed")));
    let redrive = |redrive_count| Event::ExecutionRedriven { redrive_count, attempt: None, token: None };
    let second = Entry { event: redrive(2), ..again.clone() };
    assert_eq!(world.state.evolve(&second).map_err(|m| m.why), Err(Unfit::Other("another redrive")));
    assert_eq!(world.state.evolve(&Entry { event: redrive(1), ..again }), Ok(()));
}
