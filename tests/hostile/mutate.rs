//! Inputs from seeds: something good, changed a little or much.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Chance that follows from a seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xda7a)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % (n.max(1) as u64)).unwrap_or(0)
    }
}

/// The material of a target's inputs.
pub struct Seeds {
    /// Those inputs as they are.
    pub good: Vec<Vec<u8>>,
    words: Vec<String>,
}

impl Seeds {
    /// Good inputs: what the project's own cases hold, and the recorded ones where they lie beside the checkout.
    pub fn of(target: &str) -> Self {
        let mut good = Vec::new();
        for case in cases() {
            collect(target, &case, &mut good);
        }
        if target == "journal" {
            good.push(
                br#"{"v":1,"e":[{"id":1,"previous":0,"at":1700000000000,"event":{"ExecutionStarted":{}}}]}"#.to_vec(),
            );
        }
        if good.is_empty() {
            good.push(br#"{"error":"E","cause":"c","a":[1,2.5,null]}"#.to_vec());
        }
        good.sort();
        good.dedup();
        Self { good, words: words() }
    }

    pub fn input(&self, dice: &mut Dice) -> Vec<u8> {
        let mut input = self.good[dice.below(self.good.len())].clone();
        for _ in 0..dice.below(8) {
            self.change(&mut input, dice);
        }
        input.truncate(200_000);
        input
    }

    pub fn change(&self, input: &mut Vec<u8>, dice: &mut Dice) {
        let at = dice.below(input.len() + 1);
        let to = (at + dice.below(40)).min(input.len());
        match dice.below(10) {
            0 if at < input.len() => input[at] ^= 1 << dice.below(8),
            1 => drop(input.drain(at..to)),
            2 => {
                let part = input[at..to].to_vec();
                let most = if dice.below(20) == 0 { 2_000 } else { 4 };
                let times = 1 + dice.below(most);
                input.splice(at..at, part.repeat(times));
            }
            3 => {
                // A part of another one.
                let other = &self.good[dice.below(self.good.len())];
                let from = dice.below(other.len() + 1);
                let part = other[from..(from + dice.below(80)).min(other.len())].to_vec();
                input.splice(at..to, part);
            }
            4 => exchange(input, dice, &self.words),
            5 => nest(input, dice),
            _ => {
                let word = self.words[dice.below(self.words.len())].clone().into_bytes();
                if dice.below(2) == 0 {
                    input.splice(at..to, word)
                } else {
                    input.splice(at..at, word)
                };
            }
        }
    }
}

/// One value of a JSON text becomes another: it stays JSON.
fn exchange(input: &mut Vec<u8>, dice: &mut Dice, words: &[String]) {
    let cut = input.iter().position(|b| *b == 0).unwrap_or(input.len());
    let Ok(mut whole) = serde_json::from_slice::<Value>(&input[..cut]) else { return };
    let mut places = Vec::new();
    pointers(&whole, String::new(), &mut places);
    let (from, to) = (places[dice.below(places.len())].clone(), places[dice.below(places.len())].clone());
    let word = words[dice.below(words.len())].clone();
    let value = match dice.below(6) {
        0 => whole.pointer(&from).cloned().unwrap_or_default(),
        1 => Value::from(word),
        2 => Value::from(format!("{{% {word} %}}")),
        3 => Value::from([0.0, -1.0, 1e18, 0.5, 1e300][dice.below(5)]),
        4 => serde_json::from_str(&word).unwrap_or_default(),
        _ => Value::Null,
    };
    if let Some(place) = whole.pointer_mut(&to) {
        *place = value;
    }
    input.splice(..cut, whole.to_string().into_bytes());
}

fn pointers(value: &Value, at: String, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields
                .iter()
                .for_each(|(k, v)| pointers(v, format!("{at}/{}", k.replace('~', "~0").replace('/', "~1")), into));
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| pointers(v, format!("{at}/{i}"), into)),
        _ => {}
    }
    into.push(at);
}

/// Brackets, many.
fn nest(input: &mut Vec<u8>, dice: &mut Dice) {
    let (open, close) =
        [("[", "]"), ("(", ")"), ("{\"a\":", "}"), ("States.Array(", ")"), ("$f(", ")"), ("-", ""), ("a.", "a")]
            [dice.below(7)];
    let many = [3, 40, 200, 5_000][dice.below(4)];
    let (at, to) = (dice.below(input.len() + 1), input.len());
    input.splice(to..to, close.repeat(many).into_bytes());
    input.splice(at..at, open.repeat(many).into_bytes());
}

fn words() -> Vec<String> {
    let lines = include_str!("words.txt").lines().filter(|l| l.starts_with('"'));
    lines.map(|line| line[1..line.len() - 1].replace("\\\"", "\"").replace("\\\\", "\\")).collect()
}

fn cases() -> Vec<Value> {
    // The crate of the fuzzers lies one folder further down.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = if here.ends_with("fuzz") { &here.join("..") } else { here };
    let shared = std::env::var_os("REVEILLE_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let mut files = Vec::new();
    for folder in [root.join("tests/cases"), shared.join("conformance/cases")] {
        for area in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            files.extend(std::fs::read_dir(area.path()).into_iter().flatten().flatten().map(|file| file.path()));
        }
    }
    files.sort();
    files.iter().filter_map(|file| serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()).collect()
}

/// The parts of a case that suit a target.
fn collect(target: &str, value: &Value, into: &mut Vec<Vec<u8>>) {
    match value {
        Value::Object(fields) => {
            if target == "definition" && fields.contains_key("StartAt") && fields.contains_key("States") {
                let mut text = value.to_string().into_bytes();
                text.extend(b"\0{\"a\":{\"b\":[1,2,3]},\"items\":[1,2,3],\"x\":\"y\"}");
                into.push(text);
                return;
            }
            if target == "intrinsic" && fields.keys().any(|k| k.ends_with(".$")) {
                into.push(value.to_string().into_bytes());
            }
            fields.values().for_each(|v| collect(target, v, into));
        }
        Value::Array(items) => items.iter().for_each(|v| collect(target, v, into)),
        Value::String(text) => {
            let good = match target {
                "jsonpath" => text.starts_with('$'),
                "intrinsic" => text.starts_with("States.") && text.contains('('),
                "jsonata" => text.starts_with("{%"),
                "reply" | "token" => into.len() < 200,
                _ => false,
            };
            if target == "definition" && text.contains("\"StartAt\"") {
                into.push(text.clone().into_bytes());
            } else if good {
                into.push(text.trim_start_matches("{%").trim_end_matches("%}").as_bytes().to_vec());
            }
        }
        _ => {}
    }
}
