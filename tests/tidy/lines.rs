//! The rules of lines and words in code: length of files, width of lines, plain words in comments, left-overs.

use super::documents::{WORDS, holds, words};
use super::{code, is_rust, none, sources, texts};

/// Above this a file should be looked at (`cargo test --test tidy -- --nocapture` lists them), above the other it
/// fails.
const LINES_WARN: usize = 450;
const LINES_MAX: usize = 600;
/// Longer on purpose.
const LONG: &[(&str, &str)] = &[];

/// Never in a tracked file. Written in two parts, so that this file passes its own test.
const BANNED: &[(&str, &str, &str)] = &[
    ("todo", "!(", "finish it, or return an error"),
    ("unimplemented", "!(", "finish it, or return an error"),
    ("dbg", "!(", "a left-over of debugging"),
    ("FIX", "ME", "write TODO-correctness, TODO-design, TODO-cleanup or TODO-testing"),
    ("XX", "X:", "write TODO-correctness, TODO-design, TODO-cleanup or TODO-testing"),
    ("TO", "DO:", "a debt has a kind: TODO-correctness, TODO-design, TODO-cleanup or TODO-testing"),
    ("TO", "DO ", "a debt has a kind: TODO-correctness, TODO-design, TODO-cleanup or TODO-testing"),
    ("TO", "DO(", "a debt has a kind: TODO-correctness, TODO-design, TODO-cleanup or TODO-testing"),
    ("/ro", "ot/", "a path of somebody's machine"),
    ("/wo", "rk/", "a path of somebody's machine"),
    ("/tmp", "/wt", "a path of somebody's machine"),
    ("/Use", "rs/", "a path of somebody's machine"),
    ("<<<<", "<<< ", "a merge that was not finished"),
    (">>>>", ">>> ", "a merge that was not finished"),
    ("index", "-url", "a registry's address belongs to the machine, not to the project"),
];

/// The same as `max_width` of rustfmt, which leaves strings, macros and comments as they are.
const COLUMNS_MAX: usize = 120;

#[test]
fn files_stay_short_enough_to_be_read() {
    let mut broken = Vec::new();
    for (file, text) in texts().iter().filter(|(f, _)| is_rust(f)) {
        let lines = text.lines().count();
        if LONG.iter().any(|(f, _)| f == file) {
            continue;
        }
        if lines > LINES_MAX {
            broken.push(format!("{file}: {lines} lines; split it, or give the reason in LONG"));
        } else if lines > LINES_WARN {
            println!("long: {file}, {lines} lines");
        }
    }
    none(&broken);
}

#[test]
fn lines_of_code_fit_with_their_strings() {
    let mut broken = Vec::new();
    for (file, text) in &sources() {
        // A module of tests stands last; it may hold a wide line of data.
        let lines = text.lines().take_while(|line| *line != "mod tests {").zip(1..);
        for (_, number) in lines.filter(|(line, _)| line.chars().count() > COLUMNS_MAX) {
            broken.push(format!("{file}:{number}: break the line at {COLUMNS_MAX} columns, a string with \\"));
        }
    }
    none(&broken);
}

/// The comment of a line, without its marks.
fn comment(line: &str) -> Option<&str> {
    let (before, comment) = line.split_once("//")?;
    let begins = before.is_empty() || before.ends_with(' ');
    begins.then(|| comment.trim_start_matches(['/', '!']))
}

/// The help of the command line is made of comments too.
#[test]
fn comments_use_plain_words() {
    let mut broken = Vec::new();
    for (file, text) in texts().iter().filter(|(file, _)| is_rust(file)) {
        for (number, comment) in text.lines().enumerate().filter_map(|(n, line)| Some((n + 1, comment(line)?))) {
            let words = words(comment);
            let begins = |word: &&str| comment.trim_start().starts_with(&format!("{word} "));
            if let Some(word) = ["What", "Whatever", "Who", "Whoever"].iter().find(|word| begins(word)) {
                broken.push(format!("{file}:{number}: \"{word} …\": begin with a noun"));
            }
            for (word, plain) in WORDS.iter().filter(|(word, _)| holds(&words, word)) {
                broken.push(format!("{file}:{number}: \"{word}\": {plain}"));
            }
        }
    }
    none(&broken);
}

#[test]
fn no_banned_word_is_in_a_tracked_file() {
    let mut broken = Vec::new();
    for (file, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            for (a, b, why) in BANNED.iter().filter(|(a, b, _)| line.contains(&format!("{a}{b}"))) {
                broken.push(format!("{file}:{}: {a}{b}: {why}", number + 1));
            }
        }
    }
    none(&broken);
}

#[test]
fn nothing_is_unwrapped_outside_of_tests() {
    let mut broken = Vec::new();
    for (file, text) in sources() {
        for (number, line) in code(&text).lines().enumerate() {
            if line.contains(".unwrap()") {
                broken.push(format!(
                    "{file}:{}: an error, or an `expect` with the rule of ours that it would break",
                    number + 1
                ));
            }
        }
    }
    none(&broken);
}

/// A mirror of one machine is of no use to others. Cargo writes its own index where a mirror stands in for it; npm's
/// files have no address at all.
#[test]
fn lock_files_name_no_registry_of_one_machine() {
    let mut broken = Vec::new();
    for (file, text) in texts().iter().filter(|(f, _)| f.ends_with("Cargo.lock") || f.ends_with("package-lock.json")) {
        for (line, number) in text.lines().map(str::trim).zip(1..) {
            let is_other = line.starts_with("source = ") && !line.contains("\"registry+https://github.com/");
            if is_other || line.starts_with("\"resolved\":") {
                broken.push(format!("{file}:{number}: a registry that others may not reach"));
            }
        }
    }
    none(&broken);
}

#[test]
fn the_reader_of_comments_leaves_addresses_out() {
    assert_eq!(comment("    /// A `x` b."), Some(" A `x` b."));
    assert_eq!(comment("let a = 1; // why"), Some(" why"));
    assert_eq!(comment("let a = \"http://host\";"), None);
}
