//! The functions of the language and those of AWS.
//!
//! Each takes the machine and its arguments, as the signature made them. Items and texts reach a function through the
//! machine alone, which counts them.

#![expect(clippy::unnecessary_wraps, reason = "the functions of the table have one type")]

mod arrays;
mod aws;
mod datetime;
mod encode;
mod format_number;
mod higher;
mod integer;
mod numbers;
mod objects;
pub(super) mod regex;
mod strings;
mod timestamp;

use std::sync::OnceLock;

use super::error::{Fault, Stop};
use super::eval::{Machine, Outcome};
use super::syntax::signature::Signature;
use super::value::Val;

pub(super) struct Native {
    pub name: &'static str,
    /// How many arguments the reference declares: functions that call functions look at it.
    pub arity: usize,
    written: &'static str,
    pub run: for<'e> fn(&mut Machine<'e>, &[Val<'e>]) -> Outcome<'e>,
    parsed: OnceLock<Signature>,
}

impl std::fmt::Debug for Native {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Native {
    const fn new(
        name: &'static str,
        arity: usize,
        written: &'static str,
        run: for<'e> fn(&mut Machine<'e>, &[Val<'e>]) -> Outcome<'e>,
    ) -> Self {
        Self { name, arity, written, run, parsed: OnceLock::new() }
    }

    pub(super) fn signature(&self) -> &Signature {
        self.parsed.get_or_init(|| Signature::parse(self.written).expect("signatures of the table are well formed"))
    }
}

/// The built-in function of a name.
pub(super) fn named(name: &str) -> Option<&'static Native> {
    NATIVES.iter().find(|native| native.name == name)
}

static NATIVES: [Native; 70] = [
    Native::new("sum", 1, "<a<n>:n>", numbers::sum),
    Native::new("count", 1, "<a:n>", arrays::count),
    Native::new("max", 1, "<a<n>:n>", |machine, args| numbers::extreme(machine, args, f64::max)),
    Native::new("min", 1, "<a<n>:n>", |machine, args| numbers::extreme(machine, args, f64::min)),
    Native::new("average", 1, "<a<n>:n>", numbers::average),
    Native::new("string", 1, "<x-b?:s>", strings::string),
    Native::new("substring", 3, "<s-nn?:s>", strings::substring),
    Native::new("substringBefore", 2, "<s-s:s>", strings::substring_before),
    Native::new("substringAfter", 2, "<s-s:s>", strings::substring_after),
    Native::new("lowercase", 1, "<s-:s>", |machine, args| strings::cased(machine, args, str::to_lowercase)),
    Native::new("uppercase", 1, "<s-:s>", |machine, args| strings::cased(machine, args, str::to_uppercase)),
    Native::new("length", 1, "<s-:n>", strings::length),
    Native::new("trim", 1, "<s-:s>", strings::trim),
    Native::new("pad", 3, "<s-ns?:s>", strings::pad),
    Native::new("join", 2, "<a<s>s?:s>", strings::join),
    Native::new("match", 3, "<s-f<s:o>n?:a<o>>", regex::find_all),
    Native::new("contains", 2, "<s-(sf):b>", regex::contains),
    Native::new("replace", 4, "<s-(sf)(sf)n?:s>", regex::replace),
    Native::new("split", 3, "<s-(sf)n?:a<s>>", regex::split),
    Native::new("formatNumber", 3, "<n-so?:s>", format_number::format_number),
    Native::new("formatBase", 2, "<n-n?:s>", numbers::format_base),
    Native::new("formatInteger", 2, "<n-s:s>", integer::format_integer),
    Native::new("parseInteger", 2, "<s-s:n>", integer::parse_integer),
    Native::new("number", 1, "<(nsb)-:n>", numbers::number),
    Native::new("floor", 1, "<n-:n>", |_, args| numbers::mapped(args, f64::floor)),
    Native::new("ceil", 1, "<n-:n>", |_, args| numbers::mapped(args, f64::ceil)),
    Native::new("round", 2, "<n-n?:n>", numbers::round),
    Native::new("abs", 1, "<n-:n>", |_, args| numbers::mapped(args, f64::abs)),
    Native::new("sqrt", 1, "<n-:n>", numbers::sqrt),
    Native::new("power", 2, "<n-n:n>", numbers::power),
    Native::new("boolean", 1, "<x-:b>", objects::boolean),
    Native::new("not", 1, "<x-:b>", objects::not),
    Native::new("map", 2, "<af>", higher::map),
    Native::new("zip", 0, "<a+>", arrays::zip),
    Native::new("filter", 2, "<af>", higher::filter),
    Native::new("single", 2, "<af?>", higher::single),
    Native::new("reduce", 3, "<afj?:j>", higher::reduce),
    Native::new("sift", 2, "<o-f?:o>", higher::sift),
    Native::new("keys", 1, "<x-:a<s>>", objects::keys),
    Native::new("lookup", 2, "<x-s:x>", objects::lookup),
    Native::new("append", 2, "<xx:a>", arrays::append),
    Native::new("exists", 1, "<x:b>", objects::exists),
    Native::new("spread", 1, "<x-:a<o>>", objects::spread),
    Native::new("merge", 1, "<a<o>:o>", objects::merge),
    Native::new("reverse", 1, "<a:a>", arrays::reverse),
    Native::new("each", 2, "<o-f:a>", higher::each),
    Native::new("error", 1, "<s?:x>", objects::error),
    Native::new("assert", 2, "<bs?:x>", objects::assert),
    Native::new("type", 1, "<x:s>", objects::kind),
    Native::new("sort", 2, "<af?:a>", higher::sort),
    Native::new("shuffle", 1, "<a:a>", arrays::shuffle),
    Native::new("distinct", 1, "<x:x>", arrays::distinct),
    Native::new("base64encode", 1, "<s-:s>", encode::to_base64),
    Native::new("base64decode", 1, "<s-:s>", encode::from_base64),
    Native::new("encodeUrlComponent", 1, "<s-:s>", |machine, args| encode::encoded(machine, args, b"")),
    Native::new("encodeUrl", 1, "<s-:s>", |machine, args| encode::encoded(machine, args, encode::RESERVED)),
    Native::new("decodeUrlComponent", 1, "<s-:s>", |machine, args| {
        encode::decoded(machine, args, b"", "decodeUrlComponent")
    }),
    Native::new("decodeUrl", 1, "<s-:s>", |machine, args| {
        encode::decoded(machine, args, encode::RESERVED, "decodeUrl")
    }),
    Native::new("eval", 2, "<sx?:x>", aws::eval),
    Native::new("toMillis", 2, "<s-s?:n>", timestamp::to_millis),
    Native::new("fromMillis", 3, "<n-s?s?:s>", datetime::from_millis),
    Native::new("clone", 1, "<(oa)-:o>", objects::clone),
    Native::new("now", 2, "<s?s?:s>", datetime::now),
    Native::new("millis", 0, "<:n>", datetime::millis),
    Native::new("partition", 2, "<xx?>", aws::partition),
    Native::new("range", 3, "<xxx?>", aws::range),
    Native::new("hash", 2, "<xx?>", aws::hash),
    Native::new("random", 1, "<x?>", aws::random),
    Native::new("uuid", 0, "<:s>", aws::uuid),
    Native::new("parse", 1, "<x?>", aws::parse),
];

/// The argument at a position, `Undefined` where there is none.
fn arg<'e>(args: &[Val<'e>], at: usize) -> Val<'e> {
    args.get(at).copied().unwrap_or(Val::Undefined)
}

/// A text argument. Signatures are skipped by partial application, so its type is looked at again.
fn text<'e>(machine: &mut Machine<'e>, args: &[Val<'e>], at: usize) -> Result<Option<&'e str>, Stop> {
    match arg(args, at) {
        Val::Undefined => Ok(None),
        Val::Str(text) => {
            machine.read(text)?;
            Ok(Some(text))
        }
        _ => Err(Fault::new("T0410").index(at + 1).into()),
    }
}

fn number(args: &[Val<'_>], at: usize) -> Result<Option<f64>, Stop> {
    match arg(args, at) {
        Val::Undefined => Ok(None),
        value => value.num().map(Some).ok_or_else(|| Fault::new("T0410").index(at + 1).into()),
    }
}
