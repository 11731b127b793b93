//! A transform: a condition, and the actions for matching events.

use crate::edit::{EditNode, Scratch, edit_text};
use crate::fql::Condition;
use crate::json::JsonValue;
use crate::sample::{Chance, SampleRule};

/// A transform. Its fields are in the order of their effect.
#[derive(Debug, Clone)]
pub(crate) struct Transform {
    /// If the condition does not hold, the transform does nothing.
    pub(crate) when: Option<Condition>,
    pub(crate) sample: Option<SampleRule>,
    pub(crate) drop: bool,
    /// Each pass reads the result of the previous one.
    pub(crate) passes: Vec<EditNode>,
}

/// The outcome of a transform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The event is kept.
    Keep,
    /// The event is dropped.
    Drop,
}

/// Buffers that are reused for all events.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tools {
    scratch: Scratch,
    chance: Chance,
}

/// An event's text while it is being transformed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    text: String,
    next: String,
    is_changed: bool,
}

impl Draft {
    /// Starts another event.
    pub(crate) fn clear(&mut self) {
        self.is_changed = false;
    }

    /// The current text, which is `original` if nothing has changed it.
    pub(crate) fn text<'a>(&'a self, original: &'a str) -> &'a str {
        if self.is_changed { &self.text } else { original }
    }

    /// The current text, if it was changed.
    pub(crate) fn changed_text(&self) -> Option<&str> {
        self.is_changed.then_some(&*self.text)
    }
}

impl Transform {
    /// Whether the transform does nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.sample.is_none() && !self.drop && self.passes.is_empty()
    }

    /// Whether the transform reads or changes more than the event's name and type.
    pub(crate) fn reads_text(&self) -> bool {
        let by_kind = self.when.as_ref().is_none_or(Condition::reads_only_kind);
        !by_kind
            || !self.passes.is_empty()
            || self.sample.as_ref().is_some_and(SampleRule::reads_text)
    }

    /// Whether the transform may change one of these members of the event.
    pub(crate) fn may_change(&self, members: &[&str]) -> bool {
        self.passes.iter().any(|pass| members.iter().any(|member| pass.may_change(member)))
    }

    /// Transforms the draft of an event with this original text.
    pub(crate) fn apply(&self, draft: &mut Draft, original: &str, tools: &mut Tools) -> Verdict {
        let event = JsonValue::of_text(draft.text(original));
        if self.when.as_ref().is_some_and(|when| !when.holds(event)) {
            return Verdict::Keep;
        }
        if self.sample.as_ref().is_some_and(|sample| !sample.passes(event, &mut tools.chance)) {
            return Verdict::Drop;
        }
        if self.drop {
            return Verdict::Drop;
        }
        for pass in &self.passes {
            let text = if draft.is_changed { &draft.text } else { original };
            if edit_text(pass, text, &mut draft.next, &mut tools.scratch) {
                std::mem::swap(&mut draft.text, &mut draft.next);
                draft.is_changed = true;
            }
        }
        Verdict::Keep
    }
}
