//! Limits that this crate enforces, each with its unit and the source of the number.

use std::time::Duration;

/// Bytes of a too long event that its dead letter keeps.
pub const EVENT_PREFIX_BYTES: usize = 64 * 1024;

/// Chunks that wait for a worker, for each worker.
pub const CHUNKS_QUEUED_PER_WORKER: usize = 4;

/// Events in one call of the plugin. Beyond some hundreds, the cost of a call
/// no longer shows in the cost of an event.
pub const BATCH_EVENTS_MAX: usize = 500;

/// Bytes of events' text in one call of the plugin, unless one event alone is
/// larger: what the plugin's memory has to take at once.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Streams that a summary for people lists; the others are summed up.
pub const SUMMARY_STREAMS_SHOWN: usize = 100;

/// Bytes of a component's file. A JavaScript plugin has 12 MB, a Python plugin
/// 18 MB.
pub const PLUGIN_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Bytes of a detached signature: four short lines.
pub const PLUGIN_SIGNATURE_BYTES_MAX: u64 = 4096;

/// Streams that the answer about readiness names: enough to see what is wrong.
pub const READINESS_STREAMS_SHOWN: usize = 5;

/// Connections of clients that are open at once, unless the limit of open files is too
/// low for as many. One takes some 10 KB until it sends something.
pub const HTTP_CONNECTIONS_MAX: usize = 10_000;

/// Connections for health and metrics that are open at once.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;

/// Requests with a component that are read or worked on at once: one that is being
/// compiled, and one that comes in meanwhile.
pub const ADMIN_CANDIDATES_MAX: usize = 2;

/// Bytes of all their bodies.
pub const ADMIN_BODIES_BYTES_MAX: usize = ADMIN_CANDIDATES_MAX * PLUGIN_FILE_BYTES_MAX as usize;

/// Characters of a wrong parameter that an answer shows.
pub const ADMIN_SHOWN_CHARACTERS_MAX: usize = 40;

/// Processor time that a worker spends on failing events of one chunk before it looks
/// at other chunks.
pub const TURN_WASTED_CPU: Duration = Duration::from_millis(250);

/// Chunks that a worker sets aside since their source has to wait: together no more
/// bytes than this, but for the last one. Beyond, it takes no other chunk, and what is
/// behind waits where it comes from.
pub const HELD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How often a worker looks at chunks that it has set aside, at the least: another
/// plugin may be there, which does better.
pub const HELD_LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Bytes of a workflow's file, with the variables of the environment in place.
pub const WORKFLOW_BYTES_MAX: usize = 1024 * 1024;

/// Events that an embedder has handed in and that are not settled, unless it says
/// otherwise: for each, a place for its answer and one in an acknowledgement take
/// some 150 bytes, 40 MB in all. Enough for a second's delay of delivery at 250,000
/// events a second.
pub const SUBMITTED_EVENTS_MAX: usize = 262_144;

/// Bytes of such events that wait for a worker, unless the embedder says otherwise.
/// At 700 bytes an event it is a tenth of a second's work of two workers; what
/// lasts longer is refused, so that a proxy does not grow with Firehose's troubles.
pub const SUBMITTED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes that the copy of a request carries of its body, and of the response's, at
/// most. A record of Firehose's takes both of them even where each byte is escaped.
pub const COPIED_BODY_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a path or of a header's value that the copy of a request carries.
pub const COPIED_TEXT_BYTES_MAX: usize = 4 * 1024;
