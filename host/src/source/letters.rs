//! Replays dead letters: each event in a chunk of its own, and its letter removed once it is
//! settled and any new letter is on disk. Partial, unreadable and unknown ones are left and
//! counted.

use std::collections::BTreeSet;
use std::convert::identity;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;

use super::{Reader, Unread};
use standpipe_core::event::{Ack, Chunk, Line, Reason, Settled, Source, SourceNames};
use standpipe_delivery::dead::{Entry, Filter, LetterReader, Letters, StoredLetter, take_out};

/// Letters whose events go their way once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Their file, which nobody may write to meanwhile.
    pub path: PathBuf,
    /// Which of them.
    pub filter: Filter,
    /// The sources that they may be of.
    pub sources: SourceNames,
}

/// Letters that a replay left where they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftLetters {
    /// Only the start of the event is kept.
    pub partial: u64,
    /// Lines that are no letter.
    pub unreadable: u64,
    /// The settings do not have their source.
    pub unknown_source: u64,
    /// They are bodies of requests, and no events.
    pub requests: u64,
}

/// Takes letters out of their files, on a thread of its own, once all events of
/// a file are accounted for.
///
/// An event that was delivered or filtered needs its letter no longer; one that
/// died again has a new letter, which is brought to the disk before the old one
/// goes. All else stays: a crash before that leaves a letter too many, and none
/// too few.
#[derive(Debug)]
pub struct Retirement {
    retired: Sender<Option<Retired>>,
    thread: JoinHandle<Option<String>>,
}

/// What can be taken out of a file.
#[derive(Debug)]
pub struct Retired {
    path: PathBuf,
    letters: Vec<Range<u64>>,
}

/// A file whose events are on their way. When the last of them is accounted for
/// it says which letters can go.
struct Open {
    path: PathBuf,
    settled: Mutex<Vec<Range<u64>>>,
    retired: Sender<Option<Retired>>,
}

impl Retirement {
    /// For a run that writes its own letters there.
    ///
    /// # Errors
    ///
    /// The system grants no thread.
    pub fn start(letters: Arc<Letters>) -> io::Result<Self> {
        let (retired, queue) = crossbeam_channel::unbounded();
        let thread = thread::Builder::new().name("retirement".to_owned());
        let thread = thread.spawn(move || retire_all(&letters, &queue))?;
        Ok(Retirement { retired, thread })
    }

    /// Where a [`Reader`] tells what can be taken out.
    pub fn retired(&self) -> Sender<Option<Retired>> {
        self.retired.clone()
    }

    /// Take out what can be taken out up to now, and no more. Tells the first
    /// thing that went wrong; the letters that it was about are still there.
    pub fn finish(self) -> Option<String> {
        // Should the thread have failed, joining it tells so.
        let _ = self.retired.send(None);
        let failed = || Some("retiring letters failed: this is a bug of the host".to_owned());
        self.thread.join().unwrap_or_else(|_| failed())
    }
}

/// Work until the run is over.
fn retire_all(letters: &Letters, queue: &Receiver<Option<Retired>>) -> Option<String> {
    let mut failure = None;
    for retired in queue.iter().map_while(identity) {
        let path = retired.path.clone();
        if let Err(error) = retire(letters, retired) {
            let path = path.display();
            failure.get_or_insert(format!(
                "take replayed letters out of {path}: {error}: they are still there"
            ));
        }
    }
    failure
}

fn retire(letters: &Letters, retired: Retired) -> io::Result<()> {
    letters.sync()?;
    take_out(&retired.path, retired.letters)
}

impl Open {
    fn settle(&self, letter: Range<u64>, settled: Settled) {
        if settled.undelivered == 0 {
            let mut letters = self.settled.lock();
            match letters.last_mut() {
                Some(last) if last.end == letter.start => last.end = letter.end,
                _ => letters.push(letter),
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let letters = std::mem::take(self.settled.get_mut());
        if !letters.is_empty() {
            let path = std::mem::take(&mut self.path);
            // Once the run is over nobody takes letters out any more.
            let _ = self.retired.send(Some(Retired { path, letters }));
        }
    }
}

impl Reader {
    /// Hand the letters' events to the workers, each in a chunk of its own, so
    /// that each is accounted for alone.
    pub(super) fn replay(
        &self,
        replay: &Replay,
        left: &mut LeftLetters,
    ) -> io::Result<Option<Unread>> {
        let (path, retired) = (replay.path.clone(), self.retired.clone());
        let open = Arc::new(Open { path, settled: Mutex::default(), retired });
        let mut unknown = BTreeSet::new();
        for entry in LetterReader::open(&replay.path)? {
            let Entry { number, bytes, letter } = entry?;
            if self.stop.is_requested() {
                let source = replay.path.to_string_lossy().into_owned();
                return Ok(Some(Unread { source, from_line: number }));
            }
            self.bytes_read.fetch_add(bytes.end - bytes.start, Ordering::Relaxed);
            match letter {
                Err(_) => left.unreadable += 1,
                Ok(letter) if !replay.filter.matches(&letter) => {}
                Ok(letter) if letter.bytes_total.is_some() => left.partial += 1,
                Ok(letter) if letter.reason == Reason::RequestRefused.word() => left.requests += 1,
                Ok(letter) => match replay.sources.current(&letter.source) {
                    Some(source) => {
                        let source = Source::with_history(source, &letter.history_with_this());
                        self.send_letter(letter, source, bytes, Arc::clone(&open));
                    }
                    None => {
                        left.unknown_source += 1;
                        mention_unknown(&mut unknown, &letter.source);
                    }
                },
            }
        }
        Ok(None)
    }

    fn send_letter(
        &self,
        letter: StoredLetter,
        source: Source,
        bytes: Range<u64>,
        open: Arc<Open>,
    ) {
        self.totals.add_read(1);
        let totals = Arc::clone(&self.totals);
        let ack = Ack::new(source, 1, move |settled| {
            totals.add_settled(settled);
            open.settle(bytes, settled);
        });
        let end = u32::try_from(letter.event.len()).expect("no event is that long");
        let lines = vec![Line { start: 0, end, offset: 0 }];
        let (damaged, first_line) = (Vec::new(), letter.line);
        // Where the workers are gone, the event counts as not delivered.
        let _ = self.chunks.send(Chunk { bytes: letter.event, lines, damaged, first_line, ack });
    }
}

/// Say once for each source why its letters are left.
fn mention_unknown(mentioned: &mut BTreeSet<String>, source: &str) {
    let source = &source[..source.floor_char_boundary(standpipe_core::limits::DETAIL_BYTES_MAX)];
    if mentioned.len() < standpipe_core::limits::UNKNOWN_SOURCES_NAMED_MAX
        && !mentioned.contains(source)
    {
        tracing::warn!(
            "dead letters of the source {source:?} are left: no [[sources]] has this name, so nobody knows with which \
             role they are to be written. Put the source back, or write formerly = [{source:?}] under the source that \
             took its place; letters of files and of programs have no [[sources]], and --allow-unknown-sources replays \
             them with the default role"
        );
        mentioned.insert(source.to_owned());
    }
}
