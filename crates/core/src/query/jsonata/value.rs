//! Values of one evaluation. They are `Copy`: payload, program and arena outlive all of them (`'e`), so nothing is
//! converted on the way in, counted or dropped.

use std::cell::Cell;
use std::cmp::Ordering;

use serde_json::Value;

use super::builtins::Native;
use super::number;
use super::syntax::regex::Pattern;
use super::syntax::tree::{Lambda, Name, Sym, Transform};

/// The tag takes eight bytes, so that a copy is three whole words: with a tag of one byte the compiler copies odd
/// pieces, and each read of a value that was just written waits for them.
#[derive(Clone, Copy)]
#[repr(u64)]
pub(super) enum Val<'e> {
    Undefined,
    Null,
    Bool(bool),
    Num(f64),
    Str(&'e str),
    /// An array or object of the payload, or an integer of it that a double does not hold.
    Json(&'e Value),
    Array(&'e Array<'e>),
    Object(&'e Object<'e>),
    Native(&'static Native),
    Fun(&'e Fun<'e>),
    /// Items with their bindings, between the steps of a path that binds. No function ever sees it.
    Tuples(&'e [Tuple<'e>]),
    /// A call in tail position, parked in the machine.
    Tail,
}

/// The result of a step, a function or an order-by: a single item stands for itself.
pub(super) const SEQUENCE: u8 = 1;
/// `[]`: a single item stays an array.
pub(super) const KEEP: u8 = 2;
/// Made by `[...]` as a step: it is not flattened.
pub(super) const CONS: u8 = 4;
/// An input document that is an array, as the only item of this one.
pub(super) const OUTER: u8 = 8;

/// Containers that an evaluation makes may nest this deep.
pub(super) const LEVELS_MAX: u8 = 200;
/// The count for a container of the payload: the JSON reader's bound.
const LEVELS_OF_PAYLOAD: u8 = 128;

#[derive(Debug)]
pub(super) struct Array<'e> {
    pub items: Items<'e>,
    pub flags: u8,
    pub levels: u8,
}

/// A view of items, in the arena or in the payload.
#[derive(Debug, Clone, Copy)]
pub(super) enum Items<'e> {
    Vals(&'e [Val<'e>]),
    Json(&'e [Value]),
    /// Whole numbers, counted up.
    Range {
        from: f64,
        len: usize,
    },
    /// A value that is no array, as if it stood alone in one.
    One(Val<'e>),
}

pub(super) type Fields<'e> = &'e [(&'e str, Val<'e>)];

/// An object that was made. Only a transform changes fields, and only those of its own clone.
#[derive(Debug)]
pub(super) struct Object<'e> {
    pub fields: Cell<Fields<'e>>,
    /// Positions of the fields in the order of their names, for objects with many.
    pub order: Cell<&'e [u32]>,
    pub levels: Cell<u8>,
}

#[derive(Debug)]
pub(super) enum Fun<'e> {
    Lambda {
        lambda: &'e Lambda,
        input: Val<'e>,
        frame: &'e Frame<'e>,
    },
    /// A lambda some of whose parameters are bound already.
    Partial {
        lambda: &'e Lambda,
        input: Val<'e>,
        frame: &'e Frame<'e>,
        open: &'e [Sym],
    },
    /// A built-in function with some arguments; `None` is an open one.
    PartialNative {
        target: Val<'e>,
        args: &'e [Option<Val<'e>>],
    },
    /// A function that was passed as an argument: it has no name, no signature and no context any more.
    Passed(Val<'e>),
    /// First one, then the other.
    Chain(Val<'e>, Val<'e>),
    Regex(&'e Pattern),
    /// The search for the next match, from a position in bytes.
    Next {
        pattern: &'e Pattern,
        text: &'e str,
        from: usize,
    },
    Transform {
        transform: &'e Transform,
        frame: &'e Frame<'e>,
    },
}

/// Variables of a block, a call or a tuple. Captured by reference: a function sees later assignments.
#[derive(Debug)]
pub(super) struct Frame<'e> {
    pub parent: Option<&'e Self>,
    pub vars: Cell<Option<&'e Var<'e>>>,
    pub tuple: Option<&'e Bind<'e>>,
}

#[derive(Debug)]
pub(super) struct Var<'e> {
    pub name: Sym,
    pub value: Cell<Val<'e>>,
    pub next: Option<&'e Self>,
}

/// One item of a path that binds variables (`@`, `#`) or parents (`%`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Tuple<'e> {
    pub at: Val<'e>,
    pub binds: Option<&'e Bind<'e>>,
}

#[derive(Debug)]
pub(super) struct Bind<'e> {
    pub name: Sym,
    pub value: Val<'e>,
    pub next: Option<&'e Self>,
}

