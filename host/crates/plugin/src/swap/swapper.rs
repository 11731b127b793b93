//! Changes the plugin of a run: swap, rollback, canary, shadow, renewal and refresh of secrets. One
//! candidate at a time goes through its steps; a refused one changes nothing but a counter.

use std::error::Error;
use std::num::NonZero;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use prometheus_client::metrics::counter::Counter;
use thiserror::Error;

use super::report::{CanaryReport, GenerationReport, PauseReport, Report, ShadowReport};
use super::shelf::{Previous, Shelf};
use super::workshop::Workshop;
use super::{Candidate, RefusalCause, Refused, Step, Terms};
use crate::counts::RoleCounters;
use crate::{
    Admitted, BreakerSettings, Canary, CanarySettings, Engine, Generation, Plugin, PluginRoles,
    PluginSettings, PublishedRoles, Role, Shadow, Trust, Untrusted,
};

/// Changes the plugin of a run; clones change the same one.
///
/// Every call can take seconds, since compiling does: none belongs on a thread that
/// does input and output.
#[derive(Debug, Clone)]
pub struct Swapper(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// None where the plugin is native code, which nothing can take the place of.
    engine: Option<Engine>,
    settings: SwapperSettings,
    roles: Arc<PublishedRoles>,
    /// Held while a candidate goes through its steps: one at a time.
    workshop: Mutex<Workshop>,
    shelf: Mutex<Shelf>,
    counters: SwapCounters,
}

/// What all plugins of a run have done, by what they were, and what became of others.
#[derive(Debug, Default)]
pub(super) struct SwapCounters {
    /// Those that decided.
    pub(super) active: Arc<RoleCounters>,
    /// Those that were tried.
    pub(super) canary: Arc<RoleCounters>,
    /// How often another plugin has taken over.
    pub(super) swaps: Counter,
    refused: [Counter; Step::WORDS.len()],
}

impl SwapCounters {
    /// Plugins that were not taken, by the step.
    pub(super) fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Step::WORDS.into_iter().zip(self.refused.iter().map(Counter::get))
    }
}

/// How a swapper works.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SwapperSettings {
    /// Threads that map events, each of which needs an instance.
    pub workers: NonZero<usize>,
    /// From where on a plugin does badly.
    pub breaker: BreakerSettings,
}

/// What becomes of the plugin that another one takes the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// It is kept, with its instances, and can be gone back to.
    Kept,
    /// It is dropped.
    Withdrawn,
}

/// What has become of a candidate that passed all steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swapped {
    /// It decides, as this generation.
    Taken(u64),
    /// It is the plugin in use, with the same settings: nothing was changed.
    Unchanged(u64),
}

/// It cannot be done at present.
#[derive(Debug, Error)]
pub enum NotPossible {
    /// Nothing was swapped yet, or the plugin before was gone back to already.
    #[error("there is no plugin before this one to go back to")]
    NoPrevious,
    /// Another plugin has taken over meanwhile.
    #[error("generation {named} is not in use: generation {active} is")]
    OtherGeneration {
        /// The generation that was to be withdrawn.
        named: u64,
        /// The one in use.
        active: u64,
    },
    /// There is no canary.
    #[error("there is no canary: give one first")]
    NoCanary,
    /// The settings do not let it decide.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// There is no shadow.
    #[error("there is no shadow: give one first")]
    NoShadow,
}

impl Swapper {
    /// Take a first plugin.
    ///
    /// # Errors
    ///
    /// It does not pass a step.
    pub fn start(
        engine: Engine,
        settings: SwapperSettings,
        candidate: &Candidate,
        terms: Terms,
    ) -> Result<Self, Refused> {
        let mut workshop = Workshop::default();
        let plugin = workshop.prepare(&engine, candidate, &terms, Role::Active, &[])?;
        warm(plugin.plugin(), settings.workers.get())?;
        Ok(Self::at(Some(engine), settings, plugin, candidate.origin.clone(), workshop, terms))
    }

    #[cfg(any(test, feature = "native-mapping", feature = "testing"))]
    /// A swapper of a plugin that is not a component, and stays.
    ///
    /// # Panics
    ///
    /// It is a component.
    pub fn fixed(plugin: Plugin, settings: SwapperSettings) -> Self {
        let plugin = Admitted::without_component(plugin).expect("not a component");
        Self::at(None, settings, plugin, String::new(), Workshop::default(), Terms::default())
    }

