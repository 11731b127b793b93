//! The rules of a fleet: three mappers under load change their plugin together or not at all, return at once, and never
//! map by older rules than those that are active.

#![expect(clippy::print_stdout, reason = "a test that measures reports its figures")]

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::Signal;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use standpipe_queue::fleet::{CandidateState, FleetRecord, HostRecord};
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::metrics::Metrics;
use standpipe_tests::minisign::KeyPair;
use standpipe_tests::nats::NatsCluster;
use standpipe_tests::{
    Collector, DEADLINE, FinishedRun, Program, Running, Stub, StubResponse, TcpProxy,
    misbehaving_plugin, stamp_component, wait_until,
};

use super::components::open_store;

/// The time in which all hosts have changed, from the write of the active rules.
const CHANGE_MAX: Duration = Duration::from_secs(1);

/// How long a host without contact to the fleet maps events: `FLEET_CONTACT_PATIENCE`, and time for a record on its
/// way.
const CONTACT_MAX: Duration = Duration::from_secs(6);

/// When the queue delivers the messages of a mapper again that was killed: late enough that a mapper that is cut off for
/// some seconds keeps its messages.
const ACK_WAIT: Duration = Duration::from_secs(10);

const TOKEN: &str = "a-token-that-only-tests-have";

/// Records that a host has delivered.
#[derive(Debug, Clone)]
struct DeliveredRecords {
    at: Instant,
    stream: String,
    ids: Vec<String>,
}

/// Three mappers, each with a Firehose of its own, and a collector.
struct RulesFleet {
    nats: NatsCluster,
    mappers: Vec<Option<FleetMapper>>,
    seen: Vec<Arc<Mutex<Vec<DeliveredRecords>>>>,
    stubs: Vec<Stub>,
    collector: Collector,
}

struct FleetMapper {
    running: Running,
    admin_url: String,
}

/// Sends events until it is stopped.
struct EventLoad {
    is_over: Arc<AtomicBool>,
    sender: JoinHandle<Vec<String>>,
}

impl RulesFleet {
    /// `more` are lines of the settings of each mapper.
    fn start(more: [&str; 3]) -> Self {
        RulesFleet::start_on(1, more)
    }

    /// Starts a fleet on this many NATS servers.
    fn start_on(servers: usize, more: [&str; 3]) -> Self {
        let nats = NatsCluster::start(servers);
        nats.create_queue(ACK_WAIT);
        let collector = Program::host_run().settings(&format!(
            "[queue]\nkind = 'nats'\nrole = 'collector'\nservers = {}\nmax_delay = '10ms'\n\
             ack_wait = '{}s'\n[[sources]]\nname = 'web'\ndialect = 'segment'\nwrite_keys = ['key']\n",
            nats.urls(),
            ACK_WAIT.as_secs()
        ));
        let collector = Collector::start(collector);
        let (seen, stubs) = (0..3).map(|_| start_stub()).unzip();
        let mut fleet = RulesFleet { nats, mappers: Vec::new(), seen, stubs, collector };
        for (number, more) in more.iter().enumerate() {
            let servers = fleet.nats.urls();
            let mapper = fleet.start_mapper(number, &servers, more);
            fleet.mappers.push(Some(mapper));
        }
        fleet
    }

    fn start_mapper(&self, number: usize, servers: &str, more: &str) -> FleetMapper {
        let settings = mapper_settings(number, servers, more);
        let program = Program::host_run_against(&self.stubs[number].url()).settings(&settings);
        let program = program.file("plugin.wasm", &plugin_version(0));
        let running = program.args(["--admin", "127.0.0.1:0"]).start();
        let admin_url = running.wait_for_line("health and metrics on ");
        FleetMapper { running, admin_url }
    }

    fn mapper(&self, number: usize) -> &FleetMapper {
        self.mappers[number].as_ref().expect("the mapper runs")
    }

    /// Runs `host fleet` with arguments. `files` are beside the settings.
    fn command(&self, arguments: &[&str], files: &[(&str, &[u8])]) -> FinishedRun {
        run_fleet(&self.nats.urls(), arguments, files)
    }

    fn push(&self, settings: &Value) -> FinishedRun {
        let settings = settings.to_string();
        let arguments = ["push", "--settings", "rules.json", "--json"];
        self.command(&arguments, &[("rules.json", settings.as_bytes())])
    }

