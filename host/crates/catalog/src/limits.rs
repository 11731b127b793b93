//! Bounds that this crate enforces, each with its unit and where the number is from.

use std::time::Duration;

/// Failures of a run that are remembered.
pub const CATALOG_FAILURES_KEPT: usize = 10;

/// How long a run of the catalog may take to end when it is stopped.
pub const CATALOG_STOP_GRACE: Duration = Duration::from_secs(20);

/// The longest sleep before the clock is looked at again.
pub const CATALOG_CLOCK_STEP: Duration = Duration::from_secs(30);

/// Calls in a second of each operation that the catalog reads with. AWS answers five,
/// for all who ask in an account and a region: this leaves one to the others.
pub const CATALOG_CALLS_PER_SECOND: f64 = 4.0;

/// Attempts of one call, the first among them.
pub const CATALOG_ATTEMPTS_MAX: u32 = 8;

/// Names of streams in a page of their list: few calls for thousands of them, and far
/// less than an answer may have.
pub const CATALOG_PAGE_STREAMS: usize = 1000;

/// How long a request to a server that is not Amazon's may take: some of
/// OpenMetadata's take many seconds while it indexes.
pub const HTTP_TIMEOUT: Duration = Duration::from_secs(60);

/// The pause before the second of them, doubled for each further one.
pub const HTTP_PAUSE: Duration = Duration::from_millis(500);

/// Bytes of an answer: a page of 1,000 pipelines with their tasks has some 5 MB.
pub const HTTP_ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Tables of a database that a graph shows of one stream, which may name some
/// hundreds of databases and as many tables for each: a picture of more is unreadable.
pub const CATALOG_TABLES_PER_STREAM_MAX: usize = 1000;

/// Characters of a name that a picture holds, in what is shown when the pointer rests
/// on it. Names of Amazon's are shorter, URLs and conditions need not be.
pub const PICTURE_TEXT_CHARS_MAX: usize = 1000;

/// Pipelines in one request to OpenMetadata, unless set otherwise: as its own
/// client does.
pub const CATALOG_BULK: usize = 100;

/// Kinds of events that a pipeline shows as tasks; of more, only their number is shown.
pub const CATALOG_EVENT_TASKS_MAX: usize = 50;

/// Ways of events to streams that a graph has: a plugin may name hundreds of kinds of
/// events for each of thousands of streams. Some tens of megabytes.
pub const CATALOG_ROUTED_EDGES_MAX: usize = 100_000;
