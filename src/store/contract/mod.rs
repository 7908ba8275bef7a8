//! The promises of the port, as tests: one suite over all adapters. An adapter joins with one line, `suite!(name,
//! factory)`.

mod catalog;
mod differential;
pub mod given;
mod journal;
mod listing;
mod ownership;
pub mod waits;

use super::{Catalog, Journal};

/// Both halves of the port.
pub trait Store: Journal + Catalog {}

impl<T: Journal + Catalog> Store for T {}

/// An empty store, and the folder that must live as long as it does.
pub struct Fixture {
    pub store: Box<dyn Store>,
    pub folder: Option<tempfile::TempDir>,
}

macro_rules! tests {
    ($factory:path; $($part:ident: $($name:ident)*;)*) => {
        $(mod $part {
            $(#[tokio::test]
            async fn $name() {
                let made: Option<$crate::store::contract::Fixture> = $factory().into();
                let Some(fixture) = made else { return };
                $crate::store::contract::$part::$name(fixture.store.as_ref()).await;
                drop(fixture);
            })*
        })*
    };
}

/// Every promise, run over the stores that `factory` makes.
macro_rules! suite {
    ($adapter:ident, $factory:path) => {
        mod $adapter {
            tests! {
                $factory;
                journal:
                    a_created_execution_is_there_with_its_first_batch
                    a_refused_creation_leaves_nothing
                    a_name_is_held_until_its_execution_closed_long_ago
                    names_that_begin_with_the_same_time_are_told_apart
                    an_execution_needs_its_revision
                    an_append_that_expects_another_version_is_refused_and_changes_nothing
                    an_append_to_nothing_is_not_found
                    batches_come_back_in_order_and_whole
                    a_batch_takes_the_place_of_the_newest_one
                    a_large_journal_is_read_piece_by_piece
                    a_journal_is_read_on_from_a_version
                    the_summary_shows_what_the_last_append_said
                    a_redriven_execution_is_open_again
                    due_gives_the_soonest_first_and_only_open_ones
                    owing_gives_those_of_one_partition_that_owe_in_id_order
                    parents_are_owed_until_they_are_told
                    figures_tell_what_is_open
                    purge_takes_the_longest_closed_and_keeps_who_owes
                    purge_takes_what_belonged_to_the_execution;
                listing:
                    a_listing_pages_newest_first_without_loss_or_doubles
                    a_listing_takes_every_filter
                    children_without_success_wait_for_their_runs_redrive
                    a_brief_listing_leaves_out_what_is_large
                    counts_go_by_status
                    kin_are_listed_by_what_they_came_from;
                waits:
                    waiting_tasks_are_listed_longest_first_in_pages
                    a_listing_of_waiting_tasks_takes_every_filter
                    a_row_is_replaced_and_taken_away
                    an_append_without_events_changes_the_index_alone
                    a_refused_append_changes_no_row
                    destinations_are_counted
                    rows_go_with_their_execution;
                catalog:
                    a_machine_is_found_listed_and_not_made_twice
                    an_update_makes_another_revision_current
                    a_revision_stays_while_an_execution_or_version_points_at_it
                    a_deleted_machine_goes_when_nothing_of_it_runs
                    version_numbers_are_never_given_out_again
                    the_same_revision_is_published_once
                    aliases_are_made_changed_listed_and_deleted
                    activities_are_made_listed_and_deleted
                    a_listing_goes_on_after_a_row_that_is_gone
                    tags_are_set_replaced_removed_and_go_with_their_resource
                    map_runs_are_put_changed_and_listed_by_execution
                    a_setting_is_fixed_by_its_first_value
                    a_setting_of_the_engine_is_replaced
                    notes_are_put_listed_taken_once_and_go_with_their_time
                    texts_of_clients_come_back_as_they_were
                    what_is_not_there_is_not_found;
            }
        }
    };
}

fn memory() -> Fixture {
    Fixture { store: Box::new(super::memory::Memory::new()), folder: None }
}

fn sqlite_file() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    // NORMAL: the promises do not depend on the disk's durability, and the suite stays quick.
    let options = super::sqlite::Options { synchronous: super::sqlite::Synchronous::Normal, ..Default::default() };
    let store = super::sqlite::Sqlite::open(folder.path().join("store.db"), options).unwrap();
    Fixture { store: Box::new(store), folder: Some(folder) }
}

fn sqlite_memory() -> Fixture {
    Fixture {
        store: Box::new(super::sqlite::Sqlite::open(":memory:", super::sqlite::Options::default()).unwrap()),
        folder: None,
    }
}

/// `None` where no server is there.
fn postgres() -> Option<Fixture> {
    super::postgres::tests::store().map(|store| Fixture { store: Box::new(store), folder: None })
}

suite!(in_memory, super::super::memory);
suite!(in_sqlite, super::super::sqlite_file);
suite!(in_sqlite_without_a_file, super::super::sqlite_memory);
suite!(in_postgres, super::super::postgres);