    fn status(&self) -> Value {
        json_of(&self.command(&["status", "--json"], &[]).expect_exit(0))
    }

    /// The generations that the hosts have loaded.
    fn generations(&self) -> Vec<u64> {
        let status = self.status();
        let hosts = status["hosts"].as_array().expect("hosts");
        hosts.iter().map(|host| host["report"]["generation"].as_u64().expect("a number")).collect()
    }

    fn delivered(&self, number: usize) -> Vec<DeliveredRecords> {
        self.seen[number].lock().clone()
    }

    /// Waits until a host has delivered to a stream since a time.
    fn wait_for_stream(&self, number: usize, stream: &str, since: Instant) {
        wait_until(&format!("mapper {number} delivers to {stream}"), || {
            let seen = self.seen[number].lock();
            seen.iter().any(|delivered| delivered.at >= since && delivered.stream == stream)
        });
    }

    /// The last delivery of a host to other streams than this one.
    fn last_to_others(&self, number: usize, stream: &str) -> Option<Instant> {
        let seen = self.delivered(number);
        seen.iter()
            .filter(|delivered| delivered.stream != stream)
            .map(|delivered| delivered.at)
            .max()
    }

    fn start_load(&self) -> EventLoad {
        let (url, is_over) = (self.collector.url().to_owned(), Arc::new(AtomicBool::new(false)));
        let own = Arc::clone(&is_over);
        let sender = thread::spawn(move || send_events(&url, &own));
        EventLoad { is_over, sender }
    }

    /// Waits until all events have arrived, and returns how many came twice.
    fn wait_for_all(&self, sent: &[String]) -> usize {
        let mut seen = HashMap::new();
        wait_until("all events have arrived", || {
            seen.clear();
            for delivered in (0..3).flat_map(|number| self.delivered(number)) {
                delivered.ids.into_iter().for_each(|id| *seen.entry(id).or_insert(0) += 1);
            }
            sent.iter().all(|id| seen.contains_key(id))
        });
        assert_eq!(seen.len(), sent.len(), "events that nobody sent");
        seen.values().filter(|count| **count > 1).count()
    }
}

impl FleetMapper {
    fn get(&self, path: &str) -> (u16, String) {
        let response = Client::connect(&self.admin_url).get(path).expect("the mapper responds");
        (response.status, response.text())
    }

    fn request(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let authorization = format!("Bearer {TOKEN}");
        let headers = [("Authorization", authorization.as_str())];
        let mut client = Client::connect(&self.admin_url);
        let response = client.request(method, path, &headers, body).expect("the mapper responds");
        (response.status, response.text())
    }

    fn metric(&self, name: &str) -> f64 {
        Metrics::parse(&self.get("/metrics").1).expect("metrics").value(name, &[])
    }
}

impl EventLoad {
    /// Returns the ids of all events that the collector has accepted.
    fn stop(self) -> Vec<String> {
        self.is_over.store(true, Ordering::Relaxed);
        self.sender.join().expect("the collector responds")
    }
}

/// Runs `host fleet` with arguments. `files` are beside the settings.
fn run_fleet(servers: &str, arguments: &[&str], files: &[(&str, &[u8])]) -> FinishedRun {
    let mut program = Program::new().args(["fleet"]).args(arguments);
    for (name, bytes) in files {
        program = program.file(name, bytes);
    }
    program.settings(&mapper_settings(9, servers, "")).run()
}

fn mapper_settings(number: usize, servers: &str, more: &str) -> String {
    let plugin = if more.contains("[plugin]") { "" } else { "[plugin]\n" };
    format!(
        "workers = 1\n[queue]\nkind = 'nats'\nrole = 'mapper'\nservers = {servers}\nack_wait = '{}s'\n\
         [fleet]\nname = 'm{number}'\n[admin]\ntoken = '{TOKEN}'\n[delivery]\nmax_delay = '10ms'\n\
         {more}\n{plugin}[plugin.settings]\nmappings = [{{ event = '*', stream = 'own' }}]\n",
        ACK_WAIT.as_secs()
    )
}

