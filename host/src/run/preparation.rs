//! Everything that a run makes of its settings before the first event: the plugin under
//! its pin, its signature, its limits and its cases; the canary and the shadow beside
//! it; the certificate and the connections for SDKs; the certificates that are trusted on
//! the way to AWS.
//!
//! There is this one way to do so. `host run` goes on from what is prepared here;
//! `host check` and `host config check` prepare the same and stop; and whatever tries a
//! plugin out loads it by [`PluginLoader`], as this does. So no command finds good what
//! a run refuses, nor refuses what runs.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use super::StartError;
#[cfg(feature = "collector")]
use super::collecting::connection_limits;
use super::plugin_secrets::PluginSecrets;
use super::plugins::{
    candidate, candidate_beside, candidate_of_file, refused, terms, terms_without_cases,
};
use crate::config::{Destination, PluginSource, SecondaryPlugin, Settings};
use crate::pipeline::OnFailure;
use standpipe_aws as aws;
use standpipe_http::Tls;
use standpipe_plugin_host::swap::{Candidate, Refused, Swapper, SwapperSettings, Terms, Workshop};
use standpipe_plugin_host::{Engine, Plugin, Role, Trust};

/// A part of what is prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The plugin that decides.
    Plugin,
    /// The cases that plugins must pass.
    Cases,
    /// The plugin that decides about some users' events.
    Canary,
    /// The plugin that is compared.
    Shadow,
    /// What connections of SDKs are encrypted with.
    Certificate,
    /// How many of these there can be.
    Connections,
    /// Which servers' certificates are trusted on the way to AWS.
    CaBundle,
}

/// What has been prepared of a run, and what could not be.
#[derive(Debug, Default)]
pub(crate) struct Preparation {
    swapper: Option<Swapper>,
    tls: Option<Tls>,
    parts: Vec<(Part, Result<(), StartError>)>,
}

/// All that a run needs of it.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) swapper: Swapper,
    pub(super) tls: Option<Tls>,
}

impl Preparation {
    /// Prepare all parts that the settings have: a part that fails keeps no other from
    /// being tried. Compiled code is kept in `cache`, if that is given.
    ///
    /// Compiles, and runs the plugins' own code: this belongs on no thread that does
    /// input and output.
    pub(crate) fn new(settings: &Settings, secrets: &PluginSecrets, cache: Option<&Path>) -> Self {
        let mut preparation = Preparation::default();
        preparation.plugins(settings, secrets, cache);
        #[cfg(feature = "collector")]
        if let Some(collect) = &settings.collect {
            preparation.collector(collect);
        }
        if let Destination::Amazon { aws, .. } = &settings.destination
            && aws.transport.ca_bundle.is_some()
        {
            let bundle = aws::check_ca_bundle(&aws.transport).map_err(StartError::from);
            preparation.note(Part::CaBundle, bundle);
        }
        preparation
    }

