//! Tests `host bench`: consistent results and errors.

use std::process::Command;

use serde_json::Value;
use standpipe_tests::{
    FinishedRun, Program, Stub, StubResponse, compressed, events::Events, workspace_directory,
};

/// Far below the ratio of any machine. A lower one is an error of the measurement.
const RATIO_MIN: f64 = 0.1;

#[test]
fn both_ways_deliver_all_events_and_are_compared_with_the_floor() {
    let report =
        parse_report(&bench_command(&["--events", "20000", "--repeat", "1"]).run().expect_exit(0));
    let [component, native] = ["component", "native"].map(|way| &report[way]["median"]);
    for sample in [component, native] {
        for key in ["events", "delivered", "records"] {
            assert_eq!(sample[key], 20_000, "{key}");
        }
        assert_eq!(sample["streams"], 3);
        let ratio = read_figure(sample, "ratio_to_floor");
        assert!(ratio > RATIO_MIN && ratio < 1.0, "{sample}");
        for key in ["wall_seconds", "cpu_seconds", "endpoint_cpu_seconds", "first_record_seconds"] {
            assert!(read_figure(sample, key) > 0.0, "{key}: {sample}");
        }
    }
    for key in ["bytes", "requests"] {
        assert!(read_figure(component, key) > 0.0, "{key}");
    }
    assert_eq!(component["bytes"], native["bytes"]);
    assert!(report["sandbox_price_percent"].is_number());
    assert_eq!((&report["mappings"], &report["endpoint"]), (&3.into(), &"in process".into()));
}

#[test]
fn generated_events_and_mappings_have_the_given_shape() {
    let ran = bench_command(&[
        "--no-plugin",
        "--events",
        "2000",
        "--event-bytes",
        "300",
        "--streams",
        "20",
    ]);
    let spread = parse_report(&ran.run().expect_exit(0));
    assert!(spread["component"].is_null() && spread["sandbox_price_percent"].is_null());
    assert_eq!(spread["native"]["repeats"].as_array().unwrap().len(), 3);
    assert_eq!(spread["native"]["median"]["streams"], 20);
    assert_eq!(spread["input"]["bytes"], 2000 * 300);
    let ran =
        bench_command(&["--no-plugin", "--events", "1000", "--mappings", "500", "--workers", "1"]);
    let rows = parse_report(&ran.run().expect_exit(0));
    assert_eq!((&rows["mappings"], &rows["workers"]), (&500.into(), &1.into()));
}

#[test]
fn a_bench_uses_settings_and_files() {
    let file = compressed::gzip(&Events::new(1).into_ndjson(3000));
    // With these settings, `host run` would fail because of the endpoint and the missing keys.
    let settings = "workers = 1\n[delivery]\npack = { max_bytes = 102400 }\n[aws]\nendpoint_url = 'http://127.0.0.1:1'\n";
    let ran = bench_command(&["events.ndjson.gz", "--map=*=all", "--map=page=pages", "--repeat=1"])
        .file("events.ndjson.gz", &file)
        .settings(settings);
    let report = parse_report(&ran.run().expect_exit(0));
    let sample = &report["component"]["median"];
    assert_eq!((&sample["events"], &report["mappings"]), (&3000.into(), &2.into()));
    assert!(read_figure(sample, "records") < 300.0, "nothing was aggregated: {sample}");
}

#[test]
fn a_bench_uses_the_given_endpoint_as_a_run_does() {
    let stub = Stub::start(|_| StubResponse::Accept);
    let program =
        bench_command(&["--no-plugin", "--events=700", "--repeat=1", "--region=eu-central-1"]);
    let program = program.args(["--endpoint-url", &stub.url()]).with_keys();
    let report = parse_report(&program.run().expect_exit(0));
    assert_eq!(report["endpoint"], stub.url());
    assert!(report["native"]["median"]["first_record_seconds"].is_null());
    // One run precedes the measured one.
    let accepted: usize = stub.accepted_records().values().map(Vec::len).sum();
    assert_eq!((accepted, stub.violations()), (1400, vec![]));
}

