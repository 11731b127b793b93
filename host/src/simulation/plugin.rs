//! The world's plugin: it treats each event as the world determined.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::account::Account;
use standpipe_plugin_host::scripted::{PluginScript, ScriptedAct};

#[derive(Debug)]
pub(super) struct Plugin {
    account: Account,
    spent_ns: AtomicU64,
}

impl Plugin {
    pub(super) fn new(account: Account) -> Self {
        Plugin { account, spent_ns: AtomicU64::new(0) }
    }

    /// The CPU time since the last call of this function.
    pub(super) fn take_spent(&self) -> Duration {
        Duration::from_nanos(self.spent_ns.swap(0, Ordering::Relaxed))
    }
}

impl PluginScript for Plugin {
    fn act(&self, _source: &str, text: &str) -> ScriptedAct {
        let id = id_of(text).expect("the world's own event");
        let event = &self.account.state().events[id];
        ScriptedAct { cpu: event.cpu, end: event.end.clone() }
    }

    fn spend(&self, cpu: Duration) {
        let ns = u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX);
        self.spent_ns.fetch_add(ns, Ordering::Relaxed);
    }
}

/// The number of the event with this text.
pub(super) fn id_of(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("{\"messageId\":\"")?;
    rest.split('"').next()?.parse().ok()
}
