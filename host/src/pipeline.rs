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
//!
//! A source whose events the plugin fails on can have to wait (see
//! [`Breaker`](standpipe_plugin_host::Breaker)). Its chunk is then set aside, with what
//! is undecided, and others pass. A worker spends no more than
//! [`limits::TURN_WASTED_CPU`] on the failures of one chunk before it looks at others,
//! and holds no more than [`limits::HELD_BYTES_MAX`]: beyond, it takes nothing new until
//! what it holds is through.
//!
//! A plugin of which no instance can be made costs no event either: chunks are set aside
//! until it has one again, or another plugin takes over.

mod carrier;
mod deciding;
mod failure;
mod held;
mod places;
mod renewal;

pub use failure::OnFailure;
pub use places::SourceIdentities;
pub use renewal::Renewal;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use carrier::Carrier;
use deciding::{Decided, Deciding};
use held::{Held, Work};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::limits;
use crate::stop::StopTokens;
use standpipe_core::event::{
    Ack, Chunk, ChunkLine, Event, EventRefusal, LineError, Malformed, scan,
};
use standpipe_delivery::dead_letters::{DeadLetter, DeadLetterWriter, Reason};
use standpipe_delivery::{Provenance, RecordAccumulator};
use standpipe_plugin_host::{
    Canary, Decisions, Fault, PluginRoles, PublishedRoles, RolesReader, Shadow, WhenOff,
};

/// How often a busy worker looks for batches that have been open for too long.
const DUE_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The shortest pause of a worker that takes nothing new.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// The longest time for which a chunk is set aside at once. Times can be added.
const PAUSE_MAX: Duration = Duration::from_secs(3600);

/// Takes chunks, maps their events and hands the records over for delivery.
#[derive(Debug)]
pub struct Worker {
    shared: Shared,
    /// The roles that the worker has turned to.
    roles: RolesReader,
    active: Deciding,
    canary: Option<(Arc<Canary>, Deciding)>,
    shadow: Option<Arc<Shadow>>,
    carrier: Carrier,
    held: Held,
    /// When a chunk that was set aside had its turn.
    last_held_turn: Instant,
    /// The run's tokens of these names, in children of this worker's own: polling them takes
    /// no lock that others take.
    mapping_abort: CancellationToken,
    mapping_halt: CancellationToken,
}

/// What has become of a batch.
enum Turn {
    /// Every event of it is decided about.
    Through,
    /// These are not, and may be asked about again from then on.
    Aside { undecided: Vec<u32>, until: Instant },
}

/// What all workers of a run share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Where chunks come from.
    pub chunks: Receiver<Chunk>,
    /// Where their buffers go.
    pub buffers: Sender<Vec<u8>>,
    /// Who decides.
    pub roles: Arc<PublishedRoles>,
    /// Where dead letters go.
    pub letters: Arc<DeadLetterWriter>,
    /// Who the records of sources are written as.
    pub identities: Arc<SourceIdentities>,
    /// What becomes of events that the plugin fails on.
    pub on_failure: OnFailure,
    /// What has a plugin configured anew that declares other streams than it did.
    pub renewal: Arc<Renewal>,
    /// How the run ends. From `mapping_abort` on, events that wait for their
    /// turn stay with a source that keeps them, or are treated as failed.
    pub stop: StopTokens,
}

impl Worker {
    /// A worker that takes its chunks from a queue.
    pub fn new(shared: Shared, accumulator: RecordAccumulator) -> Self {
        let Shared { letters, on_failure, stop, .. } = shared.clone();
        let roles = shared.roles.reader();
        let PluginRoles { active, canary, shadow } = roles.in_use();
        Worker {
            roles,
            active: Deciding::new(active, Arc::clone(&shared.identities)),
            canary: canary.map(|canary| Self::canary(canary, &shared.identities)),
            shadow,
            held: Held::default(),
            last_held_turn: Instant::now(),
            mapping_abort: stop.mapping_abort.child_token(),
            mapping_halt: stop.mapping_halt.child_token(),
            carrier: Carrier { accumulator, letters, on_failure, stop },
            shared,
        }
    }

    /// Work until the queue is closed and empty, and nothing is held. Everything has
    /// then been handed over.
    pub fn run(mut self) {
        let mut last_check = Instant::now();
        let mut is_open = true;
        while is_open || !self.held.is_empty() {
            let found = self.next(is_open);
            let is_idle = found.is_err();
            match found {
                Ok(chunk) => self.process(chunk),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => is_open = false,
            }
            let now = Instant::now();
            // Chunks of other sources go first, and leave some time for these.
            if is_idle || now.duration_since(self.last_held_turn) >= limits::TURN_WASTED_CPU {
                self.go_on_with_held(now);
            }
            if now.duration_since(last_check) >= DUE_CHECK_INTERVAL {
                self.carrier.accumulator.close_due(now.into_std());
                last_check = now;
            }
        }
        self.carrier.accumulator.close_all();
    }

