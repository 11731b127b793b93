//! What a program brings to a run that is part of it: a Firehose client, an input for its events,
//! and hooks for its log.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::reloading::SetLogFilter;
use crate::source::{SubmissionQueue, Submitter};
use standpipe_core::event::EventSource;
use standpipe_delivery::FirehoseClient;

/// What a program brings along that a run is part of.
#[derive(Default)]
pub struct RunOptions {
    /// A port in place of the settings' destination.
    pub firehose_client: Option<Arc<dyn FirehoseClient>>,
    /// A way in for events of the program's own.
    pub embedded_source: Option<EmbeddedSource>,
    /// Sets which of its log lines the program writes, where the settings' `log` can change
    /// that.
    pub set_log_filter: Option<SetLogFilter>,
    /// How many lines of its log the program has dropped, for the metrics; none where it
    /// does not count them.
    pub log_lines_dropped: Option<Arc<AtomicU64>>,
}

/// A way in for events.
#[derive(Debug)]
pub struct EmbeddedSource {
    /// What they are called, for the plugin and in dead letters.
    pub source: EventSource,
    /// Closed when the run is stopped.
    pub submitter: Submitter,
    /// What was handed in.
    pub submissions: SubmissionQueue,
}

impl fmt::Debug for RunOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunOptions")
            .field("embedded_source", &self.embedded_source)
            .finish_non_exhaustive()
    }
}
