//! `host fleet`: shows a fleet of mappers, and changes its rules: push, rollback, canary. The settings file names the
//! servers of NATS and the buckets.

mod change;
mod report;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};

use super::config::{check_settings, read_settings};
use super::run::{LogFormat, start_logging};
use super::{CommandResult, Exit, fault, print_report, start_runtime, usage};
use crate::config::Overrides;
use crate::run::open_secrets;
use change::ChangeArguments;
use report::{pushed_text, status_text, to_json};
use standpipe_queue::fleet::{FleetChangeOutcome, FleetControl, FleetError, connect_fleet};

/// How long hosts may take to prepare a plugin, unless the command says otherwise. Large plugins take some seconds to
/// compile.
const TIMEOUT: &str = "60s";

const FLEET_HELP: &str = "Exit codes:
  0  all hosts that are alive have loaded the active rules
  1  nothing has changed, hosts are late, or an error left open whether the rules were written
  2  wrong usage or settings";

const PUSH_HELP: &str = "Each host that is alive takes the plugin through all steps of a swap: pin and signature, compilation, \
settings, samples, and the cases of its settings. If one host rejects the plugin, nothing changes on any host. Otherwise all \
hosts change to it at once. A push ends a canary. Without --plugin, the built-in plugin is pushed; without --settings, each host keeps the \
settings of its own settings file.";

const ROLLBACK_HELP: &str = "Hosts keep the previous plugin with its instances, so that they return to it at once. The rollback is a new \
generation; it cannot be repeated to go back further.";

const CANARY_HELP: &str = "The plugin maps all events of the named hosts, and the other hosts keep theirs. Only the named hosts have to accept it. \
Push the plugin to have all hosts use it, or end the canary.";

#[derive(Debug, Subcommand)]
#[command(after_help = FLEET_HELP)]
pub(super) enum FleetCommand {
    /// Show all hosts of the fleet, and the active rules.
    Status(FleetStatusArguments),
    /// Change the plugin of all hosts at once.
    #[command(after_help = PUSH_HELP)]
    Push(PushArguments),
    /// Return all hosts to the plugin before the last push.
    #[command(after_help = ROLLBACK_HELP)]
    Rollback(FleetArguments),
    /// Use another plugin on a few hosts, or end that.
    #[command(after_help = CANARY_HELP)]
    Canary(CanaryArguments),
}

// The fleet that a command is about.
#[derive(Debug, Args)]
pub(super) struct FleetArguments {
    /// Settings file with [queue] and [fleet], such as that of a mapper.
    #[arg(long, value_name = "FILE.toml")]
    config: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct FleetStatusArguments {
    #[command(flatten)]
    fleet: FleetArguments,
}

#[derive(Debug, Args)]
pub(super) struct PushArguments {
    #[command(flatten)]
    fleet: FleetArguments,
    #[command(flatten)]
    change: ChangeArguments,
}

#[derive(Debug, Args)]
pub(super) struct CanaryArguments {
    #[command(flatten)]
    fleet: FleetArguments,
    /// Use the plugin on this host; can be repeated.
    #[arg(long = "host", value_name = "NAME", required_unless_present = "end")]
    hosts: Vec<String>,
    #[command(flatten)]
    change: ChangeArguments,
    /// End the canary: its hosts return to the plugin of the others.
    #[arg(long, conflicts_with_all = ["hosts", "plugin", "settings", "timeout"])]
    end: bool,
}

pub(super) fn run(command: FleetCommand) -> CommandResult {
    let set_log_filter = start_logging(LogFormat::Human);
    // The user of a command does not need to know that a connection was made.
    set_log_filter(Some("warn")).map_err(|error| fault(anyhow!(error)))?;
    match command {
        FleetCommand::Status(arguments) => show_status(&arguments.fleet),
        FleetCommand::Push(PushArguments { fleet, change }) => push_rules(&fleet, &change, None),
        FleetCommand::Rollback(fleet) => {
            change_fleet(&fleet, async |control| control.roll_back().await)
        }
        FleetCommand::Canary(CanaryArguments { fleet, end: true, .. }) => {
            change_fleet(&fleet, async |control| control.end_canary().await)
        }
        FleetCommand::Canary(CanaryArguments { fleet, mut hosts, change, .. }) => {
            hosts.sort();
            hosts.dedup();
            push_rules(&fleet, &change, Some(hosts))
        }
    }
}

fn show_status(fleet: &FleetArguments) -> CommandResult {
    let runtime = start_runtime()?;
    let report = runtime.block_on(async {
        let control = connect_to_fleet(fleet).await?;
        control.status().await.map_err(fault)
    })?;
    print_report(fleet.json, || to_json(&report), || status_text(&report))
}

fn push_rules(
    fleet: &FleetArguments,
    change: &ChangeArguments,
    canary: Option<Vec<String>>,
) -> CommandResult {
    let change = change.read(canary).map_err(usage)?;
    change_fleet(fleet, async |control| control.push(change).await)
}

/// Changes the fleet, and prints which hosts have loaded the rules.
fn change_fleet(
    fleet: &FleetArguments,
    change: impl AsyncFnOnce(FleetControl) -> Result<FleetChangeOutcome, FleetError>,
) -> CommandResult {
    let runtime = start_runtime()?;
    let pushed = runtime.block_on(async {
        let control = connect_to_fleet(fleet).await?;
        change(control).await.map_err(fault)
    })?;
    print_report(fleet.json, || to_json(&pushed), || pushed_text(&pushed))?;
    Ok(if pushed.late_hosts.is_empty() { Exit::Done } else { Exit::Fault })
}

async fn connect_to_fleet(fleet: &FleetArguments) -> Result<FleetControl, (Exit, anyhow::Error)> {
    let file = Some(fleet.config.as_path());
    let (raw, directory) = read_settings(file).map_err(usage)?;
    let settings = check_settings(raw, &directory, file, Overrides::default()).map_err(usage)?;
    let fleet = settings.fleet.with_context(|| {
        format!(
            "{} has no [fleet]: add the table, as in the settings of the mappers",
            fleet.config.display()
        )
    });
    let fleet = fleet.map_err(usage)?;
    let secrets = open_secrets(settings.secrets.as_ref()).await.map_err(fault)?;
    let store = connect_fleet(&fleet, &*secrets).await.map_err(fault)?;
    Ok(FleetControl::new(Arc::clone(&store)))
}

fn parse_timeout(text: &str) -> anyhow::Result<Duration> {
    humantime::parse_duration(text).map_err(|error| anyhow!("{error}: write for example 60s"))
}