    fn at(
        engine: Option<Engine>,
        settings: SwapperSettings,
        plugin: Admitted,
        origin: String,
        workshop: Workshop,
        terms: Terms,
    ) -> Self {
        let counters = SwapCounters::default();
        let active = Generation::new(1, plugin, settings.breaker, settings.workers);
        let active = active.with_origin(origin).with_role_counters(&counters.active);
        let roles = PluginRoles { active: Arc::new(active), canary: None, shadow: None };
        let roles = Arc::new(PublishedRoles::new(roles));
        let shelf = Shelf {
            terms,
            previous: None,
            canary_settings: PluginSettings::default(),
            withdrawn: None,
            last_number: 1,
            last_refused: None,
        };
        let (workshop, shelf) = (Mutex::new(workshop), Mutex::new(shelf));
        Swapper(Arc::new(Inner { engine, settings, roles, workshop, shelf, counters }))
    }

    /// The plugins that workers ask, by what they are used for.
    pub fn roles(&self) -> &Arc<PublishedRoles> {
        &self.0.roles
    }

    /// What all plugins have done so far.
    pub(super) fn counters(&self) -> &SwapCounters {
        &self.0.counters
    }

    /// What the settings ask of every plugin at present.
    pub fn terms(&self) -> Terms {
        self.shelf().terms.clone()
    }

    /// The engine; none where the plugin is native code.
    pub(super) fn engine(&self) -> Option<&Engine> {
        self.0.engine.as_ref()
    }

    /// Let a candidate take over under the present terms.
    ///
    /// # Errors
    ///
    /// It does not pass a step: nothing has changed.
    pub fn offer(&self, candidate: &Candidate) -> Result<Swapped, Refused> {
        let mut workshop = self.0.workshop.lock();
        // Not before the lock: whoever had it may have brought other terms.
        let terms = self.terms();
        self.take(&mut workshop, candidate, terms)
    }

    /// Let a candidate take over under other terms, which then go for all that
    /// follow.
    ///
    /// # Errors
    ///
    /// It does not pass a step: nothing has changed.
    pub fn offer_under(&self, candidate: &Candidate, terms: Terms) -> Result<Swapped, Refused> {
        self.take(&mut self.0.workshop.lock(), candidate, terms)
    }

    fn take(
        &self,
        workshop: &mut Workshop,
        candidate: &Candidate,
        terms: Terms,
    ) -> Result<Swapped, Refused> {
        let roles = self.0.roles.load();
        let prepared = self.prepare(workshop, candidate, &terms, Role::Active);
        let admitted = self.counted(prepared)?;
        let (active, plugin) = (roles.active.plugin(), admitted.plugin());
        if active.digest() == plugin.digest() && active.settings() == plugin.settings() {
            let number = roles.active.number();
            let before = std::mem::replace(&mut self.shelf().terms, terms.clone());
            if before.trust != terms.trust {
                self.publish_trusted(&roles, &terms.trust);
            }
            return Ok(Swapped::Unchanged(number));
        }
        Ok(Swapped::Taken(self.publish(admitted, terms, candidate.origin.clone(), Before::Kept)))
    }

    /// Have a candidate go through all steps, and leave it at that.
    ///
    /// # Errors
    ///
    /// It does not pass a step.
    pub fn check(&self, candidate: &Candidate) -> Result<Plugin, Refused> {
        let terms = self.terms();
        let mut workshop = self.0.workshop.lock();
        let admitted = self.validate(&mut workshop, candidate, &terms, Role::Active)?;
        Ok(admitted.plugin().clone())
    }

