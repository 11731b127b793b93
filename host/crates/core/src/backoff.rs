//! Pauses before another attempt after a failure.

use std::time::Duration;

/// Pauses that double with each consecutive failure, up to the longest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    jitter: Jitter,
}

/// How much of a pause is random, so that callers that failed together do not retry together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jitter {
    /// Nothing, because no other caller retries at the same time.
    None,
    /// The second half, so that there is always some pause.
    Half,
    /// The whole pause, which distributes retries best.
    Full,
}

impl Backoff {
    /// Creates pauses of `first` after the first failure, and of at most `longest`.
    pub const fn new(first: Duration, longest: Duration, jitter: Jitter) -> Self {
        Backoff { first, longest, jitter }
    }

    /// Returns these pauses with another longest pause.
    #[must_use]
    pub const fn up_to(self, longest: Duration) -> Self {
        Backoff { longest, ..self }
    }

    /// The pause after this number of consecutive failures. The first failure is number 1.
    pub fn pause_after(&self, failures: u32) -> Duration {
        let bound = self.longest_pause_after(failures);
        match self.jitter {
            Jitter::None => bound,
            Jitter::Half => bound.mul_f64(0.5 + fastrand::f64() / 2.0),
            Jitter::Full => bound.mul_f64(fastrand::f64()),
        }
    }

    /// The longest possible pause after this number of consecutive failures.
    pub fn longest_pause_after(&self, failures: u32) -> Duration {
        let doubled = 2_u32.checked_pow(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(doubled).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(20);

    #[test]
    fn the_bound_doubles_up_to_its_limit() {
        let backoff = Backoff::new(FIRST, LONGEST, Jitter::Full);
        assert_eq!(backoff.longest_pause_after(1), Duration::from_millis(100));
        assert_eq!(backoff.longest_pause_after(4), Duration::from_millis(800));
        assert_eq!(backoff.longest_pause_after(30), LONGEST);
        assert_eq!(backoff.longest_pause_after(u32::MAX), LONGEST);
        assert_eq!(backoff.up_to(FIRST * 3).longest_pause_after(3), FIRST * 3);
    }

    #[test]
    fn what_is_left_to_chance_is_spread() {
        for (jitter, least) in [(Jitter::Half, 0.5), (Jitter::Full, 0.0)] {
            let backoff = Backoff::new(LONGEST, LONGEST, jitter);
            let pauses: Vec<_> =
                (0..1000).map(|_| backoff.pause_after(1).as_secs_f64() / 20.0).collect();
            let below = |share: f64| pauses.iter().filter(|&&pause| pause < share).count();
            let middle = f64::midpoint(least, 1.0);
            assert_eq!(below(least), 0, "{jitter:?}");
            assert!((350..650).contains(&below(middle)), "{jitter:?}: {}", below(middle));
        }
    }

    proptest! {
        #[test]
        fn no_pause_is_longer_than_its_bound(
            failures in any::<u32>(),
            first in 0..10_000_u64,
            longest in 0..100_000_u64,
            jitter in prop::sample::select(vec![Jitter::None, Jitter::Half, Jitter::Full]),
        ) {
            let (first, longest) = (Duration::from_millis(first), Duration::from_millis(longest));
            let backoff = Backoff::new(first, longest, jitter);
            let (bound, pause) = (backoff.longest_pause_after(failures), backoff.pause_after(failures));
            prop_assert!(bound <= longest && pause <= bound);
            prop_assert!(bound <= backoff.longest_pause_after(failures.saturating_add(1)));
            let least = match jitter {
                Jitter::None => bound,
                Jitter::Half => bound / 2,
                Jitter::Full => Duration::ZERO,
            };
            prop_assert!(pause >= least, "{pause:?} of {bound:?}");
        }
    }
}
