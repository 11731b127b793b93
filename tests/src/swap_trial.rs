//! Swaps many plugins while events flow. Exactly one of them decides each event, once, and the
//! record or dead letter shows which one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use standpipe::config::{Overrides, Settings, parse};
use standpipe::run::{Progress, Run, RunOptions};
use standpipe::source::Input;
use standpipe_aws::StreamDescription;
use standpipe_core::event::StreamName;
use standpipe_delivery::{Batch, DescribeFuture, FirehoseClient, PutFuture, PutResponse};
use standpipe_plugin_host::DEFAULT_PLUGIN;
use standpipe_plugin_host::swap::{
    Candidate, LoadPolicy, PluginStatus, SignatureCheck, SwapStep, Swapped, Swapper,
};
use tempfile::TempDir;

use crate::{DeadLetter, misbehaving_plugin};

/// One of this number of events is known to only one of the two mappings, and becomes a dead letter
/// if the other one decides.
const ODD_STEP: u32 = 1000;

/// A run in this process that swaps plugins at regular intervals of events.
#[derive(Debug, Clone, Copy)]
pub struct SwapTrial {
    /// The number of events, of about 250 bytes each.
    pub events: u32,
    /// The number of plugins to swap in.
    pub swaps: u32,
    /// How many of the plugins are broken.
    pub broken: BrokenShare,
    /// How many of the plugins are new.
    pub novelty: CandidateNovelty,
}

/// Which plugins are new, and therefore go through all steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CandidateNovelty {
    /// Two plugins alternate.
    FirstTwo,
    /// Each plugin is new.
    All,
}

/// Which plugins are broken. Each fails at another step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokenShare {
    /// No plugin is broken.
    None,
    /// One plugin in ten is broken.
    EveryTenth,
}

/// The result of a [`SwapTrial`].
#[derive(Debug)]
pub struct SwapOutcome {
    events: u32,
    delivered: u64,
    seen: Arc<SeenEvents>,
    dead_letters: Vec<DeadLetter>,
    /// The mapping of each generation.
    mappings: BTreeMap<u64, char>,
    /// The status that the swapper reports.
    pub report: PluginStatus,
    /// The time from before the start to after the end.
    pub wall: Duration,
    /// The CPU time of this process during the trial.
    pub cpu: Duration,
}

/// How often each event reached the streams `a` (units) and `b` (sixteens).
#[derive(Debug)]
struct SeenEvents(Vec<AtomicU8>);

impl SwapTrial {
    /// Runs the trial to its end.
    pub fn run(&self) -> SwapOutcome {
        let directory = TempDir::new().expect("a directory");
        let input = write_events(directory.path(), self.events);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let seen = Arc::new(SeenEvents((0..self.events).map(|_| AtomicU8::new(0)).collect()));
        let settings = run_settings(&input, directory.path());
        let start = (Instant::now(), cpu_time());
        let firehose_client = Some(Arc::clone(&seen) as Arc<dyn FirehoseClient>);
        let options = RunOptions { firehose_client, ..RunOptions::default() };
        let run = Run::start(settings, options, runtime.handle());
        let run = runtime.block_on(run).expect("good settings");
        let (swapper, progress) = (run.swapper().expect("the run has a plugin"), run.progress());
        let is_over = Arc::new(AtomicBool::new(false));
        let (mappings, summary) = std::thread::scope(|scope| {
            let swapping = scope.spawn(|| self.swap_plugins(&swapper, &progress, &is_over));
            let summary = runtime.block_on(run.finish());
            is_over.store(true, Ordering::Relaxed);
            (swapping.join().expect("the swaps"), summary)
        });
        let (wall, cpu) = (start.0.elapsed(), cpu_time() - start.1);
        assert_eq!(summary.faults, Vec::<String>::new());
        SwapOutcome {
            events: self.events,
            delivered: summary.delivered,
            seen,
            dead_letters: DeadLetter::read_all(directory.path()),
            mappings,
            report: swapper.report(),
            wall,
            cpu,
        }
    }

