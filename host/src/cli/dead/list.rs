//! `host dead list`: counts of dead letters by reason and delivery stream, and the files that hold
//! them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use super::{Chosen, fault, files};
use crate::cli::{CommandResult, complain, print_report};
use standpipe_core::clock;
use standpipe_core::text_table::render_table;
use standpipe_delivery::dead_letters::{
    DeadLetterDirectory, DeadLetterFile, DeadLetterFilter, DeadLetterLine, DeadLetterReader,
    StoredDeadLetter, UnreadableLine,
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    letters: Chosen,
    /// Print JSON on one line.
    #[arg(long)]
    json: bool,
}

/// What is there.
#[derive(Debug, Default, Serialize)]
struct Listing {
    letters: u64,
    /// Unreadable lines.
    unreadable: u64,
    groups: Vec<Group>,
    files: Vec<Listed>,
}

/// Letters of one reason and one delivery stream.
#[derive(Debug, Serialize)]
struct Group {
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
    /// Whether a running host writes to it.
    live: bool,
    letters: u64,
    unreadable: u64,
}

type Groups = BTreeMap<(String, Option<String>), Group>;

pub(super) fn run(arguments: &Arguments) -> CommandResult {
    let folder = arguments.letters.place.folder()?;
    let listing = list(&folder, &arguments.letters.choice.filter()).map_err(fault)?;
    let to_json = || serde_json::to_string(&listing).expect("a listing has string keys");
    print_report(arguments.json, to_json, || listing.table(&folder))
}

fn list(folder: &DeadLetterDirectory, filter: &DeadLetterFilter) -> anyhow::Result<Listing> {
    let mut groups = Groups::new();
    let mut listing = Listing::default();
    for file in files(folder)? {
        let listed = count(&file, filter, &mut groups);
        let listed = listed.with_context(|| format!("read {}", file.path.display()))?;
        listing.letters += listed.letters;
        listing.unreadable += listed.unreadable;
        listing.files.push(listed);
    }
    listing.groups = groups.into_values().collect();
    Ok(listing)
}

fn count(
    file: &DeadLetterFile,
    filter: &DeadLetterFilter,
    groups: &mut Groups,
) -> anyhow::Result<Listed> {
    let (path, bytes) = (file.path.clone(), file.bytes);
    let mut listed = Listed { path, bytes, live: file.is_live()?, letters: 0, unreadable: 0 };
    for entry in DeadLetterReader::open(&file.path)? {
        let DeadLetterLine { number, letter, .. } = entry?;
        match letter {
            Ok(letter) if filter.matches(&letter) => {
                listed.letters += 1;
                add(groups, letter);
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

fn add(groups: &mut Groups, letter: StoredDeadLetter) {
    let StoredDeadLetter { reason, stream, time, .. } = letter;
    let group = groups.entry((reason.clone(), stream.clone()));
    let group =
        group.or_insert_with(|| Group { reason, stream, letters: 0, first: time, last: time });
    group.letters += 1;
    group.first = group.first.min(time);
    group.last = group.last.max(time);
}

impl Listing {
    /// For people.
    fn table(&self, folder: &DeadLetterDirectory) -> String {
        let rows = self.groups.iter().map(Group::row);
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

impl Group {
    fn row(&self) -> [String; 5] {
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
