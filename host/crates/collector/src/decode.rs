//! Decodes the body of a request into events: validates the body, splits it, and adds to each event
//! what the vendor's server would have added.
//!
//! One pass of SIMD code validates the body and notes the positions of its parts ([`Outline`]).
//! After that, bytes are only copied: there is no tree, and no allocation per event. The contents
//! of an event stay as written, byte for byte and in order: the text of numbers, escapes, the order
//! of keys, and duplicate keys, of which the last one counts. A replaced value keeps its position,
//! and new members follow all others. Only line ends between tokens become spaces, so that every
//! text is one line.
//!
//! This module does not depend on HTTP. Its other parts are [`pixel`], which creates bodies from
//! queries, and the private rules of each vendor: `segment` and `rudderstack`.

#[cfg(test)]
mod agreement;
mod event_time;
mod id;
mod invalid_body;
mod known_members;
mod patch;
pub(super) mod pixel;
mod rudderstack;
mod segment;
mod shared_members;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use thiserror::Error;
use time::OffsetDateTime;

use super::dialect::{Dialect, MessageType};
use crate::limits;
use standpipe_core::event::{EntryEvent, EventRefusal, Outline, Span, encode_entry, string};

pub use invalid_body::InvalidBody;
use known_members::KnownMembers;
use patch::ObjectPatch;
use rudderstack::RudderStackRules;
use segment::SegmentRules;

/// A validated body: one JSON object or array, with the positions of its parts.
#[derive(Debug)]
pub struct ParsedBody<'a> {
    outline: Outline<'a>,
    /// The members of the outermost object.
    top: KnownMembers,
}

/// The shape of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyShape {
    /// The body is one event, of the type in the path.
    One(MessageType),
    /// The body has an array `batch` of events, each with its own type. Imports
    /// have the same shape.
    Batch,
    /// The body is a batch that the function of the source has made. Its objects of type `set` need
    /// no user, because they describe objects of a collection.
    Function,
    /// The body is the payload of a webhook: an object, or an array of objects. Each becomes the
    /// properties of an event, according to RudderStack's rules.
    Webhook,
}

/// Facts about a request besides its body.
#[derive(Debug, Clone, Copy)]
pub struct RequestFacts<'a> {
    /// The vendor whose rules apply.
    pub dialect: Dialect,
    /// The time of receipt on the server's clock.
    pub received_at: OffsetDateTime,
    /// The address of the client. It may be any text because it can come from a header.
    pub ip: &'a str,
    /// Whether a browser seems to have sent the request.
    pub client_side: bool,
}

/// The events of a request, including refused ones.
#[derive(Debug)]
pub struct DecodedEvents {
    /// The texts of all events without separators.
    pub bytes: Vec<u8>,
    /// The positions of the texts, in the order of the request.
    pub events: Vec<DecodedEvent>,
    /// Maximum bytes of the texts.
    bytes_max: usize,
}

/// Why no text is appended for an event.
#[derive(Debug, Error)]
enum EventError {
    /// The event is refused.
    #[error(transparent)]
    Refused(#[from] EventRefusal),
    /// The whole request is refused.
    #[error(transparent)]
    Bad(#[from] InvalidBody),
}

impl Default for DecodedEvents {
    fn default() -> Self {
        Self::of_at_most(limits::COLLECTED_BYTES_MAX)
    }
}

impl DecodedEvents {
    /// Encodes the events as an entry of the spool, in the buffer of the texts.
    pub(super) fn into_entry(self, source: &str) -> Vec<u8> {
        let event = |DecodedEvent { end, refused, .. }| EntryEvent { end, refused };
        encode_entry(source, self.bytes, self.events.into_iter().map(event))
    }
}

/// One text in [`DecodedEvents::bytes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodedEvent {
    /// The position of the first byte.
    pub start: u32,
    /// The position after the last byte.
    pub end: u32,
    /// Why the event is refused, if it is. The text is then as received, except for line ends
    /// between tokens.
    pub refused: Option<EventRefusal>,
}

impl DecodedEvents {
    /// Creates an empty list for texts of at most this number of bytes. Memory is allocated when it
    /// is needed.
    pub fn of_at_most(bytes_max: usize) -> Self {
        let bytes_max = bytes_max.min(limits::COLLECTED_BYTES_MAX);
        DecodedEvents { bytes: Vec::new(), events: Vec::new(), bytes_max }
    }

    /// Creates a refused event from a body that is refused as a whole.
    pub(super) fn refused_request(body: Vec<u8>) -> Self {
        let end = u32::try_from(body.len()).expect("a body is limited");
        let event = DecodedEvent { start: 0, end, refused: Some(EventRefusal::Request) };
        DecodedEvents { bytes: body, events: vec![event], ..Self::default() }
    }

