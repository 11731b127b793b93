//! The words that requests of either vendor are told apart by.

/// Whose API a request speaks. It decides which members an event gets on its way
/// and what is no event at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Segment's HTTP Tracking API.
    Segment,
    /// The gateway of RudderStack.
    RudderStack,
}

/// The type of an event that a path says. It replaces what the event says.
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

    /// The type that a part of a path names.
    pub(super) fn from_path(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|message_type| message_type.name() == word)
    }

    /// As it stands in events and in paths.
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
