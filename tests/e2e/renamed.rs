//! Tests sources that the settings no longer contain: their events are not written with another
//! source's role, and are not lost.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::endpoint::Endpoint;
use standpipe_tests::metrics::Metrics;
use standpipe_tests::settings::{CollectorSettings, SourceEntry};
use standpipe_tests::{
    Collector, DeadLetter, Program, Stub, StubResponse, make_data_directory, wait_until,
};
use tempfile::TempDir;

const ROWS: &[(&str, &str)] = &[("*", "all")];
const HOUR: Duration = Duration::from_secs(3600);

struct RenamedData {
    _directory: TempDir,
    path: PathBuf,
    sts: Endpoint,
}

impl RenamedData {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("data");
        make_data_directory(&path);
        RenamedData { _directory: directory, path, sts: Endpoint::start_sts(HOUR) }
    }

    fn collector_settings(&self, firehose: &Stub, sources: &[SourceEntry]) -> CollectorSettings {
        let settings = CollectorSettings::new(sources.iter().cloned());
        let settings = settings.writing_as_role(&firehose.url(), &self.sts.url());
        settings.with_line("delivery", "drain_timeout = '200ms'")
    }

    fn program_at(&self, program: Program) -> Program {
        program.args(["--data-dir"]).args([&self.path])
    }

    fn start_collector(&self, firehose: &Stub, sources: &[SourceEntry]) -> Collector {
        let program = self.program_at(Program::host_run()).with_keys();
        let settings = self.collector_settings(firehose, sources);
        Collector::start(program.settings(&settings).mapping(ROWS))
    }

    /// A spool with events of the source `blog`, which has its own role.
    fn with_events_of_blog(count: usize) -> Self {
        let data = RenamedData::new();
        let hanging = Stub::start(|_| StubResponse::Hang);
        let collector = data.start_collector(&hanging, &[blog_source()]);
        send_events(&collector, "key-of-blog", count);
        wait_until("they are on their way", || !hanging.requests().is_empty());
        let ran = collector.stop().expect_exit(4);
        assert_eq!(ran.summary()["collected"]["waiting"], count);
        data
    }
}

const ROLE_OF_BLOG: &str = "role_arn = 'arn:aws:iam::444455556666:role/blog'";

fn blog_source() -> SourceEntry {
    SourceEntry::segment("blog").with_line(ROLE_OF_BLOG)
}

/// The source `blog` under another name. `formerly` contains its former name.
fn magazine_source(formerly: &str) -> SourceEntry {
    let magazine =
        SourceEntry::segment("magazine").write_keys(&["key-of-blog"]).with_line(ROLE_OF_BLOG);
    magazine.with_line(formerly)
}

fn shop_source() -> SourceEntry {
    SourceEntry::segment("shop")
}

fn start_accepting_stub() -> Stub {
    Stub::start(|_| StubResponse::Accept)
}

fn send_events(collector: &Collector, key: &str, count: usize) {
    let events: Vec<_> = (0..count)
        .map(|number| json!({"type": "track", "event": "E", "userId": key, "number": number}))
        .collect();
    let body = json!({"batch": events}).to_string();
    let (header, key) = basic_auth(key);
    let mut client = Client::connect(collector.url());
    let reply = client.post("/v1/batch", &[(header, &key)], body.as_bytes()).unwrap();
    assert_eq!(reply.status, 200);
}

fn read_metric(collector: &Collector, name: &str) -> f64 {
    let reply = Client::connect(collector.admin_url()).get("/metrics").unwrap();
    Metrics::parse(&reply.text()).unwrap().value(name, &[])
}

/// The key of the sender of each event, and the stream's label in the summary.
fn list_senders(stub: &Stub) -> Vec<String> {
    let records = stub.accepted_records().into_values().flatten();
    let events = records.map(|record| serde_json::from_slice::<Value>(&record).unwrap());
    let mut senders: Vec<_> =
        events.map(|event| event["userId"].as_str().unwrap().to_owned()).collect();
    senders.sort();
    senders.dedup();
    senders
}

#[test]
fn events_of_a_removed_source_are_held_and_those_of_others_are_not() {
    let data = RenamedData::with_events_of_blog(20);
    let stub = start_accepting_stub();
    let collector = data.start_collector(&stub, &[shop_source()]);
    send_events(&collector, "key-of-shop", 30);
    wait_until("those of others are delivered", || {
        read_metric(&collector, "standpipe_spool_events") == 20.0
    });
    wait_until("the others are held", || {
        read_metric(&collector, "standpipe_spool_held_events") == 20.0
    });
    let ready = Client::connect(collector.admin_url()).get("/health/ready").unwrap();
    assert_eq!(ready.status, 200);
    let text = ready.text();
    assert!(text.contains("20 events are held") && text.contains("blog"), "{text}");
    let ran = collector.stop().expect_exit(4).expect_stderr(&[
        "\"blog\"",
        "formerly",
        "20 of the waiting events are held",
    ]);
    let collected = &ran.summary()["collected"];
    assert_eq!((&collected["held"], &collected["waiting"]), (&json!(20), &json!(20)));
    assert_eq!(collected["unknown_sources"], json!(["blog"]));
    assert_eq!(list_senders(&stub), ["key-of-shop"]);

    // The source is in the settings again, but disabled.
    let stub = start_accepting_stub();
    let collector =
        data.start_collector(&stub, &[shop_source(), blog_source().with_line("enabled = false")]);
    wait_until("they are delivered", || read_metric(&collector, "standpipe_spool_events") == 0.0);
    let ran = collector.stop().expect_exit(0);
    assert_eq!(list_senders(&stub), ["key-of-blog"]);
    assert_eq!(ran.summary()["streams"]["all as blog"]["events"], 20);
}

