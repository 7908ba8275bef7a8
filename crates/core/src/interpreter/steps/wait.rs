//! Wait: until a moment that is computed once, at the entry.

use crate::asl::model::{Quantity, QueryLanguage, State, Text, Wait};
use crate::clock::Timestamp;
use crate::interpreter::dataflow::{self, EvalError, Extra};
use crate::interpreter::decide::Decider;
use crate::interpreter::event::{Event, FrameId, Payload};
use crate::interpreter::failure::fail_state;

use super::{effective_input, exit, leave_jsonata, raw_input, transition};

/// AWS refuses waits of 2^31 seconds and more (recorded: 24,855 days pass, 24,856 do not).
const WAIT_SECONDS_MAX: f64 = 2_147_483_648.0;

pub(in crate::interpreter) fn enter(
    d: &mut Decider<'_>,
    frame: FrameId,
    state: &State,
    wait: &Wait,
) -> Result<(), EvalError> {
    let input = effective_input(d, frame, state)?;
    let now = d.at;
    let (scope, entropy) = d.scope(frame, &input, None);
    let due = match wait {
        Wait::Seconds(q) => now.plus_seconds(seconds(q, &scope, entropy)?),
        Wait::Timestamp(t) => {
            let text = dataflow::text(t, "Timestamp", &scope, entropy)?;
            parse(&text, t)?
        }
    };
    if due.since(now).as_secs_f64() >= WAIT_SECONDS_MAX {
        return Err(EvalError::value(state.language, "Wait state delay is too long.", None).after_evaluation());
    }
    d.emit(frame, Event::WaitScheduled { due });
    if due <= now {
        d.emit(frame, Event::WaitEnded);
    }
    Ok(())
}

fn seconds(
    q: &Quantity,
    roots: &dyn crate::query::Roots,
    entropy: &mut crate::query::Entropy,
) -> Result<f64, EvalError> {
    let (n, value) = dataflow::quantity(q, "Seconds", roots, Extra::default(), entropy)?;
    if n < 0.0 {
        return Err(match q {
            Quantity::Path(p) => EvalError::runtime(format!(
                "The SecondsPath parameter references a negative value: {} == {}",
                p.text(),
                dataflow::plain(&value)
            )),
            Quantity::Jsonata(_) => EvalError::value(
                QueryLanguage::Jsonata,
                format!("The Seconds field must not be negative but was: {value}"),
                Some("Seconds"),
            ),
            Quantity::Literal(_) => {
                EvalError::runtime(format!("The Seconds field must not be negative but was: {value}"))
            }
        });
    }
    if n.fract() != 0.0 {
        return Err(match q {
            Quantity::Path(p) => EvalError::runtime(format!(
                "The SecondsPath parameter does not reference an integer value: {} == {}",
                p.text(),
                dataflow::plain(&value)
            )),
            _ => dataflow::no_positive_integer(q, "Seconds", &value),
        });
    }
    Ok(n)
}

/// RFC 3339 with an uppercase `T` and an offset or `Z`, as the language wants it.
fn parse(text: &str, field: &Text) -> Result<Timestamp, EvalError> {
    if let Ok(at) = Timestamp::parse_iso(text) {
        return Ok(at);
    }
    let sentence =
        format!("The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string: {text}");
    Err(match field {
        Text::Path(p) => EvalError::runtime(format!(
            "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: \
             {} == {text}",
            p.text()
        )),
        Text::Jsonata(_) => EvalError::value(QueryLanguage::Jsonata, sentence, Some("Timestamp")).after_evaluation(),
        Text::Literal(_) | Text::Intrinsic(_) => EvalError::runtime(sentence),
    })
}

/// The wait is over: the input goes on.
pub(in crate::interpreter) fn over(d: &mut Decider<'_>, frame: FrameId, state: &State) {
    let done = match state.language {
        QueryLanguage::Jsonata => {
            let raw = raw_input(d, frame);
            leave_jsonata(d, frame, state, &raw, None, &raw)
        }
        QueryLanguage::JsonPath => over_json_path(d, frame, state),
    };
    if let Err(t) = done {
        fail_state(d, frame, t);
    }
}

fn over_json_path(d: &mut Decider<'_>, frame: FrameId, state: &State) -> Result<(), EvalError> {
    let input = effective_input(d, frame, state)?;
    let (output, assigned) = {
        let (scope, entropy) = d.scope(frame, &input, None);
        let assigned = dataflow::assign(state.assign.as_ref(), "Assign", &scope, Extra::default(), entropy)?;
        (dataflow::output_path(state, &input, &scope)?, assigned)
    };
    exit(d, frame, state, Payload::clone(&output), assigned, transition(state))
}
