//! `host catalog check`: tests each permission that the catalog needs, and writes nothing.

use clap::Args;
use serde::Serialize;

use super::{CatalogArgs, LogFormat, OutputArgs, block_on, fault, start_logging, usage};
use crate::cli::{CommandResult, Exit};
use standpipe_catalog::discovery::InventoryReader;
use standpipe_catalog::probe::{Probe, ProbeOutcome, probe_reading};
use standpipe_catalog::{CatalogSettings, open_openmetadata, open_secrets};
use standpipe_core::text_table::align_columns;

#[derive(Debug, Args)]
pub(crate) struct CatalogCheckArguments {
    #[command(flatten)]
    given: CatalogArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Serialize)]
struct Checked {
    is_good: bool,
    probes: Vec<Probe>,
}

pub(super) fn run(arguments: &CatalogCheckArguments) -> CommandResult {
    start_logging(LogFormat::Human);
    let settings = arguments.given.settings().map_err(usage)?;
    let probes = block_on(run_probes(&settings))?.map_err(fault)?;
    let is_good = !probes.iter().any(|probe| probe.is_mandatory && probe.is_missing());
    let checked = Checked { is_good, probes };
    arguments.output.print(&checked, || for_people(&checked.probes))?;
    Ok(if is_good { Exit::Done } else { Exit::Fault })
}

async fn run_probes(settings: &CatalogSettings) -> anyhow::Result<Vec<Probe>> {
    let secrets = open_secrets(settings).await?;
    let mut probes = match InventoryReader::open(settings.discovery.clone(), &secrets).await {
        Ok(reader) => probe_reading(&reader).await,
        Err(error) => {
            let message = error.to_string();
            vec![
                Probe::new("credentials", "everything", ProbeOutcome::Failed { message })
                    .mandatory(),
            ]
        }
    };
    if let Some(server) = open_openmetadata(settings, &*secrets).await? {
        probes.extend(server.run_probes().await);
    }
    Ok(probes)
}

fn for_people(probes: &[Probe]) -> String {
    let row = |probe: &Probe| {
        let (word, more) = match &probe.outcome {
            ProbeOutcome::Granted => ("granted", String::new()),
            ProbeOutcome::Denied { message } => ("denied", message.clone()),
            ProbeOutcome::Untried { why } => ("untried", why.clone()),
            ProbeOutcome::Failed { message } => ("failed", message.clone()),
        };
        let need = if probe.is_mandatory { "needed for" } else { "useful for" };
        let more = if more.is_empty() { more } else { format!(": {more}") };
        [word.to_owned(), probe.action.clone(), format!("{need} {}{more}", probe.needed_for)]
    };
    align_columns(&probes.iter().map(row).collect::<Vec<_>>())
}