    /// Swaps plugins at regular intervals of events. The first generation has mapping a.
    fn swap_plugins(
        &self,
        swapper: &Swapper,
        progress: &Progress,
        is_over: &AtomicBool,
    ) -> BTreeMap<u64, char> {
        let mut mappings = BTreeMap::from([(1, 'a')]);
        for swap in 0..self.swaps {
            let due = u64::from(self.events) * u64::from(swap + 1) / u64::from(self.swaps + 1);
            while progress.totals().read < due && !is_over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_micros(200));
            }
            if self.broken == BrokenShare::EveryTenth && swap % 10 == 9 {
                let (candidate, policy, step) = broken_candidate(swap / 10);
                let refused =
                    swapper.swap_with_policy(&candidate, policy).expect_err("it is broken");
                assert_eq!(refused.step, step, "{refused}");
                continue;
            }
            let mapping = if swap % 2 == 0 { 'b' } else { 'a' };
            let number = if self.novelty == CandidateNovelty::All { swap } else { 0 };
            let policy = numbered_policy(mapping, number);
            let swapped = swapper.swap_with_policy(&good_candidate(), policy).expect("it is good");
            match swapped {
                Swapped::Taken(generation) => {
                    assert_eq!(mappings.insert(generation, mapping), None);
                }
                Swapped::Unchanged(generation) => assert_eq!(mappings[&generation], mapping),
            }
        }
        mappings
    }
}

impl SwapOutcome {
    /// Fails unless every event was decided once, by the generation that it reports.
    pub fn assert_accounted(&self) {
        let mut dead = vec![false; self.events as usize];
        for dead_letter in &self.dead_letters {
            assert_eq!(dead_letter.reason, "plugin_rejected");
            let event = std::str::from_utf8(&dead_letter.event).expect("text");
            let number = event_number(event.as_bytes());
            let decided = self.mappings[&dead_letter.generation.expect("a generation decided")];
            let known_to = known_to(number).expect("only odd events are rejected");
            assert_ne!(decided, known_to, "generation {:?} knows {event}", dead_letter.generation);
            assert!(
                !std::mem::replace(&mut dead[number as usize], true),
                "two dead letters: {event}"
            );
        }
        let mut delivered = 0;
        for (number, (seen, dead)) in (0..).zip(self.seen.0.iter().zip(dead)) {
            match (seen.load(Ordering::Relaxed), known_to(number)) {
                (0, Some(_)) if dead => {}
                (1, None | Some('a')) | (16, None | Some('b')) if !dead => delivered += 1,
                (seen, _) => panic!("event {number} came {seen:#x} times, dead: {dead}"),
            }
        }
        assert_eq!(delivered, self.delivered);
    }
}

impl FirehoseClient for SeenEvents {
    fn put_record_batch<'a>(&'a self, stream: &'a StreamName, batch: Arc<Batch>) -> PutFuture<'a> {
        let one = match stream.as_str() {
            "a" => 1,
            "b" => 16,
            other => panic!("a record for {other}"),
        };
        for record in batch.payloads() {
            self.0[event_number(record) as usize].fetch_add(one, Ordering::Relaxed);
        }
        Box::pin(async { Ok(PutResponse::default()) })
    }

    fn describe<'a>(&'a self, stream: &'a StreamName) -> DescribeFuture<'a> {
        Box::pin(async { Ok(StreamDescription::stand_in(stream.as_str(), Vec::new())) })
    }
}

