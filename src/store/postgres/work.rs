//! The connection for changes of the catalog, and for removals: one transaction after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use tokio_postgres::types::Type;

use crate::store::{StoreError, StoreResult};

use super::commit::{BEGIN, HOLD};
use super::connect::Slot;
use super::error::{Fault, Outcome, concerns_all};
use super::seat::Seat;
use super::session::Session;
use super::writer::Counters;

const CHANGED: &str = "UPDATE generation SET n = n + 1";
/// For a whole transaction; a removal of many rows takes a while.
const ANSWERS: Duration = Duration::from_mins(1);

pub(super) struct Work {
    slot: Arc<Slot>,
    seat: Arc<Seat>,
    counters: Arc<Counters>,
    turn: Mutex<()>,
}

impl Work {
    pub(super) fn new(slot: Arc<Slot>, seat: Arc<Seat>, counters: Arc<Counters>) -> Self {
        Self { slot, seat, counters, turn: Mutex::new(()) }
    }

    pub(super) async fn run<T, F>(&self, change: F) -> StoreResult<T>
    where
        F: FnOnce(Arc<Session>) -> BoxFuture<'static, Outcome<T>>,
    {
        let _turn = self.turn.lock().await;
        let client = self.slot.client().await.inspect_err(|_| self.counters.refused())?;
        let done = tokio::time::timeout(ANSWERS, self.transact(&client, change)).await;
        match done {
            Ok(Ok(value)) => {
                self.counters.wrote();
                // Before the caller has the answer: rows read earlier must not count as current after that.
                self.counters.jobs.fetch_add(1, Ordering::Release);
                Ok(value)
            }
            Ok(Err(Fault::Refused(error))) => Err(error),
            Ok(Err(Fault::Postgres(error))) => {
                if concerns_all(&error) {
                    self.slot.give_up(&client).await;
                    self.counters.refused();
                }
                Err(Fault::Postgres(error).into())
            }
            Err(_) => {
                self.slot.give_up(&client).await;
                self.counters.refused();
                Err(StoreError::Unavailable("PostgreSQL has not answered a change in time".into()))
            }
        }
    }

    async fn transact<T, F>(&self, client: &Arc<Session>, change: F) -> Outcome<T>
    where
        F: FnOnce(Arc<Session>) -> BoxFuture<'static, Outcome<T>>,
    {
        let done = async {
            client.batch_execute(BEGIN).await?;
            // Before it joins a process writes settings alone.
            if let Some(node) = self.seat.node() {
                client.query_typed(HOLD, &[(&node.id.0, Type::UUID)]).await?;
            }
            let value = change(Arc::clone(client)).await?;
            // Last: all changes of the catalog wait for this row.
            client.execute_typed(CHANGED, &[]).await?;
            Ok(value)
        };
        match done.await {
            Ok(value) => {
                client.batch_execute("COMMIT").await?;
                Ok(value)
            }
            Err(fault) => {
                client.batch_execute("ROLLBACK").await?;
                Err(fault)
            }
        }
    }
}
