//! A host as a member of its fleet: prepares candidates, votes, and publishes active rules.
//!
//! What the host keeps prepared follows from what it knows: its active rules, those of all other hosts if it has a
//! canary's, those that a rollback returns to, and the candidate. So a vote, a rollback and the end of a canary each
//! only publish what is there. Rules that are not prepared, since the host was late, are prepared first, and the host
//! takes no messages meanwhile.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use thiserror::Error;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::records::{
    ActiveRecord, CandidateRecord, CandidateState, FleetRecord, FleetRules, HostCandidate,
    HostRecord, RecordError, fitting_text,
};
use super::store::{FleetStore, RuleEntry, RuleKey, StoreUpdate};
use crate::{Gate, QueueError, QueueErrorKind, limits};
use standpipe_core::error_chain;
use standpipe_core::log_interval::LogInterval;
use standpipe_core::metrics;

/// The future of work on plugins.
pub type LoadFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Rejection>> + Send + 'a>>;

/// The plugins of a host.
pub trait RuleHost: Send + Sync + 'static {
    /// A plugin that can become active at once. Clones are the same plugin.
    type PreparedRules: Clone + Send + Sync + 'static;

    /// Whether the host has a component without fetching it, since it is part of the program.
    fn has_component(&self, sha256: &str) -> bool;

    /// Takes rules through all steps of a swap, and logs a rejection. The component is as the store has it: its SHA-256
    /// is not checked yet. None if the host has the component, or if the store does not.
    fn prepare<'a>(
        &'a self,
        rules: &'a FleetRules,
        component: Option<Bytes>,
    ) -> LoadFuture<'a, Self::PreparedRules>;

    /// Makes a prepared plugin the active one.
    fn activate<'a>(&'a self, prepared: &'a Self::PreparedRules) -> LoadFuture<'a, ()>;
}

/// Why a host rejects rules.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("it failed the step {step}: {reason}")]
pub struct Rejection {
    /// The step of the swap that failed.
    pub step: String,
    /// Why, and what to do about it.
    pub reason: String,
}

