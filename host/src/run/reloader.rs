//! Reloads the plugin and what it can reach: on request, or when a file of it or the settings file has
//! changed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Run;
use super::network;
use super::plugin_files::signature_path;
use super::plugin_secrets::PluginSecrets;
use super::plugins::{self, Companions, PluginFingerprint};
use super::reloadable::{BoxError, ReloadableParts};
use super::script_files::watched_scripts;
use crate::config::{FileWatch, PluginSource, ScriptPaths, Settings};
use standpipe_core::blocking;
use standpipe_core::fingerprint::FileFingerprint;
use standpipe_core::secret::SecretResolver;
use standpipe_plugin_host::swap::{Candidate, RejectedCandidate, RejectionCause, Swapped, Swapper};

/// The generation of a run without a plugin.
const NO_GENERATION: u64 = 0;

/// How often a plugin's files are checked if no notification arrives.
const WATCH_INTERVAL: Duration = Duration::from_secs(10);

/// How long files must be unchanged before they are read, because writers write in pieces.
const WATCH_SETTLE: Duration = Duration::from_millis(200);

/// The same for a single script, which is so small that one write completes it.
const SCRIPT_SETTLE: Duration = Duration::from_millis(20);

/// Reloads the plugin. Clones share one reloader.
#[derive(Clone)]
pub struct Reloader(Arc<ReloaderInner>);

struct ReloaderInner {
    /// None if the run publishes events to a queue.
    plugin: Option<ReloadablePlugin>,
    reloadable: ReloadableParts,
    settings_file: Option<PathBuf>,
    read: Box<dyn Fn() -> Result<Settings, BoxError> + Send + Sync>,
    secrets: Arc<dyn SecretResolver>,
    /// Locked while secrets are resolved and passed to plugins, so that no plugin gets an older
    /// secret than it has.
    reload_lock: tokio::sync::Mutex<()>,
}

struct ReloadablePlugin {
    swapper: Swapper,
    companions: Mutex<Companions>,
    /// The plugin of the settings when it was last loaded. If only other keys change, it is not
    /// loaded again, because another plugin may be active by now.
    last_loaded: Mutex<Option<PluginFingerprint>>,
}

/// Why the settings' plugin is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReloadCause {
    /// A request, such as SIGHUP.
    Request,
    /// A file has changed, perhaps in keys that do not affect the plugin.
    Change,
}

impl Reloader {
    pub(super) fn new(
        run: &Run,
        settings_file: Option<PathBuf>,
        read: Box<dyn Fn() -> Result<Settings, BoxError> + Send + Sync>,
    ) -> Self {
        Reloader(Arc::new(ReloaderInner {
            plugin: run.parts.mapping.as_ref().map(|mapping| ReloadablePlugin {
                swapper: mapping.swapper.clone(),
                companions: Mutex::new(mapping.companions.clone()),
                last_loaded: Mutex::default(),
            }),
            reloadable: run.reloadable.clone(),
            settings_file,
            read,
            secrets: Arc::clone(&run.parts.secrets),
            reload_lock: tokio::sync::Mutex::default(),
        }))
    }

    /// Reads settings, secrets and the plugin's file again, and swaps the plugin if one of
    /// them has changed.
    ///
    /// # Errors
    ///
    /// Fails if the plugin was rejected. The active plugin stays in use.
    pub async fn reload(&self) -> Result<Swapped, RejectedCandidate> {
        self.reload_for(ReloadCause::Request).await
    }

    /// Replaces references in a candidate's own settings by secrets.
    ///
    /// # Errors
    ///
    /// Fails if a secret cannot be resolved.
    pub(crate) async fn with_secrets(
        &self,
        candidate: Candidate,
    ) -> Result<Candidate, RejectedCandidate> {
        let Some(settings) = &candidate.settings else { return Ok(candidate) };
        let known = PluginSecrets::resolve([settings.written()].into_iter(), &self.0.secrets).await;
        let known = known.map_err(|error| self.0.reject_unreadable(error))?;
        let settings = known.substitute(settings.written());
        Ok(Candidate { settings, ..candidate })
    }

    async fn reload_for(&self, cause: ReloadCause) -> Result<Swapped, RejectedCandidate> {
        let (inner, runtime) = (Arc::clone(&self.0), Handle::current());
        let _alone = self.0.reload_lock.lock().await;
        blocking::run(move || inner.reload(cause, &runtime)).await
    }

    /// Watches the files until the intake stops. They may have changed since they were read,
    /// so the plugin is reloaded first.
    pub(super) async fn watch(&self, intake_stop: &CancellationToken) {
        let inner = Arc::clone(&self.0);
        // Later settings can be the first with a secret.
        if inner.secrets.refresh() < Duration::MAX {
            let refreshing = self.clone().refresh_secrets();
            tokio::spawn(intake_stop.clone().run_until_cancelled_owned(refreshing));
        }
        let Ok(settings) = (inner.read)() else { return };
        let (watch, watched) = (settings.hosting.watch, inner.watched_files(&settings));
        if watch == FileWatch::Files && !watched.files.is_empty() {
            // The fingerprints are taken before the files are read, so that every later change is
            // noticed.
            let seen = fingerprints(&watched.files);
            let _ = self.reload().await;
            let watching = self.clone().watch_files(watched, seen);
            tokio::spawn(intake_stop.clone().run_until_cancelled_owned(watching));
        }
    }

