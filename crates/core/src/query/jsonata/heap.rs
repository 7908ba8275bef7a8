//! Where values are made. Everything an evaluation makes is counted against one limit: the arena, and the scratch
//! space in which arrays, objects and texts grow before they are moved there in their final size.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;

use bumpalo::Bump;

use super::error::{Bound, Stop};
use super::eval::Machine;
use super::value::{Array, Bind, Fields, Frame, Items, LEVELS_MAX, Object, Tuple, Val, Var};

/// Objects with more fields than this are searched by a sorted index.
const LINEAR_FIELDS: usize = 8;

/// Bytes of an evaluation's arena to begin with: enough for most.
const ARENA_BYTES: usize = 4000;
/// Entries of scratch space to begin with.
const SCRATCH: usize = 32;

thread_local! {
    static ROOM: Cell<Option<Room>> = const { Cell::new(None) };
}

/// Memory that an evaluation leaves to the next evaluation of its thread: most allocate no more than their result. New
/// memory has the same size, so that a bound does not depend on earlier evaluations.
pub(super) struct Room {
    pub bump: Bump,
    pub scratch: Scratch<'static>,
    bytes: usize,
}

impl Room {
    pub(super) fn take() -> Self {
        ROOM.take().unwrap_or_else(|| {
            let bump = Bump::with_capacity(ARENA_BYTES);
            let bytes = bump.allocated_bytes();
            Self { bump, scratch: Scratch::default(), bytes }
        })
    }

    /// An arena that has grown is not kept.
    pub(super) fn leave(mut self) {
        if self.bump.allocated_bytes() == self.bytes {
            self.bump.reset();
            ROOM.set(Some(self));
        }
    }
}

/// The stacks on which arrays and objects grow.
#[derive(Default)]
pub(super) struct Scratch<'e> {
    vals: Vec<Val<'e>>,
    fields: Vec<(&'e str, Val<'e>)>,
}

impl Scratch<'_> {
    /// Empty ones in the same memory, for other values.
    pub(super) fn emptied<'n>(self) -> Scratch<'n> {
        fn again<T, U>(mut used: Vec<T>) -> Vec<U> {
            used.clear();
            // The memory is kept where both types have one layout.
            let kept: Vec<U> = used.into_iter().map(|_| unreachable!("it was cleared")).collect();
            if kept.capacity() == SCRATCH { kept } else { Vec::with_capacity(SCRATCH) }
        }
        Scratch { vals: again(self.vals), fields: again(self.fields) }
    }
}

pub(super) struct Heap<'e> {
    bump: &'e Bump,
    limit: usize,
    text_limit: usize,
    /// Bytes of scratch space, which the arena may not use.
    outside: usize,
    vals: Vec<Val<'e>>,
    fields: Vec<(&'e str, Val<'e>)>,
    tuples: Vec<Tuple<'e>>,
    groups: Vec<Group<'e>>,
    text: String,
}

/// Items that a grouping puts together under one key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group<'e> {
    pub key: &'e str,
    /// Which pair of the grouping made the key.
    pub pair: usize,
    pub first: Tuple<'e>,
    /// Further items, from the last to the first.
    pub rest: Option<&'e Link<'e>>,
}

#[derive(Debug)]
pub(super) struct Link<'e> {
    pub item: Tuple<'e>,
    pub before: Option<&'e Self>,
}

impl fmt::Debug for Heap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap").field("outside", &self.outside).finish_non_exhaustive()
    }
}

