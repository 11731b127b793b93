//! The tree of actions by their path in an event.

use super::read::FieldReads;
use crate::change::ValueChange;
use crate::names::MemberNames;
use crate::path::{FieldPath, PathStep};
use crate::put::PutValue;
use crate::redact::Detectors;
use crate::scan::MemberKey;

/// A path in an event, with the actions there and below.
#[derive(Debug, Clone, Default)]
pub(crate) struct EditNode {
    pub(super) members: MemberNames<EditNode>,
    pub(super) elements: Option<Box<EditNode>>,
    /// Whether only allowed members are kept.
    closed: bool,
    /// Whether this member of a closed object is allowed.
    allowed: bool,
    /// Whether a value that may be missing in the event is inserted here or below.
    pub(super) makes: bool,
    /// The values that are read before anything is changed.
    pub(super) reads: Option<Box<FieldReads>>,
    pub(super) act: EditAction,
}

/// The action on a value.
#[derive(Debug, Clone, Default)]
pub(crate) enum EditAction {
    /// The value is kept; its parts may have actions.
    #[default]
    Enter,
    /// The value is removed from its object.
    Drop,
    /// The value is replaced by another one, which is added if it is missing.
    Put(PutValue),
    /// A string, number, or literal is changed.
    Change(Vec<ValueChange>),
    /// Personal data in its strings is redacted.
    Redact(Detectors),
    /// Members of nested objects are lifted into it, with this separator between keys.
    Flatten(Box<str>),
}

impl EditNode {
    /// Adds an action at a path.
    pub(crate) fn add_action(&mut self, path: &FieldPath, act: EditAction) {
        let makes = matches!(act, EditAction::Put(_));
        self.enter_path(path.steps(), makes).act = act;
    }

    /// Keeps only these members of the object at a path.
    pub(crate) fn allow_members<'a>(
        &mut self,
        path: &FieldPath,
        names: impl IntoIterator<Item = &'a str>,
    ) {
        let node = self.enter_path(path.steps(), false);
        node.closed = true;
        for name in names {
            node.members.entry(name, EditNode::default).allowed = true;
        }
    }

    /// Reads a value below a path into a slot.
    pub(crate) fn add_read(&mut self, place: &[PathStep], path: &[PathStep], slot: usize) {
        self.enter_path(place, false).reads.get_or_insert_default().add_path(path, slot);
    }

    /// Whether the member of this name may change.
    pub(crate) fn may_change(&self, member: &str) -> bool {
        let is_named = self.members.iter().any(|(name, _)| name == member);
        self.closed || is_named || !matches!(self.act, EditAction::Enter)
    }

    fn enter_path(&mut self, steps: &[PathStep], makes: bool) -> &mut EditNode {
        self.makes |= makes && !steps.contains(&PathStep::Each);
        match steps {
            [] => self,
            [PathStep::Name(name), rest @ ..] => {
                self.members.entry(name, EditNode::default).enter_path(rest, makes)
            }
            [PathStep::Each, rest @ ..] => {
                self.elements.get_or_insert_default().enter_path(rest, makes)
            }
        }
    }

    pub(super) fn has_members(&self) -> bool {
        self.closed || !self.members.is_empty()
    }

    /// Returns `None` if the member of this key is removed, otherwise its position among the
    /// members of the node, if it has one.
    #[inline(always)]
    pub(super) fn find_member(&self, key: &MemberKey<'_>) -> Option<Option<usize>> {
        match self.members.find(key) {
            None => (!self.closed).then_some(None),
            Some(place) => {
                let child = self.members.at(place);
                let stays =
                    !matches!(child.act, EditAction::Drop) && (!self.closed || child.allowed);
                stays.then_some(Some(place))
            }
        }
    }
}
