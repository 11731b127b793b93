//! The counts of written dead letters, and the problems of writing.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

use super::forward_queue::ForwardQueue;
use super::queued_dead_letter::{DeadLetterDurability, QueuedDeadLetter};
use super::storage::Storage;
use super::writer::{DeadLetterFileWriter, is_bound_reached, is_too_large};
use super::{DeadLetterDirectory, DeadLetterLimit, DeadLetterReport, DroppedDeadLetters, Reason};

/// The minimum time between two log lines about dead letters that cannot be written.
const DEAD_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The file of dead letters, and the counts.
///
/// The counts have a separate lock, which is only held for a short time. So a report of the counts
/// never waits for the disk.
#[derive(Debug)]
pub(super) struct DeadLetterLog {
    folder: DeadLetterDirectory,
    bound: DeadLetterLimit,
    /// Locked before `state`, if both are locked.
    pub(super) writer: Mutex<DeadLetterFileWriter>,
    state: Mutex<LogState>,
    /// Number of written dead letters, by reason.
    dead_letters: [Counter; Reason::ALL.len()],
    /// Number of refused dead letters.
    refused: Counter,
    /// Number of failed attempts to write dead letters.
    write_errors: Counter,
}

#[derive(Debug, Default)]
struct LogState {
    file: Option<PathBuf>,
    dropped: DroppedDeadLetters,
    copies: Option<ForwardQueue>,
    /// The first refusal or loss of dead letters.
    failure: Option<String>,
    /// Why dead letters cannot be written now, and when that was last logged.
    trouble: Option<(String, Instant)>,
}

impl DeadLetterLog {
    /// Creates a log in this directory.
    pub(super) fn new(
        directory: PathBuf,
        bound: DeadLetterLimit,
        durability: DeadLetterDurability,
        storage: Box<dyn Storage>,
    ) -> Arc<Self> {
        let folder = DeadLetterDirectory::new(directory);
        let writer = DeadLetterFileWriter::new(folder.clone(), bound, storage, durability);
        Arc::new(DeadLetterLog {
            folder,
            bound,
            writer: Mutex::new(writer),
            state: Mutex::default(),
            dead_letters: Default::default(),
            refused: Counter::default(),
            write_errors: Counter::default(),
        })
    }

    /// Writes one dead letter now.
    ///
    /// # Errors
    ///
    /// Fails if the dead letter is not written. Counts the failure.
    pub(super) fn write(&self, line: &[u8], reason: Reason) -> io::Result<()> {
        let mut writer = self.writer.lock();
        let written = writer.append(line);
        let mut state = self.state.lock();
        state.note_writer(&writer);
        match &written {
            Ok(()) => self.count(&mut state, line, reason),
            Err(error) => {
                self.write_errors.inc();
                drop(state);
                self.count_refused(error, 1);
            }
        }
        written
    }

    /// Writes dead letters, with one sync for all of them if they must be durable. Returns how many
    /// are written, and the error of the next one.
    pub(super) fn write_group(
        &self,
        dead_letters: &VecDeque<QueuedDeadLetter>,
    ) -> (usize, Option<io::Error>) {
        let mut writer = self.writer.lock();
        let (mut written, mut error) = (0, None);
        let losses = writer.losses;
        for dead_letter in dead_letters {
            match writer.append(&dead_letter.line) {
                Ok(()) => written += 1,
                Err(failed) => {
                    error = Some(failed);
                    break;
                }
            }
        }
        let kept = match writer.durability {
            DeadLetterDurability::Synced => writer.sync(),
            DeadLetterDurability::Written => writer.verify_in_place(),
        };
        if let Err(failed) = kept {
            error.get_or_insert(failed);
        }
        if writer.losses != losses {
            // Some of them are lost with their file, and it is unknown which. All are written
            // again, to another file.
            written = 0;
            let lost = || io::Error::other("dead letters were lost with their file");
            error = error.map(|error| if is_too_large(&error) { lost() } else { error });
        }
        let mut state = self.state.lock();
        state.note_writer(&writer);
        for dead_letter in dead_letters.iter().take(written) {
            self.count(&mut state, &dead_letter.line, dead_letter.reason);
        }
        match &error {
            Some(_) => drop(self.write_errors.inc()),
            None => state.log_recovery(),
        }
        (written, error)
    }

