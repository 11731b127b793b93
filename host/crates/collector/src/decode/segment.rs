//! The members that Segment adds to events, and the events that it accepts.
//!
//! The rules come from Segment's public documentation. Where that is silent:
//!
//! - An id counts as missing if it contains nothing visible. A number is an id.
//! - The client's time is `timestamp`, or else `originalTimestamp`, if it can be parsed. It becomes
//!   `originalTimestamp`, unchanged if it is RFC 3339, and otherwise in this program's format. An
//!   event without a client time happened when it was received: `sentAt` alone says nothing about
//!   it.
//! - `sentAt` of the event is used, or else that of the batch, which is then added to the event. An
//!   invalid value counts as missing, but it stays if the batch has no better one.
//! - Without `sentAt`, or if the corrected time would be in a year that cannot be written, nothing
//!   is corrected.
//! - The members of `context` and `integrations` of a batch are merged by key, at the top level
//!   only. Of duplicate keys, only the last one is added to events. `null` in an event counts as
//!   missing; another value that is not an object stays.
//! - `context.ip` is set if the key is missing, so `"ip": null` prevents the address from being
//!   stored. IPv6 addresses are added too, unlike in Segment.

use memchr::memmem::Finder;

use super::event_time::{EventTime, EventTimeText, ParsedTime};
use super::id::clean_id;
use super::known_members::{KnownMembers, MemberValue};
use super::patch::ObjectPatch;
use super::shared_members::{SharedMembers, each_member};
use super::{BodyShape, EventError, InvalidBody, RequestFacts, write_string};
use standpipe_core::event::{EventRefusal, Outline, Span};
use standpipe_core::message_id::MessageIds;

/// The rules, and the parts that are the same for all events of a request.
pub(super) struct SegmentRules<'o, 'a> {
    outline: &'o Outline<'a>,
    shape: BodyShape,
    ids: MessageIds,
    received: (EventTime, EventTimeText),
    /// The time of the batch, and its text.
    sent: Option<(EventTime, &'a str)>,
    context: SharedMembers<'a>,
    integrations: SharedMembers<'a>,
    ip: IpMember,
}

/// The member `ip` of `context`.
struct IpMember {
    member: Vec<u8>,
    is_for_all: bool,
    in_context: Finder<'static>,
    direct: Finder<'static>,
}

/// The relevant parts of an event's own context.
#[derive(Default)]
struct OwnContext {
    has_ip: bool,
    direct: Option<bool>,
}

impl<'o, 'a> SegmentRules<'o, 'a> {
    pub(super) fn new(
        facts: &RequestFacts<'_>,
        outline: &'o Outline<'a>,
        top: &KnownMembers,
        shape: BodyShape,
    ) -> Result<Self, InvalidBody> {
        let stamp = EventTime::of(facts.received_at);
        // A single event is not a batch: all members belong to the event.
        let is_batch = matches!(shape, BodyShape::Batch | BodyShape::Function);
        let of_batch = |value: MemberValue| value.text(outline).filter(|_| is_batch);
        Ok(SegmentRules {
            outline,
            shape,
            ids: MessageIds::new(),
            received: (stamp, stamp.write()),
            sent: of_batch(top.sent_at).and_then(|text| Some((EventTime::read(text)?.stamp, text))),
            context: SharedMembers::read(of_batch(top.context))?,
            integrations: SharedMembers::read(of_batch(top.integrations))?,
            ip: IpMember::new(facts),
        })
    }

    /// Adds the changes of an event, unless the event is refused.
    #[inline]
    pub(super) fn patch_event(
        &mut self,
        known: &KnownMembers,
        patch: &mut ObjectPatch,
    ) -> Result<(), EventError> {
        self.check_event(known)?;
        let outline = self.outline;
        if let Some(message_type) = self.shape.message_type() {
            patch.set_member_with(known.message_type, "type", |out| {
                write_string(message_type.name(), out);
            });
        }
        if !known.message_id.is_filled_string(outline) {
            patch.set_member(known.message_id, "messageId", &self.ids.next());
        }
        self.set_times(known, patch);
        self.fill_context(known.context, patch)?;
        self.fill_integrations(known.integrations, patch)?;
        Ok(())
    }

    #[inline]
    fn check_event(&self, known: &KnownMembers) -> Result<(), EventRefusal> {
        let is_id = |value: MemberValue| !clean_id(value.text(self.outline)).is_empty();
        let has_user = is_id(known.user_id) || is_id(known.anonymous_id);
        if !has_user && !self.shape.is_userless(known, self.outline) {
            return Err(EventRefusal::NoIdentity);
        }
        let is_track = match self.shape.message_type() {
            Some(message_type) => message_type.name() == "track",
            None if !known.message_type.is_filled_string(self.outline) => {
                return Err(EventRefusal::NoType);
            }
            None => known.message_type.is_string(self.outline, "track"),
        };
        if is_track && !known.event.is_filled_string(self.outline) {
            return Err(EventRefusal::NoEventName);
        }
        Ok(())
    }

