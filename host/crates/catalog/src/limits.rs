//! Limits that this crate enforces, each with its unit and the source of the number.

use std::time::Duration;

/// Failures of a run that its record keeps.
pub const CATALOG_FAILURES_KEPT: usize = 10;

/// Time that a run of the catalog has to finish after a stop.
pub const CATALOG_STOP_GRACE: Duration = Duration::from_secs(20);

/// The longest sleep before the scheduler reads the clock again.
pub const CATALOG_CLOCK_STEP: Duration = Duration::from_secs(30);

/// Calls per second of each read operation. AWS allows five for all callers in an account and a
/// region. This leaves one to the others.
pub const CATALOG_CALLS_PER_SECOND: f64 = 4.0;

/// Attempts of one call, including the first.
pub const CATALOG_ATTEMPTS_MAX: u32 = 8;

/// Stream names in one page of the list. Thousands of streams need few calls, and a page stays far
/// below the maximum size of a response.
pub const CATALOG_PAGE_STREAMS: usize = 1000;

/// Timeout for a request to a server outside of AWS. Some requests to OpenMetadata take many
/// seconds while it indexes.
pub const HTTP_TIMEOUT: Duration = Duration::from_secs(60);

/// The pause before the second attempt. It doubles with each further attempt.
pub const HTTP_PAUSE: Duration = Duration::from_millis(500);

/// Bytes of a response. A page of 1,000 pipelines with their tasks has about 5 MB.
pub const HTTP_ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Tables of a stream that a graph shows. A stream can name hundreds of databases with hundreds of
/// tables each, and a picture with more tables is unreadable.
pub const CATALOG_TABLES_PER_STREAM_MAX: usize = 1000;

/// Characters of a name in a tooltip of the picture. Names of AWS resources are shorter, but URLs
/// and conditions can be longer.
pub const PICTURE_TEXT_CHARS_MAX: usize = 1000;

/// The default number of pipelines in one request to OpenMetadata, as in OpenMetadata's own client.
pub const CATALOG_BULK: usize = 100;

/// Event kinds that a pipeline shows as tasks. For further kinds, it shows only their number.
pub const CATALOG_EVENT_TASKS_MAX: usize = 50;

/// Edges from events to streams in a graph. A plugin can name hundreds of event kinds for each of
/// thousands of streams. The limit keeps the edges to some tens of megabytes.
pub const CATALOG_ROUTED_EDGES_MAX: usize = 100_000;
