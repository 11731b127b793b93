//! Bounds that this crate enforces, each with its unit and where the number is from.

use std::time::Duration;

use standpipe_core::backoff::{Backoff, Jitter};

/// Requests to Firehose under way at once, of all streams together: each takes a
/// connection, and with HTTP/1.1 a descriptor, of which there are often 1,024.
pub const REQUESTS_AT_ONCE_MAX: usize = 256;

/// The first pause before records are sent again; each further one may be
/// twice as long. The pause itself is drawn between nothing and this.
pub const RETRY_PAUSE_FIRST: Duration = Duration::from_millis(100);

/// How often it is logged again that something is waited for without which nothing is
/// delivered.
pub const WAIT_REMINDER: Duration = Duration::from_secs(30);

/// The longest pause before records are sent again.
pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(20);

/// The pauses between attempts to get something without which nothing is delivered.
pub const WAIT_BACKOFF: Backoff = Backoff::new(RETRY_PAUSE_FIRST, RETRY_PAUSE_MAX, Jitter::None);

/// Time to reach an endpoint.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long credentials that do not say when they expire are used before they are
/// looked for again, so that a rotated file is noticed. AWS's own SDKs do so too.
pub const CREDENTIALS_RELOAD: Duration = Duration::from_secs(15 * 60);

/// Time for credentials to be found: a role's sessions take a request of STS's,
/// and some tries of it.
pub const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(30);

/// The pause before credentials are looked for again while the old ones still
/// serve, and before credentials that AWS calls expired are called so again.
pub const CREDENTIALS_AGAIN: Duration = Duration::from_secs(1);

/// Bytes of a response of AWS, whatever the service and the status; what is longer is
/// not read on.
///
/// `PutRecordBatch` responses with 500 results, each an id of some 220 characters or a
/// code and a sentence: this leaves 2 KiB to each. A secret has at most 64 KiB, and
/// JSON may write each of its characters as six; a page of a list, or the description
/// of a stream with hundreds of tables, has some 100 KB.
pub const AWS_RESPONSE_BYTES_MAX: usize = 1024 * 1024;
