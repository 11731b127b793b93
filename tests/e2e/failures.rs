//! Tests the outcome of events that the plugin fails on, and plugins that fail permanently.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::{
    Collector, FinishedRun, Program, Running, Stub, StubResponse, make_data_directory,
    misbehaving_plugin, wait_until,
};

#[test]
fn failed_events_go_to_the_dead_letters_unless_the_settings_say_otherwise() {
    for settings in ["", "on_failure = 'dead_letter'"] {
        let ran = run_program(settings, mix_events(100, 10)).expect_exit(3);
        assert_eq!(event_counts(&ran), [110, 100, 0, 10, 0]);
        assert!(
            ran.dead_letters().iter().all(|dead_letter| dead_letter.reason == "plugin_trapped")
        );
    }
}

#[test]
fn dropped_events_count_as_filtered() {
    let ran = run_program("on_failure = 'drop'", mix_events(100, 10)).expect_exit(0);
    assert_eq!(event_counts(&ran), [110, 100, 10, 0, 0]);
    assert_eq!(ran.dead_letters(), []);
}

#[test]
fn passed_through_events_are_unchanged() {
    let settings = "on_failure = 'pass_through'\npass_through_stream = 'raw'";
    let ran = run_program(settings, mix_events(100, 10)).expect_exit(0);
    assert_eq!(event_counts(&ran), [110, 110, 0, 0, 0]);
    let raw = (0..10).map(bad_event).collect::<String>();
    assert_eq!(String::from_utf8_lossy(&ran.streams()["raw"]), raw);
    // An event that is too large for a record also has an outcome.
    let large = format!("{{\"event\":\"trap\",\"x\":\"{}\"}}\n", "x".repeat(1 << 20));
    let ran = run_program(settings, large).expect_exit(3);
    assert_eq!(ran.dead_letters()[0].reason, "record_too_large");
    assert_eq!(ran.dead_letters()[0].stream.as_deref(), Some("raw"));
}

#[test]
fn a_halted_run_reports_the_line_and_accounts_for_every_event() {
    let good = |from: u32| (from..from + 3000).map(good_event).collect::<String>();
    let input = good(0) + &bad_event(0) + &good(3000);
    let program = new_program("on_failure = 'halt'").file("input.ndjson", input.as_bytes());
    let ran = program.args(["input.ndjson"]).run().expect_exit(1);
    let ran =
        ran.expect_stderr(&["the plugin failed on line 3001 of input.ndjson", "fix the plugin"]);
    let [read, delivered, filtered, dead, undelivered] = event_counts(&ran);
    assert_eq!((filtered, dead), (0, 0));
    assert_eq!(read, delivered + undelivered);
    assert!(undelivered > 0, "the failed event itself");
    let unread = ran.summary()["unread"][0]["from_line"].as_u64();
    assert!(unread.is_none_or(|line| line == read + 1), "{unread:?} after {read}");
    assert!(unread.is_some() || read == 6001);
    // Records are delivered once, and no earlier event is missing.
    let records = parse_numbers(&ran.streams()["good"]);
    assert_eq!(records.len() as u64, delivered);
    assert!((0..2500).all(|n| records.contains(&n)), "what was read long before is delivered");
}

