//! The published plugins: active, canary and shadow.
//!
//! They are published as one value. So one generation decides a whole batch, and no event waits for
//! a change: between two batches, a worker checks for a change with a single load.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use parking_lot::Mutex;

use super::{Canary, Generation, Shadow};

/// Number of recorded pauses of workers that switched to another plugin, for quantiles.
const PLUGIN_PAUSES_KEPT: usize = 4096;

/// The plugins of a run, by role.
#[derive(Debug, Clone)]
pub struct PluginRoles {
    /// The active plugin.
    pub active: Arc<Generation>,
    /// The plugin that decides the events of some users.
    pub canary: Option<Arc<Canary>>,
    /// The plugin whose decisions are only compared.
    pub shadow: Option<Arc<Shadow>>,
}

/// The currently published roles.
#[derive(Debug)]
pub struct PublishedRoles {
    current: Arc<ArcSwap<PluginRoles>>,
    pauses: Mutex<Pauses>,
}

/// One worker's view of the published roles.
#[derive(Debug)]
pub struct RolesReader {
    published: Cache<Arc<ArcSwap<PluginRoles>>, Arc<PluginRoles>>,
    /// The roles that the worker uses. Holding them keeps their address from being reused.
    in_use: Arc<PluginRoles>,
}

/// How long workers paused to switch to other plugins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pauses {
    /// The last pauses, in microseconds. They are unordered when the buffer is full.
    micros: Vec<u32>,
    count: u64,
}

impl PublishedRoles {
    /// Publishes the first roles.
    pub fn new(roles: PluginRoles) -> Self {
        let current = Arc::new(ArcSwap::from_pointee(roles));
        PublishedRoles { current, pauses: Mutex::default() }
    }

    /// The current roles.
    pub fn load(&self) -> Arc<PluginRoles> {
        self.current.load_full()
    }

    /// Publishes other roles, and returns the former ones.
    pub fn publish(&self, roles: PluginRoles) -> Arc<PluginRoles> {
        self.current.swap(Arc::new(roles))
    }

    /// Creates a view that starts with the current roles.
    pub fn reader(&self) -> RolesReader {
        let mut published = Cache::new(Arc::clone(&self.current));
        let in_use = Arc::clone(published.load());
        RolesReader { published, in_use }
    }

    /// Counts a worker's pause for switching to other plugins.
    pub fn count_pause(&self, took: Duration) {
        let mut pauses = self.pauses.lock();
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let at = pauses.count as usize % PLUGIN_PAUSES_KEPT;
        match pauses.micros.get_mut(at) {
            Some(oldest) => *oldest = micros,
            None => pauses.micros.push(micros),
        }
        pauses.count += 1;
    }

    /// The pauses so far.
    pub fn pauses(&self) -> Pauses {
        self.pauses.lock().clone()
    }
}

impl RolesReader {
    /// Whether the published roles differ from those in use.
    #[inline]
    pub fn has_changed(&mut self) -> bool {
        !Arc::ptr_eq(self.published.load(), &self.in_use)
    }

    /// Switches to the published roles.
    pub fn refresh(&mut self) -> PluginRoles {
        self.in_use = Arc::clone(self.published.load());
        self.in_use()
    }

    /// The roles in use.
    pub fn in_use(&self) -> PluginRoles {
        PluginRoles::clone(&self.in_use)
    }
}

impl Pauses {
    /// How often a worker switched.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The pause, in microseconds, that this share of the recorded ones, from 0 to 1, did not
    /// exceed.
    pub fn quantile_micros(&self, share: f64) -> u32 {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        sorted.get((last as f64 * share).ceil() as usize).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;
    use crate::scripted::{PluginScript, ScriptedAct};
    use crate::{AdmittedPlugin, CircuitBreakerSettings, Plugin};
    use standpipe_core::test_deadline::run_with_deadline;

    /// This plugin is never called.
    struct Unused;

    impl PluginScript for Unused {
        fn act(&self, _: &str, _: &str) -> ScriptedAct {
            unreachable!("no event is decided about")
        }

        fn spend(&self, _: Duration) {}
    }

    fn roles(number: u64) -> PluginRoles {
        let admitted =
            AdmittedPlugin::without_component(Plugin::scripted(Arc::new(Unused))).unwrap();
        let settings = CircuitBreakerSettings::default();
        let active = Generation::new(number, admitted, settings, NonZero::<usize>::MIN);
        PluginRoles { active: Arc::new(active), canary: None, shadow: None }
    }

    #[test]
    fn a_reader_goes_on_with_its_roles_until_it_turns() {
        let published = PublishedRoles::new(roles(1));
        let mut reader = published.reader();
        assert!(!reader.has_changed());
        assert_eq!(published.publish(roles(2)).active.number(), 1);
        assert_eq!(published.publish(roles(3)).active.number(), 2);
        assert!(reader.has_changed());
        assert_eq!(reader.in_use().active.number(), 1);
        assert_eq!(reader.refresh().active.number(), 3);
        assert!(!reader.has_changed());
        assert_eq!(published.load().active.number(), 3);
    }

    #[test]
    fn readers_see_what_is_published_in_its_order() {
        run_with_deadline(publish_to_two_readers);
    }

    fn publish_to_two_readers() {
        let published = PublishedRoles::new(roles(0));
        let is_over = AtomicBool::new(false);
        let read = || {
            let mut reader = published.reader();
            let mut last = reader.in_use().active.number();
            // Roles that were published before the end are visible after it.
            loop {
                let was_over = is_over.load(Ordering::Acquire);
                if reader.has_changed() {
                    let next = reader.refresh().active.number();
                    assert!(last < next, "{next} after {last}");
                    last = next;
                } else if was_over {
                    return last;
                }
            }
        };
        thread::scope(|scope| {
            let readers = [scope.spawn(read), scope.spawn(read)];
            for number in 1..=100 {
                published.publish(roles(number));
            }
            is_over.store(true, Ordering::Release);
            for reader in readers {
                assert_eq!(reader.join().unwrap(), 100);
            }
        });
    }

    #[test]
    fn quantiles_of_pauses() {
        let mut pauses = Pauses::default();
        assert_eq!(pauses.quantile_micros(0.99), 0);
        pauses.micros = (1..=100).rev().collect();
        assert_eq!(pauses.quantile_micros(0.0), 1);
        assert_eq!(pauses.quantile_micros(0.99), 100);
        assert_eq!(pauses.quantile_micros(0.5), 51);
        assert_eq!(pauses.quantile_micros(1.0), 100);
    }
}
