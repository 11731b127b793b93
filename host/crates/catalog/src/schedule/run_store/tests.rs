//! Tests the history after crashes, torn lines and invalid text: the next run is written
//! completely, and only one runs at a time.

use std::collections::BTreeMap;
use std::fs::OpenOptions;

use proptest::prelude::*;

use super::*;
use crate::limits;

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_767_225_600 + seconds).unwrap()
}

fn begin(history: &RunStore, seconds: i64) -> ActiveRun {
    let claim = history.begin_run(RunTrigger::Scheduled, Some(at(seconds)), at(seconds)).unwrap();
    claim.expect("nobody else runs")
}

fn done(streams: u64) -> RunResult {
    let counts = BTreeMap::from([("streams".to_owned(), streams)]);
    RunResult { fate: RunStatus::Done, tally: RunCounts { counts, ..RunCounts::default() } }
}

fn fates(history: &RunStore) -> Vec<RunStatus> {
    history.load().unwrap().runs.iter().map(|run| run.fate).collect()
}

#[test]
fn a_run_is_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let history = RunStore::of_data_dir(directory.path());
    assert_eq!(history.load().unwrap(), RunHistory::default());
    let claim = begin(&history, 0);
    assert_eq!(fates(&history), [RunStatus::Running]);
    claim.end_run(done(7), at(5)).unwrap();
    let history_of_runs = history.load().unwrap();
    let [run] = &history_of_runs.runs[..] else { panic!("{history_of_runs:?}") };
    assert_eq!((run.at, run.due, run.ended), (at(0), Some(at(0)), Some(at(5))));
    assert_eq!(
        (run.fate, run.cause, run.tally.counts["streams"]),
        (RunStatus::Done, RunTrigger::Scheduled, 7)
    );
    assert_eq!(history_of_runs.last_start(), Some(at(0)));
}

#[test]
fn only_one_runs_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let history = RunStore::of_data_dir(directory.path());
    let claim = begin(&history, 0);
    let second = history.begin_run(RunTrigger::Asked, None, at(1)).unwrap();
    assert!(second.is_none());
    history.record_skip(RunTrigger::Asked, None, at(1), "another run is under way").unwrap();
    claim.end_run(done(0), at(2)).unwrap();
    assert_eq!(fates(&history), [RunStatus::Done, RunStatus::Skipped]);
    begin(&history, 3).end_run(done(0), at(4)).unwrap();
}

#[test]
fn a_run_without_an_end_was_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let history = RunStore::of_data_dir(directory.path());
    drop(begin(&history, 0));
    assert_eq!(fates(&history), [RunStatus::CutOff]);
    begin(&history, 10).end_run(done(0), at(11)).unwrap();
    let runs = history.load().unwrap().runs;
    assert_eq!(runs[0].ended, Some(at(10)), "it is written down when the next one begins");
    assert_eq!(fates(&history), [RunStatus::CutOff, RunStatus::Done]);
}

#[test]
fn the_oldest_are_forgotten_with_their_logs() {
    let directory = tempfile::tempdir().unwrap();
    let history = RunStore::of_data_dir(directory.path());
    let first = begin(&history, 0);
    let log = first.log_path();
    fs::write(&log, "a line").unwrap();
    first.end_run(done(0), at(0)).unwrap();
    let mut text = String::new();
    for number in 1..CATALOG_RUNS_KEPT as i64 {
        let event = HistoryEvent::Began { cause: RunTrigger::Asked, due: None };
        text += &HistoryLine { run: number.to_string(), at: at(number), event }.to_line();
    }
    let mut file = OpenOptions::new().append(true).open(history.directory.join(FILE)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    assert!(log.exists());
    let last = begin(&history, 10_000);
    let runs = history.load().unwrap().runs;
    assert_eq!(runs.len(), CATALOG_RUNS_KEPT / 2);
    assert_eq!(runs.last().unwrap().id, last.id());
    assert!(!log.exists());
    last.end_run(done(3), at(10_001)).unwrap();
    assert_eq!(history.load().unwrap().runs.last().unwrap().fate, RunStatus::Done);
}

#[test]
fn failures_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let history = RunStore::of_data_dir(directory.path());
    let failures = vec!["é".repeat(10_000); 100];
    let tally = RunCounts { failures, ..RunCounts::default() };
    begin(&history, 0).end_run(RunResult { fate: RunStatus::Failed, tally }, at(1)).unwrap();
    let run = history.load().unwrap().runs.remove(0);
    assert_eq!(run.tally.failures.len(), limits::CATALOG_FAILURES_KEPT);
    assert_eq!(run.tally.more_failures, 90);
    assert!(fs::metadata(history.directory.join(FILE)).unwrap().len() < 20_000);
}

#[derive(Debug, Clone)]
enum Step {
    RunRecord,
    CutOff,
    Skip,
    Tear(usize),
    Rubbish(String),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::RunRecord),
        2 => Just(Step::CutOff),
        1 => Just(Step::Skip),
        2 => (1..40_usize).prop_map(Step::Tear),
        1 => "[^\n]{1,20}".prop_map(Step::Rubbish),
    ]
}

proptest! {
    /// Whatever a crash leaves, the next run is written completely.
    #[test]
    fn it_goes_on_after_anything(steps in prop::collection::vec(step(), 1..12)) {
        let directory = tempfile::tempdir().unwrap();
        let history = RunStore::of_data_dir(directory.path());
        let path = history.directory.join(FILE);
        for (number, step) in steps.into_iter().enumerate() {
            let second = number as i64 * 10;
            match step {
                Step::RunRecord => begin(&history, second).end_run(done(1), at(second + 1)).unwrap(),
                Step::CutOff => drop(begin(&history, second)),
                Step::Skip => history.record_skip(RunTrigger::Scheduled, None, at(second), "why").unwrap(),
                Step::Tear(bytes) if path.exists() => {
                    let file = OpenOptions::new().write(true).open(&path).unwrap();
                    let length = file.metadata().unwrap().len();
                    file.set_len(length.saturating_sub(bytes as u64)).unwrap();
                }
                Step::Rubbish(text) if path.exists() => {
                    OpenOptions::new().append(true).open(&path).unwrap().write_all(text.as_bytes()).unwrap();
                }
                Step::Tear(_) | Step::Rubbish(_) => {}
            }
            let before = history.load().unwrap();
            prop_assert!(before.runs.iter().all(|run| run.fate != RunStatus::Running));
        }
        begin(&history, 100_000).end_run(done(9), at(100_001)).unwrap();
        let history_of_runs = history.load().unwrap();
        let last = history_of_runs.runs.last().unwrap();
        prop_assert_eq!((last.fate, last.tally.counts["streams"]), (RunStatus::Done, 9));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = RunHistory::parse(&bytes);
    }
}
