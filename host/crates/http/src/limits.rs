//! Limits that this crate enforces, each with its unit and the source of the number.

use std::time::Duration;

/// Bytes of a request line and headers together: several times what browsers and proxies send. A
/// connection can buffer this much before the headers are complete, so all `HTTP_CONNECTIONS_MAX`
/// connections together buffer at most 320 MiB.
pub const HTTP_HEADER_BYTES_MAX: usize = 32 * 1024;

/// Headers of one request.
pub const HTTP_HEADERS_MAX: usize = 100;

/// Timeout for a request's headers. On a new connection it starts with the connection, later with
/// the first byte of the headers.
pub const HTTP_HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the server checks whether a connection is still in use.
pub const HTTP_WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// The time in which the client must send [`HTTP_WINDOW_BYTES_MIN`] of a request's headers, or the
/// rest of them.
pub const HTTP_RATE_WINDOW: Duration = Duration::from_secs(5);

/// Bytes of headers or of a body that must arrive in each window. For the ten seconds of a body's
/// window, this is 240 bytes per second, the minimum of Kestrel and IIS.
pub const HTTP_WINDOW_BYTES_MIN: u64 = 2400;

/// The maximum time to receive a body if other requests wait for its memory or its connection. The
/// client of a large body on a slow connection must send it again.
pub const HTTP_SCARCE_BODY_PATIENCE: Duration = Duration::from_secs(2);

/// The time in which the client must send [`HTTP_WINDOW_BYTES_MIN`] of a request's body, or the
/// rest of it. It is also the longest pause between two bytes.
pub const HTTP_BODY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// How long a request waits for its part of an exhausted memory budget.
pub const HTTP_BUDGET_TIMEOUT: Duration = Duration::from_secs(5);

/// Time to send the responses to requests that were already read when a server stops.
pub const HTTP_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// The maximum of the setting for the size of a body. All of `HTTP_BODIES_BYTES_MAX` must have room
/// for several such bodies.
pub const COLLECT_BODY_BYTES_MAX_MAX: usize = 16 * 1024 * 1024;

/// Bytes that the server reads of the rest of a rejected body. It reads them so that the client
/// sees the response. The limit equals the largest body that the settings can permit.
pub const HTTP_DISCARD_BYTES_MAX: u64 = COLLECT_BODY_BYTES_MAX_MAX as u64;

/// Time to read such a rest. It is not longer than the time for responses when a server stops.
pub const HTTP_DISCARD_TIMEOUT: Duration = HTTP_SHUTDOWN_TIMEOUT;
