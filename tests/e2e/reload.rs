//! Tests settings outside of the plugin that change while the collector runs: they are applied if
//! possible, and the log names those that need a restart.

use std::fs;

use rustix::process::Signal;
use serde_json::json;
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::{Collector, Program, Stub, StubResponse, wait_until};

const WEB: &str = r#"
[[sources]]
name = "web"
dialect = "segment"
write_keys = ["key-of-web"]
"#;

/// A collector that only reads its settings again on request.
struct ReloadedCollector {
    collector: Collector,
    stub: Stub,
}

impl ReloadedCollector {
    fn start(settings: &str) -> Self {
        let stub = Stub::start(|_| StubResponse::Accept);
        let program = Program::host_run_against(&stub.url()).mapping(&[("*", "all")]);
        let collector = Collector::start(program.settings(&without_watching(settings)));
        ReloadedCollector { collector, stub }
    }

    /// Changes the settings, and waits until the log contains these words.
    fn write_and_reload(&self, settings: &str, words: &str) {
        let running = self.collector.running();
        let mentions = || running.stderr().matches(words).count();
        let before = mentions();
        fs::write(running.path("settings.toml"), without_watching(settings)).unwrap();
        running.send_signal(Signal::HUP);
        wait_until(words, || mentions() > before);
    }

    /// The status of a request with this number of events.
    fn send_events(&self, key: &str, count: usize) -> u16 {
        let events: Vec<_> = (0..count)
            .map(|number| json!({"type": "track", "event": "E", "userId": key, "number": number}))
            .collect();
        let body = json!({"batch": events}).to_string();
        let (header, key) = basic_auth(key);
        let mut client = Client::connect(self.collector.url());
        client.post("/v1/batch", &[(header, &key)], body.as_bytes()).unwrap().status
    }

    fn delivered_records(&self) -> Vec<Vec<u8>> {
        self.stub.accepted_records().into_values().flatten().collect()
    }

    fn wait_for_delivered(&self, count: usize) {
        wait_until("all events are delivered", || self.delivered_records().len() == count);
    }
}

fn without_watching(settings: &str) -> String {
    match settings.split_once("[plugin]\n") {
        Some((before, after)) => format!("{before}[plugin]\nwatch = false\n{after}"),
        None => format!("{settings}\n[plugin]\nwatch = false\n"),
    }
}

#[test]
fn sources_are_reloaded() {
    let shop = r#"
[[sources]]
name = "shop"
dialect = "rudderstack"
write_keys = ["key-of-shop"]
"#;
    let run = ReloadedCollector::start(WEB);
    assert_eq!((run.send_events("key-of-web", 3), run.send_events("key-of-shop", 1)), (200, 401));

    run.write_and_reload(&format!("{WEB}{shop}"), "reloaded [[sources]] \"shop\"");
    assert_eq!((run.send_events("key-of-web", 3), run.send_events("key-of-shop", 1)), (200, 200));

    let other_key = WEB.replace("key-of-web", "key-of-site");
    run.write_and_reload(&format!("{other_key}{shop}"), "reloaded [[sources]] \"web\"");
    assert_eq!((run.send_events("key-of-web", 3), run.send_events("key-of-site", 2)), (401, 200));

    let limited = shop.replace("dialect", "rate_limit = 1\ndialect");
    run.write_and_reload(&format!("{other_key}{limited}"), "reloaded [[sources]] \"shop\"");
    assert_eq!((run.send_events("key-of-shop", 1), run.send_events("key-of-shop", 1)), (200, 429));

    run.write_and_reload(&other_key, "reloaded [[sources]] \"shop\"");
    assert_eq!(run.send_events("key-of-shop", 1), 401);

    run.wait_for_delivered(10);
    let ran = run.collector.stop().expect_exit(0);
    let summary = ran.summary();
    assert_eq!(summary["delivered"], 10);
    // Events of a removed source are still counted.
    assert_eq!(summary["collected"]["accepted"], 10, "{summary}");
}

