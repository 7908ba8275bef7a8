//! Regular expressions of one definition, compiled into one room. Each is small, but a definition of 1 MiB has room for
//! tens of thousands: without a common bound their programs would take gigabytes, and seconds to compile.

use std::cell::Cell;

use regex::{Regex, RegexBuilder};

use crate::limits::REGEX_PROGRAMS_BYTES_MAX;

/// Bytes that a program may have, tried in turn, and those of its cache while it runs.
const SIZES: [(usize, usize); 2] = [(8 << 10, 64 << 10), (64 << 10, 256 << 10)];
/// A range of characters in a pattern without regard to case: its characters are looked up in the tables of Unicode.
/// The widest takes some milliseconds, so a definition spends at most seconds on them.
const FOLDED_RANGE: usize = 16 << 10;

thread_local! {
    /// Bytes left to the definition that this thread checks. A parser is called from many places of a check, and none
    /// of them has a use for it, so it is no argument of theirs.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Why a pattern has no program.
#[derive(Debug)]
pub(crate) enum NoProgram {
    /// It needs more than so many bytes alone.
    TooLarge(usize),
    /// All of the definition need more than [`REGEX_PROGRAMS_BYTES_MAX`].
    NoRoom,
    /// It is none: the reason, in a line.
    Wrong(String),
}

impl std::fmt::Display for NoProgram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge(most) => write!(f, "it needs more than {most} bytes as a program; use smaller repetitions"),
            Self::NoRoom => write!(
                f,
                "the regular expressions of this definition need more than {REGEX_PROGRAMS_BYTES_MAX} bytes as \
                 programs; use fewer or smaller ones"
            ),
            Self::Wrong(reason) => f.write_str(reason),
        }
    }
}

/// Checks one definition. All patterns compiled in `check` share one room; the number is what they took of it.
pub(crate) fn within<T>(check: impl FnOnce() -> T) -> (T, usize) {
    struct Restore(Option<usize>);
    impl Drop for Restore {
        fn drop(&mut self) {
            LEFT.set(self.0);
        }
    }
    let before = Restore(LEFT.replace(Some(REGEX_PROGRAMS_BYTES_MAX)));
    let made = check();
    let taken = REGEX_PROGRAMS_BYTES_MAX - LEFT.get().unwrap_or_default();
    drop(before);
    (made, taken)
}

/// Compiles a pattern. `most` bounds its program in bytes; `folded` is its number of ranges without regard to case.
pub(crate) fn compile(builder: &mut RegexBuilder, most: usize, folded: usize) -> Result<Regex, NoProgram> {
    // A pattern outside of a definition has a room of its own.
    let mut left = LEFT.get().unwrap_or(REGEX_PROGRAMS_BYTES_MAX);
    let compiled = charged(builder, most, folded, &mut left);
    if LEFT.get().is_some() {
        LEFT.set(Some(left));
    }
    compiled
}

/// At most so many ranges and classes of a pattern in the library's own syntax are without regard to case: flags may
/// stand inside of it.
pub(crate) fn folded(pattern: &str, ignores_case: bool) -> usize {
    let flag = |tail: &str| tail.starts_with(|c: char| c.is_ascii_alphabetic() && c != 'P');
    if ignores_case || pattern.split("(?").skip(1).any(flag) {
        pattern.bytes().filter(|byte| matches!(byte, b'-' | b'\\')).count()
    } else {
        0
    }
}

fn charged(builder: &mut RegexBuilder, most: usize, folded: usize, left: &mut usize) -> Result<Regex, NoProgram> {
    let mut take = |bytes: usize| {
        let rest = left.checked_sub(bytes);
        // Without room the next one is refused before any work.
        *left = rest.unwrap_or_default();
        rest.map(|_| ()).ok_or(NoProgram::NoRoom)
    };
    take(folded.saturating_mul(FOLDED_RANGE))?;
    for (size, cache) in SIZES.into_iter().chain([(most, 1 << 20)]) {
        // What fails has taken its time too.
        take(size)?;
        match builder.size_limit(size).dfa_size_limit(cache).build() {
            Ok(regex) => return Ok(regex),
            Err(regex::Error::CompiledTooBig(_)) => {}
            Err(other) => {
                let text = other.to_string();
                let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
                return Err(NoProgram::Wrong(reason.to_owned()));
            }
        }
    }
    Err(NoProgram::TooLarge(most))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::asl::{MachineKind, parse};
    use crate::query::worked::Worked;

    fn pass(fields: &serde_json::Value) -> String {
        let state = json!({"Type": "Pass", "End": true});
        let mut state = state.as_object().cloned().unwrap();
        state.extend(fields.as_object().cloned().unwrap());
        json!({"StartAt": "A", "States": {"A": state}}).to_string()
    }

    fn jsonata(expressions: &[String]) -> String {
        pass(&json!({"QueryLanguage": "JSONata", "Output": expressions}))
    }

    #[test]
    fn a_definition_with_many_small_patterns_is_valid() {
        let patterns = (0..300).map(|n| format!("{{% $contains('abc', /^[A-Za-z]{{1,20}}-{n}$/i) %}}"));
        let machine = parse(&jsonata(&patterns.collect::<Vec<_>>()), MachineKind::Standard).unwrap().machine;
        assert!(machine.bytes > 300 * 8 * 1024, "{}", machine.bytes);
    }

    /// Room and time are bounded, whatever the patterns are.
    #[test]
    fn patterns_of_a_definition_share_one_room() {
        let n = 1_500;
        let of = |pattern: &str| vec![format!("{{% $contains('abc', {pattern}) %}}"); n];
        let path = |filter: &str| {
            let fields: serde_json::Map<_, _> =
                (0..n).map(|i| (format!("x{i}.$"), format!("$.a[?(@.b =~ {filter})]").into())).collect();
            pass(&json!({"Parameters": fields}))
        };
        let all_in_one = format!("{{% [{}] %}}", vec!["/[a-z]{4000}/"; 500].join(","));
        for (what, text) in [
            ("programs", jsonata(&of("/[a-z]{4000}/"))),
            ("programs that are too large", jsonata(&of("/((a{1000}){1000}){1000}/"))),
            ("many tiny ones", jsonata(&of("/a/"))),
            ("ranges without case", jsonata(&of("/[a-\u{fffd}]/i"))),
            ("classes without case", jsonata(&of(r"/[\W]/i"))),
            ("one expression", jsonata(&[all_in_one])),
            ("paths", path(r"/[\\w]{20}/")),
            ("paths without case", path(r"/[\\p{L}a-\\x{10ffff}]/i")),
        ] {
            let start = Worked::now();
            let refused = parse(&text, MachineKind::Standard).map(|_| ()).unwrap_err().0;
            let says = |text: &str| text.contains("regular expressions of this definition need more");
            let said = refused.iter().any(|d| says(&d.message) || d.hint.as_deref().is_some_and(says));
            assert!(said, "{what}: {:?}", refused.first());
            // Unoptimised code needs ten times as long as what is shipped.
            assert!(start.elapsed().as_secs() < 60, "{what}: {:?}", start.elapsed());
        }
    }

    #[test]
    fn a_pattern_outside_of_a_definition_has_its_own_room() {
        for n in 4_000..4_003 {
            assert!(compile(&mut RegexBuilder::new(&format!("[a-z]{{{n}}}")), 1 << 20, 0).is_ok());
        }
        let open = String::from("(");
        let wrong = compile(&mut RegexBuilder::new(&open), 1 << 20, 0).unwrap_err();
        assert_eq!(wrong.to_string(), "unclosed group");
    }
}
