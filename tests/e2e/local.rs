//! Tests records in local files, however the process that writes them ends.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use standpipe_tests::{Program, wait_until};

const ROUNDS: usize = 40;
const SOON: Duration = Duration::from_secs(60);
/// Batches are large, so that a kill often happens in the middle of one.
const EVENT_BYTES: usize = 100_000;
const EVENTS_PER_ROUND: usize = 200;
const ROWS: &[(&str, &str)] = &[("track", "tracks"), ("*", "rest")];

/// After a kill, a reader may see a part of a batch. After the directory has been used again, no
/// file contains such a part.
#[test]
fn partial_records_of_a_kill_are_removed_at_the_next_start() {
    for newline in [true, false] {
        let directory = tempfile::TempDir::new().unwrap();
        let out = directory.path().join("out");
        let mut random = fastrand::Rng::with_seed(5);
        let settings = format!("[delivery]\nnewline = {newline}\n");
        let program =
            || Program::host_run().args(["--local"]).args([&out]).mapping(ROWS).settings(&settings);
        let mut torn = 0;
        for round in 0..ROUNDS {
            let mut running = program().start();
            // The last event is missing, so the process does not end by itself.
            running.write_stdin(&make_events(round, 0..EVENTS_PER_ROUND));
            wait_until("something is written", || count_bytes(&out) > 0);
            std::thread::sleep(Duration::from_micros(random.u64(0..8000)));
            running.kill();
            torn += usize::from(has_torn_end(&out, newline));
        }
        let mut running = program().start();
        running.write_stdin(&make_events(ROUNDS, 0..1));
        let ran = running.finish(SOON).expect_exit(0);
        assert_eq!(ran.count("delivered"), 1);
        let last_cut = ran.stderr.contains("that an earlier run left");
        assert!(!last_cut || torn > 0, "{}", ran.stderr);

        let mut ids = HashSet::new();
        for stream in ["tracks", "rest"] {
            let path = out.join(format!("{stream}.ndjson"));
            let Ok(text) = fs::read_to_string(path) else { continue };
            assert!(!newline || text.ends_with('\n'));
            for event in serde_json::Deserializer::from_str(&text).into_iter() {
                let event: serde_json::Value = event.expect("each record is whole");
                let filler = event["filler"].as_str().unwrap();
                assert_eq!(filler.len(), EVENT_BYTES);
                assert!(
                    ids.insert(event["id"].as_str().unwrap().to_owned()),
                    "none is there twice"
                );
            }
        }
        assert!(ids.contains(&format!("{ROUNDS}-0")) && ids.len() > ROUNDS / 2, "{}", ids.len());
        let left = fs::read_dir(&out).unwrap().map(|file| file.unwrap().file_name());
        let others: Vec<_> =
            left.filter(|name| !name.to_string_lossy().ends_with(".ndjson")).collect();
        assert_eq!(others, [] as [std::ffi::OsString; 0]);
    }
}

#[test]
fn a_second_process_reports_that_the_directory_is_in_use() {
    let directory = tempfile::TempDir::new().unwrap();
    let out = directory.path().join("out");
    let program = || Program::host_run().args(["--local"]).args([&out]).mapping(ROWS);
    let mut first = program().start();
    first.write_stdin(&make_events(0, 0..1));
    wait_until("the directory is in use", || out.exists() && count_bytes(&out) > 0);
    program()
        .stdin(make_events(1, 0..1))
        .run()
        .expect_exit(2)
        .expect_stderr(&["another process", "--local"]);
    first.finish(SOON).expect_exit(0);
    program().stdin(make_events(1, 0..1)).run().expect_exit(0);
}

fn make_events(round: usize, numbers: std::ops::Range<usize>) -> Vec<u8> {
    let filler = "x".repeat(EVENT_BYTES);
    let event = |number: usize| {
        let message_type = ["track", "page"][number % 2];
        format!(
            "{{\"type\":\"{message_type}\",\"id\":\"{round}-{number}\",\"filler\":\"{filler}\"}}\n"
        )
    };
    numbers.map(event).collect::<String>().into_bytes()
}

/// The total size of all streams' files.
fn count_bytes(out: &Path) -> u64 {
    let Ok(files) = fs::read_dir(out) else { return 0 };
    let files = files.map(|file| file.unwrap().path());
    let streams = files.filter(|path| path.extension().is_some_and(|own| own == "ndjson"));
    streams.map(|path| path.metadata().map_or(0, |metadata| metadata.len())).sum()
}

fn has_torn_end(out: &Path, newline: bool) -> bool {
    ["tracks", "rest"].iter().any(|stream| {
        let text = fs::read(out.join(format!("{stream}.ndjson"))).unwrap_or_default();
        let end: &[u8] = if newline { b"}\n" } else { b"}" };
        !text.is_empty() && !text.ends_with(end)
    })
}
