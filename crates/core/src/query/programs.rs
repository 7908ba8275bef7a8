//! Regular expressions of one definition, compiled into common room. Each is small, but a definition of 1 MiB may hold
//! tens of thousands: without a common bound their programs would take gigabytes, and seconds to compile.

use std::cell::Cell;

use regex::{Regex, RegexBuilder};

use crate::limits::REGEX_PROGRAMS_BYTES_MAX;

/// Bytes that a program may have, tried in turn, and those of its cache while it runs.
const SIZES: [(usize, usize); 2] = [(8 << 10, 64 << 10), (64 << 10, 256 << 10)];
/// A range of characters in a pattern without regard to case: its characters are looked up in the tables of Unicode.
/// The widest takes some milliseconds, so a definition spends at most seconds on them.
const FOLDED_RANGE: usize = 16 << 10;

/// Room for the programs of regular expressions. A check of a definition hands one room to all its parsers; an
/// expression that is compiled alone has a room of its own.
#[derive(Debug)]
pub struct Programs {
    left: Cell<usize>,
}

impl Default for Programs {
    fn default() -> Self {
        Self { left: Cell::new(REGEX_PROGRAMS_BYTES_MAX) }
    }
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

impl Programs {
    /// Bytes of the room that programs have taken.
    pub(crate) fn taken(&self) -> usize {
        REGEX_PROGRAMS_BYTES_MAX - self.left.get()
    }

    /// Compiles a pattern. `most` bounds its program in bytes; `folded` is its number of ranges without regard to case.
    pub(crate) fn compile(&self, builder: &mut RegexBuilder, most: usize, folded: usize) -> Result<Regex, NoProgram> {
        self.take(folded.saturating_mul(FOLDED_RANGE))?;
        for (size, cache) in SIZES.into_iter().chain([(most, 1 << 20)]) {
            // A failed try has taken its time too.
            self.take(size)?;
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

    fn take(&self, bytes: usize) -> Result<(), NoProgram> {
        let rest = self.left.get().checked_sub(bytes);
        // Without room the next pattern is refused before any work.
        self.left.set(rest.unwrap_or_default());
        rest.map(|_| ()).ok_or(NoProgram::NoRoom)
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::asl::{MachineType, parse};
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
        let machine = parse(&jsonata(&patterns.collect::<Vec<_>>()), MachineType::Standard).unwrap().machine;
        assert!(machine.bytes > 300 * 8 * 1024, "{}", machine.bytes);
    }

    /// Room and time are bounded for all patterns.
    #[test]
    fn patterns_of_a_definition_share_one_room() {
        // More than the room has for the smallest programs.
        let n = REGEX_PROGRAMS_BYTES_MAX / SIZES[0].0 + 50;
        let of = |pattern: &str| vec![format!("{{% $contains('abc', {pattern}) %}}"); n];
        // Ranges and classes take milliseconds each, so they get the last fifth of the room only.
        let behind_wide_ones = |pattern: &str| [&of("/[a-z]{4000}/")[..3], &of(pattern)].concat();
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
            ("ranges without case", jsonata(&behind_wide_ones("/[a-\u{fffd}]/i"))),
            ("classes without case", jsonata(&behind_wide_ones(r"/[\W]/i"))),
            ("one expression", jsonata(&[all_in_one])),
            ("paths", path(r"/[\\w]{20}/")),
            ("paths without case", path(r"/[\\p{L}a-\\x{10ffff}]/i")),
        ] {
            let start = Worked::now();
            let refused = parse(&text, MachineType::Standard).map(|_| ()).unwrap_err().0;
            let says = |text: &str| text.contains("regular expressions of this definition need more");
            let said = refused.iter().any(|d| says(&d.message) || d.hint.as_deref().is_some_and(says));
            assert!(said, "{what}: {:?}", refused.first());
            // Unoptimised code needs ten times as long as the shipped build.
            assert!(start.elapsed().as_secs() < 60, "{what}: {:?}", start.elapsed());
        }
    }

    #[test]
    fn programs_take_of_their_own_room_only() {
        let compile = |programs: &Programs, pattern: &str| {
            programs.compile(&mut RegexBuilder::new(pattern), 1 << 20, 0).map(|_| ())
        };
        let wide = |n: usize| format!("[a-z]{{{n}}}");
        for n in 4_000..4_005 {
            assert!(compile(&Programs::default(), &wide(n)).is_ok());
        }
        let shared = Programs::default();
        let taken: Vec<bool> = (4_000..4_005).map(|n| compile(&shared, &wide(n)).is_ok()).collect();
        assert_eq!(taken, [true, true, true, false, false]);
        let wrong = compile(&Programs::default(), "(").unwrap_err();
        assert_eq!(wrong.to_string(), "unclosed group");
    }
}