    /// Counts dead letters that are permanently refused.
    pub(super) fn count_refused(&self, error: &io::Error, dead_letters: usize) {
        let mut state = self.state.lock();
        self.refused.inc_by(dead_letters as u64);
        if state.failure.is_none() {
            let failure = self.describe_failure(error);
            tracing::error!("failed to {failure}");
            state.failure = Some(failure);
        }
    }

    /// Logs that this number of dead letters wait, but not at every attempt.
    pub(super) fn mention_trouble(&self, error: &io::Error, waiting: usize) {
        let mut state = self.state.lock();
        let failure = self.describe_failure(error);
        let logged = state.trouble.as_ref().map(|(_, at)| *at);
        let at = logged.filter(|at| at.elapsed() < DEAD_LOG_INTERVAL).unwrap_or_else(|| {
            tracing::error!(
                waiting,
                "failed to {failure}; they are tried again, and their events wait with them"
            );
            Instant::now()
        });
        state.trouble = Some((failure, at));
    }

    fn describe_failure(&self, error: &io::Error) -> String {
        let directory = self.folder.path().display();
        let bytes = self.bound.bytes_max;
        if is_bound_reached(error) {
            return format!(
                "write dead letters in {directory}: their limit of {bytes} bytes is reached: replay or purge some, or raise `max_bytes` or change `when_full` under [dead_letters]"
            );
        }
        if is_too_large(error) {
            return format!(
                "write dead letters in {directory}: one is larger than the limit for all of them, \
                 {bytes} bytes: raise `max_bytes` under [dead_letters]"
            );
        }
        format!(
            "write dead letters in {directory}: {error}: free disk space and check the permissions there, or set --data-dir"
        )
    }

    pub(super) fn copy_to(&self, copies: ForwardQueue) {
        self.state.lock().copies = Some(copies);
    }

    /// Calls a function with the copies, if dead letters are copied.
    pub(super) fn with_copies(&self, work: impl FnOnce(&mut ForwardQueue)) {
        self.state.lock().copies.as_mut().map(work);
    }

    pub(super) fn report(&self) -> DeadLetterReport {
        let state = self.state.lock();
        let dead_letters =
            Reason::ALL.iter().copied().zip(self.dead_letters.iter().map(Counter::get));
        DeadLetterReport {
            file: state.file.clone(),
            dead_letters: dead_letters.filter(|(_, count)| *count > 0).collect(),
            dropped: state.dropped,
            copies: state.copies.as_ref().map(ForwardQueue::report),
            failure: state.failure.clone(),
            refused: self.refused.get(),
            write_errors: self.write_errors.get(),
            trouble: state.trouble.as_ref().map(|(trouble, _)| trouble.clone()),
            waiting: 0,
        }
    }

    fn count(&self, state: &mut LogState, line: &[u8], reason: Reason) {
        if let Some(copies) = &mut state.copies {
            copies.forward(line);
        }
        self.dead_letters[reason as usize].inc();
    }
}

impl LogState {
    /// Takes over the counts of the writer.
    fn note_writer(&mut self, writer: &DeadLetterFileWriter) {
        if writer.path() != self.file.as_deref()
            && let Some(path) = writer.path()
        {
            self.file = Some(path.to_owned());
        }
        self.dropped = writer.dropped;
    }

    /// Logs that dead letters can be written again.
    fn log_recovery(&mut self) {
        if let Some((trouble, _)) = self.trouble.take() {
            tracing::info!("dead letters are written again, after: failed to {trouble}");
        }
    }
}
