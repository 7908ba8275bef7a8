//! The log output: one JSON object per line, or readable lines on a terminal.

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt};

use super::fields;

/// Libraries whose log lines are off. The HTTP library logs each malformed request at `error`, which any client can
/// cause. A directive of the settings that names the library turns its lines on; the same holds for lapin
/// (`is_told_by_us`).
const LIBRARIES: &str = "actix_http=off";

/// The server accepts requests.
pub const READY: &str = "ready";
/// The start waits for the store, and the port answers that.
pub const WAITING: &str = "waiting";
/// The server was told to stop and finishes the work in progress.
pub const STOPPING: &str = "stopping";
pub const STOPPED: &str = "stopped";
/// Events of the life of a process.
pub const EVENTS: [&str; 4] = [READY, WAITING, STOPPING, STOPPED];

/// `[logs]` of the settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogOptions {
    pub format: LogFormat,
    /// A level, or directives: `info,reveille::bus=debug`.
    pub filter: String,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { format: LogFormat::Auto, filter: "info".to_owned() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `pretty` where a terminal reads the log, `json` elsewhere.
    #[default]
    Auto,
    Json,
    Pretty,
}

/// Reasons why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    #[error(
        "logs.filter is '{filter}': {why}; allowed: off, error, warn, info, debug, trace, or directives such as \
         info,reveille::bus=debug"
    )]
    Filter { filter: String, why: String },
    #[error("a log is already set up in this process")]
    Twice,
}

/// The destination of the log of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// A server's log is its output.
    Stdout,
    /// Beside a command's own output.
    Stderr,
}

/// Sets up the log of this process. A second call fails with `Twice`.
pub fn init(options: &LogOptions, output: Output) -> Result<(), LogsError> {
    let terminal = match output {
        Output::Stdout => std::io::stdout().is_terminal(),
        Output::Stderr => std::io::stderr().is_terminal(),
    };
    let format = match options.format {
        LogFormat::Auto if terminal => LogFormat::Pretty,
        LogFormat::Auto => LogFormat::Json,
        chosen => chosen,
    };
    let options = LogOptions { format, ..options.clone() };
    let set = match output {
        Output::Stdout => tracing::subscriber::set_global_default(subscriber_for(&options, std::io::stdout, terminal)?),
        Output::Stderr => tracing::subscriber::set_global_default(subscriber_for(&options, std::io::stderr, terminal)?),
    };
    set.map_err(|_| LogsError::Twice)
}

/// A subscriber that writes to any writer. [`init`] makes one global, and tests use their own.
pub fn subscriber<W>(options: &LogOptions, writer: W) -> Result<Box<dyn Subscriber + Send + Sync>, LogsError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    subscriber_for(options, writer, false)
}

fn subscriber_for<W>(
    options: &LogOptions,
    writer: W,
    colours: bool,
) -> Result<Box<dyn Subscriber + Send + Sync>, LogsError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder()
        .parse(format!("{LIBRARIES},{}", options.filter))
        .map_err(|why| LogsError::Filter { filter: options.filter.clone(), why: why.to_string() })?;
    let layer = match options.format {
        LogFormat::Pretty => {
            tracing_subscriber::fmt::layer().compact().with_target(false).with_ansi(colours).with_writer(writer).boxed()
        }
        LogFormat::Json | LogFormat::Auto => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_writer(writer)
            .boxed(),
    };
    let asked = options.filter.contains("lapin");
    let shown = filter_fn(move |line: &Metadata<'_>| !shows_messages(line) && (asked || !is_told_by_us(line)));
    Ok(Box::new(Registry::default().with(filter).with(shown).with(layer)))
}

/// Tells whether a line is lapin's own line about something that the bus reports with an event. A filter that names
/// lapin shows these lines.
fn is_told_by_us(line: &Metadata<'_>) -> bool {
    line.target().starts_with("lapin")
}

/// lapin logs a message that the broker returned whole, at `warn`, and every frame at `trace`: tokens and payloads. No
/// filter of the settings can turn these lines on.
fn shows_messages(line: &Metadata<'_>) -> bool {
    line.target() == "lapin::returned_messages" || (line.target().starts_with("lapin") && *line.level() == Level::TRACE)
}

/// Logs that the server accepts requests. Other programs wait for this line: `"event":"ready"` with the address. The
/// URLs must come without their passwords.
pub fn ready(address: std::net::SocketAddr, store_url: &str, bus_url: &str) {
    tracing::info!(
        { fields::EVENT } = READY,
        { fields::API_ADDRESS } = %address,
        { fields::STORE_URL } = store_url,
        { fields::BUS_URL } = bus_url,
        { fields::VERSION } = env!("CARGO_PKG_VERSION"),
        "ready"
    );
}

/// Logs that the start waits for its store, and that its port answers that.
pub fn waiting(address: std::net::SocketAddr) {
    tracing::info!(
        { fields::EVENT } = WAITING,
        { fields::API_ADDRESS } = %address,
        "the start waits for the store; requests are answered with 503 until then"
    );
}

pub fn stopping(reason: &str) {
    tracing::info!({ fields::EVENT } = STOPPING, { fields::REASON } = reason, "stopping: {reason}");
}

pub fn stopped() {
    tracing::info!({ fields::EVENT } = STOPPED, "stopped");
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("page").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_the_bus_tells_itself_is_not_told_by_lapin_again() {
        let page = Page::default();
        let writer = page.clone();
        let options = LogOptions { format: LogFormat::Json, filter: "info".to_owned() };
        tracing::subscriber::with_default(subscriber(&options, move || writer.clone()).expect("a log"), || {
            tracing::error!(target: "lapin::channel", "channel closed");
            tracing::warn!("told by us");
        });
        let text = String::from_utf8(page.0.lock().expect("page").clone()).expect("text");
        assert!(!text.contains("channel closed") && text.contains("told by us"), "{text}");
    }

    #[test]
    fn libraries_speak_only_where_they_are_asked() {
        let said = |filter: &str| {
            let page = Page::default();
            let writer = page.clone();
            let options = LogOptions { format: LogFormat::Json, filter: filter.to_owned() };
            tracing::subscriber::with_default(subscriber(&options, move || writer.clone()).expect("a log"), || {
                tracing::error!(target: "actix_http::h1::dispatcher", "stream error: request parse error");
                tracing::error!("ours");
            });
            let text = String::from_utf8(page.0.lock().expect("page").clone()).expect("text");
            ["parse error", "ours"].map(|word| text.contains(word))
        };
        assert_eq!(said("info"), [false, true]);
        assert_eq!(said("debug"), [false, true]);
        assert_eq!(said("warn,actix_http=warn"), [true, true]);
        assert_eq!(said("off"), [false, false]);
    }

    #[test]
    fn no_filter_lets_a_message_of_the_broker_through() {
        let page = Page::default();
        let writer = page.clone();
        let options = LogOptions {
            format: LogFormat::Json,
            filter: "trace,lapin=trace,lapin::returned_messages=trace".to_owned(),
        };
        tracing::subscriber::with_default(subscriber(&options, move || writer.clone()).expect("a log"), || {
            tracing::warn!(target: "lapin::returned_messages", "secret");
            tracing::trace!(target: "lapin::channels", "secret");
            tracing::error!(target: "lapin::channel", "connection closed");
        });
        let text = String::from_utf8(page.0.lock().expect("page").clone()).expect("text");
        assert!(!text.contains("secret") && text.contains("connection closed"), "{text}");
    }
}
