//! Limits that this crate enforces, each with its unit and the source of the number.

use std::time::Duration;

/// The maximum size of an event, in bytes without its line ending.
///
/// A plugin may turn an event that is too large for a record into a record of permitted size, so
/// this is larger than `RECORD_BYTES_MAX`. A longer event is never in memory as a whole.
pub const EVENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The deepest nesting of objects and arrays in an event, in levels.
///
/// Far more than any real event has. The scanner needs one bit for each level, but later readers of
/// the event may recurse, so depth costs stack.
pub const EVENT_NESTING_MAX: usize = 1024;

/// The size of the chunks in which inputs are read, in bytes.
///
/// A chunk of this size stays in a core's second-level cache while it is read, scanned and copied
/// into records.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// Bytes of a detail in a dead letter or a log line. The limit prevents an error from containing a
/// whole event.
pub const DETAIL_BYTES_MAX: usize = 1024;

/// How often a source that waits for data checks whether it should stop.
pub const STOP_POLL: Duration = Duration::from_millis(100);

/// Names of unknown sources that are logged and reported individually. The names come from files,
/// so their number is unlimited. Events of further sources are only counted.
pub const UNKNOWN_SOURCES_NAMED_MAX: usize = 100;
