//! Counts responses by status, and measures their time.

use std::time::Duration;

use hyper::StatusCode;
use prometheus_client::metrics::counter::Counter;

use standpipe_core::metrics::TimeHistogram;

/// The statuses with a counter. 0 stands for all others.
const STATUSES: [u16; 15] =
    [200, 204, 400, 401, 403, 404, 405, 408, 413, 415, 429, 431, 500, 503, 0];

/// Upper bounds of the response times.
const BOUNDS: [Duration; 14] = [
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// The counters of a collector's responses.
#[derive(Debug)]
pub(super) struct ResponseCounters {
    statuses: [Counter; STATUSES.len()],
    /// The time from a request's headers to the response.
    pub(super) seconds: TimeHistogram,
}

impl Default for ResponseCounters {
    fn default() -> Self {
        ResponseCounters { statuses: Default::default(), seconds: TimeHistogram::new(&BOUNDS) }
    }
}

impl ResponseCounters {
    /// Counts a response.
    pub(super) fn add(&self, status: StatusCode, took: Duration) {
        let place = STATUSES.iter().position(|known| *known == status.as_u16());
        self.statuses[place.unwrap_or(STATUSES.len() - 1)].inc();
        self.seconds.observe(took);
    }

    /// The number of responses for each status.
    pub(super) fn statuses(&self) -> impl Iterator<Item = (u16, u64)> {
        STATUSES.into_iter().zip(self.statuses.iter().map(Counter::get))
    }
}