    /// What was prepared, part by part.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (Part, Option<&StartError>)> {
        self.parts.iter().map(|(part, result)| (*part, result.as_ref().err()))
    }

    /// The plugins whose decisions are carried out: the one in use, and the canary. None
    /// where the one in use is none.
    pub(crate) fn deciding_plugins(&self) -> Vec<Plugin> {
        let Some(swapper) = &self.swapper else { return Vec::new() };
        let roles = swapper.roles().load();
        let canary = roles.canary.as_ref().map(|canary| canary.generation().plugin().clone());
        [roles.active.plugin().clone()].into_iter().chain(canary).collect()
    }

    /// All of it.
    ///
    /// # Errors
    ///
    /// A part failed: the first of them is told.
    pub(super) fn into_prepared(self) -> Result<Prepared, StartError> {
        let failure = self.parts.into_iter().find_map(|(_, result)| result.err());
        match (failure, self.swapper) {
            (Some(error), _) => Err(error),
            (None, Some(swapper)) => Ok(Prepared { swapper, tls: self.tls }),
            (None, None) => unreachable!("a plugin that is none is a failure"),
        }
    }

    #[cfg(feature = "collector")]
    fn collector(&mut self, collect: &crate::config::CollectSettings) {
        if let Some(files) = &collect.http.certificate {
            let tls = Tls::load(files.clone()).map_err(StartError::from);
            self.tls = self.note(Part::Certificate, tls);
        }
        if collect.http.connections_max.is_some() {
            self.note(Part::Connections, connection_limits(collect).map(drop));
        }
    }

    fn note<T>(&mut self, part: Part, result: Result<T, StartError>) -> Option<T> {
        let (value, result) = match result {
            Ok(value) => (Some(value), Ok(())),
            Err(error) => (None, Err(error)),
        };
        self.parts.push((part, result));
        value
    }

    fn plugins(&mut self, settings: &Settings, secrets: &PluginSecrets, cache: Option<&Path>) {
        let hosting = &settings.hosting;
        let how = SwapperSettings { workers: settings.workers, breaker: hosting.breaker };
        #[cfg(feature = "native-mapping")]
        if settings.plugin == PluginSource::Native {
            let native =
                super::native_mapping::load(settings).map(|plugin| Swapper::fixed(plugin, how));
            self.swapper = self.note(Part::Plugin, native);
            return;
        }
        let Some(mut loader) = self.loader(settings, secrets, cache) else { return };
        let swapper = loader.start(&settings.plugin, how);
        self.swapper = self.note(Part::Plugin, swapper);
        let swapper = self.swapper.clone();
        if let Some((canary, how)) = &hosting.canary {
            let canary = loader.beside(canary, secrets, Role::Canary, |candidate| {
                swapper.as_ref().map(|swapper| swapper.try_canary(candidate, *how))
            });
            self.note(Part::Canary, canary);
        }
        if let Some(shadow) = &hosting.shadow {
            let shadow = loader.beside(shadow, secrets, Role::Shadow, |candidate| {
                swapper.as_ref().map(|swapper| swapper.shadow(candidate))
            });
            self.note(Part::Shadow, shadow);
        }
    }

    /// Where there are no cases, the plugins are tried without them, so that all of
    /// their own faults are told too.
    fn loader(
        &mut self,
        settings: &Settings,
        secrets: &PluginSecrets,
        cache: Option<&Path>,
    ) -> Option<PluginLoader> {
        let loader = PluginLoader::with_secrets(settings, secrets, cache);
        let mut loader = match loader {
            Ok(loader) => loader,
            Err(error) => {
                self.note::<()>(Part::Plugin, Err(error));
                return None;
            }
        };
        if settings.hosting.cases.is_some() {
            let cases = terms(settings, secrets).map(|terms| loader.terms = terms);
            self.note(Part::Cases, cases);
        }
        Some(loader)
    }
}

/// Loads plugins one after the other as a run with these settings does: under their
/// limits, the pin and the key, with the samples.
pub(crate) struct PluginLoader {
    engine: Engine,
    terms: Terms,
    workshop: Workshop,
}

impl PluginLoader {
    /// A loader that asks for no cases, and nobody for secrets: plugins get references in
    /// their place. Compiled code is kept in `cache`, if that is given.
    ///
    /// # Errors
    ///
    /// WebAssembly cannot be run.
    pub(crate) fn new(settings: &Settings, cache: Option<&Path>) -> Result<Self, StartError> {
        Self::with_secrets(settings, &PluginSecrets::unresolved(settings), cache)
    }

    fn with_secrets(
        settings: &Settings,
        secrets: &PluginSecrets,
        cache: Option<&Path>,
    ) -> Result<Self, StartError> {
        let engine = Engine::with(cache, settings.hosting.allowance, settings.workers)?;
        let terms = terms_without_cases(settings, secrets);
        Ok(PluginLoader { engine, terms, workshop: Workshop::default() })
    }

    /// The same for plugins that are only compared or measured: a pin holds for one of
    /// several at most.
    #[must_use]
    pub(crate) fn trusting_all(mut self) -> Self {
        self.terms.trust = Trust::default();
        self
    }

