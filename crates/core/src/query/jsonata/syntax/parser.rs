//! The grammar, by precedence of operators. Nodes come out as they are evaluated: there is no second tree.

use std::collections::HashSet;

use super::super::error::Fault;
use super::Refusal;
use super::ancestry::Slots;
use super::lexer::{Lexer, Tok, Token};
use super::regex::Pattern;
use super::signature::Signature;
use super::tree::{Item, Kind, Lambda, Name, Node, Program, Symbols, Transform};
use crate::query::programs::Programs;

/// Bytes of one expression. AWS has no figure of its own below the definition's 1 MiB.
const TEXT_BYTES_MAX: usize = 128 * 1024;

/// Nesting of the text, by which the stack is held.
const DEPTH_MAX: usize = 128;

pub(super) type Parsed<T = Box<Node>> = Result<T, Box<Refusal>>;

pub(super) fn refusal<T>(fault: &Fault, at: usize) -> Parsed<T> {
    Err(Box::new(Refusal::new(fault, at)))
}

pub(crate) fn parse(text: &str, programs: &Programs) -> Parsed<Program> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Box::new(Refusal::ours(
            format!("the expression is longer than {TEXT_BYTES_MAX} bytes"),
            TEXT_BYTES_MAX,
        )));
    }
    let mut parser = Parser {
        lexer: Lexer::new(text),
        programs,
        token: Token { tok: Tok::End, at: 0 },
        symbols: Symbols::default(),
        slots: Slots::default(),
        depth: 0,
        calls_of_calls: 0,
        binds: false,
        wrong: None,
    };
    parser.advance(true)?;
    let mut root = *parser.expression(0)?;
    if parser.token.tok != Tok::End {
        return Err(parser.unexpected("S0201"));
    }
    if let Some(wrong) = parser.wrong {
        return Err(Box::new(wrong));
    }
    if matches!(root.kind, Kind::Parent(_)) || root.more.as_ref().is_some_and(|more| !more.seeking.is_empty()) {
        return refusal(&Fault::new("S0217"), root.at as usize);
    }
    // The root is no step: nothing asks for its tuples.
    root.tuple = false;
    Ok(Program { root, symbols: parser.symbols, labels: parser.slots.labels })
}

pub(super) struct Parser<'t> {
    pub(super) lexer: Lexer<'t>,
    /// For the regular expressions in the text.
    programs: &'t Programs,
    pub(super) token: Token,
    pub(super) symbols: Symbols,
    pub(super) slots: Slots,
    pub(super) depth: usize,
    pub(super) calls_of_calls: usize,
    /// Whether an assignment was read since the innermost scope began.
    pub(super) binds: bool,
    /// The first error that is none of grammar. All errors of grammar come before it.
    pub(super) wrong: Option<Refusal>,
}

