//! Changes the plugin of a run: swap, rollback, canary, shadow, renewal and refresh of secrets. One
//! candidate at a time goes through its steps. A rejected candidate only increments a counter.

use std::error::Error;
use std::num::NonZero;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use prometheus_client::metrics::counter::Counter;
use thiserror::Error;

use super::candidate_validator::CandidateValidator;
use super::report::{CanaryReport, GenerationReport, PauseReport, PluginStatus, ShadowReport};
use super::step::FLEET_DECIDES;
use super::swap_state::{PluginControl, Previous, SwapState};
use super::{Candidate, LoadPolicy, RejectedCandidate, RejectionCause, SwapStep};
use crate::counts::RoleCounters;
use crate::web::NetworkAccess;
use crate::{
    AdmittedPlugin, Canary, CanarySettings, CircuitBreakerSettings, Engine, Generation, Plugin,
    PluginRoles, PluginSettings, PublishedRoles, Role, Shadow, Trust, Untrusted,
};

/// Changes the plugins of a run. Clones change the same plugins.
///
/// Calls can take seconds because they compile: make them on blocking threads.
#[derive(Debug, Clone)]
pub struct Swapper(Arc<SwapperInner>);

#[derive(Debug)]
struct SwapperInner {
    /// `None` if the plugin is native code, which cannot be swapped.
    engine: Option<Engine>,
    settings: SwapperSettings,
    roles: Arc<PublishedRoles>,
    /// Locked while a candidate goes through its steps: one candidate at a time. Always locked before
    /// `publishing`.
    validator: Mutex<CandidateValidator>,
    /// Locked while roles change. Not locked while a candidate goes through its steps, so that a
    /// prepared plugin does not wait for the steps of another candidate.
    publishing: Mutex<()>,
    state: Mutex<SwapState>,
    counters: SwapCounters,
}

/// Counters of all plugins of a run by role, of swaps and of rejections.
#[derive(Debug, Default)]
pub(super) struct SwapCounters {
    /// Counters of the active plugins.
    pub(super) active: Arc<RoleCounters>,
    /// Counters of the canaries.
    pub(super) canary: Arc<RoleCounters>,
    /// Number of swaps.
    pub(super) swaps: Counter,
    refused: [Counter; SwapStep::WORDS.len()],
}

impl SwapCounters {
    /// The number of rejected candidates, by the step that they failed.
    pub(super) fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        SwapStep::WORDS.into_iter().zip(self.refused.iter().map(Counter::get))
    }
}

/// The permission to change roles.
type Publishing<'a> = MutexGuard<'a, ()>;

/// A plugin that has passed all steps and can become the active one at once: its instances have
/// started. Clones are the same plugin.
#[derive(Debug, Clone)]
pub struct PreparedPlugin {
    admitted: AdmittedPlugin,
    origin: String,
    /// The policy that applies once the plugin is active. None for the policy of that moment.
    policy: Option<LoadPolicy>,
}

/// Settings of a swapper.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SwapperSettings {
    /// Threads that map events. Each needs an instance.
    pub workers: NonZero<usize>,
    /// When a plugin counts as failing.
    pub breaker: CircuitBreakerSettings,
}

/// What happens to the plugin that is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The plugin is kept with its instances, for a rollback.
    Kept,
    /// The plugin is dropped.
    Withdrawn,
}

/// The result of a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swapped {
    /// The candidate is active, as this generation.
    Taken(u64),
    /// The candidate is the active plugin with the same settings: nothing has changed.
    Unchanged(u64),
}

/// Why a role cannot be changed now.
#[derive(Debug, Error)]
pub enum RoleChangeError {
    /// There was no swap since the start or the last rollback.
    #[error("there is no previous plugin to roll back to")]
    NoPrevious,
    /// Another generation is active.
    #[error("generation {named} is not in use: generation {active} is")]
    OtherGeneration {
        /// The generation that the caller wants to withdraw.
        named: u64,
        /// The active generation.
        active: u64,
    },
    /// There is no canary.
    #[error("there is no canary: start one first")]
    NoCanary,
    /// The settings do not allow the plugin to be active.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// There is no shadow.
    #[error("there is no shadow: start one first")]
    NoShadow,
    /// A fleet decides which plugin is active.
    #[error("{FLEET_DECIDES}")]
    FleetDecides,
}

