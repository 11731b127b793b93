//! Recognizes events that a mapper has processed before, by their ids.
//!
//! The ids are remembered as hashes in two sets. New ones go into the current set. When that is as old as the window, or
//! full, it replaces the previous one, whose ids are forgotten. So an id is remembered for the window at least and for
//! twice the window at most, unless there are too many ids: then the oldest are forgotten earlier.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use crate::limits;
use standpipe_core::metrics;

/// Remembers events that have been processed.
#[derive(Debug)]
pub struct EventDeduplicator {
    window: Duration,
    /// Two keyed hashes of 64 bits. Clients do not know the keys, so they cannot choose ids with equal hashes.
    hashers: [RandomState; 2],
    remembered: Mutex<RememberedEvents>,
    duplicates: Counter,
}

/// The hash of an event's source and id. Two ids with one hash would lose an event, so it has 128 bits: with all ids that
/// are remembered, the probability is less than 10^-31 for each event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventIdHash([u64; 2]);

#[derive(Debug)]
struct RememberedEvents {
    current: HashSet<EventIdHash>,
    current_since: Instant,
    previous: HashSet<EventIdHash>,
    set_ids_max: usize,
}

impl EventDeduplicator {
    /// Remembers events for this time at least, within [`limits::REMEMBERED_EVENTS_MAX`].
    pub fn new(window: Duration) -> Self {
        EventDeduplicator {
            window,
            hashers: [RandomState::new(), RandomState::new()],
            remembered: Mutex::new(RememberedEvents::new(limits::REMEMBERED_EVENTS_MAX / 2)),
            duplicates: Counter::default(),
        }
    }

    /// Hashes an id. Events of two sources are different events, because each source has its own mapping and role.
    pub fn hash_id(&self, source: &str, id: &str) -> EventIdHash {
        EventIdHash([0, 1].map(|half| self.hashers[half].hash_one((source, id))))
    }

    /// Whether an event with this id has been processed.
    pub fn is_processed(&self, id: EventIdHash) -> bool {
        self.remembered.lock().contains(id, self.window, Instant::now())
    }

    /// Remembers events that have been processed.
    pub fn remember(&self, ids: impl Iterator<Item = EventIdHash>) {
        let mut remembered = self.remembered.lock();
        let now = Instant::now();
        ids.for_each(|id| remembered.insert(id, self.window, now));
    }

    /// Counts events that were dropped.
    pub fn count_duplicates(&self, events: u64) {
        self.duplicates.inc_by(events);
    }

    /// The number of events that were dropped.
    pub fn duplicates(&self) -> u64 {
        self.duplicates.get()
    }

    /// The number of ids that are remembered.
    fn remembered(&self) -> usize {
        let mut remembered = self.remembered.lock();
        remembered.rotate(self.window, Instant::now());
        remembered.current.len() + remembered.previous.len()
    }

    /// Registers the metrics of duplicates.
    pub(crate) fn register_metrics(self: std::sync::Arc<Self>, registry: &mut Registry) {
        metrics::register(registry, move |page| {
            let help = "Events that this process dropped, because it had processed an event with the same messageId";
            page.counter("queue_duplicate_events", help, self.duplicates())?;
            let help = "Values of messageId by which this process recognizes duplicates";
            page.gauge("queue_remembered_events", help, self.remembered() as f64)
        });
    }
}

impl RememberedEvents {
    fn new(set_ids_max: usize) -> Self {
        RememberedEvents {
            current: HashSet::new(),
            current_since: Instant::now(),
            previous: HashSet::new(),
            set_ids_max,
        }
    }

    fn contains(&mut self, id: EventIdHash, window: Duration, now: Instant) -> bool {
        self.rotate(window, now);
        self.current.contains(&id) || self.previous.contains(&id)
    }

    fn insert(&mut self, id: EventIdHash, window: Duration, now: Instant) {
        self.rotate(window, now);
        if self.current.len() >= self.set_ids_max {
            self.begin_set(now);
        }
        self.current.insert(id);
    }

    /// Forgets ids that are too old.
    fn rotate(&mut self, window: Duration, now: Instant) {
        let age = now.saturating_duration_since(self.current_since);
        if age >= 2 * window {
            self.begin_set(now);
            self.previous = HashSet::new();
        } else if age >= window {
            // Not `now`: the set would live for longer if nobody has looked for some time.
            self.begin_set(self.current_since + window);
        }
    }

    fn begin_set(&mut self, since: Instant) {
        self.previous = std::mem::take(&mut self.current);
        self.current_since = since;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn id(number: u64) -> EventIdHash {
        EventIdHash([number, number])
    }

    #[test]
    fn an_id_is_known_for_the_window_and_forgotten_after_twice_the_window() {
        let mut events = RememberedEvents::new(100);
        let start = events.current_since;
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(!events.contains(id(1), WINDOW, after(0)));
        events.insert(id(1), WINDOW, after(9));
        for seconds in [9, 12, 19] {
            assert!(events.contains(id(1), WINDOW, after(seconds)), "{seconds}");
        }
        assert!(!events.contains(id(2), WINDOW, after(19)));
        assert!(!events.contains(id(1), WINDOW, after(29)));
        // Nobody asked for longer than two windows.
        events.insert(id(3), WINDOW, after(30));
        assert!(!events.contains(id(3), WINDOW, after(60)));
    }

    #[test]
    fn when_there_are_too_many_ids_the_oldest_are_forgotten() {
        let mut events = RememberedEvents::new(100);
        let now = events.current_since;
        (0..1000).for_each(|number| events.insert(id(number), WINDOW, now));
        assert!(events.current.len() + events.previous.len() <= 200);
        assert!((900..1000).all(|number| events.contains(id(number), WINDOW, now)));
        assert!(!(0..800).any(|number| events.contains(id(number), WINDOW, now)));
    }

    #[test]
    fn ids_of_two_sources_are_different() {
        let deduplicator = EventDeduplicator::new(WINDOW);
        let web = deduplicator.hash_id("web", "m1");
        assert_eq!(web, deduplicator.hash_id("web", "m1"));
        assert_ne!(web, deduplicator.hash_id("we", "bm1"));
        deduplicator.remember([web].into_iter());
        assert!(deduplicator.is_processed(web));
        assert!(!deduplicator.is_processed(deduplicator.hash_id("app", "m1")));
        assert!(!deduplicator.is_processed(deduplicator.hash_id("web", "m2")));
        assert_eq!(deduplicator.remembered(), 1);
    }

    proptest! {
        /// Compared with a list of all ids and their times.
        #[test]
        fn no_unknown_id_is_found_and_none_is_forgotten_within_the_window(
            steps in prop::collection::vec((0u64..30, 0u64..6), 1..200),
        ) {
            let mut events = RememberedEvents::new(1000);
            let mut now = events.current_since;
            let mut processed = Vec::new();
            for (number, seconds) in steps {
                now += Duration::from_secs(seconds);
                let last = processed.iter().rev().find(|(own, _)| *own == number);
                let age = last.map(|(_, at)| now - *at);
                let found = events.contains(id(number), WINDOW, now);
                prop_assert!(!found || age.is_some_and(|age| age <= 2 * WINDOW), "{:?}", age);
                prop_assert!(found || age.is_none_or(|age| age >= WINDOW), "{:?}", age);
                events.insert(id(number), WINDOW, now);
                processed.push((number, now));
            }
        }
    }
}
