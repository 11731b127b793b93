//! The vendors whose APIs the collector implements, and the types of their events.

/// The vendor whose API a source uses. It determines which members are added to an event, and which
/// texts are not events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Segment's HTTP Tracking API.
    Segment,
    /// The gateway of RudderStack.
    RudderStack,
}

/// The type of an event in a path. It replaces the type in the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// `identify`.
    Identify,
    /// `track`.
    Track,
    /// `page`.
    Page,
    /// `screen`.
    Screen,
    /// `group`.
    Group,
    /// `alias`.
    Alias,
    /// `merge`.
    Merge,
    /// `audiencelist`.
    AudienceList,
}

impl MessageType {
    /// All types and their names, each at the position of its number.
    const NAMES: [(MessageType, &str); 8] = [
        (MessageType::Identify, "identify"),
        (MessageType::Track, "track"),
        (MessageType::Page, "page"),
        (MessageType::Screen, "screen"),
        (MessageType::Group, "group"),
        (MessageType::Alias, "alias"),
        (MessageType::Merge, "merge"),
        (MessageType::AudienceList, "audiencelist"),
    ];

    /// Returns the type for a segment of a path.
    pub(super) fn from_path(word: &str) -> Option<Self> {
        let named = Self::NAMES.into_iter().find(|(_, name)| *name == word);
        named.map(|(message_type, _)| message_type)
    }

    /// Returns the name in events and paths.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_stands_at_its_number() {
        for (position, (message_type, name)) in MessageType::NAMES.into_iter().enumerate() {
            assert_eq!((message_type as usize, message_type.name()), (position, name));
        }
    }
}
