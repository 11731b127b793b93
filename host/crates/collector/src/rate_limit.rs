//! The rate limit of a source, in events and bytes per second. A burst of one second's worth is
//! allowed. A refusal contains the time after which to retry.

use std::num::NonZero;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The maximum burst, as a time at the full rate.
const BURST: Duration = Duration::from_secs(1);

/// The maximum rate of a source per second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceRate {
    /// Maximum events, if they are limited.
    pub events: Option<NonZero<u32>>,
    /// Maximum bytes of events with added members, if they are limited.
    pub bytes: Option<NonZero<u32>>,
}

/// Admits this number of events and bytes per second, with a burst of one second's worth.
#[derive(Debug)]
pub(super) struct SourceRateLimiter(Mutex<Buckets>);

/// The buckets of events and of bytes, if they are limited.
type Buckets = [Option<Bucket>; 2];

#[derive(Debug)]
struct Bucket {
    per_second: f64,
    /// When a whole burst is available again.
    full_at: Instant,
}

impl SourceRateLimiter {
    /// Creates a limiter, or `None` if nothing is limited.
    pub(super) fn new(rate: SourceRate, now: Instant) -> Option<Self> {
        let bucket = |limit: NonZero<u32>| Bucket { per_second: limit.get().into(), full_at: now };
        let buckets = [rate.events, rate.bytes].map(|limit| limit.map(bucket));
        buckets.iter().any(Option::is_some).then(|| SourceRateLimiter(Mutex::new(buckets)))
    }

    /// Admits events with this number of bytes, or returns the time after which to retry. A request
    /// that exceeds the burst is admitted if the whole burst is available.
    pub(super) fn admit(&self, events: usize, bytes: usize, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.0.lock();
        check_buckets(&buckets, [events, bytes], now)?;
        for (bucket, number) in buckets.iter_mut().zip([events, bytes]) {
            if let Some(bucket) = bucket {
                bucket.full_at = bucket.full_at.max(now) + bucket.time_for(number);
            }
        }
        Ok(())
    }

    /// Returns the time after which to retry, if not even the smallest request would be admitted
    /// now. Such a request does not have to be read.
    pub(super) fn check(&self, now: Instant) -> Result<(), Duration> {
        check_buckets(&self.0.lock(), [1, 1], now)
    }
}

fn check_buckets(buckets: &Buckets, numbers: [usize; 2], now: Instant) -> Result<(), Duration> {
    let limited = buckets.iter().zip(numbers);
    let waits = limited.filter_map(|(bucket, number)| Some(bucket.as_ref()?.wait_for(number, now)));
    match waits.max() {
        None | Some(Duration::ZERO) => Ok(()),
        Some(wait) => Err(wait),
    }
}

impl Bucket {
    fn wait_for(&self, number: usize, now: Instant) -> Duration {
        let due = self.full_at.saturating_duration_since(now);
        (due + self.time_for(number).min(BURST)).saturating_sub(BURST)
    }

    fn time_for(&self, number: usize) -> Duration {
        Duration::from_secs_f64(number as f64 / self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(events: u32, bytes: u32, now: Instant) -> SourceRateLimiter {
        let rate = SourceRate { events: NonZero::new(events), bytes: NonZero::new(bytes) };
        SourceRateLimiter::new(rate, now).unwrap()
    }

    #[test]
    fn a_seconds_worth_goes_through_at_once_and_then_as_many_each_second() {
        let start = Instant::now();
        let limit = limit(100, 0, start);
        assert_eq!(limit.admit(60, 1 << 40, start), Ok(()));
        assert_eq!(limit.admit(60, 0, start), Err(Duration::from_millis(200)));
        assert_eq!(limit.admit(60, 0, start + Duration::from_millis(200)), Ok(()));
        assert_eq!(limit.admit(60, 0, start + Duration::from_secs(9)), Ok(()));
        assert!(limit.admit(60, 0, start + Duration::from_secs(9)).is_err());
    }

    #[test]
    fn a_large_request_gets_through_and_is_paid_for_afterwards() {
        let start = Instant::now();
        let limit = limit(100, 0, start);
        assert_eq!(limit.admit(1000, 0, start), Ok(()));
        let later = start + Duration::from_secs(9);
        assert_eq!(limit.check(later), Err(Duration::from_millis(10)));
        assert_eq!(limit.admit(1, 0, later), Err(Duration::from_millis(10)));
        assert_eq!(limit.admit(1, 0, start + Duration::from_millis(9010)), Ok(()));
    }

    #[test]
    fn events_and_bytes_are_limited_each_by_itself() {
        let start = Instant::now();
        let limit = limit(100, 1000, start);
        assert_eq!(limit.admit(10, 900, start), Ok(()));
        assert_eq!(limit.check(start), Ok(()));
        // If one bucket refuses a request, the other one is not changed.
        assert_eq!(limit.admit(90, 200, start), Err(Duration::from_millis(100)));
        assert_eq!(limit.admit(90, 100, start), Ok(()));
        assert_eq!(limit.check(start), Err(Duration::from_millis(10)));
        assert_eq!(limit.admit(1, 1000, start), Err(Duration::from_secs(1)));
        assert!(SourceRateLimiter::new(SourceRate::default(), start).is_none());
    }
}
