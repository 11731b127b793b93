//! Dead letters whose events go their way once more, and how they leave their files.

use std::collections::BTreeSet;
use std::convert::identity;
use std::fs::File;
use std::io::{self, BufReader};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{ChunkSource, Chunker};
use standpipe_core::event::{
    Ack, Chunk, EventSource, Lines, NextChunk, Reason, Settled, SourceNames,
};
use standpipe_core::limits;
use standpipe_delivery::dead_letters::{
    DeadLetterFilter, DeadLetterLine, DeadLetterReader, DeadLetterWriter, StoredDeadLetter,
    remove_dead_letters,
};

/// Dead letters whose events go their way once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Their file, which nobody may write to meanwhile.
    pub path: PathBuf,
    /// Which of them.
    pub filter: DeadLetterFilter,
    /// The sources that they may be of.
    pub sources: SourceNames,
}

/// Dead letters that a replay left where they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftLetters {
    /// Only the start of the event is kept.
    pub partial: u64,
    /// Lines that are not a dead letter.
    pub unreadable: u64,
    /// The settings do not have their source.
    pub unknown_source: u64,
    /// They are bodies of requests, and no events.
    pub requests: u64,
}

/// An input that a stop left unread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnreadInput {
    /// The source.
    pub source: String,
    /// The first line that was not read, counted from 1.
    pub from_line: u64,
}

/// The dead letters of one file, each in a chunk of its own, so that each is accounted for
/// alone.
pub(super) struct ReplaySource<'a> {
    replay: &'a Replay,
    entries: DeadLetterReader<BufReader<File>>,
    file: Arc<ReplayedFile>,
    left: &'a mut LeftLetters,
    /// Unknown sources that were logged.
    logged: BTreeSet<String>,
    /// Why the file cannot be read to its end.
    failure: Option<io::Error>,
}

/// Removes dead letters from their files, on a thread of its own, once all events of a file are
/// accounted for.
///
/// An event that was delivered or filtered needs its dead letter no longer; one that
/// died again has a new dead letter, which is brought to the disk before the old one
/// goes. All else stays: a crash before that leaves a dead letter too many, and none
/// too few.
#[derive(Debug)]
pub struct ReplayCompactor {
    removals: Sender<Option<Removal>>,
    thread: JoinHandle<Option<String>>,
}

/// What can be removed from a file.
#[derive(Debug)]
pub struct Removal {
    path: PathBuf,
    dead_letters: Vec<Range<u64>>,
}

/// A file whose events are on their way. When the last of them is accounted for
/// it says which dead letters can go.
struct ReplayedFile {
    path: PathBuf,
    settled: Mutex<Vec<Range<u64>>>,
    removals: Sender<Option<Removal>>,
}

impl ReplayCompactor {
    /// For a run that writes its own dead letters there.
    ///
    /// # Errors
    ///
    /// The system grants no thread.
    #[expect(
        clippy::disallowed_methods,
        reason = "there is one entry for each file, all of which are known before"
    )]
    pub fn start(dead_letters: Arc<DeadLetterWriter>) -> io::Result<Self> {
        let (removals, queue) = crossbeam_channel::unbounded();
        let thread = thread::Builder::new().name("compactor".to_owned());
        let thread = thread.spawn(move || remove_all(&dead_letters, &queue))?;
        Ok(ReplayCompactor { removals, thread })
    }

    /// Returns the queue for removals.
    pub fn removals(&self) -> Sender<Option<Removal>> {
        self.removals.clone()
    }

    /// Remove what can be removed up to now, and no more. Returns the first
    /// thing that went wrong; the dead letters that it was about are still there.
    pub fn finish(self) -> Option<String> {
        // Should the thread have failed, joining it says so.
        let _ = self.removals.send(None);
        let failed =
            || Some("removing replayed dead letters failed: this is a bug of the host".to_owned());
        self.thread.join().unwrap_or_else(|_| failed())
    }
}

/// Work until the run is over.
fn remove_all(
    dead_letters: &DeadLetterWriter,
    queue: &Receiver<Option<Removal>>,
) -> Option<String> {
    let mut failure = None;
    for Removal { path, dead_letters: removed } in queue.iter().map_while(identity) {
        if let Err(error) = dead_letters.sync().and_then(|()| remove_dead_letters(&path, removed)) {
            let path = path.display();
            failure.get_or_insert(format!(
                "failed to remove replayed dead letters from {path}: {error}: they are still there"
            ));
        }
    }
    failure
}

