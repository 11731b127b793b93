//! Limits that this crate enforces, each with its unit and the source of the number.

use std::time::Duration;

use standpipe_aws::limits::{RETRY_PAUSE_FIRST, RETRY_PAUSE_MAX};
use standpipe_core::backoff::{Backoff, Jitter};

/// Bytes of one record with its newline, before base64. Source: Firehose,
/// `PutRecordBatch`: 1,000 KiB.
pub const RECORD_BYTES_MAX: usize = 1_024_000;

/// Events in one record. Source: Firehose, `PutRecord`: if the stream de-aggregates records, a
/// record with more events is not split as expected.
pub const RECORD_EVENTS_MAX: usize = 500;

/// The step in which Firehose bills the size of a record, in bytes. Source:
/// Amazon Data Firehose, pricing: "rounded up to the nearest 5KB (5120 bytes)".
pub const BILLED_STEP_BYTES: usize = 5 * 1024;

/// Bytes of a record if Standpipe itself decides to aggregate: 20 whole steps of
/// [`BILLED_STEP_BYTES`]. The only waste is the space that the next event did not fit into, less
/// than 1 % with events of 1 KB. A larger record saves little more, and costs more to send again
/// after an error or a lost response.
pub const AGGREGATE_AUTO_BYTES: usize = 20 * BILLED_STEP_BYTES;

/// The time between two `DescribeDeliveryStream` calls, for all streams. Source: Firehose, quotas:
/// 5 per second for an account and region. This leaves one to others.
pub const DESCRIBE_STEP: Duration = Duration::from_millis(250);

/// Records in one request. Source: Firehose, `PutRecordBatch`.
pub const REQUEST_RECORDS_MAX: usize = 500;

/// Bytes of all records in one request, before base64.
///
/// Firehose documents "4 MB" in one place and 4 MiB in another, so this is the smaller one. It is
/// enforced where a batch is filled (`accumulator`) and where batches are joined for a retry
/// (`waiting`). The sender does not check it again.
pub const REQUEST_BYTES_MAX: usize = 4_000_000;

/// Bytes at which a request is sent, although it could be larger. A larger request costs no less,
/// and each request in flight needs this much memory plus a third for its base64.
pub const REQUEST_BYTES_ENOUGH: usize = 1024 * 1024;

/// Bytes of records in all closed batches without a response. Above the limit, the workers wait and
/// stop the inputs, or batches go to disk. The first batch of a stream may exceed the limit, so the
/// total exceeds it by less than one batch.
pub const IN_FLIGHT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long the overflow does not use the disk after a write failed, and how often waiting tasks
/// check it again.
pub const OVERFLOW_RETRY: Duration = Duration::from_secs(1);

/// The default time after which a stream without records is closed. By then, its learned rate is of
/// little value.
pub const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// Different consecutive records that a stream rejects as invalid, each alone in its request,
/// before the stream counts as faulty and is held. Records that are not too large cannot break a
/// rule of Firehose in numbers, so one rejected record is rare.
pub const REFUSED_ALONE_MAX: u32 = 4;

/// The pauses before records are sent again. The whole pause is random, so that writers that were
/// throttled together do not retry together.
pub const RETRY_BACKOFF: Backoff = Backoff::new(RETRY_PAUSE_FIRST, RETRY_PAUSE_MAX, Jitter::Full);

/// Timeout for one response. A full request has a body of 5.6 MB.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of a dead letter file after which the next file is started. Removing dead letters from a
/// file rewrites the rest of it, so a file must be small.
pub const DEAD_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Bytes of copies of dead letters that their delivery stream has not accepted yet. Further copies
/// are discarded. The limit is enough for the dead letters that arrive during one request, and
/// small compared to [`IN_FLIGHT_BYTES_MAX`]. The dead letters themselves are in their files.
pub const DEAD_COPIES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of dead letters in memory that wait to be written. Above the limit, a thread with another
/// dead letter waits. The limit equals that of records in flight: both belong to events that their
/// source still holds.
pub const DEAD_QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;
