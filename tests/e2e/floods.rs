//! Tests that a flood of failing events costs only these events, and CPU time within its limits. It
//! affects no other event, of the same or another source.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::metrics::Metrics;
use standpipe_tests::{
    Collector, DeadLetter, FinishedRun, Program, misbehaving_plugin, wait_until,
};

/// Number of events from well-behaved senders.
const HONEST: u64 = 98;

/// A flood of this kind: a number of batches with a number of events, sent at intervals.
struct Flood {
    event: &'static str,
    reason: &'static str,
    batches: usize,
    batch: usize,
    pause: Duration,
}

/// Two connections send failing events, with honest events among them. Another source sends its own
/// events at the same time.
#[test]
fn a_flood_in_one_source_costs_no_other_event() {
    for flood in [
        Flood {
            event: "loop",
            reason: "plugin_deadline",
            batches: 12,
            batch: 10,
            pause: Duration::from_millis(250),
        },
        Flood {
            event: "trap",
            reason: "plugin_trapped",
            batches: 100,
            batch: 100,
            pause: Duration::from_millis(50),
        },
    ] {
        let name = flood.event;
        let settings = format!(
            "workers = 2\n[plugin]\npath = '{}'\n[plugin.breaker]\nwindow = '1s'\nretry = '1s'\n{}",
            misbehaving_plugin().display(),
            sources_settings(&["bad", "good"])
        );
        let collector = Collector::start(Program::host_run_locally().settings(&settings));
        let (url, start) = (collector.url(), Instant::now());
        let (sent, _) = std::thread::scope(|scope| {
            let senders = [0, 1].map(|_| scope.spawn(|| flood.send_to(url)));
            for id in 0..HONEST {
                send_batch(url, "good", &[make_event("good", id)]);
                std::thread::sleep(Duration::from_millis(50));
            }
            let sent = senders.map(|sender| sender.join().unwrap());
            (sent, ())
        });
        let failing: usize = sent.iter().map(|(failing, _)| failing).sum();
        let honest: usize = sent.iter().map(|(_, honest)| honest).sum();
        let expected = HONEST as usize + honest;
        // Events of the other source are delivered at once, those of the flooded source in turn.
        wait_until(&format!("{name}: the other source's events are delivered"), || {
            count_delivered(&collector, "good") == HONEST as usize
        });
        let others = start.elapsed();
        wait_until(&format!("{name}: all honest events are delivered"), || {
            count_delivered(&collector, "") == expected
        });
        wait_until(&format!("{name}: nothing waits"), || count_waiting(&collector) == 0.0);
        let all = start.elapsed();
        let ran = collector.stop().expect_exit(3);
        let reasons = count_reasons(&ran);
        assert_eq!(reasons, BTreeMap::from([(flood.reason.to_owned(), failing)]), "{name}");
        assert_eq!(ran.count("delivered") as usize, expected, "{name}");
        print_report(&format!(
            "{name}: {failing} failed, the other source after {others:?}, all after {all:?}"
        ));
    }
}

/// Everything in the settings page must work for events of any size.
#[test]
fn a_large_event_does_not_fail() {
    let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]\n\
                    [[plugin.settings.transforms]]\nredact = [{ find = ['email', 'phone', 'card', 'ip'] }]\n";
    // The slowest text for the detector of addresses.
    let note = "1.2.3.4 ".repeat(100_000);
    let mut input = String::new();
    for id in 0..5 {
        let event =
            json!({"type": "track", "event": "Order", "id": id, "properties": {"note": note}});
        writeln!(input, "{event}").unwrap();
    }
    let ran = Program::host_run_locally().settings(settings).stdin(input).run().expect_exit(0);
    assert_eq!(ran.count("delivered"), 5);
    assert!(!ran.streams()["all"].windows(8).any(|text| text == b"1.2.3.4 "));
}

/// A plugin that loops on everything uses its share of time, and the remaining events wait. Another
/// plugin decides them at once.
#[test]
fn events_wait_for_a_better_plugin() {
    let settings = format!(
        "workers = 1\n[plugin]\npath = '{}'\n[plugin.settings]\nevery = 'loop'\n\
         mappings = [{{ event = '*', stream = 'good' }}]\n{}",
        misbehaving_plugin().display(),
        sources_settings(&["web"])
    );
    let collector = Collector::start(Program::host_run_locally().settings(&settings));
    for batch in 0..10 {
        let events: Vec<_> = (0..100).map(|id| make_event("any", batch * 100 + id)).collect();
        send_batch(collector.url(), "web", &events);
    }
    let failures = || read_metrics(&collector).sum("standpipe_plugin_failures_total");
    // It may use two seconds at once.
    wait_until("it has wasted what is free", || failures() >= 30.0);
    let (before, start) = (collector.running().usage().unwrap().cpu, Instant::now());
    // In the long run it may use half of the time, plus these two seconds.
    std::thread::sleep(Duration::from_secs(10));
    let used = collector.running().usage().unwrap().cpu - before;
    let elapsed = start.elapsed();
    assert!(used < elapsed.mul_f64(0.5) + Duration::from_millis(2500), "{used:?} in {elapsed:?}");
    assert!(failures() < 500.0, "they wait");
    let start = Instant::now();
    let path = collector.running().path("settings.toml");
    let text = fs::read_to_string(&path).unwrap().replace("every = 'loop'\n", "");
    fs::write(path, text).unwrap();
    collector.running().send_signal(rustix::process::Signal::HUP);
    wait_until("what has waited is delivered", || count_waiting(&collector) == 0.0);
    let took = start.elapsed();
    let dead = failures() as u64;
    let ran = collector.stop().expect_exit(3);
    assert_eq!((ran.count("delivered"), ran.count("dead")), (1000 - dead, dead));
    assert_eq!(count_reasons(&ran).into_keys().collect::<Vec<_>>(), ["plugin_deadline"]);
    print_report(&format!(
        "{used:?} in {elapsed:?}; {dead} of 1000 failed; the rest took {took:?}"
    ));
}

