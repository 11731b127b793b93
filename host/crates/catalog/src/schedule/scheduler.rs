//! Determines the next due run, and starts runs until the scheduler is stopped. One run makes up
//! for all missed runs, overlapping runs are skipped, and a clock that is set back does not delay
//! runs.

use std::time::Duration;

use time::OffsetDateTime;

use super::{ActiveRun, RunResult, RunStore, RunStoreError, RunTrigger, Schedule};
use crate::limits;

/// Maximum number of skipped runs that are counted individually.
const CATALOG_SKIPPED_COUNTED: usize = 1000;

/// A future run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueRun {
    /// When the run is due.
    pub at: OffsetDateTime,
    /// Why the run starts.
    pub cause: RunTrigger,
}

/// Determines the next run of a schedule.
///
/// However many runs were missed while the program was not running, one run makes up for them at
/// once. Without any earlier run, none was missed. Runs that become due while another one is in
/// progress are skipped, and not made up for.
#[derive(Debug)]
pub struct Scheduler {
    schedule: Schedule,
    started: OffsetDateTime,
    /// All runs due until this time have started or were skipped.
    settled: OffsetDateTime,
}

impl Scheduler {
    /// Creates a scheduler that starts now. `last` is the time of the last run.
    pub fn new(schedule: Schedule, last: Option<OffsetDateTime>, now: OffsetDateTime) -> Self {
        // After a clock was set back, runs must not wait until it has caught up.
        Scheduler { schedule, started: now, settled: last.map_or(now, |last| last.min(now)) }
    }

    /// Returns the next run, or `None` if there are no more.
    pub fn next_run(&self) -> Option<DueRun> {
        let at = self.schedule.next_after(self.settled)?;
        let cause = if at < self.started { RunTrigger::Missed } else { RunTrigger::Scheduled };
        Some(DueRun { at, cause })
    }

    /// Checks the clock. If it was set back, the repeated times are due again, so no run waits
    /// until the clock has caught up.
    pub fn look_at_clock(&mut self, now: OffsetDateTime) {
        // Small differences are usual corrections of the clock.
        if self.settled - now > limits::CATALOG_CLOCK_STEP {
            tracing::info!("the clock was set back; rescheduling the next catalog run");
            self.started = self.started.min(now);
            self.settled = now;
        }
    }

    /// Marks all runs due until now as started or skipped.
    pub fn settle_until(&mut self, now: OffsetDateTime) {
        self.settled = self.settled.max(now);
    }

    /// Ends a run. Returns how many runs were skipped while it lasted, and the last of them.
    pub fn end_run(&mut self, now: OffsetDateTime) -> Option<(usize, DueRun)> {
        let next =
            |after: &OffsetDateTime| self.schedule.next_after(*after).filter(|next| *next <= now);
        let first = next(&self.settled)?;
        let skipped = std::iter::successors(Some(first), next).take(CATALOG_SKIPPED_COUNTED);
        let (count, last) = skipped.fold((0, first), |(count, _), at| (count + 1, at));
        self.settle_until(now);
        Some((count, DueRun { at: last, cause: RunTrigger::Scheduled }))
    }
}

/// Why the schedule ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleEnd {
    /// The schedule has no more runs.
    Over,
    /// The caller stopped it.
    Stopped,
}

/// Starts runs when they are due, until `stop` completes. A run in progress then has
/// [`limits::CATALOG_STOP_GRACE`] to end.
///
/// `now` returns the time, and `run` runs the catalog.
///
/// # Errors
///
/// Fails if the history cannot be read at the start. Later errors are logged, and the scheduler
/// waits for the next run.
pub async fn run_on_schedule(
    schedule: Schedule,
    history: &RunStore,
    now: impl Fn() -> OffsetDateTime,
    stop: impl Future<Output = ()>,
    mut run: impl AsyncFnMut(&ActiveRun) -> RunResult,
) -> Result<ScheduleEnd, RunStoreError> {
    let mut scheduler = Scheduler::new(schedule, history.load()?.last_start(), now());
    let mut stop = std::pin::pin!(stop);
    loop {
        scheduler.look_at_clock(now());
        let Some(due) = scheduler.next_run() else { return Ok(ScheduleEnd::Over) };
        log_due(due, now());
        tokio::select! {
            () = &mut stop => return Ok(ScheduleEnd::Stopped),
            is_due = wait_until(due.at, &now) => if !is_due { continue },
        }
        scheduler.settle_until(now());
        let claim = match history.begin_run(due.cause, Some(due.at), now()) {
            Ok(Some(claim)) => claim,
            Ok(None) => {
                skip_run(history, due, now(), "another process is running the catalog");
                continue;
            }
            Err(error) => {
                tracing::error!("failed to start a catalog run: {error}");
                continue;
            }
        };
        let (outcome, is_stopped) = finish_run(&mut stop, run(&claim)).await;
        if let Err(error) = claim.end_run(outcome, now()) {
            tracing::error!("failed to record the result of a catalog run: {error}");
        }
        if is_stopped {
            return Ok(ScheduleEnd::Stopped);
        }
        if let Some((count, last)) = scheduler.end_run(now()) {
            let why = format!("{count} runs were due before the previous run ended");
            skip_run(history, last, now(), &why);
        }
    }
}

/// Waits for a run. Returns its result, and whether the schedule was stopped.
async fn finish_run(
    stop: &mut (impl Future<Output = ()> + Unpin),
    run: impl Future<Output = RunResult>,
) -> (RunResult, bool) {
    let mut run = std::pin::pin!(run);
    tokio::select! {
        outcome = &mut run => return (outcome, false),
        () = stop => {}
    }
    tracing::info!(
        "waiting up to {:?} for the current catalog run to end",
        limits::CATALOG_STOP_GRACE
    );
    let outcome = tokio::time::timeout(limits::CATALOG_STOP_GRACE, run).await;
    let stopped = |_| RunResult::stopped("stopped before it ended");
    (outcome.unwrap_or_else(stopped), true)
}

/// Waits until this time. Returns false if the clock was set back during the wait. Waits in steps,
/// because the clock may be changed, and the machine may sleep.
async fn wait_until(until: OffsetDateTime, now: &impl Fn() -> OffsetDateTime) -> bool {
    let mut latest = now();
    loop {
        let time = now();
        if latest - time > limits::CATALOG_CLOCK_STEP {
            return false;
        }
        latest = latest.max(time);
        let left = Duration::try_from(until - time).unwrap_or_default();
        if left.is_zero() {
            return true;
        }
        tokio::time::sleep(left.min(limits::CATALOG_CLOCK_STEP)).await;
    }
}

fn log_due(due: DueRun, now: OffsetDateTime) {
    let at = standpipe_core::clock::rfc3339(due.at);
    match due.cause {
        RunTrigger::Missed => {
            tracing::info!(due = at, "a scheduled catalog run was missed; running it now");
        }
        _ => {
            let left = Duration::try_from(due.at - now).unwrap_or_default();
            let left = humantime::format_duration(Duration::from_secs(left.as_secs()));
            tracing::info!(due = at, "the next catalog run starts in {left}");
        }
    }
}

fn skip_run(history: &RunStore, due: DueRun, now: OffsetDateTime, why: &str) {
    tracing::warn!(due = standpipe_core::clock::rfc3339(due.at), "skipping a catalog run: {why}");
    if let Err(error) = history.record_skip(due.cause, Some(due.at), now, why) {
        tracing::error!("failed to record the skipped run: {error}");
    }
}

#[cfg(test)]
mod tests;
