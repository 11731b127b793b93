//! Dead letters: events that cannot be delivered, stored with the reason.
//!
//! Each dead letter is a JSON object on one line of a file. A single call writes it as soon as it
//! is known, so a crash can only tear the last line of a file. A file belongs to the process that
//! created it, which locks the file until it has finished it. After that, dead letters are only
//! removed from it. The size of the directory is limited: see [`DeadLetterLimit`].
//!
//! An event is settled as dead only after its dead letter is written. A source that keeps its
//! events releases an event only then. If the source guarantees durability across a power failure,
//! its dead letters are durable too: see [`DeadLetterDurability`].
//!
//! Dead letters can also be forwarded to a stream ([`DeadLetterWriter::start_forwarding`]). The
//! stream gets only copies: nothing waits for a copy, and a lost copy creates no dead letter.

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

/// Writes dead letters, and counts them by reason.
///
/// An event whose dead letter is not written is never settled as dead. The constructor determines
/// what happens to it: a run that ends by itself [refuses](DeadLetterWriter::bounded) such dead
/// letters and ends with an error. A run that continues until it is stopped lets them
/// [wait](DeadLetterWriter::waiting), and continues once there is room.
pub struct DeadLetterWriter {
    log: Arc<DeadLetterLog>,
    /// The queue of waiting dead letters, if they may wait.
    queue: Option<DeadLetterQueue>,
    on_refusal: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// Counts of written dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterReport {
    /// The file that was written last, if there is one.
    pub file: Option<PathBuf>,
    /// Dead letters by reason. One event can have several.
    pub dead_letters: BTreeMap<Reason, u64>,
    /// Dead letters that were dropped to make room for them.
    pub dropped: DroppedDeadLetters,
    /// The counts of forwarded copies, if forwarding is enabled.
    pub copies: Option<ForwardingReport>,
    /// Why the first refused dead letter could not be written.
    pub failure: Option<String>,
    /// Refused dead letters. Their events are not settled.
    pub refused: u64,
    /// Failed attempts to write dead letters.
    pub write_errors: u64,
    /// Dead letters that wait to be written.
    pub waiting: u64,
    /// Why dead letters cannot be written now, if they wait for that.
    pub trouble: Option<String>,
}

impl DeadLetterWriter {
    /// Creates a writer for this directory. The first dead letter creates the directory.
    pub fn new(directory: PathBuf) -> Self {
        Self::bounded(directory, DeadLetterLimit::default())
    }

    /// Creates a writer for this directory with a limit. A dead letter that cannot be written at
    /// once is refused.
    pub fn bounded(directory: PathBuf, bound: DeadLetterLimit) -> Self {
        let log =
            DeadLetterLog::new(directory, bound, DeadLetterDurability::Written, Box::new(Files));
        DeadLetterWriter { log, queue: None, on_refusal: OnceLock::new() }
    }

    /// Creates a writer with its own thread. A dead letter that cannot be written waits and is
    /// retried until [`DeadLetterWriter::stop_waiting`].
    ///
    /// # Errors
    ///
    /// Fails if the system cannot create the thread.
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

    /// Creates a writer whose dead letters wait until a simulation lets them be written.
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

    /// Sets the function to call when a dead letter that may not wait is refused. Only the first
    /// call has an effect.
    pub fn on_refusal(&self, work: impl Fn() + Send + Sync + 'static) {
        let _ = self.on_refusal.set(Box::new(work));
    }

    /// Starts forwarding: returns the receiver of the copies, in the order of the dead letters,
    /// until [`DeadLetterWriter::end_forwarding`].
    pub fn start_forwarding(&self) -> Receiver<ForwardedLetter> {
        let (copies, queue) = ForwardQueue::new(limits::DEAD_COPIES_BYTES_MAX);
        self.log.copy_to(copies);
        queue
    }

    /// Ends forwarding: no more dead letters will be written.
    pub fn end_forwarding(&self) {
        self.log.with_copies(ForwardQueue::close_queue);
    }

    /// Writes a dead letter, and settles its event as dead afterwards. That may happen later or
    /// never: the event is not settled until then.
    ///
    /// This does not wait for memory: see [`DeadLetterWriter::wait_for_room`].
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

    /// Waits while the memory for waiting dead letters is exceeded. Blocks the thread, so it must
    /// not be called on the runtime's threads.
    pub fn wait_for_room_blocking(&self) {
        if let Some(queue) = &self.queue {
            queue.wait_for_room_blocking();
        }
    }

    /// Waits for memory in a task.
    pub async fn wait_for_room(&self) {
        if let Some(queue) = &self.queue {
            queue.wait_for_room().await;
        }
    }

    /// Writes a dead letter now.
    ///
    /// # Errors
    ///
    /// Fails if the dead letter is not in its file. The event is then not settled. The first
    /// failure is kept for the [`DeadLetterReport`]. A dead letter about a copy of a dead letter is
    /// ignored and never written, because it would be copied again without end.
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

    /// Syncs everything that was written.
    ///
    /// # Errors
    ///
    /// Fails if the disk failed, now or before: written dead letters are lost. After a failed sync,
    /// a second sync says nothing about the bytes. Waiting dead letters are written again in this
    /// case, so for them it is not an error.
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

    /// Stops waiting for dead letters that cannot be written: they are refused.
    pub fn stop_waiting(&self) {
        if let Some(queue) = &self.queue {
            queue.stop_waiting();
        }
    }

    /// Waits until each dead letter is written or refused. No further dead letters may arrive.
    /// Blocks the thread.
    pub fn finish(&self) {
        if let Some(queue) = &self.queue {
            queue.finish();
        }
    }

    /// The counts so far.
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