    /// The engine, with the limits of the settings.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The plugin that the settings name, which is tried and not used.
    ///
    /// # Errors
    ///
    /// A run would not take it.
    pub(crate) fn load(&mut self, source: &PluginSource) -> Result<Plugin, StartError> {
        let candidate = candidate(source)?;
        self.validate(&candidate, Role::Active).map_err(|error| refused(&candidate, "", error))
    }

    /// The plugins of the settings whose decisions are carried out: the one in use, and
    /// the canary.
    ///
    /// # Errors
    ///
    /// A run would not take one of them.
    pub(crate) fn load_deciding(&mut self, settings: &Settings) -> Result<Vec<Plugin>, StartError> {
        let mut plugins = vec![self.load(&settings.plugin)?];
        if let Some((canary, _)) = &settings.hosting.canary {
            let candidate = candidate_beside(canary, &PluginSecrets::unresolved(settings))?;
            let canary = self.validate(&candidate, Role::Canary);
            plugins.push(canary.map_err(|error| refused(&candidate, "the canary: ", error))?);
        }
        Ok(plugins)
    }

    /// Read a component's file, to be loaded.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub(crate) fn read(file: &Path) -> Result<Candidate, StartError> {
        candidate_of_file(file)
    }

    /// Load a component with these settings: JSON text, an object.
    ///
    /// # Errors
    ///
    /// A run with them would not take it.
    pub(crate) fn load_with(
        &mut self,
        candidate: &Candidate,
        settings: &str,
    ) -> Result<Plugin, Refused> {
        let settings = Some(settings.into());
        self.validate(&Candidate { settings, ..candidate.clone() }, Role::Active)
    }

    /// Take a first plugin.
    fn start(
        &mut self,
        source: &PluginSource,
        how: SwapperSettings,
    ) -> Result<Swapper, StartError> {
        let candidate = candidate(source)?;
        let swapper = Swapper::start(self.engine.clone(), how, &candidate, self.terms.clone());
        swapper.map_err(|error| refused(&candidate, "", error))
    }

    /// Take a plugin beside the one in use; or, where there is none, see whether it
    /// could be.
    fn beside(
        &mut self,
        beside: &SecondaryPlugin,
        secrets: &PluginSecrets,
        role: Role,
        take: impl FnOnce(&Candidate) -> Option<Result<u64, Refused>>,
    ) -> Result<(), StartError> {
        let candidate = candidate_beside(beside, secrets)?;
        let taken = match take(&candidate) {
            Some(taken) => taken.map(drop),
            None => self.validate(&candidate, role).map(drop),
        };
        let what = match role {
            Role::Canary => "the canary: ",
            Role::Shadow => "the shadow: ",
            Role::Active => "",
        };
        taken.map_err(|error| refused(&candidate, what, error))
    }

    fn validate(&mut self, candidate: &Candidate, role: Role) -> Result<Plugin, Refused> {
        let admitted = self.workshop.prepare(&self.engine, candidate, &self.terms, role, &[])?;
        Ok(admitted.plugin().clone())
    }
}

/// The delivery streams that a run writes events to with these plugins, as they declare
/// them: names, and patterns of names.
pub(crate) fn event_streams(settings: &Settings, plugins: &[Plugin]) -> Vec<String> {
    let mut streams: Vec<String> = Vec::new();
    let declared = plugins.iter().flat_map(Plugin::streams).map(Cow::Borrowed);
    let passed = match &settings.hosting.on_failure {
        OnFailure::PassThrough(stream) => Some(Cow::Owned(stream.to_string())),
        OnFailure::DeadLetter | OnFailure::Drop | OnFailure::Halt => None,
    };
    for name in declared.chain(passed) {
        if !streams.iter().any(|known| *known == name) {
            streams.push(name.into_owned());
        }
    }
    streams
}

impl Part {
    /// What it is called in a report.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Part::Plugin => "plugin",
            Part::Cases => "cases",
            Part::Canary => "canary",
            Part::Shadow => "shadow",
            Part::Certificate => "certificate",
            Part::Connections => "connections",
            Part::CaBundle => "ca_bundle",
        }
    }
}

impl fmt::Debug for PluginLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginLoader").field("terms", &self.terms).finish_non_exhaustive()
    }
}
