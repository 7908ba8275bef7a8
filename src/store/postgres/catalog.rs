//! The port's catalog, handed to the writer and the readers.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::ids::{Arn, ExecutionId};
use crate::store::{
    ActivityRow, AliasRow, Catalog, MachineRow, MapRunRow, NoteRow, Revision, RevisionId, StoreError, StoreFuture,
    Tenure, VersionRow,
};

use super::{Postgres, activities, machines, notes, tags, versions};

impl Catalog for Postgres {
    fn generation(&self) -> Option<u64> {
        Some(self.inner.counters.jobs.load(std::sync::atomic::Ordering::Acquire))
    }

    fn put_machine(&self, machine: MachineRow) -> StoreFuture<'_, ()> {
        Box::pin(self.write(move |client| Box::pin(async move { machines::put(&client, &machine).await })))
    }

    fn machine(&self, arn: &Arn) -> StoreFuture<'_, Option<MachineRow>> {
        let arn = arn.clone();
        Box::pin(self.reading(move |client| Box::pin(async move { machines::one(&client, &arn).await })))
    }

    fn machines(&self, after: Option<Arn>, limit: u32) -> StoreFuture<'_, Vec<MachineRow>> {
        Box::pin(
            self.reading(move |client| Box::pin(async move { machines::page(&client, after.as_ref(), limit).await })),
        )
    }

    fn update_machine(&self, arn: &Arn, revision: Revision) -> StoreFuture<'_, ()> {
        let arn = arn.clone();
        Box::pin(self.write(move |client| Box::pin(async move { machines::update(&client, &arn, &revision).await })))
    }

    fn delete_machine(&self, arn: &Arn) -> StoreFuture<'_, ()> {
        let arn = arn.clone();
        Box::pin(self.write(move |client| Box::pin(async move { machines::delete(&client, &arn).await })))
    }

    fn reap_machines(&self) -> StoreFuture<'_, u64> {
        Box::pin(self.write(move |client| Box::pin(async move { machines::reap(&client).await })))
    }

    fn revision(&self, id: RevisionId) -> StoreFuture<'_, Option<Revision>> {
        Box::pin(self.reading(move |client| Box::pin(async move { machines::revision(&client, id).await })))
    }

    fn put_version(
        &self,
        machine: &Arn,
        revision: RevisionId,
        description: Option<String>,
        at: Timestamp,
    ) -> StoreFuture<'_, VersionRow> {
        let machine = machine.clone();
        Box::pin(self.write(move |client| {
            Box::pin(
                async move { versions::put_version(&client, &machine, revision, description.as_deref(), at).await },
            )
        }))
    }

    fn version(&self, arn: &Arn) -> StoreFuture<'_, Option<VersionRow>> {
        let arn = arn.clone();
        Box::pin(self.reading(move |client| Box::pin(async move { versions::version(&client, &arn).await })))
    }

    fn versions(&self, machine: &Arn, after: Option<u64>, limit: u32) -> StoreFuture<'_, Vec<VersionRow>> {
        let machine = machine.clone();
        Box::pin(
            self.reading(move |client| {
                Box::pin(async move { versions::versions(&client, &machine, after, limit).await })
            }),
        )
    }

    fn delete_version(&self, arn: &Arn) -> StoreFuture<'_, ()> {
        let arn = arn.clone();
        Box::pin(self.write(move |client| Box::pin(async move { versions::delete_version(&client, &arn).await })))
    }

    fn put_alias(&self, alias: AliasRow, replace: bool) -> StoreFuture<'_, ()> {
        Box::pin(self.write(move |client| Box::pin(async move { versions::put_alias(&client, &alias, replace).await })))
    }

    fn alias(&self, arn: &Arn) -> StoreFuture<'_, Option<AliasRow>> {
        let arn = arn.clone();
        Box::pin(self.reading(move |client| Box::pin(async move { versions::alias(&client, &arn).await })))
    }

    fn aliases(&self, machine: &Arn, after: Option<Arn>, limit: u32) -> StoreFuture<'_, Vec<AliasRow>> {
        let machine = machine.clone();
        Box::pin(self.reading(move |client| {
            Box::pin(async move { versions::aliases(&client, &machine, after.as_ref(), limit).await })
        }))
    }

    fn delete_alias(&self, arn: &Arn) -> StoreFuture<'_, ()> {
        let arn = arn.clone();
        Box::pin(self.write(move |client| Box::pin(async move { versions::delete_alias(&client, &arn).await })))
    }

    fn put_activity(&self, activity: ActivityRow) -> StoreFuture<'_, ()> {
        Box::pin(self.write(move |client| Box::pin(async move { activities::put(&client, &activity).await })))
    }

    fn activity(&self, arn: &Arn) -> StoreFuture<'_, Option<ActivityRow>> {
        let arn = arn.clone();
        Box::pin(self.reading(move |client| Box::pin(async move { activities::one(&client, &arn).await })))
    }

    fn activities(&self, after: Option<Arn>, limit: u32) -> StoreFuture<'_, Vec<ActivityRow>> {
        Box::pin(
            self.reading(move |client| Box::pin(async move { activities::page(&client, after.as_ref(), limit).await })),
        )
    }

    fn delete_activity(&self, arn: &Arn) -> StoreFuture<'_, ()> {
        let arn = arn.clone();
        Box::pin(self.write(move |client| Box::pin(async move { activities::delete(&client, &arn).await })))
    }

    fn tag(&self, resource: &Arn, set: Vec<(String, String)>, remove: Vec<String>) -> StoreFuture<'_, ()> {
        let resource = resource.clone();
        Box::pin(
            self.write(move |client| Box::pin(async move { tags::change(&client, &resource, &set, &remove).await })),
        )
    }

    fn tags(&self, resource: &Arn) -> StoreFuture<'_, Vec<(String, String)>> {
        let resource = resource.clone();
        Box::pin(self.reading(move |client| Box::pin(async move { tags::all(&client, &resource).await })))
    }

    fn put_map_run(&self, run: MapRunRow, under: Tenure) -> StoreFuture<'_, ()> {
        let seat = Arc::clone(&self.inner.seat);
        Box::pin(self.write(move |client| {
            Box::pin(async move { activities::put_map_run(&client, &run, seat.node(), under).await })
        }))
    }

    fn map_run(&self, arn: &Arn) -> StoreFuture<'_, Option<MapRunRow>> {
        let arn = arn.clone();
        Box::pin(self.reading(move |client| Box::pin(async move { activities::map_run(&client, &arn).await })))
    }

    fn map_runs(&self, execution: ExecutionId, after: Option<Arn>, limit: u32) -> StoreFuture<'_, Vec<MapRunRow>> {
        Box::pin(self.reading(move |client| {
            Box::pin(async move { activities::map_runs(&client, execution, after.as_ref(), limit).await })
        }))
    }

    fn put_note(&self, note: NoteRow, new: bool, now: Timestamp) -> StoreFuture<'_, ()> {
        Box::pin(self.write(move |client| Box::pin(async move { notes::put(&client, &note, new, now).await })))
    }

    fn note(&self, kind: &str, key: &str) -> StoreFuture<'_, Option<NoteRow>> {
        let (kind, key) = (kind.to_owned(), key.to_owned());
        Box::pin(self.reading(move |client| Box::pin(async move { notes::one(&client, &kind, &key).await })))
    }

    fn notes(&self, kind: &str, after: Option<String>, limit: u32) -> StoreFuture<'_, Vec<NoteRow>> {
        let kind = kind.to_owned();
        Box::pin(
            self.reading(move |client| {
                Box::pin(async move { notes::page(&client, &kind, after.as_deref(), limit).await })
            }),
        )
    }

    fn take_note(&self, kind: &str, key: &str) -> StoreFuture<'_, Option<NoteRow>> {
        let (kind, key) = (kind.to_owned(), key.to_owned());
        Box::pin(self.write(move |client| Box::pin(async move { notes::take(&client, &kind, &key).await })))
    }

    fn fix_setting(&self, key: &str, value: &str) -> StoreFuture<'_, String> {
        let (key, value) = (key.to_owned(), value.to_owned());
        Box::pin(self.write(move |client| Box::pin(async move { tags::fix_setting(&client, &key, &value).await })))
    }

    fn put_setting(&self, key: &str, value: &str) -> StoreFuture<'_, ()> {
        let (key, value) = (key.to_owned(), value.to_owned());
        Box::pin(self.write(move |client| Box::pin(async move { tags::put_setting(&client, &key, &value).await })))
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.probe())
    }

    fn reconnected(&self, lost: StoreError) -> StoreFuture<'_, ()> {
        Box::pin(self.wait_for_server(lost))
    }
}
