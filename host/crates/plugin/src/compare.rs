//! Compares the decisions of two plugins about the same events.
//!
//! A [`Comparison`] counts each event as unchanged or as a [`DecisionChange`] of one kind, with its
//! old and new streams. Samples contain an event's type and name, but nothing else of it.
//!
//! Unchanged events cost no allocation, and memory is limited, so a comparison can run in
//! production. Each thread has its own comparison, and they are merged.

mod change;
mod report;

pub use change::{ChangeKind, ChangeSample, DecisionChange, PayloadChange};

use std::collections::BTreeMap;

use super::{Decision, Decisions, Fault, Output, Plugin};
use crate::limits;
use change::{EventFate, shorten_text};
use standpipe_core::event::Event;

/// Maximum number of changes with different streams that are counted separately. Events of further
/// changes are counted together. This limits the memory of a comparison that runs for days.
const COMPARISON_CHANGES_MAX: usize = 500;

/// The result of a comparison so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    samples_max: usize,
    compared: u64,
    counts: [u64; ChangeKind::ALL.len()],
    /// The changes by kind, old streams and new streams.
    changes: BTreeMap<(ChangeKind, String, String), (u64, Vec<ChangeSample>)>,
    /// Events of changes above the limit.
    beyond: u64,
}

impl Default for Comparison {
    fn default() -> Self {
        Comparison::new(limits::COMPARISON_SAMPLES)
    }
}

impl Comparison {
    /// Creates an empty comparison that keeps this number of samples for each change.
    pub fn new(samples_max: usize) -> Self {
        let counts = [0; ChangeKind::ALL.len()];
        Comparison { samples_max, compared: 0, counts, changes: BTreeMap::new(), beyond: 0 }
    }

    /// Compares the decisions of two plugins about a batch of one source.
    pub fn add_batch(
        &mut self,
        source: &str,
        events: &[Event<'_>],
        old: (&Plugin, &Decisions),
        new: (&Plugin, &Decisions),
    ) {
        for (position, event) in events.iter().enumerate() {
            let (before, after) = (old.1.of(position), new.1.of(position));
            if !is_same(event, (old.0, before), (new.0, after)) {
                let (before, after) =
                    (EventFate::of(old.0, event, before), EventFate::of(new.0, event, after));
                self.add_change(source, event, &before, &after);
            }
        }
        self.compared += events.len() as u64;
    }

    /// Adds the counts of another comparison.
    pub fn merge(&mut self, other: Comparison) {
        self.compared += other.compared;
        self.beyond += other.beyond;
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        for (key, (events, samples)) in other.changes {
            if self.has_room_for(&key) {
                let change = self.changes.entry(key).or_default();
                change.0 += events;
                let room = self.samples_max.saturating_sub(change.1.len());
                change.1.extend(samples.into_iter().take(room));
            } else {
                self.beyond += events;
            }
        }
    }

    /// The number of compared events.
    pub fn compared(&self) -> u64 {
        self.compared
    }

    /// Events with any change.
    pub fn changed(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Events with a change of this kind.
    pub fn count(&self, kind: ChangeKind) -> u64 {
        self.counts[kind as usize]
    }

    /// The changes, sorted by the number of events in descending order.
    pub fn changes(&self) -> Vec<DecisionChange<'_>> {
        let changes = self.changes.iter().map(|((kind, old, new), (events, samples))| {
            DecisionChange { kind: *kind, old, new, events: *events, samples }
        });
        let mut changes: Vec<_> = changes.collect();
        changes.sort_by_key(|change| std::cmp::Reverse(change.events));
        changes
    }

    fn add_change(
        &mut self,
        source: &str,
        event: &Event<'_>,
        before: &EventFate<'_>,
        after: &EventFate<'_>,
    ) {
        let Some(kind) = ChangeKind::between(before, after) else { return };
        self.counts[kind as usize] += 1;
        let key = (kind, before.to_string(), after.to_string());
        if !self.has_room_for(&key) {
            self.beyond += 1;
            return;
        }
        let (events, samples) = self.changes.entry(key).or_default();
        *events += 1;
        if samples.len() < self.samples_max {
            samples.push(ChangeSample {
                source: shorten_text(source),
                line: event.line,
                message_type: event.envelope.message_type.as_deref().map(shorten_text),
                name: event.envelope.name.as_deref().map(shorten_text),
                reason: after.reason(),
                payload: before.payload_change(after),
            });
        }
    }

    fn has_room_for(&self, key: &(ChangeKind, String, String)) -> bool {
        self.changes.len() < COMPARISON_CHANGES_MAX || self.changes.contains_key(key)
    }
}

/// Whether two decisions are equal, as far as this can be determined without an allocation.
/// Deliveries in another order are compared again.
fn is_same(
    event: &Event<'_>,
    (old, before): (&Plugin, Result<&[Output], &Fault>),
    (new, after): (&Plugin, Result<&[Output], &Fault>),
) -> bool {
    let (before, after) = match (before, after) {
        (Ok(before), Ok(after)) => (before, after),
        (before, after) => return before.is_err() && after.is_err(),
    };
    let is_same = |(before, after): (&Output, &Output)| match (&before.decision, &after.decision) {
        (Decision::Deliver(one, before), Decision::Deliver(other, after)) => {
            let text = event.text.as_bytes();
            old.stream(one) == new.stream(other)
                && before.as_deref().unwrap_or(text) == after.as_deref().unwrap_or(text)
        }
        (before, after) => {
            matches!(before, Decision::Reject(_)) && matches!(after, Decision::Reject(_))
        }
    };
    before.len() == after.len() && before.iter().zip(after).all(is_same)
}

#[cfg(test)]
mod tests;