/// Why a host has not loaded rules.
#[derive(Debug, Clone, Error)]
#[error(transparent)]
pub enum LoadFailure {
    /// The component cannot be fetched. It may be possible later.
    Store(#[from] QueueError),
    /// The host rejects the rules.
    Rejected(#[from] Rejection),
}

/// Why a host cannot join its fleet.
#[derive(Debug, Error)]
pub enum JoinError {
    /// The store does not respond.
    #[error("failed to join the fleet: {0}")]
    Store(#[from] QueueError),
    /// The host rejects the active rules.
    #[error("failed to load generation {generation} of the fleet, {origin}: {rejection}")]
    Rejected {
        /// The generation.
        generation: u64,
        /// Where the component is from.
        origin: String,
        /// Why.
        #[source]
        rejection: Rejection,
    },
}

impl JoinError {
    /// Whether the host may join later without a change.
    pub fn is_transient(&self) -> bool {
        matches!(self, JoinError::Store(_))
    }
}

/// Who a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetMemberSettings {
    /// The name of the host.
    pub name: String,
    /// Differs for each start of a host.
    pub instance: String,
    /// The version of the program.
    pub program: String,
}

/// A host that has joined its fleet, and has loaded the active rules.
pub struct FleetMember<H: RuleHost> {
    shared: FleetMonitor,
    host: Arc<H>,
    /// Prepared plugins, by their rules.
    kept: Vec<(Arc<FleetRules>, H::PreparedRules)>,
    /// Rules that are being prepared.
    preparing: Vec<Arc<FleetRules>>,
    preparations: JoinSet<PreparationResult<H::PreparedRules>>,
    /// Rules that could not be loaded.
    failed: Vec<FailedRules>,
}

/// The result of a preparation.
struct PreparationResult<P> {
    rules: Arc<FleetRules>,
    result: Result<P, LoadFailure>,
}

/// Rules that could not be loaded, and when to try again.
struct FailedRules {
    rules: Arc<FleetRules>,
    failures: u32,
    retry_at: Instant,
    failure: LoadFailure,
}

/// What a member shows of itself. Clones are of the same member.
#[derive(Debug, Clone)]
pub struct FleetMonitor(Arc<MonitorInner>);

#[derive(Debug)]
struct MonitorInner {
    settings: FleetMemberSettings,
    store: Arc<dyn FleetStore>,
    state: Mutex<MemberState>,
    /// Notified when the state has changed, so that it is reported at once.
    changed: Notify,
    rejections: Counter,
    contact_log: LogInterval,
}

#[derive(Debug)]
struct MemberState {
    /// The newest active record that the host knows.
    active: Option<Arc<ActiveRecord>>,
    candidate: Option<Arc<CandidateRecord>>,
    candidate_revision: u64,
    /// What is reported about the candidate.
    vote: Option<HostCandidate>,
    /// The generation of the loaded rules. 0 for the plugin of the host's own settings.
    loaded_generation: u64,
    /// None for the plugin of the host's own settings.
    loaded: Option<Arc<FleetRules>>,
    /// Why the newest active rules are not loaded.
    load_problem: Option<String>,
    candidate_problem: Option<String>,
    /// Why the component of the candidate is not there yet.
    fetch_problem: Option<String>,
    /// Another host has the same name.
    name_problem: Option<String>,
    /// When the last report was sent after which the active rules were read.
    contact: Instant,
    contact_problem: Option<String>,
    /// The revision of the last report.
    revision: u64,
}

impl FleetMonitor {
    fn new(store: Arc<dyn FleetStore>, settings: FleetMemberSettings) -> Self {
        let state = MemberState {
            active: None,
            candidate: None,
            candidate_revision: 0,
            vote: None,
            loaded_generation: 0,
            loaded: None,
            load_problem: None,
            candidate_problem: None,
            fetch_problem: None,
            name_problem: None,
            contact: Instant::now(),
            contact_problem: None,
            revision: 0,
        };
        FleetMonitor(Arc::new(MonitorInner {
            settings,
            store,
            state: Mutex::new(state),
            changed: Notify::new(),
            rejections: Counter::default(),
            contact_log: LogInterval::new(limits::LOG_INTERVAL),
        }))
    }

    /// Returns the gate that is open while the host has loaded the rules that are active, as far as it can know.
    pub fn gate(&self) -> Gate {
        let monitor = self.clone();
        Gate::new(move || monitor.is_current())
    }

    /// Whether the host has loaded the newest active rules, and has contact to its fleet.
    pub fn is_current(&self) -> bool {
        let state = self.state();
        state.is_loaded() && state.has_contact()
    }

    /// Returns the generation that the host has loaded.
    pub fn generation(&self) -> u64 {
        self.state().loaded_generation
    }

    /// Returns why the host takes no messages. None if it does.
    pub fn problem(&self) -> Option<String> {
        let state = self.state();
        if !state.has_contact() {
            let seconds = state.contact.elapsed().as_secs();
            let why = state.contact_problem.as_deref().unwrap_or("no response");
            return Some(format!(
                "no events are taken from the queue, since the rules of the fleet could not be read for {seconds} s and may have changed: {why}"
            ));
        }
        if state.is_loaded() {
            return None;
        }
        let generation = state.active_generation();
        let why = state.load_problem.as_deref().unwrap_or("it is being loaded");
        Some(format!(
            "no events are taken from the queue until generation {generation} of the fleet is loaded: {why}"
        ))
    }

    /// Registers the metrics of the fleet.
    pub fn register_metrics(&self, registry: &mut Registry) {
        let monitor = self.clone();
        metrics::register(registry, move |page| {
            let (loaded, active, since, is_canary, vote) = {
                let state = monitor.state();
                let is_canary = state.is_canary(&monitor.0.settings.name);
                let vote = state.vote.clone();
                let since = state.contact.elapsed();
                (state.loaded_generation, state.active_generation(), since, is_canary, vote)
            };
            let gauge = |is_so: bool| f64::from(u8::from(is_so));
            let help = "The generation of the fleet's rules that this host has loaded";
            page.gauge("fleet_generation", help, loaded as f64)?;
            let help = "The newest generation of the fleet's rules that this host knows";
            page.gauge("fleet_active_generation", help, active as f64)?;
            let help = "Whether this host has loaded the fleet's rules and takes events from the queue (1 or 0)";
            page.gauge("fleet_ready", help, gauge(monitor.is_current()))?;
            let help = "Whether this host has the rules of a canary (1 or 0)";
            page.gauge("fleet_canary", help, gauge(is_canary))?;
            let help = "Whether this host has prepared the fleet's candidate (1 or 0)";
            let is_ready = vote.is_some_and(|vote| vote.state == CandidateState::Ready);
            page.gauge("fleet_candidate_ready", help, gauge(is_ready))?;
            let help = "Time since the fleet has received a report of this host";
            page.gauge("fleet_contact_age_seconds", help, since.as_secs_f64())?;
            let help = "Rules of the fleet that this host rejected";
            page.counter("fleet_rejections", help, monitor.0.rejections.get())
        });
    }

    fn state(&self) -> MutexGuard<'_, MemberState> {
        self.0.state.lock()
    }

    /// The report of the host.
    fn host_record(&self) -> HostRecord {
        let state = self.state();
        let FleetMemberSettings { name, instance, program } = self.0.settings.clone();
        let problems = [
            &state.load_problem,
            &state.candidate_problem,
            &state.fetch_problem,
            &state.name_problem,
        ];
        let problem = problems.into_iter().find_map(Option::as_ref);
        HostRecord {
            generation: state.loaded_generation,
            sha256: state.loaded.as_ref().map(|rules| rules.sha256.clone()),
            is_canary: state.is_canary(&name),
            problem: problem.map(|problem| fitting_text(problem)),
            candidate: state.vote.clone(),
            ..HostRecord::new(name, instance, program)
        }
    }

    /// Reports the state of the host, and then reads the active rules: whoever changes them from now on waits for this
    /// host, and what was changed before is known. Only both together are contact to the fleet.
    async fn report_and_read(&self) -> Result<RuleEntry, QueueError> {
        let sent = Instant::now();
        self.report_state().await?;
        let entry = self.0.store.read_rules(RuleKey::Active).await?;
        let mut state = self.state();
        state.take_entry(&entry).map_err(|error| {
            let message = format!("the active rules of the fleet are not readable: {error}");
            QueueError::new(QueueErrorKind::Hold, "Record", message)
        })?;
        if !state.has_contact() {
            tracing::info!("the rules of the fleet can be read again");
        }
        state.contact = sent;
        state.contact_problem = None;
        Ok(entry)
    }

    /// Reports the state of the host once.
    async fn report_state(&self) -> Result<(), QueueError> {
        let MonitorInner { store, settings, .. } = &*self.0;
        let value = self.host_record().encode();
        let value = Bytes::from(value.expect("a report has checked values"));
        let revision = self.state().revision;
        match store.write_host(&settings.name, value.clone(), revision).await? {
            StoreUpdate::Written(revision) => {
                let mut state = self.state();
                state.revision = revision;
                state.name_problem = None;
            }
            StoreUpdate::Conflict => {
                let (revision, other) = store.read_host(&settings.name).await?;
                self.note_namesake(other.as_deref());
                match store.write_host(&settings.name, value, revision).await? {
                    StoreUpdate::Written(revision) => self.state().revision = revision,
                    // A vote that does not count this host must not be contact to the fleet.
                    StoreUpdate::Conflict => {
                        let message = format!("others write the state of {:?} too", settings.name);
                        let kind = QueueErrorKind::Transient;
                        return Err(QueueError::new(kind, "Conflict", message));
                    }
                }
            }
        }
        Ok(())
    }

    /// The record of this host was written by someone else: by an earlier start of this host, unless this one has
    /// already reported.
    fn note_namesake(&self, other: Option<&[u8]>) {
        let other = other.and_then(|bytes| HostRecord::parse(bytes).ok());
        let own = &self.0.settings;
        let mut state = self.state();
        let is_namesake =
            state.revision > 0 && other.is_some_and(|other| other.instance != own.instance);
        if is_namesake {
            let problem = format!(
                "another host of the fleet has the name {:?} too: set a different `name` under [fleet]",
                own.name
            );
            if state.name_problem.as_ref() != Some(&problem) {
                tracing::error!("{problem}");
            }
            state.name_problem = Some(problem);
        }
    }

    fn note_failed_contact(&self, error: &QueueError) {
        if self.0.contact_log.admit().is_some() {
            tracing::warn!("failed to report to the fleet; trying again: {error}");
        }
        self.state().contact_problem = Some(error.to_string());
    }
}

impl MemberState {
    fn active_generation(&self) -> u64 {
        self.active.as_ref().map_or(0, |active| active.generation)
    }