#[test]
fn sources_whose_roles_change_wait_for_a_restart() {
    let run = ReloadedCollector::start(WEB);
    let with_role = format!("{WEB}role_arn = \"arn:aws:iam::444455556666:role/web\"\n");
    run.write_and_reload(&with_role, "restart to apply changed settings: [[sources]] \"web\"");
    assert_eq!(run.send_events("key-of-web", 1), 200);
    run.wait_for_delivered(1);
    let _ = run.collector.stop().expect_exit(0);
}

#[test]
fn stream_settings_are_reloaded() {
    let run = ReloadedCollector::start(WEB);
    assert_eq!(run.send_events("key-of-web", 5), 200);
    run.wait_for_delivered(5);
    run.write_and_reload(
        &format!("{WEB}[streams.all]\nnewline = false\n"),
        "reloaded [streams.\"all\"]",
    );
    assert_eq!(run.send_events("key-of-web", 4), 200);
    run.wait_for_delivered(9);
    run.write_and_reload(
        &format!("{WEB}[delivery]\naggregate = \"auto\"\n"),
        "reloaded [delivery] aggregate",
    );
    assert_eq!(run.send_events("key-of-web", 3), 200);
    let ran = run.collector.stop().expect_exit(0);
    assert_eq!(ran.summary()["delivered"], 12);
    let records: Vec<Vec<u8>> = run.stub.accepted_records().into_values().flatten().collect();
    let without_newline = records.iter().filter(|record| record.last() != Some(&b'\n'));
    assert_eq!(without_newline.count(), 4);
    // The counts continue from those of the earlier settings.
    assert_eq!(ran.summary()["streams"]["all"]["events"], 12);
}

#[test]
fn settings_that_need_a_restart_are_named_once() {
    let run = ReloadedCollector::start(WEB);
    let plugin = "[plugin]\non_failure = \"pass_through\"\npass_through_stream = \"rest\"\n";
    let changed = format!("workers = 1\n{WEB}[delivery]\nmax_delay = \"5s\"\n{plugin}");
    run.write_and_reload(
        &changed,
        "restart to apply changed settings: workers, [delivery] max_delay, [plugin] on_failure, \
         [plugin] pass_through_stream",
    );
    run.write_and_reload(&changed, "plugin and its settings are unchanged");
    run.write_and_reload(&format!("log = \"debug\"\n{changed}"), "reloaded log");
    let stderr = run.collector.running().stderr();
    assert_eq!(stderr.matches("restart to apply").count(), 1, "{stderr}");
    // A change of a secret is not a change of the settings.
    let secret =
        format!("{changed}[aws]\nsecret_access_key = \"hush\"\naccess_key_id = \"AKIA\"\n");
    run.write_and_reload(&secret, "[aws] access_key_id, [aws] secret_access_key");
    let ran = run.collector.stop().expect_exit(0);
    assert!(!ran.stderr.contains("hush"), "{}", ran.stderr);
}

#[test]
fn wrong_settings_change_nothing() {
    let run = ReloadedCollector::start(WEB);
    for (wrong, words) in [
        ("rate_limit = 0\n", "rate_limit"),
        ("colour = 1\n", "colour"),
        (
            "[[sources]]\nname = \"b\"\ndialect = \"segment\"\nwrite_keys = [\"key-of-web\"]\n",
            "key",
        ),
    ] {
        run.write_and_reload(&format!("{WEB}{wrong}"), words);
        assert_eq!(run.send_events("key-of-web", 1), 200);
    }
    run.wait_for_delivered(3);
    let _ = run.collector.stop().expect_exit(0);
}

#[test]
fn the_log_filter_is_reloaded() {
    let run = ReloadedCollector::start(&format!("log = \"error\"\n{WEB}"));
    run.write_and_reload(
        &format!("log = \"info\"\n{WEB}"),
        "plugin and its settings are unchanged",
    );
    let ran = run.collector.stop().expect_exit(0);
    assert!(ran.stderr.contains("reloaded log"), "{}", ran.stderr);
    let wrong = Program::host_run_locally().mapping(&[("*", "all")]).settings("log = \"x=y=z\"\n");
    let ran = wrong.run().expect_exit(2);
    assert!(ran.stderr.contains("invalid log \"x=y=z\""), "{}", ran.stderr);
}