#[test]
fn lines_without_an_event_are_reported() {
    let lines = b"{\"type\":\"page\"}\nno event\n";
    let ran = bench_command(&["events.ndjson", "--repeat=1"])
        .file("events.ndjson", lines)
        .run()
        .expect_exit(3);
    assert_eq!(parse_report(&ran)["native"]["median"]["dead"], 1);
    ran.expect_stderr(&["1 events became dead letters"]);
}

#[test]
fn wrong_bench_arguments_are_refused() {
    let refused = |arguments: &[&str], words: &[&str]| {
        let ran = bench_command(arguments).file("empty", b"").settings("[plugin]\npath = 'p.wasm'");
        let ran = ran.run().expect_exit(2).expect_stderr(words);
        assert!(ran.stdout.is_empty());
    };
    refused(&["nope.ndjson", "--map=*=a"], &["failed to read nope.ndjson", "check the path"]);
    refused(&["/dev/null", "--map=*=a"], &["/dev/null", "give a regular file"]);
    refused(&["empty", "--map=*=a"], &["empty holds no events"]);
    refused(&["--events=10"], &["failed to read the plugin p.wasm"]);
    refused(&["--no-plugin"], &["--no-plugin runs the built-in plugin", "p.wasm"]);
    refused(&["--events=10", "empty"], &["cannot be used with"]);
    refused(&["--events=10", "--event-bytes=99"], &["100"]);
    refused(&["--events=10", "--workers=0"], &["workers is 0"]);
    refused(&["--scale", "--streams=2"], &["cannot be used with"]);
    let unreachable = ["--endpoint-url=http://127.0.0.1:1", "--region=a", "--events=10"];
    refused(&unreachable, &["reach the endpoint http://127.0.0.1:1", "leave --endpoint-url out"]);
    let ran = bench_command(&["--events=10", "--map=*=no spaces"]).run().expect_exit(2);
    ran.expect_stderr(&["the built-in plugin", "mapping 1"]);
}

#[test]
fn bench_series_become_tables_and_plots() {
    let ran = bench_command(&["--scale", "--events=500", "--repeat=1"]).run().expect_exit(0);
    let series = parse_report(&ran)["series"].clone();
    let plots = workspace_directory().join("host/docs/plots.py");
    let json = ran.path("series.json");
    std::fs::write(&json, &ran.stdout).unwrap();
    let drawn = Command::new(standpipe_tests::tools::find_program("python3"))
        .arg(plots)
        .arg(&json)
        .arg(ran.path("plots"))
        .output();
    let drawn = drawn.expect("python3 is there");
    let table = String::from_utf8(drawn.stdout).unwrap();
    assert!(drawn.status.success(), "{}", String::from_utf8_lossy(&drawn.stderr));
    for (name, points) in
        [("workers", 1..=9), ("event_bytes", 4..=4), ("mappings", 4..=4), ("streams", 4..=4)]
    {
        let series = series[name].as_array().unwrap();
        assert!(points.contains(&series.len()), "{name}: {series:?}");
        for point in series {
            let x = point["x"].as_u64().unwrap();
            assert!(read_figure(&point["report"]["component"]["median"], "events") >= 500.0);
            assert!(table.contains(&format!("| {x} |")), "{x} is not in {table}");
        }
    }
    for plot in ["workers", "event-bytes", "mappings", "streams", "memory"] {
        let svg = std::fs::read_to_string(ran.path("plots").join(format!("{plot}.svg"))).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("<polyline"), "{plot}: {svg}");
    }
}

fn bench_command(arguments: &[&str]) -> Program {
    Program::new().args(["bench", "--json"]).args(arguments)
}

fn parse_report(ran: &FinishedRun) -> Value {
    serde_json::from_slice(&ran.stdout).expect("one JSON object")
}

fn read_figure(sample: &Value, key: &str) -> f64 {
    sample[key].as_f64().unwrap_or_else(|| panic!("no figure {key} in {sample}"))
}
