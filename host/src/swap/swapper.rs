use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use super::report::{CanaryReport, GenerationReport, PauseReport, Report, ShadowReport};
use super::shelf::{Previous, Shelf};
use super::workshop::Workshop;
use super::{Candidate, Refused, Step, Terms};
use crate::plugin::{
    BreakerSettings, Canary, CanarySettings, Engine, Generation, Ledger, LoadError, Plugin, Shadow,
    Stage, Switch,
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
    switch: Arc<Switch>,
    /// Held while a candidate goes through its steps: one at a time.
    workshop: Mutex<Workshop>,
    shelf: Mutex<Shelf>,
    ledgers: Ledgers,
}

/// What all plugins of a run have done, by what they were.
#[derive(Debug, Clone, Default)]
pub struct Ledgers {
    /// Those that decided.
    pub active: Arc<Ledger>,
    /// Those that were tried.
    pub canary: Arc<Ledger>,
}

/// How a swapper works.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SwapperSettings {
    /// Threads that map events, each of which needs an instance.
    pub workers: NonZero<usize>,
    /// From where on a plugin does badly.
    pub breaker: BreakerSettings,
}

/// How many instances a candidate needs at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Warm {
    /// One for each worker.
    ForWorkers,
    /// That on which it was tried.
    One,
}

/// What has become of a candidate that passed all steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swapped {
    /// It decides, as this generation.
    Taken(u64),
    /// It is the plugin in use, with the same settings: nothing was changed.
    Unchanged(u64),
}

