//! A store of a fleet in memory that injects faults, for tests: requests that fail, responses that are lost, changes
//! that no watch shows, hosts that are cut off, and writes that are lost afterwards.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::store::{FleetStore, HostEntry, RuleEntry, RuleKey, StoreUpdate};
use crate::{QueueError, QueueErrorKind, QueueFuture, limits};

/// A fault of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFault {
    /// The request has no effect, and fails.
    Refused,
    /// The request has its effect, and the response is lost.
    ResponseLost,
}

/// The state of a store that all its clients share.
#[derive(Debug, Default)]
pub struct MemoryFleet(Mutex<MemoryFleetState>);

#[derive(Debug, Default)]
struct MemoryFleetState {
    last_revision: u64,
    rules: HashMap<RuleKey, (u64, Bytes)>,
    hosts: BTreeMap<String, (u64, Option<Bytes>, Instant)>,
    components: BTreeMap<String, (Bytes, Instant)>,
    /// By the client that watches.
    watches: Vec<(String, mpsc::Sender<RuleEntry>)>,
    cut_off: HashSet<String>,
    faults: HashMap<String, Vec<Option<StoreFault>>>,
    /// Whether changes are hidden from watches.
    hides_changes: bool,
}

/// One client's access to a store.
#[derive(Debug, Clone)]
pub struct MemoryClient {
    fleet: Arc<MemoryFleet>,
    name: String,
}

impl MemoryFleet {
    /// Creates an empty store.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Returns the access of a client.
    pub fn client(self: &Arc<Self>, name: &str) -> MemoryClient {
        MemoryClient { fleet: Arc::clone(self), name: name.to_owned() }
    }

    /// Cuts a client off: its requests get no response. Or ends that.
    pub fn cut_off(&self, client: &str, is_cut_off: bool) {
        let mut state = self.0.lock();
        match is_cut_off {
            true => {
                state.cut_off.insert(client.to_owned());
                state.watches.retain(|(watching, _)| watching != client);
            }
            false => drop(state.cut_off.remove(client)),
        }
    }

    /// Has the next requests of a client fail, in this order.
    pub fn inject(&self, client: &str, faults: impl IntoIterator<Item = StoreFault>) {
        self.inject_after(client, 0, faults);
    }

    /// Has requests of a client fail, in this order, after this many good ones.
    pub fn inject_after(
        &self,
        client: &str,
        requests: usize,
        faults: impl IntoIterator<Item = StoreFault>,
    ) {
        let good = std::iter::repeat_n(None, requests);
        let mut faults: Vec<_> = good.chain(faults.into_iter().map(Some)).collect();
        faults.reverse();
        self.0.lock().faults.insert(client.to_owned(), faults);
    }

    /// Hides changes from watches, so that only reads show them.
    pub fn hide_changes(&self, hides_changes: bool) {
        self.0.lock().hides_changes = hides_changes;
    }

    /// The bytes of a record of rules.
    pub fn rules(&self, key: RuleKey) -> Option<Bytes> {
        self.0.lock().rules.get(&key).map(|(_, value)| value.clone())
    }

    /// Replaces a record of rules, as a store does that has lost its last writes, or someone who writes what he wants.
    pub fn replace_rules(&self, key: RuleKey, value: Bytes) {
        self.0.lock().write_rules(key, value);
    }

    /// The SHA-256s of all components.
    pub fn components(&self) -> Vec<String> {
        self.0.lock().components.keys().cloned().collect()
    }

    /// Removes a component.
    pub fn remove_component(&self, sha256: &str) {
        self.0.lock().components.remove(sha256);
    }
}

impl MemoryFleetState {
    fn next_revision(&mut self) -> u64 {
        self.last_revision += 1;
        self.last_revision
    }

    fn write_rules(&mut self, key: RuleKey, value: Bytes) -> u64 {
        let revision = self.next_revision();
        self.rules.insert(key, (revision, value.clone()));
        if !self.hides_changes {
            let entry = RuleEntry { key, revision, value: Some(value) };
            self.watches.retain(|(_, watch)| watch.try_send(entry.clone()).is_ok());
        }
        revision
    }

    fn rule_entry(&self, key: RuleKey) -> RuleEntry {
        let found = self.rules.get(&key).cloned();
        let (revision, value) =
            found.map_or((0, None), |(revision, value)| (revision, Some(value)));
        RuleEntry { key, revision, value }
    }
}

