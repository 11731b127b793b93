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

/// Time for the first byte on a new connection. Browsers keep connections that they have
/// opened in advance for about as long.
pub const HTTP_FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for a TLS handshake. Two round trips, and the retransmissions of a bad network.
pub const HTTP_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How often it is looked whether a connection is still used.
pub const HTTP_WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// The time in which [`HTTP_WINDOW_BYTES_MIN`] of a request's headers must come, or the
/// end of them.
pub const HTTP_RATE_WINDOW: Duration = Duration::from_secs(5);

/// Bytes of headers or of a body that must come within their window: 240 bytes a second,
/// as Kestrel and IIS ask for, for the ten seconds of a body's.
pub const HTTP_WINDOW_BYTES_MIN: u64 = 2400;

/// How often it is logged that what came over a connection is no request.
pub const HTTP_MALFORMED_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How long a request's body may be coming in where others wait for the memory that it
/// holds, or for its connection. A large body over a slow line is sent again then.
pub const HTTP_SCARCE_BODY_PATIENCE: Duration = Duration::from_secs(2);

/// How long a connection is left alone that has no request, where others need its place:
/// what a new one takes for a handshake and its first request, so that those who have
/// only come do not close one another's connections.
pub const HTTP_SCARCE_IDLE_PATIENCE: Duration = Duration::from_millis(500);

/// The time in which [`HTTP_WINDOW_BYTES_MIN`] of a request's body must come, or the end
/// of it; so it is also the longest pause.
pub const HTTP_BODY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// How long a request waits for its part of a memory that others have.
pub const HTTP_BUDGET_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for the answers to what has been read when a server ends.
pub const HTTP_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// The most that the bytes of a body may be limited to: of some of them, all of
/// `HTTP_BODIES_BYTES_MAX` must be able to take.
pub const COLLECT_BODY_BYTES_MAX_MAX: usize = 16 * 1024 * 1024;

/// Bytes of the rest of a body that is refused, and is read all the same so that
/// its sender sees the answer. As much as the largest body that may be permitted.
pub const HTTP_DISCARD_BYTES_MAX: u64 = COLLECT_BODY_BYTES_MAX_MAX as u64;

/// Time for reading such a rest. No longer than answers may take when a server ends.
pub const HTTP_DISCARD_TIMEOUT: Duration = HTTP_SHUTDOWN_TIMEOUT;
