//! The rules of the rooms inside `src/engine/`: imports run downward, circles of files are small, and an `impl` stands
//! beside its type.

use std::collections::{BTreeMap, BTreeSet};

use super::{code, none, open, sources};

const ENGINE: &str = "src/engine/";

/// The rooms, highest first: each may import what stands below it. `src/engine/mod.rs` names them all, and no rule.
const ROOMS: &[&str] = &[
    "lifecycle",
    "api",
    "ownership",
    "coordination",
    "delivery",
    "starting",
    "partition",
    "execution",
    "journal",
    "services",
    "types",
];

/// Files that import upward: which room, and why that cannot be cut yet. A line that nothing needs fails.
const UPWARD: &[(&str, &str, &str)] = &[];

/// Circles of more than two files: one of their files, how many they are, and why.
const CIRCLES: &[(&str, usize, &str)] = &[];

/// Methods away from their type: the file, the type, and why.
const AWAY: &[(&str, &str, &str)] = &[];

/// File of a room → its code. Without `mod.rs` of the engine itself, which only names the rooms.
fn files() -> BTreeMap<String, String> {
    let inside = |file: &str| file.strip_prefix(ENGINE).map(str::to_owned);
    let all = sources().into_iter().filter_map(|(file, text)| Some((inside(&file)?, code(&text))));
    all.filter(|(file, _)| file != "mod.rs").collect()
}

