//! A spool without a disk: its contents are lost with the process.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::{AppendError, EntryPosition, NextEntry, SpoolEntry, SpoolStatus};
use crate::limits;

/// A limited queue. An entry counts until all of its items are acknowledged, because the consumer
/// keeps it in memory until then.
#[derive(Debug)]
pub(super) struct MemorySpool {
    bytes_max: u64,
    state: Mutex<MemoryState>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct MemoryState {
    queue: VecDeque<SpoolEntry>,
    /// Unacknowledged entries, by their number.
    held: BTreeMap<u64, HeldEntry>,
    next_number: u64,
    is_closed: bool,
    status: SpoolStatus,
}

#[derive(Debug)]
struct HeldEntry {
    bytes: u64,
    since: Instant,
    acked: Vec<bool>,
    unacked: u32,
}

impl MemorySpool {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, state: Mutex::default(), news: Condvar::new() }
    }

    pub(super) fn append(&self, items: u32, bytes: Vec<u8>) -> Result<(), AppendError> {
        let length = bytes.len() as u64;
        if bytes.len() > limits::SPOOL_ENTRY_BYTES_MAX
            || items > limits::SPOOL_SEGMENT_ITEMS_MAX
            || length > self.bytes_max
        {
            return Err(AppendError::TooLarge { bytes: bytes.len(), items });
        }
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(AppendError::Closed);
        }
        if state.status.bytes + length > self.bytes_max {
            return Err(AppendError::Full);
        }
        state.next_number += 1;
        let number = state.next_number;
        let acked = vec![false; items as usize];
        state.held.insert(
            number,
            HeldEntry { bytes: length, since: Instant::now(), acked, unacked: items },
        );
        let place = EntryPosition { segment: number, first: 0, items };
        state.queue.push_back(SpoolEntry { bytes, items, place, acked: Vec::new() });
        state.status.bytes += length;
        state.status.entries_appended += 1;
        state.status.items_waiting += u64::from(items);
        drop(state);
        self.news.notify_all();
        Ok(())
    }

    pub(super) fn acknowledge(&self, place: EntryPosition, positions: impl Iterator<Item = u32>) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(held) = state.held.get_mut(&place.segment) else {
            return;
        };
        for position in positions {
            if let Some(acked @ false) = held.acked.get_mut(position as usize) {
                *acked = true;
                held.unacked -= 1;
                state.status.items_waiting -= 1;
            }
        }
        if held.unacked == 0 {
            state.status.bytes -= held.bytes;
            state.held.remove(&place.segment);
        }
    }

    /// Counts items that stay in the spool because this program cannot read them.
    pub(super) fn count_unreadable(&self, items: u32) {
        self.state.lock().status.items_unreadable += u64::from(items);
    }

    pub(super) fn next(&self, until: Instant) -> NextEntry {
        let mut state = self.state.lock();
        loop {
            if let Some(entry) = state.queue.pop_front() {
                return NextEntry::Entry(entry);
            }
            let left = until.saturating_duration_since(Instant::now());
            if state.is_closed {
                return NextEntry::End;
            }
            if left.is_zero() {
                return NextEntry::Nothing;
            }
            self.news.wait_for(&mut state, left);
        }
    }

    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.news.notify_all();
    }

    pub(super) fn status(&self) -> SpoolStatus {
        let state = self.state.lock();
        let oldest = state.held.first_key_value().map(|(_, held)| held.since.elapsed());
        SpoolStatus { bytes_max: self.bytes_max, oldest, ..state.status.clone() }
    }
}