impl ReplayedFile {
    fn settle_letter(&self, dead_letter: Range<u64>, settled: Settled) {
        if settled.undelivered == 0 {
            let mut dead_letters = self.settled.lock();
            match dead_letters.last_mut() {
                Some(last) if last.end == dead_letter.start => last.end = dead_letter.end,
                _ => dead_letters.push(dead_letter),
            }
        }
    }
}

impl Drop for ReplayedFile {
    fn drop(&mut self) {
        let dead_letters = std::mem::take(self.settled.get_mut());
        if !dead_letters.is_empty() {
            let path = std::mem::take(&mut self.path);
            // Once the run is over nobody removes dead letters any more.
            let _ = self.removals.send(Some(Removal { path, dead_letters }));
        }
    }
}

impl<'a> ReplaySource<'a> {
    /// Opens the file. Dead letters that are read and stay in it are added to `left`.
    pub(super) fn open(
        replay: &'a Replay,
        removals: Sender<Option<Removal>>,
        left: &'a mut LeftLetters,
    ) -> io::Result<Self> {
        let entries = DeadLetterReader::open(&replay.path)?;
        let path = replay.path.clone();
        let file = Arc::new(ReplayedFile { path, settled: Mutex::default(), removals });
        Ok(ReplaySource { replay, entries, file, left, logged: BTreeSet::new(), failure: None })
    }

    /// Says from where on the file was not read, where that was stopped.
    pub(super) fn finish(mut self, stop: &CancellationToken) -> io::Result<Option<UnreadInput>> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let next = if stop.is_cancelled() { self.entries.next().transpose()? } else { None };
        let source = self.replay.path.to_string_lossy().into_owned();
        Ok(next.map(|entry| UnreadInput { source, from_line: entry.number }))
    }

    /// The chunk of a dead letter's event, unless the dead letter is to stay where it is.
    fn take_entry(&mut self, entry: DeadLetterLine, chunker: &Chunker) -> Option<Chunk> {
        let DeadLetterLine { bytes, dead_letter, .. } = entry;
        chunker.count_read((bytes.end - bytes.start) as usize, 0);
        let Ok(dead_letter) = dead_letter else {
            self.left.unreadable += 1;
            return None;
        };
        if !self.replay.filter.matches(&dead_letter) {
            return None;
        }
        if dead_letter.bytes_total.is_some() {
            self.left.partial += 1;
            return None;
        }
        if dead_letter.reason == Reason::RequestRefused.word() {
            self.left.requests += 1;
            return None;
        }
        let Some(source) = self.replay.sources.current(&dead_letter.source) else {
            self.left.unknown_source += 1;
            self.log_unknown(&dead_letter.source);
            return None;
        };
        let source = EventSource::with_history(source, &dead_letter.history_with_this());
        Some(self.make_chunk(dead_letter, source, bytes, chunker))
    }

    fn make_chunk(
        &self,
        dead_letter: StoredDeadLetter,
        source: EventSource,
        bytes: Range<u64>,
        chunker: &Chunker,
    ) -> Chunk {
        chunker.count_read(0, 1);
        let (totals, file) = (chunker.totals(), Arc::clone(&self.file));
        let ack = Ack::new(source, 1, move |settled| {
            totals.add_settled(settled);
            file.settle_letter(bytes, settled);
        });
        let event = 0..dead_letter.event.len();
        let mut lines =
            Lines { bytes: dead_letter.event, first_line: dead_letter.line, ..Lines::default() };
        lines.push(event, 0);
        lines.into_chunk(ack)
    }

    /// Say once for each source why its dead letters are left.
    fn log_unknown(&mut self, source: &str) {
        let source = &source[..source.floor_char_boundary(limits::DETAIL_BYTES_MAX)];
        if self.logged.len() < limits::UNKNOWN_SOURCES_NAMED_MAX && !self.logged.contains(source) {
            tracing::warn!(
                "leaving dead letters of the source {source:?} in their file: no [[sources]] entry has this name, so the role \
                 to deliver them with is unknown. Put the source back, or set formerly = [{source:?}] in the source that \
                 replaces it; --allow-unknown-sources replays dead letters of files and programs with the default role"
            );
            self.logged.insert(source.to_owned());
        }
    }
}

impl ChunkSource for ReplaySource<'_> {
    fn next_chunk(&mut self, chunker: &Chunker) -> NextChunk {
        match self.entries.next() {
            Some(Ok(entry)) => {
                self.take_entry(entry, chunker).map_or(NextChunk::Nothing, NextChunk::Chunk)
            }
            Some(Err(error)) => {
                self.failure = Some(error);
                NextChunk::End
            }
            None => NextChunk::End,
        }
    }
}
