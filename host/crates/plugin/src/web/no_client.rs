//! Takes the place of the HTTP client in programs that are built without the feature `network`: each
//! request fails.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::NetworkAccessError;
use super::bindings::standpipe::mapping::web as contract;
use super::call_usage::CallUsage;
use super::counters::WebCounters;
use super::failure::WebFailure;
use super::host_pattern::host_and_port;
use super::network_source::NetworkSource;

/// A client that sends nothing.
pub(super) struct WebClient;

impl WebClient {
    #[expect(clippy::unnecessary_wraps, reason = "the client with the feature can fail")]
    pub(super) fn start(_: &NetworkSource) -> Result<Self, NetworkAccessError> {
        tracing::warn!(
            "[plugin.network] allows requests, but this program is built without the cargo feature `network`: each \
             request of a plugin fails"
        );
        Ok(WebClient)
    }

    #[expect(clippy::unused_self, reason = "the client with the feature has a state")]
    pub(super) fn fetch_all(
        &self,
        requests: Vec<contract::Request>,
        _: &mut CallUsage,
        counters: &Arc<WebCounters>,
    ) -> Vec<Result<contract::Response, WebFailure>> {
        let refused = requests.into_iter().map(|request| {
            let host = Url::parse(&request.url).map(|url| host_and_port(&url)).unwrap_or_default();
            let failure = WebFailure::NotBuilt { host };
            counters.add(Some(failure.kind()), Duration::ZERO);
            Err(failure)
        });
        refused.collect()
    }
}
