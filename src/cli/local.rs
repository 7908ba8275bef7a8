//! The engine inside this process: what `serve`, `run`, `demo` and `bench` need of the composition root.
//!
//! TODO-design: `app::Application` is being built; its founder replaces these bodies. The commands around them are complete: settings are
//! loaded, logs set up, files checked, and `progress` draws.

use super::CliError;
use crate::config::Settings;

/// Runs the server until it is told to stop.
pub(super) fn serve(settings: &Settings) -> Result<(), CliError> {
    crate::app::serve(settings).map_err(|e| CliError::failed(e.to_string()))
}

pub(super) fn absent(command: &str) -> CliError {
    CliError::failed(format!("reveille {command} is not in this build yet: the engine is being put together"))
}
