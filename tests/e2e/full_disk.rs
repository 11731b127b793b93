//! Tests a full disk, for records and for dead letters.

use std::fs;
use std::time::Duration;

use standpipe_tests::disk::Disk;
use standpipe_tests::events::Events;
use standpipe_tests::oracle::{Oracle, assert_same, split_records};
use standpipe_tests::{Program, make_data_directory};

const DISK_BYTES: usize = 4 << 20;
const ROWS: &[(&str, &str)] = &[("track", "tracks"), ("*", "rest")];
const SOON: Duration = Duration::from_secs(30);

#[test]
fn records_wait_for_disk_space_and_are_written_once() {
    let disk = Disk::mount(DISK_BYTES);
    let filler = disk.fill(256 << 10);
    let out = disk.path().join("out");
    let input = Events::new(41).into_ndjson(6000);
    let program = Program::host_run().args(["--local"]).args([&out]).mapping(ROWS);
    let mut running = program.start();
    running.write_stdin(&input);
    running.wait_for("No space left on device");
    fs::remove_file(filler).unwrap();
    let ran = running.finish(SOON).expect_exit(0);
    assert_eq!(ran.count("delivered"), 6000);
    let got = ["tracks", "rest"].map(|stream| {
        (stream.to_owned(), split_records(&fs::read(out.join(format!("{stream}.ndjson"))).unwrap()))
    });
    assert_same(&Oracle::new(ROWS).expected_outcome(&input).streams, &got.into());
}

#[test]
fn events_whose_dead_letters_cannot_be_written_count_as_undelivered() {
    let disk = Disk::mount(DISK_BYTES);
    let data = disk.path().join("data");
    make_data_directory(&data);
    disk.fill(64 << 10);
    let input = "not an event\n".repeat(5000) + "{\"type\":\"track\"}\n";
    let program = Program::host_run_locally().args(["--data-dir"]).args([&data]).mapping(ROWS);
    let ran = program.stdin(input).run().expect_exit(1).expect_stderr(&["fault:", "--data-dir"]);
    let counts = ["read", "delivered", "undelivered"].map(|key| ran.count(key));
    let dead = ran.count("dead");
    assert_eq!(counts, [5001, 1, 5000 - dead]);
    assert!(dead > 0 && counts[2] > 0, "{dead} dead");
    // A dead letter that did not fit may have left an incomplete line at the end.
    let files = fs::read_dir(data.join("dead")).unwrap().map(|file| file.unwrap().path());
    let mut whole = String::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        whole += text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    }
    let dead_letters = whole.lines().map(serde_json::from_str::<serde_json::Value>);
    assert_eq!(dead_letters.map(Result::unwrap).count() as u64, dead);
}
