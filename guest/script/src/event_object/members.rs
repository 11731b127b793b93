//! The members of an event's object, found by name.
//!
//! A small object is searched from the first member to the last one. A large one has an index, and
//! a member that is removed from it leaves a gap until half of the object is gaps: otherwise a
//! script that visits or removes each of many members would take quadratic time.

use std::collections::HashMap;
use std::ffi::c_int;
use std::rc::Rc;

use rquickjs::qjs;

use super::ArrayTrace;
use crate::value::{HeldName, HeldValue};

/// The number of members from which an object has an index. Up to here, a search through all names
/// is quicker, measured with names that are four bytes each.
const INDEXED_LENGTH_MIN: usize = 32;

/// QuickJS marks the name of a property that is an integer below 2^31 with this bit.
const INTEGER_NAME: qjs::JSAtom = 1 << 31;

/// The number of digits of the integers from 2^31 up to the last one that orders members, which
/// QuickJS keeps as strings.
const LARGE_INTEGER_DIGITS: usize = 10;

/// The largest integer that orders members: the largest index of an array.
const ORDERING_INTEGER_MAX: u32 = u32::MAX - 1;

/// A member of an object.
pub(super) struct ObjectMember {
    pub(super) name: HeldName,
    /// The positions of the key, of the value and of its end, if the value is that of the text.
    pub(super) place: Option<Place>,
    pub(super) slot: MemberSlot,
    /// Whether the property is writable, enumerable and configurable, as flags of QuickJS.
    pub(super) flags: c_int,
    /// The object of the text that a script has replaced by another value. Scripts often write
    /// `event.properties = {...event.properties, added: 1}`: the copy keeps the text of what it
    /// has not changed.
    pub(super) former: Option<HeldValue>,
}

/// The place of a member in the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) key: u32,
    pub(super) value: u32,
    pub(super) end: u32,
}

/// The value of a member.
pub(super) enum MemberSlot {
    /// No script has read it.
    Unread,
    Value(HeldValue, Option<Rc<ArrayTrace>>),
    /// A getter and a setter that a script has defined.
    Accessor(HeldValue, HeldValue),
}

/// The members in their order.
#[derive(Default)]
pub(super) struct ObjectMembers {
    /// The names while the object has no index. They are here, and not in the list alone, so that a
    /// search reads little memory.
    names: [qjs::JSAtom; INDEXED_LENGTH_MIN],
    /// `None` is a gap.
    list: Vec<Option<ObjectMember>>,
    /// The positions by name. `None` while the object is small.
    index: Option<HashMap<qjs::JSAtom, usize>>,
    gaps: usize,
    /// Whether a name in the text is an integer of ten digits.
    has_large_integers: bool,
}

