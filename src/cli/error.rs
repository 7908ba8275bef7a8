//! Errors of commands, for the person at the terminal: fault, reason, and remedy.

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

use super::output::visible;

/// The failure of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CliError {
    /// The arguments do not fit together (clap has accepted each of them).
    Usage {
        message: String,
        hint: Option<String>,
    },
    /// Refused by the server, or failed here.
    Failed {
        message: String,
        hint: Option<String>,
    },
    /// The error has been printed: only the exit code is left.
    Reported,
    Unreachable {
        what: String,
        why: String,
        hint: &'static str,
    },
}

impl CliError {
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), hint: None }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: None }
    }

    /// The same error with a hint.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        let hint = Some(hint.into());
        match self {
            Self::Usage { message, .. } => Self::Usage { message, hint },
            Self::Failed { message, .. } => Self::Failed { message, hint },
            other => other,
        }
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed { .. } | Self::Reported => 1,
            Self::Usage { .. } => 2,
            Self::Unreachable { .. } => 3,
        })
    }

    pub(super) fn show(&self) {
        let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        let (message, hint) = match self {
            Self::Reported => return,
            Self::Usage { message, hint } | Self::Failed { message, hint } => (message.clone(), hint.clone()),
            Self::Unreachable { what, why, hint } => (format!("cannot reach {what}: {why}"), Some((*hint).to_owned())),
        };
        anstream::eprintln!("{red}error{red:#}: {}", visible(&message));
        if let Some(hint) = hint {
            let dim = Style::new().dimmed();
            anstream::eprintln!("{dim}hint{dim:#}: {}", visible(&hint));
        }
    }
}

impl From<crate::config::SettingsError> for CliError {
    fn from(error: crate::config::SettingsError) -> Self {
        Self::failed(error.to_string())
    }
}
