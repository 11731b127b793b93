//! Runs the catalog on its schedule, on a separate thread with a low priority, so that it does not
//! slow down events.

mod log;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use standpipe_catalog::discovery::ReportProgress;
use standpipe_catalog::schedule::{
    ActiveRun, RunCounts, RunResult, RunStatus, RunStore, RunStoreError, ScheduleEnd,
    run_on_schedule,
};
use standpipe_catalog::{CatalogSettings, CatalogSync, EventRoute, SyncReport};
use standpipe_core::clock;
use standpipe_plugin_host::{self as plugin, Fault, Plugin, PublishedRoles};

/// How much longer than the grace period of a run the program waits for the catalog's thread.
const CATALOG_STOP_MARGIN: Duration = Duration::from_secs(2);

/// The priority of the thread, as for `nice`.
const NICENESS: i32 = 10;

/// Returns the routes of the active plugin.
pub(crate) type Routes = Box<dyn Fn() -> Vec<EventRoute> + Send>;

/// Scheduled runs of the catalog.
#[derive(Debug)]
pub(crate) struct CatalogScheduler {
    stop: CancellationToken,
    ended: oneshot::Receiver<Result<ScheduleEnd, RunStoreError>>,
}

impl CatalogScheduler {
    /// Starts the schedule. Each run uses the current routes. After `stop`, no run starts, and a
    /// run in progress has [`standpipe_catalog::limits::CATALOG_STOP_GRACE`].
    pub(crate) fn start(
        settings: CatalogSettings,
        routes: Routes,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let asked = stop.clone();
        let (ended, has_ended) = oneshot::channel();
        let work = move || {
            // This may fail without harm.
            let _ = rustix::process::setpriority_process(None, NICENESS);
            let kept = runtime.block_on(run_schedule(&settings, &routes, asked.cancelled()));
            if let Err(error) = &kept {
                tracing::error!("the catalog's schedule ended: {error}");
            }
            runtime.shutdown_background();
            let _ = ended.send(kept);
        };
        thread::Builder::new().name("catalog".to_owned()).spawn(work)?;
        Ok(CatalogScheduler { stop, ended: has_ended })
    }

    /// Stops the schedule, and waits for its end, but not for a run that hangs.
    pub(crate) async fn finish(self) {
        self.stop.cancel();
        let grace = standpipe_catalog::limits::CATALOG_STOP_GRACE + CATALOG_STOP_MARGIN;
        if tokio::time::timeout(grace, self.ended).await.is_err() {
            tracing::warn!("a catalog run did not stop in time and is abandoned");
        }
    }

    /// Waits until the schedule is over or stopped. Returns `None` if the thread panicked.
    pub(crate) async fn wait(self) -> Option<Result<ScheduleEnd, RunStoreError>> {
        self.ended.await.ok()
    }
}

/// Returns a plugin's routes in the catalog's form.
pub(crate) fn plugin_routes(plugin: &Plugin) -> Result<Vec<EventRoute>, Fault> {
    let own = |route: plugin::PluginRoute| EventRoute {
        message_type: route.message_type,
        name: route.name,
        condition: route.condition,
        stream: route.stream,
    };
    Ok(plugin.routes()?.into_iter().map(own).collect())
}

/// Returns the current routes of the active plugin on each call. Empty if the plugin fails.
pub(super) fn active_routes(roles: Arc<PublishedRoles>) -> Routes {
    Box::new(move || {
        let routes = plugin_routes(roles.load().active.plugin());
        routes.unwrap_or_else(|fault| {
            tracing::warn!("the plugin failed to return its routes; the graph has none: {fault}");
            Vec::new()
        })
    })
}

async fn run_schedule(
    settings: &CatalogSettings,
    routes: &Routes,
    stop: impl Future<Output = ()>,
) -> Result<ScheduleEnd, RunStoreError> {
    let history = RunStore::of_data_dir(&settings.data_dir);
    let run = async |claim: &ActiveRun| {
        run_with_log(claim, settings, &routes(), CatalogSync::default(), &|_| ()).await.run_result()
    };
    run_on_schedule(settings.schedule.clone(), &history, clock::now, stop, run).await
}

/// Runs the catalog once, and keeps the run's log next to the history.
pub(crate) async fn run_with_log(
    run: &ActiveRun,
    settings: &CatalogSettings,
    routes: &[EventRoute],
    sync: CatalogSync,
    progress: ReportProgress<'_>,
) -> SyncReport {
    let _log = match log::log_to_file(&run.log_path(), settings.log_level) {
        Ok(log) => Some(log),
        Err(error) => {
            tracing::warn!(
                "failed to write the log of this run, {}: {error}",
                run.log_path().display()
            );
            None
        }
    };
    tracing::info!(run = run.id(), "catalog run started");
    let report = sync.run(settings, routes, progress).await;
    for line in report.to_text().lines() {
        tracing::debug!("{line}");
    }
    log_outcome(&report.run_result());
    report
}

fn log_outcome(outcome: &RunResult) {
    let RunResult { fate, tally: RunCounts { counts, failures, .. } } = outcome;
    let counts: Vec<_> = counts.iter().map(|(key, count)| format!("{key} {count}")).collect();
    let counts = counts.join(", ");
    match fate {
        RunStatus::Done => tracing::info!("catalog run done: {counts}"),
        _ => tracing::error!("catalog run failed: {}: {counts}", failures.join("; ")),
    }
}
