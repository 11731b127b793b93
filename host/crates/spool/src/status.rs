//! What a spool reports about itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The contents of a spool when it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Segments with waiting items.
    pub segments: u64,
    /// Bytes of these segments.
    pub bytes: u64,
    /// Items that are not acknowledged. They still include items that later turn out to be corrupt.
    pub items_waiting: u64,
    /// Bytes of an interrupted write that were cut off the last segment. They belong to entries
    /// that were never reported as stored. Bytes of entries that may have been stored are counted
    /// in [`SpoolStatus::corrupt_bytes`] instead.
    pub torn_bytes: u64,
    /// Corrupt blocks and missing files of acknowledgements. Their items are read again, although
    /// they may have been acknowledged.
    pub acks_corrupt: u64,
}

/// The contents of a spool, and its counts since it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpoolStatus {
    /// Bytes on disk, or of entries in memory.
    pub bytes: u64,
    /// The limit of these bytes.
    pub bytes_max: u64,
    /// Number of segments.
    pub segments: u64,
    /// Entries appended.
    pub entries_appended: u64,
    /// Items that are not acknowledged yet.
    pub items_waiting: u64,
    /// The age of the oldest segment with such an item.
    pub oldest: Option<Duration>,
    /// Groups of entries that were written together.
    pub groups: u64,
    /// The number of entries in the largest group.
    pub group_entries_max: u64,
    /// Number of syncs of a group.
    pub syncs: u64,
    /// Corrupt regions of files, found while opening or reading.
    pub corrupt_regions: u64,
    /// Bytes of these regions.
    pub corrupt_bytes: u64,
    /// Bytes of such regions, including those of earlier runs, that are saved in files next to the
    /// segments.
    pub set_aside_bytes: u64,
    /// Items in these regions. They are lost and count as acknowledged, so that nothing waits for
    /// them. Their number at the end of the last segment is unknown.
    pub corrupt_items: u64,
    /// Items that the consumer could not read, although they are unchanged: see
    /// [`Spool::count_unreadable`](super::Spool::count_unreadable).
    pub items_unreadable: u64,
    /// Groups that could not be written or synced.
    pub write_errors: u64,
    /// Failed writes of acknowledgements, and failed removals of segments.
    pub tend_errors: u64,
    /// Regions that could not be read. They stay unchanged.
    pub read_errors: u64,
    /// Whether the last group could not be written or synced.
    pub is_failing: bool,
}

/// Defines the counters. Their fields have the names of fields in [`SpoolStatus`].
macro_rules! counters {
    ($($field:ident),* $(,)?) => {
        /// The counters of a spool.
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $field: Counter,)*
            pub(super) is_failing: AtomicBool,
        }

        impl Counters {
            /// The counted part of a status.
            pub(super) fn status(&self) -> SpoolStatus {
                let is_failing = self.is_failing.load(Ordering::Relaxed);
                SpoolStatus { $($field: self.$field.get(),)* is_failing, ..SpoolStatus::default() }
            }
        }
    };
}

counters!(
    entries_appended,
    items_waiting,
    groups,
    group_entries_max,
    syncs,
    corrupt_regions,
    corrupt_bytes,
    corrupt_items,
    set_aside_bytes,
    items_unreadable,
    write_errors,
    tend_errors,
    read_errors,
);

/// A number that many threads update.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn subtract(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    pub(super) fn raise_to(&self, least: u64) {
        self.0.fetch_max(least, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Adds to the counter, unless the result would exceed the maximum.
    pub(super) fn try_add(&self, more: u64, max: u64) -> bool {
        let sum = |now: u64| now.checked_add(more).filter(|sum| *sum <= max);
        self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok()
    }
}