impl ObjectMembers {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        ObjectMembers { list: Vec::with_capacity(capacity), ..ObjectMembers::default() }
    }

    /// The number of members.
    pub(super) fn len(&self) -> usize {
        self.list.len() - self.gaps
    }

    /// The position of a member, which is valid until a member is removed.
    pub(super) fn position(&self, name: qjs::JSAtom) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(&name).copied(),
            None => self.names[..self.list.len()].iter().position(|other| *other == name),
        }
    }

    pub(super) fn get(&self, name: qjs::JSAtom) -> Option<&ObjectMember> {
        self.at(self.position(name)?)
    }

    /// The member at a position.
    pub(super) fn at(&self, position: usize) -> Option<&ObjectMember> {
        self.list.get(position)?.as_ref()
    }

    pub(super) fn at_mut(&mut self, position: usize) -> Option<&mut ObjectMember> {
        self.list.get_mut(position)?.as_mut()
    }

    pub(super) fn get_mut(&mut self, name: qjs::JSAtom) -> Option<&mut ObjectMember> {
        let position = self.position(name)?;
        self.list[position].as_mut()
    }

    /// The members from a position on, with their positions.
    pub(super) fn from(&self, start: usize) -> impl Iterator<Item = (usize, &ObjectMember)> {
        let members = self.list.iter().enumerate().skip(start);
        members.filter_map(|(position, member)| Some((position, member.as_ref()?)))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &ObjectMember> {
        self.list.iter().flatten()
    }

    /// Adds a member whose name is new, at the end.
    pub(super) fn push(&mut self, member: ObjectMember) {
        let (name, position) = (member.name.get(), self.list.len());
        self.list.push(Some(member));
        match &mut self.index {
            Some(index) => {
                index.insert(name, position);
            }
            None if position < INDEXED_LENGTH_MIN => self.names[position] = name,
            None => self.build_index(),
        }
    }

    /// Removes a member. Its values are released when the caller drops it.
    pub(super) fn remove(&mut self, position: usize) -> Option<ObjectMember> {
        let Some(index) = &mut self.index else {
            self.names.copy_within(position + 1..self.list.len(), position);
            return self.list.remove(position);
        };
        let removed = self.list[position].take();
        if let Some(member) = &removed {
            index.remove(&member.name.get());
            self.gaps += 1;
        }
        if self.gaps > self.list.len() / 2 {
            self.list.retain(Option::is_some);
            self.gaps = 0;
            self.build_index();
        }
        removed
    }

    fn build_index(&mut self) {
        let members = self.from(0);
        self.index =
            Some(members.map(|(position, member)| (member.name.get(), position)).collect());
    }

    /// Notes a name in the text, because QuickJS keeps some integers as strings.
    pub(super) fn note_name(&mut self, name: &str) {
        self.has_large_integers |= large_integer(name.as_bytes()).is_some();
    }

    /// The members in the order in which JavaScript lists them: integers ascending, then the others
    /// as they were added.
    pub(super) fn in_listed_order(&self, ctx: *mut qjs::JSContext) -> Vec<&ObjectMember> {
        let mut members: Vec<_> = self.iter().collect();
        let integers: Vec<_> =
            members.iter().map(|member| self.ordering_integer(ctx, member)).collect();
        if integers.iter().any(Option::is_some) {
            let mut ordered: Vec<_> = integers.into_iter().zip(members).collect();
            // The sort keeps the order of members with the same key.
            ordered.sort_by_key(|(integer, _)| (integer.is_none(), *integer));
            members = ordered.into_iter().map(|(_, member)| member).collect();
        }
        members
    }

    fn ordering_integer(&self, ctx: *mut qjs::JSContext, member: &ObjectMember) -> Option<u32> {
        let name = member.name.get();
        if name & INTEGER_NAME != 0 {
            return Some(name & !INTEGER_NAME);
        }
        // The text's names have been noted, and those that a script has added have not.
        let is_noted = member.place.is_some() && !self.has_large_integers;
        if is_noted { None } else { member.name.with_text(ctx, large_integer)? }
    }
}

/// The integer of ten digits that a name is, if it orders members.
fn large_integer(name: &[u8]) -> Option<u32> {
    if name.len() != LARGE_INTEGER_DIGITS || !name.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let integer: u32 = std::str::from_utf8(name).ok()?.parse().ok()?;
    (INTEGER_NAME..=ORDERING_INTEGER_MAX).contains(&integer).then_some(integer)
}

impl MemberSlot {
    /// Marks the values for the garbage collector.
    ///
    /// # Safety
    ///
    /// The garbage collector of the runtime calls this.
    pub(super) unsafe fn mark(&self, runtime: *mut qjs::JSRuntime, mark: qjs::JS_MarkFunc) {
        // SAFETY: the values are alive as long as the slot.
        unsafe {
            match self {
                MemberSlot::Unread => {}
                MemberSlot::Value(value, trace) => {
                    qjs::JS_MarkValue(runtime, value.get(), mark);
                    if let Some(trace) = trace {
                        trace.mark(runtime, mark);
                    }
                }
                MemberSlot::Accessor(getter, setter) => {
                    qjs::JS_MarkValue(runtime, getter.get(), mark);
                    qjs::JS_MarkValue(runtime, setter.get(), mark);
                }
            }
        }
    }
}
