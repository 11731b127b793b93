//! Dead letters: events that cannot be delivered, kept with the reason.
//!
//! One JSON object on each line of a few files. A dead letter is written with a
//! single call as soon as it is known, so that a crash can tear the last line of
//! a file and no other. A file belongs to the process that began it, which holds
//! a lock on it until it is done with it; from then on dead letters are only taken
//! out. The directory is bounded: see [`DeadLetterLimit`].
//!
//! An event is dead once its dead letter is there, and not before: a source that keeps
//! its events lets one go only then. Where the source promises to outlive a loss
//! of power, so does the dead letter: see [`DeadLetterDurability`].
//!
//! Dead letters can be forwarded to a place beside ([`DeadLetterWriter::start_forwarding`]). The
//! stream gets copies only: nothing waits for a copy, and a lost copy makes no dead letter.

mod dead_letter;
mod directory;
mod filter;
mod forward_queue;
mod json_line;
mod log;
mod queue;
mod queued_dead_letter;
mod reader;
mod settings;
mod storage;
mod stored_dead_letter;
mod writer;

pub use dead_letter::DeadLetter;
pub use directory::{
    DeadLetterDirectory, DeadLetterDirectoryLock, DeadLetterFile, remove_dead_letters,
};
pub use filter::DeadLetterFilter;
pub use forward_queue::{ForwardedLetter, ForwardingReceipt, ForwardingReport};
pub use json_line::PriorAttempt;
#[cfg(any(test, feature = "testing"))]
pub use queue::DeadLetterSteps;
pub use queued_dead_letter::DeadLetterDurability;
pub use reader::{DeadLetterLine, DeadLetterReader, UnreadableLine};
pub use settings::{DeadLetterLimit, RawDeadLetters, WhenFull};
pub use stored_dead_letter::{CorruptDeadLetter, ShowEvent, StoredDeadLetter};
pub use writer::DroppedDeadLetters;

pub use standpipe_core::event::Reason;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crossbeam_channel::Receiver;

use crate::limits;
use forward_queue::ForwardQueue;
use log::DeadLetterLog;
use queue::DeadLetterQueue;
use queued_dead_letter::QueuedDeadLetter;
use standpipe_core::event::{Ack, OnUndeliverable, OutputOutcome};
use storage::{Files, Storage};

/// Writes dead letters, and counts them by their reason.
///
/// An event whose dead letter is not written is never settled as dead. What becomes of
/// it is decided when this is made: a run that ends by itself has its dead letters
/// [refused](DeadLetterWriter::bounded) and ends with a fault; one that goes on until it is
/// stopped has them [wait](DeadLetterWriter::waiting), and goes on once there is room.
pub struct DeadLetterWriter {
    log: Arc<DeadLetterLog>,
    /// Where dead letters wait, if they do.
    queue: Option<DeadLetterQueue>,
    on_refusal: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// What has been written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterReport {
    /// The file that was written last, if there is one.
    pub file: Option<PathBuf>,
    /// Dead letters by their reason. One event can have several.
    pub dead_letters: BTreeMap<Reason, u64>,
    /// What was dropped to make room for them.
    pub dropped: DroppedDeadLetters,
    /// What became of their copies, if they are copied.
    pub copies: Option<ForwardingReport>,
    /// Why the first dead letter that was refused could not be written.
    pub failure: Option<String>,
    /// Dead letters that were refused: their events are not settled.
    pub refused: u64,
    /// Attempts to write dead letters that failed.
    pub write_errors: u64,
    /// Dead letters that wait to be written.
    pub waiting: u64,
    /// Why dead letters cannot be written at present, if they wait for that.
    pub trouble: Option<String>,
}

impl DeadLetterWriter {
    /// Dead letters in this directory, which is made when the first one comes.
    pub fn new(directory: PathBuf) -> Self {
        Self::bounded(directory, DeadLetterLimit::default())
    }

    /// Dead letters in this directory, which they may fill up to here. What cannot be
    /// written at once is refused.
    pub fn bounded(directory: PathBuf, bound: DeadLetterLimit) -> Self {
        let log =
            DeadLetterLog::new(directory, bound, DeadLetterDurability::Written, Box::new(Files));
        DeadLetterWriter { log, queue: None, on_refusal: OnceLock::new() }
    }

    /// Dead letters that a thread of its own writes. What cannot be written waits and is
    /// tried again, until [`DeadLetterWriter::stop_waiting`].
    ///
    /// # Errors
    ///
    /// The system grants no thread.
    pub fn waiting(
        directory: PathBuf,
        bound: DeadLetterLimit,
        durability: DeadLetterDurability,
    ) -> io::Result<Self> {
        Self::waiting_on(directory, bound, durability, Box::new(Files))
    }

