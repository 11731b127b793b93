//! Bounds that this crate enforces, each with its unit and where the number is from.

use std::time::Duration;

use standpipe_core::backoff::{Backoff, Jitter};

/// Bytes of a reason with which a plugin rejects an event.
pub const PLUGIN_REASON_BYTES_MAX: usize = 1024;

/// What the answer of one call may take in the host's memory, in bytes.
pub const PLUGIN_ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Elements of one table of a plugin instance.
pub const PLUGIN_TABLE_ELEMENTS_MAX: usize = 100_000;

/// Outputs of one event, so that a plugin cannot turn one event into millions.
pub const PLUGIN_OUTPUTS_PER_EVENT_MAX: usize = 1000;

/// Delivery streams that a plugin may declare. Firehose's default quota is
/// 5,000 streams for an account and region.
pub const PLUGIN_STREAMS_MAX: usize = 20_000;

/// Routes that a plugin may report: some for each of its streams.
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

/// Characters of the engine's words for what a plugin did wrong, and bytes of what the plugin
/// printed at that: together they fit into a dead letter's detail.
pub const PLUGIN_CAUSE_CHARACTERS_MAX: usize = 200;

/// See [`PLUGIN_CAUSE_CHARACTERS_MAX`].
pub const PLUGIN_PRINTED_BYTES_MAX: usize =
    standpipe_core::limits::DETAIL_BYTES_MAX - 64 - PLUGIN_CAUSE_CHARACTERS_MAX;

/// The share of users, in percent, whose events a canary decides about, unless the
/// settings say otherwise.
pub const CANARY_PERCENT: f64 = 5.0;

/// The share of events that a canary may fail on or reject, unless the settings say
/// otherwise.
pub const CANARY_ERROR_RATE_MAX: f64 = 0.01;

/// Events that a canary must have seen before it is judged, unless the settings say
/// otherwise.
pub const CANARY_EVENTS_MIN: u64 = 1000;

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
