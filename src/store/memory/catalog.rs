//! The catalog in memory.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;

use crate::clock::Timestamp;
use crate::ids::{Arn, ExecutionId};
use crate::limits;
use crate::store::{
    ActivityRow, AliasRow, Catalog, MachineRow, MapRunRow, NoteRow, Revision, RevisionId, StoreError, StoreFuture,
    StoreResult, Tenure, VersionRow,
};

use super::Memory;

#[derive(Debug, Default)]
pub(super) struct State {
    machines: Shelf<Machine>,
    revisions: HashMap<RevisionId, Kept>,
    versions: HashMap<Arn, VersionRow>,
    aliases: Shelf<AliasRow>,
    activities: Shelf<ActivityRow>,
    map_runs: Shelf<MapRunRow>,
    tags: HashMap<Arn, BTreeMap<String, String>>,
    settings: HashMap<String, String>,
    notes: BTreeMap<(String, String), NoteRow>,
}

#[derive(Debug)]
struct Machine {
    row: MachineRow,
    next_version: u64,
}

#[derive(Debug)]
struct Kept {
    revision: Revision,
    /// Executions that run it.
    uses: u64,
}

/// Rows by name, in the order of creation. Places of deleted rows are remembered.
#[derive(Debug)]
struct Shelf<T> {
    rows: BTreeMap<u64, (Arn, T)>,
    places: HashMap<Arn, u64>,
    departed: VecDeque<(Arn, u64)>,
    last: u64,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), places: HashMap::new(), departed: VecDeque::new(), last: 0 }
    }
}

impl<T> Shelf<T> {
    fn get(&self, arn: &Arn) -> Option<&T> {
        self.rows.get(self.places.get(arn)?).map(|(_, row)| row)
    }

    fn get_mut(&mut self, arn: &Arn) -> Option<&mut T> {
        self.rows.get_mut(self.places.get(arn)?).map(|(_, row)| row)
    }

    fn add(&mut self, arn: &Arn, row: T) {
        self.last += 1;
        self.departed.retain(|(gone, _)| gone != arn);
        self.places.insert(arn.clone(), self.last);
        self.rows.insert(self.last, (arn.clone(), row));
    }

    fn remove(&mut self, arn: &Arn) -> Option<T> {
        let place = self.places.remove(arn)?;
        self.departed.push_back((arn.clone(), place));
        if self.departed.len() > limits::DEPARTED_MAX as usize {
            self.departed.pop_front();
        }
        self.rows.remove(&place).map(|(_, row)| row)
    }

    fn place(&self, arn: &Arn) -> StoreResult<u64> {
        let gone = || self.departed.iter().find(|(gone, _)| gone == arn).map(|(_, place)| *place);
        self.places.get(arn).copied().or_else(gone).ok_or_else(|| not_found("place in the listing", arn))
    }

    /// Oldest first.
    fn after(&self, after: Option<&Arn>) -> StoreResult<impl Iterator<Item = &T>> {
        let from = after.map_or(Ok(0), |arn| self.place(arn))?;
        Ok(self.rows.range(from + 1..).map(|(_, (_, row))| row))
    }
}

fn not_found(what: &'static str, key: &dyn fmt::Display) -> StoreError {
    StoreError::NotFound { what, key: key.to_string() }
}

fn already_exists(what: &'static str, key: &dyn fmt::Display) -> StoreError {
    StoreError::AlreadyExists { what, key: key.to_string() }
}

impl State {
    pub(super) fn use_revision(&mut self, id: RevisionId) -> StoreResult<()> {
        self.revisions.get_mut(&id).ok_or_else(|| not_found("revision", &id))?.uses += 1;
        Ok(())
    }

    pub(super) fn execution_purged(&mut self, id: ExecutionId, revision: RevisionId) {
        if let Some(kept) = self.revisions.get_mut(&revision) {
            kept.uses = kept.uses.saturating_sub(1);
        }
        let runs: Vec<Arn> =
            self.map_runs.rows.values().filter(|(_, run)| run.execution == id).map(|(arn, _)| arn.clone()).collect();
        for run in runs {
            self.map_runs.remove(&run);
        }
    }

