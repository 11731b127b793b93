//! Values that are read of an event before it is changed.

use std::ops::Range;

use crate::names::Names;
use crate::path::Step;
use crate::scan::{self, Parts};

/// Which values are read into which slots. All are found in one pass. Where an
/// object has several members of a name, the last one counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reads {
    members: Names<Reads>,
    slots: Vec<usize>,
}

impl Reads {
    pub(super) fn add(&mut self, path: &[Step], slot: usize) {
        match path {
            [] => self.slots.push(slot),
            // No path that is read leads through an array.
            [Step::Each, ..] => {}
            [Step::Name(name), rest @ ..] => {
                self.members.entry(name, Reads::default).add(rest, slot);
            }
        }
    }

    /// Read what the value that begins here holds.
    pub(super) fn read(&self, text: &str, start: usize, slots: &mut Vec<Option<Range<usize>>>) {
        self.clear(slots);
        self.note(text, start, slots);
    }

    fn clear(&self, slots: &mut Vec<Option<Range<usize>>>) {
        for &slot in &self.slots {
            if slots.len() <= slot {
                slots.resize(slot + 1, None);
            }
            slots[slot] = None;
        }
        self.members.iter().for_each(|(_, member)| member.clear(slots));
    }

    /// Returns where the value ends.
    fn note(&self, text: &str, start: usize, slots: &mut Vec<Option<Range<usize>>>) -> usize {
        let bytes = text.as_bytes();
        let end = match bytes.get(start) {
            Some(b'{') if !self.members.is_empty() => self.note_members(text, start, slots),
            _ => scan::after_value(bytes, start),
        };
        for &slot in &self.slots {
            slots[slot] = Some(start..end);
        }
        end
    }

    fn note_members(
        &self,
        text: &str,
        start: usize,
        slots: &mut Vec<Option<Range<usize>>>,
    ) -> usize {
        let mut parts = Parts::of(text, start);
        while let Some(key) = parts.next_key() {
            let end = match self.members.find(&key) {
                None => scan::after_value(text.as_bytes(), key.value),
                Some(place) => {
                    let member = self.members.at(place);
                    // An earlier member of the name does not count.
                    member.clear(slots);
                    member.note(text, key.value, slots)
                }
            };
            if end == key.value {
                break;
            }
            parts.ended(end);
        }
        parts.end()
    }
}
