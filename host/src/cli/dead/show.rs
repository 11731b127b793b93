//! `host dead show`: dead letters one after the other, without their events by default.

use std::fmt::Write as _;
use std::io::{self, Write};

use anyhow::Context;
use clap::Args;

use super::{SelectionArguments, fault, list_files};
use crate::cli::{CommandResult, Exit};
use standpipe_core::clock;
use standpipe_core::escape::one_line;
use standpipe_delivery::dead_letters::{
    DeadLetterDirectory, DeadLetterReader, ShowEvent, StoredDeadLetter,
};

#[derive(Debug, Args)]
pub(crate) struct ShowDeadLettersArguments {
    #[command(flatten)]
    selection: SelectionArguments,
    /// Print at most this many dead letters.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print JSON, one dead letter per line.
    #[arg(long)]
    json: bool,
    /// Print the events too, which can contain personal data.
    #[arg(long)]
    events: bool,
}

pub(super) fn run(arguments: &ShowDeadLettersArguments) -> CommandResult {
    let folder = arguments.selection.location.open_directory()?;
    show(&folder, arguments).map_err(fault)?;
    Ok(Exit::Done)
}

fn show(folder: &DeadLetterDirectory, arguments: &ShowDeadLettersArguments) -> anyhow::Result<()> {
    let mut left = arguments.limit.unwrap_or(usize::MAX);
    let filter = arguments.selection.filter.to_filter();
    let event = if arguments.events { ShowEvent::Yes } else { ShowEvent::No };
    let mut out = io::BufWriter::new(io::stdout().lock());
    'files: for file in list_files(folder)? {
        let reading = || format!("read {}", file.path.display());
        for entry in DeadLetterReader::open(&file.path).with_context(reading)? {
            let Ok(dead_letter) = entry.with_context(reading)?.dead_letter else { continue };
            if !filter.matches(&dead_letter) {
                continue;
            }
            if left == 0 {
                break 'files;
            }
            left -= 1;
            let text = match arguments.json {
                true => dead_letter.to_json(event) + "\n",
                false => for_people(&dead_letter, event),
            };
            if !is_taken(out.write_all(text.as_bytes()), arguments.json)? {
                return Ok(());
            }
        }
    }
    is_taken(out.flush(), arguments.json).map(drop)
}

/// Whether the reader still reads. A person may close the pipe early, but for a program that is an
/// error.
fn is_taken(written: io::Result<()>, is_product: bool) -> anyhow::Result<bool> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe && !is_product => Ok(false),
        written => written.context("write to standard output").map(|()| true),
    }
}

fn for_people(dead_letter: &StoredDeadLetter, event: ShowEvent) -> String {
    let StoredDeadLetter { time, reason, detail, source, line, stream, plugin, attempts, .. } =
        dead_letter;
    let head = format!("{}  {reason}  {source} line {line}", clock::rfc3339(*time));
    let mut text = format!("{}\n", one_line(&head));
    let mut add = |label: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {label:8} {}", one_line(value));
        }
    };
    add("detail", detail);
    add("stream", stream.as_deref().unwrap_or_default());
    add("plugin", plugin.as_deref().unwrap_or_default());
    if *attempts > 0 {
        add("attempts", &attempts.to_string());
    }
    for death in &dead_letter.history {
        let stream = death.stream.as_deref().map(|stream| format!(", stream {stream}"));
        let stream = stream.unwrap_or_default();
        add("before", &format!("{}  {}{stream}: {}", death.time, death.reason, death.detail));
    }
    if let Some(bytes) = dead_letter.bytes_total {
        add("length", &format!("{bytes} bytes; only the start is kept"));
    }
    if event == ShowEvent::Yes {
        add("event", &String::from_utf8_lossy(&dead_letter.event));
    }
    text
}
