//! One segment of the log, as the writer, the reader and who acknowledges share
//! it.

use std::time::SystemTime;

use parking_lot::{Mutex, MutexGuard};

use super::acks::{Acks, SegmentSummary};

/// A segment. Its files are opened where they are used: there may be thousands.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// When its first entry was appended or, after a restart, its last one.
    pub(super) begun: SystemTime,
    state: Mutex<SegmentState>,
}

/// What changes about a segment.
#[derive(Debug)]
pub(super) struct SegmentState {
    /// The length of its file, as far as it is durable.
    pub(super) end: u64,
    pub(super) acks: Acks,
    /// Nothing will be appended any more.
    pub(super) is_complete: bool,
    /// Bytes of it that were given back.
    pub(super) punched: u64,
    /// Unacknowledged items when room was last given back.
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

    /// It has come to its end.
    pub(super) fn mark_complete(&mut self) {
        self.is_complete = true;
        self.unacked_when_punched = self.acks.items();
    }

    /// Let the file of acknowledgements say what the segment is.
    pub(super) fn write_summary(&mut self) {
        let (end, punched, items) = (self.end, self.punched, self.acks.items());
        self.acks.set_summary(SegmentSummary { end, punched, items });
    }

    /// Whether nobody needs it any more.
    pub(super) fn is_spent(&self) -> bool {
        self.is_complete && self.acks.unacked() == 0
    }

    /// Bytes that it takes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.end - self.punched
    }
}
