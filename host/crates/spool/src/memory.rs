//! A spool in memory: what is in it is lost with the process. An append can wait until the entry is acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::{AppendError, Durability, EntryPosition, NextEntry, SpoolEntry, SpoolStatus};
use crate::limits;

/// A limited queue. An entry counts until all of its items are acknowledged, because the consumer
/// keeps it in memory until then.
#[derive(Debug)]
pub(super) struct MemorySpool {
    bytes_max: u64,
    /// Whether an append waits until the items of the entry are acknowledged.
    waits: bool,
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
    /// Gets a value when all items are acknowledged.
    waiting: Option<oneshot::Sender<()>>,
}

impl MemorySpool {
    pub(super) fn new(bytes_max: u64, durability: Durability) -> Self {
        let waits = durability == Durability::Acknowledged;
        Self { bytes_max, waits, state: Mutex::default(), news: Condvar::new() }
    }

    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    pub(super) async fn append(&self, items: u32, bytes: Vec<u8>) -> Result<(), AppendError> {
        let Some(acknowledged) = self.push(items, bytes)? else { return Ok(()) };
        match tokio::time::timeout(limits::SPOOL_ACKNOWLEDGED_WITHIN, acknowledged).await {
            Ok(Ok(())) => Ok(()),
            // The spool was dropped, or whoever acknowledges takes too long.
            Ok(Err(_)) | Err(_) => Err(AppendError::Unacknowledged),
        }
    }

    /// Adds an entry. Returns what gets a value when its items are acknowledged, if the append waits for that.
    fn push(
        &self,
        items: u32,
        bytes: Vec<u8>,
    ) -> Result<Option<oneshot::Receiver<()>>, AppendError> {
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
        let (waiting, acknowledged) = self.waits.then(oneshot::channel).unzip();
        let since = Instant::now();
        state
            .held
            .insert(number, HeldEntry { bytes: length, since, acked, unacked: items, waiting });
        let place = EntryPosition { segment: number, first: 0, items };
        state.queue.push_back(SpoolEntry { bytes, items, place, acked: Vec::new() });
        state.status.bytes += length;
        state.status.entries_appended += 1;
        state.status.items_waiting += u64::from(items);
        drop(state);
        self.news.notify_all();
        Ok(acknowledged)
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
            let held = state.held.remove(&place.segment);
            // The client can have closed its connection.
            let _ = held.and_then(|held| held.waiting).map(|waiting| waiting.send(()));
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