/// A Firehose that accepts everything, and notes when.
fn start_stub() -> (Arc<Mutex<Vec<DeliveredRecords>>>, Stub) {
    let seen = Arc::<Mutex<Vec<DeliveredRecords>>>::default();
    let own = Arc::clone(&seen);
    let stub = Stub::start_forgetful(move |put| {
        let ids = put.records.iter().map(|record| {
            let event: Value = serde_json::from_slice(record).expect("a record is an event");
            event["messageId"].as_str().expect("an id").to_owned()
        });
        let ids = ids.collect();
        own.lock().push(DeliveredRecords { at: Instant::now(), stream: put.stream.clone(), ids });
        StubResponse::Accept
    });
    (seen, stub)
}

fn send_events(url: &str, is_over: &AtomicBool) -> Vec<String> {
    const EVENTS: usize = 20;
    let (mut client, mut sent) = (Client::connect(url), Vec::new());
    let (name, key) = basic_auth("key");
    while !is_over.load(Ordering::Relaxed) {
        let ids: Vec<_> = (0..EVENTS).map(|number| format!("{}-{number}", sent.len())).collect();
        let event =
            |id: &String| json!({"type": "track", "event": "e", "userId": "u", "messageId": id});
        let events: Vec<_> = ids.iter().map(event).collect();
        let body = json!({ "batch": events }).to_string();
        let response = client.post("/v1/batch", &[(name, &key)], body.as_bytes());
        assert_eq!(response.expect("the collector responds").status, 200);
        sent.extend(ids);
        thread::sleep(Duration::from_millis(5));
    }
    sent
}

fn to_stream(stream: &str) -> Value {
    json!({ "mappings": [{ "event": "*", "stream": stream }] })
}

fn json_of(ran: &FinishedRun) -> Value {
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stderr))
}

/// The plugin of tests, in versions that differ in their digest alone. It knows the settings of the built-in plugin.
fn plugin_version(number: u32) -> Vec<u8> {
    stamp_component(&fs::read(misbehaving_plugin()).unwrap(), &number.to_le_bytes())
}

fn sha256_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The value that so many of a hundred do not exceed.
fn quantile(values: &[Duration], percent: usize) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort();
    sorted[(sorted.len() * percent).div_ceil(100).saturating_sub(1)]
}

/// Runs a command that changes the fleet to a stream, and measures how long after the write of the active rules each
/// host has reported them, and the last record by older rules has come.
fn measure_change(
    fleet: &RulesFleet,
    stream: &str,
    command: impl FnOnce() -> FinishedRun,
) -> [Duration; 2] {
    let changed = json_of(&command().expect_exit(0));
    let loaded = Duration::from_millis(changed["loaded_ms"].as_u64().expect("a number"));
    assert_eq!(changed["hosts"], json!(["m0", "m1", "m2"]), "{changed}");
    // Not earlier than the write was.
    let written = Instant::now() - loaded;
    for number in 0..3 {
        fleet.wait_for_stream(number, stream, written);
    }
    thread::sleep(CHANGE_MAX.saturating_sub(written.elapsed()) + Duration::from_millis(200));
    let last = (0..3).filter_map(|number| fleet.last_to_others(number, stream)).max();
    [loaded, last.map_or(Duration::ZERO, |last| last.saturating_duration_since(written))]
}

#[test]
fn all_mappers_change_within_a_second_under_load() {
    const PUSHES: usize = 20;
    let fleet = RulesFleet::start([""; 3]);
    let load = fleet.start_load();
    let start = Instant::now();
    (0..3).for_each(|number| fleet.wait_for_stream(number, "own", start));
    let (mut loaded, mut last_old) = (Vec::new(), Vec::new());
    for push in 0..PUSHES {
        let stream = format!("s{push}");
        let [all_loaded, last] =
            measure_change(&fleet, &stream, || fleet.push(&to_stream(&stream)));
        loaded.push(all_loaded);
        last_old.push(last);
    }
    let back = || fleet.command(&["rollback", "--json"], &[]);
    let [back_loaded, back_last] = measure_change(&fleet, &format!("s{}", PUSHES - 2), back);
    fleet.command(&["rollback"], &[]).expect_exit(1).expect_stderr(&["no rules to roll back to"]);
    for (what, times) in [("loaded by all", &loaded), ("last record by older rules", &last_old)] {
        let [median, p99] = [50, 99].map(|percent| quantile(times, percent));
        println!("{PUSHES} pushes, {what}: p50 {median:?}, p99 {p99:?}");
        assert!(p99 < CHANGE_MAX, "{what}: {times:?}");
    }
    println!("rollback: loaded by all {back_loaded:?}, last record by older rules {back_last:?}");
    assert!(back_loaded < CHANGE_MAX && back_last < CHANGE_MAX);
    let sent = load.stop();
    let duplicates = fleet.wait_for_all(&sent);
    println!("{} events, {duplicates} of them twice", sent.len());
    for number in 0..3 {
        let mapper = fleet.mapper(number);
        assert_eq!(mapper.metric("standpipe_fleet_generation"), (PUSHES + 1) as f64);
        assert_eq!(mapper.metric("standpipe_fleet_ready"), 1.0);
        assert_eq!(mapper.get("/health/ready"), (200, "ready\n".to_owned()));
    }
}

