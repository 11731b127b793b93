//! The decisions of a plugin about a batch, checked and in the host's types.

use std::time::Duration;

use super::Fault;
use super::envelope_groups::EnvelopeGroups;
use super::fault::WrongAnswer;
use crate::limits;
use standpipe_core::event::StreamName;

/// The decisions of the plugin about a batch, or about its first events: decisions that would take
/// too much memory together are requested in several calls.
#[derive(Debug)]
pub struct Decisions {
    pub(super) groups: EnvelopeGroups,
    pub(super) answers: Answers,
}

/// The plugin's results for the events with which it was called.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// The outputs in the order of their events. An event may have any number.
    pub(super) outputs: Vec<Output>,
    /// Events that the plugin failed on, in order.
    pub(super) faults: Vec<(usize, Fault)>,
    /// The first event with which the plugin was not called yet, and the fault for this event and
    /// all later ones.
    pub(super) postponed: Option<(usize, Fault)>,
    /// The memory of the outputs.
    pub(super) bytes: usize,
    /// CPU time of failed calls.
    pub(super) wasted: Duration,
}

/// An output of an event.
#[derive(Debug, PartialEq, Eq)]
pub struct Output {
    /// The event's position among those of the call.
    pub(super) input: usize,
    /// The decision.
    pub decision: Decision,
}

/// A decision that the contract permits.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// Deliver the event's text, or other bytes.
    Deliver(OutputTarget, Option<Vec<u8>>),
    /// Dead-letter the event for this reason.
    Reject(String),
}

/// The destination of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputTarget {
    /// A position in [`Plugin::declared`](super::Plugin::declared).
    Declared(usize),
    /// A stream that matches one of the declared patterns.
    Named(StreamName),
}

impl Decisions {
    /// The decisions about a batch with which the plugin is not called, for this reason.
    pub fn all_failed(events: usize, fault: &Fault) -> Self {
        let faults = (0..events).map(|event| (event, fault.clone())).collect();
        Decisions {
            groups: EnvelopeGroups::ungrouped(events),
            answers: Answers { faults, ..Answers::default() },
        }
    }

    /// The number of decided events, counted from the first of the batch. It is at least one. The
    /// plugin must be called again with the others.
    pub fn decided_events(&self, events: usize) -> usize {
        match &self.answers.postponed {
            None => events,
            Some((answer, _)) => self.groups.asked[*answer],
        }
    }

    /// The CPU time of failed calls.
    pub fn wasted_cpu(&self) -> Duration {
        self.answers.wasted
    }

    /// Whether an event is delivered with other bytes than its text.
    pub(super) fn have_payloads(&self) -> bool {
        let has_payload =
            |output: &Output| matches!(output.decision, Decision::Deliver(_, Some(_)));
        self.answers.outputs.iter().any(has_payload)
    }

    /// The outputs of an event, by its position in the batch. Empty if the event is filtered.
    ///
    /// # Errors
    ///
    /// Fails with the plugin's fault for the event, or if the event is not
    /// [decided](Self::decided_events).
    pub fn of(&self, event: usize) -> Result<&[Output], &Fault> {
        let Answers { outputs, faults, postponed, .. } = &self.answers;
        let answer = self.groups.answer(event);
        if let Some((_, fault)) = postponed.as_ref().filter(|(first, _)| answer >= *first) {
            return Err(fault);
        }
        if let Ok(at) = faults.binary_search_by_key(&answer, |(event, _)| *event) {
            return Err(&faults[at].1);
        }
        let rest = &outputs[outputs.partition_point(|output| output.input < answer)..];
        let count = rest.iter().take_while(|output| output.input == answer).count();
        Ok(&rest[..count])
    }
}

impl Answers {
    /// Adds the outputs of events, the first of which has this position.
    pub(super) fn add_outputs(&mut self, outputs: Vec<Output>, first: usize) {
        self.bytes += outputs.iter().map(Output::size_in_memory).sum::<usize>();
        if self.outputs.is_empty() && first == 0 {
            self.outputs = outputs;
        } else {
            self.outputs.extend(
                outputs.into_iter().map(|output| Output { input: output.input + first, ..output }),
            );
        }
    }

    /// Whether the event at this position and later ones must wait for another call, because the
    /// results already take too much memory or the caller requires it.
    pub(super) fn is_postponed(&mut self, event: usize, is_too_much: bool) -> bool {
        let is_full = self.bytes > limits::PLUGIN_ANSWERS_HELD_BYTES_MAX;
        if self.postponed.is_none() && (is_full || is_too_much) {
            self.postpone(event, WrongAnswer::NotAsked.into());
        }
        self.postponed.is_some()
    }

    /// Leaves the event at this position and later ones for another call.
    pub(super) fn postpone(&mut self, event: usize, why: Fault) {
        self.postponed.get_or_insert((event, why));
    }
}

impl Output {
    /// The size in memory.
    fn size_in_memory(&self) -> usize {
        let of_decision = match &self.decision {
            Decision::Deliver(_, payload) => payload.as_ref().map_or(0, Vec::capacity),
            Decision::Reject(reason) => reason.capacity(),
        };
        size_of::<Output>() + of_decision
    }
}

/// Checks that the contract permits the combination of an event's outputs.
pub(super) fn check_event(outputs: &[Output]) -> Result<(), Fault> {
    if outputs.len() == 1 {
        return Ok(());
    }
    if outputs.len() > limits::PLUGIN_OUTPUTS_PER_EVENT_MAX {
        return Err(WrongAnswer::TooManyOutputs(outputs.len()).into());
    }
    if outputs.iter().any(|output| matches!(output.decision, Decision::Reject(_))) {
        return Err(WrongAnswer::RejectedAndMore.into());
    }
    Ok(())
}