impl<'e> Heap<'e> {
    pub(super) fn new(bump: &'e Bump, scratch: Scratch<'e>, limit: usize, text_limit: usize) -> Self {
        let Scratch { vals, fields } = scratch;
        let outside = vals.capacity() * size_of::<Val<'_>>() + fields.capacity() * size_of::<(&str, Val<'_>)>();
        bump.set_allocation_limit(Some(limit.saturating_sub(outside)));
        Self {
            bump,
            limit,
            text_limit,
            outside,
            vals,
            fields,
            tuples: Vec::new(),
            groups: Vec::new(),
            text: String::new(),
        }
    }

    pub(super) fn into_scratch(self) -> Scratch<'e> {
        Scratch { vals: self.vals, fields: self.fields }
    }

    pub(super) fn left(&self) -> usize {
        self.limit.saturating_sub(self.bump.allocated_bytes() + self.outside)
    }

    /// Takes bytes outside of the arena into account.
    pub(super) fn reserve(&mut self, bytes: usize) -> Result<(), Stop> {
        let outside = self.outside.saturating_add(bytes);
        if bytes > self.left() {
            return Err(Bound::Memory.into());
        }
        self.outside = outside;
        self.bump.set_allocation_limit(Some(self.limit.saturating_sub(outside)));
        Ok(())
    }

    pub(super) fn release(&mut self, bytes: usize) {
        self.outside = self.outside.saturating_sub(bytes);
        self.bump.set_allocation_limit(Some(self.limit.saturating_sub(self.outside)));
    }

    /// Room for more in a scratch vector: old and new lie side by side while it grows.
    fn grow(&mut self, len: usize, capacity: usize, size: usize, more: usize) -> Result<usize, Stop> {
        let wanted = (capacity * 2).max(len + more).max(SCRATCH);
        self.reserve(wanted * size)?;
        self.release(capacity * size);
        Ok(wanted - len)
    }

    pub(super) fn alloc<T>(&self, value: T) -> Result<&'e T, Stop> {
        self.bump.try_alloc(value).map(|place| &*place).map_err(|_| Bound::Memory.into())
    }

    pub(super) fn slice<T: Copy>(&self, items: &[T]) -> Result<&'e [T], Stop> {
        if items.is_empty() {
            return Ok(&[]);
        }
        self.bump.try_alloc_slice_copy(items).map(|place| &*place).map_err(|_| Bound::Memory.into())
    }

    pub(super) fn str(&self, text: &str) -> Result<&'e str, Stop> {
        if text.len() > self.text_limit {
            return Err(Bound::Text.into());
        }
        self.bump.try_alloc_str(text).map(|place| &*place).map_err(|_| Bound::Memory.into())
    }

    // Arrays.

    pub(super) fn mark(&self) -> usize {
        self.vals.len()
    }

    pub(super) fn push(&mut self, value: Val<'e>) -> Result<(), Stop> {
        if self.vals.len() == self.vals.capacity() {
            let more = self.grow(self.vals.len(), self.vals.capacity(), size_of::<Val<'_>>(), 1)?;
            self.vals.reserve_exact(more);
        }
        self.vals.push(value);
        Ok(())
    }

    pub(super) fn pushed(&self, mark: usize) -> &[Val<'e>] {
        &self.vals[mark..]
    }

    pub(super) fn pushed_mut(&mut self, mark: usize) -> &mut [Val<'e>] {
        &mut self.vals[mark..]
    }

    pub(super) fn forget(&mut self, mark: usize) {
        self.vals.truncate(mark);
    }

    /// Drops the values between the two marks.
    pub(super) fn drop_between(&mut self, from: usize, to: usize) {
        let len = self.vals.len();
        self.vals.copy_within(to..len, from);
        self.vals.truncate(from + len - to);
    }

    /// Moves the values from `from` on down to `to`, over those there.
    pub(super) fn move_down(&mut self, from: usize, to: usize) {
        let len = self.vals.len();
        self.vals.copy_within(from..len, to);
        self.vals.truncate(from);
    }

    /// The values from the mark on, as a slice in the arena.
    pub(super) fn take(&mut self, mark: usize) -> Result<&'e [Val<'e>], Stop> {
        let taken = self.slice(&self.vals[mark..])?;
        self.vals.truncate(mark);
        Ok(taken)
    }

    /// The values from the mark on, as an array.
    pub(super) fn take_array(&mut self, mark: usize, flags: u8) -> Result<Val<'e>, Stop> {
        let items = self.take(mark)?;
        self.array(items, flags)
    }

    pub(super) fn array(&self, items: &'e [Val<'e>], flags: u8) -> Result<Val<'e>, Stop> {
        let levels = above(items.iter().map(|item| item.levels()))?;
        self.alloc(Array { items: Items::Vals(items), flags, levels }).map(Val::Array)
    }

    /// Whole numbers from `from` on. None is stored: they are counted when they are looked at.
    pub(super) fn range(&mut self, from: f64, len: usize) -> Result<Val<'e>, Stop> {
        self.alloc(Array { items: Items::Range { from, len }, flags: 0, levels: 1 }).map(Val::Array)
    }

    /// The same items under other flags.
    pub(super) fn flagged(&self, value: Val<'e>, flags: u8) -> Result<Val<'e>, Stop> {
        match value.array() {
            Some(_) if value.flags() == flags => Ok(value),
            Some(items) => self.alloc(Array { items, flags, levels: value.levels() }).map(Val::Array),
            None => Ok(value),
        }
    }

    // Objects.

    pub(super) fn field_mark(&self) -> usize {
        self.fields.len()
    }

    /// Adds a field whose name is new to the object.
    pub(super) fn push_field(&mut self, name: &'e str, value: Val<'e>) -> Result<(), Stop> {
        if self.fields.len() == self.fields.capacity() {
            let more = self.grow(self.fields.len(), self.fields.capacity(), size_of::<(&str, Val<'_>)>(), 1)?;
            self.fields.reserve_exact(more);
        }
        self.fields.push((name, value));
        Ok(())
    }

    pub(super) fn pushed_fields(&mut self, mark: usize) -> &mut [(&'e str, Val<'e>)] {
        &mut self.fields[mark..]
    }

    pub(super) fn take_object(&mut self, mark: usize) -> Result<Val<'e>, Stop> {
        let object = self.object(&self.fields[mark..])?;
        self.fields.truncate(mark);
        Ok(Val::Object(object))
    }

    pub(super) fn take_fields(&mut self, mark: usize) -> Result<Fields<'e>, Stop> {
        let fields = self.slice(&self.fields[mark..])?;
        self.fields.truncate(mark);
        Ok(fields)
    }

    pub(super) fn object(&self, fields: &[(&'e str, Val<'e>)]) -> Result<&'e Object<'e>, Stop> {
        let fields: Fields<'e> = self.slice(fields)?;
        let levels = above(fields.iter().map(|(_, value)| value.levels()))?;
        let order = self.order(fields)?;
        self.alloc(Object { fields: fields.into(), order: order.into(), levels: levels.into() })
    }

    pub(super) fn order(&self, fields: Fields<'e>) -> Result<&'e [u32], Stop> {
        if fields.len() <= LINEAR_FIELDS {
            return Ok(&[]);
        }
        let order = self.bump.try_alloc_slice_fill_with(fields.len(), |at| u32::try_from(at).unwrap_or(u32::MAX));
        let order = order.map_err(|_| Stop::from(Bound::Memory))?;
        order.sort_unstable_by_key(|at| fields[*at as usize].0);
        Ok(order)
    }

    // Tuples and groups.

    pub(super) fn push_tuple(&mut self, tuple: Tuple<'e>) -> Result<(), Stop> {
        if self.tuples.len() == self.tuples.capacity() {
            let more = self.grow(self.tuples.len(), self.tuples.capacity(), size_of::<Tuple<'_>>(), 1)?;
            self.tuples.reserve_exact(more);
        }
        self.tuples.push(tuple);
        Ok(())
    }

    /// The last `len` tuples.
    pub(super) fn take_tuples(&mut self, len: usize) -> Result<&'e [Tuple<'e>], Stop> {
        let from = self.tuples.len() - len;
        let taken = self.slice(&self.tuples[from..])?;
        self.tuples.truncate(from);
        Ok(taken)
    }

    pub(super) fn group_mark(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn push_group(&mut self, group: Group<'e>) -> Result<(), Stop> {
        if self.groups.len() == self.groups.capacity() {
            let more = self.grow(self.groups.len(), self.groups.capacity(), size_of::<Group<'_>>(), 1)?;
            self.groups.reserve_exact(more);
        }
        self.groups.push(group);
        Ok(())
    }

    pub(super) fn groups(&mut self, mark: usize) -> &mut [Group<'e>] {
        &mut self.groups[mark..]
    }

    pub(super) fn forget_groups(&mut self, mark: usize) {
        self.groups.truncate(mark);
    }

    pub(super) fn group_key(&self, at: usize) -> &'e str {
        self.groups[at].key
    }

    // Frames.

    pub(super) fn frame(&self, parent: &'e Frame<'e>) -> Result<&'e Frame<'e>, Stop> {
        self.alloc(Frame { parent: Some(parent), vars: None.into(), tuple: None })
    }

    pub(super) fn tuple_frame(
        &self,
        parent: &'e Frame<'e>,
        tuple: Option<&'e Bind<'e>>,
    ) -> Result<&'e Frame<'e>, Stop> {
        self.alloc(Frame { parent: Some(parent), vars: None.into(), tuple })
    }

    pub(super) fn bind(&self, frame: &'e Frame<'e>, name: u32, value: Val<'e>) -> Result<(), Stop> {
        if !frame.assign(name, value) {
            let var = self.alloc(Var { name, value: value.into(), next: frame.vars.get() })?;
            frame.vars.set(Some(var));
        }
        Ok(())
    }

    // Texts.

    pub(super) fn text_mark(&self) -> usize {
        self.text.len()
    }

    pub(super) fn write(&mut self, mark: usize, text: &str) -> Result<(), Stop> {
        if self.text.len() - mark + text.len() > self.text_limit {
            return Err(Bound::Text.into());
        }
        if self.text.len() + text.len() > self.text.capacity() {
            let more = self.grow(self.text.len(), self.text.capacity(), 1, text.len())?;
            self.text.reserve_exact(more);
        }
        self.text.push_str(text);
        Ok(())
    }

    pub(super) fn take_text(&mut self, mark: usize) -> Result<Val<'e>, Stop> {
        let text = self.str(&self.text[mark..])?;
        self.text.truncate(mark);
        Ok(Val::Str(text))
    }
}

/// One level more than the deepest of these.
fn above(levels: impl Iterator<Item = u8>) -> Result<u8, Stop> {
    match levels.max().unwrap_or(0) {
        LEVELS_MAX => Err(Bound::Nesting.into()),
        // A container of the payload may lie in containers that were made, up to the bound of those.
        deepest => Ok(deepest + 1),
    }
}

/// Places of names in a growing object, found by hash once there are many.
#[derive(Debug, Default)]
pub(super) struct Names<'e> {
    map: HashMap<&'e str, usize>,
    seen: usize,
    reserved: usize,
}

