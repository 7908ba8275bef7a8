//! The rules of the house as a test: who may import whom, how long a file may be, what every room says about itself,
//! and which words never enter. A rule is broken on purpose? Then it gets a line in one of the tables below, with the
//! reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "tidy/deployments.rs"]
mod deployments;
#[path = "tidy/engine.rs"]
mod engine;
#[path = "tidy/heads.rs"]
mod heads;
#[path = "tidy/lines.rs"]
mod lines;

#[path = "tidy/documents.rs"]
mod documents;

/// Rooms of `crates/core/src/` and of `src/`, lowest first, each with the rooms that it may import.
/// `docs/ARCHITECTURE.md` has the picture.
const ROOMS: &[(&str, &[&str])] = &[
    ("ids", &[]),
    ("limits", &[]),
    // A JSON value with its text; imports no other room.
    ("payload", &[]),
    // The abilities of the binary's allocator; imports no other room.
    ("memory", &[]),
    ("clock", &[]),
    ("token", &["ids"]),
    // AWS's dialect of CSV.
    ("csv", &["limits"]),
    ("query", &["clock", "limits"]),
    // Forms that people answer tasks with.
    ("forms", &["query", "clock", "limits"]),
    ("asl", &["query", "forms", "clock", "ids", "limits", "payload"]),
    // Trace contexts: an execution's first event names the trace in which it was asked for.
    ("trace", &["ids"]),
    ("interpreter", &["asl", "query", "csv", "clock", "ids", "limits", "payload", "trace"]),
    ("spans", &["interpreter", "clock", "ids", "trace"]),
    ("record", &["interpreter", "limits", "payload"]),
    ("replay", &["interpreter", "asl", "clock", "ids", "limits", "payload"]),
    // Pictures of definitions.
    ("graph", &[]),
    // Ports. They never import each other.
    ("store", &["clock", "ids", "limits"]),
    ("bus", &["clock", "ids", "limits", "payload"]),
    ("objects", &["csv", "clock", "ids", "limits"]),
    // Workers that come with the engine: they see what every worker sees.
    ("workers", &["bus", "clock", "ids", "limits"]),
    // The messages of a resource: it speaks the bus's words (address, header, publication), never an adapter's.
    ("integrations", &["bus", "interpreter", "asl", "forms", "query", "clock", "ids", "limits", "payload"]),
    ("telemetry", &["clock", "ids", "limits", "spans", "token", "trace"]),
    (
        "engine",
        &[
            "store",
            "bus",
            "objects",
            "integrations",
            "interpreter",
            "record",
            "asl",
            "query",
            "spans",
            "telemetry",
            "clock",
            "ids",
            "limits",
            "memory",
            "token",
            "trace",
        ],
    ),
    (
        "api",
        &[
            "engine",
            "store",
            "integrations",
            "interpreter",
            "asl",
            "forms",
            "query",
            "telemetry",
            "clock",
            "ids",
            "limits",
            "payload",
            "trace",
        ],
    ),
    // Pages for people, on the API's server.
    (
        "console",
        &[
            "api",
            "engine",
            "store",
            "bus",
            "interpreter",
            "record",
            "asl",
            "forms",
            "graph",
            "telemetry",
            "clock",
            "ids",
            "limits",
        ],
    ),
    // Reads text into other rooms' options.
    ("config", &["bus", "objects", "integrations", "telemetry", "ids", "limits", "token", "trace", "workers"]),
    (
        "app",
        &[
            "api",
            "console",
            "config",
            "engine",
            "store",
            "bus",
            "objects",
            "integrations",
            "telemetry",
            "clock",
            "ids",
            "limits",
            "interpreter",
            "token",
            "workers",
        ],
    ),
    (
        "cli",
        &[
            "app",
            "config",
            "api",
            "engine",
            "store",
            "bus",
            "integrations",
            "interpreter",
            "record",
            "replay",
            "asl",
            "graph",
            "telemetry",
            "clock",
            "ids",
            "limits",
            "token",
            "workers",
        ],
    ),
    ("main", &["cli"]),
];

/// Only these name an adapter.
const ADAPTERS: &[&str] = &["store::sqlite", "store::postgres", "store::memory", "bus::amqp", "bus::embedded"];
const NAMES_ADAPTERS: &[(&str, &str)] =
    &[("src/app.rs", "the composition root"), ("src/app/", "its parts: stores and broker")];