    /// Refreshes secrets until the task is dropped. Active plugins get changed secrets.
    async fn refresh_secrets(self) {
        loop {
            tokio::time::sleep(self.0.secrets.refresh()).await;
            let (inner, runtime) = (Arc::clone(&self.0), Handle::current());
            let _alone = self.0.reload_lock.lock().await;
            let refresh = move || {
                inner.refresh_secrets(&runtime);
                inner.refresh_function_secrets(&runtime);
            };
            blocking::run(refresh).await;
        }
    }

    async fn watch_files(self, mut watched: WatchedFiles, mut seen: Vec<FileFingerprint>) {
        let noticed = Arc::new(Notify::new());
        let mut watcher = start_watcher(&noticed);
        loop {
            let directories = watch_directories(watcher.as_mut(), &watched.files);
            // A change while the files were not watched causes no notification.
            if seen == fingerprints(&watched.files) {
                // Some network file systems send no notifications.
                let _ = tokio::time::timeout(WATCH_INTERVAL, noticed.notified()).await;
            }
            for directory in directories {
                let _ = watcher.as_mut().map(|watcher| watcher.unwatch(&directory));
            }
            let mut now = wait_until_stable(&watched).await;
            if seen == now {
                continue;
            }
            // Other settings can name other files.
            if let Ok(settings) = (self.0.read)() {
                let named = self.0.watched_files(&settings);
                if named != watched {
                    watched = named;
                    now = wait_until_stable(&watched).await;
                }
            }
            // Taken before the files are read, as above.
            seen = now;
            // A rejection has been logged; the next change is another attempt.
            let _ = self.reload_for(ReloadCause::Change).await;
        }
    }
}

impl ReloaderInner {
    fn reload(&self, cause: ReloadCause, runtime: &Handle) -> Result<Swapped, RejectedCandidate> {
        let settings = (self.read)();
        let settings = settings.map_err(|reason| self.reject_unreadable(reason))?;
        runtime.block_on(self.reloadable.apply(&settings));
        self.reload_functions(&settings, runtime);
        let Some(ReloadablePlugin { swapper, companions, last_loaded }) = &self.plugin else {
            return Ok(Swapped::Unchanged(NO_GENERATION));
        };
        let resolving = PluginSecrets::resolve_with_proxy(
            settings.mapper_settings(),
            &settings.hosting.network,
            &self.secrets,
        );
        let known = runtime.block_on(resolving);
        let known = known.map_err(|error| swapper.reject_unreadable(error))?;
        network::reload_network(swapper, &settings, &known);
        let (candidate, policy, ingredients) =
            plugins::read_configured_plugin(swapper, &settings, &known)?;
        // First, so that a rollback does not go to a plugin with old secrets.
        self.refresh_secrets(runtime);
        let taken = last_loaded.lock().clone();
        if swapper.is_left_to_fleet() {
            if taken.is_some_and(|taken| taken != ingredients) {
                tracing::warn!(
                    "the plugin of the settings has changed, and is not loaded: {}",
                    RejectionCause::FleetDecides
                );
            }
            *last_loaded.lock() = Some(ingredients);
            return Ok(Swapped::Unchanged(swapper.roles().load().active.number()));
        }
        let swapped = match cause == ReloadCause::Change && taken.as_ref() == Some(&ingredients) {
            true => Swapped::Unchanged(swapper.roles().load().active.number()),
            false => swapper.swap_with_policy(&candidate, policy)?,
        };
        *last_loaded.lock() = Some(ingredients);
        let mut companions = companions.lock();
        companions.apply_changes(swapper, &settings, &known);
        Ok(swapped)
    }

    /// Loads changed functions of sources.
    fn reload_functions(&self, settings: &Settings, runtime: &Handle) {
        let Some(collector) = self.reloadable.collector() else { return };
        let resolving = PluginSecrets::resolve_with_proxy(
            settings.function_settings(),
            &settings.hosting.network,
            &self.secrets,
        );
        match runtime.block_on(resolving) {
            Ok(known) => collector.reload_functions(settings, &known),
            Err(error) => tracing::error!(
                "failed to reload the functions of sources; the last ones stay in use: {error}"
            ),
        }
    }

