//! Values that are put into events.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::change::Word;
use crate::json::{Kind, Value, write_string};
use crate::template::Template;

/// A table of the settings: from the text of a value to the JSON text of
/// another one.
pub(crate) type Lookup = HashMap<String, Box<str>>;

/// What is put at a place.
#[derive(Debug, Clone)]
pub(crate) struct Put {
    pub(crate) source: Source,
    /// Only where the event has nothing or null.
    pub(crate) only_missing: bool,
}

/// Where a value comes from. Places in the event are slots.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The settings, as JSON text.
    Text(Box<str>),
    /// The event, as it stands there.
    Copy { slot: usize },
    /// A template, as a string. Its paths have the slots from the first one on.
    Template { template: Template, first_slot: usize },
    /// A table of the settings.
    Lookup { table: Arc<Lookup>, slot: usize, default: Option<Box<str>> },
    /// An object of templates. What a template has no value for is this text.
    Object { members: Vec<(Box<str>, Template, usize)>, missing: &'static str },
}

/// The values that were read of an event.
pub(crate) struct Fields<'a> {
    pub(crate) text: &'a str,
    pub(crate) slots: &'a [Option<Range<usize>>],
}

impl<'a> Fields<'a> {
    pub(crate) fn at(&self, slot: usize) -> Option<Value<'a>> {
        let range = self.slots.get(slot)?.clone()?;
        Some(Value::of_text(&self.text[range]))
    }
}

impl Source {
    /// Write the value as JSON; `false` where there is none.
    pub(crate) fn write(&self, out: &mut String, word: &mut Word, fields: &Fields<'_>) -> bool {
        match self {
            Source::Text(text) => out.push_str(text),
            Source::Copy { slot } => {
                let Some(value) = fields.at(*slot) else { return false };
                out.push_str(value.raw());
            }
            Source::Template { template, first_slot } => {
                let text = word.cleared();
                if !template.write(text, |path| fields.at(first_slot + path)) {
                    return false;
                }
                write_string(out, text);
            }
            Source::Lookup { table, slot, default } => {
                let key = fields.at(*slot).and_then(|value| match value.kind() {
                    Kind::String => value.string(),
                    Kind::Number | Kind::Bool => Some(value.raw().into()),
                    _ => None,
                });
                let found = key.and_then(|key| table.get(&*key)).or(default.as_ref());
                let Some(found) = found else { return false };
                out.push_str(found);
            }
            Source::Object { members, missing } => {
                write_object(out, word, members, missing, fields);
            }
        }
        true
    }
}

fn write_object(
    out: &mut String,
    word: &mut Word,
    members: &[(Box<str>, Template, usize)],
    missing: &str,
    fields: &Fields<'_>,
) {
    out.push('{');
    for (place, (name, template, first_slot)) in members.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        write_string(out, name);
        out.push(':');
        let text = word.cleared();
        let is_there = template.write(text, |path| fields.at(first_slot + path));
        write_string(out, if is_there && !text.is_empty() { text } else { missing });
    }
    out.push('}');
}
