//! A segment of the log, shared by the writer, the reader and the callers that acknowledge.

use std::time::SystemTime;

use parking_lot::{Mutex, MutexGuard};

use super::acks::{Acks, SegmentSummary};

/// A segment. Its files are opened only for use, because there may be thousands.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// When the segment's first entry was appended or, after a restart, its last one.
    pub(super) begun: SystemTime,
    state: Mutex<SegmentState>,
}

/// The mutable state of a segment.
#[derive(Debug)]
pub(super) struct SegmentState {
    /// The durable length of the frame file.
    pub(super) end: u64,
    pub(super) acks: Acks,
    /// Whether nothing will be appended any more.
    pub(super) is_complete: bool,
    /// Bytes that were released.
    pub(super) punched: u64,
    /// Unacknowledged items when space was last released.
    pub(super) unacked_when_punched: u32,
}

impl Segment {
    pub(super) fn new(number: u64, begun: SystemTime, state: SegmentState) -> Self {
        Self { number, begun, state: Mutex::new(state) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, SegmentState> {
        self.state.lock()
    }
}

impl SegmentState {
    pub(super) fn new(end: u64, acks: Acks) -> Self {
        Self { end, acks, is_complete: false, punched: 0, unacked_when_punched: 0 }
    }

    /// Marks the segment as complete.
    pub(super) fn mark_complete(&mut self) {
        self.is_complete = true;
        self.unacked_when_punched = self.acks.items();
    }

    /// Writes the summary of the segment into the acknowledgement file.
    pub(super) fn write_summary(&mut self) {
        let (end, punched, items) = (self.end, self.punched, self.acks.items());
        self.acks.set_summary(SegmentSummary { end, punched, items });
    }

    /// Whether the segment is no longer needed.
    pub(super) fn is_spent(&self) -> bool {
        self.is_complete && self.acks.unacked() == 0
    }

    /// The disk space of the segment in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.end - self.punched
    }
}
