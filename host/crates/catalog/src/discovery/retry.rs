//! Calls of control planes: rate-limited, and retried while that may help.

use std::future::Future;
use std::time::Duration;

use standpipe_aws::AwsError;
use standpipe_core::backoff::{Backoff, Jitter};
use standpipe_core::rate_limiter::RateLimiter;
use tokio::time::{Instant, sleep};

/// The time after which no further attempt of a call starts.
const CATALOG_ATTEMPTS_TIME_MAX: Duration = Duration::from_secs(120);

/// The pause before the second attempt. It doubles each time.
const CATALOG_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause between two attempts.
const CATALOG_PAUSE_MAX: Duration = Duration::from_secs(20);

const BACKOFF: Backoff = Backoff::new(CATALOG_PAUSE, CATALOG_PAUSE_MAX, Jitter::Half);

/// Calls an operation with at most this number of attempts, each of which waits for its turn.
pub(super) async fn call_with_retries<T, F>(
    limiter: &RateLimiter,
    attempts_max: u32,
    operation: &str,
    call: impl Fn() -> F,
) -> Result<T, AwsError>
where
    F: Future<Output = Result<T, AwsError>>,
{
    let (mut begun, mut attempts) = (None, 0);
    loop {
        limiter.turn().await;
        // The first attempt may have to wait for its turn.
        let begun = *begun.get_or_insert_with(Instant::now);
        let error = match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        attempts += 1;
        let is_last = attempts >= attempts_max || begun.elapsed() >= CATALOG_ATTEMPTS_TIME_MAX;
        if is_last || !is_retryable(&error) {
            return Err(error);
        }
        tracing::debug!("retrying {operation}: {error}");
        sleep(BACKOFF.pause_after(attempts)).await;
    }
}

/// Whether to retry after an error. Expired credentials are renewed before the next attempt.
fn is_retryable(error: &AwsError) -> bool {
    error.is_passing || error.code.starts_with("ExpiredToken")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::limits;

    fn error(is_passing: bool) -> AwsError {
        let code = "ThrottlingException".to_owned();
        AwsError { code, message: String::new(), advice: None, is_passing, status: None }
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_tried_again_a_bounded_number_of_times() {
        let limiter = RateLimiter::per_second(4.0);
        for (is_passing, successful, expected) in
            [(true, 3, (3, true)), (true, 9, (8, false)), (false, 3, (1, false))]
        {
            let attempts = Cell::new(0);
            let call = || {
                attempts.set(attempts.get() + 1);
                let answer =
                    if attempts.get() >= successful { Ok(()) } else { Err(error(is_passing)) };
                std::future::ready(answer)
            };
            let answer =
                call_with_retries(&limiter, limits::CATALOG_ATTEMPTS_MAX, "Test", call).await;
            assert_eq!((attempts.get(), answer.is_ok()), expected);
        }
    }
}
