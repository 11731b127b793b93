//! A line of the history, and the run that its lines describe. Unknown lines are skipped. Failures
//! in a line are limited.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::limits;

/// Maximum characters of a recorded failure.
const CATALOG_FAILURE_CHARS_MAX: usize = 400;

/// Why a run started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunTrigger {
    /// A user requested it.
    Asked,
    /// It was due.
    Scheduled,
    /// It was due while the program was not running.
    Missed,
}

impl fmt::Display for RunTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RunTrigger::Asked => "asked",
            RunTrigger::Scheduled => "scheduled",
            RunTrigger::Missed => "missed",
        })
    }
}

/// A run of the catalog in the history.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunRecord {
    /// The run's id, which starts with its start time.
    pub id: String,
    /// When the run started, or was skipped.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub at: OffsetDateTime,
    /// Why the run started.
    pub cause: RunTrigger,
    /// When the run was due, if a schedule started it.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub due: Option<OffsetDateTime>,
    /// When the run ended.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub ended: Option<OffsetDateTime>,
    /// The status of the run.
    pub fate: RunStatus,
    /// The counts of the run.
    #[serde(flatten)]
    pub tally: RunCounts,
}

/// The status of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// The run is in progress.
    Running,
    /// The run finished successfully.
    Done,
    /// The run finished or was aborted, with failures.
    Failed,
    /// The run was stopped before its end.
    Stopped,
    /// The program ended during the run.
    CutOff,
    /// The run did not start because another one was in progress.
    Skipped,
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RunStatus::Running => "running",
            RunStatus::Done => "done",
            RunStatus::Failed => "failed",
            RunStatus::Stopped => "stopped",
            RunStatus::CutOff => "cut off",
            RunStatus::Skipped => "skipped",
        })
    }
}

/// The counts and failures of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunCounts {
    /// Numbers by name, such as `streams` or `edges_resolved`.
    pub counts: BTreeMap<String, u64>,
    /// The first failures, as text.
    pub failures: Vec<String>,
    /// The number of further failures.
    pub more_failures: u64,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The status of the run.
    pub fate: RunStatus,
    /// The counts of the run.
    #[serde(flatten)]
    pub tally: RunCounts,
}

impl RunResult {
    /// The result of a run that was stopped before its end.
    pub fn stopped(why: &str) -> Self {
        let failures = vec![why.to_owned()];
        RunResult {
            fate: RunStatus::Stopped,
            tally: RunCounts { failures, ..RunCounts::default() },
        }
    }
}

/// A line of the history file. A run has one line for its start and one for its end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HistoryLine {
    pub(super) run: String,
    #[serde(with = "rfc3339")]
    pub(super) at: OffsetDateTime,
    #[serde(flatten)]
    pub(super) event: HistoryEvent,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum HistoryEvent {
    Began {
        cause: RunTrigger,
        #[serde(default, with = "optional_rfc3339")]
        due: Option<OffsetDateTime>,
    },
    Ended(RunResult),
    Skipped {
        cause: RunTrigger,
        #[serde(default, with = "optional_rfc3339")]
        due: Option<OffsetDateTime>,
        failures: Vec<String>,
    },
}

impl RunCounts {
    /// Shortens failures to the limits of a line.
    pub(super) fn bounded(mut self) -> Self {
        let kept = limits::CATALOG_FAILURES_KEPT;
        let more = self.failures.len().saturating_sub(kept);
        self.more_failures += u64::try_from(more).unwrap_or(u64::MAX);
        self.failures.truncate(kept);
        for failure in &mut self.failures {
            *failure = failure.chars().take(CATALOG_FAILURE_CHARS_MAX).collect();
        }
        self
    }
}

impl HistoryLine {
    /// The line with its newline.
    pub(super) fn to_line(&self) -> String {
        serde_json::to_string(self).expect("a line has string keys") + "\n"
    }

    /// Parses a line. Returns `None` if it is invalid.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Adds a started run, or completes the run that the line is about.
    pub(super) fn add_to(self, runs: &mut Vec<RunRecord>) {
        let HistoryLine { run: id, at, event } = self;
        let (cause, due, ended, fate, failures) = match event {
            HistoryEvent::Began { cause, due } => (cause, due, None, RunStatus::Running, vec![]),
            HistoryEvent::Skipped { cause, due, failures } => {
                (cause, due, Some(at), RunStatus::Skipped, failures)
            }
            HistoryEvent::Ended(RunResult { fate, tally }) => {
                // The start of the run is no longer in the history.
                let Some(run) = runs.iter_mut().rev().find(|run| run.id == id) else { return };
                (run.ended, run.fate, run.tally) = (Some(at), fate, tally);
                return;
            }
        };
        let tally = RunCounts { failures, ..RunCounts::default() };
        runs.push(RunRecord { id, at, cause, due, ended, fate, tally });
    }
}

impl RunRecord {
    /// Returns the lines of the run.
    pub(super) fn to_lines(&self) -> String {
        let line = |at, event| HistoryLine { run: self.id.clone(), at, event }.to_line();
        let (cause, due) = (self.cause, self.due);
        if self.fate == RunStatus::Skipped {
            let failures = self.tally.failures.clone();
            return line(self.at, HistoryEvent::Skipped { cause, due, failures });
        }
        let began = line(self.at, HistoryEvent::Began { cause, due });
        let result = RunResult { fate: self.fate, tally: self.tally.clone() };
        let ended = self.ended.map(|at| line(at, HistoryEvent::Ended(result)));
        began + &ended.unwrap_or_default()
    }
}

mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
    use time::OffsetDateTime;

    use standpipe_core::clock;

    /// Serializes an optional time.
    pub(super) fn serialize<S: Serializer>(
        time: &(impl Copy + Into<Option<OffsetDateTime>>),
        to: S,
    ) -> Result<S::Ok, S::Error> {
        (*time).into().map(clock::rfc3339).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<OffsetDateTime, D::Error> {
        parse_time(&String::deserialize(from)?)
    }

    pub(super) fn parse_time<E: de::Error>(text: &str) -> Result<OffsetDateTime, E> {
        clock::parse_rfc3339(text).ok_or_else(|| E::custom("no time"))
    }
}

mod optional_rfc3339 {
    use serde::{Deserialize, Deserializer};
    use time::OffsetDateTime;

    use super::rfc3339;

    pub(super) use super::rfc3339::serialize;

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<OffsetDateTime>, D::Error> {
        Option::<String>::deserialize(from)?.as_deref().map(rfc3339::parse_time).transpose()
    }
}
