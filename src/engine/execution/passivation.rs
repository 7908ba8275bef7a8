//! When an execution may be packed, and when its actor may leave memory.

use actix::prelude::*;

use crate::engine::execution::actor::ExecutionActor;
use crate::engine::execution::message::{CanPassivate, IsClosed};
use crate::interpreter::state::Phase;

impl ExecutionActor {
    /// Has the partition look at it again in a while: then the broker's confirms are written, or, where nothing
    /// happened, it rests.
    pub(in crate::engine) fn defer(&mut self) {
        if self.deferred.is_none() && self.express.is_none() {
            self.deferred = Some(self.state.version());
            self.host.defer(self.id);
        }
    }

    /// A while has gone, and there is nothing to write.
    pub(super) fn look_again(&mut self) {
        let since = self.deferred.take();
        if self.state.is_asleep() {
            return;
        }
        if since != Some(self.state.version()) {
            self.defer();
        } else if self.is_idle() {
            self.in_flight = Vec::new();
            self.spans = None;
            if let Some(packed) = self.host.pack(&mut self.state) {
                self.services.footprint.count(&mut self.part, packed);
            }
        }
        // Else it hears of something soon, and lingers then.
    }

    /// Nothing is under way that this actor must hear the end of.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
            && self.operations_open == 0
            && self.pending.is_empty()
            && !self.appending
            && self.new_header.is_none()
            && self.express.is_none()
            && self.young.is_empty()
    }
}

impl Handler<CanPassivate> for ExecutionActor {
    type Result = bool;

    fn handle(&mut self, CanPassivate { heavy_only }: CanPassivate, _: &mut Self::Context) -> bool {
        self.is_idle() && (!heavy_only || self.part.is_heavy())
    }
}

impl Handler<IsClosed> for ExecutionActor {
    type Result = bool;

    fn handle(&mut self, _: IsClosed, _: &mut Self::Context) -> bool {
        matches!(self.state.phase(), Phase::Closed(_))
    }
}
