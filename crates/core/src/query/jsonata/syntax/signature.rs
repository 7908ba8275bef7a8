//! Signatures of functions (`<s-nn?:s>`): which arguments a function takes, and where the context stands in.

use super::super::error::{Fault, Stop};
use super::super::eval::Machine;
use super::super::value::{Val, letter};

#[derive(Debug)]
pub(crate) struct Signature {
    params: Vec<Param>,
}

#[derive(Debug, Default)]
struct Param {
    /// The letter that stands for it; `(` for a choice.
    kind: u8,
    /// Letters that it takes, a bit for each.
    accepts: u32,
    /// The type of an array's items.
    subtype: Option<String>,
    optional: bool,
    many: bool,
    context: bool,
}

const ARGS_MAX: usize = 120;
const PARAMS_MAX: usize = 120;

impl Signature {
    /// Reads `<...>`. Letters that it does not know are passed over, as in the reference.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let bytes = text.as_bytes();
        let mut params: Vec<Param> = Vec::new();
        let mut at = 1;
        while let Some(letter) = bytes.get(at).copied().filter(|b| *b != b':' && params.len() < PARAMS_MAX) {
            let accepts: &[u8] = match letter {
                b's' | b'n' | b'b' | b'l' | b'o' => &[letter, b'm'],
                b'a' | b'x' => b"asnblfom",
                b'f' => b"f",
                b'j' => b"asnblom",
                b'(' => {
                    let end = closing(bytes, at, b'(', b')');
                    let choice = bytes.get(at + 1..end).unwrap_or_default();
                    if choice.contains(&b'<') {
                        return Err(Fault::new("S0402").text(&String::from_utf8_lossy(choice)));
                    }
                    at = end;
                    &[choice, b"m"].concat()
                }
                b'<' => {
                    let end = closing(bytes, at, b'<', b'>');
                    let inner = String::from_utf8_lossy(bytes.get(at + 1..end).unwrap_or_default()).into_owned();
                    match params.last_mut().filter(|param| matches!(param.kind, b'a' | b'f')) {
                        Some(param) => param.subtype = Some(inner),
                        None => return Err(Fault::new("S0401").text(&inner)),
                    }
                    at = end;
                    &[]
                }
                other => {
                    if let Some(param) = params.last_mut() {
                        match other {
                            b'-' => param.context = true,
                            b'?' => param.optional = true,
                            b'+' => param.many = true,
                            _ => {}
                        }
                    }
                    &[]
                }
            };
            if !accepts.is_empty() {
                let accepts = accepts.iter().fold(0, |all, letter| all | bit(*letter));
                params.push(Param { kind: letter, accepts, ..Param::default() });
            }
            at += 1;
        }
        Ok(Self { params })
    }

    /// Whether the function takes the arguments as they are: one for each parameter, and those left out are optional.
    pub(crate) fn fits<'e>(&self, machine: &mut Machine<'e>, args: &[Val<'e>]) -> Result<bool, Stop> {
        if args.len() > self.params.len() {
            return Ok(false);
        }
        for (at, param) in self.params.iter().enumerate() {
            let fits = match args.get(at) {
                Some(arg) => !param.many && param.takes(letter(*arg)) && param.takes_items(machine, *arg)?,
                None => param.optional && !param.context,
            };
            if !fits {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The arguments as the function takes them, pushed to the heap's stack: the context where one is left out, a
    /// single value as an array where one is wanted.
    pub(crate) fn apply<'e>(&self, machine: &mut Machine<'e>, args: &[Val<'e>], context: Val<'e>) -> Result<(), Stop> {
        let mut letters = [0; ARGS_MAX];
        if args.len() > ARGS_MAX {
            return Err(Fault::new("T0410").index(self.params.len() + 1).into());
        }
        for (at, arg) in args.iter().enumerate() {
            letters[at] = letter(*arg);
        }
        let letters = &letters[..args.len()];
        let Some(counts) = self.matched(letters) else { return Err(self.first_wrong(letters).into()) };
        let mut at = 0;
        for (param, count) in self.params.iter().zip(counts) {
            let count = usize::from(count);
            if count == 0 {
                if param.context {
                    if !param.takes(letter(context)) {
                        return Err(Fault::new("T0411").index(at + 1).value(context).into());
                    }
                    machine.heap.push(context)?;
                } else {
                    machine.heap.push(args.get(at).copied().unwrap_or(Val::Undefined))?;
                    at += 1;
                }
            }
            for _ in 0..count {
                let given = args.get(at).copied().unwrap_or(Val::Undefined);
                let arg = if param.kind == b'a' { param.as_array(machine, given, at, count)? } else { given };
                machine.heap.push(arg)?;
                at += 1;
            }
        }
        Ok(())
    }

    /// How many arguments each parameter takes, the first ones as many as they can.
    fn matched(&self, letters: &[u8]) -> Option<[u8; PARAMS_MAX]> {
        // fits[p]: bit a is set where the parameters from p on take exactly the arguments from a on.
        let mut fits = [0_u128; PARAMS_MAX + 1];
        let count = self.params.len();
        fits[count] = 1 << letters.len();
        for (at, param) in self.params.iter().enumerate().rev() {
            let none = if param.optional || param.context { fits[at + 1] } else { 0 };
            let mut some = 0_u128;
            for (arg, letter) in letters.iter().enumerate().rev() {
                let one = 1_u128 << arg;
                let rest = fits[at + 1] & (one << 1) != 0 || param.many && some & (one << 1) != 0;
                if param.takes(*letter) && rest {
                    some |= one;
                }
            }
            fits[at] = none | some;
        }
        if fits[0] & 1 == 0 {
            return None;
        }
        let mut counts = [0; PARAMS_MAX];
        let mut arg = 0;
        for (at, param) in self.params.iter().enumerate() {
            let most = if param.many { letters.len() - arg } else { 1.min(letters.len() - arg) };
            let most = letters[arg..arg + most].iter().take_while(|letter| param.takes(**letter)).count();
            let least = usize::from(!(param.optional || param.context));
            let taken = (least..=most).rev().find(|taken| fits[at + 1] & (1 << (arg + taken)) != 0)?;
            counts[at] = u8::try_from(taken).unwrap_or(u8::MAX);
            arg += taken;
        }
        Some(counts)
    }

    /// The first argument that no way of reading the signature takes.
    fn first_wrong(&self, letters: &[u8]) -> Fault {
        // Bit a is set where the parameters so far can end before argument a.
        let mut ends = 1_u128;
        for param in &self.params {
            let mut next = if param.optional || param.context { ends } else { 0 };
            for (arg, letter) in letters.iter().enumerate() {
                let one = 1_u128 << arg;
                if param.takes(*letter) && (ends & one != 0 || param.many && next & one != 0) {
                    next |= one << 1;
                }
            }
            if next == 0 {
                break;
            }
            ends = next;
        }
        Fault::new("T0410").index(128 - ends.leading_zeros() as usize)
    }
}

impl Param {
    fn takes(&self, letter: u8) -> bool {
        self.accepts & bit(letter) != 0
    }

    /// Whether an argument is the array that is wanted, if one is.
    fn takes_items<'e>(&self, machine: &mut Machine<'e>, arg: Val<'e>) -> Result<bool, Stop> {
        if self.kind != b'a' || arg.is_undefined() {
            return Ok(true);
        }
        let Some(items) = arg.array() else { return Ok(false) };
        let Some(wanted) = &self.subtype else { return Ok(true) };
        machine.step(items.len())?;
        Ok(items.iter().all(|item| Some(letter(item)) == wanted.bytes().next()))
    }

    fn as_array<'e>(&self, machine: &mut Machine<'e>, arg: Val<'e>, at: usize, count: usize) -> Result<Val<'e>, Stop> {
        if self.takes_items(machine, arg)? {
            return Ok(arg);
        }
        let single = arg.array().is_none();
        if let Some(subtype) = &self.subtype
            && !(single && count == 1 && subtype.as_bytes() == [letter(arg)])
        {
            let words = match subtype.bytes().next() {
                Some(b'a') => "arrays",
                Some(b'b') => "booleans",
                Some(b'f') => "functions",
                Some(b'n') => "numbers",
                Some(b'o') => "objects",
                Some(b's') => "strings",
                _ => subtype,
            };
            return Err(Fault::new("T0412").index(at + 1).text(words).into());
        }
        let items = machine.heap.slice(&[arg])?;
        machine.heap.array(items, 0)
    }
}

/// The bit of a letter; other characters have none.
fn bit(letter: u8) -> u32 {
    if letter.is_ascii_lowercase() { 1 << (letter - b'a') } else { 0 }
}

fn closing(bytes: &[u8], open_at: usize, open: u8, close: u8) -> usize {
    let mut depth = 0_i32;
    for (at, byte) in bytes.iter().enumerate().skip(open_at) {
        depth += i32::from(*byte == open) - i32::from(*byte == close);
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}
