//! What a plugin decided, in the host's own words.

use super::component::Declared;
use super::kinds::Kinds;
use super::{Fault, Plugin};
use crate::event::StreamName;
use crate::limits;

/// What the plugin decided about a batch.
#[derive(Debug)]
pub struct Decisions {
    pub(super) kinds: Kinds,
    pub(super) answers: Answers,
}

/// What the plugin said about the events that it was asked about.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// In the order of the events they belong to. An event may have any number.
    pub(super) outputs: Vec<Output>,
    /// Events that the plugin failed on, in their order.
    pub(super) faults: Vec<(usize, Fault)>,
}

/// One decision about one event.
#[derive(Debug, PartialEq, Eq)]
pub struct Output {
    /// The event's position among those that the plugin was asked about.
    pub(super) input: usize,
    /// What to do with it.
    pub decision: Decision,
}

/// A decision that the contract allows.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// Deliver the event's text, or other bytes.
    Deliver(Target, Option<Vec<u8>>),
    /// Dead-letter the event with this reason.
    Reject(String),
}

/// Where an event goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A position in [`Plugin::declared`](super::Plugin::declared).
    Declared(usize),
    /// A stream that one of the declared patterns covers.
    Named(StreamName),
}

impl Target {
    /// The stream, of a decision by this plugin.
    pub fn stream<'a>(&'a self, plugin: &'a Plugin) -> &'a StreamName {
        match self {
            Target::Named(name) => name,
            Target::Declared(position) => {
                match plugin.declared_at(u32::try_from(*position).unwrap_or(u32::MAX)) {
                    Some(Declared::Name(name)) => name,
                    _ => unreachable!("a plugin's answer is checked"),
                }
            }
        }
    }
}

impl Decisions {
    /// What comes of a batch that the plugin was not asked about, being off.
    pub fn off(events: usize) -> Self {
        let faults = (0..events).map(|event| (event, Fault::Off)).collect();
        let answers = Answers { outputs: Vec::new(), faults };
        Decisions { kinds: Kinds::each(events), answers }
    }

    /// Whether any event is delivered as something else than its text.
    pub(super) fn have_payloads(&self) -> bool {
        let outputs = self.answers.outputs.iter();
        outputs
            .map(|output| &output.decision)
            .any(|decision| matches!(decision, Decision::Deliver(_, Some(_))))
    }

    /// The outputs for an event, by its position in the batch; none where it is
    /// filtered.
    ///
    /// # Errors
    ///
    /// What the plugin did wrong with it.
    pub fn of(&self, event: usize) -> Result<&[Output], &Fault> {
        let Answers { outputs, faults } = &self.answers;
        let answer = self.kinds.answer(event);
        if let Ok(at) = faults.binary_search_by_key(&answer, |(event, _)| *event) {
            return Err(&faults[at].1);
        }
        let rest = &outputs[outputs.partition_point(|output| output.input < answer)..];
        let count = rest.iter().take_while(|output| output.input == answer).count();
        Ok(&rest[..count])
    }
}

impl Answers {
    /// Take in what was said about events of which the first has this position.
    pub(super) fn take(&mut self, outputs: Vec<Output>, first: usize) {
        if self.outputs.is_empty() && first == 0 {
            self.outputs = outputs;
        } else {
            self.outputs.extend(
                outputs.into_iter().map(|output| Output { input: output.input + first, ..output }),
            );
        }
    }
}

/// Check the outputs of one event together.
pub(super) fn check_event(outputs: &[Output]) -> Result<(), Fault> {
    if outputs.len() == 1 {
        return Ok(());
    }
    let limit = limits::PLUGIN_OUTPUTS_PER_EVENT_MAX;
    if outputs.len() > limit {
        return Err(Fault::Answer(format!(
            "{} outputs for one event, at most {limit} are taken",
            outputs.len()
        )));
    }
    if outputs.iter().any(|output| matches!(output.decision, Decision::Reject(_))) {
        return Err(Fault::Answer("an event is rejected and has another output".to_owned()));
    }
    Ok(())
}