    fn is_loaded(&self) -> bool {
        self.loaded_generation >= self.active_generation()
    }

    fn has_contact(&self) -> bool {
        self.contact.elapsed() < limits::FLEET_CONTACT_PATIENCE
    }

    fn is_canary(&self, name: &str) -> bool {
        let active = self.active.as_ref();
        self.is_loaded() && active.is_some_and(|active| active.is_canary(name))
    }

    /// Takes an entry of the store, if it is newer than what is known. Returns whether it is.
    fn take_entry(&mut self, entry: &RuleEntry) -> Result<bool, RecordError> {
        let Some(value) = &entry.value else { return Ok(false) };
        match entry.key {
            RuleKey::Active => {
                let record = ActiveRecord::parse(value)?;
                if record.generation < self.active_generation() {
                    tracing::warn!(
                        found = record.generation,
                        known = self.active_generation(),
                        "the fleet has lost its newest rules; this host keeps them: push them again"
                    );
                    return Ok(false);
                }
                let is_newer = record.generation > self.active_generation();
                if is_newer {
                    self.active = Some(Arc::new(record));
                }
                Ok(is_newer)
            }
            RuleKey::Candidate => {
                let record = CandidateRecord::parse(value)?;
                // A withdrawal has the generation of what it withdraws, and the watch can be ahead of a read.
                let known = self.candidate.as_ref().map_or(0, |known| known.generation);
                let is_newer =
                    (record.generation, entry.revision) > (known, self.candidate_revision);
                if is_newer {
                    self.candidate = Some(Arc::new(record));
                    self.candidate_revision = entry.revision;
                }
                Ok(is_newer)
            }
        }
    }

