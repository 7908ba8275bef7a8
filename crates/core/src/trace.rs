//! The trace of an execution: the caller's, or its own. Forms: W3C Trace Context and AWS X-Ray.
//!
//! Every id follows from the execution's id and a number of its journal. So a task's message can name its span long
//! before that span is over, and the same span has the same id after every restart.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{EventId, ExecutionId};

/// Characters of a `tracestate` (W3C: at least 512 are passed on). A longer one is left out.
const STATE_CHARS_MAX: usize = 512;
/// Random bits of a trace id, as OpenTelemetry's sampling reads them.
const RANDOM_BITS: u32 = 56;

/// A span, as messages name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanContext {
    pub trace: u128,
    /// 0: a trace without a span (X-Ray's `Root` alone).
    pub span: u64,
    /// The caller collects this trace.
    pub sampled: bool,
}

impl fmt::Display for SpanContext {
    /// `traceparent`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

impl SpanContext {
    /// A `traceparent`. Later versions may have more behind the flags.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parts = |text: &str| {
            let mut parts = text.splitn(5, '-');
            let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
            let version = hex(version, 2)?;
            let fits = version != 0xff && (version != 0 || parts.next().is_none());
            fits.then_some((hex(trace, 32)?, hex(span, 16)?, hex(flags, 2)?))
        };
        let (trace, span, flags) = parts(text.trim())?;
        let context = Self { trace, span: u64::try_from(span).ok()?, sampled: flags & 1 == 1 };
        (trace != 0).then_some(context)
    }
}

/// Lower-case digits, so many.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let plain = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if plain { u128::from_str_radix(text, 16).ok() } else { None }
}

impl Serialize for SpanContext {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SpanContext {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no traceparent"))
    }
}

/// The trace in which an execution was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceOrigin {
    pub parent: SpanContext,
    /// The `tracestate` beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Arc<str>>,
    /// The execution has a trace of its own, with a link to `parent`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub linked: bool,
}

impl TraceOrigin {
    /// From `traceparent` and `tracestate`.
    #[must_use]
    pub fn of_w3c(parent: &str, state: Option<&str>) -> Option<Self> {
        let parent = SpanContext::parse(parent).filter(|parent| parent.span != 0)?;
        let printable = |state: &&str| state.len() <= STATE_CHARS_MAX && state.bytes().all(|b| (32..127).contains(&b));
        let state = state.map(str::trim).filter(|state| !state.is_empty()).filter(printable).map(Arc::from);
        Some(Self { parent, state, linked: false })
    }

    /// From `X-Amzn-Trace-Id`: `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`. Where it
    /// does not say whether the trace is collected, `sampling` does.
    #[must_use]
    pub fn of_x_ray(text: &str, sampling: Sampling) -> Option<Self> {
        let field = |name: &str| {
            let fields = text.split(';').filter_map(|field| field.trim().split_once('='));
            fields.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
        };
        let (time, rest) = field("Root")?.strip_prefix("1-")?.split_once('-')?;
        let trace = hex(time, 8)? << 96 | hex(rest, 24)?;
        let span = match field("Parent") {
            Some(parent) => u64::try_from(hex(parent, 16)?).ok()?,
            None => 0,
        };
        let sampled = match field("Sampled") {
            Some("1") => true,
            Some("0") => false,
            _ => sampling.takes(trace),
        };
        let parent = SpanContext { trace, span, sampled };
        (trace != 0).then_some(Self { parent, state: None, linked: false })
    }

    /// The origin of an execution that a task started. A child that the task waits for is a part of its trace. Any
    /// other may live long after it, so it has a trace of its own.
    #[must_use]
    pub fn of_task(task: SpanContext, state: Option<Arc<str>>, waits: bool) -> Self {
        Self { parent: task, state, linked: !waits }
    }
}

/// The share of traces that are collected where the caller says nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling(pub f64);

impl Sampling {
    /// As OpenTelemetry decides it: the same for a trace everywhere.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, as intended")]
    pub fn takes(self, trace: u128) -> bool {
        let all = 1u64 << RANDOM_BITS;
        #[expect(clippy::cast_precision_loss, reason = "a power of two")]
        let refused = ((1.0 - self.0) * all as f64) as u64;
        trace & u128::from(all - 1) >= u128::from(refused)
    }
}

/// The trace of one execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    pub id: u128,
    pub sampled: bool,
    /// The span above the execution, in this trace.
    pub parent: Option<u64>,
    /// The starter's span, in another trace.
    pub link: Option<SpanContext>,
    pub state: Option<Arc<str>>,
}

