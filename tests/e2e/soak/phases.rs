//! Exposes the program to one fault after another, with periods of rest in between.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use sha2::{Digest, Sha256};
use standpipe_tests::client::{Client, HttpResponse};
use standpipe_tests::stub::{Behavior, Garbage};
use standpipe_tests::{Stub, misbehaving_plugin, program_path, stamp_component};

use super::Options;
use super::faults::{BEHAVIORS, SoakFault};
use super::hostile::Hostile;
use super::incarnations::Ending;
use super::place::{DRAIN_TIMEOUT, TOKEN, plugin_version};
use super::process::{Process, exit_code};
use super::recipes::{BLOCK_EVENTS, SENDERS, STREAMS};
use super::world::SoakWorld;

/// Rounds of a long run. With this number, each row of its table covers all faults.
const ROUNDS_MAX: u64 = 10;
/// The minimum length of a round, if there are several.
const ROUND_SECONDS_MIN: u64 = 60;
/// The share of a round that is reserved for draining.
const REST_SHARE: f64 = 0.15;
/// The share of a phase during which the fault lasts.
const FAULT_SHARE: f64 = 0.7;
const PHASE_MIN: Duration = Duration::from_millis(250);
/// The minimum length of a long phase, in which slow operations are possible.
const PHASE_LONG: Duration = Duration::from_secs(2);
/// Long enough for the effects of an unread standard error to appear.
const UNREAD_LONG: Duration = Duration::from_secs(12);
/// Each SIGHUP produces a log line. The pause is shorter than the time that the pipe must stay
/// full.
const HANGUP_PAUSE: Duration = Duration::from_millis(5);
const FULL_AFTER: Duration = Duration::from_secs(1);
const FILL_PATIENCE: Duration = Duration::from_secs(60);
/// The maximum time that delivery is stopped to fill the spool.
const FULL_SPOOL_PATIENCE: Duration = Duration::from_secs(60);

/// Starts at the end of a fault: a request without a response times out after a minute, its records
/// are sent again after at most 20 s, and the rest is for draining a full spool.
const DRAIN_PATIENCE: Duration = Duration::from_secs(120);
/// The drain timeout, 10 s for responses, and as much again for a busy machine.
const STOP_PATIENCE: Duration = Duration::from_secs(20).saturating_add(DRAIN_TIMEOUT);
/// The maximum time from writing a dead letter to reading it.
const LETTERS_PATIENCE: Duration = Duration::from_secs(3);
const START_PATIENCE: Duration = Duration::from_secs(30);
/// Compiling a component takes one or two seconds of an idle processor.
const ADMIN_PATIENCE: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(20);
/// The pause between requests that are refused immediately.
const BREATH: Duration = Duration::from_millis(50);
/// A phase of at least this number of seconds must have seen a response.
const SERVICE_SECONDS: f64 = 3.0;
const LOG_LINES_SHOWN: usize = 12;

/// The run, as seen by the side that causes the faults.
#[derive(Debug)]
pub(super) struct Soak {
    options: Options,
    world: Arc<SoakWorld>,
    stub: Stub,
    process: Process,
    random: fastrand::Rng,
    misbehaving: Vec<u8>,
    /// The number of the next plugin or settings.
    number: u64,
    /// Whether the process has met a full disk. Its exit code may reflect that.
    had_full_disk: bool,
    /// Whether the run cannot continue.
    is_stuck: bool,
    phases: BTreeMap<String, PhaseResult>,
    exits: BTreeMap<String, u64>,
}

/// The combined results of all phases with one fault.
#[derive(Debug, Default)]
struct PhaseResult {
    times: u64,
    seconds: f64,
    counts: SoakCounts,
    slowest_answer_ms: u64,
    slowest_health_ms: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct SoakCounts {
    accepted: u64,
    delivered: u64,
    refused: u64,
    unavailable: u64,
    unanswered: u64,
    duplicates: u64,
}

impl Soak {
    pub(super) fn start(options: Options) -> (Self, Arc<SoakWorld>) {
        // The program is built before the time starts.
        let _ = program_path();
        let misbehaving = fs::read(misbehaving_plugin()).expect("a plugin");
        let digest = Sha256::digest(&misbehaving);
        let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let world = Arc::new(SoakWorld::new(options.seed, digest));
        let stub = world.start_firehose(options.seed);
        let process = Process::start(&world.place, &stub.url(), world.incarnations.next_number());
        let random = fastrand::Rng::with_seed(options.seed);
        let mut soak = Soak {
            options,
            world: Arc::clone(&world),
            stub,
            process,
            random,
            misbehaving,
            number: 0,
            had_full_disk: false,
            is_stuck: false,
            phases: BTreeMap::new(),
            exits: BTreeMap::new(),
        };
        soak.wait_until_started();
        (soak, world)
    }

