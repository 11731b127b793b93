//! The catalog's runs by their schedule, on a thread of their own: what is done there
//! takes turns with nothing of the way of events, and gets less of the processors.

mod log;

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use standpipe_catalog::discovery::ReportProgress;
use standpipe_catalog::schedule::{
    ActiveRun, RunCounts, RunResult, RunStatus, RunStore, RunStoreError, ScheduleEnd,
    run_on_schedule,
};
use standpipe_catalog::{CatalogSettings, CatalogSync, EventRoute, SyncReport};
use standpipe_core::clock;
use standpipe_plugin_host::{self as plugin, Fault, Plugin, PublishedRoles};

/// How much longer the program waits for the thread of the catalog to end.
const CATALOG_STOP_MARGIN: Duration = Duration::from_secs(2);

/// How much less than others the thread gets: as of `nice`.
const NICENESS: i32 = 10;
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Tells what the plugin sends where at present.
pub(crate) type Routes = Box<dyn Fn() -> Vec<EventRoute> + Send>;

/// Runs of the catalog that come by themselves.
#[derive(Debug)]
pub(crate) struct Cataloging {
    stop: CancellationToken,
    thread: JoinHandle<Result<ScheduleEnd, RunStoreError>>,
}

impl Cataloging {
    /// Begin. Each run draws the routes that there are then; from `stop` on none begins any more, and one
    /// that is under way is given a while.
    pub(crate) fn start(
        settings: CatalogSettings,
        routes: Routes,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let asked = stop.clone();
        let work = move || {
            // It is a kindness: where it is not granted, it goes without.
            let _ = rustix::process::setpriority_process(None, NICENESS);
            let kept = runtime.block_on(keep_up(&settings, &routes, asked.cancelled()));
            if let Err(error) = &kept {
                tracing::error!("the catalog failed: {error}");
            }
            runtime.shutdown_background();
            kept
        };
        let thread = thread::Builder::new().name("catalog".to_owned()).spawn(work)?;
        Ok(Cataloging { stop, thread })
    }

    /// Stop, and wait for the end, which comes within [`standpipe_catalog::limits::CATALOG_STOP_GRACE`].
    /// What hangs beyond that is left behind.
    #[expect(clippy::disallowed_methods, reason = "a thread cannot be joined with a deadline")]
    pub(crate) fn finish(self) {
        self.stop.cancel();
        let looks = (standpipe_catalog::limits::CATALOG_STOP_GRACE + CATALOG_STOP_MARGIN)
            .as_millis()
            / LOOK_INTERVAL.as_millis();
        for _ in 0..looks {
            if self.thread.is_finished() {
                return;
            }
            thread::sleep(LOOK_INTERVAL);
        }
        tracing::warn!("a catalog run does not end; leaving it behind");
    }

    /// Wait until the schedule is over or somebody has stopped it.
    pub(crate) fn wait(self) -> Option<Result<ScheduleEnd, RunStoreError>> {
        self.thread.join().ok()
    }
}

/// What a plugin says that it sends where.
pub(crate) fn routes_of(plugin: &Plugin) -> Result<Vec<EventRoute>, Fault> {
    let own = |route: plugin::Route| EventRoute {
        message_type: route.message_type,
        name: route.name,
        condition: route.condition,
        stream: route.stream,
    };
    Ok(plugin.routes()?.into_iter().map(own).collect())
}

/// The same of the plugin in use. One that fails at it sends events all the same.
pub(super) fn routes_in_use(roles: Arc<PublishedRoles>) -> Routes {
    Box::new(move || {
        let routes = routes_of(roles.load().active.plugin());
        routes.unwrap_or_else(|fault| {
            tracing::warn!("failed to get the plugin's routes; the lineage has none: {fault}");
            Vec::new()
        })
    })
}

async fn keep_up(
    settings: &CatalogSettings,
    routes: &Routes,
    stop: impl Future<Output = ()>,
) -> Result<ScheduleEnd, RunStoreError> {
    let history = RunStore::of_data_dir(&settings.data_dir);
    let run = async |claim: &ActiveRun| {
        logged(claim, settings, &routes(), CatalogSync::default(), &|_| ()).await.run_result()
    };
    run_on_schedule(settings.schedule.clone(), &history, clock::now, stop, run).await
}

/// A round whose log is kept with the history. A log that cannot be written holds up
/// nothing.
pub(crate) async fn logged(
    claim: &ActiveRun,
    settings: &CatalogSettings,
    routes: &[EventRoute],
    round: CatalogSync,
    progress: ReportProgress<'_>,
) -> SyncReport {
    let _log = match log::run_on_schedule(&claim.log_path(), settings.log_level) {
        Ok(log) => Some(log),
        Err(error) => {
            tracing::warn!(
                "failed to write the log of this run, {}: {error}",
                claim.log_path().display()
            );
            None
        }
    };
    tracing::info!(run = claim.id(), "catalog run started");
    let told = round.run(settings, routes, progress).await;
    for line in told.to_text().lines() {
        tracing::debug!("{line}");
    }
    tell(&told.run_result());
    told
}

fn tell(outcome: &RunResult) {
    let RunResult { fate, tally: RunCounts { counts, failures, .. } } = outcome;
    let counts: Vec<_> = counts.iter().map(|(key, count)| format!("{key} {count}")).collect();
    let counts = counts.join(", ");
    match fate {
        RunStatus::Done => tracing::info!("catalog run done: {counts}"),
        _ => tracing::error!("catalog run failed: {}: {counts}", failures.join("; ")),
    }
}
