//! Limits that this crate enforces, each with its unit and the source of the number.

use std::time::Duration;

use standpipe_core::backoff::{Backoff, Jitter};

/// Concurrent requests to Firehose, of all streams together. Each request needs a connection, and
/// with HTTP/1.1 a file descriptor. The limit of descriptors is often 1,024.
pub const REQUESTS_AT_ONCE_MAX: usize = 256;

/// The first backoff interval before records are sent again. Each further interval may be twice as
/// long. The pause is a random time between zero and the interval.
pub const RETRY_PAUSE_FIRST: Duration = Duration::from_millis(100);

/// The time between log messages about a wait that blocks all delivery.
pub const WAIT_REMINDER: Duration = Duration::from_secs(30);

/// The longest pause before records are sent again.
pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(20);

/// The pauses between attempts to get something that delivery depends on.
pub const WAIT_BACKOFF: Backoff = Backoff::new(RETRY_PAUSE_FIRST, RETRY_PAUSE_MAX, Jitter::None);

/// Timeout for connecting to an endpoint.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The time after which credentials without an expiry are loaded again, to notice a rotated file.
/// The AWS SDKs use the same time.
pub const CREDENTIALS_RELOAD: Duration = Duration::from_secs(15 * 60);

/// Timeout for finding credentials. The session of a role takes a request to STS, with several
/// attempts.
pub const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(30);

/// The pause before a failed refresh of credentials is repeated while the old ones are still valid,
/// and before credentials that AWS calls expired are replaced again.
pub const CREDENTIALS_AGAIN: Duration = Duration::from_secs(1);

/// Maximum bytes of a response from AWS, for all services and statuses. The client stops reading a
/// longer response.
///
/// The largest responses are those of `PutRecordBatch` with 500 results. Each result is an id of
/// about 220 characters, or a code and a sentence: this limit leaves 2 KiB for each. A secret has
/// at most 64 KiB, and JSON may need six characters for each of its characters. A page of a list,
/// or the description of a stream with hundreds of tables, has about 100 KB.
pub const AWS_RESPONSE_BYTES_MAX: usize = 1024 * 1024;
