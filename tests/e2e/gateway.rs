//! Tests the library inside another program: each submitted event gets exactly one outcome, and its
//! submitter receives it.

mod apart;
mod api;
mod layer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use standpipe::{Builder, EventOutcome, Host, Reason, SubmitError, TrySubmitError};
use standpipe_delivery::RetryClass;
use standpipe_delivery::faulty_client::{FaultyClient, InjectedFault};
use standpipe_tests::{DeadLetter, Program, Stub, StubResponse, make_data_directory, signature};
use tempfile::TempDir;
use tokio::runtime::Handle;

const EVENTS: usize = 100_000;
const TASKS: usize = 50;
const BUSY: &str = "ServiceUnavailableException";

/// A host, and the place of its data.
struct Embedded {
    host: Host,
    directory: TempDir,
}

impl Embedded {
    async fn start_host(settings: &str, with: impl FnOnce(Builder) -> Builder) -> Self {
        let directory = TempDir::new().unwrap();
        make_data_directory(&directory.path().join("standpipe-data"));
        let builder = Builder::from_toml(settings, directory.path()).unwrap();
        let host = with(builder).start(&Handle::current()).await.unwrap();
        Embedded { host, directory }
    }

    fn dead_letters(&self) -> Vec<DeadLetter> {
        DeadLetter::read_all(&self.directory.path().join("standpipe-data"))
    }
}

/// Events whose dead letters cannot be written are not given up. Health and metrics report it.
#[tokio::test(flavor = "multi_thread")]
async fn unwritable_dead_letters_are_reported_and_wait() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("standpipe-data");
    make_data_directory(&data);
    std::fs::write(data.join("dead"), "in the way").unwrap();
    let settings = mapping_settings(&["a"]) + "[delivery]\ndrain_timeout = '200ms'\n";
    let builder = Builder::from_toml(&settings, directory.path()).unwrap();
    let builder = builder.local_directory(directory.path().join("records"));
    let host = builder.start(&Handle::current()).await.unwrap();
    let mut dead = tokio::spawn(host.submit("no event"));
    assert_eq!(host.submit(r#"{"event":"a"}"#).await, Ok(EventOutcome::Delivered));
    wait_for(|| host.stats().dead_letters_failing).await;
    assert_eq!((host.stats().dead_letters_waiting, host.stats().unsettled), (1, 1));
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut dead).await.is_err());
    std::fs::remove_file(data.join("dead")).unwrap();
    assert_eq!(dead.await.unwrap(), Ok(EventOutcome::DeadLettered(Reason::NotJson)));
    wait_for(|| !host.stats().dead_letters_failing).await;
    assert_eq!(DeadLetter::read_all(&data).len(), 1);

    // A stop waits only for its timeout, and reports the reason.
    std::fs::remove_dir_all(data.join("dead")).unwrap();
    std::fs::write(data.join("dead"), "in the way").unwrap();
    let dead = tokio::spawn(host.submit("no event either"));
    wait_for(|| host.stats().dead_letters_failing).await;
    let summary = host.stop().await;
    assert_eq!(dead.await.unwrap(), Err(SubmitError::Abandoned));
    assert_eq!((summary.undelivered, summary.dead_letters_refused), (1, 1));
    assert!(summary.faults[0].contains("write dead letters"), "{:?}", summary.faults);
}

