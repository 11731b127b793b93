//! Options of a run in addition to its settings: a Firehose client, a source of events, and hooks
//! for the program's log.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::reloadable::SetLogFilter;
use crate::source::{SubmissionQueue, Submitter};
use standpipe_core::event::EventSource;
use standpipe_delivery::FirehoseClient;

/// Options of a run in addition to its settings. Only embedding programs and the command line set
/// them.
#[derive(Default)]
pub struct RunOptions {
    /// A client that replaces the settings' destination.
    pub firehose_client: Option<Arc<dyn FirehoseClient>>,
    /// A source of events that the program submits.
    pub embedded_source: Option<EmbeddedSource>,
    /// Changes the program's log filter when `log` of the settings changes.
    pub set_log_filter: Option<SetLogFilter>,
    /// Counts log lines that the program dropped, for the metrics.
    pub log_lines_dropped: Option<Arc<AtomicU64>>,
}

/// A source of events that a program submits.
#[derive(Debug)]
pub struct EmbeddedSource {
    /// The name of the source, for plugins and in dead letters.
    pub source: EventSource,
    /// The sending end. The run closes it when it is stopped.
    pub submitter: Submitter,
    /// The receiving end.
    pub submissions: SubmissionQueue,
}
