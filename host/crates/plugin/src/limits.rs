//! Limits that this crate enforces, each with its unit and the source of the number.

use std::time::Duration;

use standpipe_core::backoff::{Backoff, Jitter};

/// Bytes of the reason that a plugin gives when it rejects an event.
pub const PLUGIN_REASON_BYTES_MAX: usize = 1024;

/// The result of one call in the host's memory, in bytes.
pub const PLUGIN_ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Elements of one table of a plugin instance.
pub const PLUGIN_TABLE_ELEMENTS_MAX: usize = 100_000;

/// Outputs of one event. The limit prevents a plugin from turning one event into millions.
pub const PLUGIN_OUTPUTS_PER_EVENT_MAX: usize = 1000;

/// Delivery streams that a plugin may declare. Firehose's default quota is
/// 5,000 streams for an account and region.
pub const PLUGIN_STREAMS_MAX: usize = 20_000;

/// Routes that a plugin may report: several for each of its streams.
pub const PLUGIN_ROUTES_MAX: usize = 4 * PLUGIN_STREAMS_MAX;

/// CPU time of a call, independent of its batch. [`PLUGIN_EVENT_CPU_MAX`] is added for each
/// event.
pub const PLUGIN_CALL_CPU_MAX: Duration = Duration::from_millis(50);

/// CPU time of a call for each event of its batch. An interpreted plugin
/// needs some tens of microseconds.
pub const PLUGIN_EVENT_CPU_MAX: Duration = Duration::from_millis(2);

/// The pauses before another attempt to create a plugin instance after a failure. For each second
/// of CPU time of the attempt, the pause is [`PLUGIN_RESTART_CPU_PAUSES`] seconds.
pub const PLUGIN_RESTART_BACKOFF: Backoff =
    Backoff::new(Duration::from_secs(1), PLUGIN_RESTART_PAUSE_MAX, Jitter::None);

/// The longest of these pauses.
pub const PLUGIN_RESTART_PAUSE_MAX: Duration = Duration::from_secs(30);

/// See [`PLUGIN_RESTART_BACKOFF`].
pub const PLUGIN_RESTART_CPU_PAUSES: u32 = 4;

/// Characters of the engine's message about a failure of the plugin, and bytes of the text that the
/// plugin printed before it. Both fit into the detail of a dead letter.
pub const PLUGIN_CAUSE_CHARACTERS_MAX: usize = 200;

/// See [`PLUGIN_CAUSE_CHARACTERS_MAX`].
pub const PLUGIN_PRINTED_BYTES_MAX: usize =
    standpipe_core::limits::DETAIL_BYTES_MAX - 64 - PLUGIN_CAUSE_CHARACTERS_MAX;

/// The default percentage of users whose events a canary decides.
pub const CANARY_PERCENT: f64 = 5.0;

/// The default share of events that a canary may fail on or reject.
pub const CANARY_ERROR_RATE_MAX: f64 = 0.01;

/// The default number of events that a canary must process before it is judged.
pub const CANARY_EVENTS_MIN: u64 = 1000;

/// Maximum bytes of all compiled components in the cache on disk. Their number is limited too.
pub const PLUGIN_CACHE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// See [`PLUGIN_CACHE_BYTES_MAX`].
pub const PLUGIN_CACHE_ENTRIES_MAX: usize = 64;

/// The default number of samples of each kind of change.
pub const COMPARISON_SAMPLES: usize = 5;

/// Bytes of decisions that are held if a batch failed as a whole and is processed in pieces. Above
/// the limit, the decisions are applied before the plugin gets the next piece. Each piece may take
/// [`PLUGIN_ANSWER_BYTES_MAX`], so a batch of events with huge results would otherwise take
/// gigabytes.
pub const PLUGIN_ANSWERS_HELD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Scripts and libraries of a plugin. A workspace of RudderStack has some tens of libraries.
pub const SCRIPT_FILES_MAX: usize = 200;

/// Bytes of all scripts and libraries of a plugin. Each instance compiles them, within its memory
/// and its CPU time.
pub const SCRIPT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Events whose CPU time a function has for one request: those of a full batch, because a request can
/// contain a batch.
pub const FUNCTION_CPU_EVENTS: usize = 500;

/// Functions of sources. Each keeps up to [`FUNCTION_IDLE_MAX`] instances in memory. A workspace of
/// Segment has some tens of functions.
pub const FUNCTIONS_MAX: usize = 32;

/// Requests that all functions of sources handle at the same time. Each has a thread and an instance.
/// Most of them wait for a response of another server.
pub const FUNCTION_CALLS_MAX: usize = 32;

/// The part of them that one function may use, so that a slow server does not stop the other
/// functions.
pub const FUNCTION_CALLS_OF_ONE_MAX: usize = 8;

/// Requests that wait for a function. With the CPU time of a call, they wait about a second.
pub const FUNCTION_WAITING_MAX: usize = 64;

/// How long a request waits for its function. Services that send webhooks wait 5 to 30 seconds for the
/// response.
pub const FUNCTION_WAIT_MAX: Duration = Duration::from_secs(3);

/// Idle instances that a function keeps. One of the script runner takes about two megabytes.
pub const FUNCTION_IDLE_MAX: usize = 2;
