//! The whole path of an event: out of its chunk, through the plugin, into the
//! batch of its delivery stream, or to the dead letters.
//!
//! One [`Worker`] for each core runs on a thread of its own, with its own
//! instance of the plugin and its own open batches, so that workers share
//! nothing but queues. Plugin code never runs on the threads that do input and
//! output.
//!
//! Between two batches a worker looks whether another plugin has been published:
//! a batch is decided about by one generation whole, and a record tells by which.

mod carrier;
mod deciding;
mod failure;
mod places;

pub use failure::{Halt, OnFailure};
pub use places::SourceIdentities;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use carrier::Carrier;
use deciding::Deciding;

use crate::dead::{Letter, Letters, Reason};
use crate::delivery::{Outbox, Provenance};
use crate::event::{Ack, Chunk, Damage, Event, Line, Malformed, Refusal, scan};
use crate::limits;
use crate::plugin::{Canary, Shadow, Stage, Switch, Tally};

/// How often a busy worker looks for batches that have been open for too long.
const DUE_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Takes chunks, maps their events and hands the records over for delivery.
#[derive(Debug)]
pub struct Worker {
    chunks: Receiver<Chunk>,
    /// Where the buffers of finished chunks go, to be filled again.
    buffers: Sender<Vec<u8>>,
    identities: Arc<SourceIdentities>,
    switch: Arc<Switch>,
    /// The version of the switch's stage that the worker has turned to.
    version: u64,
    active: Deciding,
    canary: Option<(Arc<Canary>, Deciding)>,
    shadow: Option<Arc<Shadow>>,
    carrier: Carrier,
}

/// What all workers of a run share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Where chunks come from.
    pub chunks: Receiver<Chunk>,
    /// Where their buffers go.
    pub buffers: Sender<Vec<u8>>,
    /// Who decides.
    pub switch: Arc<Switch>,
    /// Where dead letters go.
    pub letters: Arc<Letters>,
    /// Who the records of sources are written as.
    pub identities: Arc<SourceIdentities>,
    /// What becomes of events that the plugin fails on.
    pub on_failure: OnFailure,
    /// What ends the run at such an event, if it is to end.
    pub halt: Arc<Halt>,
}

impl Worker {
    /// A worker that takes its chunks from a queue.
    pub fn new(shared: Shared, outbox: Outbox) -> Self {
        let Shared { chunks, buffers, switch, letters, identities, on_failure, halt } = shared;
        let (version, Stage { active, canary, shadow }) = switch.stage();
        let active = Deciding::new(active, Arc::clone(&identities));
        let canary = canary.map(|canary| Self::canary(canary, &identities));
        let carrier = Carrier { outbox, letters, on_failure, halt };
        Worker { chunks, buffers, identities, switch, version, active, canary, shadow, carrier }
    }

