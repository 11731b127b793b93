//! Prepares what a run needs before the first event: the plugin with its pin, signature,
//! limits and cases; canary and shadow; certificate and connections for SDKs; the CA bundle for
//! AWS.
//!
//! `host run` continues with the parts prepared here. `host check` and `host config check` prepare
//! the same parts and stop. Commands that try a plugin load it with the same [`PluginLoader`]. So
//! commands accept exactly what a run accepts.

use std::path::Path;

use super::RunError;
#[cfg(feature = "collector")]
use super::collector::connection_limits;
use super::functions::SourceFunctions;
use super::network::open_network;
use super::plugin_secrets::PluginSecrets;
use super::plugins::{candidate, candidate_beside, policy_without_cases, read_policy, refused};
use crate::config::{PluginSource, RecordDestination, SecondaryPlugin, Settings};
use crate::pipeline::OnFailure;
use standpipe_aws as aws;
use standpipe_http::Tls;
use standpipe_plugin_host::swap::{
    Candidate, CandidateValidator, LoadPolicy, RejectedCandidate, Swapper, SwapperSettings,
};
use standpipe_plugin_host::{Engine, Plugin, Role, Trust};

/// A part of the preparation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PreparedPart {
    /// The active plugin.
    Plugin,
    /// The cases that plugins must pass.
    Cases,
    /// The plugin for the events of some users.
    Canary,
    /// The plugin that is only compared.
    Shadow,
    /// The function of a source.
    Function,
    /// The certificate for connections of SDKs.
    Certificate,
    /// The limit of connections of SDKs.
    Connections,
    /// The certificates that are trusted for AWS.
    CaBundle,
}

/// The prepared parts of a run, and the errors.
#[derive(Debug, Default)]
pub(crate) struct Preparation {
    swapper: Option<Swapper>,
    /// The engine of the plugins.
    engine: Option<Engine>,
    functions: Option<SourceFunctions>,
    tls: Option<Tls>,
    parts: Vec<(PreparedPart, Result<(), RunError>)>,
}

/// The prepared parts of a run without errors.
pub(super) struct PreparedRun {
    /// The plugins, if the run maps events.
    pub(super) swapper: Option<Swapper>,
    /// The functions of sources, if the run has a collector.
    pub(super) functions: Option<SourceFunctions>,
    /// The certificate.
    pub(super) tls: Option<Tls>,
}

impl Preparation {
    /// Prepares all parts of the settings, also after one has failed. `cache` keeps compiled
    /// plugins.
    ///
    /// Compiles and runs plugin code, so it must not run on the runtime's threads.
    pub(crate) fn new(settings: &Settings, secrets: &PluginSecrets, cache: Option<&Path>) -> Self {
        let mut preparation = Preparation::default();
        if settings.is_mapper() {
            preparation.add_plugins(settings, secrets, cache);
        }
        #[cfg(feature = "collector")]
        if let Some(collect) = &settings.collect {
            preparation.add_collector(collect);
            preparation.add_functions(settings, secrets, cache);
        }
        if let RecordDestination::Amazon { aws, .. } = &settings.destination
            && aws.transport.ca_bundle.is_some()
        {
            let bundle = aws::check_ca_bundle(&aws.transport).map_err(RunError::from);
            preparation.add_result(PreparedPart::CaBundle, bundle);
        }
        preparation
    }

