//! What a destination of an export is for.

/// What a destination says it is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Firehose,
    Other(String),
    Unsaid,
}
