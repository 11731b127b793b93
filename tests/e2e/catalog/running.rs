//! Tests when the catalog runs, and the history of its runs.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use standpipe_tests::{Program, Running};
use tempfile::TempDir;

use super::{
    catalog_command, catalog_settings, json_of, sample_account, start_aws_api, stdout_text,
};

const SOON: Duration = Duration::from_secs(10);
const DONE: &str = "catalog run done";

/// The runs of a data directory.
fn read_runs(data: &Path) -> Vec<Value> {
    let ran =
        catalog_command("runs").args(["--json", "--data-dir"]).args([data]).run().expect_exit(0);
    json_of(&ran).as_array().expect("runs").clone()
}

fn read_run_results(data: &Path) -> Vec<String> {
    read_runs(data).iter().map(|run| run["fate"].as_str().expect("a fate").to_owned()).collect()
}

fn start_catalog(command: &str, settings: &str, data: &Path) -> Running {
    catalog_command(command).settings(settings).args(["--data-dir"]).args([data]).start()
}

#[test]
fn the_catalog_runs_by_its_schedule_until_it_is_stopped() {
    let (amazon, data) = (start_aws_api(sample_account()), TempDir::new().expect("a directory"));
    let settings =
        catalog_settings(&amazon.url(), "schedule = \"every 1s\"\nlog_level = \"debug\"\n");
    let running = start_catalog("schedule", &settings, data.path());
    running.wait_for("the next catalog run starts in");
    running.wait_for(DONE);
    running.send_signal(Signal::TERM);
    running.wait(SOON).expect_exit(0).expect_stderr(&["stopping"]);
    let runs = read_runs(data.path());
    let run = runs.last().expect("a run");
    assert_eq!((&run["fate"], &run["cause"]), (&"done".into(), &"scheduled".into()));
    assert_eq!(run["counts"]["streams"], 3);
    let id = run["id"].as_str().expect("an id");
    let ran =
        catalog_command("runs").args([id, "--data-dir"]).args([data.path()]).run().expect_exit(0);
    assert!(
        stdout_text(&ran).contains("Processed records: 3"),
        "the log of debug: {}",
        stdout_text(&ran)
    );
}

#[test]
fn the_catalog_ends_after_its_last_scheduled_run() {
    let data = TempDir::new().expect("a directory");
    let text = "schedule = \"daily\"\nend_date = \"2020-01-01\"\n";
    let running =
        start_catalog("schedule", &catalog_settings("http://127.0.0.1:1", text), data.path());
    running.wait(SOON).expect_exit(0).expect_stderr(&["the schedule has ended"]);
    let manual =
        start_catalog("schedule", &catalog_settings("http://127.0.0.1:1", ""), data.path());
    manual.wait(SOON).expect_exit(2).expect_stderr(&["no schedule"]);
}

#[test]
fn a_missed_run_is_repeated_once() {
    let (amazon, data) = (start_aws_api(sample_account()), TempDir::new().expect("a directory"));
    fs::create_dir_all(data.path().join("catalog")).expect("a directory");
    let before = "{\"run\":\"a\",\"at\":\"2020-01-01T00:00:00.000Z\",\"event\":\"began\",\"cause\":\"asked\",\"due\":null}\n";
    fs::write(data.path().join("catalog/runs.ndjson"), before).expect("a history");
    let settings = catalog_settings(&amazon.url(), "schedule = \"daily\"\n");
    let running = start_catalog("schedule", &settings, data.path());
    running.wait_for("was missed");
    running.wait_for(DONE);
    running.wait_for("the next catalog run starts in");
    running.send_signal(Signal::TERM);
    running.wait(SOON).expect_exit(0);
    assert_eq!(read_run_results(data.path()), ["cut_off", "done"]);
    assert_eq!(read_runs(data.path())[1]["cause"], "missed");
}

#[test]
fn a_second_run_is_refused_and_a_killed_one_is_marked_interrupted() {
    let (amazon, data) = (start_aws_api(sample_account()), TempDir::new().expect("a directory"));
    // It accepts connections, but never responds.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", silent.local_addr().expect("its address"));
    let hangs = start_catalog("ingest", &catalog_settings(&url, ""), data.path());
    hangs.wait_for("catalog run started");
    let good = catalog_settings(&amazon.url(), "schedule = \"every 1s\"\n");
    let second = start_catalog("ingest", &good, data.path());
    second.wait(SOON).expect_exit(1).expect_stderr(&["another catalog run is in progress"]);
    let scheduled = start_catalog("schedule", &good, data.path());
    scheduled.wait_for("skipping a catalog run: another process is running the catalog");
    assert_eq!(read_run_results(data.path())[0], "running");
    hangs.kill();
    scheduled.wait_for(DONE);
    scheduled.send_signal(Signal::TERM);
    scheduled.wait(SOON).expect_exit(0);
    let fates = read_run_results(data.path());
    assert_eq!(fates[0], "cut_off");
    assert!(
        fates.contains(&"skipped".to_owned()) && fates.contains(&"done".to_owned()),
        "{fates:?}"
    );
}

#[test]
fn a_signal_stops_a_run() {
    let data = TempDir::new().expect("a directory");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", silent.local_addr().expect("its address"));
    let running = start_catalog("ingest", &catalog_settings(&url, ""), data.path());
    running.wait_for("catalog run started");
    running.send_signal(Signal::TERM);
    running.wait(SOON).expect_exit(4);
    assert_eq!(read_run_results(data.path()), ["stopped"]);
}

#[test]
fn host_run_runs_the_scheduled_catalog() {
    let amazon = start_aws_api(sample_account());
    let settings = catalog_settings(&amazon.url(), "schedule = \"every 1s\"\n");
    let mut running = Program::host_run_locally()
        .with_keys()
        .settings(&settings)
        .mapping(&[("*", "all")])
        .start();
    running.write_stdin(b"{\"type\":\"track\",\"event\":\"a\"}\n");
    running.wait_for(DONE);
    let ran = running.finish(SOON).expect_exit(0);
    assert_eq!(ran.count("delivered"), 1);
}

#[test]
fn a_failing_catalog_does_not_affect_events() {
    let settings = catalog_settings("http://127.0.0.1:1", "schedule = \"every 1s\"\n");
    let mut running = Program::host_run_locally()
        .with_keys()
        .settings(&settings)
        .mapping(&[("*", "all")])
        .start();
    running.wait_for("catalog run started");
    running.write_stdin(b"{\"type\":\"track\",\"event\":\"a\"}\n");
    let ran = running.finish(Duration::from_secs(40)).expect_exit(0);
    assert_eq!(ran.count("delivered"), 1);
}
