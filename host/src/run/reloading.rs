//! What of a run follows its settings file while events flow.
//!
//! The plugin has its own way (see [`Reloader`](super::Reloader)). Beside it, sources
//! with their write keys and rate limits, what differs from stream to stream, the
//! certificate and the log filter take effect at once. Everything else is what a run is
//! built from: the log names the keys that have changed, and that they need a restart.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::Mutex;

use super::StartError;
use super::collecting::Replaceable;
use crate::config::{ChangedKey, RawSettings, Settings, SourceRole};
use standpipe_delivery::WeakDelivery;
use standpipe_http::TlsError;

/// Sets which log lines the program writes; none for its default.
pub type SetLogFilter = Arc<dyn Fn(Option<&str>) -> Result<(), BoxError> + Send + Sync>;

/// An error of a function that the run is given: whatever it is, it is shown.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A part of the settings that cannot be taken over.
#[derive(Debug, Error)]
enum NotApplied {
    /// The sources, or their write keys.
    #[error(transparent)]
    Sources(#[from] StartError),
    #[error(transparent)]
    Certificate(#[from] TlsError),
    #[error(transparent)]
    LogFilter(#[from] BoxError),
}

/// The parts of a run that its settings can change.
#[derive(Clone)]
pub(super) struct ReloadableParts(Arc<Inner>);

struct Inner {
    collector: Option<Replaceable>,
    /// That of records, and that of copies of dead letters. They end with the run, and not
    /// with whoever can still ask for a reload.
    deliveries: Vec<WeakDelivery>,
    set_log_filter: Option<SetLogFilter>,
    state: Mutex<State>,
}

/// The settings that are in effect.
struct State {
    /// What the run was built from.
    started: Arc<RawSettings>,
    source_roles: Vec<SourceRole>,
    /// What has been taken over since. A part that was refused stays as it was, and is
    /// tried again the next time.
    applied: Arc<RawSettings>,
    /// Keys that a restart is needed for, as they were last mentioned.
    pending: Vec<ChangedKey>,
}

/// The parts that changed keys are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Plugin,
    Sources,
    Streams,
    Certificate,
    Log,
    /// Only a restart takes it over.
    Run,
}

impl Part {
    fn of(ChangedKey { section, key }: &ChangedKey) -> Self {
        match (section.as_str(), key.as_str()) {
            ("plugin", "watch" | "limits" | "breaker" | "on_failure") => Part::Run,
            ("plugin", _) => Part::Plugin,
            ("sources", _) => Part::Sources,
            ("streams", _) | ("delivery", "newline" | "concurrency" | "aggregate") => Part::Streams,
            ("http", "certificate" | "key") => Part::Certificate,
            ("", "log") => Part::Log,
            _ => Part::Run,
        }
    }
}

impl ReloadableParts {
    pub(super) fn new(
        settings: &Settings,
        collector: Option<Replaceable>,
        deliveries: Vec<WeakDelivery>,
        set_log_filter: Option<SetLogFilter>,
    ) -> Self {
        let state = State {
            started: Arc::clone(&settings.stated),
            source_roles: settings.source_roles.clone(),
            applied: Arc::clone(&settings.stated),
            pending: Vec::new(),
        };
        let state = Mutex::new(state);
        ReloadableParts(Arc::new(Inner { collector, deliveries, set_log_filter, state }))
    }

    /// Take over what other settings change, and log what they change beyond.
    pub(super) async fn apply(&self, settings: &Settings) {
        let mut state = self.0.state.lock().await;
        let mut applied = RawSettings::clone(&state.applied);
        let mut taken = Vec::new();
        let changed = state.applied.changed_keys(&settings.stated);
        for part in [Part::Sources, Part::Streams, Part::Certificate, Part::Log] {
            let keys: Vec<_> = changed.iter().filter(|key| Part::of(key) == part).collect();
            if keys.is_empty() || !self.0.can_apply(part, settings, &state) {
                continue;
            }
            match self.0.apply(part, settings).await {
                Ok(()) => {
                    take_over(part, &settings.stated, &mut applied);
                    taken.extend(keys);
                }
                Err(error) => {
                    tracing::error!(
                        "failed to reload {}: {error}; it stays as it was",
                        list(&keys)
                    );
                }
            }
        }
        if !taken.is_empty() {
            tracing::info!("reloaded {}", list(&taken));
        }
        state.applied = Arc::new(applied);
        state.mention_pending(self, settings);
    }
}

impl State {
    /// Log the keys that differ from those in effect and that only a restart takes over,
    /// when there are others than before.
    fn mention_pending(&mut self, parts: &ReloadableParts, settings: &Settings) {
        let built = self.started.changed_keys(&settings.stated);
        let built = built.into_iter().filter(|key| Part::of(key) == Part::Run);
        let refused = self.applied.changed_keys(&settings.stated).into_iter().filter(|key| {
            let part = Part::of(key);
            !matches!(part, Part::Run | Part::Plugin) && !parts.0.can_apply(part, settings, self)
        });
        let mut pending: Vec<_> = built.chain(refused).collect();
        pending.sort();
        if pending != self.pending && !pending.is_empty() {
            let keys: Vec<_> = pending.iter().collect();
            tracing::warn!("restart to apply changed settings: {}", list(&keys));
        }
        self.pending = pending;
    }
}

impl Inner {
    /// Whether a run can take over a part of these settings as it is built.
    fn can_apply(&self, part: Part, settings: &Settings, state: &State) -> bool {
        let is_collecting = self.collector.is_some() && settings.collect.is_some();
        match part {
            // Roles are assumed at the start. Until then, events of a new source would be
            // written with another's.
            Part::Sources => is_collecting && settings.source_roles == state.source_roles,
            Part::Certificate => {
                let has_before = state.applied.http.certificate.is_some();
                is_collecting && has_before && settings.stated.http.certificate.is_some()
            }
            Part::Streams => true,
            Part::Log => self.set_log_filter.is_some(),
            Part::Plugin | Part::Run => false,
        }
    }

    async fn apply(&self, part: Part, settings: &Settings) -> Result<(), NotApplied> {
        match (part, &self.collector, &settings.collect) {
            (Part::Sources, Some(collector), Some(collect)) => {
                Ok(collector.set_sources(collect, &settings.source_names).await?)
            }
            (Part::Certificate, Some(collector), Some(collect)) => {
                let set = collector.set_certificate(collect);
                Ok(set.unwrap_or(Ok(()))?)
            }
            (Part::Streams, ..) => {
                let how = &settings.delivery;
                for delivery in self.deliveries.iter().filter_map(WeakDelivery::upgrade) {
                    delivery.set_stream_settings(how.stream, how.streams.clone());
                }
                Ok(())
            }
            (Part::Log, ..) => match &self.set_log_filter {
                Some(set_log_filter) => Ok(set_log_filter(settings.log.as_deref())?),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// Note that a part is in effect as other settings have it.
fn take_over(part: Part, from: &RawSettings, to: &mut RawSettings) {
    match part {
        Part::Sources => to.sources.clone_from(&from.sources),
        Part::Streams => {
            to.streams.clone_from(&from.streams);
            to.delivery.newline = from.delivery.newline;
            to.delivery.concurrency = from.delivery.concurrency;
            to.delivery.aggregate.clone_from(&from.delivery.aggregate);
        }
        Part::Certificate => {
            to.http.certificate.clone_from(&from.http.certificate);
            to.http.key.clone_from(&from.http.key);
        }
        Part::Log => to.log.clone_from(&from.log),
        Part::Plugin | Part::Run => {}
    }
}

fn list(keys: &[&ChangedKey]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Debug for ReloadableParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReloadableParts")
            .field("collector", &self.0.collector)
            .finish_non_exhaustive()
    }
}
