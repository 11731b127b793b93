//! From the body of a request to events: checks the body, parts it, and adds to
//! each event what the vendor's server would have added.
//!
//! One pass of SIMD checks the body and notes where its parts stand
//! ([`Outline`]); from then on bytes are only copied. There is no tree, and
//! nothing is allocated for an event. What an event holds stays as it is written,
//! byte for byte and in its place: the text of numbers, escapes, the order of keys,
//! also keys that stand twice, of which the last one counts. A value that is
//! replaced keeps its place, new members follow behind all others. Only line
//! ends between tokens become spaces, so that every text is one line.
//!
//! Nothing here knows HTTP. The parts that speak for themselves are [`pixel`],
//! which makes bodies of queries, and the rules of either vendor, which are
//! private: `segment` and `rudderstack`.

#[cfg(test)]
mod agreement;
mod bad_body;
mod id;
mod known;
mod patch;
pub(super) mod pixel;
mod rudderstack;
mod segment;
mod shared;
mod stamp;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use time::OffsetDateTime;

use super::dialect::{Dialect, MessageType};
use crate::event::{Outline, Refusal, Span, string};
use crate::limits;

pub use bad_body::BadBody;
pub(crate) use id::Ids;
use known::Known;
use patch::Patch;
use rudderstack::RudderStack;
use segment::Segment;

/// A body that has been checked: one JSON object or array, with its parts noted.
#[derive(Debug)]
pub struct Body<'a> {
    outline: Outline<'a>,
    /// The members of the outermost object.
    top: Known,
}

/// What a request says about the shape of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The body is one event, of the type that the path says.
    One(MessageType),
    /// The body has an array `batch` of events, each with its own type. Imports
    /// have the same shape.
    Batch,
    /// The body is what a webhook sends: an object, or an array of objects. Each
    /// becomes the properties of an event, by RudderStack's rules.
    Webhook,
}

/// What is known of a request beside its body.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Whose rules apply.
    pub dialect: Dialect,
    /// By the server's clock.
    pub received_at: OffsetDateTime,
    /// The address of the client, which may be any text: it can be from a header.
    pub ip: &'a str,
    /// Whether a browser sent it, by what the request shows.
    pub client_side: bool,
}

/// The events of a request, and what would have been events.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The texts of all, one after the other with nothing between.
    pub bytes: Vec<u8>,
    /// Where each of them stands, in the order of the request.
    pub events: Vec<DecodedEvent>,
}

/// One text in [`Decoded::bytes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodedEvent {
    /// Its first byte.
    pub start: u32,
    /// Behind its last byte.
    pub end: u32,
    /// Why it is no event, if it is none. Its text is then what was received,
    /// save for line ends between tokens.
    pub refused: Option<Refusal>,
}

impl Decoded {
    /// The text of one of its events.
    pub fn text(&self, event: DecodedEvent) -> &[u8] {
        &self.bytes[event.start as usize..event.end as usize]
    }

    /// Forget all events, but keep the memory for others.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.events.clear();
    }
}

