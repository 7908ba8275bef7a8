//! The rules of the documents: plain words, lines that fit a terminal and a diff, and only paths that exist.

use std::fs;
use std::path::Path;

use super::{is_document, none, root, texts};

const COLUMNS_MAX: usize = 100;
const TABLE_COLUMNS_MAX: usize = 4;

/// Words that make a sentence odd, and the plain way. Comments in code are held to them too.
pub(super) const WORDS: &[(&str, &str)] = &[
    ("nobody", "say that there is none"),
    ("somebody", "name the person or the program"),
    ("whoever", "name the person or the program"),
    ("anew", "again"),
    ("one that", "repeat the noun"),
    ("what is", "use a noun"),
    ("what was", "use a noun"),
    ("what are", "use a noun"),
    ("what were", "use a noun"),
    ("what has", "use a noun"),
    ("what it", "use a noun"),
    ("what they", "use a noun"),
    ("what we", "use a noun"),
    ("what you", "use a noun"),
    ("what can", "use a noun"),
    ("what cannot", "use a noun"),
    ("what may", "use a noun"),
    ("what must", "use a noun"),
];

/// Documents, and the settings with their comments.
fn is_read_by_users(file: &str) -> bool {
    is_document(file) || file == "config/default.toml"
}

/// The lines of a document outside of code, each with its number.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let (mut kept, mut fence, mut blank, mut indented) = (Vec::new(), false, true, false);
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if trimmed.starts_with("```") {
            fence = !fence;
            continue;
        }
        // A block of code begins after a blank line; an item of a list goes on with fewer spaces.
        indented = line.starts_with("    ") && (blank || indented);
        blank = trimmed.is_empty();
        if !fence && !indented {
            kept.push((number + 1, line));
        }
    }
    kept
}

/// True where the line has words besides a link or a path, so that it could be broken.
fn could_be_broken(line: &str) -> bool {
    line.trim_start_matches(['-', '*', '>', ' ']).contains(' ')
}

/// The line in small letters, without code in it.
pub(super) fn words(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``").to_lowercase()
}

pub(super) fn holds(words: &str, banned: &str) -> bool {
    let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    words.match_indices(banned).any(|(at, found)| {
        !is_letter(words[..at].chars().next_back()) && !is_letter(words[at + found.len()..].chars().next())
    })
}

#[test]
fn documents_fit_a_terminal() {
    let mut broken = Vec::new();
    for (file, text) in texts().iter().filter(|(f, _)| is_read_by_users(f)) {
        for (number, line) in prose(text) {
            let columns = line.chars().count();
            if columns > COLUMNS_MAX && could_be_broken(line) {
                broken.push(format!("{file}:{number}: {columns} columns; break the line at {COLUMNS_MAX}"));
            }
            let cells = line.matches('|').count() - line.matches("\\|").count();
            if line.starts_with('|') && cells > TABLE_COLUMNS_MAX + 1 {
                broken.push(format!("{file}:{number}: a table of {} columns; make it a list", cells - 1));
            }
        }
    }
    none(&broken);
}

#[test]
fn documents_use_plain_words() {
    let mut broken = Vec::new();
    for (file, text) in texts().iter().filter(|(f, _)| is_read_by_users(f)) {
        for (number, line) in prose(text) {
            let words = words(line);
            for (banned, plain) in WORDS.iter().filter(|(banned, _)| holds(&words, banned)) {
                broken.push(format!("{file}:{number}: \"{banned}\": {plain}"));
            }
        }
    }
    none(&broken);
}

