//! What a spool reports about itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What was found when a spool was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Segments of which items wait.
    pub segments: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// Items that are not acknowledged. Those that turn out to be corrupt when
    /// they are read are still among them.
    pub items_waiting: u64,
    /// Bytes cut off the last segment, which a crash left in the middle of a
    /// write: of entries that nobody was informed are stored. What may have been stored
    /// is counted in [`SpoolStatus::corrupt_bytes`] instead.
    pub torn_bytes: u64,
    /// Corrupt blocks of acknowledgements, and missing files of them: the items
    /// are handed out again, though they may have been acknowledged.
    pub acks_corrupt: u64,
}

/// What a spool holds and has done since it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpoolStatus {
    /// Bytes that it takes on disk, or of entries in memory.
    pub bytes: u64,
    /// What they may come to.
    pub bytes_max: u64,
    /// Segments that there are.
    pub segments: u64,
    /// Entries appended.
    pub entries_appended: u64,
    /// Items that are not acknowledged yet.
    pub items_waiting: u64,
    /// The age of the oldest segment with such an item.
    pub oldest: Option<Duration>,
    /// Groups of entries that were written together.
    pub groups: u64,
    /// Entries of the largest group.
    pub group_entries_max: u64,
    /// Times that a group was synced.
    pub syncs: u64,
    /// Regions of files that are corrupt, as found by opening and reading.
    pub corrupt_regions: u64,
    /// Bytes of them.
    pub corrupt_bytes: u64,
    /// Bytes of such regions, also of earlier runs, that are kept in files beside
    /// the segments.
    pub set_aside_bytes: u64,
    /// Items that were lost in them: they are acknowledged, so that they wait for
    /// nobody. How many there were at the end of the last segment, nobody knows.
    pub corrupt_items: u64,
    /// Items that the consumer could not read, though they are as they were appended: see [`Spool::count_unreadable`](super::Spool::count_unreadable).
    pub items_unreadable: u64,
    /// Groups that could not be written or synced.
    pub write_errors: u64,
    /// Times that acknowledgements could not be written, or a segment removed.
    pub tend_errors: u64,
    /// Regions that could not be read. What is there stays there.
    pub read_errors: u64,
    /// The last group could not be written or synced.
    pub is_failing: bool,
}

/// Makes the counters whose fields, and those of [`SpoolStatus`], have these names.
macro_rules! counters {
    ($($field:ident),* $(,)?) => {
        /// What is counted in the course of time.
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $field: Counter,)*
            pub(super) is_failing: AtomicBool,
        }

        impl Counters {
            /// The part of a status that is counted.
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

/// A number that many threads change.
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

    /// Add, unless it would come to more than this.
    pub(super) fn try_add(&self, more: u64, max: u64) -> bool {
        let sum = |now: u64| now.checked_add(more).filter(|sum| *sum <= max);
        self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok()
    }
}
