//! The tasks of the janitor, from the log and the writer.

use std::sync::Arc;

use super::segment::Segment;

/// A task of the janitor.
#[derive(Debug)]
pub(super) enum JanitorTask {
    /// All items of a complete segment are acknowledged, so it can be removed.
    Remove(Arc<Segment>),
    /// Files with the number of a segment that was never completed could not be removed.
    Discard(u64),
    Stop,
}
