//! Bounds how often something is done.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Gives turns one by one, each at least so long after the one before has been taken.
///
/// Neither a pause nor a late wake-up is made up for by several at once: the server that is
/// asked counts by seconds of its own. Who waits first is first.
#[derive(Debug)]
pub struct RateLimiter {
    interval: Duration,
    next: Mutex<Instant>,
}

impl RateLimiter {
    /// Turns with this time between them.
    pub fn new(interval: Duration) -> Self {
        RateLimiter { interval, next: Mutex::new(Instant::now()) }
    }

    /// So many turns in a second.
    pub fn per_second(turns: f64) -> Self {
        RateLimiter::new(Duration::from_secs_f64(1.0 / turns))
    }

    /// Waits for a turn, behind those who wait already. A dropped wait takes no turn.
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
            // When each comes, and for how long it waits at most.
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
                // A waiter that gave up is in nobody's way.
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
