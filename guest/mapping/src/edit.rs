//! Changes an event's text at the positions of an [`EditNode`], and nowhere else.
//!
//! The text is read once from the start. Parts that no action names are skipped and later copied
//! unchanged: numbers, escapes, whitespace and the order of members stay, byte for byte. No tree is
//! built. The recursion depth is that of the longest path in the settings. Only flattening follows
//! the nesting of the event, down to a limit.

mod flatten;
mod node;
mod read;
mod redact;

use std::ops::Range;

use crate::change::EditedValue;
use crate::json::{JsonValue, write_string};
use crate::put::{PutValue, ReadFields};
use crate::scan::{self, MemberKey, PartScanner};

pub(crate) use node::{EditAction, EditNode};

/// The maximum size of a text with inserted values, because a value can be copied into every
/// element of an array. Firehose accepts records of a million bytes, so the limit affects no event
/// that could be delivered.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Buffers that are reused for all events, so that editing allocates nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scratch {
    /// For each open object, which members of its node were present.
    seen: Vec<bool>,
    /// The positions of values that are read before anything is changed.
    slots: Vec<Option<Range<usize>>>,
    word: EditedValue,
}

/// Writes the edited text. Returns `false` if nothing changed; then nothing was written.
pub(crate) fn edit_text(
    root: &EditNode,
    text: &str,
    out: &mut String,
    scratch: &mut Scratch,
) -> bool {
    out.clear();
    scratch.seen.clear();
    let start = scan::after_whitespace(text.as_bytes(), 0);
    let mut editor = Editor { text, out, copied: 0, scratch };
    editor.edit_value(root, start);
    if editor.copied == 0 && editor.out.is_empty() {
        return false;
    }
    let rest = editor.copied;
    out.push_str(&text[rest..]);
    true
}

struct Editor<'a> {
    text: &'a str,
    out: &'a mut String,
    /// The position up to which the text has been written or left out.
    copied: usize,
    scratch: &'a mut Scratch,
}

