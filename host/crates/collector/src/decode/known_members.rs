//! The positions of members that decoding reads or writes, found in one pass over an object. If a
//! key is duplicated, the last member is used.

use standpipe_core::event::{Member, Outline, Span, string};

/// The positions of the values of members that a rule reads or writes. If a key is duplicated, it
/// is the last value.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownMembers {
    pub(super) anonymous_id: MemberValue,
    pub(super) batch: MemberValue,
    pub(super) context: MemberValue,
    pub(super) event: MemberValue,
    pub(super) integrations: MemberValue,
    pub(super) message_id: MemberValue,
    pub(super) message_type: MemberValue,
    pub(super) original_timestamp: MemberValue,
    pub(super) received_at: MemberValue,
    pub(super) request_ip: MemberValue,
    pub(super) rudder_id: MemberValue,
    pub(super) sent_at: MemberValue,
    pub(super) timestamp: MemberValue,
    pub(super) user_id: MemberValue,
    pub(super) write_key: MemberValue,
}

/// The position of a member's value, if there is one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MemberValue(Span);

impl MemberValue {
    #[inline]
    pub(super) fn span(self) -> Option<Span> {
        (self.0.end != 0).then_some(self.0)
    }

    /// The value's text.
    #[inline]
    pub(super) fn text<'a>(self, outline: &Outline<'a>) -> Option<&'a str> {
        self.span().map(|span| outline.at(span))
    }

    /// Whether the value is a non-empty string.
    #[inline]
    pub(super) fn is_filled_string(self, outline: &Outline<'_>) -> bool {
        self.text(outline).is_some_and(|text| text.starts_with('"') && text.len() > 2)
    }

    /// Whether the value is this string.
    #[inline]
    pub(super) fn is_string(self, outline: &Outline<'_>, word: &str) -> bool {
        self.text(outline).and_then(string).is_some_and(|it| it == word)
    }
}

impl KnownMembers {
    /// Notes a member, if it is one of these. `spells` is whether escapes in its key may encode
    /// letters.
    #[inline]
    pub(super) fn note_member(&mut self, member: Member<'_>, spells: bool) {
        if spells {
            self.note_member_as(&member.name(), member.value);
        } else {
            self.note_member_as(member.key, member.value);
        }
    }

    #[inline]
    fn note_member_as(&mut self, key: &str, value: Span) {
        let place = match key.as_bytes() {
            b"anonymousId" => &mut self.anonymous_id,
            b"batch" => &mut self.batch,
            b"context" => &mut self.context,
            b"event" => &mut self.event,
            b"integrations" => &mut self.integrations,
            b"messageId" => &mut self.message_id,
            b"type" => &mut self.message_type,
            b"originalTimestamp" => &mut self.original_timestamp,
            b"receivedAt" => &mut self.received_at,
            b"request_ip" => &mut self.request_ip,
            b"rudderId" => &mut self.rudder_id,
            b"sentAt" => &mut self.sent_at,
            b"timestamp" => &mut self.timestamp,
            b"userId" => &mut self.user_id,
            b"writeKey" => &mut self.write_key,
            _ => return,
        };
        *place = MemberValue(value);
    }
}
