//! The acknowledgement of a chunk's events. Each output is settled from any thread without a lock.
//! An event that is unsettled when the ack is dropped counts as undelivered. Also contains the
//! totals of a run.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::{EventSource, Reason};
use crate::metrics;

/// The outcome of one output of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputOutcome {
    /// The delivery stream accepted the output.
    Delivered,
    /// The output became a dead letter.
    Dead(Reason),
}

/// The outcome of an event with all of its outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventOutcome {
    /// Every stream accepted its output.
    Delivered,
    /// The plugin returned no output for the event.
    Filtered,
    /// The event, or one of its outputs, became a dead letter for this reason. If there are
    /// several, it is the first one.
    DeadLettered(Reason),
}

/// The acknowledgement of each event of a chunk.
///
/// The source creates it with a callback for the end. It accompanies the events, and the code that
/// determines the outcome of an event settles it. When the last clone is dropped, the callback is
/// called, and unsettled events count as undelivered.
#[derive(Clone)]
pub struct Ack(Arc<Promise>);

struct Promise {
    source: EventSource,
    events: Box<[AtomicU32]>,
    checkpoint: Option<Box<Checkpoint>>,
    notice: Option<Box<Notice>>,
}

/// Receives the outcomes at the end.
type Notice = dyn FnOnce(Settled, &Settlements<'_>) + Send + Sync;

/// Stores the settled events.
type Checkpoint = dyn Fn(&Settlements<'_>) + Send + Sync;

/// The events of a chunk that have been settled so far.
pub struct Settlements<'a>(&'a [AtomicU32]);

/// The state of an event: the number of its unsettled outputs, the number of the reason for a dead
/// output, counted from 1, and a mark.
const OPEN_MASK: u32 = (1 << DEAD_SHIFT) - 1;
const DEAD_SHIFT: u32 = 25;
const DEAD_MASK: u32 = 0b11_1111 << DEAD_SHIFT;
const FILTERED: u32 = 1 << 31;

/// The outcomes of a chunk's events. Each event counts once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settled {
    /// Every stream accepted its output.
    pub delivered: u64,
    /// The plugin returned no output.
    pub filtered: u64,
    /// The event, or one of its outputs, became a dead letter.
    pub dead: u64,
    /// The event, or one of its outputs, was given up without a dead letter.
    pub undelivered: u64,
}

impl Ack {
    /// Creates an acknowledgement for `events` events of a source.
    pub fn new(
        source: EventSource,
        events: usize,
        notice: impl FnOnce(Settled) + Send + Sync + 'static,
    ) -> Self {
        Self::with_outcomes(source, events, |settled, _| notice(settled))
    }

    /// Creates an acknowledgement whose callback for the end also receives the outcome of each event.
    pub fn with_outcomes(
        source: EventSource,
        events: usize,
        notice: impl FnOnce(Settled, &Settlements<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self::with_parts(source, events, None, Box::new(notice))
    }

    /// Creates an acknowledgement for events of a source that stores what is settled, so that it
    /// reads nothing twice after a crash: see [`Ack::checkpoint`].
    pub fn with_checkpoint(
        source: EventSource,
        events: usize,
        checkpoint: impl Fn(&Settlements<'_>) + Send + Sync + 'static,
        notice: impl FnOnce(Settled) + Send + Sync + 'static,
    ) -> Self {
        let notice = Box::new(|settled, _: &Settlements<'_>| notice(settled));
        Self::with_parts(source, events, Some(Box::new(checkpoint)), notice)
    }

    fn with_parts(
        source: EventSource,
        events: usize,
        checkpoint: Option<Box<Checkpoint>>,
        notice: Box<Notice>,
    ) -> Self {
        let events = (0..events).map(|_| AtomicU32::new(1)).collect();
        Ack(Arc::new(Promise { source, events, checkpoint, notice: Some(notice) }))
    }

    /// The source of the events.
    pub fn source(&self) -> &EventSource {
        &self.0.source
    }

    /// Whether both are clones of one acknowledgement.
    pub fn is(&self, other: &Ack) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Records that an event has no outputs.
    pub fn filter_event(&self, event: u32) {
        self.state(event).store(FILTERED, Ordering::Relaxed);
    }

    /// Sets the number of an event's outputs before any of them is settled. The default is one.
    pub fn expect_outputs(&self, event: u32, outputs: u32) {
        debug_assert!((1..=OPEN_MASK).contains(&outputs));
        self.state(event).store(outputs, Ordering::Relaxed);
    }

    /// Settles one output of an event.
    pub fn settle(&self, event: u32, outcome: OutputOutcome) {
        let state = self.state(event);
        if let OutputOutcome::Dead(reason) = outcome {
            let first = |state| (state & DEAD_MASK == 0).then_some(state | dead_bits(reason));
            // An earlier reason stays.
            let _ = state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, first);
        }
        let before = state.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before & OPEN_MASK > 0, "settled once too often");
    }

    /// Makes the source store what has been settled, if it does that. Code that settles events
    /// calls this after some of them. At the end it happens automatically.
    pub fn checkpoint(&self) {
        self.0.checkpoint();
    }

    fn state(&self, event: u32) -> &AtomicU32 {
        &self.0.events[event as usize]
    }
}

impl Settlements<'_> {
    /// Whether every output of an event has been settled.
    pub fn is_settled(&self, event: usize) -> bool {
        self.outcome_of(event).is_some()
    }