    /// Returns the result of each part.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (PreparedPart, Option<&RunError>)> {
        self.parts.iter().map(|(part, result)| (*part, result.as_ref().err()))
    }

    /// Returns the active plugin and the canary. None if the active plugin was rejected.
    pub(crate) fn deciding_plugins(&self) -> Vec<Plugin> {
        let Some(swapper) = &self.swapper else { return Vec::new() };
        let roles = swapper.roles().load();
        let canary = roles.canary.as_ref().map(|canary| canary.generation().plugin().clone());
        [roles.active.plugin().clone()].into_iter().chain(canary).collect()
    }

    /// Returns the parts.
    ///
    /// # Errors
    ///
    /// The error of the first part that failed.
    pub(super) fn into_prepared(self) -> Result<PreparedRun, RunError> {
        let Preparation { swapper, functions, tls, parts, .. } = self;
        match parts.into_iter().find_map(|(_, result)| result.err()) {
            Some(error) => Err(error),
            None => Ok(PreparedRun { swapper, functions, tls }),
        }
    }

    /// Loads the functions of sources, in the engine of the plugins if there is one.
    #[cfg(feature = "collector")]
    fn add_functions(
        &mut self,
        settings: &Settings,
        secrets: &PluginSecrets,
        cache: Option<&Path>,
    ) {
        let functions = SourceFunctions::new(self.engine.clone(), cache);
        for written in &settings.functions {
            self.add_result(PreparedPart::Function, functions.load(written, settings, secrets));
        }
        self.functions = Some(functions);
    }

    #[cfg(feature = "collector")]
    fn add_collector(&mut self, collect: &crate::config::CollectSettings) {
        if let Some(files) = &collect.http.certificate {
            let tls = Tls::load(files.clone()).map_err(RunError::from);
            self.tls = self.add_result(PreparedPart::Certificate, tls);
        }
        if collect.http.connections_max.is_some() {
            self.add_result(PreparedPart::Connections, connection_limits(collect).map(drop));
        }
    }

    fn add_result<T>(&mut self, part: PreparedPart, result: Result<T, RunError>) -> Option<T> {
        let (value, result) = match result {
            Ok(value) => (Some(value), Ok(())),
            Err(error) => (None, Err(error)),
        };
        self.parts.push((part, result));
        value
    }

    fn add_plugins(&mut self, settings: &Settings, secrets: &PluginSecrets, cache: Option<&Path>) {
        let hosting = &settings.hosting;
        let how = SwapperSettings { workers: settings.workers, breaker: hosting.breaker };
        #[cfg(feature = "native-mapping")]
        if settings.plugin == PluginSource::Native {
            let native =
                super::native_mapping::load(settings).map(|plugin| Swapper::fixed(plugin, how));
            self.swapper = self.add_result(PreparedPart::Plugin, native);
            return;
        }
        let Some(mut loader) = self.open_loader(settings, secrets, cache) else { return };
        self.engine = Some(loader.engine.clone());
        let swapper = loader.start(&settings.plugin, how);
        self.swapper = self.add_result(PreparedPart::Plugin, swapper);
        let swapper = self.swapper.clone();
        if let Some((canary, how)) = &hosting.canary {
            let canary = loader.take_companion(canary, secrets, Role::Canary, |candidate| {
                swapper.as_ref().map(|swapper| swapper.try_canary(candidate, *how))
            });
            self.add_result(PreparedPart::Canary, canary);
        }
        if let Some(shadow) = &hosting.shadow {
            let shadow = loader.take_companion(shadow, secrets, Role::Shadow, |candidate| {
                swapper.as_ref().map(|swapper| swapper.start_shadow(candidate))
            });
            self.add_result(PreparedPart::Shadow, shadow);
        }
    }

    /// If the cases cannot be read, plugins are tried without them to find their own errors.
    fn open_loader(
        &mut self,
        settings: &Settings,
        secrets: &PluginSecrets,
        cache: Option<&Path>,
    ) -> Option<PluginLoader> {
        let loader = PluginLoader::with_secrets(settings, secrets, cache);
        let mut loader = match loader {
            Ok(loader) => loader,
            Err(error) => {
                self.add_result::<()>(PreparedPart::Plugin, Err(error));
                return None;
            }
        };
        if settings.hosting.cases.is_some() {
            let cases = read_policy(settings, secrets).map(|policy| loader.policy = policy);
            self.add_result(PreparedPart::Cases, cases);
        }
        Some(loader)
    }
}

/// Loads plugins as a run with these settings does: with limits, pin, key and samples.
pub(crate) struct PluginLoader {
    /// The engine, with the limits of the settings.
    pub(crate) engine: Engine,
    policy: LoadPolicy,
    validator: CandidateValidator,
}

impl PluginLoader {
    /// Creates a loader without cases and secrets: plugins get references in place of secrets.
    /// `cache` keeps compiled plugins.
    ///
    /// # Errors
    ///
    /// Fails if the WebAssembly engine cannot start.
    pub(crate) fn new(settings: &Settings, cache: Option<&Path>) -> Result<Self, RunError> {
        Self::with_secrets(settings, &PluginSecrets::unresolved(settings), cache)
    }

    fn with_secrets(
        settings: &Settings,
        secrets: &PluginSecrets,
        cache: Option<&Path>,
    ) -> Result<Self, RunError> {
        let engine = open_engine(settings, secrets, cache)?;
        let policy = policy_without_cases(settings, secrets);
        Ok(PluginLoader { engine, policy, validator: CandidateValidator::default() })
    }