/// Plain values in, plain values out, outside of the core crate (whose `Cargo.toml` holds the same for all of it).
const PURE: &[&str] = &["integrations"];
const IMPURE: &[&str] = &["tokio", "actix", "actix_rt", "actix_web", "lapin", "tracing", "rusqlite", "futures_util"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Files that git tracks or would track; without git (a source archive), the files in the folders of the project.
fn tracked() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let mut files = match listed {
        Ok(out) if out.status.success() => String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect(),
        _ => {
            let mut found = Vec::new();
            for folder in ["src", "crates", "tests", "benches", "docs", "examples", "scripts", "config", "migrations"] {
                walk(&root().join(folder), &mut found);
            }
            found
        }
    };
    files.retain(|f| root().join(f).is_file());
    files.sort();
    files
}

fn walk(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "node_modules") {
            walk(&path, found);
        } else if let Ok(relative) = path.strip_prefix(root()) {
            found.push(relative.to_string_lossy().into_owned());
        }
    }
}

/// Text files with their text.
fn texts() -> Vec<(String, String)> {
    tracked().into_iter().filter_map(|f| fs::read_to_string(root().join(&f)).ok().map(|text| (f, text))).collect()
}

/// Where the rooms are.
const ROOTS: &[&str] = &["crates/core/src/", "src/"];

/// Rust files of the rooms, without those that are modules for tests.
fn sources() -> Vec<(String, String)> {
    let all: Vec<(String, String)> =
        texts().into_iter().filter(|(f, _)| ROOTS.iter().any(|root| f.starts_with(root)) && is_rust(f)).collect();
    let mut for_tests = BTreeSet::new();
    for (file, text) in &all {
        let inside = match file.strip_suffix("/mod.rs") {
            Some(folder) => folder.to_owned(),
            None if file.ends_with("src/lib.rs") => file.trim_end_matches("/lib.rs").to_owned(),
            None => file.trim_end_matches(".rs").to_owned(),
        };
        for part in text.split("#[cfg(test)]").skip(1) {
            let declaration = part.trim_start();
            if let Some((path, _)) = declaration.strip_prefix("#[path = \"").and_then(|d| d.split_once('"')) {
                for_tests.insert(format!("{}/{path}", file.rsplit_once('/').map_or("src", |(folder, _)| folder)));
            }
            let declaration = declaration.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            if let Some((name, _)) =
                declaration.strip_prefix("mod ").and_then(|d| d.split_once(';')).filter(|(name, _)| !name.contains(' '))
            {
                for_tests.insert(format!("{inside}/{name}.rs"));
                for_tests.insert(format!("{inside}/{name}/"));
            }
        }
    }
    all.into_iter().filter(|(file, _)| !for_tests.iter().any(|t| file.starts_with(t.as_str()))).collect()
}

fn is_rust(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|e| e == "rs")
}

fn is_document(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|e| e == "md")
}

/// Code only: no comments, no test modules (they stand last in a file).
fn code(text: &str) -> String {
    let mut kept = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let tests_begin =
            line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.contains("mod ") && next.ends_with('{'));
        if tests_begin {
            break;
        }
        kept.push(line.split("//").next().unwrap_or_default());
    }
    kept.join("\n")
}

fn room(file: &str) -> &str {
    let inside = ROOTS.iter().find_map(|root| file.strip_prefix(root)).unwrap_or(file);
    let first = inside.split('/').next().unwrap_or_default();
    first.trim_end_matches(".rs")
}

/// Every `crate::a::b` of the code as `a::b`, groups opened: `crate::store::{self, sqlite::Sqlite}` gives
/// `store::self`, `store::sqlite::Sqlite`.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        open(&code[at + "crate::".len()..], "", &mut found);
    }
    found
}

fn open(rest: &str, prefix: &str, found: &mut Vec<String>) {
    let path: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect();
    let after = &rest[path.len()..];
    let Some(group) = after.strip_prefix('{') else {
        found.push(format!("{prefix}{path}"));
        return;
    };
    let (mut depth, mut start) = (0_i32, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                let item = group[start..at].trim();
                if !item.is_empty() {
                    open(item, &format!("{prefix}{path}"), found);
                }
                start = at + 1;
                if c == '}' {
                    return;
                }
            }
            _ => {}
        }
    }
}

