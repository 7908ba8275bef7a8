//! The port's catalog, handed to the writer and the readers.

use crate::clock::Timestamp;
use crate::ids::{Arn, ExecutionId};
use crate::store::{
    ActivityRow, AliasRow, Catalog, MachineRow, MapRunRow, NoteRow, Revision, RevisionId, StoreFuture, Tenure,
    VersionRow,
};

use super::{Sqlite, activities, machines, map_runs, notes, tags, versions};

impl Catalog for Sqlite {
    fn generation(&self) -> Option<u64> {
        Some(self.inner.writer.counters.jobs.load(std::sync::atomic::Ordering::Acquire))
    }

    fn put_machine(&self, machine: MachineRow) -> StoreFuture<'_, ()> {
        Box::pin(self.write(move |connection| machines::put(connection, &machine)))
    }

    fn machine(&self, arn: &Arn) -> StoreFuture<'_, Option<MachineRow>> {
        let arn = arn.clone();
        Box::pin(self.reading(move |connection| machines::one(connection, &arn)))
    }

    fn machines(&self, after: Option<Arn>, limit: u32) -> StoreFuture<'_, Vec<MachineRow>> {
        Box::pin(self.reading(move |connection| machines::page(connection, after.as_ref(), limit)))
    }

    fn update_machine(&self, arn: &Arn, revision: Revision) -> StoreFuture<'_, ()> {
        let arn = arn.clone();
        Box::pin(self.write(move |connection| machines::update(connection, &arn, &revision)))
    }

    fn delete_machine(&self, arn: &Arn) -> StoreFuture<'_, ()> {
        let arn = arn.clone();
        Box::pin(self.write(move |connection| machines::delete(connection, &arn)))
    }

    fn reap_machines(&self) -> StoreFuture<'_, u64> {
        Box::pin(self.write(machines::reap))
    }

    fn revision(&self, id: RevisionId) -> StoreFuture<'_, Option<Revision>> {
        Box::pin(self.reading(move |connection| machines::revision(connection, id)))
    }

    fn put_version(
        &self,
        machine: &Arn,
        revision: RevisionId,
        description: Option<String>,
        at: Timestamp,
    ) -> StoreFuture<'_, VersionRow> {
        let machine = machine.clone();
        Box::pin(
            self.write(move |connection| {
                versions::put_version(connection, &machine, revision, description.as_deref(), at)
            }),
        )
    }

    fn version(&self, arn: &Arn) -> StoreFuture<'_, Option<VersionRow>> {
        let arn = arn.clone();
        Box::pin(self.reading(move |connection| versions::version(connection, &arn)))
    }

    fn versions(&self, machine: &Arn, after: Option<u64>, limit: u32) -> StoreFuture<'_, Vec<VersionRow>> {
        let machine = machine.clone();
        Box::pin(self.reading(move |connection| versions::versions(connection, &machine, after, limit)))
    }

    fn delete_version(&self, arn: &Arn) -> StoreFuture<'_, ()> {
        let arn = arn.clone();
        Box::pin(self.write(move |connection| versions::delete_version(connection, &arn)))
    }

    fn put_alias(&self, alias: AliasRow, replace: bool) -> StoreFuture<'_, ()> {
        Box::pin(self.write(move |connection| versions::put_alias(connection, &alias, replace)))
    }

    fn alias(&self, arn: &Arn) -> StoreFuture<'_, Option<AliasRow>> {
        let arn = arn.clone();
        Box::pin(self.reading(move |connection| versions::alias(connection, &arn)))
    }

    fn aliases(&self, machine: &Arn, after: Option<Arn>, limit: u32) -> StoreFuture<'_, Vec<AliasRow>> {
        let machine = machine.clone();
        Box::pin(self.reading(move |connection| versions::aliases(connection, &machine, after.as_ref(), limit)))
    }

    fn delete_alias(&self, arn: &Arn) -> StoreFuture<'_, ()> {
        let arn = arn.clone();
        Box::pin(self.write(move |connection| versions::delete_alias(connection, &arn)))
    }

    fn put_activity(&self, activity: ActivityRow) -> StoreFuture<'_, ()> {
        Box::pin(self.write(move |connection| activities::put(connection, &activity)))
    }

    fn activity(&self, arn: &Arn) -> StoreFuture<'_, Option<ActivityRow>> {
        let arn = arn.clone();
        Box::pin(self.reading(move |connection| activities::one(connection, &arn)))
    }

    fn activities(&self, after: Option<Arn>, limit: u32) -> StoreFuture<'_, Vec<ActivityRow>> {
        Box::pin(self.reading(move |connection| activities::page(connection, after.as_ref(), limit)))
    }

    fn delete_activity(&self, arn: &Arn) -> StoreFuture<'_, ()> {
        let arn = arn.clone();
        Box::pin(self.write(move |connection| activities::delete(connection, &arn)))
    }

    fn tag(&self, resource: &Arn, set: Vec<(String, String)>, remove: Vec<String>) -> StoreFuture<'_, ()> {
        let resource = resource.clone();
        Box::pin(self.write(move |connection| tags::change(connection, &resource, &set, &remove)))
    }

    fn tags(&self, resource: &Arn) -> StoreFuture<'_, Vec<(String, String)>> {
        let resource = resource.clone();
        Box::pin(self.reading(move |connection| tags::all(connection, &resource)))
    }

    fn put_map_run(&self, run: MapRunRow, under: Tenure) -> StoreFuture<'_, ()> {
        Box::pin(self.write(move |connection| map_runs::put(connection, &run, under)))
    }

    fn map_run(&self, arn: &Arn) -> StoreFuture<'_, Option<MapRunRow>> {
        let arn = arn.clone();
        Box::pin(self.reading(move |connection| map_runs::one(connection, &arn)))
    }

    fn map_runs(&self, execution: ExecutionId, after: Option<Arn>, limit: u32) -> StoreFuture<'_, Vec<MapRunRow>> {
        Box::pin(self.reading(move |connection| map_runs::page(connection, execution, after.as_ref(), limit)))
    }

    fn put_note(&self, note: NoteRow, new: bool, now: Timestamp) -> StoreFuture<'_, ()> {
        Box::pin(self.write(move |connection| notes::put(connection, &note, new, now)))
    }

    fn note(&self, kind: &str, key: &str) -> StoreFuture<'_, Option<NoteRow>> {
        let (kind, key) = (kind.to_owned(), key.to_owned());
        Box::pin(self.reading(move |connection| notes::one(connection, &kind, &key)))
    }

    fn notes(&self, kind: &str, after: Option<String>, limit: u32) -> StoreFuture<'_, Vec<NoteRow>> {
        let kind = kind.to_owned();
        Box::pin(self.reading(move |connection| notes::page(connection, &kind, after.as_deref(), limit)))
    }

    fn take_note(&self, kind: &str, key: &str) -> StoreFuture<'_, Option<NoteRow>> {
        let (kind, key) = (kind.to_owned(), key.to_owned());
        Box::pin(self.write(move |connection| notes::take(connection, &kind, &key)))
    }

    fn fix_setting(&self, key: &str, value: &str) -> StoreFuture<'_, String> {
        let (key, value) = (key.to_owned(), value.to_owned());
        Box::pin(self.write(move |connection| tags::fix_setting(connection, &key, &value)))
    }

    fn put_setting(&self, key: &str, value: &str) -> StoreFuture<'_, ()> {
        let (key, value) = (key.to_owned(), value.to_owned());
        Box::pin(self.write(move |connection| tags::put_setting(connection, &key, &value)))
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.probe())
    }
}