async fn wait_for(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A mapping of named events to streams of the same names.
fn mapping_settings(names: &[&str]) -> String {
    let rows = names.iter().map(|name| format!("{{ event = '{name}', stream = '{name}' }}"));
    format!("[plugin.settings]\nmappings = [{}]\n", rows.collect::<Vec<_>>().join(", "))
}

/// The expected outcome of an event, by its number.
fn expected_outcome(number: usize) -> EventOutcome {
    match number % 10 {
        0 => EventOutcome::Filtered,
        1 => EventOutcome::DeadLettered(Reason::NotJson),
        _ => EventOutcome::Delivered,
    }
}

/// Makes an event with this number, which decides its outcome.
fn make_event(number: usize) -> String {
    match expected_outcome(number) {
        EventOutcome::Delivered => format!("{{\"id\":{number},\n\"event\":\"kept\"}}"),
        EventOutcome::Filtered => format!("{{\"id\":{number},\"event\":\"other\"}}"),
        EventOutcome::DeadLettered(_) => format!("{{\"id\":{number},"),
    }
}

fn parse_number(text: &[u8]) -> usize {
    let digits = text[br#"{"id":"#.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_100000_submitted_events_has_one_correct_outcome() {
    let port = Arc::new(FaultyClient::new(|_, _, number| match number % 5 {
        3 => InjectedFault::Refuse(vec![0], BUSY),
        4 => InjectedFault::FailBefore(RetryClass::Retry, BUSY),
        _ => InjectedFault::None,
    }));
    let own = port.clone();
    let settings = mapping_settings(&["kept"]) + "[delivery]\nmax_delay = '20ms'";
    let embedded =
        Embedded::start_host(&settings, |builder| builder.firehose_client(own).events_max(5000))
            .await;
    let refusals = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let tasks = (0..TASKS).map(|task| {
        let (host, refusals) = (embedded.host.clone(), Arc::clone(&refusals));
        tokio::spawn(async move {
            let numbers: Vec<_> = (task..EVENTS).step_by(TASKS).collect();
            match task % 3 {
                0 => assert_outcomes(
                    &numbers,
                    &host.submit_batch(numbers.iter().map(|n| make_event(*n))).await,
                ),
                1 => {
                    for pair in numbers.chunks(100) {
                        let ended = pair.iter().map(|number| host.submit(make_event(*number)));
                        let ended: Vec<_> = ended.collect();
                        for (number, ended) in pair.iter().zip(ended) {
                            assert_outcomes(&[*number], &[ended.await]);
                        }
                    }
                }
                _ => submit_all(&host, &numbers, &refusals).await,
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let took = start.elapsed();
    let stats = embedded.host.stats();
    let ended = (stats.delivered, stats.filtered, stats.dead, stats.abandoned);
    let tenth = EVENTS as u64 / 10;
    assert_eq!((stats.accepted, ended), (EVENTS as u64, (8 * tenth, tenth, tenth, 0)));
    assert_eq!((stats.queued, stats.queued_bytes, stats.unsettled), (0, 0, 0));
    assert_eq!(stats.refused_full, refusals.load(Ordering::Relaxed));
    assert!(stats.refused_full > 0, "there was always room: {took:?}");
    let summary = embedded.host.stop().await;
    assert_eq!((summary.read, summary.delivered), (EVENTS as u64, 8 * tenth));

    let mut seen = vec![0; EVENTS];
    let records = port.accepted();
    for record in records.values().flatten() {
        assert_eq!(record.iter().filter(|byte| **byte == b'\n').count(), 1);
        seen[parse_number(record)] += 1;
    }
    for dead_letter in embedded.dead_letters() {
        assert_eq!((&*dead_letter.reason, &*dead_letter.source), ("not_json", "gateway"));
        seen[parse_number(&dead_letter.event)] += 1;
    }
    for (number, seen) in seen.into_iter().enumerate() {
        assert_eq!(
            seen,
            i32::from(expected_outcome(number) != EventOutcome::Filtered),
            "event {number}"
        );
    }
}

fn assert_outcomes(numbers: &[usize], ended: &[Result<EventOutcome, SubmitError>]) {
    assert_eq!(numbers.len(), ended.len());
    for (number, ended) in numbers.iter().zip(ended) {
        assert_eq!(ended, &Ok(expected_outcome(*number)), "event {number}");
    }
}

/// Submits refused events again until they are accepted.
async fn submit_all(host: &Host, numbers: &[usize], refusals: &AtomicU64) {
    let mut receipts = Vec::new();
    for number in numbers {
        let mut text = Bytes::from(make_event(*number));
        let receipt = loop {
            match host.try_submit(text) {
                Ok(receipt) => break receipt,
                Err(refused) => {
                    assert!(matches!(refused, TrySubmitError::Full(_)));
                    refusals.fetch_add(1, Ordering::Relaxed);
                    text = refused.into_event();
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        };
        receipts.push(receipt);
    }
    for (number, receipt) in numbers.iter().zip(receipts) {
        assert_outcomes(&[*number], &[receipt.await]);
    }
}

/// AWS settings for a stub.
pub(crate) fn stub_settings(stub: &Stub) -> String {
    format!(
        "[aws]\nregion = 'eu-central-1'\naccess_key_id = '{}'\nsecret_access_key = '{}'\n\
         [aws.endpoints]\nfirehose = '{}'\n",
        signature::ACCESS_KEY_ID,
        signature::SECRET_ACCESS_KEY,
        stub.url()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_refuses_events_at_once_and_loses_none() {
    let is_throttled = Arc::new(AtomicBool::new(true));
    let throttled = Arc::clone(&is_throttled);
    let stub = Stub::start(move |_| match throttled.load(Ordering::Relaxed) {
        true => StubResponse::Fail { status: 503, code: BUSY, accepted: false },
        false => StubResponse::Accept,
    });
    let settings = stub_settings(&stub) + &mapping_settings(&["kept"]);
    let embedded = Embedded::start_host(&settings, |builder| builder.events_max(1000)).await;
    let (mut receipts, mut refused, mut slowest) = (Vec::new(), 0, Duration::ZERO);
    let mut times = Vec::new();
    for id in 0..20_000 {
        let text = format!("{{\"id\":{id},\"event\":\"kept\"}}");
        let start = Instant::now();
        match embedded.host.try_submit(text) {
            Ok(receipt) => receipts.push((id, receipt)),
            Err(_) => refused += 1,
        }
        times.push(start.elapsed());
        slowest = slowest.max(start.elapsed());
    }
    times.sort_unstable();
    let [half, most] = [times[times.len() / 2], times[times.len() * 99 / 100]];
    let stats = embedded.host.stats();
    assert_eq!((receipts.len(), refused), (1000, 19_000));
    assert_eq!((stats.accepted, stats.refused_full), (1000, 19_000));
    // This measures only bookkeeping. The bounds leave room for other work on the machine.
    assert!(most < Duration::from_millis(1), "p50 {half:?} p99 {most:?} max {slowest:?}");
    is_throttled.store(false, Ordering::Relaxed);
    for (id, receipt) in receipts {
        assert_eq!(receipt.await, Ok(EventOutcome::Delivered), "event {id}");
    }
    let mut ids: Vec<_> =
        stub.accepted_records()["kept"].iter().map(|record| parse_number(record)).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..1000).collect::<Vec<_>>());
    assert_eq!(stub.violations(), [""; 0]);
    embedded.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_and_dropped_futures_lose_nothing_that_was_accepted() {
    let port = Arc::new(FaultyClient::new(|_, _, number| match number % 2 {
        0 => InjectedFault::FailBefore(RetryClass::Retry, BUSY),
        _ => InjectedFault::None,
    }));
    let own = port.clone();
    let embedded =
        Embedded::start_host(&mapping_settings(&["kept"]), |builder| builder.firehose_client(own))
            .await;
    let accepted = Arc::new(AtomicU64::new(0));
    let tasks = (0..4).map(|_| {
        let (host, accepted) = (embedded.host.clone(), Arc::clone(&accepted));
        tokio::spawn(async move {
            loop {
                // The outcome of the event is not awaited.
                match host.try_submit("{\"event\":\"kept\"}") {
                    Ok(receipt) => drop(receipt),
                    Err(TrySubmitError::Full(_)) => tokio::task::yield_now().await,
                    Err(TrySubmitError::Closed(_)) => return,
                }
                drop(host.submit("{\"event\":\"kept\"}"));
                accepted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    while embedded.host.stats().accepted < 5000 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    embedded.host.drain().await;
    for task in tasks {
        task.await.unwrap();
    }
    let stats = embedded.host.stats();
    assert_eq!((stats.accepted, stats.unsettled), (stats.delivered, 0));
    assert!(stats.refused_closed >= 4 && accepted.load(Ordering::Relaxed) > 0);
    let records: usize = port.accepted().values().map(Vec::len).sum();
    assert_eq!(records as u64, stats.accepted);
    assert!(matches!(embedded.host.submit("{}").await, Err(SubmitError::Closed(_))));
    let summary = embedded.host.stop().await;
    assert_eq!(summary.delivered, stats.accepted);
    assert_eq!(embedded.host.stop().await, summary);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_not_delivered_in_time_are_dead_lettered() {
    let port = Arc::new(FaultyClient::new(|_, _, _| InjectedFault::Hang));
    let settings = mapping_settings(&["kept"]) + "[delivery]\ndrain_timeout = '200ms'";
    let embedded = Embedded::start_host(&settings, |builder| builder.firehose_client(port)).await;
    let receipt = embedded.host.try_submit("{\"event\":\"kept\"}").unwrap();
    assert_eq!(embedded.host.stop().await.dead, 1);
    assert_eq!(receipt.await, Ok(EventOutcome::DeadLettered(Reason::GivenUp)));
    assert_eq!(embedded.dead_letters()[0].reason, "given_up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halted_host_reports_the_events_that_it_gave_up() {
    let settings = "[plugin]\npath = 'misbehaving.wasm'\non_failure = 'halt'\n";
    let directory = TempDir::new().unwrap();
    make_data_directory(&directory.path().join("standpipe-data"));
    let plugin = directory.path().join("misbehaving.wasm");
    std::fs::copy(standpipe_tests::misbehaving_plugin(), plugin).unwrap();
    let builder = Builder::from_toml(settings, directory.path()).unwrap();
    let builder = builder.local_directory(directory.path().join("records"));
    let host = builder.start(&Handle::current()).await.unwrap();
    assert_eq!(host.submit("{\"event\":\"trap\"}").await, Err(SubmitError::Abandoned));
    let summary = host.wait_until_stopped().await;
    assert_eq!((summary.undelivered, summary.faults.len()), (1, 1));
    assert_eq!(host.stats().abandoned, 1);
    assert!(matches!(host.try_submit("{}"), Err(TrySubmitError::Closed(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_follows_its_settings_file_and_ignores_wrong_settings() {
    let directory = TempDir::new().unwrap();
    make_data_directory(&directory.path().join("standpipe-data"));
    let file = directory.path().join("settings.toml");
    let write = |text: &str| {
        let next = directory.path().join("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, &file).unwrap();
    };
    let missing = Builder::from_file(directory.path().join("none.toml")).unwrap_err().to_string();
    assert!(missing.contains("none.toml"), "{missing}");
    write(&mapping_settings(&["one"]));
    let port = Arc::new(FaultyClient::new(|_, _, _| InjectedFault::None));
    let builder = Builder::from_file(&file).unwrap().firehose_client(port.clone());
    let host = builder.start(&Handle::current()).await.unwrap();
    let is_taken = async |event: &str| {
        let ended = host.submit(format!("{{\"event\":\"{event}\"}}")).await;
        ended == Ok(EventOutcome::Delivered)
    };
    assert!(is_taken("one").await);
    write(&mapping_settings(&["two"]));
    while !is_taken("two").await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    write("[plugin.settings]\nmappings = 7\n");
    let refused = host.reload().await.unwrap_err();
    assert_eq!(refused.step, "configure");
    write("surprise = true");
    let refused = host.reload().await.unwrap_err();
    assert!(refused.reason.contains("surprise"), "{refused}");
    assert!(is_taken("two").await && !is_taken("one").await);
    write(&mapping_settings(&["three"]));
    // The file watcher may have been faster.
    host.reload().await.unwrap();
    assert!(is_taken("three").await);
    host.stop().await;
}

#[test]
fn the_program_refuses_sources_without_a_listener() {
    let sources =
        "listen = 'off'\n[[sources]]\nname = 'web'\ndialect = 'segment'\nwrite_keys = ['key']";
    let program = Program::host_run_locally().settings(sources).mapping(&[("*", "all")]);
    program
        .run()
        .expect_exit(2)
        .expect_stderr(&["invalid listen = \"off\": only programs that embed the library"]);
}

#[test]
fn a_host_with_its_own_runtime_delivers_when_it_is_dropped() {
    let directory = TempDir::new().unwrap();
    make_data_directory(&directory.path().join("standpipe-data"));
    let builder = Builder::from_toml(&mapping_settings(&["kept"]), directory.path()).unwrap();
    let host =
        builder.local_directory(directory.path().join("records")).start_with_own_runtime().unwrap();
    let receipts: Vec<_> =
        (0..100).map(|_| host.try_submit("{\"event\":\"kept\"}").unwrap()).collect();
    let runtime = host.runtime().clone();
    drop(host);
    for receipt in receipts {
        assert_eq!(runtime.block_on(receipt), Ok(EventOutcome::Delivered));
    }
    let records = std::fs::read(directory.path().join("records/kept.ndjson")).unwrap();
    assert_eq!(records.split_inclusive(|byte| *byte == b'\n').count(), 100);
}