    /// Takes a change that the watch shows. Returns whether it is a new candidate. Active rules that are not readable
    /// are an error of the next read.
    fn take_change(&mut self, entry: &RuleEntry) -> bool {
        let taken = self.take_entry(entry);
        if entry.key == RuleKey::Active {
            return false;
        }
        let problem = taken
            .as_ref()
            .err()
            .map(|error| format!("failed to read the candidate of the fleet: {error}"));
        if problem != self.candidate_problem {
            problem.iter().for_each(|problem| tracing::error!("{problem}"));
            self.candidate_problem = problem;
        }
        taken.unwrap_or(false)
    }

    /// The rules to vote about, with their generation. None if there is no candidate for this host.
    fn open_candidate(&self, host: &str) -> Option<(u64, &FleetRules)> {
        let candidate = self.candidate.as_ref()?;
        let is_open = candidate.generation > self.active_generation();
        candidate.rules_for(host).filter(|_| is_open).map(|rules| (candidate.generation, rules))
    }
}

impl<H: RuleHost> FleetMember<H> {
    /// Joins the fleet, and loads its active rules. The host maps nothing before.
    ///
    /// The report comes first: whoever changes the rules from then on waits for this host, and what was changed before
    /// is read.
    ///
    /// # Errors
    ///
    /// The fleet does not respond, or the host rejects the active rules.
    pub async fn join(
        store: Arc<dyn FleetStore>,
        host: Arc<H>,
        settings: FleetMemberSettings,
    ) -> Result<Self, JoinError> {
        let shared = FleetMonitor::new(store, settings);
        let mut member = FleetMember {
            shared,
            host,
            kept: Vec::new(),
            preparing: Vec::new(),
            preparations: JoinSet::new(),
            failed: Vec::new(),
        };
        // Loading may take so long that the rules change meanwhile.
        loop {
            member.shared.report_and_read().await?;
            if member.shared.is_current() {
                return Ok(member);
            }
            member.load_active().await?;
        }
    }