    fn waiting_on(
        directory: PathBuf,
        bound: DeadLetterLimit,
        durability: DeadLetterDurability,
        storage: Box<dyn Storage>,
    ) -> io::Result<Self> {
        let log = DeadLetterLog::new(directory, bound, durability, storage);
        let queue = Some(DeadLetterQueue::start(Arc::clone(&log), durability)?);
        Ok(DeadLetterWriter { log, queue, on_refusal: OnceLock::new() })
    }

    /// Dead letters that wait, and are written when a simulation says so.
    #[cfg(any(test, feature = "testing"))]
    pub fn stepped(
        directory: PathBuf,
        bound: DeadLetterLimit,
        durability: DeadLetterDurability,
    ) -> (Self, DeadLetterSteps) {
        let log = DeadLetterLog::new(directory, bound, durability, Box::new(Files));
        let (queue, steps) = DeadLetterQueue::stepped(Arc::clone(&log), durability);
        (DeadLetterWriter { log, queue: Some(queue), on_refusal: OnceLock::new() }, steps)
    }

    /// Have this done when a dead letter is refused that does not wait. Only the first
    /// call has an effect.
    pub fn on_refusal(&self, work: impl Fn() + Send + Sync + 'static) {
        let _ = self.on_refusal.set(Box::new(work));
    }

    /// From now on each dead letter is copied: the copies come out here, in the order
    /// of the dead letters, until [`DeadLetterWriter::end_forwarding`].
    pub fn start_forwarding(&self) -> Receiver<ForwardedLetter> {
        let (copies, queue) = ForwardQueue::new(limits::DEAD_COPIES_BYTES_MAX);
        self.log.copy_to(copies);
        queue
    }

    /// No more dead letters will be written.
    pub fn end_forwarding(&self) {
        self.log.with_copies(ForwardQueue::close_queue);
    }

    /// Write a dead letter, and settle its event as dead once that is done. It may be done
    /// later, and never: then the event is not settled.
    ///
    /// This does not wait for room: see [`DeadLetterWriter::wait_for_room`].
    pub fn settle_dead(&self, dead_letter: &DeadLetter<'_>, ack: &Ack, event: u32) {
        match &self.queue {
            Some(queue) if dead_letter.on_undeliverable == OnUndeliverable::DeadLetter => {
                let line = match dead_letter.to_line() {
                    Ok(line) => line,
                    Err(error) => return self.log.count_refused(&error, 1),
                };
                let (reason, ack) = (dead_letter.reason, ack.clone());
                if queue.push(QueuedDeadLetter { line, reason, ack, event }).is_err() {
                    self.log.count_refused(&io::ErrorKind::BrokenPipe.into(), 1);
                }
            }
            _ => {
                if self.write(dead_letter).is_ok() {
                    ack.settle(event, OutputOutcome::Dead(dead_letter.reason));
                }
            }
        }
    }

    /// Wait until no more dead letters wait to be written than there is memory for. Blocks
    /// the thread, so it must not be called on the runtime's threads.
    pub fn wait_for_room_blocking(&self) {
        if let Some(queue) = &self.queue {
            queue.wait_for_room_blocking();
        }
    }

    /// Waits for room in a task.
    pub async fn wait_for_room(&self) {
        if let Some(queue) = &self.queue {
            queue.wait_for_room().await;
        }
    }

    /// Write a dead letter now.
    ///
    /// # Errors
    ///
    /// The dead letter is not on its file: the event is not accounted for. The
    /// first failure is kept for the [`DeadLetterReport`]. A dead letter about the copy of a
    /// dead letter is none, and never written: it would be copied in turn, without
    /// end.
    pub fn write(&self, dead_letter: &DeadLetter<'_>) -> io::Result<()> {
        if dead_letter.on_undeliverable == OnUndeliverable::Discard {
            self.log.with_copies(|copies| copies.give_up(dead_letter.detail));
            return Err(io::ErrorKind::Unsupported.into());
        }
        let written =
            dead_letter.to_line().and_then(|line| self.log.write(&line, dead_letter.reason));
        if written.is_err()
            && let Some(on_refusal) = self.on_refusal.get()
        {
            on_refusal();
        }
        written
    }

    /// Bring what has been written to the disk.
    ///
    /// # Errors
    ///
    /// The disk failed, now or before: dead letters that were written are lost. A disk that
    /// failed once to sync bytes says no more about them the second time. Dead letters that
    /// wait are written again where that happens, so of these it is not an error.
    pub fn sync(&self) -> io::Result<()> {
        let mut writer = self.log.writer.lock();
        writer.sync()?;
        match self.queue.is_none() && writer.losses > 0 {
            true => Err(io::Error::other(
                "some were lost before they were synced: the disk failed, or their file was removed",
            )),
            false => Ok(()),
        }
    }

