//! Which plugins have which role at present. Workers look at a version number between two batches,
//! so one generation decides a batch as a whole.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Canary, Generation, Shadow};
use crate::limits;

/// Who decides about events from now on. Workers look at it between two batches,
/// so a batch is decided about by one generation whole.
#[derive(Debug)]
pub struct Switch {
    /// Goes up with every stage that is published.
    version: AtomicU64,
    stage: Mutex<Stage>,
    pauses: Mutex<Pauses>,
}

/// Who decides.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The plugin in use.
    pub active: Arc<Generation>,
    /// One that is tried with the events of some users.
    pub canary: Option<Arc<Canary>>,
    /// One that is asked, and not listened to.
    pub shadow: Option<Arc<Shadow>>,
}

/// How long workers took to turn to another stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pauses {
    /// The last of them, in microseconds; in no order once they are many.
    micros: Vec<u32>,
    count: u64,
}

impl Switch {
    /// A switch that stands at this stage.
    pub fn new(stage: Stage) -> Self {
        Switch { version: AtomicU64::new(0), stage: Mutex::new(stage), pauses: Mutex::default() }
    }

    /// The stage at present, with its version.
    pub fn stage(&self) -> (u64, Stage) {
        let stage = lock(&self.stage);
        (self.version.load(Ordering::Acquire), stage.clone())
    }

    /// Whether another stage has been published since this version.
    #[inline]
    pub fn has_changed(&self, version: u64) -> bool {
        self.version.load(Ordering::Acquire) != version
    }

    /// Publish a stage, and hand back the one before.
    pub fn publish(&self, stage: Stage) -> Stage {
        let mut current = lock(&self.stage);
        self.version.fetch_add(1, Ordering::AcqRel);
        std::mem::replace(&mut current, stage)
    }

    /// Count the time that a worker took to turn to another stage.
    pub fn count_pause(&self, took: Duration) {
        let mut pauses = lock(&self.pauses);
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let at = pauses.count as usize % limits::PLUGIN_PAUSES_KEPT;
        match pauses.micros.get_mut(at) {
            Some(oldest) => *oldest = micros,
            None => pauses.micros.push(micros),
        }
        pauses.count += 1;
    }

    /// How long workers took to turn.
    pub fn pauses(&self) -> Pauses {
        lock(&self.pauses).clone()
    }
}

impl Pauses {
    /// How often a worker turned.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The pause that this share of the last ones, from 0 to 1, did not exceed, in
    /// microseconds.
    pub fn quantile_micros(&self, share: f64) -> u32 {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        sorted.get((last as f64 * share).ceil() as usize).copied().unwrap_or_default()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

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