    async fn load_active(&mut self) -> Result<(), JoinError> {
        let Some((generation, rules)) = self.target_rules() else { return Ok(()) };
        let rejected = |failure| match failure {
            LoadFailure::Store(error) => JoinError::Store(error),
            LoadFailure::Rejected(rejection) => {
                let origin = rules.origin.clone();
                JoinError::Rejected { generation, origin, rejection }
            }
        };
        let store = Arc::clone(&self.shared.0.store);
        let prepared = fetch_and_prepare(&*self.host, &*store, &rules).await.map_err(rejected)?;
        let activated = self.host.activate(&prepared).await;
        activated.map_err(|rejection| rejected(rejection.into()))?;
        self.kept.push((Arc::clone(&rules), prepared));
        self.note_loaded(generation, rules);
        Ok(())
    }

    /// Returns what shows the state of the member.
    pub fn monitor(&self) -> FleetMonitor {
        self.shared.clone()
    }

    /// Follows the fleet until `stop` is cancelled, and leaves it then.
    pub async fn run(mut self, stop: CancellationToken) {
        let (sender, mut changes) = mpsc::channel(limits::FLEET_CHANGES_MAX);
        let mut tasks = JoinSet::new();
        tasks.spawn(self.shared.clone().watch_rules(sender.clone()));
        tasks.spawn(self.shared.clone().report_at_intervals(sender));
        loop {
            self.follow_rules().await;
            let retry = self.next_retry();
            tokio::select! {
                () = stop.cancelled() => break,
                Some(entry) = changes.recv() => self.take_entry(&entry),
                Some(prepared) = self.preparations.join_next() => {
                    self.finish_preparation(prepared.expect("preparing does not panic"));
                }
                () = sleep_until(retry.unwrap_or_else(Instant::now)), if retry.is_some() => {}
            }
        }
        tasks.shutdown().await;
        let FleetMonitor(inner) = &self.shared;
        // Otherwise it counts as alive for some seconds more. A store that does not respond must not delay the end.
        let removed = inner.store.remove_host(&inner.settings.name);
        let _ = timeout(limits::FLEET_REPORT_TIMEOUT, removed).await;
    }

    fn take_entry(&mut self, entry: &RuleEntry) {
        let mut state = self.shared.state();
        if state.take_change(entry) {
            let rules = state.candidate.as_ref().and_then(|candidate| candidate.rules.clone());
            drop(state);
            // Another attempt with the same rules, perhaps after something was fixed.
            if let Some(rules) = rules {
                self.failed.retain(|failed| !failed.rules.is_same(&rules));
            }
        }
    }

    /// Does what follows from what is known: publishes active rules, or prepares them and the candidate.
    async fn follow_rules(&mut self) {
        self.drop_unwanted();
        if let Some((generation, rules)) = self.target_rules() {
            let loaded = self.shared.state().loaded.clone();
            if loaded.is_some_and(|loaded| loaded.is_same(&rules)) {
                self.note_loaded(generation, rules);
            } else if let Some(prepared) = self.find_kept(&rules) {
                match self.host.activate(&prepared).await {
                    Ok(()) => self.note_loaded(generation, rules),
                    Err(rejection) => {
                        self.kept.retain(|(kept, _)| !kept.is_same(&rules));
                        self.note_failure(&rules, rejection.into());
                    }
                }
            } else {
                self.start_preparation(&rules);
            }
        }
        self.update_vote();
    }

    /// Prepares the candidate, and reports how far it has got.
    fn update_vote(&mut self) {
        let name = self.shared.0.settings.name.clone();
        let open = {
            let state = self.shared.state();
            state.open_candidate(&name).map(|(number, rules)| (number, Arc::new(rules.clone())))
        };
        let mut fetch_problem = None;
        let vote = open.map(|(generation, rules)| {
            let state = if self.find_kept(&rules).is_some() {
                CandidateState::Ready
            } else {
                self.start_preparation(&rules);
                match self.failure_of(&rules) {
                    Some(LoadFailure::Rejected(Rejection { step, reason })) => {
                        let (step, reason) = (fitting_text(step), fitting_text(reason));
                        CandidateState::Rejected { step, reason }
                    }
                    Some(LoadFailure::Store(error)) => {
                        fetch_problem = Some(format!("failed to fetch the candidate: {error}"));
                        CandidateState::Preparing
                    }
                    None => CandidateState::Preparing,
                }
            };
            HostCandidate { generation, state }
        });
        let mut state = self.shared.state();
        if (&state.vote, &state.fetch_problem) != (&vote, &fetch_problem) {
            (state.vote, state.fetch_problem) = (vote, fetch_problem);
            self.shared.0.changed.notify_one();
        }
    }