fn room(file: &str) -> &str {
    file.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

/// `a/b.rs` and `a/b/mod.rs` are the module `a::b`.
fn module(file: &str) -> Vec<&str> {
    let mut path: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    if path.last() == Some(&"mod") {
        path.pop();
    }
    path
}

/// The paths below the engine that a file names: `crate::engine::a::b`, `super::b` from wherever it stands, and
/// `b::c` of a module `b` that the file declares itself.
fn named(file: &str, code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let own = module(file);
    for (at, _) in code.match_indices("crate::engine::") {
        add(&code[at + "crate::engine::".len()..], &[], &mut found);
    }
    for (at, _) in code.match_indices("super::") {
        let chained = code[..at].ends_with("super::");
        let part_of_word = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if chained || part_of_word {
            continue;
        }
        let (mut rest, mut up) = (&code[at..], 0);
        while let Some(next) = rest.strip_prefix("super::") {
            (rest, up) = (next, up + 1);
        }
        let base: Vec<&str> = own[..own.len().saturating_sub(up)].to_vec();
        add(rest, &base, &mut found);
    }
    for child in code.lines().filter_map(declared) {
        let path = format!("{child}::");
        for (at, _) in code.match_indices(&path) {
            let part_of_path = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            if !part_of_path {
                add(&code[at..], &own, &mut found);
            }
        }
    }
    found
}

/// The name of `mod name;`, whatever its visibility.
fn declared(line: &str) -> Option<&str> {
    let (visibility, name) = line.strip_suffix(';')?.split_once("mod ")?;
    let is_declaration = visibility.is_empty() || visibility.starts_with("pub");
    (is_declaration && name.chars().all(|c| c.is_alphanumeric() || c == '_')).then_some(name)
}

fn add(rest: &str, base: &[&str], found: &mut Vec<Vec<String>>) {
    let mut paths = Vec::new();
    open(rest, "", &mut paths);
    for path in paths {
        let below = path.split("::").filter(|part| !part.is_empty() && *part != "self").map(str::to_owned);
        found.push(base.iter().map(|part| (*part).to_owned()).chain(below).collect());
    }
}

/// Which files a file names: the longest module that its paths begin with.
fn arrows(files: &BTreeMap<String, String>) -> BTreeMap<&str, BTreeSet<&str>> {
    let modules: BTreeMap<Vec<&str>, &str> = files.keys().map(|file| (module(file), file.as_str())).collect();
    let mut arrows: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (file, code) in files {
        let to = arrows.entry(file.as_str()).or_default();
        for path in named(file, code) {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let target = (1..=path.len()).rev().find_map(|n| modules.get(&path[..n]));
            to.extend(target.filter(|target| **target != file.as_str()));
        }
    }
    arrows
}

#[test]
fn the_rooms_of_the_engine_import_downward_only() {
    let files = files();
    let floor = |room: &str| ROOMS.iter().position(|r| *r == room);
    let mut broken = Vec::new();
    let mut needed = BTreeSet::new();
    for (file, code) in &files {
        let Some(own) = floor(room(file)) else {
            broken.push(format!("{ENGINE}{file}: a room that the table ROOMS of tests/tidy/engine.rs does not know"));
            continue;
        };
        for path in named(file, code) {
            let Some(other) = path.first().and_then(|first| floor(first)) else { continue };
            if other >= own {
                continue;
            }
            let excused = UPWARD.iter().position(|(f, to, _)| f == file && *to == ROOMS[other]);
            match excused {
                Some(line) => _ = needed.insert(line),
                None => broken.push(format!("{ENGINE}{file}: {} may not import {}", room(file), path.join("::"))),
            }
        }
    }
    broken.dedup();
    for (line, (file, to, _)) in UPWARD.iter().enumerate().filter(|(line, _)| !needed.contains(line)) {
        broken.push(format!("UPWARD[{line}]: {file} imports {to} no more; take the line out"));
    }
    none(&broken);
}

#[test]
fn circles_of_files_in_the_engine_are_pairs() {
    let files = files();
    let arrows = arrows(&files);
    let reach = |from: &str| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(file) = next.pop() {
            for to in arrows.get(file.as_str()).into_iter().flatten() {
                if seen.insert((*to).to_owned()) {
                    next.push((*to).to_owned());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<String>> = files.keys().map(|f| (f.as_str(), reach(f))).collect();
    let mut circles: BTreeSet<Vec<&str>> = BTreeSet::new();
    for (file, to) in &reached {
        let circle: Vec<&str> =
            reached.keys().copied().filter(|f| to.contains(*f) && reached[f].contains(*file)).collect();
        if circle.len() > 2 {
            circles.insert(circle);
        }
    }
    let (all, largest) = (arrows.values().map(BTreeSet::len).sum::<usize>(), circles.iter().map(Vec::len).max());
    println!("{} files, {all} imports among them, the largest circle: {} files", files.len(), largest.unwrap_or(2));
    let mut broken = Vec::new();
    for circle in &circles {
        let excused = CIRCLES.iter().find(|(file, _, _)| circle.contains(file));
        if excused.is_none_or(|(_, many, _)| circle.len() > *many) {
            broken.push(format!("a circle of {} files: {}", circle.len(), circle.join(", ")));
        }
    }
    for (file, many, _) in CIRCLES {
        if !circles.iter().any(|circle| circle.contains(file) && circle.len() == *many) {
            broken.push(format!("CIRCLES: there is no circle of {many} files around {file} any more"));
        }
    }
    none(&broken);
}

/// The type of `impl T {` or `impl<…> T<…> {`; not of `impl Trait for T`.
fn inherent(line: &str) -> Option<&str> {
    let mut rest = line.strip_prefix("impl")?;
    if rest.starts_with('<') {
        let mut depth = 0;
        let end = rest.char_indices().find(|(at, c)| {
            depth += match c {
                '<' => 1,
                // Of an arrow it closes nothing.
                '>' if !rest[..*at].ends_with('-') => -1,
                _ => 0,
            };
            depth == 0
        })?;
        rest = &rest[end.0 + 1..];
    }
    let rest = rest.strip_prefix(' ')?;
    let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    (!rest.contains(" for ") && !name.is_empty()).then_some(name)
}

#[test]
fn methods_stand_in_the_folder_of_their_type() {
    let files = files();
    let mut defined: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (file, code) in &files {
        for line in code.lines() {
            let line = line.trim_start_matches("pub(in crate::engine) ").trim_start_matches("pub(super) ");
            let line = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            if let Some(rest) = line.strip_prefix("struct ").or_else(|| line.strip_prefix("enum ")) {
                let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                defined.entry(name).or_default().insert(room(file));
            }
        }
    }
    let (mut broken, mut needed) = (Vec::new(), BTreeSet::new());
    for (file, code) in &files {
        for name in code.lines().filter_map(inherent) {
            let Some(homes) = defined.get(name) else { continue };
            if homes.contains(room(file)) {
                continue;
            }
            match AWAY.iter().position(|(f, t, _)| f == file && *t == name) {
                Some(line) => _ = needed.insert(line),
                None => broken.push(format!("{ENGINE}{file}: impl {name}, whose home is {homes:?}")),
            }
        }
    }
    for (line, (file, name, _)) in AWAY.iter().enumerate().filter(|(line, _)| !needed.contains(line)) {
        broken.push(format!("AWAY[{line}]: {file} extends {name} no more; take the line out"));
    }
    none(&broken);
}

#[test]
fn the_reader_of_paths_follows_super() {
    let named = |file: &str, code: &str| named(file, code).iter().map(|path| path.join("::")).collect::<Vec<_>>();
    assert_eq!(named("a/b.rs", "use super::c::{D, e::F};"), ["a::c::D", "a::c::e::F"]);
    assert_eq!(named("a/mod.rs", "use super::Shared;"), ["Shared"]);
    assert_eq!(named("a/b/c.rs", "super::super::x::f()"), ["a::x::f"]);
    assert_eq!(named("a.rs", "use crate::engine::{b::C, d};"), ["b::C", "d"]);
    assert_eq!(
        named("a/mod.rs", "pub(super) mod b;\nmod c;\nuse b::D;\nfn f(_: x::b::E, _: c::F) {}"),
        ["a::b::D", "a::c::F"]
    );
    assert_eq!(inherent("impl<'j> Pages<'j> {"), Some("Pages"));
    assert_eq!(inherent("impl<F: Fn() -> Box<dyn X>> Windows<F> {"), Some("Windows"));
    assert_eq!(inherent("impl Actor for Partition {"), None);
}
