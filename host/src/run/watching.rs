//! When a plugin is taken anew: its file has changed, or the settings, or somebody
//! asks for it.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::plugin_secrets::PluginSecrets;
use super::plugins::{self, Companions, Ingredients, signature_path};
use super::reloading::{BoxError, ReloadableParts};
use crate::config::{FileWatch, PluginSource, Settings};
use standpipe_core::fingerprint::FileFingerprint;
use standpipe_core::secret::SecretResolver;
use standpipe_plugin_host::swap::{Candidate, Refused, Swapped, Swapper};

/// How often the files of a plugin are looked at where no notice of a change comes.
const WATCH_INTERVAL: Duration = Duration::from_secs(10);

/// How long files must stay as they are before they are read: whoever writes one
/// does so in pieces.
const WATCH_SETTLE: Duration = Duration::from_millis(200);

/// Takes the plugin anew; clones do the same.
#[derive(Clone)]
pub struct Reloader(Arc<Inner>);

struct Inner {
    swapper: Swapper,
    reloadable: ReloadableParts,
    settings_file: Option<PathBuf>,
    read: Box<dyn Fn() -> Result<Settings, BoxError> + Send + Sync>,
    secrets: Arc<dyn SecretResolver>,
    companions: Mutex<Companions>,
    /// The plugin of the settings when it was taken last. As long as it stays the same,
    /// what else changes in the files is no reason to take it: another one may be in use.
    taken: Mutex<Option<Ingredients>>,
    /// Held while secrets are asked for and plugins get them, so that none gets an older
    /// one than it has.
    alone: tokio::sync::Mutex<()>,
}

/// Why the plugin of the settings is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Somebody asks for it.
    Request,
    /// A file has changed, perhaps one that says nothing about the plugin.
    Change,
}

/// What the plugins of a run were taken from.
#[derive(Debug, Clone)]
pub(super) struct ReloadInputs {
    secrets: Arc<dyn SecretResolver>,
    companions: Companions,
}

impl ReloadInputs {
    pub(super) fn new(settings: &Settings, secrets: Arc<dyn SecretResolver>) -> Self {
        ReloadInputs { secrets, companions: Companions::of(settings) }
    }
}

impl Reloader {
    pub(super) fn new(
        swapper: Swapper,
        reload_inputs: ReloadInputs,
        reloadable: ReloadableParts,
        settings_file: Option<PathBuf>,
        read: Box<dyn Fn() -> Result<Settings, BoxError> + Send + Sync>,
    ) -> Self {
        let ReloadInputs { secrets, companions } = reload_inputs;
        let companions = Mutex::new(companions);
        let (taken, alone) = (Mutex::default(), tokio::sync::Mutex::default());
        Reloader(Arc::new(Inner {
            swapper,
            reloadable,
            settings_file,
            read,
            secrets,
            companions,
            taken,
            alone,
        }))
    }

    /// Read the settings, the secrets among them and the plugin's file again, and
    /// take the plugin if one of them has changed.
    ///
    /// # Errors
    ///
    /// It does not pass a step: nothing has changed.
    pub async fn reload(&self) -> Result<Swapped, Refused> {
        self.reload_for(Cause::Request).await
    }

    /// A candidate with the secrets in place of the references in settings of its own.
    ///
    /// # Errors
    ///
    /// A secret cannot be resolved: a reference is never taken for the secret itself.
    pub(crate) async fn with_secrets(&self, candidate: Candidate) -> Result<Candidate, Refused> {
        let Some(settings) = &candidate.settings else { return Ok(candidate) };
        let known = PluginSecrets::ask([settings.written()].into_iter(), &self.0.secrets).await;
        let known = known.map_err(|error| self.0.swapper.count_unread(error))?;
        let settings = known.fill(settings.written());
        Ok(Candidate { settings, ..candidate })
    }

    async fn reload_for(&self, cause: Cause) -> Result<Swapped, Refused> {
        let (inner, runtime) = (Arc::clone(&self.0), Handle::current());
        let _alone = self.0.alone.lock().await;
        let reloaded = tokio::task::spawn_blocking(move || inner.reload(cause, &runtime));
        reloaded.await.expect("reloading a plugin does not panic")
    }

    /// Look at the files until the run takes in no more events. What was read before may
    /// have changed before anybody looked, so the plugin is taken anew first.
    pub(super) async fn watch(&self, intake_stop: &CancellationToken) {
        let inner = Arc::clone(&self.0);
        let until_stop = |work: Pin<Box<dyn Future<Output = ()> + Send>>| {
            tokio::spawn(intake_stop.clone().run_until_cancelled_owned(work));
        };
        // Settings that come later can be the first ones that name a secret.
        if inner.secrets.refresh() < Duration::MAX {
            until_stop(Box::pin(self.clone().refresh()));
        }
        let Ok(settings) = (inner.read)() else { return };
        let (watch, files) = (settings.hosting.watch, inner.files(&settings));
        if watch == FileWatch::Files && !files.is_empty() {
            // From before they are read: what changes from now on shows.
            let seen = fingerprints(&files);
            let _ = self.reload().await;
            until_stop(Box::pin(self.clone().look(files, seen)));
        }
    }

