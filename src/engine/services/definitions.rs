//! Which definition an execution runs: machines, versions and aliases by ARN, compiled once per revision.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::asl::model::Machine;
use crate::ids::Arn;
use crate::limits::COMPILED_BYTES_MAX;
use crate::store::{Catalog, MachineRow, MachineType, Revision, RevisionId, StoreError};

use crate::engine::services::logging::Logging;
use crate::engine::types::EngineError;

/// Compiled revisions and resolved ARNs that are kept. Beyond it, or beyond [`COMPILED_BYTES_MAX`], all are dropped and
/// compiled again when they are asked for: executions that run keep theirs.
const COMPILED_MAX: usize = 1_000;

/// The machine and revision of a start.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Resolved {
    pub machine: Arn,
    pub name: String,
    pub kind: MachineType,
    pub role_arn: String,
    pub revision: RevisionId,
    pub version_arn: Option<Arn>,
    pub alias_arn: Option<Arn>,
    pub compiled: Arc<Machine>,
}

#[derive(Debug)]
pub(in crate::engine) struct Definitions {
    catalog: Arc<dyn Catalog>,
    compiled: Mutex<HashMap<RevisionId, (Arc<Machine>, Logging)>>,
    /// Resolved ARNs of machines and versions, while the catalog stands still: a start then asks the store nothing.
    resolved: Mutex<HashMap<Arn, (u64, Arc<Resolved>)>>,
}

impl Definitions {
    pub fn new(catalog: Arc<dyn Catalog>) -> Self {
        Self { catalog, compiled: Mutex::default(), resolved: Mutex::default() }
    }

    /// The machine of a revision.
    pub async fn revision(&self, id: RevisionId) -> Result<Arc<Machine>, EngineError> {
        if let Some(machine) = self.cached(id) {
            return Ok(machine);
        }
        let revision = self.catalog.revision(id).await?.ok_or_else(|| StoreError::Corrupt {
            what: "revision",
            key: id.to_string(),
            why: "an execution runs it, and it is not there".to_owned(),
        })?;
        self.compile(&revision)
    }

    /// The machine and revision that a start of this ARN (a machine, a version or an alias) runs. `chance` in [0, 1)
    /// chooses between an alias's routes.
    pub async fn resolve(&self, arn: &Arn, chance: f64) -> Result<Arc<Resolved>, EngineError> {
        // Looked at before anything is read: a change in between is seen by the next start.
        let generation = self.catalog.generation();
        let known = || self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, resolved)) = known().get(arn)
            && Some(*at) == generation
        {
            return Ok(Arc::clone(resolved));
        }
        let resolved = Arc::new(self.look_up(arn, chance).await?);
        // An alias chooses again at every start.
        if let Some(generation) = generation.filter(|_| resolved.alias_arn.is_none()) {
            let mut known = known();
            if known.len() >= COMPILED_MAX {
                known.clear();
            }
            known.insert(arn.clone(), (generation, Arc::clone(&resolved)));
        }
        Ok(resolved)
    }

    async fn look_up(&self, arn: &Arn, chance: f64) -> Result<Resolved, EngineError> {
        let (base, qualifier) = split(arn);
        let machine =
            self.catalog.machine(&base).await?.ok_or_else(|| EngineError::MachineDoesNotExist(arn.clone()))?;
        if machine.deleting {
            return Err(EngineError::MachineDeleting(base));
        }
        let Some(qualifier) = qualifier else {
            let compiled = match self.cached(machine.revision.id) {
                Some(m) => m,
                None => self.compile(&machine.revision)?,
            };
            let revision = machine.revision.id;
            let role_arn = machine.revision.role_arn.clone();
            return Ok(Resolved::of(machine, revision, role_arn, compiled));
        };
        let (version_arn, alias_arn) = if qualifier.bytes().all(|b| b.is_ascii_digit()) {
            (arn.clone(), None)
        } else {
            let alias = self.catalog.alias(arn).await?.ok_or_else(|| EngineError::MachineDoesNotExist(arn.clone()))?;
            let mut left = chance * 100.0;
            let mut chosen = alias.routes.last().map(|(v, _)| v.clone());
            for (version, weight) in &alias.routes {
                if left < f64::from(*weight) {
                    chosen = Some(version.clone());
                    break;
                }
                left -= f64::from(*weight);
            }
            (chosen.ok_or_else(|| EngineError::MachineDoesNotExist(arn.clone()))?, Some(arn.clone()))
        };
        let version =
            self.catalog.version(&version_arn).await?.ok_or_else(|| EngineError::MachineDoesNotExist(arn.clone()))?;
        let revision = self
            .catalog
            .revision(version.revision)
            .await?
            .ok_or_else(|| EngineError::MachineDoesNotExist(arn.clone()))?;
        let compiled = self.revision(version.revision).await?;
        let mut resolved = Resolved::of(machine, version.revision, revision.role_arn, compiled);
        resolved.version_arn = Some(version_arn);
        resolved.alias_arn = alias_arn;
        Ok(resolved)
    }

    fn cached(&self, id: RevisionId) -> Option<Arc<Machine>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner).get(&id).map(|(machine, _)| Arc::clone(machine))
    }

    /// The logging of executions of a revision. It is known once the revision is compiled; a log is no reason to read
    /// the store.
    pub fn logging(&self, id: RevisionId) -> Logging {
        self.compiled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .map(|(_, logging)| *logging)
            .unwrap_or_default()
    }

    fn compile(&self, revision: &Revision) -> Result<Arc<Machine>, EngineError> {
        // Judged when it was made: express-only rules need not be judged again.
        let valid = crate::asl::parse(&revision.definition, MachineType::Standard)
            .or_else(|_| crate::asl::parse(&revision.definition, MachineType::Express))
            .map_err(|d| {
                let why = d.invalid_definition_message();
                StoreError::Corrupt { what: "definition of revision", key: revision.id.to_string(), why }
            })?;
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let held: u64 = compiled.values().map(|(machine, _)| machine.bytes).sum();
        if compiled.len() >= COMPILED_MAX || held + valid.machine.bytes > COMPILED_BYTES_MAX {
            compiled.clear();
            self.resolved.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        compiled.insert(revision.id, (Arc::clone(&valid.machine), Logging::of(&revision.configuration)));
        Ok(valid.machine)
    }
}

impl Resolved {
    fn of(machine: MachineRow, revision: RevisionId, role_arn: String, compiled: Arc<Machine>) -> Self {
        Self {
            machine: machine.arn,
            name: machine.name,
            kind: machine.kind,
            role_arn,
            revision,
            version_arn: None,
            alias_arn: None,
            compiled,
        }
    }
}

/// `arn:…:stateMachine:NAME[:QUALIFIER]` → the machine's ARN, and the version number or alias name.
fn split(arn: &Arn) -> (Arn, Option<String>) {
    match arn.as_str().match_indices(':').nth(6) {
        Some((at, _)) => (Arn::new(&arn.as_str()[..at]), Some(arn.as_str()[at + 1..].to_owned())),
        None => (arn.clone(), None),
    }
}
