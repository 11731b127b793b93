use std::collections::HashMap;

use crate::event::{Member, Outline};
use crate::limits;

/// An object that a batch says once for all its events: each of them gets the
/// members that its own one lacks.
#[derive(Debug, Default)]
pub(super) struct Shared<'a> {
    /// Keys as they are written, and values. Of equal keys only the last one, or
    /// else a small event could ask for looking at very many.
    members: Vec<(&'a str, &'a str)>,
    /// The member under each key. A map, since objects of hostile bodies have very
    /// many members.
    places: HashMap<String, usize>,
    /// For each member, whether the event in question has it itself.
    is_own: Vec<bool>,
}

impl<'a> Shared<'a> {
    /// The members of an object; none, if it is no object.
    pub(super) fn of(value: Option<&'a str>) -> Self {
        let mut shared = Shared::default();
        let Some(text) = value.filter(|text| text.starts_with('{')) else { return shared };
        each_member(text, |outline, member| {
            let place = *shared
                .places
                .entry(member.name().into_owned())
                .or_insert_with(|| shared.members.len());
            let member = (member.key, outline.at(member.value));
            match shared.members.get_mut(place) {
                Some(before) => *before = member,
                None => shared.members.push(member),
            }
        });
        shared.is_own = vec![false; shared.members.len()];
        shared
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// What counts under this key.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.places.get(name).map(|place| self.members[*place].1)
    }

    /// Begin anew with an event that has none of the members.
    pub(super) fn forget_own(&mut self) {
        self.is_own.fill(false);
    }

    /// Note that the event has this member.
    pub(super) fn note_own(&mut self, name: &str) {
        if let Some(place) = self.places.get(name) {
            self.is_own[*place] = true;
        }
    }

    /// Append what the event lacks, behind a comma if there is something before.
    /// Returns whether there is something now.
    pub(super) fn write_missing(&self, mut is_behind: bool, out: &mut Vec<u8>) -> bool {
        for ((key, value), _) in self.members.iter().zip(&self.is_own).filter(|(_, own)| !**own) {
            out.extend_from_slice(if is_behind { b",\"" } else { b"\"" });
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(value.as_bytes());
            is_behind = true;
        }
        is_behind
    }
}

/// Show the members of an object that is part of a checked text.
pub(super) fn each_member<'a>(text: &'a str, mut each: impl FnMut(&Outline<'a>, Member<'a>)) {
    let outline = Outline::of(text.as_bytes(), limits::EVENT_NESTING_MAX)
        .expect("a part of what has been checked");
    outline.members(|member| each(&outline, member));
}