#[test]
fn a_renamed_source_names_its_former_name() {
    let data = RenamedData::with_events_of_blog(20);
    let stub = start_accepting_stub();
    let renamed = magazine_source("formerly = ['journal', 'blog']");
    let collector = data.start_collector(&stub, &[shop_source(), renamed]);
    wait_until("they are delivered", || read_metric(&collector, "standpipe_spool_events") == 0.0);
    let ran = collector.stop().expect_exit(0);
    assert_eq!(ran.summary()["streams"]["all as magazine"]["events"], 20);
    assert!(ran.summary()["streams"].get("all").is_none());
}

#[test]
fn invalid_former_names_are_refused() {
    for (sources, words) in [
        (
            vec![shop_source().with_line("formerly = ['blog']"), blog_source()],
            "name of another source",
        ),
        (vec![shop_source().with_line("formerly = ['shop']")], "name of another source"),
        (vec![shop_source().with_line("formerly = ['a', 'a']")], "is listed twice"),
        (vec![shop_source().with_line("formerly = ['']")], "1 to 100 characters"),
    ] {
        let settings = CollectorSettings::new(sources);
        let program = Program::host_run_locally().settings(&settings).mapping(ROWS);
        program
            .args(["--listen", "127.0.0.1:0"])
            .run()
            .expect_exit(2)
            .expect_stderr(&["formerly", words]);
    }
}

#[test]
fn dead_letters_of_an_unknown_source_are_left() {
    let data = RenamedData::new();
    // The response names each record: if a request fails as a whole, no record counts as faulty.
    let refusing = Stub::start(|put| StubResponse::Refuse {
        records: (0..put.records.len()).collect(),
        code: "InvalidArgumentException",
    });
    let collector = data.start_collector(&refusing, &[blog_source()]);
    send_events(&collector, "key-of-blog", 10);
    wait_until("they are dead", || read_metric(&collector, "standpipe_spool_events") == 0.0);
    collector.stop().expect_exit(3);
    let before = DeadLetter::read_all(&data.path);
    assert_eq!(before.len(), 10);

    let replay = |source: SourceEntry, more: &[&str]| {
        let stub = start_accepting_stub();
        let program = data.program_at(Program::new().args(["dead", "replay"])).with_keys();
        let program = program.args(["--summary", "summary.json"]).args(more);
        let ran = program.settings(&data.collector_settings(&stub, &[source])).mapping(ROWS).run();
        (ran.expect_exit(0), stub)
    };
    let (ran, stub) = replay(shop_source(), &[]);
    let ran =
        ran.expect_stderr(&["\"blog\"", "--allow-unknown-sources", "10 dead letters were skipped"]);
    assert_eq!((ran.count("read"), ran.count("unknown_source_letters")), (0, 10));
    assert!(stub.requests().is_empty(), "nothing is sent with another role");
    assert_eq!(DeadLetter::read_all(&data.path), before);

    let (ran, _) = replay(magazine_source("formerly = ['blog']"), &[]);
    assert_eq!(ran.summary()["streams"]["all as magazine"]["events"], 10);
    assert_eq!(DeadLetter::read_all(&data.path), []);
}

#[test]
fn dead_letters_of_files_need_an_option_if_there_are_sources() {
    let data = RenamedData::new();
    let program = data.program_at(Program::host_run_locally()).stdin("{\"type\":\"page\"}\n");
    let strict = "[plugin.settings]\nunmapped = 'dead_letter'";
    program.settings(strict).mapping(&[("nothing", "nowhere")]).run().expect_exit(3);
    let stub = start_accepting_stub();
    let replay = |more: &[&str]| {
        let program =
            data.program_at(Program::new().args(["dead", "replay"])).with_keys().args(more);
        let program = program.args(["--summary", "summary.json"]);
        program
            .settings(&data.collector_settings(&stub, &[shop_source()]))
            .mapping(ROWS)
            .run()
            .expect_exit(0)
    };
    assert_eq!(replay(&[]).count("unknown_source_letters"), 1);
    let ran = replay(&["--allow-unknown-sources"]);
    assert_eq!(
        (ran.count("delivered"), ran.summary()["streams"]["all"]["events"].as_u64()),
        (1, Some(1))
    );
    assert_eq!(DeadLetter::read_all(&data.path), []);
}
