//! A server starts. A start that waits for its store answers probes meanwhile.

use std::net::TcpListener;
use std::pin::pin;

use tokio::sync::watch;

use super::{AppError, Application, api_options};
use crate::api::Waiting;
use crate::config::Settings;
use crate::telemetry::logs;

/// Builds the application; with it its port, where that listens already. A start that waits for nothing does not listen
/// before it can serve, so that a load balancer asks another server.
pub(super) async fn start(settings: &Settings) -> Result<(Application, Option<TcpListener>), AppError> {
    let (away, why) = watch::channel(None);
    let mut building = pin!(Application::build_telling(settings, away));
    let mut is_away = why.clone();
    tokio::select! {
        biased;
        app = &mut building => return Ok((app?, None)),
        // Not at all for a store without a connection.
        Ok(_) = is_away.wait_for(Option::is_some) => {}
    }
    let waiting = Waiting::open(&api_options(settings, false)?, why)?;
    logs::waiting(waiting.addr);
    let app = building.await;
    let listener = waiting.end().await;
    Ok((app?, Some(listener)))
}