    /// The outcome of an event, or `None` while one of its outputs is unsettled.
    pub fn outcome_of(&self, event: usize) -> Option<EventOutcome> {
        outcome_of_state(self.0[event].load(Ordering::Relaxed))
    }
}

fn outcome_of_state(state: u32) -> Option<EventOutcome> {
    match (state & OPEN_MASK, (state & DEAD_MASK) >> DEAD_SHIFT, state & FILTERED) {
        (0, 0, 0) => Some(EventOutcome::Delivered),
        (0, 0, _) => Some(EventOutcome::Filtered),
        (0, number, _) => Some(EventOutcome::DeadLettered(Reason::ALL[number as usize - 1])),
        _ => None,
    }
}

/// The bits of a state that hold the reason.
fn dead_bits(reason: Reason) -> u32 {
    (reason as u32 + 1) << DEAD_SHIFT
}

impl Promise {
    fn checkpoint(&self) {
        if let Some(checkpoint) = &self.checkpoint {
            checkpoint(&Settlements(&self.events));
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.checkpoint();
        let mut settled = Settled::default();
        for event in &mut self.events {
            let count = match outcome_of_state(*event.get_mut()) {
                Some(EventOutcome::Delivered) => &mut settled.delivered,
                Some(EventOutcome::Filtered) => &mut settled.filtered,
                Some(EventOutcome::DeadLettered(_)) => &mut settled.dead,
                None => &mut settled.undelivered,
            };
            *count += 1;
        }
        if let Some(notice) = self.notice.take() {
            notice(settled, &Settlements(&self.events));
        }
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ack")
            .field("source", &self.0.source)
            .field("events", &self.0.events.len())
            .finish_non_exhaustive()
    }
}

/// The current totals of a run: events read, and their outcomes.
#[derive(Debug, Default)]
pub struct EventTotals {
    read: Counter,
    delivered: Counter,
    filtered: Counter,
    dead: Counter,
    undelivered: Counter,
}

/// [`EventTotals`] at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TotalsSnapshot {
    /// Events read.
    pub read: u64,
    /// The outcomes of the settled events.
    pub settled: Settled,
}

impl EventTotals {
    /// Counts events that were read.
    pub fn add_read(&self, events: u64) {
        self.read.inc_by(events);
    }

    /// Counts the outcomes of a chunk's events.
    pub fn add_settled(&self, settled: Settled) {
        self.delivered.inc_by(settled.delivered);
        self.filtered.inc_by(settled.filtered);
        self.dead.inc_by(settled.dead);
        self.undelivered.inc_by(settled.undelivered);
    }

    /// The current totals.
    pub fn snapshot(&self) -> TotalsSnapshot {
        TotalsSnapshot {
            read: self.read.get(),
            settled: Settled {
                delivered: self.delivered.get(),
                filtered: self.filtered.get(),
                dead: self.dead.get(),
                undelivered: self.undelivered.get(),
            },
        }
    }

