//! The whole path of an event: out of its chunk, through the plugin, into the
//! batch of its delivery stream, or to the dead letters.
//!
//! One [`Worker`] for each core runs on a thread of its own, with its own
//! instance of the plugin and its own open batches, so that workers share
//! nothing but queues. Plugin code never runs on the threads that do input and
//! output.

mod places;

pub use places::SourceIdentities;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use places::Places;

use crate::dead::{Letter, Letters, Reason};
use crate::delivery::{Outbox, Provenance, Record};
use crate::event::{Chunk, Damage, Event, Line, Malformed, Outcome, Refusal, StreamName, scan};
use crate::limits;
use crate::plugin::{Decision, Fault, Mapper, Output, Target};

/// How often a busy worker looks for batches that have been open for too long.
const DUE_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Takes chunks, maps their events and hands the records over for delivery.
#[derive(Debug)]
pub struct Worker {
    chunks: Receiver<Chunk>,
    /// Where the buffers of finished chunks go, to be filled again.
    buffers: Sender<Vec<u8>>,
    mapper: Mapper,
    outbox: Outbox,
    letters: Arc<Letters>,
    /// The outbox's places of the plugin's declared streams.
    places: Places,
}

impl Worker {
    /// A worker that takes its chunks from a queue.
    pub fn new(
        chunks: Receiver<Chunk>,
        buffers: Sender<Vec<u8>>,
        mapper: Mapper,
        outbox: Outbox,
        letters: Arc<Letters>,
        identities: Arc<SourceIdentities>,
    ) -> Self {
        let places = Places::new(identities, mapper.plugin().declared().count());
        Worker { chunks, buffers, mapper, outbox, letters, places }
    }

    /// Work until the queue is closed and empty. Everything has then been
    /// handed over.
    pub fn run(mut self) {
        let mut last_check = Instant::now();
        loop {
            let received = match self.outbox.next_due() {
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
                self.outbox.close_due(now);
                last_check = now;
            }
        }
        self.outbox.close_all();
    }

    fn process(&mut self, chunk: Chunk) {
        self.places.turn_to(chunk.source());
        let provenance = Provenance {
            ack: chunk.ack.clone(),
            plugin: Arc::clone(self.mapper.plugin().digest()),
        };
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
                        self.map(&provenance, &events);
                        events.clear();
                        batch_bytes = 0;
                    }
                    batch_bytes += text.len();
                    events.push(Event { index, line: chunk.number(line), text, envelope });
                }
            }
        }
        self.map(&provenance, &events);
        drop(events);
        // A full pool of buffers needs no more of them.
        let _ = self.buffers.try_send(chunk.bytes);
    }

    fn map(&mut self, provenance: &Provenance, events: &[Event<'_>]) {
        if events.is_empty() {
            return;
        }
        let decisions = self.mapper.map(provenance.ack.source(), events);
        for (position, event) in events.iter().enumerate() {
            match decisions.of(position) {
                Err(fault) => {
                    self.bury(provenance, event, reason_of_fault(fault), &fault.to_string(), None);
                }
                Ok([]) => provenance.ack.filter(event.index),
                Ok(outputs) => self.deliver(provenance, event, outputs),
            }
        }
    }

    fn deliver(&mut self, provenance: &Provenance, event: &Event<'_>, outputs: &[Output]) {
        if let Ok(count @ 2..) = u32::try_from(outputs.len()) {
            provenance.ack.expect(event.index, count);
        }
        for output in outputs {
            match &output.decision {
                Decision::Reject(reason) => {
                    self.bury(provenance, event, Reason::PluginRejected, reason, None);
                }
                Decision::Deliver(target, payload) => {
                    self.send(provenance, event, target, payload.as_deref());
                }
            }
        }
    }

    fn send(
        &mut self,
        provenance: &Provenance,
        event: &Event<'_>,
        target: &Target,
        payload: Option<&[u8]>,
    ) {
        let place = self.place(target);
        let (index, line, text) = (event.index, event.line, event.text.as_bytes());
        let record = Record { event: index, line, text, payload };
        if let Err(too_large) = self.outbox.push(place, provenance, record) {
            let detail = format!(
                "the record has {} bytes with its newline, and Firehose takes {}",
                too_large.bytes,
                limits::RECORD_BYTES_MAX
            );
            self.bury(provenance, event, Reason::RecordTooLarge, &detail, Some(target));
        }
    }

    fn place(&mut self, target: &Target) -> usize {
        let identity = self.places.identity();
        match target {
            Target::Named(name) => self.outbox.place(identity, name),
            Target::Declared(position) => {
                *self.places.of_declared(*position).get_or_insert_with(|| {
                    let name = self.mapper.plugin().declared().nth(*position).flatten();
                    self.outbox.place(identity, name.expect("a checked position of a name"))
                })
            }
        }
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
        if self.letters.write(&letter).is_ok() {
            chunk.ack.settle(index, Outcome::Dead);
        }
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
        if self.letters.write(&Letter { bytes_total, ..letter }).is_ok() {
            chunk.ack.settle(index, Outcome::Dead);
        }
    }

    fn bury(
        &self,
        provenance: &Provenance,
        event: &Event<'_>,
        reason: Reason,
        detail: &str,
        target: Option<&Target>,
    ) {
        let stream = target.and_then(|target| match target {
            Target::Declared(position) => self.mapper.plugin().declared().nth(*position).flatten(),
            Target::Named(name) => Some(name),
        });
        let source = provenance.ack.source();
        let letter = Letter {
            stream: stream.map(StreamName::as_str),
            plugin: &provenance.plugin,
            ..Letter::of_line(reason, detail, source, event.line, event.text.as_bytes())
        };
        if self.letters.write(&letter).is_ok() {
            provenance.ack.settle(event.index, Outcome::Dead);
        }
    }
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

fn reason_of_fault(fault: &Fault) -> Reason {
    match fault {
        Fault::Trap(_) => Reason::PluginTrapped,
        Fault::Deadline(_) => Reason::PluginDeadline,
        Fault::Memory(_) => Reason::PluginMemory,
        Fault::Answer(_) => Reason::PluginAnswer,
        Fault::Configure(_) => Reason::PluginUnavailable,
    }
}
