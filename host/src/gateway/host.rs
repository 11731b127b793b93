//! A running host: handing events in, the collector's answers, swapping the plugin, statistics, drain
//! and stop. Clones are the same host; the last one dropped stops it, and delivery goes on in the
//! background up to the drain timeout.

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

use super::{Plugin, SwapRefused};
use crate::run::{Reloader, Run, Summary};
use crate::source::{NotSettled, Receipt, Refused, SubmitReport as Stats, Submitter};
#[cfg(feature = "collector")]
use standpipe_collector::Collector;
use standpipe_core::event::EventOutcome;
use standpipe_delivery::dead::Letters;
#[cfg(feature = "collector")]
use standpipe_http::Peer;
use standpipe_plugin_host::swap::{Swapped, Swapper};

/// A host at work. Clones are the same host; it stops when the last of them is
/// dropped, and then goes on delivering in the background for as long as
/// `drain_timeout` of its settings allows.
#[derive(Clone)]
pub struct Host(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) submitter: Submitter,
    pub(super) swapper: Swapper,
    pub(super) reloader: Reloader,
    intake_stop: CancellationToken,
    #[cfg(feature = "collector")]
    collector: Option<Arc<Collector>>,
    letters: Arc<Letters>,
    address: Option<SocketAddr>,
    pub(super) runtime: Handle,
    /// None where the program brought one.
    own_runtime: Mutex<Option<Runtime>>,
    /// What became of the host, once it has ended.
    summary: watch::Receiver<Option<Arc<Summary>>>,
}

impl Host {
    pub(super) fn new(run: Run, reloader: Reloader, submitter: Submitter, runtime: Handle) -> Self {
        let (tell, summary) = watch::channel(None);
        let inner = Inner {
            submitter,
            reloader,
            swapper: run.swapper(),
            intake_stop: run.intake_stop(),
            #[cfg(feature = "collector")]
            collector: run.collector(),
            letters: run.letters(),
            address: run.addresses().collector,
            runtime,
            own_runtime: Mutex::new(None),
            summary,
        };
        let finish = async move { tell.send_replace(Some(Arc::new(run.finish().await))) };
        inner.runtime.spawn(finish);
        Host(Arc::new(inner))
    }

    pub(super) fn keep(&self, runtime: Runtime) {
        *self.0.own_runtime.lock() = Some(runtime);
    }

    /// Hand an event in, and be told what became of it.
    ///
    /// Where there is room, it is accepted by the call itself; dropping the future
    /// then changes nothing for it. Where there is none, it waits for room while the
    /// future is awaited, and is not accepted if that is dropped before.
    ///
    /// ```
    /// # use standpipe::{Builder, EventOutcome, Reason};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = 'Signed Up', stream = 'accounts' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// assert_eq!(host.submit(r#"{"event":"Signed Up"}"#).await?, EventOutcome::Delivered);
    /// assert_eq!(host.submit(r#"{"event":"Logged In"}"#).await?, EventOutcome::Filtered);
    /// assert_eq!(host.submit("no event").await?, EventOutcome::Dead(Reason::NotJson));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The future says that the host accepts no more events, and gives this one back,
    /// or that it was given up.
    pub fn submit<E>(
        &self,
        event: E,
    ) -> impl Future<Output = Result<EventOutcome, NotSettled>> + Send + use<E>
    where
        E: Into<Bytes>,
    {
        self.0.submitter.submit(event.into())
    }

    /// Hand an event in if there is room for it. That takes about a microsecond, and
    /// never waits; it is what the threads of a proxy want.
    ///
    /// ```
    /// # use standpipe::{Builder, EventOutcome, Refused};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
    /// let host = builder.events_max(1).start(&tokio::runtime::Handle::current()).await?;
    /// let receipt = host.try_submit("{}")?;
    /// if let Err(Refused::Full(event)) = host.try_submit("{}") {
    ///     assert_eq!(event, "{}");
    /// }
    /// assert_eq!(receipt.await?, EventOutcome::Delivered);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// There is no room, or the host accepts no more events. The event comes back.
    pub fn try_submit(&self, event: impl Into<Bytes>) -> Result<Receipt, Refused> {
        self.0.submitter.try_submit(event.into())
    }

