//! Applies the plugin's decisions: adds records to batches, handles failures according to the
//! settings, and writes dead letters. While too many dead letters wait to be written, the worker
//! waits.

use std::sync::Arc;

use super::failure::OnFailure;
use super::plugin_session::PluginSession;
use crate::stop::StopTokens;
use standpipe_core::event::{Ack, Event, StreamName};
use standpipe_delivery::dead_letters::{DeadLetter, DeadLetterWriter, Reason};
use standpipe_delivery::{
    NamedBy, Provenance, Record, RecordAccumulator, RecordNotAdded, StreamSlot, TooManyStreams,
};
use standpipe_plugin_host::{BatchTally, Decision, Decisions, Fault, Output, OutputTarget};

/// Applies the decisions of a plugin: adds records to batches, and writes dead letters.
#[derive(Debug)]
pub(super) struct DecisionApplier {
    pub(super) accumulator: RecordAccumulator,
    pub(super) dead_letters: Arc<DeadLetterWriter>,
    pub(super) on_failure: OnFailure,
    pub(super) stop: StopTokens,
}

impl DecisionApplier {
    /// Applies the decisions about a batch, and handles failed events according to `on_failure`.
    pub(super) fn apply(
        &mut self,
        session: &mut PluginSession,
        provenance: &Provenance,
        events: &[Event<'_>],
        decisions: &Decisions,
    ) -> BatchTally {
        self.apply_with(session, provenance, events, decisions, |applier, session, event, fault| {
            applier.apply_on_failure(session, provenance, event, fault);
        })
    }

    /// Applies the decisions about a batch. `fail` gets the events that the plugin failed on.
    pub(super) fn apply_with<'a>(
        &mut self,
        session: &mut PluginSession,
        provenance: &Provenance,
        events: &[Event<'a>],
        decisions: &Decisions,
        mut fail: impl FnMut(&mut Self, &mut PluginSession, &Event<'a>, &Fault),
    ) -> BatchTally {
        let mut tally = BatchTally::of(events.len());
        for (position, event) in events.iter().enumerate() {
            match decisions.of(position) {
                Err(fault) => {
                    tally.add_fault(fault);
                    fail(self, session, event, fault);
                }
                Ok([]) => {
                    tally.filtered += 1;
                    provenance.ack.filter_event(event.index);
                }
                Ok(outputs) => self.apply_outputs(session, provenance, event, outputs, &mut tally),
            }
        }
        tally
    }

    /// Applies the outputs of one event.
    fn apply_outputs(
        &mut self,
        session: &mut PluginSession,
        provenance: &Provenance,
        event: &Event<'_>,
        outputs: &[Output],
        tally: &mut BatchTally,
    ) {
        if let Ok(count @ 2..) = u32::try_from(outputs.len()) {
            provenance.ack.expect_outputs(event.index, count);
        }
        for output in outputs {
            match &output.decision {
                Decision::Reject(reason) => {
                    tally.rejected += 1;
                    let why = Reason::of_rejection(reason);
                    self.dead_letter_event(provenance, event, why, reason, None);
                }
                Decision::Deliver(target, payload) => {
                    let place = self.slot_for_target(session, target);
                    let payload = payload.as_deref();
                    if let Err(error) = self.push_record(place, provenance, event, payload) {
                        let stream = Some(session.generation.plugin().stream(target));
                        let (reason, detail) = (reason_of_refusal(&error), error.to_string());
                        self.dead_letter_event(provenance, event, reason, &detail, stream);
                    }
                }
            }
        }
    }

    /// Handles an event that the plugin failed on, according to `on_failure`.
    fn apply_on_failure(
        &mut self,
        session: &PluginSession,
        provenance: &Provenance,
        event: &Event<'_>,
        fault: &Fault,
    ) {
        match &self.on_failure {
            OnFailure::DeadLetter => {
                self.dead_letter_event(provenance, event, reason_of_fault(fault), &fault.to_string(), None);
            }
            OnFailure::Drop => provenance.ack.filter_event(event.index),
            OnFailure::PassThrough(stream) => {
                let stream = stream.clone();
                let identity = session.slots.identity();
                let place = self.accumulator.place(identity, &stream, NamedBy::Operator);
                if let Err(error) = self.push_record(place, provenance, event, None) {
                    let (reason, detail) = (reason_of_refusal(&error), error.to_string());
                    self.dead_letter_event(provenance, event, reason, &detail, Some(&stream));
                }
            }
            OnFailure::Halt => self.stop.halt(|| {
                let (source, line) = (provenance.ack.source(), event.line);
                format!(
                    "the plugin failed on line {line} of {source}, and on_failure is \"halt\": {fault}: fix the \
                     plugin, or choose another on_failure under [plugin]"
                )
            }),
        }
    }

    fn push_record(
        &mut self,
        place: Result<StreamSlot, TooManyStreams>,
        provenance: &Provenance,
        event: &Event<'_>,
        payload: Option<&[u8]>,
    ) -> Result<(), RecordNotAdded> {
        let (index, line, text) = (event.index, event.line, event.text.as_bytes());
        self.accumulator.push(place?, provenance, Record { event: index, line, text, payload })
    }

    fn slot_for_target(
        &mut self,
        session: &mut PluginSession,
        target: &OutputTarget,
    ) -> Result<StreamSlot, TooManyStreams> {
        let identity = session.slots.identity();
        match target {
            OutputTarget::Named(name) => self.accumulator.place(identity, name, NamedBy::Event),
            OutputTarget::Declared(position) => {
                let known = *session.slots.slot_of_declared(*position);
                if let Some(place) = known.filter(|&place| self.accumulator.holds(place)) {
                    return Ok(place);
                }
                let name = session.generation.plugin().stream(target);
                let place = self.accumulator.place(identity, name, NamedBy::Operator)?;
                *session.slots.slot_of_declared(*position) = Some(place);
                Ok(place)
            }
        }
    }

    fn dead_letter_event(
        &self,
        provenance: &Provenance,
        event: &Event<'_>,
        reason: Reason,
        detail: &str,
        stream: Option<&StreamName>,
    ) {
        let source = provenance.ack.source();
        let dead_letter = DeadLetter {
            stream: stream.map(StreamName::as_str),
            plugin: &provenance.plugin,
            generation: provenance.generation,
            ..DeadLetter::of_line(reason, detail, source, event.line, event.text.as_bytes())
        };
        self.dead_letter(&dead_letter, &provenance.ack, event.index);
    }

    /// Writes a dead letter, which settles its event. Waits while too many dead letters wait to be
    /// written, which slows down the source.
    pub(super) fn dead_letter(&self, dead_letter: &DeadLetter<'_>, ack: &Ack, event: u32) {
        self.dead_letters.wait_for_room_blocking();
        self.dead_letters.settle_dead(dead_letter, ack, event);
    }
}

fn reason_of_refusal(error: &RecordNotAdded) -> Reason {
    match error {
        RecordNotAdded::TooLarge { .. } => Reason::RecordTooLarge,
        RecordNotAdded::TooManyStreams(_) => Reason::TooManyStreams,
    }
}

fn reason_of_fault(fault: &Fault) -> Reason {
    match fault {
        Fault::Trap(_) => Reason::PluginTrapped,
        Fault::Deadline(_) | Fault::ConfigureDeadline(_) => Reason::PluginDeadline,
        Fault::Memory(_) => Reason::PluginMemory,
        Fault::Answer(_) | Fault::AnswerSize(_) => Reason::PluginAnswer,
        Fault::Skipped | Fault::Configure(_) => Reason::PluginUnavailable,
    }
}
