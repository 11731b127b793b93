//! The history of catalog runs in `DATA_DIR/catalog`: appended lines that are synced before a run
//! continues, and a lock that only a running process holds. Runs, logs and failures are limited;
//! the oldest are dropped.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use time::OffsetDateTime;

use super::run_record::{HistoryEvent, HistoryLine};
use super::{RunCounts, RunRecord, RunResult, RunStatus, RunTrigger};
use standpipe_core::clock;
use standpipe_core::private;

/// Maximum number of runs in the history: three weeks with one run per hour. If there are more, the
/// newer half is kept.
const CATALOG_RUNS_KEPT: usize = 500;

/// Bytes of the history, without the logs.
const CATALOG_HISTORY_BYTES_MAX: u64 = 4 * 1024 * 1024;

const FILE: &str = "runs.ndjson";
const UNFINISHED: &str = "runs.unfinished";
const LOCK: &str = "run.lock";
const LOGS: &str = "logs";
const LOCK_ATTEMPTS: usize = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// The history of catalog runs: `DATA_DIR/catalog`.
///
/// Lines are only appended to the file, and each is synced before the run continues. A line that a
/// crash has torn is skipped. A run holds a lock, which ends with its process: a run that started,
/// did not end, and has no lock was interrupted.
#[derive(Debug, Clone)]
pub struct RunStore {
    directory: PathBuf,
}

/// The contents of the store.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunHistory {
    /// The runs, oldest first.
    pub runs: Vec<RunRecord>,
    /// Lines that cannot be read.
    pub unreadable: u64,
}

/// The permission to run, and the run that uses it. A run that is dropped before its end counts as
/// interrupted.
#[derive(Debug)]
pub struct ActiveRun {
    history: RunStore,
    id: String,
    _lock: File,
}

/// The history cannot be read or written.
#[derive(Debug, Error)]
#[error("failed to access the run history in {}: {error}: check `data_dir` and its permissions", path.display())]
pub struct RunStoreError {
    path: PathBuf,
    error: io::Error,
}

impl RunStore {
    /// The store in a data directory.
    pub fn of_data_dir(data_dir: &Path) -> Self {
        RunStore { directory: data_dir.join("catalog") }
    }

    /// Reads the history. It is empty if the directory is missing.
    ///
    /// # Errors
    ///
    /// Fails if the disk fails.
    pub fn load(&self) -> Result<RunHistory, RunStoreError> {
        let mut history = self.read_file().map_err(|error| self.store_error(error))?;
        if !self.is_running().map_err(|error| self.store_error(error))? {
            for run in history.runs.iter_mut().filter(|run| run.fate == RunStatus::Running) {
                run.fate = RunStatus::CutOff;
            }
        }
        Ok(history)
    }

    /// Starts a run. Returns `None` if another one is in progress, here or in another process.
    /// Interrupted runs are recorded as such, and the oldest runs are dropped.
    ///
    /// # Errors
    ///
    /// Fails if the disk fails.
    pub fn begin_run(
        &self,
        cause: RunTrigger,
        due: Option<OffsetDateTime>,
        at: OffsetDateTime,
    ) -> Result<Option<ActiveRun>, RunStoreError> {
        let id = id_at(at);
        let began = HistoryLine { run: id.clone(), at, event: HistoryEvent::Began { cause, due } };
        let lock = self.try_begin(began).map_err(|error| self.store_error(error))?;
        Ok(lock.map(|lock| ActiveRun { history: self.clone(), id, _lock: lock }))
    }

    /// Records that a run did not start, and why.
    ///
    /// # Errors
    ///
    /// Fails if the disk fails.
    pub fn record_skip(
        &self,
        cause: RunTrigger,
        due: Option<OffsetDateTime>,
        at: OffsetDateTime,
        why: &str,
    ) -> Result<(), RunStoreError> {
        let failures =
            RunCounts { failures: vec![why.to_owned()], ..RunCounts::default() }.bounded().failures;
        let event = HistoryEvent::Skipped { cause, due, failures };
        let append = || {
            private::create_directory(&self.directory)?;
            self.append_lines(&[HistoryLine { run: id_at(at), at, event }])
        };
        append().map_err(|error| self.store_error(error))
    }

    /// The file of a run's log.
    pub fn log_path(&self, run: &RunRecord) -> PathBuf {
        self.log_of(&run.id)
    }

    fn try_begin(&self, began: HistoryLine) -> io::Result<Option<File>> {
        for directory in [&self.directory, &self.directory.join(LOGS)] {
            private::create_directory(directory)?;
            private::narrow_files(directory)?;
        }
        let mut options = private::file_options();
        let lock = options.create(true).append(true).open(self.directory.join(LOCK))?;
        if !lock_in_a_while(&lock)? {
            return Ok(None);
        }
        let history = self.read_file()?;
        let mut lines = Vec::new();
        for run in history.runs.iter().filter(|run| run.fate == RunStatus::Running) {
            tracing::warn!(
                run = run.id,
                "a previous catalog run was interrupted: its process ended before the run did"
            );
            let (fate, tally) = (RunStatus::CutOff, RunCounts::default());
            let event = HistoryEvent::Ended(RunResult { fate, tally });
            lines.push(HistoryLine { run: run.id.clone(), at: began.at, event });
        }
        lines.push(began);
        self.append_lines(&lines)?;
        Ok(Some(lock))
    }