    #[inline]
    fn set_times(&self, known: &KnownMembers, patch: &mut ObjectPatch) {
        let (received, received_text) = self.received;
        let read = |value: MemberValue| {
            let text = value.text(self.outline)?;
            Some((EventTime::read(text)?, text))
        };
        let own_sent = read(known.sent_at).map(|(read, _)| read.stamp);
        let sent = own_sent.or(self.sent.map(|(stamp, _)| stamp));
        if let (None, Some((_, text))) = (own_sent, self.sent) {
            patch.set_member(known.sent_at, "sentAt", text.as_bytes());
        }
        let client = read(known.timestamp).or_else(|| read(known.original_timestamp));
        let made;
        let original: &[u8] = match client {
            Some((ParsedTime { is_rfc3339: true, .. }, text)) => text.as_bytes(),
            Some((read, _)) => {
                made = read.stamp.write();
                &made
            }
            None => &received_text,
        };
        let corrected = client
            .zip(sent)
            .and_then(|((read, _), sent)| received.shifted_back(sent, read.stamp))
            .map(EventTime::write);
        let timestamp = corrected.as_ref().map_or(original, |text| text);
        let outline = self.outline;
        patch.set_different(outline, known.original_timestamp, "originalTimestamp", original);
        patch.set_member(known.received_at, "receivedAt", &received_text);
        patch.set_different(outline, known.timestamp, "timestamp", timestamp);
    }

    #[inline]
    fn fill_context(
        &mut self,
        value: MemberValue,
        patch: &mut ObjectPatch,
    ) -> Result<(), InvalidBody> {
        if let Some((text, span)) = own_value(self.outline, value) {
            if self.outline.at(span).starts_with('{') {
                self.add_to_context(text, span, patch)?;
            }
            return Ok(());
        }
        self.context.forget_own();
        let is_filled = self.ip.is_for_all || self.context.find("direct") == Some("true");
        let ip = (is_filled && self.context.find("ip").is_none()).then_some(&self.ip.member);
        if ip.is_some() || !self.context.is_empty() {
            patch.set_member_with(value, "context", |out| {
                out.push(b'{');
                write_all(&self.context, false, ip, out);
                out.push(b'}');
            });
        }
        Ok(())
    }

    #[inline]
    fn add_to_context(
        &mut self,
        text: &str,
        span: Span,
        patch: &mut ObjectPatch,
    ) -> Result<(), InvalidBody> {
        let must_read = !self.context.is_empty()
            || self.outline.has_spelled_letters()
            || self.ip.may_be_in(text);
        if !must_read && !self.ip.is_for_all {
            return Ok(());
        }
        let own =
            if must_read { read_context(text, &mut self.context)? } else { OwnContext::default() };
        let is_direct = || self.context.find("direct") == Some("true");
        let is_filled = self.ip.is_for_all || own.direct.unwrap_or_else(is_direct);
        let has_ip = own.has_ip || self.context.find("ip").is_some();
        let ip = (is_filled && !has_ip).then_some(&self.ip.member);
        insert_members(text, span, patch, |is_behind, out| {
            write_all(&self.context, is_behind, ip, out);
        });
        Ok(())
    }

    #[inline]
    fn fill_integrations(
        &mut self,
        value: MemberValue,
        patch: &mut ObjectPatch,
    ) -> Result<(), InvalidBody> {
        let shared = &mut self.integrations;
        if shared.is_empty() {
            return Ok(());
        }
        shared.forget_own();
        match own_value(self.outline, value) {
            None => patch.set_member_with(value, "integrations", |out| {
                out.push(b'{');
                shared.write_missing(false, out);
                out.push(b'}');
            }),
            Some((text, span)) if text.starts_with('{') => {
                each_member(text, |_, member| shared.note_own(&member.name()))?;
                insert_members(text, span, patch, |is_behind, out| {
                    shared.write_missing(is_behind, out);
                });
            }
            Some(_) => {}
        }
        Ok(())
    }
}

impl IpMember {
    fn new(facts: &RequestFacts<'_>) -> Self {
        let mut member = b"\"ip\":".to_vec();
        write_string(facts.ip, &mut member);
        IpMember {
            member,
            is_for_all: facts.client_side,
            in_context: Finder::new("\"ip\""),
            direct: Finder::new("\"direct\""),
        }
    }

    /// Whether a context without escapes may contain a member that affects this one.
    fn may_be_in(&self, context: &str) -> bool {
        let finder = if self.is_for_all { &self.in_context } else { &self.direct };
        finder.find(context.as_bytes()).is_some()
    }
}

/// Returns the value in the event, unless it is null.
#[inline]
fn own_value<'a>(outline: &Outline<'a>, value: MemberValue) -> Option<(&'a str, Span)> {
    let span = value.span()?;
    let text = outline.at(span);
    (text != "null").then_some((text, span))
}

/// Reads the context of an event, and marks the shared members that it already has.
fn read_context(text: &str, shared: &mut SharedMembers<'_>) -> Result<OwnContext, InvalidBody> {
    shared.forget_own();
    let mut context = OwnContext::default();
    each_member(text, |outline, member| {
        let name = member.name();
        shared.note_own(&name);
        match &*name {
            "ip" => context.has_ip = true,
            "direct" => context.direct = Some(outline.at(member.value) == "true"),
            _ => {}
        }
    })?;
    Ok(context)
}

fn write_all(shared: &SharedMembers<'_>, is_behind: bool, ip: Option<&Vec<u8>>, out: &mut Vec<u8>) {
    let is_behind = shared.write_missing(is_behind, out);
    if let Some(member) = ip {
        out.extend_from_slice(if is_behind { b"," } else { b"" });
        out.extend_from_slice(member);
    }
}

/// Inserts members after those of an object. The argument of `write` is whether the object has
/// members.
fn insert_members(
    text: &str,
    span: Span,
    patch: &mut ObjectPatch,
    write: impl FnOnce(bool, &mut Vec<u8>),
) {
    let is_behind = !text[1..].trim_ascii_start().starts_with('}');
    let closing = span.end - 1;
    patch.replace_span(Span { start: closing, end: closing }, |out| write(is_behind, out));
}
