//! The settings of a mapping.

use std::sync::Arc;

use serde_json::Value;
use standpipe_plugin::Setup;

use super::shared::SharedSettings;
use super::table::{MappingTable, SettingsResult, did_you_mean};
use super::transform::{self, ACTIONS};
use super::{NamedTransforms, UsedTransforms};
use crate::fql::Condition;
use crate::template::Template;
use crate::transform::Transform;

/// The error about an unknown transform of a mapping.
pub(super) const NO_TRANSFORM: &str = "there is none of the name";

/// A mapping that can match an event.
#[derive(Debug)]
pub(crate) struct MappingRow {
    /// The position of the mapping, counted from 1.
    pub(crate) number: usize,
    pub(crate) event: String,
    pub(crate) stream: RowTarget,
    /// If the condition is false, the mapping is skipped.
    pub(crate) when: Option<Condition>,
    /// The named transforms of the mapping, then its own.
    pub(crate) transforms: Vec<Arc<Transform>>,
    pub(super) uses: UsedTransforms,
}

/// The destination of a mapping's events.
#[derive(Debug)]
pub(crate) enum RowTarget {
    /// The mapping hides earlier ones of the same event and names no stream.
    Missing,
    Named(String),
    /// The stream that the template selects for the event, or else the fallback.
    Chosen {
        template: Template,
        fallback: Option<String>,
    },
    /// The event is dropped, and no other mapping is consulted.
    Dropped,
}

impl MappingRow {
    /// Returns `None` for a mapping whose `event` can match nothing.
    pub(super) fn parse(
        number: usize,
        value: &Value,
        shared: &SharedSettings,
        named: &NamedTransforms,
    ) -> SettingsResult<Option<Self>> {
        let place = format!("mapping {number}");
        let table = MappingTable::new(&place, value, "`event = \"...\"` and `stream = \"...\"`")?;
        let own = ["event", "stream", "fallback", "when", "transform"];
        let keys: Vec<_> = own.into_iter().chain(ACTIONS).collect();
        table.check_keys(&keys)?;
        let stream = parse_stream(table)?;
        let (transforms, uses) = parse_transforms(table, shared, named)?;
        let when = transform::parse_when(table)?;
        let event = table.get("event").and_then(Value::as_str).unwrap_or_default();
        if event.is_empty() {
            return Ok(None);
        }
        Ok(Some(MappingRow { number, event: event.to_owned(), stream, when, transforms, uses }))
    }

    pub(super) fn names_nothing(&self) -> bool {
        matches!(self.stream, RowTarget::Missing)
    }

    /// Whether the mapping's condition or stream reads the event's text.
    pub(super) fn reads_text(&self) -> bool {
        let by_kind = self.when.as_ref().is_none_or(Condition::reads_only_kind);
        !by_kind || matches!(self.stream, RowTarget::Chosen { .. })
    }

    /// Declares a stream that the mapping names.
    pub(crate) fn declare_stream(
        &self,
        name: &str,
        setup: &mut Setup,
    ) -> SettingsResult<standpipe_plugin::Stream> {
        setup.declare(name).map_err(|error| self.stream_error(&error))
    }

    /// Formats an error about the mapping's stream.
    pub(crate) fn stream_error(&self, what: &str) -> String {
        format!("mapping {} ({:?}): {what}", self.number, self.event)
    }

    /// Whether the mapping has only an event and a stream.
    pub(crate) fn is_plain(&self) -> bool {
        self.when.is_none()
            && self.transforms.is_empty()
            && matches!(self.stream, RowTarget::Missing | RowTarget::Named(_))
    }
}

fn parse_stream(table: MappingTable<'_>) -> SettingsResult<RowTarget> {
    let stream = match table.get("stream") {
        None | Some(Value::Null) => "",
        Some(Value::String(stream)) => stream,
        Some(_) => {
            return Err(format!(
                "{}: `stream` must be a string, the name of a delivery stream",
                table.place
            ));
        }
    };
    let fallback = table.get_text("fallback")?;
    if table.get_flag("drop")? {
        return match (stream, fallback) {
            ("", None) => Ok(RowTarget::Dropped),
            _ => Err(table.key_error("drop", "the mapping filters events: leave `stream` out")),
        };
    }
    if Template::is_one(stream) {
        let template = Template::parse(stream).map_err(|error| table.key_error("stream", error))?;
        if let Some(path) = template.paths().iter().find(|path| path.steps_to_last_array() > 0) {
            return Err(table.key_error("stream", format!("`{path}` has many values: name one")));
        }
        return Ok(RowTarget::Chosen { template, fallback: fallback.map(str::to_owned) });
    }
    if fallback.is_some() {
        return Err(table.key_error(
            "fallback",
            "it is only used with a stream that contains `${...}`: remove it",
        ));
    }
    Ok(if stream.is_empty() { RowTarget::Missing } else { RowTarget::Named(stream.to_owned()) })
}

fn parse_transforms(
    table: MappingTable<'_>,
    shared: &SharedSettings,
    named: &NamedTransforms,
) -> SettingsResult<(Vec<Arc<Transform>>, UsedTransforms)> {
    let (mut transforms, mut uses) = (Vec::new(), UsedTransforms::new());
    for name in table.get_texts("transform")? {
        let transform = named.get(name).ok_or_else(|| {
            let advice = match named.is_empty() {
                true => format!("add [[plugin.settings.transforms]] with `name = {name:?}`"),
                false => did_you_mean(name, named.keys().map(String::as_str)),
            };
            table.key_error("transform", format!("{NO_TRANSFORM} {name:?}: {advice}"))
        })?;
        transforms.push(Arc::clone(transform));
        uses.insert(name.to_owned());
    }
    // The condition decides about the whole mapping, and a mapping that drops events has no stream.
    let own = Transform { when: None, drop: false, ..transform::parse_transform(table, shared)? };
    if !own.is_empty() {
        transforms.push(Arc::new(own));
    }
    Ok((transforms, uses))
}