    pub(super) fn drop_unused_revisions(&mut self) {
        let Self { revisions, machines, versions, .. } = self;
        revisions.retain(|id, kept| {
            kept.uses > 0
                || machines.rows.values().any(|(_, machine)| machine.row.revision.id == *id)
                || versions.values().any(|version| version.revision == *id)
        });
    }

    fn add_revision(&mut self, revision: Revision) -> StoreResult<()> {
        if self.revisions.contains_key(&revision.id) {
            return Err(already_exists("revision", &revision.id));
        }
        self.revisions.insert(revision.id, Kept { revision, uses: 0 });
        Ok(())
    }

    fn put_machine(&mut self, row: MachineRow) -> StoreResult<()> {
        if self.machines.get(&row.arn).is_some() {
            return Err(already_exists("state machine", &row.arn));
        }
        self.add_revision(row.revision.clone())?;
        self.machines.add(&row.arn.clone(), Machine { row, next_version: 1 });
        Ok(())
    }

    fn update_machine(&mut self, arn: &Arn, revision: Revision) -> StoreResult<()> {
        if self.machines.get(arn).is_none() {
            return Err(not_found("state machine", arn));
        }
        self.add_revision(revision.clone())?;
        if let Some(machine) = self.machines.get_mut(arn) {
            machine.row.revision = revision;
        }
        Ok(())
    }

    fn delete_machine(&mut self, arn: &Arn) -> StoreResult<()> {
        self.machines.get_mut(arn).ok_or_else(|| not_found("state machine", arn))?.row.deleting = true;
        self.drop_versions_and_aliases(arn);
        Ok(())
    }

    fn drop_versions_and_aliases(&mut self, arn: &Arn) {
        self.versions.retain(|_, version| version.machine != *arn);
        let aliases: Vec<Arn> =
            self.aliases.rows.values().filter(|(_, row)| row.machine == *arn).map(|(arn, _)| arn.clone()).collect();
        for alias in aliases {
            self.aliases.remove(&alias);
        }
    }

    fn put_version(
        &mut self,
        arn: &Arn,
        revision: RevisionId,
        description: Option<String>,
        at: Timestamp,
    ) -> StoreResult<VersionRow> {
        let machine = self.machines.get_mut(arn).ok_or_else(|| not_found("state machine", arn))?;
        if !self.revisions.contains_key(&revision) {
            return Err(not_found("revision", &revision));
        }
        if let Some(there) =
            self.versions.values().find(|version| version.machine == *arn && version.revision == revision)
        {
            return Ok(there.clone());
        }
        let number = machine.next_version;
        machine.next_version += 1;
        let version_arn = Arn::new(format!("{arn}:{number}"));
        let row = VersionRow { arn: version_arn, machine: arn.clone(), number, revision, description, created: at };
        self.versions.insert(row.arn.clone(), row.clone());
        Ok(row)
    }

    fn put_alias(&mut self, alias: AliasRow, replace: bool) -> StoreResult<()> {
        if self.machines.get(&alias.machine).is_none() {
            return Err(not_found("state machine", &alias.machine));
        }
        match (self.aliases.get_mut(&alias.arn), replace) {
            (Some(_), false) => Err(already_exists("alias", &alias.arn)),
            (None, true) => Err(not_found("alias", &alias.arn)),
            (Some(there), true) => {
                *there = alias;
                Ok(())
            }
            (None, false) => {
                self.aliases.add(&alias.arn.clone(), alias);
                Ok(())
            }
        }
    }
}

