//! Watching an execution of the engine in this process, for `run` and `demo`.

use std::io::Write;
use std::time::Duration;

use super::progress::{self, Line};
use super::screen::Screen;
use crate::engine::{EngineError, EngineHandle};
use crate::ids::Arn;
use crate::interpreter::event::Entry;
use crate::record;
use crate::store::{ExecutionRow, Wait};

/// The time between frames. Ten frames a second look alive and are cheap.
const TICK: Duration = Duration::from_millis(100);

/// An execution at this moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub row: ExecutionRow,
    /// The whole journal: due retries and waits are events that the API's history does not show.
    pub entries: Vec<Entry>,
    pub waiting: Vec<Wait>,
    /// The live view of it.
    pub lines: Vec<Line>,
}

/// Looks once.
pub async fn snapshot(engine: &EngineHandle, execution: &Arn) -> Result<Snapshot, EngineError> {
    let row = engine.execution(execution).await?;
    let mut entries = Vec::new();
    for batch in engine.journal().load(row.header.id).await? {
        entries.extend(record::decode(&batch.bytes).map_err(|why| EngineError::Internal(why.to_string()))?);
    }
    let waiting = if row.summary.status.is_open() { engine.waiting_tasks_of(execution).await? } else { Vec::new() };
    let waiting = waiting.into_iter().map(|task| task.wait).collect::<Vec<_>>();
    let lines = progress::view(&entries, &waiting, engine.clock().now());
    Ok(Snapshot { row, entries, waiting, lines })
}

/// Draws until the execution has ended or `until` returns true (a task waits for the person at the terminal).
pub async fn watch<W: Write>(
    engine: &EngineHandle,
    execution: &Arn,
    screen: &mut Screen<W>,
    mut until: impl FnMut(&Snapshot) -> bool,
) -> Result<Snapshot, EngineError> {
    loop {
        let snapshot = snapshot(engine, execution).await?;
        screen.draw(snapshot.lines.clone()).map_err(|why| EngineError::Internal(format!("cannot draw: {why}")))?;
        if !snapshot.row.summary.status.is_open() || until(&snapshot) {
            return Ok(snapshot);
        }
        tokio::time::sleep(TICK).await;
    }
}
