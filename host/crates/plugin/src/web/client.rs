//! Sends the requests of a plugin at the same time, while the plugin's thread waits.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use reqwest::redirect::Policy;
use reqwest::{Client, NoProxy, Proxy};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use url::Url;

use super::NetworkAccessError;
use super::bindings::standpipe::mapping::web as contract;
use super::call_usage::CallUsage;
use super::counters::WebCounters;
use super::exchange::WebCall;
use super::failure::WebFailure;
use super::network_source::NetworkSource;
use super::resolver::CheckedResolver;
use super::settings::NetworkSettings;
use standpipe_core::secret::Secret;

/// Threads that send requests and read responses. One thread copes with some thousand requests each
/// second; the second one is for TLS.
const WEB_THREADS: usize = 2;

/// Time to connect to a server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an idle connection is kept. Servers on Node.js close theirs after 5 seconds, and a
/// request that meets the end of its connection fails.
const IDLE_CONNECTION_AGE_MAX: Duration = Duration::from_secs(4);

/// The outcome of a request.
pub(super) type WebResult = Result<contract::Response, WebFailure>;

/// The client that all instances of an engine share, with its own threads: workers wait for
/// responses without a runtime.
pub(super) struct WebClient {
    client: Client,
    resolver: CheckedResolver,
    settings: NetworkSettings,
    permits: Arc<Semaphore>,
    /// `None` after the client has been dropped.
    runtime: Option<Runtime>,
}

impl WebClient {
    /// Starts the client's threads.
    ///
    /// # Errors
    ///
    /// Fails if the system cannot create them, or if the URL of the proxy is invalid.
    pub(super) fn start(source: &NetworkSource) -> Result<Self, NetworkAccessError> {
        let settings = source.settings.clone();
        let builder = match &source.proxy {
            Some(url) => Client::builder().proxy(parse_proxy(url)?),
            // The proxies of the environment would connect to addresses that this process cannot
            // check, so only the settings name one.
            None => Client::builder().no_proxy(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WEB_THREADS)
            .thread_name("plugin-web")
            .enable_all()
            .build()?;
        let resolver = CheckedResolver::new(&settings.allow_private, source.proxy.as_ref());
        let client = builder
            .tls_backend_preconfigured(super::tls::tls_config(source.ca_pem.as_deref()))
            .dns_resolver(resolver.clone())
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_CONNECTION_AGE_MAX)
            .pool_max_idle_per_host(settings.concurrent)
            .user_agent(concat!("standpipe/", env!("CARGO_PKG_VERSION")))
            .build()
            .expect("what comes from settings has been checked");
        let permits = Arc::new(Semaphore::new(settings.concurrent));
        Ok(WebClient { client, resolver, settings, permits, runtime: Some(runtime) })
    }

    /// Sends requests at the same time and waits for their outcomes, in the same order.
    pub(super) fn fetch_all(
        &self,
        requests: Vec<contract::Request>,
        usage: &mut CallUsage,
        counters: &Arc<WebCounters>,
    ) -> Vec<WebResult> {
        let started = Instant::now();
        let (expected, max) = (requests.len(), self.settings.requests_per_batch);
        let sent = expected.min(max.saturating_sub(usage.requests));
        usage.requests += sent;
        let requests = requests.into_iter().take(sent);
        let left = self.settings.batch_timeout.saturating_sub(usage.waited);
        let mut results = self.wait_for_all(requests, left, counters);
        for _ in sent..expected {
            let failure = WebFailure::TooMany { requests: max };
            counters.add(Some(failure.kind()), Duration::ZERO);
            results.push(Err(failure));
        }
        usage.waited += started.elapsed();
        results
    }

    fn wait_for_all(
        &self,
        requests: impl Iterator<Item = contract::Request>,
        left: Duration,
        counters: &Arc<WebCounters>,
    ) -> Vec<WebResult> {
        let Some(runtime) = &self.runtime else { return Vec::new() };
        let call = Arc::new(WebCall {
            client: self.client.clone(),
            resolver: self.resolver.clone(),
            settings: self.settings.clone(),
            response_bytes: AtomicUsize::new(0),
        });
        let _entered = runtime.enter();
        let mut tasks = JoinSet::new();
        let mut results = Vec::new();
        for (position, request) in requests.enumerate() {
            let (call, permits) = (Arc::clone(&call), Arc::clone(&self.permits));
            let counters = Arc::clone(counters);
            results.push(None);
            tasks.spawn(async move {
                let started = Instant::now();
                let exchange = async {
                    // Nobody closes the semaphore.
                    let _permit = permits.acquire().await;
                    call.exchange(request).await
                };
                let millis = call.settings.batch_timeout.as_millis();
                let result = tokio::time::timeout(left, exchange).await;
                let result = result.unwrap_or(Err(WebFailure::BatchTimeout { millis }));
                counters.add(result.as_ref().err().map(WebFailure::kind), started.elapsed());
                (position, result)
            });
        }
        // The channel, and not `block_on`, because a thread of another runtime must not block on this
        // one.
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        runtime.spawn(async move {
            while let Some(finished) = tasks.join_next().await {
                if let Ok((position, result)) = finished {
                    results[position] = Some(result);
                }
            }
            // The plugin's thread waits for it.
            let _ = send.send(results);
        });
        let results = receive.recv().unwrap_or_default();
        let panicked = || WebFailure::Other { cause: "the request was given up".to_owned() };
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(panicked()))).collect()
    }
}

/// The proxy for all hosts except those in the environment variable `NO_PROXY`. The URL can contain
/// a password, so it is not shown.
fn parse_proxy(url: &Secret) -> Result<Proxy, NetworkAccessError> {
    // The client ignores a proxy with another scheme.
    let parsed = Url::parse(url.expose()).ok();
    let parsed = parsed.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let proxy = parsed.and_then(|url| Proxy::all(url).ok()).ok_or(NetworkAccessError::Proxy)?;
    Ok(proxy.no_proxy(NoProxy::from_env()))
}

impl Drop for WebClient {
    fn drop(&mut self) {
        // Waiting for the threads is not allowed where the last engine may be dropped: in a task.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
