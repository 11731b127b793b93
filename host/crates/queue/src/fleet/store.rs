//! The port to what a fleet shares: its rules, the states of its hosts, and components. JetStream and the tests' store
//! in memory implement it. Each call is one attempt: callers retry.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::QueueFuture;

/// A record of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuleKey {
    /// The active rules.
    Active,
    /// The candidate.
    Candidate,
}

/// A record of rules as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleEntry {
    /// Which record it is.
    pub key: RuleKey,
    /// Changes with each write. 0 if it was never written.
    pub revision: u64,
    /// The bytes. None if it was never written.
    pub value: Option<Bytes>,
}

/// The state of a host as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEntry {
    /// The name of the host.
    pub name: String,
    /// Changes with each write.
    pub revision: u64,
    /// The bytes.
    pub value: Bytes,
    /// How long ago it was written, by the clock of the store.
    pub age: Duration,
}

/// The result of a write that expects a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreUpdate {
    /// It was written, with this revision.
    Written(u64),
    /// Another write came first: nothing was written.
    Conflict,
}

/// What a fleet shares.
pub trait FleetStore: fmt::Debug + Send + Sync + 'static {
    /// Reads a record of rules. Returns the latest write, not one that a replica is behind with.
    fn read_rules(&self, key: RuleKey) -> QueueFuture<'_, RuleEntry>;

    /// Writes a record of rules, if it still has this revision.
    fn update_rules(
        &self,
        key: RuleKey,
        value: Bytes,
        revision: u64,
    ) -> QueueFuture<'_, StoreUpdate>;

    /// Watches the records of rules. The channel closes when the watch fails; writes can also be missed.
    fn watch_rules(&self) -> QueueFuture<'_, mpsc::Receiver<RuleEntry>>;

    /// Writes the state of a host, if the last write had this revision.
    fn write_host<'a>(
        &'a self,
        name: &'a str,
        value: Bytes,
        revision: u64,
    ) -> QueueFuture<'a, StoreUpdate>;

    /// Reads the state of a host: the revision of its last write, or of its removal, and the bytes.
    fn read_host<'a>(&'a self, name: &'a str) -> QueueFuture<'a, (u64, Option<Bytes>)>;

    /// Removes the state of a host.
    fn remove_host<'a>(&'a self, name: &'a str) -> QueueFuture<'a, ()>;

    /// Reads the states of all hosts.
    fn read_hosts(&self) -> QueueFuture<'_, Vec<HostEntry>>;

    /// Stores a component by its SHA-256. If it is there, it counts as stored now.
    fn put_component<'a>(&'a self, sha256: &'a str, component: Bytes) -> QueueFuture<'a, ()>;

    /// Reads a component. None if there is none with this SHA-256.
    fn fetch_component<'a>(&'a self, sha256: &'a str) -> QueueFuture<'a, Option<Bytes>>;

    /// Deletes components that are not named and were stored longer ago than `age_min`. Returns their SHA-256s.
    fn delete_components<'a>(
        &'a self,
        named: &'a BTreeSet<String>,
        age_min: Duration,
    ) -> QueueFuture<'a, Vec<String>>;
}