    /// Returns the text of an event.
    pub fn text(&self, event: DecodedEvent) -> &[u8] {
        &self.bytes[event.start as usize..event.end as usize]
    }

    /// Removes all events but keeps the allocated memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.events.clear();
    }
}

impl<'a> ParsedBody<'a> {
    /// Validates a body, which is an object or an array.
    ///
    /// # Errors
    ///
    /// Fails if the body is empty, not JSON, nested too deeply, neither an object nor an array, or
    /// has too many parts.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, InvalidBody> {
        if bytes.trim_ascii().is_empty() {
            return Err(InvalidBody::Empty);
        }
        // One level less, because the payload of a webhook becomes part of an event.
        let levels_max = standpipe_core::limits::EVENT_NESTING_MAX - 1;
        let outline = Outline::bounded(bytes, levels_max, limits::COLLECT_PARTS_MAX)?;
        let mut top = KnownMembers::default();
        let spells = outline.has_spelled_letters();
        outline.for_each_member(|member| top.note_member(member, spells));
        Ok(ParsedBody { outline, top })
    }

    /// Returns the string `writeKey` of the outermost object.
    pub fn write_key(&self) -> Option<Cow<'a, str>> {
        self.top.write_key.span().and_then(|span| string(self.outline.at(span)))
    }

    /// Appends the events of this body to `out`.
    ///
    /// # Errors
    ///
    /// Fails if the body does not have this shape, or has too many events, or if the events would
    /// become too large with the added members, which is known in advance. Texts that were already
    /// appended must not be used then.
    pub fn append_events(
        &self,
        facts: &RequestFacts<'_>,
        shape: BodyShape,
        out: &mut DecodedEvents,
    ) -> Result<(), InvalidBody> {
        let is_object = self.outline.at(self.outline.root()).starts_with('{');
        if !is_object && shape != BodyShape::Webhook {
            return Err(InvalidBody::NotAnObject);
        }
        let mut texts = EventWriter {
            outline: &self.outline,
            patch: ObjectPatch::default(),
            added_bytes: 0,
            out,
        };
        match (shape, facts.dialect) {
            (BodyShape::Webhook, _) => {
                self.append_webhook(&mut RudderStackRules::new(facts), &mut texts)
            }
            (_, Dialect::Segment) => {
                let mut rules = SegmentRules::new(facts, &self.outline, &self.top, shape)?;
                self.append_batch(shape, facts.dialect, &mut texts, |known, patch| {
                    rules.patch_event(known, patch)
                })
            }
            (_, Dialect::RudderStack) => {
                let mut rules = RudderStackRules::new(facts);
                let outline = &self.outline;
                self.append_batch(shape, facts.dialect, &mut texts, |known, patch| {
                    rules.patch_event(outline, shape, known, patch).map_err(EventError::from)
                })
            }
        }
    }

    fn append_batch(
        &self,
        shape: BodyShape,
        dialect: Dialect,
        texts: &mut EventWriter<'_, '_>,
        mut apply: impl FnMut(&KnownMembers, &mut ObjectPatch) -> Result<(), EventError>,
    ) -> Result<(), InvalidBody> {
        if let BodyShape::One(_) = shape {
            return texts.append_event(self.outline.root(), |patch| apply(&self.top, patch));
        }
        let batch = self.top.batch.span().ok_or(InvalidBody::NoBatch)?;
        if !self.outline.at(batch).starts_with('[') {
            return Err(InvalidBody::NoBatch);
        }
        let spells = self.outline.has_spelled_letters();
        let mut items = self.outline.items_of(batch);
        let mut count = 0_usize;
        loop {
            let mut known = KnownMembers::default();
            let Some(item) = items.next(|member| known.note_member(member, spells)) else {
                // Segment accepts an empty batch, and no event could be lost.
                let is_bad = count == 0 && dialect == Dialect::RudderStack;
                return if is_bad { Err(InvalidBody::EmptyBatch) } else { Ok(()) };
            };
            count += 1;
            if self.outline.at(item).starts_with('{') {
                texts.append_event(item, |patch| apply(&known, patch))?;
            } else {
                texts.append_refused(item, EventRefusal::NotAnObject)?;
            }
        }
    }

    fn append_webhook(
        &self,
        rules: &mut RudderStackRules,
        texts: &mut EventWriter<'_, '_>,
    ) -> Result<(), InvalidBody> {
        let root = self.outline.root();
        let added = rules.webhook_bytes_max();
        let is_object = |span| self.outline.at(span).starts_with('{');
        let mut append = |texts: &mut EventWriter<'_, '_>, span| match is_object(span) {
            true => texts.append_made_event(span, added, |payload, out| {
                rules.append_webhook_event(payload, out);
            }),
            false => texts.append_refused(span, EventRefusal::NotAnObject),
        };
        if is_object(root) {
            return append(texts, root);
        }
        let mut items = self.outline.items_of(root);
        let events = texts.out.events.len();
        while let Some(item) = items.next(|_| {}) {
            append(texts, item)?;
        }
        if texts.out.events.len() == events { Err(InvalidBody::EmptyBatch) } else { Ok(()) }
    }
}

