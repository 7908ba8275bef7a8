//! The tokens that follow an operand: operators, steps, predicates, calls, groups, orders, bindings.

use super::super::error::Fault;
use super::super::value::Val;
use super::Refusal;
use super::ancestry::Slots;
use super::lexer::{Tok, Token};
use super::parser::{Parsed, Parser, refusal};
use super::tree::{Kind, Name, Node, Op, Stage, Sym, Term};

/// Calls of the result of a call (`f()()`), in the whole expression: each nests the tree without nesting the text.
const CALLS_OF_CALLS_MAX: usize = 64;

impl Parser<'_> {
    pub(super) fn continued(&mut self, left: Box<Node>) -> Parsed {
        let Token { tok, at } = self.token.clone();
        let Tok::Op(symbol) = tok else { return Err(self.unexpected("S0201")) };
        match symbol {
            "." => self.step(left, at),
            "[" => self.predicate(left, at),
            "(" => self.call(left, at),
            "{" => self.group(left),
            "^" => self.order(left, at),
            "@" => self.focus(left, at),
            "#" => self.index(left, at),
            "?" => self.condition(left, at),
            ":=" => self.assignment(&left, at),
            _ => match Op::of(symbol) {
                Some(op) => self.operator(left, op, at),
                None => Err(self.unexpected("S0201")),
            },
        }
    }

    fn operator(&mut self, mut left: Box<Node>, op: Op, at: usize) -> Parsed {
        let power = self.power();
        self.advance(true)?;
        let mut right = self.expression(power)?;
        let keep = left.keep;
        let mut chain = if let Kind::Chain(..) = left.kind {
            left
        } else {
            let mut made = Box::new(Node::new(Kind::Null, at));
            Slots::pass_on(&mut left, &mut made);
            made.kind = Kind::Chain(left, Vec::new());
            made
        };
        Slots::pass_on(&mut right, &mut chain);
        chain.keep = op == Op::Apply && (keep || right.keep);
        if let (Op::Apply, Some(more)) = (op, chain.more.as_mut()) {
            // The reference does not look for parents across this operator.
            more.seeking.clear();
        }
        if let Kind::Chain(_, links) = &mut chain.kind {
            links.push((op, *right));
        }
        Ok(chain)
    }

    fn step(&mut self, left: Box<Node>, at: usize) -> Parsed {
        self.advance(true)?;
        let mut path = if let Kind::Path { .. } = left.kind {
            left
        } else {
            let mut made = Box::new(Node::new(Kind::Null, left.at as usize));
            if let Kind::Parent(slot) = left.kind {
                made.more().seeking.push(slot);
            }
            made.kind = Kind::Path { steps: vec![*left], keep_singleton: false };
            made
        };
        let mut rest = self.expression(75)?;
        let Kind::Path { steps, keep_singleton } = &mut path.kind else { return Err(self.unexpected("S0201")) };
        // The steps before were looked at when they came.
        let seen = if steps.len() == 1 { 0 } else { steps.len() };
        if let Kind::Path { steps: more, .. } = &mut rest.kind {
            let seeking = rest.more.take().map(|more| more.seeking).unwrap_or_default();
            steps.append(more);
            if let (false, Some(last)) = (seeking.is_empty(), steps.last_mut()) {
                last.more().seeking.extend(seeking);
            }
        } else {
            if let Some(more) = rest.more.as_mut() {
                more.stages.extend(std::mem::take(&mut more.filters).into_iter().map(Stage::Filter));
            }
            steps.push(*rest);
        }
        let mut wrong = None;
        for step in &mut steps[seen..] {
            let shown = match &step.kind {
                Kind::Number(n) => Fault::new("S0213").value(Val::Num(*n)),
                Kind::Bool(b) => Fault::new("S0213").value(Val::Bool(*b)),
                Kind::Null => Fault::new("S0213").value(Val::Null),
                Kind::Text(text) => {
                    step.kind = Kind::Name(Name::new(text.clone()));
                    continue;
                }
                _ => continue,
            };
            wrong.get_or_insert_with(|| Refusal::new(&shown, at));
        }
        *keep_singleton |= steps[seen..].iter().any(|step| step.keep);
        if let Some(first) = steps.first_mut().filter(|step| matches!(step.kind, Kind::Array(_))) {
            first.cons = true;
        }
        if let Some(last) = steps.last_mut().filter(|step| matches!(step.kind, Kind::Array(_))) {
            last.cons = true;
        }
        if let Some(wrong) = wrong {
            self.defer(wrong);
        }
        let resolved = self.slots.resolve(&mut path);
        self.deferred(resolved);
        Ok(path)
    }

    fn defer(&mut self, wrong: Refusal) {
        self.wrong.get_or_insert(wrong);
    }

    fn deferred(&mut self, result: Result<(), Refusal>) {
        if let Err(wrong) = result {
            self.defer(wrong);
        }
    }

    fn predicate(&mut self, mut left: Box<Node>, at: usize) -> Parsed {
        self.advance(true)?;
        if self.at("]") {
            // As in the reference, the next token is read as an operand.
            self.advance(true)?;
            keep_arrays(&mut left);
            return Ok(left);
        }
        let mut predicate = self.expression(0)?;
        self.expect("]", false)?;
        let (step, is_step) = match &mut left.kind {
            Kind::Path { steps, .. } => (steps.last_mut(), true),
            _ => (Some(&mut *left), false),
        };
        let Some(step) = step else { return Err(self.unexpected("S0201")) };
        if step.group().is_some() {
            self.defer(Refusal::new(&Fault::new("S0209"), at));
            return Ok(left);
        }
        if let Err(wrong) = self.slots.of_predicate(step, &mut predicate) {
            self.wrong.get_or_insert(wrong);
        }
        if is_step {
            step.more().stages.push(Stage::Filter(*predicate));
        } else {
            step.more().filters.push(*predicate);
        }
        Ok(left)
    }

    fn call(&mut self, left: Box<Node>, at: usize) -> Parsed {
        if matches!(left.kind, Kind::Call { .. } | Kind::Partial { .. }) {
            self.calls_of_calls += 1;
            if self.calls_of_calls > CALLS_OF_CALLS_MAX {
                let message = format!("U1002: More than {CALLS_OF_CALLS_MAX} calls of what a call gave");
                return Err(Box::new(Refusal::ours(message, at)));
            }
        }
        self.advance(true)?;
        let mut made = Box::new(Node::new(Kind::Null, left.at as usize));
        let mut args = Vec::new();
        let mut open = false;
        self.listed(")", |parser| {
            if parser.at("?") {
                parser.advance(false)?;
                open = true;
                args.push(None);
            } else {
                let mut arg = parser.expression(0)?;
                Slots::pass_on(&mut arg, &mut made);
                args.push(Some(*arg));
            }
            Ok(())
        })?;
        let procedure = left;
        made.kind = if open {
            Kind::Partial { procedure, args }
        } else {
            Kind::Call { procedure, args: args.into_iter().flatten().collect(), tail: false }
        };
        Ok(made)
    }

    fn group(&mut self, mut left: Box<Node>) -> Parsed {
        let at = self.token.at;
        self.advance(true)?;
        let pairs = self.pairs()?;
        if left.group().is_some() {
            self.defer(Refusal::new(&Fault::new("S0210"), at));
            return Ok(left);
        }
        left.more().group = Some(pairs);
        Ok(left)
    }

    #[expect(clippy::unnecessary_box_returns, reason = "nodes of the parser are boxed, so that its frames are small")]
    fn into_path(left: Box<Node>) -> Box<Node> {
        if matches!(left.kind, Kind::Path { .. }) {
            return left;
        }
        let at = left.at as usize;
        Box::new(Node::new(Kind::Path { steps: vec![*left], keep_singleton: false }, at))
    }

    fn order(&mut self, left: Box<Node>, at: usize) -> Parsed {
        self.advance(true)?;
        self.expect("(", true)?;
        let mut sort = Box::new(Node::new(Kind::Null, at));
        let mut terms = Vec::new();
        loop {
            let descending = self.at(">");
            if descending || self.at("<") {
                self.advance(true)?;
            }
            let mut key = self.expression(0)?;
            Slots::pass_on(&mut key, &mut sort);
            terms.push(Term { key: *key, descending });
            if !self.at(",") {
                break;
            }
            self.advance(true)?;
        }
        self.expect(")", false)?;
        sort.kind = Kind::Sort(terms);
        let mut path = Self::into_path(left);
        if let Kind::Path { steps, .. } = &mut path.kind {
            steps.push(*sort);
        }
        let resolved = self.slots.resolve(&mut path);
        self.deferred(resolved);
        Ok(path)
    }

    /// The variable behind `@` or `#`.
    fn variable(&mut self, symbol: &str) -> Parsed<Sym> {
        self.advance(true)?;
        let at = self.token.at;
        match self.expression(80)?.kind {
            Kind::Variable(name) => Ok(name),
            _ => refusal(&Fault::new("S0214").token(symbol), at),
        }
    }

    fn focus(&mut self, mut left: Box<Node>, at: usize) -> Parsed {
        let name = self.variable("@")?;
        let step = match &mut left.kind {
            Kind::Path { steps, .. } => steps.last_mut(),
            _ => Some(&mut *left),
        };
        let Some(step) = step else { return Err(self.unexpected("S0201")) };
        if step.more.as_ref().is_some_and(|more| !more.stages.is_empty() || !more.filters.is_empty()) {
            self.defer(Refusal::new(&Fault::new("S0215"), at));
            return Ok(left);
        }
        if matches!(step.kind, Kind::Sort(_)) {
            self.defer(Refusal::new(&Fault::new("S0216"), at));
            return Ok(left);
        }
        step.more().focus = Some(name);
        step.tuple = true;
        Ok(left)
    }

    fn index(&mut self, mut left: Box<Node>, _at: usize) -> Parsed {
        let name = self.variable("#")?;
        if !matches!(left.kind, Kind::Path { .. }) {
            if let Some(more) = left.more.as_mut() {
                more.stages.extend(std::mem::take(&mut more.filters).into_iter().map(Stage::Filter));
            }
            left = Self::into_path(left);
        }
        let Kind::Path { steps, .. } = &mut left.kind else { return Err(self.unexpected("S0201")) };
        let Some(step) = steps.last_mut() else { return Err(self.unexpected("S0201")) };
        if step.stages().is_empty() {
            step.more().index = Some(name);
        } else {
            step.more().stages.push(Stage::Index(name));
        }
        step.tuple = true;
        Ok(left)
    }

    fn condition(&mut self, mut test: Box<Node>, at: usize) -> Parsed {
        self.advance(true)?;
        if let Tok::Op(second @ ("?" | ":")) = self.token.tok
            && self.token.at == at + 1
        {
            let message = format!(
                "S0211: The operator ?{second} is not part of JSONata 2.0.6, which Step Functions runs: write \
                 $exists(a) ? a : b"
            );
            return Err(Box::new(Refusal::ours(message, at)));
        }
        let mut made = Box::new(Node::new(Kind::Null, at));
        Slots::pass_on(&mut test, &mut made);
        let mut then = self.expression(0)?;
        Slots::pass_on(&mut then, &mut made);
        let mut otherwise = None;
        if self.at(":") {
            self.advance(true)?;
            let mut other = self.expression(0)?;
            Slots::pass_on(&mut other, &mut made);
            otherwise = Some(other);
        }
        made.kind = Kind::Condition { test, then, otherwise };
        Ok(made)
    }

    fn assignment(&mut self, left: &Node, at: usize) -> Parsed {
        let name = match left.kind {
            Kind::Variable(name) if left.more.is_none() => name,
            _ => return refusal(&Fault::new("S0212"), left.at as usize),
        };
        self.advance(true)?;
        let mut value = self.expression(9)?;
        self.binds = true;
        let mut made = Box::new(Node::new(Kind::Null, at));
        Slots::pass_on(&mut value, &mut made);
        made.kind = Kind::Bind(name, value);
        Ok(made)
    }
}

/// `[]` behind an expression.
fn keep_arrays(left: &mut Node) {
    let grouped = left.group().is_some();
    if let Kind::Path { steps, keep_singleton } = &mut left.kind
        && let Some(last) = steps.last_mut()
        && !grouped
        && !matches!(last.kind, Kind::Sort(_))
        && last.index().is_none()
        && !last.stages().iter().any(|stage| matches!(stage, Stage::Index(_)))
    {
        *keep_singleton |= last.focus().is_none();
        last.keep = true;
    }
    left.keep = true;
}
