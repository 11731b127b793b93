//! Bounds that this crate enforces, each with its unit and where the number is from.

use std::time::Duration;

use standpipe_aws::limits::{RETRY_PAUSE_FIRST, RETRY_PAUSE_MAX};
use standpipe_core::backoff::{Backoff, Jitter};

/// Bytes of one record with its newline, before base64. Source: Firehose,
/// `PutRecordBatch`: 1,000 KiB.
pub const RECORD_BYTES_MAX: usize = 1_024_000;

/// Events in one record. Source: Firehose, `PutRecord`: a record of more is not
/// split as expected where the stream de-aggregates records.
pub const RECORD_EVENTS_MAX: usize = 500;

/// The step in which Firehose bills the size of a record, in bytes. Source:
/// Amazon Data Firehose, pricing: "rounded up to the nearest 5KB (5120 bytes)".
pub const BILLED_STEP_BYTES: usize = 5 * 1024;

/// Bytes of a record where it is this program that chooses to aggregate: 20 whole steps
/// of [`BILLED_STEP_BYTES`], so that all that is paid in vain is the room that the
/// next event did not fit into: under 1 % where events have 1 KB. A larger record
/// saves little more, and is what a refusal or a lost answer costs to send again.
pub const AGGREGATE_AUTO_BYTES: usize = 20 * BILLED_STEP_BYTES;

/// The time from one `DescribeDeliveryStream` to the next, for all streams.
/// Source: Firehose, quotas: 5 a second for an account and region; one of them is
/// left to others.
pub const DESCRIBE_STEP: Duration = Duration::from_millis(250);

/// Records in one request. Source: Firehose, `PutRecordBatch`.
pub const REQUEST_RECORDS_MAX: usize = 500;

/// Bytes of all records in one request, before base64.
///
/// Firehose documents "4 MB" in one place and 4 MiB in another, so the smaller. It is
/// enforced where a batch is filled (`accumulator`) and where batches are joined to be sent
/// again (`waiting`); what sends them takes them as they are.
pub const REQUEST_BYTES_MAX: usize = 4_000_000;

/// Bytes from which a request is sent, though it could be larger: nothing gets
/// cheaper beyond, and every request under way takes this much memory, and a
/// third more for its base64.
pub const REQUEST_BYTES_ENOUGH: usize = 1024 * 1024;

/// Bytes of records in all closed batches that have not been answered. Beyond
/// it the workers wait, and with them the inputs, or batches go to the disk. The first
/// batch of a stream may exceed it, so that all together exceed it by less than one.
pub const IN_FLIGHT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long the disk is left alone after it failed to take such records, and how often
/// those who wait for it look again.
pub const OVERFLOW_RETRY: Duration = Duration::from_secs(1);

/// How long a stream stays in use without records, unless the settings say otherwise:
/// what has been learnt about its pace is worth little by then.
pub const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// Different records in a row that a stream refuses as invalid, each alone in its request,
/// before the stream counts as at fault and is held: Firehose knows no rule that several
/// records could break which are not too large, so one refused record is rare.
pub const REFUSED_ALONE_MAX: u32 = 4;

/// The pauses before records are sent again. All of a pause is left to chance, so that
/// writers that were refused together do not come back together.
pub const RETRY_BACKOFF: Backoff = Backoff::new(RETRY_PAUSE_FIRST, RETRY_PAUSE_MAX, Jitter::Full);

/// Time for one request's answer. A full request has 5.6 MB of body.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of a file of dead letters, beyond which the next one is begun. Taking
/// dead letters out of a file writes the rest of it anew, so a file is not large.
pub const DEAD_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Bytes of copies of dead letters that their delivery stream has not accepted
/// yet; a copy beyond is not made. Enough for what dies while a request is under
/// way, and small beside [`IN_FLIGHT_BYTES_MAX`]: the dead letters are in their files.
pub const DEAD_COPIES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of dead letters that wait to be written, in memory. Beyond it, a thread that has
/// another one waits. As much as records in flight may take: both are of events that
/// their source has not let go.
pub const DEAD_QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;
