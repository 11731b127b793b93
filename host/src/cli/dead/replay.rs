//! `host dead replay`: a run whose inputs are the selected dead letters. Events of unknown sources
//! are left unless the user says otherwise.

use clap::Args;

use super::{Choice, Place, fault, lock};
use crate::cli::run::{LogFormat, Options, SettingsOptions, execute, start_logging};
use crate::cli::{CommandResult, complain};
use crate::source::{Input, Replay};
use standpipe_core::event::UnknownSources;
use standpipe_delivery::dead_letters::DeadLetterFile;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    choice: Choice,
    /// Replay also dead letters whose source is not in [[sources]], with the
    /// default role. By default they are skipped if the settings have [[sources]].
    #[arg(long)]
    allow_unknown_sources: bool,
}

pub(super) fn run(arguments: Arguments) -> CommandResult {
    let Arguments { options, choice, allow_unknown_sources } = arguments;
    let SettingsOptions { data_dir, config, .. } = options.settings.clone();
    let place = Place { data_dir, config };
    let locked = lock(&place.folder()?).map_err(fault)?;
    let (_lock, files) = locked.unzip();
    let files = files.unwrap_or_default();
    if files.is_empty() {
        complain("no dead letters to replay");
    }
    let filter = choice.filter();
    let unknown = match allow_unknown_sources {
        true => UnknownSources::Take,
        false => UnknownSources::Hold,
    };
    let set_log_filter = start_logging(LogFormat::Human);
    let overrides = options.overrides();
    execute(options, overrides, set_log_filter, |settings| {
        settings.collect = None;
        let sources = settings.source_names.clone().with_unknown(unknown);
        let replay = |file: DeadLetterFile| {
            let (path, filter, sources) = (file.path, filter.clone(), sources.clone());
            Input::Letters(Replay { path, filter, sources })
        };
        settings.inputs = files.into_iter().map(replay).collect();
    })
}
