//! The head comment of a room and the table of rooms say the same.

use std::collections::BTreeSet;

use super::{ROOMS, ROOTS, none, sources};

/// The rooms that a head names behind "May enter:", and whether it adds "below".
fn may_enter(head: &str) -> (BTreeSet<&str>, bool) {
    let Some((_, said)) = head.split_once("May enter:") else { return (BTreeSet::new(), false) };
    // A sentence of exclusions names rooms that may not.
    let said =
        ["Never:", "Never ", "; never", " No "].iter().fold(said, |said, no| said.split(no).next().unwrap_or(said));
    let quoted = said.split('`').skip(1).step_by(2).filter_map(|path| path.split("::").next());
    let rooms = quoted.filter(|name| ROOMS.iter().any(|(room, _)| room == name)).collect();
    (rooms, said.contains("below"))
}

fn allowed(room: &str) -> &'static [&'static str] {
    ROOMS.iter().find(|(name, _)| *name == room).map_or(&[], |(_, allowed)| allowed)
}

/// Everything below these rooms.
fn below(rooms: &BTreeSet<&str>) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&str> = rooms.iter().copied().collect();
    while let Some(room) = next.pop() {
        for other in allowed(room) {
            if found.insert(*other) {
                next.push(other);
            }
        }
    }
    found
}

#[test]
fn what_may_enter_a_room_is_what_the_table_says() {
    let mut broken = Vec::new();
    for (file, text) in sources() {
        let inside = ROOTS.iter().find_map(|root| file.strip_prefix(root)).unwrap_or_default();
        let Some(room) = inside.strip_suffix("/mod.rs").filter(|room| !room.contains('/')) else { continue };
        let head: Vec<&str> =
            text.lines().take_while(|l| l.starts_with("//!")).map(|l| l.trim_start_matches("//!").trim()).collect();
        let head = head.join(" ");
        let (named, and_below) = may_enter(&head);
        let allowed = allowed(room);
        for name in named.iter().filter(|name| !allowed.contains(name)) {
            broken.push(format!("{file}: its head lets {name} in, the table ROOMS does not"));
        }
        let lower = if and_below { below(&named) } else { BTreeSet::new() };
        for name in allowed.iter().filter(|name| !named.contains(*name) && !lower.contains(*name)) {
            broken.push(format!("{file}: the table ROOMS lets {name} in, its head does not name it"));
        }
    }
    none(&broken);
}