#[test]
fn a_mapper_that_is_late_maps_nothing_by_older_rules() {
    let mut fleet = RulesFleet::start([""; 3]);
    fleet.push(&to_stream("s0")).expect_exit(0);
    let load = fleet.start_load();
    // Killed, and started again after the rules have changed.
    let killed = fleet.mappers[0].take().expect("it runs");
    killed.running.kill();
    fleet.seen[0].lock().clear();
    let pushed = json_of(&fleet.push(&to_stream("s1")).expect_exit(0));
    assert_eq!(pushed["hosts"], json!(["m1", "m2"]));
    let start = Instant::now();
    fleet.mappers[0] = Some(fleet.start_mapper(0, &fleet.nats.urls(), ""));
    fleet.wait_for_stream(0, "s1", start);
    // Cut off, while the rules change.
    let proxy = TcpProxy::start(&fleet.nats.address(0));
    let stopped = fleet.mappers[2].take().expect("it runs");
    stopped.running.send_signal(Signal::TERM);
    stopped.running.wait(DEADLINE).expect_exit(0);
    let through = format!("['nats://{}']", proxy.address());
    fleet.mappers[2] = Some(fleet.start_mapper(2, &through, ""));
    let start = Instant::now();
    fleet.wait_for_stream(2, "s1", start);
    proxy.cut();
    let cut = Instant::now();
    let pushed = json_of(&fleet.push(&to_stream("s2")).expect_exit(0));
    assert_eq!(pushed["hosts"], json!(["m0", "m1"]));
    // The vote has waited until the host has stopped by itself.
    assert!(cut.elapsed() > Duration::from_secs(5), "{:?}", cut.elapsed());
    let (status, problem) = fleet.mapper(2).get("/health/ready");
    assert!(status == 503 && problem.contains("rules of the fleet"), "{status} {problem}");
    assert_eq!(fleet.mapper(2).metric("standpipe_fleet_ready"), 0.0);
    thread::sleep(Duration::from_secs(2));
    proxy.restore();
    let restored = Instant::now();
    fleet.wait_for_stream(2, "s2", restored);
    println!("mapped by the new rules {:?} after the network was back", restored.elapsed());
    wait_until("it is ready", || fleet.mapper(2).get("/health/ready").0 == 200);
    let last = fleet.last_to_others(2, "s2").expect("it had other rules");
    assert!(last < cut + CONTACT_MAX, "by older rules {:?} after the cut", last - cut);
    let sent = load.stop();
    let duplicates = fleet.wait_for_all(&sent);
    println!("{} events, {duplicates} of them twice", sent.len());
    assert!(fleet.delivered(0).iter().all(|delivered| delivered.stream != "s0"));
    assert_eq!(fleet.generations(), [3, 3, 3]);
}

/// How a push ended while a server was down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PushEnd {
    Active,
    NothingChanged,
    /// The response to the write of the active rules was lost, and the command says so.
    Unknown,
}

impl RulesFleet {
    /// The generation and the settings that are active, once the store has a leader.
    fn active_rules(&self) -> (u64, Value) {
        let mut active = Value::Null;
        wait_until("the rules can be read", || {
            let ran = self.command(&["status", "--json"], &[]);
            if ran.exit == 0 {
                active = json_of(&ran)["active"].clone();
            }
            ran.exit == 0
        });
        (active["generation"].as_u64().unwrap_or_default(), active["rules"].clone())
    }

