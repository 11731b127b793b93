//! `host dead`: its subcommands, their common filters, and the lock that subcommands take before
//! they change files. An impossible reason or stream name is an error.

mod list;
mod purge;
mod replay;
mod show;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};
use time::OffsetDateTime;

use super::config::read_settings;
use super::{CommandResult, Exit, complain, fault, usage};
use crate::config::nearest_key;
use standpipe_core::clock;
use standpipe_core::event::{InvalidStreamName, StreamName};
use standpipe_delivery::dead_letters::{
    DeadLetterDirectory, DeadLetterDirectoryLock, DeadLetterFile, DeadLetterFilter, Reason,
};

const LIST_HELP: &str = "Dead letters are in DATA_DIR/dead. A dead letter is counted if it passes all given \
filters. Unreadable lines are reported on standard error.";

const SHOW_HELP: &str =
    "Dead letters are printed oldest first, without their events unless --events is given.";

const REPLAY_HELP: &str = "The active plugin decides where an event goes, also where it was delivered before: delivery \
is at least once. An event that is dead again gets a new dead letter, with its history; one that is not delivered keeps its \
dead letter. Dead letters with only the start of an event, and files that a running host writes to, are skipped. The exit \
codes are those of `host run`.";

const PURGE_HELP: &str =
    "Unreadable lines, and files that a running host writes to, are never changed.";

#[derive(Debug, Subcommand)]
pub(super) enum DeadLetterCommand {
    /// Count dead letters by reason and delivery stream.
    #[command(after_help = LIST_HELP)]
    List(list::ListDeadLettersArguments),
    /// Print dead letters one after the other.
    #[command(after_help = SHOW_HELP)]
    Show(show::ShowDeadLettersArguments),
    /// Send the events of dead letters through the plugin again.
    #[command(after_help = REPLAY_HELP)]
    Replay(replay::ReplayArguments),
    /// Delete dead letters.
    #[command(after_help = PURGE_HELP)]
    Purge(purge::PurgeArguments),
}

pub(super) fn run(command: DeadLetterCommand) -> CommandResult {
    match command {
        DeadLetterCommand::List(arguments) => list::run(&arguments),
        DeadLetterCommand::Show(arguments) => show::run(&arguments),
        DeadLetterCommand::Replay(arguments) => replay::run(arguments),
        DeadLetterCommand::Purge(arguments) => purge::run(&arguments),
    }
}

// No comment for the help: it would take the place of the subcommand's own.
#[derive(Debug, Args)]
struct LocationArguments {
    /// The data directory of the dead letters [default: that of --config, or
    /// else standpipe-data].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The settings file, whose `data_dir` is used.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct FilterArguments {
    /// Select dead letters with this reason, such as `not_json`; repeatable.
    #[arg(long = "reason", value_name = "WORD", value_parser = parse_reason)]
    reasons: Vec<String>,
    /// Select dead letters of this delivery stream; repeatable.
    #[arg(long = "stream", value_name = "NAME", value_parser = parse_stream)]
    streams: Vec<String>,
    /// Select dead letters whose event came from this input.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Select dead letters written at this time or later, such as
    /// `2026-01-31T08:00:00Z`, or `2h` for two hours ago.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<OffsetDateTime>,
    /// Select dead letters written before this time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<OffsetDateTime>,
}

#[derive(Debug, Args)]
struct SelectionArguments {
    #[command(flatten)]
    location: LocationArguments,
    #[command(flatten)]
    filter: FilterArguments,
}

/// Parses a reason. An unknown word is a mistake, and not a filter that matches nothing.
fn parse_reason(word: &str) -> Result<String, String> {
    let known = Reason::ALL.iter().map(|reason| reason.word());
    if known.clone().any(|known| known == word) {
        return Ok(word.to_owned());
    }
    Err(match nearest_key(word, known.clone()) {
        Some(nearest) => format!("unknown reason; did you mean `{nearest}`?"),
        None => format!("unknown reason; expected one of {}", known.collect::<Vec<_>>().join(", ")),
    })
}