impl std::fmt::Debug for Val<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(kind_name(*self)) // payloads are not for logs
    }
}

/// The letter of a type in signatures, `m` for nothing.
pub(super) fn letter(value: Val<'_>) -> u8 {
    match value {
        Val::Undefined | Val::Tail => b'm',
        Val::Null => b'l',
        Val::Bool(_) => b'b',
        Val::Num(_) => b'n',
        Val::Str(_) => b's',
        Val::Array(_) | Val::Tuples(_) => b'a',
        Val::Object(_) => b'o',
        Val::Native(_) | Val::Fun(_) => b'f',
        Val::Json(json) => match json {
            Value::Array(_) => b'a',
            Value::Object(_) => b'o',
            _ => b'n',
        },
    }
}

/// The type as `$type` says it.
pub(super) fn kind_name(value: Val<'_>) -> &'static str {
    match letter(value) {
        b'l' => "null",
        b'b' => "boolean",
        b'n' => "number",
        b's' => "string",
        b'a' => "array",
        b'o' => "object",
        b'f' => "function",
        _ => "undefined",
    }
}

impl<'e> Val<'e> {
    pub(super) fn of(json: &'e Value) -> Self {
        match json {
            Value::Null => Self::Null,
            Value::Bool(b) => Self::Bool(*b),
            Value::String(s) => Self::Str(s),
            Value::Array(_) | Value::Object(_) => Self::Json(json),
            Value::Number(n) => {
                let double = n.as_f64().unwrap_or(f64::NAN);
                // Measured on AWS: a number that is no `long` is a double.
                let long = n.as_i64().is_some();
                if !long || double.abs() <= number::EXACT { Self::Num(double) } else { Self::Json(json) }
            }
        }
    }

    pub(super) fn num(self) -> Option<f64> {
        match self {
            Self::Num(n) => Some(n),
            Self::Json(Value::Number(n)) => n.as_f64(),
            _ => None,
        }
    }

    pub(super) fn text(self) -> Option<&'e str> {
        match self {
            Self::Str(s) => Some(s),
            _ => None,
        }
    }

    /// The items, if this is an array.
    pub(super) fn array(self) -> Option<Items<'e>> {
        match self {
            Self::Array(array) => Some(array.items),
            Self::Json(Value::Array(items)) => Some(Items::Json(items)),
            _ => None,
        }
    }

    /// The items, where any other value counts as a single one.
    pub(super) fn items(self) -> Items<'e> {
        self.array().unwrap_or(Items::One(self))
    }

    pub(super) fn is_undefined(self) -> bool {
        matches!(self, Self::Undefined)
    }

    pub(super) fn is_function(self) -> bool {
        matches!(self, Self::Native(_) | Self::Fun(_))
    }

    pub(super) fn is_object(self) -> bool {
        matches!(self, Self::Object(_) | Self::Json(Value::Object(_)))
    }

    pub(super) fn flags(self) -> u8 {
        match self {
            Self::Array(array) => array.flags,
            _ => 0,
        }
    }

    pub(super) fn levels(self) -> u8 {
        match self {
            Self::Array(array) => array.levels,
            Self::Object(object) => object.levels.get(),
            Self::Json(Value::Array(_) | Value::Object(_)) => LEVELS_OF_PAYLOAD,
            _ => 0,
        }
    }

    /// A field of an object; `Undefined` for anything else.
    pub(super) fn field(self, name: &str) -> Self {
        match self {
            Self::Object(object) => object.get(name),
            Self::Json(Value::Object(fields)) => fields.get(name).map_or(Self::Undefined, Val::of),
            _ => Self::Undefined,
        }
    }

    /// As [`Self::field`], for a name that the expression holds.
    pub(super) fn named(self, name: &Name) -> Self {
        match self {
            Self::Json(Value::Object(fields)) => name.find(fields).map_or(Self::Undefined, Val::of),
            other => other.field(&name.text),
        }
    }

    /// The number of fields of an object.
    pub(super) fn width(self) -> usize {
        match self {
            Self::Object(object) => object.fields.get().len(),
            Self::Json(Value::Object(fields)) => fields.len(),
            _ => 0,
        }
    }

    /// The fields of an object in their order; none for anything else.
    pub(super) fn fields(self) -> FieldIter<'e> {
        match self {
            Self::Object(object) => FieldIter::Made(object.fields.get().iter()),
            Self::Json(Value::Object(fields)) => FieldIter::Json(fields.iter()),
            _ => FieldIter::Made([].iter()),
        }
    }

    /// The same thing, as `in` and `$distinct`'s first look see it: scalars by value, containers by place.
    pub(super) fn same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Str(a), Self::Str(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => std::ptr::eq(a, b),
            (Self::Object(a), Self::Object(b)) => std::ptr::eq(a, b),
            (Self::Fun(a), Self::Fun(b)) => std::ptr::eq(a, b),
            (Self::Native(a), Self::Native(b)) => std::ptr::eq(a, b),
            (Self::Json(a), Self::Json(b)) if std::ptr::eq(a, b) => true,
            _ => matches!((self.num(), other.num()), (Some(a), Some(b)) if a.partial_cmp(&b) == Some(Ordering::Equal)),
        }
    }
}

