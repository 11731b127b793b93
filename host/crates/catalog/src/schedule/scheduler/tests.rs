//! Tests schedules under paused time: missed, overlapping and slow runs, clocks that are set, and
//! stops. No time is due twice.

use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::schedule::{RunCounts, RunStatus};
use standpipe_core::clock;

fn time(text: &str) -> OffsetDateTime {
    clock::parse_rfc3339(text).unwrap()
}

fn hourly() -> Schedule {
    Schedule::parse("hourly", None, None).unwrap()
}

/// A clock that follows tokio's time, which can be paused.
fn clock_from(text: &str) -> impl Fn() -> OffsetDateTime {
    let (start, began) = (time(text), Instant::now());
    move || start + began.elapsed()
}

fn done() -> RunResult {
    RunResult { fate: RunStatus::Done, tally: RunCounts::default() }
}

#[test]
fn without_a_run_before_none_was_missed() {
    let scheduler = Scheduler::new(hourly(), None, time("2026-01-01T10:30:00Z"));
    let expected = DueRun { at: time("2026-01-01T11:00:00Z"), cause: RunTrigger::Scheduled };
    assert_eq!(scheduler.next_run(), Some(expected));
}

#[test]
fn missed_runs_are_made_up_for_by_one() {
    let now = time("2026-01-01T10:30:00Z");
    let mut scheduler = Scheduler::new(hourly(), Some(time("2026-01-01T05:00:01Z")), now);
    let missed = DueRun { at: time("2026-01-01T06:00:00Z"), cause: RunTrigger::Missed };
    assert_eq!(scheduler.next_run(), Some(missed));
    scheduler.settle_until(now);
    assert_eq!(scheduler.end_run(time("2026-01-01T10:31:00Z")), None);
    let next = DueRun { at: time("2026-01-01T11:00:00Z"), cause: RunTrigger::Scheduled };
    assert_eq!(scheduler.next_run(), Some(next));
}

#[test]
fn a_clock_that_was_put_back_holds_nothing_up() {
    let scheduler =
        Scheduler::new(hourly(), Some(time("2030-01-01T00:00:00Z")), time("2026-01-01T10:30:00Z"));
    assert_eq!(scheduler.next_run().unwrap().at, time("2026-01-01T11:00:00Z"));
}

#[tokio::test(start_paused = true)]
async fn runs_come_when_they_are_due_until_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let history = RunStore::of_data_dir(directory.path());
    let schedule = Schedule::parse("hourly", None, Some("2026-01-01T13:00:00Z")).unwrap();
    let now = clock_from("2026-01-01T10:30:00Z");
    let mut times = Vec::new();
    let run = async |_: &ActiveRun| {
        times.push(now().hour());
        done()
    };
    let kept =
        run_on_schedule(schedule, &history, &now, std::future::pending(), run).await.unwrap();
    assert_eq!((kept, &times[..]), (ScheduleEnd::Over, &[11, 12, 13][..]));
    let runs = history.load().unwrap().runs;
    assert!(runs.len() == 3 && runs.iter().all(|run| run.fate == RunStatus::Done));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_put_back_meanwhile_holds_no_run_up() {
    let directory = tempfile::tempdir().unwrap();
    let history = RunStore::of_data_dir(directory.path());
    let (clock, put_back) = (clock_from("2026-01-02T10:30:00Z"), std::cell::Cell::new(false));
    let day = |is_back: bool| if is_back { 1 } else { 0 };
    let now = || clock() - time::Duration::days(day(put_back.get()));
    let mut times = Vec::new();
    let run = async |_: &ActiveRun| {
        times.push((now().day(), now().hour()));
        put_back.set(true);
        done()
    };
    let stop = tokio::time::sleep(Duration::from_secs(3 * 3600));
    let kept = run_on_schedule(hourly(), &history, &now, stop, run).await.unwrap();
    assert_eq!((kept, &times[..]), (ScheduleEnd::Stopped, &[(2, 11), (1, 12), (1, 13)][..]));
}