    /// Configure the plugin in use anew where an instance of it has declared other streams
    /// than it did when it was taken. It stays the plugin in use, as another generation.
    ///
    /// While somebody else changes the plugin, nothing is done.
    ///
    /// # Errors
    ///
    /// It does not pass a step: nothing has changed.
    pub fn renew(&self) -> Result<Swapped, Refused> {
        let Some(_alone) = self.0.workshop.try_lock() else {
            return Ok(Swapped::Unchanged(self.0.roles.load().active.number()));
        };
        let active = Arc::clone(&self.0.roles.load().active);
        if !active.plugin().has_redeclared() {
            return Ok(Swapped::Unchanged(active.number()));
        }
        let settings = active.plugin().settings().clone();
        let renewed = self.reconfigure(&active, settings, Role::Active);
        let number = self.publish_reconfigured(self.counted(renewed)?);
        tracing::warn!(
            generation = number,
            "the plugin declares other streams than before, and was configured anew"
        );
        Ok(Swapped::Taken(number))
    }

    /// The settings, as they were written, of all plugins that are in use or can be gone
    /// back to, and of candidates to come.
    pub fn written_settings(&self) -> Vec<String> {
        let roles = self.0.roles.load();
        let shelf = self.shelf();
        let mut all = vec![roles.active.plugin().settings(), &shelf.terms.settings];
        all.extend(roles.canary.as_ref().map(|canary| canary.generation().plugin().settings()));
        all.extend(roles.shadow.as_ref().map(|shadow| shadow.generation().plugin().settings()));
        if let Some(previous) = &shelf.previous {
            all.extend([previous.plugin().settings(), &previous.terms.settings]);
        }
        all.into_iter().map(|settings| settings.written().to_owned()).collect()
    }

