//! The rate limit of a source, in events and bytes a second: one second's worth may come at once.
//! What is refused is told when to try again.

use std::num::NonZero;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How much a source may send in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    /// Events, if they are limited.
    pub events: Option<NonZero<u32>>,
    /// Bytes of events with what is added to them, if they are limited.
    pub bytes: Option<NonZero<u32>>,
}

/// Lets so many events and bytes a second through, and a second's worth at once.
#[derive(Debug)]
pub(super) struct RateLimit(Mutex<Buckets>);

#[derive(Debug)]
struct Buckets {
    events: Option<Bucket>,
    bytes: Option<Bucket>,
    at: Instant,
}

#[derive(Debug)]
struct Bucket {
    per_second: f64,
    /// What may go through now; below nothing after a larger request.
    left: f64,
}

impl RateLimit {
    /// None where nothing is limited.
    pub(super) fn new(rate: Rate, now: Instant) -> Option<Self> {
        let bucket = |per_second: Option<NonZero<u32>>| {
            let per_second = f64::from(per_second?.get());
            Some(Bucket { per_second, left: per_second })
        };
        let buckets = Buckets { events: bucket(rate.events), bytes: bucket(rate.bytes), at: now };
        let is_limited = buckets.events.is_some() || buckets.bytes.is_some();
        is_limited.then(|| RateLimit(Mutex::new(buckets)))
    }

    /// Let events through that take so many bytes, or tell after what time to try
    /// again. A request of more than a second's worth gets through where nothing went
    /// before.
    pub(super) fn admit(&self, events: usize, bytes: usize, now: Instant) -> Result<(), Duration> {
        self.at(now, |buckets| {
            buckets.check(events, bytes)?;
            buckets.take(events, bytes);
            Ok(())
        })
    }

    /// Tell after what time to try again if not even the smallest request would get
    /// through now: it need not be looked at.
    pub(super) fn check(&self, now: Instant) -> Result<(), Duration> {
        self.at(now, |buckets| buckets.check(1, 1))
    }

    fn at<T>(&self, now: Instant, act: impl FnOnce(&mut Buckets) -> T) -> T {
        let mut buckets = self.0.lock();
        buckets.fill(now);
        act(&mut buckets)
    }
}

impl Buckets {
    fn fill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        for bucket in self.events.iter_mut().chain(&mut self.bytes) {
            bucket.left = (bucket.left + since * bucket.per_second).min(bucket.per_second);
        }
    }

    fn check(&self, events: usize, bytes: usize) -> Result<(), Duration> {
        let of = |bucket: &Option<Bucket>, number| {
            bucket.as_ref().map_or(Duration::ZERO, |bucket| bucket.wait_for(number))
        };
        let wait = of(&self.events, events).max(of(&self.bytes, bytes));
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    fn take(&mut self, events: usize, bytes: usize) {
        let take = |bucket: &mut Option<Bucket>, number: usize| {
            if let Some(bucket) = bucket {
                bucket.left -= number as f64;
            }
        };
        take(&mut self.events, events);
        take(&mut self.bytes, bytes);
    }
}

impl Bucket {
    fn wait_for(&self, number: usize) -> Duration {
        let missing = (number as f64).min(self.per_second) - self.left;
        Duration::from_secs_f64((missing / self.per_second).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(events: u32, bytes: u32, now: Instant) -> RateLimit {
        let rate = Rate { events: NonZero::new(events), bytes: NonZero::new(bytes) };
        RateLimit::new(rate, now).unwrap()
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
        // What one of them refuses takes nothing of the other.
        assert_eq!(limit.admit(90, 200, start), Err(Duration::from_millis(100)));
        assert_eq!(limit.admit(90, 100, start), Ok(()));
        assert_eq!(limit.check(start), Err(Duration::from_millis(10)));
        assert_eq!(limit.admit(1, 1000, start), Err(Duration::from_secs(1)));
        assert!(RateLimit::new(Rate::default(), start).is_none());
    }
}
