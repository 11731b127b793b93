//! What the log and the writer ask the janitor for.

use std::sync::Arc;

use super::segment::Segment;

/// What the janitor is asked for.
#[derive(Debug)]
pub(super) enum JanitorTask {
    /// All items of a complete segment are acknowledged.
    Remove(Arc<Segment>),
    /// Files of this number, of which no segment came to be, could not be removed.
    Discard(u64),
    Stop,
}
