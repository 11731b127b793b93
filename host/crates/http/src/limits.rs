//! Bounds that this crate enforces, each with its unit and where the number is from.

use std::time::Duration;

/// Bytes of a request's line and headers together: several times what browsers and
/// proxies send. A connection may hold as many before they are whole, so all
/// `HTTP_CONNECTIONS_MAX` together hold 320 MiB at most.
pub const HTTP_HEADER_BYTES_MAX: usize = 32 * 1024;

/// Headers of one request.
pub const HTTP_HEADERS_MAX: usize = 100;

/// Time for a request's headers: on a new connection from its beginning, and later from
/// their first byte.
pub const HTTP_HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is looked whether a connection is still used.
pub const HTTP_WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// The time in which [`HTTP_WINDOW_BYTES_MIN`] of a request's headers must come, or the
/// end of them.
pub const HTTP_RATE_WINDOW: Duration = Duration::from_secs(5);

/// Bytes of headers or of a body that must come within their window: 240 bytes a second,
/// as Kestrel and IIS ask for, for the ten seconds of a body's.
pub const HTTP_WINDOW_BYTES_MIN: u64 = 2400;

/// How long a request's body may be coming in where others wait for the memory that it
/// holds, or for its connection. A large body over a slow line is sent again then.
pub const HTTP_SCARCE_BODY_PATIENCE: Duration = Duration::from_secs(2);

/// The time in which [`HTTP_WINDOW_BYTES_MIN`] of a request's body must come, or the end
/// of it; so it is also the longest pause.
pub const HTTP_BODY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// How long a request waits for its part of a memory that others have.
pub const HTTP_BUDGET_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for the responses to what has been read when a server ends.
pub const HTTP_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// The most that the bytes of a body may be limited to: of some of them, all of
/// `HTTP_BODIES_BYTES_MAX` must be able to take.
pub const COLLECT_BODY_BYTES_MAX_MAX: usize = 16 * 1024 * 1024;

/// Bytes of the rest of a body that is refused, and is read all the same so that
/// its sender sees the response. As much as the largest body that may be permitted.
pub const HTTP_DISCARD_BYTES_MAX: u64 = COLLECT_BODY_BYTES_MAX_MAX as u64;

/// Time for reading such a rest. No longer than responses may take when a server ends.
pub const HTTP_DISCARD_TIMEOUT: Duration = HTTP_SHUTDOWN_TIMEOUT;