impl<'e> Items<'e> {
    pub(super) fn len(self) -> usize {
        match self {
            Self::Vals(items) => items.len(),
            Self::Json(items) => items.len(),
            Self::Range { len, .. } => len,
            Self::One(_) => 1,
        }
    }

    #[inline]
    pub(super) fn get(self, index: usize) -> Val<'e> {
        match self {
            Self::Vals(items) => items.get(index).copied().unwrap_or(Val::Undefined),
            Self::Json(items) => items.get(index).map_or(Val::Undefined, Val::of),
            #[expect(clippy::cast_precision_loss, reason = "the length is bounded far below 2^53")]
            Self::Range { from, len } if index < len => Val::Num(from + index as f64),
            Self::One(value) if index == 0 => value,
            Self::Range { .. } | Self::One(_) => Val::Undefined,
        }
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Val<'e>> {
        (0..self.len()).map(move |index| self.get(index))
    }
}

#[derive(Clone)]
pub(super) enum FieldIter<'e> {
    Made(std::slice::Iter<'e, (&'e str, Val<'e>)>),
    Json(serde_json::map::Iter<'e>),
}

impl<'e> Iterator for FieldIter<'e> {
    type Item = (&'e str, Val<'e>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Made(fields) => fields.next().copied(),
            Self::Json(fields) => fields.next().map(|(name, value)| (name.as_str(), Val::of(value))),
        }
    }
}

impl<'e> Object<'e> {
    pub(super) fn get(&self, name: &str) -> Val<'e> {
        self.position(name).map_or(Val::Undefined, |at| self.fields.get()[at].1)
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        let (fields, order) = (self.fields.get(), self.order.get());
        if order.len() == fields.len() && !order.is_empty() {
            return order.binary_search_by(|at| fields[*at as usize].0.cmp(name)).ok().map(|at| order[at] as usize);
        }
        fields.iter().position(|(own, _)| *own == name)
    }
}

impl<'e> Frame<'e> {
    /// The innermost value that is bound to the name.
    pub(super) fn lookup(&self, name: Sym) -> Option<Val<'e>> {
        let mut frame = self;
        loop {
            let mut var = frame.vars.get();
            while let Some(at) = var {
                if at.name == name {
                    return Some(at.value.get());
                }
                var = at.next;
            }
            let mut bind = frame.tuple;
            while let Some(at) = bind {
                if at.name == name {
                    return Some(at.value);
                }
                bind = at.next;
            }
            frame = frame.parent?;
        }
    }

    /// Assigns where the name is bound in this frame itself.
    pub(super) fn assign(&self, name: Sym, value: Val<'e>) -> bool {
        let mut var = self.vars.get();
        while let Some(at) = var {
            if at.name == name {
                at.value.set(value);
                return true;
            }
            var = at.next;
        }
        false
    }
}

/// The order of texts in JavaScript: by UTF-16 units, which differs from that of UTF-8 above U+FFFF only.
pub(super) fn compare_texts(a: &str, b: &str) -> Ordering {
    // Equal beginnings are passed over in pieces.
    let pieces = a.as_bytes().chunks(256).zip(b.as_bytes().chunks(256)).take_while(|(a, b)| a == b).count();
    let from = (256 * pieces).min(a.len()).min(b.len());
    let differ = a.as_bytes()[from..].iter().zip(&b.as_bytes()[from..]).position(|(a, b)| a != b);
    let Some(at) = differ.map(|at| at + from) else { return a.len().cmp(&b.len()) };
    let (x, y) = (a.as_bytes()[at], b.as_bytes()[at]);
    if x < 0xee && y < 0xee {
        return x.cmp(&y);
    }
    // From U+E000 on: the character begins at most three bytes earlier.
    let start = (0..=at).rev().find(|start| a.is_char_boundary(*start)).unwrap_or(0);
    a[start..].chars().take(2).flat_map(char_units).cmp(b[start..].chars().take(2).flat_map(char_units))
}

fn char_units(c: char) -> impl Iterator<Item = u16> {
    let mut units = [0; 2];
    let len = c.encode_utf16(&mut units).len();
    units.into_iter().take(len)
}