    /// Returns whether a process holds the lock. Creates no file, because a reader may not be
    /// allowed to write.
    fn is_running(&self) -> io::Result<bool> {
        // The lock is shared, so that two readers do not mistake each other for a run.
        Ok(self.open_file(LOCK)?.is_some_and(|lock| lock.try_lock_shared().is_err()))
    }

    fn read_file(&self) -> io::Result<RunHistory> {
        let mut bytes = Vec::new();
        if let Some(file) = self.open_file(FILE)? {
            // The program writes less than this. A larger file is not read to its end.
            file.take(2 * CATALOG_HISTORY_BYTES_MAX).read_to_end(&mut bytes)?;
        }
        Ok(RunHistory::parse(&bytes))
    }

    fn open_file(&self, name: &str) -> io::Result<Option<File>> {
        match File::open(self.directory.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Appends lines while the directory is locked.
    fn append_lines(&self, lines: &[HistoryLine]) -> io::Result<()> {
        let directory = File::open(&self.directory)?;
        directory.lock()?;
        let path = self.directory.join(FILE);
        let mut file = private::file_options().create(true).read(true).append(true).open(&path)?;
        let mut text = if ends_torn(&file)? { "\n".to_owned() } else { String::new() };
        text.extend(lines.iter().map(HistoryLine::to_line));
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        let bytes = file.metadata()?.len();
        let history = self.read_file()?;
        if bytes > CATALOG_HISTORY_BYTES_MAX || history.runs.len() > CATALOG_RUNS_KEPT {
            self.drop_oldest_runs(history)?;
        }
        directory.sync_all()
    }

    /// Rewrites the file with its latest runs.
    fn drop_oldest_runs(&self, history: RunHistory) -> io::Result<()> {
        let (mut bytes, mut kept) = (0, Vec::new());
        let mut runs = history.runs;
        // Half of the runs are dropped, so that this is not necessary again with the next line.
        while let Some(run) = runs.pop_if(|_| kept.len() < CATALOG_RUNS_KEPT / 2) {
            let lines = run.to_lines();
            bytes += lines.len() as u64;
            if bytes > CATALOG_HISTORY_BYTES_MAX / 2 {
                runs.push(run);
                break;
            }
            kept.push(lines);
        }
        let unfinished = self.directory.join(UNFINISHED);
        let mut options = private::file_options();
        let mut file = options.write(true).create(true).truncate(true).open(&unfinished)?;
        for lines in kept.iter().rev() {
            file.write_all(lines.as_bytes())?;
        }
        file.sync_all()?;
        fs::rename(unfinished, self.directory.join(FILE))?;
        for run in runs {
            match fs::remove_file(self.log_of(&run.id)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn log_of(&self, id: &str) -> PathBuf {
        // The id comes from a file, so it can contain anything.
        let name: String =
            id.chars().filter(|it| it.is_ascii_alphanumeric() || *it == '-').collect();
        self.directory.join(LOGS).join(name + ".log")
    }

    fn store_error(&self, error: io::Error) -> RunStoreError {
        RunStoreError { path: self.directory.clone(), error }
    }
}

impl RunHistory {
    /// Parses the file, regardless of its content.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut history = RunHistory::default();
        for line in String::from_utf8_lossy(bytes).split('\n').filter(|line| !line.is_empty()) {
            match HistoryLine::parse(line) {
                Some(line) => line.add_to(&mut history.runs),
                None => history.unreadable += 1,
            }
        }
        history
    }

    /// When the last run started or was skipped.
    pub fn last_start(&self) -> Option<OffsetDateTime> {
        self.runs.iter().map(|run| run.at).max()
    }
}

impl ActiveRun {
    /// The id of the run.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The file for the run's log.
    pub fn log_path(&self) -> PathBuf {
        self.history.log_of(&self.id)
    }

    /// Records the result of the run.
    ///
    /// # Errors
    ///
    /// Fails if the disk fails.
    pub fn end_run(self, outcome: RunResult, at: OffsetDateTime) -> Result<(), RunStoreError> {
        let RunResult { fate, tally } = outcome;
        let event = HistoryEvent::Ended(RunResult { fate, tally: tally.bounded() });
        let line = HistoryLine { run: self.id.clone(), at, event };
        self.history.append_lines(&[line]).map_err(|error| self.history.store_error(error))
    }
}

/// Takes the lock with retries, because reading the history holds it for some microseconds.
#[expect(clippy::disallowed_methods, reason = "locks of files have no deadline")]
fn lock_in_a_while(lock: &File) -> io::Result<bool> {
    for _ in 0..LOCK_ATTEMPTS {
        match lock.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

/// An id that sorts by time and can be part of a file name. Two processes that skip at the same
/// moment get different ids.
fn id_at(at: OffsetDateTime) -> String {
    let time: String = clock::rfc3339(at).chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{time}-{}", std::process::id())
}

fn ends_torn(file: &File) -> io::Result<bool> {
    let Some(last_at) = file.metadata()?.len().checked_sub(1) else { return Ok(false) };
    let mut last = [0];
    file.read_exact_at(&mut last, last_at)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests;