    /// The active rules of this host, with their generation.
    fn target_rules(&self) -> Option<(u64, Arc<FleetRules>)> {
        let active = self.shared.state().active.clone()?;
        let rules = active.rules_of(&self.shared.0.settings.name).clone();
        Some((active.generation, Arc::new(rules)))
    }

    fn note_loaded(&mut self, generation: u64, rules: Arc<FleetRules>) {
        self.failed.retain(|failed| !failed.rules.is_same(&rules));
        let mut state = self.shared.state();
        if state.loaded_generation != generation || state.load_problem.is_some() {
            tracing::info!(generation, sha256 = rules.sha256, "loaded the rules of the fleet");
            state.loaded_generation = generation;
            state.loaded = Some(rules);
            state.load_problem = None;
            self.shared.0.changed.notify_one();
        }
    }

    fn note_failure(&mut self, rules: &Arc<FleetRules>, failure: LoadFailure) {
        let known = self.failed.iter().position(|failed| failed.rules.is_same(rules));
        let failures = known.map_or(0, |known| self.failed.swap_remove(known).failures) + 1;
        match &failure {
            // The host has logged why.
            LoadFailure::Rejected(_) => drop(self.shared.0.rejections.inc()),
            LoadFailure::Store(error) => {
                let sha256 = &rules.sha256;
                tracing::warn!(
                    sha256,
                    "failed to fetch a plugin of the fleet; trying again: {error}"
                );
            }
        }
        if self.target_rules().is_some_and(|(_, target)| target.is_same(rules)) {
            self.shared.state().load_problem = Some(error_chain(&failure));
            self.shared.0.changed.notify_one();
        }
        let retry_at = Instant::now() + limits::FLEET_RETRY.pause_after(failures);
        let rules = Arc::clone(rules);
        self.failed.push(FailedRules { rules, failures, retry_at, failure });
    }

    fn failure_of(&self, rules: &FleetRules) -> Option<&LoadFailure> {
        let failed = self.failed.iter().find(|failed| failed.rules.is_same(rules));
        failed.map(|failed| &failed.failure)
    }

    fn find_kept(&self, rules: &FleetRules) -> Option<H::PreparedRules> {
        let kept = self.kept.iter().find(|(kept, _)| kept.is_same(rules));
        kept.map(|(_, prepared)| prepared.clone())
    }

    /// Starts to prepare rules, unless that is under way or has failed a short time ago. A candidate that was rejected
    /// stays rejected.
    fn start_preparation(&mut self, rules: &Arc<FleetRules>) {
        let failed = self.failed.iter().find(|failed| failed.rules.is_same(rules));
        if failed.is_some_and(|failed| self.retry_at(failed).is_none_or(|at| at > Instant::now())) {
            return;
        }
        if self.preparing.iter().any(|preparing| preparing.is_same(rules)) {
            return;
        }
        self.preparing.push(Arc::clone(rules));
        let (host, store) = (Arc::clone(&self.host), Arc::clone(&self.shared.0.store));
        let rules = Arc::clone(rules);
        self.preparations.spawn(async move {
            let result = fetch_and_prepare(&*host, &*store, &rules).await;
            PreparationResult { rules, result }
        });
    }

    fn finish_preparation(
        &mut self,
        PreparationResult { rules, result }: PreparationResult<H::PreparedRules>,
    ) {
        self.preparing.retain(|preparing| !preparing.is_same(&rules));
        match result {
            Ok(prepared) => {
                self.failed.retain(|failed| !failed.rules.is_same(&rules));
                self.kept.push((rules, prepared));
            }
            Err(failure) => self.note_failure(&rules, failure),
        }
    }

