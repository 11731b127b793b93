use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::keyring::Keyring;
use super::origin::OriginRule;
use super::rate::RateLimit;
use super::{Decoded, Dialect};
use crate::secret::Secret;

/// Who may send events.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// What plugins and dead letters know it by.
    pub name: String,
    /// Whose endpoint it takes the place of.
    pub dialect: Dialect,
    /// What its SDKs identify themselves with.
    pub write_keys: Vec<Secret>,
    /// Whether it takes anything at present.
    pub enabled: bool,
    /// Whether one bad event has its whole request refused.
    pub strict: bool,
    /// The pages that may send; all if there are none.
    pub allowed_origins: Vec<OriginRule>,
    /// Events a second.
    pub rate_limit: Option<NonZero<u32>>,
}

/// What a source has sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceReport {
    /// Its name.
    pub name: String,
    /// Events that were accepted, and are in the spool.
    pub accepted: u64,
    /// Those among them that are no events, and go to the dead letters.
    pub unfit: u64,
    /// Bytes of accepted events.
    pub bytes: u64,
}

/// All sources of a collector.
#[derive(Debug)]
pub(super) struct Sources {
    sources: Vec<Arc<Source>>,
    keys: Keyring,
}

/// A source at work.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) settings: SourceSettings,
    pub(super) rate: Option<RateLimit>,
    accepted: AtomicU64,
    unfit: AtomicU64,
    bytes: AtomicU64,
}

impl Sources {
    pub(super) fn new(settings: Vec<SourceSettings>) -> Self {
        let mut keys = Keyring::default();
        for (place, source) in settings.iter().enumerate() {
            for key in &source.write_keys {
                keys.add(key, place);
            }
        }
        let sources = settings.into_iter().map(|settings| Arc::new(Source::new(settings)));
        Sources { sources: sources.collect(), keys }
    }

    pub(super) fn of_key(&self, key: &str) -> Option<&Arc<Source>> {
        self.keys.source(key).map(|place| &self.sources[place])
    }

    pub(super) fn report(&self) -> Vec<SourceReport> {
        self.sources.iter().map(|source| source.report()).collect()
    }
}

impl Source {
    fn new(settings: SourceSettings) -> Self {
        let rate = settings.rate_limit.map(|rate| RateLimit::new(rate, Instant::now()));
        let [accepted, unfit, bytes] = [(); 3].map(|()| AtomicU64::new(0));
        Source { settings, rate, accepted, unfit, bytes }
    }

    /// Whether a page of this origin may send. What is no page names none.
    pub(super) fn takes_from(&self, origin: Option<&str>) -> bool {
        let rules = &self.settings.allowed_origins;
        let is_covered = |origin| rules.iter().any(|rule| rule.covers(origin));
        rules.is_empty() || origin.is_none_or(is_covered)
    }

    /// Count what is in the spool.
    pub(super) fn count(&self, decoded: &Decoded) {
        let unfit = decoded.events.iter().filter(|event| event.refused.is_some()).count();
        self.accepted.fetch_add(decoded.events.len() as u64, Ordering::Relaxed);
        self.unfit.fetch_add(unfit as u64, Ordering::Relaxed);
        self.bytes.fetch_add(decoded.bytes.len() as u64, Ordering::Relaxed);
    }

    fn report(&self) -> SourceReport {
        SourceReport {
            name: self.settings.name.clone(),
            accepted: self.accepted.load(Ordering::Relaxed),
            unfit: self.unfit.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}
