//! The parts of a run that follow a changed settings file.
//!
//! [`Reloader`](super::Reloader) reloads the plugin and what it can reach. Sources with their write keys and rate
//! limits, settings of streams, the certificate and the log filter are applied here. All other
//! keys need a restart; the log names them when they change.

use std::sync::Arc;

use thiserror::Error;
use tokio::sync::Mutex;

use super::RunError;
use super::collector::RunningCollector;
use crate::config::{ChangedKey, RawSettings, Settings, SourceRole};
use standpipe_delivery::WeakDelivery;

/// Sets the log filter of the program. `None` means the program's default.
pub type SetLogFilter = Arc<dyn Fn(Option<&str>) -> Result<(), BoxError> + Send + Sync>;

/// An error of a caller's function. It is only displayed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a part of the settings cannot be applied.
#[derive(Debug, Error)]
#[error(transparent)]
enum ReloadError {
    /// The sources, their write keys, or the certificate.
    Collector(#[from] RunError),
    LogFilter(#[from] BoxError),
}

/// The parts of a run that follow the settings. Clones share the parts.
#[derive(Clone)]
pub(super) struct ReloadableParts(Arc<ReloadableInner>);

struct ReloadableInner {
    collector: Option<RunningCollector>,
    /// The deliveries of events and of copies of dead letters. The references are weak: the
    /// deliveries end with the run, although reloads can still be requested.
    deliveries: Vec<WeakDelivery>,
    set_log_filter: Option<SetLogFilter>,
    state: Mutex<ReloadState>,
}

/// The settings in effect.
struct ReloadState {
    /// The settings at the start.
    started: Arc<RawSettings>,
    source_roles: Vec<SourceRole>,
    /// The settings that have been applied since the start. A part that failed is tried again at
    /// the next reload.
    applied: Arc<RawSettings>,
    /// Changed keys that need a restart, as last logged.
    pending: Vec<ChangedKey>,
}

/// The part of a run that a changed key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReloadablePart {
    /// The plugin, or what it can reach.
    Plugin,
    Sources,
    Streams,
    Certificate,
    Log,
    /// The key needs a restart.
    Run,
}

impl ReloadablePart {
    fn of(ChangedKey { section, key }: &ChangedKey) -> Self {
        match (section.as_str(), key.as_str()) {
            ("plugin", "watch" | "limits" | "breaker" | "on_failure" | "pass_through_stream") => {
                ReloadablePart::Run
            }
            ("plugin", _) => ReloadablePart::Plugin,
            ("sources", _) => ReloadablePart::Sources,
            ("streams", _) | ("delivery", "newline" | "concurrency" | "aggregate") => {
                ReloadablePart::Streams
            }
            ("http", "certificate" | "key") => ReloadablePart::Certificate,
            ("", "log") => ReloadablePart::Log,
            _ => ReloadablePart::Run,
        }
    }
}

impl ReloadableParts {
    pub(super) fn new(
        settings: &Settings,
        collector: Option<RunningCollector>,
        deliveries: Vec<WeakDelivery>,
        set_log_filter: Option<SetLogFilter>,
    ) -> Self {
        let state = ReloadState {
            started: Arc::clone(&settings.stated),
            source_roles: settings.source_roles.clone(),
            applied: Arc::clone(&settings.stated),
            pending: Vec::new(),
        };
        let state = Mutex::new(state);
        ReloadableParts(Arc::new(ReloadableInner { collector, deliveries, set_log_filter, state }))
    }

    /// The collector, if the run has one.
    pub(super) fn collector(&self) -> Option<&RunningCollector> {
        self.0.collector.as_ref()
    }

