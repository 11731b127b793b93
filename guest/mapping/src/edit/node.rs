//! What is to be done at which places of an event.

use super::read::Reads;
use crate::change::Change;
use crate::names::Names;
use crate::path::{Path, Step};
use crate::put::Put;
use crate::redact::Detectors;
use crate::scan::Key;

/// A place of an event, and what is to be done there and below.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    pub(super) members: Names<Node>,
    pub(super) elements: Option<Box<Node>>,
    /// Only members that are allowed stay.
    closed: bool,
    /// Allowed as a member of what is closed.
    allowed: bool,
    /// Something is put here or below that may be missing in the event.
    pub(super) makes: bool,
    /// What is read of the value before anything is changed.
    pub(super) reads: Option<Box<Reads>>,
    pub(super) act: Act,
}

/// What is to be done with a value.
#[derive(Debug, Clone, Default)]
pub(crate) enum Act {
    /// Nothing, but perhaps with its parts.
    #[default]
    Enter,
    /// Leave it out of its object.
    Drop,
    /// Put another value in its place, and make it where it is missing.
    Put(Put),
    /// Change a string, number, or literal.
    Change(Vec<Change>),
    /// Redact what is found in any string of it.
    Redact(Detectors),
    /// Lift the members of objects in it into itself, with this between keys.
    Flatten(Box<str>),
}

impl Node {
    /// Have this done at a place.
    pub(crate) fn act(&mut self, path: &Path, act: Act) {
        let makes = matches!(act, Act::Put(_));
        self.enter(path.steps(), makes).act = act;
    }

    /// Of the object at a place, let only these members stay.
    pub(crate) fn allow<'a>(&mut self, path: &Path, names: impl IntoIterator<Item = &'a str>) {
        let node = self.enter(path.steps(), false);
        node.closed = true;
        for name in names {
            node.members.entry(name, Node::default).allowed = true;
        }
    }

    /// Have a value read from what this place leads to, into a slot.
    pub(crate) fn read(&mut self, place: &[Step], path: &[Step], slot: usize) {
        self.enter(place, false).reads.get_or_insert_default().add(path, slot);
    }

    /// Whether the member of this name may be another one afterwards.
    pub(crate) fn may_change(&self, member: &str) -> bool {
        let is_named = self.members.iter().any(|(name, _)| name == member);
        self.closed || is_named || !matches!(self.act, Act::Enter)
    }

    fn enter(&mut self, steps: &[Step], makes: bool) -> &mut Node {
        self.makes |= makes && !steps.contains(&Step::Each);
        match steps {
            [] => self,
            [Step::Name(name), rest @ ..] => {
                self.members.entry(name, Node::default).enter(rest, makes)
            }
            [Step::Each, rest @ ..] => self.elements.get_or_insert_default().enter(rest, makes),
        }
    }

    pub(super) fn has_members(&self) -> bool {
        self.closed || !self.members.is_empty()
    }

    /// Whether the member of this key stays, and then its place among the
    /// members of the node, if it has one.
    #[inline(always)]
    pub(super) fn member(&self, key: &Key<'_>) -> Option<Option<usize>> {
        match self.members.find(key) {
            None => (!self.closed).then_some(None),
            Some(place) => {
                let child = self.members.at(place);
                let stays = !matches!(child.act, Act::Drop) && (!self.closed || child.allowed);
                stays.then_some(Some(place))
            }
        }
    }
}