    /// Pushes, while `during` does something to the servers. Checks that the command says what is so, and that all hosts
    /// have the active rules in the end.
    fn push_during(
        &mut self,
        stream: &str,
        during: impl FnOnce(&mut NatsCluster),
    ) -> (PushEnd, Duration) {
        let (before, _) = self.active_rules();
        let (servers, settings) = (self.nats.urls(), to_stream(stream).to_string());
        let started = Instant::now();
        let ran = thread::scope(|scope| {
            let push = scope.spawn(move || {
                let arguments = ["push", "--settings", "rules.json", "--json", "--timeout", "40s"];
                let ran = run_fleet(&servers, &arguments, &[("rules.json", settings.as_bytes())]);
                (ran, started.elapsed())
            });
            during(&mut self.nats);
            push.join().expect("the command ends")
        });
        let (ran, took) = ran;
        self.nats.wait_until_ready();
        let (after, _) = self.active_rules();
        let has_result = !ran.stdout.is_empty();
        let end = match after > before {
            // A host may have been late, which the exit code says.
            true if has_result => PushEnd::Active,
            true => PushEnd::Unknown,
            false => PushEnd::NothingChanged,
        };
        match end {
            PushEnd::Active => assert_eq!(json_of(&ran)["generation"], after, "{}", ran.stderr),
            PushEnd::Unknown => {
                assert!(ran.stderr.contains("may have been written"), "{}", ran.stderr);
            }
            PushEnd::NothingChanged => assert!(ran.exit != 0 && !has_result, "{}", ran.stderr),
        }
        wait_until("all hosts have the active rules", || {
            let ran = self.command(&["status", "--json"], &[]);
            let status = if ran.exit == 0 { json_of(&ran) } else { Value::Null };
            let hosts = status["hosts"].as_array().cloned().unwrap_or_default();
            hosts.len() == 3 && hosts.iter().all(|host| host["report"]["generation"] == after)
        });
        if end != PushEnd::NothingChanged {
            let since = Instant::now();
            (0..3).for_each(|number| self.wait_for_stream(number, stream, since));
        }
        (end, took)
    }
}

/// Returns once all hosts have voted for a candidate, or the rules are active.
fn wait_for_votes(servers: Vec<String>, before: u64) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = open_store(servers).await;
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            let hosts = store.read_hosts().await.unwrap_or_default();
            let reports = hosts.iter().filter_map(|host| HostRecord::parse(&host.value).ok());
            let is_ready = |report: &HostRecord| {
                report.generation > before
                    || report.candidate.as_ref().is_some_and(|candidate| {
                        candidate.generation > before && candidate.state == CandidateState::Ready
                    })
            };
            if reports.filter(is_ready).count() == 3 {
                return;
            }
        }
        panic!("the hosts do not vote");
    });
}

#[test]
fn a_cluster_that_loses_a_server_changes_all_mappers_or_none() {
    const ROUNDS: usize = 6;
    const DOWN: Duration = Duration::from_millis(1500);
    let mut fleet = RulesFleet::start_on(3, [""; 3]);
    fleet.push(&to_stream("first")).expect_exit(0);
    let load = fleet.start_load();
    let mut ends = Vec::new();
    // Servers in turn, at other points of the push each time.
    for round in 0..ROUNDS {
        let delay = Duration::from_millis(20 + 60 * round as u64);
        let (end, took) = fleet.push_during(&format!("r{round}"), |nats| {
            thread::sleep(delay);
            nats.kill(round % 3);
            thread::sleep(DOWN);
            nats.restart(round % 3);
        });
        println!("server {} killed {delay:?} into the push: {end:?} after {took:?}", round % 3);
        ends.push(end);
    }
    // The leader of the store between the votes and the write of the active rules.
    for round in 0..2 {
        let leader = fleet.nats.leader_of("KV_standpipe").expect("a leader");
        let servers = (0..3).map(|number| format!("nats://{}", fleet.nats.address(number)));
        let (servers, before) = (servers.collect::<Vec<_>>(), fleet.active_rules().0);
        let (end, took) = fleet.push_during(&format!("l{round}"), |nats| {
            wait_for_votes(servers.clone(), before);
            nats.kill(leader);
            thread::sleep(DOWN);
            nats.restart(leader);
        });
        println!("leader {leader} killed when all had voted: {end:?} after {took:?}");
        ends.push(end);
    }
    let active = ends.iter().filter(|end| **end == PushEnd::Active).count();
    println!("{active} of {} pushes became active", ends.len());
    assert!(active > 0, "no push survives the loss of a server: {ends:?}");
    let sent = load.stop();
    let duplicates = fleet.wait_for_all(&sent);
    println!("{} events, {duplicates} of them twice", sent.len());
}