    /// Skips pin and key, for plugins that are only compared or measured.
    #[must_use]
    pub(crate) fn without_trust_checks(mut self) -> Self {
        self.policy.trust = Trust::default();
        self
    }

    /// Loads the plugin that `source` names.
    ///
    /// # Errors
    ///
    /// Fails if a run would reject the plugin.
    pub(crate) fn load(&mut self, source: &PluginSource) -> Result<Plugin, RunError> {
        let candidate = candidate(source)?;
        self.validate(&candidate, Role::Active).map_err(|error| refused(&candidate, "", error))
    }

    /// Loads the active plugin and the canary of the settings.
    ///
    /// # Errors
    ///
    /// Fails if a run would reject one of them.
    pub(crate) fn load_deciding(&mut self, settings: &Settings) -> Result<Vec<Plugin>, RunError> {
        let mut plugins = vec![self.load(&settings.plugin)?];
        if let Some((canary, _)) = &settings.hosting.canary {
            let candidate = candidate_beside(canary, &PluginSecrets::unresolved(settings))?;
            let canary = self.validate(&candidate, Role::Canary);
            plugins.push(canary.map_err(|error| refused(&candidate, "the canary: ", error))?);
        }
        Ok(plugins)
    }

    /// Loads a component with these settings, a JSON object.
    ///
    /// # Errors
    ///
    /// Fails if a run would reject the component.
    pub(crate) fn load_with(
        &mut self,
        candidate: &Candidate,
        settings: &str,
    ) -> Result<Plugin, RejectedCandidate> {
        let settings = Some(settings.into());
        self.validate(&Candidate { settings, ..candidate.clone() }, Role::Active)
    }

    /// Loads the active plugin.
    fn start(&mut self, source: &PluginSource, how: SwapperSettings) -> Result<Swapper, RunError> {
        let candidate = candidate(source)?;
        self.policy.runner = candidate.runner_digest();
        let swapper = Swapper::start(self.engine.clone(), how, &candidate, self.policy.clone());
        swapper.map_err(|error| refused(&candidate, "", error))
    }

    /// Loads a canary or shadow. If there is no active plugin, only validates it.
    fn take_companion(
        &mut self,
        beside: &SecondaryPlugin,
        secrets: &PluginSecrets,
        role: Role,
        take: impl FnOnce(&Candidate) -> Option<Result<u64, RejectedCandidate>>,
    ) -> Result<(), RunError> {
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

    fn validate(&mut self, candidate: &Candidate, role: Role) -> Result<Plugin, RejectedCandidate> {
        let admitted = self.validator.validate(&self.engine, candidate, &self.policy, role, &[])?;
        Ok(admitted.plugin().clone())
    }
}

/// Opens the engine of plugins, with the limits and the network of the settings.
pub(super) fn open_engine(
    settings: &Settings,
    secrets: &PluginSecrets,
    cache: Option<&Path>,
) -> Result<Engine, RunError> {
    let engine = Engine::with(cache, settings.hosting.instance_limits, settings.workers)?;
    open_network(engine.network(), settings, secrets)?;
    Ok(engine)
}

/// Returns the delivery streams that plugins declare for events: names and patterns.
pub(crate) fn event_streams(settings: &Settings, plugins: &[Plugin]) -> Vec<String> {
    let mut streams: Vec<String> = Vec::new();
    let passed = match &settings.hosting.on_failure {
        OnFailure::PassThrough(stream) => Some(stream.as_str()),
        OnFailure::DeadLetter | OnFailure::Drop | OnFailure::Halt => None,
    };
    for name in plugins.iter().flat_map(Plugin::streams).chain(passed) {
        if !streams.iter().any(|known| known == name) {
            streams.push(name.to_owned());
        }
    }
    streams
}

impl PreparedPart {
    /// The part's name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            PreparedPart::Plugin => "plugin",
            PreparedPart::Cases => "cases",
            PreparedPart::Canary => "canary",
            PreparedPart::Shadow => "shadow",
            PreparedPart::Function => "function",
            PreparedPart::Certificate => "certificate",
            PreparedPart::Connections => "connections",
            PreparedPart::CaBundle => "ca_bundle",
        }
    }
}
