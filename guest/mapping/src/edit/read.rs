//! Reads values of an event before it is changed.

use std::ops::Range;

use crate::names::MemberNames;
use crate::path::PathStep;
use crate::scan::{self, PartScanner};

/// The values to read into slots. All are found in one pass. If an object has several members with
/// the same name, the last one is used.
#[derive(Debug, Clone, Default)]
pub(crate) struct FieldReads {
    members: MemberNames<FieldReads>,
    slots: Vec<usize>,
}

impl FieldReads {
    pub(super) fn add_path(&mut self, path: &[PathStep], slot: usize) {
        match path {
            [] => self.slots.push(slot),
            // Paths of values to read contain no arrays.
            [PathStep::Each, ..] => {}
            [PathStep::Name(name), rest @ ..] => {
                self.members.entry(name, FieldReads::default).add_path(rest, slot);
            }
        }
    }

    /// Reads the values inside the value at this position.
    pub(super) fn read_values(
        &self,
        text: &str,
        start: usize,
        slots: &mut Vec<Option<Range<usize>>>,
    ) {
        self.clear_slots(slots);
        self.note_value(text, start, slots);
    }

    fn clear_slots(&self, slots: &mut Vec<Option<Range<usize>>>) {
        for &slot in &self.slots {
            if slots.len() <= slot {
                slots.resize(slot + 1, None);
            }
            slots[slot] = None;
        }
        self.members.iter().for_each(|(_, member)| member.clear_slots(slots));
    }

    /// Returns the end of the value.
    fn note_value(&self, text: &str, start: usize, slots: &mut Vec<Option<Range<usize>>>) -> usize {
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
        let mut parts = PartScanner::new(text, start);
        while let Some(key) = parts.next_key() {
            let end = match self.members.find(&key) {
                None => scan::after_value(text.as_bytes(), key.value),
                Some(place) => {
                    let member = self.members.at(place);
                    // A later member replaces an earlier one of the same name.
                    member.clear_slots(slots);
                    member.note_value(text, key.value, slots)
                }
            };
            if end == key.value {
                break;
            }
            parts.finish_part(end);
        }
        parts.end()
    }
}