    /// Registers the metrics of these counts.
    pub fn register_metrics(self: &Arc<Self>, registry: &mut Registry) {
        let totals = Arc::clone(self);
        metrics::register(registry, move |page| {
            let help = "Events that were read from inputs, or accepted and settled";
            page.counter("events_read", help, totals.read.get())?;
            let outcomes = [
                ("delivered", &totals.delivered),
                ("filtered", &totals.filtered),
                ("dead", &totals.dead),
                ("undelivered", &totals.undelivered),
            ];
            let rows = outcomes.map(|(outcome, count)| ([("outcome", outcome)], count.get()));
            page.counters("events_settled", "Events by their outcome", rows)
        });
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    const DEAD: OutputOutcome = OutputOutcome::Dead(Reason::RecordRefused);

    fn settled_by(events: usize, way: impl FnOnce(Ack)) -> Settled {
        let seen = Arc::new(Mutex::new(None));
        let notice = Arc::clone(&seen);
        way(Ack::new("test".into(), events, move |settled| {
            *notice.lock() = Some(settled);
        }));
        seen.lock().take().expect("the notice is given when the last clone is dropped")
    }

    #[test]
    fn every_event_is_counted_once() {
        let settled = settled_by(5, |ack| {
            ack.settle(0, OutputOutcome::Delivered);
            ack.filter_event(1);
            ack.settle(2, DEAD);
            ack.expect_outputs(3, 2);
            ack.settle(3, OutputOutcome::Delivered);
            ack.settle(3, OutputOutcome::Delivered);
        });
        assert_eq!(settled, Settled { delivered: 2, filtered: 1, dead: 1, undelivered: 1 });
    }

    #[test]
    fn what_is_settled_is_recorded_on_demand_and_at_the_end() {
        let records = Arc::new(Mutex::new(Vec::<Vec<usize>>::new()));
        let record = {
            let records = Arc::clone(&records);
            move |settlements: &Settlements<'_>| {
                let settled = (0..3).filter(|event| settlements.is_settled(*event)).collect();
                records.lock().push(settled);
            }
        };
        let ack = Ack::with_checkpoint("test".into(), 3, record, |_| ());
        ack.settle(1, OutputOutcome::Delivered);
        ack.expect_outputs(2, 2);
        ack.settle(2, OutputOutcome::Delivered);
        ack.checkpoint();
        ack.filter_event(0);
        drop(ack);
        assert_eq!(*records.lock(), [vec![1], vec![0, 1]]);
    }

    #[test]
    fn how_each_event_ended_is_told_once_nothing_of_it_is_open() {
        let refused = dead_bits(Reason::RecordRefused);
        let states = [1, 0, FILTERED, refused, refused | 1, 2].map(AtomicU32::new);
        let settlements = Settlements(&states);
        let ended: Vec<_> = (0..states.len()).map(|event| settlements.outcome_of(event)).collect();
        let dead = EventOutcome::DeadLettered(Reason::RecordRefused);
        let [delivered, filtered, dead] =
            [EventOutcome::Delivered, EventOutcome::Filtered, dead].map(Some);
        assert_eq!(ended, [None, delivered, filtered, dead, None, None]);
    }

    #[test]
    fn an_event_with_one_dead_output_is_dead_and_with_one_lost_output_undelivered() {
        let settled = settled_by(2, |ack| {
            ack.expect_outputs(0, 2);
            ack.settle(0, DEAD);
            ack.settle(0, OutputOutcome::Delivered);
            ack.expect_outputs(1, 2);
            ack.settle(1, DEAD);
        });
        assert_eq!(settled, Settled { dead: 1, undelivered: 1, ..Settled::default() });
    }
    #[test]
    fn of_several_reasons_the_first_is_told() {
        for reason in Reason::ALL {
            assert_eq!(dead_bits(*reason) & !DEAD_MASK, 0, "{reason} fits");
            let ack = Ack::new("test".into(), 1, |_| ());
            ack.expect_outputs(0, 3);
            ack.settle(0, OutputOutcome::Delivered);
            ack.settle(0, OutputOutcome::Dead(*reason));
            ack.settle(0, DEAD);
            assert_eq!(
                Settlements(&ack.0.events).outcome_of(0),
                Some(EventOutcome::DeadLettered(*reason))
            );
        }
    }
}
