//! When it runs, and what is left of its runs.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use standpipe_tests::{Program, Running};
use tempfile::TempDir;

use super::{account, amazon, catalog, json_of, settings, stdout};

const SOON: Duration = Duration::from_secs(10);
const DONE: &str = "catalog run done";

/// The runs of a data directory.
fn runs(data: &Path) -> Vec<Value> {
    let ran = catalog("runs").args(["--json", "--data-dir"]).args([data]).run().exits(0);
    json_of(&ran).as_array().expect("runs").clone()
}

fn fates(data: &Path) -> Vec<String> {
    runs(data).iter().map(|run| run["fate"].as_str().expect("a fate").to_owned()).collect()
}

fn start(command: &str, settings: &str, data: &Path) -> Running {
    catalog(command).settings(settings).args(["--data-dir"]).args([data]).start()
}

#[test]
fn it_runs_by_its_schedule_until_it_is_stopped() {
    let (amazon, data) = (amazon(account()), TempDir::new().expect("a directory"));
    let settings = settings(&amazon.url(), "schedule = \"every 1s\"\nlog_level = \"debug\"\n");
    let running = start("schedule", &settings, data.path());
    running.wait_for("the next catalog run starts in");
    running.wait_for(DONE);
    running.signal(Signal::TERM);
    running.wait(SOON).exits(0).says(&["stopping"]);
    let runs = runs(data.path());
    let run = runs.last().expect("a run");
    assert_eq!((&run["fate"], &run["cause"]), (&"done".into(), &"scheduled".into()));
    assert_eq!(run["counts"]["streams"], 3);
    let id = run["id"].as_str().expect("an id");
    let ran = catalog("runs").args([id, "--data-dir"]).args([data.path()]).run().exits(0);
    assert!(stdout(&ran).contains("Processed records: 3"), "the log of debug: {}", stdout(&ran));
}

#[test]
fn a_schedule_that_is_over_ends_it() {
    let data = TempDir::new().expect("a directory");
    let text = "schedule = \"daily\"\nend_date = \"2020-01-01\"\n";
    let running = start("schedule", &settings("http://127.0.0.1:1", text), data.path());
    running.wait(SOON).exits(0).says(&["the schedule has ended"]);
    let manual = start("schedule", &settings("http://127.0.0.1:1", ""), data.path());
    manual.wait(SOON).exits(2).says(&["no schedule"]);
}

#[test]
fn a_missed_run_is_made_up_for_once() {
    let (amazon, data) = (amazon(account()), TempDir::new().expect("a directory"));
    fs::create_dir_all(data.path().join("catalog")).expect("a directory");
    let before = "{\"run\":\"a\",\"at\":\"2020-01-01T00:00:00.000Z\",\"event\":\"began\",\"cause\":\"asked\",\"due\":null}\n";
    fs::write(data.path().join("catalog/runs.ndjson"), before).expect("a history");
    let settings = settings(&amazon.url(), "schedule = \"daily\"\n");
    let running = start("schedule", &settings, data.path());
    running.wait_for("was missed");
    running.wait_for(DONE);
    running.wait_for("the next catalog run starts in");
    running.signal(Signal::TERM);
    running.wait(SOON).exits(0);
    assert_eq!(fates(data.path()), ["cut_off", "done"]);
    assert_eq!(runs(data.path())[1]["cause"], "missed");
}

#[test]
fn a_second_run_does_not_begin_and_a_killed_one_was_cut_off() {
    let (amazon, data) = (amazon(account()), TempDir::new().expect("a directory"));
    // It takes connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", silent.local_addr().expect("its address"));
    let hangs = start("ingest", &settings(&url, ""), data.path());
    hangs.wait_for("catalog run started");
    let good = settings(&amazon.url(), "schedule = \"every 1s\"\n");
    let second = start("ingest", &good, data.path());
    second.wait(SOON).exits(1).says(&["another catalog run is in progress"]);
    let scheduled = start("schedule", &good, data.path());
    scheduled.wait_for("skipping a catalog run: another process is running the catalog");
    assert_eq!(fates(data.path())[0], "running");
    hangs.kill();
    scheduled.wait_for(DONE);
    scheduled.signal(Signal::TERM);
    scheduled.wait(SOON).exits(0);
    let fates = fates(data.path());
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
    let running = start("ingest", &settings(&url, ""), data.path());
    running.wait_for("catalog run started");
    running.signal(Signal::TERM);
    running.wait(SOON).exits(4);
    assert_eq!(fates(data.path()), ["stopped"]);
}

#[test]
fn host_run_brings_it_along() {
    let amazon = amazon(account());
    let settings = settings(&amazon.url(), "schedule = \"every 1s\"\n");
    let mut running =
        Program::running_locally().with_keys().settings(&settings).mapping(&[("*", "all")]).start();
    running.write(b"{\"type\":\"track\",\"event\":\"a\"}\n");
    running.wait_for(DONE);
    let ran = running.finish(SOON).exits(0);
    assert_eq!(ran.count("delivered"), 1);
}

#[test]
fn a_catalog_that_fails_disturbs_no_events() {
    let settings = settings("http://127.0.0.1:1", "schedule = \"every 1s\"\n");
    let mut running =
        Program::running_locally().with_keys().settings(&settings).mapping(&[("*", "all")]).start();
    running.wait_for("catalog run started");
    running.write(b"{\"type\":\"track\",\"event\":\"a\"}\n");
    let ran = running.finish(Duration::from_secs(40)).exits(0);
    assert_eq!(ran.count("delivered"), 1);
}
