//! The engine inside this process, for `serve`, `run` and `demo`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::CliError;
use super::watch::Snapshot;
use crate::api::history::{self, View};
use crate::app::{AppError, Application};
use crate::bus::{BusHealth, TaskBus};
use crate::config::{Settings, Sources};
use crate::engine::stand_in::StandIn;
use crate::engine::{EngineError, EngineHandle, StartRequest};
use crate::ids::Arn;
use crate::interpreter::state::Conclusion;
use crate::store::{MachineRow, MachineType, Revision, RevisionId, StoreError};

/// The time after which interactive commands give up a broker that does not answer.
const BROKER_WITHIN: Duration = Duration::from_secs(10);
/// The time for the broker to receive the last acknowledgements.
const GOODBYE_WITHIN: Duration = Duration::from_secs(10);
const ROLE: &str = "arn:aws:iam::123456789012:role/reveille";

/// The broker of a command that needs no server.
#[derive(Debug, clap::Args)]
pub(super) struct BrokerArgs {
    /// The broker [default: the setting bus.url]. Keep a password out of the command line: REVEILLE__BUS__URL
    #[arg(long, alias = "amqp", value_name = "URL", help_heading = "Broker")]
    pub bus: Option<String>,
    /// Settings file of the server
    #[arg(long, short, env = "REVEILLE_CONFIG", value_name = "FILE", help_heading = "Broker")]
    pub config: Option<PathBuf>,
}

impl BrokerArgs {
    pub(super) fn settings(&self) -> Result<Settings, CliError> {
        let flags = self.bus.iter().map(|url| ("bus.url", url.clone())).collect();
        Ok(Settings::load(&Sources::of_process(self.config.clone(), flags))?)
    }
}

/// Works on the broker of the settings, which must be there.
pub(super) fn with_broker<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(Arc<dyn TaskBus>) -> Result<T, CliError>,
) -> Result<T, CliError> {
    block_on(async {
        let bus = crate::app::broker(settings)?;
        let up = async {
            while matches!(bus.health(), BusHealth::Down(_)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(BROKER_WITHIN, up).await.is_err() {
            let why = match bus.health() {
                BusHealth::Down(why) | BusHealth::Blocked(why) => why,
                BusHealth::Up => "no answer in time".to_owned(),
            };
            return Err(CliError::Unreachable {
                what: format!("the broker at {}", settings.bus.url),
                why,
                hint: "is it running, and is the URL right? --bus, or bus.url",
            });
        }
        let done = work(Arc::clone(&bus)).await;
        // Gives back the unchanged messages in their order, and waits until the broker has the acknowledgements of the
        // rest.
        bus.close(GOODBYE_WITHIN).await;
        done
    })
}

/// Runs the server until it is told to stop.
pub(super) fn serve(settings: &Settings) -> Result<(), CliError> {
    Ok(crate::app::serve(settings)?)
}

/// Runs a command's future where actors can live.
pub(super) fn block_on<T>(command: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    actix_rt::System::new().block_on(command)
}

/// An engine for one run, in this process and in memory, except for the broker or store that is given here. Settings
/// from the environment are for servers and are not used.
pub(super) async fn begin(
    amqp: Option<&str>,
    store: Option<&str>,
    stand_in: Option<Arc<dyn StandIn>>,
) -> Result<Application, CliError> {
    let mut flags = vec![("bus.url", amqp.unwrap_or("embedded:").to_owned())];
    if let Some(store) = store {
        flags.push(("store.url", store.to_owned()));
    } else {
        flags.push(("engine.partitions", "1".to_owned()));
        flags.push(("engine.token_key", crate::token::new_secret().expose_secret().to_owned()));
    }
    let settings = Settings::load(&Sources { flags, ..Sources::default() })?;
    let app = match store {
        Some(_) => Application::build_with(&settings, stand_in).await?,
        None => Application::build_temporary(&settings, stand_in).await?,
    };
    if amqp.is_some()
        && let Err(why) = reachable(&app.engine, &settings).await
    {
        app.stop().await;
        return Err(why);
    }
    Ok(app)
}

/// Waits for the broker. Without it the command would wait silently.
async fn reachable(engine: &EngineHandle, settings: &Settings) -> Result<(), CliError> {
    let asking = async {
        while engine.ready().await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if tokio::time::timeout(BROKER_WITHIN, asking).await.is_ok() {
        return Ok(());
    }
    let why = engine.ready().await.err().unwrap_or_default().join("; ");
    Err(CliError::Unreachable {
        what: format!("the broker at {}", settings.bus.url),
        why,
        hint: "is it running, and is the URL right?",
    })
}

/// Puts a definition into the catalog, or a new revision of it.
pub(super) async fn install(engine: &EngineHandle, name: &str, definition: &str) -> Result<Arn, CliError> {
    let machine = engine.realm().state_machine(name);
    let now = engine.clock().now();
    let revision = |initial| Revision {
        id: RevisionId(uuid::Uuid::new_v4()),
        machine: machine.clone(),
        initial,
        definition: definition.to_owned(),
        role_arn: ROLE.to_owned(),
        configuration: json!({}),
        made: now,
    };
    let row = MachineRow {
        arn: machine.clone(),
        name: name.to_owned(),
        kind: MachineType::Standard,
        created: now,
        deleting: false,
        revision: revision(true),
    };
    let catalog = engine.catalog();
    match catalog.put_machine(row).await {
        Err(StoreError::AlreadyExists { .. }) => {
            let before = catalog.machine(&machine).await.map_err(EngineError::from)?;
            if before.is_none_or(|before| before.revision.definition != definition) {
                catalog.update_machine(&machine, revision(false)).await.map_err(EngineError::from)?;
            }
        }
        done => done.map_err(EngineError::from)?,
    }
    Ok(machine)
}

pub(super) async fn start(engine: &EngineHandle, machine: Arn, name: &str, input: &str) -> Result<Arn, CliError> {
    let request =
        StartRequest { machine, name: Some(name.to_owned()), input: input.to_owned(), trace_header: None, trace: None };
    Ok(engine.start_execution(request).await?.arn)
}

/// The history as the API shows it, as a table.
pub(super) fn history(engine: &EngineHandle, snapshot: &Snapshot) -> String {
    let view = View { data: true, parameters: true, region: &engine.realm().region };
    let events: Vec<Value> = snapshot.entries.iter().filter_map(|entry| history::render(entry, view)).collect();
    super::history::table(&events, usize::MAX)
}

/// The result of an execution, after waiting for its end.
pub(super) async fn outcome(engine: &EngineHandle, execution: &Arn) -> Result<Conclusion, CliError> {
    Ok(engine.await_end(execution).await?.result)
}

impl From<EngineError> for CliError {
    fn from(why: EngineError) -> Self {
        Self::failed(why.to_string())
    }
}

impl From<AppError> for CliError {
    fn from(why: AppError) -> Self {
        Self::failed(why.to_string())
    }
}
