use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets so many events a second through, and a second's worth at once.
#[derive(Debug)]
pub(super) struct RateLimit {
    per_second: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What may go through now; below nothing after a request of more events.
    events: f64,
    at: Instant,
}

impl RateLimit {
    pub(super) fn new(per_second: NonZero<u32>, now: Instant) -> Self {
        let per_second = f64::from(per_second.get());
        RateLimit { per_second, state: Mutex::new(State { events: per_second, at: now }) }
    }

    /// Let events through, or tell after what time to try again. A request of
    /// more events than a second's worth gets through where nothing went before.
    pub(super) fn admit(&self, events: usize, now: Instant) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.saturating_duration_since(state.at).as_secs_f64();
        state.events = (state.events + since * self.per_second).min(self.per_second);
        state.at = now;
        let due = (events as f64).min(self.per_second);
        if state.events < due {
            return Err(Duration::from_secs_f64((due - state.events) / self.per_second));
        }
        state.events -= events as f64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seconds_worth_goes_through_at_once_and_then_as_many_each_second() {
        let start = Instant::now();
        let limit = RateLimit::new(NonZero::new(100).unwrap(), start);
        assert_eq!(limit.admit(60, start), Ok(()));
        assert_eq!(limit.admit(60, start), Err(Duration::from_millis(200)));
        assert_eq!(limit.admit(60, start + Duration::from_millis(200)), Ok(()));
        assert_eq!(limit.admit(60, start + Duration::from_secs(9)), Ok(()));
        assert!(limit.admit(60, start + Duration::from_secs(9)).is_err());
    }

    #[test]
    fn a_large_request_gets_through_and_is_paid_for_afterwards() {
        let start = Instant::now();
        let limit = RateLimit::new(NonZero::new(100).unwrap(), start);
        assert_eq!(limit.admit(1000, start), Ok(()));
        assert_eq!(limit.admit(1, start + Duration::from_secs(9)), Err(Duration::from_millis(10)));
        assert_eq!(limit.admit(1, start + Duration::from_millis(9010)), Ok(()));
    }
}
