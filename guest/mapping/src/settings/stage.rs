//! Combines the actions of a transform into the smallest number of passes over the event with the
//! same result.

use super::table::SettingsResult;
use crate::edit::{EditAction, EditNode};
use crate::path::FieldPath;

/// Actions that run in one pass.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    acts: Vec<PlacedAction>,
    /// Objects of which only these members are kept.
    closed: Vec<(FieldPath, Vec<String>)>,
    /// Values to read before the changes: the slot's position in the event, the number of leading
    /// steps of the path that the position shares, and the path.
    reads: Vec<(usize, FieldPath)>,
}

#[derive(Debug)]
struct PlacedAction {
    path: FieldPath,
    /// The key of the settings for the action.
    key: &'static str,
    act: EditAction,
}

impl Stage {
    /// # Errors
    ///
    /// Fails if another action affects the same position.
    pub(crate) fn add_action(
        &mut self,
        key: &'static str,
        path: FieldPath,
        act: EditAction,
    ) -> SettingsResult<()> {
        if let Some(other) = self.acts.iter().find(|other| other.path.touches(&path)) {
            return Err(conflict_message(key, &path, other.key, &other.path));
        }
        if let Some((closed, _)) = self.closed.iter().find(|(closed, _)| is_within(closed, &path)) {
            return Err(conflict_message(key, &path, "allow_fields", closed));
        }
        self.acts.push(PlacedAction { path, key, act });
        Ok(())
    }

    /// Keeps only these members of an object.
    pub(crate) fn allow_members(
        &mut self,
        path: FieldPath,
        names: Vec<String>,
    ) -> SettingsResult<()> {
        if let Some(other) = self.acts.iter().find(|other| is_within(&path, &other.path)) {
            return Err(conflict_message("allow_fields", &path, other.key, &other.path));
        }
        self.closed.push((path, names));
        Ok(())
    }

    /// Notes a value to read before anything is changed, for an action at a position. Paths through
    /// arrays refer to the same element as the position. Returns the slot.
    ///
    /// # Errors
    ///
    /// Fails if the position is not in an element of that array.
    pub(crate) fn add_read(
        &mut self,
        path: &FieldPath,
        place: &FieldPath,
    ) -> SettingsResult<usize> {
        let shared = path.steps_to_last_array();
        if place.steps().get(..shared) != Some(&path.steps()[..shared]) {
            return Err(format!(
                "`{path}` has many values, and `{place}` is not in the same elements: start both \
                 with the same path up to the last `[]`"
            ));
        }
        self.reads.push((shared, path.clone()));
        Ok(self.reads.len() - 1)
    }

    /// Whether this stage and a later one have the same result in a single pass.
    fn goes_with(&self, later: &Stage) -> bool {
        later.reads.is_empty()
            && later.closed.is_empty()
            && later.acts.iter().all(|act| {
                let is_apart = self.acts.iter().all(|earlier| !earlier.path.touches(&act.path));
                is_apart && !self.closed.iter().any(|(closed, _)| is_within(closed, &act.path))
            })
    }

    fn into_node(self) -> EditNode {
        let mut root = EditNode::default();
        for (path, names) in &self.closed {
            root.allow_members(path, names.iter().map(String::as_str));
        }
        for PlacedAction { path, act, .. } in self.acts {
            root.add_action(&path, act);
        }
        for (slot, (shared, path)) in self.reads.iter().enumerate() {
            let (place, rest) = path.steps().split_at(*shared);
            root.add_read(place, rest, slot);
        }
        root
    }
}

/// Whether one path equals or extends another one.
fn is_within(path: &FieldPath, outer: &FieldPath) -> bool {
    path.steps().starts_with(outer.steps())
}

fn conflict_message(key: &str, path: &FieldPath, other_key: &str, other: &FieldPath) -> String {
    format!(
        "`{key}` of `{path}` and `{other_key}` of `{other}` are about the same place: put one of \
         the two into a transform of its own, before or behind"
    )
}

/// Merges stages into as few passes as possible.
pub(crate) fn merge_stages(stages: impl IntoIterator<Item = Stage>) -> Vec<EditNode> {
    let mut passes: Vec<Stage> = Vec::new();
    for stage in stages {
        if stage.acts.is_empty() && stage.closed.is_empty() {
            continue;
        }
        match passes.last_mut() {
            Some(last) if last.goes_with(&stage) => last.acts.extend(stage.acts),
            _ => passes.push(stage),
        }
    }
    passes.into_iter().map(Stage::into_node).collect()
}
