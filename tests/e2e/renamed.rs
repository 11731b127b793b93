//! Sources that the settings no longer have: their events are not written with another
//! source's role, and not lost either.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use standpipe_tests::client::{Client, basic};
use standpipe_tests::endpoint::Endpoint;
use standpipe_tests::metrics::Metrics;
use standpipe_tests::settings::{CollectorSettings, Source};
use standpipe_tests::{
    Collector, DeadLetter, Fate, Program, Stub, make_data_directory, wait_until,
};
use tempfile::TempDir;

const ROWS: &[(&str, &str)] = &[("*", "all")];
const HOUR: Duration = Duration::from_secs(3600);

struct Data {
    _directory: TempDir,
    path: PathBuf,
    sts: Endpoint,
}

impl Data {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("data");
        make_data_directory(&path);
        Data { _directory: directory, path, sts: Endpoint::sts(HOUR) }
    }

    fn settings(&self, firehose: &Stub, sources: &[Source]) -> CollectorSettings {
        let settings = CollectorSettings::new(sources.iter().cloned());
        let settings = settings.writing_as_role(&firehose.url(), &self.sts.url());
        settings.with("delivery", "drain_timeout = '200ms'")
    }

    fn at(&self, program: Program) -> Program {
        program.args(["--data-dir"]).args([&self.path])
    }

    fn collector(&self, firehose: &Stub, sources: &[Source]) -> Collector {
        let program = self.at(Program::running()).with_keys();
        let settings = self.settings(firehose, sources);
        Collector::start(program.settings(&settings).mapping(ROWS))
    }

    /// Events of the source `blog`, which has a role of its own, in the spool.
    fn with_events_of_blog(count: usize) -> Self {
        let data = Data::new();
        let hanging = Stub::start(|_| Fate::Hang);
        let collector = data.collector(&hanging, &[blog()]);
        send(&collector, "key-of-blog", count);
        wait_until("they are on their way", || !hanging.requests().is_empty());
        let ran = collector.stop().exits(4);
        assert_eq!(ran.summary()["collected"]["waiting"], count);
        data
    }
}

const ROLE_OF_BLOG: &str = "role_arn = 'arn:aws:iam::444455556666:role/blog'";

fn blog() -> Source {
    Source::segment("blog").with(ROLE_OF_BLOG)
}

/// The source `blog` with another name, which says what it was.
fn magazine(formerly: &str) -> Source {
    let magazine = Source::segment("magazine").write_keys(&["key-of-blog"]).with(ROLE_OF_BLOG);
    magazine.with(formerly)
}

fn shop() -> Source {
    Source::segment("shop")
}

fn accepting() -> Stub {
    Stub::start(|_| Fate::Accept)
}

fn send(collector: &Collector, key: &str, count: usize) {
    let events: Vec<_> = (0..count)
        .map(|number| json!({"type": "track", "event": "E", "userId": key, "number": number}))
        .collect();
    let body = json!({"batch": events}).to_string();
    let (header, key) = basic(key);
    let mut client = Client::connect(collector.url());
    let reply = client.post("/v1/batch", &[(header, &key)], body.as_bytes()).unwrap();
    assert_eq!(reply.status, 200);
}

fn metric(collector: &Collector, name: &str) -> f64 {
    let reply = Client::connect(collector.admin_url()).get("/metrics").unwrap();
    Metrics::parse(&reply.text()).unwrap().value(name, &[])
}

/// Whose events were delivered with which role: the key of the sender, and the
/// stream's label in the summary.
fn senders(stub: &Stub) -> Vec<String> {
    let records = stub.accepted().into_values().flatten();
    let events = records.map(|record| serde_json::from_slice::<Value>(&record).unwrap());
    let mut senders: Vec<_> =
        events.map(|event| event["userId"].as_str().unwrap().to_owned()).collect();
    senders.sort();
    senders.dedup();
    senders
}

#[test]
fn events_of_a_removed_source_are_held_and_those_of_others_are_not() {
    let data = Data::with_events_of_blog(20);
    let stub = accepting();
    let collector = data.collector(&stub, &[shop()]);
    send(&collector, "key-of-shop", 30);
    wait_until("those of others are delivered", || {
        metric(&collector, "standpipe_spool_events") == 20.0
    });
    wait_until("the others are held", || metric(&collector, "standpipe_spool_held_events") == 20.0);
    let ready = Client::connect(collector.admin_url()).get("/health/ready").unwrap();
    assert_eq!(ready.status, 200);
    let text = ready.text();
    assert!(text.contains("20 events are held") && text.contains("blog"), "{text}");
    let ran = collector.stop().exits(4).says(&[
        "\"blog\"",
        "formerly",
        "20 of the waiting events are held",
    ]);
    let collected = &ran.summary()["collected"];
    assert_eq!((&collected["held"], &collected["waiting"]), (&json!(20), &json!(20)));
    assert_eq!(collected["unknown_sources"], json!(["blog"]));
    assert_eq!(senders(&stub), ["key-of-shop"]);

    // It is put back, but takes nothing.
    let stub = accepting();
    let collector = data.collector(&stub, &[shop(), blog().with("enabled = false")]);
    wait_until("they are delivered", || metric(&collector, "standpipe_spool_events") == 0.0);
    let ran = collector.stop().exits(0);
    assert_eq!(senders(&stub), ["key-of-blog"]);
    assert_eq!(ran.summary()["streams"]["all as blog"]["events"], 20);
}