    /// Applies changed settings, and logs the keys that need a restart.
    pub(super) async fn apply(&self, settings: &Settings) {
        let mut state = self.0.state.lock().await;
        let mut applied = RawSettings::clone(&state.applied);
        let mut reloaded = Vec::new();
        let changed = state.applied.changed_keys(&settings.stated);
        for part in [
            ReloadablePart::Sources,
            ReloadablePart::Streams,
            ReloadablePart::Certificate,
            ReloadablePart::Log,
        ] {
            let keys: Vec<_> =
                changed.iter().filter(|key| ReloadablePart::of(key) == part).collect();
            if keys.is_empty() || !self.0.can_apply(part, settings, &state) {
                continue;
            }
            match self.0.apply(part, settings).await {
                Ok(()) => {
                    mark_applied(part, &settings.stated, &mut applied);
                    reloaded.extend(keys);
                }
                Err(error) => {
                    tracing::error!(
                        "failed to reload {}; the last settings stay in use: {error}",
                        join_keys(&keys)
                    );
                }
            }
        }
        if !reloaded.is_empty() {
            tracing::info!("reloaded {}", join_keys(&reloaded));
        }
        state.applied = Arc::new(applied);
        state.log_pending(self, settings);
    }
}

impl ReloadState {
    /// Logs the changed keys that need a restart, unless they were logged before.
    fn log_pending(&mut self, parts: &ReloadableParts, settings: &Settings) {
        let built = self.started.changed_keys(&settings.stated);
        let built = built.into_iter().filter(|key| ReloadablePart::of(key) == ReloadablePart::Run);
        let refused = self.applied.changed_keys(&settings.stated).into_iter().filter(|key| {
            let part = ReloadablePart::of(key);
            !matches!(part, ReloadablePart::Run | ReloadablePart::Plugin)
                && !parts.0.can_apply(part, settings, self)
        });
        let mut pending: Vec<_> = built.chain(refused).collect();
        pending.sort();
        if pending != self.pending && !pending.is_empty() {
            let keys: Vec<_> = pending.iter().collect();
            tracing::warn!("restart to apply changed settings: {}", join_keys(&keys));
        }
        self.pending = pending;
    }
}

impl ReloadableInner {
    /// Whether this run can apply a part of the settings without a restart.
    fn can_apply(&self, part: ReloadablePart, settings: &Settings, state: &ReloadState) -> bool {
        let is_collecting = self.collector.is_some() && settings.collect.is_some();
        match part {
            // Roles are assumed at the start, so events of a new source would be written with
            // another source's role.
            ReloadablePart::Sources => is_collecting && settings.source_roles == state.source_roles,
            ReloadablePart::Certificate => {
                let has_before = state.applied.http.certificate.is_some();
                is_collecting && has_before && settings.stated.http.certificate.is_some()
            }
            ReloadablePart::Streams => true,
            ReloadablePart::Log => self.set_log_filter.is_some(),
            ReloadablePart::Plugin | ReloadablePart::Run => false,
        }
    }

    async fn apply(&self, part: ReloadablePart, settings: &Settings) -> Result<(), ReloadError> {
        match (part, &self.collector, &settings.collect) {
            (ReloadablePart::Sources, Some(collector), Some(collect)) => {
                Ok(collector.set_sources(collect, &settings.source_names).await?)
            }
            (ReloadablePart::Certificate, Some(collector), Some(collect)) => {
                Ok(collector.set_certificate(collect)?)
            }
            (ReloadablePart::Streams, ..) => {
                let how = &settings.delivery;
                for delivery in self.deliveries.iter().filter_map(WeakDelivery::upgrade) {
                    delivery.set_stream_settings(how.stream, how.streams.clone());
                }
                Ok(())
            }
            (ReloadablePart::Log, ..) => match &self.set_log_filter {
                Some(set_log_filter) => Ok(set_log_filter(settings.log.as_deref())?),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// Marks a part of the settings as applied.
fn mark_applied(part: ReloadablePart, from: &RawSettings, to: &mut RawSettings) {
    match part {
        ReloadablePart::Sources => to.sources.clone_from(&from.sources),
        ReloadablePart::Streams => {
            to.streams.clone_from(&from.streams);
            to.delivery.newline = from.delivery.newline;
            to.delivery.concurrency = from.delivery.concurrency;
            to.delivery.aggregate.clone_from(&from.delivery.aggregate);
        }
        ReloadablePart::Certificate => {
            to.http.certificate.clone_from(&from.http.certificate);
            to.http.key.clone_from(&from.http.key);
        }
        ReloadablePart::Log => to.log.clone_from(&from.log),
        ReloadablePart::Plugin | ReloadablePart::Run => {}
    }
}

fn join_keys(keys: &[&ChangedKey]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
