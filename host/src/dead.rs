//! Dead letters: events that cannot be delivered, kept with the reason.
//!
//! One JSON object on each line of a few files. A letter is written with a
//! single call as soon as it is known, so that a crash can tear the last line of
//! a file and no other. A file belongs to the process that began it, which holds
//! a lock on it until it is done with it; from then on letters are only taken
//! out. The directory is bounded: see [`Bound`].
//!
//! Letters can be copied to a place beside ([`Letters::copies`]). The file is what
//! counts: nothing waits for a copy, and there is no letter about one.

mod copies;
mod filter;
mod folder;
mod letter;
mod line;
mod reader;
mod stored;
mod writer;

pub use copies::{CopyReport, LetterCopy, Receipt};
pub use filter::Filter;
pub use folder::{Folder, FolderLock, LetterFile, take_out};
pub use letter::Letter;
pub use line::Death;
pub use reader::{Entry, LetterReader, Unreadable};
pub use stored::{ShowEvent, StoredLetter};
pub use writer::{Bound, Dropped, WhenFull};

pub use crate::event::Reason;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_channel::Receiver;

use crate::event::OnDeath;
use crate::limits;
use copies::Copies;
use writer::Writer;

/// Writes dead letters, and counts them by their reason.
#[derive(Debug)]
pub struct Letters {
    folder: Folder,
    bound: Bound,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    writer: Writer,
    /// Used again for each letter.
    line: Vec<u8>,
    counts: BTreeMap<Reason, u64>,
    copies: Option<Copies>,
    failure: Option<String>,
}

/// What has been written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The file that was written last, if there is one.
    pub file: Option<PathBuf>,
    /// Letters by their reason. One event can have several.
    pub letters: BTreeMap<Reason, u64>,
    /// What was dropped to make room for them.
    pub dropped: Dropped,
    /// What became of their copies, if they are copied.
    pub copies: Option<CopyReport>,
    /// The first letter that could not be written, and why.
    pub failure: Option<String>,
}

impl Letters {
    /// Letters in this directory, which is made when the first one comes.
    pub fn new(directory: PathBuf) -> Self {
        Self::bounded(directory, Bound::default())
    }

    /// Letters in this directory, which they may fill up to here.
    pub fn bounded(directory: PathBuf, bound: Bound) -> Self {
        let folder = Folder::new(directory);
        let writer = Writer::new(folder.clone(), bound);
        let (line, counts) = (Vec::new(), BTreeMap::new());
        let state = State { writer, line, counts, copies: None, failure: None };
        Letters { folder, bound, state: Mutex::new(state) }
    }

    /// From now on each letter is copied: the copies come out here, in the order
    /// of the letters, until [`Letters::end_copies`].
    pub fn copies(&self) -> Receiver<LetterCopy> {
        let (copies, queue) = Copies::new(limits::DEAD_COPIES_BYTES_MAX);
        self.state().copies = Some(copies);
        queue
    }

    /// No more letters will be written.
    pub fn end_copies(&self) {
        if let Some(copies) = &mut self.state().copies {
            copies.end();
        }
    }

    /// Write a letter.
    ///
    /// # Errors
    ///
    /// The letter is not on its file: the event is not accounted for. The
    /// first failure is kept for the [`Report`]. A letter about the copy of a
    /// letter is none, and never written: it would be copied in turn, without
    /// end.
    pub fn write(&self, letter: &Letter<'_>) -> io::Result<()> {
        let mut state = self.state();
        if letter.on_death == OnDeath::LetGo {
            if let Some(copies) = &mut state.copies {
                copies.give_up(letter.detail);
            }
            return Err(io::ErrorKind::Unsupported.into());
        }
        let written = state.write(letter);
        if let Err(error) = &written
            && state.failure.is_none()
        {
            let failure = self.failure(error);
            tracing::error!("{failure}");
            state.failure = Some(failure);
        }
        written
    }

    fn failure(&self, error: &io::Error) -> String {
        let directory = self.folder.path().display();
        if error.kind() == io::ErrorKind::QuotaExceeded {
            let bytes = self.bound.bytes_max;
            return format!(
                "write dead letters in {directory}: the letters there may take {bytes} bytes: replay or purge some, or raise `max_bytes` or change `when_full` under [dead_letters]"
            );
        }
        format!("write dead letters in {directory}: {error}: make room, or give --data-dir")
    }

    /// Bring what has been written to the disk.
    ///
    /// # Errors
    ///
    /// The disk failed.
    pub fn sync(&self) -> io::Result<()> {
        self.state().writer.sync()
    }

    /// What has been written so far.
    pub fn report(&self) -> Report {
        let state = self.state();
        Report {
            file: state.writer.path().map(ToOwned::to_owned),
            letters: state.counts.clone(),
            dropped: state.writer.dropped,
            copies: state.copies.as_ref().map(Copies::report),
            failure: state.failure.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, letter: &Letter<'_>) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, letter)?;
        self.line.push(b'\n');
        self.writer.append(&self.line)?;
        if let Some(copies) = &mut self.copies {
            copies.offer(&self.line);
        }
        *self.counts.entry(letter.reason).or_default() += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Source;

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
            generation: 3,
            attempts: 0,
            on_death: OnDeath::Bury,
            history: None,
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
    fn a_letter_that_follows_another_tells_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let letters = Letters::new(directory.path().to_owned());
        let first = "in".into();
        letters.write(&Letter::of_line(Reason::NotJson, "d", &first, 7, b"x")).unwrap();
        let read = || LetterReader::open(&letters.report().file.unwrap()).unwrap();
        let first = read().next().unwrap().unwrap().letter.unwrap();
        let again = Source::with_history(&first.source, &first.history_with_this());
        letters.write(&Letter::of_line(Reason::ZeroByte, "", &again, 7, b"x")).unwrap();
        let second = read().last().unwrap().unwrap().letter.unwrap();
        assert_eq!((second.source.as_str(), second.history.len()), ("in", 1));
        let death = &second.history[0];
        assert_eq!((death.reason.as_str(), death.detail.as_str()), ("not_json", "d"));
    }

    #[test]
    fn a_full_directory_says_what_to_change() {
        let directory = tempfile::tempdir().unwrap();
        let bound = Bound { bytes_max: 100, when_full: WhenFull::Stop };
        let letters = Letters::bounded(directory.path().to_owned(), bound);
        let source = "in".into();
        assert!(letters.write(&Letter::of_line(Reason::NotJson, "", &source, 1, b"")).is_err());
        let failure = letters.report().failure.unwrap();
        assert!(failure.contains("`max_bytes`") && failure.contains("`when_full`"), "{failure}");
    }

    #[test]
    fn a_letter_that_cannot_be_written_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let in_the_way = directory.path().join("dead");
        std::fs::write(&in_the_way, "a file").unwrap();
        let letters = Letters::new(in_the_way);
        let source = "in".into();
        let letter = Letter::of_line(Reason::NotJson, "", &source, 1, b"");
        assert!(letters.write(&letter).is_err());
        assert!(letters.report().failure.unwrap().contains("--data-dir"));
    }
}
