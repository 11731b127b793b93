//! The control plane of an AWS service: each operation has a rate limit of its own, and is tried
//! again a bounded number of times with jittered pauses. Denied and missing are told apart from
//! failures.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::pace::Pace;
use crate::limits;
use standpipe_aws::{JsonClient, JsonError};

/// The control plane of a service: operations that Amazon has only few of done in a
/// second, each of which has a pace of its own.
#[derive(Debug)]
pub(crate) struct Control {
    client: JsonClient,
    per_second: f64,
    paces: Mutex<HashMap<&'static str, Arc<Pace>>>,
}

impl Control {
    pub(super) fn new(client: JsonClient, per_second: f64) -> Arc<Self> {
        Arc::new(Control { client, per_second, paces: Mutex::default() })
    }

    /// Have an operation done, and try again while that may help. Every attempt
    /// waits for its turn.
    pub(crate) async fn ask(
        &self,
        operation: &'static str,
        input: &Value,
    ) -> Result<Value, JsonError> {
        self.ask_up_to(limits::CATALOG_ATTEMPTS_MAX, operation, input).await
    }

    /// The same with so many attempts at most, for whoever somebody waits for.
    pub(crate) async fn ask_up_to(
        &self,
        attempts: u32,
        operation: &'static str,
        input: &Value,
    ) -> Result<Value, JsonError> {
        let pace = self.pace(operation);
        let mut begun = None;
        let mut attempt = 0;
        loop {
            pace.turn().await;
            // The turn of the first attempt may be long in coming.
            let begun = *begun.get_or_insert_with(Instant::now);
            let answer = self.client.attempt(operation, input).await;
            let Err(error) = answer else { return answer };
            attempt += 1;
            let is_last =
                attempt >= attempts || begun.elapsed() >= limits::CATALOG_ATTEMPTS_TIME_MAX;
            if is_last || !may_pass(&error) {
                return Err(error);
            }
            tracing::debug!("ask for {operation} again: {error}");
            sleep(pause(attempt)).await;
        }
    }

    fn pace(&self, operation: &'static str) -> Arc<Pace> {
        let mut paces = self.paces.lock();
        let pace = paces.entry(operation).or_insert_with(|| Arc::new(Pace::new(self.per_second)));
        Arc::clone(pace)
    }
}

/// Credentials that have expired are renewed before the next attempt.
fn may_pass(error: &JsonError) -> bool {
    error.is_passing || error.code.starts_with("ExpiredToken")
}

/// Whether the policy does not allow it.
pub(crate) fn is_denied(error: &JsonError) -> bool {
    let codes = ["AccessDenied", "NotAuthorized", "UnauthorizedOperation"];
    codes.iter().any(|code| error.code.starts_with(code))
}

/// Whether what was asked about is not there.
pub(crate) fn is_gone(error: &JsonError) -> bool {
    error.code == "ResourceNotFoundException"
}

/// The pause after so many attempts: doubled each time, and somewhere between its
/// half and the whole, so that those who were throttled together do not come back
/// together.
fn pause(attempt: u32) -> Duration {
    let doubled = limits::CATALOG_PAUSE * 2_u32.saturating_pow(attempt.saturating_sub(1).min(16));
    doubled.min(limits::CATALOG_PAUSE_MAX).mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound() {
        for attempt in 0..40 {
            assert!(pause(attempt) <= limits::CATALOG_PAUSE_MAX);
            assert!(pause(attempt) >= limits::CATALOG_PAUSE / 2);
        }
        assert!(pause(20) >= limits::CATALOG_PAUSE_MAX / 2);
    }
}