    /// Loads the functions of sources again whose secrets have changed.
    fn refresh_function_secrets(&self, runtime: &Handle) {
        let Some(collector) = self.reloadable.collector() else { return };
        let written = collector.functions().written_settings();
        let resolving = PluginSecrets::resolve(written.iter().map(String::as_str), &self.secrets);
        match runtime.block_on(resolving) {
            Ok(known) if collector.functions().has_other_secrets(&known) => {
                if let Ok(settings) = (self.read)() {
                    self.reload_functions(&settings, runtime);
                }
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(
                "failed to refresh the secrets of functions; keeping the last ones: {error}"
            ),
        }
    }

    /// Logs and counts that settings or a plugin cannot be read.
    fn reject_unreadable(&self, error: impl Into<BoxError>) -> RejectedCandidate {
        match &self.plugin {
            Some(plugin) => plugin.swapper.reject_unreadable(error),
            None => {
                let error = error.into();
                tracing::error!(
                    "failed to reload the settings; the last ones stay in use: {error}"
                );
                RejectedCandidate::unreadable(error)
            }
        }
    }

    /// Resolves the secrets of all plugins, and hands out changed ones.
    fn refresh_secrets(&self, runtime: &Handle) {
        let Some(ReloadablePlugin { swapper, .. }) = &self.plugin else { return };
        let written = swapper.written_settings();
        let written = written.iter().map(String::as_str);
        match runtime.block_on(PluginSecrets::resolve(written, &self.secrets)) {
            Ok(known) => swapper.refresh(&|written| known.substitute(written)),
            Err(error) => tracing::warn!(
                "failed to refresh the secrets of plugins; keeping the last ones: {error}"
            ),
        }
    }

    /// Returns the files that a reload reads.
    fn watched_files(&self, settings: &Settings) -> WatchedFiles {
        let mut files: Vec<_> = self.settings_file.iter().cloned().collect();
        let hosting = &settings.hosting;
        let canary = hosting.canary.as_ref().map(|(canary, _)| &canary.source);
        let shadow = hosting.shadow.as_ref().map(|shadow| &shadow.source);
        let functions = settings.functions.iter().map(|function| &function.plugin);
        for source in [&settings.plugin].into_iter().chain(canary).chain(shadow).chain(functions) {
            match source {
                PluginSource::File(path) => files.extend([path.clone(), signature_path(path)]),
                PluginSource::Script(paths) => files.extend(watched_scripts(paths)),
                _ => {}
            }
        }
        files.extend(hosting.cases.clone());
        files.extend(hosting.geolocation.clone());
        files.extend(hosting.network.ca_bundle.clone());
        let is_single_script = matches!(
            &settings.plugin,
            // Writing a runner takes longer.
            PluginSource::Script(ScriptPaths { files, libraries, runner: None })
                if files.len() == 1 && libraries.is_empty()
        ) && settings.functions.is_empty();
        let settle = if is_single_script { SCRIPT_SETTLE } else { WATCH_SETTLE };
        WatchedFiles { files, settle }
    }
}

/// The files that a reload reads.
#[derive(Debug, Clone, PartialEq, Eq)]
struct WatchedFiles {
    files: Vec<PathBuf>,
    /// How long they must be unchanged before they are read.
    settle: Duration,
}

fn start_watcher(noticed: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let noticed = Arc::clone(noticed);
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // Reading a file opens it, so this program's own reads cause such events.
        let is_open = EventKind::Access(AccessKind::Open(AccessMode::Any));
        if event.is_ok_and(|event| event.kind != is_open) {
            noticed.notify_one();
        }
    });
    let warn = |error: &notify::Error| {
        tracing::warn!("file notifications unavailable; polling every {WATCH_INTERVAL:?}: {error}");
    };
    watcher.inspect_err(warn).ok()
}

/// Watches the directories of files, and of the targets of symbolic links, because replacing a file
/// is an event of its directory.
fn watch_directories(watcher: Option<&mut RecommendedWatcher>, files: &[PathBuf]) -> Vec<PathBuf> {
    let Some(watcher) = watcher else { return Vec::new() };
    let directory = |file: &Path| match file.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => PathBuf::from("/"),
    };
    let real = files.iter().filter_map(|file| file.canonicalize().ok());
    let mut directories: Vec<_> =
        files.iter().cloned().chain(real).map(|file| directory(&file)).collect();
    directories.sort();
    directories.dedup();
    directories.retain(|directory| watcher.watch(directory, RecursiveMode::NonRecursive).is_ok());
    directories
}

/// Waits until files no longer change, and returns their fingerprints.
async fn wait_until_stable(watched: &WatchedFiles) -> Vec<FileFingerprint> {
    let mut before = fingerprints(&watched.files);
    loop {
        tokio::time::sleep(watched.settle).await;
        let now = fingerprints(&watched.files);
        if now == before {
            return now;
        }
        before = now;
    }
}

fn fingerprints(files: &[PathBuf]) -> Vec<FileFingerprint> {
    files.iter().flat_map(|file| fingerprints_at(file)).collect()
}

/// The fingerprints of a file, or of a directory and its entries.
fn fingerprints_at(path: &Path) -> Vec<FileFingerprint> {
    let mut names: Vec<OsString> = Vec::new();
    if let Ok(entries) = fs::read_dir(path) {
        names.extend(entries.flatten().map(|entry| entry.file_name()));
        names.sort();
    }
    let inside = names.iter().map(|name| path.join(name));
    inside.chain([path.to_owned()]).map(|path| FileFingerprint::of(&path)).collect()
}