impl MemoryClient {
    /// Makes a request, with the faults that are due.
    async fn request<T>(
        &self,
        request: impl FnOnce(&mut MemoryFleetState) -> T,
    ) -> Result<T, QueueError> {
        let (done, is_lost) = {
            let mut state = self.fleet.0.lock();
            if state.cut_off.contains(&self.name) {
                (None, true)
            } else {
                match state.faults.get_mut(&self.name).and_then(Vec::pop).flatten() {
                    Some(StoreFault::Refused) => return Err(injected_failure("refused")),
                    fault => (Some(request(&mut state)), fault.is_some()),
                }
            }
        };
        match done {
            Some(done) if !is_lost => Ok(done),
            _ => {
                sleep(limits::REQUEST_TIMEOUT).await;
                Err(injected_failure("no response"))
            }
        }
    }
}

impl FleetStore for MemoryClient {
    fn read_rules(&self, key: RuleKey) -> QueueFuture<'_, RuleEntry> {
        Box::pin(self.request(move |state| state.rule_entry(key)))
    }

    fn update_rules(
        &self,
        key: RuleKey,
        value: Bytes,
        revision: u64,
    ) -> QueueFuture<'_, StoreUpdate> {
        Box::pin(self.request(move |state| match state.rule_entry(key).revision == revision {
            true => StoreUpdate::Written(state.write_rules(key, value)),
            false => StoreUpdate::Conflict,
        }))
    }

    fn watch_rules(&self) -> QueueFuture<'_, mpsc::Receiver<RuleEntry>> {
        Box::pin(self.request(|state| {
            let (sender, receiver) = mpsc::channel(limits::FLEET_CHANGES_MAX);
            for key in [RuleKey::Active, RuleKey::Candidate] {
                let entry = state.rule_entry(key);
                if entry.value.is_some() {
                    sender.try_send(entry).expect("the channel has room");
                }
            }
            state.watches.push((self.name.clone(), sender));
            receiver
        }))
    }

    fn write_host<'a>(
        &'a self,
        name: &'a str,
        value: Bytes,
        revision: u64,
    ) -> QueueFuture<'a, StoreUpdate> {
        Box::pin(self.request(move |state| {
            let found = state.hosts.get(name).map_or(0, |(revision, ..)| *revision);
            if found != revision {
                return StoreUpdate::Conflict;
            }
            let revision = state.next_revision();
            state.hosts.insert(name.to_owned(), (revision, Some(value), Instant::now()));
            StoreUpdate::Written(revision)
        }))
    }

    fn read_host<'a>(&'a self, name: &'a str) -> QueueFuture<'a, (u64, Option<Bytes>)> {
        Box::pin(self.request(move |state| {
            let found = state.hosts.get(name).cloned();
            found.map_or((0, None), |(revision, value, _)| (revision, value))
        }))
    }

    fn remove_host<'a>(&'a self, name: &'a str) -> QueueFuture<'a, ()> {
        Box::pin(self.request(move |state| {
            let revision = state.next_revision();
            state.hosts.insert(name.to_owned(), (revision, None, Instant::now()));
        }))
    }

    fn read_hosts(&self) -> QueueFuture<'_, Vec<HostEntry>> {
        Box::pin(self.request(|state| {
            let entries = state.hosts.iter().filter_map(|(name, (revision, value, written))| {
                let (name, revision, value) = (name.clone(), *revision, value.clone()?);
                Some(HostEntry { name, revision, value, age: written.elapsed() })
            });
            entries.collect()
        }))
    }

    fn put_component<'a>(&'a self, sha256: &'a str, component: Bytes) -> QueueFuture<'a, ()> {
        Box::pin(self.request(move |state| {
            state.components.insert(sha256.to_owned(), (component, Instant::now()));
        }))
    }

    fn fetch_component<'a>(&'a self, sha256: &'a str) -> QueueFuture<'a, Option<Bytes>> {
        Box::pin(self.request(move |state| {
            state.components.get(sha256).map(|(component, _)| component.clone())
        }))
    }

    fn delete_components<'a>(
        &'a self,
        named: &'a BTreeSet<String>,
        age_min: Duration,
    ) -> QueueFuture<'a, Vec<String>> {
        Box::pin(self.request(move |state| {
            let is_unused = |sha256: &String, (_, stored): &mut (Bytes, Instant)| {
                !named.contains(sha256) && stored.elapsed() >= age_min
            };
            state.components.extract_if(.., is_unused).map(|(sha256, _)| sha256).collect()
        }))
    }
}

fn injected_failure(message: &str) -> QueueError {
    QueueError::new(QueueErrorKind::Transient, "Test", message.to_owned())
}
