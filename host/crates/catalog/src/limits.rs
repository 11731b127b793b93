//! Bounds that this crate enforces, each with its unit and where the number is from.

use std::time::Duration;

/// The shortest time between two runs of the catalog: with a larger account one does
/// not even end within it, since Firehose is asked five times a second.
pub const SCHEDULE_EVERY_MIN: Duration = Duration::from_secs(1);

/// The longest one.
pub const SCHEDULE_EVERY_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Runs of the catalog that are remembered: three weeks of one an hour. When there
/// are more, the younger half is kept.
pub const CATALOG_RUNS_KEPT: usize = 500;

/// Bytes of what is remembered of them, without their logs.
pub const CATALOG_HISTORY_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Failures of a run that are remembered.
pub const CATALOG_FAILURES_KEPT: usize = 10;

/// Characters of each.
pub const CATALOG_FAILURE_CHARS_MAX: usize = 400;

/// Runs that are counted one by one when they were skipped.
pub const CATALOG_SKIPPED_COUNTED: usize = 1000;

/// How long a run of the catalog may take to end when it is told to stop.
pub const CATALOG_STOP_GRACE: Duration = Duration::from_secs(20);

/// The longest sleep before the clock is looked at again.
pub const CATALOG_CLOCK_STEP: Duration = Duration::from_secs(30);

/// Calls in a second of each operation that the catalog reads with. AWS answers five,
/// for all who ask in an account and a region: this leaves one to the others.
pub const CATALOG_CALLS_PER_SECOND: f64 = 4.0;

/// Descriptions that are asked for at once. What bounds them is the rate; these are
/// enough to keep to it with answers that take two seconds.
pub const CATALOG_CALLS_IN_FLIGHT: usize = 8;

/// Attempts of one call, the first among them.
pub const CATALOG_ATTEMPTS_MAX: u32 = 8;

/// The same where somebody waits for the answer, to learn whether it works at all.
pub const CATALOG_PROBE_ATTEMPTS_MAX: u32 = 3;

/// After this long no further attempt of a call is begun.
pub const CATALOG_ATTEMPTS_TIME_MAX: Duration = Duration::from_secs(120);

/// The pause before the second attempt; doubled each time.
pub const CATALOG_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause between two attempts.
pub const CATALOG_PAUSE_MAX: Duration = Duration::from_secs(20);

/// Calls in a row that may come to nothing, all attempts of theirs, for a reason
/// that should pass, before no more are made: whoever cannot be reached is not waited
/// for thousands of times.
pub const CATALOG_FAILURES_IN_A_ROW_MAX: usize = 5;

/// Names of streams in a page of their list: few calls for thousands of them, and far
/// less than an answer may have.
pub const CATALOG_PAGE_STREAMS: usize = 1000;

/// Names of tables in a page of their list: DynamoDB gives no more.
pub const CATALOG_PAGE_TABLES: usize = 100;

/// Streams, or tables, that are listed: twenty times as many as an account may have
/// in a region. What bounds memory where a list has no end.
pub const CATALOG_NAMES_MAX: usize = 100_000;

/// Pages of destinations of one stream, which has one destination today.
pub const CATALOG_DESTINATION_PAGES_MAX: usize = 100;

/// Time for STS to say whose credentials are used, which can be done without.
pub const CATALOG_CALLER_TIMEOUT: Duration = Duration::from_secs(15);

/// Steps back that a pattern of names may take for one name: some milliseconds.
pub const CATALOG_PATTERN_STEPS_MAX: usize = 100_000;

/// How long a request to a server that is not Amazon's may take: some of
/// OpenMetadata's take many seconds while it indexes.
pub const WEB_TIMEOUT: Duration = Duration::from_secs(60);

/// Attempts of such a request.
pub const WEB_ATTEMPTS: u32 = 4;

/// The pause before the second of them, doubled for each further one.
pub const WEB_PAUSE: Duration = Duration::from_millis(500);

/// The longest of these pauses, whatever the server asks for: a run shall end.
pub const WEB_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Bytes of an answer: a page of 1,000 pipelines with their tasks has some 5 MB.
pub const WEB_ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Characters of a URL that an error shows.
pub const WEB_URL_SHOWN_MAX: usize = 300;

/// Tables of a database that a graph shows of one stream, which may name some
/// hundreds of databases and as many tables for each: beyond, nobody sees anything.
pub const CATALOG_TABLES_PER_STREAM_MAX: usize = 1000;

/// Assets of a picture: those of 5,000 streams with a source and two kinds of events
/// each. More than that no person reads and few browsers show.
pub const PICTURE_ASSETS_MAX: usize = 25_000;

/// Edges of a picture, for the same reason: events that are sent to every stream
/// multiply.
pub const PICTURE_EDGES_MAX: usize = 50_000;

/// Characters of a name that a picture holds, in what is shown when the pointer rests
/// on it. Names of Amazon's are shorter, URLs and conditions need not be.
pub const PICTURE_TEXT_CHARS_MAX: usize = 1000;

/// Pipelines in one request to OpenMetadata, unless set otherwise: as its own
/// client does.
pub const CATALOG_BULK: usize = 100;

/// The part of a service's pipelines that a run may delete, unless set otherwise:
/// more than half of the streams hardly go at once, but wrong settings make it look so.
pub const CATALOG_DELETE_RATIO_MAX: f64 = 0.5;

/// Pipelines on a page of OpenMetadata's list.
pub const CATALOG_PAGE: usize = 100;

/// Pages of a list or of what a search finds, so that no server keeps a run forever.
pub const CATALOG_PAGES_MAX: usize = 1000;

/// Hits of a search that are looked at: more than one is ambiguous already, but
/// those of an index that rotates are one.
pub const CATALOG_HITS_MAX: usize = 1000;

/// Levels of an S3 prefix that are looked up, the deepest and the bucket included.
pub const CATALOG_PREFIX_LEVELS_MAX: usize = 12;

/// Kinds of events that a pipeline shows as tasks; of more, their number is told.
pub const CATALOG_EVENT_TASKS_MAX: usize = 50;

/// Failures that the summary of a run shows, as OpenMetadata's own does.
pub const CATALOG_FAILURES_SHOWN: usize = 10;

/// Ways of events to streams that a graph has: a plugin may name hundreds of kinds of
/// events for each of thousands of streams. Some tens of megabytes.
pub const CATALOG_ROUTED_EDGES_MAX: usize = 100_000;
