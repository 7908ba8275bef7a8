//! Requests of an execution to its partition.

use std::rc::Rc;
use std::sync::Arc;

use crate::asl::resource::Resource;
use crate::clock::Timestamp;
use crate::engine::types::{Applied, DeliverError};
use crate::ids::ExecutionId;
use crate::interpreter::state::{Outcome, State};
use crate::store::Tenure;

use super::effects::{Calls, Effects};
use super::message::PendingReply;
use super::state_cell::StateCell;
use super::turns::Turns;

/// Which of the actors that an execution has one after the other. An actor knows its own without an address of itself,
/// which would keep it alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Incarnation(pub u64);

/// The partition of an execution, as its actor sees it. Both are on one thread.
pub(in crate::engine) trait Host {
    /// The partition and its owner's epoch, which every append names.
    fn tenure(&self) -> Tenure;

    /// Nothing of this partition counts here any more, or that is not known just now: another owner may have gone on
    /// from the journal, and an answer from memory alone may be an old one.
    fn may_be_behind(&self) -> bool;

    /// Where the replies of this partition's tasks arrive.
    fn reply_queue(&self) -> &str;

    /// A resource, taken apart.
    fn resource(&self, arn: &Arc<str>) -> Option<Rc<Resource>>;

    /// Timeouts of tasks wait until answers given in time have come in.
    fn holds_timeouts(&self) -> bool;

    /// Turns for decisions that are not done in one piece.
    fn turns(&self) -> Turns;

    /// When the execution is due next.
    fn arm(&self, execution: ExecutionId, due: Option<Timestamp>);

    /// The execution is looked at again in a while. A confirmed task is written with its reply if that comes sooner,
    /// else then.
    fn defer(&self, execution: ExecutionId);

    /// Packs the state of an execution that nothing happens to; the bytes that are left of it.
    fn pack(&self, state: &mut StateCell) -> Option<u64>;

    /// This actor is of no use any more; the next message revives the execution from its journal. Another actor that
    /// was made meanwhile stays: each answer that the old one owed comes here.
    fn forget(&self, execution: ExecutionId, incarnation: Incarnation);

    /// The store did not take the decision of an execution. The execution is revived after a while, because no other
    /// event may ask for its debts. `is_new`: the decision would have made it, and may be under way at the store still.
    fn revive_later(self: Rc<Self>, execution: ExecutionId, is_new: bool);

    /// Whether the last decision of this execution may be under way at the store still, although it was given up.
    fn unsure(&self, execution: ExecutionId, unsure: bool);

    /// The first decision was not written, or was refused: the execution does not exist.
    fn not_begun(&self, execution: ExecutionId, incarnation: Incarnation, error: &DeliverError);

    /// The outcome of a reply that was handed to this actor.
    fn settle(self: Rc<Self>, incarnation: Incarnation, reply: PendingReply, result: Result<Applied, DeliverError>);

    /// The execution has closed.
    fn ended(&self, execution: ExecutionId, state: &State, outcome: &Outcome);

    /// The execution is gone without an end: an express one whose actor died.
    fn lost(&self, execution: ExecutionId);

    /// The effects of this execution on others.
    fn effects(&self) -> Arc<dyn Effects>;

    /// Calls of this service's own API.
    fn calls(&self) -> Arc<dyn Calls>;
}
