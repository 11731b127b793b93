//! Keeps the descriptions of streams with automatic or compressed aggregation up to date: one
//! request after the other, below the account's quota. Only a stream with compressed records waits
//! for its first description.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::aggregation::StreamAggregation;
use super::aggregation_decision::{decide_aggregation, decide_compression, operator_hint};
use super::firehose_client::RequestError;
use super::log_limit::{LogKind, LogLimit};
use super::{AggregationChoice, AggregationDecision, FirehoseClient, RetryClass};
use crate::limits;
use standpipe_aws::StreamDescription;
use standpipe_core::event::StreamName;
use standpipe_core::rate_limiter::RateLimiter;

/// The time between two `DescribeDeliveryStream` calls, except for the first call for each stream.
/// Later calls can wait.
const DESCRIBE_AGAIN_STEP: Duration = Duration::from_secs(1);

/// Maximum number of concurrent `DescribeDeliveryStream` calls, if responses are slow.
const DESCRIBES_AT_ONCE_MAX: usize = 4;

/// The age at which a stream's description is requested again. If a Lambda function is added to the
/// stream, it may receive aggregated records for this time. It is also the longest pause after a
/// failed call.
const DESCRIBE_AGAIN: Duration = Duration::from_secs(600);

/// Requests the descriptions of streams with automatic or compressed aggregation, decides, and
/// requests them again at intervals while the streams are in use.
///
/// The quota of these calls is small and shared by all callers of the account. So the calls are
/// made slowly, one after the other. With automatic aggregation, nothing waits for a response:
/// until it arrives, events are not aggregated. A stream with compressed records is not sent any
/// before the first response or error, because uncompressed ones would damage its objects.
pub(super) struct AggregationWatcher {
    port: Arc<dyn FirehoseClient>,
    at_once: Semaphore,
    all: RateLimiter,
    /// The rate of all calls except the first one for each stream, so that a new stream does not
    /// wait behind thousands of known ones.
    again: RateLimiter,
    log: Arc<LogLimit>,
}

impl AggregationWatcher {
    pub(super) fn new(port: Arc<dyn FirehoseClient>, log: Arc<LogLimit>) -> Self {
        AggregationWatcher {
            port,
            at_once: Semaphore::new(DESCRIBES_AT_ONCE_MAX),
            all: RateLimiter::new(limits::DESCRIBE_STEP),
            again: RateLimiter::new(DESCRIBE_AGAIN_STEP),
            log,
        }
    }

    /// Keeps a stream's aggregation up to date from now on.
    pub(super) async fn watch_stream(
        self: Arc<Self>,
        stream: StreamName,
        aggregation: Arc<StreamAggregation>,
    ) {
        let (mut failures, mut hinted) = (0_u32, None);
        loop {
            aggregation.wait_until_used().await;
            let pause = match self.describe_stream(&stream).await {
                Ok(description) => {
                    failures = 0;
                    self.apply_and_log(&stream, &aggregation, decide(&aggregation, &description));
                    let hint = operator_hint(&description);
                    if let Some(hint) = hint.filter(|_| hinted != hint)
                        && self.log.admits(LogKind::Aggregation)
                    {
                        tracing::warn!(%stream, "{hint}");
                    }
                    hinted = hint;
                    DESCRIBE_AGAIN
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    self.take_error(&stream, &aggregation, &error, failures)
                }
            };
            tokio::time::sleep(pause).await;
            self.again.turn().await;
        }
    }

    async fn describe_stream(
        &self,
        stream: &StreamName,
    ) -> Result<StreamDescription, RequestError> {
        let _place = self.at_once.acquire().await;
        self.all.turn().await;
        self.port.describe(stream).await
    }

    /// Decides without a description. Returns the pause before the next attempt.
    fn take_error(
        &self,
        stream: &StreamName,
        aggregation: &StreamAggregation,
        error: &RequestError,
        failures: u32,
    ) -> Duration {
        if aggregation.is_compressed() {
            return self.trust_settings(stream, aggregation, error, failures);
        }
        if is_denied(error) {
            let why =
                format!("the permission firehose:DescribeDeliveryStream is missing ({error})");
            let is_new = aggregation.apply_decision(AggregationDecision::off(why.clone()));
            if is_new && self.log.admits(LogKind::Aggregation) {
                tracing::warn!(%stream, "events are not aggregated: {why}");
            }
            return DESCRIBE_AGAIN;
        }
        let is_aggregated = aggregation
            .last_decision()
            .is_some_and(|last| last.decision == AggregationChoice::Aggregated);
        // A connection problem says nothing about a known stream. But a missing stream may be
        // created again with another configuration.
        if is_aggregated && error.retry_class != RetryClass::Missing {
            tracing::debug!(%stream, "failed to describe the stream again: {error}");
        } else {
            let why = format!("failed to describe the stream ({error})");
            self.apply_and_log(stream, aggregation, AggregationDecision::off(why));
        }
        limits::RETRY_BACKOFF.up_to(DESCRIBE_AGAIN).pause_after(failures)
    }

    /// Compresses the records of a stream whose description cannot be read, as the settings say. A
    /// decision from an earlier description stays.
    fn trust_settings(
        &self,
        stream: &StreamName,
        aggregation: &StreamAggregation,
        error: &RequestError,
        failures: u32,
    ) -> Duration {
        if !aggregation.is_decided() {
            let why = format!("the settings say so; failed to describe the stream ({error})");
            aggregation.apply_decision(AggregationDecision::compressed(why.clone()));
            if self.log.admits(LogKind::Aggregation) {
                tracing::warn!(
                    %stream,
                    "records are compressed without a check of the stream's destination: {why}"
                );
            }
        }
        match is_denied(error) {
            true => DESCRIBE_AGAIN,
            false => limits::RETRY_BACKOFF.up_to(DESCRIBE_AGAIN).pause_after(failures),
        }
    }

    /// Applies the decision, and logs it if it is new.
    fn apply_and_log(
        &self,
        stream: &StreamName,
        aggregation: &StreamAggregation,
        decision: AggregationDecision,
    ) {
        if !aggregation.apply_decision(decision.clone()) || !self.log.admits(LogKind::Aggregation) {
            return;
        }
        let AggregationDecision { decision, why } = decision;
        match decision {
            AggregationChoice::Compressed => tracing::info!(%stream, "records are compressed: {why}"),
            _ if aggregation.is_compressed() => tracing::error!(
                %stream,
                "records are not compressed, although the settings say so: {why}: remove `compress` from `aggregate`, or change the stream"
            ),
            AggregationChoice::Aggregated => tracing::info!(%stream, "events are aggregated: {why}"),
            AggregationChoice::Off => tracing::info!(%stream, "events are not aggregated: {why}"),
        }
    }
}

/// Decides by the description of a stream.
fn decide(
    aggregation: &StreamAggregation,
    description: &StreamDescription,
) -> AggregationDecision {
    match aggregation.is_compressed() {
        true => decide_compression(description),
        false => decide_aggregation(description),
    }
}

/// Whether the caller may write records, but may not describe the stream.
fn is_denied(error: &RequestError) -> bool {
    matches!(error.code.as_str(), "AccessDeniedException" | "AccessDenied" | "NotAuthorized")
}

#[cfg(test)]
mod tests;