/// There is nothing to do it with.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
pub enum NotPossible {
    /// Nothing was swapped yet.
    #[error("there is no plugin before this one to go back to")]
    NoPrevious,
    /// There is no canary.
    #[error("there is no canary: give one first")]
    NoCanary,
    /// The settings pin the plugin.
    #[error("sha256 under [plugin] says another component: write the hash of this one there")]
    Pinned,
    /// The plugin before was not checked with the key of the settings.
    #[error(
        "the plugin before was not checked with public_key under [plugin]: give it anew, with its signature"
    )]
    OtherKey,
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
        let plugin = workshop.prepare(&engine, candidate, &terms, &[])?;
        let swapper = Self::at(Some(engine), settings, plugin, workshop, terms);
        swapper.shelf().origins.insert(1, candidate.origin.clone());
        Ok(swapper)
    }

    /// A swapper of a plugin that is not a component, and stays.
    pub fn fixed(plugin: Plugin, settings: SwapperSettings) -> Self {
        Self::at(None, settings, plugin, Workshop::default(), Terms::default())
    }

    fn at(
        engine: Option<Engine>,
        settings: SwapperSettings,
        plugin: Plugin,
        workshop: Workshop,
        terms: Terms,
    ) -> Self {
        let ledgers = Ledgers::default();
        let active = Generation::new(1, plugin, settings.breaker).with_ledger(&ledgers.active);
        let active = Arc::new(active);
        let switch = Arc::new(Switch::new(Stage { active, canary: None, shadow: None }));
        let shelf = Shelf {
            terms,
            origins: BTreeMap::new(),
            previous: None,
            last_number: 1,
            swaps: 0,
            refused: Default::default(),
            last_refused: None,
        };
        let (workshop, shelf) = (Mutex::new(workshop), Mutex::new(shelf));
        Swapper(Arc::new(Inner { engine, settings, switch, workshop, shelf, ledgers }))
    }

    /// Where workers look for the plugin that decides.
    pub fn switch(&self) -> &Arc<Switch> {
        &self.0.switch
    }

    /// What all plugins have done so far.
    pub fn ledgers(&self) -> &Ledgers {
        &self.0.ledgers
    }

    /// What the settings ask of every plugin at present.
    pub fn terms(&self) -> Terms {
        self.shelf().terms.clone()
    }

    /// What goes for a plugin beside the one in use, which is what the pin is for.
    fn terms_beside(&self) -> Terms {
        let mut terms = self.terms();
        terms.trust.sha256 = None;
        terms
    }

    /// Let a candidate take over under the present terms.
    ///
    /// # Errors
    ///
    /// It does not pass a step: nothing has changed.
    pub fn offer(&self, candidate: &Candidate) -> Result<Swapped, Refused> {
        let mut workshop = lock(&self.0.workshop);
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
        self.take(&mut lock(&self.0.workshop), candidate, terms)
    }

    fn take(
        &self,
        workshop: &mut Workshop,
        candidate: &Candidate,
        terms: Terms,
    ) -> Result<Swapped, Refused> {
        let (_, stage) = self.0.switch.stage();
        let plugin = self.counted(self.prepare(workshop, candidate, &terms, Warm::ForWorkers))?;
        let active = stage.active.plugin();
        if active.digest() == plugin.digest() && active.settings() == plugin.settings() {
            self.shelf().terms = terms;
            return Ok(Swapped::Unchanged(stage.active.number()));
        }
        Ok(Swapped::Taken(self.publish(plugin, terms, candidate.origin.clone())))
    }

    /// Have a candidate go through all steps, and leave it at that.
    ///
    /// # Errors
    ///
    /// It does not pass a step.
    pub fn check(&self, candidate: &Candidate) -> Result<Plugin, Refused> {
        let terms = self.terms();
        self.prepare(&mut lock(&self.0.workshop), candidate, &terms, Warm::One)
    }

    /// Go back to the plugin before this one, with its settings and cases. Doing so
    /// twice changes nothing. What is trusted stays as it is.
    ///
    /// # Errors
    ///
    /// There is none, or it is not trusted any more.
    pub fn roll_back(&self) -> Result<u64, NotPossible> {
        let _alone = lock(&self.0.workshop);
        let previous = self.take_previous()?;
        let origin = self.shelf().origin(previous.generation.number());
        let plugin = previous.generation.plugin().clone();
        Ok(self.publish(plugin, previous.terms, origin))
    }

    /// The plugin before, under its terms but for the trust, which is the present one.
    fn take_previous(&self) -> Result<Previous, NotPossible> {
        let mut shelf = self.shelf();
        let trust = shelf.terms.trust.clone();
        let previous = shelf.previous.as_ref().ok_or(NotPossible::NoPrevious)?;
        let digest = previous.generation.plugin().digest();
        if trust.sha256.as_ref().is_some_and(|pin| **pin != **digest) {
            return Err(NotPossible::Pinned);
        }
        if trust.public_key.is_some() && trust.public_key != previous.terms.trust.public_key {
            return Err(NotPossible::OtherKey);
        }
        let Previous { generation, terms } =
            shelf.previous.take().ok_or(NotPossible::NoPrevious)?;
        Ok(Previous { generation, terms: Terms { trust, ..terms } })
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
        let mut workshop = lock(&self.0.workshop);
        let terms = self.terms_beside();
        let plugin =
            self.counted(self.prepare(&mut workshop, candidate, &terms, Warm::ForWorkers))?;
        let number = self.shelf().next(candidate.origin.clone());
        let generation = Generation::new(number, plugin, self.0.settings.breaker);
        let generation = Arc::new(generation.with_ledger(&self.0.ledgers.canary));
        let canary = Some(Arc::new(Canary::new(generation, settings)));
        let (_, stage) = self.0.switch.stage();
        self.0.switch.publish(Stage { canary, ..stage });
        tracing::info!(generation = number, percent = settings.percent, "a canary is tried");
        Ok(number)
    }

    /// End the trial of the canary.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn end_canary(&self) -> Result<(), NotPossible> {
        let _alone = lock(&self.0.workshop);
        let (_, stage) = self.0.switch.stage();
        stage.canary.as_ref().ok_or(NotPossible::NoCanary)?;
        self.0.switch.publish(Stage { canary: None, ..stage });
        Ok(())
    }

    /// Let the canary decide about all events.
    ///
    /// # Errors
    ///
    /// There is none, or the plugin is pinned to another one.
    pub fn promote_canary(&self) -> Result<u64, NotPossible> {
        let _alone = lock(&self.0.workshop);
        let (_, stage) = self.0.switch.stage();
        let canary = stage.canary.ok_or(NotPossible::NoCanary)?;
        let generation = canary.generation();
        let pin = self.terms().trust.sha256;
        if pin.is_some_and(|pin| *pin != **generation.plugin().digest()) {
            return Err(NotPossible::Pinned);
        }
        let origin = self.shelf().origin(generation.number());
        let settings = generation.plugin().settings().to_owned();
        let terms = Terms { settings, ..self.terms() };
        Ok(self.publish(generation.plugin().clone(), terms, origin))
    }

    /// Ask a candidate about all events beside the active plugin, and compare; one
    /// that is there gives way.
    ///
    /// # Errors
    ///
    /// It does not pass a step: nothing has changed.
    pub fn shadow(&self, candidate: &Candidate) -> Result<u64, Refused> {
        let mut workshop = lock(&self.0.workshop);
        let terms = self.terms_beside();
        let plugin = self.counted(self.prepare(&mut workshop, candidate, &terms, Warm::One))?;
        let digest = Arc::clone(plugin.digest());
        let number = self.shelf().next(candidate.origin.clone());
        let generation = Arc::new(Generation::new(number, plugin, self.0.settings.breaker));
        let shadow = Shadow::start(generation).map_err(|error| Refused {
            step: Step::Configure,
            reason: format!("start its thread: {error}: check the limit of processes"),
            digest: Some(digest),
        });
        let shadow = Some(Arc::new(self.counted(shadow)?));
        let (_, stage) = self.0.switch.stage();
        self.0.switch.publish(Stage { shadow, ..stage });
        tracing::info!(generation = number, "a shadow is asked about the events too");
        Ok(number)
    }

    /// End the shadow; its comparison is what it came to.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn end_shadow(&self) -> Result<ShadowReport, NotPossible> {
        let _alone = lock(&self.0.workshop);
        let (_, stage) = self.0.switch.stage();
        let shadow = stage.shadow.clone().ok_or(NotPossible::NoShadow)?;
        self.0.switch.publish(Stage { shadow: None, ..stage });
        shadow.settle();
        let origin = self.shelf().origin(shadow.generation().number());
        Ok(ShadowReport::new(&shadow, &origin))
    }

    /// Count a candidate that could not even be read.
    pub fn count_unread(&self, reason: String) -> Refused {
        let refused = Refused { step: Step::Read, reason, digest: None };
        self.shelf().count(&refused);
        refused
    }

    /// How things stand.
    pub fn report(&self) -> Report {
        let (_, stage) = self.0.switch.stage();
        let shelf = self.shelf();
        let told = |generation: &Generation| {
            GenerationReport::new(generation, &shelf.origin(generation.number()))
        };
        Report {
            active: told(&stage.active),
            previous: shelf.previous.as_ref().map(|previous| told(&previous.generation)),
            canary: stage.canary.map(|canary| {
                let origin = shelf.origin(canary.generation().number());
                CanaryReport::new(&canary, &origin)
            }),
            shadow: stage.shadow.map(|shadow| {
                let origin = shelf.origin(shadow.generation().number());
                ShadowReport::new(&shadow, &origin)
            }),
            swaps: shelf.swaps,
            refused: Step::ALL
                .iter()
                .map(|step| (step.word(), shelf.refused[*step as usize]))
                .collect(),
            last_refused: shelf.last_refused.clone(),
            pauses: PauseReport::new(&self.0.switch.pauses()),
        }
    }

    fn prepare(
        &self,
        workshop: &mut Workshop,
        candidate: &Candidate,
        terms: &Terms,
        warm: Warm,
    ) -> Result<Plugin, Refused> {
        let Some(engine) = &self.0.engine else {
            let reason = "the plugin is native code: start without --no-plugin".to_owned();
            return Err(Refused { step: Step::Read, reason, digest: None });
        };
        let plugin = workshop.prepare(engine, candidate, terms, &self.known())?;
        let made = match warm {
            Warm::ForWorkers => plugin.warm(self.0.settings.workers.get()),
            Warm::One => Ok(()),
        };
        made.map_err(|fault| Refused {
            step: Step::Configure,
            reason: LoadError::Fault(fault).to_string(),
            digest: Some(Arc::clone(plugin.digest())),
        })?;
        Ok(plugin)
    }

    /// Plugins that have passed all steps: the one in use and the one before.
    fn known(&self) -> Vec<Plugin> {
        let (_, stage) = self.0.switch.stage();
        let shelf = self.shelf();
        let previous = shelf.previous.as_ref().map(|previous| &previous.generation);
        let generations = previous.into_iter().chain([&stage.active]);
        generations.map(|generation| generation.plugin().clone()).collect()
    }

    fn counted<T>(&self, result: Result<T, Refused>) -> Result<T, Refused> {
        result.inspect_err(|refused| self.shelf().count(refused))
    }

    fn publish(&self, plugin: Plugin, terms: Terms, origin: String) -> u64 {
        let mut shelf = self.shelf();
        let number = shelf.next(origin);
        let digest = Arc::clone(plugin.digest());
        let active = Generation::new(number, plugin, self.0.settings.breaker);
        let active = Arc::new(active.with_ledger(&self.0.ledgers.active));
        let (_, Stage { shadow, .. }) = self.0.switch.stage();
        let before = self.0.switch.publish(Stage { active, canary: None, shadow });
        let terms = std::mem::replace(&mut shelf.terms, terms);
        let given_up = shelf.previous.replace(Previous { generation: before.active, terms });
        shelf.swaps += 1;
        shelf.forget_origins();
        drop(shelf);
        // Its instances take a while to be taken down.
        drop(given_up);
        tracing::info!(generation = number, %digest, "another plugin decides from now on");
        number
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        lock(&self.0.shelf)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