/// A stop does not wait for waiting events: a spool keeps them for the next run.
#[test]
fn a_stop_leaves_waiting_events_in_the_spool() {
    let data = tempfile::TempDir::new().unwrap();
    let data_dir = data.path().join("data");
    standpipe_tests::make_data_directory(&data_dir);
    let start = |every: &str| {
        let settings = format!(
            "workers = 1\n[delivery]\ndrain_timeout = '1s'\n[plugin]\npath = '{}'\n[plugin.settings]\n{every}\n{}",
            misbehaving_plugin().display(),
            sources_settings(&["web"])
        );
        let program = Program::host_run_locally().settings(&settings);
        Collector::start(program.args(["--data-dir"]).args([&data_dir]))
    };
    let collector = start("every = 'loop'");
    let events: Vec<_> = (0..500).map(|id| make_event("any", id)).collect();
    send_batch(collector.url(), "web", &events);
    wait_until("some have failed", || {
        read_metrics(&collector).sum("standpipe_plugin_failures_total") >= 30.0
    });
    let stopped = Instant::now();
    let ran = collector.stop().expect_exit(3);
    let took = stopped.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
    let dead = ran.count("dead");
    assert_eq!(ran.summary()["dead_letters"]["plugin_deadline"], dead);
    assert_eq!(ran.summary()["collected"]["waiting"], 500 - dead);
    let collector = start("");
    wait_until("the rest is delivered", || count_waiting(&collector) == 0.0);
    assert_eq!(collector.stop().count("delivered"), 500 - dead);
    print_report(&format!("stopped after {took:?}, {dead} of 500 had failed"));
}

/// Events of a source that stores nothing are dead-lettered with a separate reason.
#[test]
fn a_stop_dead_letters_waiting_events_of_a_pipe() {
    let settings = format!(
        "workers = 1\n[delivery]\ndrain_timeout = '1s'\n[plugin]\npath = '{}'\n[plugin.settings]\nevery = 'loop'\n",
        misbehaving_plugin().display()
    );
    let mut running = Program::host_run_locally().settings(&settings).start();
    let events: String = (0..500).map(|id| format!("{}\n", make_event("any", id))).collect();
    running.write_stdin(events.as_bytes());
    // The plugin has used more than it may waste at once.
    wait_until("they wait", || running.usage().is_some_and(|usage| usage.cpu.as_secs() >= 3));
    let stopped = Instant::now();
    running.send_signal(rustix::process::Signal::TERM);
    let ran = running.wait(standpipe_tests::DEADLINE);
    let took = stopped.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert_eq!((ran.count("read"), ran.count("dead"), ran.count("undelivered")), (500, 500, 0));
    let reasons = count_reasons(&ran);
    assert_eq!(reasons.keys().collect::<Vec<_>>(), ["plugin_deadline", "plugin_unavailable"]);
}

impl Flood {
    /// Sends the flood. Returns how many of the events fail, and how many do not.
    fn send_to(&self, url: &str) -> (usize, usize) {
        for batch in 0..self.batches {
            let failing = (0..self.batch).map(|id| make_event(self.event, id as u64));
            let events: Vec<_> = failing.chain([make_event("good", batch as u64)]).collect();
            send_batch(url, "bad", &events);
            std::thread::sleep(self.pause);
        }
        (self.batches * self.batch, self.batches)
    }
}

fn sources_settings(names: &[&str]) -> String {
    names.iter().fold(String::new(), |mut text, name| {
        writeln!(
            text,
            "[[sources]]\nname = '{name}'\ndialect = 'segment'\nwrite_keys = ['{name}']"
        )
        .unwrap();
        text
    })
}

fn make_event(name: &str, id: u64) -> Value {
    json!({"type": "track", "event": name, "userId": "u", "id": id})
}

/// Sends events with a write key, which is also the name of the source.
fn send_batch(url: &str, source: &str, events: &[Value]) {
    let events: Vec<_> = events
        .iter()
        .map(|event| {
            let mut event = event.clone();
            event["from"] = source.into();
            event
        })
        .collect();
    let body = json!({ "batch": events }).to_string();
    let reply = Client::connect(url)
        .post("/v1/batch", &[("Authorization", &*basic_auth(source).1)], body.as_bytes())
        .expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// The number of delivered events of a source, or of all sources if the name is empty.
fn count_delivered(collector: &Collector, source: &str) -> usize {
    let file = collector.running().path("out").join("good.ndjson");
    let text = fs::read_to_string(file).unwrap_or_default();
    let mark = if source.is_empty() { "\n".to_owned() } else { format!(r#""from":"{source}""#) };
    text.matches(&mark).count()
}

fn read_metrics(collector: &Collector) -> Metrics {
    let page = Client::connect(collector.admin_url()).get("/metrics").expect("a page");
    Metrics::parse(&page.text()).expect("a page as it must be")
}

fn count_waiting(collector: &Collector) -> f64 {
    read_metrics(collector).value("standpipe_spool_events", &[])
}

fn count_reasons(ran: &FinishedRun) -> BTreeMap<String, usize> {
    ran.dead_letters().into_iter().fold(
        BTreeMap::new(),
        |mut reasons, DeadLetter { reason, .. }| {
            *reasons.entry(reason).or_default() += 1;
            reasons
        },
    )
}

#[expect(clippy::print_stdout, reason = "figures shown by --nocapture")]
fn print_report(text: &str) {
    println!("{text}");
}
