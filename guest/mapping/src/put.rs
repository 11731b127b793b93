//! Values that actions insert into events.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::change::EditedValue;
use crate::json::{JsonKind, JsonValue, write_string};
use crate::template::Template;

/// A table of the settings: maps the text of a value to the JSON text of another value.
pub(crate) type LookupTable = HashMap<String, Box<str>>;

/// A value to insert at a path.
#[derive(Debug, Clone)]
pub(crate) struct PutValue {
    pub(crate) source: ValueSource,
    /// Insert the value only if the event has no value or null there.
    pub(crate) only_missing: bool,
}

/// The source of a value. Values of the event are read from slots.
#[derive(Debug, Clone)]
pub(crate) enum ValueSource {
    /// A value of the settings, as JSON text.
    Text(Box<str>),
    /// An unchanged value of the event.
    Copy { slot: usize },
    /// A template, as a string. Its paths use consecutive slots from the first one.
    Template { template: Template, first_slot: usize },
    /// A table of the settings.
    Lookup { table: Arc<LookupTable>, slot: usize, default: Option<Box<str>> },
    /// An object of templates. A template without a value becomes this text.
    Object { members: Vec<(Box<str>, Template, usize)>, missing: &'static str },
}

/// The values that were read from an event.
pub(crate) struct ReadFields<'a> {
    pub(crate) text: &'a str,
    pub(crate) slots: &'a [Option<Range<usize>>],
}

impl<'a> ReadFields<'a> {
    pub(crate) fn value_at(&self, slot: usize) -> Option<JsonValue<'a>> {
        let range = self.slots.get(slot)?.clone()?;
        Some(JsonValue::of_text(&self.text[range]))
    }
}

impl ValueSource {
    /// Writes the value as JSON. Returns `false` if there is none.
    pub(crate) fn write(
        &self,
        out: &mut String,
        word: &mut EditedValue,
        fields: &ReadFields<'_>,
    ) -> bool {
        match self {
            ValueSource::Text(text) => out.push_str(text),
            ValueSource::Copy { slot } => {
                let Some(value) = fields.value_at(*slot) else { return false };
                out.push_str(value.raw_text());
            }
            ValueSource::Template { template, first_slot } => {
                let text = word.cleared_buffer();
                if !template.write(text, |path| fields.value_at(first_slot + path)) {
                    return false;
                }
                write_string(out, text);
            }
            ValueSource::Lookup { table, slot, default } => {
                let key = fields.value_at(*slot).and_then(|value| match value.kind() {
                    JsonKind::String => value.as_string(),
                    JsonKind::Number | JsonKind::Bool => Some(value.raw_text().into()),
                    _ => None,
                });
                let found = key.and_then(|key| table.get(&*key)).or(default.as_ref());
                let Some(found) = found else { return false };
                out.push_str(found);
            }
            ValueSource::Object { members, missing } => {
                write_object(out, word, members, missing, fields);
            }
        }
        true
    }
}

fn write_object(
    out: &mut String,
    word: &mut EditedValue,
    members: &[(Box<str>, Template, usize)],
    missing: &str,
    fields: &ReadFields<'_>,
) {
    out.push('{');
    for (place, (name, template, first_slot)) in members.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        write_string(out, name);
        out.push(':');
        let text = word.cleared_buffer();
        let is_there = template.write(text, |path| fields.value_at(first_slot + path));
        write_string(out, if is_there && !text.is_empty() { text } else { missing });
    }
    out.push('}');
}