impl<'a> Body<'a> {
    /// Check a body, be it an object or an array.
    ///
    /// # Errors
    ///
    /// It is empty, not JSON, nested too deeply, or neither of these two.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BadBody> {
        if bytes.trim_ascii().is_empty() {
            return Err(BadBody::Empty);
        }
        // One level less, since a webhook's payload is put into an event.
        let outline = Outline::of(bytes, limits::EVENT_NESTING_MAX - 1)?;
        let mut top = Known::default();
        let spells = outline.spells();
        outline.members(|member| top.note(member, spells));
        Ok(Body { outline, top })
    }

    /// The string under `writeKey` in the outermost object.
    pub fn write_key(&self) -> Option<Cow<'a, str>> {
        self.top.write_key.given().and_then(|span| string(self.outline.at(span)))
    }

    /// Append the events of this body to others.
    ///
    /// # Errors
    ///
    /// The body does not have this shape, or its events come to more than
    /// [`COLLECTED_BYTES_MAX`](limits::COLLECTED_BYTES_MAX) with what is added
    /// to them. What has been appended by then is not to be used.
    pub fn events(
        &self,
        facts: &Facts<'_>,
        shape: Shape,
        out: &mut Decoded,
    ) -> Result<(), BadBody> {
        let is_object = self.outline.at(self.outline.root()).starts_with('{');
        if !is_object && shape != Shape::Webhook {
            return Err(BadBody::NotAnObject);
        }
        let mut texts = Texts { outline: &self.outline, patch: Patch::default(), out };
        match (shape, facts.dialect) {
            (Shape::Webhook, _) => self.webhook(&mut RudderStack::new(facts), &mut texts),
            (_, Dialect::Segment) => {
                let mut rules = Segment::new(facts, &self.outline, &self.top, shape);
                self.each(shape, facts.dialect, &mut texts, |known, patch| {
                    rules.apply(known, patch)
                })
            }
            (_, Dialect::RudderStack) => {
                let mut rules = RudderStack::new(facts);
                let path = shape.message_type();
                let outline = &self.outline;
                self.each(shape, facts.dialect, &mut texts, |known, patch| {
                    rules.apply(outline, path, known, patch)
                })
            }
        }
    }

    fn each(
        &self,
        shape: Shape,
        dialect: Dialect,
        texts: &mut Texts<'_, '_>,
        mut apply: impl FnMut(&Known, &mut Patch) -> Result<(), Refusal>,
    ) -> Result<(), BadBody> {
        if let Shape::One(_) = shape {
            return texts.add(self.outline.root(), |patch| apply(&self.top, patch));
        }
        let batch = self.top.batch.given().ok_or(BadBody::NoBatch)?;
        if !self.outline.at(batch).starts_with('[') {
            return Err(BadBody::NoBatch);
        }
        let spells = self.outline.spells();
        let mut items = self.outline.items(batch);
        let mut count = 0_usize;
        loop {
            let mut known = Known::default();
            let Some(item) = items.next(|member| known.note(member, spells)) else {
                // Segment takes it, and it holds no event that could be lost.
                let is_bad = count == 0 && dialect == Dialect::RudderStack;
                return if is_bad { Err(BadBody::EmptyBatch) } else { Ok(()) };
            };
            count += 1;
            if self.outline.at(item).starts_with('{') {
                texts.add(item, |patch| apply(&known, patch))?;
            } else {
                texts.add(item, |_| Err(Refusal::NotAnObject))?;
            }
        }
    }

    fn webhook(&self, rules: &mut RudderStack, texts: &mut Texts<'_, '_>) -> Result<(), BadBody> {
        let root = self.outline.root();
        if self.outline.at(root).starts_with('{') {
            return texts.add_made(root, |payload, out| rules.webhook(payload, out));
        }
        let mut items = self.outline.items(root);
        let events = texts.out.events.len();
        while let Some(item) = items.next(|_| {}) {
            if self.outline.at(item).starts_with('{') {
                texts.add_made(item, |payload, out| rules.webhook(payload, out))?;
            } else {
                texts.add(item, |_| Err(Refusal::NotAnObject))?;
            }
        }
        if texts.out.events.len() == events { Err(BadBody::EmptyBatch) } else { Ok(()) }
    }
}

impl Shape {
    fn message_type(self) -> Option<MessageType> {
        match self {
            Shape::One(message_type) => Some(message_type),
            Shape::Batch | Shape::Webhook => None,
        }
    }
}

/// Where texts are appended.
struct Texts<'o, 'a> {
    outline: &'o Outline<'a>,
    /// Used again for each event.
    patch: Patch,
    out: &'o mut Decoded,
}

impl Texts<'_, '_> {
    /// Append an object with its changes, or what is refused as it is.
    fn add(
        &mut self,
        span: Span,
        change: impl FnOnce(&mut Patch) -> Result<(), Refusal>,
    ) -> Result<(), BadBody> {
        self.patch.clear();
        let refused = change(&mut self.patch).err();
        let start = self.out.bytes.len();
        if refused.is_none() {
            self.patch.write(self.outline.text(), span, &mut self.out.bytes);
        }
        self.close(span, start, refused)
    }

    /// Append what is made of a part of the body.
    fn add_made(
        &mut self,
        span: Span,
        make: impl FnOnce(&str, &mut Vec<u8>),
    ) -> Result<(), BadBody> {
        let start = self.out.bytes.len();
        make(self.outline.at(span), &mut self.out.bytes);
        self.close(span, start, None)
    }

    fn close(
        &mut self,
        span: Span,
        start: usize,
        mut refused: Option<Refusal>,
    ) -> Result<(), BadBody> {
        let bytes = &mut self.out.bytes;
        if bytes.len() - start > limits::EVENT_BYTES_MAX {
            refused = Some(Refusal::TooLong);
        }
        if refused.is_some() {
            bytes.truncate(start);
            bytes.extend_from_slice(self.outline.at(span).as_bytes());
        }
        if self.outline.has_blanks() {
            for byte in bytes[start..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')) {
                *byte = b' ';
            }
        }
        if bytes.len() > limits::COLLECTED_BYTES_MAX {
            return Err(BadBody::TooLong);
        }
        let place = |at| u32::try_from(at).map_err(|_| BadBody::TooLong);
        let event = DecodedEvent { start: place(start)?, end: place(bytes.len())?, refused };
        self.out.events.push(event);
        Ok(())
    }
}

/// Append a string as JSON.
fn write_string(string: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, string).expect("memory takes what is written");
}
