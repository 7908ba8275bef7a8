//! Expressions by chance: grammatical, mostly over names that exist, mostly with arguments of the right type.
//!
//! Left out are our own decisions and those of chance and clock: assignments outside of blocks, `$now`,
//! `$random`, look-around, keys that are whole numbers, base64 of more than ASCII.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use serde_json::{Value, json};

pub(super) fn inputs() -> Vec<Value> {
    vec![
        json!({
            "a": {"b": {"c": 7, "d": [1, 2, 3]}, "c": "deep"},
            "b": [{"c": 1, "d": "one"}, {"c": 2, "d": "two"}, {"c": 3, "e": null}],
            "items": [
                {"name": "ant", "price": 3.5, "qty": 2, "tags": ["x", "y"]},
                {"name": "bee", "price": 12, "qty": 1, "tags": []},
                {"name": "cat", "price": 12, "qty": 0, "tags": ["x"]},
                {"name": "dog", "qty": 5, "tags": ["z", "x", "y"]}
            ],
            "n": 42, "s": "Hello World", "t": "12.5", "f": false, "z": null
        }),
        json!({
            "a": [1, [2, [3, 4]], [5]],
            "b": [[{"c": 1}], [{"c": 2}, {"c": [3, 4]}]],
            "items": {"name": "only", "price": 7, "qty": 3, "tags": "t"},
            "n": -3.75, "s": "a😀b", "t": "x,y,,z", "f": true, "z": null
        }),
        json!([{"a": 1, "b": [1, 2], "s": "p"}, {"a": [2, 3], "b": {"c": 5}, "s": "q"}, {"a": null, "s": "p", "n": 0}]),
        json!({
            "o": [
                {"id": "o1", "items": [{"name": "n1", "qty": 2, "price": 1.1}, {"name": "n2", "qty": 1, "price": 2.2}]},
                {"id": "o2", "items": [{"name": "n1", "qty": 4, "price": 3.3}]}
            ],
            "items": [[1, 2], [3], [4]], "a": "", "b": {}, "n": 1e21, "s": "  two \t words ", "t": "0x1F"
        }),
        json!("text"),
        json!(5),
        Value::Null,
    ]
}

/// The number of an input, and an expression over it.
pub(super) fn case(seed: u64) -> (usize, String) {
    let mut draw = Draw { rng: StdRng::seed_from_u64(seed), variables: Vec::new(), functions: Vec::new() };
    let input = match draw.below(20) {
        0 => 4 + draw.below(3),
        n => n % 4,
    };
    let depth = 2 + draw.below(3);
    (input, draw.expression(depth))
}

struct Draw {
    rng: StdRng,
    variables: Vec<String>,
    functions: Vec<String>,
}

const NAMES: [&str; 20] = [
    "a", "b", "c", "d", "items", "name", "price", "qty", "tags", "o", "id", "n", "s", "t", "f", "z", "none", "e",
    "missing", "`b`",
];
const TEXTS: [&str; 24] = [
    "",
    "a",
    "b",
    "abc",
    "x,y,z",
    " pad ",
    "Hello World",
    "1",
    "-2.50",
    "0x10",
    "1e3",
    "é",
    "😀b",
    "2017-11-07T15:12:37.121Z",
    "2018-01-02",
    "one hundred and five",
    "MCMXCIX",
    "a b&c=d/é?",
    "%41%20",
    "x",
    "name",
    "qty",
    "k1",
    "true",
];
const NUMBERS: [&str; 22] = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-2",
    "10",
    "0.5",
    "1.5",
    "2.5",
    "-0.5",
    "100",
    "1234.5678",
    "1e10",
    "1e-7",
    "12345678901",
    "0.1",
    "3.14159",
    "255",
    "1e21",
    "1510067557121",
    "-1000.5",
];
const PATTERNS: [&str; 12] = [
    "/a/",
    "/[a-z]+/",
    "/l+/i",
    "/(\\w)(\\w*)/",
    "/,/",
    "/o/",
    "/^a|x$/",
    "/\\s+/",
    "/b|é/",
    "/[0-9.]+/",
    "/(x)?b/",
    "/k/",
];
const NUMBER_PICTURES: [&str; 16] = [
    "0",
    "#,##0.00",
    "0.0##",
    "00.00",
    "#0%",
    "0.0e0",
    "#,###",
    "0;(0)",
    "#",
    "##,##,##0",
    "000",
    "0.000,0",
    "#.##",
    "‰0",
    "0,0.0",
    "[0]",
];
const INTEGER_PICTURES: [&str; 15] =
    ["0", "000", "#,##0", "I", "i", "A", "a", "w", "W", "Ww", "w;o", "0;o", "##0,00", "#", "٠"];