impl Swapper {
    /// Creates a swapper with its first plugin.
    ///
    /// # Errors
    ///
    /// Fails if the plugin fails a step.
    pub fn start(
        engine: Engine,
        settings: SwapperSettings,
        candidate: &Candidate,
        policy: LoadPolicy,
    ) -> Result<Self, RejectedCandidate> {
        let mut validator = CandidateValidator::default();
        let plugin = validator.validate(&engine, candidate, &policy, Role::Active, &[])?;
        warm_plugin(plugin.plugin(), settings.workers.get())?;
        let origin = candidate.origin.clone();
        Ok(Self::with_plugin(Some(engine), settings, plugin, origin, validator, policy))
    }

    #[cfg(any(test, feature = "native-mapping", feature = "testing"))]
    /// Creates a swapper of a plugin that is not a component and cannot be swapped.
    ///
    /// # Panics
    ///
    /// Panics if the plugin is a component.
    pub fn fixed(plugin: Plugin, settings: SwapperSettings) -> Self {
        let plugin = AdmittedPlugin::without_component(plugin).expect("not a component");
        let validator = CandidateValidator::default();
        let policy = LoadPolicy::default();
        Self::with_plugin(None, settings, plugin, String::new(), validator, policy)
    }

    fn with_plugin(
        engine: Option<Engine>,
        settings: SwapperSettings,
        plugin: AdmittedPlugin,
        origin: String,
        validator: CandidateValidator,
        policy: LoadPolicy,
    ) -> Self {
        let counters = SwapCounters::default();
        let active = Generation::new(1, plugin, settings.breaker, settings.workers);
        let active = active.with_origin(origin).with_role_counters(&counters.active);
        let roles = PluginRoles { active: Arc::new(active), canary: None, shadow: None };
        let roles = Arc::new(PublishedRoles::new(roles));
        let state = SwapState {
            policy,
            previous: None,
            canary_settings: PluginSettings::default(),
            withdrawn: None,
            last_number: 1,
            last_refused: None,
            control: PluginControl::Local,
        };
        Swapper(Arc::new(SwapperInner {
            engine,
            settings,
            roles,
            validator: Mutex::new(validator),
            publishing: Mutex::default(),
            state: Mutex::new(state),
            counters,
        }))
    }

    /// Lets a fleet decide which plugin is active: from now on only [`Swapper::activate`] changes it.
    /// A shadow can still be started, since its decisions are only compared.
    pub fn leave_to_fleet(&self) {
        self.state().control = PluginControl::Fleet;
    }

    /// Whether a fleet decides which plugin is active.
    pub fn is_left_to_fleet(&self) -> bool {
        self.state().control == PluginControl::Fleet
    }

    /// Returns an error if a fleet decides which plugin is active.
    fn check_control(&self) -> Result<(), RoleChangeError> {
        match self.state().control {
            PluginControl::Local => Ok(()),
            PluginControl::Fleet => Err(RoleChangeError::FleetDecides),
        }
    }

    /// Rejects any candidate if a fleet decides which plugin is active.
    fn check_candidate_control(&self) -> Result<(), RejectedCandidate> {
        match self.state().control {
            PluginControl::Local => Ok(()),
            PluginControl::Fleet => Err(RejectedCandidate {
                step: SwapStep::Read,
                cause: Box::new(RejectionCause::FleetDecides),
                digest: None,
            }),
        }
    }

