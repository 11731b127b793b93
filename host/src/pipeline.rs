//! The path of an event: from its chunk, through the plugin, into the batch of its delivery stream
//! or to the dead letters.
//!
//! Each core has one [`Worker`] on its own thread, with its own instance of the plugin and its own
//! open batches. Workers share only queues. Plugin code never runs on the threads that do input and
//! output.
//!
//! Between two batches, a worker checks whether another plugin has been published. One generation
//! decides a whole batch, and each record carries its number.
//!
//! A source with failing events may have to wait (see
//! [`CircuitBreaker`](standpipe_plugin_host::CircuitBreaker)). The worker then sets the chunk aside
//! with its undecided events, and processes others. A worker spends at most
//! [`limits::TURN_WASTED_CPU`] on the failures of one chunk before it turns to others, and holds at
//! most [`limits::HELD_BYTES_MAX`]. Above this limit, it accepts nothing new until the held chunks
//! are done.
//!
//! If no instance of the plugin can be started, chunks are set aside until an instance starts or
//! the plugin is swapped. No event is lost.

#[cfg(feature = "queue")]
mod chunk_publisher;
mod decision_applier;
mod failure;
mod held_chunks;
mod plugin_session;
mod stream_slots;

#[cfg(feature = "queue")]
pub use chunk_publisher::ChunkPublisher;
pub use failure::OnFailure;
pub use stream_slots::SourceIdentities;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use decision_applier::DecisionApplier;
use held_chunks::{HeldChunks, PartialChunk};
use plugin_session::{PluginSession, SessionOutcome};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::limits;
use crate::stop::StopTokens;
use standpipe_core::event::{Ack, Chunk, Event, EventRefusal, LineError, Malformed, scan};
use standpipe_delivery::dead_letters::{DeadLetter, DeadLetterWriter, Reason};
use standpipe_delivery::{Provenance, RecordAccumulator};
use standpipe_plugin_host::{
    Canary, Decisions, Fault, PluginRoles, PublishedRoles, RolesReader, Shadow, WhenOff,
};

/// How often a busy worker looks for batches that have been open for too long.
const DUE_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The shortest pause of a worker that accepts nothing new.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// The longest time for which a chunk is set aside before the worker looks at it again.
const PAUSE_MAX: Duration = Duration::from_secs(3600);

/// Takes chunks, maps their events and hands the records over for delivery.
pub struct Worker {
    shared: WorkerContext,
    /// The roles that the worker uses.
    roles: RolesReader,
    active: PluginSession,
    canary: Option<(Arc<Canary>, PluginSession)>,
    shadow: Option<Arc<Shadow>>,
    applier: DecisionApplier,
    held: HeldChunks,
    /// When a chunk that was set aside was last resumed.
    last_held_turn: Instant,
    /// The run's tokens of these names, as child tokens of this worker: polling them does not
    /// contend for a lock with other workers.
    mapping_abort: CancellationToken,
    mapping_halt: CancellationToken,
}

/// The progress of a batch.
enum BatchProgress {
    /// Every event is decided.
    Done,
    /// These lines are undecided, and can be mapped again after `until`.
    Waiting { undecided: Vec<u32>, until: Instant },
}

/// What all workers of a run share.
#[derive(Clone)]
pub struct WorkerContext {
    /// The queue of incoming chunks.
    pub chunks: Receiver<Chunk>,
    /// Returns the buffers of chunks for reuse.
    pub buffers: Sender<Vec<u8>>,
    /// The published plugins.
    pub roles: Arc<PublishedRoles>,
    /// Writes dead letters.
    pub dead_letters: Arc<DeadLetterWriter>,
    /// The identities for writing the records of each source.
    pub identities: Arc<SourceIdentities>,
    /// What happens to events that the plugin fails on.
    pub on_failure: OnFailure,
    /// Configures the active plugin again, on the thread of the calling worker. A worker calls it
    /// when a new instance declares other streams than the plugin did at first, such as names with
    /// the date after midnight. The worker then has no instance, and nothing else to do.
    pub renew_plugin: Arc<dyn Fn() + Send + Sync>,
    /// How the run ends. After `mapping_abort`, waiting events stay with a source that keeps them,
    /// or count as failed.
    pub stop: StopTokens,
}