    /// Have each plugin that is in use, or can be gone back to, configured anew whose
    /// settings are not what these say that they are by now, since a secret has changed.
    /// Which plugin has which role stays as it is. What is refused is counted and logged;
    /// the plugin then goes on with the settings that it has.
    ///
    /// `resolve` has the settings for those that were written; none where it does not know
    /// a secret.
    pub fn refresh(&self, resolve: &dyn Fn(&str) -> Option<PluginSettings>) {
        let _alone = self.0.workshop.lock();
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
        let mut shelf = self.shelf();
        update(&mut shelf.terms.settings);
        update(&mut shelf.canary_settings);
        let previous = shelf.previous.as_mut().map(|previous| {
            update(&mut previous.terms.settings);
            (Arc::clone(&previous.generation), previous.plugin().settings().clone())
        });
        drop(shelf);
        let refreshed = |generation: &Generation, settings: &PluginSettings, role| {
            let reconfigured = self.reconfigure(generation, changed(settings)?, role);
            self.counted(reconfigured).ok()
        };
        let log = |number: u64, role: &str| {
            tracing::info!(generation = number, "a secret changed: {role} was configured anew");
        };
        let PluginRoles { active, canary, shadow } = PluginRoles::clone(&self.0.roles.load());
        if let Some(admitted) = refreshed(&active, active.plugin().settings(), Role::Active) {
            log(self.publish_reconfigured(admitted), "the plugin in use");
        }
        if let Some((generation, settings)) = previous
            && let Some(admitted) = refreshed(&generation, &settings, Role::Active)
        {
            self.replace_previous(&generation, admitted);
        }
        if let Some(canary) = canary.filter(|canary| !canary.is_out()) {
            let before = canary.generation();
            if let Some(admitted) = refreshed(before, before.plugin().settings(), Role::Canary) {
                let origin = before.origin().to_owned();
                log(self.publish_canary(admitted, *canary.settings(), origin), "the canary");
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

    /// What has the old secrets is not gone back to.
    fn replace_previous(&self, generation: &Arc<Generation>, admitted: Admitted) {
        let mut shelf = self.shelf();
        let previous = shelf.previous.as_mut();
        let given_up = previous
            .filter(|previous| Arc::ptr_eq(&previous.generation, generation))
            .and_then(|previous| previous.refreshed.replace(admitted.plugin().clone()));
        drop(shelf);
        drop(given_up);
        generation.plugin().release_spare();
    }

    /// The plugin of a generation with these settings, once it has passed the steps that
    /// depend on them.
    fn reconfigure(
        &self,
        generation: &Generation,
        settings: PluginSettings,
        role: Role,
    ) -> Result<Admitted, Refused> {
        let _swap = tracing::debug_span!("swap", ?role, generation = generation.number()).entered();
        let terms = self.terms();
        let plugin = generation.plugin();
        let plugin = Workshop::reconfigure(plugin, settings, terms.cases.as_deref())?;
        self.warm_for(role, &plugin)?;
        let digest = Arc::clone(plugin.digest());
        let admitted = generation.admit(plugin, &terms.trust, role);
        admitted.map_err(|error| Refused::new(Step::Trust, &digest, error))
    }

    /// Have the plugin in use go on as another generation, beside the same canary and
    /// shadow; which one is gone back to stays as it is.
    fn publish_reconfigured(&self, admitted: Admitted) -> u64 {
        let origin = self.0.roles.load().active.origin().to_owned();
        let active = self.next_generation(admitted, origin, Role::Active);
        let number = active.number();
        self.change_roles(|roles| roles.active = active);
        number
    }

    /// Withdraw the plugin in use, and go back to the one before it, with its settings and
    /// cases. What is trusted stays as it is. Doing so again changes nothing: whoever asks
    /// twice does not get the plugin back that was withdrawn.
    ///
    /// With the number of a generation, that one is withdrawn and no other.
    ///
    /// # Errors
    ///
    /// There is none before it, or it is not trusted any more; or the generation that is
    /// named is not the one in use.
    pub fn roll_back(&self, named: Option<u64>) -> Result<Swapped, NotPossible> {
        let _alone = self.0.workshop.lock();
        let active = self.0.roles.load().active.number();
        let withdrawn = self.shelf().withdrawn;
        match named {
            None if withdrawn.is_some() => return Ok(Swapped::Unchanged(active)),
            Some(named) if named != active => {
                return match withdrawn == Some(named) {
                    true => Ok(Swapped::Unchanged(active)),
                    false => Err(NotPossible::OtherGeneration { named, active }),
                };
            }
            _ => {}
        }
        let (admitted, Previous { generation, terms, .. }) = self.take_previous()?;
        let origin = generation.origin().to_owned();
        Ok(Swapped::Taken(self.publish(admitted, terms, origin, Before::Withdrawn)))
    }

    /// The plugin before, under its terms but for the trust, which is the present one.
    fn take_previous(&self) -> Result<(Admitted, Previous), NotPossible> {
        let mut shelf = self.shelf();
        let trust = shelf.terms.trust.clone();
        let previous = shelf.previous.as_ref().ok_or(NotPossible::NoPrevious)?;
        let plugin = previous.plugin().clone();
        let admitted = previous.generation.admit(plugin, &trust, Role::Active)?;
        let previous = shelf.previous.take().ok_or(NotPossible::NoPrevious)?;
        let terms = Terms { trust, ..previous.terms.clone() };
        Ok((admitted, Previous { terms, ..previous }))
    }

    /// Try a candidate with the events of some users; one that is there gives way.
    ///
    /// # Errors
    ///
    /// It does not pass a step: nothing has changed.
    pub fn try_canary(
        &self,
        candidate: &Candidate,
        settings: CanarySettings,
    ) -> Result<u64, Refused> {
        let mut workshop = self.0.workshop.lock();
        let terms = self.terms();
        let prepared = self.prepare(&mut workshop, candidate, &terms, Role::Canary);
        let admitted = self.counted(prepared)?;
        self.shelf().canary_settings = candidate.settings.clone().unwrap_or(terms.settings);
        let number = self.publish_canary(admitted, settings, candidate.origin.clone());
        tracing::info!(generation = number, percent = settings.percent, "a canary is tried");
        Ok(number)
    }

    fn publish_canary(&self, admitted: Admitted, settings: CanarySettings, origin: String) -> u64 {
        let generation = self.next_generation(admitted, origin, Role::Canary);
        let number = generation.number();
        let canary = Arc::new(Canary::new(generation, settings));
        self.change_roles(|roles| roles.canary = Some(canary));
        number
    }

    /// End the trial of the canary.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn end_canary(&self) -> Result<(), NotPossible> {
        let _alone = self.0.workshop.lock();
        self.0.roles.load().canary.as_ref().ok_or(NotPossible::NoCanary)?;
        self.change_roles(|roles| roles.canary = None);
        Ok(())
    }

    /// Let the canary decide about all events.
    ///
    /// # Errors
    ///
    /// There is none, or the settings do not let it decide about all events.
    pub fn promote_canary(&self) -> Result<u64, NotPossible> {
        let _alone = self.0.workshop.lock();
        let roles = self.0.roles.load();
        let canary = roles.canary.as_ref().ok_or(NotPossible::NoCanary)?;
        let generation = canary.generation();
        let plugin = generation.plugin().clone();
        let admitted = generation.admit(plugin, &self.terms().trust, Role::Active)?;
        let settings = self.shelf().canary_settings.clone();
        let terms = Terms { settings, ..self.terms() };
        Ok(self.publish(admitted, terms, generation.origin().to_owned(), Before::Kept))
    }

    /// Ask a candidate about all events beside the active plugin, and compare; one
    /// that is there gives way.
    ///
    /// # Errors
    ///
    /// It does not pass a step: nothing has changed.
    pub fn shadow(&self, candidate: &Candidate) -> Result<u64, Refused> {
        let mut workshop = self.0.workshop.lock();
        let terms = self.terms();
        let prepared = self.prepare(&mut workshop, candidate, &terms, Role::Shadow);
        let admitted = self.counted(prepared)?;
        let number = self.publish_shadow(admitted, candidate.origin.clone())?;
        tracing::info!(generation = number, "a shadow is asked about the events too");
        Ok(number)
    }

    fn publish_shadow(&self, admitted: Admitted, origin: String) -> Result<u64, Refused> {
        let digest = Arc::clone(admitted.plugin().digest());
        let generation = self.next_generation(admitted, origin, Role::Shadow);
        let number = generation.number();
        let shadow = Shadow::start(generation)
            .map_err(|error| Refused::new(Step::Configure, &digest, RefusalCause::Thread(error)));
        let shadow = Arc::new(self.counted(shadow)?);
        self.change_roles(|roles| roles.shadow = Some(shadow));
        Ok(number)
    }

    /// End the shadow; its comparison is what it came to.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn end_shadow(&self) -> Result<ShadowReport, NotPossible> {
        let _alone = self.0.workshop.lock();
        let roles = self.0.roles.load();
        let shadow = roles.shadow.as_ref().ok_or(NotPossible::NoShadow)?;
        self.change_roles(|roles| roles.shadow = None);
        shadow.settle();
        Ok(ShadowReport::new(shadow))
    }

    /// Count a candidate that could not even be read.
    pub fn count_unread(&self, error: impl Into<Box<dyn Error + Send + Sync>>) -> Refused {
        let refused = Refused::unread(RefusalCause::Unread(error.into()));
        self.count(&refused);
        refused
    }

    /// How things stand.
    pub fn report(&self) -> Report {
        let roles = self.0.roles.load();
        let shelf = self.shelf();
        let previous = shelf.previous.as_ref();
        Report {
            active: GenerationReport::new(&roles.active),
            previous: previous.map(|previous| GenerationReport::new(&previous.generation)),
            withdrawn: shelf.withdrawn,
            canary: roles.canary.as_deref().map(CanaryReport::new),
            shadow: roles.shadow.as_deref().map(ShadowReport::new),
            swaps: self.0.counters.swaps.get(),
            refused: self.0.counters.refused().collect(),
            last_refused: shelf.last_refused.clone(),
            pauses: PauseReport::new(&self.0.roles.pauses()),
        }
    }

    /// A candidate that has passed its steps, with the instances that it needs.
    fn prepare(
        &self,
        workshop: &mut Workshop,
        candidate: &Candidate,
        terms: &Terms,
        role: Role,
    ) -> Result<Admitted, Refused> {
        let admitted = self.validate(workshop, candidate, terms, role)?;
        self.warm_for(role, admitted.plugin())?;
        Ok(admitted)
    }

    fn validate(
        &self,
        workshop: &mut Workshop,
        candidate: &Candidate,
        terms: &Terms,
        role: Role,
    ) -> Result<Admitted, Refused> {
        let Some(engine) = &self.0.engine else {
            return Err(Refused::unread(RefusalCause::NativeCode));
        };
        let _swap = tracing::debug_span!("swap", ?role).entered();
        workshop.prepare(engine, candidate, terms, role, &self.known())
    }

    /// Have an instance for each worker at hand. A shadow has that on which it was tried.
    fn warm_for(&self, role: Role, plugin: &Plugin) -> Result<(), Refused> {
        match role {
            Role::Active | Role::Canary => warm(plugin, self.0.settings.workers.get()),
            Role::Shadow => Ok(()),
        }
    }

    /// Plugins that have passed all steps: the one in use and the one before.
    fn known(&self) -> Vec<Plugin> {
        let roles = self.0.roles.load();
        let shelf = self.shelf();
        let previous = shelf.previous.as_ref().map(Previous::plugin);
        previous.into_iter().chain([roles.active.plugin()]).cloned().collect()
    }

    fn counted<T>(&self, result: Result<T, Refused>) -> Result<T, Refused> {
        result.inspect_err(|refused| self.count(refused))
    }

    fn count(&self, refused: &Refused) {
        self.0.counters.refused[refused.step as usize].inc();
        self.shelf().note(refused);
    }

    /// An admitted plugin as the next generation.
    fn next_generation(&self, admitted: Admitted, origin: String, role: Role) -> Arc<Generation> {
        let SwapperSettings { workers, breaker } = self.0.settings;
        // A shadow has one thread, whatever the workers are.
        let threads = if role == Role::Shadow { NonZero::<usize>::MIN } else { workers };
        let number = self.shelf().next();
        let next = Generation::new(number, admitted, breaker, threads).with_origin(origin);
        Arc::new(match role {
            Role::Active => next.with_role_counters(&self.0.counters.active),
            Role::Canary => next.with_role_counters(&self.0.counters.canary),
            Role::Shadow => next,
        })
    }

    /// Publish the present roles but for one of them.
    fn change_roles(&self, change: impl FnOnce(&mut PluginRoles)) {
        let mut roles = PluginRoles::clone(&self.0.roles.load());
        change(&mut roles);
        self.0.roles.publish(roles);
    }

    fn publish(&self, admitted: Admitted, terms: Terms, origin: String, before: Before) -> u64 {
        let digest = Arc::clone(admitted.plugin().digest());
        let active = self.next_generation(admitted, origin, Role::Active);
        let number = active.number();
        let shadow = self.0.roles.load().shadow.clone();
        let roles = PluginRoles { active, canary: None, shadow };
        let replaced = Arc::clone(&self.publish_trusted(&roles, &terms.trust).active);
        let mut shelf = self.shelf();
        let terms = std::mem::replace(&mut shelf.terms, terms);
        shelf.withdrawn = (before == Before::Withdrawn).then(|| replaced.number());
        let replaced = Previous { generation: replaced, refreshed: None, terms };
        let (previous, withdrawn) = match before {
            Before::Kept => (Some(replaced), None),
            Before::Withdrawn => (None, Some(replaced)),
        };
        let given_up = (std::mem::replace(&mut shelf.previous, previous), withdrawn);
        self.0.counters.swaps.inc();
        drop(shelf);
        // Its instances take a while to be taken down.
        drop(given_up);
        tracing::info!(generation = number, %digest, "another plugin decides from now on");
        number
    }

    /// Publish roles without those beside the active plugin that are not trusted any
    /// more, and hand back those before.
    fn publish_trusted(&self, roles: &PluginRoles, trust: &Trust) -> Arc<PluginRoles> {
        let PluginRoles { active, canary, shadow } = roles.clone();
        let is_trusted = |generation: &Generation, role, what| {
            let checked = generation.check_trust(trust, role);
            let refused = checked.map_err(|error| {
                let cause = RefusalCause::RoleEnded { what, error };
                Refused::new(Step::Trust, generation.plugin().digest(), cause)
            });
            self.counted(refused).is_ok()
        };
        let canary =
            canary.filter(|canary| is_trusted(canary.generation(), Role::Canary, "the canary"));
        let shadow =
            shadow.filter(|shadow| is_trusted(shadow.generation(), Role::Shadow, "the shadow"));
        self.0.roles.publish(PluginRoles { active, canary, shadow })
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.shelf.lock()
    }
}

/// Have so many instances of a plugin be at hand.
fn warm(plugin: &Plugin, instances: usize) -> Result<(), Refused> {
    plugin.warm(instances).map_err(|error| Refused::load(plugin.digest(), error))
}