    /// Secrets are asked for again now and then, whoever keeps them. Those that have
    /// changed go to the plugins that are in use: which those are stays as it is.
    async fn refresh(self) {
        loop {
            tokio::time::sleep(self.0.secrets.refresh()).await;
            let (inner, runtime) = (Arc::clone(&self.0), Handle::current());
            let _alone = self.0.alone.lock().await;
            let refreshed = tokio::task::spawn_blocking(move || inner.refresh(&runtime));
            refreshed.await.expect("handing secrets to plugins does not panic");
        }
    }

    async fn look(self, mut files: Vec<PathBuf>, mut seen: Vec<FileFingerprint>) {
        let noticed = Arc::new(Notify::new());
        let mut watcher = watcher(&noticed);
        loop {
            let directories = watch_directories(watcher.as_mut(), &files);
            // What changed while nothing was watched gives no notice.
            if seen == fingerprints(&files) {
                // What is not noticed, as on some network file systems, is looked for.
                let _ = tokio::time::timeout(WATCH_INTERVAL, noticed.notified()).await;
            }
            for directory in directories {
                let _ = watcher.as_mut().map(|watcher| watcher.unwatch(&directory));
            }
            let mut now = wait_until_stable(&files).await;
            if seen == now {
                continue;
            }
            // Other settings can name other files.
            if let Ok(settings) = (self.0.read)() {
                let named = self.0.files(&settings);
                if named != files {
                    files = named;
                    now = wait_until_stable(&files).await;
                }
            }
            // This is from before they are read, too.
            seen = now;
            // What is refused has been told; the next change is another attempt.
            let _ = self.reload_for(Cause::Change).await;
        }
    }
}

impl Inner {
    fn reload(&self, cause: Cause, runtime: &Handle) -> Result<Swapped, Refused> {
        let settings = (self.read)();
        let settings = settings.map_err(|reason| self.swapper.count_unread(reason))?;
        runtime.block_on(self.reloadable.apply(&settings));
        let known =
            runtime.block_on(PluginSecrets::ask(settings.all_plugin_settings(), &self.secrets));
        let known = known.map_err(|error| self.swapper.count_unread(error))?;
        let (candidate, terms, ingredients) = plugins::read(&self.swapper, &settings, &known)?;
        // First, so that a plugin with old secrets is not what is gone back to.
        self.refresh(runtime);
        let taken = self.taken.lock().clone();
        let swapped = match cause == Cause::Change && taken.as_ref() == Some(&ingredients) {
            true => Swapped::Unchanged(self.swapper.roles().load().active.number()),
            false => self.swapper.offer_under(&candidate, terms)?,
        };
        *self.taken.lock() = Some(ingredients);
        let mut companions = self.companions.lock();
        companions.follow(&self.swapper, &settings, &known);
        Ok(swapped)
    }

    /// Ask for the secrets of all plugins, and hand out those that have changed.
    fn refresh(&self, runtime: &Handle) {
        let written = self.swapper.written_settings();
        let written = written.iter().map(String::as_str);
        match runtime.block_on(PluginSecrets::ask(written, &self.secrets)) {
            Ok(known) => self.swapper.refresh(&|written| known.fill(written)),
            Err(error) => tracing::warn!("plugins keep the secrets that they have: {error}"),
        }
    }

    /// What a plugin is made of.
    fn files(&self, settings: &Settings) -> Vec<PathBuf> {
        let mut files: Vec<_> = self.settings_file.iter().cloned().collect();
        let hosting = &settings.hosting;
        let canary = hosting.canary.as_ref().map(|(canary, _)| &canary.source);
        let shadow = hosting.shadow.as_ref().map(|shadow| &shadow.source);
        for source in [&settings.plugin].into_iter().chain(canary).chain(shadow) {
            if let PluginSource::File(path) = source {
                files.extend([path.clone(), signature_path(path)]);
            }
        }
        files.extend(hosting.cases.clone());
        files
    }
}

fn watcher(noticed: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let noticed = Arc::clone(noticed);
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // Whoever looks at a file opens it, the looking here included.
        let is_open = EventKind::Access(AccessKind::Open(AccessMode::Any));
        if event.is_ok_and(|event| event.kind != is_open) {
            noticed.notify_one();
        }
    });
    let said = |error: &notify::Error| {
        tracing::warn!("files are looked at every {:?} alone: {error}", WATCH_INTERVAL);
    };
    watcher.inspect_err(said).ok()
}

/// Watch the directories of files, as they are named and as they really are: a file
/// that takes another's place is an event of its directory.
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

/// The fingerprints of files once they have stopped to change: what is being written is
/// no plugin yet.
async fn wait_until_stable(files: &[PathBuf]) -> Vec<FileFingerprint> {
    let mut before = fingerprints(files);
    loop {
        tokio::time::sleep(WATCH_SETTLE).await;
        let now = fingerprints(files);
        if now == before {
            return now;
        }
        before = now;
    }
}

fn fingerprints(files: &[PathBuf]) -> Vec<FileFingerprint> {
    files.iter().flat_map(|file| fingerprints_at(file)).collect()
}

/// Of a directory, what is in it is looked at too.
fn fingerprints_at(path: &Path) -> Vec<FileFingerprint> {
    let mut names: Vec<OsString> = Vec::new();
    if let Ok(entries) = fs::read_dir(path) {
        names.extend(entries.flatten().map(|entry| entry.file_name()));
        names.sort();
    }
    let inside = names.iter().map(|name| path.join(name));
    inside.chain([path.to_owned()]).map(|path| FileFingerprint::of(&path)).collect()
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader")
            .field("settings_file", &self.0.settings_file)
            .finish_non_exhaustive()
    }
}
