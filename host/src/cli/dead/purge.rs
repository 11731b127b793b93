//! `host dead purge`: deletes the dead letters that a filter selects. Keeps unreadable lines, and
//! files to which a running host writes.

use anyhow::{Context, anyhow};
use clap::Args;

use super::{SelectionArguments, fault, lock_directory};
use crate::cli::{CommandResult, print_text, usage};
use standpipe_delivery::dead_letters::{
    DeadLetterDirectory, DeadLetterFile, DeadLetterFilter, DeadLetterReader, remove_dead_letters,
};

#[derive(Debug, Args)]
pub(crate) struct PurgeArguments {
    #[command(flatten)]
    selection: SelectionArguments,
    /// Delete all dead letters; required without a filter.
    #[arg(long)]
    all: bool,
}

pub(super) fn run(arguments: &PurgeArguments) -> CommandResult {
    let filter = arguments.selection.filter.to_filter();
    if filter.is_empty() && !arguments.all {
        return Err(usage(anyhow!(
            "no filter is set: set --reason, --stream, --source, --since or --until, or --all"
        )));
    }
    let folder = arguments.selection.location.open_directory()?;
    let purged = purge_files(&folder, &filter).map_err(fault)?;
    print_text(&format!("Deleted {purged} dead letters.\n"))
}

fn purge_files(folder: &DeadLetterDirectory, filter: &DeadLetterFilter) -> anyhow::Result<u64> {
    let Some((_lock, files)) = lock_directory(folder)? else { return Ok(0) };
    let mut purged = 0;
    for file in files {
        let done = purge_file(&file, filter);
        purged += done
            .with_context(|| format!("{}, after {purged} dead letters", file.path.display()))
            .context("delete dead letters of")?;
    }
    Ok(purged)
}

fn purge_file(file: &DeadLetterFile, filter: &DeadLetterFilter) -> anyhow::Result<u64> {
    let (mut ranges, mut dead_letters) = (Vec::new(), 0);
    for entry in DeadLetterReader::open(&file.path)? {
        let entry = entry?;
        if entry.dead_letter.is_ok_and(|dead_letter| filter.matches(&dead_letter)) {
            dead_letters += 1;
            ranges.push(entry.bytes);
        }
    }
    if dead_letters > 0 {
        remove_dead_letters(&file.path, ranges)?;
    }
    Ok(dead_letters)
}
