//! Exponential backoff with full jitter, up to a bound.

use std::time::Duration;

/// The pause before attempt number `attempt` (the first retry is 1): drawn
/// evenly between nothing and a bound that doubles each time, so that writers
/// that were refused together do not come back together ("full jitter").
pub(super) fn pause(attempt: u32) -> Duration {
    pause_up_to(attempt, standpipe_aws::limits::RETRY_PAUSE_MAX)
}

/// The same with another end to the doubling.
pub(super) fn pause_up_to(attempt: u32, longest: Duration) -> Duration {
    let bound = bound(attempt, longest);
    Duration::from_secs_f64(bound.as_secs_f64() * fastrand::f64())
}

fn bound(attempt: u32, longest: Duration) -> Duration {
    let doubled = 2_u32.checked_pow(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    standpipe_aws::limits::RETRY_PAUSE_FIRST.saturating_mul(doubled).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_its_limit() {
        let longest = standpipe_aws::limits::RETRY_PAUSE_MAX;
        assert_eq!(bound(1, longest), Duration::from_millis(100));
        assert_eq!(bound(4, longest), Duration::from_millis(800));
        assert_eq!(bound(30, longest), longest);
        assert_eq!(bound(u32::MAX, longest), longest);
        assert!((1..1000).all(|_| pause(2) <= bound(2, longest)));
    }
}