impl BodyShape {
    fn message_type(self) -> Option<MessageType> {
        match self {
            BodyShape::One(message_type) => Some(message_type),
            BodyShape::Batch | BodyShape::Function | BodyShape::Webhook => None,
        }
    }

    /// Whether an event needs no user.
    fn is_userless(self, known: &KnownMembers, outline: &Outline<'_>) -> bool {
        self == BodyShape::Function && known.message_type.is_string(outline, "set")
    }
}

/// Appends events with their changes.
struct EventWriter<'o, 'a> {
    outline: &'o Outline<'a>,
    /// Reused for each event.
    patch: ObjectPatch,
    /// Bytes that were added to events, including refused ones, because they cost work too.
    added_bytes: usize,
    out: &'o mut DecodedEvents,
}

impl EventWriter<'_, '_> {
    /// Appends an object with its changes, or a refused object as it is.
    fn append_event(
        &mut self,
        span: Span,
        change: impl FnOnce(&mut ObjectPatch) -> Result<(), EventError>,
    ) -> Result<(), InvalidBody> {
        self.patch.clear();
        match change(&mut self.patch) {
            Ok(()) => {}
            Err(EventError::Refused(refusal)) => return self.append_refused(span, refusal),
            Err(EventError::Bad(bad)) => return Err(bad),
        }
        self.count_added(self.patch.added_bytes())?;
        let bytes = self.patch.bytes_of(span);
        if bytes > standpipe_core::limits::EVENT_BYTES_MAX {
            return self.append_refused(span, EventRefusal::TooLong);
        }
        let start = self.begin_event(bytes)?;
        self.patch.write_patched(self.outline.text(), span, &mut self.out.bytes);
        self.finish_event(start, None)
    }

    /// Appends an event created from a part of the body. The event is at most `added_bytes_max`
    /// bytes longer than the part.
    fn append_made_event(
        &mut self,
        span: Span,
        added_bytes_max: usize,
        make: impl FnOnce(&str, &mut Vec<u8>),
    ) -> Result<(), InvalidBody> {
        self.count_added(added_bytes_max)?;
        let payload = self.outline.at(span);
        let bytes_max = payload.len() + added_bytes_max;
        if bytes_max > standpipe_core::limits::EVENT_BYTES_MAX {
            return self.append_refused(span, EventRefusal::TooLong);
        }
        let start = self.begin_event(bytes_max)?;
        make(payload, &mut self.out.bytes);
        self.finish_event(start, None)
    }

    /// Appends a refused part of the body as it is.
    fn append_refused(&mut self, span: Span, refusal: EventRefusal) -> Result<(), InvalidBody> {
        let text = self.outline.at(span).as_bytes();
        let start = self.begin_event(text.len())?;
        self.out.bytes.extend_from_slice(text);
        self.finish_event(start, Some(refusal))
    }

    fn count_added(&mut self, bytes: usize) -> Result<(), InvalidBody> {
        self.added_bytes += bytes;
        if self.added_bytes > limits::COLLECT_ADDED_BYTES_MAX {
            return Err(InvalidBody::AddsTooMuch);
        }
        Ok(())
    }

    /// Checks that a text of this number of bytes fits. Returns its start.
    fn begin_event(&mut self, bytes: usize) -> Result<usize, InvalidBody> {
        if self.out.events.len() >= limits::COLLECT_EVENTS_MAX {
            return Err(InvalidBody::TooManyEvents);
        }
        let start = self.out.bytes.len();
        if start + bytes > self.out.bytes_max {
            return Err(InvalidBody::TooLong);
        }
        Ok(start)
    }

    fn finish_event(
        &mut self,
        start: usize,
        refused: Option<EventRefusal>,
    ) -> Result<(), InvalidBody> {
        let bytes = &mut self.out.bytes;
        if self.outline.has_blanks() {
            for byte in bytes[start..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')) {
                *byte = b' ';
            }
        }
        let place = |at| u32::try_from(at).map_err(|_| InvalidBody::TooLong);
        let event = DecodedEvent { start: place(start)?, end: place(bytes.len())?, refused };
        self.out.events.push(event);
        Ok(())
    }
}

/// Appends a string as JSON.
fn write_string(string: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, string).expect("memory takes what is written");
}