#[test]
fn a_candidate_that_one_mapper_rejects_changes_nothing() {
    let own = sha256_of(&plugin_version(0));
    let pinned = format!("[plugin]\npath = 'plugin.wasm'\nsha256 = '{own}'");
    let fleet = RulesFleet::start([
        "[plugin]\npath = 'plugin.wasm'",
        "[plugin]\npath = 'plugin.wasm'",
        &pinned,
    ]);
    let push = |plugin: &[u8], arguments: &[&str]| {
        let arguments = [&["push", "--plugin", "p.wasm"], arguments].concat();
        fleet.command(&arguments, &[("p.wasm", plugin)])
    };
    let before = fleet.status();
    assert_eq!(before["active"], Value::Null);
    let words = ["m2", "trust", "sha256 under [plugin]", "nothing has changed on any host"];
    push(&plugin_version(1), &[]).expect_exit(1).expect_stderr(&words);
    push(b"no plugin", &[]).expect_exit(1).expect_stderr(&["nothing has changed"]);
    // A mapper that does not vote in time.
    fleet.mapper(0).running.send_signal(Signal::STOP);
    let late = push(&plugin_version(0), &["--timeout", "1ms"]);
    fleet.mapper(0).running.send_signal(Signal::CONT);
    late.expect_exit(1).expect_stderr(&["--timeout"]);
    let after = fleet.status();
    assert_eq!((&after["active"], &after["candidate_generation"]), (&Value::Null, &Value::Null));
    assert_eq!(fleet.generations(), [0, 0, 0]);
    for number in 0..3 {
        assert_eq!(fleet.mapper(number).metric("standpipe_plugin_swaps_total"), 0.0);
    }
    // What all accept is taken: each keeps the settings of its own file.
    push(&plugin_version(0), &[]).expect_exit(0);
    assert_eq!(fleet.generations(), [4, 4, 4]);
    let text = String::from_utf8(fleet.command(&["status"], &[]).expect_exit(0).stdout).unwrap();
    for words in ["active     generation 4", "settings of each host", "m0    yes    4", &own[..12]]
    {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
    // Secrets are not part of rules.
    let secret = json!({"mappings": [], "secrets": {"key": "hush"}}).to_string();
    fleet
        .command(&["push", "--settings", "s.json"], &[("s.json", secret.as_bytes())])
        .expect_exit(2)
        .expect_stderr(&["\"key\"", "secret:key"]);
}

#[test]
fn a_script_is_pushed_to_all_mappers() {
    let fleet = RulesFleet::start(["", "", ""]);
    let push = |code: &str| {
        let rules = to_stream("scripted").to_string();
        let files = [("transform.js", code.as_bytes()), ("rules.json", rules.as_bytes())];
        fleet.command(&["push", "--plugin", "transform.js", "--settings", "rules.json"], &files)
    };
    let broken = "export function transformEvent(event) {\n  return (;\n}";
    push(broken).expect_exit(1).expect_stderr(&["transform.js:2:", "nothing has changed"]);
    let code = "export function transformEvent(event) { return event; }";
    let start = Instant::now();
    push(code).expect_exit(0);
    let load = fleet.start_load();
    for number in 0..3 {
        fleet.wait_for_stream(number, "scripted", start);
    }
    let sent = load.stop();
    fleet.wait_for_all(&sent);
    for number in 0..3 {
        assert_eq!(fleet.last_to_others(number, "scripted"), None);
    }
    let text = String::from_utf8(fleet.command(&["status"], &[]).expect_exit(0).stdout).unwrap();
    assert!(text.contains(&sha256_of(code.as_bytes())[..12]), "{text}");
}

#[test]
fn of_two_pushes_one_wins_and_signatures_are_checked_by_each_host() {
    let (signer, other) = (KeyPair::generate(), KeyPair::generate());
    let plugin = format!("[plugin]\npublic_key = '{}'", signer.public_key());
    let fleet = RulesFleet::start([&plugin, "", ""]);
    let servers = fleet.nats.urls();
    let push = |number: u32, signature: Option<String>| {
        let plugin = plugin_version(number);
        let signature = signature.unwrap_or_default();
        let mut files = vec![("p.wasm", &plugin[..])];
        if !signature.is_empty() {
            files.push(("p.wasm.minisig", signature.as_bytes()));
        }
        run_fleet(&servers, &["push", "--plugin", "p.wasm"], &files)
    };
    push(1, None).expect_exit(1).expect_stderr(&["m0", "trust", "it has no signature"]);
    let wrong = other.sign(&plugin_version(1));
    push(1, Some(wrong)).expect_exit(1).expect_stderr(&["m0", "trust", "does not match"]);
    push(1, Some(signer.sign(&plugin_version(1)))).expect_exit(0);
    let before = fleet.generations()[0];
    // Each is new, so that hosts take some time to prepare it.
    let signed = [2, 3].map(|number| (number, signer.sign(&plugin_version(number))));
    let ran: Vec<_> = thread::scope(|scope| {
        let push = &push;
        let pushes =
            signed.map(|(number, signature)| scope.spawn(move || push(number, Some(signature))));
        pushes.into_iter().map(|push| push.join().unwrap()).collect()
    });
    let active = fleet.status()["active"]["rules"]["sha256"].as_str().unwrap().to_owned();
    for (number, ran) in (2..).zip(&ran) {
        match ran.exit {
            0 => {}
            _ => {
                assert!(ran.stderr.contains("another push"), "{}", ran.stderr);
                assert_ne!(active, sha256_of(&plugin_version(number)));
            }
        }
    }
    assert!(ran.iter().any(|ran| ran.exit == 0), "none of them wins");
    let generations = fleet.generations();
    assert!(generations.iter().all(|number| *number == generations[0] && *number > before));
}

#[test]
fn a_canary_decides_on_its_hosts_and_local_changes_are_refused() {
    let fleet = RulesFleet::start([""; 3]);
    fleet.push(&to_stream("all")).expect_exit(0);
    let load = fleet.start_load();
    let rules = to_stream("canary").to_string();
    let files = [("rules.json", rules.as_bytes())];
    let unknown = ["canary", "--host", "m7", "--settings", "rules.json"];
    fleet.command(&unknown, &files).expect_exit(1).expect_stderr(&["\"m7\"", "host fleet status"]);
    let canary = ["canary", "--host", "m1", "--settings", "rules.json"];
    fleet.command(&canary, &files).expect_exit(0);
    let started = Instant::now();
    fleet.wait_for_stream(1, "canary", started);
    thread::sleep(Duration::from_secs(1));
    for (number, stream) in [(0, "all"), (1, "canary"), (2, "all")] {
        let since = started + Duration::from_millis(500);
        let seen = fleet.delivered(number);
        let after: Vec<_> = seen.iter().filter(|delivered| delivered.at > since).collect();
        assert!(!after.is_empty() && after.iter().all(|delivered| delivered.stream == stream));
    }
    let text = String::from_utf8(fleet.command(&["status"], &[]).expect_exit(0).stdout).unwrap();
    assert!(text.contains("canary     on m1"), "{text}");
    fleet.command(&["rollback"], &[]).expect_exit(1).expect_stderr(&["--end"]);
    fleet.command(&["canary", "--end"], &[]).expect_exit(0);
    let ended = Instant::now();
    fleet.wait_for_stream(1, "all", ended);
    let sent = load.stop();
    fleet.wait_for_all(&sent);
    // Only the fleet changes plugins.
    let mapper = fleet.mapper(0);
    let plugin = plugin_version(1);
    for (method, path, body) in [
        ("PUT", "/plugin", &plugin[..]),
        ("PUT", "/plugin/canary?percent=10", &plugin),
        ("POST", "/plugin/rollback", b""),
        ("DELETE", "/plugin/canary", b""),
        ("POST", "/plugin/canary/promote", b""),
    ] {
        let (status, text) = mapper.request(method, path, body);
        assert!(status == 409 && text.contains("host fleet push"), "{path}: {status} {text}");
    }
    assert_eq!(mapper.request("GET", "/plugin", b"").0, 200);
    assert_eq!(mapper.request("POST", "/plugin/check", &plugin).0, 200);
    let file = mapper.running.path("settings.toml");
    let settings = fs::read_to_string(&file).unwrap().replace("'own'", "'changed'");
    fs::write(&file, settings).unwrap();
    mapper.running.wait_for("the plugin of the settings has changed, and is not loaded");
    assert_eq!(mapper.metric("standpipe_fleet_generation"), 3.0);
}

#[test]
fn wrong_settings_of_a_fleet_are_named() {
    let servers = "['nats://127.0.0.1:4222']";
    let mapper = mapper_settings(0, servers, "");
    for (from, to, words) in [
        ("name = 'm0'", "name = 'a b'", &["[fleet] name is \"a b\""][..]),
        ("name = 'm0'", "bucket = 'a.b'", &["[fleet] bucket is \"a.b\""]),
        (
            "kind = 'nats'",
            "kind = 'sqs'\nurl = 'https://sqs.eu-central-1.amazonaws.com/111122223333/q'",
            &["[fleet]", "kind = \"nats\""],
        ),
        (
            "[plugin]\n",
            "[plugin.canary]\npercent = 10\n[plugin]\n",
            &["[plugin.canary]", "host fleet canary"],
        ),
    ] {
        let settings = mapper.replace(from, to);
        assert_ne!(settings, mapper);
        let settings = settings.replace(
            if to.contains("sqs") { "servers = ['nats://127.0.0.1:4222']\n" } else { "\0" },
            "",
        );
        let program = Program::host_run_locally().settings(&settings);
        program.run().expect_exit(2).expect_stderr(words);
    }
    let program = Program::new().args(["fleet", "status"]).settings("workers = 1\n");
    program.run().expect_exit(2).expect_stderr(&["settings.toml has no [fleet]"]);
}

/// Users who may do all, and what the documentation says that a mapper needs.
fn users() -> String {
    let documented = include_str!("../../../host/docs/fleet-rules.md");
    let (_, table) = documented.split_once("a mapper needs these:").expect("the table");
    let row = table.lines().find(|line| line.starts_with("| `$KV")).expect("the row");
    let queue_page = include_str!("../../../host/docs/fleet.md");
    let of_queue = queue_page.lines().find(|line| line.starts_with("| mapper |")).expect("the row");
    let subjects = |row: &str| -> Vec<String> {
        let row = row.rsplit_once(" | ").expect("two columns").0;
        row.split('`').skip(1).step_by(2).map(|subject| format!("{subject:?}")).collect()
    };
    let publish = [subjects(row), subjects(of_queue)].concat().join(", ");
    format!(
        "authorization {{\n  users: [\n    {{ user: admin, password: p }}\n    {{ user: mapper, password: p, permissions: {{\n      \
         publish: [{publish}], subscribe: [\"_INBOX.>\"] }} }}\n  ]\n}}\nno_auth_user: admin\n"
    )
}

#[test]
fn a_mapper_needs_no_permission_to_change_rules() {
    let nats = NatsCluster::start_with(1, &users());
    nats.create_queue(ACK_WAIT);
    let servers = nats.urls();
    let files = [("rules.json", &br#"{"mappings":[{"event":"*","stream":"s"}]}"#[..])];
    let push = ["push", "--settings", "rules.json", "--timeout", "20s"];
    // Creates the buckets.
    run_fleet(&servers, &push, &files).expect_exit(1).expect_stderr(&["no host of the fleet"]);
    let login = format!("{servers}\nuser = 'mapper'\npassword = 'p'");
    let (_seen, stub) = start_stub();
    let program = Program::host_run_against(&stub.url());
    let program = program.settings(&mapper_settings(0, &login, ""));
    let running = program.args(["--admin", "127.0.0.1:0"]).start();
    let mapper =
        FleetMapper { admin_url: running.wait_for_line("health and metrics on "), running };
    run_fleet(&servers, &push, &files).expect_exit(0);
    assert_eq!(mapper.metric("standpipe_fleet_generation"), 1.0);
    // A component that the program does not have is fetched.
    let files = [("p.wasm", &plugin_version(5)[..])];
    let push = ["push", "--plugin", "p.wasm", "--timeout", "20s"];
    run_fleet(&servers, &push, &files).expect_exit(0);
    assert_eq!(mapper.metric("standpipe_fleet_generation"), 2.0);
    run_fleet(&login, &["rollback"], &[]).expect_exit(1);
    thread::sleep(Duration::from_secs(2));
    assert_eq!(mapper.metric("standpipe_fleet_generation"), 2.0);
    assert_eq!(mapper.get("/health/ready").0, 200);
}
