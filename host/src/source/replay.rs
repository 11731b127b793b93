//! Replays dead letters: their events are processed again, and the settled ones are removed from
//! their files.

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

/// A file of dead letters to replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The file. Nothing else may write to it meanwhile.
    pub path: PathBuf,
    /// Selects the dead letters to replay.
    pub filter: DeadLetterFilter,
    /// The known sources. Dead letters of other sources are skipped.
    pub sources: SourceNames,
}

/// Numbers of dead letters that a replay skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftLetters {
    /// Dead letters with only the start of the event.
    pub partial: u64,
    /// Lines that are not a dead letter.
    pub unreadable: u64,
    /// Dead letters whose source is not in the settings.
    pub unknown_source: u64,
    /// Dead letters that are bodies of requests, and not events.
    pub requests: u64,
    /// They are messages of a queue that this version of the program cannot decode.
    pub messages: u64,
}

/// An input that a stop left unread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnreadInput {
    /// The source.
    pub source: String,
    /// The first line that was not read, counted from 1.
    pub from_line: u64,
}

/// The dead letters of one file. Each has its own chunk, so that each is settled separately.
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

/// Removes dead letters from their files on a separate thread, after all events of a file are
/// settled.
///
/// The dead letter of a delivered or filtered event is no longer necessary. An event that died
/// again has a new dead letter, which is synced before the old one is removed. All other dead
/// letters stay. A crash before the removal leaves a superfluous dead letter, but none is ever
/// missing.
#[derive(Debug)]
pub struct ReplayCompactor {
    removals: Sender<Option<Removal>>,
    thread: JoinHandle<Option<String>>,
}

/// The dead letters to remove from a file.
#[derive(Debug)]
pub struct Removal {
    path: PathBuf,
    dead_letters: Vec<Range<u64>>,
}

/// A file whose events are being processed. After the last event is settled, it determines which
/// dead letters to remove.
struct ReplayedFile {
    path: PathBuf,
    settled: Mutex<Vec<Range<u64>>>,
    removals: Sender<Option<Removal>>,
}

impl ReplayCompactor {
    /// Starts the thread, for a run that writes its own dead letters to this writer.
    ///
    /// # Errors
    ///
    /// Fails if the system cannot create the thread.
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

    /// Performs the removals queued so far, and ends. Returns the first error. The dead letters
    /// that it affected are still in their file.
    pub fn finish(self) -> Option<String> {
        // If the thread has failed, joining it reports that.
        let _ = self.removals.send(None);
        let failed =
            || Some("removing replayed dead letters failed: this is a bug of the host".to_owned());
        self.thread.join().unwrap_or_else(|_| failed())
    }
}

/// Runs until the run has ended.
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
            // After the end of the run, nothing removes dead letters any more.
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

    /// Reports the line from which a stopped replay did not read the file.
    pub(super) fn finish(mut self, stop: &CancellationToken) -> io::Result<Option<UnreadInput>> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let next = if stop.is_cancelled() { self.entries.next().transpose()? } else { None };
        let source = self.replay.path.to_string_lossy().into_owned();
        Ok(next.map(|entry| UnreadInput { source, from_line: entry.number }))
    }

    /// The chunk of a dead letter's event, unless the dead letter is skipped.
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
        if dead_letter.reason == Reason::MessageUnreadable.word() {
            let chunk = self.read_message(&dead_letter, bytes, chunker);
            self.left.messages += u64::from(chunk.is_none());
            return chunk;
        }
        let Some(source) = self.replay.sources.current(&dead_letter.source) else {
            self.left.unknown_source += 1;
            self.log_unknown(&dead_letter.source);
            return None;
        };
        let source = EventSource::with_history(source, &dead_letter.history_with_this());
        let event = 0..dead_letter.event.len();
        let mut lines =
            Lines { bytes: dead_letter.event, first_line: dead_letter.line, ..Lines::default() };
        lines.push(event, 0);
        Some(self.make_chunk(lines, source, bytes, chunker))
    }

    /// Makes a chunk of the events of a message, which an older version of the program could not decode.
    #[cfg(feature = "queue")]
    fn read_message(
        &self,
        dead_letter: &StoredDeadLetter,
        bytes: Range<u64>,
        chunker: &Chunker,
    ) -> Option<Chunk> {
        let (message, sources) = (&dead_letter.event, &self.replay.sources);
        let read =
            super::queued::read_message(message, Vec::new(), dead_letter.line, sources, None);
        let (source, lines) = read.ok()?;
        let source = EventSource::with_history(source.name(), &dead_letter.history_with_this());
        Some(self.make_chunk(lines, source, bytes, chunker))
    }

    #[cfg(not(feature = "queue"))]
    fn read_message(&self, _: &StoredDeadLetter, _: Range<u64>, _: &Chunker) -> Option<Chunk> {
        None
    }

    fn make_chunk(
        &self,
        lines: Lines,
        source: EventSource,
        bytes: Range<u64>,
        chunker: &Chunker,
    ) -> Chunk {
        let events = lines.len();
        chunker.count_read(0, events);
        let (totals, file) = (chunker.totals(), Arc::clone(&self.file));
        let ack = Ack::new(source, events, move |settled| {
            totals.add_settled(settled);
            file.settle_letter(bytes, settled);
        });
        lines.into_chunk(ack)
    }

    /// Logs once for each source why its dead letters are skipped.
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
