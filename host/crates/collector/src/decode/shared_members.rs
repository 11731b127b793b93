//! `context` and `integrations` that a batch shares among its events: each event gets the members
//! that it lacks. The number of members is limited, and starting the next event costs nothing.

use std::collections::HashMap;

use super::InvalidBody;
use crate::limits;
use standpipe_core::event::{Member, Outline};

/// An object that a batch shares among its events. Each event gets the members that its own object
/// lacks.
#[derive(Debug, Default)]
pub(super) struct SharedMembers<'a> {
    /// Keys as written, and values. Of duplicate keys, only the last one is kept: otherwise, a
    /// small event could cause a large number of comparisons.
    members: Vec<(&'a str, &'a str)>,
    /// The member of each key. It is a map, because objects in hostile bodies have very many
    /// members.
    places: HashMap<String, usize>,
    /// For each member, the number of the last event that has it itself. With this number, starting
    /// another event takes no time, however many members there are.
    owners: Vec<u32>,
    event: u32,
}

impl<'a> SharedMembers<'a> {
    /// Reads the members of an object. Other values have none.
    ///
    /// # Errors
    ///
    /// Fails if the object has more than
    /// [`COLLECT_SHARED_MEMBERS_MAX`](limits::COLLECT_SHARED_MEMBERS_MAX) members.
    pub(super) fn read(value: Option<&'a str>) -> Result<Self, InvalidBody> {
        let mut shared = SharedMembers::default();
        let Some(text) = value.filter(|text| text.starts_with('{')) else { return Ok(shared) };
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
        })?;
        shared.owners = vec![0; shared.members.len()];
        Ok(shared)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Returns the value of this key.
    pub(super) fn find(&self, name: &str) -> Option<&'a str> {
        self.places.get(name).map(|place| self.members[*place].1)
    }

    /// Starts the next event, without own members.
    pub(super) fn forget_own(&mut self) {
        self.event += 1;
    }

    /// Notes that the event has this member.
    pub(super) fn note_own(&mut self, name: &str) {
        if let Some(place) = self.places.get(name) {
            self.owners[*place] = self.event;
        }
    }

    /// Appends the members that the event lacks. If `is_behind`, a comma precedes them. Returns
    /// whether the object has members now.
    pub(super) fn write_missing(&self, mut is_behind: bool, out: &mut Vec<u8>) -> bool {
        let members = self.members.iter().zip(&self.owners);
        for ((key, value), _) in members.filter(|(_, owner)| **owner != self.event) {
            out.extend_from_slice(if is_behind { b",\"" } else { b"\"" });
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(value.as_bytes());
            is_behind = true;
        }
        is_behind
    }
}

/// Calls `each` for every member of an object in a validated text.
///
/// # Errors
///
/// Fails if the object has more than
/// [`COLLECT_SHARED_MEMBERS_MAX`](limits::COLLECT_SHARED_MEMBERS_MAX) members.
pub(super) fn each_member<'a>(
    text: &'a str,
    mut each: impl FnMut(&Outline<'a>, Member<'a>),
) -> Result<(), InvalidBody> {
    let members_max = limits::COLLECT_SHARED_MEMBERS_MAX;
    // A part of a validated text is JSON.
    let outline = Outline::of_members(
        text.as_bytes(),
        standpipe_core::limits::EVENT_NESTING_MAX,
        members_max,
    )
    .map_err(|_| InvalidBody::TooManyMembers)?;
    outline.for_each_member(|member| each(&outline, member));
    Ok(())
}
