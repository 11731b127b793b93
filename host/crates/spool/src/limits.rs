//! Bounds that this crate enforces, each with its unit and where the number is from.

use std::time::Duration;

/// Bytes of a segment of the spool, beyond which the next one is begun. A segment
/// takes its room until all of it has been acknowledged, so it is not large; it
/// costs an `fsync` of a directory, so it is not small.
pub const SPOOL_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// The least that [`SPOOL_SEGMENT_BYTES`] shrinks to where the spool is small, in
/// bytes, so that most of its files are not mere headers.
pub const SPOOL_SEGMENT_BYTES_MIN: u64 = 1024 * 1024;

/// A segment is at most this part of the spool, so that what waits for the last
/// items of a segment to be acknowledged is a small part of the whole.
pub const SPOOL_SEGMENTS_MIN: u64 = 8;

/// Items of one segment: what bounds its acknowledgements, a bit each, to 2 MiB.
pub const SPOOL_SEGMENT_ITEMS_MAX: u32 = 16 * 1024 * 1024;

/// Bytes of one entry of the spool. An entry is in memory whole, so this bounds
/// what a corrupt length can ask for.
pub const SPOOL_ENTRY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of entries that wait to be written, in memory: further ones wait to be
/// let in. Enough for some groups while the disk syncs another.
pub const SPOOL_WAITING_BYTES_MAX: usize = 2 * SPOOL_ENTRY_BYTES_MAX;

/// Bytes that the spool reads ahead: many entries of usual size in one call, in a
/// core's second-level cache.
pub const SPOOL_READ_BYTES: usize = 512 * 1024;

/// Bytes of corrupt regions that the spool keeps in files beside its segments, for
/// recovery by hand: two segments. Further ones are
/// counted and not kept.
pub const SPOOL_SET_ASIDE_BYTES_MAX: u64 = 2 * SPOOL_SEGMENT_BYTES;

/// How often the spool tries again what it could not do to its files, and looks
/// for room to give back.
pub const SPOOL_TEND_INTERVAL: Duration = Duration::from_secs(1);

/// The least time from one log line about a failing spool to the next.
pub const SPOOL_LOG_STEP: Duration = Duration::from_secs(10);
