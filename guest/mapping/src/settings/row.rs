//! The settings of a mapping row.

use std::sync::Arc;

use serde_json::Value;
use standpipe_plugin::Setup;

use super::shared::Shared;
use super::table::{Outcome, Table, did_you_mean};
use super::transform::{self, ACTIONS};
use super::{Named, Uses};
use crate::fql::Condition;
use crate::template::Template;
use crate::transform::Transform;

/// The words for a transform that a row names and that is not there.
pub(super) const NO_TRANSFORM: &str = "there is none of the name";

/// A row that can match.
#[derive(Debug)]
pub(crate) struct Row {
    /// Counted from 1, as the operator counts.
    pub(crate) number: usize,
    pub(crate) event: String,
    pub(crate) stream: Stream,
    /// Where it does not hold, the row is as good as not there.
    pub(crate) when: Option<Condition>,
    /// Those that it names, and then its own.
    pub(crate) transforms: Vec<Arc<Transform>>,
    pub(super) uses: Uses,
}

/// Where a row's events go.
#[derive(Debug)]
pub(crate) enum Stream {
    /// The row hides earlier ones of the same event and names nothing.
    Missing,
    Named(String),
    /// Chosen by the event, or else this one.
    Chosen {
        template: Template,
        fallback: Option<String>,
    },
    /// Nowhere, whatever other rows say.
    Dropped,
}

impl Row {
    /// `None` for a row whose `event` can match nothing.
    pub(super) fn parse(
        number: usize,
        value: &Value,
        shared: &Shared,
        named: &Named,
    ) -> Outcome<Option<Self>> {
        let place = format!("mappings row {number}");
        let table = Table::of(&place, value, "`event = \"...\"` and `stream = \"...\"`")?;
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
        Ok(Some(Row { number, event: event.to_owned(), stream, when, transforms, uses }))
    }

    pub(super) fn names_nothing(&self) -> bool {
        matches!(self.stream, Stream::Missing)
    }

    /// Whether its own condition or its stream does so.
    pub(super) fn reads_text(&self) -> bool {
        let by_kind = self.when.as_ref().is_none_or(Condition::reads_only_kind);
        !by_kind || matches!(self.stream, Stream::Chosen { .. })
    }

    /// Declare a stream that it names.
    pub(crate) fn declare(
        &self,
        name: &str,
        setup: &mut Setup,
    ) -> Outcome<standpipe_plugin::Stream> {
        setup.declare(name).map_err(|error| self.wrong(&error))
    }

    /// An error about its stream.
    pub(crate) fn wrong(&self, what: &str) -> String {
        format!("mappings row {} ({:?}): {what}", self.number, self.event)
    }

    /// Whether it is no more than an event and a stream.
    pub(crate) fn is_plain(&self) -> bool {
        self.when.is_none()
            && self.transforms.is_empty()
            && matches!(self.stream, Stream::Missing | Stream::Named(_))
    }
}

fn parse_stream(table: Table<'_>) -> Outcome<Stream> {
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
    let fallback = table.text("fallback")?;
    if table.flag("drop")? {
        return match (stream, fallback) {
            ("", None) => Ok(Stream::Dropped),
            _ => Err(table.wrong("drop", "the row's events go nowhere: leave `stream` out")),
        };
    }
    if Template::is_one(stream) {
        let template = Template::parse(stream).map_err(|error| table.wrong("stream", error))?;
        if let Some(path) = template.paths().iter().find(|path| path.steps_to_last_array() > 0) {
            return Err(table.wrong("stream", format!("`{path}` is many values: name one")));
        }
        return Ok(Stream::Chosen { template, fallback: fallback.map(str::to_owned) });
    }
    if fallback.is_some() {
        return Err(
            table.wrong("fallback", "it is for streams with `${...}` in them: leave it out")
        );
    }
    Ok(if stream.is_empty() { Stream::Missing } else { Stream::Named(stream.to_owned()) })
}

fn parse_transforms(
    table: Table<'_>,
    shared: &Shared,
    named: &Named,
) -> Outcome<(Vec<Arc<Transform>>, Uses)> {
    let (mut transforms, mut uses) = (Vec::new(), Uses::new());
    for name in table.texts("transform")? {
        let transform = named.get(name).ok_or_else(|| {
            let advice = match named.is_empty() {
                true => format!("add [[plugin.settings.transforms]] with `name = {name:?}`"),
                false => did_you_mean(name, named.keys().map(String::as_str)),
            };
            table.wrong("transform", format!("{NO_TRANSFORM} {name:?}: {advice}"))
        })?;
        transforms.push(Arc::clone(transform));
        uses.insert(name.to_owned());
    }
    // The condition decides about the row, and what is dropped has no stream.
    let own = Transform { when: None, drop: false, ..transform::parse(table, shared)? };
    if !own.is_empty() {
        transforms.push(Arc::new(own));
    }
    Ok((transforms, uses))
}