    /// When rules are tried again. None if they are not.
    fn retry_at(&self, failed: &FailedRules) -> Option<Instant> {
        let is_target =
            self.target_rules().is_some_and(|(_, target)| target.is_same(&failed.rules));
        let is_transient = matches!(failed.failure, LoadFailure::Store(_));
        (is_target || is_transient).then_some(failed.retry_at)
    }

    fn next_retry(&self) -> Option<Instant> {
        let is_idle = |failed: &&FailedRules| {
            !self.preparing.iter().any(|preparing| preparing.is_same(&failed.rules))
        };
        self.failed.iter().filter(is_idle).filter_map(|failed| self.retry_at(failed)).min()
    }

    /// Drops prepared plugins that can no longer be of use, and what is known of failures of rules that the host no
    /// longer tries to load.
    fn drop_unwanted(&mut self) {
        let name = &self.shared.0.settings.name;
        let (active, candidate) = {
            let state = self.shared.state();
            (state.active.clone(), state.open_candidate(name).map(|(_, rules)| rules.clone()))
        };
        let target = active.iter().map(|active| active.rules_of(name));
        let pursued: Vec<_> = target.chain(&candidate).collect();
        let spare = active.iter().flat_map(|active| {
            [Some(&active.rules), active.previous.as_ref()].into_iter().flatten()
        });
        let wanted: Vec<_> = spare.chain(pursued.iter().copied()).collect();
        self.kept.retain(|(rules, _)| wanted.iter().any(|wanted| wanted.is_same(rules)));
        self.failed.retain(|failed| pursued.iter().any(|rules| rules.is_same(&failed.rules)));
    }
}

impl FleetMonitor {
    /// Watches the rules, and starts again when the watch ends.
    async fn watch_rules(self, changes: mpsc::Sender<RuleEntry>) {
        let mut failures = 0;
        loop {
            match self.0.store.watch_rules().await {
                Ok(mut watch) => {
                    failures = 0;
                    while let Some(entry) = watch.recv().await {
                        if changes.send(entry).await.is_err() {
                            return;
                        }
                    }
                }
                // The reports say so too.
                Err(_) => failures += 1,
            }
            sleep(limits::RETRY.pause_after(failures.max(1))).await;
        }
    }

    /// Reports the state at intervals and when it changes. Reads the rules too, in case the watch has missed a change.
    async fn report_at_intervals(self, changes: mpsc::Sender<RuleEntry>) {
        let mut read_at = Instant::now();
        loop {
            let is_due = Instant::now() >= read_at;
            let reported = async {
                match is_due {
                    true => self.read_all(&changes).await,
                    false => self.report_state().await,
                }
            };
            let reported = timeout(limits::FLEET_REPORT_TIMEOUT, reported).await;
            if let Err(error) = reported.unwrap_or_else(|_| Err(no_response())) {
                self.note_failed_contact(&error);
            }
            if is_due {
                read_at = Instant::now() + limits::FLEET_HEARTBEAT;
            }
            tokio::select! {
                () = sleep_until(read_at) => {}
                () = self.0.changed.notified() => {}
                () = changes.closed() => return,
            }
        }
    }

    /// Reports the state, and reads all rules.
    async fn read_all(&self, changes: &mpsc::Sender<RuleEntry>) -> Result<(), QueueError> {
        let active = self.report_and_read().await?;
        let candidate = self.0.store.read_rules(RuleKey::Candidate).await?;
        for entry in [active, candidate] {
            // The member is gone at the end of the run alone.
            let _ = changes.send(entry).await;
        }
        Ok(())
    }
}

fn no_response() -> QueueError {
    let message = format!("no response within {:?}", limits::FLEET_REPORT_TIMEOUT);
    QueueError::new(QueueErrorKind::Transient, "Timeout", message)
}

/// Fetches a component, if the host does not have it, and takes it through its steps.
async fn fetch_and_prepare<H: RuleHost>(
    host: &H,
    store: &dyn FleetStore,
    rules: &FleetRules,
) -> Result<H::PreparedRules, LoadFailure> {
    let component = match host.has_component(&rules.sha256) {
        true => None,
        false => store.fetch_component(&rules.sha256).await?,
    };
    Ok(host.prepare(rules, component).await?)
}

impl<H: RuleHost> fmt::Debug for FleetMember<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("monitor", &self.shared).finish_non_exhaustive()
    }
}
