//! `host dead replay`: a run whose inputs are the selected dead letters. Events of unknown sources
//! are skipped by default.

use clap::Args;

use super::{FilterArguments, LocationArguments, fault, lock_directory};
use crate::cli::run::{LogFormat, Options, SettingsOptions, run_with_options, start_logging};
use crate::cli::{CommandResult, complain};
use crate::source::{Input, Replay};
use standpipe_core::event::UnknownSources;
use standpipe_delivery::dead_letters::DeadLetterFile;

#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    filter: FilterArguments,
    /// Replay also dead letters whose source is not in [[sources]], with the
    /// default role. By default they are skipped if the settings have [[sources]].
    #[arg(long)]
    allow_unknown_sources: bool,
}

pub(super) fn run(arguments: ReplayArguments) -> CommandResult {
    let ReplayArguments { options, filter, allow_unknown_sources } = arguments;
    let SettingsOptions { data_dir, config, .. } = options.settings.clone();
    let location = LocationArguments { data_dir, config };
    let locked = lock_directory(&location.open_directory()?).map_err(fault)?;
    let (_lock, files) = locked.unzip();
    let files = files.unwrap_or_default();
    if files.is_empty() {
        complain("no dead letters to replay");
    }
    let filter = filter.to_filter();
    let unknown = match allow_unknown_sources {
        true => UnknownSources::Take,
        false => UnknownSources::Hold,
    };
    let set_log_filter = start_logging(LogFormat::Human);
    let overrides = options.overrides();
    run_with_options(options, overrides, set_log_filter, |settings| {
        settings.collect = None;
        let sources = settings.source_names.clone().with_unknown(unknown);
        let replay = |file: DeadLetterFile| {
            let (path, filter, sources) = (file.path, filter.clone(), sources.clone());
            Input::Letters(Replay { path, filter, sources })
        };
        settings.inputs = files.into_iter().map(replay).collect();
    })
}
