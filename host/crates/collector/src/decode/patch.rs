//! Changes to an object that are applied while it is copied, so that all other parts keep their
//! bytes. Buffers are reused for all events.

use super::known_members::MemberValue;
use standpipe_core::event::{Outline, Span};

/// Changes to an object, to apply while it is copied.
#[derive(Debug, Default)]
pub(super) struct ObjectPatch {
    edits: Vec<SpanReplacement>,
    /// The inserted texts, one after the other.
    texts: Vec<u8>,
    /// New members, each with a comma before it.
    members: Vec<u8>,
}

/// Replaces a part of the body by a part of [`ObjectPatch::texts`].
#[derive(Debug, Clone, Copy)]
struct SpanReplacement {
    span: Span,
    text_start: usize,
    text_end: usize,
}

impl ObjectPatch {
    pub(super) fn clear(&mut self) {
        self.edits.clear();
        self.texts.clear();
        self.members.clear();
    }

    /// Sets a member to this value, as JSON.
    #[inline]
    pub(super) fn set_member(&mut self, place: MemberValue, key: &str, value: &[u8]) {
        self.set_member_with(place, key, |out| out.extend_from_slice(value));
    }

    /// Sets a member to this value, as JSON, unless it already has this value.
    #[inline]
    pub(super) fn set_different(
        &mut self,
        outline: &Outline<'_>,
        place: MemberValue,
        key: &str,
        value: &[u8],
    ) {
        if place.text(outline).is_none_or(|own| own.as_bytes() != value) {
            self.set_member(place, key, value);
        }
    }

    /// Sets a member to the value that `write` writes.
    #[inline]
    pub(super) fn set_member_with(
        &mut self,
        place: MemberValue,
        key: &str,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        if let Some(span) = place.span() {
            return self.replace_span(span, write);
        }
        self.members.extend_from_slice(b",\"");
        self.members.extend_from_slice(key.as_bytes());
        self.members.extend_from_slice(b"\":");
        write(&mut self.members);
    }

    /// Replaces a part by the text that `write` writes. Parts must not overlap.
    #[inline]
    pub(super) fn replace_span(&mut self, span: Span, write: impl FnOnce(&mut Vec<u8>)) {
        let text_start = self.texts.len();
        write(&mut self.texts);
        let text_end = self.texts.len();
        self.edits.push(SpanReplacement { span, text_start, text_end });
    }

    /// Bytes of the inserted texts.
    pub(super) fn added_bytes(&self) -> usize {
        self.texts.len() + self.members.len()
    }

    /// Bytes of an object with its changes.
    pub(super) fn bytes_of(&self, object: Span) -> usize {
        let replaced: u32 = self.edits.iter().map(|edit| edit.span.end - edit.span.start).sum();
        (object.end - object.start - replaced) as usize + self.added_bytes()
    }

    /// Appends an object with its changes. The object must have members.
    pub(super) fn write_patched(&mut self, body: &str, object: Span, out: &mut Vec<u8>) {
        self.edits.sort_unstable_by_key(|edit| edit.span.start);
        let body = body.as_bytes();
        let mut from = object.start as usize;
        for edit in &self.edits {
            out.extend_from_slice(&body[from..edit.span.start as usize]);
            out.extend_from_slice(&self.texts[edit.text_start..edit.text_end]);
            from = edit.span.end as usize;
        }
        out.extend_from_slice(&body[from..object.end as usize - 1]);
        out.extend_from_slice(&self.members);
        out.push(b'}');
    }
}
