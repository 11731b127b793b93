//! Fleets in memory: hosts with plugins that follow a script, cut off, restarted, and with faults of the store. Time is
//! paused, so that seconds take no time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::memory::{MemoryFleet, StoreFault};
use super::*;
use crate::{Gate, limits};

/// The step and the reason of all rejections of these tests.
const STEP: &str = "configure";
const REASON: &str = "asks for a refusal";

/// A host whose plugins take some time to prepare, and refuse settings that name the host.
#[derive(Default)]
struct FakeHost {
    name: String,
    prepared: AtomicUsize,
    /// The active rules; none for the host's own plugin.
    active: Mutex<Option<FleetRules>>,
    /// Prepared plugins that exist.
    alive: Arc<()>,
}

/// A prepared plugin.
#[derive(Clone)]
struct FakePlugin {
    rules: FleetRules,
    _alive: Arc<()>,
}

impl RuleHost for FakeHost {
    type PreparedRules = FakePlugin;

    fn has_component(&self, _: &str) -> bool {
        false
    }

    fn prepare<'a>(
        &'a self,
        rules: &'a FleetRules,
        component: Option<Bytes>,
    ) -> LoadFuture<'a, FakePlugin> {
        Box::pin(async move {
            sleep(Duration::from_millis(200)).await;
            self.prepared.fetch_add(1, Ordering::Relaxed);
            let refuses = |text: &String| text.contains(&format!("\"refuse\":\"{}\"", self.name));
            let refused = rules.settings.as_ref().is_some_and(refuses) || component.is_none();
            match refused {
                true => Err(Rejection { step: STEP.to_owned(), reason: REASON.to_owned() }),
                false => Ok(FakePlugin { rules: rules.clone(), _alive: Arc::clone(&self.alive) }),
            }
        })
    }

    fn activate<'a>(&'a self, prepared: &'a FakePlugin) -> LoadFuture<'a, ()> {
        *self.active.lock() = Some(prepared.rules.clone());
        Box::pin(async { Ok(()) })
    }
}

/// Hosts on one store.
struct FakeFleet {
    store: Arc<MemoryFleet>,
    hosts: BTreeMap<String, RunningHost>,
}

