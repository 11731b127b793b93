//! Counters of the requests of plugins.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use super::bindings::standpipe::mapping::web::FailureKind;
use standpipe_core::metrics::TimeHistogram;

/// Upper bounds of the buckets of [`WebCounters::times`]. The last bucket has no bound.
const TIME_BOUNDS: [Duration; 9] = [
    Duration::from_millis(3),
    Duration::from_millis(10),
    Duration::from_millis(30),
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// The outcomes of requests, as labels of a metric.
const OUTCOMES: [&str; 11] = [
    "response",
    "not_allowed",
    "invalid",
    "unresolved",
    "refused",
    "disconnected",
    "timeout",
    "too_large",
    "too_many",
    "redirected",
    "other",
];

/// The requests of all plugins of an engine.
#[derive(Debug)]
pub(crate) struct WebCounters {
    outcomes: [Counter; OUTCOMES.len()],
    /// Requests by their time from the call of the plugin to the outcome.
    pub(crate) times: TimeHistogram,
}

impl Default for WebCounters {
    fn default() -> Self {
        WebCounters { outcomes: Default::default(), times: TimeHistogram::new(&TIME_BOUNDS) }
    }
}

impl WebCounters {
    /// Counts a request. `failure` is `None` if it has a response.
    pub(super) fn add(&self, failure: Option<FailureKind>, took: Duration) {
        self.outcomes[position(failure)].inc();
        self.times.observe(took);
    }

    /// Number of requests, by the word for their outcome.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        OUTCOMES.into_iter().zip(self.outcomes.iter().map(Counter::get))
    }
}

/// The position of an outcome in [`OUTCOMES`].
fn position(failure: Option<FailureKind>) -> usize {
    match failure {
        None => 0,
        Some(FailureKind::NotAllowed) => 1,
        Some(FailureKind::Invalid) => 2,
        Some(FailureKind::Unresolved) => 3,
        Some(FailureKind::Refused) => 4,
        Some(FailureKind::Disconnected) => 5,
        Some(FailureKind::Timeout) => 6,
        Some(FailureKind::TooLarge) => 7,
        Some(FailureKind::TooMany) => 8,
        Some(FailureKind::Redirected) => 9,
        Some(FailureKind::Other) => 10,
    }
}
