//! A running host: submits events, handles requests of SDKs, swaps the plugin, reports statistics,
//! drains and stops. Dropping the last clone stops the host; delivery then continues in the
//! background for the drain timeout at most.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
#[cfg(feature = "collector")]
use std::pin::pin;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::{Request, Response};
use parking_lot::Mutex;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Plugin, SwapError};
use crate::run::{Reloader, Run, Summary};
use crate::source::{OutcomeFuture, SubmissionStats, SubmitError, Submitter, TrySubmitError};
#[cfg(feature = "collector")]
use standpipe_collector::Collector;
use standpipe_core::event::EventOutcome;
use standpipe_delivery::dead_letters::DeadLetterWriter;
#[cfg(feature = "collector")]
use standpipe_http::Peer;
use standpipe_plugin_host::swap::{SwapStep, Swapped, Swapper};

/// A running host. Clones refer to the same host.
///
/// Dropping the last clone stops it. Delivery then continues in the background for the
/// `drain_timeout` of the settings at most; call [`stop`](Self::stop) to wait for its end.
#[derive(Clone)]
pub struct Host(pub(super) Arc<HostInner>);

pub(super) struct HostInner {
    pub(super) submitter: Submitter,
    /// None if the host publishes events to a queue.
    pub(super) swapper: Option<Swapper>,
    pub(super) reloader: Reloader,
    intake_stop: CancellationToken,
    #[cfg(feature = "collector")]
    collector: Option<Arc<Collector>>,
    dead_letters: Arc<DeadLetterWriter>,
    address: Option<SocketAddr>,
    pub(super) runtime: Handle,
    /// `None` if the host runs on a runtime of the program.
    own_runtime: Mutex<Option<Runtime>>,
    /// The summary, once the host has stopped.
    pub(super) summary: watch::Receiver<Option<Arc<Summary>>>,
}

impl Host {
    pub(super) fn new(run: Run, reloader: Reloader, submitter: Submitter, runtime: Handle) -> Self {
        let (sender, summary) = watch::channel(None);
        let inner = HostInner {
            submitter,
            reloader,
            swapper: run.swapper(),
            intake_stop: run.intake_stop(),
            #[cfg(feature = "collector")]
            collector: run.collector(),
            dead_letters: Arc::clone(&run.parts.dead_letters),
            address: run.addresses.collector,
            runtime,
            own_runtime: Mutex::new(None),
            summary,
        };
        let finish = async move { sender.send_replace(Some(Arc::new(run.finish().await))) };
        inner.runtime.spawn(finish);
        Host(Arc::new(inner))
    }

    pub(super) fn keep_runtime(&self, runtime: Runtime) {
        *self.0.own_runtime.lock() = Some(runtime);
    }

    /// Submits an event and waits for its outcome.
    ///
    /// If the event fits into the limits, the call itself accepts it; dropping the future then
    /// does not affect it. Otherwise it is accepted while the future is awaited, as soon as it
    /// fits; if the future is dropped before, it is not accepted.
    ///
    /// ```
    /// # use standpipe::{Builder, EventOutcome, Reason};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = 'Signed Up', stream = 'accounts' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.local_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// assert_eq!(host.submit(r#"{"event":"Signed Up"}"#).await?, EventOutcome::Delivered);
    /// assert_eq!(host.submit(r#"{"event":"Logged In"}"#).await?, EventOutcome::Filtered);
    /// assert_eq!(host.submit("no event").await?, EventOutcome::DeadLettered(Reason::NotJson));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if the host accepts no more events, and returns this one; or if the host gave the
    /// event up.
    pub fn submit<E>(
        &self,
        event: E,
    ) -> impl Future<Output = Result<EventOutcome, SubmitError>> + Send + use<E>
    where
        E: Into<Bytes>,
    {
        self.0.submitter.submit(event.into())
    }

