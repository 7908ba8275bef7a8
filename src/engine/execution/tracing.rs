//! The spans of an execution: opened before a decision, handed over after it is durable; and the trace that its
//! messages and children belong to.

use crate::ids::EventId;
use crate::interpreter::event::Entry;
use crate::spans::Spans;
use crate::trace::{Sampling, SpanContext, Trace, TraceOrigin};

use super::actor::ExecutionActor;

impl ExecutionActor {
    /// Before a decision: the spans that are open now. One branch where nothing is traced.
    pub(super) fn open_spans(&mut self) {
        let Some(traces) = &self.services.options.traces else { return };
        if self.spans.is_some() {
            return;
        }
        let origin = self.state.started().and_then(|started| started.trace.as_deref());
        let is_new = self.state.started().is_none();
        if is_new || Trace::of(self.id, origin, traces.sampling()).sampled {
            self.spans = Some(Box::new(Spans::of(self.id, &self.state, traces.sampling())));
        }
    }

    /// After it is durable: the spans that these entries end.
    pub(super) fn trace(&mut self, entries: &[Entry]) {
        let (Some(traces), Some(spans)) = (&self.services.options.traces, &mut self.spans) else { return };
        let mut ended = Vec::new();
        for entry in entries {
            spans.evolve(entry, &mut ended);
        }
        if !spans.trace().sampled {
            self.spans = None;
        } else if !ended.is_empty() {
            traces.send(spans.trace(), ended);
        }
    }

    /// The span that a task's message names, with the `tracestate` of its trace. An engine that sends no spans hands on
    /// the caller's: its own would be missing.
    pub(super) fn task_context(&self, scheduled: EventId) -> (SpanContext, Option<String>) {
        let origin = self.state.started().and_then(|started| started.trace.as_deref());
        let state = origin.and_then(|origin| origin.state.as_deref()).map(str::to_owned);
        let own = |sampling| Trace::of(self.id, origin, sampling).task(self.id, scheduled);
        let context = match (&self.services.options.traces, origin) {
            (Some(traces), _) => own(traces.sampling()),
            (None, Some(TraceOrigin { parent, linked: false, .. })) if parent.span != 0 => *parent,
            (None, _) => own(Sampling(1.0)),
        };
        (context, state)
    }

    /// The trace of a child that this task starts. Without spans of ours only a caller's trace goes on.
    pub(super) fn child_origin(&self, scheduled: EventId, waits: bool) -> Option<Box<TraceOrigin>> {
        let origin = self.state.started().and_then(|started| started.trace.as_deref());
        if self.services.options.traces.is_none() && origin.is_none() {
            return None;
        }
        let (task, _) = self.task_context(scheduled);
        Some(Box::new(TraceOrigin::of_task(task, origin.and_then(|origin| origin.state.clone()), waits)))
    }
}
