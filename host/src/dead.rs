//! Dead letters: events that cannot be delivered, kept with the reason.
//!
//! One file for each run, one JSON object on each line. A letter is written
//! with a single call as soon as it is known, so that a crash can tear the last
//! line and no other.

mod letter;

pub use letter::{Letter, Reason};

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock;

/// Writes dead letters, and counts them by their reason.
#[derive(Debug)]
pub struct Letters {
    directory: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Made with the first letter.
    file: Option<(PathBuf, File)>,
    /// Used again for each letter.
    line: Vec<u8>,
    counts: BTreeMap<Reason, u64>,
    failure: Option<String>,
}

/// What has been written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The run's file, if there is one.
    pub file: Option<PathBuf>,
    /// Letters by their reason. One event can have several.
    pub letters: BTreeMap<Reason, u64>,
    /// The first letter that could not be written, and why.
    pub failure: Option<String>,
}

impl Letters {
    /// Letters in this directory, which is made when the first one comes.
    pub fn new(directory: PathBuf) -> Self {
        Letters { directory, state: Mutex::default() }
    }

    /// Write a letter.
    ///
    /// # Errors
    ///
    /// The letter is not on its file: the event is not accounted for. The
    /// first failure is kept for the [`Report`].
    pub fn write(&self, letter: &Letter<'_>) -> io::Result<()> {
        let mut state = self.state();
        let written = state.write(&self.directory, letter);
        if let Err(error) = &written
            && state.failure.is_none()
        {
            let directory = self.directory.display();
            let failure = format!(
                "write dead letters in {directory}: {error}: make room, or give --data-dir"
            );
            tracing::error!("{failure}");
            state.failure = Some(failure);
        }
        written
    }

    /// Bring what has been written to the disk.
    ///
    /// # Errors
    ///
    /// The disk failed.
    pub fn sync(&self) -> io::Result<()> {
        match &self.state().file {
            Some((_, file)) => file.sync_all(),
            None => Ok(()),
        }
    }

    /// What has been written so far.
    pub fn report(&self) -> Report {
        let state = self.state();
        Report {
            file: state.file.as_ref().map(|(path, _)| path.clone()),
            letters: state.counts.clone(),
            failure: state.failure.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, directory: &Path, letter: &Letter<'_>) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, letter)?;
        self.line.push(b'\n');
        let file = match &mut self.file {
            Some((_, file)) => file,
            none => &mut none.insert(create(directory)?).1,
        };
        file.write_all(&self.line)?;
        *self.counts.entry(letter.reason).or_default() += 1;
        Ok(())
    }
}

fn create(directory: &Path) -> io::Result<(PathBuf, File)> {
    std::fs::create_dir_all(directory)?;
    let name = format!("{}-{}.ndjson", clock::now_for_file_name(), std::process::id());
    let path = directory.join(name);
    let file = OpenOptions::new().append(true).create(true).open(&path)?;
    Ok((path, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_lines_of_json_and_keep_every_byte() {
        let directory = tempfile::tempdir().unwrap();
        let letters = Letters::new(directory.path().join("dead"));
        assert_eq!(letters.report(), Report::default());
        let letter = Letter {
            reason: Reason::NotJson,
            detail: "not JSON from byte 3",
            source: "in.ndjson",
            line: 7,
            stream: None,
            plugin: "abc",
            attempts: 0,
            bytes_total: None,
            original: b"{\"a",
        };
        letters.write(&letter).unwrap();
        letters.write(&Letter { original: b"\xff\0", stream: Some("s"), ..letter }).unwrap();
        letters.sync().unwrap();
        let report = letters.report();
        assert_eq!(report.letters, BTreeMap::from([(Reason::NotJson, 2)]));
        let text = std::fs::read_to_string(report.file.unwrap()).unwrap();
        let lines =
            text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let lines: Vec<_> = lines.collect();
        assert_eq!(lines[0]["reason"], "not_json");
        assert_eq!(lines[0]["event"], "{\"a");
        assert_eq!(lines[0]["line"], 7);
        assert_eq!(lines[1]["event_base64"], "/wA=");
        assert_eq!(lines[1]["stream"], "s");
    }

    #[test]
    fn a_letter_that_cannot_be_written_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let in_the_way = directory.path().join("dead");
        std::fs::write(&in_the_way, "a file").unwrap();
        let letters = Letters::new(in_the_way);
        let letter = Letter::of_line(Reason::NotJson, "", "in", 1, b"");
        assert!(letters.write(&letter).is_err());
        assert!(letters.report().failure.unwrap().contains("--data-dir"));
    }
}