struct RunningHost {
    host: Arc<FakeHost>,
    monitor: FleetMonitor,
    gate: Gate,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl FakeFleet {
    async fn start(names: &[&str]) -> Self {
        let mut fleet = FakeFleet { store: MemoryFleet::new(), hosts: BTreeMap::new() };
        for name in names {
            fleet.join(name).await.unwrap();
        }
        fleet
    }

    async fn join(&mut self, name: &str) -> Result<(), JoinError> {
        let host = Arc::new(FakeHost { name: name.to_owned(), ..FakeHost::default() });
        let settings = FleetMemberSettings {
            name: name.to_owned(),
            instance: format!("{:x}", fastrand_like(&host)),
            program: "test".to_owned(),
        };
        let store = Arc::new(self.store.client(name));
        let member = FleetMember::join(store, Arc::clone(&host), settings).await?;
        let (monitor, stop) = (member.monitor(), CancellationToken::new());
        let gate = monitor.gate();
        let task = tokio::spawn(member.run(stop.clone()));
        self.hosts.insert(name.to_owned(), RunningHost { host, monitor, gate, stop, task });
        Ok(())
    }

    /// Kills a host, which does not leave the fleet.
    fn kill(&mut self, name: &str) {
        self.hosts.remove(name).expect("it runs").task.abort();
    }

    async fn stop(&mut self, name: &str) {
        let host = self.hosts.remove(name).expect("it runs");
        host.stop.cancel();
        host.task.await.unwrap();
    }

    fn control(&self) -> FleetControl {
        FleetControl::new(Arc::new(self.store.client("operator")))
    }

    async fn push(&self, settings: &str) -> Result<FleetChangeOutcome, FleetError> {
        self.control().push(change(settings, None)).await
    }

    fn active(&self) -> Option<ActiveRecord> {
        self.store.rules(RuleKey::Active).map(|value| ActiveRecord::parse(&value).unwrap())
    }

    /// The settings that each host maps with.
    fn settings(&self) -> Vec<String> {
        let settings = |running: &RunningHost| {
            let rules = running.host.active.lock().clone();
            rules.map_or("own".to_owned(), |rules| rules.settings.unwrap_or_default())
        };
        self.hosts.values().map(settings).collect()
    }

    fn host(&self, name: &str) -> &RunningHost {
        &self.hosts[name]
    }
}

/// Differs for each host that lives at the same time.
fn fastrand_like(host: &Arc<FakeHost>) -> usize {
    Arc::as_ptr(host) as usize
}

fn rules(settings: &str) -> FleetRules {
    FleetRules {
        sha256: "0".repeat(64),
        settings: Some(settings.to_owned()),
        signature: None,
        origin: "a test".to_owned(),
    }
}

fn change(settings: &str, canary: Option<&[&str]>) -> FleetChange {
    FleetChange {
        rules: rules(settings),
        component: Bytes::from_static(b"component"),
        canary: canary.map(|hosts| hosts.iter().map(|name| (*name).to_owned()).collect()),
        timeout: Duration::from_secs(20),
    }
}

const A: &str = r#"{"a":1}"#;
const B: &str = r#"{"b":1}"#;
const BAD: &str = r#"{"refuse":"h2"}"#;

#[tokio::test(start_paused = true)]
async fn all_hosts_change_together_and_return_at_once() {
    let fleet = FakeFleet::start(&["h1", "h2", "h3"]).await;
    let pushed = fleet.push(A).await.unwrap();
    assert_eq!((pushed.generation, pushed.hosts.len(), pushed.late_hosts.len()), (1, 3, 0));
    assert_eq!(fleet.settings(), [A; 3]);
    assert_eq!(fleet.push(B).await.unwrap().generation, 2);
    assert_eq!(fleet.settings(), [B; 3]);
    let prepared = fleet.host("h1").host.prepared.load(Ordering::Relaxed);
    let back = fleet.control().roll_back().await.unwrap();
    assert_eq!((back.generation, fleet.settings()), (3, vec![A.to_owned(); 3]));
    assert!(back.loaded_ms < 100, "{back:?}");
    assert_eq!(fleet.host("h1").host.prepared.load(Ordering::Relaxed), prepared);
    let again = fleet.control().roll_back().await;
    assert!(matches!(again, Err(FleetError::NoPrevious { generation: 3 })), "{again:?}");
    let again = fleet.push(A).await.unwrap();
    assert!(again.is_unchanged && again.generation == 3, "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_one_host_rejects_changes_nothing_anywhere() {
    let fleet = FakeFleet::start(&["h1", "h2", "h3"]).await;
    fleet.push(A).await.unwrap();
    let before = fleet.active();
    let error = fleet.push(BAD).await.unwrap_err().to_string();
    for words in ["h2", STEP, REASON, "nothing has changed"] {
        assert!(error.contains(words), "{error}");
    }
    assert_eq!((fleet.active(), fleet.settings()), (before, vec![A.to_owned(); 3]));
    // Prepared plugins that nobody can use are dropped.
    sleep(Duration::from_secs(3)).await;
    assert_eq!(Arc::strong_count(&fleet.host("h1").host.alive), 2);
    assert!(fleet.hosts.values().all(|running| running.gate.is_open()));
    // Its generation is used up.
    assert_eq!(fleet.push(B).await.unwrap().generation, 3);
}

#[tokio::test(start_paused = true)]
async fn a_canary_is_on_its_hosts_alone() {
    let fleet = FakeFleet::start(&["h1", "h2", "h3"]).await;
    let early = fleet.control().push(change(B, Some(&["h2"]))).await;
    assert!(matches!(early, Err(FleetError::NoRules)), "{early:?}");
    fleet.push(A).await.unwrap();
    let unknown = fleet.control().push(change(B, Some(&["h4"]))).await;
    assert!(matches!(unknown, Err(FleetError::UnknownHost(name)) if name == "h4"));
    // The others need not accept it.
    let canary = r#"{"refuse":"h1"}"#;
    let started = fleet.control().push(change(canary, Some(&["h2"]))).await.unwrap();
    assert_eq!(
        (started.hosts.len(), fleet.settings()),
        (3, vec![A.into(), canary.into(), A.into()])
    );
    let status = fleet.control().status().await.unwrap();
    let on_canary = status.hosts.iter().filter(|host| host.report.as_ref().unwrap().is_canary);
    assert_eq!(on_canary.map(|host| host.name.as_str()).collect::<Vec<_>>(), ["h2"]);
    let rolled_back = fleet.control().roll_back().await;
    assert!(matches!(rolled_back, Err(FleetError::CanaryRuns(_))), "{rolled_back:?}");
    let prepared = fleet.host("h2").host.prepared.load(Ordering::Relaxed);
    fleet.control().end_canary().await.unwrap();
    assert_eq!(fleet.settings(), [A; 3]);
    assert_eq!(fleet.host("h2").host.prepared.load(Ordering::Relaxed), prepared);
    let ended = fleet.control().end_canary().await;
    assert!(matches!(ended, Err(FleetError::NoCanary)), "{ended:?}");
    // A push ends a canary, too, and a rollback goes to the rules of all.
    fleet.control().push(change(B, Some(&["h2"]))).await.unwrap();
    fleet.push(B).await.unwrap();
    assert_eq!(fleet.settings(), [B; 3]);
    fleet.control().roll_back().await.unwrap();
    assert_eq!(fleet.settings(), [A; 3]);
}

#[tokio::test(start_paused = true)]
async fn of_two_pushes_at_once_one_wins() {
    for pause_ms in [0, 10, 60, 150, 230, 280] {
        let fleet = FakeFleet::start(&["h1", "h2"]).await;
        let second = async {
            sleep(Duration::from_millis(pause_ms)).await;
            fleet.push(B).await
        };
        let results: [_; 2] = tokio::join!(fleet.push(A), second).into();
        let active = fleet.active().unwrap().rules.settings.unwrap();
        for (result, settings) in results.iter().zip([A, B]) {
            match result {
                Ok(_) => {}
                Err(FleetError::Concurrent) => assert_ne!(active, settings, "at {pause_ms} ms"),
                Err(error) => panic!("{error} at {pause_ms} ms"),
            }
        }
        assert!(results.iter().any(Result::is_ok), "none wins at {pause_ms} ms");
        assert_eq!(fleet.settings(), [active.as_str(); 2], "at {pause_ms} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_cut_off_maps_nothing_by_old_rules() {
    let fleet = FakeFleet::start(&["h1", "h2"]).await;
    fleet.push(A).await.unwrap();
    fleet.store.cut_off("h2", true);
    // The vote waits until the host has stopped by itself.
    let pushed = fleet.push(B).await.unwrap();
    assert_eq!(pushed.hosts, ["h1"]);
    let cut_off = fleet.host("h2");
    assert!(!cut_off.gate.is_open());
    assert_eq!(fleet.settings(), [B, A]);
    let problem = cut_off.monitor.problem().unwrap();
    assert!(problem.contains("could not be read"), "{problem}");
    fleet.store.cut_off("h2", false);
    while !cut_off.gate.is_open() {
        assert_ne!(fleet.settings()[1], "own");
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(fleet.settings(), [B, B]);
    assert_eq!(cut_off.monitor.problem(), None);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_starts_loads_the_active_rules_first() {
    let mut fleet = FakeFleet::start(&["h1", "h2"]).await;
    fleet.push(A).await.unwrap();
    fleet.kill("h2");
    let started = Instant::now();
    fleet.push(B).await.unwrap();
    assert!(started.elapsed() < limits::FLEET_ALIVE + Duration::from_secs(1));
    fleet.join("h2").await.unwrap();
    assert_eq!(fleet.settings(), [B, B]);
    // One that leaves is not waited for.
    fleet.stop("h2").await;
    let started = Instant::now();
    fleet.push(A).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1));
    // One that rejects the active rules does not start.
    let refused = r#"{"refuse":"h3"}"#;
    fleet.push(refused).await.unwrap();
    let joined = fleet.join("h3").await.unwrap_err().to_string();
    assert!(joined.contains(REASON) && joined.contains("generation 4"), "{joined}");
}

#[tokio::test(start_paused = true)]
async fn changes_that_no_watch_shows_are_read() {
    let fleet = FakeFleet::start(&["h1"]).await;
    fleet.store.hide_changes(true);
    let pushed = fleet.push(A).await.unwrap();
    assert!(pushed.loaded_ms < 1100, "{pushed:?}");
    assert_eq!(fleet.settings(), [A]);
}

#[tokio::test(start_paused = true)]
async fn lost_responses_are_not_lost_writes() {
    // The candidate and the active rules are written; also if the reads between them are lost.
    for lost in 0..14 {
        let fleet = FakeFleet::start(&["h1"]).await;
        let client = Arc::new(fleet.store.client("operator"));
        fleet.store.inject_after("operator", lost, [StoreFault::ResponseLost]);
        let pushed = FleetControl::new(client).push(change(A, None)).await;
        match pushed {
            Ok(pushed) => assert_eq!(fleet.active().unwrap().generation, pushed.generation),
            Err(error) => {
                assert!(matches!(error, FleetError::Store(_)), "{error}");
                assert_eq!(fleet.active(), None, "request {lost}: {error}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_lost_its_newest_rules_does_not_take_hosts_back() {
    let mut fleet = FakeFleet::start(&["h1", "h2"]).await;
    fleet.push(A).await.unwrap();
    let lost = fleet.store.rules(RuleKey::Active).unwrap();
    fleet.push(B).await.unwrap();
    fleet.store.replace_rules(RuleKey::Active, lost);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(fleet.settings(), [B, B]);
    assert!(fleet.hosts.values().all(|running| running.gate.is_open()));
    // Its number is higher than what any host has loaded.
    fleet.join("h3").await.unwrap();
    assert_eq!(fleet.push(B).await.unwrap().generation, 3);
    assert_eq!(fleet.settings(), [B; 3]);
}

#[tokio::test(start_paused = true)]
async fn rules_that_are_not_readable_stop_hosts_and_commands() {
    let fleet = FakeFleet::start(&["h1"]).await;
    fleet.push(A).await.unwrap();
    for garbage in ["", "{}", r#"{"version":2}"#, r#"{"version":1,"generation":9}"#] {
        let good = fleet.store.rules(RuleKey::Active).unwrap();
        fleet.store.replace_rules(RuleKey::Active, Bytes::from_static(garbage.as_bytes()));
        sleep(limits::FLEET_CONTACT_PATIENCE + Duration::from_secs(2)).await;
        assert!(!fleet.host("h1").gate.is_open());
        let error = fleet.push(B).await.unwrap_err();
        assert!(matches!(error, FleetError::Record { .. }), "{error}");
        fleet.store.replace_rules(RuleKey::Active, good);
        sleep(Duration::from_secs(2)).await;
        assert!(fleet.host("h1").gate.is_open());
    }
    fleet.store.replace_rules(RuleKey::Candidate, Bytes::from_static(b"no record"));
    sleep(Duration::from_secs(2)).await;
    let status = fleet.store.client("x").read_hosts().await.unwrap();
    let report = HostRecord::parse(&status[0].value).unwrap();
    assert!(report.problem.unwrap().contains("candidate"));
}

#[tokio::test(start_paused = true)]
async fn a_component_that_is_missing_is_waited_for() {
    let fleet = FakeFleet::start(&["h1", "h2"]).await;
    fleet.store.cut_off("h2", true);
    fleet.push(A).await.unwrap();
    fleet.store.remove_component(&rules(A).sha256);
    fleet.store.cut_off("h2", false);
    sleep(Duration::from_secs(10)).await;
    let problem = fleet.host("h2").monitor.problem().unwrap();
    assert!(problem.contains("generation 1") && problem.contains(REASON), "{problem}");
    let client = fleet.store.client("operator");
    client.put_component(&rules(A).sha256, Bytes::from_static(b"component")).await.unwrap();
    sleep(Duration::from_secs(31)).await;
    assert_eq!(fleet.settings(), [A, A]);
}

#[tokio::test(start_paused = true)]
async fn two_hosts_with_one_name_are_reported() {
    let fleet = FakeFleet::start(&["h1"]).await;
    let mut other = FakeFleet { store: Arc::clone(&fleet.store), hosts: BTreeMap::new() };
    other.join("h1").await.unwrap();
    sleep(Duration::from_secs(3)).await;
    let status = fleet.control().status().await.unwrap();
    let problem = status.hosts[0].report.as_ref().unwrap().problem.clone().unwrap();
    assert!(problem.contains("another host") && problem.contains("`name`"), "{problem}");
    other.stop("h1").await;
    sleep(Duration::from_secs(5)).await;
    let status = fleet.control().status().await.unwrap();
    assert_eq!(status.hosts[0].report.as_ref().unwrap().problem, None);
}

#[tokio::test(start_paused = true)]
async fn without_hosts_nobody_votes() {
    let fleet = FakeFleet::start(&[]).await;
    let pushed = fleet.push(A).await;
    assert!(matches!(pushed, Err(FleetError::NoHosts)), "{pushed:?}");
    let rolled_back = fleet.control().roll_back().await;
    assert!(matches!(rolled_back, Err(FleetError::NoRules)), "{rolled_back:?}");
    assert_eq!(fleet.control().status().await.unwrap().active, None);
}

/// A change to a component whose SHA-256 consists of this digit.
fn change_to_component(digit: &str, canary: Option<&[&str]>) -> FleetChange {
    let FleetChange { rules, .. } = change(A, canary);
    let rules = FleetRules { sha256: digit.repeat(64), ..rules };
    FleetChange { rules, ..change(A, canary) }
}

#[tokio::test(start_paused = true)]
async fn components_that_nothing_names_are_deleted() {
    let fleet = FakeFleet::start(&["h1", "h2"]).await;
    let push = async |digit, canary: Option<&[&str]>| {
        let outcome = fleet.control().push(change_to_component(digit, canary)).await.unwrap();
        let digits =
            |names: Vec<String>| -> String { names.iter().map(|name| &name[..1]).collect() };
        (digits(outcome.deleted_components), digits(fleet.store.components()))
    };
    let expected = |deleted: &str, left: &str| (deleted.to_owned(), left.to_owned());
    // Each may be part of another push that is under way.
    assert_eq!(push("1", None).await, expected("", "1"));
    assert_eq!(push("2", None).await, expected("", "12"));
    assert_eq!(push("3", None).await, expected("", "123"));
    sleep(limits::FLEET_COMPONENT_KEPT).await;
    // The active one, that of a rollback, and that of the canary stay.
    assert_eq!(push("4", Some(&["h2"])).await, expected("1", "234"));
    sleep(limits::FLEET_COMPONENT_KEPT).await;
    assert_eq!(push("5", None).await, expected("24", "35"));
    // What hosts vote about stays, and a component that is pushed again counts as new.
    let client = fleet.store.client("other");
    client.put_component(&"6".repeat(64), Bytes::new()).await.unwrap();
    client.put_component(&"7".repeat(64), Bytes::new()).await.unwrap();
    sleep(limits::FLEET_COMPONENT_KEPT).await;
    let voted = FleetRules { sha256: "6".repeat(64), ..rules(B) };
    let candidate = CandidateRecord::new(9, voted, None).encode().unwrap();
    let named = FleetControl::new(Arc::new(fleet.store.client("second")));
    fleet.store.replace_rules(RuleKey::Candidate, candidate.into());
    client.put_component(&"7".repeat(64), Bytes::new()).await.unwrap();
    assert_eq!(named.delete_old_components().await, [""; 0]);
    fleet
        .store
        .replace_rules(RuleKey::Candidate, CandidateRecord::withdrawn(9).encode().unwrap().into());
    assert_eq!(named.delete_old_components().await, ["6".repeat(64)]);
    // A store that does not respond fails no push.
    fleet.store.cut_off("second", true);
    assert_eq!(named.delete_old_components().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_store_without_a_leader_for_some_seconds_fails_no_push() {
    // Reads before the vote are commands' first requests, and fail at once.
    for requests in 4..12 {
        let fleet = FakeFleet::start(&["h1", "h2"]).await;
        fleet.push(A).await.unwrap();
        fleet.store.inject_after("operator", requests, [StoreFault::Refused; 5]);
        let pushed = fleet.push(B).await.unwrap_or_else(|error| panic!("{requests}: {error}"));
        assert_eq!((pushed.generation, pushed.late_hosts), (2, Vec::new()));
        assert_eq!(fleet.settings(), [B; 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_without_any_response_is_not_called_without_effect() {
    let fleet = FakeFleet::start(&["h1"]).await;
    fleet.push(A).await.unwrap();
    fleet.push(B).await.unwrap();
    // After both records and the hosts were read.
    fleet.store.inject_after("operator", 3, [StoreFault::ResponseLost; 9]);
    let error = fleet.control().roll_back().await.unwrap_err();
    assert!(matches!(error, FleetError::Unknown { key: "active", .. }), "{error}");
    assert!(error.to_string().contains("may have been written"), "{error}");
    assert_eq!(fleet.settings(), [A]);
}

#[tokio::test(start_paused = true)]
async fn a_host_leaves_without_its_store() {
    let mut fleet = FakeFleet::start(&["h1"]).await;
    fleet.store.cut_off("h1", true);
    let started = Instant::now();
    fleet.stop("h1").await;
    assert!(started.elapsed() <= limits::FLEET_REPORT_TIMEOUT + Duration::from_millis(10));
}

/// What happens to a fleet.
#[derive(Debug, Clone)]
enum FleetEvent {
    Push(&'static str),
    Canary(&'static str, usize),
    EndCanary,
    RollBack,
    CutOff(usize),
    Heal(usize),
    Kill(usize),
    Start(usize),
    Fail(usize, Vec<StoreFault>),
    Wait(u64),
}

const NAMES: [&str; 3] = ["h1", "h2", "h3"];

fn any_settings() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(A), Just(B), Just(BAD), Just(r#"{"refuse":"h3"}"#)]
}

fn any_event() -> impl Strategy<Value = FleetEvent> {
    let host = 0..NAMES.len();
    let fault = prop_oneof![Just(StoreFault::Refused), Just(StoreFault::ResponseLost)];
    prop_oneof![
        3 => any_settings().prop_map(FleetEvent::Push),
        1 => (any_settings(), host.clone()).prop_map(|(settings, host)| FleetEvent::Canary(settings, host)),
        1 => Just(FleetEvent::EndCanary),
        2 => Just(FleetEvent::RollBack),
        2 => host.clone().prop_map(FleetEvent::CutOff),
        2 => host.clone().prop_map(FleetEvent::Heal),
        1 => host.clone().prop_map(FleetEvent::Kill),
        2 => host.prop_map(FleetEvent::Start),
        1 => (0..=NAMES.len(), prop::collection::vec(fault, 1..4))
            .prop_map(|(client, faults)| FleetEvent::Fail(client, faults)),
        2 => (1_u64..8000).prop_map(FleetEvent::Wait),
    ]
}

impl FakeFleet {
    async fn apply(&mut self, event: FleetEvent) {
        let before = self.active();
        match event {
            FleetEvent::Push(settings) => {
                let pushed = self.push(settings).await;
                self.assert_consistent(&pushed, before.as_ref());
            }
            FleetEvent::Canary(settings, host) => {
                let pushed = self.control().push(change(settings, Some(&[NAMES[host]]))).await;
                self.assert_consistent(&pushed, before.as_ref());
            }
            FleetEvent::EndCanary => {
                let ended = self.control().end_canary().await;
                self.assert_consistent(&ended, before.as_ref());
            }
            FleetEvent::RollBack => {
                let back = self.control().roll_back().await;
                self.assert_consistent(&back, before.as_ref());
            }
            FleetEvent::CutOff(host) => self.store.cut_off(NAMES[host], true),
            FleetEvent::Heal(host) => self.store.cut_off(NAMES[host], false),
            FleetEvent::Kill(host) if self.hosts.contains_key(NAMES[host]) => {
                self.kill(NAMES[host]);
            }
            FleetEvent::Start(host) if !self.hosts.contains_key(NAMES[host]) => {
                // It may be cut off, or reject the active rules.
                let _ = self.join(NAMES[host]).await;
            }
            FleetEvent::Fail(client, faults) => {
                self.store.inject(NAMES.get(client).unwrap_or(&"operator"), faults);
            }
            FleetEvent::Wait(millis) => sleep(Duration::from_millis(millis)).await,
            FleetEvent::Kill(_) | FleetEvent::Start(_) => {}
        }
    }

    /// What a command says is so.
    fn assert_consistent(
        &self,
        result: &Result<FleetChangeOutcome, FleetError>,
        before: Option<&ActiveRecord>,
    ) {
        match result {
            Ok(pushed) => {
                let generation = self.active().map(|active| active.generation);
                assert_eq!(generation, Some(pushed.generation));
                for name in &pushed.hosts {
                    let Some(running) = self.hosts.get(name) else { continue };
                    assert!(running.monitor.generation() >= pushed.generation, "{name}");
                }
            }
            Err(FleetError::Unknown { .. }) => {}
            Err(_) => assert_eq!(self.active().as_ref(), before, "{result:?}"),
        }
    }
}

/// No host takes messages by older rules for longer than it may be without contact.
async fn watch_gates(store: Arc<MemoryFleet>, hosts: Arc<Mutex<Vec<(FleetMonitor, Gate)>>>) {
    let mut written: Vec<(u64, Instant)> = Vec::new();
    loop {
        if let Some(value) = store.rules(RuleKey::Active) {
            let generation = ActiveRecord::parse(&value).unwrap().generation;
            if written.last().is_none_or(|(last, _)| *last < generation) {
                written.push((generation, Instant::now()));
            }
        }
        let patience = limits::FLEET_CONTACT_PATIENCE + Duration::from_millis(20);
        let due = written.iter().rev().find(|(_, since)| since.elapsed() > patience);
        for (monitor, gate) in hosts.lock().iter() {
            let generation = monitor.generation();
            let is_late = due.is_some_and(|(due, _)| generation < *due);
            assert!(!is_late || !gate.is_open(), "open at {generation}, active are {written:?}");
        }
        sleep(Duration::from_millis(10)).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_hosts_agree_in_the_end(
        events in prop::collection::vec(any_event(), 1..24),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut fleet = FakeFleet::start(&NAMES).await;
            let monitors = Arc::new(Mutex::new(Vec::new()));
            let watching = tokio::spawn(watch_gates(Arc::clone(&fleet.store), Arc::clone(&monitors)));
            for event in events {
                *monitors.lock() = fleet.monitors();
                fleet.apply(event).await;
            }
            *monitors.lock() = fleet.monitors();
            for name in NAMES {
                fleet.store.cut_off(name, false);
                fleet.store.inject(name, []);
            }
            fleet.store.inject("operator", []);
            sleep(Duration::from_secs(120)).await;
            let refusing = fleet.active().map(|active| active.rules.settings.unwrap_or_default());
            for (name, running) in &fleet.hosts {
                let Some(active) = fleet.active() else { continue };
                let rules = active.rules_of(name).clone();
                let refuses = format!("\"refuse\":\"{name}\"");
                if rules.settings.as_ref().is_some_and(|settings| settings.contains(&refuses)) {
                    // It was not there when the others voted.
                    assert!(!running.gate.is_open() || *running.host.active.lock() == Some(rules));
                    continue;
                }
                assert!(running.gate.is_open(), "{name} is closed: {:?}", running.monitor.problem());
                assert_eq!(running.host.active.lock().clone(), Some(rules), "{name} {refusing:?}");
            }
            assert!(!watching.is_finished(), "a gate was open: {:?}", watching.await);
            watching.abort();
        });
    }
}

impl FakeFleet {
    fn monitors(&self) -> Vec<(FleetMonitor, Gate)> {
        self.hosts.values().map(|running| (running.monitor.clone(), running.gate.clone())).collect()
    }
}

fn any_rules() -> impl Strategy<Value = FleetRules> {
    let settings = prop::option::of("[a-z]{0,8}".prop_map(|key| format!(r#"{{"{key}":1}}"#)));
    ("[0-9a-f]{64}", settings, prop::option::of("\\PC{0,40}"), "\\PC{0,40}").prop_map(
        |(sha256, settings, signature, origin)| FleetRules { sha256, settings, signature, origin },
    )
}

proptest! {
    #[test]
    fn records_are_read_as_they_were_written(
        generation in 1_u64..1 << 53,
        rules in any_rules(),
        previous in prop::option::of(any_rules()),
        hosts in prop::option::of(prop::collection::vec("[a-zA-Z0-9_-]{1,64}", 1..4)),
    ) {
        let mut active = ActiveRecord::new(generation, rules.clone(), previous);
        active.canary = hosts.clone().map(|hosts| CanaryRules { hosts, rules: rules.clone() });
        prop_assert_eq!(&ActiveRecord::parse(&active.encode().unwrap()).unwrap(), &active);
        let candidate = CandidateRecord::new(generation, rules, hosts);
        prop_assert_eq!(&CandidateRecord::parse(&candidate.encode().unwrap()).unwrap(), &candidate);
        let withdrawn = CandidateRecord::withdrawn(generation);
        prop_assert_eq!(&CandidateRecord::parse(&withdrawn.encode().unwrap()).unwrap(), &withdrawn);
    }

    #[test]
    fn no_change_of_a_record_is_read_as_something_invalid(
        rules in any_rules(), at in 0_usize..400, byte in any::<u8>(),
    ) {
        let mut bytes = ActiveRecord::new(7, rules, None).encode().unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(record) = ActiveRecord::parse(&bytes) {
            prop_assert!(record.validate().is_ok());
            prop_assert_eq!(&ActiveRecord::parse(&record.encode().unwrap()).unwrap(), &record);
        }
    }

    #[test]
    fn no_text_is_a_record(text in "\\PC{0,200}") {
        prop_assert!(ActiveRecord::parse(text.as_bytes()).is_err());
        prop_assert!(CandidateRecord::parse(text.as_bytes()).is_err());
        prop_assert!(HostRecord::parse(text.as_bytes()).is_err());
    }
}

#[test]
fn records_have_limits() {
    let long = format!(r#"{{"a":"{}"}}"#, "\\\"".repeat(limits::FLEET_SETTINGS_BYTES_MAX / 2 - 8));
    let full = FleetRules {
        signature: Some("\n".repeat(limits::FLEET_SIGNATURE_BYTES_MAX)),
        origin: "\u{1}".repeat(limits::FLEET_TEXT_BYTES_MAX),
        ..rules(&long)
    };
    let mut record = ActiveRecord::new(1 << 53, full.clone(), Some(full.clone()));
    let hosts = vec!["h".repeat(limits::FLEET_NAME_BYTES_MAX); limits::FLEET_HOSTS_MAX];
    record.canary = Some(CanaryRules { hosts, rules: full.clone() });
    assert!(record.encode().is_ok(), "{:?}", record.encode().map(|bytes| bytes.len()));
    for wrong in [
        FleetRules { settings: Some(format!("{long}{long}")), ..full.clone() },
        FleetRules { settings: Some("[]".to_owned()), ..full.clone() },
        FleetRules { settings: Some("{".to_owned()), ..full.clone() },
        FleetRules { sha256: "A".repeat(64), ..full.clone() },
        FleetRules { sha256: "a".repeat(63), ..full.clone() },
        FleetRules {
            signature: Some("s".repeat(limits::FLEET_SIGNATURE_BYTES_MAX + 1)),
            ..full.clone()
        },
        FleetRules { origin: "o".repeat(limits::FLEET_TEXT_BYTES_MAX + 1), ..full },
    ] {
        assert!(ActiveRecord::new(1, wrong, None).encode().is_err());
    }
    for generation in [0, (1 << 53) + 1] {
        assert!(ActiveRecord::new(generation, rules(A), None).encode().is_err());
    }
    for name in ["", ".", "a.b", "a b", "a*", ">", "é", &"a".repeat(65)] {
        let candidate = CandidateRecord::new(1, rules(A), Some(vec![name.to_owned()]));
        assert!(candidate.encode().is_err(), "{name}");
        let host = HostRecord::new(name.to_owned(), String::new(), String::new());
        assert!(host.encode().is_err(), "{name}");
    }
    assert!(ActiveRecord::parse(&vec![b' '; limits::FLEET_RULES_BYTES_MAX + 1]).is_err());
}
