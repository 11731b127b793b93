//! What a stop left unread.

/// An input that a stop left unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The source.
    pub source: String,
    /// The first line that was not read, counted from 1.
    pub from_line: u64,
}
