//! Order: by the terms of `^(...)`, and by a function as `$sort` takes one.

use std::cmp::Ordering;

use super::super::error::{Fault, Stop};
use super::super::syntax::tree::Term;
use super::super::value::{Tuple, Val, compare_texts, letter};
use super::tuples::Tuples;
use super::{Frame, Machine};

impl<'e> Machine<'e> {
    /// Orders the items on the heap's stack from `mark` on.
    pub(super) fn sort_items(&mut self, terms: &'e [Term], mark: usize, frame: &'e Frame<'e>) -> Result<(), Stop> {
        let count = self.heap.pushed(mark).len();
        let order = self.order(terms, count, |machine, at| Ok((machine.heap.pushed(mark)[at], frame)))?;
        for at in &order {
            let item = self.heap.pushed(mark)[*at as usize];
            self.heap.push(item)?;
        }
        self.heap.drop_between(mark, mark + count);
        self.heap.release(count * size_of::<u32>());
        Ok(())
    }

    pub(super) fn sort_tuples(
        &mut self,
        terms: &'e [Term],
        tuples: &'e [Tuple<'e>],
        frame: &'e Frame<'e>,
    ) -> Result<&'e [Tuple<'e>], Stop> {
        let order = self.order(terms, tuples.len(), |machine, at| {
            let tuple = tuples[at];
            Ok((tuple.at, machine.heap.tuple_frame(frame, tuple.binds)?))
        })?;
        let mut out = Tuples::default();
        for at in &order {
            out.push(self, tuples[*at as usize])?;
        }
        self.heap.release(tuples.len() * size_of::<u32>());
        out.take(self)
    }

    /// The keys of a term once for each item; a further term only within runs of equal ones.
    fn order(
        &mut self,
        terms: &'e [Term],
        count: usize,
        item: impl Fn(&mut Self, usize) -> Result<(Val<'e>, &'e Frame<'e>), Stop>,
    ) -> Result<Vec<u32>, Stop> {
        self.heap.reserve(count * size_of::<u32>())?;
        let mut order: Vec<u32> = (0..u32::try_from(count).unwrap_or(u32::MAX)).collect();
        if count < 2 {
            return Ok(order);
        }
        // Runs of equals, as their ends.
        let run_bytes = count * size_of::<usize>();
        self.heap.reserve(2 * run_bytes)?;
        self.budget.enter()?;
        let mut ends = vec![count];
        let keys = self.heap.mark();
        for _ in 0..count {
            self.heap.push(Val::Undefined)?;
        }
        for term in terms {
            let mut next = Vec::with_capacity(ends.len());
            let mut start = 0;
            for end in ends {
                if end - start > 1 {
                    for at in &order[start..end] {
                        let (value, frame) = item(self, *at as usize)?;
                        let key = self.eval(&term.key, value, frame)?;
                        self.heap.pushed_mut(keys)[*at as usize] = key;
                    }
                    self.check_keys(&order[start..end], keys)?;
                    self.budget.step((end - start) * (usize::BITS - (end - start).leading_zeros()) as usize)?;
                    let key = |at: u32| self.heap.pushed(keys)[at as usize];
                    order[start..end].sort_by(|a, b| by_key(key(*a), key(*b), term.descending));
                    for at in start + 1..end {
                        if by_key(key(order[at - 1]), key(order[at]), false) != Ordering::Equal {
                            next.push(at);
                        }
                    }
                }
                next.push(end);
                start = end;
            }
            ends = next;
        }
        self.budget.leave();
        self.heap.forget(keys);
        self.heap.release(2 * run_bytes);
        Ok(order)
    }

    /// Keys are texts or numbers, all of one kind; missing ones come last.
    fn check_keys(&mut self, order: &[u32], keys: usize) -> Result<(), Stop> {
        let key = |at: &u32| self.heap.pushed(keys)[*at as usize];
        let mut defined = order.iter().map(key).filter(|key| !key.is_undefined());
        let Some(mut first) = defined.next() else { return Ok(()) };
        let mut text = 0;
        for second in defined {
            for side in [first, second] {
                if !matches!(letter(side), b's' | b'n') {
                    return Err(Fault::new("T2008").value(side).into());
                }
            }
            if letter(first) != letter(second) {
                return Err(Fault::new("T2007").value(first).value2(second).into());
            }
            text += second.text().map_or(0, str::len);
            first = second;
        }
        self.budget.step(order.len() + text / 64)
    }
}

fn by_key(a: Val<'_>, b: Val<'_>, descending: bool) -> Ordering {
    let order = match (a, b) {
        (Val::Undefined, Val::Undefined) => return Ordering::Equal,
        (Val::Undefined, _) => return Ordering::Greater,
        (_, Val::Undefined) => return Ordering::Less,
        (Val::Str(a), Val::Str(b)) => compare_texts(a, b),
        _ => a.num().unwrap_or(f64::NAN).partial_cmp(&b.num().unwrap_or(f64::NAN)).unwrap_or(Ordering::Equal),
    };
    if descending { order.reverse() } else { order }
}

/// The reference's merge sort over the items on the heap's stack from `mark` on: halves, then the right one first where
/// `swap` says so. Its answer is visible where the function is no order.
pub(in crate::query::jsonata) fn merge_sort<'e>(
    machine: &mut Machine<'e>,
    from: usize,
    to: usize,
    swap: &mut impl FnMut(&mut Machine<'e>, Val<'e>, Val<'e>) -> Result<bool, Stop>,
) -> Result<(), Stop> {
    if to - from < 2 {
        return Ok(());
    }
    let middle = from + (to - from) / 2;
    merge_sort(machine, from, middle, swap)?;
    merge_sort(machine, middle, to, swap)?;
    let merged = machine.heap.mark();
    let (mut left, mut right) = (from, middle);
    while left < middle || right < to {
        machine.step(1)?;
        let takes_right = if left == middle {
            true
        } else if right == to {
            false
        } else {
            let (a, b) = (machine.heap.pushed(left)[0], machine.heap.pushed(right)[0]);
            swap(machine, a, b)?
        };
        let at = if takes_right { &mut right } else { &mut left };
        let value = machine.heap.pushed(*at)[0];
        *at += 1;
        machine.heap.push(value)?;
    }
    machine.heap.move_down(merged, from);
    Ok(())
}