impl<'e> Names<'e> {
    /// Bytes of an entry of the table, growth included.
    const ENTRY: usize = 96;

    /// The place of a name among `names`, all of which were asked for in their order.
    pub(super) fn find(
        &mut self,
        heap: &mut Heap<'e>,
        name: &str,
        len: usize,
        names: impl Fn(&Heap<'e>, usize) -> &'e str,
    ) -> Result<Option<usize>, Stop> {
        if len <= 16 {
            return Ok((0..len).find(|at| names(heap, *at) == name));
        }
        while self.seen < len {
            heap.reserve(Self::ENTRY)?;
            self.reserved += Self::ENTRY;
            self.map.insert(names(heap, self.seen), self.seen);
            self.seen += 1;
        }
        Ok(self.map.get(name).copied())
    }

    pub(super) fn done(self, heap: &mut Heap<'e>) {
        heap.release(self.reserved);
    }
}

/// An object whose fields may come more than once: the last value counts, at the place of the first.
#[derive(Debug)]
pub(super) struct Merge<'e> {
    mark: usize,
    names: Names<'e>,
}

impl<'e> Merge<'e> {
    pub(super) fn new(machine: &Machine<'e>) -> Self {
        Self { mark: machine.heap.field_mark(), names: Names::default() }
    }

