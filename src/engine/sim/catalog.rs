//! The catalog, with faults: calls that fail before they did anything, and calls that did it and are reported as
//! failed.

use crate::clock::Timestamp;
use crate::ids::{Arn, ExecutionId};
use crate::store::{
    ActivityRow, AliasRow, Catalog, MachineRow, MapRunRow, NoteRow, Revision, RevisionId, StoreFuture, Tenure,
    VersionRow,
};

use super::store::{Fault, SimStore, shaky};

impl Catalog for SimStore {
    fn generation(&self) -> Option<u64> {
        self.memory.generation()
    }

    shaky! {
        put_machine(; machine: MachineRow) -> ();
        machine(&arn: Arn;) -> Option<MachineRow>;
        machines(; after: Option<Arn>, limit: u32) -> Vec<MachineRow>;
        update_machine(&arn: Arn; revision: Revision) -> ();
        delete_machine(&arn: Arn;) -> ();
        reap_machines(;) -> u64;
        revision(; id: RevisionId) -> Option<Revision>;
        put_version(&machine: Arn; revision: RevisionId, description: Option<String>, at: Timestamp) -> VersionRow;
        version(&arn: Arn;) -> Option<VersionRow>;
        versions(&machine: Arn; after: Option<u64>, limit: u32) -> Vec<VersionRow>;
        delete_version(&arn: Arn;) -> ();
        put_alias(; alias: AliasRow, replace: bool) -> ();
        alias(&arn: Arn;) -> Option<AliasRow>;
        aliases(&machine: Arn; after: Option<Arn>, limit: u32) -> Vec<AliasRow>;
        delete_alias(&arn: Arn;) -> ();
        put_activity(; activity: ActivityRow) -> ();
        activity(&arn: Arn;) -> Option<ActivityRow>;
        activities(; after: Option<Arn>, limit: u32) -> Vec<ActivityRow>;
        delete_activity(&arn: Arn;) -> ();
        tag(&resource: Arn; set: Vec<(String, String)>, remove: Vec<String>) -> ();
        tags(&resource: Arn;) -> Vec<(String, String)>;
        put_map_run(; run: MapRunRow, under: Tenure) -> ();
        map_run(&arn: Arn;) -> Option<MapRunRow>;
        map_runs(; execution: ExecutionId, after: Option<Arn>, limit: u32) -> Vec<MapRunRow>;
        fix_setting(&key: str, &value: str;) -> String;
        put_setting(&key: str, &value: str;) -> ();
        put_note(; note: NoteRow, new: bool, now: Timestamp) -> ();
        note(&kind: str, &key: str;) -> Option<NoteRow>;
        notes(&kind: str; after: Option<String>, limit: u32) -> Vec<NoteRow>;
        take_note(&kind: str, &key: str;) -> Option<NoteRow>;
        ping(;) -> ();
    }
}
