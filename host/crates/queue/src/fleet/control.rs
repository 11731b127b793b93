//! What an operator does with a fleet: pushes rules, rolls back, starts and ends a canary, and reads the status.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use super::records::{
    ActiveRecord, CanaryRules, CandidateRecord, CandidateState, FleetRecord, FleetRules,
    HostRecord, RecordError,
};
use super::store::{FleetStore, HostEntry, RuleKey, StoreUpdate};
use crate::{QueueError, limits};

/// Changes the rules of a fleet.
#[derive(Debug, Clone)]
pub struct FleetControl {
    store: Arc<dyn FleetStore>,
}

/// Rules that hosts vote about.
#[derive(Debug, Clone)]
pub struct FleetChange {
    /// The rules.
    pub rules: FleetRules,
    /// The component.
    pub component: Bytes,
    /// The hosts of a canary. None for all hosts.
    pub canary: Option<Vec<String>>,
    /// How long hosts may take to prepare the rules.
    pub timeout: Duration,
}

/// The result of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FleetChangeOutcome {
    /// The generation that is active.
    pub generation: u64,
    /// Whether it was active before.
    pub is_unchanged: bool,
    /// The hosts that have loaded it.
    pub hosts: Vec<String>,
    /// The hosts that are alive and have not loaded it in time. They take no events from the queue until they have.
    pub late_hosts: Vec<String>,
    /// The SHA-256s of old components that were deleted, since nothing names them any more.
    pub deleted_components: Vec<String>,
    /// From the write of the active rules until the last host reported that it has loaded them, in milliseconds.
    pub loaded_ms: u64,
}

/// A host that rejects a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectingHost {
    /// Its name.
    pub name: String,
    /// The step that failed.
    pub step: String,
    /// Why.
    pub reason: String,
}

/// Why the rules of a fleet are not changed. Unless it says otherwise, nothing has changed on any host.
#[derive(Debug, Error)]
pub enum FleetError {
    /// The store does not respond.
    #[error(transparent)]
    Store(#[from] QueueError),
    /// A record is not usable.
    #[error("the record {key} of the fleet is not usable: {error}")]
    Record {
        /// Its key.
        key: String,
        /// Why.
        #[source]
        error: RecordError,
    },
    /// No host is alive.
    #[error(
        "no host of the fleet is alive: start mappers with [fleet] and the same bucket, and check `host fleet status`"
    )]
    NoHosts,
    /// A host of the canary is not alive.
    #[error("the host {0:?} is not alive: `host fleet status` lists all hosts")]
    UnknownHost(String),
    /// Hosts reject the candidate.
    #[error("{}; nothing has changed on any host", list_rejections(.0))]
    Rejected(Vec<RejectingHost>),
    /// Hosts have not prepared the candidate in time.
    #[error(
        "not ready after {}: {}; nothing has changed on any host: check the logs of these hosts, or allow more time with --timeout",
        duration_text(*.waited), .hosts.join(", ")
    )]
    Timeout {
        /// The time that they had.
        waited: Duration,
        /// Their names.
        hosts: Vec<String>,
    },
    /// A write had no response, so that nobody knows whether it had an effect.
    #[error(
        "no response to the write of the record {key}, which may have been written: check `host fleet status`, and repeat the command if it is still needed: {error}"
    )]
    Unknown {
        /// The key of the record.
        key: &'static str,
        /// The last error.
        #[source]
        error: QueueError,
    },
    /// Another change came first.
    #[error(
        "another push, rollback or canary changed the fleet meanwhile, and this change was not made: check `host fleet status`, and repeat the command if it is still needed"
    )]
    Concurrent,
    /// The fleet has no rules yet.
    #[error(
        "the fleet has no rules yet, and each host uses the plugin of its own settings: use `host fleet push` first"
    )]
    NoRules,
    /// There are no rules to return to.
    #[error(
        "there are no rules to roll back to: generation {generation} is the first one, or was itself a rollback: push the plugin that you want with `host fleet push`"
    )]
    NoPrevious {
        /// The active generation.
        generation: u64,
    },
    /// A canary is running.
    #[error(
        "a canary is running on {}: end it with `host fleet canary --end`, and roll back then",
        .0.join(", ")
    )]
    CanaryRuns(Vec<String>),
    /// There is no canary.
    #[error("there is no canary: `host fleet status` shows the active rules")]
    NoCanary,
}

