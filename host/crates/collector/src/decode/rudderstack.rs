//! The members that RudderStack's gateway adds to events, and the changes of times in its next
//! stage. Where its documentation is silent, this module follows its behavior:
//!
//! - `rudderId` is the MD5 of `userId:anonymousId`, both cleaned, with the version (4) and variant
//!   bits of a UUID. It replaces the client's value.
//! - `request_ip` stays if it is a string. `receivedAt` is always the time of this server.
//! - Times are rewritten in one format. An invalid time is replaced by the time of receipt, and so
//!   is a `timestamp` in a year that cannot be written. Numbers are also accepted, unlike in
//!   RudderStack.
//! - Members of a batch besides its events are not added to events.

use super::event_time::{EventTime, EventTimeText};
use super::id::{RudderIds, clean_id};
use super::known_members::{KnownMembers, MemberValue};
use super::patch::ObjectPatch;
use super::{BodyShape, RequestFacts, write_string};
use standpipe_core::event::{EventRefusal, Outline, string};
use standpipe_core::message_id::{MessageIds, QuotedUuid};

/// The rules, and the parts that are the same for all events of a request.
pub(super) struct RudderStackRules {
    ids: MessageIds,
    rudder_ids: RudderIds,
    received: (EventTime, EventTimeText),
    /// The client's address as JSON.
    ip: Vec<u8>,
}

impl RudderStackRules {
    pub(super) fn new(facts: &RequestFacts<'_>) -> Self {
        let stamp = EventTime::of(facts.received_at);
        let mut ip = Vec::new();
        write_string(facts.ip, &mut ip);
        RudderStackRules {
            ids: MessageIds::new(),
            rudder_ids: RudderIds::default(),
            received: (stamp, stamp.write()),
            ip,
        }
    }

    /// Adds the changes of an event, unless the event is refused.
    #[inline]
    pub(super) fn patch_event(
        &mut self,
        outline: &Outline<'_>,
        shape: BodyShape,
        known: &KnownMembers,
        patch: &mut ObjectPatch,
    ) -> Result<(), EventRefusal> {
        let user_id = clean_id(known.user_id.text(outline));
        let anonymous_id = clean_id(known.anonymous_id.text(outline));
        let has_user = !user_id.is_empty() || !anonymous_id.is_empty();
        if !has_user && !shape.is_userless(known, outline) {
            return Err(EventRefusal::NoIdentity);
        }
        if let Some(message_type) = shape.message_type() {
            patch.set_member_with(known.message_type, "type", |out| {
                write_string(message_type.name(), out);
            });
        }
        self.set_message_id(outline, known.message_id, patch);
        if has_user {
            let rudder_id = self.rudder_ids.make_id(&user_id, &anonymous_id);
            patch.set_member(known.rudder_id, "rudderId", &rudder_id);
        }
        if !known.request_ip.text(outline).is_some_and(|text| text.starts_with('"')) {
            patch.set_member(known.request_ip, "request_ip", &self.ip);
        }
        self.set_times(outline, known, patch);
        Ok(())
    }

    #[inline]
    fn set_message_id(
        &mut self,
        outline: &Outline<'_>,
        value: MemberValue,
        patch: &mut ObjectPatch,
    ) {
        let Some(id) = value.text(outline).and_then(string) else {
            return patch.set_member(value, "messageId", &self.ids.next());
        };
        let cleaned = clean_id(value.text(outline));
        if cleaned.is_empty() {
            patch.set_member(value, "messageId", &self.ids.next());
        } else if cleaned != id {
            patch.set_member_with(value, "messageId", |out| write_string(&cleaned, out));
        }
    }

    #[inline]
    fn set_times(&self, outline: &Outline<'_>, known: &KnownMembers, patch: &mut ObjectPatch) {
        let (received, received_text) = self.received;
        let read = |value: MemberValue| Some(EventTime::read(value.text(outline)?)?.stamp);
        let original = read(known.original_timestamp);
        let sent = read(known.sent_at);
        let timestamp = read(known.timestamp).or_else(|| {
            received.shifted_back(sent.unwrap_or(received), original.unwrap_or(received))
        });
        let mut set = |place: MemberValue, key, stamp: Option<EventTime>| {
            let text = stamp.map_or(received_text, EventTime::write);
            patch.set_different(outline, place, key, &text);
        };
        set(known.received_at, "receivedAt", None);
        set(known.original_timestamp, "originalTimestamp", original);
        set(known.sent_at, "sentAt", sent);
        set(known.timestamp, "timestamp", timestamp);
    }

    /// Returns the maximum number of bytes that
    /// [`append_webhook_event`](Self::append_webhook_event) adds to a payload.
    pub(super) fn webhook_bytes_max(&self) -> usize {
        /// All parts except the address: keys, ids and times.
        const FIXED_BYTES: usize = 512;
        FIXED_BYTES + self.ip.len()
    }

    /// Appends the event of a webhook's payload: a track event of an unknown user, like that of
    /// RudderStack's own webhook source.
    pub(super) fn append_webhook_event(&mut self, payload: &str, out: &mut Vec<u8>) {
        let [anonymous_id, message_id] = [self.ids.next(), self.ids.next()];
        let rudder_id: QuotedUuid = self.rudder_ids.make_id("", without_quotes(&anonymous_id));
        let (_, received) = self.received;
        out.extend_from_slice(
            b"{\"type\":\"track\",\"event\":\"webhook_source_event\",\"properties\":",
        );
        out.extend_from_slice(payload.as_bytes());
        for (key, value) in [
            ("anonymousId", &anonymous_id[..]),
            ("messageId", &message_id),
            ("rudderId", &rudder_id),
            ("request_ip", &self.ip),
            ("receivedAt", &received),
            ("originalTimestamp", &received),
            ("sentAt", &received),
            ("timestamp", &received),
        ] {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(value);
        }
        out.push(b'}');
    }
}

fn without_quotes(id: &QuotedUuid) -> &str {
    std::str::from_utf8(&id[1..id.len() - 1]).expect("ASCII")
}
