//! Limits that this crate enforces, each with its unit and the source of the number.

use std::time::Duration;

/// Bytes of a spool segment after which the next one is started. A segment uses disk space until
/// all of its items are acknowledged, so it must not be large. It costs an `fsync` of a directory,
/// so it must not be small.
pub const SPOOL_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// The minimum of [`SPOOL_SEGMENT_BYTES`] for a small spool, in bytes. With smaller segments,
/// headers would take most of the space.
pub const SPOOL_SEGMENT_BYTES_MIN: u64 = 1024 * 1024;

/// The minimum number of segments that a full spool has. So a segment that waits for its last
/// acknowledgements is only a small part of the spool.
pub const SPOOL_SEGMENTS_MIN: u64 = 8;

/// Items of one segment. The limit keeps its acknowledgements, one bit each, within 2 MiB.
pub const SPOOL_SEGMENT_ITEMS_MAX: u32 = 16 * 1024 * 1024;

/// Bytes of one spool entry. An entry is in memory as a whole, so this limits the allocation for a
/// corrupt length.
pub const SPOOL_ENTRY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of entries in memory that wait to be written. Further entries wait before they are
/// accepted. The limit is enough for several groups while the disk syncs another one.
pub const SPOOL_WAITING_BYTES_MAX: usize = 2 * SPOOL_ENTRY_BYTES_MAX;

/// Bytes that the spool reads ahead. One call reads many entries of usual size, and they fit into a
/// core's second-level cache.
pub const SPOOL_READ_BYTES: usize = 512 * 1024;

/// Bytes of corrupt regions that the spool saves in files next to its segments, for manual
/// recovery: two segments. Further regions are counted but not saved.
pub const SPOOL_SET_ASIDE_BYTES_MAX: u64 = 2 * SPOOL_SEGMENT_BYTES;

/// How often the spool retries failed operations on its files, and looks for disk space to release.
pub const SPOOL_TEND_INTERVAL: Duration = Duration::from_secs(1);

/// The minimum time between log messages about a failing spool.
pub const SPOOL_LOG_STEP: Duration = Duration::from_secs(10);

/// How long an append waits for the acknowledgement of its entry, if it waits: SDKs of Segment and RudderStack close
/// their requests after 10 seconds or more.
pub const SPOOL_ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(8);

/// Bytes of entries in a spool whose appends wait for acknowledgements.
pub const SPOOL_ACKNOWLEDGED_BYTES_MAX: u64 = 64 * 1024 * 1024;