fn write_events(directory: &Path, events: u32) -> PathBuf {
    let path = directory.join("events.ndjson");
    let pad = "x".repeat(200);
    let mut text = String::new();
    for number in 0..events {
        let name = match known_to(number) {
            None => "both",
            Some('a') => "only a",
            Some(_) => "only b",
        };
        let _ = writeln!(text, r#"{{"i":{number},"type":"track","event":"{name}","pad":"{pad}"}}"#);
    }
    fs::write(&path, text).expect("a file");
    path
}

/// The only mapping with a row for an event, or `None` if both have one.
fn known_to(number: u32) -> Option<char> {
    match number % ODD_STEP {
        0 => Some('a'),
        1 => Some('b'),
        _ => None,
    }
}

fn event_number(event: &[u8]) -> u32 {
    let digits = event[br#"{"i":"#.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}

fn run_settings(input: &Path, directory: &Path) -> Settings {
    let policy = mapping_policy('a').settings;
    let mut raw = parse("").expect("good settings");
    raw.plugin.settings = serde_json::from_str(policy.text()).expect("an object");
    let overrides = Overrides {
        inputs: vec![Input::File(input.to_owned())],
        local: Some(directory.join("unused")),
        data_dir: Some(directory.to_owned()),
        ..Overrides::default()
    };
    raw.check(directory, overrides).expect("good settings")
}

fn mapping_policy(mapping: char) -> LoadPolicy {
    numbered_policy(mapping, 0)
}

/// A policy with one additional row that matches no event, which makes its settings unique.
fn numbered_policy(mapping: char, number: u32) -> LoadPolicy {
    let rows = ["both", &format!("only {mapping}"), &format!("row {number}")];
    let rows = rows.map(|event| serde_json::json!({"event": event, "stream": mapping.to_string()}));
    let settings = serde_json::json!({"mappings": rows, "unmapped": "dead_letter"}).to_string();
    LoadPolicy { settings: settings.into(), ..LoadPolicy::default() }
}

fn good_candidate() -> Candidate {
    new_candidate(Cow::Borrowed(DEFAULT_PLUGIN))
}

fn new_candidate(bytes: Cow<'static, [u8]>) -> Candidate {
    Candidate {
        bytes,
        signature: SignatureCheck::None,
        runner: None,
        settings: None,
        origin: "the test".to_owned(),
    }
}

/// A candidate that fails at a step, and the step.
fn broken_candidate(kind: u32) -> (Candidate, LoadPolicy, SwapStep) {
    let with = |settings: &str| LoadPolicy { settings: settings.into(), ..LoadPolicy::default() };
    let bytes = |bytes: &'static [u8]| new_candidate(Cow::Borrowed(bytes));
    let misbehaving =
        || new_candidate(Cow::Owned(fs::read(misbehaving_plugin()).expect("a plugin")));
    match kind % 10 {
        0 => (bytes(b"\xffno plugin"), mapping_policy('b'), SwapStep::Compile),
        1 => (
            bytes(&DEFAULT_PLUGIN[..DEFAULT_PLUGIN.len() / 2]),
            mapping_policy('b'),
            SwapStep::Compile,
        ),
        2 => (bytes(b"\0asm\x01\0\0\0"), mapping_policy('b'), SwapStep::Compile),
        3 => (bytes(b"\0asm\x0d\0\x01\0"), mapping_policy('b'), SwapStep::Fit),
        4 => (good_candidate(), with("{}"), SwapStep::Configure),
        5 => (
            good_candidate(),
            with(r#"{"mappings":[{"event":"*","stream":"no name"}]}"#),
            SwapStep::Configure,
        ),
        6 => (misbehaving(), with(r#"{"configure":"trap"}"#), SwapStep::Configure),
        7 => (misbehaving(), with(r#"{"configure":"refuse"}"#), SwapStep::Configure),
        8 => (misbehaving(), with(r#"{"map":"trap"}"#), SwapStep::Samples),
        _ => {
            let mut pinned = mapping_policy('b');
            pinned.trust.sha256 = Some("0".repeat(64));
            (good_candidate(), pinned, SwapStep::Trust)
        }
    }
}

fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(now).expect("CPU time is not negative")
}