impl Worker {
    /// Creates a worker that takes its chunks from a queue.
    pub fn new(shared: WorkerContext, accumulator: RecordAccumulator) -> Self {
        let WorkerContext { dead_letters, on_failure, stop, .. } = shared.clone();
        let roles = shared.roles.reader();
        let PluginRoles { active, canary, shadow } = roles.in_use();
        Worker {
            roles,
            active: PluginSession::new(active, Arc::clone(&shared.identities)),
            canary: canary.map(|canary| Self::canary(canary, &shared.identities)),
            shadow,
            held: HeldChunks::default(),
            last_held_turn: Instant::now(),
            mapping_abort: stop.mapping_abort.child_token(),
            mapping_halt: stop.mapping_halt.child_token(),
            applier: DecisionApplier { accumulator, dead_letters, on_failure, stop },
            shared,
        }
    }

    /// Processes chunks until the queue is closed and empty, and nothing is set aside. By then, all
    /// records have been submitted.
    pub fn run(mut self) {
        let mut last_check = Instant::now();
        let mut is_open = true;
        while is_open || !self.held.is_empty() {
            let found = self.next_chunk(is_open);
            let is_idle = found.is_err();
            match found {
                Ok(chunk) => self.process_chunk(chunk),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => is_open = false,
            }
            let now = Instant::now();
            // Chunks of other sources have priority, but leave some time for these.
            if is_idle || now.duration_since(self.last_held_turn) >= limits::TURN_WASTED_CPU {
                self.resume_held_chunk(now);
            }
            if now.duration_since(last_check) >= DUE_CHECK_INTERVAL {
                self.applier.accumulator.close_due(now.into_std());
                last_check = now;
            }
        }
        self.applier.accumulator.close_all();
    }