    /// Hand events in, each once there is room for it, and be told what became of
    /// each, in their order.
    ///
    /// They need not fit into the room together. If the future is dropped, some of
    /// them may not have been accepted.
    ///
    /// ```
    /// # use standpipe::{Builder, EventOutcome, Reason};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// let ended = host.submit_batch(["{}", "no event"]).await;
    /// assert_eq!(ended, [Ok(EventOutcome::Delivered), Ok(EventOutcome::Dead(Reason::NotJson))]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn submit_batch<I>(
        &self,
        events: I,
    ) -> impl Future<Output = Vec<Result<EventOutcome, NotSettled>>> + Send + use<I>
    where
        I: IntoIterator<Item: Into<Bytes>, IntoIter: Send>,
    {
        let submitter = self.0.submitter.clone();
        let events = events.into_iter().map(Into::<Bytes>::into);
        async move {
            let mut receipts = Vec::with_capacity(events.size_hint().0);
            for event in events {
                receipts.push(submitter.accept(event).await);
            }
            let mut ended = Vec::with_capacity(receipts.len());
            for receipt in receipts {
                ended.push(match receipt {
                    Ok(receipt) => receipt.await,
                    Err(refused) => Err(NotSettled::Closed(refused.into_event())),
                });
            }
            ended
        }
    }

    /// What became of the events that were handed in, and how many wait.
    ///
    /// ```
    /// # use standpipe::Builder;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// host.submit("{}").await?;
    /// let stats = host.stats();
    /// assert_eq!((stats.accepted, stats.delivered, stats.refused_full), (1, 1, 0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn stats(&self) -> Stats {
        let letters = self.0.letters.report();
        Stats {
            dead_letters_waiting: letters.waiting,
            dead_letters_failing: letters.trouble.is_some(),
            ..self.0.submitter.report()
        }
    }

    /// Answer a request of an analytics SDK as the collector does: Segment's and
    /// RudderStack's paths, write keys of the settings' `[[sources]]`, and a 200 once
    /// the events are in the spool. None where the settings have no sources, or no
    /// `listen`, for which `"off"` is enough; and in a build without the feature `collector`.
    ///
    /// `client` is who sent the request. Where it is one of `trusted_proxies` under
    /// `[http]`, or the unspecified address, the address in `X-Forwarded-For` or
    /// `Forwarded` goes before it.
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
    /// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// let body = r#"{"writeKey":"key","event":"Signed Up","userId":"u"}"#;
    /// let request = http::Request::post("/v1/track").body(body.to_owned())?;
    /// let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    /// let answer = host.answer(request, client).await.expect("there are sources");
    /// assert_eq!(answer.status(), 200);
    /// assert_eq!(host.stop().await.delivered, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn answer(
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
            Some(collector.answer(request, Peer { address: client, is_encrypted }).await)
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

    /// Have another plugin take over while events flow. It is compiled, checked and
    /// tried first; one that does not fit changes nothing.
    ///
    /// ```
    /// # use standpipe::{Builder, EventOutcome, Plugin, Swapped};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// let refused = host.swap(Plugin::new(b"no component".to_vec())).await.unwrap_err();
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
    /// It does not fit.
    pub async fn swap(&self, plugin: Plugin) -> Result<Swapped, SwapRefused> {
        let (swapper, reloader) = (self.0.swapper.clone(), self.0.reloader.clone());
        let candidate = self.0.runtime.spawn(async move { reloader.with_secrets(plugin.0).await });
        let candidate = candidate.await??;
        Ok(self.0.runtime.spawn_blocking(move || swapper.offer(&candidate)).await??)
    }

    /// Read the plugin's file again, and the settings' if they are
    /// [from one](super::Builder::from_file), and have the plugin take over where
    /// something has changed.
    ///
    /// ```
    /// # use standpipe::{Builder, Swapped};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// assert_eq!(host.reload().await?, Swapped::Unchanged(1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// A file cannot be read, a setting is wrong, or the plugin does not fit.
    pub async fn reload(&self) -> Result<Swapped, SwapRefused> {
        let reloader = self.0.reloader.clone();
        Ok(self.0.runtime.spawn(async move { reloader.reload().await }).await??)
    }

    /// Go back to the plugin before this one. That takes no time to speak of; doing it
    /// twice changes nothing.
    ///
    /// ```
    /// # use standpipe::{Builder, EventOutcome, Plugin, Swapped};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
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
    /// There is none, or it is not trusted any more.
    pub async fn roll_back(&self) -> Result<Swapped, SwapRefused> {
        self.withdraw(None).await
    }

    /// Go back to the plugin before this generation, if it is the one in use: another
    /// plugin that has taken over meanwhile stays. Doing it twice changes nothing.
    ///
    /// ```
    /// # use standpipe::{Builder, Plugin, Swapped};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
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
    /// It is not in use, there is none before it, or that is not trusted any more.
    pub async fn roll_back_from(&self, generation: u64) -> Result<Swapped, SwapRefused> {
        self.withdraw(Some(generation)).await
    }

    async fn withdraw(&self, generation: Option<u64>) -> Result<Swapped, SwapRefused> {
        let swapper = self.0.swapper.clone();
        Ok(self.0.runtime.spawn_blocking(move || swapper.roll_back(generation)).await??)
    }

    /// The address on which the collector listens, with its real port, if it does.
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
    /// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// assert_ne!(host.address().expect("it listens").port(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.address
    }

    /// The runtime that the host works on.
    pub fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    /// Accept no more events, and wait until all that were handed in are settled,
    /// however long that takes. The host is to be stopped all the same; what SDKs sent
    /// is in the spool, and goes on.
    ///
    /// ```
    /// # use standpipe::{Builder, Refused};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// drop(host.try_submit("{}")?);
    /// host.drain().await;
    /// assert_eq!((host.stats().delivered, host.stats().unsettled), (1, 0));
    /// assert!(matches!(host.try_submit("{}"), Err(Refused::Closed(_))));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn drain(&self) {
        self.0.submitter.close();
        self.0.submitter.settled().await;
    }

    /// Accept no more events, go on delivering for as long as `drain_timeout` of the
    /// settings allows, and end. What is then left goes to the dead letters. Doing it
    /// twice changes nothing.
    ///
    /// ```
    /// # use standpipe::Builder;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// drop(host.try_submit("{}")?);
    /// let summary = host.stop().await;
    /// assert_eq!((summary.read, summary.delivered), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn stop(&self) -> Arc<Summary> {
        self.0.intake_stop.cancel();
        self.ended().await
    }

    /// Wait until the host has ended, which it does when it is stopped, or where its
    /// settings say so when the plugin fails.
    ///
    /// ```
    /// # use standpipe::Builder;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// let other = host.clone();
    /// let waiting = tokio::spawn(async move { other.ended().await });
    /// host.submit("{}").await?;
    /// host.stop().await;
    /// assert_eq!(waiting.await?.faults, [""; 0]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ended(&self) -> Arc<Summary> {
        let mut summary = self.0.summary.clone();
        let ended = summary.wait_for(Option::is_some).await;
        let ended = ended.expect("the runtime of a host outlives it");
        Arc::clone(ended.as_ref().expect("it was waited for"))
    }
}

#[cfg(test)]
impl Inner {
    /// What becomes of the host, for who does not hold it.
    pub(super) fn summary(&self) -> watch::Receiver<Option<Arc<Summary>>> {
        self.summary.clone()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.intake_stop.cancel();
        let own = self.own_runtime.get_mut().take();
        let Some(runtime) = own else { return };
        let mut summary = self.summary.clone();
        // A runtime must not be waited for on the thread of another one.
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
