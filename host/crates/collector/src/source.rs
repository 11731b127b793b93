//! The sources of the settings with their keys, rate limits and counters. The table is replaced as
//! a whole when the settings change; counters stay, also of sources that are gone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::rate_limit::SourceRateLimiter;
use super::refusal_counters::RefusalCounters;
use super::settings::SourceSettings;
use standpipe_core::secret::Secret;

/// A write key that another one is the same as.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("[[sources]] {name:?}: one of its write keys is there twice: a key belongs to one source")]
pub struct DuplicateWriteKey {
    /// Whose key it is.
    name: String,
}

/// All sources of a collector. They can be replaced while requests come in.
#[derive(Debug, Default)]
pub(super) struct SourceRegistry {
    current: ArcSwap<SourceTable>,
    /// Of each source by its name, also of those that are gone: counters only go up.
    /// There are as many as the settings have ever had.
    pub(super) counts: Mutex<BTreeMap<String, Arc<SourceCounts>>>,
    /// Requests with a key that no source has, or with none.
    pub(super) unknown_keys: Counter,
    /// Refused requests of no known source.
    pub(super) refusals: RefusalCounters,
}

/// The sources of one state of the settings, and their keys.
#[derive(Debug, Default)]
struct SourceTable {
    sources: Vec<Arc<CollectorSource>>,
    /// The keys of the settings, and those that are kept elsewhere.
    keys: Keyring,
}

/// The position of the source that each write key belongs to, by the key's SHA-256.
///
/// How long finding one takes tells something about the hash of what was sent, which nobody
/// can choose byte by byte, and nothing about a key: the comparison is constant in time as
/// far as keys go.
type Keyring = HashMap<[u8; 32], usize>;

/// A source at work.
#[derive(Debug)]
pub(super) struct CollectorSource {
    pub(super) settings: SourceSettings,
    pub(super) rate: Option<Arc<SourceRateLimiter>>,
    pub(super) counts: Arc<SourceCounts>,
}

#[derive(Debug, Default)]
pub(super) struct SourceCounts {
    /// Events that were accepted, and are in the spool.
    pub(super) accepted: Counter,
    /// Those among them that are no events, and go to the dead letters.
    pub(super) unfit: Counter,
    /// Bytes of accepted events.
    pub(super) bytes: Counter,
    pub(super) refusals: RefusalCounters,
}

impl SourceRegistry {
    pub(super) fn new(settings: Vec<SourceSettings>) -> Self {
        let sources = SourceRegistry::default();
        // The settings have been checked for keys that stand twice.
        let _ = sources.replace(settings, &[]);
        sources
    }

    /// Take these sources in place of those before, with keys that are kept elsewhere,
    /// each with the position of its source. Counts and rate limits of a source go on.
    ///
    /// # Errors
    ///
    /// A key is there twice. Nothing changes then.
    pub(super) fn replace(
        &self,
        settings: Vec<SourceSettings>,
        kept: &[(usize, Secret)],
    ) -> Result<(), DuplicateWriteKey> {
        // Also keeps two from replacing what the other one has read.
        let mut counts = self.counts.lock();
        let before = self.current.load();
        let sources = settings.into_iter().map(|settings| {
            let same = before.sources.iter().find(|before| before.settings.name == settings.name);
            let rate = match same {
                Some(same) if same.settings.rate == settings.rate => same.rate.clone(),
                _ => SourceRateLimiter::new(settings.rate, Instant::now()).map(Arc::new),
            };
            let counts = Arc::clone(counts.entry(settings.name.clone()).or_default());
            Arc::new(CollectorSource { settings, rate, counts })
        });
        let sources: Vec<_> = sources.collect();
        let keys = keyring(&sources, kept)?;
        self.current.store(Arc::new(SourceTable { sources, keys }));
        Ok(())
    }

    /// Take these keys, each with the position of its source, besides those of the
    /// settings, and in place of those that were taken before. Tells whether
    /// that changes anything.
    pub(super) fn set_kept_keys(
        &self,
        kept: &[(usize, Secret)],
    ) -> Result<bool, DuplicateWriteKey> {
        let _counts = self.counts.lock();
        let before = self.current.load();
        let keys = keyring(&before.sources, kept)?;
        let changes = before.keys != keys;
        if changes {
            self.current.store(Arc::new(SourceTable { sources: before.sources.clone(), keys }));
        }
        Ok(changes)
    }

    /// The source of a write key. A key that no source has is counted.
    pub(super) fn of_key(&self, key: &str) -> Option<Arc<CollectorSource>> {
        let SourceTable { sources, keys } = &**self.current.load();
        let source = keys.get(&digest(key)).map(|place| Arc::clone(&sources[*place]));
        if source.is_none() {
            self.unknown_keys.inc();
        }
        source
    }

    /// Whether the settings of any source name this origin.
    pub(super) fn name_origin(&self, origin: &str) -> bool {
        let current = self.current.load();
        let mut rules = current.sources.iter().flat_map(|source| &source.settings.allowed_origins);
        rules.any(|rule| rule.covers(origin))
    }
}

/// The keys of sources, and those that are kept elsewhere, each with the position of its
/// source.
fn keyring(
    sources: &[Arc<CollectorSource>],
    kept: &[(usize, Secret)],
) -> Result<Keyring, DuplicateWriteKey> {
    let mut keys = Keyring::default();
    let own = sources
        .iter()
        .enumerate()
        .flat_map(|(place, source)| source.settings.write_keys.iter().map(move |key| (place, key)));
    let kept = kept.iter().map(|(place, key)| (*place, key));
    let mut taken = None;
    for (place, key) in own.chain(kept) {
        if keys.insert(digest(key.expose()), place).is_some() {
            taken = Some(DuplicateWriteKey { name: sources[place].settings.name.clone() });
        }
    }
    taken.map_or(Ok(keys), Err)
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

impl CollectorSource {
    /// Whether a page of this origin may send. What is no page names none.
    pub(super) fn takes_from(&self, origin: Option<&str>) -> bool {
        let rules = &self.settings.allowed_origins;
        let is_covered = |origin| rules.iter().any(|rule| rule.covers(origin));
        rules.is_empty() || origin.is_none_or(is_covered)
    }
}