/// The state of a fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FleetReport {
    /// The active rules. None if each host uses the plugin of its own settings.
    pub active: Option<ActiveReport>,
    /// The generation that hosts vote about at present, or that a failed push has left.
    pub candidate_generation: Option<u64>,
    /// All hosts that have reported in the last hour.
    pub hosts: Vec<HostReport>,
}

/// The active rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActiveReport {
    /// The number of the change.
    pub generation: u64,
    /// The rules of all hosts but those of the canary.
    pub rules: RulesReport,
    /// The rules that a rollback returns to.
    pub previous: Option<RulesReport>,
    /// The rules of the canary.
    pub canary: Option<RulesReport>,
    /// The hosts of the canary.
    pub canary_hosts: Vec<String>,
}

/// Rules, without the text of settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RulesReport {
    /// The SHA-256 of the component.
    pub sha256: String,
    /// Where the component is from.
    pub origin: String,
    /// Whether settings were pushed, or each host keeps its own.
    pub has_settings: bool,
    /// Whether the component has a signature.
    pub is_signed: bool,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostReport {
    /// Its name.
    pub name: String,
    /// Whether it has reported a short time ago.
    pub is_alive: bool,
    /// Milliseconds since its last report.
    pub age_ms: u64,
    /// What it reports. None if the report is not readable.
    pub report: Option<HostRecord>,
    /// Why the report is not readable.
    pub problem: Option<String>,
}

/// Records with their revisions.
struct KnownRecords {
    active: Option<ActiveRecord>,
    active_revision: u64,
    candidate: Option<CandidateRecord>,
    candidate_revision: u64,
}

impl FleetControl {
    /// Controls the fleet of a store.
    pub fn new(store: Arc<dyn FleetStore>) -> Self {
        FleetControl { store }
    }

