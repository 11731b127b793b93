//! Carries out what the plugin decided: records into batches, failures as the settings say, and
//! dead letters. While too many dead letters wait to be written, the worker waits.

use std::sync::Arc;

use super::deciding::Deciding;
use super::failure::OnFailure;
use crate::stop::StopTokens;
use standpipe_core::event::{Ack, Event, StreamName};
use standpipe_delivery::dead_letters::{DeadLetter, DeadLetterWriter, Reason};
use standpipe_delivery::{
    NamedBy, Provenance, Record, RecordAccumulator, RecordNotAdded, StreamSlot, TooManyStreams,
};
use standpipe_plugin_host::{Decision, Decisions, Fault, Output, Tally, Target};

/// Carries out what a plugin decided: records into the accumulator, and dead letters.
#[derive(Debug)]
pub(super) struct Carrier {
    pub(super) accumulator: RecordAccumulator,
    pub(super) letters: Arc<DeadLetterWriter>,
    pub(super) on_failure: OnFailure,
    pub(super) stop: StopTokens,
}

impl Carrier {
    /// Carry out the decisions about a batch, and do with each event what the settings say of those
    /// that the plugin fails on.
    pub(super) fn carry(
        &mut self,
        deciding: &mut Deciding,
        provenance: &Provenance,
        events: &[Event<'_>],
        decisions: &Decisions,
    ) -> Tally {
        self.carry_with(
            deciding,
            provenance,
            events,
            decisions,
            |carrier, deciding, event, fault| {
                carrier.fail(deciding, provenance, event, fault);
            },
        )
    }

    /// Carry out the decisions about a batch; `fail` gets the events that the plugin fails on.
    pub(super) fn carry_with<'a>(
        &mut self,
        deciding: &mut Deciding,
        provenance: &Provenance,
        events: &[Event<'a>],
        decisions: &Decisions,
        mut fail: impl FnMut(&mut Self, &mut Deciding, &Event<'a>, &Fault),
    ) -> Tally {
        let mut tally = Tally::of(events.len());
        for (position, event) in events.iter().enumerate() {
            match decisions.of(position) {
                Err(fault) => {
                    tally.add_fault(fault);
                    fail(self, deciding, event, fault);
                }
                Ok([]) => {
                    tally.filtered += 1;
                    provenance.ack.filter_event(event.index);
                }
                Ok(outputs) => self.deliver(deciding, provenance, event, outputs, &mut tally),
            }
        }
        tally
    }

    /// Carry out one event's decisions.
    fn deliver(
        &mut self,
        deciding: &mut Deciding,
        provenance: &Provenance,
        event: &Event<'_>,
        outputs: &[Output],
        tally: &mut Tally,
    ) {
        if let Ok(count @ 2..) = u32::try_from(outputs.len()) {
            provenance.ack.expect_outputs(event.index, count);
        }
        for output in outputs {
            match &output.decision {
                Decision::Reject(reason) => {
                    tally.rejected += 1;
                    self.bury(provenance, event, Reason::PluginRejected, reason, None);
                }
                Decision::Deliver(target, payload) => {
                    let place = self.place(deciding, target);
                    let payload = payload.as_deref();
                    if let Err(error) = self.push(place, provenance, event, payload) {
                        let stream = Some(deciding.generation.plugin().stream(target));
                        let (reason, detail) = (reason_of_refusal(&error), error.to_string());
                        self.bury(provenance, event, reason, &detail, stream);
                    }
                }
            }
        }
    }

    /// Do with an event what the settings say of those that the plugin fails on.
    fn fail(
        &mut self,
        deciding: &Deciding,
        provenance: &Provenance,
        event: &Event<'_>,
        fault: &Fault,
    ) {
        match &self.on_failure {
            OnFailure::DeadLetter => {
                self.bury(provenance, event, reason_of_fault(fault), &fault.to_string(), None);
            }
            OnFailure::Drop => provenance.ack.filter_event(event.index),
            OnFailure::PassThrough(stream) => {
                let stream = stream.clone();
                let identity = deciding.places.identity();
                let place = self.accumulator.place(identity, &stream, NamedBy::Operator);
                if let Err(error) = self.push(place, provenance, event, None) {
                    let (reason, detail) = (reason_of_refusal(&error), error.to_string());
                    self.bury(provenance, event, reason, &detail, Some(&stream));
                }
            }
            OnFailure::Halt => self.stop.halt(|| {
                let (source, line) = (provenance.ack.source(), event.line);
                format!(
                    "the plugin failed on line {line} of {source}, and on_failure is \"halt\": {fault}: mend the \
                     plugin, or choose another on_failure under [plugin]"
                )
            }),
        }
    }

    fn push(
        &mut self,
        place: Result<StreamSlot, TooManyStreams>,
        provenance: &Provenance,
        event: &Event<'_>,
        payload: Option<&[u8]>,
    ) -> Result<(), RecordNotAdded> {
        let (index, line, text) = (event.index, event.line, event.text.as_bytes());
        self.accumulator.push(place?, provenance, Record { event: index, line, text, payload })
    }

    fn place(
        &mut self,
        deciding: &mut Deciding,
        target: &Target,
    ) -> Result<StreamSlot, TooManyStreams> {
        let identity = deciding.places.identity();
        match target {
            Target::Named(name) => self.accumulator.place(identity, name, NamedBy::Event),
            Target::Declared(position) => {
                let known = *deciding.places.of_declared(*position);
                if let Some(place) = known.filter(|&place| self.accumulator.holds(place)) {
                    return Ok(place);
                }
                let name = deciding.generation.plugin().stream(target);
                let place = self.accumulator.place(identity, name, NamedBy::Operator)?;
                *deciding.places.of_declared(*position) = Some(place);
                Ok(place)
            }
        }
    }

    fn bury(
        &self,
        provenance: &Provenance,
        event: &Event<'_>,
        reason: Reason,
        detail: &str,
        stream: Option<&StreamName>,
    ) {
        let source = provenance.ack.source();
        let letter = DeadLetter {
            stream: stream.map(StreamName::as_str),
            plugin: &provenance.plugin,
            generation: provenance.generation,
            ..DeadLetter::of_line(reason, detail, source, event.line, event.text.as_bytes())
        };
        self.dead_letter(&letter, &provenance.ack, event.index);
    }

    /// Have a letter written and its event settled. While more letters wait to be
    /// written than there is memory for, the worker waits, and with it the source.
    pub(super) fn dead_letter(&self, letter: &DeadLetter<'_>, ack: &Ack, event: u32) {
        self.letters.wait_for_room_blocking();
        self.letters.settle_dead(letter, ack, event);
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
        Fault::Off | Fault::Configure(_) => Reason::PluginUnavailable,
    }
}
