//! What goes wrong in a command, for the person at the terminal: what, why, and what to do.

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

/// Why a command did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CliError {
    /// The arguments make no sense together (clap has found nothing wrong with each).
    Usage {
        message: String,
        hint: Option<String>,
    },
    /// Refused by the server, or failed here.
    Failed {
        message: String,
        hint: Option<String>,
    },
    /// What was to be said has been said: only the exit code is left.
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

    /// The same, with what to do.
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
        anstream::eprintln!("{red}error{red:#}: {message}");
        if let Some(hint) = hint {
            let dim = Style::new().dimmed();
            anstream::eprintln!("{dim}hint{dim:#}: {hint}");
        }
    }
}

impl From<crate::config::SettingsError> for CliError {
    fn from(error: crate::config::SettingsError) -> Self {
        Self::failed(error.to_string())
    }
}