    /// Has all hosts, or those of a canary, prepare rules, and makes them active if all are ready.
    ///
    /// # Errors
    ///
    /// A host rejects the rules or is not ready in time, or another change came first.
    pub async fn push(&self, change: FleetChange) -> Result<FleetChangeOutcome, FleetError> {
        let deadline = Instant::now() + change.timeout;
        let known = self.read_known().await?;
        let hosts = self.read_hosts().await?;
        check_hosts(&hosts, change.canary.as_deref())?;
        if change.canary.is_some() && known.active.is_none() {
            return Err(FleetError::NoRules);
        }
        if let Some(active) = known.active.as_ref().filter(|active| is_done(active, &change)) {
            let generation = active.generation;
            let pushed = self.wait_until_loaded(generation).await;
            return Ok(FleetChangeOutcome { is_unchanged: true, ..pushed });
        }
        let FleetChange { rules, component, canary, timeout } = change;
        let generation = next_generation(&known, &hosts);
        let next = next_record(&known, generation, &rules, canary.as_deref());
        // First, so that rules that do not fit are not voted about.
        encode_record("active", &next)?;
        self.store.put_component(&rules.sha256, component).await?;
        let candidate = CandidateRecord::new(generation, rules, canary);
        let revision = known.candidate_revision;
        let revision = self.write_record(RuleKey::Candidate, &candidate, revision).await?;
        let voted = self.wait_for_votes(&candidate, revision, deadline, timeout).await;
        let activated = match voted {
            Ok(()) => {
                self.write_record(RuleKey::Active, &next, known.active_revision).await.map(drop)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = activated {
            self.withdraw_candidate(generation, revision).await;
            return Err(error);
        }
        let outcome = self.wait_until_loaded(generation).await;
        Ok(FleetChangeOutcome { deleted_components: self.delete_old_components().await, ..outcome })
    }

    /// Returns to the rules before the last push, as a new generation.
    ///
    /// # Errors
    ///
    /// There are none, or another change came first.
    pub async fn roll_back(&self) -> Result<FleetChangeOutcome, FleetError> {
        let known = self.read_known().await?;
        let active = known.active.as_ref().ok_or(FleetError::NoRules)?;
        if let Some(canary) = &active.canary {
            return Err(FleetError::CanaryRuns(canary.hosts.clone()));
        }
        let generation = active.generation;
        let previous = active.previous.clone().ok_or(FleetError::NoPrevious { generation })?;
        let generation = self.generation_after(&known).await;
        let next = ActiveRecord::new(generation, previous, None);
        self.write_record(RuleKey::Active, &next, known.active_revision).await?;
        Ok(self.wait_until_loaded(generation).await)
    }

    /// Has the hosts of the canary return to the rules of all others.
    ///
    /// # Errors
    ///
    /// There is no canary, or another change came first.
    pub async fn end_canary(&self) -> Result<FleetChangeOutcome, FleetError> {
        let known = self.read_known().await?;
        let active = known.active.as_ref().ok_or(FleetError::NoCanary)?;
        active.canary.as_ref().ok_or(FleetError::NoCanary)?;
        let generation = self.generation_after(&known).await;
        let next = ActiveRecord { generation, canary: None, ..active.clone() };
        self.write_record(RuleKey::Active, &next, known.active_revision).await?;
        Ok(self.wait_until_loaded(generation).await)
    }

    /// Reads the state of the fleet.
    ///
    /// # Errors
    ///
    /// The store does not respond, or a record of rules is not readable.
    pub async fn status(&self) -> Result<FleetReport, FleetError> {
        let known = self.read_known().await?;
        let active = known.active.as_ref();
        let candidate = known.candidate.as_ref().filter(|candidate| {
            let is_newer = active.is_none_or(|active| candidate.generation > active.generation);
            candidate.rules.is_some() && is_newer
        });
        Ok(FleetReport {
            candidate_generation: candidate.map(|candidate| candidate.generation),
            active: known.active.as_ref().map(ActiveReport::new),
            hosts: self.read_hosts().await?,
        })
    }

    /// Deletes components that nothing names any more. If that fails, the next push tries again.
    pub(super) async fn delete_old_components(&self) -> Vec<String> {
        let deleted = async {
            let named = self.named_components().await?;
            let deleted = self.store.delete_components(&named, limits::FLEET_COMPONENT_KEPT);
            Ok::<_, FleetError>(deleted.await?)
        };
        deleted.await.unwrap_or_else(|error| {
            tracing::warn!(
                "failed to delete old plugins of the fleet; the next push tries again: {error}"
            );
            Vec::new()
        })
    }

    /// The SHA-256s of all components that hosts may fetch: those of the active rules, of a rollback, of a canary and of
    /// the candidate that hosts vote about, and those that hosts have loaded.
    async fn named_components(&self) -> Result<BTreeSet<String>, FleetError> {
        let KnownRecords { active, candidate, .. } = self.read_known().await?;
        let active = active.iter().flat_map(|active| {
            let canary = active.canary.as_ref().map(|canary| &canary.rules);
            [Some(&active.rules), active.previous.as_ref(), canary].into_iter().flatten()
        });
        let candidate = candidate.iter().filter_map(|candidate| candidate.rules.as_ref());
        let mut named: BTreeSet<_> =
            active.chain(candidate).map(|rules| rules.sha256.clone()).collect();
        let reports = self.read_hosts().await?.into_iter().filter_map(|host| host.report);
        named.extend(reports.filter_map(|report| report.sha256));
        Ok(named)
    }

    async fn read_known(&self) -> Result<KnownRecords, FleetError> {
        let active = self.store.read_rules(RuleKey::Active).await?;
        let candidate = self.store.read_rules(RuleKey::Candidate).await?;
        Ok(KnownRecords {
            active: active.value.map(|value| parse_record("active", &value)).transpose()?,
            active_revision: active.revision,
            candidate: candidate
                .value
                .map(|value| parse_record("candidate", &value))
                .transpose()?,
            candidate_revision: candidate.revision,
        })
    }

    async fn read_hosts(&self) -> Result<Vec<HostReport>, FleetError> {
        let hosts = self.store.read_hosts().await?;
        Ok(hosts.into_iter().map(HostReport::new).collect())
    }

    /// The next generation. A change that is urgent does not wait for the reports of hosts, which matter only if the
    /// store has lost writes.
    async fn generation_after(&self, known: &KnownRecords) -> u64 {
        let hosts = self.read_hosts().await.unwrap_or_default();
        next_generation(known, &hosts)
    }

    /// Writes a record, unless another change came first. If a response is lost, or the store has no leader for a moment,
    /// writes it again: that has no effect if it was written, since the write expects a revision.
    async fn write_record<R: FleetRecord + PartialEq>(
        &self,
        key: RuleKey,
        record: &R,
        revision: u64,
    ) -> Result<u64, FleetError> {
        let value = encode_record(key_name(key), record)?;
        let deadline = Instant::now() + limits::FLEET_WRITE_PATIENCE;
        let mut failure = None;
        for attempt in 1.. {
            match self.store.update_rules(key, value.clone(), revision).await {
                Ok(StoreUpdate::Written(revision)) => return Ok(revision),
                Ok(StoreUpdate::Conflict) => match self.store.read_rules(key).await {
                    // A conflict with an earlier attempt.
                    Ok(found) if found.value.as_ref() == Some(&value) => return Ok(found.revision),
                    Ok(_) => return Err(FleetError::Concurrent),
                    Err(error) => failure = Some(error),
                },
                Err(error) => failure = Some(error),
            }
            let pause = limits::RETRY.pause_after(attempt);
            if Instant::now() + pause > deadline {
                break;
            }
            sleep(pause).await;
        }
        let error = failure.expect("another attempt follows a failure alone");
        Err(FleetError::Unknown { key: key_name(key), error })
    }

    /// Waits until all hosts that are asked are ready.
    async fn wait_for_votes(
        &self,
        candidate: &CandidateRecord,
        revision: u64,
        deadline: Instant,
        waited: Duration,
    ) -> Result<(), FleetError> {
        loop {
            match self.count_votes(candidate, revision).await {
                Ok(votes) if votes.waiting.is_empty() => return Ok(()),
                Ok(votes) if Instant::now() >= deadline => {
                    return Err(FleetError::Timeout { waited, hosts: votes.waiting });
                }
                // The store may be without a leader for a moment.
                Err(FleetError::Store(error)) if Instant::now() >= deadline => {
                    return Err(error.into());
                }
                Ok(_) | Err(FleetError::Store(_)) => sleep(limits::FLEET_POLL).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Counts the votes once. A rejection is an error.
    async fn count_votes(
        &self,
        candidate: &CandidateRecord,
        revision: u64,
    ) -> Result<Votes, FleetError> {
        if self.store.read_rules(RuleKey::Candidate).await?.revision != revision {
            return Err(FleetError::Concurrent);
        }
        let hosts = self.read_hosts().await?;
        check_hosts(&hosts, candidate.hosts.as_deref())?;
        let votes = Votes::of_hosts(&hosts, candidate)?;
        match votes.rejections.is_empty() {
            true => Ok(votes),
            false => Err(FleetError::Rejected(votes.rejections)),
        }
    }

    /// Withdraws a candidate, so that hosts drop it. If that fails, they keep it until the next one.
    async fn withdraw_candidate(&self, generation: u64, revision: u64) {
        let record = CandidateRecord::withdrawn(generation);
        if let Ok(value) = encode_record(key_name(RuleKey::Candidate), &record) {
            let _ = self.store.update_rules(RuleKey::Candidate, value, revision).await;
        }
    }

    /// Waits until all hosts that are alive have loaded a generation.
    async fn wait_until_loaded(&self, generation: u64) -> FleetChangeOutcome {
        let started = Instant::now();
        let deadline = started + limits::FLEET_LOADED_PATIENCE;
        loop {
            let hosts = self.read_hosts().await.unwrap_or_default();
            let alive = hosts.iter().filter(|host| host.is_alive);
            let has_loaded = |host: &&HostReport| {
                host.report.as_ref().is_some_and(|report| report.generation >= generation)
            };
            let (hosts, late): (Vec<_>, Vec<_>) = alive.partition(has_loaded);
            if (late.is_empty() && !hosts.is_empty()) || Instant::now() >= deadline {
                let names = |hosts: Vec<&HostReport>| {
                    hosts.into_iter().map(|host| host.name.clone()).collect()
                };
                return FleetChangeOutcome {
                    generation,
                    is_unchanged: false,
                    hosts: names(hosts),
                    late_hosts: names(late),
                    deleted_components: Vec::new(),
                    loaded_ms: started.elapsed().as_millis().try_into().unwrap_or(u64::MAX),
                };
            }
            sleep(limits::FLEET_POLL).await;
        }
    }
}

/// How hosts vote about a candidate.
#[derive(Default)]
struct Votes {
    /// Hosts that have not prepared it yet.
    waiting: Vec<String>,
    rejections: Vec<RejectingHost>,
}

impl Votes {
    fn of_hosts(hosts: &[HostReport], candidate: &CandidateRecord) -> Result<Self, FleetError> {
        let mut votes = Votes::default();
        let is_asked = |host: &&HostReport| {
            let of_canary = candidate.hosts.as_ref();
            host.is_alive && of_canary.is_none_or(|hosts| hosts.contains(&host.name))
        };
        for host in hosts.iter().filter(is_asked) {
            let report = host.readable_report()?;
            match report.candidate_state(candidate.generation) {
                Some(CandidateState::Ready) => {}
                Some(CandidateState::Rejected { step, reason }) => {
                    let (step, reason) = (step.clone(), reason.clone());
                    votes.rejections.push(RejectingHost { name: host.name.clone(), step, reason });
                }
                Some(CandidateState::Preparing) | None => {
                    let problem = report.problem.as_ref();
                    let problem =
                        problem.map(|problem| format!(" ({problem})")).unwrap_or_default();
                    votes.waiting.push(format!("{}{problem}", host.name));
                }
            }
        }
        Ok(votes)
    }
}

impl HostReport {
    fn new(entry: HostEntry) -> Self {
        let (report, problem) = match HostRecord::parse(&entry.value) {
            Ok(report) => (Some(report), None),
            Err(error) => (None, Some(error.to_string())),
        };
        HostReport {
            name: entry.name,
            is_alive: entry.age < limits::FLEET_ALIVE,
            age_ms: entry.age.as_millis().try_into().unwrap_or(u64::MAX),
            report,
            problem,
        }
    }

    fn readable_report(&self) -> Result<&HostRecord, FleetError> {
        self.report.as_ref().ok_or_else(|| {
            let problem = self.problem.clone().unwrap_or_default();
            let error = RecordError::Invalid { key: "report", problem };
            FleetError::Record { key: format!("of the host {}", self.name), error }
        })
    }
}

impl ActiveReport {
    fn new(active: &ActiveRecord) -> Self {
        let canary = active.canary.as_ref();
        ActiveReport {
            generation: active.generation,
            rules: RulesReport::new(&active.rules),
            previous: active.previous.as_ref().map(RulesReport::new),
            canary: canary.map(|canary| RulesReport::new(&canary.rules)),
            canary_hosts: canary.map(|canary| canary.hosts.clone()).unwrap_or_default(),
        }
    }
}

impl RulesReport {
    fn new(rules: &FleetRules) -> Self {
        RulesReport {
            sha256: rules.sha256.clone(),
            origin: rules.origin.clone(),
            has_settings: rules.settings.is_some(),
            is_signed: rules.signature.is_some(),
        }
    }
}

impl fmt::Display for RejectingHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RejectingHost { name, step, reason } = self;
        write!(f, "the host {name} rejects the plugin: it failed the step {step}: {reason}")
    }
}

fn list_rejections(hosts: &[RejectingHost]) -> String {
    hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn duration_text(duration: Duration) -> String {
    format!("{duration:?}")
}

/// A vote needs hosts: without any, nobody has tried the rules.
fn check_hosts(hosts: &[HostReport], canary: Option<&[String]>) -> Result<(), FleetError> {
    let is_alive = |name: &String| hosts.iter().any(|host| host.is_alive && host.name == *name);
    match canary {
        None if hosts.iter().any(|host| host.is_alive) => Ok(()),
        None => Err(FleetError::NoHosts),
        Some(canary) => match canary.iter().find(|name| !is_alive(name)) {
            None => Ok(()),
            Some(unknown) => Err(FleetError::UnknownHost(unknown.clone())),
        },
    }
}

/// Whether a change would change nothing.
fn is_done(active: &ActiveRecord, change: &FleetChange) -> bool {
    match (&active.canary, &change.canary) {
        (None, None) => active.rules.is_same(&change.rules),
        (Some(now), Some(hosts)) => now.rules.is_same(&change.rules) && now.hosts == *hosts,
        _ => false,
    }
}

/// The active record after a change.
fn next_record(
    known: &KnownRecords,
    generation: u64,
    rules: &FleetRules,
    canary: Option<&[String]>,
) -> ActiveRecord {
    match (&known.active, canary) {
        (Some(active), Some(hosts)) => {
            let canary = CanaryRules { hosts: hosts.to_vec(), rules: rules.clone() };
            ActiveRecord { generation, canary: Some(canary), ..active.clone() }
        }
        // Only the canary ends: a rollback goes to the same rules as before.
        (Some(active), None) if active.rules.is_same(rules) => {
            ActiveRecord { generation, canary: None, ..active.clone() }
        }
        (active, _) => {
            let previous = active.as_ref().map(|active| active.rules.clone());
            ActiveRecord::new(generation, rules.clone(), previous)
        }
    }
}

/// Higher than every generation that anyone knows, also if the store has lost its last writes.
fn next_generation(known: &KnownRecords, hosts: &[HostReport]) -> u64 {
    let active = known.active.as_ref().map(|active| active.generation);
    let candidate = known.candidate.as_ref().map(|candidate| candidate.generation);
    let of_hosts = hosts.iter().filter_map(|host| host.report.as_ref()).flat_map(|report| {
        let candidate = report.candidate.as_ref().map(|candidate| candidate.generation);
        [Some(report.generation), candidate]
    });
    let all = of_hosts.flatten().chain(active).chain(candidate);
    all.max().unwrap_or_default() + 1
}

fn key_name(key: RuleKey) -> &'static str {
    match key {
        RuleKey::Active => "active",
        RuleKey::Candidate => "candidate",
    }
}

fn parse_record<R: FleetRecord>(key: &str, bytes: &[u8]) -> Result<R, FleetError> {
    R::parse(bytes).map_err(|error| FleetError::Record { key: key.to_owned(), error })
}

fn encode_record<R: FleetRecord>(key: &str, record: &R) -> Result<Bytes, FleetError> {
    let encoded = record.encode();
    encoded.map(Bytes::from).map_err(|error| FleetError::Record { key: key.to_owned(), error })
}