    /// Runs all rounds, then stops the program in an orderly way.
    pub(super) fn run(&mut self) {
        let (started, duration) = (Instant::now(), self.options.duration);
        let rounds = (duration.as_secs() / ROUND_SECONDS_MIN).clamp(1, ROUNDS_MAX) as u32;
        for round in 0..rounds {
            let with_restarts = round == 0 || round + 1 == rounds;
            self.run_round(with_restarts, started + duration * (round + 1) / rounds);
            if self.is_stuck {
                return;
            }
        }
        self.world.ledger.enter_phase("the end");
        self.stop_process();
        self.finish_summary();
    }

    fn run_round(&mut self, with_restarts: bool, end: Instant) {
        let faults = SoakFault::draw_round(with_restarts, &mut self.random);
        let is_chosen = |fault: &SoakFault| {
            let (chosen, name) = (&self.options.faults, fault.name());
            chosen.is_empty() || chosen.iter().any(|part| name.contains(part.as_str()))
        };
        let faults: Vec<_> = faults.into_iter().filter(is_chosen).collect();
        let rest = end.saturating_duration_since(Instant::now()).mul_f64(REST_SHARE);
        for (number, fault) in faults.iter().enumerate() {
            let left = end.saturating_duration_since(Instant::now()).saturating_sub(rest);
            let length = left / (faults.len() - number) as u32;
            if !self.is_stuck {
                self.run_phase(*fault, length.max(PHASE_MIN));
            }
        }
        self.reach_checkpoint();
    }

    /// Runs one fault, then some time without a fault.
    fn run_phase(&mut self, fault: SoakFault, length: Duration) {
        self.world.ledger.enter_phase(&fault.name());
        let (began, before) = (Instant::now(), self.read_counts());
        self.take_slowest();
        self.play_fault(fault, length.mul_f64(FAULT_SHARE));
        self.sleep(length.mul_f64(1.0 - FAULT_SHARE));
        let (seconds, counts) =
            (began.elapsed().as_secs_f64(), self.read_counts().difference_to(before));
        let answers = counts.accepted + counts.refused + counts.unavailable;
        if fault.leaves_service() && seconds >= SERVICE_SECONDS && answers == 0 {
            self.world.findings.add("no honest sender was answered", || format!("{seconds:.1} s"));
        }
        let [answer, health] = self.take_slowest();
        self.phases.entry(fault.name()).or_default().add_phase(seconds, counts, answer, health);
    }

    fn play_fault(&mut self, fault: SoakFault, length: Duration) {
        match fault {
            SoakFault::Streams(behavior) => self.with_streams(behavior, length),
            SoakFault::Clients(hostile) => self.with_clients(hostile, length),
            SoakFault::Swaps => self.repeat_for(length, Self::put_another_plugin),
            SoakFault::BrokenPlugins => self.repeat_for(length, Self::put_broken_plugin),
            SoakFault::MisbehavingPlugin => {
                self.world.ledger.expect_misbehaving();
                let component = self.misbehaving.clone();
                self.put_plugin(&component);
                self.sleep(length);
                self.put_another_plugin();
            }
            SoakFault::MisbehavingCanary => {
                self.world.ledger.expect_misbehaving();
                let path = "/plugin/canary?percent=50&max_error_rate=1&min_events=1000000";
                self.expect_status(&[200], "PUT", path, &self.misbehaving);
                self.sleep(length);
                self.expect_status(&[204], "DELETE", "/plugin/canary", &[]);
            }
            SoakFault::PluginFile => {
                for _ in 0..2 {
                    let number = self.next_number();
                    self.world.place.write_plugin(number);
                    self.sleep(length / 2);
                }
            }
            SoakFault::Reload => {
                let number = self.next_number();
                self.world.place.write_settings(number);
                self.process.send_signal(Signal::HUP);
                self.sleep(length);
            }
            SoakFault::Hangups => self.repeat_for(length, |soak| {
                soak.process.send_signal(Signal::HUP);
                thread::sleep(BREATH);
            }),
            SoakFault::UnreadLog => {
                self.fill_log();
                self.sleep(if length < PHASE_LONG { length } else { length.max(UNREAD_LONG) });
                self.process.leave_log_unread(false);
                self.world.switches.reset();
            }
            SoakFault::FullDisk => self.with_full_disk(length),
            SoakFault::FullSpool => self.with_full_spool(length),
            SoakFault::Stop | SoakFault::StopAmidFaults | SoakFault::StopUnread => {
                self.before_restart(fault, length);
                self.stop_process();
                self.start_again();
            }
            SoakFault::Kill | SoakFault::KillAmidFaults => {
                self.before_restart(fault, length);
                self.kill_process();
                self.start_again();
            }
        }
    }