impl Trace {
    #[must_use]
    pub fn of(execution: ExecutionId, origin: Option<&TraceOrigin>, sampling: Sampling) -> Self {
        let own = execution.0.as_u128();
        match origin {
            None => Self { id: own, sampled: sampling.takes(own), parent: None, link: None, state: None },
            Some(TraceOrigin { parent, state, linked: false }) => Self {
                id: parent.trace,
                sampled: parent.sampled,
                parent: Some(parent.span).filter(|span| *span != 0),
                link: None,
                state: state.clone(),
            },
            Some(TraceOrigin { parent, state, linked: true }) => {
                Self { id: own, sampled: parent.sampled, parent: None, link: Some(*parent), state: state.clone() }
            }
        }
    }

    /// The span of the execution itself.
    #[must_use]
    pub fn execution(&self, execution: ExecutionId) -> SpanContext {
        SpanContext { trace: self.id, span: span_id(execution, EventId(1), 0, 0), sampled: self.sampled }
    }

    /// The span of a task.
    #[must_use]
    pub fn task(&self, execution: ExecutionId, scheduled: EventId) -> SpanContext {
        SpanContext { trace: self.id, span: span_id(execution, scheduled, 0, 0), sampled: self.sampled }
    }
}

/// A span's id: the execution's random half, and the event with which the span began. `retry` and `redrive` tell apart
/// the spans that began with one event. Two executions of one trace meet with a chance of about 2^-40.
#[must_use]
pub fn span_id(execution: ExecutionId, event: EventId, retry: u32, redrive: u32) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half, as intended")]
    let half = execution.0.as_u128() as u64;
    let number = event.0 | u64::from(retry & 0xffff) << 32 | u64::from(redrive & 0xffff) << 48;
    half.wrapping_add(number).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_as_w3c_says() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = SpanContext::parse(text).expect("it is one");
        assert_eq!((context.span, context.sampled, context.to_string().as_str()), (0x00f0_67aa_0ba9_02b7, true, text));
        let origin = |text: &str| TraceOrigin::of_w3c(text, None).is_some();
        let rest = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        assert!(origin(&format!("cc-{rest}-what-comes")), "a later version");
        for bad in [
            String::new(),
            format!("ff-{rest}"),
            format!("00-{rest}-more"),
            format!("00-{}", rest.to_uppercase()),
            format!("00-{}", rest.replace("00f067aa0ba902b7", "0000000000000000")),
            format!("00-{}", rest.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32))),
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
            "00-é".to_owned(),
        ] {
            assert!(!origin(&bad), "{bad}");
        }
    }

    #[test]
    fn a_tracestate_is_passed_on_where_it_can_stand_in_a_header() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let state = |text: &str| TraceOrigin::of_w3c(parent, Some(text)).expect("a parent").state;
        assert_eq!(state(" vendor=1,other=2 ").as_deref(), Some("vendor=1,other=2"));
        assert_eq!(state(""), None);
        assert_eq!(state("a=\nb"), None);
        assert_eq!(state(&"x".repeat(STATE_CHARS_MAX + 1)), None);
    }

    #[test]
    fn x_rays_header_names_a_trace() {
        let all = Sampling(1.0);
        let text = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        let origin = TraceOrigin::of_x_ray(text, Sampling(0.0)).expect("it is one");
        assert_eq!(origin.parent.to_string(), "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01");
        let root = "Root=1-5759e988-bd862e3fe1be46a994272793";
        let told =
            |text: &str, sampling| TraceOrigin::of_x_ray(text, sampling).map(|o| (o.parent.span, o.parent.sampled));
        assert_eq!(told(root, all), Some((0, true)));
        assert_eq!(told(root, Sampling(0.0)), Some((0, false)));
        assert_eq!(told(&format!("Self=1-2-3; {root} ; Sampled=0"), all), Some((0, false)));
        assert_eq!(told("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=x", all), None);
        assert_eq!(told("Root=2-5759e988-bd862e3fe1be46a994272793", all), None);
        assert_eq!(told("Parent=53995c3f42cd8ad8", all), None);
    }

    #[test]
    fn an_origin_keeps_its_form() {
        let origin =
            TraceOrigin::of_w3c("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some("a=1")).unwrap();
        let text = r#"{"parent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","state":"a=1"}"#;
        assert_eq!(serde_json::to_string(&origin).unwrap(), text);
        assert_eq!(serde_json::from_str::<TraceOrigin>(text).unwrap(), origin);
        let linked = TraceOrigin { state: None, linked: true, ..origin };
        let text = r#"{"parent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","linked":true}"#;
        assert_eq!(serde_json::to_string(&linked).unwrap(), text);
        assert_eq!(serde_json::from_str::<TraceOrigin>(text).unwrap(), linked);
    }

    #[test]
    fn a_share_of_the_traces_is_taken() {
        let ids: Vec<u128> = (0..1_000).map(|n: u128| n * 0x1234_5678_9abc_def1_2345).collect();
        let taken = |share| ids.iter().filter(|id| Sampling(share).takes(**id)).count();
        assert_eq!((taken(1.0), taken(0.0)), (1_000, 0));
        assert!((200..300).contains(&taken(0.25)), "{}", taken(0.25));
    }
}
