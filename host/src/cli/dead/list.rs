//! `host dead list`: counts of dead letters by reason and delivery stream, and their files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use super::{SelectionArguments, fault, list_files};
use crate::cli::{CommandResult, complain, print_report};
use standpipe_core::clock;
use standpipe_core::text_table::render_table;
use standpipe_delivery::dead_letters::{
    DeadLetterDirectory, DeadLetterFile, DeadLetterFilter, DeadLetterLine, DeadLetterReader,
    StoredDeadLetter, UnreadableLine,
};

#[derive(Debug, Args)]
pub(crate) struct ListDeadLettersArguments {
    #[command(flatten)]
    selection: SelectionArguments,
    /// Print JSON on one line.
    #[arg(long)]
    json: bool,
}

/// The counts and files in the directory.
#[derive(Debug, Default, Serialize)]
struct Listing {
    letters: u64,
    /// Number of unreadable lines.
    unreadable: u64,
    groups: Vec<ReasonGroup>,
    files: Vec<Listed>,
}

/// Dead letters with the same reason and delivery stream.
#[derive(Debug, Serialize)]
struct ReasonGroup {
    reason: String,
    stream: Option<String>,
    letters: u64,
    #[serde(serialize_with = "as_text")]
    first: OffsetDateTime,
    #[serde(serialize_with = "as_text")]
    last: OffsetDateTime,
}

#[derive(Debug, Serialize)]
struct Listed {
    path: PathBuf,
    bytes: u64,
    /// Whether a running host writes to the file.
    live: bool,
    letters: u64,
    unreadable: u64,
}

type Groups = BTreeMap<(String, Option<String>), ReasonGroup>;

pub(super) fn run(arguments: &ListDeadLettersArguments) -> CommandResult {
    let folder = arguments.selection.location.open_directory()?;
    let listing = list(&folder, &arguments.selection.filter.to_filter()).map_err(fault)?;
    let to_json = || serde_json::to_string(&listing).expect("a listing has string keys");
    print_report(arguments.json, to_json, || listing.to_table(&folder))
}

fn list(folder: &DeadLetterDirectory, filter: &DeadLetterFilter) -> anyhow::Result<Listing> {
    let mut groups = Groups::new();
    let mut listing = Listing::default();
    for file in list_files(folder)? {
        let listed = count_file(&file, filter, &mut groups);
        let listed = listed.with_context(|| format!("read {}", file.path.display()))?;
        listing.letters += listed.letters;
        listing.unreadable += listed.unreadable;
        listing.files.push(listed);
    }
    listing.groups = groups.into_values().collect();
    Ok(listing)
}

fn count_file(
    file: &DeadLetterFile,
    filter: &DeadLetterFilter,
    groups: &mut Groups,
) -> anyhow::Result<Listed> {
    let (path, bytes) = (file.path.clone(), file.bytes);
    let mut listed = Listed { path, bytes, live: file.is_live()?, letters: 0, unreadable: 0 };
    for entry in DeadLetterReader::open(&file.path)? {
        let DeadLetterLine { number, dead_letter, .. } = entry?;
        match dead_letter {
            Ok(letter) if filter.matches(&letter) => {
                listed.letters += 1;
                add_to_group(groups, letter);
            }
            Ok(_) => {}
            // The line is being written.
            Err(UnreadableLine::Torn) if listed.live => {}
            Err(why) => {
                listed.unreadable += 1;
                complain(&format!(
                    "{} line {number}: not a dead letter: {why}",
                    file.path.display()
                ));
            }
        }
    }
    Ok(listed)
}

fn add_to_group(groups: &mut Groups, letter: StoredDeadLetter) {
    let StoredDeadLetter { reason, stream, time, .. } = letter;
    let group = groups.entry((reason.clone(), stream.clone()));
    let group = group.or_insert_with(|| ReasonGroup {
        reason,
        stream,
        letters: 0,
        first: time,
        last: time,
    });
    group.letters += 1;
    group.first = group.first.min(time);
    group.last = group.last.max(time);
}

impl Listing {
    /// Formats the listing for people.
    fn to_table(&self, folder: &DeadLetterDirectory) -> String {
        let rows = self.groups.iter().map(ReasonGroup::to_row);
        let mut text = render_table(["reason", "stream", "letters", "first", "last"], rows);
        let live = self.files.iter().filter(|file| file.live).count();
        let (count, files, path) = (self.letters, self.files.len(), folder.path().display());
        let _ = writeln!(text, "{count} dead letters in {files} files of {path}");
        for (count, what) in [
            (live as u64, "of the files are written by running hosts"),
            (self.unreadable, "unreadable lines"),
        ] {
            if count > 0 {
                let _ = writeln!(text, "{count} {what}");
            }
        }
        text
    }
}

impl ReasonGroup {
    fn to_row(&self) -> [String; 5] {
        [
            self.reason.clone(),
            self.stream.clone().unwrap_or_else(|| "-".to_owned()),
            format!("{:>7}", self.letters),
            clock::rfc3339(self.first),
            clock::rfc3339(self.last),
        ]
    }
}

fn as_text<S: Serializer>(time: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&clock::rfc3339(*time))
}
