//! The control plane of a service with AWS's JSON protocol.

use std::collections::BTreeMap;

use serde_json::Value;
use standpipe_aws::{AwsError, JsonClient};
use standpipe_core::rate_limiter::RateLimiter;

use super::retry::call_with_retries;

/// The control plane of a service. AWS permits only a few calls per second of each operation, so
/// each operation has its own rate limit.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    client: JsonClient,
    limiters: BTreeMap<&'static str, RateLimiter>,
}

impl ControlPlane {
    pub(super) fn new(client: JsonClient, operations: &[&'static str], per_second: f64) -> Self {
        let limiter = |operation: &&'static str| (*operation, RateLimiter::per_second(per_second));
        ControlPlane { client, limiters: operations.iter().map(limiter).collect() }
    }

    /// Calls an operation, and retries transient errors with at most this number of attempts.
    pub(super) async fn call_api(
        &self,
        attempts_max: u32,
        operation: &'static str,
        input: &Value,
    ) -> Result<Value, AwsError> {
        let call = || self.client.attempt(operation, input);
        call_with_retries(&self.limiters[operation], attempts_max, operation, call).await
    }
}
