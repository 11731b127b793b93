use clap::Args;

use super::{Choice, Place, fault, lock};
use crate::cli::run::{Intakes, LogFormat, Options, execute, start_logging};
use crate::cli::{CommandResult, complain};
use crate::dead::LetterFile;
use crate::source::{Input, Replay};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    choice: Choice,
}

pub(super) fn run(arguments: Arguments) -> CommandResult {
    let Arguments { options, choice } = arguments;
    let place = Place { data_dir: options.data_dir.clone(), config: options.config.clone() };
    let locked = lock(&place.folder()?).map_err(fault)?;
    let (_lock, files) = locked.unzip();
    let files = files.unwrap_or_default();
    if files.is_empty() {
        complain("there are no letters to replay");
    }
    let filter = choice.filter();
    let replay =
        |file: LetterFile| Input::Letters(Replay { path: file.path, filter: filter.clone() });
    start_logging(LogFormat::Human);
    execute(options, Intakes::default(), |settings| {
        settings.collect = None;
        settings.inputs = files.into_iter().map(replay).collect();
    })
}