    fn with_streams(&mut self, behavior: Behavior, length: Duration) {
        self.switch_streams(behavior);
        self.sleep(length);
        self.world.switches.reset();
        // In a long phase, the program itself times out the connections.
        if length < PHASE_LONG {
            self.stub.release_connections();
        }
    }

    /// Switches one stream or all of them to a behavior.
    fn switch_streams(&mut self, behavior: Behavior) {
        let one = self.random.bool().then(|| self.random.usize(..STREAMS.len()));
        for (at, stream) in STREAMS.iter().enumerate() {
            if one.is_none_or(|one| one == at) {
                self.world.switches.set(stream, behavior);
            }
        }
    }

    fn with_clients(&mut self, hostile: Hostile, length: Duration) {
        let (world, is_over) = (Arc::clone(&self.world), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..hostile.threads() {
                scope.spawn(|| hostile.run(&world, &is_over));
            }
            self.sleep(length);
            is_over.store(true, Ordering::Relaxed);
        });
    }

    fn with_full_disk(&mut self, length: Duration) {
        self.had_full_disk = true;
        self.world.place.fill_disk();
        self.sleep(length);
        self.world.place.clear_disk();
    }

    fn with_full_spool(&mut self, length: Duration) {
        STREAMS.iter().for_each(|stream| self.world.switches.set(stream, Behavior::Denied));
        let (before, began) = (self.read_counts().unavailable, Instant::now());
        let patience = if length < PHASE_LONG { length } else { FULL_SPOOL_PATIENCE };
        while self.read_counts().unavailable == before && began.elapsed() < patience {
            self.sleep(POLL);
        }
        self.sleep(length / 2);
        self.world.switches.reset();
    }

    /// Creates the situation in which a restart is to happen.
    fn before_restart(&mut self, fault: SoakFault, length: Duration) {
        if matches!(fault, SoakFault::StopAmidFaults | SoakFault::KillAmidFaults) {
            let garbage = Garbage::ALL.map(Behavior::Garbage);
            let behaviors: Vec<_> = BEHAVIORS.into_iter().chain(garbage).collect();
            let behavior = behaviors[self.random.usize(..behaviors.len())];
            self.switch_streams(behavior);
            self.world.ledger.enter_phase(&format!("{} with {behavior:?}", fault.name()));
        }
        if fault == SoakFault::StopUnread {
            self.fill_log();
        }
        self.sleep(length / 2);
    }

    /// Stops reading standard error and makes the program write lines until the pipe is full. Also
    /// gives the other parts of the program something to log.
    fn fill_log(&mut self) {
        self.process.leave_log_unread(true);
        let (end, mut grown) = (Instant::now() + FILL_PATIENCE, (0, Instant::now()));
        while grown.1.elapsed() < FULL_AFTER && !self.is_stuck {
            if Instant::now() > end {
                self.world
                    .findings
                    .add("a log that does not fill", || format!("{FILL_PATIENCE:?}"));
                break;
            }
            self.process.send_signal(Signal::HUP);
            self.sleep(HANGUP_PAUSE);
            let bytes = self.process.unread_log_bytes();
            if bytes == 0 || bytes != grown.0 {
                grown = (bytes, Instant::now());
            }
        }
        self.switch_streams(Behavior::Denied);
    }

    /// Repeats an action.
    fn repeat_for(&mut self, length: Duration, mut act: impl FnMut(&mut Self)) {
        let end = Instant::now() + length;
        while Instant::now() < end && !self.is_stuck {
            act(self);
            self.check_process();
        }
    }