#[tokio::test(start_paused = true)]
async fn a_slow_run_has_the_next_ones_skipped() {
    let directory = tempfile::tempdir().unwrap();
    let history = RunStore::of_data_dir(directory.path());
    let schedule = Schedule::parse("hourly", None, Some("2026-01-01T14:00:00Z")).unwrap();
    let mut count = 0;
    let run = async |_: &ActiveRun| {
        count += 1;
        if count == 1 {
            tokio::time::sleep(Duration::from_secs(2 * 3600 + 60)).await;
        }
        done()
    };
    let now = clock_from("2026-01-01T10:30:00Z");
    run_on_schedule(schedule, &history, now, std::future::pending(), run).await.unwrap();
    let runs = history.load().unwrap().runs;
    let fates: Vec<_> = runs.iter().map(|run| run.fate).collect();
    assert_eq!(fates, [RunStatus::Done, RunStatus::Skipped, RunStatus::Done]);
    assert!(runs[1].tally.failures[0].contains("2 runs were due"), "{:?}", runs[1]);
    assert_eq!(runs[1].due, Some(time("2026-01-01T13:00:00Z")));
}

#[tokio::test(start_paused = true)]
async fn a_run_of_another_process_has_one_skipped() {
    let directory = tempfile::tempdir().unwrap();
    let history = RunStore::of_data_dir(directory.path());
    let schedule = Schedule::parse("hourly", None, Some("2026-01-01T12:00:00Z")).unwrap();
    let now = clock_from("2026-01-01T10:30:00Z");
    let other = history.begin_run(RunTrigger::Asked, None, time("2026-01-01T10:00:00Z")).unwrap();
    let other = other.expect("nobody else runs");
    let kept =
        run_on_schedule(schedule, &history, now, std::future::pending(), async |_: &ActiveRun| {
            done()
        });
    kept.await.unwrap();
    other.end_run(done(), time("2026-01-01T12:10:00Z")).unwrap();
    let fates: Vec<_> = history.load().unwrap().runs.iter().map(|run| run.fate).collect();
    assert_eq!(fates, [RunStatus::Done, RunStatus::Skipped, RunStatus::Skipped]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_run_under_way_and_not_for_ever() {
    for (lasts, fate) in [(5, RunStatus::Done), (5_000, RunStatus::Stopped)] {
        let directory = tempfile::tempdir().unwrap();
        let history = RunStore::of_data_dir(directory.path());
        let began = Instant::now();
        let stop = tokio::time::sleep(Duration::from_secs(30 * 60 + 1));
        let run = async |_: &ActiveRun| {
            tokio::time::sleep(Duration::from_secs(lasts)).await;
            done()
        };
        let kept =
            run_on_schedule(hourly(), &history, clock_from("2026-01-01T10:30:00Z"), stop, run)
                .await;
        assert_eq!(kept.unwrap(), ScheduleEnd::Stopped);
        assert!(began.elapsed() <= Duration::from_secs(30 * 60 + 2) + limits::CATALOG_STOP_GRACE);
        assert_eq!(history.load().unwrap().runs[0].fate, fate);
    }
}

proptest! {
    /// Due times strictly increase, regardless of what happens in between.
    #[test]
    fn nothing_is_due_twice(pauses in prop::collection::vec((0..5_000_i64, 0..20_000_i64), 1..20), last in 0..1_000_000_i64) {
        let start = OffsetDateTime::from_unix_timestamp(1_000_000).unwrap();
        let last = OffsetDateTime::from_unix_timestamp(last).unwrap();
        let mut scheduler = Scheduler::new(hourly(), Some(last), start);
        let mut now = start;
        let mut before = last;
        for (number, (late, lasts)) in pauses.into_iter().enumerate() {
            let due = scheduler.next_run().unwrap();
            prop_assert!(due.at > before);
            prop_assert!(number == 0 || due.cause == RunTrigger::Scheduled);
            now = now.max(due.at) + time::Duration::seconds(late);
            scheduler.settle_until(now);
            now += time::Duration::seconds(lasts);
            if let Some((_, skipped)) = scheduler.end_run(now) {
                prop_assert!(skipped.at <= now);
            }
            before = due.at;
        }
    }
}
