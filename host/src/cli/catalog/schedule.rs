//! `host catalog schedule`: runs the catalog on its schedule until a signal stops it.

use anyhow::{Context, anyhow};
use clap::Args;
use tokio_util::sync::CancellationToken;
use tracing::Level;

use super::{CatalogArgs, block_on, fault, usage};
use crate::cli::run::{LogFormat, start_logging};
use crate::cli::signals::Signals;
use crate::cli::{CommandResult, Exit, abandon, complain, complain_at_once};
use crate::run::CatalogScheduler;
use standpipe_catalog::schedule::ScheduleEnd;

#[derive(Debug, Args)]
pub(crate) struct ScheduleArguments {
    #[command(flatten)]
    given: CatalogArgs,
    /// Log everything to the logs of the runs.
    #[arg(long)]
    debug: bool,
    /// The format of log lines on standard error.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    log_format: LogFormat,
}

pub(super) fn run(arguments: &ScheduleArguments) -> CommandResult {
    start_logging(arguments.log_format);
    let mut settings = arguments.given.settings().map_err(usage)?;
    if settings.schedule.is_manual() {
        return Err(usage(anyhow!(
            "no schedule: set `schedule` under [catalog], for example \"daily\", or use `host catalog ingest`"
        )));
    }
    if arguments.debug {
        settings.log_level = Level::DEBUG;
    }
    let routes = arguments.given.routes().map_err(usage)?;
    let stop = CancellationToken::new();
    let scheduler =
        CatalogScheduler::start(settings, Box::new(move || routes.clone()), stop.clone());
    let scheduler = scheduler.context("failed to start a thread").map_err(fault)?;
    let kept = block_on(async {
        let mut signals = Signals::listen().context("listen for signals")?;
        let twice = async {
            signals.stop().await;
            stop.cancel();
            complain_at_once(
                "stopping: a run in progress has 20 seconds to end; send the signal again to stop immediately",
            );
            signals.stop().await;
            complain_at_once("stopped immediately");
            abandon(Exit::Fault)
        };
        anyhow::Ok(tokio::select! {
            kept = scheduler.wait() => kept,
            never = twice => never,
        })
    })?;
    match kept.map_err(fault)? {
        Some(Ok(ScheduleEnd::Over)) => {
            complain("the schedule has ended: no more runs are due");
            Ok(Exit::Done)
        }
        Some(Ok(ScheduleEnd::Stopped)) => Ok(Exit::Done),
        Some(Err(error)) => Err(fault(error)),
        None => Err(fault(anyhow!("the catalog's thread failed: this is a bug of the host"))),
    }
}