const DATE_PICTURES: [&str; 20] = [
    "[Y0001]-[M01]-[D01]",
    "[D1o] [MNn] [Y]",
    "[h#1]:[m01][P]",
    "[H01]:[m01]:[s01].[f001]",
    "[Z]",
    "[z]",
    "[FNn,3-3] [W] [d]",
    "[X]-[W01]-[F1]",
    "[Y,2]",
    "[YI]",
    "[Yw]",
    "[M,*-3]",
    "[MN,3-3]",
    "[w] [x]",
    "[Z0101t]",
    "[Y][M01]",
    "[[x]] [C] [E]",
    "[Fn]",
    "[PN]",
    "[d001]",
];

/// Functions with the types of their arguments, by letter.
const CALLS: &str = "\
    sum:a count:a max:a min:a average:a string:x string:xb substring:sN substring:sNN \
    substringBefore:ss substringAfter:ss lowercase:s uppercase:s length:s trim:s pad:sN pad:sNs join:a \
    join:as match:sp match:spN contains:sS replace:sSR replace:sSRN split:sS split:sSN formatNumber:nF \
    formatBase:nN formatBase:n formatInteger:iI parseInteger:sI number:s floor:n ceil:n round:n \
    round:nN abs:n sqrt:n power:nN boolean:x not:x zip:aa keys:o lookup:os append:aa append:xx exists:x \
    spread:o merge:a reverse:a type:x sort:a distinct:a encodeUrlComponent:s encodeUrl:s \
    decodeUrlComponent:s decodeUrl:s fromMillis:mD fromMillis:mDZ fromMillis:m toMillis:T error:s";

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.rng.random_range(0..n)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<'t>(&mut self, list: &[&'t str]) -> &'t str {
        list[self.below(list.len())]
    }

    fn text(&mut self) -> String {
        Value::from(self.of(&TEXTS)).to_string()
    }

    fn expression(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.leaf();
        }
        let inner = depth - 1;
        match self.below(46) {
            0..=9 => self.path(inner),
            10..=12 => self.leaf(),
            13..=16 => {
                let (a, b) = (self.operand(inner), self.operand(inner));
                let op =
                    self.of(&["+", "-", "*", "/", "%", "&", "&", "=", "!=", "<", "<=", ">", ">=", "in", "and", "or"]);
                format!("{a} {op} {b}")
            }
            17 => format!("-{}", self.operand(inner)),
            18..=19 => self.array(inner),
            20..=21 => self.object(inner),
            22..=23 => {
                let (test, then, other) = (self.operand(inner), self.expression(inner), self.expression(inner));
                if self.one_in(4) { format!("({test} ? {then})") } else { format!("({test} ? {then} : {other})") }
            }
            24..=25 => self.block(inner),
            26..=34 => self.call(inner),
            35..=37 => self.higher(inner),
            38 => self.lambda_call(inner),
            39..=40 => self.pipe(inner),
            41 => self.grouped(inner),
            42 => self.sorted(inner),
            43 => self.bound(inner),
            44 => self.transform(inner),
            _ => format!("({})", self.expression(inner)),
        }
    }

    fn operand(&mut self, depth: usize) -> String {
        if self.one_in(2) { self.leaf() } else { format!("({})", self.expression(depth)) }
    }

    fn leaf(&mut self) -> String {
        match self.below(12) {
            0..=2 => self.of(&NUMBERS).to_owned(),
            3..=4 => self.text(),
            5 => self.of(&["true", "false", "null", "$", "$$", "[]", "{}", "()"]).to_owned(),
            6 if !self.variables.is_empty() => {
                let at = self.below(self.variables.len());
                format!("${}", self.variables[at])
            }
            _ => self.path(0),
        }
    }

    fn path(&mut self, depth: usize) -> String {
        let mut text = match self.below(9) {
            0 => "$".to_owned(),
            1 => "$$".to_owned(),
            2 if depth > 0 => format!("({})", self.expression(depth - 1)),
            3 if depth > 0 => self.array(depth - 1),
            _ => self.of(&NAMES).to_owned(),
        };
        for _ in 0..self.below(4) {
            text.push_str(&self.narrowing(depth));
            text.push('.');
            let step = match self.below(14) {
                0 => "*".to_owned(),
                1 => "**".to_owned(),
                2 if depth > 0 => format!("({})", self.expression(depth - 1)),
                3 if depth > 0 => self.array(depth - 1),
                4 if depth > 0 => self.object(depth - 1),
                5 if depth > 0 => self.context_call(),
                6 => "$".to_owned(),
                7 => "%".to_owned(),
                _ => self.of(&NAMES).to_owned(),
            };
            text.push_str(&step);
        }
        text.push_str(&self.narrowing(depth));
        text
    }

    fn narrowing(&mut self, depth: usize) -> String {
        match self.below(16) {
            0 => "[0]".to_owned(),
            1 => "[-1]".to_owned(),
            2 => "[]".to_owned(),
            3 => format!("[{} {} {}]", self.of(&NAMES), self.of(&["=", ">", "<", "!="]), self.leaf()),
            4 if depth > 0 => format!("[{}]", self.expression(depth - 1)),
            5 => self.of(&["[[0,1]]", "[[0..1]]", "[$ > 1]", "[true]", "[1][0]", "[%.n]", "[$exists(c)]"]).to_owned(),
            _ => String::new(),
        }
    }

    fn array(&mut self, depth: usize) -> String {
        let count = self.below(4);
        let items: Vec<String> = (0..count)
            .map(|_| match self.below(6) {
                0 => format!("{}..{}", self.of(&["0", "1", "2"]), self.of(&["0", "1", "3", "5"])),
                _ => self.expression(depth),
            })
            .collect();
        format!("[{}]", items.join(", "))
    }

    fn pairs(&mut self, depth: usize, keys: &[&str]) -> String {
        let count = 1 + self.below(2);
        let pairs: Vec<String> = (0..count)
            .map(|_| {
                let key = self.of(keys);
                format!("{key}: {}", self.expression(depth))
            })
            .collect();
        pairs.join(", ")
    }

    fn object(&mut self, depth: usize) -> String {
        let pairs =
            self.pairs(depth, &["\"k1\"", "\"k2\"", "\"a\"", "\"c\"", "name", "s", "\"k\" & $string(qty)", "missing"]);
        format!("{{{pairs}}}")
    }

    fn grouped(&mut self, depth: usize) -> String {
        let path = self.path(0);
        let pairs = self.pairs(depth, &["name", "s", "\"k\" & $string(qty)", "$type($)", "id", "d"]);
        format!("{path}{{{pairs}}}")
    }

    fn sorted(&mut self, depth: usize) -> String {
        let path = self.of(&["items", "b", "$$.items", "o.items", "a", "items.tags", "[3,1,2]", "$"]);
        let term = match self.below(4) {
            0 => format!("{}({})", self.of(&["<", ">", ""]), self.operand(depth)),
            1 => "price, >name".to_owned(),
            _ => format!("{}{}", self.of(&["<", ">", ""]), self.of(&["qty", "price", "name", "c", "$", "d"])),
        };
        let rest = self.of(&["", "", ".name", "[0]", ".qty", "[]", ".$", "[0].name"]);
        format!("{path}^({term}){rest}")
    }

    /// Paths that bind variables or look at parents.
    fn bound(&mut self, depth: usize) -> String {
        let tail = self.expression(depth.min(1));
        match self.below(8) {
            0 => "items#$i[$i > 0].{\"i\": $i, \"n\": name}".to_owned(),
            1 => format!("o.items.{{\"o\": %.id, \"n\": name, \"k\": {tail}}}"),
            2 => "o@$o.items@$i[$i.qty > 1].{\"id\": $o.id, \"n\": $i.name}".to_owned(),
            3 => format!("o.items[%.id = {}].name", self.of(&["\"o1\"", "\"o2\"", "id", "$$.o[0].id"])),
            4 => format!(
                "{}#$p.{{\"p\": $p, \"v\": {tail}}}",
                self.of(&["b", "items", "a.b.d", "items.tags", "o.items"])
            ),
            5 => format!("{}.%.{}", self.of(&["a.b.c", "items.name", "o.items.name", "b.c"]), self.of(&NAMES)),
            6 => format!("items@$x.({tail} ~> $string() & $x.name)"),
            _ => format!("o.items#$i{{name: {}}}", self.of(&["$i", "qty", "$sum(qty)", "$count($)", "%.id"])),
        }
    }

    fn block(&mut self, depth: usize) -> String {
        let known = self.variables.len();
        let functions = self.functions.len();
        let mut parts = Vec::new();
        for _ in 0..=self.below(2) {
            let name = self.of(&["x", "y", "v"]).to_owned();
            if self.one_in(4) {
                let body = self.lambda(depth, 1);
                parts.push(format!("${name}f := {body}"));
                self.functions.push(format!("{name}f"));
            } else {
                parts.push(format!("${name} := {}", self.expression(depth)));
                self.variables.push(name);
            }
        }
        parts.push(self.expression(depth));
        self.variables.truncate(known);
        self.functions.truncate(functions);
        format!("({})", parts.join("; "))
    }

    fn lambda(&mut self, depth: usize, params: usize) -> String {
        let known = self.variables.len();
        let names = ["p", "q", "r"];
        self.variables.extend(names[..params].iter().map(|name| (*name).to_owned()));
        let body = self.expression(depth);
        self.variables.truncate(known);
        let list: Vec<String> = names[..params].iter().map(|name| format!("${name}")).collect();
        let signature = if params == 1 && self.one_in(8) {
            self.of(&["<n:n>", "<s-:s>", "<x:x>", "<a<n>:n>", "<o?:x>"])
        } else {
            ""
        };
        format!("function({}){signature}{{{body}}}", list.join(", "))
    }

    fn lambda_call(&mut self, depth: usize) -> String {
        if let (Some(name), true) = (self.functions.last().cloned(), self.one_in(2)) {
            return format!("${name}({})", self.expression(depth));
        }
        let params = 1 + self.below(2);
        let lambda = self.lambda(depth, params);
        let args: Vec<String> = (0..=self.below(2)).map(|_| self.expression(depth)).collect();
        format!("{lambda}({})", args.join(", "))
    }

    fn function(&mut self, depth: usize, params: usize) -> String {
        match self.below(7) {
            0 => format!(
                "${}",
                self.of(&[
                    "string",
                    "length",
                    "uppercase",
                    "sum",
                    "count",
                    "boolean",
                    "not",
                    "exists",
                    "type",
                    "keys",
                    "number",
                    "append",
                    "abs"
                ])
            ),
            1 => format!("$append(?, {})", self.leaf()),
            _ => {
                let params = if self.one_in(3) { 1 + self.below(3) } else { params };
                self.lambda(depth, params)
            }
        }
    }

    fn higher(&mut self, depth: usize) -> String {
        let list = if self.one_in(2) {
            self.of(&["items", "b", "a", "items.tags", "[1,2,3]", "[\"x\",\"y\"]", "o", "$"]).to_owned()
        } else {
            self.expression(depth)
        };
        match self.below(8) {
            0 | 1 => format!("$map({list}, {})", self.function(depth, 1)),
            2 => format!("$filter({list}, {})", self.function(depth, 1)),
            3 => format!("$reduce({list}, {}{})", self.lambda(depth, 2), self.of(&["", ", 0", ", \"\"", ", []"])),
            4 => format!(
                "$each({}, {})",
                self.of(&["$", "a", "items[0]", "b[0]", "{\"x\": 1}"]),
                self.function(depth, 2)
            ),
            5 => format!(
                "$sift({}, {})",
                self.of(&["$", "a", "items[0]", "b[0]", "{\"x\": 1}"]),
                self.function(depth, 1)
            ),
            6 => format!("$single({list}, {})", self.function(depth, 1)),
            _ => format!(
                "$sort({list}, function($p, $q){{{}}})",
                self.of(&["$p > $q", "$p.qty > $q.qty", "$p < $q", "false", "$p - $q", "$string($p) > $string($q)"])
            ),
        }
    }

    fn context_call(&mut self) -> String {
        format!(
            "${}()",
            self.of(&[
                "string",
                "length",
                "uppercase",
                "lowercase",
                "trim",
                "number",
                "abs",
                "floor",
                "boolean",
                "not",
                "keys",
                "spread",
                "type",
                "exists",
                "sum",
                "count"
            ])
        )
    }

    fn pipe(&mut self, depth: usize) -> String {
        let left = self.operand(depth);
        let right = match self.below(6) {
            0 => self.context_call(),
            1 => {
                format!("${}", self.of(&["string", "sum", "count", "keys", "uppercase", "type", "reverse", "distinct"]))
            }
            2 => format!("$map({})", self.function(depth, 1)),
            3 => format!("$append({})", self.leaf()),
            4 => format!("$join({})", self.of(&["\",\"", "", "\"-\""])),
            _ => self.function(depth, 1),
        };
        format!("{left} ~> {right}")
    }

    fn transform(&mut self, depth: usize) -> String {
        let subject = self.of(&["$", "a", "items", "items[0]", "b", "o", "{\"x\": {\"y\": 1}}"]);
        let pattern = self.of(&["$", "b", "items", "*", "a.b", "items[0]", "x", "missing", "[qty > 1]", "$[qty > 1]"]);
        let pattern = if pattern == "[qty > 1]" { "items[qty > 1]" } else { pattern };
        let update = self.object(depth.min(1));
        let delete = self.of(&["", "", ", \"qty\"", ", [\"name\", \"c\"]", ", tags"]);
        format!("{subject} ~> |{pattern}|{update}{delete}|")
    }

    /// An argument by the letter of its type; one of eight is of any type.
    fn argument(&mut self, letter: char, depth: usize) -> String {
        if self.one_in(8) {
            return self.expression(depth);
        }
        match letter {
            's' => match self.below(4) {
                0 => self.of(&["s", "t", "name", "a.c", "items.name", "items[1].name", "b[0].d"]).to_owned(),
                1 => format!("$string({})", self.leaf()),
                _ => self.text(),
            },
            'n' => match self.below(4) {
                0 => self.of(&["n", "a.b.c", "items[0].qty", "items[0].price", "b[1].c"]).to_owned(),
                _ => self.of(&NUMBERS).to_owned(),
            },
            'N' => self.of(&["0", "1", "2", "3", "-1", "5", "-3", "1.5"]).to_owned(),
            'b' => self.of(&["true", "false", "f", "n > 1"]).to_owned(),
            'a' => match self.below(4) {
                0 => self
                    .of(&["items", "b", "a", "items.qty", "items.price", "items.tags", "items.name", "a.b.d"])
                    .to_owned(),
                1 => self.array(depth),
                _ => self
                    .of(&["[1,2,3]", "[]", "[\"b\",\"a\"]", "[1]", "[[1],[2]]", "[3,1,2,1]", "[{\"a\":1},{\"a\":1}]"])
                    .to_owned(),
            },
            'o' => self.of(&["$", "a", "items[0]", "{\"x\":1,\"y\":[2]}", "{}", "b[0]"]).to_owned(),
            'p' => self.of(&PATTERNS).to_owned(),
            'S' => {
                if self.one_in(2) {
                    self.of(&PATTERNS).to_owned()
                } else {
                    self.text()
                }
            }
            'F' => format!("\"{}\"", self.of(&NUMBER_PICTURES)),
            'I' => format!("\"{}\"", self.of(&INTEGER_PICTURES)),
            'D' => format!("\"{}\"", self.of(&DATE_PICTURES)),
            'Z' => self.of(&["\"+0530\"", "\"-0800\"", "\"+0000\"", "\"0100\""]).to_owned(),
            'i' => self.of(&["12", "1999", "0", "3", "105", "1234567", "21", "11", "-5", "28", "1e15"]).to_owned(),
            'm' => self.of(&["0", "1510067557121", "-1", "1e12", "951782400000", "1.5", "978307199999"]).to_owned(),
            'R' => self
                .of(&["\"$0!\"", "\"$1-$2\"", "\"\"", "\"x\"", "\"$$\"", "\"[$12]\"", "function($m){$m.match & \"!\"}"])
                .to_owned(),
            'T' => self
                .of(&[
                    "\"2017-11-07T15:12:37.121Z\"",
                    "\"2017\"",
                    "\"2017-11\"",
                    "\"2018-02-30\"",
                    "\"x\"",
                    "\"2017-10-30T16:25:32+0100\"",
                    "\"2017-10-30T16:25:32.935\"",
                    "\"2020-02-29T23:59:59.9Z\"",
                ])
                .to_owned(),
            _ => self.expression(depth),
        }
    }

    fn call(&mut self, depth: usize) -> String {
        let calls: Vec<&str> = CALLS.split_whitespace().collect();
        let (name, types) = self.of(&calls).split_once(':').unwrap();
        if name == "error" && !self.one_in(6) {
            return self.leaf();
        }
        let mut args: Vec<String> = types.chars().map(|letter| self.argument(letter, depth)).collect();
        if self.one_in(24) {
            args.pop();
        }
        if self.one_in(40) {
            args.push(self.leaf());
        }
        format!("${name}({})", args.join(", "))
    }
}
