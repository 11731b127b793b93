//! Limits that this crate enforces, each with its unit and the source of the number.

use std::time::Duration;

/// Bytes that a dead letter keeps of an event that is too long.
pub const EVENT_PREFIX_BYTES: usize = 64 * 1024;

/// Chunks that wait for a worker, for each worker.
pub const CHUNKS_QUEUED_PER_WORKER: usize = 4;

/// Events in one call of the plugin. Above some hundreds of events, the fixed cost of a call is
/// negligible.
pub const BATCH_EVENTS_MAX: usize = 500;

/// Bytes of events in one call of the plugin. Only a single larger event may exceed it. The
/// plugin's memory must hold this much at once.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Streams that a summary for people lists. The others are added up.
pub const SUMMARY_STREAMS_SHOWN: usize = 100;

/// Bytes of a component's file. A JavaScript plugin has 12 MB, a Python plugin
/// 18 MB.
pub const PLUGIN_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Bytes of a detached signature: four short lines.
pub const PLUGIN_SIGNATURE_BYTES_MAX: u64 = 4096;

/// Streams that the readiness response names, enough to see the problem.
pub const READINESS_STREAMS_SHOWN: usize = 5;

/// Concurrent connections of clients. The limit is lower if the limit of open files requires it. A
/// connection takes about 10 KB until it sends something.
pub const HTTP_CONNECTIONS_MAX: usize = 10_000;

/// Concurrent connections for health checks and metrics.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;

/// Concurrent requests with a component: one that is being compiled, and one that arrives
/// meanwhile.
pub const ADMIN_CANDIDATES_MAX: usize = 2;

/// Bytes of the bodies of all these requests.
pub const ADMIN_BODIES_BYTES_MAX: usize = ADMIN_CANDIDATES_MAX * PLUGIN_FILE_BYTES_MAX as usize;

/// Characters of a wrong parameter that a response shows.
pub const ADMIN_SHOWN_CHARACTERS_MAX: usize = 40;

/// CPU time that a worker spends on failing events of one chunk before it turns to other
/// chunks.
pub const TURN_WASTED_CPU: Duration = Duration::from_millis(250);

/// Bytes of chunks that a worker sets aside because their source must wait. The last chunk may
/// exceed it. Above the limit, the worker takes no other chunk, so further chunks stay with their
/// source.
pub const HELD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The maximum time between two checks of the chunks that a worker has set aside: another plugin
/// may be active by then, and fail less.
pub const HELD_LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Bytes of a workflow file after environment variables are replaced.
pub const WORKFLOW_BYTES_MAX: usize = 1024 * 1024;

/// The default number of events that an embedding program has submitted and that are not settled.
/// Each takes about 150 bytes for its outcome and its acknowledgement, 40 MB in total. The limit
/// allows a delivery delay of one second at 250,000 events per second.
pub const SUBMITTED_EVENTS_MAX: usize = 262_144;

/// The default number of bytes of submitted events that wait for a worker. With 700 bytes per
/// event, this is a tenth of a second's work for two workers. Events above the limit are rejected,
/// so that the memory of a proxy does not grow when Firehose has problems.
pub const SUBMITTED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Maximum bytes of the request body, and of the response body, that the copy of a request
/// contains. Both fit into a Firehose record even if each byte is escaped.
pub const COPIED_BODY_BYTES_MAX: usize = 64 * 1024;

/// Maximum bytes of a path or a header value that the copy of a request contains.
pub const COPIED_TEXT_BYTES_MAX: usize = 4 * 1024;