#[test]
fn a_halted_run_leaves_the_rest_in_the_spool() {
    let stub = Stub::start(|_| StubResponse::Accept);
    let data = tempfile::TempDir::new().unwrap();
    let data_dir = data.path().join("data");
    make_data_directory(&data_dir);
    let start = |plugin: &str, settings: &str| {
        let settings = format!(
            "workers = 2\n[[sources]]\nname = 'web'\ndialect = 'segment'\nwrite_keys = ['key']\n\
             [delivery]\nmax_delay = '10ms'\n[plugin]\n{plugin}\n[plugin.settings]\n{settings}\n"
        );
        let program = Program::host_run_against(&stub.url()).settings(&settings);
        Collector::start(program.args(["--data-dir"]).args([&data_dir]))
    };
    let failing = format!("path = '{}'\non_failure = 'halt'", misbehaving_plugin().display());
    let collector = start(&failing, "");
    let event = |id: u64| {
        let name = if id == 700 { "trap" } else { "good" };
        json!({"type": "track", "event": name, "userId": "u", "id": id})
    };
    let batches = (0..10).map(|batch| (batch * 100..(batch + 1) * 100).collect::<Vec<u64>>());
    let mut acknowledged = BTreeSet::new();
    let mut client = Client::connect(collector.url());
    for ids in batches {
        let body = json!({"batch": ids.iter().copied().map(event).collect::<Vec<_>>()}).to_string();
        let headers = [("Authorization", &*basic_auth("key").1)];
        match client.post("/v1/batch", &headers, body.as_bytes()) {
            Ok(reply) if reply.status == 200 => acknowledged.extend(ids),
            // The program is already ending.
            _ => break,
        }
    }
    assert!(acknowledged.contains(&700));
    let ended = Instant::now();
    let ran = collector
        .wait_until_stopped()
        .expect_exit(1)
        .expect_stderr(&["the plugin failed on line", "of web"]);
    assert!(ended.elapsed() < Duration::from_secs(10), "a halt must not drain");
    let waiting = ran.summary()["collected"]["waiting"].as_u64().unwrap();
    assert!(waiting >= 1, "the failed event is in the spool");
    assert!(!count_deliveries(&stub).contains_key(&700));
    assert_eq!(count_deliveries(&stub).len() as u64 + waiting, acknowledged.len() as u64);

    let collector = start("", "mappings = [{ event = '*', stream = 'all' }]");
    wait_until("all is delivered", || count_deliveries(&stub).len() == acknowledged.len());
    let ran = collector.stop().expect_exit(0);
    assert_eq!(ran.count("delivered"), waiting);
    let delivered = count_deliveries(&stub);
    assert_eq!(delivered.keys().copied().collect::<BTreeSet<_>>(), acknowledged);
    assert!(delivered.values().all(|&times| times == 1), "nothing is there twice");
}

#[test]
fn wrong_settings_name_their_key() {
    for (settings, key) in [
        ("[plugin]\non_failure = 'ignore'", "on_failure"),
        ("[plugin]\non_failure = 'pass_through'", "pass_through_stream = \"STREAM\""),
        ("[plugin]\npass_through_stream = 'raw'", "pass_through"),
        ("[plugin]\non_failure = 'drop'\npass_through_stream = 'raw'", "pass_through"),
        ("[plugin]\non_failure = 'pass_through'\npass_through_stream = 'a/b'", "pass_through"),
        ("[plugin]\nsha256 = 'abc'", "sha256"),
        ("[plugin]\npublic_key = 'RWabc'", "public_key"),
        ("[plugin]\ncases = 'nowhere.json'", "cases"),
        ("[plugin]\nwatch = 'yes'", "column 9: invalid [plugin] watch"),
        ("[plugin]\nfail = 'drop'", "fail"),
        ("[plugin.limits]\nmemory_bytes = 1000", "memory_bytes"),
        ("[plugin.limits]\nmemory_bytes = -1", "expected an integer of 0 or more"),
        ("[plugin.limits]\nanswer_bytes = 9999999999999", "answer_bytes"),
        ("[plugin.limits]\ncall_cpu = '0s'", "call_cpu"),
        ("[plugin.limits]\nevent_cpu = '1 fortnight'", "event_cpu"),
        ("[plugin.limits]\nconfigure_cpu = '2h'", "configure_cpu"),
        ("[plugin.limits]\nbyte_cpu = '0s'", "byte_cpu"),
        ("[plugin.limits]\nbyte_cpu = '2ms'", "byte_cpu"),
        ("[plugin.limits]\nmax_calls = 0", "max_calls"),
        ("[plugin.limits]\nmax_age = '0s'", "max_age"),
        ("[plugin.breaker]\ndegraded_from = 2.0", "degraded_from"),
        ("[plugin.breaker]\noff_from = -0.1", "off_from"),
        ("[plugin.breaker]\nwindow = '0s'", "window"),
        ("[plugin.breaker]\nretry = '2 days'", "retry"),
        ("[plugin.breaker]\nfailing_cpu = 0.0", "failing_cpu"),
        ("[plugin.breaker]\nfailing_cpu = 1.5", "failing_cpu"),
        ("[plugin.breaker]\nwhen_off = 'never'", "when_off"),
        ("[plugin.canary]\npath = 'c.wasm'\nsha256 = 'abc'", "[plugin.canary] sha256"),
        ("[plugin.shadow]\npath = 'c.wasm'\nsha256 = 'abc'", "[plugin.shadow] sha256"),
        ("[plugin.canary]\npercent = 5.0", "path"),
        ("[plugin.canary]\npath = 'c.wasm'\npercent = 101.0", "percent"),
        ("[plugin.canary]\npath = 'c.wasm'\nmax_error_rate = 1.5", "max_error_rate"),
        (
            "[plugin.canary]\npath = 'c.wasm'\nmin_events = -1",
            "line 3, column 14: invalid [plugin.canary] min_events",
        ),
        ("[plugin.canary]\npath = 'c.wasm'", "c.wasm"),
    ] {
        let ran = Program::host_run_locally().settings(settings).mapping(&[("*", "s")]).run();
        assert_eq!(ran.exit, 2, "{settings}: {}", ran.stderr);
        assert!(ran.stderr.contains(key), "{settings}: {}", ran.stderr);
    }
}