    /// Submits an event if there is room for it. The call takes about a microsecond and never
    /// waits, as the threads of a proxy require.
    ///
    /// ```
    /// # use standpipe::{Builder, EventOutcome, TrySubmitError};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.local_directory(directory.path().join("records"));
    /// let host = builder.events_max(1).start(&tokio::runtime::Handle::current()).await?;
    /// let receipt = host.try_submit("{}")?;
    /// if let Err(TrySubmitError::Full(event)) = host.try_submit("{}") {
    ///     assert_eq!(event, "{}");
    /// }
    /// assert_eq!(receipt.await?, EventOutcome::Delivered);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if the limits are reached, or if the host accepts no more events. The error returns
    /// the event.
    pub fn try_submit(&self, event: impl Into<Bytes>) -> Result<OutcomeFuture, TrySubmitError> {
        self.0.submitter.try_submit(event.into())
    }

    /// Submits events, each as soon as it fits into the limits, and waits for their outcomes, which
    /// are returned in the order of the events.
    ///
    /// The events need not fit into the limits together. If the future is dropped, some of them
    /// may not have been accepted.
    ///
    /// ```
    /// # use standpipe::{Builder, EventOutcome, Reason};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.local_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// let ended = host.submit_batch(["{}", "no event"]).await;
    /// assert_eq!(ended, [Ok(EventOutcome::Delivered), Ok(EventOutcome::DeadLettered(Reason::NotJson))]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn submit_batch<I>(
        &self,
        events: I,
    ) -> impl Future<Output = Vec<Result<EventOutcome, SubmitError>>> + Send + use<I>
    where
        I: IntoIterator<Item: Into<Bytes>, IntoIter: Send>,
    {
        let submitter = self.0.submitter.clone();
        let events = events.into_iter().map(Into::<Bytes>::into);
        async move {
            let mut receipts = Vec::with_capacity(events.size_hint().0);
            for event in events {
                receipts.push(submitter.submit_when_free(event).await);
            }
            let mut ended = Vec::with_capacity(receipts.len());
            for receipt in receipts {
                ended.push(match receipt {
                    Ok(receipt) => receipt.await,
                    Err(refused) => Err(SubmitError::Closed(refused.into_event())),
                });
            }
            ended
        }
    }

    /// Returns the outcomes of the submitted events, and how many are not settled.
    ///
    /// ```
    /// # use standpipe::Builder;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.local_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// host.submit("{}").await?;
    /// let stats = host.stats();
    /// assert_eq!((stats.accepted, stats.delivered, stats.refused_full), (1, 1, 0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn stats(&self) -> SubmissionStats {
        let dead_letters = self.0.dead_letters.report();
        SubmissionStats {
            dead_letters_waiting: dead_letters.waiting,
            dead_letters_failing: dead_letters.trouble.is_some(),
            ..self.0.submitter.stats()
        }
    }

    /// Handles a request of an analytics SDK as the collector does: Segment's and RudderStack's
    /// paths, with the write keys of `[[sources]]`. The response is 200 once the events are in
    /// the spool.
    ///
    /// Returns `None` if the settings have no `[[sources]]` or no `listen` (`"off"` is enough),
    /// and in a build without the feature `collector`.
    ///
    /// `client` is the address that sent the request. If it is one of `trusted_proxies` under
    /// `[http]`, or the unspecified address, the address in `X-Forwarded-For` or `Forwarded` is
    /// used instead.
    ///
    /// ```
    /// # use std::net::{IpAddr, Ipv4Addr};
    /// # use standpipe::Builder;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// let settings = r#"
    ///     listen = "off"
    ///     sources = [{ name = "web", dialect = "segment", write_keys = ["key"] }]
    ///     [plugin.settings]
    ///     mappings = [{ event = "*", stream = "all" }]
    /// "#;
    /// # let builder = Builder::from_toml(settings, directory.path())?.local_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// let body = r#"{"writeKey":"key","event":"Signed Up","userId":"u"}"#;
    /// let request = http::Request::post("/v1/track").body(body.to_owned())?;
    /// let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    /// let response = host.handle(request, client).await.expect("there are sources");
    /// assert_eq!(response.status(), 200);
    /// assert_eq!(host.stop().await.delivered, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn handle(
        &self,
        request: Request<impl Body>,
        client: IpAddr,
    ) -> Option<Response<Full<Bytes>>> {
        #[cfg(feature = "collector")]
        {
            let collector = self.0.collector.as_ref()?;
            let (parts, body) = request.into_parts();
            let is_encrypted = parts.uri.scheme_str() == Some("https");
            let body = pin!(body);
            let request = Request::from_parts(parts, body);
            Some(collector.handle(request, Peer { address: client, is_encrypted }).await)
        }
        #[cfg(not(feature = "collector"))]
        {
            let _ = (request, client);
            None
        }
    }

    pub(super) fn has_sources(&self) -> bool {
        #[cfg(feature = "collector")]
        return self.0.collector.is_some();
        #[cfg(not(feature = "collector"))]
        false
    }

    /// Swaps the plugin while events flow. The new plugin is compiled, checked and tried first; if
    /// it is rejected, the active plugin stays in use.
    ///
    /// ```
    /// # use standpipe::{Builder, EventOutcome, Plugin, Swapped};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.local_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// let refused = host.swap(Plugin::new(b"\0asm".to_vec())).await.unwrap_err();
    /// assert_eq!(refused.step, "compile");
    /// let plugin = Plugin::built_in().with_settings(r#"{"mappings":[{"event":"none","stream":"none"}]}"#);
    /// assert_eq!(host.swap(plugin).await?, Swapped::Taken(2));
    /// assert_eq!(host.submit("{}").await?, EventOutcome::Filtered);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if the plugin is rejected.
    pub async fn swap(&self, plugin: Plugin) -> Result<Swapped, SwapError> {
        let (swapper, reloader) = (self.swapper()?, self.0.reloader.clone());
        let candidate = self.0.runtime.spawn(async move { reloader.with_secrets(plugin.0).await });
        let candidate = candidate.await??;
        Ok(self.0.runtime.spawn_blocking(move || swapper.swap(&candidate)).await??)
    }

    /// Reads the plugin's file again, and the settings file if the settings are
    /// [from a file](super::Builder::from_file), and swaps the plugin if one of them has changed.
    ///
    /// ```
    /// # use standpipe::{Builder, Swapped};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.local_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// assert_eq!(host.reload().await?, Swapped::Unchanged(1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if a file cannot be read, a setting is invalid, or the plugin is rejected.
    pub async fn reload(&self) -> Result<Swapped, SwapError> {
        let reloader = self.0.reloader.clone();
        Ok(self.0.runtime.spawn(async move { reloader.reload().await }).await??)
    }

    /// Goes back to the previous plugin, which is still loaded. A second call changes nothing.
    ///
    /// ```
    /// # use standpipe::{Builder, EventOutcome, Plugin, Swapped};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.local_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// host.swap(Plugin::built_in().with_settings(r#"{"mappings":[{"event":"none","stream":"none"}]}"#)).await?;
    /// assert_eq!(host.roll_back().await?, Swapped::Taken(3));
    /// assert_eq!(host.submit("{}").await?, EventOutcome::Delivered);
    /// assert_eq!(host.roll_back().await?, Swapped::Unchanged(3));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if there is no previous plugin, or if it is not trusted any more.
    pub async fn roll_back(&self) -> Result<Swapped, SwapError> {
        self.roll_back_to_previous(None).await
    }

    /// Goes back to the plugin before this generation, if this generation is in use: a plugin that
    /// was swapped in meanwhile stays. A second call changes nothing.
    ///
    /// ```
    /// # use standpipe::{Builder, Plugin, Swapped};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.local_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// host.swap(Plugin::built_in().with_settings(r#"{"mappings":[{"event":"none","stream":"none"}]}"#)).await?;
    /// assert!(host.roll_back_from(1).await.is_err());
    /// assert_eq!(host.roll_back_from(2).await?, Swapped::Taken(3));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if the generation is not in use, if there is no previous plugin, or if it is not
    /// trusted any more.
    pub async fn roll_back_from(&self, generation: u64) -> Result<Swapped, SwapError> {
        self.roll_back_to_previous(Some(generation)).await
    }

    fn swapper(&self) -> Result<Swapper, SwapError> {
        self.0.swapper.clone().ok_or_else(|| SwapError {
            step: SwapStep::Read.word(),
            reason: "the host has no plugin, since `role` under [queue] is \"collector\""
                .to_owned(),
        })
    }

    async fn roll_back_to_previous(&self, generation: Option<u64>) -> Result<Swapped, SwapError> {
        let swapper = self.swapper()?;
        Ok(self.0.runtime.spawn_blocking(move || swapper.roll_back(generation)).await??)
    }

    /// Returns the address that the collector listens on, with its real port.
    ///
    /// ```
    /// # use standpipe::Builder;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// let settings = r#"
    ///     listen = "127.0.0.1:0"
    ///     sources = [{ name = "web", dialect = "segment", write_keys = ["key"] }]
    ///     [plugin.settings]
    ///     mappings = [{ event = "*", stream = "all" }]
    /// "#;
    /// # let builder = Builder::from_toml(settings, directory.path())?.local_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// assert_ne!(host.collector_address().expect("it listens").port(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn collector_address(&self) -> Option<SocketAddr> {
        self.0.address
    }

    /// Returns the runtime that the host runs on.
    pub fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    /// Accepts no more events, and waits until all submitted events are settled, however long that
    /// takes. Delivery of events in the spool continues; call [`stop`](Self::stop) to end it.
    ///
    /// ```
    /// # use standpipe::{Builder, TrySubmitError};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.local_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// drop(host.try_submit("{}")?);
    /// host.drain().await;
    /// assert_eq!((host.stats().delivered, host.stats().unsettled), (1, 0));
    /// assert!(matches!(host.try_submit("{}"), Err(TrySubmitError::Closed(_))));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn drain(&self) {
        self.0.submitter.close();
        self.0.submitter.wait_until_settled().await;
    }

    /// Stops the host: accepts no more events, and delivers for the `drain_timeout` of the settings
    /// at most. Submitted events that are then left go to the dead letters. A second call changes
    /// nothing.
    ///
    /// ```
    /// # use standpipe::Builder;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.local_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// drop(host.try_submit("{}")?);
    /// let summary = host.stop().await;
    /// assert_eq!((summary.read, summary.delivered), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn stop(&self) -> Arc<Summary> {
        self.0.intake_stop.cancel();
        self.wait_until_stopped().await
    }

    /// Waits until the host has stopped: after [`stop`](Self::stop), or when the plugin fails and
    /// the settings have `on_failure = "halt"`.
    ///
    /// ```
    /// # use standpipe::Builder;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.local_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// let other = host.clone();
    /// let waiting = tokio::spawn(async move { other.wait_until_stopped().await });
    /// host.submit("{}").await?;
    /// host.stop().await;
    /// assert_eq!(waiting.await?.faults, [""; 0]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn wait_until_stopped(&self) -> Arc<Summary> {
        let mut summary = self.0.summary.clone();
        let ended = summary.wait_for(Option::is_some).await;
        let ended = ended.expect("the runtime of a host outlives it");
        Arc::clone(ended.as_ref().expect("it was waited for"))
    }
}

impl Drop for HostInner {
    fn drop(&mut self) {
        self.intake_stop.cancel();
        let own = self.own_runtime.get_mut().take();
        let Some(runtime) = own else { return };
        let mut summary = self.summary.clone();
        // A thread of another runtime must not block.
        let end = move || {
            let _ = runtime.block_on(summary.wait_for(Option::is_some));
            runtime.shutdown_background();
        };
        let _ = thread::Builder::new().name("host".to_owned()).spawn(end);
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
