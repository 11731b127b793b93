//! The vendors whose APIs the collector speaks, and the types of their events.

/// The vendor whose API a source uses. It decides which members are added to an event, and what
/// is not an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Segment's HTTP Tracking API.
    Segment,
    /// The gateway of RudderStack.
    RudderStack,
}

/// The type of an event that a path names. It replaces the type in the event.
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
    const ALL: [MessageType; 8] = [
        MessageType::Identify,
        MessageType::Track,
        MessageType::Page,
        MessageType::Screen,
        MessageType::Group,
        MessageType::Alias,
        MessageType::Merge,
        MessageType::AudienceList,
    ];

    /// Returns the type that a path segment names.
    pub(super) fn from_path(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|message_type| message_type.name() == word)
    }

    /// Returns the name in events and paths.
    pub fn name(self) -> &'static str {
        match self {
            MessageType::Identify => "identify",
            MessageType::Track => "track",
            MessageType::Page => "page",
            MessageType::Screen => "screen",
            MessageType::Group => "group",
            MessageType::Alias => "alias",
            MessageType::Merge => "merge",
            MessageType::AudienceList => "audiencelist",
        }
    }
}