impl Catalog for Memory {
    fn put_machine(&self, machine: MachineRow) -> StoreFuture<'_, ()> {
        self.with(|state| state.catalog.put_machine(machine))
    }

    fn machine(&self, arn: &Arn) -> StoreFuture<'_, Option<MachineRow>> {
        self.with(|state| Ok(state.catalog.machines.get(arn).map(|machine| machine.row.clone())))
    }

    fn machines(&self, after: Option<Arn>, limit: u32) -> StoreFuture<'_, Vec<MachineRow>> {
        self.with(|state| {
            let all = state.catalog.machines.rows.values().map(|(_, machine)| &machine.row);
            let mut page: Vec<&MachineRow> =
                all.filter(|row| after.as_ref().is_none_or(|after| row.arn > *after)).collect();
            page.sort_by(|a, b| a.arn.cmp(&b.arn));
            Ok(page.into_iter().take(limit as usize).cloned().collect())
        })
    }

    fn update_machine(&self, arn: &Arn, revision: Revision) -> StoreFuture<'_, ()> {
        self.with(|state| state.catalog.update_machine(arn, revision))
    }

    fn delete_machine(&self, arn: &Arn) -> StoreFuture<'_, ()> {
        self.with(|state| state.catalog.delete_machine(arn))
    }

    fn reap_machines(&self) -> StoreFuture<'_, u64> {
        self.with(|state| {
            let busy = |arn: &Arn| {
                state.executions.values().any(|e| e.row.summary.status.is_open() && e.row.header.state_machine == *arn)
            };
            let machines = state.catalog.machines.rows.values();
            let done: Vec<Arn> = machines
                .filter(|(arn, machine)| machine.row.deleting && !busy(arn))
                .map(|(arn, _)| arn.clone())
                .collect();
            for arn in &done {
                // Some may have been made after the machine was marked.
                state.catalog.drop_versions_and_aliases(arn);
                state.catalog.machines.remove(arn);
                state.catalog.tags.remove(arn);
            }
            if !done.is_empty() {
                state.catalog.drop_unused_revisions();
            }
            Ok(done.len() as u64)
        })
    }

    fn revision(&self, id: RevisionId) -> StoreFuture<'_, Option<Revision>> {
        self.with(|state| Ok(state.catalog.revisions.get(&id).map(|kept| kept.revision.clone())))
    }

    fn put_version(
        &self,
        machine: &Arn,
        revision: RevisionId,
        description: Option<String>,
        at: Timestamp,
    ) -> StoreFuture<'_, VersionRow> {
        self.with(|state| state.catalog.put_version(machine, revision, description, at))
    }

    fn version(&self, arn: &Arn) -> StoreFuture<'_, Option<VersionRow>> {
        self.with(|state| Ok(state.catalog.versions.get(arn).cloned()))
    }

    fn versions(&self, machine: &Arn, after: Option<u64>, limit: u32) -> StoreFuture<'_, Vec<VersionRow>> {
        self.with(|state| {
            let of_machine = state.catalog.versions.values().filter(|version| version.machine == *machine);
            let mut page: Vec<_> =
                of_machine.filter(|version| after.is_none_or(|after| version.number < after)).cloned().collect();
            page.sort_by_key(|version| std::cmp::Reverse(version.number));
            page.truncate(limit as usize);
            Ok(page)
        })
    }

    fn delete_version(&self, arn: &Arn) -> StoreFuture<'_, ()> {
        self.with(|state| state.catalog.versions.remove(arn).map(|_| ()).ok_or_else(|| not_found("version", arn)))
    }

    fn put_alias(&self, alias: AliasRow, replace: bool) -> StoreFuture<'_, ()> {
        self.with(|state| state.catalog.put_alias(alias, replace))
    }

    fn alias(&self, arn: &Arn) -> StoreFuture<'_, Option<AliasRow>> {
        self.with(|state| Ok(state.catalog.aliases.get(arn).cloned()))
    }

    fn aliases(&self, machine: &Arn, after: Option<Arn>, limit: u32) -> StoreFuture<'_, Vec<AliasRow>> {
        self.with(|state| {
            let oldest_first = state.catalog.aliases.after(after.as_ref())?;
            Ok(oldest_first.filter(|alias| alias.machine == *machine).take(limit as usize).cloned().collect())
        })
    }

    fn delete_alias(&self, arn: &Arn) -> StoreFuture<'_, ()> {
        self.with(|state| state.catalog.aliases.remove(arn).map(|_| ()).ok_or_else(|| not_found("alias", arn)))
    }

    fn put_activity(&self, activity: ActivityRow) -> StoreFuture<'_, ()> {
        self.with(|state| {
            let activities = &mut state.catalog.activities;
            if activities.get(&activity.arn).is_some() {
                return Err(already_exists("activity", &activity.arn));
            }
            activities.add(&activity.arn.clone(), activity);
            Ok(())
        })
    }

    fn activity(&self, arn: &Arn) -> StoreFuture<'_, Option<ActivityRow>> {
        self.with(|state| Ok(state.catalog.activities.get(arn).cloned()))
    }

    fn activities(&self, after: Option<Arn>, limit: u32) -> StoreFuture<'_, Vec<ActivityRow>> {
        self.with(|state| Ok(state.catalog.activities.after(after.as_ref())?.take(limit as usize).cloned().collect()))
    }

    fn delete_activity(&self, arn: &Arn) -> StoreFuture<'_, ()> {
        self.with(|state| {
            state.catalog.activities.remove(arn).ok_or_else(|| not_found("activity", arn))?;
            state.catalog.tags.remove(arn);
            Ok(())
        })
    }

    fn tag(&self, resource: &Arn, set: Vec<(String, String)>, remove: Vec<String>) -> StoreFuture<'_, ()> {
        self.with(|state| {
            let tags = state.catalog.tags.entry(resource.clone()).or_default();
            for key in &remove {
                tags.remove(key);
            }
            tags.extend(set);
            Ok(())
        })
    }

    fn tags(&self, resource: &Arn) -> StoreFuture<'_, Vec<(String, String)>> {
        self.with(|state| {
            let tags = state.catalog.tags.get(resource).into_iter().flatten();
            Ok(tags.map(|(key, value)| (key.clone(), value.clone())).collect())
        })
    }

    fn put_map_run(&self, run: MapRunRow, under: Tenure) -> StoreFuture<'_, ()> {
        self.with(|state| {
            self.hold(state, run.execution, under)?;
            match state.catalog.map_runs.get_mut(&run.arn) {
                Some(there) => *there = run,
                None => state.catalog.map_runs.add(&run.arn.clone(), run),
            }
            Ok(())
        })
    }

    fn map_run(&self, arn: &Arn) -> StoreFuture<'_, Option<MapRunRow>> {
        self.with(|state| Ok(state.catalog.map_runs.get(arn).cloned()))
    }

    fn map_runs(&self, execution: ExecutionId, after: Option<Arn>, limit: u32) -> StoreFuture<'_, Vec<MapRunRow>> {
        self.with(|state| {
            let oldest_first = state.catalog.map_runs.after(after.as_ref())?;
            Ok(oldest_first.filter(|run| run.execution == execution).take(limit as usize).cloned().collect())
        })
    }

    fn put_note(&self, note: NoteRow, new: bool, now: Timestamp) -> StoreFuture<'_, ()> {
        self.with(|state| {
            let notes = &mut state.catalog.notes;
            let key = (note.kind.clone(), note.key.clone());
            let counts = |note: &NoteRow| note.until.is_none_or(|until| until > now);
            if new && notes.get(&key).is_some_and(counts) {
                return Err(already_exists("note", &note.key));
            }
            notes.retain(|_, note| counts(note));
            notes.insert(key, note);
            Ok(())
        })
    }

    fn note(&self, kind: &str, key: &str) -> StoreFuture<'_, Option<NoteRow>> {
        self.with(|state| Ok(state.catalog.notes.get(&(kind.to_owned(), key.to_owned())).cloned()))
    }

    fn notes(&self, kind: &str, after: Option<String>, limit: u32) -> StoreFuture<'_, Vec<NoteRow>> {
        self.with(|state| {
            let of_kind = state.catalog.notes.values().filter(|note| note.kind == kind);
            let behind = of_kind.filter(|note| after.as_ref().is_none_or(|after| note.key > *after));
            Ok(behind.take(limit as usize).cloned().collect())
        })
    }

    fn take_note(&self, kind: &str, key: &str) -> StoreFuture<'_, Option<NoteRow>> {
        self.with(|state| Ok(state.catalog.notes.remove(&(kind.to_owned(), key.to_owned()))))
    }

    fn fix_setting(&self, key: &str, value: &str) -> StoreFuture<'_, String> {
        self.with(|state| Ok(state.catalog.settings.entry(key.to_owned()).or_insert_with(|| value.to_owned()).clone()))
    }

    fn put_setting(&self, key: &str, value: &str) -> StoreFuture<'_, ()> {
        self.with(|state| {
            state.catalog.settings.insert(key.to_owned(), value.to_owned());
            Ok(())
        })
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        self.with(|_| Ok(()))
    }
}
