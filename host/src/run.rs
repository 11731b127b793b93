//! A run: it is built from settings, started, and drained at its end.
//!
//! ```no_run
//! # use standpipe::{config::Settings, run::{RunOptions, Run, RunError}};
//! # async fn example(settings: Settings) -> Result<(), RunError> {
//! let run = Run::start(settings, RunOptions::default(), &tokio::runtime::Handle::current()).await?;
//! let summary = run.finish().await;
//! println!("{summary}");
//! # Ok(())
//! # }
//! ```
//!
//! This module does not read the arguments of the process, install a logger or end the process. The
//! command line is one of several embedding programs.

mod admin_token;
#[cfg(feature = "catalog")]
mod catalog_scheduler;
mod clients;
#[cfg(feature = "collector")]
mod collector;
#[cfg(not(feature = "collector"))]
#[path = "run/no_collector.rs"]
mod collector;
mod dead_letter_forwarder;
mod error;
#[cfg(feature = "queue")]
mod fleet;
#[cfg(not(feature = "queue"))]
#[path = "run/no_fleet.rs"]
mod fleet;
mod functions;
#[cfg(feature = "native-mapping")]
mod native_mapping;
mod network;
mod options;
mod parts;
mod patience;
mod plugin_files;
mod plugin_secrets;
mod plugins;
mod preparation;
#[cfg(feature = "queue")]
mod queue;
#[cfg(not(feature = "queue"))]
#[path = "run/no_queue.rs"]
mod queue;
mod reloadable;
mod reloader;
mod script_files;
mod secrets;
mod summary;
#[cfg(feature = "collector")]
mod write_keys;

#[cfg(feature = "catalog")]
pub(crate) use catalog_scheduler::CatalogScheduler;
#[cfg(all(feature = "catalog", feature = "cli"))]
pub(crate) use catalog_scheduler::{plugin_routes, run_with_log};
pub(crate) use clients::connect_aws;
pub use error::RunError;
pub use functions::SourceFunctionError;
pub use options::{EmbeddedSource, RunOptions};
#[cfg(all(feature = "cli", feature = "queue"))]
pub(crate) use plugin_files::read_candidate;
pub(crate) use plugin_secrets::{PluginSecrets, uses_stored_secrets};
pub(crate) use plugins::candidate;
pub(crate) use preparation::{PluginLoader, Preparation, PreparedPart, event_streams};
pub use reloadable::{BoxError, SetLogFilter};
pub use reloader::Reloader;
#[cfg(feature = "cli")]
pub(crate) use script_files::read_bundle;
pub(crate) use secrets::open_secrets;
pub use summary::{CollectorSummary, QueueSummary, Summary};
#[cfg(feature = "collector")]
pub(crate) use write_keys::check_stored_secrets;

pub use crate::source::{Progress, UnreadInput};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::source::{ReadReport, ReplayCompactor};
use collector::RunningCollector;
use fleet::RunningFleet;
use parts::{MappingParts, RunParts};
use queue::RunningQueue;
use reloadable::ReloadableParts;
#[cfg(feature = "collector")]
use standpipe_collector::Collector;
use standpipe_core::blocking;
use standpipe_delivery::Delivery;
use standpipe_delivery::dead_letters::DeadLetterWriter;
use standpipe_plugin_host::swap::Swapper;

/// The directory of compiled plugins in a data directory.
pub(crate) const CACHE: &str = "cache";

/// A run: events are read, mapped and delivered.
pub struct Run {
    started: Instant,
    progress: Progress,
    /// The parts, except for those that were moved into threads and tasks.
    pub(crate) parts: RunParts,
    reloadable: ReloadableParts,
    /// The addresses, with the ports that the system assigned.
    pub(crate) addresses: Addresses,
    collector: Option<RunningCollector>,
    queue: Option<RunningQueue>,
    fleet: Option<RunningFleet>,
    /// Stops the admin server, which responds until the run has ended.
    admin_stop: CancellationToken,
    compactor: ReplayCompactor,
    #[cfg(feature = "catalog")]
    catalog_scheduler: Option<CatalogScheduler>,
    reader: JoinHandle<ReadReport>,
    /// The threads of the spool reader and of an embedding program's events.
    feeders: Vec<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
}

/// The addresses that a run listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Addresses {
    /// The address for SDKs.
    pub collector: Option<SocketAddr>,
    /// Whether SDKs must use TLS.
    pub is_encrypted: bool,
    /// The address for health checks, metrics and plugin swaps.
    pub admin: Option<SocketAddr>,
}

impl Run {
    /// Starts a run: loads the plugin, connects to the delivery streams, and reads events.
    ///
    /// # Errors
    ///
    /// Fails if a setting does not work. No event has been read then.
    pub async fn start(
        settings: Settings,
        options: RunOptions,
        runtime: &Handle,
    ) -> Result<Self, RunError> {
        let parts = RunParts::open(settings, options, runtime).await?;
        parts.launch(runtime).map_err(RunError::Thread)
    }

    /// Returns the token that stops the run: it reads no more events, and delivers those that it
    /// has read.
    pub fn intake_stop(&self) -> CancellationToken {
        self.parts.stop.intake_stop.clone()
    }

