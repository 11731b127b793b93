//! Limits the rate of an operation.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Grants turns one by one, with at least this time between two of them.
///
/// Turns are never combined to make up for a pause or a late wake-up, because the called server
/// counts in its own seconds. Waiting callers are served in order.
#[derive(Debug)]
pub struct RateLimiter {
    interval: Duration,
    next: Mutex<Instant>,
}

impl RateLimiter {
    /// Creates a limiter with this time between turns.
    pub fn new(interval: Duration) -> Self {
        RateLimiter { interval, next: Mutex::new(Instant::now()) }
    }

    /// Creates a limiter of this number of turns per second.
    pub fn per_second(turns: f64) -> Self {
        RateLimiter::new(Duration::from_secs_f64(1.0 / turns))
    }

    /// Waits for a turn, behind earlier callers. A dropped wait takes no turn.
    pub async fn turn(&self) {
        let mut next = self.next.lock().await;
        sleep_until(*next).await;
        *next = Instant::now() + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_second_has_more_turns_than_it_may() {
        let (limiter, begun) = (Arc::new(RateLimiter::per_second(4.0)), Instant::now());
        let tasks: Vec<_> = (0..40)
            .map(|_| {
                let limiter = Arc::clone(&limiter);
                tokio::spawn(async move {
                    for _ in 0..10 {
                        limiter.turn().await;
                    }
                    begun.elapsed()
                })
            })
            .collect();
        let mut last = Duration::ZERO;
        for task in tasks {
            last = last.max(task.await.unwrap());
        }
        let seconds = 399.0 / 4.0;
        assert!((seconds..seconds + 1.0).contains(&last.as_secs_f64()), "{last:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_not_made_up_for() {
        let limiter = RateLimiter::per_second(4.0);
        sleep(Duration::from_secs(10)).await;
        let begun = Instant::now();
        for _ in 0..5 {
            limiter.turn().await;
        }
        assert!(begun.elapsed() >= Duration::from_secs(1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn turns_are_apart_whoever_waits_and_for_how_long(
            interval in 1..1000_u64,
            // The arrival of each caller, and its maximum wait.
            waiting in prop::collection::vec((0..3000_u64, 0..3000_u64), 1..30),
        ) {
            let interval = Duration::from_millis(interval);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            let (turns, given_up) = runtime.block_on(async {
                let limiter = Arc::new(RateLimiter::new(interval));
                let mut tasks = tokio::task::JoinSet::new();
                for (comes, patience) in waiting.clone() {
                    let limiter = Arc::clone(&limiter);
                    tasks.spawn(async move {
                        sleep(Duration::from_millis(comes)).await;
                        let turn = timeout(Duration::from_millis(patience), limiter.turn()).await;
                        turn.ok().map(|()| Instant::now())
                    });
                }
                let (mut turns, mut given_up) = (Vec::new(), 0);
                while let Some(turn) = tasks.join_next().await {
                    match turn.unwrap() {
                        Some(at) => turns.push(at),
                        None => given_up += 1,
                    }
                }
                // A caller that gave up does not block others.
                limiter.turn().await;
                (turns, given_up)
            });
            let mut turns = turns;
            turns.sort();
            prop_assert!(turns.windows(2).all(|pair| pair[1] - pair[0] >= interval));
            prop_assert_eq!(turns.len() + given_up, waiting.len());
        }
    }
}
