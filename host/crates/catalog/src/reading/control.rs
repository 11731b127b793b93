//! The control plane of a service that is asked in AWS's JSON protocol.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use standpipe_aws::{AwsError, JsonClient};
use standpipe_core::rate_limiter::RateLimiter;

use super::attempts::attempt;
use crate::limits;

/// The control plane of a service: operations that Amazon has only few of done in a
/// second, each of which has a rate of its own.
#[derive(Debug)]
pub(crate) struct Control {
    client: JsonClient,
    per_second: f64,
    limiters: Mutex<HashMap<&'static str, Arc<RateLimiter>>>,
}

impl Control {
    pub(super) fn new(client: JsonClient, per_second: f64) -> Arc<Self> {
        Arc::new(Control { client, per_second, limiters: Mutex::default() })
    }

    /// Have an operation done, and try again while that may help.
    pub(crate) async fn ask(
        &self,
        operation: &'static str,
        input: &Value,
    ) -> Result<Value, AwsError> {
        self.ask_up_to(limits::CATALOG_ATTEMPTS_MAX, operation, input).await
    }

    /// The same with so many attempts at most, for whoever somebody waits for.
    pub(crate) async fn ask_up_to(
        &self,
        attempts_max: u32,
        operation: &'static str,
        input: &Value,
    ) -> Result<Value, AwsError> {
        let limiter = self.limiter(operation);
        let call = || self.client.attempt(operation, input);
        attempt(&limiter, attempts_max, operation, call).await
    }

    fn limiter(&self, operation: &'static str) -> Arc<RateLimiter> {
        let mut limiters = self.limiters.lock();
        let limiter = limiters
            .entry(operation)
            .or_insert_with(|| Arc::new(RateLimiter::per_second(self.per_second)));
        Arc::clone(limiter)
    }
}