#[test]
fn a_plugin_that_always_fails_is_switched_off_if_configured() {
    let settings = "[plugin.breaker]\nwindow = '1s'\nretry = '500ms'\nwhen_off = 'fail'";
    let mut running = new_program(settings).start();
    write_events_until(&mut running, "trap", "the plugin was healthy and is degraded");
    write_events_until(
        &mut running,
        "trap",
        "the plugin was degraded and is off: it fails on 100 % of the source's events",
    );
    running.write_stdin(&make_event("good").repeat(3000).into_bytes());
    // A probe shows that the plugin has recovered.
    write_events_until(&mut running, "good", "the plugin was off and is ");
    let before = delivered_locally(&running);
    running.write_stdin(&make_event("good").repeat(300).into_bytes());
    wait_until("it decides again", || delivered_locally(&running) >= before + 300);
    let ran = running.finish(standpipe_tests::DEADLINE).expect_exit(3);
    let [read, delivered, filtered, dead, undelivered] = event_counts(&ran);
    assert_eq!((read, filtered, undelivered), (delivered + dead, 0, 0));
    let dead_letters = ran.dead_letters();
    assert!(dead_letters.iter().any(|dead_letter| dead_letter.reason == "plugin_unavailable"
        && dead_letter.detail.contains("was not called for the event")
        && dead_letter.plugin.is_some()
        && dead_letter.generation == Some(1)));
    assert_eq!(dead_letters.len() as u64, dead);
}

#[test]
fn a_looping_plugin_costs_little_once_it_is_switched_off() {
    let settings =
        "[plugin.breaker]\nwindow = '1s'\nretry = '1s'\nwhen_off = 'fail'\nfailing_cpu = 0.2";
    let mut running = new_program(settings).start();
    write_events_until(
        &mut running,
        "loop",
        "and is off: it fails on 100 % of the source's events",
    );
    let before = running.usage().unwrap().cpu;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        running.write_stdin(&make_event("loop").repeat(200).into_bytes());
        std::thread::sleep(Duration::from_millis(20));
    }
    let used = running.usage().unwrap().cpu - before;
    // There are three probes, each with as many events as use a fifth of the time until the next
    // one.
    assert!(used < Duration::from_millis(1200), "{used:?} in {:?}", start.elapsed());
    let ran = running.finish(standpipe_tests::DEADLINE).expect_exit(3);
    assert_eq!(ran.count("read"), ran.count("dead"));
}

#[test]
fn a_canary_decides_about_the_same_share_of_users_every_time() {
    let mut events: Vec<_> = (0..5).flat_map(|_| 0..1000).map(event_of_user).collect();
    let forwards = run_with_canary("percent = 30.0", events.concat()).expect_exit(0);
    events.reverse();
    let backwards = run_with_canary("percent = 30.0", events.concat()).expect_exit(0);
    assert_eq!(event_counts(&forwards), [5000, 5000, 0, 0, 0]);
    let sides = |ran: &FinishedRun| {
        let streams = ran.streams();
        ["good", "main"].map(|stream| parse_users(&streams[stream]))
    };
    let [tried, others] = sides(&forwards);
    assert!(tried.is_disjoint(&others), "a user has one side");
    assert!((250..350).contains(&tried.len()), "{} of 1000 users", tried.len());
    assert_eq!(sides(&backwards), [tried, others]);
}