    fn put_another_plugin(&mut self) {
        let number = self.next_number();
        self.put_plugin(&plugin_version(number));
    }

    fn put_plugin(&mut self, component: &[u8]) {
        // The program may be validating another plugin, such as the one of the file.
        let end = Instant::now() + ADMIN_PATIENCE;
        while Instant::now() < end {
            let reply = self.expect_status(&[200, 503], "PUT", "/plugin", component);
            if reply.is_none_or(|reply| reply.status == 200) {
                return;
            }
            thread::sleep(BREATH);
        }
        self.world.findings.add("a plugin that is not taken", || "busy".to_owned());
    }

    fn put_broken_plugin(&mut self) {
        let good = plugin_version(0);
        let broken = match self.next_number() % 4 {
            0 => b"no plugin".to_vec(),
            1 => good[..good.len() / 2].to_vec(),
            2 => b"\0asm\x01\0\0\0".to_vec(),
            // A component that does not implement the contract.
            _ => stamp_component(b"\0asm\x0d\0\x01\0", b"soak"),
        };
        self.expect_status(&[422, 503], "PUT", "/plugin", &broken);
        thread::sleep(BREATH);
    }

    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Sends a request with the token to the admin listener. Any other status is a finding.
    fn expect_status(
        &self,
        statuses: &[u16],
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Option<HttpResponse> {
        let reply = self.send_admin_request(method, path, body);
        match reply {
            Ok(reply) if statuses.contains(&reply.status) => Some(reply),
            Ok(reply) => {
                self.world.findings.add("an answer of the admin API", || {
                    format!("{method} {path}: {}: {}", reply.status, reply.text())
                });
                None
            }
            Err(error) => {
                self.world
                    .findings
                    .add("no answer of the admin API", || format!("{method} {path}: {error}"));
                None
            }
        }
    }

    fn send_admin_request(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> std::io::Result<HttpResponse> {
        let own = Ipv4Addr::new(127, 0, 2, 2);
        let mut client = Client::try_connect_from(own, &self.world.place.admin_url())?;
        client.set_read_timeout(ADMIN_PATIENCE);
        client.set_write_timeout(ADMIN_PATIENCE);
        client.request(method, path, &[("Authorization", &format!("Bearer {TOKEN}"))], body)
    }

    /// Pauses all senders until everything is settled, and starts a new window.
    fn reach_checkpoint(&mut self) {
        self.world.ledger.enter_phase("coming to rest");
        self.world.switches.reset();
        let began = Instant::now();
        self.world.gate.pause_senders();
        let mut is_drained = self.wait_until_drained();
        if !is_drained && !self.is_stuck {
            self.report_stuck();
            self.stop_process();
            self.start_again();
            is_drained = self.wait_until_drained();
        }
        if !is_drained {
            self.world
                .findings
                .add("a restart that drains nothing either", || self.describe_state());
            self.is_stuck = true;
        }
        let next = self.world.gate.align_turns() * SENDERS * BLOCK_EVENTS;
        self.world.ledger.close_window(next);
        if !self.is_stuck {
            self.world.gate.resume_senders();
        }
        let phase = self.phases.entry("(coming to rest)".to_owned()).or_default();
        phase.add_phase(began.elapsed().as_secs_f64(), SoakCounts::default(), 0, 0);
    }

    /// Waits until the program has nothing left to do. Events that the ledger still expects then
    /// are lost.
    fn wait_until_drained(&mut self) -> bool {
        let end = Instant::now() + DRAIN_PATIENCE;
        let mut empty_since = None;
        while Instant::now() < end && !self.is_stuck {
            let is_empty = self.world.gate.is_idle() && self.spool_events() == Some(0.0);
            empty_since = empty_since.filter(|_| is_empty).or(is_empty.then(Instant::now));
            let settled = self.world.ledger.counts.waiting() == 0;
            if empty_since.is_some_and(|since| settled || since.elapsed() > LETTERS_PATIENCE) {
                return true;
            }
            self.sleep(POLL);
        }
        false
    }

    fn report_stuck(&self) {
        self.world.findings.add("not at rest in time", || {
            format!("{}\n      {}", self.describe_state(), self.process.last_lines(LOG_LINES_SHOWN))
        });
    }

    fn describe_state(&self) -> String {
        let (waiting, is_idle) = (self.world.ledger.counts.waiting(), self.world.gate.is_idle());
        let spool_events = self.spool_events();
        format!(
            "after {DRAIN_PATIENCE:?} {waiting} events wait, the spool has {spool_events:?}, all posts answered: {is_idle}"
        )
    }

    /// The number of events in the spool, or `None` if the metrics do not contain it.
    fn spool_events(&self) -> Option<f64> {
        let page = self.send_admin_request("GET", "/metrics", b"").ok()?.text();
        let mut samples = page.lines().filter(|line| !line.starts_with('#'));
        samples.find_map(|line| line.split_once("standpipe_spool_events ")?.1.parse().ok())
    }

    fn sleep(&mut self, length: Duration) {
        let end = Instant::now() + length;
        loop {
            self.check_process();
            if self.is_stuck {
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(POLL));
        }
    }

    /// Checks whether the process has exited by itself. That is a finding, and the process is
    /// started again.
    fn check_process(&mut self) {
        if self.is_stuck {
            return;
        }
        if let Some(status) = self.process.try_wait() {
            self.world.findings.add("a process that ended by itself", || {
                format!("{status}: {}", self.process.last_lines(LOG_LINES_SHOWN))
            });
            self.record_ending(Ending::Killed, format!("by itself: {}", exit_code(status)));
            self.start_again();
        }
    }

    fn kill_process(&mut self) {
        self.world.set_serving(false);
        self.process.kill();
        self.record_ending(Ending::Killed, "killed".to_owned());
    }

    /// Stops the process in an orderly way, as a service manager does.
    fn stop_process(&mut self) {
        self.world.set_serving(false);
        self.process.send_signal(Signal::TERM);
        let Some(status) = self.process.wait(STOP_PATIENCE) else {
            self.process.leave_log_unread(false);
            self.world.findings.add("SIGTERM that does not end the process", || {
                format!("after {STOP_PATIENCE:?}: {}", self.process.last_lines(LOG_LINES_SHOWN))
            });
            return self.kill_process();
        };
        let code = exit_code(status);
        let is_explained = matches!(code, 0 | 3 | 4) || (code == 1 && self.had_full_disk);
        if !is_explained {
            self.world.findings.add("an exit code", || {
                format!("{code}: {}", self.process.last_lines(LOG_LINES_SHOWN))
            });
        }
        let ending = match self.waiting_by_summary() {
            Some(0) => Ending::Stopped,
            Some(_) => Ending::StoppedWithRest,
            None => {
                self.world.findings.add("a stop without a summary", || format!("exit code {code}"));
                Ending::Killed
            }
        };
        self.record_ending(ending, format!("stopped: {code}"));
    }

    fn record_ending(&mut self, ending: Ending, how: String) {
        self.world.set_serving(false);
        self.world.incarnations.end_process(ending);
        self.world.set_pid(0);
        *self.exits.entry(how).or_default() += 1;
    }

    fn start_again(&mut self) {
        let _ = fs::remove_file(self.world.place.path("summary.json"));
        let number = self.world.incarnations.next_number();
        self.process = Process::start(&self.world.place, &self.stub.url(), number);
        self.had_full_disk = false;
        self.wait_until_started();
        self.world.switches.reset();
    }

    /// Waits until the process responds. If the program does not start, the run is over.
    fn wait_until_started(&mut self) {
        self.world.incarnations.begin_process(self.process.pid());
        self.world.set_pid(self.process.pid());
        let end = Instant::now() + START_PATIENCE;
        while !self
            .send_admin_request("GET", "/health/live", b"")
            .is_ok_and(|reply| reply.status == 200)
        {
            let ended = self.process.try_wait();
            if Instant::now() > end || ended.is_some() {
                self.world.findings.add("a start that fails", || {
                    format!("{ended:?}: {}", self.process.last_lines(LOG_LINES_SHOWN))
                });
                self.is_stuck = true;
                return;
            }
            thread::sleep(POLL);
        }
        self.world.set_serving(true);
    }

    /// The number of waiting events in the spool, from the last summary.
    fn waiting_by_summary(&self) -> Option<u64> {
        let text = fs::read(self.world.place.path("summary.json")).ok()?;
        let summary: Value = serde_json::from_slice(&text).ok()?;
        summary["collected"]["waiting"].as_u64()
    }

    /// Checks the last summary. Everything was settled before the last stop.
    fn finish_summary(&self) {
        let waiting = self.waiting_by_summary();
        if waiting != Some(0) {
            self.world
                .findings
                .add("a spool that is not empty at the end", || format!("{waiting:?}"));
        }
        let violations = self.stub.violations();
        if let Some(first) = violations.first() {
            self.world.findings.add("requests that Firehose would refuse", || {
                format!("{}, the first: {first}", violations.len())
            });
        }
    }

    fn read_counts(&self) -> SoakCounts {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (counts, traffic) = (&self.world.ledger.counts, &self.world.traffic);
        SoakCounts {
            accepted: load(&counts.acknowledged),
            delivered: load(&counts.delivered),
            refused: load(&traffic.refused),
            unavailable: load(&traffic.unavailable),
            unanswered: load(&traffic.unanswered),
            duplicates: counts.duplicates.sum(),
        }
    }

    fn take_slowest(&self) -> [u64; 2] {
        let traffic = &self.world.traffic;
        [&traffic.slowest_answer_ms, &traffic.slowest_health_ms]
            .map(|slowest| slowest.swap(0, Ordering::Relaxed))
    }

    /// The report: the outcome of all events, and the results of each fault.
    pub(super) fn report(&self) -> String {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (counts, traffic) = (&self.world.ledger.counts, &self.world.traffic);
        let duplicates = &counts.duplicates;
        let mut text = format!(
            "accepted {}, delivered {}, dead {}, filtered {}, lost {}; dead letters of the hostile source {}\n\
             duplicates: {} after a lost answer of a stream, {} posted again, {} after a kill, {} after a stop\n\
             answers: 429 {}, 503 {}, none {}; requests of hostile clients {}\n",
            load(&counts.acknowledged),
            load(&counts.delivered),
            load(&counts.dead),
            load(&counts.filtered),
            load(&counts.lost),
            load(&counts.dead_of_hostile),
            load(&duplicates.answer_lost),
            load(&duplicates.posted_again),
            load(&duplicates.killed),
            load(&duplicates.stopped),
            load(&traffic.refused),
            load(&traffic.unavailable),
            load(&traffic.unanswered),
            load(&traffic.hostile),
        );
        let _ = writeln!(text, "dead letters: {:?}", self.world.ledger.dead_letter_reasons());
        let _ = writeln!(text, "processes ended: {:?}", self.exits);
        text += "\ntimes  seconds  accepted/s  delivered/s     429     503  unanswered  duplicates  slowest answer, health ms  fault\n";
        for (name, phase) in &self.phases {
            phase.write_row(name, &mut text);
        }
        text
    }
}

impl SoakCounts {
    fn difference_to(self, before: SoakCounts) -> SoakCounts {
        SoakCounts {
            accepted: self.accepted - before.accepted,
            delivered: self.delivered - before.delivered,
            refused: self.refused - before.refused,
            unavailable: self.unavailable - before.unavailable,
            unanswered: self.unanswered - before.unanswered,
            duplicates: self.duplicates - before.duplicates,
        }
    }

    fn sum_with(self, other: SoakCounts) -> SoakCounts {
        SoakCounts {
            accepted: self.accepted + other.accepted,
            delivered: self.delivered + other.delivered,
            refused: self.refused + other.refused,
            unavailable: self.unavailable + other.unavailable,
            unanswered: self.unanswered + other.unanswered,
            duplicates: self.duplicates + other.duplicates,
        }
    }
}

impl PhaseResult {
    fn add_phase(&mut self, seconds: f64, counts: SoakCounts, answer_ms: u64, health_ms: u64) {
        self.times += 1;
        self.seconds += seconds;
        self.counts = self.counts.sum_with(counts);
        self.slowest_answer_ms = self.slowest_answer_ms.max(answer_ms);
        self.slowest_health_ms = self.slowest_health_ms.max(health_ms);
    }

    fn write_row(&self, name: &str, text: &mut String) {
        let per_second = |count: u64| count as f64 / self.seconds.max(0.001);
        let counts = self.counts;
        let _ = writeln!(
            text,
            "{:>5}  {:>7.1}  {:>10.0}  {:>11.0}  {:>6}  {:>6}  {:>10}  {:>10}  {:>25}  {name}",
            self.times,
            self.seconds,
            per_second(counts.accepted),
            per_second(counts.delivered),
            counts.refused,
            counts.unavailable,
            counts.unanswered,
            counts.duplicates,
            format!("{}, {}", self.slowest_answer_ms, self.slowest_health_ms),
        );
    }
}