    /// Waits for the permission to change roles.
    fn lock_roles(&self) -> Publishing<'_> {
        self.0.publishing.lock()
    }

    /// The published plugins, by role.
    pub fn roles(&self) -> &Arc<PublishedRoles> {
        &self.0.roles
    }

    /// The counters of all plugins of the run.
    pub(super) fn counters(&self) -> &SwapCounters {
        &self.0.counters
    }

    /// The current load policy.
    pub fn policy(&self) -> LoadPolicy {
        self.state().policy.clone()
    }

    /// What plugins can reach, or `None` if the plugin is native code.
    pub fn network(&self) -> Option<&NetworkAccess> {
        self.engine().map(|engine| &**engine.network())
    }

    /// The engine, or `None` if the plugin is native code.
    pub(super) fn engine(&self) -> Option<&Engine> {
        self.0.engine.as_ref()
    }

    /// Swaps the active plugin for a candidate, under the current policy.
    ///
    /// # Errors
    ///
    /// Fails if the candidate fails a step, or if a fleet decides. Nothing changes then.
    pub fn swap(&self, candidate: &Candidate) -> Result<Swapped, RejectedCandidate> {
        self.check_candidate_control()?;
        let mut validator = self.0.validator.lock();
        // The policy is read under the lock, because another swap may have set another one.
        let policy = self.policy();
        let prepared = self.prepare_under(&mut validator, candidate, &policy)?;
        self.activate_as(&prepared, prepared.admitted.plugin().clone())
    }

    /// Swaps the active plugin for a candidate under another policy, which then applies to all
    /// later candidates.
    ///
    /// # Errors
    ///
    /// Fails if the candidate fails a step, or if a fleet decides. Nothing changes then.
    pub fn swap_with_policy(
        &self,
        candidate: &Candidate,
        policy: LoadPolicy,
    ) -> Result<Swapped, RejectedCandidate> {
        self.check_candidate_control()?;
        let mut validator = self.0.validator.lock();
        let prepared = self.prepare_under(&mut validator, candidate, &policy)?;
        let prepared = PreparedPlugin { policy: Some(policy), ..prepared };
        self.activate_as(&prepared, prepared.admitted.plugin().clone())
    }

    /// Takes a candidate through all steps, and starts the instances that it needs. The active plugin
    /// stays in use until [`Swapper::activate`].
    ///
    /// # Errors
    ///
    /// Fails if the candidate fails a step.
    pub fn prepare(&self, candidate: &Candidate) -> Result<PreparedPlugin, RejectedCandidate> {
        let mut validator = self.0.validator.lock();
        let policy = self.policy();
        self.prepare_under(&mut validator, candidate, &policy)
    }

    fn prepare_under(
        &self,
        validator: &mut CandidateValidator,
        candidate: &Candidate,
        policy: &LoadPolicy,
    ) -> Result<PreparedPlugin, RejectedCandidate> {
        let prepared = self.validate_and_warm(validator, candidate, policy, Role::Active);
        let admitted = self.count_rejection(prepared)?;
        Ok(PreparedPlugin { admitted, origin: candidate.origin.clone(), policy: None })
    }

    /// Makes a prepared plugin the active one, without waiting for the steps of other candidates. The
    /// pin and the key of this moment apply. If the plugin is the previous one, its secrets are those
    /// of this moment, too.
    ///
    /// # Errors
    ///
    /// Fails if the settings no longer allow the plugin to be active.
    pub fn activate(&self, prepared: &PreparedPlugin) -> Result<Swapped, RejectedCandidate> {
        let plugin = prepared.admitted.plugin();
        let is_same = |known: &Plugin| {
            known.digest() == plugin.digest()
                && known.settings().written() == plugin.settings().written()
        };
        let known = self.known_plugins().into_iter().find(is_same);
        self.activate_as(prepared, known.unwrap_or_else(|| plugin.clone()))
    }

    /// Makes a prepared plugin, or the same one with other secrets, the active one.
    fn activate_as(
        &self,
        prepared: &PreparedPlugin,
        plugin: Plugin,
    ) -> Result<Swapped, RejectedCandidate> {
        let publishing = self.lock_roles();
        let roles = self.0.roles.load();
        let policy = prepared.policy.clone().unwrap_or_else(|| self.policy());
        let digest = Arc::clone(plugin.digest());
        let admitted = prepared.admitted.admit_again(plugin, &policy.trust, Role::Active);
        let untrusted = |error| RejectedCandidate::new(SwapStep::Trust, &digest, error);
        let admitted = self.count_rejection(admitted.map_err(untrusted))?;
        let (active, plugin) = (roles.active.plugin(), admitted.plugin());
        if active.digest() == plugin.digest() && active.settings() == plugin.settings() {
            let number = roles.active.number();
            let before = std::mem::replace(&mut self.state().policy, policy.clone());
            if before.trust != policy.trust {
                self.publish_trusted(&publishing, &roles, &policy.trust);
            }
            return Ok(Swapped::Unchanged(number));
        }
        let origin = prepared.origin.clone();
        Ok(Swapped::Taken(self.publish_active(&publishing, admitted, policy, origin, Before::Kept)))
    }

    /// Validates a candidate without changing anything.
    ///
    /// # Errors
    ///
    /// Fails if the candidate fails a step.
    pub fn check(&self, candidate: &Candidate) -> Result<Plugin, RejectedCandidate> {
        let policy = self.policy();
        let mut validator = self.0.validator.lock();
        let admitted = self.validate(&mut validator, candidate, &policy, Role::Active)?;
        Ok(admitted.plugin().clone())
    }

    /// Configures the active plugin again, as another generation, if an instance has declared other
    /// streams than the first one. Does nothing during another change.
    ///
    /// # Errors
    ///
    /// Fails if the plugin fails a step. Nothing changes then.
    pub fn renew(&self) -> Result<Swapped, RejectedCandidate> {
        let Some(_alone) = self.0.validator.try_lock() else {
            return Ok(Swapped::Unchanged(self.0.roles.load().active.number()));
        };
        let active = Arc::clone(&self.0.roles.load().active);
        if !active.plugin().has_redeclared() {
            return Ok(Swapped::Unchanged(active.number()));
        }
        let settings = active.plugin().settings().clone();
        let renewed = self.reconfigure(&active, settings, Role::Active);
        let renewed = self.count_rejection(renewed)?;
        let Some(number) = self.publish_reconfigured(&active, renewed) else {
            return Ok(Swapped::Unchanged(self.0.roles.load().active.number()));
        };
        tracing::warn!(
            generation = number,
            "the plugin declares other streams than before; it was configured again"
        );
        Ok(Swapped::Taken(number))
    }

    /// The original settings, with references to secrets, of all published plugins, of the previous
    /// plugin, and of future candidates.
    pub fn written_settings(&self) -> Vec<String> {
        let roles = self.0.roles.load();
        let state = self.state();
        let mut all = vec![roles.active.plugin().settings(), &state.policy.settings];
        all.extend(roles.canary.as_ref().map(|canary| canary.generation().plugin().settings()));
        all.extend(roles.shadow.as_ref().map(|shadow| shadow.generation().plugin().settings()));
        if let Some(previous) = &state.previous {
            all.extend([previous.plugin().settings(), &previous.policy.settings]);
        }
        all.into_iter().map(|settings| settings.written().to_owned()).collect()
    }

    /// Configures each published plugin and the previous one again, if a secret in its settings has
    /// changed. Roles do not change. If a plugin rejects the new settings, this is counted and
    /// logged, and the plugin keeps its current settings.
    ///
    /// `resolve` returns the settings with secrets for the original settings, or `None` if it does
    /// not know a secret.
    pub fn refresh(&self, resolve: &dyn Fn(&str) -> Option<PluginSettings>) {
        let _alone = self.0.validator.lock();
        if self.0.engine.is_none() {
            return;
        }
        let changed = |settings: &PluginSettings| {
            resolve(settings.written()).filter(|resolved| resolved != settings)
        };
        let update = |settings: &mut PluginSettings| {
            if let Some(resolved) = changed(settings) {
                *settings = resolved;
            }
        };
        let mut state = self.state();
        update(&mut state.policy.settings);
        update(&mut state.canary_settings);
        let previous = state.previous.as_mut().map(|previous| {
            update(&mut previous.policy.settings);
            (Arc::clone(&previous.generation), previous.plugin().settings().clone())
        });
        drop(state);
        let refreshed = |generation: &Generation, settings: &PluginSettings, role| {
            let reconfigured = self.reconfigure(generation, changed(settings)?, role);
            self.count_rejection(reconfigured).ok()
        };
        let log = |number: u64, role: &str| {
            tracing::info!(generation = number, "a secret changed; configured {role} again");
        };
        let PluginRoles { active, canary, shadow } = PluginRoles::clone(&self.0.roles.load());
        if let Some(admitted) = refreshed(&active, active.plugin().settings(), Role::Active)
            && let Some(number) = self.publish_reconfigured(&active, admitted)
        {
            log(number, "the active plugin");
        }
        if let Some((generation, settings)) = previous
            && let Some(admitted) = refreshed(&generation, &settings, Role::Active)
        {
            self.replace_previous(&generation, &admitted);
        }
        if let Some(canary) = canary.filter(|canary| !canary.is_out()) {
            let before = canary.generation();
            if let Some(admitted) = refreshed(before, before.plugin().settings(), Role::Canary) {
                let origin = before.origin().to_owned();
                let publishing = self.lock_roles();
                // A swap may have ended the canary meanwhile.
                if self.0.roles.load().canary.is_some() {
                    let how = *canary.settings();
                    log(self.publish_canary(&publishing, admitted, how, origin), "the canary");
                }
            }
        }
        if let Some(shadow) = shadow {
            let before = shadow.generation();
            if let Some(admitted) = refreshed(before, before.plugin().settings(), Role::Shadow)
                && let Ok(number) = self.publish_shadow(admitted, before.origin().to_owned())
            {
                log(number, "the shadow");
            }
        }
    }

    /// Replaces the previous plugin, which drops the instances with the old secrets.
    fn replace_previous(&self, generation: &Arc<Generation>, admitted: &AdmittedPlugin) {
        let mut state = self.state();
        let previous = state.previous.as_mut();
        let given_up = previous
            .filter(|previous| Arc::ptr_eq(&previous.generation, generation))
            .and_then(|previous| previous.refreshed.replace(admitted.plugin().clone()));
        drop(state);
        drop(given_up);
        generation.plugin().release_spare();
    }

    /// Configures a generation's component with these settings, after the steps that depend on
    /// them.
    fn reconfigure(
        &self,
        generation: &Generation,
        settings: PluginSettings,
        role: Role,
    ) -> Result<AdmittedPlugin, RejectedCandidate> {
        let _swap = tracing::debug_span!("swap", ?role, generation = generation.number()).entered();
        let policy = self.policy();
        let plugin = generation.plugin();
        let plugin = CandidateValidator::reconfigure(plugin, settings, policy.cases.as_deref())?;
        self.warm_for(role, &plugin)?;
        let digest = Arc::clone(plugin.digest());
        let admitted = generation.admit(plugin, &policy.trust, role);
        admitted.map_err(|error| RejectedCandidate::new(SwapStep::Trust, &digest, error))
    }

    /// Publishes the active plugin as another generation, with the same canary, shadow and previous
    /// plugin. None if another plugin has become the active one meanwhile.
    fn publish_reconfigured(
        &self,
        before: &Arc<Generation>,
        admitted: AdmittedPlugin,
    ) -> Option<u64> {
        let publishing = self.lock_roles();
        if !Arc::ptr_eq(&self.0.roles.load().active, before) {
            return None;
        }
        let active = self.next_generation(admitted, before.origin().to_owned(), Role::Active);
        let number = active.number();
        self.change_roles(&publishing, |roles| roles.active = active);
        Some(number)
    }

    /// Withdraws the active plugin and returns to the previous one, with its settings and cases.
    /// The trust settings do not change. A repeated call changes nothing, so it does not restore
    /// the withdrawn plugin.
    ///
    /// With the number of a generation, only that generation is withdrawn.
    ///
    /// # Errors
    ///
    /// Fails if there is no previous plugin, if it is no longer trusted, or if another generation
    /// is active.
    pub fn roll_back(&self, named: Option<u64>) -> Result<Swapped, RoleChangeError> {
        self.check_control()?;
        let _alone = self.0.validator.lock();
        let publishing = self.lock_roles();
        let active = self.0.roles.load().active.number();
        let withdrawn = self.state().withdrawn;
        match named {
            None if withdrawn.is_some() => return Ok(Swapped::Unchanged(active)),
            Some(named) if named != active => {
                return match withdrawn == Some(named) {
                    true => Ok(Swapped::Unchanged(active)),
                    false => Err(RoleChangeError::OtherGeneration { named, active }),
                };
            }
            _ => {}
        }
        let (admitted, Previous { generation, policy, .. }) = self.take_previous()?;
        let origin = generation.origin().to_owned();
        let before = Before::Withdrawn;
        Ok(Swapped::Taken(self.publish_active(&publishing, admitted, policy, origin, before)))
    }

    /// Takes the previous plugin with its policy, except for the trust settings, which remain the
    /// current ones.
    fn take_previous(&self) -> Result<(AdmittedPlugin, Previous), RoleChangeError> {
        let mut state = self.state();
        let trust = state.policy.trust.clone();
        let previous = state.previous.as_ref().ok_or(RoleChangeError::NoPrevious)?;
        let plugin = previous.plugin().clone();
        let admitted = previous.generation.admit(plugin, &trust, Role::Active)?;
        let previous = state.previous.take().ok_or(RoleChangeError::NoPrevious)?;
        let policy = LoadPolicy { trust, ..previous.policy.clone() };
        Ok((admitted, Previous { policy, ..previous }))
    }

    /// Starts a candidate as canary and replaces a running one.
    ///
    /// # Errors
    ///
    /// Fails if the candidate fails a step. Nothing changes then.
    pub fn try_canary(
        &self,
        candidate: &Candidate,
        settings: CanarySettings,
    ) -> Result<u64, RejectedCandidate> {
        self.check_candidate_control()?;
        let mut validator = self.0.validator.lock();
        let policy = self.policy();
        let prepared = self.validate_and_warm(&mut validator, candidate, &policy, Role::Canary);
        let admitted = self.count_rejection(prepared)?;
        self.state().canary_settings = candidate.settings.clone().unwrap_or(policy.settings);
        let origin = candidate.origin.clone();
        let number = self.publish_canary(&self.lock_roles(), admitted, settings, origin);
        tracing::info!(generation = number, percent = settings.percent, "canary started");
        Ok(number)
    }

    fn publish_canary(
        &self,
        publishing: &Publishing<'_>,
        admitted: AdmittedPlugin,
        settings: CanarySettings,
        origin: String,
    ) -> u64 {
        let generation = self.next_generation(admitted, origin, Role::Canary);
        let number = generation.number();
        let canary = Arc::new(Canary::new(generation, settings));
        self.change_roles(publishing, |roles| roles.canary = Some(canary));
        number
    }

    /// Ends the canary.
    ///
    /// # Errors
    ///
    /// Fails if there is no canary.
    pub fn end_canary(&self) -> Result<(), RoleChangeError> {
        self.check_control()?;
        let _alone = self.0.validator.lock();
        let publishing = self.lock_roles();
        self.0.roles.load().canary.as_ref().ok_or(RoleChangeError::NoCanary)?;
        self.change_roles(&publishing, |roles| roles.canary = None);
        Ok(())
    }

    /// Makes the canary the active plugin.
    ///
    /// # Errors
    ///
    /// Fails if there is no canary, or if the settings do not allow it to be active.
    pub fn promote_canary(&self) -> Result<u64, RoleChangeError> {
        self.check_control()?;
        let _alone = self.0.validator.lock();
        let publishing = self.lock_roles();
        let roles = self.0.roles.load();
        let canary = roles.canary.as_ref().ok_or(RoleChangeError::NoCanary)?;
        let generation = canary.generation();
        let plugin = generation.plugin().clone();
        let admitted = generation.admit(plugin, &self.policy().trust, Role::Active)?;
        let settings = self.state().canary_settings.clone();
        let policy = LoadPolicy { settings, ..self.policy() };
        let origin = generation.origin().to_owned();
        Ok(self.publish_active(&publishing, admitted, policy, origin, Before::Kept))
    }

    /// Starts a candidate as shadow and replaces a running one.
    ///
    /// # Errors
    ///
    /// Fails if the candidate fails a step. Nothing changes then.
    pub fn start_shadow(&self, candidate: &Candidate) -> Result<u64, RejectedCandidate> {
        let mut validator = self.0.validator.lock();
        let policy = self.policy();
        let prepared = self.validate_and_warm(&mut validator, candidate, &policy, Role::Shadow);
        let admitted = self.count_rejection(prepared)?;
        let number = self.publish_shadow(admitted, candidate.origin.clone())?;
        tracing::info!(generation = number, "shadow started");
        Ok(number)
    }

    fn publish_shadow(
        &self,
        admitted: AdmittedPlugin,
        origin: String,
    ) -> Result<u64, RejectedCandidate> {
        let digest = Arc::clone(admitted.plugin().digest());
        let generation = self.next_generation(admitted, origin, Role::Shadow);
        let number = generation.number();
        let shadow = Shadow::start(generation).map_err(|error| {
            RejectedCandidate::new(SwapStep::Configure, &digest, RejectionCause::Thread(error))
        });
        let shadow = Arc::new(self.count_rejection(shadow)?);
        self.change_roles(&self.lock_roles(), |roles| roles.shadow = Some(shadow));
        Ok(number)
    }

    /// Ends the shadow, and returns its comparison.
    ///
    /// # Errors
    ///
    /// Fails if there is no shadow.
    pub fn end_shadow(&self) -> Result<ShadowReport, RoleChangeError> {
        let _alone = self.0.validator.lock();
        let publishing = self.lock_roles();
        let roles = self.0.roles.load();
        let shadow = roles.shadow.as_ref().ok_or(RoleChangeError::NoShadow)?;
        self.change_roles(&publishing, |roles| roles.shadow = None);
        drop(publishing);
        shadow.settle();
        Ok(ShadowReport::new(shadow))
    }

    /// Counts a candidate that cannot be read.
    pub fn reject_unreadable(
        &self,
        error: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> RejectedCandidate {
        let refused = RejectedCandidate::unreadable(error);
        self.record_rejection(&refused);
        refused
    }

    /// The status of all plugins.
    pub fn report(&self) -> PluginStatus {
        let roles = self.0.roles.load();
        let state = self.state();
        let previous = state.previous.as_ref();
        PluginStatus {
            active: GenerationReport::new(&roles.active),
            previous: previous.map(|previous| GenerationReport::new(&previous.generation)),
            withdrawn: state.withdrawn,
            canary: roles.canary.as_deref().map(CanaryReport::new),
            shadow: roles.shadow.as_deref().map(ShadowReport::new),
            swaps: self.0.counters.swaps.get(),
            refused: self.0.counters.refused().collect(),
            last_refused: state.last_refused.clone(),
            pauses: PauseReport::new(&self.0.roles.pauses()),
        }
    }

    /// Validates a candidate, and starts the instances that it needs.
    fn validate_and_warm(
        &self,
        validator: &mut CandidateValidator,
        candidate: &Candidate,
        policy: &LoadPolicy,
        role: Role,
    ) -> Result<AdmittedPlugin, RejectedCandidate> {
        let admitted = self.validate(validator, candidate, policy, role)?;
        self.warm_for(role, admitted.plugin())?;
        Ok(admitted)
    }

    fn validate(
        &self,
        validator: &mut CandidateValidator,
        candidate: &Candidate,
        policy: &LoadPolicy,
        role: Role,
    ) -> Result<AdmittedPlugin, RejectedCandidate> {
        let Some(engine) = &self.0.engine else {
            return Err(RejectedCandidate::unreadable(RejectionCause::NativeCode));
        };
        let _swap = tracing::debug_span!("swap", ?role).entered();
        validator.validate(engine, candidate, policy, role, &self.known_plugins())
    }

    /// Starts an instance for each worker. A shadow only needs the instance that mapped the
    /// samples.
    fn warm_for(&self, role: Role, plugin: &Plugin) -> Result<(), RejectedCandidate> {
        match role {
            Role::Active | Role::Canary => warm_plugin(plugin, self.0.settings.workers.get()),
            Role::Shadow => Ok(()),
        }
    }

    /// Plugins that have passed all steps: the active one and the previous one.
    fn known_plugins(&self) -> Vec<Plugin> {
        let roles = self.0.roles.load();
        let state = self.state();
        let previous = state.previous.as_ref().map(Previous::plugin);
        previous.into_iter().chain([roles.active.plugin()]).cloned().collect()
    }

    fn count_rejection<T>(
        &self,
        result: Result<T, RejectedCandidate>,
    ) -> Result<T, RejectedCandidate> {
        result.inspect_err(|refused| self.record_rejection(refused))
    }

    fn record_rejection(&self, refused: &RejectedCandidate) {
        self.0.counters.refused[refused.step as usize].inc();
        self.state().record_rejection(refused);
    }

    /// Creates the next generation from an admitted plugin.
    fn next_generation(
        &self,
        admitted: AdmittedPlugin,
        origin: String,
        role: Role,
    ) -> Arc<Generation> {
        let SwapperSettings { workers, breaker } = self.0.settings;
        // A shadow has one thread, independent of the number of workers.
        let threads = if role == Role::Shadow { NonZero::<usize>::MIN } else { workers };
        let number = self.state().next_number();
        let next = Generation::new(number, admitted, breaker, threads).with_origin(origin);
        Arc::new(match role {
            Role::Active => next.with_role_counters(&self.0.counters.active),
            Role::Canary => next.with_role_counters(&self.0.counters.canary),
            Role::Shadow => next,
        })
    }

    /// Publishes the current roles with a change.
    fn change_roles(&self, _: &Publishing<'_>, change: impl FnOnce(&mut PluginRoles)) {
        let mut roles = PluginRoles::clone(&self.0.roles.load());
        change(&mut roles);
        self.0.roles.publish(roles);
    }

    fn publish_active(
        &self,
        publishing: &Publishing<'_>,
        admitted: AdmittedPlugin,
        policy: LoadPolicy,
        origin: String,
        before: Before,
    ) -> u64 {
        let digest = Arc::clone(admitted.plugin().digest());
        let active = self.next_generation(admitted, origin, Role::Active);
        let number = active.number();
        let shadow = self.0.roles.load().shadow.clone();
        let roles = PluginRoles { active, canary: None, shadow };
        let replaced = self.publish_trusted(publishing, &roles, &policy.trust);
        let replaced = Arc::clone(&replaced.active);
        let mut state = self.state();
        let policy = std::mem::replace(&mut state.policy, policy);
        state.withdrawn = (before == Before::Withdrawn).then(|| replaced.number());
        let replaced = Previous { generation: replaced, refreshed: None, policy };
        let (previous, withdrawn) = match before {
            Before::Kept => (Some(replaced), None),
            Before::Withdrawn => (None, Some(replaced)),
        };
        let given_up = (std::mem::replace(&mut state.previous, previous), withdrawn);
        self.0.counters.swaps.inc();
        drop(state);
        // Dropping the plugin's instances takes some time.
        drop(given_up);
        tracing::info!(generation = number, %digest, "plugin swapped");
        number
    }

    /// Publishes the roles without a canary and a shadow that are no longer trusted. Returns the
    /// former roles.
    fn publish_trusted(
        &self,
        _: &Publishing<'_>,
        roles: &PluginRoles,
        trust: &Trust,
    ) -> Arc<PluginRoles> {
        let PluginRoles { active, canary, shadow } = roles.clone();
        let is_trusted = |generation: &Generation, role, what| {
            let checked = generation.check_trust(trust, role);
            let refused = checked.map_err(|error| {
                let cause = RejectionCause::RoleEnded { what, error };
                RejectedCandidate::new(SwapStep::Trust, generation.plugin().digest(), cause)
            });
            self.count_rejection(refused).is_ok()
        };
        let canary =
            canary.filter(|canary| is_trusted(canary.generation(), Role::Canary, "the canary"));
        let shadow =
            shadow.filter(|shadow| is_trusted(shadow.generation(), Role::Shadow, "the shadow"));
        self.0.roles.publish(PluginRoles { active, canary, shadow })
    }

    fn state(&self) -> MutexGuard<'_, SwapState> {
        self.0.state.lock()
    }
}

/// Starts instances of a plugin until this number is spare.
fn warm_plugin(plugin: &Plugin, instances: usize) -> Result<(), RejectedCandidate> {
    plugin.warm(instances).map_err(|error| RejectedCandidate::load_failed(plugin.digest(), error))
}