#[test]
fn a_canary_that_fails_is_removed_and_loses_no_event() {
    for name in ["trap", "loop", "memory", "many"] {
        let input = (0..2000).map(|user| event_of_user_named(user, name)).collect::<String>();
        let settings = "percent = 50.0\nmin_events = 50\nmax_error_rate = 0.1";
        let ran = run_with_canary(settings, input.clone()).expect_exit(0);
        assert_eq!(event_counts(&ran), [2000, 2000, 0, 0, 0], "{name}");
        assert_eq!(String::from_utf8_lossy(&ran.streams()["main"]).lines().count(), 2000);
        assert!(!ran.streams().contains_key("good"));
        let _ = ran.expect_stderr(&["canary stopped: it failed on or rejected"]);
    }
    // A canary that rarely fails stays.
    let input =
        (0..2000).map(|user| event_of_user_named(user, if user % 100 == 7 { "trap" } else { "x" }));
    let ran =
        run_with_canary("percent = 50.0\nmin_events = 50\nmax_error_rate = 0.2", input.collect());
    let ran = ran.expect_exit(0);
    assert_eq!(event_counts(&ran), [2000, 2000, 0, 0, 0]);
    assert!(ran.streams()["good"].len() > 20_000, "the canary decides to the end");
    assert!(!ran.stderr.contains("is out"));
}

fn run_program(settings: &str, input: String) -> FinishedRun {
    new_program(settings).stdin(input).run()
}

/// Creates a program with one worker, which makes the order of records predictable. The settings
/// start in the table `[plugin]`.
fn new_program(settings: &str) -> Program {
    let settings = format!(
        "workers = 1\n[delivery]\nmax_delay = '10ms'\n[plugin]\npath = '{}'\n{settings}\n",
        misbehaving_plugin().display()
    );
    Program::host_run_locally().settings(&settings)
}

/// The built-in plugin sends all events to `main`, the canary to `good`.
fn run_with_canary(settings: &str, input: String) -> FinishedRun {
    let settings = format!(
        "[plugin.settings]\nmappings = [{{ event = '*', stream = 'main' }}]\n[plugin.canary]\npath = '{}'\n{settings}\n",
        misbehaving_plugin().display()
    );
    Program::host_run_locally().settings(&settings).stdin(input).run()
}

/// Writes events of this name until the program logs this text.
fn write_events_until(running: &mut Running, name: &str, until: &str) {
    wait_until(until, || {
        running.write_stdin(make_event(name).repeat(100).as_bytes());
        std::thread::sleep(Duration::from_millis(20));
        running.stderr().contains(until)
    });
}

fn delivered_locally(running: &Running) -> usize {
    let bytes = std::fs::read(running.path("out/good.ndjson")).unwrap_or_default();
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

fn mix_events(good_ones: u32, bad_ones: u32) -> String {
    let step = good_ones / bad_ones;
    (0..good_ones).fold(String::new(), |mut lines, n| {
        lines += &good_event(n);
        if n % step == 0 {
            lines += &bad_event(n / step);
        }
        lines
    })
}

fn make_event(name: &str) -> String {
    format!("{{\"type\":\"track\",\"event\":\"{name}\"}}\n")
}

fn good_event(n: u32) -> String {
    format!(
        "{{\"type\":\"track\",\"event\":\"good\",\"n\":{n},\"filler\":\"{}\"}}\n",
        "x".repeat(400)
    )
}

fn bad_event(n: u32) -> String {
    format!("{{ \"event\" : \"trap\",\t\"n\":{n} }}\n")
}

fn event_of_user(user: usize) -> String {
    event_of_user_named(user, "x")
}

fn event_of_user_named(user: usize, name: &str) -> String {
    format!("{{\"type\":\"track\",\"event\":\"{name}\",\"userId\":\"user-{user}\"}}\n")
}

fn parse_users(lines: &[u8]) -> BTreeSet<String> {
    let lines = std::str::from_utf8(lines).unwrap().lines();
    let user = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["userId"].as_str().unwrap().to_owned()
    };
    lines.map(user).collect()
}

fn parse_numbers(lines: &[u8]) -> BTreeSet<u64> {
    let lines = std::str::from_utf8(lines).unwrap().lines();
    lines.map(|line| serde_json::from_str::<Value>(line).unwrap()["n"].as_u64().unwrap()).collect()
}

/// How often each event was accepted, by its id.
fn count_deliveries(stub: &Stub) -> BTreeMap<u64, usize> {
    let mut times = BTreeMap::new();
    for record in stub.accepted_records().into_values().flatten() {
        let event: Value = serde_json::from_slice(&record).expect("a record is JSON");
        *times.entry(event["id"].as_u64().expect("an id")).or_default() += 1;
    }
    times
}

fn event_counts(ran: &FinishedRun) -> [u64; 5] {
    ["read", "delivered", "filtered", "dead", "undelivered"].map(|key| ran.count(key))
}