fn none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn imports_run_downward_only() {
    let mut broken = Vec::new();
    for (file, text) in sources().iter().filter(|(f, _)| !f.ends_with("src/lib.rs")) {
        let room = room(file);
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            broken.push(format!("{file}: a room that the table ROOMS does not know"));
            continue;
        };
        for path in imports(&code(text)) {
            let other = path.split("::").next().unwrap_or_default();
            if other != room && ROOMS.iter().any(|(name, _)| *name == other) && !allowed.contains(&other) {
                broken.push(format!("{file}: {room} may not import crate::{path}"));
            }
        }
    }
    none(&broken);
}

#[test]
fn only_the_composition_root_names_adapters() {
    let mut broken = Vec::new();
    let mut needed = BTreeSet::new();
    for (file, text) in sources() {
        let room = room(&file);
        let excused = NAMES_ADAPTERS.iter().position(|(f, _)| file.starts_with(f));
        for path in imports(&code(&text)) {
            if ADAPTERS.iter().any(|a| path.starts_with(a)) && !path.starts_with(&format!("{room}::")) {
                if let Some(line) = excused {
                    needed.insert(line);
                    continue;
                }
                broken.push(format!(
                    "{file}: crate::{path} is an adapter; ask for the port's trait and let app.rs choose"
                ));
            }
        }
    }
    for (line, (file, _)) in NAMES_ADAPTERS.iter().enumerate().filter(|(line, _)| !needed.contains(line)) {
        broken.push(format!("NAMES_ADAPTERS[{line}]: {file} names no adapter; take the line out"));
    }
    none(&broken);
}

#[test]
fn faces_never_see_a_stimulus() {
    let mut broken = Vec::new();
    for (file, text) in sources().iter().filter(|(f, _)| ["api", "console", "cli"].contains(&room(f))) {
        for path in imports(&code(text))
            .iter()
            .filter(|p| p.starts_with("interpreter::stimulus") || p.starts_with("interpreter::command"))
        {
            broken.push(format!("{file}: crate::{path}; faces speak to engine::EngineHandle"));
        }
    }
    none(&broken);
}

#[test]
fn the_core_depends_on_no_runtime() {
    let manifest = fs::read_to_string(root().join("crates/core/Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]").nth(1).and_then(|rest| rest.split("\n[").next()).unwrap();
    let names = dependencies.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    let broken: Vec<String> =
        names.filter(|name| IMPURE.contains(name)).map(|name| format!("crates/core/Cargo.toml: {name}")).collect();
    none(&broken);
}

#[test]
fn pure_rooms_name_no_runtime() {
    let mut broken = Vec::new();
    for (file, text) in sources().iter().filter(|(f, _)| PURE.contains(&room(f))) {
        for (number, line) in code(text).lines().enumerate() {
            let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').collect();
            for name in IMPURE {
                let used = words.iter().any(|w| {
                    w.split("::").next() == Some(name) && (w.contains("::") || line.trim_start().starts_with("use "))
                });
                if used {
                    broken.push(format!("{file}:{}: {name} has no business in the core", number + 1));
                }
            }
        }
    }
    none(&broken);
}

#[test]
fn every_room_says_what_it_is_for_and_what_may_enter() {
    let mut broken = Vec::new();
    for (file, text) in sources() {
        let head: Vec<&str> = text.lines().take_while(|l| l.starts_with("//!")).collect();
        if head.is_empty() {
            broken.push(format!("{file}: begins with no `//!` that says its purpose"));
        }
        let is_room = ROOTS.iter().any(|root| {
            file.strip_prefix(root)
                .is_some_and(|inside| inside.ends_with("/mod.rs") && inside.matches('/').count() == 1)
        });
        if is_room && !head.iter().any(|l| l.contains("May enter")) {
            broken.push(format!("{file}: its head does not say what may enter (`//! May enter: ...`)"));
        }
    }
    none(&broken);
}

#[test]
fn the_reader_of_imports_opens_groups() {
    assert_eq!(
        imports("use crate::store::{self, sqlite::{Options, Sqlite}, StoreError};"),
        ["store::self", "store::sqlite::Options", "store::sqlite::Sqlite", "store::StoreError"]
    );
    assert_eq!(imports("let a = crate::ids::Arn::new(x);"), ["ids::Arn::new"]);
    assert_eq!(
        code("fn a() {} // crate::store\n#[cfg(test)]\nmod tests {\n use crate::bus::amqp;\n}\n").trim(),
        "fn a() {}"
    );
}
