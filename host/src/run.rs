//! A run: built from settings, started, drained.
//!
//! ```no_run
//! # async fn example(settings: standpipe::config::Settings) -> Result<(), standpipe::run::StartError> {
//! let run = standpipe::run::Run::start(settings, &tokio::runtime::Handle::current()).await?;
//! let summary = run.finish().await;
//! println!("{summary}");
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here reads the process's arguments, installs a logger or ends the
//! process: the command line is one embedder of it.

#[cfg(feature = "catalog")]
mod cataloging;
mod collecting;
mod copier;
mod embedding;
mod error;
mod finishing;
mod keys;
#[cfg(feature = "native-mapping")]
mod native_mapping;
mod patience;
mod plugin_secrets;
mod plugins;
mod preparation;
mod reach;
mod reloading;
mod starting;
mod summary;
mod watching;

#[cfg(feature = "catalog")]
pub(crate) use cataloging::Cataloging;
#[cfg(all(feature = "catalog", feature = "cli"))]
pub(crate) use cataloging::{logged, routes_of};
pub use embedding::{Embedding, Entrance};
pub use error::StartError;
pub(crate) use keys::check_kept_secrets;
pub(crate) use plugin_secrets::{PluginSecrets, are_kept};
pub use plugins::{plugin_bytes, read_plugin};
pub(crate) use preparation::{Part, PluginLoader, Preparation, event_streams};
pub(crate) use reach::reach;
pub use reloading::{BoxError, SetLogFilter};
pub(crate) use starting::open_secrets;
pub use summary::{Collected, Summary, UnreadInput};
pub use watching::Reloader;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::config::Settings;
use crate::source::{ReadReport, Retirement, Stop, Submitter};
use collecting::Collecting;
use copier::Copier;
use reloading::ReloadableParts;
use standpipe_collector::Collector;
use standpipe_core::event::{Totals, TotalsSnapshot};
use standpipe_delivery::dead::Letters;
use standpipe_delivery::{Delivery, Firehose};
use standpipe_http::Shutdown;
use standpipe_plugin_host::swap::Swapper;
use watching::Basis;

/// Where compiled plugins are kept in a data directory.
pub(crate) const CACHE: &str = "cache";

/// A run under way.
#[derive(Debug)]
pub struct Run {
    started: Instant,
    totals: Arc<Totals>,
    bytes_read: Arc<AtomicU64>,
    stopper: Stopper,
    /// Why the run was halted, if it was.
    halted: Arc<Mutex<Option<String>>>,
    /// Whether nobody waits for what is left any more.
    abandoned: Arc<AtomicBool>,
    swapper: Swapper,
    basis: Basis,
    reloadable: ReloadableParts,
    addresses: Addresses,
    collecting: Option<Collecting>,
    /// Ends the answers about health, metrics and the plugin.
    admin: Shutdown,
    drain_timeout: Duration,
    delivery: Delivery,
    letters: Arc<Letters>,
    copier: Option<Copier>,
    retirement: Retirement,
    #[cfg(feature = "catalog")]
    cataloging: Option<Cataloging>,
    reader: JoinHandle<ReadReport>,
    /// Makes chunks of what an embedder hands in, where there is one.
    gatherer: Option<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
}

/// Where a run listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Addresses {
    /// For SDKs.
    pub collector: Option<SocketAddr>,
    /// Whether SDKs must use TLS.
    pub is_encrypted: bool,
    /// For health, metrics and changes of the plugin.
    pub admin: Option<SocketAddr>,
}

/// Asks a run to stop, from wherever.
#[derive(Debug, Clone)]
pub struct Stopper {
    stop: Stop,
    stopped: watch::Sender<bool>,
    shutdown: Shutdown,
    submitter: Option<Submitter>,
}

/// How far a run has got.
#[derive(Debug, Clone)]
pub struct Progress {
    totals: Arc<Totals>,
    bytes_read: Arc<AtomicU64>,
}

impl Run {
    /// Load the plugin, open the way to the streams, and start reading.
    ///
    /// # Errors
    ///
    /// Something of the settings does not work; nothing has been read.
    pub async fn start(settings: Settings, runtime: &Handle) -> Result<Self, StartError> {
        Self::start_embedded(settings, Embedding::default(), runtime).await
    }

    /// The same with a port of the embedder's own; the settings' destination is
    /// not used.
    ///
    /// # Errors
    ///
    /// As for [`Run::start`].
    pub async fn start_with(
        settings: Settings,
        port: Arc<dyn Firehose>,
        runtime: &Handle,
    ) -> Result<Self, StartError> {
        let embedding = Embedding { port: Some(port), ..Embedding::default() };
        Self::start_embedded(settings, embedding, runtime).await
    }

    /// Something that can stop the run.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Something that changes the run's plugin.
    pub fn swapper(&self) -> Swapper {
        self.swapper.clone()
    }

    /// Reload the plugin whenever its file or the settings change, as long as the run
    /// lasts, and with the settings all that can follow them while events flow: sources,
    /// settings of streams, the certificate, the log filter. The log names other keys that
    /// have changed. Settings are read again by `read`.
    ///
    /// The answer does so once, when it is asked to.
    pub async fn watch(
        &self,
        settings_file: Option<PathBuf>,
        read: impl Fn() -> Result<Settings, BoxError> + Send + Sync + 'static,
    ) -> Reloader {
        let (swapper, basis) = (self.swapper.clone(), self.basis.clone());
        let reloadable = self.reloadable.clone();
        let reloader = Reloader::new(swapper, basis, reloadable, settings_file, Box::new(read));
        reloader.watch(&self.stopper.shutdown).await;
        reloader
    }

    /// Where the run listens, with the real ports.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// What answers SDKs, where the settings have sources.
    pub fn collector(&self) -> Option<Arc<Collector>> {
        self.collecting.as_ref().map(|collecting| Arc::clone(&collecting.collector))
    }

    /// What writes dead letters, which tells how that goes.
    pub fn letters(&self) -> Arc<Letters> {
        Arc::clone(&self.letters)
    }

    /// Something that tells how far the run has got.
    pub fn progress(&self) -> Progress {
        Progress { totals: Arc::clone(&self.totals), bytes_read: Arc::clone(&self.bytes_read) }
    }
}

impl Stopper {
    /// Stop reading. What has been read goes on its way.
    pub fn stop(&self) {
        if let Some(submitter) = &self.submitter {
            submitter.close();
        }
        self.stop.request();
        self.shutdown.request();
        self.stopped.send_replace(true);
    }
}

impl Progress {
    /// Bytes read so far, after decompression.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// The counts so far.
    pub fn totals(&self) -> TotalsSnapshot {
        self.totals.snapshot()
    }
}
