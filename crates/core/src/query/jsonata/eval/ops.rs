//! Operators.

use std::cmp::Ordering;

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
        if links.iter().all(|(op, _)| *op == Op::Concat) {
            return self.concatenated(first, links, input, frame);
        }
        let mut left = self.eval(first, input, frame);
        let (mut keep, mut pending) = (first.keep, false);
        for (op, right) in links {
            let Ok(value) = &left else { return left };
            self.budget.step(1)?;
            // The result of a function is settled before it goes on; the last one when the chain is left.
            let value = if pending { self.settled(*value, keep)? } else { *value };
            pending = *op == Op::Apply;
            keep = pending && (keep || right.keep);
            left = match op {
                Op::And | Op::Or => {
                    let known = self.holds(value)?;
                    Ok(Val::Bool(if known == (*op == Op::Or) { known } else { self.test(right, input, frame)? }))
                }
                Op::Apply => self.pipe(value, right, input, frame),
                _ => self.operation(*op, &value, right, input, frame),
            };
        }
        left
    }

    #[inline(never)]
    fn operation(
        &mut self,
        op: Op,
        left: &Val<'e>,
        right: &'e Node,
        input: Val<'e>,
        frame: &'e Frame<'e>,
    ) -> Outcome<'e> {
        let right = self.eval(right, input, frame);
        if let (Val::Num(left), Ok(Val::Num(right))) = (left, &right)
            && left.is_finite()
            && right.is_finite()
            && !matches!(op, Op::Concat | Op::In)
        {
            return Ok(of_numbers(op, *left, *right));
        }
        self.binary(op, *left, right?)
    }

    /// `a & b & ...`: one text, in which each value is written when the next one is known.
    fn concatenated(
        &mut self,
        first: &'e Node,
        links: &'e [(Op, Node)],
        input: Val<'e>,
        frame: &'e Frame<'e>,
    ) -> Outcome<'e> {
        let mark = self.heap.text_mark();
        let mut before = Some(self.eval(first, input, frame)?);
        for (_, right) in links {
            self.budget.step(1)?;
            let right = self.eval(right, input, frame)?;
            if let Some(first) = before.take() {
                self.write_text(mark, first, None)?;
            }
            self.write_text(mark, right, None)?;
        }
        self.heap.take_text(mark)
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
        match op {
            Op::Add | Op::Subtract | Op::Multiply | Op::Divide | Op::Remainder => Self::arithmetic(op, left, right),
            Op::Concat => {
                let mark = self.heap.text_mark();
                self.write_text(mark, left, None)?;
                self.write_text(mark, right, None)?;
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
        Ok(of_numbers(op, left, right))
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

/// An operator over numbers that are finite.
fn of_numbers<'e>(op: Op, left: f64, right: f64) -> Val<'e> {
    match op {
        Op::Less => Val::Bool(left < right),
        Op::LessEqual => Val::Bool(left <= right),
        Op::Greater => Val::Bool(left > right),
        Op::GreaterEqual => Val::Bool(left >= right),
        Op::Unequal => Val::Bool(left.partial_cmp(&right) != Some(Ordering::Equal)),
        Op::Add => Val::Num(left + right),
        Op::Subtract => Val::Num(left - right),
        Op::Multiply => Val::Num(left * right),
        Op::Divide => Val::Num(left / right),
        Op::Remainder => Val::Num(left % right),
        _ => Val::Bool(left.partial_cmp(&right) == Some(Ordering::Equal)),
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
