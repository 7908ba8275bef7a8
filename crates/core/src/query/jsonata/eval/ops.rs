//! Operators.

use super::super::error::{Fault, Stop};
use super::super::syntax::tree::{Kind, Node, Op};
use super::super::value::{Fun, Val, compare_texts, letter};
use super::{Frame, Machine, Outcome, finite};

impl<'e> Machine<'e> {
    /// A chain of operators, applied from the left.
    #[inline(never)]
    pub(super) fn chain(
        &mut self,
        first: &'e Node,
        links: &'e [(Op, Node)],
        input: Val<'e>,
        frame: &'e Frame<'e>,
    ) -> Outcome<'e> {
        if let [(op, right)] = links
            && !matches!(op, Op::And | Op::Or | Op::Apply)
        {
            let left = self.eval(first, input, frame);
            if left.is_err() {
                return left;
            }
            self.budget.step(1)?;
            let right = self.eval(right, input, frame);
            if let (Ok(Val::Num(left)), Ok(Val::Num(right))) = (&left, &right)
                && let Some(value) = of_numbers(*op, *left, *right)
            {
                return Ok(value);
            }
            return self.binary(*op, left?, right?);
        }
        let mut left = self.eval(first, input, frame)?;
        let (mut keep, mut pending) = (first.keep, false);
        for (op, right) in links {
            self.budget.step(1)?;
            // What a function gave is settled before it goes on; the last one when the chain is left.
            if pending {
                left = self.settled(left, keep)?;
            }
            pending = *op == Op::Apply;
            keep = pending && (keep || right.keep);
            left = match op {
                Op::And | Op::Or => self.logical(*op, left, right, input, frame)?,
                Op::Apply => self.pipe(left, right, input, frame)?,
                _ => {
                    let right = self.eval(right, input, frame)?;
                    self.binary(*op, left, right)?
                }
            };
        }
        Ok(left)
    }

    fn logical(&mut self, op: Op, left: Val<'e>, right: &'e Node, input: Val<'e>, frame: &'e Frame<'e>) -> Outcome<'e> {
        let left = self.holds(left)?;
        if left == (op == Op::Or) {
            return Ok(Val::Bool(left));
        }
        let right = self.eval(right, input, frame);
        if let Ok(Val::Bool(_)) = right {
            return right;
        }
        Ok(Val::Bool(self.holds(right?)?))
    }

    #[inline(never)]
    fn pipe(&mut self, left: Val<'e>, right: &'e Node, input: Val<'e>, frame: &'e Frame<'e>) -> Outcome<'e> {
        if let Kind::Call { procedure, args, .. } = &right.kind {
            return self.call(procedure, args, Some(left), input, frame);
        }
        let function = self.eval(right, input, frame)?;
        if !function.is_function() {
            return Err(Fault::new("T2006").value(function).into());
        }
        if left.is_function() {
            return Ok(Val::Fun(self.heap.alloc(Fun::Chain(left, function))?));
        }
        self.apply(function, &[left], Val::Null)
    }

    fn binary(&mut self, op: Op, left: Val<'e>, right: Val<'e>) -> Outcome<'e> {
        if let (Val::Num(a), Val::Num(b)) = (left, right)
            && let Some(value) = of_numbers(op, a, b)
        {
            return Ok(value);
        }
        match op {
            Op::Add | Op::Subtract | Op::Multiply | Op::Divide | Op::Remainder => Self::arithmetic(op, left, right),
            Op::Concat => {
                let mark = self.heap.text_mark();
                for side in [left, right] {
                    if !side.is_undefined() {
                        self.write_text(mark, side, None)?;
                    }
                }
                self.heap.take_text(mark)
            }
            Op::Equal | Op::Unequal => {
                let known = !left.is_undefined() && !right.is_undefined();
                Ok(Val::Bool(known && self.equal(left, right)? == (op == Op::Equal)))
            }
            Op::In => self.contains(left, right),
            _ => self.compare(op, left, right),
        }
    }

    fn contains(&mut self, left: Val<'e>, right: Val<'e>) -> Outcome<'e> {
        if left.is_undefined() || right.is_undefined() {
            return Ok(Val::Bool(false));
        }
        let items = right.items();
        self.budget.step(items.len())?;
        Ok(Val::Bool(items.iter().any(|item| item.same(left))))
    }

    fn arithmetic(op: Op, left: Val<'e>, right: Val<'e>) -> Outcome<'e> {
        let left = operand(op, "T2001", left)?;
        let right = operand(op, "T2002", right)?;
        let (Some(left), Some(right)) = (left, right) else { return Ok(Val::Undefined) };
        Ok(Val::Num(computed(op, left, right)))
    }

    fn compare(&mut self, op: Op, left: Val<'e>, right: Val<'e>) -> Outcome<'e> {
        let comparable = |value| matches!(letter(value), b's' | b'n' | b'm');
        if !comparable(left) || !comparable(right) {
            let wrong = if matches!(letter(left), b's' | b'n') { right } else { left };
            return Err(Fault::new("T2010").token(op.symbol()).value(wrong).into());
        }
        if left.is_undefined() || right.is_undefined() {
            return Ok(Val::Undefined);
        }
        let order = match (left, right) {
            (Val::Str(a), Val::Str(b)) => {
                self.budget.step(a.len().min(b.len()) / 64)?;
                Some(compare_texts(a, b))
            }
            _ => match (left.num(), right.num()) {
                (Some(a), Some(b)) => a.partial_cmp(&b),
                _ => return Err(Fault::new("T2009").token(op.symbol()).value(left).value2(right).into()),
            },
        };
        Ok(Val::Bool(order.is_some_and(|order| match op {
            Op::Less => order.is_lt(),
            Op::LessEqual => order.is_le(),
            Op::Greater => order.is_gt(),
            _ => order.is_ge(),
        })))
    }
}

/// An operator over numbers, where it is one of numbers and both are finite.
fn of_numbers<'e>(op: Op, left: f64, right: f64) -> Option<Val<'e>> {
    if !left.is_finite() || !right.is_finite() {
        return None;
    }
    Some(match op {
        Op::Less => Val::Bool(left < right),
        Op::LessEqual => Val::Bool(left <= right),
        Op::Greater => Val::Bool(left > right),
        Op::GreaterEqual => Val::Bool(left >= right),
        Op::Add | Op::Subtract | Op::Multiply | Op::Divide | Op::Remainder => Val::Num(computed(op, left, right)),
        _ => return None,
    })
}

fn computed(op: Op, left: f64, right: f64) -> f64 {
    match op {
        Op::Add => left + right,
        Op::Subtract => left - right,
        Op::Multiply => left * right,
        Op::Divide => left / right,
        _ => left % right,
    }
}

/// A number to compute with; nothing stays nothing.
fn operand(op: Op, code: &'static str, value: Val<'_>) -> Result<Option<f64>, Stop> {
    if value.is_undefined() {
        return Ok(None);
    }
    match finite(value)? {
        Some(n) => Ok(Some(n)),
        None => Err(Fault::new(code).token(op.symbol()).value(value).into()),
    }
}
