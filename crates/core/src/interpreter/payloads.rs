//! The payloads of an event in a fixed order. The order is part of the journal's form (`record`): it never changes, and
//! a new payload comes last.

use super::event::{Event, ItemSource, MapRunPlan, Payload};

/// Calls `see` with each payload.
pub fn each(event: &Event, see: &mut impl FnMut(&Payload)) {
    match event {
        Event::ExecutionStarted(started) => {
            see(&started.input);
            started.item.iter().for_each(|item| see(&item.value));
            started.forked.iter().for_each(|forked| see(&forked.input));
        }
        Event::ExecutionSucceeded { output }
        | Event::StateExited { output, .. }
        | Event::TaskSubmitted { output, .. }
        | Event::TaskSucceeded { output, .. }
        | Event::MapRunSucceeded { output } => see(output),
        Event::StateEntered { input, .. }
        | Event::ParallelStarted { input, .. }
        | Event::MapIterationStarted { input, .. } => see(input),
        Event::TaskScheduled(details) => {
            see(&details.parameters);
            details.credentials.iter().for_each(see);
        }
        Event::MapStarted(map) => {
            see(&map.input);
            map.items.iter().for_each(|item| see(&item.value));
        }
        Event::MapRunStarted { plan: Some(plan), .. } => {
            let MapRunPlan { input, source, batching, writer, .. } = &**plan;
            see(input);
            match source {
                ItemSource::StateData { items } => see(items),
                ItemSource::Reader { parameters, .. } => see(parameters),
            }
            batching.iter().filter_map(|b| b.input.as_ref()).chain(writer).for_each(see);
        }
        _ => {}
    }
}

/// Calls `see` with each payload, which it may change.
pub fn each_mut(event: &mut Event, see: &mut impl FnMut(&mut Payload)) {
    match event {
        Event::ExecutionStarted(started) => {
            see(&mut started.input);
            started.item.iter_mut().for_each(|item| see(&mut item.value));
            started.forked.iter_mut().for_each(|forked| see(&mut forked.input));
        }
        Event::ExecutionSucceeded { output }
        | Event::StateExited { output, .. }
        | Event::TaskSubmitted { output, .. }
        | Event::TaskSucceeded { output, .. }
        | Event::MapRunSucceeded { output } => see(output),
        Event::StateEntered { input, .. }
        | Event::ParallelStarted { input, .. }
        | Event::MapIterationStarted { input, .. } => see(input),
        Event::TaskScheduled(details) => {
            see(&mut details.parameters);
            details.credentials.iter_mut().for_each(see);
        }
        Event::MapStarted(map) => {
            see(&mut map.input);
            map.items.iter_mut().for_each(|item| see(&mut item.value));
        }
        Event::MapRunStarted { plan: Some(plan), .. } => {
            let MapRunPlan { input, source, batching, writer, .. } = &mut **plan;
            see(input);
            match source {
                ItemSource::StateData { items } => see(items),
                ItemSource::Reader { parameters, .. } => see(parameters),
            }
            batching.iter_mut().filter_map(|b| b.input.as_mut()).chain(writer).for_each(see);
        }
        _ => {}
    }
}