    /// Work until the queue is closed and empty. Everything has then been
    /// handed over.
    pub fn run(mut self) {
        let mut last_check = Instant::now();
        loop {
            let received = match self.carrier.outbox.next_due() {
                Some(due) => self.chunks.recv_deadline(due),
                None => self.chunks.recv().map_err(RecvTimeoutError::from),
            };
            match received {
                Ok(chunk) => self.process(chunk),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now = Instant::now();
            if now.duration_since(last_check) >= DUE_CHECK_INTERVAL {
                self.carrier.outbox.close_due(now);
                last_check = now;
            }
        }
        self.carrier.outbox.close_all();
    }

    fn process(&mut self, chunk: Chunk) {
        let mut damaged = chunk.damaged.iter().peekable();
        let mut events = Vec::with_capacity(chunk.lines.len().min(limits::BATCH_EVENTS_MAX));
        let mut batch_bytes = 0;
        for (index, &line) in (0..).zip(&chunk.lines) {
            if let Some((_, damage)) = damaged.next_if(|(at, _)| *at == index) {
                self.bury_damaged(&chunk, index, line, damage);
                continue;
            }
            let text = chunk.text(line);
            match scan(text, limits::EVENT_NESTING_MAX) {
                Err(malformed) => self.bury_malformed(&chunk, index, line, &malformed),
                Ok((text, envelope)) => {
                    let is_full = batch_bytes + text.len() > limits::BATCH_BYTES_MAX
                        || events.len() == limits::BATCH_EVENTS_MAX;
                    if is_full {
                        self.map(&chunk.ack, &events);
                        events.clear();
                        batch_bytes = 0;
                    }
                    batch_bytes += text.len();
                    events.push(Event { index, line: chunk.number(line), text, envelope });
                }
            }
        }
        self.map(&chunk.ack, &events);
        drop(events);
        // A full pool of buffers needs no more of them.
        let _ = self.buffers.try_send(chunk.bytes);
    }

    /// Map a batch. Once the run is halted, its events are left unsettled.
    fn map(&mut self, ack: &Ack, events: &[Event<'_>]) {
        if events.is_empty() || self.carrier.halt.is_halted() {
            return;
        }
        if self.switch.has_changed(self.version) {
            self.turn();
        }
        match self.canary.take() {
            Some((canary, deciding)) if !canary.is_out() => {
                let deciding = self.map_with_canary(&canary, deciding, ack, events);
                self.canary = Some((canary, deciding));
            }
            _ => self.map_with_active(ack, events),
        }
    }

    fn map_with_active(&mut self, ack: &Ack, mut events: &[Event<'_>]) {
        let (active, carrier) = (&mut self.active, &mut self.carrier);
        active.places.turn_to(ack.source());
        let provenance = provenance(ack, active);
        while !events.is_empty() && !carrier.halt.is_halted() {
            let (decisions, decided) = active.decide(ack.source(), events);
            let (now, later) = events.split_at(decided);
            let tally = carrier.carry(active, &provenance, now, &decisions);
            active.generation.count(&tally);
            if let Some(shadow) = &self.shadow {
                shadow.offer(ack.source(), now, active.generation.plugin(), decisions);
            }
            events = later;
        }
    }

    /// The canary decides about the events of its users. Those that it fails on are
    /// the active plugin's, as all others are.
    fn map_with_canary(
        &mut self,
        canary: &Canary,
        mut deciding: Deciding,
        ack: &Ack,
        events: &[Event<'_>],
    ) -> Deciding {
        let (taken, mut others): (Vec<_>, Vec<_>) =
            events.iter().cloned().partition(|event| canary.takes(event));
        deciding.places.turn_to(ack.source());
        let provenance = provenance(ack, &deciding);
        let mut taken = &taken[..];
        while !taken.is_empty() {
            let (decisions, decided) = deciding.decide(ack.source(), taken);
            let (now, later) = taken.split_at(decided);
            let mut tally = Tally::of(now.len());
            for (position, event) in now.iter().enumerate() {
                match decisions.of(position) {
                    Err(fault) => {
                        tally.add_fault(fault);
                        others.push(event.clone());
                    }
                    Ok([]) => {
                        tally.filtered += 1;
                        ack.filter(event.index);
                    }
                    Ok(outputs) => {
                        self.carrier.deliver(
                            &mut deciding,
                            &provenance,
                            event,
                            outputs,
                            &mut tally,
                        );
                    }
                }
            }
            deciding.generation.count(&tally);
            canary.count(tally.events, tally.failed() + tally.rejected);
            taken = later;
        }
        if !others.is_empty() {
            self.map_with_active(ack, &others);
        }
        deciding
    }

    /// Turn to the stage that has been published.
    fn turn(&mut self) {
        let start = Instant::now();
        let (version, Stage { active, canary, shadow }) = self.switch.stage();
        self.version = version;
        self.shadow = shadow;
        if !Arc::ptr_eq(&active, &self.active.generation) {
            let next = Deciding::new(active, Arc::clone(&self.identities));
            std::mem::replace(&mut self.active, next).retire();
        }
        let is_other = |current: &(Arc<Canary>, Deciding)| {
            canary.as_ref().is_none_or(|canary| !Arc::ptr_eq(canary, &current.0))
        };
        if let Some((_, before)) = self.canary.take_if(|current| is_other(current)) {
            before.retire();
        }
        if let (None, Some(canary)) = (&self.canary, canary) {
            self.canary = Some(Self::canary(canary, &self.identities));
        }
        self.switch.count_pause(start.elapsed());
    }

    fn canary(canary: Arc<Canary>, identities: &Arc<SourceIdentities>) -> (Arc<Canary>, Deciding) {
        let deciding = Deciding::new(Arc::clone(canary.generation()), Arc::clone(identities));
        (canary, deciding)
    }

    fn bury_malformed(&self, chunk: &Chunk, index: u32, line: Line, malformed: &Malformed) {
        let reason = match malformed {
            Malformed::NotUtf8 { .. } => Reason::InvalidUtf8,
            Malformed::ZeroByte { .. } => Reason::ZeroByte,
            Malformed::NotJson { .. } => Reason::NotJson,
            Malformed::NotAnObject => Reason::NotAnObject,
            Malformed::TooDeep { .. } => Reason::NestedTooDeep,
        };
        let detail = malformed.to_string();
        let (source, text) = (chunk.source(), chunk.text(line));
        let letter = Letter::of_line(reason, &detail, source, chunk.number(line), text);
        self.carrier.dead_letter(&letter, &chunk.ack, index);
    }

    fn bury_damaged(&self, chunk: &Chunk, index: u32, line: Line, damage: &Damage) {
        let (reason, detail, bytes_total) = match damage {
            Damage::TooLong { bytes } => {
                let detail = format!(
                    "the event has {bytes} bytes, and at most {} are read; its start is kept here",
                    limits::EVENT_BYTES_MAX
                );
                (Reason::EventTooLong, detail, Some(*bytes))
            }
            Damage::CutOff { detail } => {
                let detail = format!("the source cannot be read beyond this line: {detail}");
                (Reason::SourceCutOff, detail, None)
            }
            Damage::Refused(refusal) => (reason_of_refusal(*refusal), refusal.to_string(), None),
        };
        let (source, text) = (chunk.source(), chunk.text(line));
        let letter = Letter::of_line(reason, &detail, source, chunk.number(line), text);
        self.carrier.dead_letter(&Letter { bytes_total, ..letter }, &chunk.ack, index);
    }
}

fn provenance(ack: &Ack, deciding: &Deciding) -> Provenance {
    let generation = &deciding.generation;
    let plugin = Arc::clone(generation.plugin().digest());
    Provenance { ack: ack.clone(), plugin, generation: generation.number() }
}

fn reason_of_refusal(refusal: Refusal) -> Reason {
    match refusal {
        Refusal::NotAnObject => Reason::NotAnObject,
        Refusal::NoIdentity => Reason::NoIdentity,
        Refusal::NoType => Reason::NoType,
        Refusal::NoEventName => Reason::NoEventName,
        Refusal::TooLong => Reason::EventTooLong,
    }
}
