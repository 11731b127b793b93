//! Bounds that this crate enforces, each with its unit and where the number is from.

use std::time::Duration;

use standpipe_core::backoff::{Backoff, Jitter};

/// What the answer of one call may take in the host's memory, in bytes.
pub const PLUGIN_ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Elements of one table of a plugin instance.
pub const PLUGIN_TABLE_ELEMENTS_MAX: usize = 100_000;

/// Outputs of one event, so that a plugin cannot turn one event into millions.
pub const PLUGIN_OUTPUTS_PER_EVENT_MAX: usize = 1000;

/// Bytes of a reason with which a plugin rejects an event.
pub const PLUGIN_REASON_BYTES_MAX: usize = 1024;

/// Delivery streams that a plugin may declare. Firehose's default quota is
/// 5,000 streams for an account and region.
pub const PLUGIN_STREAMS_MAX: usize = 20_000;

/// Ways of events that a plugin may tell of: some for each of its streams.
pub const PLUGIN_ROUTES_MAX: usize = 4 * PLUGIN_STREAMS_MAX;

/// Processor time of a call, whatever its batch; [`PLUGIN_EVENT_CPU_MAX`] comes
/// on top for each event.
pub const PLUGIN_CALL_CPU_MAX: Duration = Duration::from_millis(50);

/// Processor time of a call for each event of its batch. An interpreted plugin
/// needs some tens of microseconds.
pub const PLUGIN_EVENT_CPU_MAX: Duration = Duration::from_millis(2);

/// The pauses before it is tried again to make an instance of a plugin, where none could be
/// made. For each second of processor time that an attempt takes, the pause has
/// [`PLUGIN_RESTART_CPU_PAUSES`].
pub const PLUGIN_RESTART_BACKOFF: Backoff =
    Backoff::new(Duration::from_secs(1), PLUGIN_RESTART_PAUSE_MAX, Jitter::None);

/// The longest of them.
pub const PLUGIN_RESTART_PAUSE_MAX: Duration = Duration::from_secs(30);

/// See [`PLUGIN_RESTART_BACKOFF`].
pub const PLUGIN_RESTART_CPU_PAUSES: u32 = 4;

/// How often the log says that no instance of a plugin can be made.
pub const PLUGIN_UNAVAILABLE_LOG_INTERVAL: Duration = Duration::from_secs(30);

/// Characters of the engine's words for what a plugin did wrong, and bytes of what the plugin
/// printed at that: together they fit into a dead letter's detail.
pub const PLUGIN_CAUSE_CHARACTERS_MAX: usize = 200;

/// See [`PLUGIN_CAUSE_CHARACTERS_MAX`].
pub const PLUGIN_PRINTED_BYTES_MAX: usize =
    standpipe_core::limits::DETAIL_BYTES_MAX - 64 - PLUGIN_CAUSE_CHARACTERS_MAX;

/// The share of a source's events that a plugin fails on from which it counts as
/// degraded, unless the settings say otherwise.
pub const BREAKER_DEGRADED_FROM: f64 = 0.1;

/// The share from which it counts as off for the source, unless the settings say
/// otherwise.
pub const BREAKER_OFF_FROM: f64 = 0.95;

/// For how long a source's failures are counted together, and how long a plugin must
/// do that badly before it counts as off.
pub const BREAKER_WINDOW: Duration = Duration::from_secs(10);

/// How long a source stays off before it is judged anew.
pub const BREAKER_RETRY: Duration = Duration::from_secs(5);

/// Events without which a window says too little.
pub const BREAKER_EVENTS_MIN: u64 = 100;

/// The share of the workers' processor time that failing events may take in the long
/// run, unless the settings say otherwise: as much is left for all others.
pub const BREAKER_FAILING_CPU: f64 = 0.5;

/// Processor time that failing events of one source may take at once, before they have
/// to wait: a batch of the largest size that loops, and some tens of its events alone.
pub const BREAKER_BURST_CPU: Duration = Duration::from_secs(2);

/// The least processor time that a source waits for, once it has to wait: what a
/// looping event takes is more, and nobody should look all the time.
pub const BREAKER_PAUSE_CPU_MIN: Duration = Duration::from_millis(10);

/// Sources whose failures are kept account of: as many as there are where it matters
/// (write keys, files). Beyond, the one that was silent for the longest time is
/// forgotten.
pub const BREAKER_SOURCES_MAX: usize = 1000;

/// Sources that a report on a plugin names among those that it fails on.
pub const FAILING_SOURCES_SHOWN: usize = 20;

/// The share of users, in percent, whose events a canary decides about, unless the
/// settings say otherwise.
pub const CANARY_PERCENT: f64 = 5.0;

/// The share of events that a canary may fail on or reject, unless the settings say
/// otherwise.
pub const CANARY_ERROR_RATE_MAX: f64 = 0.01;

/// Events that a canary must have seen before it is judged, unless the settings say
/// otherwise.
pub const CANARY_EVENTS_MIN: u64 = 1000;

/// Bytes of a component's compiled code that are kept on disk: that of an interpreter
/// with 18 MB takes some 60 MB.
pub const PLUGIN_COMPILED_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Bytes of all compiled components that are kept on disk, and how many they are.
pub const PLUGIN_CACHE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// See [`PLUGIN_CACHE_BYTES_MAX`].
pub const PLUGIN_CACHE_ENTRIES_MAX: usize = 64;

/// Samples of each of these, unless the caller says otherwise.
pub const COMPARISON_SAMPLES: usize = 5;

/// Bytes of answers about a batch that was asked about in pieces, since it failed
/// as a whole: beyond, they are carried out before the plugin is asked about the
/// rest. Each piece may take [`PLUGIN_ANSWER_BYTES_MAX`], so that without this a
/// batch of events with huge answers would take gigabytes.
pub const PLUGIN_ANSWERS_HELD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Events of a trial of a plugin that is off, where the settings have it not asked
/// otherwise: few, since a plugin that loops takes its whole time for each.
pub const BREAKER_TRIAL_EVENTS: usize = 20;