    /// Waits for a chunk, or until there is something else to do.
    #[expect(
        clippy::disallowed_methods,
        reason = "it takes nothing new, and looks at tokens after each pause"
    )]
    fn next_chunk(&self, is_open: bool) -> Result<Chunk, RecvTimeoutError> {
        let held_due = self.held.next_due().map(|due| {
            // A swap, or the end of the run, may come sooner.
            due.min(Instant::now() + limits::HELD_LOOK_INTERVAL)
        });
        let due = [self.applier.accumulator.next_due().map(Instant::from_std), held_due]
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

    /// Resumes one of the chunks that were set aside, if it is due.
    fn resume_held_chunk(&mut self, now: Instant) {
        if self.held.is_empty() {
            return;
        }
        // A halt also ends the wait.
        if self.roles.has_changed() || self.is_aborted() {
            self.held.release_all(now);
        }
        if let Some(work) = self.held.pop_due(now) {
            self.process_rest(work);
            self.last_held_turn = Instant::now();
        }
    }

    /// Maps the events of a chunk, and sets it aside if its source has to wait.
    pub(crate) fn process_chunk(&mut self, chunk: Chunk) {
        self.process_rest(PartialChunk::new(chunk));
    }

    fn process_rest(&mut self, work: PartialChunk) {
        let PartialChunk { chunk, mut next, undecided } = work;
        let mut wasted_left = limits::TURN_WASTED_CPU;
        let mut adopt_roles = self.map_again(&chunk, &undecided, &mut wasted_left);
        while matches!(adopt_roles, BatchProgress::Done) && next < chunk.lines.len() {
            adopt_roles = self.map_next(&chunk, &mut next, &mut wasted_left);
        }
        match adopt_roles {
            // A full pool needs no more buffers.
            BatchProgress::Done => drop(self.shared.buffers.try_send(chunk.bytes)),
            BatchProgress::Waiting { undecided, until } => {
                self.held.set_aside(PartialChunk { chunk, next, undecided }, until);
            }
        }
    }

    /// Maps events that were left undecided. The canary is not called with them again.
    fn map_again(
        &mut self,
        chunk: &Chunk,
        lines: &[u32],
        wasted_left: &mut Duration,
    ) -> BatchProgress {
        if lines.is_empty() {
            return BatchProgress::Done;
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
            self.adopt_roles();
        }
        self.map_with_active(&chunk.ack, &events, wasted_left)
    }

    /// Maps the next batch of a chunk.
    fn map_next(
        &mut self,
        chunk: &Chunk,
        next: &mut usize,
        wasted_left: &mut Duration,
    ) -> BatchProgress {
        let seen = chunk.errors.partition_point(|(at, _)| (*at as usize) < *next);
        let mut errors = chunk.errors[seen..].iter().peekable();
        let lines = &chunk.lines[*next..];
        let mut events = Vec::with_capacity(lines.len().min(limits::BATCH_EVENTS_MAX));
        let mut batch_bytes = 0;
        for &line in lines {
            let index = u32::try_from(*next).expect("a chunk is far smaller than 4 GiB");
            if let Some((_, error)) = errors.next_if(|(at, _)| *at == index) {
                self.dead_letter_line(chunk, index, explain_line_error(error));
                *next += 1;
                continue;
            }
            let text = chunk.line_text(line);
            match scan(text, standpipe_core::limits::EVENT_NESTING_MAX) {
                Err(malformed) => {
                    self.dead_letter_line(chunk, index, explain_malformed_line(&malformed));
                }
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
        self.map_batch(&chunk.ack, &events, wasted_left)
    }

    /// Maps a batch. After a halt of the run, its events stay unsettled.
    fn map_batch(
        &mut self,
        ack: &Ack,
        events: &[Event<'_>],
        wasted_left: &mut Duration,
    ) -> BatchProgress {
        if events.is_empty() || self.mapping_halt.is_cancelled() {
            return BatchProgress::Done;
        }
        if self.roles.has_changed() {
            self.adopt_roles();
        }
        match self.canary.take() {
            Some((canary, mut session)) if !canary.is_out() => {
                let others = self.map_with_canary(&canary, &mut session, ack, events);
                self.canary = Some((canary, session));
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
    ) -> BatchProgress {
        let is_aborted = self.is_aborted();
        let (active, applier, halt) = (&mut self.active, &mut self.applier, &self.mapping_halt);
        let source = ack.source().name();
        active.slots.select_source(source);
        let provenance = provenance_of(ack, active);
        while !events.is_empty() && !halt.is_cancelled() {
            let (pause, why) = match wasted_left.is_zero() {
                true => (Duration::ZERO, Fault::Skipped),
                false => match active.map_events(source, events, *wasted_left) {
                    SessionOutcome::MustWait(pause) => (pause, Fault::Skipped),
                    SessionOutcome::Unavailable(unavailable) => {
                        active.generation.note_unavailable("the plugin", &unavailable);
                        if active.generation.plugin().has_redeclared() {
                            (self.shared.renew_plugin)();
                        }
                        (unavailable.pause, unavailable.fault)
                    }
                    SessionOutcome::Decided(decisions, decided) => {
                        let (now, later) = events.split_at(decided);
                        let tally = applier.apply(active, &provenance, now, &decisions);
                        active.generation.count_batch(source, &tally, decisions.wasted_cpu());
                        *wasted_left = wasted_left.saturating_sub(decisions.wasted_cpu());
                        if let Some(shadow) = &self.shadow {
                            let plugin = active.generation.plugin();
                            shadow.submit(source, now, plugin, decisions);
                        }
                        events = later;
                        continue;
                    }
                },
            };
            // If the settings do not allow events to wait for a plugin, they count as failed.
            let must_not_wait = why != Fault::Skipped
                && (applier.on_failure == OnFailure::Halt
                    || active.generation.breaker().when_off() == WhenOff::Fail);
            if !is_aborted && !must_not_wait {
                let undecided = events.iter().map(|event| event.index).collect();
                return BatchProgress::Waiting {
                    undecided,
                    until: Instant::now() + pause.min(PAUSE_MAX),
                };
            }
            if must_not_wait || !ack.source().keeps_unsettled() {
                let decisions = Decisions::all_failed(events.len(), &why);
                let tally = applier.apply(active, &provenance, events, &decisions);
                active.generation.count_batch(source, &tally, Duration::ZERO);
            }
            return BatchProgress::Done;
        }
        BatchProgress::Done
    }

    fn is_aborted(&self) -> bool {
        self.mapping_abort.is_cancelled()
    }

    /// Maps the events of the canary's users with the canary. Returns the others: those of other
    /// users, those that the canary fails on, and those that would have to wait, because a canary
    /// must not delay events.
    fn map_with_canary<'a>(
        &mut self,
        canary: &Canary,
        session: &mut PluginSession,
        ack: &Ack,
        events: &[Event<'a>],
    ) -> Vec<Event<'a>> {
        let (taken, mut others): (Vec<_>, Vec<_>) =
            events.iter().cloned().partition(|event| canary.takes(event));
        let source = ack.source().name();
        session.slots.select_source(source);
        let provenance = provenance_of(ack, session);
        let mut taken = &taken[..];
        while !taken.is_empty() && !canary.is_out() {
            let (decisions, decided) = match session.map_events(source, taken, Duration::MAX) {
                SessionOutcome::Decided(decisions, decided) => (decisions, decided),
                SessionOutcome::MustWait(_) => break,
                SessionOutcome::Unavailable(unavailable) => {
                    session.generation.note_unavailable("the canary", &unavailable);
                    canary.count_batch(taken.len() as u64, taken.len() as u64);
                    break;
                }
            };
            let (now, later) = taken.split_at(decided);
            let tally =
                self.applier.apply_with(session, &provenance, now, &decisions, |_, _, event, _| {
                    others.push(event.clone());
                });
            session.generation.count_batch(source, &tally, decisions.wasted_cpu());
            canary.count_batch(tally.events, tally.failed() + tally.rejected);
            taken = later;
        }
        others.extend_from_slice(taken);
        others
    }

    /// Switches to the published roles.
    fn adopt_roles(&mut self) {
        let start = Instant::now();
        let PluginRoles { active, canary, shadow } = self.roles.refresh();
        self.shadow = shadow;
        if !Arc::ptr_eq(&active, &self.active.generation) {
            let next = PluginSession::new(active, Arc::clone(&self.shared.identities));
            std::mem::replace(&mut self.active, next).retire();
        }
        let is_other = |current: &(Arc<Canary>, PluginSession)| {
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

    fn canary(
        canary: Arc<Canary>,
        identities: &Arc<SourceIdentities>,
    ) -> (Arc<Canary>, PluginSession) {
        let session = PluginSession::new(Arc::clone(canary.generation()), Arc::clone(identities));
        (canary, session)
    }

    fn dead_letter_line(
        &self,
        chunk: &Chunk,
        index: u32,
        (reason, detail, bytes_total): (Reason, String, Option<u64>),
    ) {
        let line = chunk.lines[index as usize];
        let (source, text) = (chunk.source(), chunk.line_text(line));
        let dead_letter =
            DeadLetter::of_line(reason, &detail, source, chunk.line_number(line), text);
        self.applier.dead_letter(&DeadLetter { bytes_total, ..dead_letter }, &chunk.ack, index);
    }
}

/// Returns the reason of a dead letter, its detail, and the bytes of the event if only its start
/// is kept.
fn explain_malformed_line(malformed: &Malformed) -> (Reason, String, Option<u64>) {
    let reason = match malformed {
        Malformed::NotUtf8 { .. } => Reason::InvalidUtf8,
        Malformed::ZeroByte { .. } => Reason::ZeroByte,
        Malformed::NotJson { .. } => Reason::NotJson,
        Malformed::NotAnObject => Reason::NotAnObject,
        Malformed::TooDeep { .. } => Reason::NestedTooDeep,
    };
    (reason, malformed.to_string(), None)
}

/// Returns the reason, the detail and the bytes for a line that the source could not read as an
/// event.
fn explain_line_error(error: &LineError) -> (Reason, String, Option<u64>) {
    match error {
        LineError::TooLong { bytes } => {
            let detail = format!(
                "the event has {bytes} bytes, and the limit is {}; only its start is kept",
                standpipe_core::limits::EVENT_BYTES_MAX
            );
            (Reason::EventTooLong, detail, Some(*bytes))
        }
        LineError::CutOff { detail } => {
            let detail = format!("the source cannot be read beyond this line: {detail}");
            (Reason::SourceCutOff, detail, None)
        }
        LineError::Refused(refusal) => (reason_of_refusal(*refusal), refusal.to_string(), None),
        LineError::Unreadable { detail } => (Reason::MessageUnreadable, detail.clone(), None),
        LineError::UnknownSource => {
            let detail = "no [[sources]] entry has the name of the event's source, so the role to deliver it with is \
                          unknown: add the source, and replay the dead letter";
            (Reason::UnknownSource, detail.to_owned(), None)
        }
    }
}

fn provenance_of(ack: &Ack, session: &PluginSession) -> Provenance {
    let generation = &session.generation;
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