impl Editor<'_> {
    /// Removes a range from the text. The next write goes to its position.
    #[inline]
    fn cut_range(&mut self, start: usize, end: usize) {
        if self.out.capacity() == 0 {
            self.out.reserve(self.text.len() * 2);
        }
        if start > self.copied {
            self.out.push_str(&self.text[self.copied..start]);
        }
        self.copied = end;
    }

    /// Applies the actions of a node to the value at this position. Returns the end of the value.
    fn edit_value(&mut self, node: &EditNode, start: usize) -> usize {
        let bytes = self.text.as_bytes();
        if let Some(reads) = &node.reads {
            reads.read_values(self.text, start, &mut self.scratch.slots);
        }
        match &node.act {
            EditAction::Enter => match bytes.get(start) {
                Some(b'{') if node.has_members() => self.edit_object(node, start),
                Some(b'[') if let Some(element) = &node.elements => self.edit_array(element, start),
                // Null counts as missing.
                Some(b'n') if node.makes => {
                    self.replace_value(start, |editor| editor.make_object(node))
                }
                _ => scan::after_value(bytes, start),
            },
            EditAction::Put(put) if put.only_missing && bytes.get(start) != Some(&b'n') => {
                scan::after_value(bytes, start)
            }
            EditAction::Put(put) => self.replace_value(start, |editor| editor.write_put(put)),
            EditAction::Change(changes) => {
                let end = scan::after_value(bytes, start);
                let mut word = std::mem::take(&mut self.scratch.word);
                if word.change(JsonValue::of_text(&self.text[start..end]), changes) {
                    self.cut_range(start, end);
                    word.write(self.out);
                }
                self.scratch.word = word;
                end
            }
            EditAction::Redact(detectors) => self.redact_strings(*detectors, start),
            EditAction::Flatten(separator) => self.flatten_object(separator, start),
            EditAction::Drop => scan::after_value(bytes, start),
        }
    }

    /// Replaces the value at this position, if a new one is created.
    fn replace_value(&mut self, start: usize, make: impl FnOnce(&mut Self) -> bool) -> usize {
        let end = scan::after_value(self.text.as_bytes(), start);
        self.try_replace(start, end, make);
        end
    }

    /// Replaces a range of the text, if a new text is created.
    fn try_replace(
        &mut self,
        start: usize,
        end: usize,
        make: impl FnOnce(&mut Self) -> bool,
    ) -> bool {
        let before = (self.copied, self.out.len());
        self.cut_range(start, end);
        let is_made = make(self);
        if !is_made {
            self.copied = before.0;
            self.out.truncate(before.1);
        }
        is_made
    }

    fn edit_array(&mut self, element: &EditNode, start: usize) -> usize {
        let mut parts = PartScanner::new(self.text, start);
        while let Some(start) = parts.next_element() {
            // An element is never missing, so null is not replaced here.
            let end = match (&element.act, self.text.as_bytes()[start]) {
                (EditAction::Enter, b'n') => scan::after_value(self.text.as_bytes(), start),
                _ => self.edit_value(element, start),
            };
            if end == start {
                break;
            }
            parts.finish_part(end);
        }
        parts.end()
    }

    fn edit_object(&mut self, node: &EditNode, start: usize) -> usize {
        let first_seen = self.scratch.seen.len();
        self.scratch.seen.resize(first_seen + node.members.len(), false);
        let mut parts = PartScanner::new(self.text, start);
        // The end of the last kept member, and the end of the last member.
        let (mut kept_end, mut last_end) = (None, start + 1);
        while let Some(key) = parts.next_key() {
            if kept_end.is_none() && last_end > start + 1 {
                // All earlier members were left out, and so is the comma after them.
                self.copied = key.start;
            }
            last_end = match node.find_member(&key) {
                Some(child) => {
                    if let Some(place) = child {
                        self.scratch.seen[first_seen + place] = true;
                    }
                    let end = self.edit_member(node, child, &key);
                    kept_end = Some(end);
                    end
                }
                None => {
                    let end = scan::after_value(self.text.as_bytes(), key.value);
                    self.cut_range(kept_end.unwrap_or(key.start), end);
                    end
                }
            };
            if last_end == key.value {
                break;
            }
            parts.finish_part(last_end);
        }
        if node.makes && self.needs_members(node, first_seen) {
            self.try_replace(last_end, last_end, |editor| {
                editor.make_members(node, Some(first_seen), kept_end.is_some())
            });
        }
        self.scratch.seen.truncate(first_seen);
        parts.end()
    }

    /// Whether missing members must be created.
    fn needs_members(&self, node: &EditNode, first_seen: usize) -> bool {
        let mut seen = self.scratch.seen[first_seen..].iter();
        node.members.iter().any(|(_, child)| seen.next() == Some(&false) && child.makes)
    }

    #[inline(always)]
    fn edit_member(&mut self, node: &EditNode, child: Option<usize>, key: &MemberKey<'_>) -> usize {
        match child {
            Some(place) => self.edit_value(node.members.at(place), key.value),
            None => scan::after_value(self.text.as_bytes(), key.value),
        }
    }

    /// Writes an object of missing members. Returns `false` if there are none.
    fn make_object(&mut self, node: &EditNode) -> bool {
        self.out.push('{');
        let is_made = self.make_members(node, None, false);
        self.out.push('}');
        is_made
    }

    /// Writes the missing members. Members that were present are marked from `first_seen` on.
    fn make_members(&mut self, node: &EditNode, first_seen: Option<usize>, follow: bool) -> bool {
        let mut has_members = follow;
        let mut is_made = false;
        for (place, (name, child)) in node.members.iter().enumerate() {
            let is_there = first_seen.is_some_and(|first| self.scratch.seen[first + place]);
            if !child.makes || is_there {
                continue;
            }
            let before = self.out.len();
            if has_members {
                self.out.push(',');
            }
            write_string(self.out, name);
            self.out.push(':');
            let made = match &child.act {
                EditAction::Put(put) => self.write_put(put),
                _ => self.make_object(child),
            };
            if made {
                (has_members, is_made) = (true, true);
            } else {
                self.out.truncate(before);
            }
        }
        is_made
    }

    /// Writes the value. Returns `false` if there is none, or if it exceeds the size limit.
    fn write_put(&mut self, put: &PutValue) -> bool {
        if self.out.len() > BYTES_MAX {
            return false;
        }
        let Scratch { slots, word, .. } = &mut *self.scratch;
        put.source.write(self.out, word, &ReadFields { text: self.text, slots })
    }
}

#[cfg(test)]
mod tests;
