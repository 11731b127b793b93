//! Bounds that this crate enforces, each with its unit and where the number is from.

use std::time::Duration;

/// The longest event that is read, in bytes without its line ending.
///
/// A plugin may make a record of permitted size out of an event that is itself
/// too large for one, so this is larger than `RECORD_BYTES_MAX`; what is
/// longer is never held in memory whole.
pub const EVENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The deepest nesting of objects and arrays in an event, in levels.
///
/// Far beyond any real event. The scan keeps a bit for each level, but what reads
/// events behind it may descend by recursion, so that depth is stack.
pub const EVENT_NESTING_MAX: usize = 1024;

/// The size of the pieces in which inputs are read, in bytes.
///
/// Small enough that a piece stays in a core's second-level cache between
/// being read, scanned and copied into its records.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// Bytes of a detail in a dead letter or a log line, so that an error never
/// carries a whole event.
pub const DETAIL_BYTES_MAX: usize = 1024;

/// How often a source that waits for data looks whether it should stop.
pub const STOP_POLL: Duration = Duration::from_millis(100);

/// Names of unknown sources that are logged and reported one by one. Events of further ones
/// are only counted: names come out of files.
pub const UNKNOWN_SOURCES_NAMED_MAX: usize = 100;