    /// Returns what swaps the run's plugin. None if the run publishes events to a queue, and maps none.
    pub fn swapper(&self) -> Option<Swapper> {
        self.parts.mapping.as_ref().map(|mapping| mapping.swapper.clone())
    }

    /// Reloads the plugin whenever its file or the settings change, during the whole run. Sources,
    /// settings of streams, the certificate and the log filter are updated, too. The log names
    /// other keys that have changed. `read` reads the settings again.
    ///
    /// The returned [`Reloader`] reloads once for each call.
    pub async fn watch(
        &self,
        settings_file: Option<PathBuf>,
        read: impl Fn() -> Result<Settings, BoxError> + Send + Sync + 'static,
    ) -> Reloader {
        let reloader = Reloader::new(self, settings_file, Box::new(read));
        reloader.watch(&self.parts.stop.intake_stop).await;
        reloader
    }

    /// Returns the collector, if the settings have sources.
    #[cfg(feature = "collector")]
    pub fn collector(&self) -> Option<Arc<Collector>> {
        self.collector.as_ref().map(|collector| Arc::clone(&collector.collector))
    }

    /// Returns the counts of events so far.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Waits until every event that was read is settled. A run with a collector continues until it
    /// is stopped.
    ///
    /// Sources, workers, delivery, dead letters and their copies end in this order. After a stop,
    /// delivery may take `drain_timeout`. The remaining events then count as undelivered, and so do
    /// events whose dead letters are not written by then. Even without a stop, copies of dead
    /// letters may take this time after the events.
    pub async fn finish(self) -> Summary {
        let Run { reader, feeders, workers, .. } = self;
        let RunParts { settings, mapping, forwarder, stop, dead_letters, .. } = self.parts;
        let (delivery, swapper) = match mapping {
            Some(MappingParts { delivery, swapper, .. }) => (Some(delivery), Some(swapper)),
            None => (None, None),
        };
        let mut queue = self.queue;
        let mut fleet = self.fleet;
        let threads = blocking::run(move || join_threads(reader, feeders, workers));
        let written = Arc::clone(&dead_letters);
        let drained = async {
            let report = threads.await;
            if let Some(queue) = &queue {
                queue.drain().await;
            }
            if let Some(delivery) = &delivery {
                delivery.drain().await;
            }
            blocking::run(move || written.finish()).await;
            // Now all events are settled.
            if let Some(queue) = &mut queue {
                queue.finish().await;
            }
            // Not before: until then, events are mapped by the rules of the fleet.
            if let Some(fleet) = &mut fleet {
                fleet.leave().await;
            }
            match forwarder {
                Some(forwarder) => (report, forwarder.finish(settings.drain_timeout).await),
                None => (report, BTreeMap::new()),
            }
        };
        let overdue = async {
            stop.intake_stop.cancelled().await;
            tokio::time::sleep(settings.drain_timeout).await;
            stop.delivery_abort.cancel();
            dead_letters.stop_waiting();
            std::future::pending::<()>().await;
        };
        let ((read, fault), copies) = tokio::select! {
            report = drained => report,
            () = overdue => unreachable!("it never ends"),
        };
        let closed = Arc::clone(&dead_letters);
        let not_closed = blocking::run(move || close_dead_letters(&closed, self.compactor)).await;
        self.admin_stop.cancel();
        #[cfg(feature = "catalog")]
        if let Some(catalog_scheduler) = self.catalog_scheduler {
            catalog_scheduler.finish().await;
        }
        let shadow = blocking::run(move || swapper?.end_shadow().ok()).await;
        let collected = self.collector.as_ref().map(RunningCollector::summary);
        let totals = self.progress.totals();
        let streams = delivery.as_ref().map(Delivery::report).unwrap_or_default();
        let dead = dead_letters.report();
        let summary = Summary::new(self.started.elapsed(), totals, streams, copies, dead, read);
        let early = stop.early_end_reason().map(str::to_owned);
        let faults = summary.faults.into_iter().chain(early.or(fault).or(not_closed)).collect();
        let queue = queue.as_ref().map(RunningQueue::summary);
        Summary { collected, queue, shadow, faults, ..summary }
    }
}

/// Returns the reader's report, and an error if a thread panicked.
fn join_threads(
    reader: JoinHandle<ReadReport>,
    feeders: Vec<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
) -> (ReadReport, Option<String>) {
    let fed = feeders.into_iter().map(JoinHandle::join).filter(Result::is_err).count();
    let failed = workers.into_iter().map(JoinHandle::join).filter(Result::is_err).count();
    let fault =
        (failed > 0).then(|| format!("{failed} worker threads failed: this is a bug of the host"));
    match (reader.join(), fed) {
        (Ok(report), 0) => (report, fault),
        _ => {
            (ReadReport::default(), Some("the reader failed: this is a bug of the host".to_owned()))
        }
    }
}

/// Removes replayed dead letters from their files, and syncs new ones to the disk. Returns an
/// error for the summary.
fn close_dead_letters(
    dead_letters: &DeadLetterWriter,
    compactor: ReplayCompactor,
) -> Option<String> {
    let kept = compactor.finish();
    let not_synced = dead_letters.sync().err().map(|error| format!("sync dead letters: {error}"));
    kept.or(not_synced)
}

#[cfg(test)]
pub(crate) mod tests;