/// Paths and `file.rs:function` that the documents name, such as `src/engine/delivery/replies.rs:receive`.
#[test]
fn the_documents_name_only_what_is_there() {
    let mut broken = Vec::new();
    for (file, text) in texts().iter().filter(|(f, _)| is_document(f) && *f != "CHANGELOG.md") {
        for (number, line) in text.lines().enumerate() {
            for quoted in line.split('`').skip(1).step_by(2) {
                let starts = [
                    "src/",
                    "crates/",
                    "docs/",
                    "tests/",
                    "config/",
                    "scripts/",
                    "examples/",
                    "migrations/",
                    "benches/",
                ];
                if !starts.iter().any(|s| quoted.starts_with(s)) || quoted.contains(['<', '*', ' ', '{']) {
                    continue;
                }
                let (path, function) =
                    quoted.split_once(".rs:").map_or((quoted.to_owned(), None), |(p, f)| (format!("{p}.rs"), Some(f)));
                let on_disk = root().join(&path);
                if !on_disk.exists() {
                    broken.push(format!("{file}:{}: there is no {path}", number + 1));
                } else if let Some(name) = function {
                    let name = name.rsplit("::").next().unwrap_or(name).trim_end_matches("()");
                    let source = fs::read_to_string(&on_disk).unwrap_or_default();
                    let defines = ["fn ", "struct ", "enum ", "trait ", "const ", "type "].iter().any(|kind| {
                        source.match_indices(&format!("{kind}{name}")).any(|(at, found)| {
                            !source[at + found.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
                        })
                    });
                    if !defines {
                        broken.push(format!("{file}:{}: {path} defines no {name}", number + 1));
                    }
                }
            }
        }
    }
    none(&broken);
}

/// The anchors of a document's headings, as GitHub makes them.
fn headings(document: &Path) -> Vec<String> {
    let text = fs::read_to_string(document).unwrap_or_default();
    let titles = prose(&text).into_iter().filter(|(_, line)| line.starts_with('#'));
    let anchor = |title: &str| -> String {
        let kept = title.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    titles.map(|(_, line)| anchor(line)).collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for (file, text) in texts().iter().filter(|(f, _)| is_document(f)) {
        let folder = root().join(file).parent().map(Path::to_path_buf).unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let (path, heading) = target.split_once('#').unwrap_or((target, ""));
                let there = if path.is_empty() { root().join(file) } else { folder.join(path) };
                let leads = target.contains("://")
                    || (there.exists()
                        && (heading.is_empty() || headings(&there).iter().any(|known| known == heading)));
                if !leads {
                    broken.push(format!("{file}:{}: the link {target} leads nowhere", number + 1));
                }
            }
        }
    }
    none(&broken);
}

/// A page that no list names is found by no reader: `docs/README.md` names the documents, `docs/decisions/README.md`
/// the decisions in their order.
#[test]
fn every_document_is_in_a_list() {
    let all = texts();
    let text = |file: &str| all.iter().find(|(f, _)| f == file).map(|(_, text)| text.as_str()).unwrap_or_default();
    let documents = all.iter().filter(|(f, _)| is_document(f)).filter_map(|(f, _)| f.strip_prefix("docs/"));
    let (pages, documents): (Vec<&str>, Vec<&str>) = documents.partition(|f| f.starts_with("decisions/0"));
    let mut broken: Vec<String> = documents
        .iter()
        .filter(|document| {
            !["README.md"].contains(*document) && !text("docs/README.md").contains(&format!("({document})"))
        })
        .map(|document| format!("docs/README.md: has no link to {document}"))
        .collect();
    let pages: Vec<String> = pages.iter().filter_map(|page| page.rsplit('/').next()).map(str::to_owned).collect();
    let listed: Vec<String> = text("docs/decisions/README.md")
        .lines()
        .filter_map(|line| line.strip_prefix("- [0"))
        .filter_map(|line| Some(line.split_once("](")?.1.split_once(')')?.0.to_owned()))
        .collect();
    if pages != listed {
        broken.push(format!("docs/decisions/README.md: lists {listed:?}, there are {pages:?}"));
    }
    none(&broken);
}

#[test]
fn the_reader_of_documents_leaves_code_out() {
    let text = "a\n\n    code\n    more\n\n- b\n  c\n```sh\nd\n```\ne";
    let lines: Vec<&str> = prose(text).into_iter().map(|(_, line)| line).filter(|line| !line.is_empty()).collect();
    assert_eq!(lines, ["a", "- b", "  c", "e"]);
    assert!(holds(&words("Nobody reads `it`."), "nobody"));
    assert!(!holds(&words("A renewed `nobody` and a newness."), "anew") && !holds(&words("see `nobody`"), "nobody"));
    assert!(could_be_broken("- two words") && !could_be_broken("- [link](https://example.com/long)"));
}
