//! The state of the connection to a queue, as requests show it: for the log, metrics and readiness.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

use crate::{QueueError, limits};
use standpipe_core::log_interval::LogInterval;

/// The requests to a queue in one direction: how many failed, and why the last one did.
#[derive(Debug)]
pub(crate) struct Link {
    /// What the requests do, for the log: "publish events to the queue".
    action: &'static str,
    pub(crate) errors: Counter,
    failing: Mutex<Option<FailingRequests>>,
    log: LogInterval,
}

#[derive(Debug)]
struct FailingRequests {
    since: Instant,
    problem: String,
}

impl Link {
    pub(crate) fn new(action: &'static str) -> Self {
        Link {
            action,
            errors: Counter::default(),
            failing: Mutex::default(),
            log: LogInterval::new(limits::LOG_INTERVAL),
        }
    }

    pub(crate) fn succeed(&self) {
        if let Some(failing) = self.failing.lock().take()
            && failing.since.elapsed() >= limits::LOG_INTERVAL
        {
            tracing::info!("the queue responds again");
        }
    }

    pub(crate) fn fail(&self, error: &QueueError) {
        self.errors.inc();
        let problem = error.to_string();
        if self.log.admit().is_some() {
            tracing::warn!("failed to {}; trying again: {problem}", self.action);
        }
        let mut failing = self.failing.lock();
        let since = failing.as_ref().map_or_else(Instant::now, |failing| failing.since);
        *failing = Some(FailingRequests { since, problem });
    }

    /// Returns the last error if all requests have failed for this time.
    pub(crate) fn problem(&self, patience: Duration) -> Option<String> {
        let failing = self.failing.lock();
        let failing = failing.as_ref().filter(|failing| failing.since.elapsed() >= patience)?;
        Some(format!("failed to {}: {}", self.action, failing.problem))
    }
}