    /// Begins with the fields of one object, whose names are distinct.
    pub(super) fn over(machine: &mut Machine<'e>, fields: Fields<'e>) -> Result<Self, Stop> {
        let merge = Self::new(machine);
        machine.step(fields.len())?;
        for (name, value) in fields {
            machine.heap.push_field(name, *value)?;
        }
        Ok(merge)
    }

    /// True where the name is a new one.
    pub(super) fn set(&mut self, machine: &mut Machine<'e>, name: &'e str, value: Val<'e>) -> Result<bool, Stop> {
        machine.step(1)?;
        let (heap, mark) = (&mut machine.heap, self.mark);
        let len = heap.fields.len() - mark;
        match self.names.find(heap, name, len, |heap, at| heap.fields[mark + at].0)? {
            Some(at) => {
                heap.pushed_fields(mark)[at].1 = value;
                Ok(false)
            }
            None => heap.push_field(name, value).map(|()| true),
        }
    }

    /// Leaves the fields on the heap's stack, from the mark on that it gives.
    pub(super) fn finish(self, machine: &mut Machine<'e>) -> usize {
        self.names.done(&mut machine.heap);
        self.mark
    }

    pub(super) fn take(self, machine: &mut Machine<'e>) -> Result<Val<'e>, Stop> {
        self.names.done(&mut machine.heap);
        machine.heap.take_object(self.mark)
    }
}
