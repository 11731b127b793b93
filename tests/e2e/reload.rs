//! Settings beside the plugin's that change while the collector runs: what can follow
//! them does so, and the log names what needs a restart.

use std::fs;

use rustix::process::Signal;
use serde_json::json;
use standpipe_tests::client::{Client, basic};
use standpipe_tests::{Collector, Fate, Program, Stub, wait_until};

const WEB: &str = r#"
[[sources]]
name = "web"
dialect = "segment"
write_keys = ["key-of-web"]
"#;

/// A collector whose settings are only read when it is asked to.
struct Reloading {
    collector: Collector,
    stub: Stub,
}

impl Reloading {
    fn start(settings: &str) -> Self {
        let stub = Stub::start(|_| Fate::Accept);
        let program = Program::running_against(&stub.url()).mapping(&[("*", "all")]);
        let collector = Collector::start(program.settings(&unwatched(settings)));
        Reloading { collector, stub }
    }

    /// Change the settings, and wait until the log says so.
    fn reload(&self, settings: &str, words: &str) {
        let running = self.collector.running();
        let mentions = || running.stderr().matches(words).count();
        let before = mentions();
        fs::write(running.path("settings.toml"), unwatched(settings)).unwrap();
        running.signal(Signal::HUP);
        wait_until(words, || mentions() > before);
    }

    /// The status of a request with so many events.
    fn send(&self, key: &str, count: usize) -> u16 {
        let events: Vec<_> = (0..count)
            .map(|number| json!({"type": "track", "event": "E", "userId": key, "number": number}))
            .collect();
        let body = json!({"batch": events}).to_string();
        let (header, key) = basic(key);
        let mut client = Client::connect(self.collector.url());
        client.post("/v1/batch", &[(header, &key)], body.as_bytes()).unwrap().status
    }

    fn delivered(&self) -> Vec<Vec<u8>> {
        self.stub.accepted().into_values().flatten().collect()
    }

    fn wait_for_delivered(&self, count: usize) {
        wait_until("all events are delivered", || self.delivered().len() == count);
    }
}

fn unwatched(settings: &str) -> String {
    format!("{settings}\n[plugin]\nwatch = false\n")
}

#[test]
fn sources_follow_the_settings() {
    let shop = r#"
[[sources]]
name = "shop"
dialect = "rudderstack"
write_keys = ["key-of-shop"]
"#;
    let run = Reloading::start(WEB);
    assert_eq!((run.send("key-of-web", 3), run.send("key-of-shop", 1)), (200, 401));

    run.reload(&format!("{WEB}{shop}"), "reloaded [[sources]] \"shop\"");
    assert_eq!((run.send("key-of-web", 3), run.send("key-of-shop", 1)), (200, 200));

    let other_key = WEB.replace("key-of-web", "key-of-site");
    run.reload(&format!("{other_key}{shop}"), "reloaded [[sources]] \"web\"");
    assert_eq!((run.send("key-of-web", 3), run.send("key-of-site", 2)), (401, 200));

    let limited = shop.replace("dialect", "rate_limit = 1\ndialect");
    run.reload(&format!("{other_key}{limited}"), "reloaded [[sources]] \"shop\"");
    assert_eq!((run.send("key-of-shop", 1), run.send("key-of-shop", 1)), (200, 429));

    run.reload(&other_key, "reloaded [[sources]] \"shop\"");
    assert_eq!(run.send("key-of-shop", 1), 401);

    run.wait_for_delivered(10);
    let ran = run.collector.stop().exits(0);
    let summary = ran.summary();
    assert_eq!(summary["delivered"], 10);
    // Those of a source that is gone are still counted.
    assert_eq!(summary["collected"]["accepted"], 10, "{summary}");
}

#[test]
fn sources_whose_roles_change_wait_for_a_restart() {
    let run = Reloading::start(WEB);
    let with_role = format!("{WEB}role_arn = \"arn:aws:iam::444455556666:role/web\"\n");
    run.reload(&with_role, "restart to apply changed settings: [[sources]] \"web\"");
    assert_eq!(run.send("key-of-web", 1), 200);
    run.wait_for_delivered(1);
    let _ = run.collector.stop().exits(0);
}

#[test]
fn settings_of_streams_follow() {
    let run = Reloading::start(WEB);
    assert_eq!(run.send("key-of-web", 5), 200);
    run.wait_for_delivered(5);
    run.reload(&format!("{WEB}[streams.all]\nnewline = false\n"), "reloaded [streams.\"all\"]");
    assert_eq!(run.send("key-of-web", 4), 200);
    run.wait_for_delivered(9);
    run.reload(
        &format!("{WEB}[delivery]\naggregate = \"auto\"\n"),
        "reloaded [delivery] aggregate",
    );
    assert_eq!(run.send("key-of-web", 3), 200);
    let ran = run.collector.stop().exits(0);
    assert_eq!(ran.summary()["delivered"], 12);
    let records: Vec<Vec<u8>> = run.stub.accepted().into_values().flatten().collect();
    let without_newline = records.iter().filter(|record| record.last() != Some(&b'\n'));
    assert_eq!(without_newline.count(), 4);
    // Counts go on where those of the former settings ended.
    assert_eq!(ran.summary()["streams"]["all"]["events"], 12);
}

#[test]
fn what_needs_a_restart_is_named_once() {
    let run = Reloading::start(WEB);
    let changed = format!("workers = 1\n{WEB}[delivery]\nmax_delay = \"5s\"\n");
    run.reload(&changed, "restart to apply changed settings: workers, [delivery] max_delay");
    run.reload(&changed, "plugin and its settings are unchanged");
    run.reload(&format!("log = \"debug\"\n{changed}"), "reloaded log");
    let stderr = run.collector.running().stderr();
    assert_eq!(stderr.matches("restart to apply").count(), 1, "{stderr}");
    // A secret is not part of it.
    let secret =
        format!("{changed}[aws]\nsecret_access_key = \"hush\"\naccess_key_id = \"AKIA\"\n");
    run.reload(&secret, "[aws] access_key_id, [aws] secret_access_key");
    let ran = run.collector.stop().exits(0);
    assert!(!ran.stderr.contains("hush"), "{}", ran.stderr);
}

#[test]
fn settings_that_are_wrong_change_nothing() {
    let run = Reloading::start(WEB);
    for (wrong, words) in [
        ("rate_limit = 0\n", "rate_limit"),
        ("colour = 1\n", "colour"),
        (
            "[[sources]]\nname = \"b\"\ndialect = \"segment\"\nwrite_keys = [\"key-of-web\"]\n",
            "key",
        ),
    ] {
        run.reload(&format!("{WEB}{wrong}"), words);
        assert_eq!(run.send("key-of-web", 1), 200);
    }
    run.wait_for_delivered(3);
    let _ = run.collector.stop().exits(0);
}

#[test]
fn the_log_filter_follows() {
    let run = Reloading::start(&format!("log = \"error\"\n{WEB}"));
    run.reload(&format!("log = \"info\"\n{WEB}"), "plugin and its settings are unchanged");
    let ran = run.collector.stop().exits(0);
    assert!(ran.stderr.contains("reloaded log"), "{}", ran.stderr);
    let wrong = Program::running_locally().mapping(&[("*", "all")]).settings("log = \"x=y=z\"\n");
    let ran = wrong.run().exits(2);
    assert!(ran.stderr.contains("invalid log \"x=y=z\""), "{}", ran.stderr);
}