    /// Wait for a chunk, or until there is something else to do.
    #[expect(
        clippy::disallowed_methods,
        reason = "it takes nothing new, and looks at tokens after each pause"
    )]
    fn next(&self, is_open: bool) -> Result<Chunk, RecvTimeoutError> {
        let held_due = self.held.next_due().map(|due| {
            // Another plugin, or the end, may come sooner.
            due.min(Instant::now() + limits::HELD_LOOK_INTERVAL)
        });
        let due = [self.carrier.accumulator.next_due().map(Instant::from_std), held_due]
            .into_iter()
            .flatten()
            .min();
        if !is_open || self.held.is_full() {
            let pause = due.map(|due| due.saturating_duration_since(Instant::now()));
            let pause = pause.unwrap_or_default().clamp(PAUSE_MIN, limits::HELD_LOOK_INTERVAL);
            thread::sleep(pause);
            return Err(RecvTimeoutError::Timeout);
        }
        match due {
            Some(due) => self.shared.chunks.recv_deadline(due.into_std()),
            None => self.shared.chunks.recv().map_err(RecvTimeoutError::from),
        }
    }

    /// Go on with one of the chunks that were set aside, if its time has come.
    fn go_on_with_held(&mut self, now: Instant) {
        if self.held.is_empty() {
            return;
        }
        // A halt aborts the waiting, too.
        if self.roles.has_changed() || self.is_aborted() {
            self.held.release(now);
        }
        if let Some(work) = self.held.pop_due(now) {
            self.work_on(work);
            self.last_held_turn = Instant::now();
        }
    }

    /// Decide about the events of a chunk, and set it aside where its source has to wait.
    pub(crate) fn process(&mut self, chunk: Chunk) {
        self.work_on(Work::new(chunk));
    }

    fn work_on(&mut self, work: Work) {
        let Work { chunk, mut next, undecided } = work;
        let mut wasted_left = limits::TURN_WASTED_CPU;
        let mut turn = self.map_again(&chunk, &undecided, &mut wasted_left);
        while matches!(turn, Turn::Through) && next < chunk.lines.len() {
            turn = self.map_next(&chunk, &mut next, &mut wasted_left);
        }
        match turn {
            // A full pool of buffers needs no more of them.
            Turn::Through => drop(self.shared.buffers.try_send(chunk.bytes)),
            Turn::Aside { undecided, until } => {
                self.held.push(Work { chunk, next, undecided }, until);
            }
        }
    }

    /// Map events that were left undecided; the canary has had its turn with them.
    fn map_again(&mut self, chunk: &Chunk, lines: &[u32], wasted_left: &mut Duration) -> Turn {
        if lines.is_empty() {
            return Turn::Through;
        }
        let event = |&index: &u32| {
            let line = chunk.lines[index as usize];
            let (text, envelope) =
                scan(chunk.line_text(line), standpipe_core::limits::EVENT_NESTING_MAX)
                    .expect("what was an event before is one still");
            Event { index, line: chunk.line_number(line), text, envelope }
        };
        let events: Vec<_> = lines.iter().map(event).collect();
        if self.roles.has_changed() {
            self.turn();
        }
        self.map_with_active(&chunk.ack, &events, wasted_left)
    }

    /// Map the next batch of a chunk.
    fn map_next(&mut self, chunk: &Chunk, next: &mut usize, wasted_left: &mut Duration) -> Turn {
        let seen = chunk.errors.partition_point(|(at, _)| (*at as usize) < *next);
        let mut errors = chunk.errors[seen..].iter().peekable();
        let lines = &chunk.lines[*next..];
        let mut events = Vec::with_capacity(lines.len().min(limits::BATCH_EVENTS_MAX));
        let mut batch_bytes = 0;
        for &line in lines {
            let index = u32::try_from(*next).expect("a chunk is far smaller than 4 GiB");
            if let Some((_, error)) = errors.next_if(|(at, _)| *at == index) {
                self.bury_failed_line(chunk, index, line, error);
                *next += 1;
                continue;
            }
            let text = chunk.line_text(line);
            match scan(text, standpipe_core::limits::EVENT_NESTING_MAX) {
                Err(malformed) => self.bury_malformed(chunk, index, line, &malformed),
                Ok((text, envelope)) => {
                    let is_full = batch_bytes + text.len() > limits::BATCH_BYTES_MAX
                        || events.len() == limits::BATCH_EVENTS_MAX;
                    if is_full && !events.is_empty() {
                        break;
                    }
                    batch_bytes += text.len();
                    events.push(Event { index, line: chunk.line_number(line), text, envelope });
                }
            }
            *next += 1;
        }
        self.map(&chunk.ack, &events, wasted_left)
    }

    /// Map a batch. Once the run is halted, its events are left unsettled.
    fn map(&mut self, ack: &Ack, events: &[Event<'_>], wasted_left: &mut Duration) -> Turn {
        if events.is_empty() || self.is_halted() {
            return Turn::Through;
        }
        if self.roles.has_changed() {
            self.turn();
        }
        match self.canary.take() {
            Some((canary, mut deciding)) if !canary.is_out() => {
                let others = self.map_with_canary(&canary, &mut deciding, ack, events);
                self.canary = Some((canary, deciding));
                self.map_with_active(ack, &others, wasted_left)
            }
            _ => self.map_with_active(ack, events, wasted_left),
        }
    }

    fn map_with_active(
        &mut self,
        ack: &Ack,
        mut events: &[Event<'_>],
        wasted_left: &mut Duration,
    ) -> Turn {
        let is_aborted = self.is_aborted();
        let (active, carrier, halt) = (&mut self.active, &mut self.carrier, &self.mapping_halt);
        active.places.turn_to(ack.source());
        let provenance = provenance(ack, active);
        while !events.is_empty() && !halt.is_cancelled() {
            let (pause, why) = match wasted_left.is_zero() {
                true => (Duration::ZERO, Fault::Off),
                false => match active.decide(ack.source(), events, *wasted_left) {
                    Decided::Later(pause) => (pause, Fault::Off),
                    Decided::Unavailable(unavailable) => {
                        active.generation.note_unavailable("the plugin", &unavailable);
                        if active.generation.plugin().has_redeclared() {
                            self.shared.renewal.renew();
                        }
                        (unavailable.pause, unavailable.fault)
                    }
                    Decided::Now(decisions, decided) => {
                        let (now, later) = events.split_at(decided);
                        let tally = carrier.carry(active, &provenance, now, &decisions);
                        active.generation.count(ack.source(), &tally, decisions.wasted());
                        *wasted_left = wasted_left.saturating_sub(decisions.wasted());
                        if let Some(shadow) = &self.shadow {
                            let plugin = active.generation.plugin();
                            shadow.offer(ack.source(), now, plugin, decisions);
                        }
                        events = later;
                        continue;
                    }
                },
            };
            // Whoever does not want events to wait for a plugin has them treated as failed.
            let is_unwilling = why != Fault::Off
                && (carrier.on_failure == OnFailure::Halt
                    || active.generation.breaker().when_off() == WhenOff::Fail);
            if !is_aborted && !is_unwilling {
                let undecided = events.iter().map(|event| event.index).collect();
                return Turn::Aside { undecided, until: Instant::now() + pause.min(PAUSE_MAX) };
            }
            if is_unwilling || !ack.source().keeps_unsettled() {
                let decisions = Decisions::failed(events.len(), &why);
                let tally = carrier.carry(active, &provenance, events, &decisions);
                active.generation.count(ack.source(), &tally, Duration::ZERO);
            }
            return Turn::Through;
        }
        Turn::Through
    }

    fn is_aborted(&self) -> bool {
        self.mapping_abort.is_cancelled()
    }

    fn is_halted(&self) -> bool {
        self.mapping_halt.is_cancelled()
    }

    /// The canary decides about the events of its users. Those that it fails on are
    /// the active plugin's, as all others are. A canary delays nothing: what it would
    /// have to wait for is the active plugin's too.
    fn map_with_canary<'a>(
        &mut self,
        canary: &Canary,
        deciding: &mut Deciding,
        ack: &Ack,
        events: &[Event<'a>],
    ) -> Vec<Event<'a>> {
        let (taken, mut others): (Vec<_>, Vec<_>) =
            events.iter().cloned().partition(|event| canary.takes(event));
        deciding.places.turn_to(ack.source());
        let provenance = provenance(ack, deciding);
        let mut taken = &taken[..];
        while !taken.is_empty() && !canary.is_out() {
            let (decisions, decided) = match deciding.decide(ack.source(), taken, Duration::MAX) {
                Decided::Now(decisions, decided) => (decisions, decided),
                Decided::Later(_) => break,
                Decided::Unavailable(unavailable) => {
                    deciding.generation.note_unavailable("the canary", &unavailable);
                    canary.count(taken.len() as u64, taken.len() as u64);
                    break;
                }
            };
            let (now, later) = taken.split_at(decided);
            let tally = self.carrier.carry_with(
                deciding,
                &provenance,
                now,
                &decisions,
                |_, _, event, _| {
                    others.push(event.clone());
                },
            );
            deciding.generation.count(ack.source(), &tally, decisions.wasted());
            canary.count(tally.events, tally.failed() + tally.rejected);
            taken = later;
        }
        others.extend_from_slice(taken);
        others
    }

    /// Turn to the roles that have been published.
    fn turn(&mut self) {
        let start = Instant::now();
        let PluginRoles { active, canary, shadow } = self.roles.refresh();
        self.shadow = shadow;
        if !Arc::ptr_eq(&active, &self.active.generation) {
            let next = Deciding::new(active, Arc::clone(&self.shared.identities));
            std::mem::replace(&mut self.active, next).retire();
        }
        let is_other = |current: &(Arc<Canary>, Deciding)| {
            canary.as_ref().is_none_or(|canary| !Arc::ptr_eq(canary, &current.0))
        };
        if let Some((_, before)) = self.canary.take_if(|current| is_other(current)) {
            before.retire();
        }
        if let (None, Some(canary)) = (&self.canary, canary) {
            self.canary = Some(Self::canary(canary, &self.shared.identities));
        }
        self.shared.roles.count_pause(start.elapsed());
    }

    fn canary(canary: Arc<Canary>, identities: &Arc<SourceIdentities>) -> (Arc<Canary>, Deciding) {
        let deciding = Deciding::new(Arc::clone(canary.generation()), Arc::clone(identities));
        (canary, deciding)
    }

    fn bury_malformed(&self, chunk: &Chunk, index: u32, line: ChunkLine, malformed: &Malformed) {
        let reason = match malformed {
            Malformed::NotUtf8 { .. } => Reason::InvalidUtf8,
            Malformed::ZeroByte { .. } => Reason::ZeroByte,
            Malformed::NotJson { .. } => Reason::NotJson,
            Malformed::NotAnObject => Reason::NotAnObject,
            Malformed::TooDeep { .. } => Reason::NestedTooDeep,
        };
        let detail = malformed.to_string();
        let (source, text) = (chunk.source(), chunk.line_text(line));
        let letter = DeadLetter::of_line(reason, &detail, source, chunk.line_number(line), text);
        self.carrier.dead_letter(&letter, &chunk.ack, index);
    }

    fn bury_failed_line(&self, chunk: &Chunk, index: u32, line: ChunkLine, error: &LineError) {
        let (reason, detail, bytes_total) = match error {
            LineError::TooLong { bytes } => {
                let detail = format!(
                    "the event has {bytes} bytes, and at most {} are read; its start is kept here",
                    standpipe_core::limits::EVENT_BYTES_MAX
                );
                (Reason::EventTooLong, detail, Some(*bytes))
            }
            LineError::CutOff { detail } => {
                let detail = format!("the source cannot be read beyond this line: {detail}");
                (Reason::SourceCutOff, detail, None)
            }
            LineError::Refused(refusal) => (reason_of_refusal(*refusal), refusal.to_string(), None),
        };
        let (source, text) = (chunk.source(), chunk.line_text(line));
        let letter = DeadLetter::of_line(reason, &detail, source, chunk.line_number(line), text);
        self.carrier.dead_letter(&DeadLetter { bytes_total, ..letter }, &chunk.ack, index);
    }
}

fn provenance(ack: &Ack, deciding: &Deciding) -> Provenance {
    let generation = &deciding.generation;
    let plugin = Arc::clone(generation.plugin().digest());
    Provenance { ack: ack.clone(), plugin, generation: generation.number() }
}

fn reason_of_refusal(refusal: EventRefusal) -> Reason {
    match refusal {
        EventRefusal::NotAnObject => Reason::NotAnObject,
        EventRefusal::NoIdentity => Reason::NoIdentity,
        EventRefusal::NoType => Reason::NoType,
        EventRefusal::NoEventName => Reason::NoEventName,
        EventRefusal::TooLong => Reason::EventTooLong,
        EventRefusal::Request => Reason::RequestRefused,
    }
}

#[cfg(test)]
mod tests;
