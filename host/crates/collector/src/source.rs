//! The sources of the settings with their keys, rate limits and counters. The whole table is
//! replaced when the settings change. Counters are kept, also those of removed sources.

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
use standpipe_plugin_host::RequestFunction;

/// A duplicate write key.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("[[sources]] {name:?}: duplicate write key: a key belongs to one source")]
pub struct DuplicateWriteKey {
    /// The name of the key's source.
    name: String,
}

/// The sources of a collector. They can be replaced while requests arrive.
#[derive(Debug, Default)]
pub(super) struct SourceRegistry {
    current: ArcSwap<SourceTable>,
    /// The counters of each source by its name, including removed sources, because counters must
    /// not decrease.
    pub(super) counts: Mutex<BTreeMap<String, Arc<SourceCounts>>>,
    /// The functions of sources, by the names of the sources.
    functions: ArcSwap<HashMap<String, RequestFunction>>,
    /// Functions that could not be loaded while the collector was running.
    pub(super) function_load_failures: Counter,
    /// Requests with an unknown key, or without a key.
    pub(super) unknown_keys: Counter,
    /// Refused requests of unknown sources.
    pub(super) refusals: RefusalCounters,
}

/// The sources of one version of the settings, and their keys.
#[derive(Debug, Default)]
struct SourceTable {
    sources: Vec<Arc<CollectorSource>>,
    /// The keys in the settings, and those in a secret store.
    keys: Keyring,
}

/// The position of each write key's source, by the key's SHA-256.
///
/// The time of a lookup depends on the hash of the sent key. A client cannot choose the hash byte
/// by byte, so the time reveals nothing about a key.
type Keyring = HashMap<[u8; 32], usize>;

/// A source with its rate limit and counters.
#[derive(Debug)]
pub(super) struct CollectorSource {
    pub(super) settings: SourceSettings,
    pub(super) rate: Option<Arc<SourceRateLimiter>>,
    pub(super) counts: Arc<SourceCounts>,
}

#[derive(Debug, Default)]
pub(super) struct SourceCounts {
    /// Accepted events.
    pub(super) accepted: Counter,
    /// Accepted events that become dead letters.
    pub(super) unfit: Counter,
    /// Bytes of accepted events.
    pub(super) bytes: Counter,
    /// Requests that the function has handled, also those that it has refused or failed on.
    pub(super) function_requests: Counter,
    pub(super) refusals: RefusalCounters,
}

impl SourceRegistry {
    pub(super) fn new(settings: Vec<SourceSettings>) -> Self {
        let sources = SourceRegistry::default();
        // The settings were already checked for duplicate keys.
        let _ = sources.replace(settings, &[]);
        sources
    }

    /// Replaces the sources, and the keys in a secret store, each with the position of its source.
    /// Counters and unchanged rate limits of a source continue.
    ///
    /// # Errors
    ///
    /// Fails if a key is a duplicate. Nothing changes then.
    pub(super) fn replace(
        &self,
        settings: Vec<SourceSettings>,
        kept: &[(usize, Secret)],
    ) -> Result<(), DuplicateWriteKey> {
        // The lock also prevents concurrent replacements.
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
        let keys = build_keyring(&sources, kept)?;
        self.current.store(Arc::new(SourceTable { sources, keys }));
        Ok(())
    }

    /// Sets the keys in a secret store, each with the position of its source. Returns whether that
    /// changes anything.
    pub(super) fn set_kept_keys(
        &self,
        kept: &[(usize, Secret)],
    ) -> Result<bool, DuplicateWriteKey> {
        let _counts = self.counts.lock();
        let before = self.current.load();
        let keys = build_keyring(&before.sources, kept)?;
        let changes = before.keys != keys;
        if changes {
            self.current.store(Arc::new(SourceTable { sources: before.sources.clone(), keys }));
        }
        Ok(changes)
    }

    /// Finds the source of a write key. An unknown key is counted.
    pub(super) fn find_by_key(&self, key: &str) -> Option<Arc<CollectorSource>> {
        let SourceTable { sources, keys } = &**self.current.load();
        let source = keys.get(&hash_key(key)).map(|place| Arc::clone(&sources[*place]));
        if source.is_none() {
            self.unknown_keys.inc();
        }
        source
    }

    /// Replaces the functions of all sources, by the names of the sources.
    pub(super) fn set_functions(&self, functions: HashMap<String, RequestFunction>) {
        self.functions.store(Arc::new(functions));
    }

    /// The function of a source, if it has one.
    pub(super) fn function_of(&self, source: &CollectorSource) -> Option<RequestFunction> {
        self.functions.load().get(&source.settings.name).cloned()
    }

    /// Returns whether any source allows this origin.
    pub(super) fn allows_origin(&self, origin: &str) -> bool {
        let current = self.current.load();
        let mut rules = current.sources.iter().flat_map(|source| &source.settings.allowed_origins);
        rules.any(|rule| rule.covers(origin))
    }
}

/// Builds the keyring of the keys of the settings and of a secret store.
fn build_keyring(
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
        if keys.insert(hash_key(key.expose()), place).is_some() {
            taken = Some(DuplicateWriteKey { name: sources[place].settings.name.clone() });
        }
    }
    taken.map_or(Ok(keys), Err)
}

fn hash_key(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

impl CollectorSource {
    /// Returns whether the source accepts events of this origin. Only pages send one.
    pub(super) fn accepts_origin(&self, origin: Option<&str>) -> bool {
        let rules = &self.settings.allowed_origins;
        let is_covered = |origin| rules.iter().any(|rule| rule.covers(origin));
        rules.is_empty() || origin.is_none_or(is_covered)
    }
}
