//! A rate limit for one AWS operation: turns are given in order and never made up for.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// How fast an operation may be asked for.
///
/// Turns are given one by one, and each at least so long after the one before has
/// been taken: neither a pause nor a late wake-up is made up for by several at
/// once.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    /// So many turns in a second.
    pub(super) fn new(per_second: f64) -> Self {
        Pace {
            interval: Duration::from_secs_f64(1.0 / per_second),
            next: Mutex::new(Instant::now()),
        }
    }

    /// Wait for a turn, behind those who wait already.
    pub(super) async fn turn(&self) {
        let mut next = self.next.lock().await;
        sleep_until(*next).await;
        *next = Instant::now() + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_second_has_more_turns_than_it_may() {
        let (pace, begun) = (Arc::new(Pace::new(4.0)), Instant::now());
        let tasks: Vec<_> = (0..40)
            .map(|_| {
                let pace = Arc::clone(&pace);
                tokio::spawn(async move {
                    for _ in 0..10 {
                        pace.turn().await;
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
        let pace = Pace::new(4.0);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let begun = Instant::now();
        for _ in 0..5 {
            pace.turn().await;
        }
        assert!(begun.elapsed() >= Duration::from_secs(1));
    }
}
