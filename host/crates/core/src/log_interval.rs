//! Admits one log line per interval and counts the others, so that a frequent event cannot fill the
//! log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Admits one log line per interval, without a lock.
#[derive(Debug)]
pub struct LogInterval {
    interval: Duration,
    started: Instant,
    /// Milliseconds since the start until which no further line is logged.
    next_ms: AtomicU64,
    suppressed: AtomicU64,
}

impl LogInterval {
    /// Creates a limiter that admits one line per interval.
    pub fn new(interval: Duration) -> Self {
        let (next_ms, suppressed) = (AtomicU64::new(0), AtomicU64::new(0));
        LogInterval { interval, started: Instant::now(), next_ms, suppressed }
    }

    /// Whether to log now. If so, returns how many lines were left out since the last one.
    pub fn admit(&self) -> Option<u64> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Option<u64> {
        let since_start = now.saturating_duration_since(self.started);
        let now_ms = to_milliseconds(since_start);
        let next_ms = self.next_ms.load(Ordering::Relaxed);
        let following = to_milliseconds(since_start + self.interval);
        let is_due = now_ms >= next_ms
            && self
                .next_ms
                .compare_exchange(next_ms, following, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_due {
            return Some(self.suppressed.swap(0, Ordering::Relaxed));
        }
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

fn to_milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_goes_through_in_an_interval_and_counts_the_others() {
        let limit = LogInterval::new(Duration::from_secs(10));
        let at = |seconds| limit.admit_at(limit.started + Duration::from_secs(seconds));
        assert_eq!(at(0), Some(0));
        assert_eq!((at(0), at(5), at(9)), (None, None, None));
        assert_eq!(at(10), Some(3));
        assert_eq!(at(19), None);
        assert_eq!(at(1000), Some(1));
    }
}
