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

mod admin_token;
#[cfg(feature = "catalog")]
mod cataloging;
mod clients;
#[cfg(feature = "collector")]
mod collecting;
#[cfg(not(feature = "collector"))]
#[path = "run/no_collector.rs"]
mod collecting;
mod dead_letter_forwarder;
mod error;
mod finishing;
#[cfg(feature = "native-mapping")]
mod native_mapping;
mod options;
mod parts;
mod patience;
mod plugin_secrets;
mod plugins;
mod preparation;
mod reloading;
mod secrets;
mod starting;
mod summary;
mod watching;
#[cfg(feature = "collector")]
mod write_keys;

#[cfg(feature = "catalog")]
pub(crate) use cataloging::Cataloging;
#[cfg(all(feature = "catalog", feature = "cli"))]
pub(crate) use cataloging::{logged, routes_of};
pub(crate) use clients::connect;
pub use error::StartError;
pub use options::{EmbeddedSource, RunOptions};
pub(crate) use plugin_secrets::{PluginSecrets, are_kept};
pub use plugins::{plugin_bytes, read_plugin};
pub(crate) use preparation::{Part, PluginLoader, Preparation, event_streams};
pub use reloading::{BoxError, SetLogFilter};
pub(crate) use secrets::open_secrets;
pub use summary::{Collected, Summary, UnreadInput};
pub use watching::Reloader;
#[cfg(feature = "collector")]
pub(crate) use write_keys::check_kept_secrets;

pub use crate::source::Progress;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::source::{ReadReport, ReplayCompactor};
use crate::stop::StopTokens;
use collecting::Collecting;
use dead_letter_forwarder::DeadLetterForwarder;
use reloading::ReloadableParts;
#[cfg(feature = "collector")]
use standpipe_collector::Collector;
use standpipe_delivery::dead_letters::DeadLetterWriter;
use standpipe_delivery::{Delivery, FirehoseClient};
use standpipe_plugin_host::swap::Swapper;
use watching::ReloadInputs;

/// Where compiled plugins are kept in a data directory.
pub(crate) const CACHE: &str = "cache";

/// A run under way.
#[derive(Debug)]
pub struct Run {
    started: Instant,
    progress: Progress,
    stop: StopTokens,
    swapper: Swapper,
    reload_inputs: ReloadInputs,
    reloadable: ReloadableParts,
    addresses: Addresses,
    collecting: Option<Collecting>,
    /// Ends the answers about health, metrics and the plugin, which outlive the intake.
    admin_stop: CancellationToken,
    drain_timeout: Duration,
    delivery: Delivery,
    letters: Arc<DeadLetterWriter>,
    copier: Option<DeadLetterForwarder>,
    compactor: ReplayCompactor,
    #[cfg(feature = "catalog")]
    cataloging: Option<Cataloging>,
    reader: JoinHandle<ReadReport>,
    /// Makes chunks of what an embedder hands in, where there is one.
    submissions: Option<JoinHandle<()>>,
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

impl Run {
    /// Load the plugin, open the way to the streams, and start reading.
    ///
    /// # Errors
    ///
    /// Something of the settings does not work; nothing has been read.
    pub async fn start(settings: Settings, runtime: &Handle) -> Result<Self, StartError> {
        Self::start_embedded(settings, RunOptions::default(), runtime).await
    }

    /// The same with a port of the embedder's own; the settings' destination is
    /// not used.
    ///
    /// # Errors
    ///
    /// As for [`Run::start`].
    pub async fn start_with(
        settings: Settings,
        firehose_client: Arc<dyn FirehoseClient>,
        runtime: &Handle,
    ) -> Result<Self, StartError> {
        let options =
            RunOptions { firehose_client: Some(firehose_client), ..RunOptions::default() };
        Self::start_embedded(settings, options, runtime).await
    }

    /// Stops the run once it is cancelled: no more is taken in, and what was taken in goes
    /// on its way.
    pub fn intake_stop(&self) -> CancellationToken {
        self.stop.intake_stop.clone()
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
        let (swapper, reload_inputs) = (self.swapper.clone(), self.reload_inputs.clone());
        let reloadable = self.reloadable.clone();
        let reloader =
            Reloader::new(swapper, reload_inputs, reloadable, settings_file, Box::new(read));
        reloader.watch(&self.stop.intake_stop).await;
        reloader
    }

    /// Where the run listens, with the real firehose_clients.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// What answers SDKs, where the settings have sources.
    #[cfg(feature = "collector")]
    pub fn collector(&self) -> Option<Arc<Collector>> {
        self.collecting.as_ref().map(|collecting| Arc::clone(&collecting.collector))
    }

    /// What writes dead letters, which tells how that goes.
    pub fn letters(&self) -> Arc<DeadLetterWriter> {
        Arc::clone(&self.letters)
    }

    /// Something that tells how far the run has got.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

#[cfg(test)]
pub(crate) mod tests;