fn parse_stream(name: &str) -> Result<String, InvalidStreamName> {
    StreamName::parse(name).map(|_| name.to_owned())
}

fn parse_time(text: &str) -> Result<OffsetDateTime, String> {
    let ago = |ago: Duration| clock::now().checked_sub(ago.try_into().ok()?);
    let time = clock::parse_rfc3339(text)
        .or_else(|| humantime::parse_duration(text).ok().and_then(ago))
        .filter(|time| time.year() >= 0);
    time.ok_or_else(|| {
        "expected a time such as 2026-01-31T08:00:00Z, or 2h for two hours ago".into()
    })
}

impl LocationArguments {
    fn open_directory(&self) -> Result<DeadLetterDirectory, (Exit, anyhow::Error)> {
        let (raw, directory) = read_settings(self.config.as_deref()).map_err(usage)?;
        let data_dir = raw.data_dir(&directory, self.data_dir.clone());
        check_data_dir(&data_dir).map_err(usage)?;
        Ok(DeadLetterDirectory::of_data_dir(&data_dir))
    }
}

impl FilterArguments {
    fn to_filter(&self) -> DeadLetterFilter {
        DeadLetterFilter {
            reasons: self.reasons.clone(),
            streams: self.streams.clone(),
            source: self.source.clone(),
            since: self.since,
            until: self.until,
        }
    }
}

/// Rejects a missing directory: it is probably the wrong one, and would look as if there were no
/// dead letters.
pub(super) fn check_data_dir(data_dir: &Path) -> anyhow::Result<()> {
    let metadata = std::fs::metadata(data_dir);
    let metadata = metadata.with_context(|| {
        format!(
            "read the data directory {} (set the one of `host run` with --data-dir, or its settings file with --config)",
            data_dir.display()
        )
    })?;
    if !metadata.is_dir() {
        bail!("the data directory {} is not a directory: correct --data-dir", data_dir.display());
    }
    Ok(())
}

fn list_files(folder: &DeadLetterDirectory) -> anyhow::Result<Vec<DeadLetterFile>> {
    folder.files().with_context(|| format!("read {}", folder.path().display()))
}

/// Returns the files that are not being written, and the permission to remove dead letters from
/// them. `None` if there are no dead letters.
fn lock_directory(
    folder: &DeadLetterDirectory,
) -> anyhow::Result<Option<(DeadLetterDirectoryLock, Vec<DeadLetterFile>)>> {
    let path = folder.path().display();
    if list_files(folder)?.is_empty() {
        return Ok(None);
    }
    let lock = match folder.lock() {
        Ok(Some(lock)) => lock,
        Ok(None) => bail!("lock {path}: another replay or purge is using it: wait until it ends"),
        Err(error) => return Err(anyhow!(error).context(format!("lock {path}"))),
    };
    // The files are listed again, because the previous holder of the lock may have removed some.
    let (live, done): (Vec<_>, Vec<_>) =
        list_files(folder)?.into_iter().partition(|file| file.is_live().unwrap_or(true));
    for file in live {
        complain(&format!("skipped {}: a running host writes to it", file.path.display()));
    }
    Ok(Some((lock, done)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_points_or_spans_back() {
        let point = parse_time("2026-01-31T08:00:00+01:00").unwrap();
        assert_eq!(clock::rfc3339(point), "2026-01-31T07:00:00.000Z");
        let two_hours_ago = parse_time("2h").unwrap();
        assert_eq!((clock::now() - two_hours_ago).whole_minutes(), 120);
        for wrong in ["", "yesterday", "2026-01-31", "9000years"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn reasons_are_those_that_letters_can_have() {
        assert_eq!(parse_reason("not_json").as_deref(), Ok("not_json"));
        assert!(parse_reason("not_jsn").unwrap_err().contains("did you mean `not_json`?"));
        assert!(parse_reason("xyz").unwrap_err().contains("expected one of"));
    }
}