#[test]
fn a_renamed_source_names_what_it_was() {
    let data = Data::with_events_of_blog(20);
    let stub = accepting();
    let renamed = magazine("formerly = ['journal', 'blog']");
    let collector = data.collector(&stub, &[shop(), renamed]);
    wait_until("they are delivered", || metric(&collector, "standpipe_spool_events") == 0.0);
    let ran = collector.stop().exits(0);
    assert_eq!(ran.summary()["streams"]["all as magazine"]["events"], 20);
    assert!(ran.summary()["streams"].get("all").is_none());
}

#[test]
fn former_names_that_say_nothing_are_refused() {
    for (sources, words) in [
        (vec![shop().with("formerly = ['blog']"), blog()], "name of another source"),
        (vec![shop().with("formerly = ['shop']")], "name of another source"),
        (vec![shop().with("formerly = ['a', 'a']")], "is listed twice"),
        (vec![shop().with("formerly = ['']")], "1 to 100 characters"),
    ] {
        let settings = CollectorSettings::new(sources);
        let program = Program::running_locally().settings(&settings).mapping(ROWS);
        program.args(["--listen", "127.0.0.1:0"]).run().exits(2).says(&["formerly", words]);
    }
}

#[test]
fn dead_letters_of_an_unknown_source_are_left() {
    let data = Data::new();
    // It names each record: a request that is refused whole blames none.
    let refusing = Stub::start(|put| Fate::Refuse {
        records: (0..put.records.len()).collect(),
        code: "InvalidArgumentException",
    });
    let collector = data.collector(&refusing, &[blog()]);
    send(&collector, "key-of-blog", 10);
    wait_until("they are dead", || metric(&collector, "standpipe_spool_events") == 0.0);
    collector.stop().exits(3);
    let before = DeadLetter::read_all(&data.path);
    assert_eq!(before.len(), 10);

    let replay = |source: Source, more: &[&str]| {
        let stub = accepting();
        let program = data.at(Program::new().args(["dead", "replay"])).with_keys();
        let program = program.args(["--summary", "summary.json"]).args(more);
        let ran = program.settings(&data.settings(&stub, &[source])).mapping(ROWS).run();
        (ran.exits(0), stub)
    };
    let (ran, stub) = replay(shop(), &[]);
    let ran = ran.says(&["\"blog\"", "--allow-unknown-sources", "10 dead letters were skipped"]);
    assert_eq!((ran.count("read"), ran.count("unknown_source_letters")), (0, 10));
    assert!(stub.requests().is_empty(), "nothing is sent with another role");
    assert_eq!(DeadLetter::read_all(&data.path), before);

    let (ran, _) = replay(magazine("formerly = ['blog']"), &[]);
    assert_eq!(ran.summary()["streams"]["all as magazine"]["events"], 10);
    assert_eq!(DeadLetter::read_all(&data.path), []);
}

#[test]
fn letters_of_files_need_a_word_where_there_are_sources() {
    let data = Data::new();
    let program = data.at(Program::running_locally()).stdin("{\"type\":\"page\"}\n");
    let strict = "[plugin.settings]\nunmapped = 'dead_letter'";
    program.settings(strict).mapping(&[("nothing", "nowhere")]).run().exits(3);
    let stub = accepting();
    let replay = |more: &[&str]| {
        let program = data.at(Program::new().args(["dead", "replay"])).with_keys().args(more);
        let program = program.args(["--summary", "summary.json"]);
        program.settings(&data.settings(&stub, &[shop()])).mapping(ROWS).run().exits(0)
    };
    assert_eq!(replay(&[]).count("unknown_source_letters"), 1);
    let ran = replay(&["--allow-unknown-sources"]);
    assert_eq!(
        (ran.count("delivered"), ran.summary()["streams"]["all"]["events"].as_u64()),
        (1, Some(1))
    );
    assert_eq!(DeadLetter::read_all(&data.path), []);
}