impl Parser<'_> {
    pub(super) fn advance(&mut self, operand: bool) -> Parsed<Token> {
        let next = self.lexer.next(operand).map_err(Box::new)?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    #[expect(clippy::unnecessary_box_returns, reason = "errors of the parser are boxed, so that its frames are small")]
    pub(super) fn unexpected(&self, code: &'static str) -> Box<Refusal> {
        Box::new(Refusal::new(&Fault::new(code).value(self.token.tok.shown()), self.token.at))
    }

    /// `operand`: an operand follows the symbol.
    pub(super) fn expect(&mut self, symbol: &str, operand: bool) -> Parsed<()> {
        if !self.token.tok.is(symbol) {
            let code = if self.token.tok == Tok::End { "S0203" } else { "S0202" };
            let fault = Fault::new(code).token(symbol).value(self.token.tok.shown());
            return refusal(&fault, self.token.at);
        }
        self.advance(operand).map(drop)
    }

    pub(super) fn at(&self, symbol: &str) -> bool {
        self.token.tok.is(symbol)
    }

    pub(super) fn expression(&mut self, power: u8) -> Parsed {
        if self.depth >= DEPTH_MAX {
            let message = format!("U1002: The expression is nested deeper than {DEPTH_MAX} levels");
            return Err(Box::new(Refusal::ours(message, self.token.at)));
        }
        self.depth += 1;
        let mut left = self.operand()?;
        while self.power() > power {
            left = self.continued(left)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    /// The binding power of the token at hand towards its left.
    pub(super) fn power(&self) -> u8 {
        let Tok::Op(op) = self.token.tok else { return 0 };
        match op {
            "[" | "(" | "@" | "#" => 80,
            "." => 75,
            "{" => 70,
            "*" | "/" | "%" => 60,
            "+" | "-" | "&" => 50,
            "=" | "!=" | "<" | ">" | "<=" | ">=" | "^" | "~>" | "in" => 40,
            "and" => 30,
            "or" => 25,
            "?" => 20,
            ":=" => 10,
            _ => 0,
        }
    }

    // Operands.

    pub(super) fn operand(&mut self) -> Parsed {
        let Token { tok, at } = self.token.clone();
        let kind = match tok {
            Tok::End => return Err(self.unexpected("S0207")),
            Tok::Op(op) => return self.prefixed(op, at),
            Tok::Name(name) => return self.named(&name, at),
            Tok::Variable(name) => Kind::Variable(self.symbols.intern(&name)),
            Tok::Text(text) => Kind::Text(text.into()),
            Tok::Number(n) => Kind::Number(n),
            Tok::Null => Kind::Null,
            Tok::Bool(b) => Kind::Bool(b),
            Tok::Regex { pattern, case, lines } => {
                Kind::Regex(Box::new(Pattern::compile(&pattern, case, lines, at + 1, self.programs).map_err(Box::new)?))
            }
        };
        self.advance(false)?;
        Ok(Box::new(Node::new(kind, at)))
    }

    pub(super) fn named(&mut self, name: &str, at: usize) -> Parsed {
        self.advance(false)?;
        if matches!(name, "function" | "λ") && self.at("(") {
            return self.lambda(at);
        }
        let steps = vec![Node::new(Kind::Name(Name::new(name)), at)];
        Ok(Box::new(Node::new(Kind::Path { steps, keep_singleton: false }, at)))
    }

    pub(super) fn prefixed(&mut self, op: &'static str, at: usize) -> Parsed {
        match op {
            "and" | "or" | "in" => self.named(op, at),
            "(" => self.block(at),
            "[" => self.array(at),
            "{" => {
                self.advance(true)?;
                let pairs = self.pairs()?;
                let mut made = Box::new(Node::new(Kind::Null, at));
                let pairs = Self::adopt_pairs(pairs, &mut made);
                let fixed = fixed(&pairs);
                made.kind = Kind::Object(pairs, fixed);
                Ok(made)
            }
            "-" => self.negation(at),
            "|" => self.transform(at),
            "*" | "**" | "%" => {
                self.advance(false)?;
                let kind = match op {
                    "*" => Kind::Wildcard,
                    "**" => Kind::Descendants,
                    _ => {
                        let label = self.symbols.intern(&format!("%{}", self.slots.labels.len()));
                        Kind::Parent(self.slots.add(label))
                    }
                };
                Ok(Box::new(Node::new(kind, at)))
            }
            _ => Err(self.unexpected("S0211")),
        }
    }

    pub(super) fn negation(&mut self, at: usize) -> Parsed {
        self.advance(true)?;
        let mut inner = self.expression(70)?;
        if let Kind::Number(n) = &mut inner.kind {
            *n = -*n;
            return Ok(inner);
        }
        let mut made = Box::new(Node::new(Kind::Null, at));
        Slots::pass_on(&mut inner, &mut made);
        made.kind = Kind::Negate(inner);
        Ok(made)
    }

    pub(super) fn block(&mut self, at: usize) -> Parsed {
        self.advance(true)?;
        let outer = std::mem::take(&mut self.binds);
        let mut made = Box::new(Node::new(Kind::Null, at));
        let mut parts = Vec::new();
        while !self.at(")") {
            let mut part = self.expression(0)?;
            Slots::pass_on(&mut part, &mut made);
            let first_cons = matches!(&part.kind, Kind::Path { steps, .. } if steps.first().is_some_and(|s| s.cons));
            made.cons |= part.cons || first_cons;
            parts.push(*part);
            if !self.at(";") {
                break;
            }
            self.advance(true)?;
        }
        self.expect(")", false)?;
        made.kind = Kind::Block(parts, std::mem::replace(&mut self.binds, outer));
        Ok(made)
    }

    /// Items between commas, up to and with the closing symbol.
    pub(super) fn listed(&mut self, close: &str, mut item: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        if !self.at(close) {
            item(self)?;
            while self.at(",") {
                self.advance(true)?;
                item(self)?;
            }
        }
        self.expect(close, false)
    }

    pub(super) fn array(&mut self, at: usize) -> Parsed {
        self.advance(true)?;
        let mut made = Box::new(Node::new(Kind::Null, at));
        let mut items = Vec::new();
        self.listed("]", |parser| {
            let mut item = parser.expression(0)?;
            Slots::pass_on(&mut item, &mut made);
            if !parser.at("..") {
                items.push(Item::One(*item));
                return Ok(());
            }
            parser.advance(true)?;
            let mut to = parser.expression(0)?;
            Slots::pass_on(&mut to, &mut made);
            items.push(Item::Range(*item, *to));
            Ok(())
        })?;
        made.kind = Kind::Array(items);
        Ok(made)
    }

    /// Up to and with the closing brace.
    pub(super) fn pairs(&mut self) -> Parsed<Vec<(Node, Node)>> {
        let mut pairs = Vec::new();
        self.listed("}", |parser| {
            let key = parser.expression(0)?;
            parser.expect(":", true)?;
            pairs.push((*key, *parser.expression(0)?));
            Ok(())
        })?;
        Ok(pairs)
    }

    pub(super) fn adopt_pairs(mut pairs: Vec<(Node, Node)>, owner: &mut Node) -> Vec<(Node, Node)> {
        for (key, value) in &mut pairs {
            Slots::pass_on(key, owner);
            Slots::pass_on(value, owner);
        }
        pairs
    }

    pub(super) fn transform(&mut self, at: usize) -> Parsed {
        self.advance(true)?;
        let pattern = *self.expression(0)?;
        self.expect("|", true)?;
        let update = *self.expression(0)?;
        let delete = if self.at(",") {
            self.advance(true)?;
            Some(*self.expression(0)?)
        } else {
            None
        };
        self.expect("|", false)?;
        Ok(Box::new(Node::new(Kind::Transform(Box::new(Transform { pattern, update, delete })), at)))
    }

    fn lambda(&mut self, at: usize) -> Parsed {
        self.advance(true)?;
        let mut params = Vec::new();
        self.listed(")", |parser| {
            // Any expression may stand here as far as the grammar goes.
            let param = parser.expression(0)?;
            match param.kind {
                Kind::Variable(name) if param.more.is_none() => params.push(name),
                _ => return refusal(&Fault::new("S0208").index(params.len() + 1), param.at as usize),
            }
            Ok(())
        })?;
        let signature = if self.at("<") { Some(self.signature()?) } else { None };
        self.expect("{", true)?;
        let outer = std::mem::take(&mut self.binds);
        let mut body = *self.expression(0)?;
        let binds = std::mem::replace(&mut self.binds, outer);
        self.expect("}", false)?;
        mark_tails(&mut body);
        Ok(Box::new(Node::new(Kind::Lambda(Box::new(Lambda { params, signature, body, binds })), at)))
    }

    fn signature(&mut self) -> Parsed<Signature> {
        let at = self.token.at;
        let mut text = "<".to_owned();
        let mut depth = 1;
        while depth > 0 && !self.at("{") && self.token.tok != Tok::End {
            self.advance(false)?;
            match &self.token.tok {
                Tok::Op(">") => depth -= 1,
                Tok::Op("<") => depth += 1,
                _ => {}
            }
            match &self.token.tok {
                Tok::Op(symbol) => text.push_str(symbol),
                Tok::Name(name) => text.push_str(name),
                _ => {}
            }
        }
        self.expect(">", false)?;
        Signature::parse(&text).or_else(|fault| refusal(&fault, at))
    }
}

/// Whether the keys are texts, each another one.
fn fixed(pairs: &[(Node, Node)]) -> bool {
    let mut known = HashSet::new();
    pairs
        .iter()
        .all(|(key, _)| matches!(&key.kind, Kind::Text(key_text) if key.more.is_none() && known.insert(key_text)))
}

/// Calls that are the last thing a function does need no frame of their own.
fn mark_tails(body: &mut Node) {
    let bare = body.filters().is_empty();
    match &mut body.kind {
        Kind::Call { tail, .. } if bare => *tail = true,
        Kind::Condition { then, otherwise, .. } => {
            mark_tails(then);
            if let Some(other) = otherwise {
                mark_tails(other);
            }
        }
        Kind::Block(parts, _) => {
            if let Some(last) = parts.last_mut() {
                mark_tails(last);
            }
        }
        _ => {}
    }
}