    /// Nobody waits any longer for dead letters that cannot be written: they are refused.
    pub fn stop_waiting(&self) {
        if let Some(queue) = &self.queue {
            queue.stop_waiting();
        }
    }

    /// Wait until each dead letter is written, or refused. None may come any more. Blocks
    /// the thread.
    pub fn finish(&self) {
        if let Some(queue) = &self.queue {
            queue.finish();
        }
    }

    /// What has been written so far.
    pub fn report(&self) -> DeadLetterReport {
        let waiting = self.queue.as_ref().map_or(0, |queue| queue.count() as u64);
        DeadLetterReport { waiting, ..self.log.report() }
    }
}

impl fmt::Debug for DeadLetterWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DeadLetterWriter { log, queue, .. } = self;
        f.debug_struct("DeadLetterWriter").field("log", log).field("queue", queue).finish()
    }
}

#[cfg(test)]
mod promises;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use standpipe_core::event::EventSource;

    #[test]
    fn letters_are_lines_of_json_and_keep_every_byte() {
        let directory = tempfile::tempdir().unwrap();
        let dead_letters = DeadLetterWriter::new(directory.path().join("dead"));
        assert_eq!(dead_letters.report(), DeadLetterReport::default());
        let dead_letter = DeadLetter {
            reason: Reason::NotJson,
            detail: "not JSON from byte 3",
            source: "in.ndjson",
            line: 7,
            stream: None,
            plugin: "abc",
            generation: 3,
            attempts: 0,
            on_undeliverable: OnUndeliverable::DeadLetter,
            history: None,
            bytes_total: None,
            original: b"{\"a",
        };
        dead_letters.write(&dead_letter).unwrap();
        dead_letters
            .write(&DeadLetter { original: b"\xff\0", stream: Some("s"), ..dead_letter })
            .unwrap();
        dead_letters.sync().unwrap();
        let report = dead_letters.report();
        assert_eq!(report.dead_letters, BTreeMap::from([(Reason::NotJson, 2)]));
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
        let dead_letters = DeadLetterWriter::new(directory.path().to_owned());
        let first = "in".into();
        dead_letters.write(&DeadLetter::of_line(Reason::NotJson, "d", &first, 7, b"x")).unwrap();
        let read = || DeadLetterReader::open(&dead_letters.report().file.unwrap()).unwrap();
        let first = read().next().unwrap().unwrap().dead_letter.unwrap();
        let again = EventSource::with_history(&first.source, &first.history_with_this());
        dead_letters.write(&DeadLetter::of_line(Reason::ZeroByte, "", &again, 7, b"x")).unwrap();
        let second = read().last().unwrap().unwrap().dead_letter.unwrap();
        assert_eq!((second.source.as_str(), second.history.len()), ("in", 1));
        let death = &second.history[0];
        assert_eq!((death.reason.as_str(), death.detail.as_str()), ("not_json", "d"));
    }

    #[test]
    fn a_full_directory_says_what_to_change() {
        let directory = tempfile::tempdir().unwrap();
        let bound = DeadLetterLimit { bytes_max: 300, when_full: WhenFull::Stop };
        let dead_letters = DeadLetterWriter::bounded(directory.path().to_owned(), bound);
        let (source, refusals) = ("in".into(), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&refusals);
        dead_letters.on_refusal(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let write =
            || dead_letters.write(&DeadLetter::of_line(Reason::NotJson, "", &source, 1, b""));
        write().unwrap();
        assert!(write().is_ok() || refusals.load(Ordering::Relaxed) == 1);
        assert!(write().is_err());
        assert!(refusals.load(Ordering::Relaxed) > 0);
        let failure = dead_letters.report().failure.unwrap();
        assert!(failure.contains("`max_bytes`") && failure.contains("`when_full`"), "{failure}");
    }

    #[test]
    fn a_letter_that_cannot_be_written_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let in_the_way = directory.path().join("dead");
        std::fs::write(&in_the_way, "a file").unwrap();
        let dead_letters = DeadLetterWriter::new(in_the_way);
        let source = "in".into();
        let dead_letter = DeadLetter::of_line(Reason::NotJson, "", &source, 1, b"");
        assert!(dead_letters.write(&dead_letter).is_err());
        assert!(dead_letters.report().failure.unwrap().contains("--data-dir"));
    }
}
