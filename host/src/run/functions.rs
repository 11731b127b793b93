//! The functions of sources: loads them at the start, and again when their settings, secrets or files
//! change. A function that cannot be loaded keeps its predecessor.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use thiserror::Error;

use super::RunError;
use super::network::open_network;
use super::plugin_secrets::PluginSecrets;
use super::plugins::candidate;
use super::preparation::open_engine;
use crate::config::{Settings, SourceFunction};
use standpipe_plugin_host::swap::{Candidate, SignatureCheck};
use standpipe_plugin_host::{
    Engine, FunctionLoadError, FunctionSlots, PluginSettings, PublicKey, RequestFunction,
    sha256_hex,
};

/// Why the function of a source cannot be loaded.
#[derive(Debug, Error)]
pub enum SourceFunctionError {
    /// A file cannot be read.
    #[error("failed to read {}: {error}: check `script` or `path` under [sources.function]", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// The component or the script is refused.
    #[error(transparent)]
    Load(#[from] FunctionLoadError),
    /// The WebAssembly engine cannot start.
    #[error(transparent)]
    Engine(Box<RunError>),
}

/// The functions of all sources of a run.
#[derive(Debug)]
pub(crate) struct SourceFunctions {
    /// The engine of mapping plugins, or one that is opened for the first function.
    engine: Mutex<Option<Engine>>,
    /// The directory of compiled components.
    cache: Option<PathBuf>,
    /// Limits the requests of all functions.
    slots: FunctionSlots,
    /// The functions by the names of their sources.
    loaded: Mutex<BTreeMap<String, LoadedSourceFunction>>,
}

/// A function in use, and what it was loaded from.
#[derive(Debug)]
struct LoadedSourceFunction {
    settings: SourceFunction,
    ingredients: FunctionIngredients,
    function: RequestFunction,
}

/// Identifies what a function is loaded from. If it is the same, the function stays.
#[derive(Debug, PartialEq)]
struct FunctionIngredients {
    sha256: String,
    signature: SignatureCheck,
    settings: PluginSettings,
    public_key: Option<PublicKey>,
}

impl SourceFunctions {
    pub(super) fn new(engine: Option<Engine>, cache: Option<&Path>) -> Self {
        SourceFunctions {
            engine: Mutex::new(engine),
            cache: cache.map(Path::to_owned),
            slots: FunctionSlots::default(),
            loaded: Mutex::default(),
        }
    }

    /// Loads the function of a source, unless it is in use already.
    ///
    /// Compiles and runs plugin code, so it must not run on the runtime's threads.
    ///
    /// # Errors
    ///
    /// Fails if the function cannot be loaded. The function in use stays.
    pub(super) fn load(
        &self,
        written: &SourceFunction,
        settings: &Settings,
        secrets: &PluginSecrets,
    ) -> Result<(), RunError> {
        self.try_load(written, settings, secrets).map_err(|error| RunError::SourceFunction {
            name: written.source.clone(),
            error: Box::new(error),
        })
    }

    fn try_load(
        &self,
        written: &SourceFunction,
        settings: &Settings,
        secrets: &PluginSecrets,
    ) -> Result<(), SourceFunctionError> {
        let candidate = candidate(&written.plugin).map_err(to_file_error)?;
        let own = secrets.substitute(&written.settings).expect("all secrets were resolved");
        let trust = &settings.hosting.trust;
        let ingredients = FunctionIngredients {
            sha256: sha256_hex(&candidate.bytes),
            signature: candidate.signature.clone(),
            settings: own.clone(),
            public_key: trust.public_key.clone(),
        };
        if let Some(known) = self.loaded.lock().get(&written.source)
            && known.ingredients == ingredients
        {
            return Ok(());
        }
        let engine = self.open_engine(settings, secrets)?;
        let function = RequestFunction::load(&engine, &candidate, own, trust, &self.slots)?;
        let loaded = LoadedSourceFunction { settings: written.clone(), ingredients, function };
        log_loaded(written, &candidate, &loaded);
        self.loaded.lock().insert(written.source.clone(), loaded);
        Ok(())
    }

    /// Loads what has changed, and drops the functions that the settings no longer contain. Returns
    /// the errors of functions that cannot be loaded.
    pub(super) fn apply(&self, settings: &Settings, secrets: &PluginSecrets) -> Vec<RunError> {
        let is_written = |name: &String| settings.functions.iter().any(|it| it.source == *name);
        self.loaded.lock().retain(|name, _| is_written(name));
        let network = self.engine.lock().as_ref().map(|engine| Arc::clone(engine.network()));
        let reopened = network.map(|network| open_network(&network, settings, secrets).map(drop));
        let loads = settings.functions.iter().map(|written| self.load(written, settings, secrets));
        reopened.into_iter().chain(loads).filter_map(Result::err).collect()
    }

    /// The settings of the functions in use, with references in place of secrets.
    pub(super) fn written_settings(&self) -> Vec<String> {
        let loaded = self.loaded.lock();
        loaded.values().map(|loaded| loaded.settings.settings.clone()).collect()
    }

    /// Whether one of the functions in use has other secrets than these.
    pub(super) fn has_other_secrets(&self, secrets: &PluginSecrets) -> bool {
        let loaded = self.loaded.lock();
        loaded.values().any(|loaded| {
            let now = secrets.substitute(&loaded.settings.settings);
            now.is_some_and(|now| now != loaded.ingredients.settings)
        })
    }

    /// The functions in use, by the names of their sources.
    pub(super) fn current(&self) -> HashMap<String, RequestFunction> {
        let loaded = self.loaded.lock();
        loaded.iter().map(|(name, loaded)| (name.clone(), loaded.function.clone())).collect()
    }

    fn open_engine(
        &self,
        settings: &Settings,
        secrets: &PluginSecrets,
    ) -> Result<Engine, SourceFunctionError> {
        let mut engine = self.engine.lock();
        match &*engine {
            Some(engine) => Ok(engine.clone()),
            None => {
                let opened = open_engine(settings, secrets, self.cache.as_deref());
                let opened = opened.map_err(|error| SourceFunctionError::Engine(error.into()))?;
                Ok(engine.insert(opened).clone())
            }
        }
    }
}

fn log_loaded(written: &SourceFunction, candidate: &Candidate, loaded: &LoadedSourceFunction) {
    let origin = candidate.origin.strip_prefix("the plugin ").unwrap_or(&candidate.origin);
    tracing::info!(
        sha256 = loaded.ingredients.sha256,
        "loaded the function of the source {:?} from {origin}",
        written.source
    );
}

fn to_file_error(error: RunError) -> SourceFunctionError {
    match error {
        RunError::PluginFile { path, error } => SourceFunctionError::File { path, error },
        other => SourceFunctionError::Engine(other.into()),
    }
}
